package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// Grant is what a sign-in gives. Hand the tokens to the client: they cannot be read again.
type Grant struct {
	// User is as it was when the proof was examined.
	User    *User
	Session *Session
	// Token is that of Session.
	Token Token
	// Refresh is the first token of a new family.
	Refresh Token
}

// SignIn verifies a password and starts a session and a family of refresh tokens. The error is [ErrCredentials] if the
// email has no active account or the password is wrong; both cost the same hashing.
//
// Each guess is counted, in a committed statement, before it is examined. No more than LockoutPolicy.MaxFailures in a
// row are examined, however many come at once. After them the error is a [*LockedError] for LockoutPolicy.Duration.
// Success or the end of a lock starts the count again.
//
// If a reset of the password commits first, the old password is wrong. If the sign-in commits first, the reset ends it.
func (s *Service) SignIn(ctx context.Context, email, password string, d Device) (*Grant, error) {
	grant, err := s.signIn(ctx, email, password, d)
	if errors.Is(err, errMoved) {
		// Another sign-in may have renewed the hash of the same password.
		grant, err = s.signIn(ctx, email, password, d)
	}
	if errors.Is(err, errMoved) {
		return nil, ErrCredentials
	}
	return grant, err
}

// errMoved is an account that changed while its password was verified, in a call that was to renew the hash.
var errMoved = errors.New("the account changed while its password was verified")

func (s *Service) signIn(ctx context.Context, email, password string, d Device) (*Grant, error) {
	u, rehashed, err := s.prove(ctx, password, activeByEmail, schematype.NormalizeEmail(email))
	if err != nil {
		return nil, err
	}
	grant, err := s.grant(ctx, u, d, func(up *ent.UserUpdate) {
		// The password must still be the one that was verified.
		up.Where(user.Password(*u.Password), s.usable()).SetFailedLoginAttempts(0).ClearLockUntil()
		if rehashed != "" {
			up.SetPassword(rehashed)
		}
	})
	switch {
	case errors.Is(err, ErrCredentials) && rehashed != "":
		return nil, errMoved
	case err == nil && rehashed != "":
		s.observe(ctx, Event{Action: ActionRehash, UserID: u.ID})
	}
	return grant, err
}

// prove verifies the password of the account that a value finds. If the hash was made in another way than new hashes
// are, it returns a new one.
func (s *Service) prove(
	ctx context.Context, password string, by lookup, value any,
) (u *ent.User, rehashed string, err error) {
	u, err = repeat(ctx, s, func(ctx context.Context) (*ent.User, error) { return loadUser(ctx, s.client, by, value) })
	if err != nil {
		return nil, "", fmt.Errorf("verify a password: %w", err)
	}
	refused, failed := ErrCredentials, Event{Action: ActionSignInFailed, Detail: "not examined"}
	var hash *storedHash
	if u != nil && u.Password != nil {
		if hash = s.readHash(*u.Password); hash == nil {
			// No guess is right, so none is counted.
			failed.UserID, failed.Detail = u.ID, "unknown hash"
		} else if refused = s.countGuess(ctx, u); refused != nil {
			hash = nil
		}
		if refused != nil && !errors.Is(refused, ErrCredentials) {
			return nil, "", refused
		}
	}
	// A guess that is not examined takes as long as one that is.
	ok, renew, err := s.verify(password, hash)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("verify a password: %w", err)
	case hash == nil:
		// Only now: guesses that were counted before this one have had time to turn out right. If none did, such as
		// after a crash, the account still needs a lock that ends.
		var lock *LockedError
		if errors.As(refused, &lock) && !locked(u, s.now()) {
			if err := s.lockAfter(ctx, u.ID); err != nil {
				return nil, "", err
			}
		}
		s.observe(ctx, failed)
		return nil, "", refused
	case !ok:
		if err := s.lockAfter(ctx, u.ID); err != nil {
			return nil, "", err
		}
		s.observe(ctx, Event{Action: ActionSignInFailed, UserID: u.ID, Detail: "wrong password"})
		return nil, "", ErrCredentials
	case renew:
		if rehashed, err = s.cfg.Hasher.Hash(normalizePassword(password)); err != nil {
			return nil, "", fmt.Errorf("hash a password: %w", err)
		}
	}
	return u, rehashed, nil
}

// grant starts a session and a family of refresh tokens for a user who proved who they are. It updates the user's row,
// which narrow restricts to the state in which the proof holds. A change of the password, a lock or a deletion
// therefore either comes first, and the grant is refused, or ends what the grant started.
func (s *Service) grant(ctx context.Context, u *ent.User, d Device, narrow func(*ent.UserUpdate)) (*Grant, error) {
	var g *Grant
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		g, err = s.grantIn(ctx, tx, u, d, narrow)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionSignIn, UserID: u.ID, SessionID: g.Session.ID})
	return g, nil
}

// grantIn is [Service.grant] in the caller's transaction.
func (s *Service) grantIn(
	ctx context.Context, tx *ent.Client, u *ent.User, d Device, narrow func(*ent.UserUpdate),
) (*Grant, error) {
	now := s.now()
	up := tx.User.Update().Where(user.ID(u.ID)).SetLastLoginAt(now)
	narrow(up)
	switch n, err := up.Save(ctx); {
	case err != nil:
		return nil, fmt.Errorf("sign in: %w", err)
	case n == 0:
		return nil, ErrCredentials
	}
	g := &Grant{User: userOf(u)}
	g.User.LastLoginAt = &now
	family, err := s.newFamily()
	if err != nil {
		return nil, err
	}
	if g.Session, g.Token, err = s.startSession(ctx, tx, u.ID, family, d); err != nil {
		return nil, err
	}
	g.Refresh, err = s.startFamily(ctx, tx, u.ID, family)
	return g, err
}
