package auth_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestServiceNeedsAClient(t *testing.T) {
	t.Parallel()
	_, err := auth.New(nil, auth.Config{Keys: auth.NewKeys(make([]byte, 32))})
	var config *auth.ConfigError
	require.ErrorAs(t, err, &config)
	assert.Equal(t, "client", config.Field)
}

func TestConfigThatCannotBeUsedIsRefusedByTheNameOfItsField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	for _, test := range []struct {
		field string
		set   func(*auth.Config)
	}{
		{"Keys", func(c *auth.Config) { c.Keys = auth.Keys{} }},
		{"Keys", func(c *auth.Config) { c.Keys = auth.NewKeys() }},
		{"Keys", func(c *auth.Config) { c.Keys = auth.NewKeys([]byte("thirty-one bytes are too little")) }},
		{"Keys", func(c *auth.Config) { c.Keys = auth.NewKeys(w.key, make([]byte, 32)) }},
		{"Keys", func(c *auth.Config) { c.Keys = auth.NewKeys(bytes.Repeat([]byte{0xff}, 64)) }},
		{"Pepper", func(c *auth.Config) { c.Pepper = auth.NewKeys([]byte("one"), []byte("two")) }},
		{"Hasher", func(c *auth.Config) { c.Hasher = blindHasher{} }},
		{"Keys", func(c *auth.Config) { c.Keys = auth.NewKeys(w.key, nil) }},
		{"Password.MinLength", func(c *auth.Config) { c.Password.MinLength = -1 }},
		{"Password.MaxLength", func(c *auth.Config) { c.Password.MaxLength = -1 }},
		{"Password.MinLength", func(c *auth.Config) { c.Password.MinLength = 129 }},
		{"Password.MinLength", func(c *auth.Config) { c.Password.MaxLength = 14 }},
		{"Lockout.MaxFailures", func(c *auth.Config) { c.Lockout.MaxFailures = -1 }},
		{"Lockout.MaxFailures", func(c *auth.Config) { c.Lockout.MaxFailures = 1 << 31 }},
		{"Lockout.Duration", func(c *auth.Config) { c.Lockout.Duration = -1 }},
		{"OTP.Length", func(c *auth.Config) { c.OTP.Length = 3 }},
		{"OTP.Length", func(c *auth.Config) { c.OTP.Length = 19 }},
		{"OTP.Lifetime", func(c *auth.Config) { c.OTP.Lifetime = -1 }},
		{"OTP.MaxAttempts", func(c *auth.Config) { c.OTP.MaxAttempts = -1 }},
		{"OTP.MaxAttempts", func(c *auth.Config) { c.OTP.MaxAttempts = 1 << 31 }},
		{"OTP.ResendCooldown", func(c *auth.Config) { c.OTP.ResendCooldown = -1 }},
		{"OTP.Budget", func(c *auth.Config) { c.OTP.Budget = -1 }},
		{"OTP.BudgetWindow", func(c *auth.Config) { c.OTP.BudgetWindow = -1 }},
		{"OTP.BudgetWindow", func(c *auth.Config) { c.OTP.BudgetWindow = 10*time.Minute - 1 }},
		{"Lockout.Budget", func(c *auth.Config) { c.Lockout.Budget = 4 }},
		{"Lockout.Budget", func(c *auth.Config) { c.Lockout.Budget = 101 }},
		{"Lockout.Budget", func(c *auth.Config) { c.Lockout.Budget = 48 }},
		{"Lockout.Budget", func(c *auth.Config) { c.Lockout.MaxFailures = 51 }},
		{"Lockout.Budget", func(c *auth.Config) { c.OTP.Budget = 15 }},
		{"Lockout.Budget", func(c *auth.Config) { c.OTP.MaxAttempts = 12 }},
		{"Lockout.Budget", func(c *auth.Config) { c.OTP.Budget, c.OTP.MaxAttempts = 1<<31-1, 1<<31-1 }},
		{"Session.Idle", func(c *auth.Config) { c.Session.Idle = -1 }},
		{"Session.Absolute", func(c *auth.Config) { c.Session.Absolute = -1 }},
		{"Session.TouchInterval", func(c *auth.Config) { c.Session.TouchInterval = -1 }},
		{"Session.TouchInterval", func(c *auth.Config) { c.Session.Idle = time.Minute }},
		{"Session.MaxPerUser", func(c *auth.Config) { c.Session.MaxPerUser = -1 }},
		{"Refresh.Idle", func(c *auth.Config) { c.Refresh.Idle = -1 }},
		{"Refresh.Absolute", func(c *auth.Config) { c.Refresh.Absolute = -1 }},
		{"Refresh.Grace", func(c *auth.Config) { c.Refresh.Grace = -2 }},
		{"Refresh.Grace", func(c *auth.Config) { c.Refresh.Grace = 10*time.Second + 1 }},
		{"Account.ReactivateAfter", func(c *auth.Config) { c.Account.ReactivateAfter = -1 }},
		{"Account.Retention", func(c *auth.Config) { c.Account.Retention = -1 }},
	} {
		config := auth.Config{Keys: auth.NewKeys(w.key)}
		test.set(&config)
		s, err := auth.New(w.client, config)
		var refused *auth.ConfigError
		if assert.ErrorAs(t, err, &refused, test.field) {
			assert.Equal(t, test.field, refused.Field)
			assert.NotEmpty(t, refused.Reason)
			assert.NotEmpty(t, refused.Fix)
			assert.Equal(t, "auth: config: "+test.field+" "+refused.Reason+": "+refused.Fix, err.Error())
		}
		assert.Nil(t, s)
	}
}

