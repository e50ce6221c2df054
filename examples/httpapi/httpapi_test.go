package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

const (
	ada         = "ada@example.com"
	password    = "correct horse battery"
	newPassword = "staple battery horse"
	maxFailures = 3
)

// site is the service over TLS, with what it mailed and logged.
type site struct {
	t      *testing.T
	api    *api
	server *httptest.Server

	mu      sync.Mutex
	mails   []sent
	log     bytes.Buffer
	secrets []string
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

func newSite(t *testing.T, url string) *site {
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
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
	svc, err := auth.New(client, auth.Config{
		Keys:     auth.NewKeys([]byte("a key of at least thirty-two bytes")),
		Lockout:  auth.LockoutPolicy{MaxFailures: maxFailures},
		OTP:      auth.OTPPolicy{ResendCooldown: time.Nanosecond},
		Hasher:   auth.Argon2id{Memory: 64, Iterations: 1},
		Hashing:  auth.HashingPolicy{Floor: auth.NoFloor},
		Account:  auth.AccountPolicy{VerifiedOnly: true},
		Observer: auth.LogTo(log),
	})
	require.NoError(t, err)
	s.api = &api{auth: svc, mailer: s, log: log}
	s.server = httptest.NewTLSServer(s.api.handler())
	t.Cleanup(func() {
		s.server.Close()
		s.api.mails.Wait()
		assert.NoError(t, svc.Close(context.WithoutCancel(t.Context())))
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
func (s *site) code() string {
	s.t.Helper()
	mails := s.mailed()
	require.Len(s.t, mails, 1)
	assert.Equal(s.t, ada, mails[0].to)
	code := regexp.MustCompile(`\d{6}`).FindString(mails[0].text)
	require.NotEmpty(s.t, code, mails[0].text)
	s.secrets = append(s.secrets, code)
	return code
}

// browser is a client that keeps cookies.
type browser struct {
	*site
	client *http.Client
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	client := *s.server.Client()
	client.Jar = jar
	return &browser{site: s, client: &client}
}

// answer is what came back.
type answer struct {
	status  int
	body    string
	header  http.Header
	cookies []*http.Cookie
}

// same is what a client can tell one answer from another by. Tickets are random.
func (a answer) same() any {
	var cookies []http.Cookie
	for _, c := range a.cookies {
		cookie := *c
		if c.Name == ticketCookie {
			cookie.Value, cookie.Raw, cookie.Expires, cookie.RawExpires = "", "", time.Time{}, ""
		}
		cookies = append(cookies, cookie)
	}
	return []any{a.status, a.body, cookies}
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
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	require.NoError(b.t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, res.Body.Close())
	for _, c := range res.Cookies() {
		if c.Value != "" {
			b.secrets = append(b.secrets, c.Value)
		}
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

// register makes the account, with its address verified.
func (b *browser) register() {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.post("/register", fields{"name": "Ada", "email": ada, "password": password}).
		status)
	require.Equal(b.t, http.StatusNoContent, b.post("/verify-email", fields{"email": ada, "code": b.code()}).status)
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

		taken := s.browser().post("/register", fields{"name": "Eve", "email": strings.ToUpper(ada), "password": newPassword})
		assert.Equal(t, free.same(), taken.same())
		mails := s.mailed()
		require.Len(t, mails, 1)
		assert.Equal(t, "You have an account already", mails[0].subject)
		assert.NotRegexp(t, `\d{6}`, mails[0].text)

		wrong := b.signIn("not the password at all")
		assert.Equal(t, http.StatusUnauthorized, wrong.status)
		assert.Equal(t, wrong.same(), b.signIn(password).same(), "the address is not verified")
		assert.Empty(t, s.mailed(), "the code before is still good")
		assert.Equal(t, http.StatusNoContent, b.post("/verify-email", fields{"email": ada, "code": code}).status)
		assert.Equal(t, http.StatusOK, b.signIn(password).status)
		assert.Equal(t, http.StatusUnauthorized, b.post("/verify-email", fields{"email": ada, "code": code}).status)

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
			{Name: "__Secure-refresh", Path: "/refresh", SameSite: http.SameSiteStrictMode},
			{Name: "__Secure-refresh", Path: "/sign-out", SameSite: http.SameSiteStrictMode},
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
		stolen := sessionCookie + "=" + granted.cookies[0].Value
		assert.Equal(t, http.StatusOK, thief.send(http.MethodGet, "/me", nil, "Cookie", stolen).status)

		out := b.post("/sign-out", nil)
		assert.Equal(t, http.StatusNoContent, out.status)
		require.Len(t, out.cookies, 3)
		for _, c := range out.cookies {
			assert.Negative(t, c.MaxAge, c.Name)
		}
		assert.Equal(t, http.StatusUnauthorized, thief.send(http.MethodGet, "/me", nil, "Cookie", stolen).status)
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(granted.cookies[1].Value).status)
		assert.Equal(t, http.StatusNoContent, b.post("/sign-out", nil).status, "again")
	})
}

func TestReusedRefreshTokenEndsItsFamily(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		first := b.signIn(password).cookies[1].Value
		rotated := b.post("/refresh", nil)
		assert.Equal(t, http.StatusOK, rotated.status)
		assert.JSONEq(t, `{"id":1,"name":"Ada","email":"ada@example.com"}`, rotated.body)
		second := rotated.cookies[0].Value
		assert.NotEqual(t, first, second)
		third := b.post("/refresh", nil).cookies[0].Value

		reused := s.refreshWith(first)
		assert.Equal(t, http.StatusUnauthorized, reused.status)
		assert.Negative(t, reused.cookies[0].MaxAge)
		assert.Equal(t, reused.same(), s.refreshWith(third).same(), "the newest is revoked too")
		assert.Equal(t, reused.same(), s.refreshWith("nothing of ours").same())
		assert.Equal(t, reused.same(), b.post("/refresh", nil).same())
		assert.True(t, b.isSignedIn())
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.browser(), s.browser()
		laptop.register()
		require.Equal(t, http.StatusOK, laptop.signIn(password).status)

		unknown := phone.post("/sign-in/code", fields{"email": "nobody@example.com"})
		assert.Empty(t, s.mailed())
		assert.Equal(t, unknown.same(), phone.post("/sign-in/code", fields{"email": ada}).same())
		code := s.code()
		assert.Equal(t, http.StatusOK, phone.post("/sign-in/code", fields{"email": ada, "code": code}).status)
		assert.Equal(t, http.StatusUnauthorized, phone.post("/sign-in/code", fields{"email": ada, "code": code}).status)

		var sessions []session
		list := laptop.send(http.MethodGet, "/sessions", nil)
		require.NoError(t, json.Unmarshal([]byte(list.body), &sessions))
		require.Len(t, sessions, 2)
		assert.Equal(t, "127.0.0.1", sessions[0].IP)
		other := sessions[0]
		if other.Current {
			other = sessions[1]
		}
		assert.False(t, other.Current)
		path := "/sessions/" + jsonNumber(t, other.ID)

		eve := s.browser()
		assert.Equal(t, http.StatusUnauthorized, eve.send(http.MethodDelete, path, nil).status)
		assert.True(t, phone.isSignedIn())
		assert.Equal(t, http.StatusNoContent, laptop.send(http.MethodDelete, path, nil).status)
		assert.False(t, phone.isSignedIn())
		assert.True(t, laptop.isSignedIn())
		assert.Equal(t, http.StatusNotFound, laptop.send(http.MethodDelete, "/sessions/x", nil).status)

		again := laptop.signIn(password)
		require.Equal(t, http.StatusOK, again.status)
		list = laptop.send(http.MethodGet, "/sessions", nil)
		require.NoError(t, json.Unmarshal([]byte(list.body), &sessions))
		assert.Len(t, sessions, 1, "the session before the sign-in is ended")
	})
}

