package planner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

func TestDriftIsWhatSeparatesADatabaseFromItsHistory(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int PRIMARY KEY, name varchar(10) NOT NULL) " +
				"CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
			"2_b.sql": "CREATE TABLE b (id int PRIMARY KEY) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
		})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.NoError(t, err)
		drift := func(version string) []planner.Deviation {
			dev, err := planner.Scratch(t.Context(), url)
			require.NoError(t, err)
			defer func() { require.NoError(t, dev.Close()) }()
			found, err := planner.Deviations(t.Context(), dev, dir, version, url)
			require.NoError(t, err)
			return found
		}
		db := mysqltest.DB(t, url)
		exec := func(stmt string) {
			_, err := db.ExecContext(t.Context(), stmt)
			require.NoError(t, err, stmt)
		}
		assert.Empty(t, drift(""))
		exec("CREATE TABLE of_others (id int)")
		assert.Empty(t, drift(""), "what no migration makes belongs to others")

		exec("ALTER TABLE a MODIFY name varchar(20) COLLATE utf8mb4_bin NULL")
		exec("DROP TABLE b")
		found := drift("")
		require.Len(t, found, 2)
		for _, d := range found {
			exec(d.SQL)
		}
		assert.Empty(t, drift(""), "the statements undo it: %+v", found)

		exec("ALTER TABLE a ADD phone varchar(30), ADD INDEX again (name), ADD CONSTRAINT long_name CHECK (name <> '')")
		found = drift("")
		require.Len(t, found, 3)
		for _, d := range found {
			assert.True(t, d.Extra, "%+v", d)
			assert.Empty(t, d.SQL, "nothing is offered that loses data")
		}
		exec("ALTER TABLE a DROP CONSTRAINT long_name, DROP INDEX again, DROP phone")
		exec("DROP TABLE b")
		assert.Empty(t, drift("1"), "at that version there was no such table")
	})
}

// An index is of use only as the one it was made as, and only where queries may read it.
func TestIndexThatQueriesDoNotUseIsADeviation(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		hide := "ALTER TABLE a ALTER INDEX by_name INVISIBLE"
		if strings.HasPrefix(url, "mariadb:") {
			mysqltest.NeedsMariaDB(t, url, "10.6.0", "index that is IGNORED")
			hide = "ALTER TABLE a ALTER INDEX by_name IGNORED"
		}
		for name, c := range map[string]struct{ faulty, text string }{
			"hidden": {hide, `index "by_name" is there, but hidden from queries (INVISIBLE, IGNORED)`},
			"of a prefix": {"ALTER TABLE a DROP INDEX by_name, ADD UNIQUE INDEX by_name (name(3))",
				`index "by_name" is not as in the migrations`},
			"of other columns": {"ALTER TABLE a DROP INDEX by_name, ADD UNIQUE INDEX by_name (id, name)",
				`index "by_name" is not as in the migrations`},
			"of another type": {"ALTER TABLE a DROP INDEX by_name, ADD FULLTEXT INDEX by_name (name)",
				`index "by_name" is not as in the migrations`},
			"that is not unique": {"ALTER TABLE a DROP INDEX by_name, ADD INDEX by_name (name)",
				`index "by_name" is not as in the migrations`},
			"hidden and a prefix": {"ALTER TABLE a DROP INDEX by_name, ADD UNIQUE INDEX by_name (name(3)); " + hide,
				`index "by_name" is not as in the migrations`},
			"an id of no counter": {"ALTER TABLE a MODIFY id int NOT NULL",
				`column "id": its AUTO_INCREMENT is another`},
		} {
			t.Run(name, func(t *testing.T) {
				url := mysqltest.Another(t, url)
				dir := dirtest.New(t, dirtest.Files{
					"1_a.sql": "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, name varchar(10) NOT NULL, " +
						"UNIQUE INDEX by_name (name)) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
				})
				dirtest.Apply(t, url, dir)
				db := mysqltest.DB(t, url)
				mysqltest.Exec(t, db, strings.Split(c.faulty, "; ")...)
				dev := dirtest.Scratch(t, url)
				found, err := planner.Deviations(t.Context(), dev, dir, "", url)
				require.NoError(t, err)
				require.Len(t, found, 1)
				assert.Equal(t, c.text, found[0].Text)
				mysqltest.Exec(t, db, found[0].SQL)
				found, err = planner.Deviations(t.Context(), dev, dir, "", url)
				require.NoError(t, err)
				assert.Empty(t, found)
			})
		}
	})
}

