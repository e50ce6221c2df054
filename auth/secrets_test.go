package auth_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// recorder is a source of randomness that remembers the secrets made of it. Codes have 18 digits here: six are found
// anywhere by chance.
type recorder struct {
	mu      sync.Mutex
	secrets []string
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := rand.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch len(p) {
	case 32:
		r.secrets = append(r.secrets, base64.RawURLEncoding.EncodeToString(p), hex.EncodeToString(p))
	case 8:
		r.secrets = append(r.secrets, fmt.Sprintf("%018d", binary.BigEndian.Uint64(p)&(1<<60-1)))
	}
	return n, err
}

func (r *recorder) all(keys ...[]byte) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append([]string{password, newPassword}, r.secrets...)
	for _, key := range keys {
		all = append(all, string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key),
			strings.Trim(fmt.Sprintf("%d", key), "[]"))
	}
	return all
}

func assertNone(t *testing.T, secrets []string, text, where string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			assert.Fail(t, "a secret is shown", "%q in %s: %s", secret, where, text)
		}
	}
}

func TestNoSecretIsStoredLoggedOrToldInAnError(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		var random recorder
		var logged bytes.Buffer
		var told, failed strings.Builder
		log := auth.LogTo(slog.New(slog.NewJSONHandler(&logged, nil)))
		w := newWorldWith(t, url, func(c *auth.Config) {
			c.Random, c.OTP.Length, c.Hasher = &random, 18, auth.Argon2id{Memory: 64, Iterations: 1}
			c.Observer = observerFunc(func(e auth.Event) {
				log.Observe(t.Context(), e)
				fmt.Fprintf(&told, "%+v\n", e)
			})
		})
		var s saboteur
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
		fail := func(err error) {
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(&failed, "%v\n%+v\n%#v\n", err, err, err)
			}
		}
		for _, op := range append(operations, transitions...) {
			call := op.arrange(t, w, w.email())
			fail(call(t.Context(), w.service(t, w.client, op.grace)))
			fail(call(t.Context(), w.service(t, w.client, op.grace)))
			for n, landed := 1, true; landed; n++ {
				call := op.arrange(t, w, w.email())
				svc := w.service(t, client, op.grace)
				s.arm(n, fault{err: errOrdinary})
				fail(call(t.Context(), svc))
				landed = s.disarm().landed
			}
		}
		fail(refusedInputs(t, w))

		secrets := random.all(w.key)
		assert.Greater(t, len(secrets), 100)
		assertNone(t, secrets, logged.String(), "the log")
		assertNone(t, secrets, told.String(), "the events")
		assertNone(t, secrets, failed.String(), "an error")
		assert.NotContains(t, logged.String()+told.String()+failed.String(), "@example.com")
		tables := w.tables(t)
		assert.Len(t, tables, 6)
		for _, table := range tables {
			assertNone(t, secrets, w.dump(t, table), "table "+table)
		}
	})
}

// refusedInputs are the errors for what a caller should not have passed.
func refusedInputs(t *testing.T, w *world) error {
	t.Helper()
	ctx, s := t.Context(), w.honest
	taken := w.email()
	w.register(t, taken)
	var errs []error
	add := func(err error) {
		assert.Error(t, err)
		errs = append(errs, err)
	}
	for _, email := range []string{taken, "none", "\xff@example.com", strings.Repeat("x", 300) +
		"@example.com", "a b@example.com"} {
		_, _, err := s.Register(ctx, "Ada", email, password)
		add(err)
	}
	for _, name := range []string{strings.Repeat("x", 101), password + "\xff", "", " \t\n", "\u200b\u00a0"} {
		_, _, err := s.Register(ctx, name, w.email(), password)
		var input *auth.InputError
		if assert.ErrorAs(t, err, &input) {
			assert.Equal(t, "name", input.Field)
		}
		add(err)
	}
	for _, password := range []string{"short", password + "\xff", strings.Repeat(password, 10)} {
		_, _, err := s.Register(ctx, "Ada", w.email(), password)
		add(err)
	}
	for _, id := range []auth.Identity{
		{}, {Provider: schematype.ProviderLocal, Subject: password},
		{Provider: schematype.Provider(password), Subject: password, Email: w.email()},
		{Provider: schematype.ProviderGoogle, Subject: "\xff", Email: w.email()},
		{Provider: schematype.ProviderGoogle, Subject: strings.Repeat(password, 10), Email: w.email()},
		{Provider: schematype.ProviderGoogle, Subject: password, Email: taken},
		{Provider: schematype.ProviderGoogle, Subject: password, Email: "none"},
	} {
		_, err := s.SignInWithProvider(ctx, id, device)
		add(err)
	}
	_, err := s.IssueCode(ctx, codeFor("none"))
	var input *auth.InputError
	assert.ErrorAs(t, err, &input)
	add(err)
	_, err = s.IssueCode(ctx, auth.CodeRequest{Email: taken, Kind: schematype.OTPType(password)})
	add(err)
	add(s.ChangeRole(ctx, 1, schematype.Role(password)))
	_, _, err = s.CheckSession(ctx, auth.ParseToken(password))
	add(err)
	_, _, err = s.Rotate(ctx, auth.ParseToken(strings.Repeat(password, 100)))
	add(err)
	return errors.Join(errs...)
}

