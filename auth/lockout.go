package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// countGuess counts a guess at u's password before it is examined. It is a [*LockedError] if the guess must not be
// examined. Where the connection is lost a guess is counted twice rather than not at all.
func (s *Service) countGuess(ctx context.Context, u *ent.User) error {
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

// Lock locks an account until a time. Nobody can sign in to it meanwhile, and its sessions and refresh tokens are not
// accepted. A time that has passed, such as the zero time, ends a lock. Locking twice is not an error.
//
// The error is [ErrNotFound] if there is no such user, and an [*InputError] for a time that the column does not hold:
// on MySQL TIMESTAMP ends on 2038-01-19 at 03:14:07 UTC (MySQL manual, 13.2.2), on MariaDB 11.5 and later on
// 2106-02-07.
func (s *Service) Lock(ctx context.Context, userID int, until time.Time) error {
	until = until.UTC().Truncate(time.Microsecond)
	if until.Before(earliest) {
		until = earliest
	}
	tooLate := &InputError{Field: user.FieldLockUntil, Err: errors.New("is later than the column holds")}
	if until.Year() > 9999 {
		return tooLate
	}
	n, err := insist(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.User.Update().Where(user.ID(userID)).SetLockUntil(until).Save(ctx)
	})
	switch {
	case mysqlconn.IsServer(err, incorrectTime):
		return tooLate
	case err != nil:
		return fmt.Errorf("lock an account: %w", err)
	case n == 0:
		return ErrNotFound
	}
	s.observe(ctx, Event{Action: ActionLock, UserID: userID, Detail: "by the caller"})
	return nil
}

// locked reports whether an account examines no passwords and has no live sessions.
func locked(u *ent.User, now time.Time) bool {
	return u.LockUntil != nil && u.LockUntil.After(now)
}

// usable are the accounts that can be signed in to.
func usable(now time.Time) predicate.User {
	return user.And(user.IsDeleted(false), unlocked(now))
}

func unlocked(now time.Time) predicate.User {
	return user.Or(user.LockUntilIsNil(), user.LockUntilLTE(now))
}