// At the service's clock. A time that is not written may be as long as a Duration is.
func TestLifetimesBeyondTheColumnsAreRefusedByTheNameOfTheirField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	clock := authtest.NewClock()
	last := time.Date(2038, 1, 19, 3, 14, 6, 0, time.UTC).Sub(clock.Now())
	for field, set := range map[string]func(*auth.Config, time.Duration){
		"Lockout.Duration":        func(c *auth.Config, d time.Duration) { c.Lockout.Duration = d },
		"OTP.Lifetime":            func(c *auth.Config, d time.Duration) { c.OTP.Lifetime, c.OTP.BudgetWindow = d, d },
		"OTP.ResendCooldown":      func(c *auth.Config, d time.Duration) { c.OTP.ResendCooldown = d },
		"Session.Absolute":        func(c *auth.Config, d time.Duration) { c.Session.Absolute = d },
		"Refresh.Absolute":        func(c *auth.Config, d time.Duration) { c.Refresh.Absolute = d },
		"Account.ReactivateAfter": func(c *auth.Config, d time.Duration) { c.Account.ReactivateAfter = d },
	} {
		config := auth.Config{Keys: auth.NewKeys(w.key), Clock: clock.Now}
		set(&config, last)
		_, err := auth.New(w.client, config)
		require.NoError(t, err, field)
		for _, more := range []time.Duration{last + time.Second, math.MaxInt64} {
			set(&config, more)
			_, err = auth.New(w.client, config)
			assert.EqualError(t, err, "auth: config: "+field+
				" ends after 2038-01-19T03:14:07Z, the last time that its column holds: take less")
		}
	}
}

func TestLargestCountIsNotCalledNegative(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	_, err := auth.New(w.client, auth.Config{
		Keys: auth.NewKeys(w.key), Session: auth.SessionPolicy{MaxPerUser: math.MaxInt},
	})
	assert.EqualError(t, err,
		"auth: config: Session.MaxPerUser is above what the column holds: take at most 2147483647")
}

