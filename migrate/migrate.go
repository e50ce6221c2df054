// Package migrate plans, checks and applies the versioned migrations of the
// auth graph.
//
// A service that owns its database brings it up to date when it starts:
//
//	report, err := migrate.Apply(ctx, os.Getenv("DATABASE_URL"), migrate.ApplyOptions{})
//
// The directory is in Atlas's format and the history is kept in Atlas's table
// atlas_schema_revisions, so the Atlas CLI can take over at any point, and
// back. The migrations for MySQL and MariaDB lie in this folder, those for
// SQLite in sqlite/; both are compiled into the package.
//
// The package does not revert migrations: a change is undone by a further
// migration.
package migrate

import (
	"embed"
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
	"entgo.io/ent/dialect"
)

//go:embed *.sql atlas.sum sqlite/*.sql sqlite/atlas.sum
var embedded embed.FS

// Dir is a migration directory: versioned SQL files and their checksums.
type Dir = atlas.Dir

// Embedded is the directory compiled into this package for a dialect, which
// is dialect.MySQL (for MariaDB too) or dialect.SQLite.
func Embedded(name string) (Dir, error) {
	root := "."
	switch name {
	case dialect.MySQL:
	case dialect.SQLite:
		root = "sqlite"
	default:
		return nil, fmt.Errorf("no migrations for dialect %q", name)
	}
	dir := &atlas.MemDir{}
	dir.SetPath("embedded:" + name)
	entries, err := embedded.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := embedded.ReadFile(path.Join(root, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := dir.WriteFile(e.Name(), b); err != nil {
			return nil, err
		}
	}
	return dir, nil
}

// OpenDir opens the migration directory at path, which must exist and be
// readable.
func OpenDir(path string) (Dir, error) {
	if _, err := os.ReadDir(path); err != nil {
		return nil, &DirError{Path: path, Err: err}
	}
	dir, err := atlas.NewLocalDir(path)
	if err != nil {
		return nil, &DirError{Path: path, Err: err}
	}
	return dir, nil
}

// New adds an empty migration file for hand-written SQL to the directory,
// updates its checksums and returns the file's name.
func New(dir Dir, name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if err := validate(dir); err != nil {
		return "", err
	}
	file, err := fileName(dir, name)
	if err != nil {
		return "", err
	}
	if err := writeFile(dir, file, nil); err != nil {
		return "", err
	}
	return file, nil
}

// Hash writes the checksums of the directory anew. It is how an edit by hand
// is declared intended; a file that was applied anywhere must not be edited. A
// directory of another tool is a [*DirError].
func Hash(dir Dir) error {
	if err := notOurs(dir); err != nil {
		return err
	}
	if err := notBegun(dir); err != nil {
		return err
	}
	sum, err := dir.Checksum()
	if err != nil {
		return dirError(dir, err)
	}
	return dirError(dir, atlas.WriteSumFile(dir, sum))
}

// Validate holds the files of the directory against its checksums. The error
// is a [*ChecksumError] where they differ, and a [*DirError] where two files
// have one version, of which a history could hold only one, where the directory
// is another tool's (goose, dbmate, golang-migrate, sql-migrate, tern, Flyway,
// Liquibase, Prisma, Drizzle and others), and where it has neither a migration
// nor an atlas.sum.
func Validate(dir Dir) error {
	if err := validate(dir); err != nil {
		return err
	}
	return notBegun(dir)
}

// validate is [Validate] for a directory that may be new.
func validate(dir Dir) error {
	if err := notOurs(dir); err != nil {
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
		return dirError(dir, err)
	}
	seen := make(map[string]string, len(files))
	for _, f := range files {
		if other, ok := seen[f.Version()]; ok {
			return dirError(dir, fmt.Errorf("%s and %s have the same version: rename one, then run: authgraph migrate hash (migrate.Hash)", other, f.Name()))
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

// fileName is the name of the next file, for a name that was checked. Its
// version is the time in UTC, unless the directory already has that version or a
// later one: a file sorted before one that is applied would be out of order.
func fileName(dir Dir, name string) (string, error) {
	const layout = "20060102150405"
	at := time.Now().UTC()
	files, err := dir.Files()
	if err != nil {
		return "", dirError(dir, err)
	}
	if n := len(files); n > 0 {
		if last, err := time.Parse(layout, files[n-1].Version()); err == nil && !at.Truncate(time.Second).After(last) {
			at = last.Add(time.Second)
		}
	}
	return at.Format(layout) + "_" + name + ".sql", nil
}

// CheckName reports whether [New] and [Diff] take the name: a file's name has to
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

// writeFile adds a file and updates the checksums, both or neither.
func writeFile(dir Dir, name string, content []byte) error {
	if err := dir.WriteFile(name, content); err != nil {
		return dirError(dir, err)
	}
	if err := Hash(dir); err != nil {
		if local, ok := dir.(*atlas.LocalDir); ok {
			_ = os.Remove(filepath.Join(local.Path(), name)) // the first error is the one to report
		}
		return err
	}
	return nil
}

// dirPath is where the directory lies, for messages.
func dirPath(dir Dir) string {
	if named, ok := dir.(interface{ Path() string }); ok && named.Path() != "" {
		return named.Path()
	}
	return "in memory"
}

func dirError(dir Dir, err error) error {
	if err == nil {
		return nil
	}
	return &DirError{Path: dirPath(dir), Err: err}
}
