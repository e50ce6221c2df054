package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

const (
	ada         = "ada@example.com"
	password    = "correct horse battery"
	newPassword = "staple battery horse"
	newAda      = "ada@new.example.com"
	maxFailures = 3
)

// site is the service over TLS, with what it mailed and logged.
type site struct {
	t      *testing.T
	api    *api
	server *httptest.Server
	// ahead is how far the service's clock is.
	ahead atomic.Int64
	// browsers is how many there are.
	browsers atomic.Int32

	mu      sync.Mutex
	mails   []sent
	log     bytes.Buffer
	secrets []string
	// answers are the right ones of the second step.
	answers map[string]bool
}

type sent struct {
	to string
	mail
}

func (s *site) Send(_ context.Context, to, subject, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, sent{to, mail{subject, text}})
	return nil
}

func (s *site) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

// later moves the service's clock.
func (s *site) later(d time.Duration) { s.ahead.Add(int64(d)) }

// Verify makes the site a second step, which takes each answer once.
func (s *site) Verify(_ context.Context, _ *auth.User, answer string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	right := s.answers[answer]
	delete(s.answers, answer)
	return right, nil
}

// provider is one whose credentials are addresses that it has verified.
type provider struct{}

func (provider) Identify(_ context.Context, credential string) (auth.Identity, error) {
	if !strings.Contains(credential, "@") {
		return auth.Identity{}, errors.New("the signature does not match")
	}
	return auth.Identity{Provider: schematype.ProviderGoogle, Subject: "id of " + credential, Email: credential,
		EmailVerified: true, Name: "Ada"}, nil
}

func newSite(t *testing.T, url string) *site {
	t.Helper()
	migratedtest.Apply(t, url)
	client, err := authgraph.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	s := &site{t: t, secrets: []string{password, newPassword}}
	log := slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{} // its digits could be those of a code
			}
			return attr
		},
	}))
	cfg := auth.Config{
		Keys:       auth.NewKeys([]byte("a key of at least thirty-two bytes")),
		Lockout:    auth.LockoutPolicy{MaxFailures: maxFailures},
		OTP:        auth.OTPPolicy{ResendCooldown: time.Nanosecond, MaxAttempts: maxFailures - 1},
		Hasher:     auth.Argon2id{Memory: 64, Iterations: 1},
		Hashing:    auth.HashingPolicy{Floor: auth.NoFloor},
		SecondStep: auth.SecondStepPolicy{Factor: s},
		Clock:      func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	}
	s.api, err = newAPI(client, cfg, s, log)
	require.NoError(t, err)
	s.api.site, s.api.ipHeader, s.api.provider = "https://example.com", "X-Real-IP", provider{}
	s.server = httptest.NewTLSServer(s.api.handler())
	t.Cleanup(func() {
		s.server.Close()
		assert.NoError(t, s.api.auth.Close(context.WithoutCancel(t.Context())))
		s.api.mails.Wait()
	})
	return s
}

func (s *site) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// mailed waits for what is on its way and takes the mails since the last call.
func (s *site) mailed() []sent {
	s.api.mails.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := s.mails
	s.mails = nil
	return mails
}

// code takes the code from the one mail that was sent.
func (s *site) code() string { return s.secretOf(ada, digits) }

// link takes the secret from the link of the one mail that was sent.
func (s *site) link() string { return s.secretOf(ada, link) }

// secretTo takes either, where how many guesses the device has left decides.
func (s *site) secretTo(to string) string { return s.secretOf(to, digits+"|"+link) }

const (
	digits = `Your code is (\d{6})\.`
	link   = `https://example\.com/#code=([\w-]{43}) `
)

func (s *site) secretOf(to, pattern string) string {
	s.t.Helper()
	mails := s.mailed()
	require.Len(s.t, mails, 1)
	assert.Equal(s.t, to, mails[0].to)
	found := regexp.MustCompile(pattern).FindStringSubmatch(mails[0].text)
	require.NotEmpty(s.t, found, mails[0].text)
	secret := strings.Join(found[1:], "")
	s.secrets = append(s.secrets, secret)
	return secret
}

// subjects are those of the mails since the last call, all to Ada.
func (s *site) subjects() []string {
	var out []string
	for _, m := range s.mailed() {
		assert.Equal(s.t, ada, m.to)
		out = append(out, m.subject)
	}
	return out
}

