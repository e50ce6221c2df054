package stmtcache_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
	"github.com/authgraph/authgraph/stmtcache"
)

// wire is what crosses a proxy, and what the proxy does about it.
type wire struct {
	mysqltest.Proxy
	mu   sync.Mutex
	sent []string
	do   func(query string) mysqltest.Action
}

func (w *wire) start(t *testing.T, url string) string {
	w.Hook = func(_ int, query string) mysqltest.Action {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sent = append(w.sent, query)
		if w.do != nil {
			return w.do(query)
		}
		return mysqltest.Forward
	}
	return w.Start(t, url)
}

// on has the proxy do something about the next command that begins so.
func (w *wire) on(prefix string, action mysqltest.Action) {
	done := false
	w.mu.Lock()
	defer w.mu.Unlock()
	w.do = func(query string) mysqltest.Action {
		if done || !strings.HasPrefix(query, prefix) {
			return mysqltest.Forward
		}
		done = true
		return action
	}
}

// onEach is on for all commands.
func (w *wire) onEach(prefix string, action mysqltest.Action) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.do = func(query string) mysqltest.Action {
		if strings.HasPrefix(query, prefix) {
			return action
		}
		return mysqltest.Forward
	}
}

// take returns what was sent since the last call.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.sent = nil }()
	return w.sent
}

func (w *wire) count(prefix string) (n int) {
	for _, query := range w.take() {
		if strings.HasPrefix(query, prefix) {
			n++
		}
	}
	return n
}

// none keeps no statement.
var none = stmtcache.Options{Size: -1}

func open(t *testing.T, url string, o stmtcache.Options, set ...func(*mysql.Config)) *sql.DB {
	t.Helper()
	config, err := testserver.Config(url)
	require.NoError(t, err)
	config.Logger = &mysql.NopLogger{}
	config.InterpolateParams = true
	for _, fn := range set {
		fn(config)
	}
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(stmtcache.New(connector, o))
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// openOne is open with a single connection.
func openOne(t *testing.T, url string, o stmtcache.Options, set ...func(*mysql.Config)) *sql.DB {
	t.Helper()
	db := open(t, url, o, set...)
	db.SetMaxOpenConns(1)
	require.NoError(t, db.PingContext(t.Context()))
	return db
}

func fruits(t *testing.T, url string) *sql.DB {
	t.Helper()
	db := mysqltest.DB(t, url)
	_, err := db.Exec(`CREATE TABLE fruit (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL)`)
	require.NoError(t, err)
	return db
}

func countFruits(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(`SELECT COUNT(*) FROM fruit`).Scan(&n))
	return n
}

const (
	add  = "INSERT INTO fruit (name) VALUES (?)"
	pick = "SELECT id + ? FROM fruit"
)

func pickOne(t *testing.T, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, plus int,
) {
	t.Helper()
	var got int
	require.NoError(t, db.QueryRowContext(t.Context(), pick, plus).Scan(&got))
	require.Equal(t, 1+plus, got)
}

func TestATextIsPreparedOnceWhenItComesAgain(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		w.take()

		for i := range 4 {
			result, err := db.ExecContext(t.Context(), add, "fig")
			require.NoError(t, err)
			id, err := result.LastInsertId()
			require.NoError(t, err)
			assert.EqualValues(t, i+1, id)
			rows, err := result.RowsAffected()
			require.NoError(t, err)
			assert.EqualValues(t, 1, rows)
		}
		assert.Equal(t, []string{
			"INSERT INTO fruit (name) VALUES ('fig')",
			"PREPARE " + add, "EXECUTE " + add, "EXECUTE " + add, "EXECUTE " + add,
		}, w.take())
		assert.Equal(t, 4, countFruits(t, direct))

		_, err := direct.Exec(`DELETE FROM fruit WHERE id > 1`)
		require.NoError(t, err)
		for i := range 3 {
			pickOne(t, db, i)
		}
		assert.Equal(t, []string{"SELECT id + 0 FROM fruit", "PREPARE " + pick, "EXECUTE " + pick, "EXECUTE " + pick},
			w.take())
	})
}

