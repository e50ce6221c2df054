package auth

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// CodeRequest asks for a one-time code.
type CodeRequest struct {
	// Email is the address as it was typed.
	Email string
	// Kind is the purpose, which nothing else accepts the code for.
	Kind schematype.OTPType
	// Device is where the request comes from.
	Device Device
	// Ticket is that of [Service.Register], or of the code before, if this request follows it. It shows that the
	// request is the account's own, and ends the code before. The zero Token is none.
	Ticket Token
}

// Issued is a one-time code to send. Times are UTC, to the microsecond.
type Issued struct {
	// Ticket belongs to the code, which is worth nothing without it (OWASP ASVS 5.0.0, 6.6.2). Give it to the client
	// that asked, and never put it into the mail.
	Ticket Token
	Code   Code
	// Email is the address to send to, as it is stored: not as somebody typed it.
	Email string
	// Known is whether the address has an active account. A code is issued either way, so that whoever asks learns
	// nothing. Send it only where it is meant to arrive.
	Known bool
	// ExpiresAt is the code's end, OTPPolicy.Lifetime after its beginning.
	ExpiresAt time.Time
	// RetryAt is when the next code can be issued.
	RetryAt time.Time
}

// IssueCode makes a one-time code for an address and a purpose. It is verified together with the ticket that comes with
// it. What others request leaves it as it is.
//
// The error is a [*TooSoonError] within OTPPolicy.ResendCooldown of the last code or when OTPPolicy.Budget is used up,
// and an [*InputError] for what cannot be an address or is none of the purposes. Of calls at once, one succeeds.
func (s *Service) IssueCode(ctx context.Context, req CodeRequest) (*Issued, error) {
	req.Email = schematype.NormalizeEmail(req.Email)
	issued := new(Issued)
	var err error
	if issued.Ticket, err = s.newToken(); err != nil {
		return nil, err
	}
	if issued.Code, err = s.newCode(); err != nil {
		return nil, err
	}
	// Each call adds its code and only then looks for others, waiting for those that are not committed: of two calls at
	// once one is rolled back, whatever the isolation level, and finds the other one's code.
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error { return s.issue(ctx, tx, req, issued) })
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionIssueCode, Detail: string(req.Kind)})
	return issued, nil
}

// issue adds the code and fills in the rest of issued.
func (s *Service) issue(ctx context.Context, tx *ent.Client, req CodeRequest, issued *Issued) error {
	now := s.now()
	added, err := s.addCode(ctx, tx, req, issued, now)
	if err != nil {
		return err
	}
	if err := s.mayIssue(ctx, tx, added, now); err != nil {
		return err
	}
	if err := endEarlierCode(ctx, tx, req); err != nil {
		return err
	}
	issued.Email, issued.ExpiresAt, issued.RetryAt = added.Email, added.ExpiresAt, added.NextResendAllowedAt
	issued.Known, err = tx.User.Query().Where(user.Email(req.Email), user.IsDeleted(false)).Exist(ctx)
	return wrap(err, "look for an account")
}