// A migration may hide an index, as a step before it drops it.
func TestIndexThatAMigrationHidesIsHidden(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		word, undo := "INVISIBLE", "VISIBLE"
		if strings.HasPrefix(url, "mariadb:") {
			mysqltest.NeedsMariaDB(t, url, "10.6.0", "index that is IGNORED")
			word, undo = "IGNORED", "NOT IGNORED"
		}
		create := "CREATE TABLE a (id int PRIMARY KEY, name varchar(10), KEY by_name (name)) " +
			"CHARSET utf8mb4 COLLATE utf8mb4_bin;\n"
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": create, "2_hide.sql": "ALTER TABLE a ALTER INDEX by_name " + word + ";\n",
		})
		dirtest.Apply(t, url, dir)
		dev := dirtest.Scratch(t, url)
		assert.Empty(t, compare(t, dev, planner.Files(dir), planner.Database(url)).Statements)

		before := planner.Files(dirtest.New(t, dirtest.Files{"1_a.sql": create}))
		hide := "ALTER TABLE `a` ALTER INDEX `by_name` "
		assert.Equal(t, []string{hide + word}, compare(t, dev, before, planner.Database(url)).Statements)
		assert.Equal(t, []string{hide + undo}, compare(t, dev, planner.Database(url), before).Statements)

		// The whole schema, too.
		s, err := planner.Inspect(t.Context(), dev, planner.Database(url))
		require.NoError(t, err)
		sql, err := planner.MarshalSQL(s)
		require.NoError(t, err)
		assert.Regexp(t, "KEY `by_name` \\(`name`\\) (/\\*!80000 )?"+word, sql)
		past, err := planner.PastOf(t.Context(), dev, dir, "")
		require.NoError(t, err)
		assert.Len(t, past.Changes, 2)
	})
}

func TestColumnsThatSelectLeavesOutAreReadAsAnyOther(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int PRIMARY KEY, name varchar(10) NULL INVISIBLE) " +
				"CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
		})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.NoError(t, err)
		_, err = mysqltest.DB(t, url).ExecContext(t.Context(), "ALTER TABLE a ADD n int INVISIBLE DEFAULT 3, "+
			"ADD at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP INVISIBLE, "+
			"ADD twice int GENERATED ALWAYS AS (n * 2) VIRTUAL INVISIBLE")
		require.NoError(t, err)
		found, err := planner.Deviations(t.Context(), dirtest.Scratch(t, url), dir, "", url)
		require.NoError(t, err)
		require.Len(t, found, 3)
		for _, d := range found {
			assert.True(t, d.Extra, "%+v", d)
		}
	})
}

// Whoever writes a comment on a table changes nothing that it does, and adopting keeps it.
func TestCommentsAreNoDeviationAndStayWhereAnotherIsUndone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		hide := "INVISIBLE"
		if strings.HasPrefix(url, "mariadb:") {
			mysqltest.NeedsMariaDB(t, url, "10.6.0", "index that is IGNORED")
			hide = "IGNORED"
		}
		db := mysqltest.DB(t, url)
		// Tables that Atlas reads whole, and that it does not.
		const create = "CREATE TABLE a (id int PRIMARY KEY COMMENT 'of a migration', name varchar(10) NOT NULL, " +
			"doc json, KEY by_name (name)) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n" +
			"CREATE TABLE b (id int NOT NULL, name varchar(10) NOT NULL, n int DEFAULT (1 + 1), " +
			"PRIMARY KEY (id), KEY by_name (name)) CHARSET utf8mb4 COLLATE utf8mb4_bin " +
			"PARTITION BY HASH (id) PARTITIONS 2;\n"
		dir := dirtest.New(t, dirtest.Files{"1_a.sql": create})
		dirtest.Apply(t, url, dir)
		deviations := func() []planner.Deviation {
			found, err := planner.Deviations(t.Context(), dirtest.Scratch(t, url), dir, "", url)
			require.NoError(t, err)
			return found
		}
		comments := func() string {
			var b strings.Builder
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_COMMENT "+
				"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1, 2")
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, INDEX_NAME, INDEX_COMMENT "+
				"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1, 2")
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, TABLE_COMMENT "+
				"FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1")
			return b.String()
		}
		for _, text := range []string{"a note", `it''s COMMENT ''x'' "CHECK (\\\\) IGNORED`} {
			for _, table := range []string{"a", "b"} {
				mysqltest.Exec(t, db, strings.NewReplacer("{table}", table, "{text}", text).Replace(
					"ALTER TABLE {table} COMMENT '{text}', MODIFY id int NOT NULL COMMENT '{text}', "+
						"MODIFY name varchar(10) NOT NULL COMMENT '{text}', "+
						"DROP INDEX by_name, ADD INDEX by_name (name) COMMENT '{text}'"))
			}
			mysqltest.Exec(t, db, "ALTER TABLE a MODIFY doc json COMMENT '"+text+"'")
			before := comments()
			assert.Empty(t, deviations())

			for _, table := range []string{"a", "b"} {
				mysqltest.Exec(t, db, "ALTER TABLE "+table+" MODIFY name varchar(20) NULL COMMENT '"+text+"', "+
					"ALTER INDEX by_name "+hide)
			}
			mysqltest.Exec(t, db, "ALTER TABLE a MODIFY doc json NOT NULL COMMENT '"+text+"'")
			found := deviations()
			require.Len(t, found, 5)
			for _, d := range found {
				mysqltest.Exec(t, db, d.SQL)
			}
			assert.Empty(t, deviations())
			assert.Equal(t, before, comments())
		}
		dev := dirtest.Scratch(t, url)
		assert.NotEmpty(t, compare(t, dev, planner.Files(dir), planner.Database(url)).Statements,
			"between two schemas a comment is a difference")
	})
}