func TestWhatMeansSomethingElseInTheOtherFormIsSentAsText(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		long := "SELECT ? /* " + strings.Repeat("long ", 5000) + "*/"
		for range 3 {
			for _, query := range []string{"SELECT 1", "SET @fruit = 1"} {
				_, err := db.ExecContext(t.Context(), query)
				require.NoError(t, err)
			}
			for query, arg := range map[string]any{
				"SELECT ?": []byte("binary"), "SELECT ? + 1": 0.5, long: 1, "SET @fruit = ?": 1,
				"/* */ /*!50000 SELECT*/ ?": 1,
			} {
				_, err := db.ExecContext(t.Context(), query, arg)
				require.NoError(t, err)
			}
		}
		assert.NotContains(t, strings.Join(w.take(), "\n"), "PREPARE")
	})
}

func TestAVerbMayBeWrittenInAnyWay(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	var w wire
	db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
	for range 3 {
		for _, query := range []string{"select ?", "SELECT\n\t?", "With n AS (SELECT ? AS i) SELECT i FROM n",
			" SELECT ? + 1", "-- name: One :one\nSELECT ? + 2", "/* a */ # b\n -- c\n(SELECT ? + 3)"} {
			_, err := db.ExecContext(t.Context(), query, 1)
			require.NoError(t, err)
		}
	}
	assert.Equal(t, 6, w.count("PREPARE"))
}

func TestEachConnectionKeepsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		const size, texts = 4, 10
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: size})
		run := func(i int) {
			var got int
			require.NoError(t, db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT ? + %d", i), 1).Scan(&got))
			require.Equal(t, i+1, got)
		}
		for range 4 {
			run(0) // stays: it is used again before size others are
			for i := range texts {
				run(i)
				run(i)
				run(0)
			}
		}
		kept, most := 0, 0
		first := 0
		for _, query := range w.take() {
			switch verb, text, _ := strings.Cut(query, " "); verb {
			case "PREPARE":
				kept++
				if text == "SELECT ? + 0" {
					first++
				}
			case "CLOSE":
				kept--
			}
			most = max(most, kept)
		}
		assert.Equal(t, size, most)
		assert.Equal(t, 1, first, "the one used last is kept")
		var open int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT ? + 0", 1).Scan(&open))
	})
}

func TestTheServerHoldsWhatTheCacheDoes(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	db := openOne(t, url, stmtcache.Options{Size: 4})
	var id int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	for i := range 10 {
		for range 3 {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf("SELECT ? + %d", i), 1)
			require.NoError(t, err)
		}
	}
	const held = `SELECT COUNT(*) FROM performance_schema.prepared_statements_instances i
		JOIN performance_schema.threads t ON t.THREAD_ID = i.OWNER_THREAD_ID WHERE t.PROCESSLIST_ID = ?`
	var n int
	direct := openOne(t, url, none)
	require.NoError(t, direct.QueryRowContext(t.Context(), held, id).Scan(&n))
	assert.Equal(t, 4, n)
	require.NoError(t, db.Close())
	mysqltest.Eventually(t, "the server drops them with the connection", func() bool {
		require.NoError(t, direct.QueryRowContext(t.Context(), held, id).Scan(&n))
		return n == 0
	})
}

func TestANewConnectionBeginsWithNone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		_, err := db.ExecContext(t.Context(), add, "fig")
		require.NoError(t, err)
		for i := range 3 {
			pickOne(t, db, i)
		}
		var id int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
		_, err = direct.Exec(fmt.Sprintf("KILL %d", id))
		require.NoError(t, err)
		mysqltest.Eventually(t, "the connection is gone", func() bool {
			var n int
			require.NoError(t, direct.QueryRow(`SELECT COUNT(*) FROM information_schema.processlist WHERE id = ?`, id).
				Scan(&n))
			return n == 0
		})
		w.take()
		for i := range 3 {
			mysqltest.Eventually(t, "a new connection is used", func() bool {
				var got int
				return db.QueryRowContext(t.Context(), pick, i).Scan(&got) == nil && got == 1+i
			})
		}
		sent := w.take()
		assert.Equal(t, "EXECUTE "+pick, sent[len(sent)-1])
		assert.Equal(t, 1, strings.Count(strings.Join(sent, "\n"), "PREPARE "))
	})
}