// The defaults as a caller meets them: what is allowed at the limit, and not beyond it.
func TestDefaultsHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := now
	s, err := auth.New(w.client, auth.Config{
		Keys: auth.NewKeys(w.key), Hasher: digestHasher{}, Clock: func() time.Time { return clock },
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
	})
	require.NoError(t, err)
	ctx, email := t.Context(), w.email()

	for length, ok := range map[int]bool{14: false, 15: true, 128: true, 129: false} {
		_, _, err := s.Register(ctx, "Ada", w.email(), strings.Repeat(password+" ", 5)[:length])
		var refused *auth.PasswordError
		assert.Equal(t, !ok, errors.As(err, &refused), "%d characters: %v", length, err)
	}
	u, _, err := s.Register(ctx, "Ada", email, password)
	require.NoError(t, err)

	issued, err := s.IssueCode(ctx, codeFor(email))
	require.NoError(t, err)
	assert.Len(t, issued.Code.Reveal(), 6)
	assert.Equal(t, now.Add(10*time.Minute), issued.ExpiresAt)
	assert.Equal(t, now.Add(time.Minute), issued.RetryAt)
	assert.Equal(t, []int{5}, column[int](t, w.db, `SELECT max_attempts FROM otps WHERE email = ?`, email))
	for range 2 {
		clock = clock.Add(time.Minute)
		_, err = s.IssueCode(ctx, codeFor(email))
		require.NoError(t, err)
	}
	clock = clock.Add(time.Minute)
	_, err = s.IssueCode(ctx, codeFor(email))
	var tooSoon *auth.TooSoonError
	require.ErrorAs(t, err, &tooSoon)
	assert.True(t, now.Add(time.Hour).Equal(tooSoon.RetryAt), "%s", tooSoon.RetryAt)

	clock = now
	g, err := s.SignIn(ctx, email, password, device)
	require.NoError(t, err)
	assert.True(t, now.Add(30*day).Equal(g.Session.ExpiresAt))
	clock = now.Add(day)
	_, _, err = s.CheckSession(ctx, g.Token)
	assert.ErrorIs(t, err, auth.ErrSession)
	clock = now.Add(day - time.Microsecond)
	_, _, err = s.CheckSession(ctx, g.Token)
	assert.NoError(t, err)
	require.NoError(t, s.Close(ctx))
	clock = now.Add(14 * day)
	_, _, err = s.Rotate(ctx, g.Refresh)
	assert.ErrorIs(t, err, auth.ErrRefresh)
	assert.NotErrorIs(t, err, auth.ErrReuse)
	clock = now.Add(14*day - time.Microsecond)
	token := g.Refresh
	for range 6 {
		token, _, err = s.Rotate(ctx, token)
		require.NoError(t, err)
		clock = clock.Add(14*day - time.Microsecond)
	}
	clock = now.Add(90 * day)
	_, _, err = s.Rotate(ctx, token)
	assert.ErrorIs(t, err, auth.ErrRefresh)

	clock = now
	g, err = s.SignIn(ctx, email, password, device)
	require.NoError(t, err)
	next, _, err := s.Rotate(ctx, g.Refresh)
	require.NoError(t, err)
	clock = now.Add(10*time.Second - time.Microsecond)
	again, _, err := s.Rotate(ctx, g.Refresh)
	require.NoError(t, err)
	assert.Equal(t, next.Reveal(), again.Reveal())
	clock = now.Add(10 * time.Second)
	_, _, err = s.Rotate(ctx, g.Refresh)
	require.ErrorIs(t, err, auth.ErrReuse, "the grace is over")
	clock = now

	var locked *auth.LockedError
	for i := range 10 {
		_, err = s.SignIn(ctx, email, newPassword, device)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.False(t, errors.As(err, &locked), "guess %d", i+1)
	}
	_, err = s.SignIn(ctx, email, password, device)
	require.ErrorAs(t, err, &locked)
	assert.True(t, now.Add(15*time.Minute).Equal(locked.Until))
	clock = locked.Until
	_, err = s.SignIn(ctx, email, password, device)
	require.NoError(t, err)

	require.NoError(t, only(s.Delete(ctx, u.ID)))
	_, err = s.Reactivate(ctx, email, password, device)
	require.NoError(t, err, "at once")
	require.NoError(t, only(s.Delete(ctx, u.ID)))
	for since, want := range map[time.Duration]int{30 * day: 0, 30*day + time.Microsecond: 1} {
		clock = locked.Until.Add(since)
		purged, err := s.Purge(ctx, auth.PurgeOptions{DryRun: true})
		require.NoError(t, err)
		assert.Equal(t, want, purged.Users, since)
	}
}

func TestLongestLifetimeIsThatOfTheFarthestTime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	assert.Equal(t, 90*day, auth.Config{}.LongestLifetime(), "a family of refresh tokens by default")
	assert.Equal(t, 365*day, auth.Config{Session: auth.SessionPolicy{Absolute: 365 * day}}.LongestLifetime())
	assert.Equal(t, 400*day, auth.Config{Account: auth.AccountPolicy{ReactivateAfter: 400 * day}}.LongestLifetime())
	assert.Equal(t, 90*day, auth.Config{Account: auth.AccountPolicy{Retention: 400 * day}}.LongestLifetime(),
		"no time is written for it")
}

