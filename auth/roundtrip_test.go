package auth_test

import (
	"cmp"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// roundTrips are the commands of each operation as they cross the wire, each of them one wait for the server. A longer
// list here is a slower sign-in for everybody.
var roundTrips = map[string]string{
	"ask for another address": "SELECT users, UPDATE users, START TRANSACTION, SELECT users, SELECT otps, " +
		"SELECT otps, INSERT otp_stripes, INSERT otps, SELECT otps, SELECT otps, UPDATE otps, UPDATE users, " +
		"COMMIT",
	"change a password": "SELECT users, UPDATE users, START TRANSACTION, UPDATE users, SELECT refresh_tokens, " +
		"SELECT sessions, SELECT refresh_tokens, UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, " +
		"COMMIT",
	"change a password with a code": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, SELECT users, " +
		"UPDATE users, SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, UPDATE refresh_tokens, " +
		"SELECT sessions, UPDATE sessions, COMMIT",
	"change a role": "UPDATE users",
	"change an address": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, SELECT users, " +
		"UPDATE users, SELECT sessions, UPDATE sessions users, SELECT refresh_tokens, SELECT sessions, " +
		"SELECT refresh_tokens, UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, COMMIT",
	"check a session":                     "SELECT sessions users",
	"check a session that does not exist": "SELECT sessions users",
	"delete": "START TRANSACTION, UPDATE users, SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, " +
		"UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, COMMIT",
	"erase": "START TRANSACTION, SELECT users, UPDATE users, SELECT refresh_tokens, SELECT sessions, " +
		"SELECT refresh_tokens, UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, SELECT sessions, " +
		"DELETE sessions, SELECT refresh_tokens refresh_tokens, DELETE refresh_tokens, SELECT otps, SELECT otps, " +
		"DELETE otps, SELECT refresh_tokens, DELETE users, COMMIT",
	"erase what holds evidence of reuse": "START TRANSACTION, SELECT users, UPDATE users, SELECT refresh_tokens, " +
		"SELECT sessions, SELECT refresh_tokens, UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, " +
		"SELECT sessions, DELETE sessions, SELECT refresh_tokens refresh_tokens, DELETE refresh_tokens, " +
		"SELECT otps, SELECT otps, SELECT refresh_tokens, SELECT refresh_tokens, UPDATE users, COMMIT",
	"issue a code": "START TRANSACTION, SELECT users, SELECT otps, SELECT otps, INSERT otp_stripes, " +
		"INSERT otps, SELECT otps, SELECT otps, UPDATE users, UPDATE otps, COMMIT",
	"issue a code in place of another": "START TRANSACTION, SELECT users, SELECT otps, SELECT otps, " +
		"SELECT otps, INSERT otp_stripes, INSERT otps, SELECT otps, SELECT otps, UPDATE users, UPDATE otps, " +
		"UPDATE otps, COMMIT",
	"issue a code on a device that signed in before": "START TRANSACTION, SELECT users, SELECT sessions users, " +
		"SELECT sessions, SELECT otps, INSERT otp_stripes, INSERT otps, SELECT otps, UPDATE sessions, " +
		"UPDATE otps, COMMIT",
	"issue a code to whoever shows a link": "START TRANSACTION, SELECT users, SELECT otps, SELECT otps, " +
		"INSERT otp_stripes, INSERT otps, SELECT otps, UPDATE users, UPDATE otps, COMMIT",
	"issue a code too soon": "START TRANSACTION, SELECT users, SELECT otps, SELECT otps, ROLLBACK",
	"issue a refresh token": "START TRANSACTION, UPDATE users, INSERT refresh_tokens, COMMIT",
	"issue a second code within the window": "START TRANSACTION, SELECT users, SELECT otps, SELECT otps, " +
		"INSERT otp_stripes, INSERT otps, SELECT otps, SELECT otps, UPDATE users, UPDATE otps, COMMIT",
	"link a provider": "SELECT sessions users, START TRANSACTION, SELECT users, SELECT sessions, UPDATE users, " +
		"COMMIT",
	"list sessions": "SELECT sessions, SELECT refresh_tokens, SELECT sessions",
	"purge an account": "START TRANSACTION, SELECT otps, COMMIT, START TRANSACTION, SELECT sessions, COMMIT, " +
		"START TRANSACTION, SELECT refresh_tokens, COMMIT, START TRANSACTION, SELECT users, SELECT users, " +
		"SELECT sessions, SELECT refresh_tokens, DELETE users, COMMIT",
	"purge codes": "START TRANSACTION, SELECT otps, DELETE otps, COMMIT, START TRANSACTION, SELECT sessions, " +
		"COMMIT, START TRANSACTION, SELECT refresh_tokens, COMMIT, START TRANSACTION, SELECT users, " +
		"SELECT users, COMMIT",
	"reactivate": "SELECT users, UPDATE users, START TRANSACTION, UPDATE users, INSERT sessions, " +
		"INSERT refresh_tokens, COMMIT",
	"register": "INSERT users",
	"renew": "SELECT refresh_tokens users, START TRANSACTION, UPDATE users, INSERT refresh_tokens, " +
		"UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, COMMIT",
	"renew in grace": "SELECT refresh_tokens users, SELECT refresh_tokens users refresh_tokens refresh_tokens, " +
		"SELECT sessions",
	"renew what was rotated in grace": "SELECT refresh_tokens users, " +
		"SELECT refresh_tokens users refresh_tokens refresh_tokens, SELECT sessions, START TRANSACTION, " +
		"UPDATE users, SELECT refresh_tokens, SELECT sessions, UPDATE refresh_tokens, SELECT sessions, " +
		"UPDATE sessions, COMMIT",
	"reset a password": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, SELECT users, UPDATE users, " +
		"SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, UPDATE refresh_tokens, " +
		"SELECT sessions, UPDATE sessions, UPDATE users, SELECT refresh_tokens, SELECT sessions, " +
		"SELECT refresh_tokens, SELECT sessions, COMMIT",
	"restore": "UPDATE users",
	"reuse": "SELECT refresh_tokens users, SELECT refresh_tokens users refresh_tokens refresh_tokens, " +
		"START TRANSACTION, SELECT refresh_tokens, UPDATE refresh_tokens, UPDATE sessions, COMMIT",
	"revoke a family": "START TRANSACTION, SELECT refresh_tokens, UPDATE refresh_tokens, UPDATE sessions, " +
		"COMMIT",
	"revoke all": "START TRANSACTION, UPDATE users, SELECT refresh_tokens, SELECT sessions, " +
		"SELECT refresh_tokens, UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, COMMIT",
	"revoke sessions": "SELECT sessions, SELECT sessions, START TRANSACTION, UPDATE refresh_tokens, " +
		"UPDATE sessions, UPDATE sessions, COMMIT",
	"rotate": "SELECT refresh_tokens users, START TRANSACTION, " +
		"INSERT refresh_tokens, UPDATE refresh_tokens, COMMIT",
	"rotate a token that does not exist": "SELECT refresh_tokens users",
	"rotate in grace": "SELECT refresh_tokens users, " +
		"SELECT refresh_tokens users refresh_tokens refresh_tokens",
	"sign in": "SELECT users, UPDATE users, START TRANSACTION, UPDATE users, INSERT sessions, " +
		"INSERT refresh_tokens, COMMIT",
	"sign in on a device that signed in before": "SELECT users, SELECT sessions users, UPDATE sessions, " +
		"START TRANSACTION, UPDATE users, SELECT sessions, UPDATE refresh_tokens, UPDATE sessions, " +
		"UPDATE sessions, INSERT sessions, INSERT refresh_tokens, COMMIT",
	"sign in to a suspended account": "SELECT users, UPDATE users, UPDATE users",
	"sign in with a code": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, SELECT users, " +
		"UPDATE users, INSERT sessions, INSERT refresh_tokens, COMMIT",
	"sign in with a code for the first time": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, " +
		"SELECT users, UPDATE users, SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, " +
		"UPDATE refresh_tokens, SELECT sessions, UPDATE sessions, UPDATE users, INSERT sessions, " +
		"INSERT refresh_tokens, COMMIT",
	"sign in with a provider again": "START TRANSACTION, SELECT users, UPDATE users, INSERT sessions, " +
		"INSERT refresh_tokens, COMMIT",
	"sign in with a provider for the first time": "START TRANSACTION, SELECT users, SELECT users, " +
		"INSERT users, UPDATE users, INSERT sessions, INSERT refresh_tokens, COMMIT",
	"sign in with a wrong password": "SELECT users, UPDATE users, UPDATE users",
	"sign in without an account":    "SELECT users, UPDATE users, UPDATE users",
	"sign out": "SELECT sessions, START TRANSACTION, UPDATE refresh_tokens, UPDATE sessions, " +
		"COMMIT",
	"start a session": "START TRANSACTION, UPDATE users, INSERT sessions users, COMMIT",
	"suspend":         "UPDATE users",
	"take over an account that was never verified": "START TRANSACTION, SELECT users, SELECT users, " +
		"UPDATE users, SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, UPDATE refresh_tokens, " +
		"SELECT sessions, UPDATE sessions, UPDATE users, UPDATE users, INSERT sessions, " +
		"INSERT refresh_tokens, COMMIT",
	"take the first of two steps": "SELECT users, UPDATE users, START TRANSACTION, UPDATE users, " +
		"SELECT users, INSERT otps, UPDATE users, COMMIT",
	"take the second of two steps": "SELECT otps, SELECT users, UPDATE users, START TRANSACTION, UPDATE otps, " +
		"UPDATE users, INSERT sessions, INSERT refresh_tokens, COMMIT",
	"unlock":              "UPDATE users",
	"unlink a provider":   "START TRANSACTION, SELECT users, UPDATE users, COMMIT",
	"verify a code":       "SELECT otps, UPDATE otps users",
	"verify a wrong code": "SELECT otps, UPDATE otps users",
	"verify an email address": "SELECT otps, UPDATE otps, START TRANSACTION, UPDATE otps, SELECT users, " +
		"UPDATE users, SELECT refresh_tokens, SELECT sessions, SELECT refresh_tokens, SELECT sessions, COMMIT",
}

// On a connection that has sent nothing before, all are texts; one that an operation sends again is prepared for it.
func TestOperationsTakeTheirRoundTripsAndNoMore(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		got := map[string]string{}
		for name, commands := range w.commands(t, 0) {
			var sent []string
			for _, c := range commands {
				verb, text, _ := strings.Cut(c, " ")
				switch verb {
				case "PREPARE":
					assert.Contains(t, sent, text, "%s: prepared before it was sent", name)
				case "EXECUTE":
					sent = append(sent, text)
				default:
					sent = append(sent, c)
				}
			}
			got[name] = strings.Join(sent, ", ")
		}
		assert.Equal(t, roundTrips, got)
	})
}

