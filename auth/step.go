package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// SecondStepPolicy says who needs a second step to sign in, and which ones there are beside a mailed code. Mail is a
// weak one: NIST SP 800-63B-4, 3.1.3.1 does not count it as authentication.
type SecondStepPolicy struct {
	// Required reports whether a user needs a second step. It is asked in every way of signing in; default nil: nobody
	// does. [Service.StartSession] and [Service.IssueRefresh] rest on the caller's own proof and do not ask. It must be
	// safe for concurrent use. A transaction may be open: read the database on another connection, and do not write
	// there. An error ends the sign-in.
	Required func(context.Context, *User) (bool, error)
	// Factor is a second step of your own, such as TOTP, a passkey or a code that an operator hands out; default none.
	// Without one, whoever resets the password by mail has no second step left: [Service.FinishWithFactor] alone ends
	// that state.
	Factor Factor
}

// Factor examines the answers to a second step. It must be safe for concurrent use.
type Factor interface {
	// Verify reports whether an answer is the user's, and uses it up: no answer may be right twice (NIST SP 800-63B-4,
	// 3.1.4.2). The failure is counted before it is called, and taken back after an error.
	Verify(ctx context.Context, u *User, answer string) (bool, error)
}

// noCode is the hash of a row that nothing was mailed for.
const noCode = "-"

// needsStep reports whether an entry is only a first step.
func (s *Service) needsStep(ctx context.Context, u *graph.Account, e entry) (bool, error) {
	if e.step == "" || s.cfg.SecondStep.Required == nil {
		return false, nil
	}
	needed, err := s.cfg.SecondStep.Required(ctx, userOf(u))
	return needed, wrap(err, "ask whether a second step is needed")
}

// pend keeps a first step in the caller's transaction. Its row is one of a code that nobody knows.
func (s *Service) pend(ctx context.Context, tx *ent.Client, u *graph.Account, e entry) (*SecondStepError, error) {
	const query = `INSERT INTO otps` +
		` (created_at, updated_at, email, type, otp_hash_code, next_resend_allowed_at, expires_at, is_used, attempts,` +
		` max_attempts, ticket_hash, is_known_device, is_link, requested_by, first_step, trust_epoch)` +
		` VALUES (?, ?, ?, ?, ?, ?, ?, false, 0, 0, ?, false, false, ?, ?, ?)`
	ticket, err := s.newToken()
	if err != nil {
		return nil, err
	}
	now := s.now()
	pending := &SecondStepError{
		Ticket: ticket, UserID: u.ID, ExpiresAt: cut(now.Add(s.cfg.OTP.Lifetime)),
		Mail:   mailFinishes(e.step, u),
		Factor: s.cfg.SecondStep.Factor != nil,
	}
	// Not in the INSERT: Vitess looks for the user in the shard of the address.
	var epoch *int
	if _, err := scanRow(ctx, tx, epochQuery+s.forUpdate, []any{u.ID}, &epoch); err != nil {
		return nil, fmt.Errorf("keep a first step: %w", err)
	}
	_, err = execute(ctx, tx, query, now, updatedNow(), schematype.NormalizeEmail(u.Email),
		string(schematype.OTPSignIn), noCode, now, pending.ExpiresAt, ticket.hash(), u.ID, string(e.step), epoch)
	if err == nil && e.guess != nil {
		err = s.uncount(ctx, tx, *e.guess) // it was right
	}
	return pending, wrap(err, "keep a first step")
}

// FinishWithFactor finishes a sign-in with an answer to SecondStepPolicy.Factor. The error is [ErrCode] if the answer
// is wrong, or the first step expired, was used, or was voided by a reset or [Service.RevokeAll]. It is a
// [*LockedError] without an end if too many answers were wrong: a fifth of LockoutPolicy.Budget in a row over all
// pending steps of the account, or LockoutPolicy.MaxFailures of a known device for itself. A mailed link or
// [Service.Unsuspend] ends that.
//
// A first step is used once. If the password was reset by mail, mail is a second step again after this beside the
// password.
func (s *Service) FinishWithFactor(ctx context.Context, ticket Token, answer string, d Device) (*Grant, error) {
	if s.cfg.SecondStep.Factor == nil {
		return nil, &ConfigError{Field: "SecondStep.Factor", Reason: "is nil", Fix: "give one, or finish with a code"}
	}
	pending, err := s.pendingStep(ctx, ticket)
	if err != nil {
		return nil, err
	}
	u, c, err := s.countAnswer(ctx, pending, d)
	if err != nil {
		return nil, err
	}
	right, err := s.cfg.SecondStep.Factor.Verify(ctx, userOf(u), answer)
	if err == nil && !right {
		s.observe(ctx, Event{Action: ActionStepFailed, UserID: u.ID, Detail: "wrong answer"})
		return nil, ErrCode
	}
	e := entry{detail: string(*pending.FirstStep) + "+factor", device: d, guess: &c}
	if *pending.FirstStep == schematype.FirstStepPassword {
		// Beside the factor, the password that a mailed code has set shows that its owner set it.
		e.whole = func(c *change) { c.to(graph.ResetByMail, false) }
	}
	var g *Grant
	if err == nil {
		err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
			g, err = s.finishIn(ctx, tx, u, pending, e)
			return err
		})
	}
	if err != nil {
		s.giveBackAfter(ctx, err, c)
		return nil, wrap(err, "examine a second step")
	}
	return s.finished(ctx, g, pending, e)
}

