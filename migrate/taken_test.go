package migrate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// strangers take names of this schema. Where on is set, only that engine has such.
var strangers = []struct {
	name, on, make string
	taken          []string
	text           string
}{
	{"scs", "", "CREATE TABLE sessions (token char(43) PRIMARY KEY, data blob NOT NULL, expiry timestamp(6) NOT NULL)",
		[]string{"sessions"}, `"sessions" is a table as scs makes it`},
	{"express-mysql-session", "",
		"CREATE TABLE sessions (session_id varchar(128) PRIMARY KEY, expires int NOT NULL, data text)",
		[]string{"sessions"}, `"sessions" is a table as express-mysql-session makes it`},
	{"Auth.js", "",
		"CREATE TABLE sessions (sessionToken varchar(255) PRIMARY KEY, userId varchar(255) NOT NULL, " +
			"expires datetime NOT NULL)",
		[]string{"sessions"}, `"sessions" is a table as Auth.js makes it`},
	{"Better Auth", "",
		"CREATE TABLE sessions (id varchar(36) PRIMARY KEY, expires_at datetime, token varchar(255), " +
			"created_at datetime, updated_at datetime, ip_address text, user_agent text, user_id varchar(36))",
		[]string{"sessions"}, `"sessions" is a table as Better Auth makes it`},
	{"Laravel", "",
		"CREATE TABLE users (id int PRIMARY KEY, name varchar(255), email varchar(255), password varchar(255), " +
			"remember_token varchar(100), created_at datetime, updated_at datetime)",
		[]string{"users"}, `"users" is a table as Laravel makes it`},
	{"somebody", "",
		"CREATE TABLE users (login varchar(20), mail varchar(20), phone varchar(20), city varchar(20), " +
			"zip varchar(20))",
		[]string{"users"}, `"users" is a table of somebody else (login, mail, phone, city, …)`},
	{"tokens of somebody", "",
		"CREATE TABLE refresh_tokens (id int PRIMARY KEY, user_id int, token_hash varchar(64), revoked_at datetime)",
		[]string{"refresh_tokens"}, `"refresh_tokens" is a table of somebody else`},
	{"a view", "", "CREATE VIEW otps AS SELECT 1 AS code", []string{"otps"}, `"otps" is a view`},
	{"a sequence", "mariadb", "CREATE SEQUENCE sessions", []string{"sessions"}, `"sessions" is a sequence`},
	{"a history of rows", "mariadb",
		"CREATE TABLE users (id int PRIMARY KEY, login varchar(20)) WITH SYSTEM VERSIONING",
		[]string{"users"}, `"users" is a system-versioned table of somebody else`},
	{"an index", "sqlite", "CREATE INDEX users ON atlas_other (id)", []string{"users"}, `"users" is an index`},
}

func TestApplyNamesWhatTakesItsNamesBeforeItRuns(t *testing.T) {
	t.Parallel()
	for _, s := range strangers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				if s.on != "" && !strings.HasPrefix(url, s.on) {
					return
				}
				mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE atlas_other (id int)", s.make)
				before := mysqltest.Dump(t, url)
				for what, opts := range map[string]migrate.ApplyOptions{
					"plain": {}, "dirty": {AllowDirty: true}, "dry": {DryRun: true},
					"dirty and dry": {AllowDirty: true, DryRun: true},
				} {
					report, err := migrate.Apply(t.Context(), url, opts)
					var taken *migrate.TakenError
					require.ErrorAs(t, err, &taken, what)
					assert.Equal(t, s.taken, taken.Names())
					assert.Contains(t, taken.File, "_create_auth_tables.sql")
					assert.ErrorContains(t, err, s.text)
					assert.ErrorContains(t, err, "use another database, or rename what is there")
					assert.Empty(t, report.Applied)
					assert.Equal(t, before, mysqltest.Dump(t, url), what)
				}
				if strings.HasPrefix(url, "sqlite") {
					return
				}
				// One table of others does not make the rest those of the page.
				if s.taken[0] != "users" {
					mysqltest.Exec(t, mysqltest.DB(t, url), seedStatement(t, "users"))
				}
				before = mysqltest.Dump(t, url)
				_, err := adopted(t, url, adopt.Options{Apply: true})
				var refused *adopt.Error
				require.ErrorAs(t, err, &refused)
				assert.ErrorContains(t, err, s.text)
				assert.ErrorContains(t, err, "rename it, or use another database")
				assert.Equal(t, before, mysqltest.Dump(t, url))
			})
		})
	}
}

