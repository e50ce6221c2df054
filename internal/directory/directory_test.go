package directory_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

func TestEmbeddedDirectoriesMatchTheirChecksums(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{dialect.MySQL: "../../migrate", dialect.SQLite: "../../migrate/sqlite"} {
		dir := dirtest.EmbeddedDir(t, name)
		require.NoError(t, directory.Validate(dir))
		require.NoError(t, directory.Validate(dirtest.Open(t, path)))
		embedded, err := dir.Checksum()
		require.NoError(t, err)
		onDisk, err := dirtest.Open(t, path).Checksum()
		require.NoError(t, err)
		assert.Equal(t, onDisk.Sum(), embedded.Sum())
	}
	_, err := migrate.Embedded(dialect.Postgres)
	require.ErrorContains(t, err, "postgres")
}

func TestNamesThatAreNoPartOfAFileNameAreRefused(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, dirtest.Three)
	dir := dirtest.Open(t, path)
	dev := dirtest.Scratch(t, mysqltest.SQLite(t))
	// The name comes first: the directory is wrong, too.
	dirtest.Put(t, path, "20240103000000_c.sql", "-- edited")
	before := listing(t, path)
	for _, name := range []string{
		"", " ", "../x", "a/b", `a\b`, "a b", "add phone", ".", "..", "x.sql", "größe", "a\x00", "a\n",
		strings.Repeat("x", 300),
	} {
		var refused *directory.NameError
		_, err := directory.New(dir, name)
		require.ErrorAs(t, err, &refused, "%q", name)
		assert.Equal(t, name, refused.Name)
		_, err = planner.Diff(t.Context(), dev, dir, planner.SQLFile("../../ent/schema.sqlite.sql"), name)
		require.ErrorAs(t, err, &refused, "%q", name)
		require.ErrorAs(t, directory.CheckName(name), &refused, "%q", name)
	}
	assert.Equal(t, before, listing(t, path))
	require.NoError(t, directory.CheckName(strings.Repeat("x", 100)))
	require.NoError(t, directory.Hash(dir))
	_, err := directory.New(dir, strings.Repeat("x", 100))
	require.NoError(t, err)
}

// listing is what a folder holds, and the folders in it.
func listing(t *testing.T, path string) dirtest.Files {
	t.Helper()
	all := dirtest.Files{}
	require.NoError(t, filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(at)
		all[strings.TrimPrefix(at, path+string(filepath.Separator))] = string(b)
		return err
	}))
	return all
}

func TestVersionsIncrease(t *testing.T) {
	t.Parallel()
	t.Run("within a second", func(t *testing.T) {
		t.Parallel()
		dir := dirtest.Open(t, t.TempDir())
		last := ""
		for range 5 {
			name, err := directory.New(dir, "x")
			require.NoError(t, err)
			assert.Greater(t, name, last)
			last = name
		}
		require.NoError(t, directory.Validate(dir))
	})
	t.Run("from a version in the future", func(t *testing.T) {
		t.Parallel()
		dir := dirtest.New(t, dirtest.Files{"29991231235959_x.sql": ""})
		name, err := directory.New(dir, "x")
		require.NoError(t, err)
		assert.Equal(t, "30000101000000_x.sql", name)
	})
	t.Run("from the clock in UTC", func(t *testing.T) {
		t.Parallel()
		name, err := directory.New(dirtest.New(t, dirtest.Three), "x")
		require.NoError(t, err)
		at, err := time.Parse("20060102150405_x.sql", name)
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), at, time.Minute)
	})
}

func TestNewKeepsToADirectoryItCanTrust(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, dirtest.Three)
	dirtest.Put(t, path, "20240102000000_b.sql", "-- edited")
	before := listing(t, path)
	var changed *migrate.ChecksumError
	_, err := directory.New(dirtest.Open(t, path), "x")
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, before, listing(t, path))
}

func TestDirectoryThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	dirtest.Put(t, filepath.Dir(file), "file", "")
	for _, path := range []string{file, file + "s", filepath.Join(file, "x")} {
		var refused *directory.Error
		_, err := directory.Open(path)
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, path, refused.Path)
	}
}

func TestDirectoryThatCannotBeWrittenIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	t.Run("checksums", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir()
		dir := dirtest.Open(t, path)
		// Root may write to any file, but nobody to a folder; without files there is nothing to check yet.
		require.NoError(t, os.Symlink(filepath.Join(path, "nowhere", "atlas.sum"), filepath.Join(path, "atlas.sum")))
		var refused *directory.Error
		_, err := directory.New(dir, "x")
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, path, refused.Path)
		left, err := filepath.Glob(filepath.Join(path, "*.sql"))
		require.NoError(t, err)
		assert.Empty(t, left)
	})
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir()
		dir := dirtest.Open(t, path)
		require.NoError(t, os.Remove(path))
		dirtest.Put(t, filepath.Dir(path), filepath.Base(path), "a file")
		var refused *directory.Error
		_, err := directory.New(dir, "x")
		require.ErrorAs(t, err, &refused)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "a file", string(b))
	})
}

