package cli_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// home is a home folder with keys in it, and a module that was cloned to src/app.
type home struct{ root, app string }

const (
	// keys is the path of a file of the user's, as seen from the module.
	keys   = "../../.ssh/authorized_keys"
	secret = "ssh-ed25519 AAAA-the-user's-own\n"
)

func newHome(t *testing.T) home {
	t.Helper()
	h := home{root: t.TempDir()}
	h.app = filepath.Join(h.root, "src", "app")
	h.put(t, "go.mod", "module example.com/app\n\ngo 1.26\n")
	h.put(t, keys, secret)
	h.put(t, ".git/config", "[core]\n\tbare = false\n")
	return h
}

func (h home) put(t *testing.T, name, text string) {
	t.Helper()
	at := filepath.Join(h.app, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
}

func (h home) link(t *testing.T, name, to string) {
	t.Helper()
	at := filepath.Join(h.app, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, os.Symlink(filepath.FromSlash(to), at))
}

// record is the one of an installation into these folders, with more of the file's lines.
func (h home) record(t *testing.T, dir, migrations, more string) {
	t.Helper()
	h.put(t, ".authgraph/installed.txtar",
		fmt.Sprintf("version v0.0.1\ndb sqlite\ndir %s\nmigrations %s\ngenerator yes\nentities user\nauth no\n\n%s",
			dir, migrations, more))
}

// journal is one that restores a file.
func (h home) journal(t *testing.T, name string) {
	t.Helper()
	planted := base64.StdEncoding.EncodeToString([]byte("planted"))
	h.put(t, ".authgraph/undo.json",
		fmt.Sprintf(`{"Paths":[%q],"Files":{%[1]q:{"Mode":493,"Data":%q}},"Folders":[]}`, name, planted))
}

// everything is each file below the home folder with its content, each link with what it leads to, and each folder.
func (h home) everything(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(h.root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := []byte("a folder")
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(at)
			text = []byte(to)
		case !entry.IsDir():
			text, err = os.ReadFile(at)
		}
		found[at] = string(text)
		return err
	}))
	return found
}

