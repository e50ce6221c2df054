package planner

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"

	"github.com/authgraph/authgraph/internal/directory"
)

// ReplayError is a statement that failed in a dev database, which is emptied afterwards: nothing of it stays.
type ReplayError struct {
	// Path is that of the migration directory, as in [directory.Error]; empty for a file that is in none.
	Path string
	// Stmt is the statement. It keeps none of those before it.
	Stmt *directory.StmtError

	refused bool
}

// Refused is the error of statement i of a file that failed with err in a dev database.
func Refused(ctx context.Context, file *directory.File, i int, err error) *ReplayError {
	var server *mysql.MySQLError
	var lite *sqlite.Error
	return &ReplayError{
		Stmt:    file.Error(i, 0, err),
		refused: ctx.Err() == nil && (errors.As(err, &server) || errors.As(err, &lite)),
	}
}

// ReplayOf is err with the directory that was replayed.
func ReplayOf(dir directory.Dir, err error) error {
	var replay *ReplayError
	if errors.As(err, &replay) {
		replay.Path = directory.PathOf(dir)
		return err
	}
	return fmt.Errorf("replay the directory: %w", err)
}

// Found says which statement failed, and what the database answered.
func (e *ReplayError) Found() string {
	s, doing := e.Stmt, ""
	if e.Path != "" {
		doing = "replay the directory: "
	}
	return fmt.Sprintf("%s%s:%d: statement %d of %d failed: %v", doing, s.File, s.Line, s.Index, s.Total, s.Err)
}

// Fix says what to do; it is empty if the file is not at fault or is in no directory.
func (e *ReplayError) Fix() string {
	if e.Path == "" || !e.refused {
		return ""
	}
	return "correct the file, then write the checksums anew"
}

func (e *ReplayError) Error() string {
	if e.Fix() == "" {
		return e.Found()
	}
	return e.Found() + ": " + e.Fix()
}

func (e *ReplayError) Unwrap() error { return e.Stmt }
