// Package dirtest makes migration directories for tests.
package dirtest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// Files are the contents of a directory by name.
type Files map[string]string

// Names are the names of the files, in order.
func (f Files) Names() []string { return slices.Sorted(maps.Keys(f)) }

// With is the files with some of them added or replaced.
func (f Files) With(more Files) Files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// Without is the files but one.
func (f Files) Without(name string) Files {
	rest := maps.Clone(f)
	delete(rest, name)
	return rest
}

// Three are three files of which the second refers to the first.
var Three = Files{
	"20240101000000_a.sql": "CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1), (2);\n",
	"20240102000000_b.sql": "CREATE TABLE b (id int PRIMARY KEY, n int);\nINSERT INTO b SELECT id, id * 10 FROM a;\n",
	"20240103000000_c.sql": "CREATE TABLE c (id int PRIMARY KEY);\n",
}

// Folder writes the files and their checksums to a folder of the test.
func Folder(t testing.TB, content Files) string {
	t.Helper()
	path := t.TempDir()
	for name, text := range content {
		Put(t, path, name, text)
	}
	require.NoError(t, directory.Hash(Open(t, path)))
	return path
}

// Put writes one file and leaves the checksums as they are.
func Put(t testing.TB, path, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte(text), 0o644))
}

// Edit replaces the files of a folder and accepts the change.
func Edit(t testing.TB, path string, content Files) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(path, "*.sql"))
	require.NoError(t, err)
	for _, name := range old {
		require.NoError(t, os.Remove(name))
	}
	for name, text := range content {
		Put(t, path, name, text)
	}
	require.NoError(t, directory.Hash(Open(t, path)))
}

// Open opens the directory at path.
func Open(t testing.TB, path string) directory.Dir {
	t.Helper()
	dir, err := directory.Open(path)
	require.NoError(t, err)
	return dir
}

// New is the files as a directory in a folder of the test.
func New(t testing.TB, content Files) directory.Dir {
	t.Helper()
	return Open(t, Folder(t, content))
}

// EmbeddedDir is the directory that package migrate has for a dialect.
func EmbeddedDir(t testing.TB, dialect string) directory.Dir {
	t.Helper()
	fsys, err := migrate.Embedded(dialect)
	require.NoError(t, err)
	dir, err := directory.Of(fsys)
	require.NoError(t, err)
	return dir
}

// Embedded are the files of that directory.
func Embedded(t testing.TB, dialect string) Files {
	t.Helper()
	all, err := EmbeddedDir(t, dialect).Files()
	require.NoError(t, err)
	content := Files{}
	for _, f := range all {
		content[f.Name()] = string(f.Bytes())
	}
	return content
}

// Apply applies a directory, which has to succeed; nil is the embedded one.
func Apply(t testing.TB, url string, dir fs.FS) *migrate.Report {
	t.Helper()
	report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.NoError(t, err)
	return report
}

// Scratch is a dev database beside url, dropped when the test ends.
func Scratch(t testing.TB, url string) *planner.Dev {
	t.Helper()
	dev, err := planner.Scratch(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Close()) })
	return dev
}

// Definitions are the definitions of the tables of the embedded directory on a fresh database beside url.
func Definitions(t testing.TB, url string) map[string]string {
	t.Helper()
	fresh := mysqltest.Another(t, url)
	Apply(t, fresh, nil)
	return mysqltest.Definitions(t, fresh)
}
