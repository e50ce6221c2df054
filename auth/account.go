package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Register adds an account with a password. The address is not verified yet. Of any number of calls for one address
// exactly one succeeds; the error of the others is [ErrEmailTaken]. A password outside the policy is a
// [*PasswordError]. A name or address that cannot be stored is an [*InputError], and so is a name of which nothing
// shows. Whether the address was free does not show in the time: the answer comes at a multiple of HashingPolicy.Floor.
//
// The token is the registration's ticket, for CodeRequest.Ticket, for 7 days. Who verifies the address with a code that
// was asked for with it keeps the account as it is; anybody else takes it over.
func (s *Service) Register(ctx context.Context, name, email, password string) (*User, Token, error) {
	if err := needs("password"); err != nil {
		return nil, Token{}, err
	}
	if err := checkName(name); err != nil {
		return nil, Token{}, err
	}
	stored, err := address(email)
	if err != nil {
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
	u, err := s.register(ctx, name, stored, hash)
	switch {
	case err == nil:
		s.observe(ctx, Event{Action: ActionRegister, UserID: u.ID})
	case !errors.Is(err, ErrEmailTaken):
		return nil, Token{}, fmt.Errorf("register: %w", err)
	}
	pad(ctx, s.cfg.Hashing.Floor, time.Since(began))
	if err != nil {
		return nil, Token{}, err
	}
	return userOf(u), registrationTicket(s.cfg.Keys.reveal()[0], u), nil
}

// register adds an account, in one statement if its row is what Ent's builder is given.
func (s *Service) register(ctx context.Context, name, email, hash string) (u *graph.Account, err error) {
	add := func(ctx context.Context, client *ent.Client) error {
		u = s.newAccount(name, email)
		u.Password = &hash
		return createAccount(ctx, client, u)
	}
	if graph.Hooked {
		err = s.tx(ctx, add)
	} else {
		_, err = statement(ctx, s, func(ctx context.Context) (none struct{}, err error) {
			return none, add(ctx, s.client)
		})
	}
	if !sqlgraph.IsUniqueConstraintError(err) {
		return u, err
	}
	// Another unique column of the project's users may have refused the row.
	_, err = repeat(ctx, s, func(ctx context.Context) (none struct{}, _ error) {
		return none, s.clash(ctx, s.client, err, ErrEmailTaken, is(graph.Email, email))
	})
	return nil, err
}

// checkName is an [*InputError] for a name that is not text, or of which nothing shows.
func checkName(name string) error {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	switch {
	case !utf8.ValidString(name):
		return &InputError{Field: "name", Err: errUTF8}
	case !strings.ContainsFunc(name, shows):
		return &InputError{Field: "name", Err: errors.New("is empty")}
	case utf8.RuneCountInString(name) > maxName:
		return &InputError{Field: "name", Err: fmt.Errorf("is longer than %d characters", maxName)}
	}
	return nil
}

// maxName is the length of a name, in characters.
const maxName = 100

// ChangePassword replaces the password of a signed-in user who knows the current one, and ends every session and
// refresh token of theirs in the same transaction. Guesses at the current password are counted, and errors are those of
// [Service.SignIn]; a new password outside the policy is a [*PasswordError].
//
// The device of d, if it is a known one, stays one, and no lock concerns it.
func (s *Service) ChangePassword(
	ctx context.Context, userID UserID, current, next string, d Device,
) (ended Ended, err error) {
	if err := needs("password"); err != nil {
		return Ended{}, err
	}
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
		ended, err = s.setPassword(ctx, tx, p.user.ID, hash, func(c *change) {
			c.only(is(graph.Password, *p.user.Password), s.usable())
			succeed(c, p.user, &p.counter)
		})
		if err != nil || p.counter.device == 0 {
			return err
		}
		return s.keepStanding(ctx, tx, p.user.ID, p.counter.device)
	})
	return ended, err
}

// setPassword stores a hash for a user whom narrow restricts to a state that excludes a suspension, and ends their
// sessions, refresh tokens, first steps and the standing of their devices. It is an [ErrCredentials] if the user
// is not in that state.
func (s *Service) setPassword(
	ctx context.Context, tx *ent.Client, userID UserID, hash string, narrow func(*change),
) (Ended, error) {
	c := changeOf(userID).to(graph.Password, hash).add(graph.TrustEpoch, 1)
	narrow(c)
	n, err := c.send(ctx, tx)
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
func (s *Service) RevokeAll(ctx context.Context, userID UserID) (ended Ended, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		n, err := changeOf(userID).add(graph.TrustEpoch, 1).send(ctx, tx)
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
// no active user of this id, and an [*InputError] if there is no such role, also in the project's own schema of users.
func (s *Service) ChangeRole(ctx context.Context, userID UserID, role schematype.Role) error {
	if err := needs("role"); err != nil {
		return err
	}
	if !slices.Contains(role.Values(), string(role)) || graph.TakesRole(string(role)) != nil {
		return &InputError{Field: "role", Err: errNotListed}
	}
	n, err := insist(ctx, s, func(ctx context.Context) (int, error) {
		return changeOf(userID).only(where{text: notDeleted}).to(graph.Role, role).send(ctx, s.client)
	})
	switch {
	case err != nil:
		return fmt.Errorf("change a role: %w", err)
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
func (s *Service) Delete(ctx context.Context, userID UserID) (ended Ended, err error) {
	if err := needs(deletionFields...); err != nil {
		return Ended{}, err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		now := s.now()
		n, err := changeOf(userID).only(where{text: notDeleted}).
			to(graph.IsDeleted, true).to(graph.DeletedAt, now).
			to(graph.ReActivateAvailableAt, cut(now.Add(s.cfg.Account.ReactivateAfter))).
			add(graph.TrustEpoch, 1).
			send(ctx, tx)
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
	if err := needs(deletionFields...); err != nil {
		return nil, err
	}
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
	return s.grant(ctx, u, e, func(c *change) { c.only(is(graph.Password, *u.Password), s.restorable()) })
}

// Restore brings a deleted account back, for a caller who has other proof of who the user is. The error is
// [ErrNotFound] unless the account is deleted and may come back.
func (s *Service) Restore(ctx context.Context, userID UserID) error {
	if err := needs(deletionFields...); err != nil {
		return err
	}
	n, err := statement(ctx, s, func(ctx context.Context) (int, error) {
		c := changeOf(userID).only(s.returning())
		restore(c)
		return c.send(ctx, s.client)
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
func (s *Service) restorable() where { return all(s.returning(), s.unsuspended()) }

// returning are the deleted accounts that may come back.
func (s *Service) returning() where {
	return where{isDeleted + " AND (" + graph.ReadReActivateAvailableAt + " IS NULL OR " +
		graph.ReadReActivateAvailableAt + " <= ?)", []any{s.now()}}
}

func restore(c *change) {
	c.to(graph.IsDeleted, false).to(graph.DeletedAt, nil).to(graph.ReActivateAvailableAt, nil)
}
