//go:build cluster

package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
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

// A Galera cluster aborts a transaction on one node for a write that another node committed first, and tells it in the
// answer to the next command. Starting three nodes takes longer than a test may: make cluster runs these.
const galeraRounds = 100

func TestGalera(t *testing.T) {
	servers, err := testserver.StartGalera(t.Context(), 3, t.Output())
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, server := range servers {
			server.Stop()
		}
	})
	for name, test := range map[string]func(t *testing.T, here, there *world){
		"a password that was acknowledged is kept":       testKeepsAPassword,
		"a refresh token wins once":                      testRefreshTokenWinsOnce,
		"of many refreshes at once one wins":             testManyRefreshes,
		"an abort is told of in the place of all errors": testTellsOfAnAbort,
		"what began on one node ends on another":         testEndsWhatBeganElsewhere,
		"an address that declines to wait is obeyed": func(t *testing.T, here, _ *world) {
			testWaitsUnlessDeclined(t, here, "wsrep_sync_wait", "7", "0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := nodes(t, servers[0].URL, servers[1].URL)
			test(t, here, there)
		})
	}
	t.Run("a node without a quorum is unavailable", func(t *testing.T) {
		w := newWorldOn(t, servers[0].URL)
		email := w.email()
		id := w.register(t, email)
		token := w.signIn(t, email).Token
		servers[1].Stop()
		servers[2].Stop()
		mysqltest.Eventually(t, "the node has noticed", func() bool {
			_, _, err := w.honest.CheckSession(t.Context(), token)
			return err != nil
		})
		for name, err := range map[string]error{
			"a check": checkSession(token)(t.Context(), w.honest), "a sign-in": signInWith(email,
				password)(t.Context(), w.honest),
			"a deletion": only(w.honest.Delete(t.Context(), id)),
			"a sign-out": only(w.honest.SignOut(t.Context(), token)),
		} {
			t.Log(name, err)
			isUnavailable(t, err)
		}
	})
}

func TestGroupOfPrimaries(t *testing.T) {
	group, err := testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{MultiPrimary: true}, t.Output())
	require.NoError(t, err)
	t.Cleanup(group.Stop)
	here, there := nodes(t, group.Members[0].URL, group.Members[1].URL)
	testEndsWhatBeganElsewhere(t, here, there)
	testWaitsUnlessDeclined(t, here, "group_replication_consistency", "BEFORE", "EVENTUAL")
}

// testWaitsUnlessDeclined logs what the waiting costs, too.
func testWaitsUnlessDeclined(t *testing.T, here *world, variable, waits, declined string) {
	email := here.email()
	here.register(t, email)
	token := here.signIn(t, email).Token
	took := map[string]time.Duration{}
	for want, address := range map[string]string{
		waits: here.url, declined: here.url + "?" + variable + "=" + url.QueryEscape("'"+declined+"'"),
	} {
		if declined == "0" {
			address = strings.ReplaceAll(address, "%27", "")
		}
		client, err := authgraph.Open(t.Context(), address)
		require.NoError(t, err)
		rows, err := client.QueryContext(t.Context(), "SELECT @@SESSION."+variable)
		require.NoError(t, err)
		var value string
		require.NoError(t, entsql.ScanOne(rows, &value))
		require.NoError(t, rows.Close())
		assert.Equal(t, want, value)
		s := here.service(t, client, 0)
		began := time.Now()
		for range 1000 {
			_, _, err := s.CheckSession(t.Context(), token)
			require.NoError(t, err)
		}
		took[want] = time.Since(began) / 1000
		require.NoError(t, client.Close())
	}
	t.Logf("a session check takes %v, and %v where it is declined to wait", took[waits], took[declined])
}

