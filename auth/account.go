package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// Register adds an account with a password. The address is not verified yet. Of any number of calls for one address
// exactly one succeeds; the error of the others is [ErrEmailTaken]. A password outside the policy is a
// [*PasswordError]. A name or address that cannot be stored is an [*InputError], and so is a name of which nothing
// shows. Whether the address was free does not show in the time: the answer comes at a multiple of HashingPolicy.Floor.
//
// The token is the registration's ticket, for CodeRequest.Ticket, for 7 days. Who verifies the address with a code that
// was asked for with it keeps the account as it is; anybody else takes it over.
func (s *Service) Register(ctx context.Context, name, email, password string) (*User, Token, error) {
	if err := checkName(name); err != nil {
		return nil, Token{}, err
	}
	if err := s.checkPassword(ctx, password, name, email); err != nil {
		return nil, Token{}, err
	}
	began := time.Now()
	hash, err := s.hashInTurn(ctx, password)
	if err != nil {
		return nil, Token{}, err
	}
	u, err := statement(ctx, s, func(ctx context.Context) (*ent.User, error) {
		return s.client.User.Create().SetName(name).SetEmail(email).SetPassword(hash).SetCreatedAt(s.now()).Save(ctx)
	})
	switch {
	case err == nil:
		s.observe(ctx, Event{Action: ActionRegister, UserID: u.ID})
	case !sqlgraph.IsUniqueConstraintError(err):
		return nil, Token{}, fmt.Errorf("register: %w", input(err))
	}
	pad(ctx, s.cfg.Hashing.Floor, time.Since(began))
	if err != nil {
		return nil, Token{}, ErrEmailTaken
	}
	return userOf(u), registrationTicket(s.cfg.Keys.reveal()[0], u), nil
}

// checkName is an [*InputError] for a name that is not text, or of which nothing shows.
func checkName(name string) error {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	switch {
	case !utf8.ValidString(name):
		return &InputError{Field: user.FieldName, Err: errUTF8}
	case !strings.ContainsFunc(name, shows):
		return &InputError{Field: user.FieldName, Err: errors.New("is empty")}
	}
	return nil
}

// ChangePassword replaces the password of a signed-in user who knows the current one, and ends every session and
// refresh token of theirs in the same transaction. Guesses at the current password are counted, and errors are those of
// [Service.SignIn]; a new password outside the policy is a [*PasswordError].
//
// The device of d, if it is a known one, stays one, and no lock concerns it.
func (s *Service) ChangePassword(
	ctx context.Context, userID int, current, next string, d Device,
) (ended Ended, err error) {
	if err := s.checkPassword(ctx, next); err != nil {
		return Ended{}, err
	}
	p, err := s.prove(ctx, current, d, activeByID, userID)
	if err != nil {
		return Ended{}, err
	}
	ended, err = s.changePassword(ctx, p, next)
	if err != nil {
		s.giveBackAfter(ctx, err, p.counter)
		return Ended{}, err
	}
	s.observe(ctx, Event{Action: ActionChangePassword, UserID: userID, Count: ended.Count()})
	return ended, nil
}

// changePassword replaces the password of a user who proved to know it.
func (s *Service) changePassword(ctx context.Context, p *proof, next string) (ended Ended, err error) {
	if err := s.cfg.Password.check(next, p.user.Name, p.user.Email); err != nil {
		return Ended{}, err
	}
	hash, err := s.hashInTurn(ctx, next)
	if err != nil {
		return Ended{}, err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		ended, err = s.setPassword(ctx, tx, p.user.ID, hash, func(up *ent.UserUpdate) {
			up.Where(user.Password(*p.user.Password), s.usable())
			succeed(up, p.user, &p.counter)
		})
		if err != nil || p.counter.device == 0 {
			return err
		}
		return s.keepStanding(ctx, tx, p.user.ID, p.counter.device)
	})
	return ended, err
}

// setPassword stores a hash for a user whom change restricts to a state that excludes a suspension, and ends their
// sessions, refresh tokens, first steps and the standing of their devices. It is an [ErrCredentials] if the user
// is not in that state.
func (s *Service) setPassword(
	ctx context.Context, tx *ent.Client, userID int, hash string, change func(*ent.UserUpdate),
) (Ended, error) {
	up := tx.User.Update().Where(user.ID(userID)).SetPassword(hash).AddTrustEpoch(1)
	change(up)
	n, err := up.Save(ctx)
	switch {
	case err != nil:
		return Ended{}, fmt.Errorf("set a password: %w", err)
	case n == 0:
		return Ended{}, ErrCredentials
	}
	return s.revokeAll(ctx, tx, userID)
}

