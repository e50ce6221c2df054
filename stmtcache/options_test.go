package stmtcache_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/stmtcache"
)

func TestTheSizeHasADefaultAndANegativeOneIsNone(t *testing.T) {
	t.Parallel()
	for size, kept := range map[int]int{-1: 0, 0: stmtcache.DefaultSize, 3: 3} {
		var w wire
		db := openOne(t, w.start(t, mysqltest.MySQL(t)), stmtcache.Options{Size: size})
		for i := range stmtcache.DefaultSize + 5 {
			for range 2 {
				_, err := db.ExecContext(t.Context(), fmt.Sprintf("SELECT ? + %d", i), 1)
				require.NoError(t, err)
			}
		}
		prepared, closed := 0, 0
		for _, command := range w.take() {
			switch {
			case strings.HasPrefix(command, "PREPARE"):
				prepared++
			case strings.HasPrefix(command, "CLOSE"):
				closed++
			}
		}
		assert.Equal(t, kept, prepared-closed, "size %d", size)
	}
}

func TestANegativeRetryRemembersNoRefusal(t *testing.T) {
	t.Parallel()
	direct := mysqltest.MySQL(t)
	fruits(t, direct)
	w := wire{Proxy: mysqltest.Proxy{Refusal: 1461}}
	db := openOne(t, w.start(t, direct), stmtcache.Options{Retry: -time.Second})
	_, err := db.ExecContext(t.Context(), "INSERT INTO fruit (name) VALUES ('fig')")
	require.NoError(t, err)
	w.onEach("PREPARE", mysqltest.Refuse)
	for i := range 4 {
		pickOne(t, db, i)
	}
	assert.Equal(t, 3, w.count("PREPARE"))
}

// other is a connector that is not the driver's, and can be closed.
type other struct{ closed int }

func (o *other) Connect(context.Context) (driver.Conn, error) { return &otherConn{o}, nil }
func (o *other) Driver() driver.Driver                        { return mysql.MySQLDriver{} }
func (o *other) Close() error                                 { o.closed++; return errors.New("closed it") }

type otherConn struct{ *other }

func (c *otherConn) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (c *otherConn) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }
func (c *otherConn) Close() error                        { c.closed += 10; return nil }

func TestAConnectionOfAnotherDriverIsRefusedAndClosed(t *testing.T) {
	t.Parallel()
	var o other
	db := sql.OpenDB(stmtcache.New(&o, stmtcache.Options{}))
	assert.EqualError(t, db.PingContext(t.Context()), "stmtcache: a connection of type *stmtcache_test.otherConn is "+
		"not one of go-sql-driver/mysql: give New the connector of mysql.NewConnector, and wrap what New returns")
	assert.Equal(t, 10, o.closed)
	require.EqualError(t, db.Close(), "closed it", "the connector is closed with the database")
	assert.Equal(t, 11, o.closed)
}

func TestADriverThatDoesNotInterpolateCostsNothingMoreThanAlone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{}, func(c *mysql.Config) { c.InterpolateParams = false })
		w.take()
		for range 3 {
			_, err := db.ExecContext(t.Context(), add, "fig")
			require.NoError(t, err)
		}
		require.NoError(t, db.PingContext(t.Context())) // nothing answers a CLOSE
		assert.Equal(t, []string{
			"PREPARE " + add, "EXECUTE " + add, "CLOSE " + add,
			"PREPARE " + add, "EXECUTE " + add, "EXECUTE " + add,
		}, w.take()[:6])
		for i := range 3 {
			var got string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT name FROM fruit WHERE id > ? AND name <> ?", i,
				[]byte("x")).Scan(&got))
			assert.Equal(t, "fig", got)
		}
		assert.Equal(t, 3, countFruits(t, direct))
	})
}

func TestSeveralStatementsInATextAreSentAsOne(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{}, func(c *mysql.Config) { c.MultiStatements = true })
		for range 3 {
			_, err := db.ExecContext(t.Context(), add+"; "+add, "fig", "date")
			require.NoError(t, err)
		}
		assert.Zero(t, w.count("PREPARE"))
		for range 3 {
			_, err := db.ExecContext(t.Context(), add+";\n", "fig")
			require.NoError(t, err)
		}
		assert.Equal(t, 1, w.count("PREPARE"))
		assert.Equal(t, 9, countFruits(t, direct))
	})
}

func TestAClosedOrCancelledOneSaysSo(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	db := openOne(t, url, stmtcache.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		_, err := db.ExecContext(ctx, "SELECT ?", 1)
		require.ErrorIs(t, err, context.Canceled)
		_, err = db.ExecContext(t.Context(), "SELECT ?", 1)
		require.NoError(t, err)
	}
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = conn.ExecContext(t.Context(), "SELECT ?", 1)
	require.ErrorIs(t, err, sql.ErrConnDone)
	require.NoError(t, db.Close())
	_, err = db.ExecContext(t.Context(), "SELECT ?", 1)
	require.EqualError(t, err, "sql: database is closed")

	config, err := testserver.Config(url)
	require.NoError(t, err)
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	_, err = stmtcache.New(connector, stmtcache.Options{}).Connect(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