// seedStatement is the one with which drizzle-kit makes a table.
func seedStatement(t *testing.T, table string) string {
	t.Helper()
	for _, s := range drizzletest.Statements() {
		if strings.Contains(s, "CREATE TABLE `"+table+"`") {
			return s
		}
	}
	t.Fatal("drizzle-kit does not make it")
	return ""
}

func TestTablesOfThePageAreNotOverlookedWithAllowDirty(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		mysqltest.Exec(t, mysqltest.DB(t, url), seedStatement(t, "users"), seedStatement(t, "otps"))
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		var dirty *migrate.DirtyError
		require.ErrorAs(t, err, &dirty)
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{AllowDirty: true})
		var taken *migrate.TakenError
		require.ErrorAs(t, err, &taken)
		assert.Equal(t, []string{"otps", "users"}, taken.Names())
		assert.ErrorContains(t, err, "take it over, or name the migration that made it (Baseline)")
	})
}

// adopted is an adoption of the database at url.
func adopted(t *testing.T, url string, opts adopt.Options) (*adopt.Adoption, error) {
	t.Helper()
	return adopt.Run(t.Context(), dirtest.Scratch(t, url), url, opts)
}

func TestSystemVersionedTablesOfThePageAreNamed(t *testing.T) {
	t.Parallel()
	url := mysqltest.MariaDB(t)
	drizzletest.Seed(t, url)
	mysqltest.Exec(t, mysqltest.DB(t, url), "ALTER TABLE users ADD SYSTEM VERSIONING")
	before := mysqltest.Dump(t, url)
	_, err := adopted(t, url, adopt.Options{Apply: true})
	assert.ErrorContains(t, err,
		"table users is system-versioned, which this schema is not: run ALTER TABLE `users` DROP SYSTEM VERSIONING")
	_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{AllowDirty: true})
	assert.ErrorContains(t, err,
		"run ALTER TABLE `users` DROP SYSTEM VERSIONING (this deletes its row history), then adopt the table")
	assert.Equal(t, before, mysqltest.Dump(t, url))

	mysqltest.Exec(t, mysqltest.DB(t, url), "ALTER TABLE users DROP SYSTEM VERSIONING")
	_, err = adopted(t, url, adopt.Options{Apply: true})
	require.NoError(t, err)
}

func TestBaselineDoesNotTakeTheTableOfAnotherLibraryForOurs(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "CREATE TABLE users (login int)", strangers[0].make)
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Baseline: "20261123174317"})
		var taken *migrate.TakenError
		require.ErrorAs(t, err, &taken)
		assert.Equal(t, []string{"sessions"}, taken.Names())
		assert.NotContains(t, mysqltest.Tables(t, url), atlasdb.RevisionsTable)
	})
}

func TestLaterFilesNameWhatTakesTheirNamesToo(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		first := dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);"}
		dirtest.Apply(t, url, dirtest.New(t, first))
		mysqltest.Exec(t, db, "CREATE TABLE audit (at int)", "CREATE TABLE old (id int)", "CREATE TABLE kept (id int)")
		before := mysqltest.Dump(t, url)
		second := first.With(dirtest.Files{"2_b.sql": "CREATE TABLE b (id int);\nCREATE TABLE `audit` (id int);"})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.New(t, second)})
		var taken *migrate.TakenError
		require.ErrorAs(t, err, &taken)
		assert.Equal(t, []string{"audit"}, taken.Names())
		assert.Equal(t, "2_b.sql", taken.File)
		assert.Equal(t, before, mysqltest.Dump(t, url), "nothing ran, not even the first statement")

		// What a file sets free itself, or leaves alone, is not in its way.
		dirtest.Apply(t, url, dirtest.New(t, first.With(dirtest.Files{
			"2_c.sql": "DROP TABLE old;\nCREATE TABLE old (id int, more int);\n" +
				"ALTER TABLE audit RENAME TO audit_2025;\nCREATE TABLE audit (id int);\n" +
				"CREATE TABLE IF NOT EXISTS kept (id int);\n",
		})))
	})
}

