package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// haltingHasher calls before before it compares.
type haltingHasher struct {
	digestHasher
	before func()
}

func (h haltingHasher) Verify(password, hash string) (ok, outdated bool, err error) {
	h.before()
	return h.digestHasher.Verify(password, hash)
}

// hold takes a user's row, or SQLite's file, until the function that it returns is called.
func (w *world) hold(t *testing.T, id int) (release func()) {
	t.Helper()
	tx, err := w.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE users SET name = 'held' WHERE id = ?", id)
	require.NoError(t, err)
	var once sync.Once
	release = func() {
		once.Do(func() {
			if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
				assert.NoError(t, err)
			}
		})
	}
	t.Cleanup(release)
	return release
}

// More right passwords than an account may have failures time out while the database is busy with its row: before they
// are counted, and between their count and their grant.
func TestRightPasswordsThatTimeOutAreNoFailures(t *testing.T) {
	t.Parallel()
	const limit = 10
	mysqltest.Each(t, func(t *testing.T, url string) {
		for name, counted := range map[string]bool{"before the count": false, "before the grant": true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, url)
				email := w.email()
				id := w.register(t, email)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var hasher haltingHasher
				var release func()
				if counted {
					var arrived sync.WaitGroup
					arrived.Add(limit)
					var once sync.Once
					hasher.before = func() {
						arrived.Done()
						arrived.Wait()
						once.Do(func() { release = w.hold(t, id) })
					}
				} else {
					hasher.before = func() {}
					release = w.hold(t, id)
				}
				config := w.config()
				config.Hasher, config.Lockout.MaxFailures, config.Hashing.Parallel = hasher, limit, limit
				s, err := auth.New(w.client, config)
				require.NoError(t, err)
				var group sync.WaitGroup
				for range limit {
					group.Go(func() {
						ctx, cancel := context.WithTimeout(ctx, time.Second)
						defer cancel()
						_, err := s.SignIn(ctx, email, password, device)
						assert.ErrorIs(t, err, context.DeadlineExceeded)
					})
				}
				group.Wait()
				release()
				require.NoError(t, s.Close(t.Context()))
				row, err := w.client.User.Get(t.Context(), id)
				require.NoError(t, err)
				assert.Zero(t, row.FailedLoginAttempts)
				assert.Zero(t, row.GuessFailures)
				assert.Nil(t, row.LockUntil)
				w.signIn(t, email)
			})
		}
	})
}

// What gives a guess back in its own transaction has done so if that was committed.
func TestAGuessIsGivenBackOnceThoughTheAnswerToItsCommitIsLost(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var s saboteur
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
		for _, name := range []string{"take the first of two steps", "ask for another address"} {
			i := slices.IndexFunc(transitions, func(tr transition) bool { return tr.name == name })
			lost := false
			for n := 1; !lost; n++ {
				email := w.email()
				call := transitions[i].arrange(t, w, email)
				for range 3 {
					_, err := w.honest.SignIn(t.Context(), email, newPassword, device)
					require.ErrorIs(t, err, auth.ErrCredentials)
				}
				svc := w.service(t, client, 0)
				s.arm(n, fault{err: mysql.ErrInvalidConn, after: true})
				err := call(t.Context(), svc)
				hit := s.disarm()
				require.True(t, hit.landed, "%s has no COMMIT", name)
				if lost = hit.commit; !lost {
					continue
				}
				require.True(t, isUnknown(err), "%s: %v", name, err)
				u, err := w.client.User.Query().Where(user.Email(email)).Only(t.Context())
				require.NoError(t, err)
				assert.EqualValues(t, 3, u.GuessFailures, name)
			}
		}
	})
}
