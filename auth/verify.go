package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// Verification is what shows that an address is the verifier's.
type Verification struct {
	Ticket Token
	Code   Code
	// Password is the account's, which shows that the verifier is who registered; empty for none.
	Password string
	// Device is where the request comes from.
	Device Device
}

// VerifyEmail uses a code of type email-verification and marks the address of its
// account as verified. Errors are those of [Service.VerifyCode].
func (s *Service) VerifyEmail(ctx context.Context, v Verification) error {
	kind := schematype.OTPEmailVerification
	err := s.withCode(ctx, kind, v.Ticket, v.Code, func(ctx context.Context, tx *ent.Client, code *mailed) error {
		n, err := tx.User.Update().
			Where(user.Email(code.email), s.usable()).
			SetIsEmailVerified(true).
			Save(ctx)
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
func (s *Service) SignInWithCode(ctx context.Context, ticket Token, c Code, d Device) (*Grant, error) {
	var g *Grant
	e := entry{step: schematype.FirstStepMail, detail: "code", device: d}
	kind := schematype.OTPSignIn
	err := s.withCode(ctx, kind, ticket, c, func(ctx context.Context, tx *ent.Client, code *mailed) error {
		q := tx.User.Query().Where(user.Email(code.email), s.usable())
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
		g, err = s.grantIn(ctx, tx, u, e, func(up *ent.UserUpdate) {
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
	return s.granted(ctx, g, e)
}

// ResetPassword uses a code of type password-reset, replaces the password, and ends every session and refresh token of
// the account, in one transaction. It ends a lock that guessing caused. The code verifies the address. If the address
// was not verified before, a link to a provider is removed too, since somebody else may have made the account.
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
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		if err = s.useCode(ctx, tx, code.id); err == nil {
			ended, err = s.replacePassword(ctx, tx, code.email, password, hash)
		}
		return err
	})
	var refused *PasswordError
	if errors.As(err, &refused) {
		s.uncountAttempt(ctx, code.id)
	}
	if err != nil {
		return Ended{}, err
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	s.observe(ctx, Event{Action: action, Count: ended.Count()})
	return ended, nil
}

// replacePassword stores the hash of a password for the account of an address that a code verified. Only whoever has
// the code is told that it is made of the account's name.
func (s *Service) replacePassword(
	ctx context.Context, tx *ent.Client, email, password, hash string,
) (ended Ended, err error) {
	u, err := readUser(ctx, tx, user.Email(email), s.usable())
	if err == nil {
		err = s.cfg.Password.check(password, u.Name, u.Email)
	}
	if err == nil {
		ended, err = s.setPassword(ctx, tx, u.ID, hash, s.usable())
	}
	if err == nil && !u.IsEmailVerified {
		err = tx.User.Update().
			Where(user.ID(u.ID), user.IsEmailVerified(false)).
			SetIsEmailVerified(true).SetProvider(schematype.ProviderLocal).ClearProviderID().
			Exec(ctx)
	}
	if ent.IsNotFound(err) || errors.Is(err, ErrCredentials) {
		return Ended{}, ErrCode
	}
	return ended, wrap(err, "set a password by a code")
}