func TestATransactionUsesTheStatementsOfItsConnection(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		w.take()
		for i, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback,
			(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), add, "fig")
			require.NoError(t, err)
			require.NoError(t, end(tx))
			assert.Equal(t, (i+2)/2, countFruits(t, direct))
		}
		isolation, begin, execute := "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
			"START TRANSACTION", "EXECUTE "+add
		assert.Equal(t, []string{
			isolation, begin, "INSERT INTO fruit (name) VALUES ('fig')", "COMMIT",
			isolation, begin, "PREPARE " + add, execute, "ROLLBACK",
			isolation, begin, execute, "COMMIT",
			isolation, begin, execute, "ROLLBACK",
		}, w.take())
	})
}

// read is all that a query gives to a caller.
func read(t *testing.T, db *sql.DB, query string, args ...any) (all [][]any) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for {
		types, err := rows.ColumnTypes()
		require.NoError(t, err)
		var head []any
		for _, c := range types {
			nullable, _ := c.Nullable()
			head = append(head, c.Name(), c.DatabaseTypeName(), nullable)
		}
		all = append(all, head)
		for rows.Next() {
			row, dest := make([]any, len(types)), make([]any, len(types))
			for i := range row {
				dest[i] = &row[i]
			}
			require.NoError(t, rows.Scan(dest...))
			all = append(all, row)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	require.NoError(t, rows.Err())
	return all
}

func TestBothFormsGiveTheSameValues(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		require.NoError(t, err)
		at := time.Date(2031, 2, 3, 4, 5, 6, 789000, time.UTC)
		tables := map[string]map[string]any{
			"users": {
				"name": "Ada 'the \\ first' ☃", "email": "josé@example.com",
				"password": "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", "role": "admin",
				"provider": "google", "provider_id": "1", "avatar": `{"url": "https://example.com/a?b='c'", "size": 5}`,
				"is_email_verified": true,
				"last_login_at":     at, "failed_login_attempts": int32(3),
				"lock_until": at.Add(time.Hour), "is_deleted": true,
				"deleted_at": at.Truncate(time.Second), "re_activate_available_at": at,
			},
			"sessions": {
				"user_id": 1, "token_hash": "abc", "ip": "2001:db8::1", "user_agent": strings.Repeat("é",
					255), "is_active": false,
				"last_used_at": at, "expires_at": at,
			},
			"otps": {
				"email": "ada@example.com", "otp_hash_code": "abc", "next_resend_allowed_at": at,
				"type": "password-reset", "expires_at": at,
				"is_used": true, "used_at": at, "attempts": 2, "max_attempts": 5,
			},
			"refresh_tokens": {
				"user_id": 1, "token_hash": "abc", "expires_at": at, "is_revoked": true, "revoked_at": at,
				"replaced_by_token_hash": "def", "grace_uses": 1,
			},
		}
		optional := []string{
			"password", "provider_id", "avatar", "last_login_at", "lock_until", "deleted_at",
			"re_activate_available_at", "ip", "user_agent",
			"used_at", "revoked_at", "replaced_by_token_hash",
		}
		unique := map[string]func(i int) any{
			"email":       func(i int) any { return fmt.Sprintf("josé%d@example.com", i) },
			"token_hash":  func(i int) any { return fmt.Sprint("hash", i) },
			"provider_id": func(i int) any { return fmt.Sprint(i) },
		}
		plain, cached := openOne(t, url, none), openOne(t, url, stmtcache.Options{Size: 16})
		var w wire
		watched := openOne(t, w.start(t, url), stmtcache.Options{Size: 16})
		for _, table := range []string{"users", "sessions", "otps", "refresh_tokens"} {
			var names, marks []string
			for name := range tables[table] {
				names, marks = append(names, name), append(marks, "?")
			}
			insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "),
				strings.Join(marks, ", "))
			args := func(i int, null bool) (args []any) {
				for _, name := range names {
					value := tables[table][name]
					if vary := unique[name]; vary != nil {
						value = vary(i)
					}
					for _, o := range optional {
						if null && name == o {
							value = nil
						}
					}
					args = append(args, value)
				}
				return args
			}
			for i, db := range []*sql.DB{plain, plain, cached, cached, cached, cached, watched,
				watched, watched, watched} {
				_, err := db.ExecContext(t.Context(), insert, args(i, i%2 == 1)...)
				require.NoError(t, err, table)
			}
			assert.Equal(t, 3, w.count("EXECUTE INSERT"), table)

			// Those that were written as text, and by each cache as text and prepared, differ in nothing but what must.
			var distinct []string
			for _, name := range names {
				if unique[name] == nil {
					distinct = append(distinct, name)
				}
			}
			assert.Len(t, read(t, plain, fmt.Sprintf("SELECT DISTINCT %s FROM %s",
				strings.Join(distinct, ", "), table)), 1+2, table)

			query := "SELECT * FROM " + table + " WHERE id > ? ORDER BY id"
			want := read(t, plain, query, 0)
			require.Len(t, want, 1+10)
			for range 3 {
				assert.Equal(t, want, read(t, watched, query, 0), table)
			}
			assert.Equal(t, 2, w.count("EXECUTE SELECT"), table)
		}
	})
}

