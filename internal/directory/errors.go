package directory

import (
	"bufio"
	"errors"
	"fmt"

	atlas "ariga.io/atlas/sql/migrate"
)

// NameError is a name that cannot be part of a migration file's name.
type NameError struct {
	Name   string
	Reason string
}

// Found says what is wrong with the name.
func (e *NameError) Found() string {
	if e.Name == "" {
		return "the name of a migration " + e.Reason
	}
	return fmt.Sprintf("the name of a migration %s: %q", e.Reason, e.Name)
}

// Fix says what to do.
func (e *NameError) Fix() string { return "choose one such as add_phone" }

func (e *NameError) Error() string { return e.Found() + ": " + e.Fix() }

// Problem is what is wrong with a directory.
type Problem string

// The problems whose remedy a program can name.
const (
	// ProblemSameVersion is two files of one version, of which a history could hold only one.
	ProblemSameVersion Problem = "same version"
	// ProblemRewrite is a directory of another tool whose statements are to be written anew.
	ProblemRewrite Problem = "of another tool, to be written anew"
	// ProblemEmpty is a folder that holds neither a migration nor an atlas.sum.
	ProblemEmpty Problem = "empty"
)

// Error is a migration directory that cannot be used.
type Error struct {
	// Path is the directory's path, or another name if it is in no folder.
	Path string
	// Problem is empty where Err and Fix say all.
	Problem Problem
	// Err says what is wrong.
	Err error

	fix string
}

// Found says what is wrong, and where.
func (e *Error) Found() string { return fmt.Sprintf("migration directory %s: %v", e.Path, e.Err) }

// Fix says what to do; it is empty if Err says all.
func (e *Error) Fix() string { return e.fix }

func (e *Error) Error() string {
	if e.fix == "" {
		return e.Found()
	}
	return e.Found() + ": " + e.fix
}

func (e *Error) Unwrap() error { return e.Err }

// Wrap is err as an [*Error] about the directory; nil if err is nil.
func Wrap(dir Dir, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Path: PathOf(dir), Err: err}
}

// ChecksumError is a directory whose files are not those its atlas.sum was made for.
type ChecksumError struct {
	// Path is the directory's path, or another name if it is in no folder.
	Path string
	// File is the first file that differs; empty if atlas.sum itself is wrong.
	File string
	// Reason is "added", "edited", "removed" or LineEnds for a file. For atlas.sum it is what is wrong with it: "is
	// missing", "is empty", "is not in Atlas's format", "contradicts itself, as after a merge" or "lists … twice".
	Reason string
}

// LineEnds is the Reason of a [ChecksumError] for files that differ in their line ends alone: git has converted them.
const LineEnds = "stored with other line ends"

// Found says which file differs and how, and in which directory if Path is set.
func (e *ChecksumError) Found() string {
	where, what := "", "atlas.sum "+e.Reason
	if e.Path != "" {
		where = "migration directory " + e.Path + ": "
	}
	if e.File != "" {
		what = fmt.Sprintf("atlas.sum does not match: %s was %s", e.File, e.Reason)
	}
	return where + what
}

// Fix says what to do.
func (e *ChecksumError) Fix() string {
	if e.Reason == LineEnds {
		return "add the lines *.sql -text and atlas.sum -text to .gitattributes, then check the files out again"
	}
	if e.File == "" {
		return "restore it, or write the checksums anew"
	}
	return "undo the change, or write the checksums anew to accept it"
}

func (e *ChecksumError) Error() string { return e.Found() + ": " + e.Fix() }

func checksumError(dir Dir, err error) error {
	var sum *atlas.ChecksumError
	var own *ChecksumError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		own.Path = PathOf(dir)
		return own
	case errors.As(err, &sum) && convertedOnly(dir):
		return &ChecksumError{Path: PathOf(dir), File: sum.File, Reason: LineEnds}
	case errors.As(err, &sum):
		return &ChecksumError{Path: PathOf(dir), File: sum.File, Reason: sum.Reason.String()}
	case errors.Is(err, atlas.ErrChecksumNotFound):
		return &ChecksumError{Path: PathOf(dir), Reason: "is missing"}
	case errors.Is(err, atlas.ErrChecksumMismatch):
		return &ChecksumError{Path: PathOf(dir), Reason: "contradicts itself, as after a merge"}
	case errors.Is(err, atlas.ErrChecksumFormat), errors.Is(err, bufio.ErrTooLong):
		return &ChecksumError{Path: PathOf(dir), Reason: "is not in Atlas's format"}
	default:
		return Wrap(dir, err)
	}
}

// StmtError is a statement the database refused, or whose outcome is not known.
type StmtError struct {
	File string
	// Line is the line of the file at which the statement begins.
	Line int
	// Index is the statement's number in the file, from 1; Total counts them.
	Index, Total int
	Stmt         string
	// Kept is how many statements of the file stay applied: on MySQL those before this one, on SQLite none.
	Kept int
	// Err is the database's answer. Its text holds no value of a row; the driver's error, to which errors.As leads,
	// may.
	Err error
}

func (e *StmtError) Error() string {
	return fmt.Sprintf("%s:%d: statement %d of %d failed, %d stay applied: %v",
		e.File, e.Line, e.Index, e.Total, e.Kept, e.Err)
}

func (e *StmtError) Unwrap() error { return e.Err }
