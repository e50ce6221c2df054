package migrate

import (
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// The errors that a caller may branch on. Except for a [StmtError], nothing was executed. Their methods Found and Fix
// are the two parts of their text: what is wrong, and what to do.
type (
	// ChecksumError is a directory that does not match its atlas.sum. File is the first file that differs, empty if
	// atlas.sum itself is wrong. Reason says what was done to it.
	ChecksumError = directory.ChecksumError
	// HistoryError is a directory that does not continue the history of the database. Reason says how they disagree,
	// File which file is at fault.
	HistoryError = history.Error
	// DirtyError is a database that holds tables but no history. Table is one of them.
	DirtyError = history.DirtyError
	// TakenError is a database in which something has a name that a pending file makes. File is that file.
	TakenError = history.TakenError
	// LockError is another Apply that did not end in time. Connection is the id of the server's connection that holds
	// the lock, 0 if it is not known.
	LockError = history.LockError
	// StmtError is a statement that the database refused, or whose outcome is not known. File, Line and Stmt say which
	// one it is, Kept how many statements of the file stay applied, and Err what the database answered. It has no Fix.
	StmtError = directory.StmtError
)
