package planner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
)

// dumps are files as other programs write a database, all of one schema: the one for servers of schema.sql.
var dumps = []string{"mysqldump.sql", "mariadb-dump.sql", "phpmyadmin.sql", "heidisql.sql", "ansi.sql"}

func dump(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "dumps", name))
	require.NoError(t, err)
	return string(text)
}

// asWritten are the ways in which editors and shells write a text.
var asWritten = map[string]func(string) string{
	"as it is":           func(s string) string { return s },
	"byte order mark":    func(s string) string { return "\ufeff" + s },
	"line ends with CR":  func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	"end without a line": strings.TrimSpace,
}

func TestDumpOfAServerIsASchema(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dev := dirtest.Scratch(t, url)
		want := planner.SQL("schema.sql", dump(t, "schema.sql"))
		for _, name := range dumps {
			assert.Empty(t, compare(t, dev, planner.SQL(name, dump(t, name)), want).SQL, name)
		}
		for how, write := range asWritten {
			text := write(dump(t, "mysqldump.sql"))
			assert.Empty(t, compare(t, dev, planner.SQL("dump.sql", text), want).SQL, how)
		}
	})
}

func TestDumpIsAMigration(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		for _, name := range dumps {
			url := mysqltest.Another(t, url)
			dir := dirtest.New(t, dirtest.Files{
				"1_dump.sql": dump(t, name), "2_more.sql": "ALTER TABLE items ADD COLUMN n int;",
			})
			dev := dirtest.Scratch(t, url)
			report, err := lint.Run(t.Context(), dev, dir, lint.Options{})
			require.NoError(t, err, name)
			assert.Empty(t, report.Diagnostics, name)

			dirtest.Apply(t, url, dir)
			assert.Empty(t, dirtest.Apply(t, url, dir).Applied, name)
			assert.Empty(t, compare(t, dev, planner.Files(dir), planner.Database(url)).SQL, name)
			if db := mysqltest.DB(t, url); name == "mysqldump.sql" {
				assert.Equal(t, []string{"it's; -- no end\n", "/*! none; */ #", "DELIMITER ;;"},
					mysqltest.Column(t, db, "SELECT note FROM orders ORDER BY id"))
				assert.Equal(t, "3", mysqltest.Value(t, db, "SELECT id FROM newest"))
				mysqltest.Exec(t, db, "INSERT INTO orders VALUES (4, '*/')", "CALL count_orders()")
				assert.Equal(t, "", mysqltest.Value(t, db, "SELECT note FROM orders WHERE id = 4"))
			}
		}
	})
}

func TestDumpOfSQLiteIsASchemaAndAMigration(t *testing.T) {
	t.Parallel()
	for how, write := range asWritten {
		url := mysqltest.SQLite(t)
		text := write(dump(t, "sqlite.sql"))
		dir := dirtest.New(t, dirtest.Files{"1_dump.sql": text})
		dev := dirtest.Scratch(t, url)
		report, err := lint.Run(t.Context(), dev, dir, lint.Options{})
		require.NoError(t, err, how)
		assert.Empty(t, report.Diagnostics, how)
		dirtest.Apply(t, url, dir)
		assert.Empty(t, compare(t, dev, planner.SQL("dump.sql", text), planner.Database(url)).SQL, how)
		db := mysqltest.DB(t, url)
		assert.Equal(t, "it's; -- no end", mysqltest.Value(t, db, "SELECT note FROM orders"), how)
		assert.Equal(t, "1", mysqltest.Value(t, db, "SELECT id FROM newest"), how)
	}
}

func TestDumpThatWasGivenUpIsNoSchema(t *testing.T) {
	t.Parallel()
	dev := dirtest.Scratch(t, mysqltest.SQLite(t))
	_, err := planner.SQL("dump.sql", "CREATE TABLE t (id int);\nROLLBACK; -- due to errors\n")(t.Context(), dev)
	assert.ErrorContains(t, err, "dump.sql:2: statement 2 of 2 failed: it would undo the file")
}

func TestDumpOfNamedDatabasesSaysHowToLeaveTheNameOut(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dev := dirtest.Scratch(t, url)
		for _, begin := range []string{
			"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;",
			"/*!40000 DROP DATABASE IF EXISTS `shop`*/;", "USE `shop`;",
		} {
			_, err := planner.SQL("dump.sql", begin+"\n"+dump(t, "schema.sql"))(t.Context(), dev)
			assert.ErrorContains(t, err, `dump.sql:1: statement 1 of 3 failed: it reaches database "shop"`, begin)
			assert.ErrorContains(t, err, "--databases", begin)
		}
	})
}

// What a dump says about replication would change the server for good.
func TestReplayLeavesReplicationAndLocksAlone(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	db := mysqltest.DB(t, url)
	before := mysqltest.Value(t, db, "SELECT @@GLOBAL.gtid_purged")
	_, err := planner.SQL("dump.sql", `SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa:1';
CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='x', SOURCE_LOG_POS=1;
CREATE TABLE a (id int);
LOCK TABLES a WRITE;
CREATE TABLE b (id int);
SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;`)(t.Context(), dirtest.Scratch(t, url))
	require.NoError(t, err)
	assert.Equal(t, before, mysqltest.Value(t, db, "SELECT @@GLOBAL.gtid_purged"))
}

func TestTextInUTF16IsNamed(t *testing.T) {
	t.Parallel()
	dev := dirtest.Scratch(t, mysqltest.SQLite(t))
	for _, text := range []string{"\xff\xfeS\x00E\x00", "\xfe\xff\x00S\x00E", "S\x00E\x00L\x00", "\x00S\x00E"} {
		_, err := planner.SQL("dump.sql", text)(t.Context(), dev)
		assert.ErrorContains(t, err, "dump.sql: it is UTF-16")
	}
}