// browser is a client that keeps cookies, at an address of its own.
type browser struct {
	*site
	client *http.Client
	ip     string
	// ticket is the last that the page got.
	ticket string
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	client := *s.server.Client()
	client.Jar = jar
	return &browser{site: s, client: &client, ip: fmt.Sprintf("192.0.2.%d", s.browsers.Add(1))}
}

// answer is what came back.
type answer struct {
	status  int
	body    string
	header  http.Header
	cookies []*http.Cookie
}

var tickets = regexp.MustCompile(`"ticket":"([\w-]{43})"`)

// same is what a client can tell one answer from another by. Tickets are random.
func (a answer) same() any {
	return []any{a.status, tickets.ReplaceAllString(a.body, `"ticket":"…"`), a.cookies}
}

// cookie is the value of a cookie that the answer sets.
func (a answer) cookie(name string) string {
	for _, c := range a.cookies {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) send(method, path string, body any, headers ...string) answer {
	b.t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		require.NoError(b.t, err)
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, content)
	require.NoError(b.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Real-IP", b.ip)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	require.NoError(b.t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, res.Body.Close())
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range res.Cookies() {
		if c.Value != "" {
			b.secrets = append(b.secrets, c.Value)
		}
	}
	if found := tickets.FindSubmatch(text); found != nil {
		b.ticket = string(found[1])
		b.secrets = append(b.secrets, b.ticket)
	}
	return answer{res.StatusCode, string(text), res.Header, res.Cookies()}
}

func (b *browser) post(path string, body any) answer {
	b.t.Helper()
	return b.send(http.MethodPost, path, body)
}

type fields map[string]string

func (b *browser) signIn(password string) answer {
	b.t.Helper()
	return b.post("/sign-in", fields{"email": ada, "password": password})
}

func (b *browser) isSignedIn() bool {
	b.t.Helper()
	return b.send(http.MethodGet, "/me", nil).status == http.StatusOK
}

// enter sends a code with the ticket that the page has.
func (b *browser) enter(path, code string) answer {
	b.t.Helper()
	return b.post(path, fields{"ticket": b.ticket, "code": code})
}

// register makes the account, with its address verified.
func (b *browser) register() {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.post("/register", fields{"name": "Ada", "email": ada, "password": password}).
		status)
	require.Equal(b.t, http.StatusNoContent, b.enter("/verify-email", b.code()).status)
}

// registered is a browser in which Ada registered and signed in.
func (s *site) registered() *browser {
	s.t.Helper()
	b := s.browser()
	b.register()
	require.Equal(s.t, http.StatusOK, b.signIn(password).status)
	return b
}

// refreshWith sends a refresh token that a thief or a slow client has.
func (s *site) refreshWith(token string) answer {
	s.t.Helper()
	return s.browser().send(http.MethodPost, "/refresh", nil, "Cookie", refreshCookie+"="+token)
}

// each runs fn on every database, and looks for secrets in the log afterwards.
func each(t *testing.T, fn func(t *testing.T, s *site)) {
	t.Helper()
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		s := newSite(t, url)
		fn(t, s)
		s.mailed()
		assert.Contains(t, s.logged(), `"action":"`)
		for _, secret := range s.secrets {
			assert.NotContains(t, s.logged(), secret)
		}
	})
}

func TestRegistrationTellsNobodyThatAnAddressIsTaken(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		in := fields{"name": "Ada", "email": ada, "password": password}
		free := b.post("/register", in)
		assert.Equal(t, http.StatusOK, free.status)
		code := s.code()

		taken := s.browser().post("/register", fields{"name": "Eve", "email": strings.ToUpper(ada),
			"password": newPassword})
		assert.Equal(t, free.same(), taken.same())
		mails := s.mailed()
		require.Len(t, mails, 1)
		assert.Equal(t, "You have an account already", mails[0].subject)
		assert.NotRegexp(t, `\d{6}`, mails[0].text)

		wrong := b.signIn("not the password at all")
		assert.Equal(t, http.StatusUnauthorized, wrong.status)
		assert.Equal(t, wrong.same(), b.signIn(password).same(), "the address is not verified")
		assert.Empty(t, s.mailed(), "the code before is still good")
		assert.Equal(t, http.StatusNoContent, b.enter("/verify-email", code).status)
		assert.Equal(t, http.StatusOK, b.signIn(password).status)
		assert.Equal(t, http.StatusUnauthorized, b.enter("/verify-email", code).status)

		short := b.post("/register", fields{"name": "Ada", "email": ada, "password": "short"})
		assert.Equal(t, http.StatusUnprocessableEntity, short.status)
		assert.Equal(t, http.StatusUnprocessableEntity, b.post("/register", fields{"name": "Ada", "email": "nobody",
			"password": password}).status)
	})
}