// What a connection has sent before is prepared; then an operation takes the same round trips, each the execution of a
// statement. Only what begins or ends a transaction has no arguments, and is text.
func TestPreparedOperationsTakeTheSameRoundTrips(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		mysqltest.NeedsPreparedStatements(t, url)
		w := newWorld(t, url)
		want := map[string]string{}
		for name, commands := range roundTrips {
			want[name] = prepared.ReplaceAllString(commands, "EXECUTE $0")
		}
		got := map[string]string{}
		for name, commands := range w.commands(t, 2) {
			got[name] = strings.Join(commands, ", ")
		}
		assert.Equal(t, want, got)
	})
}

var prepared = regexp.MustCompile(`(SELECT|INSERT|UPDATE|DELETE) `)

// commands are what each operation sends after so many calls of it, over one connection of its own.
func (w *world) commands(t *testing.T, callsBefore int) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for _, op := range append(operations, transitions...) {
		if strings.Contains(op.name, "limit of sessions") {
			continue
		}
		var mu sync.Mutex
		var sent []string
		proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, command(query))
			return mysqltest.Forward
		}}
		client, err := authgraph.Open(t.Context(), proxy.Start(t, w.url),
			authgraph.WithPool(authgraph.Pool{MaxOpen: 1}))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, client.Close()) })
		config := w.config()
		config.Session.MaxPerUser = 0
		config.Refresh.Grace = cmp.Or(op.grace, auth.NoGrace)
		s, err := auth.New(client, config)
		require.NoError(t, err)
		for range callsBefore {
			call := op.arrange(t, w, w.email())
			require.ErrorIs(t, call(t.Context(), s), op.done, op.name)
		}
		call := op.arrange(t, w, w.email())
		mu.Lock()
		sent = nil
		mu.Unlock()
		require.ErrorIs(t, call(t.Context(), s), op.done, op.name)
		mu.Lock()
		got[op.name] = sent
		mu.Unlock()
	}
	return got
}

