package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
)

// TestAnySequenceOfCallsIsAnsweredAsTheModelSays compares the service with a model of it in memory, call by call.
func TestAnySequenceOfCallsIsAnsweredAsTheModelSays(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open opener) {
		client := open(t, unhurried)
		property := func(rt *rapid.T) {
			m := newModel(rt, client)
			for range 6 {
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

// few checks a property for the first n inputs only, unless one of them fails:
// then it is needed to make a small one of that.
func few(n int, property func(*rapid.T)) func(*rapid.T) {
	passed, failed := 0, false
	return func(t *rapid.T) {
		if passed == n && !failed {
			return
		}
		done := false
		defer func() { failed = failed || !done }()
		property(t)
		passed, done = passed+1, true
	}
}

const (
	modelPassword     = "the first password"
	modelMaxFailures  = 3
	modelGuesses      = 17 // 3 of them for the second step, and 6 for open codes
	modelStrangers    = 8
	modelMaxAttempts  = 2
	modelBudget       = 3
	modelMaxSessions  = 3
	modelLockFor      = 15 * time.Minute
	modelIdle         = time.Hour
	modelAbsolute     = 3 * time.Hour
	modelTouch        = time.Minute
	modelRemember     = time.Hour
	modelRefreshIdle  = 2 * time.Hour
	modelRefreshLife  = 5 * time.Hour
	modelReactivate   = 30 * time.Minute
	modelRetention    = 6 * time.Hour
	modelCodeLife     = 10 * time.Minute
	modelCooldown     = time.Minute
	modelBudgetWindow = time.Hour
)

// model is what the service should do, and the service.
type model struct {
	t      *rapid.T
	client *ent.Client
	clock  *authtest.Clock
	cfg    auth.Config
	svc    *auth.Service

	emails   []string
	users    map[string]*modelUser
	codes    []*modelCode
	mails    map[string][]modelMail
	sessions []*modelSession
	tokens   []*modelToken
}

type modelUser struct {
	id                int
	password          string // empty once there is none
	linked            string // the subject at the provider, or empty
	verified          bool
	registration      auth.Token
	epoch             int
	failures, guesses int
	locked, suspended time.Time
	deleted, mayReact time.Time
}

// modelFamily is a device.
type modelFamily struct{ user *modelUser }

type modelSession struct {
	id               int
	token            auth.Token
	user             *modelUser
	family           *modelFamily
	ended            bool
	lastUsed, expire time.Time
	dormant          bool
}

type modelToken struct {
	token           auth.Token
	user            *modelUser
	family          *modelFamily
	created, expire time.Time
	revoked         bool
	revokedAt       time.Time
	next            *modelToken
	// renewed is the session's token that a renewal gave for this one.
	renewed auth.Token
}

var modelSerial atomic.Int64

func newModel(t *rapid.T, client *ent.Client) *model {
	m := &model{t: t, client: client, clock: authtest.NewClock(), users: map[string]*modelUser{},
		mails: map[string][]modelMail{}}
	n := modelSerial.Add(1)
	for _, name := range []string{"ada", "bob", "free"} {
		m.emails = append(m.emails, fmt.Sprintf("%s%d@example.com", name, n))
	}
	m.cfg = auth.Config{
		Keys:    auth.NewKeys([]byte("0123456789abcdef0123456789abcdef")),
		Hasher:  authtest.NewHasher(),
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
		Clock:   m.clock.Now,
		Lockout: auth.LockoutPolicy{MaxFailures: modelMaxFailures, Duration: modelLockFor, Budget: modelGuesses},
		OTP: auth.OTPPolicy{
			Length: 12, Lifetime: modelCodeLife, MaxAttempts: modelMaxAttempts,
			ResendCooldown: modelCooldown, Budget: modelBudget, BudgetWindow: modelBudgetWindow,
		},
		Session: auth.SessionPolicy{Idle: modelIdle, Absolute: modelAbsolute, TouchInterval: modelTouch,
			Remember: modelRemember, MaxPerUser: modelMaxSessions},
		Refresh: auth.RefreshPolicy{
			Idle: modelRefreshIdle, Absolute: modelRefreshLife,
			Grace: rapid.SampledFrom([]time.Duration{auth.NoGrace, 10 * time.Second}).Draw(t, "grace"),
		},
		Account: auth.AccountPolicy{ReactivateAfter: modelReactivate, Retention: modelRetention},
	}
	m.svc = m.service()
	for _, email := range m.emails[:2] {
		u, ticket, err := m.svc.Register(t.Context(), "Person", email, modelPassword)
		require.NoError(t, err)
		m.users[email] = &modelUser{id: u.ID, password: modelPassword, registration: ticket}
		g, err := m.svc.SignIn(t.Context(), email, modelPassword, auth.Device{})
		require.NoError(t, err)
		m.granted(m.users[email], g)
	}
	return m
}

func (m *model) service() *auth.Service {
	svc, err := auth.New(m.client, m.cfg)
	require.NoError(m.t, err)
	return svc
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                m.agree,
		"advance":         m.advance,
		"register":        m.register,
		"sign in":         m.signIn,
		"change password": m.changePassword,
		"issue code":      m.issueCode,
		"verify code":     m.verifyCode,
		"code sign-in":    m.signInWithCode,
		"reset password":  m.resetPassword,
		"verify email":    m.verifyEmail,
		"address, start":  m.startEmailChange, // the first names are drawn most
		"address, finish": m.finishEmailChange,
		"start session":   m.startSession,
		"issue refresh":   m.issueRefresh,
		"revoke all":      m.revokeAll,
		"check session":   m.checkSession,
		"sign out":        m.signOut,
		"revoke sessions": m.revokeSessions,
		"rotate":          m.rotate,
		"renew":           m.renew,
		"revoke refresh":  m.revokeRefresh,
		"suspend":         m.suspend,
		"unsuspend":       m.unsuspend,
		"delete":          m.delete,
		"reactivate":      m.reactivate,
		"restore":         m.restore,
		"purge":           m.purge,
		"link":            m.linkProvider,
		"unlink":          m.unlinkProvider,
		"provider":        m.signInWithProvider,
	}
}

// agree compares what is live in the model and in the database.
func (m *model) agree(t *rapid.T) {
	for _, email := range m.emails {
		u := m.users[email]
		if u == nil {
			continue
		}
		var want []string
		for _, s := range m.listedSessions(u) {
			want = append(want, fmt.Sprint(s.id, s.lastUsed, s.dormant))
		}
		list, err := m.svc.Sessions(t.Context(), u.id)
		require.NoError(t, err)
		var got []string
		for _, s := range list {
			got = append(got, fmt.Sprint(s.ID, s.LastUsedAt.UTC(), s.Dormant))
		}
		require.Equal(t, want, got, "sessions of %s", email)

		live := 0
		for _, k := range m.tokens {
			if k.user == u && !k.revoked {
				live++
			}
		}
		n, err := m.client.RefreshToken.Query().
			Where(refreshtoken.UserID(u.id), refreshtoken.IsRevoked(false)).Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, live, n, "live refresh tokens of %s", email)
	}
}

func (m *model) now() time.Time { return m.clock.Now().Truncate(time.Microsecond) }

func (m *model) advance(t *rapid.T) {
	m.clock.Advance(rapid.SampledFrom([]time.Duration{
		time.Microsecond, 10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, 15 * time.Minute,
		time.Hour, 2 * time.Hour,
	}).Draw(t, "by"))
}

func (m *model) email(t *rapid.T) string { return rapid.SampledFrom(m.emails).Draw(t, "email") }

func (m *model) password(t *rapid.T) string {
	return rapid.SampledFrom([]string{modelPassword, modelPassword, "the second password"}).Draw(t, "password")
}

// someone is a user, or one that never was.
func (m *model) someone(t *rapid.T) (*modelUser, int) {
	u := m.users[m.email(t)]
	if u == nil {
		return nil, -1
	}
	return u, u.id
}

func (m *model) register(t *rapid.T) {
	email, password := m.email(t), m.password(t)
	u, ticket, err := m.svc.Register(t.Context(), "Person", email, password)
	if m.users[email] != nil {
		require.ErrorIs(t, err, auth.ErrEmailTaken)
		return
	}
	require.NoError(t, err)
	m.users[email] = &modelUser{id: u.ID, password: password, registration: ticket}
}

// prove is the error of a guess at a password.
func (m *model) prove(u *modelUser, deleted bool, password string) error {
	now := m.now()
	if u == nil || u.deleted.IsZero() == deleted || u.password == "" {
		return auth.ErrCredentials
	}
	switch {
	case u.suspended.After(now):
		return &auth.LockedError{Until: u.suspended}
	case u.guesses == modelStrangers:
		return &auth.LockedError{}
	case u.locked.After(now):
		return &auth.LockedError{Until: u.locked}
	case !u.locked.IsZero():
		u.locked, u.failures = time.Time{}, 1
	case u.failures < modelMaxFailures:
		u.failures++
	default:
		u.locked = now.Add(modelLockFor)
		return &auth.LockedError{Until: u.locked}
	}
	u.guesses++
	if password == u.password {
		return nil
	}
	if u.failures == modelMaxFailures {
		u.locked = now.Add(modelLockFor)
	}
	return auth.ErrCredentials
}

// forgive starts the counts of strangers again.
func (m *model) forgive(u *modelUser) {
	u.failures, u.guesses, u.locked = 0, 0, time.Time{}
}

// succeed is what the success of a stranger does to the counts, whose password was counted if nothing shows who reads
// the mail.
func (m *model) succeed(u *modelUser) {
	if u.verified {
		m.forgive(u)
		return
	}
	u.failures, u.guesses, u.locked = 0, max(0, u.guesses-1), time.Time{}
}

// granted adds what a sign-in gave.
func (m *model) granted(u *modelUser, g *auth.Grant) {
	m.succeed(u)
	m.enter(u, g)
}

func (m *model) enter(u *modelUser, g *auth.Grant) {
	family := &modelFamily{u}
	m.started(family, g.Session.ID, g.Token)
	m.issued(family, g.Refresh)
}

func (m *model) issued(family *modelFamily, token auth.Token) {
	now := m.now()
	m.tokens = append(m.tokens, &modelToken{
		token: token, user: family.user, family: family, created: now, expire: now.Add(modelRefreshLife),
	})
}

func (m *model) started(family *modelFamily, id int, token auth.Token) {
	now := m.now()
	m.sessions = append(m.sessions, &modelSession{
		id: id, token: token, user: family.user, family: family, lastUsed: now, expire: now.Add(modelAbsolute),
	})
	m.limit(family.user)
}

// limit ends the least recently used devices of a user beyond the limit.
func (m *model) limit(u *modelUser) {
	for i, s := range m.liveSessions(u) {
		if i >= modelMaxSessions {
			m.endFamily(s.family)
		}
	}
}

// liveSessions has the last used first.
func (m *model) liveSessions(u *modelUser) []*modelSession {
	var live []*modelSession
	for _, s := range m.sessions {
		if s.user == u && m.live(s) {
			live = append(live, s)
		}
	}
	lastUsedFirst(live)
	return live
}

func lastUsedFirst(list []*modelSession) {
	slices.SortFunc(list, func(a, b *modelSession) int {
		if c := b.lastUsed.Compare(a.lastUsed); c != 0 {
			return c
		}
		return b.id - a.id
	})
}

// listedSessions are the live ones and those that a device can begin again.
func (m *model) listedSessions(u *modelUser) []*modelSession {
	list := m.liveSessions(u)
	for _, s := range m.sessions {
		k := m.held(s.family)
		if s.user != u || s.ended || m.live(s) || k == nil || !k.created.Add(modelRefreshIdle).After(m.now()) {
			continue
		}
		d := *s
		d.dormant = true
		if k.created.After(d.lastUsed) {
			d.lastUsed = k.created
		}
		list = append(list, &d)
	}
	lastUsedFirst(list)
	return list
}

// held is the refresh token of a family that has neither been revoked nor expired, or nil.
func (m *model) held(f *modelFamily) *modelToken {
	for _, k := range m.tokens {
		if f != nil && k.family == f && !k.revoked && k.expire.After(m.now()) {
			return k
		}
	}
	return nil
}

func (m *model) live(s *modelSession) bool {
	now := m.now()
	return !s.ended && s.expire.After(now) && s.lastUsed.Add(modelIdle).After(now)
}

func (m *model) usable(u *modelUser) bool {
	return u != nil && u.deleted.IsZero() && !u.suspended.After(m.now())
}

func (m *model) signIn(t *rapid.T) {
	email, password := m.email(t), m.password(t)
	u := m.users[email]
	want := m.prove(u, false, password)
	g, err := m.svc.SignIn(t.Context(), email, password, auth.Device{})
	same(t, want, err)
	if err == nil {
		m.granted(u, g)
	}
}

func (m *model) changePassword(t *rapid.T) {
	u, id := m.someone(t)
	current, next := m.password(t), m.password(t)
	want := m.prove(u, false, current)
	err := only(m.svc.ChangePassword(t.Context(), id, current, next, auth.Device{}))
	same(t, want, err)
	if err == nil {
		m.newPassword(u, next)
	}
}

func (m *model) newPassword(u *modelUser, password string) {
	u.password = password
	m.succeed(u)
	m.endAll(u)
}

// endAll ends what a user holds, and shows no party to be theirs any more.
func (m *model) endAll(u *modelUser) {
	u.epoch++
	m.end(func(f *modelFamily) bool { return f.user == u })
}

func (m *model) endFamily(family *modelFamily) {
	m.end(func(f *modelFamily) bool { return f == family })
}

// end ends the devices that match, and tells how much was live of them.
func (m *model) end(match func(*modelFamily) bool) (ended auth.Ended) {
	for _, s := range m.sessions {
		if match(s.family) && !s.ended {
			s.ended = true
			ended.Sessions++
		}
	}
	for _, k := range m.tokens {
		if match(k.family) && !k.revoked {
			m.revoke(k)
			ended.RefreshTokens++
		}
	}
	return ended
}

func (m *model) revoke(k *modelToken) {
	if !k.revoked {
		k.revoked, k.revokedAt = true, m.now()
	}
}

func (m *model) startSession(t *rapid.T) {
	u, id := m.someone(t)
	device, former := m.device(t)
	s, token, err := m.svc.StartSession(t.Context(), id, device)
	if !m.usable(u) {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	m.endFamily(former)
	m.started(&modelFamily{u}, s.ID, token)
}

// device is one that holds nothing, or a token of a family.
func (m *model) device(t *rapid.T) (auth.Device, *modelFamily) {
	s, k := pick(t, "of a session", m.sessions), pick(t, "of a refresh token", m.tokens)
	switch n := rapid.IntRange(0, 2).Draw(t, "device"); {
	case n == 1 && s != nil:
		return auth.Device{Token: s.token}, s.family
	case n == 2 && k != nil:
		return auth.Device{Token: k.token}, k.family
	}
	return auth.Device{}, nil
}

func (m *model) issueRefresh(t *rapid.T) {
	u, id := m.someone(t)
	token, err := m.svc.IssueRefresh(t.Context(), id)
	if !m.usable(u) {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	m.issued(&modelFamily{u}, token)
}

func (m *model) revokeAll(t *rapid.T) {
	u, id := m.someone(t)
	err := only(m.svc.RevokeAll(t.Context(), id))
	if u == nil {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	m.endAll(u)
}

// pick is an element of all, or nil.
func pick[T any](t *rapid.T, what string, all []*T) *T {
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(t, what)
}

func (m *model) session(t *rapid.T) (*modelSession, auth.Token) {
	s := pick(t, "session", m.sessions)
	if s == nil {
		return nil, auth.ParseToken("unknown")
	}
	return s, s.token
}

func (m *model) checkSession(t *rapid.T) {
	s, token := m.session(t)
	// Its last use is written once the service is closed.
	svc := m.service()
	_, _, err := svc.CheckSession(t.Context(), token)
	require.NoError(t, svc.Close(context.WithoutCancel(t.Context())))
	if s == nil || !m.live(s) || !m.usable(s.user) {
		require.ErrorIs(t, err, auth.ErrSession)
		return
	}
	require.NoError(t, err)
	m.used(s)
}

// used is what a check does to a session.
func (m *model) used(s *modelSession) {
	if now := m.now(); !s.lastUsed.Add(modelTouch).After(now) {
		s.lastUsed = now
	}
}

func (m *model) signOut(t *rapid.T) {
	s, token := m.session(t)
	ended, err := m.svc.SignOut(t.Context(), token)
	require.NoError(t, err)
	var want auth.Ended
	if s != nil {
		want = m.end(func(f *modelFamily) bool { return f == s.family })
	}
	require.Equal(t, want, ended)
}

func (m *model) revokeSessions(t *rapid.T) {
	u, id := m.someone(t)
	keep := pick(t, "keep", m.sessions)
	only := rapid.Bool().Draw(t, "only it")
	var ended auth.Ended
	var err error
	switch {
	case keep == nil:
		ended, err = m.svc.RevokeSessions(t.Context(), id)
	case only:
		ended, err = m.svc.RevokeSession(t.Context(), id, keep.id)
	default:
		ended, err = m.svc.RevokeOtherSessions(t.Context(), id, keep.id)
	}
	require.NoError(t, err)
	end := map[*modelFamily]bool{}
	for _, s := range m.sessions {
		if s.user == u && (keep == nil || (s == keep) == only) && (only || !s.ended) {
			end[s.family] = true
		}
	}
	require.Equal(t, m.end(func(f *modelFamily) bool { return end[f] }), ended)
}

func (m *model) rotate(t *rapid.T) {
	k := pick(t, "refresh token", m.tokens)
	if k == nil {
		_, _, err := m.svc.Rotate(t.Context(), auth.ParseToken("unknown"))
		require.ErrorIs(t, err, auth.ErrRefresh)
		return
	}
	want := m.exchange(k)
	token, _, err := m.svc.Rotate(t.Context(), k.token)
	same(t, want, err)
	if err == nil {
		m.rotated(t, k, token)
	}
}

func (m *model) renew(t *rapid.T) {
	k := pick(t, "refresh token", m.tokens)
	if k == nil {
		return
	}
	want := m.exchange(k)
	g, err := m.svc.Renew(t.Context(), k.token, auth.Device{})
	same(t, want, err)
	if err != nil {
		return
	}
	m.rotated(t, k, g.Refresh)
	session := m.sessionOf(k.family)
	switch {
	case session != nil && (k.next.revoked || session.token.Reveal() == k.renewed.Reveal()):
		// It was renewed with this token before, or another has gone on.
		require.Equal(t, session.id, g.Session.ID)
		require.Contains(t, []string{g.Token.Reveal(), ""}, k.renewed.Reveal())
	case session != nil:
		session.token, session.ended = g.Token, false
		session.lastUsed, session.expire = m.now(), m.now().Add(modelAbsolute)
		require.Equal(t, session.id, g.Session.ID)
		m.limit(k.user)
	default:
		m.started(k.family, g.Session.ID, g.Token)
	}
	k.renewed = g.Token
}

// sessionOf is the session of a device, or nil.
func (m *model) sessionOf(family *modelFamily) *modelSession {
	for _, s := range m.sessions {
		if s.family == family {
			return s
		}
	}
	return nil
}

// rotated puts a token in the place of k, or is the one that it was exchanged for before.
func (m *model) rotated(t *rapid.T, k *modelToken, token auth.Token) {
	if k.next != nil {
		require.Equal(t, k.next.token.Reveal(), token.Reveal())
		return
	}
	k.next = &modelToken{token: token, user: k.user, family: k.family, created: m.now(), expire: k.expire}
	m.revoke(k)
	m.tokens = append(m.tokens, k.next)
}

// exchange is the error to expect of a token that is presented.
func (m *model) exchange(k *modelToken) error {
	now := m.now()
	live := slices.ContainsFunc(m.tokens, func(o *modelToken) bool { return o.family == k.family && !o.revoked })
	switch {
	case !k.expire.After(now), !live, k.revoked && k.next == nil:
		return auth.ErrRefresh
	case k.next != nil && (m.cfg.Refresh.Grace < 0 || !k.revokedAt.Add(m.cfg.Refresh.Grace).After(now)):
		m.endFamily(k.family)
		return auth.ErrReuse
	case k.next == nil && !k.created.Add(modelRefreshIdle).After(now), !m.usable(k.user):
		return auth.ErrRefresh
	}
	return nil
}

func (m *model) revokeRefresh(t *rapid.T) {
	k := pick(t, "refresh token", m.tokens)
	if k == nil {
		return
	}
	ended, err := m.svc.RevokeRefresh(t.Context(), k.token)
	require.NoError(t, err)
	require.Equal(t, m.end(func(f *modelFamily) bool { return f == k.family }), ended)
}

func (m *model) suspend(t *rapid.T) {
	u, id := m.someone(t)
	until := m.now().Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(t, "for"))
	err := m.svc.Suspend(t.Context(), id, until)
	if u == nil {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	u.suspended, u.locked = until, until
}

func (m *model) unsuspend(t *rapid.T) {
	u, id := m.someone(t)
	err := m.svc.Unsuspend(t.Context(), id)
	if u == nil {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	u.suspended = time.Time{}
	m.forgive(u)
}

func (m *model) delete(t *rapid.T) {
	u, id := m.someone(t)
	err := only(m.svc.Delete(t.Context(), id))
	if u == nil || !u.deleted.IsZero() {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	u.deleted, u.mayReact = m.now(), m.now().Add(modelReactivate)
	m.endAll(u)
}

func (m *model) reactivate(t *rapid.T) {
	email, password := m.email(t), m.password(t)
	u := m.users[email]
	want := m.prove(u, true, password)
	if want == nil && u.mayReact.After(m.now()) {
		want = &auth.NotYetError{RetryAt: u.mayReact}
		u.failures, u.guesses = u.failures-1, u.guesses-1 // the password was right
	}
	g, err := m.svc.Reactivate(t.Context(), email, password, auth.Device{})
	same(t, want, err)
	if err == nil {
		u.deleted = time.Time{}
		m.granted(u, g)
	}
}

func (m *model) restore(t *rapid.T) {
	u, id := m.someone(t)
	err := m.svc.Restore(t.Context(), id)
	if u == nil || u.deleted.IsZero() || u.mayReact.After(m.now()) {
		require.ErrorIs(t, err, auth.ErrNotFound)
		return
	}
	require.NoError(t, err)
	u.deleted = time.Time{}
}

func (m *model) purge(t *rapid.T) {
	_, err := m.svc.Purge(t.Context(), auth.PurgeOptions{Batch: 2, FullRate: true})
	require.NoError(t, err)
	for email, u := range m.users {
		if !u.deleted.IsZero() && u.deleted.Before(m.now().Add(-modelRetention)) {
			delete(m.users, email)
			m.endAll(u)
			// Its tokens are unknown from now on.
			m.tokens = slices.DeleteFunc(m.tokens, func(k *modelToken) bool { return k.user == u })
			m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool { return s.user == u })
		}
	}
	m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool {
		return s.expire.Add(modelRemember).Before(m.now()) && m.held(s.family) == nil
	})
	m.tokens = slices.DeleteFunc(m.tokens, func(k *modelToken) bool { return k.expire.Before(m.now()) })
	counts := m.now().Add(modelCodeLife - modelBudgetWindow)
	m.codes = slices.DeleteFunc(m.codes, func(c *modelCode) bool { return c.expires.Before(counts) })
}

// same compares errors by kind and by what they tell.
func same(t *rapid.T, want, got error) {
	var locked *auth.LockedError
	var soon *auth.TooSoonError
	var early *auth.NotYetError
	var wrong *auth.CodeError
	switch {
	case want == nil:
		require.NoError(t, got)
	case errors.As(want, &locked):
		until := locked.Until
		require.ErrorAs(t, got, &locked)
		require.True(t, until.Equal(locked.Until), "%v, not %v", locked, want)
	case errors.As(want, &soon):
		at := soon.RetryAt
		require.ErrorAs(t, got, &soon)
		require.True(t, at.Equal(soon.RetryAt), "%v, not %v", soon, want)
	case errors.As(want, &early):
		at := early.RetryAt
		require.ErrorAs(t, got, &early)
		require.True(t, at.Equal(early.RetryAt), "%v, not %v", early, want)
	case errors.As(want, &wrong):
		left := wrong.AttemptsLeft
		require.ErrorAs(t, got, &wrong)
		require.Equal(t, left, wrong.AttemptsLeft)
	default:
		require.ErrorIs(t, got, want)
		require.False(t, errors.As(got, &locked) || errors.As(got, &wrong), "%v, not %v", got, want)
		if errors.Is(want, auth.ErrRefresh) {
			require.Equal(t, errors.Is(want, auth.ErrReuse), errors.Is(got, auth.ErrReuse))
		}
	}
}
