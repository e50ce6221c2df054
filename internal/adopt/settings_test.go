package adopt_test

import (
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
)

// ownServer starts a server with flags, for this test alone.
func ownServer(t *testing.T, product *testserver.Product, flags ...string) string {
	t.Helper()
	server, err := testserver.StartOwn(t.Context(), product, t.Output(), flags...)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server.URL
}

// onServer makes a database on a server of the test's own, as a user who has no
// rights but on it and on scratch databases.
func onServer(t *testing.T, server, name string) string {
	t.Helper()
	db := mysqltest.DB(t, server)
	mysqltest.Exec(t, db, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4", "CREATE USER IF NOT EXISTS u",
		"GRANT ALL ON "+name+".* TO u", "GRANT ALL ON `authgraph\\_dev\\_%`.* TO u")
	require.NoError(t, db.Close())
	return strings.Replace(server, "//root@", "//u@", 1) + name
}

// products are the servers that a test starts, by their flavour.
var products = map[string]*testserver.Product{"mysql": testserver.MySQL, "mariadb": testserver.MariaDB}

// Until MariaDB 10.10 and MySQL 8.0 servers gave a TIMESTAMP defaults of their own.
// What that leads to is what it leads to everywhere, and needs no privilege.
func TestServersThatGiveTimesADefaultOfTheirOwn(t *testing.T) {
	t.Parallel()
	// So that they take the zero times that such servers were run with.
	flags := []string{"--explicit-defaults-for-timestamp=OFF", "--sql-mode=NO_ENGINE_SUBSTITUTION"}
	for name, product := range products {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "mariadb" {
				_ = mysqltest.MariaDB(t) // it asks whether MariaDB was left out
			}
			server := ownServer(t, product, flags...)
			var fresh map[string]string
			t.Run("apply makes the tables of every other server", func(t *testing.T) {
				url := onServer(t, server, "fresh")
				dirtest.Apply(t, url, nil)
				for name, text := range mysqltest.Definitions(t, url) {
					assert.NotContains(t, text, "0000-00-00", name)
					updates := strings.Count(strings.ToUpper(text), "ON UPDATE CURRENT_TIMESTAMP")
					assert.Equal(t, 1, updates, "%s: only updated_at\n%s", name, text)
				}
				history := mysqltest.Value(t, mysqltest.DB(t, url),
					"SELECT CONCAT(EXTRA, COALESCE(COLUMN_DEFAULT, '')) FROM information_schema.COLUMNS "+
						"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'atlas_schema_revisions' "+
						"AND COLUMN_NAME = 'executed_at'")
				assert.Empty(t, history)
				dir := dirtest.EmbeddedDir(t, dialect.MySQL)
				found, err := planner.Deviations(t.Context(), dirtest.Scratch(t, url), dir, "", url)
				require.NoError(t, err)
				assert.Empty(t, found)
				fresh = mysqltest.Definitions(t, url)
			})
			t.Run("adopt makes NULL of what is no time", func(t *testing.T) {
				url := onServer(t, server, "seeded")
				adoptZeroTimes(t, url)
				assert.Equal(t, fresh, mysqltest.Definitions(t, url))
			})
			t.Run("adopt keeps the zero times of others", func(t *testing.T) {
				url := onServer(t, server, "teams")
				team(t, url)
				db := mysqltest.DB(t, url)
				mysqltest.Exec(t, db,
					"ALTER TABLE orders ADD COLUMN paid timestamp NOT NULL, ADD COLUMN shipped timestamp",
					"ALTER TABLE users ADD COLUMN seen timestamp NOT NULL DEFAULT 0")
				_, err := run(t, url, adopt.Options{Apply: true})
				require.NoError(t, err)
				for query, want := range map[string]string{
					"SELECT COUNT(*) FROM orders WHERE UNIX_TIMESTAMP(shipped) = 0": "2",
					"SELECT COUNT(*) FROM users WHERE UNIX_TIMESTAMP(seen) = 0":     "3",
				} {
					assert.Equal(t, want, mysqltest.Value(t, db, query))
				}
			})
			t.Run("adopt does not invent a time that has to be there", func(t *testing.T) {
				url := onServer(t, server, "needed")
				drizzletest.SeedIn(t, url)
				fill(t, url)
				mysqltest.Exec(t, mysqltest.DB(t, url), "UPDATE sessions SET expires_at = 0 WHERE id = 4")
				report, err := run(t, url, adopt.Options{Apply: true})
				var refused *adopt.ObstacleError
				require.ErrorAs(t, err, &refused)
				require.Len(t, report.Obstacles, 1)
				assert.Equal(t, []string{"expires_at"}, report.Obstacles[0].Columns)
			})
		})
	}
}

