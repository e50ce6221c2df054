package migrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"

	atlas "ariga.io/atlas/sql/migrate"
)

// statements splits a file the way the database's own client would.
func statements(drv atlas.Driver, f atlas.File) ([]*atlas.Stmt, error) {
	skipped := 0
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
	return stmts, nil
}

// sums are Atlas's partial hashes: one a statement, each over all statements
// up to it.
func sums(stmts []*atlas.Stmt) []string {
	h := sha256.New()
	out := make([]string, len(stmts))
	for i, s := range stmts {
		h.Write([]byte(s.Text))
		out[i] = "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	return out
}

// line is the number of the line on which the statement begins.
func line(f atlas.File, s *atlas.Stmt) int {
	return 1 + bytes.Count(f.Bytes()[:min(s.Pos, len(f.Bytes()))], []byte("\n"))
}

func stmtError(f atlas.File, stmts []*atlas.Stmt, i, kept int, err error) *StmtError {
	return &StmtError{
		File:  f.Name(),
		Line:  line(f, stmts[i]),
		Index: i + 1,
		Total: len(stmts),
		Stmt:  stmts[i].Text,
		Kept:  kept,
		Err:   withoutValue(err),
	}
}

var (
	// rowsOnly are statements that change rows and can be rolled back. A
	// function, which is all that DO calls, cannot commit.
	rowsOnly = regexp.MustCompile(`(?is)^\s*(INSERT|UPDATE|DELETE|REPLACE|SELECT|WITH|TABLE|VALUES|DO|LOAD\s+(DATA|XML))\b`)
	// calls are statements that either change rows or commit, as what they call
	// does; every other commits on its own (MySQL manual, 15.3.3).
	calls = regexp.MustCompile(`(?is)^\s*(CALL|EXECUTE|BEGIN\s+NOT\s+ATOMIC)\b`)
	// sessionOnly are statements whose effect ends with the connection.
	sessionOnly = regexp.MustCompile(`(?is)^\s*(SET\s+(SESSION\s|LOCAL\s|@|NAMES\b|CHARACTER\b|CHARSET\b|[a-z_]+\s*:?=)|USE\s|((DEALLOCATE|DROP)\s+)?PREPARE\s)`)
	// delimiter is Atlas's directive, which counts on the first line only.
	delimiter = regexp.MustCompile(`\A-- atlas:delimiter\b`)
)
