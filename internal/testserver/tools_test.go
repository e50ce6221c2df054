package testserver

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACommandFindsTheToolsThatPATHLacks(t *testing.T) {
	t.Setenv("PATH", pathWithout(t, "sqlite3", "python3"))
	t.Setenv("AUTHGRAPH_TEST_WITHOUT_CHROMIUM", "1")
	t.Setenv("AUTHGRAPH_TEST_WITHOUT_NPM", "1")
	var out, progress bytes.Buffer
	code := Main([]string{"-mysql-only", "-tools", "sqlite3", ":memory:",
		"SELECT 'made by '||typeof(sqlite_version())"},
		nil, &out, &progress)
	assert.Equal(t, 0, code, progress.String())
	assert.Equal(t, "made by text\n", out.String())
}

// pathWithout is a PATH of all the machine's commands but those.
func pathWithout(t *testing.T, names ...string) string {
	t.Helper()
	commands := t.TempDir()
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder) // a folder on PATH may be missing
		for _, entry := range entries {
			if slices.Contains(names, entry.Name()) {
				continue
			}
			err := os.Symlink(filepath.Join(folder, entry.Name()), filepath.Join(commands, entry.Name()))
			if !errors.Is(err, os.ErrExist) {
				require.NoError(t, err)
			}
		}
	}
	return commands
}

func TestAToolThatCannotBeHadSaysWhatToInstallInOneLine(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("AUTHGRAPH_TEST_WITHOUT_NPM", "1")
	_, err := missingTools(t.Context(), t.Output())
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 3)
	assert.Equal(t, "chromium is not on PATH: install it, or leave its tests out with "+
		"AUTHGRAPH_TEST_WITHOUT_CHROMIUM=1; "+
		"Debian package chromium-headless-shell: apt-get was not found: this way needs Debian or a system "+
		"made from it", lines[0])
	assert.Contains(t, lines[1], "sqlite3 is not on PATH: install it; Debian package sqlite3: ")
	assert.Contains(t, lines[2], "python3 is not on PATH: install it; Debian package python3: ")
}