// RevokeAll ends every session and refresh token of a user in one transaction: it signs them out everywhere. None of
// their devices is a known one any more. The error is [ErrNotFound] if there is no such user.
func (s *Service) RevokeAll(ctx context.Context, userID int) (ended Ended, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		n, err := tx.User.Update().Where(user.ID(userID)).AddTrustEpoch(1).Save(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("revoke all of a user: %w", err)
		case n == 0:
			return ErrNotFound
		}
		ended, err = s.revokeAll(ctx, tx, userID)
		return err
	})
	if err != nil {
		return Ended{}, err
	}
	if ended.Count() > 0 {
		s.observe(ctx, Event{Action: ActionRevokeAll, UserID: userID, Count: ended.Count()})
	}
	return ended, nil
}

// ChangeRole gives a user another role, which holds from the next session check. The error is [ErrNotFound] if there is
// no active user of this id, and an [*InputError] if there is no such role.
func (s *Service) ChangeRole(ctx context.Context, userID int, role schematype.Role) error {
	n, err := insist(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.User.Update().Where(user.ID(userID), user.IsDeleted(false)).SetRole(role).Save(ctx)
	})
	switch {
	case err != nil:
		return fmt.Errorf("change a role: %w", input(err))
	case n == 0:
		return ErrNotFound
	}
	s.observe(ctx, Event{Action: ActionChangeRole, UserID: userID, Detail: string(role)})
	return nil
}

// Delete marks an account as deleted and ends its sessions and refresh tokens. The row stays for
// AccountPolicy.Retention. During that time the address is taken, and [Service.Reactivate] brings the account back. If
// nobody has verified the address before, whoever does takes the account over, as [Service.VerifyEmail] has it. The
// error is [ErrNotFound] if there is no active account.
func (s *Service) Delete(ctx context.Context, userID int) (ended Ended, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		now := s.now()
		n, err := tx.User.Update().Where(user.ID(userID), user.IsDeleted(false)).
			SetIsDeleted(true).SetDeletedAt(now).SetReActivateAvailableAt(now.Add(s.cfg.Account.ReactivateAfter)).
			AddTrustEpoch(1).
			Save(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("delete an account: %w", err)
		case n == 0:
			return ErrNotFound
		}
		ended, err = s.revokeAll(ctx, tx, userID)
		return err
	})
	if err != nil {
		return Ended{}, err
	}
	s.observe(ctx, Event{Action: ActionDelete, UserID: userID, Count: ended.Count()})
	return ended, nil
}

// Reactivate brings a deleted account back for whoever knows its password, and signs them in. The error is a
// [*NotYetError] before AccountPolicy.ReactivateAfter has passed. Guesses are counted, and other errors are those of
// [Service.SignIn]. For an account without a password call [Service.Restore], then [Service.SignInWithCode].
func (s *Service) Reactivate(ctx context.Context, email, password string, d Device) (*Grant, error) {
	by := deletedByEmail
	if s.cfg.Account.VerifiedOnly {
		by = deletedVerifiedByEmail
	}
	p, err := s.prove(ctx, password, d, by, schematype.NormalizeEmail(email))
	if err != nil {
		return nil, err
	}
	g, err := s.reactivate(ctx, p, d)
	if err != nil {
		s.giveBackAfter(ctx, err, p.counter)
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionReactivate, UserID: p.user.ID})
	return g, nil
}

func (s *Service) reactivate(ctx context.Context, p *proof, d Device) (*Grant, error) {
	now, u := s.now(), p.user
	switch at := u.ReActivateAvailableAt; {
	case purging(u):
		return nil, ErrCredentials
	case at != nil && at.After(now):
		return nil, &NotYetError{RetryAt: *at}
	}
	e := entry{step: schematype.FirstStepReactivation, device: d, guess: &p.counter, whole: restore}
	return s.grant(ctx, u, e, func(up *ent.UserUpdate) { up.Where(user.Password(*u.Password), s.restorable()) })
}

// Restore brings a deleted account back, for a caller who has other proof of who the user is. The error is
// [ErrNotFound] unless the account is deleted and may come back.
func (s *Service) Restore(ctx context.Context, userID int) error {
	n, err := statement(ctx, s, func(ctx context.Context) (int, error) {
		up := s.client.User.Update().Where(user.ID(userID), s.returning())
		restore(up)
		return up.Save(ctx)
	})
	switch {
	case err != nil:
		return fmt.Errorf("restore an account: %w", err)
	case n == 0:
		return ErrNotFound
	}
	s.observe(ctx, Event{Action: ActionReactivate, UserID: userID})
	return nil
}

// restorable are the deleted accounts that may come back and that no operator has closed.
func (s *Service) restorable() predicate.User { return user.And(s.returning(), s.unsuspended()) }

// returning are the deleted accounts that may come back.
func (s *Service) returning() predicate.User {
	return user.And(
		user.IsDeleted(true),
		user.Or(user.ReActivateAvailableAtIsNil(), user.ReActivateAvailableAtLTE(s.now())),
	)
}

func restore(up *ent.UserUpdate) {
	up.SetIsDeleted(false).ClearDeletedAt().ClearReActivateAvailableAt()
}
