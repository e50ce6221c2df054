package doctor_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

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
		url := ownServer(t, testserver.MySQL, "--performance-schema=OFF")
		testSettings(t, url)
		testWrites(t, url, []provoked{
			{"SET GLOBAL autocommit = 0", "autocommit", doctor.Error, "the global autocommit is off"},
			{"SET GLOBAL explicit_defaults_for_timestamp = 0", "timestamp-defaults", doctor.Warning,
				"explicit_defaults_for_timestamp is off"},
			{"SET GLOBAL default_storage_engine = MyISAM", "default-engine", doctor.Warning,
				"the default engine is MyISAM"},
			{"SET GLOBAL transaction_read_only = 1", "read-only", doctor.Error, "transaction_read_only is on"},
			{"SET GLOBAL offline_mode = 1", "read-only", doctor.Error, "offline_mode is on"},
			{"SET GLOBAL read_only = 1", "read-only", doctor.Error, "read_only is on"},
		})
		testWrites(t, url, []provoked{
			{"SET GLOBAL init_connect = 'SET autocommit = 0'", "autocommit", doctor.Warning,
				"init_connect sets autocommit"},
			{"SET GLOBAL super_read_only = 1", "read-only", doctor.Error, "super_read_only is on"},
		})
		testReplica(t, url, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1")
		testScratch(t, url)
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		// It asks whether MariaDB was left out.
		_ = mysqltest.MariaDB(t)
		url := ownServer(t, testserver.MariaDB)
		testSettings(t, url)
		testWrites(t, url, []provoked{
			{"SET GLOBAL autocommit = 0", "autocommit", doctor.Error, "the global autocommit is off"},
			{"SET GLOBAL default_storage_engine = Aria", "default-engine", doctor.Warning,
				"the default engine is Aria"},
			{"SET GLOBAL enforce_storage_engine = MyISAM", "default-engine", doctor.Error,
				"enforce_storage_engine is MyISAM"},
			{"SET GLOBAL tx_read_only = 1", "read-only", doctor.Error, "tx_read_only is on"},
			{"SET GLOBAL read_only = 1", "read-only", doctor.Error, "read_only is on"},
		})
		testReplica(t, url, "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1")
		testScratch(t, url)

		db := healthy(t, url)
		exec(t, db, "SET GLOBAL explicit_defaults_for_timestamp = 0")
		find(t, run(t, url, doctor.Options{}), "timestamp-defaults", doctor.Warning,
			"explicit_defaults_for_timestamp is off")
		exec(t, db, "SET GLOBAL explicit_defaults_for_timestamp = 1")
		exec(t, db, "SET GLOBAL userstat = 1")
		exec(t, db, "INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) VALUES "+
			"('ada@example.com', 'a', 'signin', '2030-01-01', '2030-01-01')")
		reader := mysqltest.DB(t, url) // it counts for connections made since
		var n int
		require.NoError(t, reader.QueryRow("SELECT COUNT(*) FROM otps FORCE INDEX (otp_email_type) WHERE email = "+
			"'ada@example.com'").Scan(&n))
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

// provoked is a fault of a server that a statement brings about.
type provoked struct {
	statement string
	code      string
	severity  doctor.Severity
	text      string
}

// testWrites brings faults about, and has the printed statements undo them.
func testWrites(t *testing.T, url string, faults []provoked) {
	t.Helper()
	db := mysqltest.DB(t, url)
	db.SetMaxOpenConns(1) // so that it is not a connection with the faults
	for _, f := range faults {
		exec(t, db, f.statement)
	}
	findings := run(t, url, doctor.Options{})
	for _, f := range faults {
		exec(t, db, statement(find(t, findings, f.code, f.severity, f.text)))
	}
	findings = run(t, url, doctor.Options{})
	for _, f := range faults {
		assert.Empty(t, problems(findings, f.code), f.statement)
	}
}

// testReplica makes a replica of the server, whose source need not be there.
func testReplica(t *testing.T, url, follow string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	exec(t, db, follow)
	f := find(t, run(t, url, doctor.Options{}), "replica", doctor.Warning,
		"this server is a replica of 127.0.0.1:1, and has stopped following it (IO No, SQL No)")
	_, promoted, _ := strings.Cut(f.Fix, "where this server was promoted: ")
	for stmt := range strings.SplitSeq(promoted, "; ") {
		exec(t, db, stmt)
	}
	find(t, run(t, url, doctor.Options{}), "replica", doctor.OK, "this server is the replica of no other")
}

func testScratch(t *testing.T, url string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	name := func(ago time.Duration, rest string) string {
		return fmt.Sprintf("authgraph_dev_%08x_%s", time.Now().Add(-ago).Unix(), rest)
	}
	old, used := name(3*time.Hour, "0123456789ab"), name(5*time.Hour, "000000000000")
	for _, name := range []string{old, used, name(time.Minute, "111111111111"), "authgraph_dev_ffffffffffff",
		"authgraph_dev_222222222222", "authgraph_dev_mine"} {
		exec(t, db, "CREATE DATABASE "+name)
		t.Cleanup(func() {
			_, err := db.ExecContext(context.Background(), "DROP DATABASE IF EXISTS "+name)
			assert.NoError(t, err)
		})
	}
	exec(t, db, "CREATE TABLE authgraph_dev_222222222222.made_now (id int)")
	conn, err := mysqltest.DB(t, strings.TrimSuffix(url, "app")+used).Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.PingContext(t.Context()))

	findings := run(t, url, doctor.Options{})
	found := problems(findings, "scratch-databases")
	require.Len(t, found, 2, "%+v", found)
	f := find(t, findings, "scratch-databases", doctor.Info,
		`scratch database "`+old+`" was left over: it was made 3 hours ago, and no connection is to it`)
	exec(t, db, f.Fix)
	exec(t, db, find(t, findings, "scratch-databases", doctor.Info,
		`"authgraph_dev_ffffffffffff" was left over: its age is not known, and no connection is to it`).Fix)
	find(t, run(t, url, doctor.Options{}), "scratch-databases", doctor.OK, "none was left over")
	require.NoError(t, conn.Close())
}