func TestCookiesAreKeptFromScriptsAndOtherSites(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		granted := b.signIn(password)
		assert.JSONEq(t, `{"id":1,"name":"Ada","email":"ada@example.com"}`, granted.body)
		assert.Equal(t, "no-store", granted.header.Get("Cache-Control"))
		require.Len(t, granted.cookies, 3)
		for i, want := range []http.Cookie{
			{Name: "__Host-session", Path: "/", SameSite: http.SameSiteLaxMode},
			{Name: "__Host-device", Path: "/", SameSite: http.SameSiteStrictMode},
			{Name: "__Secure-refresh", Path: "/refresh", SameSite: http.SameSiteStrictMode},
		} {
			got := granted.cookies[i]
			assert.True(t, got.Secure && got.HttpOnly, got.Name)
			assert.Empty(t, got.Domain)
			assert.Greater(t, got.Expires, time.Now())
			assert.Equal(t, want, http.Cookie{Name: got.Name, Path: got.Path, SameSite: got.SameSite})
			assert.Len(t, got.Value, 43)
		}

		for _, headers := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"}} {
			assert.Equal(t, http.StatusForbidden, b.send(http.MethodPost, "/sign-out", nil, headers...).status)
			assert.Equal(t, http.StatusForbidden, b.send(http.MethodDelete, "/sessions/1", nil, headers...).status)
		}
		assert.True(t, b.isSignedIn())
		assert.Equal(t, http.StatusNoContent, b.send(http.MethodPost, "/sign-out", nil, "Origin", s.server.URL,
			"Sec-Fetch-Site", "same-origin").status)
		assert.False(t, b.isSignedIn())
	})
}

func TestSigningOutEndsSessionAndRefreshToken(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		granted := b.signIn(password)
		thief := s.browser()
		stolen := sessionCookie + "=" + granted.cookie(sessionCookie)
		assert.Equal(t, http.StatusOK, thief.send(http.MethodGet, "/me", nil, "Cookie", stolen).status)

		out := b.post("/sign-out", nil)
		assert.Equal(t, http.StatusNoContent, out.status)
		require.Len(t, out.cookies, 2)
		for _, c := range out.cookies {
			assert.Negative(t, c.MaxAge, c.Name)
			assert.NotEqual(t, deviceCookie, c.Name)
		}
		assert.Equal(t, http.StatusUnauthorized, thief.send(http.MethodGet, "/me", nil, "Cookie", stolen).status)
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(granted.cookie(refreshCookie)).status)
		assert.Equal(t, http.StatusNoContent, b.post("/sign-out", nil).status, "again")
	})
}

func TestSigningOutAfterTheSessionEndedEndsTheRefreshTokenToo(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		refresh := b.signIn(password).cookie(refreshCookie)
		s.later(25 * time.Hour)
		assert.False(t, b.isSignedIn())
		assert.Equal(t, http.StatusNoContent, b.post("/sign-out", nil).status)
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(refresh).status)
	})
}

func TestRefreshingRenewsTheSession(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		first := b.signIn(password)
		s.later(25 * time.Hour)
		assert.False(t, b.isSignedIn())
		second := b.post("/refresh", nil)
		assert.Equal(t, http.StatusOK, second.status)
		assert.JSONEq(t, `{"id":1,"name":"Ada","email":"ada@example.com"}`, second.body)
		for _, name := range []string{sessionCookie, deviceCookie, refreshCookie} {
			assert.NotEmpty(t, second.cookie(name), name)
			assert.NotEqual(t, first.cookie(name), second.cookie(name), name)
		}
		assert.True(t, b.isSignedIn())
	})
}

