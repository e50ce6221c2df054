package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	atlas "ariga.io/atlas/sql/migrate"
)

// Hash writes the checksums of the directory anew, which accepts an edit by hand. A file that was applied anywhere must
// not be edited. A directory of another tool is an [*Error].
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

// Validate compares the files of the directory with its checksums. The error is a [*ChecksumError] if they differ. It
// is an [*Error] if two files have one version, of which a history could hold only one; if the directory is another
// tool's (goose, dbmate, golang-migrate, sql-migrate, tern, Flyway, Liquibase, Prisma, Drizzle and others); or if it
// has neither a migration nor an atlas.sum.
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
				Path:    PathOf(dir),
				Problem: ProblemSameVersion,
				Err:     fmt.Errorf("%s and %s have the same version", other, f.Name()),
				fix:     "rename one, then write the checksums anew",
			}
		}
		seen[f.Version()] = f.Name()
	}
	return nil
}

// checkListing refuses an atlas.sum that lists a file twice: Atlas's comparison would run past its end.
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
	if len(bytes.TrimSpace(text)) == 0 {
		return &ChecksumError{Reason: "is empty"}
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

// convertedOnly reports whether the directory would match its atlas.sum with the line ends of Unix.
func convertedOnly(dir Dir) bool {
	unix := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }
	mem := &atlas.MemDir{}
	files, err := dir.Files()
	if err != nil {
		return false
	}
	for _, f := range files {
		if err := mem.WriteFile(f.Name(), unix(f.Bytes())); err != nil {
			return false
		}
	}
	sum, err := fs.ReadFile(dir, atlas.HashFileName)
	return err == nil && mem.WriteFile(atlas.HashFileName, unix(sum)) == nil && atlas.Validate(mem) == nil
}

// notBegun is an error for a directory that holds no migration and was not begun, such as one whose name is mistyped.
func notBegun(dir Dir) error {
	files, err := dir.Files()
	if err != nil || len(files) > 0 || holds(dir, atlas.HashFileName) {
		return Wrap(dir, err)
	}
	return &Error{
		Path: PathOf(dir), Problem: ProblemEmpty, Err: errors.New("it holds no migration"),
		fix: "name the folder of the .sql files, or plan a first migration",
	}
}
