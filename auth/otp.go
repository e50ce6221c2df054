package auth

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// Issued is a one-time code to send. Times are UTC, to the microsecond.
type Issued struct {
	Code Code
	// Known is whether the address has an active account. A code is issued either way, so that whoever asks learns
	// nothing. Send it only where it is meant to arrive.
	Known bool
	// ExpiresAt is the code's end, OTPPolicy.Lifetime after its beginning.
	ExpiresAt time.Time
	// RetryAt is when the next code can be issued.
	RetryAt time.Time
}

// IssueCode makes a one-time code for an address and a purpose. Earlier codes for them are worth nothing from then on.
// The error is a [*TooSoonError] within OTPPolicy.ResendCooldown of the last code or when OTPPolicy.Budget is used up,
// and an [*InputError] for what cannot be an address or is none of the purposes. Of calls at once, one succeeds.
func (s *Service) IssueCode(ctx context.Context, email string, kind schematype.OTPType) (*Issued, error) {
	email = schematype.NormalizeEmail(email)
	code, err := s.newCode()
	if err != nil {
		return nil, err
	}
	var issued *Issued
	// Each call adds its code and only then looks for others, waiting for those that are not committed: of two calls at
	// once one is rolled back, whatever the isolation level, and finds the other one's code.
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		now := s.now()
		added, err := s.addCode(ctx, tx, email, kind, code, now)
		if err != nil {
			return err
		}
		if err := s.mayIssue(ctx, tx, added, now); err != nil {
			return err
		}
		if err := endEarlierCodes(ctx, tx, added); err != nil {
			return err
		}
		issued = &Issued{Code: code, ExpiresAt: added.ExpiresAt, RetryAt: added.NextResendAllowedAt}
		issued.Known, err = tx.User.Query().Where(user.Email(email), user.IsDeleted(false)).Exist(ctx)
		return wrap(err, "look for an account")
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionIssueCode, Detail: string(kind)})
	return issued, nil
}

func (s *Service) addCode(
	ctx context.Context, tx *ent.Client, email string, kind schematype.OTPType, c Code, now time.Time,
) (*ent.OTP, error) {
	added, err := tx.OTP.Create().
		SetEmail(email).SetType(kind).
		SetOtpHashCode(mac(s.cfg.Keys.reveal()[0], kind, email, c)).
		SetNextResendAllowedAt(now.Add(s.cfg.OTP.ResendCooldown)).SetExpiresAt(now.Add(s.cfg.OTP.Lifetime)).
		SetMaxAttempts(int32(s.cfg.OTP.MaxAttempts)).
		SetCreatedAt(now).
		Save(ctx)
	return added, wrap(input(err), "add a code")
}

// mayIssue is a [*TooSoonError] if the codes before the one that was added do not allow for it yet.
func (s *Service) mayIssue(ctx context.Context, tx *ent.Client, added *ent.OTP, now time.Time) error {
	before := tx.OTP.Query().
		Where(
			otp.Email(added.Email), otp.TypeEQ(added.Type), otp.IDNEQ(added.ID),
			otp.CreatedAtGT(now.Add(-s.cfg.OTP.BudgetWindow)),
			otp.CreatedAtLTE(now.Add(ClockTolerance)),
		).
		Order(ent.Desc(otp.FieldID)).
		Limit(s.cfg.OTP.Budget)
	before.Modify(forUpdate)
	recent, err := before.Select(otp.FieldCreatedAt, otp.FieldNextResendAllowedAt).All(ctx)
	if err != nil {
		return fmt.Errorf("count codes: %w", err)
	}
	countsUntil := func(code *ent.OTP) time.Time { return code.CreatedAt.Add(s.cfg.OTP.BudgetWindow) }
	if len(recent) > 0 && recent[0].NextResendAllowedAt.After(now) {
		retry := recent[0].NextResendAllowedAt
		if until := countsUntil(recent[0]); retry.After(until) {
			retry = until // nobody waits longer, whatever the row says
		}
		return &TooSoonError{RetryAt: retry}
	}
	if len(recent) == s.cfg.OTP.Budget {
		return &TooSoonError{RetryAt: countsUntil(recent[len(recent)-1])}
	}
	return nil
}

func endEarlierCodes(ctx context.Context, tx *ent.Client, added *ent.OTP) error {
	err := tx.OTP.Update().
		Where(otp.Email(added.Email), otp.TypeEQ(added.Type), otp.IsUsed(false), otp.IDNEQ(added.ID)).
		SetIsUsed(true).
		Exec(ctx)
	return wrap(err, "end earlier codes")
}

// newest is what a guess needs of the last code of an address and purpose.
type newest struct {
	id                    int
	hash                  string
	attempts, maxAttempts int
}

