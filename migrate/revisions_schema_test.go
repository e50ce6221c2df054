package migrate_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// schemaBeside is the name of an empty schema on the server of a database, which is dropped with the test.
func schemaBeside(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(mysqltest.Another(t, database))
	require.NoError(t, err)
	return strings.TrimPrefix(u.Path, "/")
}

func TestServicesThatShareADatabaseKeepAHistoryEach(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		shop, auth := schemaBeside(t, url), schemaBeside(t, url)
		ofShop := dirtest.New(t, dirtest.Three)
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: ofShop, RevisionsSchema: shop})
		require.NoError(t, err)
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{RevisionsSchema: auth})
		var dirty *migrate.DirtyError
		require.ErrorAs(t, err, &dirty)
		assert.ErrorContains(t, err, "or the schema that its history is in (RevisionsSchema)")
		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{RevisionsSchema: auth, AllowDirty: true})
		require.NoError(t, err)
		assert.NotEmpty(t, report.Applied)
		assert.NotContains(t, mysqltest.Tables(t, url), atlasdb.RevisionsTable)

		for schema, opts := range map[string]migrate.StatusOptions{shop: {Dir: ofShop}, auth: {}} {
			opts.RevisionsSchema = schema
			status, err := migrate.ReadStatus(t.Context(), url, opts)
			require.NoError(t, err)
			assert.Empty(t, status.Pending)
			assert.NotEmpty(t, status.Applied)
			report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: opts.Dir, RevisionsSchema: schema})
			require.NoError(t, err)
			assert.Empty(t, report.Applied)
		}
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{RevisionsSchema: shop})
		var foreign *migrate.HistoryError
		require.ErrorAs(t, err, &foreign)
		assert.Equal(t, history.Foreign, foreign.Reason)
		assert.ErrorContains(t, err, "keep this history in a schema of its own (RevisionsSchema)")
	})
}

// The Atlas CLI makes the schema, too.
func TestASchemaForTheHistoryIsMade(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		schema, db := schemaBeside(t, url), mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "DROP DATABASE "+schema)
		dir := dirtest.New(t, dirtest.Three)
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir, RevisionsSchema: schema})
		require.NoError(t, err)
		assert.Len(t, status.Pending, 3)
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, RevisionsSchema: schema, DryRun: true})
		require.NoError(t, err)
		const made = "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?"
		assert.Equal(t, "0", mysqltest.Value(t, db, made, schema))
		_, err = migrate.Apply(t.Context(), url,
			migrate.ApplyOptions{Dir: dir, RevisionsSchema: schema, To: "20240101000000"})
		require.NoError(t, err)
		assert.Equal(t, "20240101000000",
			mysqltest.Value(t, db, "SELECT version FROM "+schema+"."+atlasdb.RevisionsTable))
	})
}

func TestOnlyAnApplyOfTheSameHistoryIsWaitedFor(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		shop, auth := schemaBeside(t, url), schemaBeside(t, url)
		u, err := atlasdb.Parse(url)
		require.NoError(t, err)
		db, err := atlasdb.Open(t.Context(), u)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		_, unlock, err := history.Store{DB: db, Schema: shop}.Lock(t.Context(), time.Second, func() {})
		require.NoError(t, err)
		apply := func(schema string) error {
			_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{
				Dir: dirtest.New(t, dirtest.Three), RevisionsSchema: schema, LockTimeout: time.Second,
			})
			return err
		}
		require.NoError(t, apply(auth))
		var held *migrate.LockError
		require.ErrorAs(t, apply(shop), &held)
		require.NoError(t, unlock())
	})
}

// What another service does to its own tables says nothing about the statement that was cut off.
func TestApplyGoesOnExactlyWhereItWasCutWhileAnotherServiceMigrated(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, dirtest.Files{"1_views.sql": `
CREATE TABLE items (id int PRIMARY KEY, n int);
ALTER TABLE items ADD COLUMN m int;
CREATE VIEW many AS SELECT id FROM items WHERE n > 1;
CREATE TRIGGER twice BEFORE INSERT ON items FOR EACH ROW SET NEW.n = NEW.n * 2;
DROP VIEW many;`})
	const others = "CREATE TABLE orders (id int PRIMARY KEY)"
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		schema := schemaBeside(t, url)
		apply := func(url, schema string) error {
			_, err := migrate.Apply(t.Context(), url,
				migrate.ApplyOptions{Dir: dir, RevisionsSchema: schema, AllowDirty: true})
			return err
		}
		counter := newCutter(-1, false)
		require.NoError(t, apply(counter.Start(t, url), schema))
		mysqltest.Exec(t, mysqltest.DB(t, url), others)
		want := mysqltest.Dump(t, url)
		for k := range len(counter.commands()) {
			t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
				t.Parallel()
				url, schema := mysqltest.Another(t, url), schemaBeside(t, url)
				proxy := newCutter(k, false)
				_ = apply(proxy.Start(t, url), schema) // not an error each time: a cut releases the lock, too
				require.True(t, proxy.cut.Load())
				mysqltest.Exec(t, mysqltest.DB(t, url), others)
				require.NoError(t, apply(url, schema))
				require.Equal(t, want, mysqltest.Dump(t, url), "cut after %q", proxy.commands())
			})
		}
	})
}

