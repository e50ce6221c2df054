package migrate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// The definitions are what the Atlas CLI leaves behind when it has applied a directory.
var revisionColumns = map[string][]string{
	"mysql": {
		"version varchar(255) NO <nil>", "description varchar(255) NO <nil>", "type bigint unsigned NO 2",
		"applied bigint NO 0", "total bigint NO 0", "executed_at timestamp NO <nil>", "execution_time bigint NO <nil>",
		"error longtext YES <nil>", "error_stmt longtext YES <nil>", "hash varchar(255) NO <nil>",
		"partial_hashes json YES <nil>", "operator_version varchar(255) NO <nil>",
	},
	"mariadb": {
		"version varchar(255) NO <nil>", "description varchar(255) NO <nil>", "type bigint(20) unsigned NO 2",
		"applied bigint(20) NO 0", "total bigint(20) NO 0", "executed_at timestamp NO <nil>",
		"execution_time bigint(20) NO <nil>", "error longtext YES NULL", "error_stmt longtext YES NULL",
		"hash varchar(255) NO <nil>", "partial_hashes longtext YES NULL", "operator_version varchar(255) NO <nil>",
	},
}

func TestRevisionTableIsThatOfTheAtlasCLI(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, nil)
		db := mysqltest.DB(t, url)
		kind := "mysql"
		if strings.HasPrefix(url, "mariadb") {
			kind = "mariadb"
		}
		const ofTable = "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '" + atlasdb.RevisionsTable + "'"
		assert.Equal(t, revisionColumns[kind], mysqltest.Column(t, db,
			"SELECT CONCAT_WS(' ', COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COALESCE(COLUMN_DEFAULT, '<nil>')) "+
				"FROM information_schema.COLUMNS "+ofTable+" ORDER BY ORDINAL_POSITION"))
		assert.Equal(t, "utf8mb4_bin",
			mysqltest.Value(t, db, "SELECT TABLE_COLLATION FROM information_schema.TABLES "+ofTable))
		assert.Equal(t, []string{"version"},
			mysqltest.Column(t, db, "SELECT COLUMN_NAME FROM information_schema.STATISTICS "+ofTable))
	})
}

func TestHistoryHoldsWhatTheAtlasCLIReads(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Three)
		before := time.Now().Add(-2 * time.Second)
		dirtest.Apply(t, url, dir)
		db := mysqltest.DB(t, url)
		sum, err := dir.Checksum()
		require.NoError(t, err)
		for i, want := range []struct {
			version, description string
			statements           int
		}{{"20240101000000", "a", 2}, {"20240102000000", "b", 2}, {"20240103000000", "c", 1}} {
			var version, description, stmtError, stmt, hash, operator string
			var kind, applied, total, took int
			var partial *string
			require.NoError(t, db.QueryRow("SELECT version, description, type, applied, total, execution_time, error, "+
				"error_stmt, hash, partial_hashes, operator_version "+
				"FROM atlas_schema_revisions ORDER BY version LIMIT 1 OFFSET ?", i,
			).Scan(&version, &description, &kind, &applied, &total, &took,
				&stmtError, &stmt, &hash, &partial, &operator))
			assert.Equal(t, want.version, version)
			assert.Equal(t, want.description, description)
			assert.Equal(t, 2, kind)
			assert.Equal(t, want.statements, applied)
			assert.Equal(t, want.statements, total)
			assert.Positive(t, took)
			assert.Empty(t, stmtError)
			assert.Empty(t, stmt)
			assert.Nil(t, partial)
			assert.Equal(t, "authgraph", operator)
			assert.True(t, isSum(hash), hash)
			fileSum, err := sum.SumByName(want.version + "_" + want.description + ".sql")
			require.NoError(t, err)
			assert.Equal(t, fileSum, hash)
		}
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
		require.NoError(t, err)
		require.Len(t, status.Applied, 3)
		for _, r := range status.Applied {
			assert.Equal(t, "applied", r.Type)
			assert.Equal(t, "authgraph", r.Operator)
			assert.Equal(t, time.UTC, r.ExecutedAt.Location())
			assert.WithinRange(t, r.ExecutedAt, before, time.Now())
		}
	})
}

// A row of the kind the Atlas CLI leaves when a statement has failed.
func TestApplyGoesOnWhereTheAtlasCLIStopped(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, halfApplied)
		// The partial hashes and the definition come from a first run here.
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.Error(t, err)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "UPDATE atlas_schema_revisions SET operator_version = 'Atlas CLI', "+
			"error = 'Error 1062 (23000): Duplicate entry ''geheim'' for key ''a.one'''",
			"INSERT INTO atlas_schema_revisions "+
				"(version, description, executed_at, execution_time, hash, operator_version) "+
				"VALUES ('.atlas_cloud_identifier', 'x', CURRENT_TIMESTAMP, 0, '', 'Atlas CLI')",
			"UPDATE a SET id = n")
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
		require.NoError(t, err)
		assert.Empty(t, status.Applied)
		assert.Equal(t, 2, status.Partial.Applied)
		assert.Equal(t, "Error 1062 (23000): rows are equal in a unique index (key 'a.one')", status.Partial.Error)
		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.NoError(t, err)
		assert.Equal(t, 2, report.Applied[0].Resumed)
	})
}

func TestHistoryThatCannotBeTrustedIsReported(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		path := dirtest.Folder(t, halfApplied)
		applyHalf(t, url, path)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "UPDATE atlas_schema_revisions SET partial_hashes = NULL")
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
		require.ErrorContains(t, err, "counts 2 applied statements but holds 0 hashes")
		mysqltest.Exec(t, db, `UPDATE atlas_schema_revisions SET partial_hashes = '{"a": 1}'`)
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
		require.ErrorContains(t, err, "partial hashes of 1")
	})
}

func TestStatusOfADatabaseWithoutHistory(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dirtest.New(t, dirtest.Three)})
		require.NoError(t, err)
		assert.Equal(t, &migrate.Status{Applied: []migrate.Revision{}, Pending: dirtest.Three.Names()}, status)
		assert.Empty(t, mysqltest.Tables(t, url))
	})
}