func TestUnknownAccountsCostTheSameHashing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	hasher := &countingHasher{}
	config := w.config()
	config.Hasher = hasher
	config.Lockout.MaxFailures = 2
	s, err := auth.New(w.client, config)
	require.NoError(t, err)
	ctx := t.Context()

	suspended, deleted, active, withoutPassword := w.email(), w.email(), w.email(), w.email()
	require.NoError(t, w.honest.Suspend(ctx, w.register(t, suspended), time.Now().Add(time.Hour)))
	require.NoError(t, only(w.honest.Delete(ctx, w.register(t, deleted))))
	id := w.register(t, active)
	exhausted := w.email()
	w.register(t, exhausted)
	for range 2 {
		_, err := s.SignIn(ctx, exhausted, newPassword, device)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	require.NoError(t, signInWithProvider(withoutPassword)(ctx, w.honest))
	for name, call := range map[string]call{
		"right password":     signInWith(active, password),
		"wrong password":     signInWith(active, newPassword),
		"empty password":     signInWith(active, ""),
		"endless password":   signInWith(active, strings.Repeat("x", 10_000)),
		"unknown email":      signInWith(w.email(), password),
		"empty email":        signInWith("", password),
		"suspended":          signInWith(suspended, password),
		"guesses used up":    signInWith(exhausted, password),
		"deleted":            signInWith(deleted, password),
		"without a password": signInWith(withoutPassword, password),
		"reactivate an account that is not deleted": func(ctx context.Context, s *auth.Service) error {
			_, err := s.Reactivate(ctx, active, password, device)
			return err
		},
		"reactivate an unknown email": func(ctx context.Context, s *auth.Service) error {
			_, err := s.Reactivate(ctx, w.email(), password, device)
			return err
		},
	} {
		require.NoError(t, w.honest.Unsuspend(ctx, id))
		verified, hashed := hasher.verified.Load(), hasher.hashed.Load()
		err := call(ctx, s)
		assert.True(t, err == nil == (name == "right password"), "%s: %v", name, err)
		assert.True(t, err == nil || errors.Is(err, auth.ErrCredentials), "%s: %v", name, err)
		assert.EqualValues(t, 1, hasher.verified.Load()-verified, name)
		assert.Zero(t, hasher.hashed.Load()-hashed, name)
		assert.LessOrEqual(t, hasher.longest.Load(), int64(4096), "%s: hashing has a limit", name)
	}
}

type countingHasher struct {
	digestHasher
	hashed, verified, longest atomic.Int64
}

func (h *countingHasher) Hash(password string) (string, error) {
	h.hashed.Add(1)
	return h.digestHasher.Hash(password)
}

func (h *countingHasher) Verify(password, hash string) (ok, weak bool, err error) {
	h.verified.Add(1)
	h.longest.Store(max(h.longest.Load(), int64(len(password))))
	return h.digestHasher.Verify(password, hash)
}

func TestCloseWaitsForWhatRunsInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	reached, release := make(chan struct{}), make(chan struct{})
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return touchDriver{d, func() error { close(reached); <-release; return nil }}
	}))
	email := w.email()
	w.register(t, email)
	g := w.signIn(t, email)
	s := w.serviceAt(t, client, time.Hour)
	_, _, err := s.CheckSession(t.Context(), g.Token)
	require.NoError(t, err)
	<-reached
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Close(ended), context.Canceled)

	closed := make(chan error, 1)
	go func() { closed <- s.Close(t.Context()) }()
	select {
	case err := <-closed:
		assert.Fail(t, "closed with a write under way", "%v", err)
	default:
	}
	close(release)
	require.NoError(t, <-closed)
	used := column[time.Time](t, w.db, `SELECT last_used_at FROM sessions WHERE id = ?`, g.Session.ID)
	assert.True(t, used[0].After(g.Session.LastUsedAt.Add(59*time.Minute)), "%s", used)

	_, _, err = s.CheckSession(t.Context(), g.Token)
	assert.NoError(t, err, "a service that is closed still checks")
	assert.NoError(t, s.Close(t.Context()), "closing twice")
}

func TestLastUseThatCannotBeWrittenHarmsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	var mu sync.Mutex
	fail, tried := true, 0
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return touchDriver{d, func() error {
			mu.Lock()
			defer mu.Unlock()
			tried++
			if fail {
				return errOrdinary
			}
			return nil
		}}
	}))
	email := w.email()
	w.register(t, email)
	g := w.signIn(t, email)
	for want := 1; want <= 3; want++ {
		mu.Lock()
		fail = want < 3
		mu.Unlock()
		s := w.serviceAt(t, client, time.Hour)
		session, user, err := s.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		assert.Equal(t, g.Session.ID, session.ID)
		assert.Equal(t, email, user.Email)
		require.NoError(t, s.Close(t.Context()))
		assert.Equal(t, want, tried, "the next request tries again")
	}
	used := column[time.Time](t, w.db, `SELECT last_used_at FROM sessions WHERE id = ?`, g.Session.ID)
	assert.True(t, used[0].After(g.Session.LastUsedAt.Add(59*time.Minute)), "%s", used)
}

// touchDriver calls fn in the place of a write to a session outside a transaction, which goes on if fn has no error.
type touchDriver struct {
	dialect.Driver
	fn func() error
}

// QueryContext is what the session check is sent through.
func (d touchDriver) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.Driver.(*entsql.Driver).QueryContext(ctx, query, args...)
}

func (d touchDriver) Exec(ctx context.Context, query string, args, v any) error {
	if strings.HasPrefix(query, "UPDATE `sessions`") {
		if err := d.fn(); err != nil {
			return err
		}
	}
	return d.Driver.Exec(ctx, query, args, v)
}

// blindHasher does not read what it makes.
type blindHasher struct{ digestHasher }

func (blindHasher) Reads(string) bool { return false }
