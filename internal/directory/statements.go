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
	// Code holds each statement as the database reads it: without its comments and the text of its strings, and with
	// what stands in a conditional comment that it executes, such as /*!40101 SET NAMES utf8mb4 */.
	Code []string
}

// Split splits a file the way the database's own client would. drv is the driver of the database. What a server would
// skip, such as a comment with a semicolon after it, is not a statement: a server refuses an empty one. For all other
// statements texts and numbers are those of Atlas, whose revision table counts them. The section down.sql of a file in
// txtar form is left out: see [Down].
func Split(drv atlas.Driver, f atlas.File) (*File, error) {
	text, begin := f.Bytes(), 0
	if isUTF16(text) {
		return nil, fmt.Errorf("%s: it is UTF-16, as PowerShell's > writes it: save it as UTF-8 "+
			"(mysqldump --result-file=FILE)", f.Name())
	}
	// Editors on Windows put a byte order mark first, which no server reads.
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		begin = len("\ufeff")
	}
	if forward := only(text, false); forward != nil {
		text = forward
	}
	r := readerOf(drv)
	code, whole := r.read(text)
	stmts, err := atlas.FileStmtDecls(drv, atlas.NewLocalFile(f.Name(), whole[begin:]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	// Atlas counts positions from the line after its delimiter directive.
	if delimiter.Match(text[begin:]) {
		begin += bytes.IndexByte(text[begin:], '\n') + 1
	}
	out := &File{File: f}
	for _, s := range stmts {
		s.Pos += begin
		s.Pos += max(0, bytes.Index(whole[min(s.Pos, len(whole)):], []byte(s.Text)))
		end := min(s.Pos+len(s.Text), len(text))
		s.Text = string(text[s.Pos:end])
		c := string(code[s.Pos:end])
		if isEmpty(c) {
			continue
		}
		out.Stmts, out.Code = append(out.Stmts, s), append(out.Code, c)
	}
	return out, nil
}

// isUTF16 reports whether a text begins with UTF-16's byte order mark, or with a character of ASCII in it.
func isUTF16(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) ||
		bytes.IndexByte(text[:min(2, len(text))], 0) >= 0
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
		`(?is)^\s*(SET\s+(SESSION\s|LOCAL\s|@[^@]|@@(SESSION|LOCAL)\s*\.|@@\w+\s*:?=|` +
			`NAMES\b|CHARACTER\b|CHARSET\b|[a-z_]+\s*:?=)|` +
			`USE\s|((DEALLOCATE|DROP)\s+)?PREPARE\s)`)
	// delimiter is Atlas's directive, which counts on the first line only.
	delimiter = regexp.MustCompile(`\A-- atlas:delimiter\b`)
)

// ChangesRows reports whether the code of a statement changes rows only and can be rolled back. A function, which is
// all that DO calls, cannot commit.
func ChangesRows(code string) bool { return rowsOnly.MatchString(code) }

// Calls reports whether the code of a statement either changes rows or commits, as what it calls does. Every statement
// that neither changes rows nor calls commits on its own (MySQL manual, 15.3.3).
func Calls(code string) bool { return calls.MatchString(code) }

// SetsSession reports whether the effect of a statement, given its code, ends with the connection.
func SetsSession(code string) bool { return sessionOnly.MatchString(code) }