// testEndsWhatBeganElsewhere has one node end what another one has just acknowledged, and each see at once that it has.
func testEndsWhatBeganElsewhere(t *testing.T, here, there *world) {
	ctx := t.Context()
	for name, end := range map[string]func(id int, g *auth.Grant) error{
		"RevokeAll":      func(id int, _ *auth.Grant) error { return only(there.honest.RevokeAll(ctx, id)) },
		"RevokeSessions": func(id int, _ *auth.Grant) error { return only(there.honest.RevokeSessions(ctx, id)) },
		"SignOut":        func(_ int, g *auth.Grant) error { return only(there.honest.SignOut(ctx, g.Token)) },
		"RevokeRefresh":  func(_ int, g *auth.Grant) error { return only(there.honest.RevokeRefresh(ctx, g.Refresh)) },
	} {
		email := here.email()
		id := here.register(t, email)
		for round := range 30 {
			g := here.signIn(t, email)
			require.NoError(t, end(id, g), "%s, round %d", name, round)
			for _, w := range []*world{here, there} {
				_, _, err := w.honest.CheckSession(ctx, g.Token)
				assert.ErrorIs(t, err, auth.ErrSession, "%s, round %d", name, round)
				_, _, err = w.honest.Rotate(ctx, g.Refresh)
				assert.ErrorIs(t, err, auth.ErrRefresh, "%s, round %d", name, round)
			}
		}
	}
}

// newWorldOn is a world over a database of its own, which stays: a node without a quorum drops none.
func newWorldOn(t *testing.T, server string) *world {
	t.Helper()
	admin, err := sql.Open("mysql", dsn(t, server, ""))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	name := fmt.Sprintf("authgraph_%d", time.Now().UnixNano())
	_, err = admin.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	return newWorld(t, server+name)
}

// nodes are the worlds of two nodes over one database.
func nodes(t *testing.T, urls ...string) (here, there *world) {
	t.Helper()
	here = newWorldOn(t, urls[0])
	name := strings.TrimPrefix(here.url, urls[0])
	other, err := sql.Open("mysql", dsn(t, urls[1], name))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, other.Close()) })
	mysqltest.Eventually(t, "the other node has the tables", func() bool {
		var n int
		return other.QueryRow("SELECT COUNT(*) FROM refresh_tokens").Scan(&n) == nil
	})
	client, err := authgraph.Open(t.Context(), urls[1]+name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	there = &world{url: urls[1] + name, db: other, client: client, key: here.key}
	there.honest = there.service(t, client, 0)
	return here, there
}

func dsn(t *testing.T, raw, name string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return fmt.Sprintf("root@tcp(%s)/%s?parseTime=true", u.Host, name)
}

// disturbed is a client with one connection that has sent nothing, and whose statement that begins so is preceded by fn
// where it is armed.
func (w *world) disturbed(t *testing.T, prefix string, fn func()) (client *ent.Client, arm *atomic.Bool) {
	t.Helper()
	arm = new(atomic.Bool)
	client, err := authgraph.Open(t.Context(), w.url, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}),
		authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return faultyDriver{d, &saboteur{sees: func(statement string) {
				if strings.HasPrefix(statement, prefix) && arm.CompareAndSwap(true, false) {
					fn()
				}
			}}}
		}))
	require.NoError(t, err)
	return client, arm
}

// rename writes an account there, and waits until it is written here.
func rename(t *testing.T, here, there *world, id int, name string) {
	t.Helper()
	mysqltest.Eventually(t, "the account is on the other node", func() bool {
		result, err := there.db.Exec(fmt.Sprintf("UPDATE users SET name = '%s' WHERE id = %d", name, id))
		if err != nil { // what it lost against is on its way
			return false
		}
		n, err := result.RowsAffected()
		return err == nil && n == 1
	})
	mysqltest.Eventually(t, "the change is here", func() bool {
		return column[string](t, here.db, fmt.Sprint("SELECT name FROM users WHERE id = ", id))[0] == name
	})
}

// The statements after the first one of the transaction are texts the first time, prepared the second, executed the
// third.
func testKeepsAPassword(t *testing.T, here, there *world) {
	kept := 0
	for round := range galeraRounds {
		email := here.email()
		id := here.register(t, email)
		here.signIn(t, email)
		client, arm := here.disturbed(t, "UPDATE `sessions`", func() {
			rename(t, here, there, id, "changed there")
		})
		s := here.service(t, client, 0)
		current := password
		for range round % 3 {
			require.NoError(t, only(s.ChangePassword(t.Context(), id, current, current+"!", device)))
			current += "!"
		}
		arm.Store(true)
		require.NoError(t, only(s.ChangePassword(t.Context(), id, current, newPassword, device)))
		_, err := here.honest.SignIn(t.Context(), email, newPassword, device)
		if errors.Is(err, auth.ErrCredentials) {
			kept++
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, client.Close())
	}
	t.Logf("%d of %d acknowledged changes kept the old password", kept, galeraRounds)
	assert.Zero(t, kept)
}

