package planner_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/schemadoc"
)

// flavour is the folder of the zoo for the database at url.
func flavour(url string) string { return url[:strings.IndexByte(url, ':')] }

// eachOfTheZoo calls fn with every file of the zoo for each kind of database, and with the schemas of other tools. The
// folders servers are for MySQL and MariaDB.
func eachOfTheZoo(t *testing.T, fn func(t *testing.T, dev *planner.Dev, url, sql string)) {
	t.Helper()
	mysqltest.Each(t, func(t *testing.T, url string) {
		files, err := filepath.Glob("testdata/*/" + flavour(url) + "/*.sql")
		require.NoError(t, err)
		if !mysqltest.IsSQLite(url) {
			both, err := filepath.Glob("testdata/*/servers/*.sql")
			require.NoError(t, err)
			files = append(files, both...)
		}
		require.GreaterOrEqual(t, len(files), 10)
		dev := dirtest.Scratch(t, url)
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) {
				sql, err := os.ReadFile(file)
				require.NoError(t, err)
				fn(t, dev, mysqltest.Another(t, url), string(sql))
			})
		}
	})
}

// load runs a file in the database at url.
func load(t *testing.T, url, sql string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	db.SetMaxOpenConns(1)
	if mysqltest.IsSQLite(url) {
		mysqltest.Exec(t, db, "VACUUM") // makes the file
	}
	for _, stmt := range strings.Split(sql, ";\n") {
		if strings.TrimSpace(stmt) != "" {
			mysqltest.Exec(t, db, stmt)
		}
	}
}

var nextID = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// shown is how the database itself words what it holds.
func shown(t *testing.T, url string) map[string]string {
	t.Helper()
	db, all := mysqltest.DB(t, url), map[string]string{}
	if mysqltest.IsSQLite(url) {
		for _, name := range mysqltest.Column(t, db, "SELECT name FROM sqlite_master WHERE sql IS NOT NULL "+
			"AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'f#_%' ESCAPE '#'") {
			all[name] = mysqltest.Value(t, db, "SELECT sql FROM sqlite_master WHERE name = ?", name)
		}
		return all
	}
	for _, name := range mysqltest.Column(t, db, "SELECT TABLE_NAME FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE <> 'VIEW'") {
		var text string
		require.NoError(t, db.QueryRow("SHOW CREATE TABLE "+dbserver.Quote(name)).Scan(new(string), &text))
		text = strings.ReplaceAll(text, dbserver.Quote(url[strings.LastIndexByte(url, '/')+1:])+".", "")
		all[name] = nextID.ReplaceAllString(text, "")
	}
	return all
}

func TestWhatInspectPrintsMakesTheSameAgain(t *testing.T) {
	t.Parallel()
	eachOfTheZoo(t, func(t *testing.T, dev *planner.Dev, url, sql string) {
		load(t, url, sql)
		s, err := planner.Inspect(t.Context(), dev, planner.Database(url))
		require.NoError(t, err)
		printed, err := planner.MarshalSQL(s)
		require.NoError(t, err)
		assert.NotContains(t, printed, "authgraph_", "a schema is in no database")

		again := mysqltest.Another(t, url)
		_, err = planner.Inspect(t.Context(), dev, planner.SQL("printed.sql", printed))
		require.NoError(t, err, printed)
		load(t, again, printed)
		want := shown(t, url)
		for _, o := range planner.NotPrinted(s) {
			delete(want, o.Name)
		}
		assert.Equal(t, want, shown(t, again), printed)

		for _, of := range []planner.State{planner.Database(url), planner.SQL("printed.sql", printed)} {
			diff := compare(t, dev, of, planner.Database(url))
			assert.True(t, diff.Equal(), "%s\n%v", diff.SQL, diff.Unplanned)
			diff = compare(t, live(t, url), planner.Database(url), planner.Database(again))
			assert.True(t, diff.Equal(), "%s\n%v", diff.SQL, diff.Unplanned)
		}
	})
}

// bare are the tables of a database with the same columns, in which nothing is special.
func bare(t *testing.T, url string) string {
	t.Helper()
	db, sql := mysqltest.DB(t, url), ""
	query := "SELECT c.TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS c " +
		"JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME) WHERE c.TABLE_SCHEMA = DATABASE() " +
		"AND TABLE_TYPE NOT IN ('VIEW', 'SEQUENCE') ORDER BY 1, ORDINAL_POSITION"
	if mysqltest.IsSQLite(url) {
		query = "SELECT l.name, c.name FROM pragma_table_list l, pragma_table_xinfo(l.name) c " +
			"WHERE l.type = 'table' AND l.schema = 'main' AND l.name NOT LIKE 'sqlite%' ORDER BY 1, c.cid"
	}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	last := ""
	for rows.Next() {
		var table, column string
		require.NoError(t, rows.Scan(&table, &column))
		if table == last {
			sql += ", "
		} else {
			if last != "" {
				sql += ");\n"
			}
			sql += "CREATE TABLE " + dbserver.Quote(table) + " ("
		}
		last = table
		sql += dbserver.Quote(column) + " varchar(30)"
	}
	require.NoError(t, rows.Err())
	return sql + ");\n"
}

