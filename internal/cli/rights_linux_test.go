package cli_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nobody is who rights count for, as they do not for root.
const nobody = 65534

// A folder that may not be written, or not be read, is named, and stays as it is.
func TestFoldersThatAreNotOnesOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		folder string
		mode   os.FileMode
		args   []string
		want   string
	}{
		"module": {".", 0o555, []string{"add", "schema", "auth", "--db", "mysql"},
			`^authgraph: the folder cannot be written, nothing was changed: .*permission denied\n$`},
		"migrations": {"migrate/sqlite", 0, []string{"migrate", "validate"},
			`^authgraph: migration directory migrate/sqlite: .*permission denied\n$`},
		"migrations that are named": {"files", 0,
			[]string{"migrate", "apply", "--dir", "files", "--url", "sqlite://app.db"},
			`^authgraph: migration directory files: .*permission denied\n$`},
		"output": {"locked", 0o555, []string{"inspect", "--url", "sqlite://app.db", "--out", "locked/schema.sql"},
			`\nauthgraph: --out locked/schema.sql cannot be written: .*permission denied\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The program is this one, by the way that does not lead through folders that are closed to others.
			r := start(t, "/proc/self/exe", "", c.args...)
			r.Args[0] = "authgraph"
			require.NoError(t, os.Chmod(filepath.Dir(r.Dir), 0o755))
			require.NoError(t, os.Chmod(r.Dir, 0o777))
			if os.Geteuid() == 0 {
				r.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "go.mod"),
				[]byte("module example.com/app\n\ngo 1.26\n"), 0o644))
			folder := filepath.Join(r.Dir, c.folder)
			require.NoError(t, os.MkdirAll(folder, 0o755))
			require.NoError(t, os.Chmod(folder, c.mode))
			t.Cleanup(func() { assert.NoError(t, os.Chmod(folder, 0o755)) }) // to be removed
			require.Error(t, r.Run())
			assert.Regexp(t, c.want, r.stderr.String())
			require.NoError(t, os.Chmod(folder, 0o755))
			entries, err := os.ReadDir(folder)
			require.NoError(t, err)
			for _, e := range entries {
				assert.Equal(t, "go.mod", e.Name())
			}
		})
	}
}
