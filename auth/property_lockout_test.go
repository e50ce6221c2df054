package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// TestAnySequenceOfGuessesIsCountedAsTheModelSays compares one account, which strangers, its devices and an operator
// are busy with, with a model of its counts in memory, call by call.
func TestAnySequenceOfGuessesIsCountedAsTheModelSays(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open opener) {
		client := open(t, unhurried)
		property := func(rt *rapid.T) {
			m := newGuarded(rt, client)
			for range 4 {
				rt.Repeat(m.actions())
			}
		}
		n := 12
		if isSQLite(t, client) {
			n = 20
		}
		rapid.Check(t, few(n, property))
	})
}

const (
	guardedMaxFailures = 3
	guardedStrangers   = 7
	guardedStep        = 2
	guardedLockFor     = 15 * time.Minute
	guardedAbsolute    = 3 * time.Hour
	guardedRemember    = time.Hour
	guardedStepLife    = 10 * time.Minute
)

// guarded is one account, as it should be, and the service.
type guarded struct {
	client *ent.Client
	clock  *authtest.Clock
	svc    *auth.Service
	id     int
	email  string

	verified                bool
	needsStep, factorAway   bool
	epoch                   int
	failures, guesses, step int
	locked, suspended       time.Time
	devices                 []*guardedDevice
	pending                 []*guardedStepTaken
}

type guardedDevice struct {
	session  int
	tokens   []auth.Token // of the session and the refresh token
	standing bool
	epoch    int
	failures int
	forgets  time.Time
}

type guardedStepTaken struct {
	ticket  auth.Token
	epoch   int
	used    bool
	expires time.Time
}

var errFactorAway = errors.New("the factor is away")

// unhurried has a client finish each change that a service begins. A service gives up a count after some seconds, in
// which a machine may stand still, and counts again although the first may have happened: twice rather than not at all.
// The model counts once.
var unhurried = authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
	return unhurriedDriver{d.(*entsql.Driver)}
})

type unhurriedDriver struct{ *entsql.Driver }

func (d unhurriedDriver) Exec(ctx context.Context, query string, args, v any) error {
	return d.Driver.Exec(context.WithoutCancel(ctx), query, args, v)
}

func (d unhurriedDriver) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.Driver.ExecContext(context.WithoutCancel(ctx), query, args...)
}

func newGuarded(t *rapid.T, client *ent.Client) *guarded {
	m := &guarded{client: client, clock: authtest.NewClock(),
		email: fmt.Sprintf("guarded%d@example.com", modelSerial.Add(1))}
	factor := authtest.NewFactor(answer)
	factor.Before = func() error {
		if m.factorAway {
			return errFactorAway
		}
		return nil
	}
	var err error
	m.svc, err = auth.New(client, auth.Config{
		Keys:   auth.NewKeys([]byte("0123456789abcdef0123456789abcdef")),
		Hasher: authtest.NewHasher(), Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
		Clock:   m.clock.Now,
		Lockout: auth.LockoutPolicy{MaxFailures: guardedMaxFailures, Duration: guardedLockFor, Budget: 10},
		OTP:     auth.OTPPolicy{Lifetime: guardedStepLife, Budget: 1, MaxAttempts: 1},
		Session: auth.SessionPolicy{Absolute: guardedAbsolute, Idle: guardedAbsolute, Remember: guardedRemember},
		SecondStep: auth.SecondStepPolicy{
			Required: func(context.Context, *auth.User) (bool, error) { return m.needsStep, nil }, Factor: factor,
		},
	})
	require.NoError(t, err)
	u, ticket, err := m.svc.Register(t.Context(), "Person", m.email, modelPassword)
	require.NoError(t, err)
	m.id = u.ID
	if m.verified = rapid.Bool().Draw(t, "verified"); m.verified {
		issued, err := m.svc.IssueCode(t.Context(),
			auth.CodeRequest{Email: m.email, Kind: schematype.OTPEmailVerification, Ticket: ticket})
		require.NoError(t, err)
		require.NoError(t, m.svc.VerifyEmail(t.Context(), auth.Verification{Ticket: issued.Ticket, Code: issued.Code}))
	}
	return m
}

