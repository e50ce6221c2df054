package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Verification is what shows that an address is the verifier's.
type Verification struct {
	Ticket Token
	Code   Code
	// Password is the account's. It shows that the verifier is who registered, where the ticket does not, such as one
	// of another browser. Empty for none.
	Password string
	// Device is where the request comes from. A guess at Password counts as its own.
	Device Device
}

// VerifyEmail uses a code of type email-verification. The account of the address is the verifier's from then on.
//
// If the address was not verified before, somebody else may have made the account in wait for its owner. It stays as it
// is only if the verifier shows to be who made it: by a ticket that came of the registration's or of a live session, as
// CodeRequest has it, or by Password. Otherwise its password, link to a provider, sessions and refresh tokens are
// removed, and the [Observer] is told [ActionTakeOver], so that the application can drop what else the account holds.
// An account that was deleted comes back. The owner of the address sets a password by [Service.ResetPassword].
//
// Errors are those of [Service.VerifyCode], which is [ErrCode] also for an account that is suspended, or was deleted
// after its address had been verified, and those of [Service.SignIn] for Password.
func (s *Service) VerifyEmail(ctx context.Context, v Verification) error {
	const kind = schematype.OTPEmailVerification
	// The code comes first: whether a password is right would tell anybody whether there is an account.
	code, err := s.tryCode(ctx, kind, v.Ticket, v.Code)
	if err != nil {
		return err
	}
	password, guess, err := s.provePassword(ctx, code.Email, v)
	if err != nil {
		s.uncountAttempt(ctx, code.ID)
		return err
	}
	var events []Event
	err = s.using(ctx, kind, code, func(ctx context.Context, tx *ent.Client) error {
		u, err := s.holdAccount(ctx, tx, code.Email)
		switch {
		case err != nil:
			return err
		case password != nil && (u.Password == nil || *u.Password != *password):
			return ErrCredentials // it was changed meanwhile
		}
		events = nil
		_, err = s.takeOver(ctx, tx, u, password != nil || isOwn(code, u), &events)
		events = append(events, Event{Action: ActionVerifyEmail, UserID: u.ID})
		if err == nil {
			err = s.uncount(ctx, tx, guess)
		}
		return err
	})
	if err != nil {
		s.giveBackAfter(ctx, err, guess)
		return err
	}
	s.observeAll(ctx, events)
	return nil
}

// provePassword verifies the password of a verification and returns its hash, and where the guess is counted; nil where
// there is none. Whoever uses the proof takes the guess back.
func (s *Service) provePassword(
	ctx context.Context, email string, v Verification,
) (hash *string, guess counter, err error) {
	if v.Password == "" {
		return nil, counter{}, nil
	}
	p, err := s.prove(ctx, v.Password, v.Device, activeByEmail, email)
	if err != nil {
		return nil, counter{}, err
	}
	return p.user.Password, p.counter, nil
}

// holdAccount is the account of an address that a code verified, whose row the transaction holds. The error is
// [ErrCode] if there is none that can be used.
func (s *Service) holdAccount(ctx context.Context, tx *ent.Client, email string) (*graph.Account, error) {
	u, err := ofAddress(email)(s.hold(ctx, tx, ErrCode, is(graph.Email, email), reachable(), s.unsuspended()))
	if err == nil && u == nil {
		err = ErrCode
	}
	return u, err
}

// takeOver makes an account, as it was read, that of whoever has just shown to read the mail of its address. Every way
// of showing that comes here. If the address was not verified before, and own does not say that it is the same party,
// what somebody else may have left in wait for the owner is removed: password, link to a provider, sessions, refresh
// tokens, and the standing of devices. So is the deletion of an account that nobody had proved the address of.
func (s *Service) takeOver(
	ctx context.Context, tx *ent.Client, u *graph.Account, own bool, events *[]Event,
) (ended Ended, err error) {
	if u.IsEmailVerified {
		return Ended{}, nil
	}
	c := changeOf(u.ID).only(where{text: "NOT (" + isVerified + ")"}, reachable()).to(graph.IsEmailVerified, true)
	if u.IsDeleted {
		restore(c)
	}
	if !own {
		c.by(graph.Password, graph.NoPassword).add(graph.TrustEpoch, 1)
		unlink(c)
	}
	switch n, err := c.send(ctx, tx); {
	case err != nil:
		return Ended{}, fmt.Errorf("take an account over: %w", err)
	case n == 0:
		return Ended{}, errRaced
	}
	u.IsEmailVerified = true
	if own {
		return Ended{}, nil
	}
	u.Password, u.Provider, u.ProviderID = nil, schematype.ProviderLocal, nil
	u.TrustEpoch++
	if ended, err = s.revokeAll(ctx, tx, u.ID); err != nil {
		return Ended{}, err
	}
	*events = append(*events, Event{Action: ActionTakeOver, UserID: u.ID, Count: ended.Count()})
	return ended, nil
}

