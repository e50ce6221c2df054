package migrate_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The migration that adds the columns of suspensions, tickets, devices and second steps, and the one of their indexes.
const (
	accounts       = "_accounts.sql"
	accountIndexes = "_account_indexes.sql"
)

// statementsOf are those of the embedded file whose name ends so.
func statementsOf(t *testing.T, url, end string) []string {
	t.Helper()
	files, err := dirtest.EmbeddedDir(t, mysqltest.Dialect(url)).Files()
	require.NoError(t, err)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), end) {
			statements, err := f.Stmts()
			require.NoError(t, err)
			return statements
		}
	}
	t.Fatalf("no file ends in %s", end)
	return nil
}

// The columns come by an entry in the server's dictionary alone, whatever the size of a table: a server that would have
// to copy or rebuild one refuses these. An index has to be filled, which keeps no writer out.
func TestTheColumnsOfAccountsComeInAnInstant(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		applyBefore(t, url, accounts)
		db := mysqltest.DB(t, url)
		instant := 0
		for _, s := range slices.Concat(statementsOf(t, url, accounts), statementsOf(t, url, accountIndexes)) {
			switch s = strings.TrimSuffix(s, ";"); {
			case strings.Contains(s, "ADD COLUMN"):
				mysqltest.Exec(t, db, s+", ALGORITHM=INSTANT")
				instant++
			case strings.HasPrefix(s, "ALTER TABLE"):
				mysqltest.Exec(t, db, s+", ALGORITHM=INPLACE, LOCK=NONE")
			default:
				mysqltest.Exec(t, db, s)
			}
		}
		assert.Equal(t, 4, instant)
	})
}

// The one statement that changes rows locks those of suspensions alone: other accounts sign in while it runs.
func TestTheMigrationOfAccountsLocksNoOtherAccount(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		applyBefore(t, url, accounts)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "INSERT INTO users (id, name, email, lock_until) VALUES "+
			"(1, 'Ada', 'ada@example.com', NULL), (2, 'Bo', 'bo@example.com', '2037-01-01 00:00:00'), (3, 'Cy', "+
			"'cy@example.com', NULL)")
		for _, s := range statementsOf(t, url, accounts) {
			if strings.HasPrefix(s, "ALTER TABLE") {
				mysqltest.Exec(t, db, s)
				continue
			}
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), s)
			require.NoError(t, err)
			others := mysqltest.DB(t, url)
			others.SetMaxOpenConns(1)
			mysqltest.Exec(t, others, "SET innodb_lock_wait_timeout = 1",
				"UPDATE users SET last_login_at = '2026-01-31 12:00:00' WHERE id IN (1, 3)",
				"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2036-01-31 12:00:00'), "+
					"(3, 'c', '2036-01-31 12:00:00')")
			_, err = others.ExecContext(t.Context(), "UPDATE users SET last_login_at = NULL WHERE id = 2")
			assert.ErrorContains(t, err, "Lock wait timeout exceeded", "the row of the suspension is held")
			require.NoError(t, tx.Commit())
		}
	})
}

// What apply sends names no algorithm, and rebuilds no table either: a table that is rebuilt gets another id. (One
// without rows is, where nothing has to be moved.)
func TestTheMigrationsOfAccountsRebuildNoTable(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := applyBefore(t, url, accounts)
		view := "INNODB_TABLES"
		if strings.HasPrefix(url, "mariadb") {
			view = "INNODB_SYS_TABLES"
		}
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, rowsBefore...)
		ids := func() []string {
			return mysqltest.Column(t, db, "SELECT CONCAT(NAME, ' ', TABLE_ID) FROM information_schema."+view+
				" WHERE NAME LIKE CONCAT(DATABASE(), '/%') AND NAME NOT LIKE '%revisions' ORDER BY 1")
		}
		before := ids()
		assert.Len(t, before, 4)
		dirtest.Apply(t, url, dir)
		assert.Subset(t, ids(), before)
	})
}