func (m *guarded) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                m.agree,
		"advance":         m.advance,
		"policy":          func(t *rapid.T) { m.needsStep = rapid.Bool().Draw(t, "needs a second step") },
		"guess":           func(t *rapid.T) { m.signIn(t, false) },
		"guess again":     func(t *rapid.T) { m.signIn(t, false) },
		"sign in":         func(t *rapid.T) { m.signIn(t, true) },
		"finish":          func(t *rapid.T) { m.finish(t, true) },
		"answer":          func(t *rapid.T) { m.finish(t, false) },
		"answer again":    func(t *rapid.T) { m.finish(t, false) },
		"start session":   m.startSession,
		"change password": m.changePassword,
		"revoke all":      m.revokeAll,
		"sign out":        m.signOut,
		"revoke session":  m.revokeSession,
		"suspend":         m.suspend,
		"unsuspend":       m.unsuspend,
	}
}

// agree compares the counts of the model with those of the database.
func (m *guarded) agree(t *rapid.T) {
	u, err := m.client.User.Get(t.Context(), m.id)
	require.NoError(t, err)
	at := func(p *time.Time) string {
		if p == nil || p.IsZero() {
			return "never"
		}
		return p.UTC().String()
	}
	counts := func(failures, guesses, step, epoch int, locked, suspended *time.Time) string {
		return fmt.Sprintf("failures %d, guesses %d, step %d, epoch %d, locked until %s, suspended until %s",
			failures, guesses, step, epoch, at(locked), at(suspended))
	}
	require.Equal(t,
		counts(m.failures, m.guesses, m.step, m.epoch, &m.locked, &m.suspended),
		counts(int(u.FailedLoginAttempts), int(u.GuessFailures), int(u.StepFailures), int(u.TrustEpoch),
			u.LockUntil, u.SuspendedUntil))
	for i, d := range m.devices {
		row, err := m.client.Session.Get(t.Context(), d.session)
		require.NoError(t, err)
		require.Equal(t, d.standing, row.TrustEpoch != nil, "device %d", i)
		if d.standing {
			require.Equal(t, []int{d.epoch, d.failures}, []int{int(*row.TrustEpoch), int(row.DeviceFailures)},
				"device %d", i)
		}
	}
}

func (m *guarded) now() time.Time { return m.clock.Now().Truncate(time.Microsecond) }

func (m *guarded) advance(t *rapid.T) {
	m.clock.Advance(rapid.SampledFrom([]time.Duration{
		time.Microsecond, time.Minute, guardedStepLife, guardedLockFor, guardedAbsolute, time.Hour,
	}).Draw(t, "by"))
}

// device is one that signed in before, or none, and what it shows.
func (m *guarded) device(t *rapid.T) (*guardedDevice, auth.Device) {
	d := pick(t, "device", m.devices)
	if d == nil || rapid.IntRange(0, 3).Draw(t, "stranger") == 0 {
		return nil, auth.Device{}
	}
	return d, auth.Device{Token: rapid.SampledFrom(d.tokens).Draw(t, "token")}
}

func (m *guarded) isKnown(d *guardedDevice) bool {
	return d != nil && d.standing && d.epoch == m.epoch && d.failures < guardedMaxFailures && d.forgets.After(m.now())
}

// prove is what comes of a guess at the password, and the known device that made it.
func (m *guarded) prove(d *guardedDevice, right bool) (*guardedDevice, error) {
	now := m.now()
	switch {
	case m.suspended.After(now):
		return nil, &auth.LockedError{Until: m.suspended}
	case m.isKnown(d):
		d.failures++
		if !right {
			return nil, auth.ErrCredentials
		}
		return d, nil
	case m.guesses == guardedStrangers:
		return nil, &auth.LockedError{}
	case m.locked.After(now):
		return nil, &auth.LockedError{Until: m.locked}
	case !m.locked.IsZero():
		m.locked, m.failures = time.Time{}, 1
	default:
		m.failures++
	}
	m.guesses++
	if right {
		return nil, nil
	}
	if m.failures == guardedMaxFailures {
		m.locked = now.Add(guardedLockFor)
	}
	return nil, auth.ErrCredentials
}

// giveBack takes a right password out of its count.
func (m *guarded) giveBack(known *guardedDevice) {
	if known != nil {
		known.failures--
		return
	}
	m.failures, m.guesses, m.locked = m.failures-1, m.guesses-1, time.Time{}
}

func (m *guarded) forgive() { m.failures, m.guesses, m.locked = 0, 0, time.Time{} }

// succeed is what the success of a stranger does to the counts, in which so many of its own guesses are.
func (m *guarded) succeed(own int) {
	if m.verified {
		m.forgive()
		return
	}
	m.failures, m.guesses, m.locked = 0, m.guesses-own, time.Time{}
}

// granted adds what a sign-in of a device gave.
func (m *guarded) granted(shown, known *guardedDevice, own int, g *auth.Grant) {
	if known == nil {
		m.succeed(own)
	}
	if shown != nil {
		shown.standing = false
	}
	m.started(g.Session, g.Token, g.Refresh)
}