func TestATableThatHasTheNameOfTheHistoryIsNamed(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE atlas_schema_revisions (id int)")
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{AllowDirty: true})
		assert.ErrorContains(t, err,
			"read table atlas_schema_revisions: it is not Atlas's, rename it or use another database: ")
	})
}

// The Atlas CLI makes the table with the server's default engine.
func TestAHistoryWithoutTransactionsGetsThem(t *testing.T) {
	t.Parallel()
	url := mysqltest.MariaDB(t)
	db := mysqltest.DB(t, url)
	first := dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);"}
	dirtest.Apply(t, url, dirtest.New(t, first))
	mysqltest.Exec(t, db, "ALTER TABLE atlas_schema_revisions ENGINE = Aria")
	report := dirtest.Apply(t, url, dirtest.New(t, first.With(dirtest.Files{"2_b.sql": "CREATE TABLE b (id int);"})))
	assert.Len(t, report.Applied, 1)
	assert.Equal(t, "InnoDB", mysqltest.Value(t, db, "SELECT ENGINE FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'atlas_schema_revisions'"))
}

func TestHistoriesOfOtherDirectoriesAreNamed(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]dirtest.Files{
		"older": {"20200101000000_init.sql": "CREATE TABLE theirs (id int);"},
		"newer": {"20990101000000_init.sql": "CREATE TABLE theirs (id int);"},
		"plain": {"1.sql": "CREATE TABLE theirs (id int);"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				dirtest.Apply(t, url, dirtest.New(t, theirs))
				before := mysqltest.Dump(t, url)
				foreign := func(err error) {
					t.Helper()
					var got *migrate.HistoryError
					require.ErrorAs(t, err, &got)
					assert.Equal(t, migrate.HistoryError{Reason: history.Foreign, File: theirs.Names()[0]}, *got)
					assert.ErrorContains(t, err,
						"is that of another directory, of which no file is in this one: "+
							"name that directory, keep this history in a schema of its own (RevisionsSchema), or use "+
							"another database")
					assert.NotContains(t, err.Error(), "restore")
					assert.NotContains(t, err.Error(), "rename")
				}
				for _, opts := range []migrate.ApplyOptions{{}, {AllowDirty: true}, {DryRun: true}} {
					_, err := migrate.Apply(t.Context(), url, opts)
					foreign(err)
				}
				_, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{})
				foreign(err)
				if !strings.HasPrefix(url, "sqlite") {
					_, err = adopted(t, url, adopt.Options{Apply: true})
					foreign(err)
				}
				assert.Equal(t, before, mysqltest.Dump(t, url))
			})
		})
	}
}

// Another tool made the tables of the first files, as Ent's Schema.Create does.
func TestADatabaseWithTheTablesOfTheFirstFilesIsToldItsBaseline(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db, dir := mysqltest.DB(t, url), dirtest.New(t, dirtest.Three)
		mysqltest.Exec(t, db, "CREATE TABLE b (id int PRIMARY KEY, n int)")
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		var taken *migrate.TakenError
		require.ErrorAs(t, err, &taken)
		assert.ErrorContains(t, err, "name the migration if these are its tables (Baseline)")

		mysqltest.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY)")
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		var dirty *migrate.DirtyError
		require.ErrorAs(t, err, &dirty)
		assert.Equal(t, "20240102000000", dirty.Baseline)
		assert.ErrorContains(t, err, "if they are the same, name that version (Baseline)")

		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, Baseline: dirty.Baseline})
		require.NoError(t, err)
		require.Len(t, report.Applied, 1)
		assert.Equal(t, "20240103000000_c.sql", report.Applied[0].Name)
	})
}