// The locks that the next test writes: by name, until when, and whether they last longer than guessing causes.
var locks = []struct {
	name, until, sqlite string
	suspends            bool
}{
	{"of a day", "CURRENT_TIMESTAMP(6) + INTERVAL 1 DAY", "strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 day')", true},
	{"of 20 minutes", "CURRENT_TIMESTAMP(6) + INTERVAL 20 MINUTE", "datetime('now', '+20 minutes')", true},
	{"for ever", "'2038-01-19 03:14:07.000000'", "'2038-01-19 03:14:07+00:00'", true},
	{"of 14 minutes", "CURRENT_TIMESTAMP(6) + INTERVAL 14 MINUTE", "datetime('now', '+14 minutes')", false},
	{"that is over", "CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY", "datetime('now', '-1 day')", false},
	{"of none", "NULL", "NULL", false},
}

// A lock that guessing does not make by default was an operator's word, which lets nobody back in by an upgrade. The
// row says as before when it was written. The session's time zone is that of apply, of a program that sets another one,
// or of the server.
func TestALockLongerThanGuessingCausesBecomesASuspension(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		zones := []string{"+00:00", "+05:30", "-09:00", "SYSTEM"}
		if mysqltest.IsSQLite(url) {
			zones = zones[:1]
		}
		for _, zone := range zones {
			t.Run(zone, func(t *testing.T) { lockBecomesSuspension(t, mysqltest.Another(t, url), zone) })
		}
	})
}

func lockBecomesSuspension(t *testing.T, url, zone string) {
	dir := applyBefore(t, url, accounts)
	db := mysqltest.DB(t, url)
	for _, l := range locks {
		until := l.until
		if mysqltest.IsSQLite(url) {
			until = l.sqlite
		}
		mysqltest.Exec(t, db, fmt.Sprintf("INSERT INTO users (name, email, lock_until, updated_at) "+
			"VALUES ('%s', '%[1]s@example.com', %s, '2026-01-31 12:00:00')", l.name, until))
	}
	if zone == "+00:00" {
		dirtest.Apply(t, url, dir)
	} else {
		applyIn(t, url, zone)
	}
	for _, l := range locks {
		got := mysqltest.Value(t, db, "SELECT suspended_until FROM users WHERE name = ?", l.name)
		if !l.suspends {
			assert.Empty(t, got, l.name)
			continue
		}
		assert.Equal(t, mysqltest.Value(t, db, "SELECT lock_until FROM users WHERE name = ?", l.name), got, l.name)
	}
	assert.Equal(t, fmt.Sprint(len(locks)), mysqltest.Value(t, db,
		"SELECT COUNT(*) FROM users WHERE updated_at = '2026-01-31 12:00:00'"))
}

