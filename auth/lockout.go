package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/session"
)

// This file counts failures, so that guessing is bounded and only the guesser is. There are three counts:
//   - of strangers, who hold nothing of the account: users.guess_failures, over passwords and mailed codes. It starts
//     again when somebody gets in as a stranger, if the address is verified. users.failed_login_attempts is the part of
//     it since the last lock.
//   - of each device that signed in before: sessions.device_failures. No lock and no guess of another concerns it.
//   - of the second step: users.step_failures.

// strangers is the part of the budget for callers without any proof: what the other two leave of it.
func (c *Config) strangers() int { return c.Lockout.Budget - c.Lockout.step() - c.OTP.open() }

// step is the part of the budget for the second step. Guessing at passwords cannot close that.
func (p LockoutPolicy) step() int { return p.Budget / 5 }

// open is how many guesses the codes to one address that are open at once allow, if strangers asked for them. They are
// the mails within the window, which is no shorter than a code lives.
func (p OTPPolicy) open() int { return int(min(int64(p.Budget)*int64(p.MaxAttempts), math.MaxInt32)) }

// counter is the count that a failure belongs to.
type counter struct {
	// userID is the zero one where there is no account, and nothing is counted.
	userID UserID
	// device is the session of a known device, see [Service.knownDevice], or 0.
	device int
	// step is set for the second step.
	step bool
}

// reserve counts n failures before the guesses are made, if there are so many left. They are given back by nobody: a
// success starts the count again. Without an account there is nothing to guess, so it reports true.
func (s *Service) reserve(ctx context.Context, client *ent.Client, c counter, n int) (bool, error) {
	if c.device != 0 {
		// One guess at the password is left, so that mails which got lost do not make the device a stranger.
		return s.countAtDevice(ctx, client, c.device, n, s.cfg.Lockout.MaxFailures-1)
	}
	column, limit := graph.GuessFailures, s.cfg.strangers()
	if c.step {
		column, limit = graph.StepFailures, s.cfg.Lockout.step()
	}
	found, err := changeOf(c.userID).only(ofSome(c.userID, below(column, limit-n+1))).add(column, n).send(ctx, client)
	var none UserID
	return found > 0 || c.userID == none, wrap(err, "count guesses")
}

// ofSome has the argument of a count match nothing where there is no account, in the same statement: a project may have
// a row with the zero id, and others' guesses are not that one's.
func ofSome(id UserID, limit where) where {
	var none UserID
	if id == none {
		limit.args = []any{0}
	}
	return limit
}

// below are the accounts whose count is less than n.
func below(column string, n int) where { return where{"u.`" + column + "` < ?", []any{n}} }

// countAtDevice counts n failures of a known device, unless there would be more than limit.
func (s *Service) countAtDevice(ctx context.Context, client *ent.Client, id, n, limit int) (bool, error) {
	found, err := client.Session.Update().
		Where(session.ID(id), session.TrustEpochNotNil(), session.DeviceFailuresLTE(int32(limit-n))).
		AddDeviceFailures(int32(n)).
		Save(ctx)
	return found > 0, wrap(err, "count guesses")
}

// knownDevice is the session by which a device is known to a user, or 0 if the device is a stranger. It has one if it
// signed in before, within SessionPolicy.Remember of the session's end, has not failed too often since, and nobody has
// ended its standing. The token is that of the session, or a refresh token of its family.
func (s *Service) knownDevice(ctx context.Context, client *ent.Client, userID UserID, t Token) (id int, err error) {
	if t.Reveal() == "" {
		return 0, nil
	}
	const known = " JOIN " + usersTable + " ON u.`" + graph.ID + "` = s.user_id WHERE u.`" + graph.ID + "` = ?" +
		" AND s.trust_epoch = u.`" + graph.TrustEpoch + "`" +
		` AND s.device_failures < ? AND s.expires_at > ? AND s.created_at <= ?`
	now := s.now()
	for _, query := range []string{
		`SELECT s.id FROM sessions s` + known + ` AND s.token_hash = ?`,
		`SELECT s.id FROM refresh_tokens t JOIN sessions s ON s.family = t.family` + known + ` AND t.token_hash = ?`,
	} {
		found, err := scanRow(ctx, client, query, []any{
			userID, s.cfg.Lockout.MaxFailures, now.Add(-s.cfg.Session.Remember), now.Add(ClockTolerance), t.hash(),
		}, &id)
		if err != nil || found {
			return id, wrap(err, "look for a known device")
		}
	}
	return 0, nil
}

