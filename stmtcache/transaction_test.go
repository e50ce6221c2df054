package stmtcache_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/stmtcache"
)

// refusals are errors of every class that may answer a PREPARE.
var refusals = map[uint16]string{
	1020: "MariaDB, changed since the snapshot", 1040: "too many connections", 1045: "access denied",
	1047: "unknown command, or a node without a quorum", 1053: "shutting down", 1054: "unknown column",
	1064: "syntax", 1105: "unknown error", 1142: "no right", 1146: "no such table",
	1180: "COMMIT failed", 1205: "lock wait",
	1213: "deadlock", 1235: "not supported", 1243: "unknown statement", 1290: "read-only", 1295: "cannot be prepared",
	1317: "interrupted", 1461: "too many statements", 1615: "to be prepared again", 1792: "read-only transaction",
	1836: "read-only mode", 1927: "killed", 2006: "a proxy lost its server",
	2013: "a proxy lost its server in the middle",
	3100: "hook failed", 3101: "rolled back by the plugin", 3168: "server is not available", 9001: "no server in time",
}

// ways are how a text comes to be sent to a connection.
var ways = []struct {
	name string
	inTx bool
	run  func(ctx context.Context, db *sql.DB, text string) error
}{
	{"outside", false, func(ctx context.Context, db *sql.DB, text string) error {
		_, err := db.ExecContext(ctx, text, 1)
		return err
	}},
	{"in a transaction", true, func(ctx context.Context, db *sql.DB, text string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, text, 1); err != nil {
			return err
		}
		return tx.Commit()
	}},
	{"in a transaction begun by hand", true, byHand("BEGIN")},
	{"in one begun in another spelling", true, byHand("/* by hand */ start transaction")},
	{"without autocommit", true, byHand("SET autocommit = 0")},
	{"in one begun by an executed comment", true, byHand("/*!50000 BEGIN */")},
}

func byHand(begin string) func(ctx context.Context, db *sql.DB, text string) error {
	return func(ctx context.Context, db *sql.DB, text string) error {
		if _, err := db.ExecContext(ctx, begin); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, text, 1)
		return err
	}
}

const update = "UPDATE fruit SET ripe = ?"

// What Galera and others say of a transaction comes in the answer to the next command. Had the text been sent after it,
// it would have been committed by itself, and the half of the transaction before it would be gone.
func TestAnErrorOfPreparingIsFollowedByTheTextOnlyWhereItMeansTheSame(t *testing.T) {
	t.Parallel()
	refuse(t, "PREPARE", func(number uint16, inTx bool) bool {
		return slices.Contains([]uint16{1295, 1461}, number) || !inTx && slices.Contains([]uint16{1047, 1235}, number)
	})
}

func TestAnErrorOfExecutingIsFollowedByTheTextOnlyOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	refuse(t, "EXECUTE", func(number uint16, inTx bool) bool {
		return !inTx && slices.Contains([]uint16{1243, 1615}, number)
	})
}

// refuse has the server refuse a command with each error, and checks where the text is sent instead.
func refuse(t *testing.T, command string, asText func(number uint16, inTx bool) bool) {
	t.Helper()
	for number, what := range refusals {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%d %s %s", number, what, way.name), func(t *testing.T) {
				t.Parallel()
				f := fake{answer: func(sent string) uint16 {
					if strings.HasPrefix(sent, command) {
						return number
					}
					return 0
				}}
				db := fakeDB(t, &f)
				_, err := db.ExecContext(t.Context(), update, 1)
				require.NoError(t, err)
				f.take()

				err = way.run(t.Context(), db, update)
				text := asText(number, way.inTx)
				assert.Equal(t, text, slices.Contains(f.take(), "UPDATE fruit SET ripe = 1"), "sent as text")
				if text {
					assert.NoError(t, err)
					return
				}
				var server *mysql.MySQLError
				require.ErrorAs(t, err, &server, "the caller learns of it")
				assert.Equal(t, number, server.Number)
			})
		}
	}
}

func fakeDB(t *testing.T, f *fake) *sql.DB {
	t.Helper()
	return openOne(t, f.start(t), stmtcache.Options{Size: 8, Retry: time.Hour},
		func(c *mysql.Config) { c.MaxAllowedPacket = 1 << 20 })
}

// A statement is bound to the database in which it was prepared.
func TestAfterAnotherDatabaseIsUsedItAnswers(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		here, there := fruits(t, url), mysqltest.DB(t, url)
		var first string
		require.NoError(t, here.QueryRow("SELECT DATABASE()").Scan(&first))
		second := first + "_other"
		_, err := there.Exec("CREATE DATABASE `" + second + "`")
		require.NoError(t, err)
		t.Cleanup(func() { _, err := there.Exec("DROP DATABASE `" + second + "`"); assert.NoError(t, err) })
		_, err = there.Exec("CREATE TABLE `" + second + "`.fruit LIKE fruit")
		require.NoError(t, err)
		_, err = there.Exec("INSERT INTO `" + second + "`.fruit (name) VALUES ('fig'), ('date')")
		require.NoError(t, err)

		for _, use := range []string{"USE %s", "use`%s`", " \n\tUSE %s;", "/*c*/ use %s", "/* a *//* b */USE %s",
			"/*!50000 USE %s */", "-- c\nUSE %s", "#c\nUSE %s"} {
			db := openOne(t, url, stmtcache.Options{Size: 8})
			count := func() (n int) {
				require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM fruit WHERE id > ?", 0).
					Scan(&n))
				return n
			}
			for range 3 {
				require.Zero(t, count())
			}
			_, err := db.ExecContext(t.Context(), fmt.Sprintf(use, second))
			require.NoError(t, err, use)
			for range 3 {
				assert.Equal(t, 2, count(), use)
			}
			rows, err := db.QueryContext(t.Context(), fmt.Sprintf(use, first)) // as a query too
			require.NoError(t, err, use)
			defer rows.Close()
			require.False(t, rows.Next())
			require.NoError(t, rows.Err())
			assert.Zero(t, count(), use)
		}
	})
}

// MariaDB prepares USE too, and nobody tells when a caller executes it.
func TestAfterAStatementOfTheCallersUsedAnotherDatabaseItAnswers(t *testing.T) {
	t.Parallel()
	url := mysqltest.MariaDB(t)
	fruits(t, url)
	db := openOne(t, url, stmtcache.Options{Size: 8})
	count := func() (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
			"fruit").Scan(&n))
		return n
	}
	for range 3 {
		require.Equal(t, 1, count())
	}
	stmt, err := db.PrepareContext(t.Context(), "USE information_schema")
	require.NoError(t, err)
	defer func() { assert.NoError(t, stmt.Close()) }()
	for range 3 {
		require.Equal(t, 1, count())
	}
	_, err = stmt.ExecContext(t.Context())
	require.NoError(t, err)
	for range 3 {
		assert.Zero(t, count())
	}
}

func TestWhatTellsOfTheSessionOnlyKeepsTheStatements(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	fruits(t, url)
	var w wire
	db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
	for range 4 {
		_, err := db.ExecContext(t.Context(), add, "fig")
		require.NoError(t, err)
		for _, text := range []string{"SHOW TABLES", "EXPLAIN SELECT 1", "(SELECT 1)", "/* why */ SELECT 1;",
			"SAVEPOINT a", "SELECT 1", "COMMIT"} {
			_, err := db.ExecContext(t.Context(), text)
			require.NoError(t, err, text)
		}
	}
	assert.Equal(t, 1, w.count("PREPARE"))
}
