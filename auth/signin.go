package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
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
	p, err := s.prove(ctx, password, d, activeByEmail, schematype.NormalizeEmail(email))
	if err != nil {
		return nil, err
	}
	grant, err := s.grant(ctx, p.user, d, func(up *ent.UserUpdate) {
		// The password must still be the one that was verified.
		up.Where(user.Password(*p.user.Password), s.usable())
		if p.rehashed != "" {
			up.SetPassword(p.rehashed)
		}
	})
	if err != nil {
		s.giveBack(ctx, p.counter)
	}
	switch {
	case errors.Is(err, ErrCredentials) && p.rehashed != "":
		return nil, errMoved
	case err == nil && p.rehashed != "":
		s.observe(ctx, Event{Action: ActionRehash, UserID: p.user.ID})
	}
	return grant, err
}

// proof is a password that was right.
type proof struct {
	user *ent.User
	// rehashed is a new hash if the stored one was made in another way than new ones are; else empty.
	rehashed string
	// counter is where the guess is counted. Whoever makes nothing of the proof gives the guess back.
	counter counter
}

// prove verifies the password of the account that a value finds. What takes time, the kind of hash and whether there is
// one, must not show in a refusal, so that comes at a multiple of HashingPolicy.Floor.
func (s *Service) prove(ctx context.Context, password string, d Device, by lookup, value any) (*proof, error) {
	began := time.Now()
	p, err := s.examine(ctx, password, d, by, value)
	if errors.Is(err, ErrCredentials) {
		pad(ctx, s.cfg.Hashing.Floor, time.Since(began))
	}
	return p, err
}

// pad waits until a multiple of floor has passed, of which so much has already, or until ctx ends.
func pad(ctx context.Context, floor, passed time.Duration) {
	if floor <= 0 {
		return
	}
	timer := time.NewTimer(floor - passed%floor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// examine is [Service.prove] without a floor.
func (s *Service) examine(ctx context.Context, password string, d Device, by lookup, value any) (*proof, error) {
	leave, err := s.hashing.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	u, err := repeat(ctx, s, func(ctx context.Context) (*ent.User, error) { return loadUser(ctx, s.client, by, value) })
	if err != nil {
		return nil, fmt.Errorf("verify a password: %w", err)
	}
	failed := Event{Action: ActionSignInFailed, Detail: "not examined"}
	var hash *storedHash
	var guessable *ent.User
	if u != nil && u.Password != nil {
		if hash = s.readHash(*u.Password); hash != nil {
			guessable = u
		} else {
			failed.UserID, failed.Detail = u.ID, "unknown hash"
		}
	}
	guess, err := s.countGuess(ctx, guessable, d)
	if err != nil {
		return nil, fmt.Errorf("verify a password: %w", err)
	}
	if guess.refused != nil {
		hash = nil
	}
	// A guess that is not examined takes as long as one that is.
	ok, rehashed, err := s.verify(ctx, password, hash)
	leave()
	switch {
	case err != nil:
		if hash != nil {
			s.giveBack(ctx, guess.counter)
		}
		return nil, fmt.Errorf("verify a password: %w", err)
	case ok:
		return &proof{user: u, rehashed: rehashed, counter: guess.counter}, nil
	case hash == nil:
	default:
		guess.refused, failed.UserID, failed.Detail = ErrCredentials, guess.userID, "wrong password"
	}
	if guess.device == 0 {
		// Only now: guesses that were counted before this one have had time to turn out right. If none did, such as
		// after a crash, the account still needs a lock that ends.
		if err := s.lockAfter(ctx, guess.userID); err != nil {
			return nil, err
		}
	}
	s.observe(ctx, failed)
	return nil, guess.refused
}

// grant starts a session and a family of refresh tokens for a user who proved who they are. It updates the user's row,
// which narrow restricts to the state in which the proof holds. A change of the password, a suspension or a deletion
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
	device, err := s.knownDevice(ctx, tx, u.ID, d.Token)
	if err != nil {
		return nil, err
	}
	now := s.now()
	up := tx.User.Update().Where(user.ID(u.ID)).SetLastLoginAt(now)
	if device == 0 {
		forgive(up) // the success of a known device says nothing of the others' guesses
	}
	narrow(up)
	switch n, err := up.Save(ctx); {
	case err != nil:
		return nil, fmt.Errorf("sign in: %w", err)
	case n == 0:
		return nil, ErrCredentials
	}
	g := &Grant{User: userOf(u)}
	g.User.LastLoginAt = &now
	family, err := s.newID()
	if err != nil {
		return nil, err
	}
	if g.Session, g.Token, err = s.startSession(ctx, tx, u.ID, family, d); err != nil {
		return nil, err
	}
	if g.Refresh, err = s.startFamily(ctx, tx, u.ID, family); err != nil || device == 0 {
		return g, err
	}
	// The new session has the standing of the device from now on.
	err = tx.Session.Update().Where(session.ID(device)).ClearTrustEpoch().Exec(ctx)
	return g, wrap(err, "move the standing of a device")
}