// newestCode is nil where there is none, or a wrong clock made it.
func (s *Service) newestCode(ctx context.Context, email string, kind schematype.OTPType) (*newest, error) {
	const query = `SELECT id, otp_hash_code, attempts, max_attempts, created_at FROM otps` +
		` WHERE email = ? AND type = ? ORDER BY id DESC LIMIT 1`
	code, err := repeat(ctx, s, func(ctx context.Context) (*newest, error) {
		var c newest
		var created time.Time
		found, err := scanRow(ctx, s.client, query, []any{email, string(kind)},
			&c.id, &c.hash, &c.attempts, &c.maxAttempts, &created)
		if err != nil || !found || s.ahead(created) {
			return nil, err
		}
		return &c, nil
	})
	return code, wrap(err, "find a code")
}

// left is how many attempts remain once a wrong one has been counted.
func (c *newest) left() int { return max(0, c.maxAttempts-c.attempts-1) }

// tryCode examines a guess at the newest code of an address and purpose and returns its id if it is right. The attempt
// is counted, in a committed statement, before the code is compared. Where the connection is lost it is counted twice
// rather than not at all.
func (s *Service) tryCode(ctx context.Context, email string, kind schematype.OTPType, c Code) (int, error) {
	code, err := s.newestCode(ctx, email, kind)
	if err != nil {
		return 0, err
	}
	if code == nil {
		s.matches("", kind, email, c) // takes as long
		return 0, s.codeFailed(ctx, kind, ErrCode)
	}
	counted, err := s.countAttempt(ctx, code.id)
	if err != nil {
		return 0, err
	}
	match := s.matches(code.hash, kind, email, c)
	switch {
	case !counted:
		return 0, s.codeFailed(ctx, kind, ErrCode)
	case !match:
		return 0, s.codeFailed(ctx, kind, &CodeError{AttemptsLeft: code.left()})
	}
	return code.id, nil
}

// countAttempt counts an attempt at a code that may still be guessed at.
func (s *Service) countAttempt(ctx context.Context, id int) (bool, error) {
	n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.OTP.Update().
			Where(otp.ID(id), otp.IsUsed(false), otp.ExpiresAtGT(s.now()), attemptsLeft).
			AddAttempts(1).
			Save(ctx)
	})
	return n > 0, wrap(err, "count an attempt")
}

// attemptsLeft are the codes that may be guessed at again.
func attemptsLeft(sel *sql.Selector) {
	sel.Where(sql.ColumnsLT(sel.C(otp.FieldAttempts), sel.C(otp.FieldMaxAttempts)))
}

func (s *Service) codeFailed(ctx context.Context, kind schematype.OTPType, err error) error {
	s.observe(ctx, Event{Action: ActionCodeFailed, Detail: string(kind)})
	return err
}

// useCode marks a code that was right as used. Of calls at once, one succeeds.
func (s *Service) useCode(ctx context.Context, client *ent.Client, id int) error {
	now := s.now()
	n, err := client.OTP.Update().
		Where(otp.ID(id), otp.IsUsed(false), otp.ExpiresAtGT(now)).
		SetIsUsed(true).SetUsedAt(now).
		Save(ctx)
	if err == nil && n == 0 {
		return ErrCode
	}
	return wrap(err, "use a code")
}

// withCode examines a code, and uses it in one transaction with then.
func (s *Service) withCode(
	ctx context.Context, email string, kind schematype.OTPType, c Code,
	then func(ctx context.Context, tx *ent.Client) error,
) error {
	id, err := s.tryCode(ctx, email, kind, c)
	if err != nil {
		return err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		if err := s.useCode(ctx, tx, id); err != nil {
			return err
		}
		return then(ctx, tx)
	})
	if err == nil {
		s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	}
	return err
}

