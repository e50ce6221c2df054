package doctor_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

const addPeople = "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com'), (2, 'Bo', " +
	"'bo@example.com'), (3, 'Cy', 'cy@example.com')"

func found(t *testing.T, url string) string {
	t.Helper()
	var lines strings.Builder
	for _, f := range run(t, url, doctor.Options{}) {
		if f.Code == "values" {
			assert.NotContains(t, f.Text, "\n")
			lines.WriteString(string(f.Severity) + " " + f.Text + "\n")
		}
	}
	return lines.String()
}

func TestValuesOfNoMeaningAreFoundOnServers(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, addPeople)
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { assert.NoError(t, conn.Close()) }()
		for _, statement := range []string{
			"SET sql_mode = ''",
			"UPDATE users SET is_deleted = 2, last_login_at = '0000-00-00 00:00:00' WHERE id = 1",
			"UPDATE users SET role = 'root' WHERE id = 2",
			"INSERT INTO sessions (id, user_id, token_hash, expires_at) VALUES (4, 1, 'a', '0000-00-00 00:00:00')",
		} {
			_, err := conn.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		text := found(t, url)
		assert.Contains(t, text, "error 1 row of the newest of users: is_deleted holds a number that is no boolean "+
			"(ids 1)\n")
		assert.Contains(t, text, "error 1 row of the newest of users: last_login_at holds the zero date (ids 1)\n")
		assert.Contains(t, text, "error 1 row of the newest of users: role holds '', which stands for a word that "+
			"the column does not list (ids 2)\n")
		assert.Contains(t, text, "error 1 row of the newest of sessions: expires_at holds the zero date (ids 4)\n")
	})
}

func TestRowsOfNoMeaningAreFound(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, addPeople)
		exec(t, db, "UPDATE users SET avatar = '{\"size\":\"12\"}' WHERE id = 1")
		exec(t, db, "UPDATE users SET avatar = '{\"url\":\"x\",\"more\":1}' WHERE id = 2")
		exec(t, db, "UPDATE users SET is_deleted = 1 WHERE id = 3")
		exec(t, db, "INSERT INTO sessions (id, user_id, token_hash, expires_at, created_at) VALUES (4, 1, 'a', "+
			"'2036-01-01 00:00:00', '2035-12-01 00:00:00')")
		exec(t, db, `INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, replaced_by_token_hash) VALUES
			(1, 1, 'a', '2036-01-01 00:00:00', 'b'), (2, 1, 'b', '2036-01-01 00:00:00', 'c'),
			(3, 1, 'c', '2036-01-01 00:00:00', 'b'), (4, 1, 'd', '2036-01-01 00:00:00', 'd'),
			(5, 1, 'e', '2036-01-01 00:00:00', 'f')`)
		text := found(t, url)
		assert.Contains(t, text, "warning 1 row of the newest of users: avatar is not of the form")
		assert.Contains(t, text, "what does not fit is left out (ids 1)\n")
		assert.Contains(t, text, "warning users are deleted and have no deleted_at (ids 3)\n")
		assert.Contains(t, text, "warning 1 row of the newest of sessions: created_at is in the future, so a "+
			"session, code or token is taken for ended (ids 4)\n")
		assert.Contains(t, text, "error refresh tokens were exchanged for each other in a circle (ids 2, 3, 4)\n")
	})
}

// A file from before the CHECKs may hold anything.
func TestValuesThatDoNotCompareAreFoundInOlderSQLiteFiles(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	older := t.TempDir()
	names, err := fs.Glob(os.DirFS("../../migrate/sqlite"), "*.sql")
	require.NoError(t, err)
	for _, name := range names[:2] {
		b, err := os.ReadFile(filepath.Join("../../migrate/sqlite", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(older, name), b, 0o600))
	}
	dir, err := directory.Open(older)
	require.NoError(t, err)
	require.NoError(t, directory.Hash(dir))
	_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.NoError(t, err)
	db := mysqltest.DB(t, url)
	exec(t, db, addPeople)
	exec(t, db, "INSERT INTO sessions (id, user_id, token_hash, expires_at, is_active) VALUES (1, 1, 'a', "+
		"'2026-01-31T12:00:00Z', 'true'), (2, 1, 'b', '2026-01-31 12:00:00.5+00:00', 1), (3, 1, 'c', 1769860800, 0)")
	text := found(t, url)
	assert.Contains(t, text, "error 2 rows of the newest of sessions: expires_at holds what does not compare as it "+
		"should (ids 3, 1)\n")
	assert.Contains(t, text, "error 1 row of the newest of sessions: is_active holds what does not compare as it "+
		"should (ids 1)\n")
}