// What an account may not see is as if it were not there, and a baseline would be written on top of it.
func TestHistoryThatTheAccountMayNotReadIsNotTakenForNone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, database string) {
		schema, dir := schemaBeside(t, database), dirtest.New(t, dirtest.Three)
		_, err := migrate.Apply(t.Context(), database, migrate.ApplyOptions{Dir: dir, RevisionsSchema: schema})
		require.NoError(t, err)
		db := mysqltest.DB(t, database)
		u, err := url.Parse(database)
		require.NoError(t, err)
		name := "authgraph_" + strings.ToLower(rand.Text()[:12])
		mysqltest.Exec(t, db, "CREATE USER "+name+" IDENTIFIED BY 'geheim'",
			"GRANT ALL ON `"+strings.TrimPrefix(u.Path, "/")+"`.* TO "+name)
		t.Cleanup(func() { mysqltest.Exec(t, db, "DROP USER "+name) })
		u.User = url.UserPassword(name, "geheim")
		status := func() (*migrate.Status, error) {
			return migrate.ReadStatus(t.Context(), u.String(), migrate.StatusOptions{Dir: dir, RevisionsSchema: schema})
		}
		want := name + "@% may not read table " + schema + ".atlas_schema_revisions, so it is not known what was " +
			"applied: GRANT SELECT ON `" + schema + "`.* TO '" + name + "'@'%';"
		_, err = status()
		require.EqualError(t, err, want)
		for _, opts := range []migrate.ApplyOptions{{}, {AllowDirty: true}, {Baseline: "20240101000000"}} {
			opts.Dir, opts.RevisionsSchema = dir, schema
			_, err = migrate.Apply(t.Context(), u.String(), opts)
			require.EqualError(t, err, want)
		}
		_, grant, _ := strings.Cut(want, ": ")
		mysqltest.Exec(t, db, grant)
		s, err := status()
		require.NoError(t, err)
		assert.Len(t, s.Applied, 3)
	})
}

func TestSQLiteHasNoSchemaForTheHistory(t *testing.T) {
	t.Parallel()
	const want = `SQLite has no schemas, so the history cannot be in "auth": leave it out (RevisionsSchema); ` +
		"two services keep their histories apart in two files"
	url := mysqltest.SQLite(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{RevisionsSchema: "auth"})
	require.EqualError(t, err, want)
	_, err = migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{RevisionsSchema: "auth"})
	require.EqualError(t, err, want)
}

// The rights that the pages named before: a history was written by REPLACE, which needs no UPDATE.
func TestAnAccountThatMayOnlyAddAndDeleteWritesAHistory(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, database string) {
		schema := "authgraph_" + strings.ToLower(rand.Text()[:12]) + "_history"
		db := mysqltest.DB(t, database)
		name := "authgraph_" + strings.ToLower(rand.Text()[:12])
		u, err := url.Parse(database)
		require.NoError(t, err)
		mysqltest.Exec(t, db, "CREATE DATABASE "+schema, "CREATE USER "+name+" IDENTIFIED BY 'geheim'",
			"GRANT ALL ON `"+strings.TrimPrefix(u.Path, "/")+"`.* TO "+name,
			"GRANT CREATE, ALTER, SELECT, INSERT, DELETE ON "+schema+".* TO "+name)
		t.Cleanup(func() { mysqltest.Exec(t, db, "DROP USER "+name, "DROP DATABASE "+schema) })
		u.User = url.UserPassword(name, "geheim")
		report, err := migrate.Apply(t.Context(), u.String(), migrate.ApplyOptions{RevisionsSchema: schema})
		require.NoError(t, err)
		assert.NotEmpty(t, report.Applied)
	})
}
