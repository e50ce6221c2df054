package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
)

// Forever is the end of a suspension that only [Service.Unsuspend] ends.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Suspend closes an account until a time, or without end with [Forever]: no way of signing in to it, none of its
// sessions, refresh tokens and codes is accepted. Nothing is deleted: what has not expired works again afterwards. A
// second call moves the end.
//
// The error is [ErrNotFound] if there is no such user, and an [*InputError] for a time that is not in the future, such
// as the zero time, or is later than Forever.
func (s *Service) Suspend(ctx context.Context, userID UserID, until time.Time) error {
	if until.After(Forever) {
		return &InputError{Field: "suspended_until", Err: errors.New("is later than Forever")}
	}
	until = until.UTC().Truncate(time.Microsecond)
	if !until.After(s.now()) {
		return &InputError{Field: "suspended_until", Err: errors.New("is not in the future")}
	}
	lock := until
	if lock.After(lastTimestamp) {
		lock = lastTimestamp
	}
	// Programs that do not know suspended_until refuse the account for its lock.
	return s.suspend(ctx, userID, ActionSuspend, func(c *change) {
		c.to(graph.SuspendedUntil, until).to(graph.LockUntil, lock)
	})
}

// Unsuspend ends a suspension and a lock, and starts every count of failures again but those of known devices. An
// account that is open is not an error. The error is [ErrNotFound] if there is no such user.
func (s *Service) Unsuspend(ctx context.Context, userID UserID) error {
	return s.suspend(ctx, userID, ActionUnsuspend, func(c *change) {
		forgive(c)
		c.to(graph.SuspendedUntil, nil).to(graph.StepFailures, 0)
	})
}

func (s *Service) suspend(ctx context.Context, userID UserID, action Action, with func(*change)) error {
	n, err := insist(ctx, s, func(ctx context.Context) (int, error) {
		c := changeOf(userID)
		with(c)
		return c.send(ctx, s.client)
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
func (s *Service) usable() where { return all(where{text: notDeleted}, s.unsuspended()) }

// reachable are the accounts that somebody who reads the mail of their address gets into: those that are not deleted,
// and those that were deleted before anybody had proved the address. Somebody else may have made and deleted such a one
// to keep the address taken.
func reachable() where {
	return where{"(" + notDeleted + " OR NOT (" + isVerified + ") AND (" + graph.ReadReActivateAvailableAt +
		" IS NULL OR " + graph.ReadReActivateAvailableAt + " < ?))", []any{never}}
}

// isReachable reports whether an account is one of those.
func isReachable(u *graph.Account) bool { return !u.IsDeleted || !u.IsEmailVerified && !purging(u) }

// purging reports whether a purge has begun with an account: it is as good as gone.
func purging(u *graph.Account) bool {
	return u.IsDeleted && u.ReActivateAvailableAt != nil && !u.ReActivateAvailableAt.Before(never)
}

// unsuspended are the accounts that no operator has closed, and that the project's own rule allows. A lock longer than
// guessing causes was set by a program that does not know suspended_until.
func (s *Service) unsuspended() where {
	now := s.now()
	return where{unsuspendedCondition, []any{now, s.longestLock(now)}}
}

var unsuspendedCondition = "(" + graph.ReadSuspendedUntil + " IS NULL OR " + graph.ReadSuspendedUntil + " <= ?) AND (" +
	graph.ReadLockUntil + " IS NULL OR " + graph.ReadLockUntil + " <= ?)" + ruleCondition

// longestLock is the latest end of a lock that guessing caused, also by the clock of another replica.
func (s *Service) longestLock(now time.Time) time.Time {
	return now.Add(s.cfg.Lockout.Duration + ClockTolerance)
}

// suspension is the end of the suspension that two columns of a user tell of; zero for none. Either may be nil. Whom
// the project's own rule does not allow is suspended without end.
func (s *Service) suspension(allowed bool, suspendedUntil, lockUntil *time.Time) time.Time {
	now := s.now()
	switch {
	case !allowed:
		return Forever
	case suspendedUntil != nil && suspendedUntil.After(now):
		return *suspendedUntil
	case lockUntil != nil && lockUntil.After(s.longestLock(now)):
		return *lockUntil
	}
	return time.Time{}
}
