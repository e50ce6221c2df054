package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/registry"
)

// Reason is how a directory and the history of a database disagree.
type Reason string

// The ways in which a directory and a history disagree.
const (
	// Changed: a file was edited after it was applied.
	Changed Reason = "changed"
	// Missing: a file that was applied is gone.
	Missing Reason = "missing"
	// Foreign: no file that was applied is in the directory; File is the newest of them.
	Foreign Reason = "of another directory"
	// OutOfOrder: a file was added before one that is applied.
	OutOfOrder Reason = "out of order"
	// AppliedPartEdited: of a half-applied file, a statement that ran was edited.
	AppliedPartEdited Reason = "applied part edited"
	// PendingPartEdited: of a half-applied file, only statements that have not run were edited.
	PendingPartEdited Reason = "pending part edited"
	// HalfUndone: a file is on its way back, and that was cut off.
	HalfUndone Reason = "half undone"
)

// Error is a directory that does not continue the history of the database. Nothing was executed.
type Error struct {
	Reason Reason
	// File is the first file at fault.
	File string
	// Applied and Total count the statements of a half-applied file.
	Applied, Total int
}

// Found says which file is at fault, and how.
func (e *Error) Found() string {
	switch e.Reason {
	case Changed:
		return e.File + " was edited after it was applied"
	case Foreign:
		return fmt.Sprintf("the history in this database (table %s, up to %s) is that of another directory, "+
			"of which no file is in this one", atlasdb.RevisionsTable, e.File)
	case Missing:
		return e.File + " was applied to this database but is not in the directory"
	case OutOfOrder:
		return e.File + " comes before a migration that is already applied"
	case AppliedPartEdited:
		return fmt.Sprintf("%s is half applied (%d of %d statements) and a statement that ran was edited",
			e.File, e.Applied, e.Total)
	case HalfUndone:
		return fmt.Sprintf("%s is half undone: %d of %d statements of its way back ran", e.File, e.Applied, e.Total)
	default:
		return fmt.Sprintf("%s was edited after %d of its %d statements were applied", e.File, e.Applied, e.Total)
	}
}

// Fix says what to do.
func (e *Error) Fix() string {
	switch e.Reason {
	case Changed:
		return "restore it, and make the change in a new migration"
	case Foreign:
		return "name that directory, keep this history in a schema of its own (RevisionsSchema), or use " +
			"another database"
	case Missing:
		return "restore it"
	case OutOfOrder:
		return "rename it to a new version, then write the checksums anew"
	case AppliedPartEdited:
		return "restore the applied statements; only those after them may change"
	case HalfUndone:
		return "finish that first (Down), then apply it again"
	default:
		return "if the edit repairs what did not run, accept it (AcceptEdit)"
	}
}

func (e *Error) Error() string { return e.Found() + ": " + e.Fix() }

// DirtyError is a database that holds tables but no history.
type DirtyError struct {
	Table string
	// Baseline is the version up to which the files make only tables that are there, and after which only such that are
	// not; empty if that is not certain.
	Baseline string
}

// Found names a table that is there.
func (e *DirtyError) Found() string {
	return fmt.Sprintf("the database holds table %q but no migration history", e.Table)
}

// Fix says what to do.
func (e *DirtyError) Fix() string {
	if e.Baseline != "" {
		return "it holds the tables of version " + e.Baseline + " and none of those after it: if they are the same, " +
			"name that version (Baseline)"
	}
	return "allow tables beside it (AllowDirty), name the migration whose tables are already there (Baseline), or " +
		"the schema that its history is in (RevisionsSchema)"
}

func (e *DirtyError) Error() string { return e.Found() + ": " + e.Fix() }

// TakenError is a database in which something has the name of a table or view that a pending file makes: another
// library's table, a view, a sequence. Nothing was executed.
type TakenError struct {
	// File is the first file that cannot run.
	File string
	// Objects are what has the names, in the order of the statements.
	Objects []dbserver.Object
}

// Found says which names are taken, and by what.
func (e *TakenError) Found() string {
	var texts []string
	for _, o := range e.Objects {
		texts = append(texts, o.String())
	}
	return fmt.Sprintf("%s makes what is there already, nothing was executed: %s", e.File, strings.Join(texts, ", "))
}