func TestReusedRefreshTokenEndsItsDevice(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		first := b.signIn(password).cookie(refreshCookie)
		newest := b.post("/refresh", nil).cookie(refreshCookie)
		s.later(11 * time.Second)

		reused := s.refreshWith(first)
		assert.Equal(t, http.StatusUnauthorized, reused.status)
		assert.Equal(t, []string{"You were signed out on a device"}, s.subjects())
		assert.Equal(t, reused.same(), s.refreshWith(newest).same(), "the newest is revoked too")
		assert.Equal(t, reused.same(), s.refreshWith("nothing of ours").same())
		assert.Equal(t, reused.same(), b.post("/refresh", nil).same())
		assert.False(t, b.isSignedIn())
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.registered(), s.browser()
		unknown := phone.post("/sign-in/code", fields{"email": "nobody@example.com"})
		assert.Empty(t, s.mailed())
		assert.Equal(t, unknown.same(), phone.post("/sign-in/code", fields{"email": ada}).same())
		code := s.code()
		assert.Equal(t, http.StatusOK, phone.enter("/sign-in/code", code).status)
		assert.Equal(t, http.StatusUnauthorized, phone.enter("/sign-in/code", code).status)

		other := laptop.other()
		assert.Equal(t, phone.ip, other.IP)
		path := fmt.Sprintf("/sessions/%d", other.ID)

		eve := s.browser()
		assert.Equal(t, http.StatusUnauthorized, eve.send(http.MethodDelete, path, nil).status)
		assert.True(t, phone.isSignedIn())
		assert.Equal(t, http.StatusNoContent, laptop.send(http.MethodDelete, path, nil).status)
		assert.False(t, phone.isSignedIn())
		assert.True(t, laptop.isSignedIn())
		assert.Equal(t, http.StatusNotFound, laptop.send(http.MethodDelete, "/sessions/x", nil).status)

		again := laptop.signIn(password)
		require.Equal(t, http.StatusOK, again.status)
		assert.Len(t, laptop.sessions(), 1, "the session before the sign-in is ended")

		require.Equal(t, http.StatusOK, phone.signIn(password).status)
		assert.Equal(t, http.StatusNoContent, laptop.send(http.MethodDelete, "/sessions", nil).status)
		assert.False(t, phone.isSignedIn())
		assert.True(t, laptop.isSignedIn())
	})
}

func (b *browser) sessions() (out []session) {
	b.t.Helper()
	list := b.send(http.MethodGet, "/sessions", nil)
	require.NoError(b.t, json.Unmarshal([]byte(list.body), &out), list.body)
	return out
}

// other is the session of two that is not the browser's own.
func (b *browser) other() session {
	b.t.Helper()
	sessions := b.sessions()
	require.Len(b.t, sessions, 2)
	if sessions[0].Current {
		return sessions[1]
	}
	assert.True(b.t, sessions[1].Current)
	return sessions[0]
}

func TestResetEndsTheLockAndEverySession(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b, eve := s.browser(), s.browser()
		b.register()
		granted := b.signIn(password)
		require.Equal(t, http.StatusOK, granted.status)

		unknown := eve.post("/sign-in", fields{"email": "nobody@example.com", "password": password})
		for range maxFailures {
			assert.Equal(t, unknown.same(), eve.signIn("a guess at the password").same())
		}
		assert.Equal(t, unknown.same(), eve.signIn(password).same(), "the account is locked")
		assert.Contains(t, s.logged(), `"action":"lock"`)

		none := eve.post("/password/forgot", fields{"email": "nobody@example.com"})
		assert.Empty(t, s.mailed())
		assert.Equal(t, none.same(), b.post("/password/forgot", fields{"email": ada}).same())
		code := s.code()
		wrong := eve.post("/password/reset", fields{"ticket": b.ticket, "code": "000000x", "password": newPassword})
		assert.Equal(t, http.StatusUnauthorized, wrong.status)
		assert.Equal(t, wrong.same(), eve.post("/password/reset", fields{"ticket": eve.ticket, "code": code,
			"password": newPassword}).same(), "the code belongs to another ticket")
		right := fields{"ticket": b.ticket, "code": code, "password": newPassword}
		assert.Equal(t, http.StatusNoContent, b.post("/password/reset", right).status)
		assert.Equal(t, []string{"Your password was changed"}, s.subjects())

		assert.False(t, b.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(granted.cookie(refreshCookie)).status)
		assert.Equal(t, http.StatusUnauthorized, b.signIn(password).status)
		assert.Equal(t, http.StatusOK, b.signIn(newPassword).status)
		assert.Equal(t, wrong.same(), b.post("/password/reset", right).same(), "the code is used")
	})
}

