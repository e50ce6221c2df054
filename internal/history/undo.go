package history

import (
	"context"
	"slices"

	atlas "ariga.io/atlas/sql/migrate"
)

// A file that is taken back keeps its row until it is back. Meanwhile the row counts as that of a half-applied file, of
// which an applied statement is no longer what it was: Atlas's tools, and releases of this one that know no way back,
// refuse to go on. The statements of the way back stand in the place of the partial hashes, after a mark.

const (
	// onItsWay is the mark, and onItsWayError what tools show of the row while no statement has failed.
	onItsWay      = "on its way back"
	onItsWayError = "on its way back: authgraph migrate down goes on with it"
)

// Undo is the record of a file of which a way back begins, by statements.
func Undo(r *atlas.Revision, statements []string) *atlas.Revision {
	undo := *r
	undo.PartialHashes = append([]string{onItsWay}, statements...)
	undo.Applied, undo.Total = 1, len(statements)+2
	undo.Error, undo.ErrorStmt = onItsWayError, ""
	return &undo
}

// Undoing reports whether a record is of a file that is on its way back.
func Undoing(r *atlas.Revision) bool {
	return r.Applied < r.Total && len(r.PartialHashes) > 0 && r.PartialHashes[0] == onItsWay
}

// UndoStatements are the statements of the way back, and how many of them ran. The first of all is the mark, which
// counts as one that ran.
func UndoStatements(r *atlas.Revision) (all []string, ran int) { return r.PartialHashes, r.Applied }

// Undone is the record of the way back once one more of its statements ran.
func Undone(r *atlas.Revision) *atlas.Revision {
	next := *r
	next.PartialHashes = slices.Clone(r.PartialHashes)
	next.Applied++
	next.Error, next.ErrorStmt = onItsWayError, ""
	return &next
}

// HalfUndoneError is the [*Error] of a record that is on its way back.
func HalfUndoneError(r *atlas.Revision) *Error {
	return &Error{Reason: HalfUndone, File: FileOf(r), Applied: r.Applied - 1, Total: len(r.PartialHashes) - 1}
}

// AnswerOf is what the database said to the statement at which a way back stopped; empty if nothing.
func AnswerOf(r *atlas.Revision) string {
	if r.Error == onItsWayError {
		return ""
	}
	return r.Error
}

// Delete removes the record of a file that is back, in the transaction that the connection is in. The error is a
// [*RecordError].
func (s Store) Delete(ctx context.Context, version string) error {
	if _, err := s.DB.Conn.ExecContext(ctx, "DELETE FROM "+s.table()+" WHERE version = ?", version); err != nil {
		return &RecordError{s.name(), err}
	}
	return nil
}

// Forget is Delete so that it stays, whatever was set or begun on the connection.
func (s Store) Forget(ctx context.Context, version string) error {
	if err := s.Delete(ctx, version); err != nil {
		return err
	}
	if _, err := s.DB.Conn.ExecContext(ctx, "COMMIT"); err != nil {
		return &RecordError{s.name(), err}
	}
	return nil
}
