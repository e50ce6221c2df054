// Package directory reads and writes migration directories: versioned SQL files and atlas.sum, in the format of Atlas
// (https://atlasgo.io/concepts/migration-directory).
//
// It splits files into statements and checks what stands in the folder. It opens no database.
package directory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

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

// Of is the migration directory that the root of fsys is. Its files are read now, and it cannot be written to, unless
// fsys is a [Dir] already.
func Of(fsys fs.FS) (Dir, error) {
	if dir, ok := fsys.(Dir); ok {
		return dir, nil
	}
	dir := &readOnly{fsys: fsys}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, &Error{Path: Path(dir), Err: err}
	}
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" && e.Name() != atlas.HashFileName {
			continue
		}
		b, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, &Error{Path: Path(dir), Err: err}
		}
		if err := dir.MemDir.WriteFile(e.Name(), b); err != nil {
			return nil, &Error{Path: Path(dir), Err: err}
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

// New adds an empty migration file for hand-written SQL to the directory,
// updates its checksums and returns the file's name.
func New(dir Dir, name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if err := ValidateNew(dir); err != nil {
		return "", err
	}
	file, err := FileName(dir, name)
	if err != nil {
		return "", err
	}
	if err := Write(dir, file, nil); err != nil {
		return "", err
	}
	return file, nil
}

// Hash writes the checksums of the directory anew. It is how an edit by hand
// is declared intended; a file that was applied anywhere must not be edited. A
// directory of another tool is a [*Error].
func Hash(dir Dir) error {
	if err := NotForeign(dir); err != nil {
		return err
	}
	if err := notBegun(dir); err != nil {
		return err
	}
	sum, err := dir.Checksum()
	if err != nil {
		return Wrap(dir, err)
	}
	return Wrap(dir, atlas.WriteSumFile(dir, sum))
}

// Validate holds the files of the directory against its checksums. The error
// is a [*ChecksumError] where they differ, and a [*Error] where two files
// have one version, of which a history could hold only one, where the directory
// is another tool's (goose, dbmate, golang-migrate, sql-migrate, tern, Flyway,
// Liquibase, Prisma, Drizzle and others), and where it has neither a migration
// nor an atlas.sum.
func Validate(dir Dir) error {
	if err := ValidateNew(dir); err != nil {
		return err
	}
	return notBegun(dir)
}

// ValidateNew is [Validate] for a directory that may be new.
func ValidateNew(dir Dir) error {
	if err := NotForeign(dir); err != nil {
		return err
	}
	if err := checkListing(dir); err != nil {
		return checksumError(dir, err)
	}
	if err := atlas.Validate(dir); err != nil {
		return checksumError(dir, err)
	}
	files, err := dir.Files()
	if err != nil {
		return Wrap(dir, err)
	}
	seen := make(map[string]string, len(files))
	for _, f := range files {
		if other, ok := seen[f.Version()]; ok {
			return &Error{
				Path: Path(dir), Problem: ProblemSameVersion,
				Err: fmt.Errorf("%s and %s have the same version", other, f.Name()),
				fix: "rename one, then write the checksums anew",
			}
		}
		seen[f.Version()] = f.Name()
	}
	return nil
}

// checkListing refuses an atlas.sum that lists a file twice, where Atlas's
// comparison would run past its end.
func checkListing(dir Dir) (err error) {
	f, err := dir.Open(atlas.HashFileName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	var sum atlas.HashFile
	if err := sum.UnmarshalText(text); err != nil {
		return err
	}
	listed := make(map[string]bool, len(sum))
	for _, file := range sum {
		if listed[file.N] {
			return &ChecksumError{Reason: "lists " + file.N + " twice"}
		}
		listed[file.N] = true
	}
	return nil
}

// FileName is the name of the next file, for a name that was checked. Its
// version is the time in UTC, unless the directory already has that version or a
// later one: a file sorted before one that is applied would be out of order.
func FileName(dir Dir, name string) (string, error) {
	const layout = "20060102150405"
	at := time.Now().UTC()
	files, err := dir.Files()
	if err != nil {
		return "", Wrap(dir, err)
	}
	if n := len(files); n > 0 {
		if last, err := time.Parse(layout, files[n-1].Version()); err == nil && !at.Truncate(time.Second).After(last) {
			at = last.Add(time.Second)
		}
	}
	return at.Format(layout) + "_" + name + ".sql", nil
}

// CheckName reports whether [New] takes the name: a file's name has to
// be portable and stay inside its directory. The error is a [*NameError].
func CheckName(name string) error {
	bad := func(r rune) bool {
		return r != '_' && r != '-' && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') && !('0' <= r && r <= '9')
	}
	switch {
	case name == "":
		return &NameError{Reason: "is empty"}
	case utf8.RuneCountInString(name) > 100:
		return &NameError{Name: name, Reason: "is longer than 100 characters"}
	case strings.ContainsFunc(name, bad):
		return &NameError{Name: name, Reason: "may hold letters, digits, _ and - only"}
	}
	return nil
}

// Write adds a file and updates the checksums, both or neither.
func Write(dir Dir, name string, content []byte) error {
	if err := dir.WriteFile(name, content); err != nil {
		return Wrap(dir, err)
	}
	if err := Hash(dir); err != nil {
		if local, ok := dir.(*atlas.LocalDir); ok {
			_ = os.Remove(filepath.Join(local.Path(), name)) // the first error is the one to report
		}
		return err
	}
	return nil
}

// Path is where the directory lies, for messages.
func Path(dir Dir) string {
	if named, ok := dir.(interface{ Path() string }); ok && named.Path() != "" {
		return named.Path()
	}
	return "in memory"
}
