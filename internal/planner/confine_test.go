package planner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
)

func TestReplayNeverReachesAnotherDatabaseOfTheServer(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other, err := dburl.Parse(url)
		require.NoError(t, err)
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE people (id int PRIMARY KEY, name text)",
			"INSERT INTO people VALUES (1, 'Ada')")
		before := mysqltest.Dump(t, url)
		dev := dirtest.Scratch(t, url)
		for _, statement := range []string{
			"CREATE DATABASE IF NOT EXISTS other", "DROP DATABASE other", "DROP SCHEMA IF EXISTS `other`",
			"ALTER DATABASE other CHARACTER SET latin1", "USE other", "use`other`", "/* so */ USE other",
			"DROP TABLE other.people", "DROP TABLE IF EXISTS `other` . `people`", "drop table OTHER.people",
			"TRUNCATE other.people", "ALTER TABLE other.people ADD x int", "CREATE INDEX i ON other.people (id)",
			"CREATE TABLE other.more (id int)", "CREATE TABLE more LIKE other.people",
			"CREATE TABLE more (id int, FOREIGN KEY (id) REFERENCES other.people (id))",
			"RENAME TABLE local TO other.local", "DROP TABLE local, other.people",
			"INSERT INTO other.people VALUES (2, 'Eve')", "UPDATE other.people SET name = 'other'",
			"UPDATE other.people SET name = other", "DELETE FROM other.people", "SELECT * FROM local JOIN other.people",
			"CREATE VIEW v AS SELECT id FROM other.people", "CREATE TRIGGER other.t BEFORE INSERT ON local FOR EACH ROW SET @x = 1",
			"CREATE PROCEDURE p() DELETE FROM other.people",
		} {
			statement = strings.NewReplacer("other", other.Database(), "OTHER", other.Database()).Replace(statement)
			state := planner.SQL("file.sql", "CREATE TABLE local (id int);\n"+statement+";\n")
			_, err := state(t.Context(), dev)
			var beyond *planner.OutsideError
			require.ErrorAs(t, err, &beyond, statement)
			assert.ErrorContains(t, err, "file.sql:2: statement 2 of 2 failed: it reaches database", statement)
			assert.Equal(t, before, mysqltest.Dump(t, url), statement)
		}
	})
}

func TestReplayTakesNamesThatOnlyLookLikeAnotherDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other, err := dburl.Parse(url)
		require.NoError(t, err)
		dev := dirtest.Scratch(t, url)
		for _, statement := range []string{
			"SELECT other.id FROM local other", "UPDATE local AS other SET other.id = 1",
			"SELECT COUNT(*) FROM information_schema.TABLES t WHERE t.TABLE_NAME = 'local'",
			"INSERT INTO local VALUES (1.5) /* other.people */", "SELECT 'other.people'",
			"ALTER DATABASE CHARACTER SET utf8mb4", "CREATE VIEW v AS SELECT local.id FROM local",
		} {
			statement = strings.ReplaceAll(statement, "other", other.Database())
			_, err := planner.SQL("file.sql", "CREATE TABLE local (id int);\n"+statement+";\n")(t.Context(), dev)
			assert.NoError(t, err, statement)
		}
	})
}

func TestReplayLeavesTheServerAndItsAccountsAlone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		_, err := planner.SQL("file.sql", "CREATE USER nobody_made_this IDENTIFIED BY 'x';\n"+
			"GRANT SELECT ON *.* TO nobody_made_this;\nSET GLOBAL sort_buffer_size = 1;\nSTART TRANSACTION;\nCOMMIT;\n",
		)(t.Context(), dirtest.Scratch(t, url))
		require.NoError(t, err)
		var made int
		require.NoError(t, mysqltest.DB(t, url).QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM mysql.user WHERE User = 'nobody_made_this'").Scan(&made))
		assert.Zero(t, made)
	})
}

func TestReplayOpensNoOtherSQLiteFile(t *testing.T) {
	t.Parallel()
	dev := dirtest.Scratch(t, mysqltest.SQLite(t))
	for _, statement := range []string{"ATTACH DATABASE 'x.db' AS other", "VACUUM INTO 'x.db'", "VACUUM main INTO 'x.db'"} {
		_, err := planner.SQL("file.sql", statement+";")(t.Context(), dev)
		var beyond *planner.OutsideError
		assert.ErrorAs(t, err, &beyond, statement)
	}
}
