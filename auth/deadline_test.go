package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// late is what a call may take longer than its context. The guarantee is a second; the rest is for a machine under
// load.
const late = 3 * time.Second

// silences are where a network may fall silent: nothing answers any more, and no connection ends.
var silences = map[string]mysqltest.Action{"before": mysqltest.SilenceBefore, "after": mysqltest.SilenceAfter}

// plain is a client without the connections of package authgraph, as a program makes it that installed the source.
func plain(t *testing.T, url string) *ent.Client {
	t.Helper()
	config, err := testserver.Config(url)
	require.NoError(t, err)
	config.ClientFoundRows, config.InterpolateParams, config.ParseTime = true, true, true
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, sql.OpenDB(connector))))
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

func TestACallEndsWithItsContextWhereverTheServerFallsSilent(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for _, name := range []string{"sign in", "rotate", "revoke all", "register", "sign out",
			"check a session", "list sessions"} {
			for when, silence := range silences {
				for _, byHand := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, by hand %t", name, when, byHand), func(t *testing.T) {
						t.Parallel()
						tr := named(t, name)
						// Each in a test of its own, at whose end the connection and with it the locks at the server
						// go.
						for n, done := 1, false; !done; n++ {
							t.Run(fmt.Sprint(n),
								func(t *testing.T) { done = w.endsInSilence(t, tr, n, silence, byHand) })
						}
					})
				}
			}
		}
	})
}

// endsInSilence runs a transition whose nth statement is met with silence, and reports whether it has none.
func (w *world) endsInSilence(t *testing.T, tr transition, n int, silence mysqltest.Action, byHand bool) (done bool) {
	t.Helper()
	s, fall := w.behindSilence(t, byHand)
	email := w.email()
	call := tr.arrange(t, w, email)
	before := w.state(t, email)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	fell := fall(n, silence)
	began := time.Now()
	err := call(ctx, s)
	took := time.Since(began)
	if fell() == "" {
		return true
	}
	require.Less(t, took, 300*time.Millisecond+late, fell())
	require.ErrorIs(t, err, context.DeadlineExceeded, fell())
	if fell() == "COMMIT" {
		require.True(t, isUnknown(err), "%v", err)
	}
	if !isUnknown(err) {
		require.Equal(t, before, w.state(t, email), fell())
	}
	return false
}

func named(t *testing.T, name string) transition {
	t.Helper()
	for _, tr := range append(operations, transitions...) {
		if tr.name == name {
			return tr
		}
	}
	t.Fatalf("there is no transition %q", name)
	return transition{}
}

// behindSilence is a service whose server can fall silent at the nth statement from when fall is called. What fall
// returns tells at which it did.
func (w *world) behindSilence(
	t *testing.T, byHand bool, opts ...authgraph.Option,
) (s *auth.Service, fall func(n int, silence mysqltest.Action) func() string) {
	t.Helper()
	var mu sync.Mutex
	var left int
	var at string
	var action mysqltest.Action
	proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
		mu.Lock()
		defer mu.Unlock()
		if left--; left != 0 {
			return mysqltest.Forward
		}
		at = query
		return action
	}}
	url := proxy.Start(t, w.url)
	var client *ent.Client
	if byHand {
		client = plain(t, url)
	} else {
		var err error
		client, err = authgraph.Open(t.Context(), url, opts...)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, client.Close()) })
	}
	// The first connection is there, and has told that it sends statements.
	_, err := client.ExecContext(t.Context(), "DO 1")
	require.NoError(t, err)
	return w.service(t, client, 0), func(n int, silence mysqltest.Action) func() string {
		mu.Lock()
		defer mu.Unlock()
		left, action = n, silence
		return func() string {
			mu.Lock()
			defer mu.Unlock()
			return at
		}
	}
}

func TestWithoutADeadlineAStatementIsBounded(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for when, silence := range silences {
			t.Run(when, func(t *testing.T) {
				t.Parallel()
				tr := named(t, "revoke all")
				for n := 1; ; n++ {
					s, fall := w.behindSilence(t, false, authgraph.WithStatementTimeout(500*time.Millisecond))
					call := tr.arrange(t, w, w.email())
					fell := fall(n, silence)
					began := time.Now()
					err := call(t.Context(), s)
					require.Less(t, time.Since(began), 500*time.Millisecond+2*late, fell())
					if fell() == "COMMIT" {
						require.True(t, isUnknown(err), "%v", err)
						continue
					}
					require.NoError(t, err, "it is tried again on another connection: %s", fell())
					if fell() == "" {
						break
					}
				}
			})
		}
	})
}