func adoptZeroTimes(t *testing.T, url string) {
	drizzletest.SeedIn(t, url)
	fill(t, url)
	db := mysqltest.DB(t, url)
	// As a client writes that leaves out what it does not know.
	mysqltest.Exec(t, db, "INSERT INTO otps (id, email, otp_hash_code, next_resend_allowed_at, type, expires_at) "+
		"VALUES (9, 'Ada@example.com', 'x', '2026-01-01', 'signin', '2026-01-01')")
	const zero = "SELECT COUNT(*) FROM otps WHERE id = 9 AND UNIX_TIMESTAMP(used_at) = 0"
	assert.Equal(t, "1", mysqltest.Value(t, db, zero))
	const times = "SELECT GROUP_CONCAT(CONCAT_WS(' ', id, UNIX_TIMESTAMP(next_resend_allowed_at), " +
		"UNIX_TIMESTAMP(expires_at), UNIX_TIMESTAMP(created_at), UNIX_TIMESTAMP(updated_at)) ORDER BY id) FROM otps"
	before := mysqltest.Value(t, db, times)

	report, err := run(t, url, adopt.Options{NormalizeEmails: true})
	require.NoError(t, err)
	assert.Empty(t, report.Obstacles)
	note := ""
	for _, d := range report.Differences {
		if d.Table == "otps" && d.Name == "used_at" {
			note = d.Note
		}
	}
	assert.Contains(t, note, "0000-00-00 becomes NULL, in 2 rows now")

	_, err = run(t, url, adopt.Options{Apply: true, NormalizeEmails: true})
	require.NoError(t, err)
	assert.Equal(t, "0", mysqltest.Value(t, db, "SELECT COUNT(*) FROM otps WHERE used_at IS NOT NULL"))
	after := mysqltest.Value(t, db, times)
	assert.Equal(t, strings.ReplaceAll(before, ".000000", ""), strings.ReplaceAll(after, ".000000", ""))
	again, err := run(t, url, adopt.Options{Apply: true})
	require.NoError(t, err)
	assert.Empty(t, again.Differences)
	assert.Empty(t, again.Statements)
}

func TestTablesAreInnoDBsWhateverTheServersEngineIs(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]struct {
		product *testserver.Product
		engine  string
	}{"mysql": {testserver.MySQL, "MyISAM"}, "mariadb": {testserver.MariaDB, "Aria"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "mariadb" {
				_ = mysqltest.MariaDB(t)
			}
			root := ownServer(t, server.product, "--default-storage-engine="+server.engine)
			const engines = "SELECT GROUP_CONCAT(DISTINCT ENGINE) FROM information_schema.TABLES " +
				"WHERE TABLE_SCHEMA = DATABASE()"
			fresh := onServer(t, root, "fresh")
			dirtest.Apply(t, fresh, nil)
			assert.Equal(t, "InnoDB", mysqltest.Value(t, mysqltest.DB(t, fresh), engines))

			if name == "mysql" {
				return // a key of MyISAM is too short for the page's addresses
			}
			seeded := onServer(t, root, "seeded")
			drizzletest.SeedIn(t, seeded)
			fill(t, seeded)
			require.Equal(t, server.engine, mysqltest.Value(t, mysqltest.DB(t, seeded), engines))
			_, err := run(t, seeded, adopt.Options{Apply: true})
			require.NoError(t, err)
			assert.Equal(t, "InnoDB", mysqltest.Value(t, mysqltest.DB(t, seeded), engines))
			for name, text := range mysqltest.Definitions(t, seeded) {
				// An option of Aria's stays, and is nothing to InnoDB.
				assert.Equal(t, mysqltest.Definitions(t, fresh)[name], strings.TrimSuffix(text, " PAGE_CHECKSUM=1"))
			}
			forced := onServer(t, root, "forced")
			mysqltest.Exec(t, mysqltest.DB(t, root), "SET GLOBAL enforce_storage_engine = Aria")
			refusedBeforeAnything(t, forced, "the server makes every table with the engine Aria "+
				"(enforce_storage_engine): the tables need InnoDB")
		})
	}
}

func TestServersThatAreTooOldAreRefusedBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	_ = mysqltest.MariaDB(t)
	url := onServer(t, ownServer(t, testserver.MariaDB, "--version=10.4.34-MariaDB"), "old")
	refusedBeforeAnything(t, url, "the server is MariaDB 10.4.34-MariaDB, which is too old: "+
		"MySQL 8.0.16 or MariaDB 10.5 is needed at least")
}

// refusedBeforeAnything holds that whatever makes tables is refused with one line,
// and that nothing is there afterwards.
func refusedBeforeAnything(t *testing.T, url, text string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	for what, err := range map[string]error{
		"apply":           second(migrate.Apply(t.Context(), url, migrate.ApplyOptions{})),
		"a dry run":       second(migrate.Apply(t.Context(), url, migrate.ApplyOptions{DryRun: true})),
		"a baseline":      second(migrate.Apply(t.Context(), url, migrate.ApplyOptions{Baseline: "20261123174317"})),
		"scratch":         second(planner.Scratch(t.Context(), url)),
		"a dev database":  replayed(t, url),
		"with allowances": second(migrate.Apply(t.Context(), url, migrate.ApplyOptions{AllowDirty: true})),
	} {
		var refused *dbserver.Error
		require.ErrorAs(t, err, &refused, what)
		assert.ErrorContains(t, err, text, what)
		assert.NotContains(t, err.Error(), "\n", what)
	}
	assert.Empty(t, mysqltest.Tables(t, url))
	assert.Equal(t, "0", mysqltest.Value(t, db,
		`SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'authgraph\_dev\_%'`))
}

func second[T any](_ T, err error) error { return err }

// replayed is what comes of planning with the database at url as the one to try
// things out in.
func replayed(t *testing.T, url string) error {
	t.Helper()
	dev, err := planner.OpenDev(t.Context(), url)
	require.NoError(t, err)
	defer func() { assert.NoError(t, dev.Close()) }()
	dir := dirtest.EmbeddedDir(t, dialect.MySQL)
	_, err = planner.Inspect(t.Context(), dev, planner.Files(dir))
	return err
}
