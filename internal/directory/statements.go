package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// File is a migration file, split into its statements.
type File struct {
	atlas.File
	Stmts []*atlas.Stmt
}

// Split splits a file the way the database's own client would. drv is the driver of the database.
func Split(drv atlas.Driver, f atlas.File) (*File, error) {
	whole, skipped := f, 0
	// Editors on Windows put a byte order mark first, which no server reads.
	if b, ok := bytes.CutPrefix(f.Bytes(), []byte("\ufeff")); ok {
		skipped = len(f.Bytes()) - len(b)
		f = atlas.NewLocalFile(f.Name(), b)
	}
	// Atlas counts positions from the line after its delimiter directive.
	if delimiter.Match(f.Bytes()) {
		skipped += bytes.IndexByte(f.Bytes(), '\n') + 1
	}
	stmts, err := atlas.FileStmtDecls(drv, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, s := range stmts {
		s.Pos += skipped
	}
	return &File{File: whole, Stmts: stmts}, nil
}

// Sums are Atlas's partial hashes: one a statement, each over all statements up to it.
func (f *File) Sums() []string {
	h := sha256.New()
	out := make([]string, len(f.Stmts))
	for i, s := range f.Stmts {
		h.Write([]byte(s.Text))
		out[i] = "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	return out
}

// Line is the number of the line on which statement i begins.
func (f *File) Line(i int) int {
	return 1 + bytes.Count(f.Bytes()[:min(f.Stmts[i].Pos, len(f.Bytes()))], []byte("\n"))
}

// Error says that statement i failed with err, and that the first kept statements stay applied.
func (f *File) Error(i, kept int, err error) *StmtError {
	return &StmtError{
		File:  f.Name(),
		Line:  f.Line(i),
		Index: i + 1,
		Total: len(f.Stmts),
		Stmt:  f.Stmts[i].Text,
		Kept:  kept,
		Err:   dbserver.WithoutValue(err),
	}
}

var (
	rowsOnly = regexp.MustCompile(
		`(?is)^\s*(INSERT|UPDATE|DELETE|REPLACE|SELECT|WITH|TABLE|VALUES|DO|LOAD\s+(DATA|XML))\b`)
	calls       = regexp.MustCompile(`(?is)^\s*(CALL|EXECUTE|BEGIN\s+NOT\s+ATOMIC)\b`)
	sessionOnly = regexp.MustCompile(
		`(?is)^\s*(SET\s+(SESSION\s|LOCAL\s|@|NAMES\b|CHARACTER\b|CHARSET\b|[a-z_]+\s*:?=)|` +
			`USE\s|((DEALLOCATE|DROP)\s+)?PREPARE\s)`)
	// delimiter is Atlas's directive, which counts on the first line only.
	delimiter = regexp.MustCompile(`\A-- atlas:delimiter\b`)
)

// ChangesRows reports whether a statement changes rows only and can be rolled back. A function, which is all that DO
// calls, cannot commit.
func ChangesRows(stmt string) bool { return rowsOnly.MatchString(stmt) }

// Calls reports whether a statement either changes rows or commits, as what it calls does. Every statement that neither
// changes rows nor calls commits on its own (MySQL manual, 15.3.3).
func Calls(stmt string) bool { return calls.MatchString(stmt) }

// SetsSession reports whether the effect of a statement ends with the connection.
func SetsSession(stmt string) bool { return sessionOnly.MatchString(stmt) }