// Closing a connection does not end its statement: a server notices when it answers. What waits for a lock must end by
// itself, or each call that was given up leaves a transaction there that holds the locks it has.
func TestCallsThatWereGivenUpDoNotStayAtTheServer(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		id := w.register(t, email)
		holder, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer holder.Rollback()
		_, err = holder.Exec("UPDATE users SET name = 'held' WHERE id = ?", id)
		require.NoError(t, err)

		s := w.service(t, w.open(t), 0)
		token := auth.ParseToken("none")
		var group sync.WaitGroup
		var given atomic.Int32
		for i := range 60 {
			group.Go(func() {
				timeout := 200*time.Millisecond + rand.N(800*time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				began := time.Now()
				var err error
				switch i % 3 {
				case 0:
					err = only(s.Delete(ctx, id))
				case 1:
					err = only(s.RevokeAll(ctx, id))
				default:
					_, err = s.SignIn(ctx, email, password, device)
				}
				assert.Less(t, time.Since(began), timeout+late)
				if assert.Error(t, err) && errors.Is(err, context.DeadlineExceeded) {
					given.Add(1)
				}
			})
		}
		group.Wait()
		assert.NotZero(t, given.Load())
		ended := time.Now()
		_, _, err = s.CheckSession(t.Context(), token)
		assert.ErrorIs(t, err, auth.ErrSession, "reads go on")
		require.NoError(t, s.Close(t.Context()))
		assert.Less(t, time.Since(ended), 15*time.Second, "nothing of it goes on in the background")
		mysqltest.Eventually(t, "nothing of it waits at the server", func() bool {
			var n int
			require.NoError(t, w.db.QueryRow(`SELECT COUNT(*) FROM information_schema.innodb_trx x
				JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
				WHERE p.db = DATABASE() AND x.trx_state = 'LOCK WAIT'`).Scan(&n))
			return n == 0
		})
		assert.Less(t, time.Since(ended), 15*time.Second, "the server's own bound is 50 seconds")
		require.NoError(t, holder.Rollback())
		require.NoError(t, only(s.Delete(t.Context(), id)), "and so do writes, once the lock is gone")
	})
}

// A lock that is held for longer than one statement waits for it is waited for all the same.
func TestALockIsWaitedForLongerThanAStatementWaits(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		id := w.register(t, email)
		holder, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = holder.Exec("UPDATE users SET name = 'held' WHERE id = ?", id)
		require.NoError(t, err)
		var waits atomic.Int32
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return onError{d, func(err error) {
				if isServerError(err, 1205) && waits.Add(1) == 2 {
					assert.NoError(t, holder.Commit())
				}
			}}
		}))
		require.NoError(t, only(w.service(t, client, 0).Delete(t.Context(), id)))
		assert.GreaterOrEqual(t, waits.Load(), int32(2))
		assert.True(t, strings.Contains(w.state(t, email), "deleted true"))
	})
}

// A driver below the client may have bounds of its own, which end a statement and not the call.
func TestAStatementThatADriverGaveUpMayHaveHappened(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for _, name := range []string{"register", "restore"} {
			tr := named(t, name)
			email := w.email()
			s, fall := w.behindSilence(t, false,
				authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return impatient{d} }))
			call := tr.arrange(t, w, email)
			before := w.state(t, email)
			fell := fall(1, mysqltest.SilenceAfter)
			err := call(t.Context(), s)
			require.ErrorIs(t, err, context.DeadlineExceeded, fell())
			assert.True(t, isUnknown(err), "%s: %v", name, err)
			mysqltest.Eventually(t, "it happened", func() bool { return w.state(t, email) != before })
		}
	})
}

// impatient waits 300 ms for a write outside of a transaction.
type impatient struct{ dialect.Driver }

func (d impatient) BeginTx(ctx context.Context, opts *sql.TxOptions) (dialect.Tx, error) {
	return d.Driver.(*entsql.Driver).BeginTx(ctx, opts)
}

func (d impatient) Exec(ctx context.Context, query string, args, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return d.Driver.Exec(ctx, query, args, v)
}

func (d impatient) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return d.Driver.(execer).ExecContext(ctx, query, args...)
}
