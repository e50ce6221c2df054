package doctor_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// What is set for a whole server is set on one that nobody else uses.
func TestSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		testSettings(t, ownServer(t, testserver.MySQL, "--performance-schema=OFF"))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		// It asks whether MariaDB was left out.
		_ = mysqltest.MariaDB(t)
		url := ownServer(t, testserver.MariaDB)
		testSettings(t, url)

		db := healthy(t, url)
		exec(t, db, "SET GLOBAL userstat = 1")
		exec(t, db, "INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) VALUES ('ada@example.com', 'a', 'signin', '2030-01-01', '2030-01-01')")
		reader := mysqltest.DB(t, url) // it counts for connections made since
		var n int
		require.NoError(t, reader.QueryRow("SELECT COUNT(*) FROM otps FORCE INDEX (otp_email_type) WHERE email = 'ada@example.com'").Scan(&n))
		require.NoError(t, reader.Close()) // its reads are added up at its end
		mysqltest.Eventually(t, "the read is counted", func() bool {
			f := find(t, run(t, url, doctor.Options{}), "unused-index", doctor.Info, "otps.otp_expires_at")
			return !strings.Contains(f.Text, "otp_email_type")
		})
	})
}

// ownServer starts a server for this test and returns the URL of a database on it.
func ownServer(t *testing.T, product *testserver.Product, flags ...string) string {
	t.Helper()
	server, err := testserver.StartOwn(t.Context(), product, t.Output(), flags...)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	exec(t, mysqltest.DB(t, server.URL), "CREATE DATABASE app")
	return server.URL + "app"
}

func testSettings(t *testing.T, url string) {
	t.Helper()
	db := healthy(t, url)
	exec(t, db, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
	for _, f := range run(t, url, doctor.Options{}) {
		if f.Code != "privileges" && f.Code != "unused-index" {
			assert.Equal(t, doctor.OK, f.Severity, "%+v", f)
		}
	}
	f := find(t, run(t, url, doctor.Options{}), "unused-index", doctor.Info, "it cannot be known: the server does not count it")
	assert.True(t, f.Unchecked)
	assert.NotEmpty(t, f.Fix)

	type setting struct {
		variable, value string
		code            string
		severity        doctor.Severity
		text            string
	}
	for _, settings := range [][]setting{
		{
			{"sql_mode", "''", "sql-mode", doctor.Info, "the global sql_mode is not strict: what is too long is cut"},
			{"time_zone", "'+05:30'", "time-zone", doctor.Warning, "the global time zone is +05:30, its clock is +05:30 from UTC today"},
			{"innodb_flush_log_at_trx_commit", "2", "durability", doctor.Info, "innodb_flush_log_at_trx_commit is 2"},
			{"foreign_key_checks", "0", "foreign-keys", doctor.Error, "foreign_key_checks is 0"},
			{"max_connections", "20", "connections", doctor.Error, "the services open up to 25 connections, the server allows 20"},
			{"max_prepared_stmt_count", "0", "prepared-statements", doctor.Warning, "no client may prepare a statement"},
		},
		{
			{"sql_mode", "'ANSI_QUOTES,STRICT_ALL_TABLES'", "sql-mode", doctor.Info, "the global sql_mode has ANSI_QUOTES: "},
			{"time_zone", "'-08:00'", "time-zone", doctor.Warning, "its clock is -08:00 from UTC today"},
		},
		{
			{"sql_mode", "DEFAULT", "sql-mode", doctor.OK, "strict"},
			{"time_zone", "'+00:00'", "time-zone", doctor.OK, "+00:00"},
			{"innodb_flush_log_at_trx_commit", "1", "durability", doctor.OK, "a commit is on disk when it returns"},
			{"foreign_key_checks", "1", "foreign-keys", doctor.OK, "checked"},
			{"max_connections", "500", "connections", doctor.OK, "of 500 allowed"},
			{"max_prepared_stmt_count", "16382", "prepared-statements", doctor.OK, "of 16382 are held"},
		},
	} {
		for _, s := range settings {
			exec(t, db, "SET GLOBAL "+s.variable+" = "+s.value)
		}
		findings := run(t, url, doctor.Options{})
		for _, s := range settings {
			f := find(t, findings, s.code, s.severity, s.text)
			assert.Equal(t, s.severity == doctor.OK, f.Fix == "", "what to do about %+v", f)
		}
	}

	exec(t, db, "SET GLOBAL max_prepared_stmt_count = 10")
	holdStatements(t, db, 8)
	find(t, run(t, url, doctor.Options{}), "prepared-statements", doctor.Warning, "8 of 10 prepared statements are held")

	exec(t, db, "SET GLOBAL max_connections = 100")
	holdConnections(t, mysqltest.DB(t, url), 91)
	find(t, run(t, url, doctor.Options{Connections: 10}), "connections", doctor.Warning, "of 100 connections have been in use at once")
	exec(t, db, "SET GLOBAL max_connections = 500")
	exec(t, db, "SET GLOBAL max_prepared_stmt_count = 16382")
}

// holdStatements prepares as many statements and keeps them.
func holdStatements(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	for range n {
		stmt, err := conn.PrepareContext(t.Context(), "SELECT 1")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, stmt.Close()) })
	}
}

// holdConnections opens as many connections and keeps them.
func holdConnections(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for range n {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	}
}
