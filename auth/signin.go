package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Grant is what a sign-in gives. Hand the tokens to the client: they cannot be read again.
type Grant struct {
	// User is as it was when the proof was examined.
	User    *User
	Session *Session
	// Token is that of Session.
	Token Token
	// Refresh is the first token of a new family, or the next one of a family that is renewed.
	Refresh Token

	// pending is the second step that is needed in place of all that.
	pending *SecondStepError
	// ended is what the device had before, and what was beyond SessionPolicy.MaxPerUser.
	ended Ended
	// epoch is the trust_epoch of the user's row, which the transaction holds, where it is known.
	epoch *int32
}

// SignIn verifies a password and starts a session and a family of refresh tokens. The error is [ErrCredentials] if the
// email has no active account or the password is wrong; both cost the same hashing. It is a [*SecondStepError] if the
// user needs one.
//
// Each guess is counted, in a committed statement, before it is examined, however many come at once. A device that
// signed in before, as Device.Token shows, has LockoutPolicy.MaxFailures in a row for itself. It is a stranger from
// then on. Strangers together have as many before the error is a [*LockedError] for LockoutPolicy.Duration, and their
// part of LockoutPolicy.Budget, whatever the time between them, before it is one without an end. A stranger's success
// starts both counts again, the second one only if the address is verified. A right password whose sign-in comes to
// nothing is taken out of its count.
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
	by := activeByEmail
	if s.cfg.Account.VerifiedOnly {
		by = verifiedByEmail
	}
	p, err := s.prove(ctx, password, d, by, schematype.NormalizeEmail(email))
	if err != nil {
		return nil, err
	}
	e := entry{step: schematype.FirstStepPassword, device: d, guess: &p.counter}
	grant, err := s.grant(ctx, p.user, e, func(c *change) {
		// The password must still be the one that was verified.
		c.only(is(graph.Password, *p.user.Password), s.usable())
		if p.rehashed != "" {
			c.to(graph.Password, p.rehashed)
		}
	})
	if err != nil {
		s.giveBackAfter(ctx, err, p.counter)
	}
	switch {
	case errors.Is(err, ErrCredentials) && p.rehashed != "":
		return nil, errMoved
	case (err == nil || errors.Is(err, ErrSecondStep)) && p.rehashed != "":
		s.observe(ctx, Event{Action: ActionRehash, UserID: p.user.ID})
	}
	return grant, err
}

// proof is a password that was right.
type proof struct {
	user *graph.Account
	// rehashed is a new hash if the stored one was made in another way than new ones are; else empty.
	rehashed string
	// counter is where the guess is counted. Whoever makes nothing of the proof gives the guess back.
	counter counter
}

// giveBackAfter gives the guess of a proof back whose transaction failed. Where the answer to COMMIT is lost the
// transaction has done that itself, if it was committed. So the guess then rather counts than that another one does
// not.
func (s *Service) giveBackAfter(ctx context.Context, err error, c counter) {
	var unknown *UnknownError
	if !errors.As(err, &unknown) && !errors.Is(err, ErrSecondStep) {
		s.giveBack(ctx, c)
	}
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
	u, err := repeat(ctx, s, func(ctx context.Context) (*graph.Account, error) {
		return loadUser(ctx, s.client, by, value)
	})
	if err != nil {
		return nil, fmt.Errorf("verify a password: %w", err)
	}
	failed := Event{Action: ActionSignInFailed, Detail: "not examined"}
	var hash *storedHash
	var guessable *graph.Account
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

// entry is a way in.
type entry struct {
	// step is what was proved. It is empty if nothing is left to prove.
	step schematype.OTPFirstStep
	// detail is what an event says of it.
	detail string
	device Device
	// guess is where the guess at a password was counted; nil if there was none.
	guess *counter
	// whole, if set, is what changes with the sign-in, and not with a step of it.
	whole func(*change)
}

// grant lets a user in who proved who they are, see [Service.grantIn].
func (s *Service) grant(ctx context.Context, u *graph.Account, e entry, narrow func(*change)) (*Grant, error) {
	var g *Grant
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		g, err = s.grantIn(ctx, tx, u, e, narrow)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.granted(ctx, g, e)
}

// granted tells of a sign-in that is committed, or returns the second step that it waits for.
func (s *Service) granted(ctx context.Context, g *Grant, e entry) (*Grant, error) {
	if g.pending != nil {
		s.observe(ctx, Event{Action: ActionSecondStep, UserID: g.User.ID, Detail: e.detail})
		return nil, g.pending
	}
	s.observe(ctx, Event{
		Action: ActionSignIn, UserID: g.User.ID, SessionID: g.Session.ID, Count: g.ended.Count(), Detail: e.detail,
	})
	return g, nil
}

// grantIn starts a session and a family of refresh tokens in the caller's transaction, or a second step, if the user
// needs one. It updates the user's row, which narrow restricts to the state in which the proof holds. A change of the
// password, a suspension or a deletion therefore either comes first, and the grant is refused, or ends what the grant
// started.
func (s *Service) grantIn(
	ctx context.Context, tx *ent.Client, u *graph.Account, e entry, narrow func(*change),
) (*Grant, error) {
	half, err := s.needsStep(ctx, u, e)
	if err != nil {
		return nil, err
	}
	known, err := s.knownFor(ctx, tx, u.ID, e)
	if err != nil {
		return nil, err
	}
	now := s.now()
	update := func(which ...where) (int, error) {
		c := changeOf(u.ID).only(which...)
		narrow(c)
		if !half {
			e.complete(c, u, known)
			c.to(graph.LastLoginAt, now)
		}
		return c.send(ctx, tx)
	}
	g := &Grant{User: userOf(u), epoch: &u.TrustEpoch}
	n, err := update(is(graph.TrustEpoch, u.TrustEpoch))
	if err == nil && n == 0 { // it may have gone up since u was read, which refuses nobody
		g.epoch = nil
		n, err = update()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("sign in: %w", err)
	case n == 0:
		return nil, ErrCredentials
	}
	if half {
		g.pending, err = s.pend(ctx, tx, u, e)
		return g, err
	}
	g.User.LastLoginAt = &now
	return g, s.fill(ctx, tx, g, e.device)
}

// knownFor is the session by which the device of an entry is known, or 0. The guess of a password may be the last that
// the device had.
func (s *Service) knownFor(ctx context.Context, tx *ent.Client, userID UserID, e entry) (int, error) {
	if e.guess != nil {
		return e.guess.device, nil
	}
	return s.knownDevice(ctx, tx, userID, e.device.Token)
}

// complete makes the changes of a whole sign-in.
func (e entry) complete(c *change, u *graph.Account, known int) {
	if known == 0 {
		succeed(c, u, e.guess) // the success of a known device says nothing of the others' guesses
		if e.step == "" {
			c.to(graph.StepFailures, 0)
		}
	}
	if e.whole != nil {
		e.whole(c)
	}
}

// fill adds the session and the refresh token of a grant.
func (s *Service) fill(ctx context.Context, tx *ent.Client, g *Grant, d Device) error {
	family, err := s.newID()
	if err != nil {
		return err
	}
	if err := s.startSession(ctx, tx, g, family, d); err != nil {
		return err
	}
	g.Refresh, err = s.startFamily(ctx, tx, g.User.ID, family)
	return err
}