func TestUnsignedNumbersOfEverySizeAreRead(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := mysqltest.DB(t, url)
		_, err := direct.Exec("CREATE TABLE big (n BIGINT UNSIGNED)")
		require.NoError(t, err)
		db := openOne(t, url, stmtcache.Options{Size: 8})
		const most = uint64(1<<64 - 1)
		for _, want := range []uint64{0, 1<<63 - 1, 1 << 63, most} {
			for range 3 {
				_, err := db.ExecContext(t.Context(), "REPLACE INTO big VALUES (?)", want)
				require.NoError(t, err)
				var got uint64
				require.NoError(t, db.QueryRowContext(t.Context(), "SELECT n FROM big WHERE n = ? LIMIT 1", want).
					Scan(&got))
				assert.Equal(t, want, got)
			}
		}
	})
}

func TestATableMayChangeBetweenExecutions(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		_, err := direct.Exec("INSERT INTO fruit (name) VALUES ('7')")
		require.NoError(t, err)
		var w wire
		plain, db := openOne(t, url, none), openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		const query = "SELECT * FROM fruit WHERE id > ?"
		same := func(change string) {
			t.Helper()
			for _, q := range []string{query, "SELECT id, ID AS `Key` FROM fruit WHERE id > ?"} {
				want := read(t, plain, q, 0)
				for range 3 {
					assert.Equal(t, want, read(t, db, q, 0), change)
				}
			}
		}
		same("")
		for _, change := range []string{
			"ALTER TABLE fruit ADD COLUMN picked_at DATETIME(3) NOT NULL DEFAULT '2024-02-29 12:00:00.125' FIRST",
			"ALTER TABLE fruit MODIFY name INT NOT NULL",
			"ALTER TABLE fruit MODIFY name DOUBLE NULL",
			"ALTER TABLE fruit RENAME COLUMN name TO title",
			"ALTER TABLE fruit DROP COLUMN picked_at",
			"ALTER TABLE fruit ADD INDEX (title)",
			"TRUNCATE fruit",
		} {
			_, err := direct.Exec(change)
			require.NoError(t, err)
			same(change)
		}
		assert.Equal(t, 2, w.count("PREPARE"))

		_, err = direct.Exec("DROP TABLE fruit")
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), query, 0)
		var server *mysql.MySQLError
		require.ErrorAs(t, err, &server)
		assert.EqualValues(t, 1146, server.Number)
		_, err = direct.Exec("CREATE TABLE fruit (id DECIMAL(9, 2), ripe BOOL)")
		require.NoError(t, err)
		_, err = direct.Exec("INSERT INTO fruit VALUES (1.5, true)")
		require.NoError(t, err)
		same("another table of the name")
	})
}