// A group of one node is a real one: it is a primary, or in no group.
func TestNodeOfGroupReplication(t *testing.T) {
	t.Parallel()
	url := ownServer(t, testserver.MySQL, "--server-id=1", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
		"--log-bin=binlog", "--report-host=127.0.0.1",
		"--plugin-load-add=group_replication.so", "--group-replication-group-name=6f1b0f0e-7c7e-4a52-9d4e-3b0f4c1d2e3f",
		"--group-replication-start-on-boot=OFF", "--group-replication-communication-stack=MYSQL",
		"--group-replication-consistency=EVENTUAL")
	db := healthy(t, url)
	find(t, run(t, url, doctor.Options{}), "cluster", doctor.Error, "Group Replication is set up here and does not run")
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(url)
	exec(t, db, "SET GLOBAL group_replication_local_address = '"+at+"'")
	exec(t, db, "SET GLOBAL group_replication_group_seeds = '"+at+"'")
	exec(t, db, "SET GLOBAL group_replication_bootstrap_group = ON")
	exec(t, db, "START GROUP_REPLICATION USER = 'root'")
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), "STOP GROUP_REPLICATION")
		assert.NoError(t, err)
	})
	mysqltest.Eventually(t, "the node is online", func() bool {
		var state string
		err := db.QueryRow("SELECT MEMBER_STATE FROM performance_schema.replication_group_members").Scan(&state)
		return err == nil && state == "ONLINE"
	})
	findings := run(t, url, doctor.Options{})
	find(t, findings, "cluster", doctor.OK, "this node takes writes for its group")
	find(t, findings, "replica", doctor.OK, "this server is the replica of no other")
	assert.Empty(t, problems(findings, "cluster"))
	find(t, run(t, url+"?group_replication_consistency='EVENTUAL'", doctor.Options{}), "cluster", doctor.Info,
		"the URL sets group_replication_consistency to EVENTUAL: after a failover")

	// What an account may not look at, it is told.
	service := account(t, url, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}")
	f := find(t, run(t, service, doctor.Options{}), "cluster", doctor.Info,
		"could not be looked at: whether this node of Group Replication is a secondary or without quorum")
	assert.True(t, f.Unchecked)
	exec(t, db, strings.TrimPrefix(f.Fix, "look with an account that may, or: "))
	find(t, run(t, service, doctor.Options{}), "cluster", doctor.OK, "this node takes writes for its group")
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
	f := find(t, run(t, url, doctor.Options{}), "unused-index", doctor.Info,
		"it cannot be known: the server does not count it")
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
			{"time_zone", "'+05:30'", "time-zone", doctor.Warning,
				"the global time zone is +05:30, its clock is +05:30 from UTC today"},
			{"innodb_flush_log_at_trx_commit", "2", "durability", doctor.Info, "innodb_flush_log_at_trx_commit is 2"},
			{"foreign_key_checks", "0", "foreign-keys", doctor.Error, "foreign_key_checks is 0"},
			{"max_connections", "20", "connections", doctor.Error,
				"the services open up to 25 connections, the server allows 20"},
			{"max_prepared_stmt_count", "0", "prepared-statements", doctor.Warning,
				"no client may prepare a statement"},
		},
		{
			{"sql_mode", "'ANSI_QUOTES,STRICT_ALL_TABLES'", "sql-mode", doctor.Info,
				"the global sql_mode has ANSI_QUOTES: "},
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
	find(t, run(t, url, doctor.Options{}), "prepared-statements", doctor.Warning,
		"8 of 10 prepared statements are held")

	exec(t, db, "SET GLOBAL max_connections = 100")
	holdConnections(t, mysqltest.DB(t, url), 91)
	find(t, run(t, url, doctor.Options{Connections: 10}), "connections", doctor.Warning,
		"of 100 connections have been in use at once")
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
