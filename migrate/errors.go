package migrate

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// ErrNoChanges is returned by [Diff] where the directory already leads to the
// desired state.
var ErrNoChanges = errors.New("the migration directory is up to date with the schema")

// NameError is a name that cannot be part of a migration file's name.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string {
	if e.Name == "" {
		return "the name of a migration " + e.Reason
	}
	return fmt.Sprintf("the name of a migration %s: %q", e.Reason, e.Name)
}

// DirError is a migration directory that cannot be read or written.
type DirError struct {
	Path string
	Err  error
}

func (e *DirError) Error() string { return fmt.Sprintf("migration directory %s: %v", e.Path, e.Err) }
func (e *DirError) Unwrap() error { return e.Err }

// ChecksumError is a directory whose files are not those its atlas.sum was
// made for.
type ChecksumError struct {
	// File is the first file that differs; empty if there is no atlas.sum.
	File string
	// Reason is added, edited, removed, or what is wrong with atlas.sum.
	Reason string
}

func (e *ChecksumError) Error() string {
	const hint = "undo the change, or accept it with: authgraph migrate hash (migrate.Hash)"
	if e.File == "" {
		return fmt.Sprintf("atlas.sum %s: %s", e.Reason, hint)
	}
	return fmt.Sprintf("atlas.sum does not match: %s was %s: %s", e.File, e.Reason, hint)
}

func checksumError(dir Dir, err error) error {
	var sum *atlas.ChecksumError
	var own *ChecksumError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &sum):
		return &ChecksumError{File: sum.File, Reason: sum.Reason.String()}
	case errors.Is(err, atlas.ErrChecksumNotFound):
		return &ChecksumError{Reason: "is missing"}
	case errors.Is(err, atlas.ErrChecksumMismatch):
		return &ChecksumError{Reason: "contradicts itself, as after a merge"}
	case errors.Is(err, atlas.ErrChecksumFormat), errors.Is(err, bufio.ErrTooLong):
		return &ChecksumError{Reason: "is not in Atlas's format"}
	default:
		return dirError(dir, err)
	}
}

// HistoryReason is how a directory and the history of a database disagree.
type HistoryReason string

// The ways in which a directory and a history disagree.
const (
	// HistoryChanged: a file was edited after it was applied.
	HistoryChanged HistoryReason = "changed"
	// HistoryMissing: a file that was applied is gone.
	HistoryMissing HistoryReason = "missing"
	// HistoryForeign: no file that was applied is in the directory; File is the
	// newest of them.
	HistoryForeign HistoryReason = "of another directory"
	// HistoryOutOfOrder: a file was added before one that is applied.
	HistoryOutOfOrder HistoryReason = "out of order"
	// HistoryAppliedPartEdited: of a half-applied file, a statement that ran
	// was edited.
	HistoryAppliedPartEdited HistoryReason = "applied part edited"
	// HistoryPendingPartEdited: of a half-applied file, only statements that
	// have not run were edited. [ApplyOptions.AcceptEdit] goes on with it.
	HistoryPendingPartEdited HistoryReason = "pending part edited"
)

// HistoryError is a directory that does not continue the history of the
// database. Nothing was executed.
type HistoryError struct {
	Reason HistoryReason
	// File is the first file at fault.
	File string
	// Applied and Total count the statements of a half-applied file.
	Applied, Total int
}

func (e *HistoryError) Error() string {
	switch e.Reason {
	case HistoryChanged:
		return fmt.Sprintf("%s was edited after it was applied: restore it, and make the change in a new migration", e.File)
	case HistoryForeign:
		return fmt.Sprintf("the history in this database (table %s, up to %s) is that of another directory, of which no file is in this one: name that directory with --dir (Dir), or use another database", RevisionsTable, e.File)
	case HistoryMissing:
		return fmt.Sprintf("%s was applied to this database but is not in the directory: restore it", e.File)
	case HistoryOutOfOrder:
		return fmt.Sprintf("%s comes before a migration that is already applied: rename it to a new version, then run: authgraph migrate hash (migrate.Hash)", e.File)
	case HistoryAppliedPartEdited:
		return fmt.Sprintf("%s is half applied (%d of %d statements) and a statement that ran was edited: restore the applied statements; only those after them may change", e.File, e.Applied, e.Total)
	default:
		return fmt.Sprintf("%s was edited after %d of its %d statements were applied: if the edit repairs what did not run, go on with: authgraph migrate apply --accept-edit (AcceptEdit)", e.File, e.Applied, e.Total)
	}
}

