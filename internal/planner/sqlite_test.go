package planner_test

import (
	"strings"
	"testing"

	"ariga.io/atlas/sql/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// readable are tables that SQLite takes, each with what is shown of their keys.
var readable = map[string]struct{ sql, shown string }{
	"key without a column list": {
		"CREATE TABLE owners (id integer PRIMARY KEY); CREATE TABLE s (u int REFERENCES owners);",
		"(`u`) REFERENCES `owners` (`id`)"},
	"before the table it refers to": {
		"CREATE TABLE s (u int REFERENCES owners); CREATE TABLE owners (id integer PRIMARY KEY);",
		"(`u`) REFERENCES `owners` (`id`)"},
	"to a table that is not there": {"CREATE TABLE s (u int REFERENCES owners);", "(`u`) REFERENCES `owners` (`u`)"},
	"to a column that is not there": {"CREATE TABLE s (u int REFERENCES owners (id));",
		"(`u`) REFERENCES `owners` (`id`)"},
	"to a table without primary key": {"CREATE TABLE p (a int); CREATE TABLE s (u int REFERENCES p);",
		"(`u`) REFERENCES `p` (`u`)"},
	"to the table itself": {"CREATE TABLE s (id integer PRIMARY KEY, u int REFERENCES s);",
		"(`u`) REFERENCES `s` (`id`)"},
	"to itself without a primary key": {"CREATE TABLE s (a int, u int REFERENCES s);", "(`u`) REFERENCES `s` (`u`)"},
	"to itself in other letters": {"CREATE TABLE s (Id integer PRIMARY KEY, u int REFERENCES s (ID));",
		"(`u`) REFERENCES `s` (`Id`)"},
	"to a composite key": {
		"CREATE TABLE p (a int, b int, PRIMARY KEY (b, a)); " +
			"CREATE TABLE s (x int, y int, FOREIGN KEY (x, y) REFERENCES p);",
		"(`x`, `y`) REFERENCES `p` (`b`, `a`)"},
	"to part of a composite key": {
		"CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE s (x int REFERENCES p);",
		"(`x`) REFERENCES `p` (`a`)"},
	"to fewer columns than it has": {
		"CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE s (x int, y int, FOREIGN KEY (x, y) REFERENCES p);",
		"(`x`, `y`) REFERENCES `p` (`a`, `y`)"},
	"to a table without rowid": {
		"CREATE TABLE p (a text PRIMARY KEY) WITHOUT ROWID; " +
			"CREATE TABLE s (x text PRIMARY KEY REFERENCES p) WITHOUT ROWID;",
		"(`x`) REFERENCES `p` (`a`)"},
	"of strict tables": {
		"CREATE TABLE p (id integer PRIMARY KEY) STRICT; CREATE TABLE s (u int REFERENCES p) STRICT;",
		"(`u`) REFERENCES `p` (`id`)"},
	"to a view": {
		"CREATE TABLE p (id int); CREATE VIEW v AS SELECT id FROM p; CREATE TABLE s (u int REFERENCES v);",
		"(`u`) REFERENCES `v` (`u`)"},
	"to a virtual table": {"CREATE VIRTUAL TABLE f USING fts5 (x); CREATE TABLE s (u int REFERENCES f);",
		"(`u`) REFERENCES `f` (`u`)"},
	"from a generated column": {
		"CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE s (u int, w int AS (u + 1) REFERENCES p);",
		"(`w`) REFERENCES `p` (`id`)"},
	"of a table with a trigger": {
		"CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE s (u int REFERENCES p); " +
			"CREATE TRIGGER t AFTER INSERT ON s BEGIN UPDATE p SET id = id; END;",
		"(`u`) REFERENCES `p` (`id`)"},
	"of two tables to each other": {
		"CREATE TABLE a (id integer PRIMARY KEY, b int REFERENCES b); " +
			"CREATE TABLE b (id integer PRIMARY KEY, a int REFERENCES a);",
		"(`a`) REFERENCES `a` (`id`)"},
	"of names that need quotes": {
		"CREATE TABLE \"a b\" (\"i d\" integer PRIMARY KEY); CREATE TABLE s (\"u v\" int REFERENCES \"a b\");",
		"(`u v`) REFERENCES `a b` (`i d`)"},
	"to a table that is made again": {
		"CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE s (u int REFERENCES p); " +
			"ALTER TABLE p RENAME TO q; CREATE TABLE p (id integer PRIMARY KEY);",
		"(`u`) REFERENCES `q` (`id`)"},
}

// keysOf shows the foreign keys of a schema as they were read.
func keysOf(s *schema.Schema) (keys []string) {
	names := func(columns []*schema.Column) string {
		var list []string
		for _, c := range columns {
			list = append(list, dbserver.Quote(c.Name))
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	for _, t := range s.Tables {
		for _, fk := range t.ForeignKeys {
			parent := dbserver.Quote(fk.RefTable.Name) + " " + names(fk.RefColumns)
			keys = append(keys, names(fk.Columns)+" REFERENCES "+parent)
		}
	}
	return keys
}

func TestSQLiteForeignKeysAreReadAsSQLiteTakesThem(t *testing.T) {
	t.Parallel()
	for name, table := range readable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := mysqltest.SQLite(t), dirtest.New(t, dirtest.Files{"1_a.sql": table.sql})
			dev := dirtest.Scratch(t, url)
			mysqltest.Exec(t, mysqltest.DB(t, url), table.sql)
			assert.Empty(t, compare(t, dev, planner.Database(url), planner.Files(dir)).SQL)
			s, err := planner.Inspect(t.Context(), dev, planner.Files(dir))
			require.NoError(t, err)
			assert.Contains(t, keysOf(s), table.shown)
			_, err = planner.PastOf(t.Context(), dev, dir, "")
			require.NoError(t, err)
			_, err = lint.Run(t.Context(), dev, dir, lint.Options{})
			require.NoError(t, err)
			_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
			var dirty *migrate.DirtyError
			require.ErrorAs(t, err, &dirty, "the tables are seen")
		})
	}
}

