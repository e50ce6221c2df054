package planner_test

import (
	"crypto/rand"
	"crypto/sha256"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// live opens the database at url as one in use.
func live(t *testing.T, url string) *planner.Dev {
	t.Helper()
	dev, err := planner.OpenLive(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, dev.Close()) })
	return dev
}

func compare(t *testing.T, dev *planner.Dev, from, to planner.State) *planner.Comparison {
	t.Helper()
	diff, err := planner.Compare(t.Context(), dev, from, to)
	require.NoError(t, err)
	return diff
}

// populate makes the tables and rows in all of them.
func populate(t *testing.T, url string, dir directory.Dir) {
	t.Helper()
	dirtest.Apply(t, url, dir)
	mysqltest.Exec(t, mysqltest.DB(t, url),
		"INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.com'), ('Eve', 'eve@example.com')",
		"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2030-01-01 00:00:00')",
		"INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) "+
			"VALUES ('a', 'b', 'signin', '2030-01-01 00:00:00', '2030-01-01 00:00:00')")
}

func TestAllThatDescribeTheSchemaAreEqual(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		populate(t, url, dir)
		states := map[string]planner.State{
			"compiled in": planner.Tables(entmigrate.Tables...),
			"file":        planner.SQLFile(schemaFile(url)),
			"directory":   planner.Files(dir),
			"database":    planner.Database(url),
		}
		before := mysqltest.Dump(t, url)
		for from, a := range states {
			for to, b := range states {
				diff := compare(t, dev, a, b)
				assert.Empty(t, diff.SQL, "%s to %s", from, to)
				assert.Empty(t, diff.Statements)
				assert.Empty(t, diff.Destructive)
			}
		}
		assert.Equal(t, before, mysqltest.Dump(t, url), "a database in use is only read")
	})
}

func TestDatabaseThatWasChangedByHandDiffers(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		dirtest.Apply(t, url, dir)
		mysqltest.Exec(t, mysqltest.DB(t, url),
			"ALTER TABLE users ADD COLUMN shoe_size varchar(20) NULL",
			"CREATE TABLE left_over (id integer PRIMARY KEY)")
		there := compare(t, dev, planner.Files(dir), planner.Database(url))
		assert.Len(t, there.Statements, 2)
		assert.Contains(t, there.SQL, "ADD COLUMN `shoe_size`")
		assert.Regexp(t, "CREATE TABLE `?left_over", there.SQL)
		assert.Empty(t, there.Destructive)
		back := compare(t, dev, planner.Database(url), planner.Files(dir))
		assert.Contains(t, back.Destructive, `drops table "left_over"`)
		assert.Contains(t, back.Destructive, `drops column "shoe_size" of table "users"`)

		// What is printed does it.
		clean := mysqltest.Another(t, url)
		dirtest.Apply(t, clean, dir)
		for _, stmt := range there.Statements {
			mysqltest.Exec(t, mysqltest.DB(t, clean), stmt)
		}
		assert.Empty(t, compare(t, dev, planner.Database(clean), planner.Database(url)).SQL)
	})
}

func TestChangedOnUpdateIsADifference(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, embeddedCopy(t, url))
		mysqltest.Exec(t, mysqltest.DB(t, url),
			"ALTER TABLE users MODIFY updated_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)")
		diff := compare(t, dirtest.Scratch(t, url), planner.Database(url), planner.SQLFile(schemaFile(url)))
		assert.Contains(t, strings.ToUpper(diff.SQL), "ON UPDATE CURRENT_TIMESTAMP(6)")
	})
}

