// Package directory reads and writes migration directories: versioned SQL files and their checksums in atlas.sum, in
// the format of Atlas (https://atlasgo.io/concepts/migration-directory). It splits files into statements and refuses
// the directories of other tools.
//
// It opens no database and plans nothing.
package directory

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"reflect"

	atlas "ariga.io/atlas/sql/migrate"
)

// Dir is a migration directory: versioned SQL files and their checksums.
type Dir = atlas.Dir

// Open opens the migration directory at path, which must exist and be readable.
func Open(path string) (Dir, error) {
	if _, err := os.ReadDir(path); err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	dir, err := atlas.NewLocalDir(path)
	if err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	return dir, nil
}

// Of is the migration directory at the root of fsys. Its files are read now, and writing to it is
// [errors.ErrUnsupported]. If fsys is a [Dir] already, Of returns it as it is.
func Of(fsys fs.FS) (Dir, error) {
	if dir, ok := fsys.(Dir); ok {
		return dir, nil
	}
	dir := &readOnly{fsys: fsys}
	if folder := reflect.ValueOf(fsys); folder.Kind() == reflect.String { // os.DirFS
		dir.SetPath(folder.String())
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, &Error{Path: PathOf(dir), Err: err}
	}
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" && e.Name() != atlas.HashFileName {
			continue
		}
		b, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, &Error{Path: PathOf(dir), Err: err}
		}
		if err := dir.MemDir.WriteFile(e.Name(), b); err != nil {
			return nil, &Error{Path: PathOf(dir), Err: err}
		}
	}
	return dir, nil
}

// readOnly is a directory whose files were read from a file system.
type readOnly struct {
	atlas.MemDir
	fsys fs.FS
}

// Open opens a file of the file system, which may have more files than Atlas reads.
func (d *readOnly) Open(name string) (fs.File, error) { return d.fsys.Open(name) }

func (d *readOnly) WriteFile(name string, _ []byte) error {
	return &fs.PathError{Op: "write", Path: name, Err: errors.ErrUnsupported}
}

// InMemory is what messages call a directory without a path.
const InMemory = "in memory"

// PathOf is what messages call the directory: its path, or what it is.
func PathOf(dir Dir) string {
	if named, ok := dir.(interface{ Path() string }); ok && named.Path() != "" {
		return named.Path()
	}
	return InMemory
}