func (m *guarded) started(s *auth.Session, tokens ...auth.Token) {
	m.devices = append(m.devices, &guardedDevice{session: s.ID, tokens: tokens, standing: true, epoch: m.epoch,
		forgets: s.ExpiresAt.Add(guardedRemember)})
}

func (m *guarded) signIn(t *rapid.T, right bool) {
	shown, d := m.device(t)
	password := modelPassword
	if !right {
		password = "a wrong password"
	}
	known, want := m.prove(shown, right)
	g, err := m.svc.SignIn(t.Context(), m.email, password, d)
	var pending *auth.SecondStepError
	switch {
	case want != nil:
		same(t, want, err)
	case m.needsStep:
		require.ErrorAs(t, err, &pending)
		m.giveBack(known)
		m.pending = append(m.pending, &guardedStepTaken{ticket: pending.Ticket, epoch: m.epoch,
			expires: m.now().Add(guardedStepLife)})
	default:
		require.NoError(t, err)
		m.granted(shown, known, 1, g)
	}
}

func (m *guarded) finish(t *rapid.T, right bool) {
	if len(m.pending) == 0 {
		m.needsStep = true
		m.signIn(t, true)
	}
	p := pick(t, "first step", m.pending)
	if p == nil {
		return
	}
	if rapid.Bool().Draw(t, "the last one") {
		p = m.pending[len(m.pending)-1]
	}
	shown, d := m.device(t)
	given := answer
	if !right {
		given = "a wrong answer"
	}
	m.factorAway = right && rapid.IntRange(0, 3).Draw(t, "away") == 0
	known, want := m.examine(p, shown, right)
	g, err := m.svc.FinishWithFactor(t.Context(), p.ticket, given, d)
	same(t, want, err)
	if err == nil {
		p.used = true
		if known == nil {
			m.step = 0
		}
		m.granted(shown, known, 0, g)
	}
}

// examine is what comes of an answer, and the known device that gave it.
func (m *guarded) examine(p *guardedStepTaken, d *guardedDevice, right bool) (*guardedDevice, error) {
	now := m.now()
	if p.used || !p.expires.After(now) || p.epoch != m.epoch || m.suspended.After(now) {
		return nil, auth.ErrCode
	}
	count := &m.step
	var known *guardedDevice
	if m.isKnown(d) {
		known, count = d, &d.failures
	} else if m.step == guardedStep {
		return nil, &auth.LockedError{}
	}
	switch {
	case m.factorAway:
		return nil, errFactorAway
	case !right:
		*count++
		return nil, auth.ErrCode
	}
	if known == nil {
		m.step++
	}
	return known, nil
}

func (m *guarded) startSession(t *rapid.T) {
	s, token, err := m.svc.StartSession(t.Context(), m.id, auth.Device{})
	if m.suspended.After(m.now()) {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	m.started(s, token)
}

func (m *guarded) changePassword(t *rapid.T) {
	shown, d := m.device(t)
	right := rapid.Bool().Draw(t, "right")
	password := modelPassword
	if !right {
		password = "a wrong password"
	}
	known, want := m.prove(shown, right)
	_, err := m.svc.ChangePassword(t.Context(), m.id, password, modelPassword, d)
	same(t, want, err)
	if err == nil {
		m.epoch++
		own := 1
		if known != nil {
			own = 0
			known.epoch, known.failures = m.epoch, 0
		}
		m.succeed(own)
	}
}

func (m *guarded) revokeAll(t *rapid.T) {
	_, err := m.svc.RevokeAll(t.Context(), m.id)
	require.NoError(t, err)
	m.epoch++
}

func (m *guarded) signOut(t *rapid.T) {
	if d := pick(t, "device", m.devices); d != nil {
		_, err := m.svc.SignOut(t.Context(), d.tokens[0])
		require.NoError(t, err)
	}
}

func (m *guarded) revokeSession(t *rapid.T) {
	if d := pick(t, "device", m.devices); d != nil {
		_, err := m.svc.RevokeSession(t.Context(), m.id, d.session)
		require.NoError(t, err)
		d.standing = false
	}
}

func (m *guarded) suspend(t *rapid.T) {
	until := m.now().Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(t, "for"))
	require.NoError(t, m.svc.Suspend(t.Context(), m.id, until))
	m.suspended, m.locked = until, until
}

func (m *guarded) unsuspend(t *rapid.T) {
	require.NoError(t, m.svc.Unsuspend(t.Context(), m.id))
	m.suspended, m.step = time.Time{}, 0
	m.forgive()
}
