package migrate

import (
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// The errors that a caller may branch on.
type (
	// ChecksumError is a directory that does not match its atlas.sum. Nothing was executed. File is the first file that
	// differs, and Reason is "added", "edited" or "removed". If atlas.sum itself is wrong, File is empty, and Reason
	// goes on after "atlas.sum", as in "is missing". Path is that of the directory. The method Found says what is
	// wrong, Fix what to do.
	ChecksumError = directory.ChecksumError
	// HistoryError is a directory that does not continue the history of the database. Nothing was executed now. File is
	// the first file at fault. Reason is of a string type. Compare it with one of
	//   - "changed": File was edited after it was applied,
	//   - "missing": File was applied and is not in the directory,
	//   - "of another directory": no file that was applied is in the directory; File is the newest of them,
	//   - "out of order": File comes before one that is applied,
	//   - "applied part edited": File is half applied, and a statement that ran was edited,
	//   - "pending part edited": File is half applied, and only statements that have not run were edited, which
	//     ApplyOptions.AcceptEdit allows,
	//   - "half undone": File is on its way back, which [Down] has to finish first.
	//
	// In the last three, Applied of Total statements have run. The method Found says what is wrong, Fix what to do.
	HistoryError = history.Error
	// DirtyError is a database that holds tables but no history. Nothing was executed. Table is one of the tables. The
	// method Found says what is wrong, Fix what to do.
	DirtyError = history.DirtyError
	// TakenError is a database in which something has a name that a pending file makes. Nothing was executed. File is
	// that file. The method Names returns the names, and Ours reports whether all that has them looks like tables of
	// this schema. The method Found says what is wrong, Fix what to do.
	TakenError = history.TakenError
	// LockError is another Apply that did not end within Timeout. On a server nothing was executed. On SQLite earlier
	// files may have been applied: the report names them. Connection is the id of the server's connection that holds
	// the lock, 0 if it is not known. The method Found says what is wrong, Fix what to do.
	LockError = history.LockError
	// StmtError is a statement that the database refused, or whose outcome is not known because the connection was lost
	// or ctx ended. File, Line and Stmt say which one it is, and Index of Total counts it in the file. Kept is how many
	// statements of the file stay applied, on SQLite none. Err is what the database answered. There is no Fix.
	StmtError = directory.StmtError
)