// VerifyCode uses a code for a purpose of the caller's own. The error is [ErrCode] if the code is wrong, expired, used,
// replaced by a newer one, or guessed at too often; a [*CodeError] also tells how many attempts are left. Of any number
// of calls with the right code, one succeeds.
//
// It takes two round trips. The code is compared in Go. One UPDATE then counts the
// attempt and, if it was right, uses the code. The answer waits for its commit.
func (s *Service) VerifyCode(ctx context.Context, email string, kind schematype.OTPType, c Code) error {
	email = schematype.NormalizeEmail(email)
	code, err := s.newestCode(ctx, email, kind)
	if err != nil {
		return err
	}
	if code == nil {
		s.matches("", kind, email, c) // takes as long
		return s.codeFailed(ctx, kind, ErrCode)
	}
	match := s.matches(code.hash, kind, email, c)
	n, err := statement(ctx, s, func(ctx context.Context) (int, error) { return s.countAndUse(ctx, code.id, match) })
	switch {
	case err != nil:
		return fmt.Errorf("count an attempt: %w", err)
	case n == 0:
		return s.codeFailed(ctx, kind, ErrCode)
	case !match:
		return s.codeFailed(ctx, kind, &CodeError{AttemptsLeft: code.left()})
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	return nil
}

// countAndUse counts an attempt at a code that may still be guessed at, and uses the code if it was right.
func (s *Service) countAndUse(ctx context.Context, id int, right bool) (int, error) {
	const query = `UPDATE otps SET updated_at = ?, attempts = attempts + 1, is_used = ?, used_at = ?` +
		` WHERE ((id = ? AND NOT is_used) AND expires_at > ?) AND attempts < max_attempts`
	now := s.now()
	return execute(ctx, s.client, query, updatedNow(), right, stdsql.NullTime{Time: now, Valid: right}, id, now)
}

// VerifyEmail uses a code of type email-verification and marks the address of its
// account as verified. Errors are those of [Service.VerifyCode].
func (s *Service) VerifyEmail(ctx context.Context, email string, c Code) error {
	email = schematype.NormalizeEmail(email)
	err := s.withCode(ctx, email, schematype.OTPEmailVerification, c, func(ctx context.Context, tx *ent.Client) error {
		n, err := tx.User.Update().Where(user.Email(email), s.usable()).SetIsEmailVerified(true).Save(ctx)
		if err == nil && n == 0 {
			return ErrCode
		}
		return wrap(err, "verify an email address")
	})
	if err == nil {
		s.observe(ctx, Event{Action: ActionVerifyEmail})
	}
	return err
}

// SignInWithCode uses a code of type signin and starts a session and a family of refresh tokens. The code verifies the
// address. If the address was not verified before, somebody else may have made the account in wait for its owner: its
// password, link to a provider, sessions and refresh tokens are removed. Errors are those of [Service.VerifyCode],
// which is [ErrCode] also for an account that is suspended or deleted.
func (s *Service) SignInWithCode(ctx context.Context, email string, c Code, d Device) (*Grant, error) {
	email = schematype.NormalizeEmail(email)
	var g *Grant
	err := s.withCode(ctx, email, schematype.OTPSignIn, c, func(ctx context.Context, tx *ent.Client) error {
		q := tx.User.Query().Where(user.Email(email), s.usable())
		q.Modify(forUpdate, readable)
		u, err := q.Only(ctx)
		switch {
		case ent.IsNotFound(err):
			return ErrCode
		case err != nil:
			return fmt.Errorf("find an account: %w", err)
		}
		first := !u.IsEmailVerified
		if first {
			if _, err := s.revokeAll(ctx, tx, u.ID); err != nil {
				return err
			}
			u.Provider, u.IsEmailVerified = schematype.ProviderLocal, true
		}
		g, err = s.grantIn(ctx, tx, u, d, func(up *ent.UserUpdate) {
			up.Where(s.usable()).SetIsEmailVerified(true)
			if first {
				up.ClearPassword().SetProvider(schematype.ProviderLocal).ClearProviderID()
			}
		})
		if errors.Is(err, ErrCredentials) {
			return ErrCode
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionSignIn, UserID: g.User.ID, SessionID: g.Session.ID, Detail: "code"})
	return g, nil
}

// ResetPassword uses a code of type password-reset, replaces the password, and ends every session and refresh token of
// the account, in one transaction. It ends a lock that guessing caused. The code verifies the address. If the address was not verified before, a link to a provider is removed too, since
// somebody else may have made the account.
//
// Errors are those of [Service.VerifyCode], and [*PasswordError], for which no attempt is counted.
func (s *Service) ResetPassword(ctx context.Context, email string, c Code, password string) error {
	return s.passwordByCode(ctx, email, schematype.OTPPasswordReset, c, password, ActionResetPassword)
}

// ChangePasswordWithCode is [Service.ResetPassword] with a code of type password-change, for a signed-in user.
func (s *Service) ChangePasswordWithCode(ctx context.Context, email string, c Code, password string) error {
	return s.passwordByCode(ctx, email, schematype.OTPPasswordChange, c, password, ActionChangePassword)
}

func (s *Service) passwordByCode(
	ctx context.Context, email string, kind schematype.OTPType, c Code, password string, action Action,
) error {
	if err := s.cfg.Password.check(password); err != nil {
		return err
	}
	email = schematype.NormalizeEmail(email)
	id, err := s.tryCode(ctx, email, kind, c)
	if err != nil {
		return err
	}
	// Hashing takes long: not while the transaction holds rows.
	hash, err := s.hash(password)
	if err != nil {
		return err
	}
	revoked := 0
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		if err = s.useCode(ctx, tx, id); err == nil {
			revoked, err = s.replacePassword(ctx, tx, email, hash)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	s.observe(ctx, Event{Action: action, Count: revoked})
	return nil
}

// replacePassword stores a hash for the account of an address that a code verified.
func (s *Service) replacePassword(ctx context.Context, tx *ent.Client, email, hash string) (revoked int, err error) {
	u, err := readUser(ctx, tx, user.Email(email), s.usable())
	if err == nil {
		revoked, err = s.setPassword(ctx, tx, u.ID, hash, s.usable())
	}
	if err == nil && !u.IsEmailVerified {
		err = tx.User.Update().
			Where(user.ID(u.ID), user.IsEmailVerified(false)).
			SetIsEmailVerified(true).SetProvider(schematype.ProviderLocal).ClearProviderID().
			Exec(ctx)
	}
	if err == nil {
		err = tx.User.Update().Where(user.ID(u.ID)).ClearLockUntil().Exec(ctx)
	}
	if ent.IsNotFound(err) || errors.Is(err, ErrCredentials) {
		return 0, ErrCode
	}
	return revoked, wrap(err, "set a password by a code")
}
