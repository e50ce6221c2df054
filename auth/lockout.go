package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/user"
)

// countGuess counts a guess at u's password before it is examined. It is a [*LockedError] if the guess must not be
// examined. Where the connection is lost a guess is counted twice rather than not at all.
func (s *Service) countGuess(ctx context.Context, u *ent.User) error {
	if until := s.suspension(u.SuspendedUntil, u.LockUntil); !until.IsZero() {
		return &LockedError{Until: until}
	}
	now := s.now()
	if locked(u, now) {
		return &LockedError{Until: *u.LockUntil}
	}
	// An expired lock starts the count again, once.
	if u.LockUntil != nil {
		n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
			return s.client.User.Update().
				Where(user.ID(u.ID), user.LockUntilLTE(now)).
				SetFailedLoginAttempts(1).ClearLockUntil().
				Save(ctx)
		})
		if err != nil || n == 1 {
			return wrap(err, "count a guess")
		}
	}
	n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.User.Update().
			Where(
				user.ID(u.ID), user.LockUntilIsNil(),
				user.FailedLoginAttemptsLT(int32(s.cfg.Lockout.MaxFailures)),
			).
			AddFailedLoginAttempts(1).
			Save(ctx)
	})
	if err != nil || n == 1 {
		return wrap(err, "count a guess")
	}
	return &LockedError{Until: now.Add(s.cfg.Lockout.Duration)}
}

// lockAfter locks the account if its guesses are used up.
func (s *Service) lockAfter(ctx context.Context, userID int) error {
	n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.User.Update().
			Where(
				user.ID(userID), user.LockUntilIsNil(),
				user.FailedLoginAttemptsGTE(int32(s.cfg.Lockout.MaxFailures)),
			).
			SetLockUntil(s.now().Add(s.cfg.Lockout.Duration)).
			Save(ctx)
	})
	if err != nil {
		return fmt.Errorf("lock an account: %w", err)
	}
	if n > 0 {
		s.observe(ctx, Event{Action: ActionLock, UserID: userID})
	}
	return nil
}

// locked reports whether guessing has locked an account: no password is examined. It ends nothing else.
func locked(u *ent.User, now time.Time) bool {
	return u.LockUntil != nil && u.LockUntil.After(now)
}
