package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/user"
)

// Forever is the end of a suspension that only [Service.Unsuspend] ends.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Suspend closes an account until a time, or without end with [Forever]: no way of signing in to it, none of its
// sessions, refresh tokens and codes is accepted. Nothing is deleted: what has not expired works again afterwards. A
// second call moves the end.
//
// The error is [ErrNotFound] if there is no such user, and an [*InputError] for a time that is not in the future, such
// as the zero time, or is later than Forever.
func (s *Service) Suspend(ctx context.Context, userID int, until time.Time) error {
	if until.After(Forever) {
		return &InputError{Field: user.FieldSuspendedUntil, Err: errors.New("is later than Forever")}
	}
	until = until.UTC().Truncate(time.Microsecond)
	if !until.After(s.now()) {
		return &InputError{Field: user.FieldSuspendedUntil, Err: errors.New("is not in the future")}
	}
	lock := until
	if lock.After(lastTimestamp) {
		lock = lastTimestamp
	}
	// Programs that do not know suspended_until refuse the account for its lock.
	return s.suspend(ctx, userID, ActionSuspend, func(up *ent.UserUpdate) {
		up.SetSuspendedUntil(until).SetLockUntil(lock)
	})
}

// Unsuspend ends a suspension and a lock, and starts every count of failures again but those of known devices. An
// account that is open is not an error. The error is [ErrNotFound] if there is no such user.
func (s *Service) Unsuspend(ctx context.Context, userID int) error {
	return s.suspend(ctx, userID, ActionUnsuspend, func(up *ent.UserUpdate) {
		forgive(up)
		up.ClearSuspendedUntil().SetStepFailures(0)
	})
}

func (s *Service) suspend(ctx context.Context, userID int, action Action, change func(*ent.UserUpdate)) error {
	n, err := insist(ctx, s, func(ctx context.Context) (int, error) {
		up := s.client.User.Update().Where(user.ID(userID))
		change(up)
		return up.Save(ctx)
	})
	switch {
	case err != nil:
		return fmt.Errorf("suspend an account: %w", err)
	case n == 0:
		return ErrNotFound
	}
	s.observe(ctx, Event{Action: action, UserID: userID})
	return nil
}

// usable are the accounts that are neither deleted nor suspended.
func (s *Service) usable() predicate.User {
	return user.And(user.IsDeleted(false), s.unsuspended())
}

// reachable are the accounts that somebody who reads the mail of their address gets into: those that are not deleted,
// and those that were deleted before anybody had proved the address. Somebody else may have made and deleted such a one
// to keep the address taken.
func reachable() predicate.User {
	return user.Or(user.IsDeleted(false), user.And(
		isNot(user.FieldIsEmailVerified),
		user.Or(user.ReActivateAvailableAtIsNil(), user.ReActivateAvailableAtLT(never)),
	))
}

// isReachable reports whether an account is one of those.
func isReachable(u *ent.User) bool { return !u.IsDeleted || !u.IsEmailVerified && !purging(u) }

// purging reports whether a purge has begun with an account: it is as good as gone.
func purging(u *ent.User) bool {
	return u.IsDeleted && u.ReActivateAvailableAt != nil && !u.ReActivateAvailableAt.Before(never)
}

// unsuspended are the accounts that no operator has closed. A lock longer than guessing causes was set by a program
// that does not know suspended_until.
func (s *Service) unsuspended() predicate.User {
	now := s.now()
	return user.And(
		user.Or(user.SuspendedUntilIsNil(), user.SuspendedUntilLTE(now)),
		user.Or(user.LockUntilIsNil(), user.LockUntilLTE(s.longestLock(now))),
	)
}

// longestLock is the latest end of a lock that guessing caused, also by the clock of another replica.
func (s *Service) longestLock(now time.Time) time.Time {
	return now.Add(s.cfg.Lockout.Duration + ClockTolerance)
}

// suspension is the end of the suspension that two columns of a user tell of; zero for none. Either may be nil.
func (s *Service) suspension(suspendedUntil, lockUntil *time.Time) time.Time {
	now := s.now()
	switch {
	case suspendedUntil != nil && suspendedUntil.After(now):
		return *suspendedUntil
	case lockUntil != nil && lockUntil.After(s.longestLock(now)):
		return *lockUntil
	}
	return time.Time{}
}