// FinishWithCode finishes a sign-in with a mailed code, which [Service.IssueCode] made for the ticket of the first
// step. The ticket is that of the code. Errors are those of [Service.VerifyCode], which is [ErrCode] also if the first
// step was voided by a reset or [Service.RevokeAll].
//
// Each code takes OTPPolicy.MaxAttempts of the guesses that second steps have. A link takes none.
func (s *Service) FinishWithCode(ctx context.Context, ticket Token, c Code, d Device) (*Grant, error) {
	const kind = schematype.OTPSignIn
	pending, err := s.pendingStep(ctx, ticket)
	if err == nil {
		err = s.tryRow(ctx, kind, pending, c)
	}
	if err != nil {
		return nil, err
	}
	e := entry{detail: string(*pending.FirstStep) + "+code", device: d}
	var g *Grant
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		u, err := readUser(ctx, tx, s.stands(pending))
		switch {
		case err != nil:
			return fmt.Errorf("find an account: %w", err)
		case u == nil:
			return ErrCode
		}
		g, err = s.finishIn(ctx, tx, u, pending, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	return s.finished(ctx, g, pending, e)
}

// askStep has a code that somebody asks for finish the sign-in whose ticket they have.
func (s *Service) askStep(ctx context.Context, tx *ent.Client, by *asker) error {
	pending := by.before
	if !s.isPending(pending) {
		return ErrCode
	}
	u, err := readUser(ctx, tx, s.stands(pending))
	switch {
	case err != nil:
		return fmt.Errorf("find an account: %w", err)
	case u == nil:
		return ErrCode
	case !mailFinishes(*pending.FirstStep, u):
		return ErrSecondStep
	}
	by.user, by.step, by.guesses.step = u, *pending.FirstStep, true
	return nil
}

// mailFinishes reports whether a mailed code proves something else than the first step did.
func mailFinishes(first schematype.OTPFirstStep, u *graph.Account) bool {
	return first != schematype.FirstStepMail && !u.ResetByMail
}

// pendingStep is the row of a first step. The error is [ErrCode] if there is none of this ticket any more.
func (s *Service) pendingStep(ctx context.Context, ticket Token) (*ent.OTP, error) {
	row, err := repeat(ctx, s, func(ctx context.Context) (*ent.OTP, error) { return rowOf(ctx, s.client, ticket) })
	if err == nil && !s.isPending(row) {
		err = ErrCode
	}
	return row, err
}

// isPending reports whether a row is that of a sign-in which waits for its second step.
func (s *Service) isPending(row *ent.OTP) bool {
	return row != nil && row.Type == schematype.OTPSignIn &&
		row.FirstStep != nil && *row.FirstStep != schematype.FirstStepEmailChange &&
		row.RequestedBy != nil && row.TrustEpoch != nil &&
		!row.IsUsed && row.ExpiresAt.After(s.now()) && !s.ahead(row.CreatedAt)
}

// stands are the accounts for which a first step still holds.
func (s *Service) stands(pending *ent.OTP) where {
	state := s.usable()
	if *pending.FirstStep == schematype.FirstStepReactivation {
		state = s.restorable()
	}
	return all(is(graph.ID, *pending.RequestedBy), is(graph.TrustEpoch, *pending.TrustEpoch), state)
}

// countAnswer counts an answer before it is examined, and returns where.
func (s *Service) countAnswer(ctx context.Context, pending *ent.OTP, d Device) (*graph.Account, counter, error) {
	c := counter{userID: *pending.RequestedBy, step: true}
	u, err := repeat(ctx, s, func(ctx context.Context) (*graph.Account, error) {
		return readUser(ctx, s.client, s.stands(pending))
	})
	if err == nil && u == nil {
		return nil, c, ErrCode
	}
	if err == nil {
		c.device, err = s.knownDevice(ctx, s.client, u.ID, d.Token)
	}
	if err != nil {
		return nil, c, fmt.Errorf("find an account: %w", err)
	}
	counted, err := s.countOnce(ctx, &c)
	if err == nil && !counted {
		s.observe(ctx, Event{Action: ActionStepFailed, UserID: u.ID, Detail: "not examined"})
		err = &LockedError{}
	}
	return u, c, err
}

// finishIn uses a first step and lets the user in, in the caller's transaction.
func (s *Service) finishIn(
	ctx context.Context, tx *ent.Client, u *graph.Account, pending *ent.OTP, e entry,
) (*Grant, error) {
	if err := s.useCode(ctx, tx, pending.ID); err != nil {
		return nil, err
	}
	g, err := s.grantIn(ctx, tx, u, e, func(c *change) {
		c.only(s.stands(pending))
		if *pending.FirstStep == schematype.FirstStepReactivation {
			restore(c)
		}
	})
	if errors.Is(err, ErrCredentials) {
		return nil, ErrCode
	}
	return g, err
}

// finished tells of a sign-in of two steps that is committed.
func (s *Service) finished(ctx context.Context, g *Grant, pending *ent.OTP, e entry) (*Grant, error) {
	g, err := s.granted(ctx, g, e)
	if err == nil && *pending.FirstStep == schematype.FirstStepReactivation {
		s.observe(ctx, Event{Action: ActionReactivate, UserID: g.User.ID})
	}
	return g, err
}