func testRefreshTokenWinsOnce(t *testing.T, here, there *world) {
	twice := 0
	for round := range galeraRounds {
		email := here.email()
		here.register(t, email)
		token := here.signIn(t, email).Refresh
		var wonThere bool
		client, arm := here.disturbed(t, "INSERT INTO refresh_tokens", func() {
			mysqltest.Eventually(t, "the token is on the other node", func() bool {
				return column[int](t, there.db,
					"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
					email)[0] == 1
			})
			_, _, err := there.honest.Rotate(t.Context(), token)
			wonThere = err == nil
			mysqltest.Eventually(t, "the exchange is here", func() bool {
				return column[int](t, here.db,
					"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
					email)[0] == 2
			})
		})
		s := here.service(t, client, 0)
		warm := here.email()
		here.register(t, warm)
		for range round % 3 {
			_, _, err := s.Rotate(t.Context(), here.signIn(t, warm).Refresh)
			require.NoError(t, err)
		}
		arm.Store(true)
		_, _, err := s.Rotate(t.Context(), token)
		if err == nil && wonThere {
			twice++
		}
		if err != nil {
			require.ErrorIs(t, err, auth.ErrRefresh)
		}
		require.NoError(t, client.Close())
	}
	t.Logf("%d of %d tokens were exchanged twice", twice, galeraRounds)
	assert.Zero(t, twice)
}

// The same without an order: eight requests on two nodes with one token, on connections that are warm in part.
func testManyRefreshes(t *testing.T, here, there *world) {
	services := []*auth.Service{here.honest, there.honest}
	twice := 0
	for range galeraRounds {
		email := here.email()
		here.register(t, email)
		token := here.signIn(t, email).Refresh
		mysqltest.Eventually(t, "the token is on the other node", func() bool {
			return column[int](t, there.db,
				"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
				email)[0] == 1
		})
		var won atomic.Int32
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				_, _, err := services[i%2].Rotate(t.Context(), token)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, auth.ErrRefresh) {
					t.Log(err)
				}
			})
		}
		group.Wait()
		if won.Load() > 1 {
			twice++
		}
	}
	t.Logf("%d of %d tokens were exchanged twice", twice, galeraRounds)
	assert.Zero(t, twice)
}

// Why 1295 and 1461 may be followed by the text within a transaction: the news of an abort comes in their place.
func testTellsOfAnAbort(t *testing.T, here, there *world) {
	id := here.register(t, here.email())
	for text, limit := range map[string]int{"SELECT 1": 0, "PREPARE a FROM 'SELECT 1'": 16382,
		"SELECT no_such_column": 16382} {
		t.Run(text, func(t *testing.T) {
			_, err := here.db.Exec(fmt.Sprint("SET GLOBAL max_prepared_stmt_count = ", limit))
			require.NoError(t, err)
			defer here.db.Exec("SET GLOBAL max_prepared_stmt_count = 16382")
			conn, err := here.db.Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			prepare := func() error {
				stmt, err := conn.PrepareContext(context.Background(), text)
				if err == nil {
					stmt.Close()
				}
				return err
			}
			t.Log("without an abort:", prepare())
			_, err = conn.ExecContext(t.Context(), "BEGIN")
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), fmt.Sprint("UPDATE users SET name = 'here' WHERE id = ", id))
			require.NoError(t, err)
			rename(t, here, there, id, fmt.Sprint("there ", limit, len(text)))
			var server *mysql.MySQLError
			require.ErrorAs(t, prepare(), &server)
			assert.EqualValues(t, 1213, server.Number, "%v", server)
		})
	}
}
