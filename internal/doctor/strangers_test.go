package doctor_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestTablesOfOthersAreNamed(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		exec(t, db, "CREATE TABLE sessions (token char(43) PRIMARY KEY, data blob NOT NULL, expiry timestamp(6) "+
			"NOT NULL)")
		exec(t, db, "CREATE VIEW otps AS SELECT 1 AS code")
		findings := run(t, url, doctor.Options{})
		f := find(t, findings, "migrations", doctor.Error, `the name is taken: "sessions" is a table as scs makes it`)
		assert.Equal(t, "use another database for one of the two, or rename it", f.Fix)
		find(t, findings, "migrations", doctor.Error, `the name is taken: "otps" is a view of somebody else (code)`)
		for _, f := range findings {
			assert.NotContains(t, f.Fix, "migrate apply", "it would be refused")
			assert.NotContains(t, f.Text, "could not be checked", "%+v: what is not ours is not looked at", f)
		}
	})
}

func TestHistoriesOfOtherDirectoriesAreNamed(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		dir, err := directory.Open(folder)
		require.NoError(t, err)
		require.NoError(t, dir.WriteFile("20200101000000_init.sql", []byte("CREATE TABLE theirs (id int);\n")))
		require.NoError(t, directory.Hash(dir))
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.NoError(t, err)
		f := find(t, run(t, url, doctor.Options{}), "migrations", doctor.Error,
			"is that of another directory, of which no file is in this one")
		assert.Equal(t, "name that directory with --dir, keep this history apart with --revisions-schema NAME, or "+
			"use another database", f.Fix)
	})
}