func TestAChangedPasswordSignsOutEverywhere(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.registered(), s.browser()
		require.Equal(t, http.StatusOK, phone.signIn(password).status)
		change := fields{"password": "not the password at all", "new_password": newPassword}
		assert.Equal(t, http.StatusUnauthorized, s.browser().post("/password", change).status)
		assert.Equal(t, http.StatusUnauthorized, laptop.post("/password", change).status)
		assert.True(t, phone.isSignedIn())

		change["password"] = password
		assert.Equal(t, http.StatusNoContent, laptop.post("/password", change).status)
		assert.Equal(t, []string{"Your password was changed"}, s.subjects())
		assert.False(t, phone.isSignedIn())
		assert.False(t, laptop.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, laptop.signIn(password).status)
		assert.Equal(t, http.StatusOK, laptop.signIn(newPassword).status)
	})
}

func TestMailsAreLimitedWhetherOrNotThereIsAnAccount(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		owner, eve := s.registered(), s.browser()
		for _, email := range []string{ada, "nobody@example.com"} {
			for range 3 {
				assert.Equal(t, http.StatusOK, eve.post("/sign-in/code", fields{"email": email}).status)
			}
			refused := eve.post("/password/forgot", fields{"email": email})
			assert.Equal(t, http.StatusTooManyRequests, refused.status, email)
			assert.Empty(t, refused.cookies)
		}
		assert.Len(t, s.subjects(), 3)
		assert.Equal(t, http.StatusOK, owner.post("/password/forgot", fields{"email": ada}).status)
		assert.Len(t, s.subjects(), 1)
	})
}

func TestBodiesAreLimitedAndMustBeJSON(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		assert.Equal(t, http.StatusRequestEntityTooLarge,
			b.post("/sign-in", fields{"email": strings.Repeat("a", 20_000)}).status)
		assert.Equal(t, http.StatusBadRequest, b.post("/sign-in", fields{"role": "admin"}).status)
		assert.Equal(t, http.StatusBadRequest, b.post("/sign-in", nil).status)
		form := b.send(http.MethodPost, "/sign-in", fields{"email": ada}, "Content-Type",
			"application/x-www-form-urlencoded")
		assert.Equal(t, http.StatusUnsupportedMediaType, form.status)
		assert.JSONEq(t, `{"error":"Content-Type must be application/json"}`, form.body)
		assert.Equal(t, http.StatusMethodNotAllowed, b.send(http.MethodGet, "/sign-out", nil).status)
		assert.Equal(t, http.StatusUnauthorized, b.signIn(password).status)
	})
}

func TestServiceStartsOnSQLiteAndEndsWhenToldTo(t *testing.T) {
	t.Setenv("DATABASE_URL", "sqlite://"+filepath.Join(t.TempDir(), "authgraph.db"))
	t.Setenv("AUTHGRAPH_KEY", "")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, options{addr: addr}, slog.New(slog.NewTextHandler(&log, nil))) }()
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + addr + "/me")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusUnauthorized
	}, time.Minute, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	assert.Contains(t, log.String(), "AUTHGRAPH_KEY is not set")
}

func TestCodesAreNotLoggedWhereOthersCanConnect(t *testing.T) {
	t.Setenv("DATABASE_URL", "sqlite://"+filepath.Join(t.TempDir(), "authgraph.db"))
	t.Setenv("AUTHGRAPH_KEY", "not base64!")
	log := slog.New(slog.DiscardHandler)
	assert.ErrorContains(t, run(t.Context(), options{addr: ":0"}, log), "AUTHGRAPH_KEY is not base64")
	t.Setenv("AUTHGRAPH_KEY", "c2hvcnQ=")
	assert.ErrorContains(t, run(t.Context(), options{addr: ":0"}, log),
		"has 5 bytes in key 0: give at least 32 random ones")
	t.Setenv("AUTHGRAPH_KEY", "")
	assert.ErrorContains(t, run(t.Context(), options{addr: ":0"}, log), "put your own Mailer in its place")
}

func TestADatabaseThatTakesNoWritesIsA503(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var away atomic.Bool
		proxy := mysqltest.Proxy{Refusal: 1290, Hook: func(int, string) mysqltest.Action {
			if away.Load() {
				return mysqltest.Refuse
			}
			return mysqltest.Forward
		}}
		b := newSite(t, proxy.Start(t, url)).browser()
		b.register()
		require.Equal(t, http.StatusOK, b.signIn(password).status)
		away.Store(true)
		for _, a := range []answer{b.signIn(password), b.send(http.MethodGet, "/me", nil), b.post("/refresh", nil)} {
			assert.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
			assert.Equal(t, "2", a.header.Get("Retry-After"))
		}
		away.Store(false)
		assert.True(t, b.isSignedIn())
	})
}