func TestDiffOfTheZooGetsThereOrNamesWhatItCannotPlan(t *testing.T) {
	t.Parallel()
	eachOfTheZoo(t, func(t *testing.T, dev *planner.Dev, url, sql string) {
		load(t, url, sql)
		other, now := mysqltest.Another(t, url), mysqltest.Another(t, url)
		load(t, other, bare(t, url))
		load(t, now, "")
		whole, plain := planner.Database(url), planner.Database(other)
		for _, step := range []struct {
			name string
			to   planner.State
		}{
			{"from nothing", whole},
			{"to bare", plain},
			{"from bare", whole},
			{"to nothing", planner.SQL("empty.sql", "")},
		} {
			diff := compare(t, dev, planner.Database(now), step.to)
			why := unplannable[flavour(url)+"/"+filepath.Base(t.Name())+" "+step.name]
			assert.Equal(t, why, strings.Join(diff.Unplanned, "\n"), step.name)
			load(t, now, diff.SQL)
			if len(diff.Unplanned) > 0 {
				now = mysqltest.Another(t, url)
				load(t, now, map[bool]string{true: bare(t, url), false: sql}[step.name == "to bare"])
				continue
			}
			rest := compare(t, dev, planner.Database(now), step.to)
			assert.True(t, rest.Equal(), "%s\n%s\n---\n%s\n%v", step.name, diff.SQL, rest.SQL, rest.Unplanned)
		}
	})
}

// unplannable are the steps that the servers do not allow, with what is said of them.
var unplannable = map[string]string{
	"mysql/primary_keys to bare": `table "x": the server refuses its statement: Error 4111 (HY000): ` +
		"Please drop primary key column to be able to drop generated invisible primary key.",
	"mariadb/sequence_default from nothing": `table "t": the server refuses its statement: Error 1146 (42S02): ` +
		"Table 's' doesn't exist",
	"mariadb/table_options to bare": `table "d": the statements do not lead to all of it`,
}

func TestNoObjectIsInTheWayOfTheRest(t *testing.T) {
	t.Parallel()
	eachOfTheZoo(t, func(t *testing.T, dev *planner.Dev, url, sql string) {
		dir := dirtest.New(t, dirtest.Files{"1_zoo.sql": sql, "2_more.sql": "CREATE TABLE beside (id integer);\n"})
		load(t, url, "CREATE TABLE beside (id text);\n")
		load(t, url, sql)
		found, err := planner.Deviations(t.Context(), dev, dir, "", url)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		for _, d := range found {
			assert.True(t, d.Table == "beside" || d.Collation, "%+v", d)
		}
		_, err = lint.Run(t.Context(), dev, dir, lint.Options{})
		require.NoError(t, err)
		_, err = planner.RedundantIndexes(t.Context(), url, "t", "beside")
		require.NoError(t, err)
		s, err := planner.Inspect(t.Context(), dev, planner.Database(url))
		require.NoError(t, err)
		_, err = planner.MarshalHCL(dev, s)
		require.NoError(t, err)
		_, err = schemadoc.Of(s)
		require.NoError(t, err)
	})
}

// Nothing is tried between two databases in use, so the foreign key has to be seen to be in the way.
func TestForeignKeyIsDroppedWhileTheTypesOfItsColumnsChange(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other := mysqltest.Another(t, url)
		const tables = "CREATE TABLE p (id int PRIMARY KEY);\n" +
			"CREATE TABLE c (id int PRIMARY KEY, p int, CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p (id));\n"
		load(t, url, tables)
		load(t, other, strings.ReplaceAll(tables, " int", " bigint"))
		there := compare(t, live(t, url), planner.Database(url), planner.Database(other))
		load(t, url, there.SQL)
		assert.Equal(t, shown(t, other), shown(t, url), there.SQL)
	})
}

// A time that is shown in one time zone is read in it.
func TestDefaultTimeIsReadInTheZoneThatItIsShownIn(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		zone := "SET time_zone = '+05:00';\n"
		load(t, url, zone+"CREATE TABLE t (id int PRIMARY KEY, a timestamp NOT NULL DEFAULT '2026-01-01 05:00:00');\n")
		s, err := planner.Inspect(t.Context(), live(t, url), planner.Database(url))
		require.NoError(t, err)
		sql, err := planner.MarshalSQL(s)
		require.NoError(t, err)
		assert.Contains(t, sql, "'2026-01-01 00:00:00'")
		again := mysqltest.Another(t, url)
		load(t, again, zone+sql)
		assert.Equal(t, shown(t, url), shown(t, again))
	})
}
