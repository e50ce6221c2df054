package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// A statement that ran although its apply never heard so is not run again, and is named.
func TestApplyNamesRecoveredStatements(t *testing.T) {
	t.Parallel()
	program := installed(t)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		_, err := mysqltest.DB(t, url).Exec("CREATE TABLE fruit (id int PRIMARY KEY)")
		require.NoError(t, err)
		files := t.TempDir()
		sql := "ALTER TABLE fruit ADD COLUMN a int NULL;\nALTER TABLE fruit ADD COLUMN b int NULL;\n"
		require.NoError(t, os.WriteFile(filepath.Join(files, "1_pick.sql"), []byte(sql), 0o644))
		require.NoError(t, start(t, program, url, "migrate", "hash", "--dir", files).Run())

		proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
			if strings.HasPrefix(query, "ALTER TABLE") {
				return mysqltest.CutAfter
			}
			return mysqltest.Forward
		}}
		cut := start(t, program, proxy.Start(t, url), "migrate", "apply", "--allow-dirty", "--dir", files)
		assert.Error(t, cut.Run())
		assert.Contains(t, cut.stderr.String(), "authgraph: 1_pick.sql:1: statement 1 of 2 failed, 0 stay applied: ")
		assert.Contains(t, cut.stderr.String(), "it finds out whether the statement took effect")
		assert.Equal(t, 1, strings.Count(cut.stderr.String(), "authgraph: "))

		again := start(t, program, url, "migrate", "apply", "--allow-dirty", "--dir", files, "--verbose")
		require.NoError(t, again.Run(), "stderr: %s", &again.stderr)
		out := again.stdout.String()
		assert.Contains(t, out, "  1/2  recovered: it took effect in the apply that was cut off\n"+
			"    ALTER TABLE fruit ADD COLUMN a int NULL;\n")
		assert.Regexp(t, `(?m)^1_pick.sql  2 statements  \S+  \(recovered: statement 1\)$`, out)
	})
}

func TestApplySaysThatItWaits(t *testing.T) {
	t.Parallel()
	program := installed(t)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		server := mysqltest.DB(t, url)
		database := databaseOf(t, server)
		conn, err := server.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		var got bool
		lock := "SELECT GET_LOCK(" + mysqltest.MigrationLock + ", 60)"
		require.NoError(t, conn.QueryRowContext(t.Context(), lock).Scan(&got))
		require.True(t, got)
		r := start(t, program, url, "migrate", "apply")
		require.NoError(t, r.Start())
		mysqltest.Eventually(t, "it waits", func() bool {
			return slices.ContainsFunc(statements(t, server), func(s statement) bool {
				// The first try does not wait: its timeout is 0.
				return strings.Contains(s.text, "GET_LOCK('authgraph_migrate_") &&
					strings.HasSuffix(s.text, ", 60)") && s.database == database
			})
		})
		_, err = conn.ExecContext(t.Context(), "DO RELEASE_LOCK("+mysqltest.MigrationLock+")")
		require.NoError(t, err)
		require.NoError(t, r.Wait(), "stderr: %s", &r.stderr)
		assert.Contains(t, r.stderr.String(), "waiting for another apply to finish\n")
		assert.Contains(t, r.stdout.String(), ": the database is at version ")
	})
}