// What a clone brings along is not followed out of the module, nor into git's folder, and a journal that came with it
// is not undone. Nothing at all changes, and nothing of the user's is shown.
func TestAHostileModuleIsRefused(t *testing.T) {
	t.Parallel()
	install := [][]string{{"upgrade"}, {"upgrade", "--dry-run"}, {"add", "schema", "auth", "--db", "sqlite", "--force"},
		{"init", "--db", "sqlite"}}
	reads := [][]string{{"list"}, {"view", "schema", "auth"}}
	migrate := [][]string{
		{"migrate", "new", "x"}, {"migrate", "hash"}, {"migrate", "validate"}, {"migrate", "diff", "x"},
		{"migrate", "check"},
		{"migrate", "lint"}, {"migrate", "status"}, {"migrate", "apply"}, {"inspect", "migrate"},
	}
	all := append(append(append([][]string{}, install...), reads...), migrate...)
	type test struct {
		plant    func(*testing.T, home)
		commands [][]string
		says     string
	}
	const foreign = "undo.json was not left by a run of yours"
	tests := map[string]test{
		"a journal beside a link": {func(t *testing.T, h home) {
			h.record(t, "ent", "migrate", "")
			h.link(t, "ent", "../../.ssh")
			h.journal(t, "ent/authorized_keys")
		}, install, foreign},
		"a link for the journal": {func(t *testing.T, h home) {
			h.link(t, ".authgraph/undo.json", "../"+keys)
		}, install[2:3], "is a symbolic link"},
		"a link for the folder of the record": {func(t *testing.T, h home) {
			h.link(t, ".authgraph", "../../.ssh")
		}, install[2:3], "is a symbolic link"},
		"a link for the record": {func(t *testing.T, h home) {
			h.link(t, ".authgraph/installed.txtar", "../"+keys)
		}, all, "is a symbolic link"},
		"a link for the module": {func(t *testing.T, h home) {
			require.NoError(t, os.Remove(filepath.Join(h.app, "go.mod")))
			h.link(t, "go.mod", keys)
		}, install, "go.mod is a symbolic link"},
		"a link for a folder of the client": {func(t *testing.T, h home) {
			h.record(t, "ent", "migrate", "")
			h.link(t, "ent", "../../.ssh")
		}, install, "ent is a symbolic link"},
		"a link for an entity": {func(t *testing.T, h home) {
			h.record(t, "ent", "migrate", "")
			h.link(t, "ent/schema/user.go", "../../"+keys)
		}, append(install, reads[1]), "ent/schema/user.go is a symbolic link"},
		"a link for the schema": {func(t *testing.T, h home) {
			h.link(t, "ent/schema.sqlite.sql", "../"+keys)
		}, [][]string{{"migrate", "check"}, {"migrate", "diff", "x"}, {"inspect"}}, "leads out of the module"},
		"a link for the migrations": {func(t *testing.T, h home) {
			h.put(t, "../../.ssh/1_x.sql", "SELECT 1;\n")
			h.link(t, "migrate/sqlite", "../../../.ssh")
		}, migrate, "leads out of the module"},
		"a link for a migration": {func(t *testing.T, h home) {
			h.link(t, "migrate/sqlite/1_x.sql", "../../"+keys)
		}, migrate, "leads out of the module"},
		"a link for the sum": {func(t *testing.T, h home) {
			h.put(t, "migrate/sqlite/1_x.sql", "SELECT 1;\n")
			h.link(t, "migrate/sqlite/atlas.sum", "../../"+keys)
		}, migrate, "leads out of the module"},
		"a link for the sum of a directory that is named": {func(t *testing.T, h home) {
			h.put(t, "db/1_x.sql", "SELECT 1;\n")
			h.link(t, "db/atlas.sum", "../"+keys)
		}, [][]string{{"migrate", "hash", "--dir", "db"}, {"migrate", "new", "x", "--dir", "db"}},
			"db/atlas.sum is a symbolic link"},
	}
	for _, name := range []string{keys, "/.ssh/authorized_keys", ".git/hooks/pre-commit", "Makefile",
		".github/workflows/x.yml", `..\..\.ssh\authorized_keys`} {
		tests["a journal with "+name] = test{func(t *testing.T, h home) {
			h.record(t, "ent", "migrate", "")
			h.journal(t, name)
		}, install, foreign}
	}
	for _, dir := range []string{
		"../../.ssh", "/tmp", ".", "ent/../../..", `..\..\.ssh`, `C:\Users`, ".git/hooks", ".GIT/hooks",
		"sub/.git/hooks", "git~1/hooks", ".git./hooks", ".g\u200cit/hooks",
	} {
		names := fmt.Sprintf("names the path %q", dir)
		tests["a record with the client in "+dir] = test{func(t *testing.T, h home) { h.record(t, dir, "migrate", "") },
			all, names}
		tests["a record with the migrations in "+dir] = test{func(t *testing.T, h home) { h.record(t, "ent", dir, "") },
			all, names}
	}
	tests["a record of a file outside"] = test{func(t *testing.T, h home) {
		h.record(t, "ent", "migrate", "-- "+keys+" --\nplanted\n")
	}, all, fmt.Sprintf("names the path %q", keys)}
	tests["a record of an unknown database"] = test{func(t *testing.T, h home) {
		h.record(t, "ent", "migrate", "")
		h.put(t, ".authgraph/installed.txtar", "db ../x\ndir ent\nmigrations migrate\n")
	}, all, "is damaged"}

	program := installed(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			test.plant(t, h)
			want := h.everything(t)
			for _, args := range test.commands {
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir = h.app
				cmd.Env = append(os.Environ(), "HOME="+h.root, "XDG_CACHE_HOME=", "DATABASE_URL=sqlite://app.db",
					"GORACE="+goRace)
				out, err := cmd.CombinedOutput()
				assert.Error(t, err, "%v: %s", args, out)
				assert.Contains(t, string(out), test.says, args)
				assert.NotContains(t, string(out), "AAAA", args)
				assert.Equal(t, want, h.everything(t), args)
			}
		})
	}
}

// Outside of a repository's own .git, a folder can pose as a bare one: its settings name programs, which git would run.
func TestAFolderThatPosesAsARepositoryRunsNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	require.NoError(t, os.RemoveAll(filepath.Join(h.app, ".git")))
	ran := filepath.Join(h.root, "ran")
	h.put(t, "HEAD", "ref: refs/heads/main\n")
	h.put(t, "config", fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tbare = false\n"+
		"\tworktree = .\n\tfsmonitor = \"touch %s; false\"\n", ran))
	h.put(t, "objects/x", "")
	h.put(t, "refs/x", "")
	h.put(t, "migrate/sqlite/1_x.sql", "SELECT 1;\n")
	for _, args := range [][]string{{"migrate", "hash"}, {"migrate", "lint", "--git-base", "main"},
		{"add", "schema", "auth", "--no-migration"}} {
		cmd := exec.CommandContext(t.Context(), installed(t), args...)
		cmd.Dir = h.app
		cmd.Env = append(os.Environ(), "HOME="+h.root, "XDG_CACHE_HOME=", "DATABASE_URL=sqlite://app.db",
			"PATH="+os.Getenv("PATH"), "GOFLAGS=-mod=mod", "GOPROXY=off", "GORACE="+goRace)
		out, _ := cmd.CombinedOutput() // git refuses, which is as good as a folder without a repository
		assert.NoFileExists(t, ran, "%v: %s", args, out)
	}
}