// keepStanding has a device stay a known one although the user's trust_epoch went up in the same transaction. Its
// failures are forgotten.
func (s *Service) keepStanding(ctx context.Context, tx *ent.Client, userID UserID, device int) error {
	const query = `UPDATE sessions SET updated_at = ?, device_failures = 0,` +
		` trust_epoch = ` + epochOf + ` WHERE id = ? AND user_id = ?`
	_, err := execute(ctx, tx, query, updatedNow(), userID, device, userID)
	return wrap(err, "keep a device known")
}

// epochQuery asks for the trust_epoch of a user by the id.
const epochQuery = "SELECT u.`" + graph.TrustEpoch + "` FROM " + usersTable + " WHERE u.`" + graph.ID + "` = ?"

// epochOf is the answer to epochQuery in a statement for a row of the user, which Vitess has in the same shard.
const epochOf = "(" + epochQuery + ")"

// guessed is a guess at a password before it is examined.
type guessed struct {
	counter
	// refused is why the guess must not be examined; nil if it is counted.
	refused error
}

// countGuess counts a guess at the password of u, which is nil where there is none, before it is examined. Every guess
// of a stranger sends the same statement, whether or not there is an account. Where the connection is lost a guess is
// counted twice rather than not at all.
func (s *Service) countGuess(ctx context.Context, u *graph.Account, d Device) (guessed, error) {
	g := guessed{refused: s.refusal(u)}
	if u != nil && s.suspension(u.Allowed, u.SuspendedUntil, u.LockUntil).IsZero() {
		g.userID = u.ID
	}
	var err error
	g.device, err = repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.knownDevice(ctx, s.client, g.userID, d.Token)
	})
	if err != nil {
		return g, err
	}
	counted, err := s.countOnce(ctx, &g.counter)
	if counted {
		g.refused = nil
	}
	return g, err
}

// countOnce counts a guess at a password or at a second step, if there is one left. A known device that has just failed
// too often is a stranger.
func (s *Service) countOnce(ctx context.Context, c *counter) (bool, error) {
	counted, err := s.counted(ctx, *c)
	if err == nil && !counted && c.device != 0 {
		c.device = 0
		counted, err = s.counted(ctx, *c)
	}
	return counted, err
}

// refusal is why a guess at the password of u is not examined, if it is not.
func (s *Service) refusal(u *graph.Account) error {
	if u == nil {
		return ErrCredentials
	}
	now := s.now()
	suspended := s.suspension(u.Allowed, u.SuspendedUntil, u.LockUntil)
	switch {
	case !suspended.IsZero():
		return &LockedError{Until: suspended}
	case u.GuessFailures >= int32(s.cfg.strangers()):
		return &LockedError{}
	case locked(u, now):
		return &LockedError{Until: *u.LockUntil}
	}
	return &LockedError{Until: now.Add(s.cfg.Lockout.Duration)}
}

// errGivenUp is a count that nobody waits for any more.
var errGivenUp = errors.New("the caller gave up before a guess was counted")

// counted counts one guess, if there is one left. A caller that gives up while the database is busy must not leave a
// guess behind which nobody has examined. So a statement that is under way then goes on without it and is given back if
// it has counted. No further one is sent.
func (s *Service) counted(ctx context.Context, c counter) (counted bool, err error) {
	const (
		underWay = iota
		examined
		abandoned
	)
	var state atomic.Int32
	err = s.settle(ctx, func(ctx context.Context) error {
		ok, err := repeat(ctx, s, func(ctx context.Context) (bool, error) {
			if state.Load() == abandoned {
				return false, errGivenUp
			}
			return s.count(ctx, c)
		})
		if err != nil || !ok {
			return err
		}
		if !state.CompareAndSwap(underWay, examined) {
			return s.uncount(ctx, s.client, c)
		}
		return nil
	})
	if err == nil {
		return state.Load() == examined, nil
	}
	if !state.CompareAndSwap(underWay, abandoned) {
		s.giveBack(ctx, c)
	}
	return false, err
}

func (s *Service) count(ctx context.Context, c counter) (bool, error) {
	switch {
	case c.device != 0:
		return s.countAtDevice(ctx, s.client, c.device, 1, s.cfg.Lockout.MaxFailures)
	case c.step:
		return s.reserve(ctx, s.client, c, 1)
	}
	return s.countPassword(ctx, c.userID)
}