// applyIn sends the statements in a session of the time zone.
func applyIn(t *testing.T, url, zone string) {
	t.Helper()
	conn, err := mysqltest.DB(t, url).Conn(t.Context())
	require.NoError(t, err)
	defer func() { assert.NoError(t, conn.Close()) }()
	_, err = conn.ExecContext(t.Context(), "SET time_zone = '"+zone+"'")
	require.NoError(t, err)
	for _, s := range statementsOf(t, url, accounts) {
		_, err = conn.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// Rows of the four tables with every column that they had before the migration; the third of each is gone.
var rowsBefore = []string{
	`INSERT INTO users (id, name, email, password, role, provider, provider_id, avatar, is_email_verified,
		last_login_at, failed_login_attempts, lock_until, is_deleted, deleted_at, re_activate_available_at, created_at,
		updated_at) VALUES
		(1, 'Ada ☃', 'ada@example.com', 'hash', 'admin', 'github', '42', '{"url":"https://example.com/a.png"}', TRUE,
			'2030-01-01 00:00:00', 2, '2030-01-02 00:00:00', TRUE, '2026-01-03 00:00:00', '2026-01-04 00:00:00',
			'2026-01-05 00:00:00', '2026-01-06 00:00:00'),
		(2, 'Bo', 'bo@example.com', NULL, 'user', 'local', NULL, NULL, FALSE, NULL, 0, NULL, FALSE, NULL, NULL,
			'2026-01-05 00:00:00', '2026-01-06 00:00:00'),
		(90, 'Cy', 'cy@example.com', NULL, 'user', 'local', NULL, NULL, FALSE, NULL, 0, NULL, FALSE, NULL, NULL,
			'2026-01-05 00:00:00', '2026-01-06 00:00:00')`,
	`INSERT INTO otps (id, email, otp_hash_code, next_resend_allowed_at, type, expires_at, is_used, used_at, attempts,
		max_attempts, created_at, updated_at) VALUES
		(1, 'ada@example.com', 'hash', '2026-01-01 00:00:00', 'password-change', '2026-01-02 00:00:00', TRUE,
			'2026-01-03 00:00:00', 4, 7, '2026-01-05 00:00:00', '2026-01-06 00:00:00'),
		(90, 'ada@example.com', 'hash', '2026-01-01 00:00:00', 'signin', '2026-01-02 00:00:00', FALSE,
			NULL, 0, 5, '2026-01-05 00:00:00', '2026-01-06 00:00:00')`,
	`INSERT INTO sessions (id, user_id, token_hash, ip, user_agent, is_active, last_used_at, expires_at, created_at,
		updated_at) VALUES
		(1, 1, 'one', '::1', 'curl ☃', TRUE, '2026-01-01 00:00:00', '2026-01-02 00:00:00', '2026-01-05 00:00:00',
			'2026-01-06 00:00:00'),
		(2, 2, 'two', NULL, NULL, FALSE, '2026-01-01 00:00:00', '2026-01-02 00:00:00', '2026-01-05 00:00:00',
			'2026-01-06 00:00:00'),
		(90, 2, 'gone', NULL, NULL, FALSE, '2026-01-01 00:00:00', '2026-01-02 00:00:00', '2026-01-05 00:00:00',
			'2026-01-06 00:00:00')`,
	`INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, is_revoked, revoked_at, replaced_by_token_hash,
		grace_uses, created_at, updated_at) VALUES
		(1, 1, 'one', '2026-01-01 00:00:00', TRUE, '2026-01-02 00:00:00', 'two', 3, '2026-01-05 00:00:00',
			'2026-01-06 00:00:00'),
		(2, 2, 'two', '2026-01-01 00:00:00', FALSE, NULL, NULL, 0, '2026-01-05 00:00:00', '2026-01-06 00:00:00'),
		(90, 2, 'gone', '2026-01-01 00:00:00', FALSE, NULL, NULL, 0, '2026-01-05 00:00:00', '2026-01-06 00:00:00')`,
	"DELETE FROM sessions WHERE id = 90", "DELETE FROM refresh_tokens WHERE id = 90",
	"DELETE FROM users WHERE id = 90", "DELETE FROM otps WHERE id = 90",
}

// Rows stay as they were, those that refer to others too, and no id is given out twice: also on SQLite, where the
// tables are copied.
func TestTheMigrationsOfAccountsKeepRowsAndIDs(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := applyBefore(t, url, accounts)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, rowsBefore...)
		tables := []string{"users", "otps", "sessions", "refresh_tokens"}
		reads := make([]string, len(tables))
		for i, table := range tables {
			reads[i] = "SELECT " + columnsOf(t, db, table) + " FROM " + table + " ORDER BY id"
		}
		content := func() string {
			var b strings.Builder
			for _, read := range reads {
				mysqltest.Write(t, &b, db, read)
			}
			return b.String()
		}
		before := content()
		dirtest.Apply(t, url, dir)
		assert.Equal(t, before, content())

		mysqltest.Exec(t, db, "INSERT INTO users (name, email) VALUES ('Di', 'di@example.com')",
			"INSERT INTO otps (email, otp_hash_code, next_resend_allowed_at, type, expires_at) "+
				"VALUES ('di@example.com', 'hash', '2026-01-01 00:00:00', 'signin', '2026-01-02 00:00:00')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (91, 'next', '2026-01-02 00:00:00')",
			"INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES (91, 'next', '2026-01-02 00:00:00')")
		for _, table := range tables {
			assert.Equal(t, "91", mysqltest.Value(t, db, "SELECT MAX(id) FROM "+table), table)
		}
		mysqltest.Exec(t, db, "DELETE FROM users WHERE id = 91")
		for _, table := range []string{"sessions", "refresh_tokens"} {
			assert.Equal(t, "2", mysqltest.Value(t, db, "SELECT COUNT(*) FROM "+table), table)
		}
	})
}

// columnsOf are the names of a table's columns, for a SELECT.
func columnsOf(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE FALSE")
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Err())
	return strings.Join(names, ", ")
}
