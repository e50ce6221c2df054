package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watch sends what it looks for, once that was written.
type watch struct {
	buffer *bytes.Buffer
	text   *regexp.Regexp
	seen   chan<- string
}

func (w *watch) Write(p []byte) (int, error) {
	n, err := w.buffer.Write(p)
	if found := w.text.Find(w.buffer.Bytes()); found != nil && w.seen != nil {
		w.seen <- string(found)
		w.seen = nil
	}
	return n, err
}

// On a terminal it asks for what was not said, and before it writes.
func TestInstallAsksOnATerminal(t *testing.T) {
	t.Parallel()
	inModule := func(t *testing.T, args ...string) *running {
		r := start(t, installed(t), "", args...)
		r.Env = append(r.Env, "TMPDIR="+t.TempDir()) // the go command takes no module in that folder itself
		require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "go.mod"), []byte("module example.com/app\n\ngo 1.26\n"),
			0o644))
		return r
	}
	for typed, db := range map[string]string{"\n": "mysql", "2\n": "mariadb", "x\n4\nSQLite\n": "sqlite"} {
		shown, err := typeInto(t, inModule(t, "add", "schema", "auth", "--dry-run", "--format", "json").Cmd, typed)
		require.NoError(t, err, shown)
		assert.Contains(t, shown, "Which database?")
		assert.Contains(t, shown, `"db": "`+db+`"`)
	}
	r := inModule(t, "add", "schema", "auth", "--db", "mysql")
	shown, err := typeInto(t, r.Cmd, "n\n")
	require.Error(t, err)
	assert.Contains(t, shown, "create    ent/schema/user.go")
	assert.Contains(t, shown, "Write this? [Y/n] ")
	assert.Contains(t, shown, "authgraph: not confirmed, nothing was changed")
	entries, err := os.ReadDir(r.Dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)

	// What is saved while the question waits stays.
	r = inModule(t, "add", "schema", "auth", "--db", "mysql", "--force")
	schema := filepath.Join(r.Dir, "ent", "schema", "user.go")
	require.NoError(t, os.MkdirAll(filepath.Dir(schema), 0o755))
	require.NoError(t, os.WriteFile(schema, []byte("package schema\n"), 0o644))
	shown, err = answerOn(t, r.Cmd, "Write this? [Y/n] ", func() string {
		require.NoError(t, os.WriteFile(schema, []byte("package schema\n\n// Mine.\n"), 0o644))
		return "y\n"
	})
	require.Error(t, err)
	assert.Contains(t, shown, "authgraph: ent/schema/user.go was changed after authgraph had read it: run this "+
		"again; nothing was changed")
	text, err := os.ReadFile(schema)
	require.NoError(t, err)
	assert.Equal(t, "package schema\n\n// Mine.\n", string(text))

	const end = "\x04" // as Ctrl-D
	shown, err = typeInto(t, inModule(t, "add", "schema", "auth", "--db", "mysql").Cmd, end)
	require.Error(t, err)
	assert.Contains(t, shown, "authgraph: no answer was given, nothing was changed")
}

// A run that is interrupted restores everything; one that is killed is undone by the next.
func TestInterruptedInstall(t *testing.T) {
	t.Parallel()
	program := installed(t)
	golang := goEnvironment()
	for name, stop := range map[string]func(*testing.T, *running){
		"interrupted": func(t *testing.T, r *running) {
			r.interrupt(t, syscall.SIGINT)
			assert.Contains(t, r.stderr.String(), "nothing was changed")
		},
		"killed": func(t *testing.T, r *running) {
			// With the go command that it runs, as when a machine goes down.
			require.NoError(t, syscall.Kill(-r.Process.Pid, syscall.SIGKILL))
			require.Error(t, r.Wait())
			assert.FileExists(t, filepath.Join(r.Dir, "ent", "schema", "user.go"))
			again := func(args ...string) *running {
				next := start(t, program, "", args...)
				next.Dir, next.Env = r.Dir, r.Env
				return next
			}
			dry := again("upgrade", "--dry-run")
			require.Error(t, dry.Run())
			assert.Contains(t, dry.stderr.String(),
				"authgraph: a run that was killed left changes behind, or one is at work: without --dry-run they are "+
					"undone first\n")
			next := again("add", "schema", "auth", "--db", "mariadb", "--force")
			// It finds the module, undoes, and then stops at what it was asked for.
			require.NoError(t, os.MkdirAll(filepath.Join(r.Dir, "vendor"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "vendor", "modules.txt"), nil, 0o644))
			require.Error(t, next.Run())
			assert.Contains(t, next.stderr.String(), "a run that was killed had left changes behind: they were undone")
			assert.Regexp(t, `what was there until now is in \.authgraph/undone-\S+: take from it what is yours`,
				next.stderr.String())
			kept, err := filepath.Glob(filepath.Join(r.Dir, ".authgraph", "undone-*", "ent", "schema", "user.go"))
			require.NoError(t, err)
			assert.Len(t, kept, 1)
			require.NoError(t, os.RemoveAll(filepath.Join(r.Dir, ".authgraph")))
			require.NoError(t, os.RemoveAll(filepath.Join(r.Dir, "vendor")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, program, "", "add", "schema", "auth", "--db", "mysql")
			for name, value := range golang {
				r.Env = append(r.Env, name+"="+value)
			}
			// The go command ignores a go.mod in the folder for temporary files.
			r.Env = append(r.Env, "TMPDIR="+t.TempDir())
			r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "go.mod"),
				[]byte("module example.com/app\n\ngo 1.26\n"), 0o644))
			// Then go.mod is as the last go command left it, and known for that. How long it
			// takes depends on what else the machine does.
			seen := make(chan string, 1)
			r.Stderr = &watch{&r.stderr, regexp.MustCompile(`go generate|authgraph: .*`), seen}
			require.NoError(t, r.Start())
			require.Equal(t, "go generate", <-seen)
			stop(t, r)
			entries, err := os.ReadDir(r.Dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "%v", entries)
			text, err := os.ReadFile(filepath.Join(r.Dir, "go.mod"))
			require.NoError(t, err)
			assert.Equal(t, "module example.com/app\n\ngo 1.26\n", string(text))
		})
	}
}