func FuzzChecksumsNeverPanic(f *testing.F) {
	path := dirtest.Folder(f, dirtest.Three)
	sum, err := os.ReadFile(filepath.Join(path, "atlas.sum"))
	require.NoError(f, err)
	lines := strings.SplitAfter(string(sum), "\n")
	f.Add(sum)
	f.Add([]byte(nil))
	f.Add(sum[:len(sum)/2])
	f.Add(sum[:60])
	f.Add([]byte(strings.Repeat(string(sum), 2)))
	f.Add([]byte(lines[0]))
	f.Add([]byte(lines[0] + lines[1] + lines[1] + lines[2] + lines[3]))
	f.Add([]byte(strings.Join(lines[1:], "")))
	f.Add([]byte("\x00\xff\xfe h1:h1:\n\n\n"))
	f.Add([]byte("<<<<<<< HEAD\n" + string(sum)))
	f.Add([]byte("h1:" + strings.Repeat("x", 100_000)))
	f.Add([]byte(strings.ReplaceAll(string(sum), "\n", "\r\n")))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := dirtest.Folder(t, dirtest.Three)
		dirtest.Put(t, path, "atlas.sum", string(content))
		err := directory.Validate(dirtest.Open(t, path))
		if string(content) == string(sum) {
			require.NoError(t, err)
		} else if err != nil {
			var refused *migrate.ChecksumError
			require.ErrorAs(t, err, &refused)
		}
	})
}

// The total on the first line is right here, so that only the comparison with the files can tell.
// To accept them by new checksums, as after an edit, would leave the database with another history.
func TestFilesWithOtherLineEndsAreNamedAsThat(t *testing.T) {
	t.Parallel()
	files := dirtest.Embedded(t, dialect.MySQL)
	path := dirtest.Folder(t, files)
	names, err := os.ReadDir(path)
	require.NoError(t, err)
	for _, entry := range names { // atlas.sum, too
		text, err := os.ReadFile(filepath.Join(path, entry.Name()))
		require.NoError(t, err)
		dirtest.Put(t, path, entry.Name(), strings.ReplaceAll(string(text), "\n", "\r\n"))
	}
	err = directory.Validate(dirtest.Open(t, path))
	var sum *directory.ChecksumError
	require.ErrorAs(t, err, &sum)
	assert.Equal(t, directory.LineEnds, sum.Reason)
	assert.ErrorContains(t, err, "*.sql -text and atlas.sum -text to .gitattributes")
	dirtest.Put(t, path, files.Names()[0], "SELECT 1;\r\n")
	require.ErrorAs(t, directory.Validate(dirtest.Open(t, path)), &sum)
	assert.Equal(t, "edited", sum.Reason)
}

func TestChecksumsThatListAFileTwiceAreRefused(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, dirtest.Three)
	twice := dirtest.Open(t, dirtest.Folder(t, dirtest.Three))
	sum, err := twice.Checksum()
	require.NoError(t, err)
	text, err := append(sum, sum...).MarshalText()
	require.NoError(t, err)
	dirtest.Put(t, path, "atlas.sum", string(text))
	var refused *migrate.ChecksumError
	require.ErrorAs(t, directory.Validate(dirtest.Open(t, path)), &refused)
	assert.Equal(t, migrate.ChecksumError{Path: path, Reason: "lists 20240101000000_a.sql twice"}, *refused)
}

func TestTwoFilesWithOneVersionAreRefused(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);", "1_b.sql": "CREATE TABLE b (id int);"})
	var err *directory.Error
	require.ErrorAs(t, directory.Validate(dir), &err)
	assert.ErrorContains(t, err, "1_a.sql and 1_b.sql")
}

func TestDirectoryInMemoryIsCalledByItsName(t *testing.T) {
	t.Parallel()
	embedded := dirtest.EmbeddedDir(t, dialect.MySQL)
	named := &atlas.MemDir{}
	named.SetPath("main:migrate")
	for name, dir := range map[string]directory.Dir{
		"embedded:mysql": embedded, "main:migrate": named, "in memory": &atlas.MemDir{},
	} {
		require.NoError(t, dir.WriteFile("1_a.sql", nil))
		require.NoError(t, dir.WriteFile("1_b.sql", nil))
		require.NoError(t, directory.Hash(dir))
		require.ErrorContains(t, directory.Validate(dir), "migration directory "+name+": 1_a.sql and 1_b.sql")
	}
}

func TestFileSystemIsADirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{"README.md": {Data: []byte("# migrations")}, "more/4_d.sql": {Data: []byte("nonsense")}}
	for name, text := range dirtest.Three {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	sum, err := dirtest.New(t, dirtest.Three).Checksum()
	require.NoError(t, err)
	text, err := sum.MarshalText()
	require.NoError(t, err)
	fsys[atlas.HashFileName] = &fstest.MapFile{Data: text}

	dir, err := directory.Of(fsys)
	require.NoError(t, err)
	require.NoError(t, directory.Validate(dir))
	files, err := dir.Files()
	require.NoError(t, err)
	assert.Len(t, files, len(dirtest.Three))
	assert.Len(t, dirtest.Apply(t, mysqltest.SQLite(t), fsys).Applied, len(dirtest.Three))

	_, err = directory.New(dir, "x")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, directory.Hash(dir), errors.ErrUnsupported)
	assert.Len(t, fsys, len(dirtest.Three)+3)
	again, err := directory.Of(dir)
	require.NoError(t, err)
	assert.Same(t, dir, again)
}

func TestFileSystemIsRefusedAsAFolderIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nowhere")
	var missing *directory.Error
	_, err := directory.Of(os.DirFS(path))
	require.ErrorAs(t, err, &missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Equal(t, path, missing.Path)
	_, err = migrate.Apply(t.Context(), mysqltest.SQLite(t), migrate.ApplyOptions{Dir: os.DirFS(path)})
	require.ErrorAs(t, err, &missing)

	for name, tool := range foreign {
		path := plain(t, tool.content)
		_, err := migrate.Apply(t.Context(), mysqltest.SQLite(t), migrate.ApplyOptions{Dir: os.DirFS(path)})
		var refused *directory.Error
		require.ErrorAs(t, err, &refused, name)
		assert.ErrorContains(t, err, tool.refusal, name)
	}
}