// SignInWithCode uses a code of type signin and starts a session and a family of refresh tokens. The code verifies the
// address, and errors are, as with [Service.VerifyEmail].
func (s *Service) SignInWithCode(ctx context.Context, ticket Token, c Code, d Device) (*Grant, error) {
	var (
		g      *Grant
		events []Event
	)
	e := entry{step: schematype.FirstStepMail, detail: "code", device: d}
	err := s.withCode(ctx, schematype.OTPSignIn, ticket, c,
		func(ctx context.Context, tx *ent.Client, code *ent.OTP) error {
			events = nil
			u, err := s.holdAccount(ctx, tx, code.Email)
			if err != nil {
				return err
			}
			if _, err := s.takeOver(ctx, tx, u, isOwn(code, u), &events); err != nil {
				return err
			}
			g, err = s.grantIn(ctx, tx, u, e, func(c *change) { c.only(s.usable()) })
			if errors.Is(err, ErrCredentials) {
				return ErrCode
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	s.observeAll(ctx, events)
	return s.granted(ctx, g, e)
}

// ResetPassword uses a code of type password-reset, replaces the password, and ends every session and refresh token of
// the account, in one transaction. It ends a lock that guessing caused. The code verifies the address, as
// [Service.VerifyEmail] does.
//
// Errors are those of [Service.VerifyCode], and [*PasswordError], for which no attempt is counted.
func (s *Service) ResetPassword(ctx context.Context, ticket Token, c Code, password string) (Ended, error) {
	return s.passwordByCode(ctx, ticket, schematype.OTPPasswordReset, c, password, ActionResetPassword)
}

// ChangePasswordWithCode is [Service.ResetPassword] with a code of type password-change, for a signed-in user.
func (s *Service) ChangePasswordWithCode(
	ctx context.Context, ticket Token, c Code, password string,
) (Ended, error) {
	return s.passwordByCode(ctx, ticket, schematype.OTPPasswordChange, c, password, ActionChangePassword)
}

func (s *Service) passwordByCode(
	ctx context.Context, ticket Token, kind schematype.OTPType, c Code, password string, action Action,
) (ended Ended, err error) {
	if err := needs("password"); err != nil {
		return Ended{}, err
	}
	if err := s.checkPassword(ctx, password); err != nil {
		return Ended{}, err
	}
	leave, err := s.hashing.enter()
	if err != nil {
		return Ended{}, err
	}
	defer leave()
	code, err := s.tryCode(ctx, kind, ticket, c)
	if err != nil {
		return Ended{}, err
	}
	// Hashing takes long: not while the transaction holds rows.
	hash, err := s.hash(ctx, password)
	leave()
	if err != nil {
		return Ended{}, err
	}
	var events []Event
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		events = nil
		if err = s.useCode(ctx, tx, code.ID); err == nil {
			ended, err = s.replacePassword(ctx, tx, code, password, hash, action, &events)
		}
		return err
	})
	var refused *PasswordError
	if errors.As(err, &refused) {
		s.uncountAttempt(ctx, code.ID)
	}
	if err != nil {
		return Ended{}, err
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	s.observeAll(ctx, events)
	return ended, nil
}

// replacePassword stores the hash of a password for the account of an address that a code verified. Only whoever has
// the code is told that it is made of the account's name.
func (s *Service) replacePassword(
	ctx context.Context, tx *ent.Client, code *ent.OTP, password, hash string, action Action, events *[]Event,
) (Ended, error) {
	u, err := s.holdAccount(ctx, tx, code.Email)
	if err == nil {
		err = s.cfg.Password.check(password, u.Name, u.Email)
	}
	if err != nil {
		return Ended{}, err
	}
	squatters, err := s.takeOver(ctx, tx, u, isOwn(code, u), events)
	if err != nil {
		return Ended{}, err
	}
	// Whoever reads the mail has the password from now on, so mail is no second step to it.
	ended, err := s.setPassword(ctx, tx, u.ID, hash, func(c *change) {
		forgive(c)
		c.to(graph.ResetByMail, true)
	})
	ended = ended.plus(squatters)
	*events = append(*events, Event{Action: action, UserID: u.ID, Count: ended.Count()})
	return ended, wrap(err, "set a password by a code")
}