// generator takes the place of the go command: as a generator it says on file 4 that it runs, and writes when file 5
// ends.
const generator = `#!/bin/sh
test "$1" = generate || exit 0
echo started >&4
read -r line <&5
mkdir -p ent/late
echo 'package late' >ent/late/late.go
`

// Where only authgraph is killed, the go command that it had started goes on and writes. The next run waits for it to
// end, and so does the one after a run that was killed while it waited.
func TestInstallThatIsKilledTwiceIsUndoneWhenItsGeneratorHasEnded(t *testing.T) {
	t.Parallel()
	program := installed(t)
	folder, cache := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755))
	}
	const module = "module example.com/app\n\ngo 1.26\n"
	write("go.mod", module)
	write("bin/go", generator)
	var files []*os.File
	for range 2 {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		files = append(files, r, w)
	}
	says, said, wait, end := files[0], files[1], files[2], files[3]
	none, err := os.Open(os.DevNull)
	require.NoError(t, err)
	run := func(until, db string) (*running, <-chan string) {
		r := start(t, program, "", "add", "schema", "auth", "--db", db)
		r.Dir = folder
		r.Env = append(r.Env, "TMPDIR="+t.TempDir(), "XDG_CACHE_HOME="+cache,
			"PATH="+filepath.Join(folder, "bin")+":"+os.Getenv("PATH"))
		r.ExtraFiles = []*os.File{none, said, wait} // 3 is what a run gives to what it starts
		seen := make(chan string, 1)
		r.Stderr = &watch{&r.stderr, regexp.MustCompile(until + `|authgraph: .*`), seen}
		require.NoError(t, r.Start())
		return r, seen
	}
	kill := func(r *running) {
		require.NoError(t, r.Process.Kill())
		require.Error(t, r.Wait())
	}
	const waits = "waiting for another authgraph in this folder, or for a go command that a killed one had started"
	first, _ := run("$^", "mysql")
	_, err = says.Read(make([]byte, 1))
	require.NoError(t, err)
	kill(first)
	second, seen := run(waits+"|go generate", "mysql")
	assert.Equal(t, waits, <-seen)
	kill(second)
	// It undoes, and then stops at what it was asked for.
	write("vendor/modules.txt", "")
	third, seen := run(waits, "mariadb")
	assert.Equal(t, waits, <-seen)
	require.NoError(t, end.Close())
	require.Error(t, third.Wait())
	assert.Contains(t, third.stderr.String(), "a run that was killed had left changes behind: they were undone")
	assert.Contains(t, third.stderr.String(), "authgraph: the module keeps its requirements in vendor/")
	require.NoError(t, said.Close())
	_, err = io.ReadAll(says) // until nobody holds the other end
	require.NoError(t, err)

	for _, name := range []string{".authgraph", "vendor", "bin"} {
		require.NoError(t, os.RemoveAll(filepath.Join(folder, name)))
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "%v", entries)
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	require.NoError(t, err)
	assert.Equal(t, module, string(text))
	for _, f := range []*os.File{says, wait, none} {
		require.NoError(t, f.Close())
	}
}
