package directory

import (
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	atlas "ariga.io/atlas/sql/migrate"
)

// New adds an empty migration file for hand-written SQL to the directory, updates its checksums and returns the file's
// name.
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

// FileName is the name of the next file, for a name that was checked. Its version is the time in UTC, or one second
// after the newest version of the directory if that is later: a file sorted before an applied one would be out of
// order.
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

// CheckName is a [*NameError] if [New] does not take the name: a file's name has to be portable and stay inside its
// directory.
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