// GORM's MapColumns writes to what Rows.Columns returns.
func TestNamesOfColumnsThatACallerWritesToAreItsOwn(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		fruits(t, url)
		db := openOne(t, url, stmtcache.Options{})
		query := func() {
			rows, err := db.QueryContext(t.Context(), "SELECT id, name FROM fruit WHERE id > ?", 0)
			require.NoError(t, err)
			defer rows.Close()
			columns, err := rows.Columns()
			require.NoError(t, err)
			assert.Equal(t, []string{"id", "name"}, columns)
			columns[1] = "title"
			again, err := rows.Columns()
			require.NoError(t, err)
			assert.Equal(t, columns, again, "within one answer")
			assert.False(t, rows.Next())
			require.NoError(t, rows.Err())
		}
		for range 5 {
			query()
		}
	})
}

func TestWhereNothingCanBePreparedTextIsSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		refusal  uint16
		prepares int // before it is given up
	}{
		{"the server has reached its limit", 1461, 1},
		{"a proxy does not know the command", 1047, 1},
		{"the statement cannot be prepared", 1295, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				direct := fruits(t, url)
				w := wire{Proxy: mysqltest.Proxy{Refusal: c.refusal}}
				db := open(t, w.start(t, url), stmtcache.Options{Size: 8, Retry: time.Hour})
				db.SetMaxOpenConns(2)
				_, err := direct.Exec("INSERT INTO fruit (name) VALUES ('fig')")
				require.NoError(t, err)
				w.onEach("PREPARE", mysqltest.Refuse)
				w.take()
				for i := range 6 {
					_, err := db.ExecContext(t.Context(), "UPDATE fruit SET name = CONCAT(name, ?)", "!")
					require.NoError(t, err)
					// Both connections, and the one that is prepared already in none of them.
					tx, err := db.BeginTx(t.Context(), nil)
					require.NoError(t, err)
					pickOne(t, tx, i)
					pickOne(t, db, i)
					require.NoError(t, tx.Commit())
				}
				assert.Equal(t, c.prepares, w.count("PREPARE"))
				var name string
				require.NoError(t, direct.QueryRow("SELECT name FROM fruit").Scan(&name))
				assert.Equal(t, "fig!!!!!!", name)
			})
		})
	}
}

func TestAfterAWhileItIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, refusal := range []uint16{1461, 1295} {
		t.Run(fmt.Sprint(refusal), func(t *testing.T) {
			t.Parallel()
			direct := mysqltest.MySQL(t)
			fruits(t, direct)
			w := wire{Proxy: mysqltest.Proxy{Refusal: refusal}}
			db := openOne(t, w.start(t, direct), stmtcache.Options{Size: 8, Retry: time.Millisecond})
			_, err := db.ExecContext(t.Context(), "INSERT INTO fruit (name) VALUES ('fig')")
			require.NoError(t, err)
			w.on("PREPARE", mysqltest.Refuse)
			mysqltest.Eventually(t, "it is executed prepared", func() bool {
				pickOne(t, db, 1)
				return w.count("EXECUTE") == 1
			})
		})
	}
}

func TestAStatementThatIsGoneIsSentAsText(t *testing.T) {
	t.Parallel()
	for _, gone := range []uint16{1243, 1615} {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				direct := fruits(t, url)
				w := wire{Proxy: mysqltest.Proxy{Refusal: gone}}
				db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8, Retry: time.Hour})
				for range 2 {
					_, err := db.ExecContext(t.Context(), add, "fig")
					require.NoError(t, err)
				}
				w.take()
				w.on("EXECUTE", mysqltest.Refuse)
				for range 3 {
					_, err := db.ExecContext(t.Context(), add, "fig")
					require.NoError(t, err)
				}
				text := "INSERT INTO fruit (name) VALUES ('fig')"
				assert.Equal(t, []string{"EXECUTE " + add, "CLOSE " + add, text, text, text}, w.take())
				assert.Equal(t, 5, countFruits(t, direct))
			})
		})
	}
}