func TestDatabasesInUseAreComparedWithoutADevDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		other := mysqltest.Another(t, url)
		for _, u := range []string{url, other} {
			dirtest.Apply(t, u, embeddedCopy(t, url))
		}
		mysqltest.Exec(t, mysqltest.DB(t, other), "ALTER TABLE users ADD COLUMN shoe_size varchar(20) NULL")
		before := mysqltest.Dump(t, url) + mysqltest.Dump(t, other)
		dev := live(t, url)
		assert.Contains(t, compare(t, dev, planner.Database(url), planner.Database(other)).SQL, "shoe_size")
		_, err := planner.Inspect(t.Context(), dev, planner.Files(embeddedCopy(t, url)))
		require.ErrorContains(t, err, "nothing is replayed on ")
		assert.Equal(t, before, mysqltest.Dump(t, url)+mysqltest.Dump(t, other))
	})
}

func TestSQLMakesTheSchemaAgain(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		populate(t, url, dir)
		for name, of := range map[string]planner.State{
			"directory": planner.Files(dir), "database": planner.Database(url),
		} {
			s, err := planner.Inspect(t.Context(), dev, of)
			require.NoError(t, err)
			sql, err := planner.MarshalSQL(s)
			require.NoError(t, err)
			assert.NotContains(t, sql, atlasdb.RevisionsTable)
			assert.NotContains(t, sql, "AUTO_INCREMENT ", "the next ids are no part of a schema")
			file := filepath.Join(t.TempDir(), "schema.sql")
			require.NoError(t, os.WriteFile(file, []byte(sql), 0o644))
			assert.Empty(t, compare(t, dev, of, planner.SQLFile(file)).SQL, name)
		}
	})
}

func TestHCLIsReadBackByAtlas(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := embeddedCopy(t, url)
		populate(t, url, dir)
		s, err := planner.Inspect(t.Context(), dirtest.Scratch(t, url), planner.Files(dir))
		require.NoError(t, err)
		text, err := planner.MarshalHCL(live(t, url), s)
		require.NoError(t, err)
		assert.Contains(t, string(text), `table "users"`)

		var read schema.Schema
		eval, db := mysql.EvalHCLBytes, mysqltest.DB(t, url)
		var drv atlas.Driver
		switch {
		case mysqltest.IsSQLite(url):
			eval = sqlite.EvalHCLBytes
			drv, err = sqlite.Open(db)
		case strings.HasPrefix(url, "mariadb"):
			eval = mysql.EvalMariaHCLBytes
			fallthrough
		default:
			drv, err = mysql.Open(db)
		}
		require.NoError(t, err)
		require.NoError(t, eval(text, &read, nil))
		others := &schema.InspectOptions{Exclude: []string{atlasdb.RevisionsTable}}
		have, err := drv.InspectSchema(t.Context(), "", others)
		require.NoError(t, err)
		// What the tables do not say is said by their schema.
		read.Name, have.Attrs = have.Name, read.Attrs
		changes, err := drv.SchemaDiff(have, &read)
		require.NoError(t, err)
		assert.Empty(t, changes)
	})
}

func TestInspectLeavesASQLiteFileAsItIs(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE t (id integer PRIMARY KEY)")
	path := strings.TrimPrefix(url, "sqlite://")
	sum := func() [32]byte {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return sha256.Sum256(b)
	}
	before := sum()
	s, err := planner.Inspect(t.Context(), live(t, url), planner.Database(url))
	require.NoError(t, err)
	assert.Len(t, s.Tables, 1)
	assert.Equal(t, before, sum())

	_, err = planner.OpenLive(t.Context(), url+".none")
	require.ErrorContains(t, err, "there is no database sqlite://")
	assert.NoFileExists(t, path+".none")
}

func TestDatabaseOfAnotherFlavourIsRefused(t *testing.T) {
	t.Parallel()
	maria, my := mysqltest.MariaDB(t), mysqltest.MySQL(t)
	_, err := planner.Compare(t.Context(), live(t, my), planner.Database(my), planner.Database(maria))
	var flavour *planner.FlavourError
	require.ErrorAs(t, err, &flavour)
	assert.Equal(t, atlasdb.FlavourMariaDB, flavour.Flavour)
	assert.Equal(t, atlasdb.FlavourMySQL, flavour.Dev)
	assert.ErrorContains(t, err, "is a database of mariadb")
}

