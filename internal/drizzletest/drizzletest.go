// Package drizzletest has the ServerCN schema as a project of Drizzle, for tests: what drizzle-kit makes of it, and
// npm's packages to run it.
package drizzletest

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

//go:embed all:testdata/drizzle
var project embed.FS

// WithoutNPM is "1" where the tests of Drizzle itself are left out on request; without it a missing npm is a failure.
const WithoutNPM = "AUTHGRAPH_TEST_WITHOUT_NPM"

// SeedSQL is what drizzle-kit generates for the schema; a test holds it against drizzle-kit itself.
//
//go:embed testdata/drizzle/seed.sql
var SeedSQL string

// Copy is a copy of the project in a folder of the test, with its packages.
func Copy(t testing.TB) string {
	t.Helper()
	files, err := fs.Sub(project, "testdata/drizzle")
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, files))
	require.NoError(t, os.Symlink(NodeModules(t, folder), filepath.Join(folder, "node_modules")))
	return folder
}

// Seed runs drizzle-kit's statements as it would: on MySQL it stops at the index
// on a TEXT column and leaves the database half migrated.
func Seed(t testing.TB, url string) {
	t.Helper()
	SeedIn(t, url, "SET explicit_defaults_for_timestamp = 1") // whatever the server's default
}

// SeedIn is Seed in a session that statements set up.
func SeedIn(t testing.TB, url string, session ...string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range append(session, Statements()...) {
		_, err := db.Exec(s)
		var refused *mysql.MySQLError
		if errors.As(err, &refused) && refused.Number == 1170 {
			require.False(t, strings.HasPrefix(url, "mariadb"))
			return
		}
		require.NoError(t, err, s)
	}
	require.True(t, strings.HasPrefix(url, "mariadb"), "MySQL accepted an index on TEXT")
}

// Statements are those of [SeedSQL].
func Statements() []string { return strings.Split(SeedSQL, "--> statement-breakpoint") }

// NodeModules is the folder of the installed packages of a project.
func NodeModules(t testing.TB, project string) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	require.NoError(t, err,
		"npm is missing: install Node.js 20 or later, or leave the tests of Drizzle out with %s=1", WithoutNPM)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	h := sha256.New()
	names := []string{"package.json", "package-lock.json", ".npmrc"}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(project, name))
		require.NoError(t, err)
		h.Write(b)
	}
	root := filepath.Join(cache, "authgraph")
	home := filepath.Join(root, "npm-"+hex.EncodeToString(h.Sum(nil)[:8]))
	if _, err := os.Stat(home); err == nil {
		return filepath.Join(home, "node_modules")
	}
	require.NoError(t, os.MkdirAll(root, 0o755))
	//nolint:usetesting // it is renamed, which a folder of the test may be too far away for
	work, err := os.MkdirTemp(root, "npm-installing-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(work)) })
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(project, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(work, name), b, 0o644))
	}
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "npm ci: %s", out)
	// Another process may have been first.
	if err := os.Rename(work, home); err != nil && !errors.Is(err, fs.ErrExist) {
		_, missing := os.Stat(home)
		require.NoError(t, missing, err)
	}
	return filepath.Join(home, "node_modules")
}

// LeaveOut skips a test that needs npm, on request.
func LeaveOut(t *testing.T) {
	t.Helper()
	if os.Getenv(WithoutNPM) == "1" {
		t.Skip("Drizzle left out, because " + WithoutNPM + "=1")
	}
}