func (w *world) tables(t *testing.T) []string {
	t.Helper()
	if strings.HasPrefix(w.url, "sqlite") {
		return column[string](t, w.db,
			`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	}
	return column[string](t, w.db, `SHOW TABLES`)
}

func (w *world) dump(t *testing.T, table string) string {
	t.Helper()
	rows, err := w.db.Query(`SELECT * FROM ` + table)
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	values := make([]sql.RawBytes, len(names))
	dest := make([]any, len(names))
	for i := range values {
		dest[i] = &values[i]
	}
	var b strings.Builder
	n := 0
	for ; rows.Next(); n++ {
		require.NoError(t, rows.Scan(dest...))
		for _, value := range values {
			b.Write(value)
			b.WriteByte('\n')
		}
	}
	require.NoError(t, rows.Err())
	assert.NotZero(t, n, table)
	return b.String()
}

type observerFunc func(auth.Event)

func (f observerFunc) Observe(_ context.Context, e auth.Event) { f(e) }

// Every way to print or encode a value, of every type that holds a secret, alone and within others.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdefghijklmnopqrstuvwxyz")
	token, code := auth.ParseToken("the-secret-of-the-token"), auth.ParseCode("987654321987654321")
	secrets := append((&recorder{}).all(key), token.Reveal(), code.Reveal(),
		hex.EncodeToString([]byte(token.Reveal())), hex.EncodeToString([]byte(code.Reveal())),
		strings.ToUpper(hex.EncodeToString([]byte(token.Reveal()))), strings.ToUpper(hex.EncodeToString(key)),
		fmt.Sprintf("% x", key), fmt.Sprintf("%#v", key))
	w := newWorld(t, mysqltest.SQLite(t))
	config := w.config()
	config.Keys = auth.NewKeys(key)
	service, err := auth.New(w.client, config)
	require.NoError(t, err)
	grant := auth.Grant{User: &auth.User{}, Session: &auth.Session{}, Token: token, Refresh: token}
	issued := auth.Issued{Code: code}

	values := map[string]any{
		"token": token, "*token": &token, "code": code, "*code": &code, "keys": config.Keys, "*keys": &config.Keys,
		"grant": grant, "*grant": &grant, "issued": issued, "*issued": &issued,
		"config": config, "*config": &config, "service": service,
		"slice": []auth.Token{token}, "array": [1]auth.Code{code}, "map": map[string]auth.Token{"t": token},
		"key of a map": map[auth.Token]int{token: 1},
		"exported": struct {
			Token auth.Token
			Code  *auth.Code
			Any   any
		}{token, &code, token},
		"unexported": struct {
			token  auth.Token
			code   auth.Code
			grant  auth.Grant
			issued *auth.Issued
			keys   auth.Keys
			config auth.Config
			list   []auth.Token
			any    any
		}{token, code, grant, &issued, config.Keys, config, []auth.Token{token}, code},
		"embedded": struct{ auth.Grant }{grant},
		"error":    fmt.Errorf("wrapped: %v %s", token, code),
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U",
			"%e", "%t", "%p", "%T", "%10.3v", "%!"} {
			assertNone(t, secrets, fmt.Sprintf(verb, v), name+" with "+verb)
		}
		assertNone(t, secrets, fmt.Sprintln(v)+fmt.Sprint(v, v), name+" with Sprint")
		if text, err := json.Marshal(v); err == nil {
			assertNone(t, secrets, string(text), name+" in JSON")
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(v); err == nil {
			assertNone(t, secrets, b.String(), name+" in gob")
		}
		b.Reset()
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		assertNone(t, secrets, b.String(), name+" in slog")
	}
	assert.Equal(t, "the-secret-of-the-token", token.Reveal())
	assert.Equal(t, "987654321987654321", code.Reveal())
}

func TestSecretsPrintAsStars(t *testing.T) {
	t.Parallel()
	token, code, keys := auth.ParseToken("secret"), auth.ParseCode("123456"), auth.NewKeys(make([]byte, 32))
	for _, v := range []any{token, code, keys, auth.Token{}, auth.Code{}, auth.Keys{}} {
		assert.Equal(t, "***", fmt.Sprint(v))
		assert.Equal(t, "***", fmt.Sprintf("%s", v))
		assert.Equal(t, "***", fmt.Sprintf("%+v", v))
		text, err := json.Marshal(map[string]any{"v": v})
		require.NoError(t, err)
		assert.JSONEq(t, `{"v":"***"}`, string(text))
	}
	assert.Empty(t, auth.Token{}.Reveal())
	assert.Empty(t, auth.Code{}.Reveal())

	// What was hidden must not come back as a token of three stars.
	var back struct{ Token auth.Token }
	assert.Error(t, json.Unmarshal([]byte(`{"Token":"***"}`), &back))
	// gob has no way to leave a value out, so it refuses.
	assert.Error(t, gob.NewEncoder(&bytes.Buffer{}).Encode(auth.Grant{Token: token}))
}

func TestKeysAreTheServicesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	key := bytes.Clone(w.key)
	config := w.config()
	config.Keys = auth.NewKeys(key)
	s, err := auth.New(w.client, config)
	require.NoError(t, err)
	clear(key)
	email := w.email()
	issued := w.issue(t, email, schematype.OTPSignIn)
	assert.NoError(t, s.VerifyCode(t.Context(), schematype.OTPSignIn, issued.Ticket, issued.Code))
}

func TestWithoutRandomnessNothingIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	for _, tr := range transitions {
		clean, email := w.email(), w.email()
		require.ErrorIs(t, tr.arrange(t, w, clean)(t.Context(), w.service(t, w.client, tr.grace)), tr.done)
		after := w.state(t, clean)

		for read := range 3 {
			call := tr.arrange(t, w, email)
			before := w.state(t, email)
			config := w.config()
			config.Refresh.Grace = cmp.Or(tr.grace, auth.NoGrace)
			config.Random = &runsDry{left: read}
			s, err := auth.New(w.client, config)
			require.NoError(t, err)
			err = call(t.Context(), s)
			if is(err, tr.done) {
				assert.Equal(t, after, w.state(t, email), tr.name)
			} else {
				assert.ErrorContains(t, err, "random", tr.name)
				assert.Equal(t, before, w.state(t, email), tr.name)
			}
			email = w.email()
		}
	}
}

// runsDry gives as many secrets as it has left, and half of a further one.
type runsDry struct{ left int }

func (r *runsDry) Read(p []byte) (int, error) {
	r.left--
	if r.left >= 0 {
		return rand.Read(p)
	}
	n, _ := rand.Read(p[:len(p)/2])
	return n, iotest.ErrTimeout
}

func TestTimesOfAnEventAreTheServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	at := time.Date(2030, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	config := w.config()
	config.Clock = func() time.Time { return at }
	var seen auth.Event
	config.Observer = observerFunc(func(e auth.Event) { seen = e })
	s, err := auth.New(w.client, config)
	require.NoError(t, err)
	_, _, err = s.Register(t.Context(), "Ada", w.email(), password)
	require.NoError(t, err)
	assert.Equal(t, time.Date(2030, 1, 2, 2, 4, 5, 6000, time.UTC), seen.At)
}