// DirtyError is a database that holds tables but no history.
type DirtyError struct{ Table string }

func (e *DirtyError) Error() string {
	return fmt.Sprintf("the database holds table %q but no migration history: use --allow-dirty (AllowDirty) to add the tables beside it, or --baseline VERSION (Baseline) if that migration's tables are already there; tables that Drizzle made of the ServerCN schema are taken over by authgraph adopt (Adopt)", e.Table)
}

// VersionError is a version that no file of the directory has.
type VersionError struct{ Version string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("no migration has version %q", e.Version)
}

// LockError is another apply that held the lock for longer than the timeout.
type LockError struct {
	// Timeout is how long it was waited for: on a server, whole seconds.
	Timeout time.Duration
	// Connection is the id of the server's connection that holds the lock;
	// 0 if it is not known.
	Connection int64
}

func (e *LockError) Error() string {
	holder := ""
	if e.Connection != 0 {
		holder = fmt.Sprintf(" (connection %d)", e.Connection)
	}
	return fmt.Sprintf("another apply%s is running on this database and did not finish within %s: try again when it has", holder, e.Timeout)
}

// ServerError is a server on which the tables would not be what the migrations say:
// one that is too old, that only answers as MySQL does, or that cannot make tables
// with InnoDB. Nothing was made.
type ServerError = dbserver.Error

// StmtError is a statement the database refused.
type StmtError struct {
	File string
	// Line is the line of the file at which the statement begins.
	Line int
	// Index is the statement's number in the file, from 1; Total counts them.
	Index, Total int
	Stmt         string
	// Kept is how many statements of the file stay applied: on MySQL those
	// before this one, on SQLite none.
	Kept int
	// Err is the database's answer. Its text holds no value of a row; the
	// driver's error, to which errors.As leads, may.
	Err error
}

func (e *StmtError) Error() string {
	return fmt.Sprintf("%s:%d: statement %d of %d failed, %d stay applied: %v", e.File, e.Line, e.Index, e.Total, e.Kept, e.Err)
}

func (e *StmtError) Unwrap() error { return e.Err }

// withValue are the server's errors whose texts hold a value of a row, by their
// numbers (MySQL manual, Server Error Message Reference; MariaDB documentation,
// Error Codes), and what is said instead. What a SIGNAL says stays: whoever wrote
// it decides.
var withValue = map[string]string{
	"1062": "rows are equal in a unique index",
	"1292": "a value is of another type",
	"1300": "a value has characters that its character set has not",
	"1366": "a value is of another type or character set",
	"1411": "a function does not take a value",
	"1525": "a value is of another type",
	"1526": "a value has no partition",
	"1557": "rows would be equal in a unique index",
	"1569": "rows would be equal in a unique index",
	"1586": "rows are equal in a unique index",
	"1690": "a value is out of range",
	"1761": "rows would be equal in a unique index",
	"1762": "rows would be equal in a unique index",
	"1916": "a value is out of range",                            // MariaDB
	"1918": "a value is of another type",                         // MariaDB
	"1977": "a value has characters that the column cannot hold", // MariaDB
	"3854": "a value has characters that the column cannot hold",
}

var (
	// serverError is how the driver begins an error of the server.
	serverError = regexp.MustCompile(`Error (\d+)(?: \(\w{5}\))?: `)
	// afterValue is a text of the server that says behind the value where it is.
	afterValue = regexp.MustCompile(`(?s)^(?:Duplicate entry '.*' for (key '[^']*')|Incorrect .* for (column \S+ at row \d+))$`)
)

// hideValue is the text of an error without the value of a row, which may be an
// address or a hash.
func hideValue(text string) string {
	for _, m := range serverError.FindAllStringSubmatchIndex(text, -1) {
		what, ok := withValue[text[m[2]:m[3]]]
		if !ok || strings.HasPrefix(text[m[1]:], what) {
			continue
		}
		if at := afterValue.FindStringSubmatch(text[m[1]:]); at != nil {
			what += " (" + at[1] + at[2] + ")"
		}
		return text[:m[1]] + what
	}
	return text
}

// withheld is an error whose text has lost a value of a row.
type withheld struct {
	text string
	err  error
}

func (e *withheld) Error() string { return e.text }
func (e *withheld) Unwrap() error { return e.err }

// withoutValue is err with a text that holds no value of a row.
func withoutValue(err error) error {
	if text := hideValue(err.Error()); text != err.Error() {
		return &withheld{text, err}
	}
	return err
}