func TestForeignKeysThatAUserMayNotSeeAreMissed(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, embeddedCopy(t, url))
		db, user := mysqltest.DB(t, url), "authgraph_"+strings.ToLower(rand.Text()[:12])
		mysqltest.Exec(t, db, "CREATE USER "+user+" IDENTIFIED BY 'geheim'")
		t.Cleanup(func() { mysqltest.Exec(t, db, "DROP USER "+user) })
		base := url[strings.LastIndexByte(url, '/')+1:]
		mysqltest.Exec(t, db, "GRANT SELECT ON "+base+".* TO "+user)
		parsed, err := neturl.Parse(url)
		require.NoError(t, err)
		parsed.User = neturl.UserPassword(user, "geheim")
		reader := parsed.String()

		_, err = planner.Inspect(t.Context(), live(t, reader), planner.Database(reader))
		if strings.HasPrefix(url, "mariadb") {
			require.ErrorContains(t, err, "shows this user 0 of its 2 foreign keys: grant it")
			assert.NotContains(t, err.Error(), "geheim")
			mysqltest.Exec(t, db, "GRANT SHOW VIEW ON "+base+".* TO "+user)
		}
		assert.Empty(t, compare(t, live(t, reader), planner.Database(reader), planner.Database(url)).SQL)
	})
}

func TestPastOfADirectoryNamesTheStatementsOfEachTable(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id integer PRIMARY KEY, x integer);\n\n" +
				"CREATE TABLE b (id integer PRIMARY KEY);\nINSERT INTO a (id) VALUES (1);\n",
			"2_b.sql": "-- a comment\nCREATE INDEX ax ON a (x);\nCREATE TABLE gone (id integer PRIMARY KEY);\n",
			"3_c.sql": "DROP TABLE gone;\nALTER TABLE a RENAME TO c;\nALTER TABLE c ADD COLUMN y integer;\n" +
				"UPDATE c SET y = 1;\n",
		})
		got, err := planner.PastOf(t.Context(), dirtest.Scratch(t, url), dir, "")
		require.NoError(t, err)
		assert.Equal(t, []planner.TableChange{
			{Table: "c", File: "1_a.sql", Line: 1, Stmt: "CREATE TABLE a (id integer PRIMARY KEY, x integer);"},
			{Table: "b", File: "1_a.sql", Line: 3, Stmt: "CREATE TABLE b (id integer PRIMARY KEY);"},
			{Table: "c", File: "2_b.sql", Line: 2, Stmt: "CREATE INDEX ax ON a (x);"},
			{Table: "gone", File: "2_b.sql", Line: 3, Stmt: "CREATE TABLE gone (id integer PRIMARY KEY);"},
			{Table: "gone", File: "3_c.sql", Line: 1, Stmt: "DROP TABLE gone;"},
			{Table: "c", File: "3_c.sql", Line: 2, Stmt: "ALTER TABLE a RENAME TO c;"},
			{Table: "c", File: "3_c.sql", Line: 3, Stmt: "ALTER TABLE c ADD COLUMN y integer;"},
		}, got.Changes)
		got, err = planner.PastOf(t.Context(), dirtest.Scratch(t, url), dir, "1")
		require.NoError(t, err)
		assert.Len(t, got.Changes, 2, "up to a version")
		assert.Len(t, got.End.Tables, 2)
	})
}

func TestPastOfADirectoryReportsAStatementThatIsRefused(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dir := dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE a (id integer);\nnonsense;\n"})
	_, err := planner.PastOf(t.Context(), dirtest.Scratch(t, url), dir, "")
	var stmt *migrate.StmtError
	require.ErrorAs(t, err, &stmt)
	assert.Equal(t, 2, stmt.Line)
}