var (
	verb  = regexp.MustCompile(`^[A-Z]+`)
	table = regexp.MustCompile("(?:FROM|JOIN|^UPDATE|INTO) `?(\\w+)")
)

// command is a statement in short: what it does, and to which tables.
func command(query string) string {
	for _, prefix := range []string{"PREPARE ", "EXECUTE ", "CLOSE "} {
		if text, ok := strings.CutPrefix(query, prefix); ok {
			return prefix + command(text)
		}
	}
	tables := table.FindAllStringSubmatch(query, -1)
	if len(tables) == 0 {
		return query
	}
	short := verb.FindString(query)
	for _, t := range tables {
		short += " " + t[1]
	}
	return short
}

// operations are those that are no transitions, and transitions that are refused.
var operations = []transition{
	{name: "check a session", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return checkSession(w.signIn(t, email).Token)
	}},
	{name: "check a session that does not exist", done: auth.ErrSession,
		arrange: func(t *testing.T, w *world, email string) call {
			return checkSession(auth.ParseToken("none"))
		}},
	{name: "list sessions", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		_, err := w.at(t, -2*day).SignIn(t.Context(), email, password, device) // it can begin again
		require.NoError(t, err)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.Sessions(ctx, id)
			return err
		}
	}},
	{name: "sign in with a wrong password", done: auth.ErrCredentials,
		arrange: func(t *testing.T, w *world, email string) call {
			w.register(t, email)
			return signInWith(email, newPassword)
		}},
	{name: "sign in without an account", done: auth.ErrCredentials,
		arrange: func(t *testing.T, w *world, email string) call {
			return signInWith(email, newPassword)
		}},
	{name: "sign in to a suspended account", done: auth.ErrCredentials,
		arrange: func(t *testing.T, w *world, email string) call {
			require.NoError(t, w.honest.Suspend(t.Context(), w.register(t, email), time.Now().Add(time.Hour)))
			return signInWith(email, password)
		}},
	{name: "rotate a token that does not exist", done: auth.ErrRefresh,
		arrange: func(t *testing.T, w *world, email string) call {
			return rotate(auth.ParseToken("none"))
		}},
	{name: "issue a code too soon", done: errTooSoon, arrange: func(t *testing.T, w *world, email string) call {
		_, err := w.honest.IssueCode(t.Context(), codeFor(email))
		require.NoError(t, err)
		return issueCode(codeFor(email))
	}},
	{name: "issue a second code within the window", arrange: func(t *testing.T, w *world, email string) call {
		w.issue(t, email, schematype.OTPSignIn)
		return issueCode(codeFor(email))
	}},
	{name: "issue a code on a device that signed in before", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		require.NoError(t, w.client.User.UpdateOneID(id).SetIsEmailVerified(true).Exec(t.Context()))
		req := codeFor(email)
		req.Device.Token = w.signIn(t, email).Token
		return issueCode(req)
	}},
	{name: "issue a code to whoever shows a link", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		require.NoError(t, w.client.User.UpdateOneID(id).SetGuessFailures(100).Exec(t.Context()))
		req := codeFor(email)
		req.Link = w.issue(t, email, schematype.OTPSignIn).Code
		return issueCode(req)
	}},
	{name: "verify a wrong code", done: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		issued := w.issue(t, email, schematype.OTPSignIn)
		return func(ctx context.Context, s *auth.Service) error {
			return s.VerifyCode(ctx, schematype.OTPSignIn, issued.Ticket, auth.ParseCode("wrong"))
		}
	}},
	{name: "suspend", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error { return s.Suspend(ctx, id, auth.Forever) }
	}},
	{name: "change a role", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error { return s.ChangeRole(ctx, id, schematype.RoleAdmin) }
	}},
}

func checkSession(token auth.Token) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, _, err := s.CheckSession(ctx, token)
		return err
	}
}

func signInWith(email, password string) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.SignIn(ctx, email, password, device)
		return err
	}
}