func jsonNumber(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
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
		wrong := eve.post("/password/reset", fields{"email": ada, "code": "000000x", "password": newPassword})
		assert.Equal(t, http.StatusUnauthorized, wrong.status)
		assert.Equal(t, wrong.same(), eve.post("/password/reset", fields{"email": "nobody@example.com", "code": code,
			"password": newPassword}).same())
		assert.Equal(t, http.StatusNoContent, b.post("/password/reset", fields{"email": ada, "code": code,
			"password": newPassword}).status)
		mails := s.mailed()
		require.Len(t, mails, 1)
		assert.Equal(t, sent{ada, mail{"Your password was changed", mails[0].text}}, mails[0])

		assert.False(t, b.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(granted.cookies[1].Value).status)
		assert.Equal(t, http.StatusUnauthorized, b.signIn(password).status)
		assert.Equal(t, http.StatusOK, b.signIn(newPassword).status)
		assert.Equal(t, wrong.same(), b.post("/password/reset", fields{"email": ada, "code": code,
			"password": password}).same(), "the code is used")
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
	go func() { ended <- run(ctx, addr, slog.New(slog.NewTextHandler(&log, nil))) }()
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
	assert.ErrorContains(t, run(t.Context(), ":0", log), "AUTHGRAPH_KEY is not base64")
	t.Setenv("AUTHGRAPH_KEY", "c2hvcnQ=")
	assert.ErrorContains(t, run(t.Context(), ":0", log), "has 5 bytes in key 0: give at least 32 random ones")
	t.Setenv("AUTHGRAPH_KEY", "")
	assert.ErrorContains(t, run(t.Context(), ":0", log), "put your own Mailer in its place")
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