// Names are the names that are taken.
func (e *TakenError) Names() []string {
	names := make([]string, len(e.Objects))
	for i, o := range e.Objects {
		names[i] = o.Name
	}
	return names
}

// Ours reports whether all that is in the way has the columns of this schema, so that it can be taken over.
func (e *TakenError) Ours() bool {
	for _, o := range e.Objects {
		if !o.IsOurs() {
			return false
		}
	}
	return true
}

// unknown reports whether all that is in the way are tables of other names than this schema's, and of no known library:
// another tool may have made them from the same schema.
func (e *TakenError) unknown() bool {
	return !slices.ContainsFunc(e.Objects, func(o dbserver.Object) bool {
		return o.Kind != dbserver.KindTable || o.Owner() != "" || slices.Contains(registry.Tables(), o.Name)
	})
}

// Versioned is the name of a system-versioned table that is in the way; empty if there is none.
func (e *TakenError) Versioned() string {
	for _, o := range e.Objects {
		if o.Kind == dbserver.KindVersioned {
			return o.Name
		}
	}
	return ""
}

// Fix says what to do.
func (e *TakenError) Fix() string {
	switch versioned := e.Versioned(); {
	case e.unknown():
		return "name the migration if these are its tables (Baseline), use another database, or rename what is there"
	case !e.Ours():
		return "use another database, or rename what is there"
	case versioned != "":
		return "run ALTER TABLE " + dbserver.Quote(versioned) +
			" DROP SYSTEM VERSIONING (this deletes its row history), then adopt the table"
	default:
		return "take it over, or name the migration that made it (Baseline)"
	}
}

func (e *TakenError) Error() string { return e.Found() + ": " + e.Fix() }

// VersionError is a version that no file of the directory has.
type VersionError struct{ Version string }

// Found names the version.
func (e *VersionError) Found() string { return fmt.Sprintf("no migration has version %q", e.Version) }

// Fix says what to do.
func (e *VersionError) Fix() string { return "name one that the status lists (ReadStatus)" }

func (e *VersionError) Error() string { return e.Found() + ": " + e.Fix() }

// HiddenError is an account that may not read the table of the history.
type HiddenError struct {
	Table, Account string
	// on is what the right is given on.
	on string
}

// Found says what cannot be known.
func (e *HiddenError) Found() string {
	return fmt.Sprintf("%s may not read table %s, so it is not known what was applied", e.Account, e.Table)
}

// Fix is the statement that gives the right.
func (e *HiddenError) Fix() string {
	return "GRANT SELECT ON " + e.on + " TO " + dbserver.Grantee(e.Account) + ";"
}

func (e *HiddenError) Error() string { return e.Found() + ": " + e.Fix() }

// SchemaError is a schema for the history of a SQLite database, which has no schemas.
type SchemaError struct{ Schema string }

// Found says what cannot be.
func (e *SchemaError) Found() string {
	return fmt.Sprintf("SQLite has no schemas, so the history cannot be in %q", e.Schema)
}

// Fix says what to do.
func (e *SchemaError) Fix() string {
	return "leave it out (RevisionsSchema); two services keep their histories apart in two files"
}

func (e *SchemaError) Error() string { return e.Found() + ": " + e.Fix() }

// LockError is another writer that held the lock for longer than the timeout.
type LockError struct {
	// Timeout is how long the wait was: on a server, whole seconds.
	Timeout time.Duration
	// Connection is the id of the server's connection that holds the lock; 0 if it is not known.
	Connection int64
}

// Found says who holds the lock, and how long the wait was.
func (e *LockError) Found() string {
	holder := ""
	if e.Connection != 0 {
		holder = fmt.Sprintf(" (connection %d)", e.Connection)
	}
	return fmt.Sprintf("another apply%s is running on this database and did not finish within %s",
		holder, e.Timeout)
}

// Fix says what to do.
func (e *LockError) Fix() string { return "try again when it has" }

func (e *LockError) Error() string { return e.Found() + ": " + e.Fix() }