func TestALostConnectionRepeatsNothingThatMayHaveRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		command string
		action  mysqltest.Action
		fails   bool
		rows    int
	}{
		{"before it is prepared", "PREPARE", mysqltest.CutBefore, false, 2},
		{"after it was prepared", "PREPARE", mysqltest.CutAfter, false, 2},
		{"before it is executed", "EXECUTE", mysqltest.CutBefore, true, 1},
		{"after it was executed", "EXECUTE", mysqltest.CutAfter, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				direct := fruits(t, url)
				var w wire
				db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
				_, err := db.ExecContext(t.Context(), add, "fig")
				require.NoError(t, err)
				w.on(c.command, c.action)
				_, err = db.ExecContext(t.Context(), add, "fig")
				if c.fails {
					require.ErrorIs(t, err, mysql.ErrInvalidConn)
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, c.rows, countFruits(t, direct))
				require.NoError(t, db.PingContext(t.Context()))
			})
		})
	}
}

func TestAnErrorOfTheStatementIsTheCallers(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		for range 4 {
			_, err := db.ExecContext(t.Context(), "INSERT INTO fruit (id, name) VALUES (?, 'fig') ", 1)
			if countFruits(t, direct) == 1 && err == nil {
				continue
			}
			var server *mysql.MySQLError
			require.ErrorAs(t, err, &server)
			assert.EqualValues(t, 1062, server.Number)
			_, err = db.ExecContext(t.Context(), "SELECT no_such_column + ? FROM fruit", 1)
			require.ErrorAs(t, err, &server)
			assert.EqualValues(t, 1054, server.Number)
			_, err = db.ExecContext(t.Context(), add)
			require.Error(t, err)
			_, err = db.ExecContext(t.Context(), add, "fig", "date")
			require.ErrorContains(t, err, "expected 1 arguments, got 2")
		}
		assert.Equal(t, 1, countFruits(t, direct))
	})
}

func TestCancellationEndsAnExecution(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		fruits(t, url)
		for _, at := range []string{"PREPARE", "EXECUTE"} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var w wire
			db := openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
			const query = "SELECT SLEEP(?)"
			_, err := db.ExecContext(t.Context(), query, 0)
			require.NoError(t, err)
			w.mu.Lock()
			w.do = func(query string) mysqltest.Action {
				if strings.HasPrefix(query, at) {
					cancel()
				}
				return mysqltest.Forward
			}
			w.mu.Unlock()
			_, err = db.ExecContext(ctx, query, 600)
			require.ErrorIs(t, err, context.Canceled, at)
			for range 3 {
				_, err = db.ExecContext(t.Context(), query, 0)
				require.NoError(t, err, at)
			}
		}
	})
}

func TestBigResults(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var w wire
		proxied := w.start(t, url)
		plain, db := openOne(t, url, none), openOne(t, proxied, stmtcache.Options{Size: 8})
		const digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 " +
			"UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
		const query = "SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d AS n, REPEAT('x', a.d * " +
			"b.d * ?) AS filling FROM " +
			digits + " a, " + digits + " b, " + digits + " c, " + digits + " d ORDER BY n"
		want := read(t, plain, query, 40)
		require.Len(t, want, 1+10_000)
		for range 3 {
			assert.True(t, assert.ObjectsAreEqual(want, read(t, db, query, 40)))
		}
		assert.Equal(t, 2, w.count("EXECUTE"))

		// An argument longer than what the client sends at once.
		long := strings.Repeat("long", 100_000)
		small := openOne(t, proxied, stmtcache.Options{Size: 8}, func(c *mysql.Config) { c.MaxAllowedPacket = 1 << 16 })
		for range 3 {
			var got string
			require.NoError(t, small.QueryRowContext(t.Context(), "SELECT CONCAT(?, ?)", long, "er").Scan(&got))
			assert.Equal(t, long+"er", got)
		}
	})
}

