package entfast_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// The tests of the zoo are in testdata/zoo, a module of its own that has nothing of this project but the extension.
func TestAZooAnswersAsEntDoes(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/zoo")))
	// With the requirements of this module, what they make is compiled already.
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		if name == "go.mod" {
			text = bytes.Replace(text, []byte("github.com/authgraph/authgraph\n"), []byte("example.com/zoo\n"), 1)
			text = append(text, "require github.com/authgraph/authgraph v0.0.0\n"+
				"replace github.com/authgraph/authgraph => "+root+"\n"...)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	env := append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -mod=mod -trimpath"))
	source := func(url string) string {
		config, err := testserver.Config(url)
		require.NoError(t, err)
		return config.FormatDSN()
	}
	env = append(env,
		"ZOO_MYSQL="+source(mysqltest.MySQL(t)),
		"ZOO_MARIADB="+source(mysqltest.MariaDB(t)),
		"ZOO_SQLITE=file:"+filepath.Join(dir, "zoo.db")+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)")
	run := func(folder string, args ...string) {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = filepath.Join(dir, folder), env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "go %s\n%s", strings.Join(args, " "), out)
	}
	run("ent", "run", "entc.go")
	args := []string{"test", "-count=1", "."}
	if raced {
		args = append(args, "-race")
	}
	run(".", args...)
}