// countPassword counts a stranger's guess at a password.
func (s *Service) countPassword(ctx context.Context, userID UserID) (bool, error) {
	now := s.now()
	const open = "(" + graph.ReadLockUntil + " <= ? OR " + graph.ReadLockUntil + " IS NULL AND " +
		graph.ReadFailedLoginAttempts + " < ?)"
	n, err := changeOf(userID).
		only(ofSome(userID, below(graph.GuessFailures, s.cfg.strangers())),
			where{open, []any{now, s.cfg.Lockout.MaxFailures}}).
		add(graph.GuessFailures, 1).
		// The end of a lock starts the count again.
		by(graph.FailedLoginAttempts, "CASE WHEN "+graph.ReadLockUntil+" IS NULL THEN "+
			graph.ReadFailedLoginAttempts+" + 1 ELSE 1 END").
		to(graph.LockUntil, nil).
		send(ctx, s.client)
	return n > 0, wrap(err, "count a guess")
}

// giveBack takes a guess out of its count, because it turned out not to be a wrong one. It waits for that unless the
// caller has no time left.
func (s *Service) giveBack(ctx context.Context, c counter) {
	uncount := func(ctx context.Context) error { return s.uncount(ctx, s.client, c) }
	if ctx.Err() == nil {
		_ = s.settle(ctx, uncount)
		return
	}
	s.goOn(maxSettling, func() { _ = persist(context.WithoutCancel(ctx), uncount) })
}

// uncount takes a guess out of its count. A lock ends, because the guesses that are left do not cause one.
func (s *Service) uncount(ctx context.Context, client *ent.Client, c counter) error {
	switch {
	case c == (counter{}):
		return nil
	case c.device != 0:
		return client.Session.Update().Where(session.ID(c.device), session.DeviceFailuresGT(0)).AddDeviceFailures(-1).
			Exec(ctx)
	case c.step:
		_, err := changeOf(c.userID).only(above(graph.StepFailures, 0)).add(graph.StepFailures, -1).send(ctx, client)
		return err
	}
	now := s.now()
	_, err := changeOf(c.userID).only(above(graph.GuessFailures, 0)).
		add(graph.GuessFailures, -1).
		by(graph.FailedLoginAttempts, lessOne(graph.ReadFailedLoginAttempts)).
		by(graph.LockUntil, "CASE WHEN "+graph.ReadLockUntil+" > ? OR "+graph.ReadSuspendedUntil+" > ? THEN "+
			graph.ReadLockUntil+" END", s.longestLock(now), now).
		send(ctx, client)
	return wrap(err, "give a guess back")
}

// above are the accounts whose count is more than n.
func above(column string, n int) where { return where{"u.`" + column + "` > ?", []any{n}} }

// lockAfter locks the account if the guesses since the last lock are used up.
func (s *Service) lockAfter(ctx context.Context, userID UserID) error {
	n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
		return changeOf(userID).
			only(where{text: graph.ReadLockUntil + " IS NULL"},
				above(graph.FailedLoginAttempts, s.cfg.Lockout.MaxFailures-1)).
			to(graph.LockUntil, cut(s.now().Add(s.cfg.Lockout.Duration))).
			send(ctx, s.client)
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
func locked(u *graph.Account, now time.Time) bool {
	return u.LockUntil != nil && u.LockUntil.After(now)
}

// forgive starts the counts of strangers again.
func forgive(c *change) {
	c.to(graph.FailedLoginAttempts, 0).to(graph.LockUntil, nil).to(graph.GuessFailures, 0)
}

// succeed is forgive for a success of u by a password or another way that does not show who reads the mail. Whoever
// made an account with an address that is not theirs has such ways, and must not guess at the codes for it for ever. So
// until the address is verified only the guess that was right is taken back; nil is none.
func succeed(c *change, u *graph.Account, guess *counter) {
	if u.IsEmailVerified {
		forgive(c)
		return
	}
	c.to(graph.FailedLoginAttempts, 0).to(graph.LockUntil, nil)
	if guess == nil || *guess != (counter{userID: u.ID}) {
		return
	}
	c.by(graph.GuessFailures, lessOne(graph.ReadGuessFailures))
}

// lessOne is a count less one, or 0: another call may have started it again.
func lessOne(column string) string {
	return "CASE WHEN " + column + " > 0 THEN " + column + " - 1 ELSE 0 END"
}
