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
			"ALTER TABLE local EXCHANGE PARTITION p WITH TABLE other.people",
			"CREATE TABLE more (id int) ENGINE=MERGE UNION=(other.people)",
			"RENAME TABLE local TO other.local", "DROP TABLE local, other.people",
			"INSERT INTO other.people VALUES (2, 'Eve')", "UPDATE other.people SET name = 'other'",
			"UPDATE other.people SET name = other", "DELETE FROM other.people", "SELECT * FROM local JOIN other.people",
			"CREATE VIEW v AS SELECT id FROM other.people",
			"CREATE TRIGGER other.t BEFORE INSERT ON local FOR EACH ROW SET @x = 1",
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

// A file may say in texts what it executes, and in which quotes names stand.
func TestReplayNeverReachesBeyondItsDatabaseByWhatAFileMakesUp(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other, err := dburl.Parse(url)
		require.NoError(t, err)
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE people (id int PRIMARY KEY, name text)",
			"INSERT INTO people VALUES (1, 'Ada')")
		settings := func() string {
			return mysqltest.Value(t, mysqltest.DB(t, url), "SELECT @@GLOBAL.max_join_size")
		}
		before, set := mysqltest.Dump(t, url), settings()
		dev := dirtest.Scratch(t, url)
		ansi := "SET sql_mode = 'ANSI_QUOTES'\n\n"
		for _, statements := range []string{
			ansi + `USE "other"`, ansi + `DROP DATABASE IF EXISTS "other"`, ansi + `DROP TABLE "other"."people"`,
			"PREPARE s FROM 'DROP TABLE other.people'\n\nEXECUTE s",
			"/*!50000 PREPARE s FROM 'DROP TABLE other.people' */\n\nEXECUTE s",
			"SET @s = CONCAT('DROP TABLE ', 'other', '.people')\n\nPREPARE s FROM @s\n\nEXECUTE s",
			"SET @s = CONCAT('SET GLOBAL max_', 'join_size = 99')\n\nPREPARE s FROM @s\n\nEXECUTE s",
			"EXECUTE IMMEDIATE CONCAT('DROP TABLE oth', 'er.people')",
			"BEGIN NOT ATOMIC EXECUTE IMMEDIATE CONCAT('DROP TABLE ', 'other', '.people'); END",
			"CREATE PROCEDURE p() BEGIN SET @s = CONCAT('DROP TABLE other.', 'people'); PREPARE s FROM @s; " +
				"EXECUTE s; END\n\nCALL p()",
			"CREATE PROCEDURE p(d text) BEGIN SET @s = CONCAT('DROP TABLE ', d, '.people'); PREPARE s FROM @s; " +
				"EXECUTE s; END\n\n" +
				"CALL p('other')",
			"CREATE PROCEDURE p() BEGIN DECLARE d text; SELECT MAX(TABLE_SCHEMA) INTO d " +
				"FROM information_schema.TABLES " +
				"WHERE TABLE_NAME = 'people'; SET @s = CONCAT('DROP TABLE ', d, '.people'); PREPARE s FROM @s; " +
				"EXECUTE s; END\n\n" +
				"CALL p()",
			"CREATE PROCEDURE p() SET GLOBAL max_join_size = 99\n\nCALL p()",
			"SET @x = 1, GLOBAL max_join_size = 99", "SET @x = 1, @@GLOBAL . max_join_size := 99",
		} {
			name := other.Database()
			statements = strings.NewReplacer("oth', 'er", name[:3]+"', '"+name[3:], "other", name).Replace(statements)
			_, err := planner.SQL("file.sql", "-- atlas:delimiter \\n\\n\n\n"+statements)(t.Context(), dev)
			var beyond *planner.OutsideError
			if !strings.Contains(statements, "IMMEDIATE") || strings.HasPrefix(url, "mariadb") {
				require.ErrorAs(t, err, &beyond, statements)
			}
			assert.Equal(t, before, mysqltest.Dump(t, url), statements)
			assert.Equal(t, set, settings(), statements)
		}
	})
}

func TestReplayExecutesTextsThatStayInItsDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dev := dirtest.Scratch(t, url)
		s, err := planner.SQL("file.sql", "-- atlas:delimiter \\n\\n\n\n"+strings.Join([]string{
			"SET @s = IF((SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()) = 0, " +
				"'CREATE TABLE a (id int COMMENT \"a.b\")', 'DO 1')",
			"PREPARE s FROM @s", "EXECUTE s", "DEALLOCATE PREPARE s", "SET @i = 1", "PREPARE s FROM 'SELECT ?'",
			"EXECUTE s USING @i",
			"SET sql_mode = 'ANSI_QUOTES'", `CREATE TABLE "b" ("c.d" int, e int CHECK ("b"."e" > 0))`,
			"CREATE PROCEDURE p(name text) BEGIN IF NOT EXISTS (SELECT 1 FROM information_schema.TABLES " +
				"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = name) THEN " +
				"SET @s = CONCAT('CREATE TABLE `', name, '` (id int)'); " +
				"PREPARE s FROM @s; EXECUTE s; END IF; END",
			"CALL p('c')", "CALL p('users')", "SET @x = 1, @y = @@GLOBAL.sort_buffer_size",
		}, "\n\n"))(t.Context(), dev)
		require.NoError(t, err)
		for _, table := range []string{"a", "b", "c", "users"} {
			_, ok := s.Table(table)
			assert.True(t, ok, table)
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
	for _, statement := range []string{
		"ATTACH DATABASE 'x.db' AS other", "VACUUM INTO 'x.db'", "VACUUM main INTO 'x.db'",
	} {
		_, err := planner.SQL("file.sql", statement+";")(t.Context(), dev)
		var beyond *planner.OutsideError
		assert.ErrorAs(t, err, &beyond, statement)
	}
}
