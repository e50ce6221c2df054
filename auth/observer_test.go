package auth_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// told are the events of each operation, in their order.
var told = map[string]string{
	"register":                                     "register",
	"sign in":                                      "sign_in",
	"sign in beyond the limit of sessions":         "sign_in",
	"sign in with a code":                          "use_code, sign_in",
	"sign in with a code for the first time":       "use_code, take_over, sign_in",
	"start a session":                              "start_session",
	"issue a refresh token":                        "issue_refresh",
	"revoke all":                                   "revoke_all",
	"verify a code":                                "use_code",
	"verify an email address":                      "use_code, take_over, verify_email",
	"reset a password":                             "use_code, take_over, reset_password",
	"change a password with a code":                "use_code, change_password",
	"change a password":                            "change_password",
	"ask for another address":                      "issue_code",
	"change an address":                            "use_code, change_email",
	"sign in with a provider for the first time":   "register, sign_in",
	"sign in with a provider again":                "sign_in",
	"take over an account that was never verified": "take_over, link_provider, sign_in",
	"rotate":                          "rotate",
	"rotate in grace":                 "rotate_in_grace",
	"renew":                           "renew",
	"renew in grace":                  "rotate_in_grace",
	"renew what was rotated in grace": "rotate_in_grace",
	"sign in on a device that signed in before": "sign_in",
	"reuse":                                 "reuse_detected",
	"revoke a family":                       "revoke_refresh",
	"sign out":                              "revoke_sessions",
	"revoke sessions":                       "revoke_sessions",
	"delete":                                "delete",
	"erase":                                 "erase",
	"erase what holds evidence of reuse":    "erase",
	"unlock":                                "unlock",
	"reactivate":                            "sign_in, reactivate",
	"restore":                               "reactivate",
	"issue a code":                          "issue_code",
	"issue a code in place of another":      "issue_code",
	"purge codes":                           "",
	"purge an account":                      "",
	"check a session":                       "",
	"check a session that does not exist":   "",
	"list sessions":                         "",
	"sign in with a wrong password":         "sign_in_failed",
	"sign in without an account":            "sign_in_failed",
	"link a provider":                       "link_provider",
	"unlink a provider":                     "unlink_provider",
	"take the first of two steps":           "second_step",
	"take the second of two steps":          "sign_in",
	"sign in to a suspended account":        "sign_in_failed",
	"rotate a token that does not exist":    "",
	"issue a second code within the window": "issue_code",
	"issue a code on a device that signed in before": "issue_code",
	"issue a code to whoever shows a link":           "issue_code",
	"issue a code too soon":                          "",
	"verify a wrong code":                            "code_failed",
	"suspend":                                        "suspend",
	"change a role":                                  "change_role",
}

func TestTransitionIsToldOnceAndAfterItsCommit(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		got := map[string]string{}
		for _, op := range append(operations, transitions...) {
			clean, email := w.email(), w.email()
			require.ErrorIs(t, op.arrange(t, w, clean)(t.Context(), w.service(t, w.client, op.grace)), op.done, op.name)
			after := w.state(t, clean)

			call := op.arrange(t, w, email)
			var actions []string
			s := w.observed(t, w.client, op.grace, func(e auth.Event) {
				actions = append(actions, string(e.Action))
				assert.Equal(t, after, w.state(t, email), "%s: %s is told before another connection sees it", op.name,
					e.Action)
				assert.WithinDuration(t, time.Now(), e.At, time.Minute)
			})
			require.ErrorIs(t, call(t.Context(), s), op.done, op.name)
			got[op.name] = strings.Join(actions, ", ")
		}
		assert.Equal(t, told, got)
	})
}

func TestTransitionIsNotToldUnlessItIsKnownToHaveHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	var s saboteur
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
	for _, tr := range transitions {
		for _, after := range []bool{false, true} {
			for n, landed := 1, true; landed; n++ {
				call := tr.arrange(t, w, w.email())
				var actions []string
				service := w.observed(t, client, tr.grace,
					func(e auth.Event) { actions = append(actions, string(e.Action)) })
				s.arm(n, fault{err: mysql.ErrInvalidConn, after: after})
				err := call(t.Context(), service)
				hit := s.disarm()
				landed = hit.landed
				want := told[tr.name]
				if !is(err, tr.done) {
					want = ""
				}
				require.Equal(t, want, strings.Join(actions, ", "), "%s: statement %d: %s", tr.name, n, hit.statement)
			}
		}
	}
}

func TestLogHoldsWhatIsToldAtTheLevelItDeserves(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := auth.LogTo(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	for _, e := range []auth.Event{
		{Action: auth.ActionSignIn, UserID: 7, SessionID: 8, Detail: "code"},
		{Action: auth.ActionRevokeSessions, Count: 3},
		{Action: auth.ActionReuse, UserID: 7, Count: 1},
		{Action: auth.ActionSignInFailed},
		{Action: auth.ActionLock, UserID: 7},
		{Action: auth.ActionCodeFailed, Detail: "signin"},
		{Action: auth.ActionGrace, UserID: 7},
	} {
		log.Observe(t.Context(), e)
	}
	assert.Equal(t, `level=INFO msg=auth action=sign_in user_id=7 session_id=8 detail=code
level=INFO msg=auth action=revoke_sessions count=3
level=WARN msg=auth action=reuse_detected user_id=7 count=1
level=WARN msg=auth action=sign_in_failed
level=WARN msg=auth action=lock user_id=7
level=WARN msg=auth action=code_failed detail=signin
level=WARN msg=auth action=rotate_in_grace user_id=7
`, b.String())
}

func (w *world) observed(t *testing.T, client *ent.Client, grace time.Duration, see func(auth.Event)) *auth.Service {
	t.Helper()
	var mu sync.Mutex
	config := w.config()
	config.Refresh.Grace = cmp.Or(grace, auth.NoGrace)
	config.Observer = auth.ObserverFunc(func(_ context.Context, e auth.Event) {
		mu.Lock()
		defer mu.Unlock()
		see(e)
	})
	s, err := auth.New(client, config)
	require.NoError(t, err)
	return s
}