func (s *Service) addCode(
	ctx context.Context, tx *ent.Client, req CodeRequest, issued *Issued, now time.Time,
) (*ent.OTP, error) {
	ticket := issued.Ticket.hash()
	added, err := tx.OTP.Create().
		SetEmail(req.Email).SetType(req.Kind).SetTicketHash(ticket).
		SetOtpHashCode(mac(s.cfg.Keys.reveal()[0], req.Kind, req.Email, ticket, issued.Code)).
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

// endEarlierCode ends the code that the request takes the place of.
func endEarlierCode(ctx context.Context, tx *ent.Client, req CodeRequest) error {
	if req.Ticket.Reveal() == "" {
		return nil
	}
	err := tx.OTP.Update().
		Where(otp.TicketHash(req.Ticket.hash()), otp.Email(req.Email), otp.TypeEQ(req.Kind), otp.IsUsed(false)).
		SetIsUsed(true).
		Exec(ctx)
	return wrap(err, "end the code before")
}

// mailed is what a guess needs of the code of a ticket.
type mailed struct {
	id                    int
	email, hash           string
	attempts, maxAttempts int
}

// codeOf is nil where there is no code of a ticket and purpose, or a wrong clock made it. A code that the version before
// made has no ticket. Nor is one found that completes another step.
func (s *Service) codeOf(ctx context.Context, kind schematype.OTPType, ticket Token) (*mailed, error) {
	const query = `SELECT id, email, otp_hash_code, attempts, max_attempts, created_at FROM otps` +
		` WHERE ticket_hash = ? AND type = ? AND first_step IS NULL LIMIT 1`
	code, err := repeat(ctx, s, func(ctx context.Context) (*mailed, error) {
		var c mailed
		var created time.Time
		found, err := scanRow(ctx, s.client, query, []any{ticket.hash(), string(kind)},
			&c.id, &c.email, &c.hash, &c.attempts, &c.maxAttempts, &created)
		if err != nil || !found || s.ahead(created) {
			return nil, err
		}
		return &c, nil
	})
	return code, wrap(err, "find a code")
}

// left is how many attempts remain once a wrong one has been counted.
func (c *mailed) left() int { return max(0, c.maxAttempts-c.attempts-1) }

// tryCode examines a guess at the code of a ticket and returns it if the guess is right. The attempt is counted, in a
// committed statement, before the code is compared. Where the connection is lost it is counted twice rather than not at
// all.
func (s *Service) tryCode(ctx context.Context, kind schematype.OTPType, ticket Token, c Code) (*mailed, error) {
	code, err := s.codeOf(ctx, kind, ticket)
	if err != nil {
		return nil, err
	}
	if code == nil {
		s.matches("", kind, "", ticket.hash(), c) // takes as long
		return nil, s.codeFailed(ctx, kind, ErrCode)
	}
	counted, err := s.countAttempt(ctx, code.id)
	if err != nil {
		return nil, err
	}
	match := s.matches(code.hash, kind, code.email, ticket.hash(), c)
	switch {
	case !counted:
		return nil, s.codeFailed(ctx, kind, ErrCode)
	case !match:
		return nil, s.codeFailed(ctx, kind, &CodeError{AttemptsLeft: code.left()})
	}
	return code, nil
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

// uncountAttempt takes back the attempt of a code that was right, if it was refused for another reason. That it fails
// costs one attempt.
func (s *Service) uncountAttempt(ctx context.Context, id int) {
	_ = s.client.OTP.Update().Where(otp.ID(id), otp.AttemptsGT(0)).AddAttempts(-1).Exec(ctx)
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
	ctx context.Context, kind schematype.OTPType, ticket Token, c Code,
	then func(ctx context.Context, tx *ent.Client, code *mailed) error,
) error {
	code, err := s.tryCode(ctx, kind, ticket, c)
	if err != nil {
		return err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		if err := s.useCode(ctx, tx, code.id); err != nil {
			return err
		}
		return then(ctx, tx, code)
	})
	if err == nil {
		s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	}
	return err
}

// VerifyCode uses a code for a purpose of the caller's own. The error is [ErrCode] if the code is wrong, expired, used,
// guessed at too often, or belongs to another ticket or purpose; a [*CodeError] also tells how many attempts are left.
// Of any number of calls with the right code, one succeeds.
//
// It takes two round trips. The code is compared in Go. One UPDATE then counts the
// attempt and, if it was right, uses the code. The answer waits for its commit.
func (s *Service) VerifyCode(ctx context.Context, kind schematype.OTPType, ticket Token, c Code) error {
	code, err := s.codeOf(ctx, kind, ticket)
	if err != nil {
		return err
	}
	if code == nil {
		s.matches("", kind, "", ticket.hash(), c) // takes as long
		return s.codeFailed(ctx, kind, ErrCode)
	}
	match := s.matches(code.hash, kind, code.email, ticket.hash(), c)
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