func TestRowsThatAreOpen(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		for range 100 {
			_, err := direct.Exec("INSERT INTO fruit (name) VALUES ('fig')")
			require.NoError(t, err)
		}
		db := openOne(t, url, stmtcache.Options{Size: 1})
		const list = "SELECT id FROM fruit WHERE id > ? ORDER BY id"
		for range 3 {
			_, err := db.ExecContext(t.Context(), list, 0)
			require.NoError(t, err)
		}
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		rows, err := tx.QueryContext(t.Context(), list, 0) //nolint:rowserrcheck // they are left half read
		require.NoError(t, err)
		defer rows.Close()
		require.True(t, rows.Next())
		for range 2 {
			// It would need the place of the statement whose rows are open.
			_, err := tx.ExecContext(t.Context(), add, "date")
			assert.Error(t, err, "one connection does one thing at a time")
		}
		_ = tx.Rollback() // which closes them
		assert.Len(t, read(t, db, list, 0), 1+100)

		// One after the other they may be, in any order.
		tx, err = db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		for range 3 {
			for _, query := range []string{list, pick} {
				var id int
				require.NoError(t, tx.QueryRowContext(t.Context(), query, 0).Scan(&id)) // closed half read
				assert.Equal(t, 1, id)
			}
		}
		require.NoError(t, tx.Commit())
	})
}

func TestProceduresAndTheirResults(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		_, err := direct.Exec(`CREATE PROCEDURE picking(IN n INT) BEGIN
			INSERT INTO fruit (name) VALUES ('fig');
			SELECT n AS first;
			SELECT n + 1 AS second, 'two' AS word;
		END`)
		require.NoError(t, err)
		var w wire
		plain, db := openOne(t, url, none), openOne(t, w.start(t, url), stmtcache.Options{Size: 8})
		want := read(t, plain, "CALL picking(?)", 7)
		require.Len(t, want, 4)
		for i := range 3 {
			assert.Equal(t, want, read(t, db, "CALL picking(?)", 7))
			assert.Equal(t, i+2, countFruits(t, direct))
		}
		assert.Zero(t, w.count("PREPARE"))
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		direct := fruits(t, url)
		db := open(t, url, stmtcache.Options{Size: 4})
		db.SetMaxOpenConns(6)
		db.SetConnMaxLifetime(50 * time.Millisecond)
		var group sync.WaitGroup
		for worker := range 12 {
			group.Go(func() {
				for i := range 60 {
					var got int
					// More texts than a connection keeps.
					query := fmt.Sprintf("SELECT ? + %d", i%7)
					if !assert.NoError(t, db.QueryRowContext(t.Context(), query, worker*1000).Scan(&got)) {
						return
					}
					assert.Equal(t, worker*1000+i%7, got)
				}
				for range 10 {
					tx, err := db.BeginTx(t.Context(), nil)
					if !assert.NoError(t, err) {
						return
					}
					_, err = tx.ExecContext(t.Context(), add, "fig")
					assert.NoError(t, err)
					assert.NoError(t, tx.Commit())
				}
			})
		}
		group.Wait()
		assert.Equal(t, 120, countFruits(t, direct))
	})
}

func TestStatementsOfACallerAreTheCallers(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var w wire
		db := openOne(t, w.start(t, url), stmtcache.Options{Size: 1})
		stmt, err := db.PrepareContext(t.Context(), "SELECT ? * 2")
		require.NoError(t, err)
		for i := range 4 {
			for range 2 {
				_, err := db.ExecContext(t.Context(), fmt.Sprintf("SELECT ? + %d", i), 1)
				require.NoError(t, err)
			}
			var got int
			require.NoError(t, stmt.QueryRowContext(t.Context(), i).Scan(&got))
			assert.Equal(t, 2*i, got)
		}
		require.NoError(t, stmt.Close())                //nolint:sqlclosecheck // seen on the wire below
		require.NoError(t, db.PingContext(t.Context())) // nothing answers a CLOSE
		sent := strings.Join(w.take(), "\n")
		assert.Equal(t, 1, strings.Count(sent, "PREPARE SELECT ? * 2"))
		assert.Equal(t, 1, strings.Count(sent, "CLOSE SELECT ? * 2"))
	})
}