// Atlas leaves its result open where it cannot read a table, and a connection waits for that when it is closed.
func TestSQLiteTableThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"key to a column it has not": "CREATE TABLE fine (id int); " +
			"CREATE TABLE odd (id int, u int REFERENCES odd (nope));",
		"key to its rowid": "CREATE TABLE odd (id int, u int REFERENCES odd (rowid)); " +
			"CREATE TABLE zfine (id int);",
		"generated column in brackets": "CREATE TABLE odd (id int, [b] int AS (id + 1));",
		"column that is no pattern":    "CREATE TABLE odd (id int, \"b(\" int AS (id + 1));",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := mysqltest.SQLite(t), dirtest.New(t, dirtest.Files{"1_a.sql": table})
			dev := dirtest.Scratch(t, url)
			mysqltest.Exec(t, mysqltest.DB(t, url), table)
			for _, state := range []planner.State{planner.Database(url), planner.Files(dir)} {
				s, err := planner.Inspect(t.Context(), dev, state)
				require.NoError(t, err)
				left := planner.NotCovered(s)
				require.Len(t, left, 1)
				assert.Contains(t, left[0].String(), `table "odd" (table "odd" cannot be read`)
				sql, err := planner.MarshalSQL(s)
				require.NoError(t, err)
				assert.Contains(t, sql, "CREATE TABLE odd (", "what SQLite says of it is shown")
				assert.True(t, compare(t, dev, state, planner.Files(dir)).Equal())
			}
			_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
			require.ErrorContains(t, err, `table "odd" cannot be read`)
		})
	}
}

func TestVirtualTablesAreDroppedWithTheTablesBehindThem(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dev := dirtest.Scratch(t, url)
	dir := dirtest.New(t, dirtest.Files{
		"1_a.sql": "CREATE TABLE a (id int); CREATE VIRTUAL TABLE f USING fts5 (x); " +
			"CREATE VIRTUAL TABLE r USING rtree (id, a, b);",
	})
	for range 2 {
		s, err := planner.Inspect(t.Context(), dev, planner.Files(dir))
		require.NoError(t, err)
		require.Len(t, s.Tables, 1, "a virtual table is no table to plan with")
	}
}

func TestDevDatabaseThatHoldsAViewIsLeftAlone(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "CREATE VIEW kept AS SELECT 1 AS one")
		_, err := planner.OpenDev(t.Context(), url)
		require.ErrorContains(t, err, `it must be empty, but holds view "kept"`)
		assert.Equal(t, "1", mysqltest.Value(t, db, "SELECT one FROM kept"))
	})
}

// SQLite takes such a key and refuses each row of its table.
func TestSQLiteKeyThatNoRowFulfilsIsNotApplied(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dir := dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE p (a int);\nCREATE TABLE s (u int REFERENCES p);"})
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.ErrorContains(t, err,
		"1_a.sql was not applied: foreign keys cannot be checked: "+
			`SQL logic error: foreign key mismatch - "s" referencing "p"`)
	assert.Empty(t, mysqltest.Tables(t, url))
}

func TestDiffOfSQLiteSeesWhatAtlasDoesNotCompare(t *testing.T) {
	t.Parallel()
	dev := dirtest.Scratch(t, mysqltest.SQLite(t))
	for _, pair := range [][2]string{
		{"id integer PRIMARY KEY", "id integer PRIMARY KEY AUTOINCREMENT"},
		{"id integer PRIMARY KEY", "id int PRIMARY KEY"},
		{"a text DEFAULT NULL", "a text DEFAULT 'null'"},
		{"a text DEFAULT CURRENT_TIMESTAMP", "a text DEFAULT 'current_timestamp'"},
		{"a int, b int, PRIMARY KEY (a, b)", "a int, b int, PRIMARY KEY (b, a)"},
		{"created_at datetime", "created_at datetime, b text"},
		{"a text DEFAULT NULL, created_at datetime", "a text DEFAULT 'null', created_at datetime"},
	} {
		one := planner.SQL("a.sql", "CREATE TABLE t ("+pair[0]+");")
		two := planner.SQL("b.sql", "CREATE TABLE t ("+pair[1]+");")
		for _, way := range [][2]planner.State{{one, two}, {two, one}} {
			diff := compare(t, dev, way[0], way[1])
			assert.NotEmpty(t, diff.Statements, pair)
			assert.Empty(t, diff.Unplanned, pair)
		}
		assert.True(t, compare(t, dev, one, one).Equal())
	}
}
