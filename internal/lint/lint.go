// Package lint finds what is risky about migrations, by executing them one by one on an empty database: with the
// analyzers of Atlas's library and with checks of its own.
//
// It changes no file. What it finds is for a reviewer to decide.
package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	atlasmysql "ariga.io/atlas/sql/mysql"
	_ "ariga.io/atlas/sql/mysql/mysqlcheck" // Atlas's analyzers for MySQL and MariaDB
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlcheck"
	"ariga.io/atlas/sql/sqlclient"
	atlassqlite "ariga.io/atlas/sql/sqlite"
	_ "ariga.io/atlas/sql/sqlite/sqlitecheck" // Atlas's analyzers for SQLite
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
)

// Options choose what [Run] looks at. The zero value looks at every file.
type Options struct {
	// Base is the directory as it was before, such as that of the main branch: files it does not have are new, and only
	// they are analysed; the others must be as they were.
	Base directory.Dir
	// Latest, if positive, is how many of the newest files are analysed, whatever Base holds.
	Latest int
}

// Severity is how much a [Diagnostic] matters.
type Severity string

// The severities.
const (
	// SeverityError is a migration that fails, or that loses data.
	SeverityError Severity = "error"
	// SeverityWarning is one that a reviewer should have thought about.
	SeverityWarning Severity = "warning"
)

// Diagnostic is one finding of [Run].
type Diagnostic struct {
	File string `json:"file"`
	// Line is the line at which the statement begins; 0 if the file is gone.
	Line int `json:"line,omitempty"`
	// Code and Analyzer are what a nolint directive can name.
	Code     string   `json:"code"`
	Analyzer string   `json:"analyzer"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	// Stmt is the statement; empty if the finding is about a whole file.
	Stmt string `json:"stmt,omitempty"`
}

// Report is what [Run] found.
type Report struct {
	// Files are those that were analysed, in order.
	Files []string `json:"files"`
	// Diagnostics are ordered by file and line.
	Diagnostics []Diagnostic `json:"diagnostics"`
}

// ownChecks are the checks that are not Atlas's; see [Run].
var ownChecks = map[string]struct {
	analyzer string
	severity Severity
}{
	"AG100": {"execution", SeverityError},
	"AG101": {"text_key", SeverityError},
	"AG102": {"hash_collation", SeverityWarning},
	"AG103": {"redundant_index", SeverityWarning},
	"AG104": {"blocking_alter", SeverityWarning},
	"AG105": {"lost_rows", SeverityError},
	"AG110": {"changed_history", SeverityError},
	"AG111": {"out_of_order", SeverityError},
}

// Run executes the files of the directory one after the other on dev and reports what is risky about those that are
// new. It runs the analyzers of Atlas's library (destructive, data_depend, condrop, incompatible), whose codes are
// explained at https://atlasgo.io/lint/analyzers, and its own:
//
//	AG100 execution        The database refuses a statement. Neither the rest
//	                       of the file nor later files are looked at.
//	AG101 text_key         An index on a TEXT or BLOB column without a length,
//	                       or on a column too long to be indexed whole. MySQL
//	                       refuses it, and the file ends there as for AG100;
//	                       MariaDB silently indexes the beginning or a hash.
//	AG102 hash_collation   A character column that holds a hash or a secret
//	                       but has no binary collation, so that values that
//	                       differ in case are equal. Its name ends in hash,
//	                       digest, token or password, alone or after a _ or a
//	                       small letter, or in one of these and _code or _hex.
//	AG103 redundant_index  An index whose columns are the first ones of
//	                       another index, or of the primary key. A unique one
//	                       counts only if it repeats a unique one exactly.
//	AG104 blocking_alter   The server cannot execute an ALTER TABLE, CREATE
//	                       INDEX or DROP INDEX while others write to the
//	                       table, by its own answer to LOCK=NONE; answers
//	                       differ between versions. Not for tables made in the
//	                       same file, nor where LOCK or ALGORITHM is stated.
//	AG105 lost_rows        A statement loses rows or values though the schema
//	                       does not show it: CREATE OR REPLACE TABLE,
//	                       TRUNCATE, DROP PARTITION, DROP SYSTEM VERSIONING, a
//	                       column that is dropped and added at once. Not for
//	                       tables made in the same file.
//	AG110 changed_history  A file of the base directory was edited or removed.
//	AG111 out_of_order     A new file whose version is not after those of the
//	                       base directory.
//
// On SQLite AG101, AG102, AG104 and AG105 do not arise. AG100, AG101, AG105, AG110, AG111 and Atlas's
// destructive changes are errors, all others warnings. What a file puts right itself is not reported, except by Atlas's
// analyzers.
//
// The comment
//
//	-- atlas:nolint NAME…
//
// before a statement, or at the top of a file and followed by an empty line, silences the codes and analyzers it names,
// or all if it names none. A statement the database refuses and a changed history cannot be silenced.
//
// Findings are not errors. A directory that does not match its atlas.sum is a [*directory.ChecksumError].
func Run(ctx context.Context, dev *planner.Dev, dir directory.Dir, opts Options) (*Report, error) {
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	l := &linter{dev: dev, report: &Report{Files: []string{}, Diagnostics: []Diagnostic{}}}
	isNew, err := l.history(files, opts)
	if err != nil {
		return nil, err
	}
	if _, err := dev.Replay(ctx, func() error { return l.files(ctx, files, isNew) }); err != nil {
		return nil, fmt.Errorf("lint: %w", err)
	}
	slices.SortStableFunc(l.report.Diagnostics, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Code, b.Code))
	})
	return l.report, nil
}

type linter struct {
	dev    *planner.Dev
	report *Report
}

// history compares the files with the base directory and decides which of them are new.
func (l *linter) history(files []atlas.File, opts Options) (map[string]bool, error) {
	isNew := make(map[string]bool)
	for i, f := range files {
		isNew[f.Name()] = opts.Latest <= 0 || i >= len(files)-opts.Latest
	}
	if opts.Base == nil {
		return isNew, nil
	}
	base, err := opts.Base.Files()
	if err != nil {
		return nil, directory.Wrap(opts.Base, err)
	}
	now := make(map[string]atlas.File)
	for _, f := range files {
		now[f.Name()] = f
	}
	for _, old := range base {
		f, ok := now[old.Name()]
		delete(now, old.Name())
		switch {
		case !ok:
			l.addOwn("AG110", old.Name(), 0, "was removed: restore it, and undo what it does in a new migration")
		case string(f.Bytes()) != string(old.Bytes()):
			l.addOwn("AG110", f.Name(), firstEdit(old.Bytes(), f.Bytes()),
				"was edited: restore it, and make the change in a new migration")
		}
		if ok && opts.Latest <= 0 {
			isNew[f.Name()] = false
		}
	}
	if len(base) == 0 {
		return isNew, nil
	}
	newest := base[len(base)-1].Version()
	for _, f := range now {
		if f.Version() <= newest {
			l.addOwn("AG111", f.Name(), 1, "comes before version "+newest+", which may be applied already: "+
				"rename it to a new version, then write the checksums anew")
		}
	}
	return isNew, nil
}

// firstEdit is the line from which two files differ.
func firstEdit(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return 1 + strings.Count(string(b[:i]), "\n")
}

// files executes the files and analyses the new ones. It ends at a statement that is refused: what the next ones would
// have done is not known.
func (l *linter) files(ctx context.Context, files []atlas.File, isNew map[string]bool) error {
	for _, f := range files {
		run := l.dev.Exec
		if isNew[f.Name()] {
			l.report.Files = append(l.report.Files, f.Name())
			run = l.file
		}
		if err := run(ctx, f); err != nil {
			return l.refused(ctx, f, err)
		}
	}
	return nil
}

const notLookedAt = " (what follows was not looked at)"

// refused reports err as a diagnostic if it is the file's fault.
func (l *linter) refused(ctx context.Context, f atlas.File, err error) error {
	var (
		stmt   *directory.StmtError
		scan   *scanError
		server *mysql.MySQLError
		lite   *sqlite.Error
		beyond *planner.OutsideError
	)
	switch {
	case ctx.Err() != nil:
		return err
	case errors.As(err, &scan):
		l.addOwn("AG100", f.Name(), scan.line(),
			"cannot be split into statements, correct it: "+scan.Error()+notLookedAt)
		return nil
	case !errors.As(err, &stmt) || !errors.As(err, &server) && !errors.As(err, &lite) && !errors.As(err, &beyond):
		return err
	}
	code, text := "AG100", "does not run, correct it: "+stmt.Err.Error()
	if server != nil && (server.Number == erBlobKeyWithoutLength || server.Number == erTooLongKey) {
		code = "AG101"
		text = "an index on a column of this size needs a length, or the column a shorter type: " + stmt.Err.Error()
	}
	l.addOwn(code, f.Name(), stmt.Line, text+notLookedAt)
	l.report.Diagnostics[len(l.report.Diagnostics)-1].Stmt = stmt.Stmt
	return nil
}

// scanError is a file whose statements cannot be told apart.
type scanError struct{ error }

// line is the line at which Atlas's scanner stopped: its errors begin with line:column.
func (e *scanError) line() int {
	n := 1
	if err := errors.Unwrap(e.error); err != nil {
		_, _ = fmt.Sscanf(err.Error(), "%d:", &n) // line 1 if this one does not
	}
	return n
}

// file executes a new file and analyses it, up to a statement that is refused.
func (l *linter) file(ctx context.Context, f atlas.File) error {
	file, err := directory.Split(l.dev.DB().Driver, f)
	if err != nil {
		return &scanError{err}
	}
	from, err := l.dev.Inspect(ctx)
	if err != nil {
		return err
	}
	check := &sqlcheck.File{File: f, From: realm(from), To: realm(from)}
	track := newTracker(l.dev, from)
	for i, s := range file.Stmts {
		if _, err := directory.Applies(l.dev.Dialect(), file.Code[i], ""); err != nil {
			l.addOwn("AG100", f.Name(), file.Line(i), "is not applied: "+err.Error())
			continue
		}
		blocking, err := l.exec(ctx, file, i, track)
		if err != nil {
			if err := l.analyze(ctx, check, file, track); err != nil {
				return err
			}
			return planner.Refused(ctx, file, i, err)
		}
		if blocking != "" {
			l.addStmt(file, s, "AG104", blocking)
		}
		if l.dev.Dialect() != dialect.SQLite {
			if lost := losing(file.Code[i], from, track.existed); lost != "" {
				l.addStmt(file, s, "AG105", lost)
			}
		}
		to, changes := from, schema.Changes(nil)
		if code := file.Code[i]; !directory.ChangesRows(code) && !directory.SetsSession(code) {
			if to, err = l.dev.Inspect(ctx); err != nil {
				return err
			}
			found := findings(l.dev, to)
			if changes, err = l.dev.Changes(code, from, to); err != nil {
				return fmt.Errorf("%s: compare the schemas: %w", f.Name(), err)
			}
			track.step(s, changes, found)
		}
		check.Changes = append(check.Changes, &sqlcheck.Change{Changes: changes, Stmt: s})
		check.To, from = realm(to), to
	}
	return l.analyze(ctx, check, file, track)
}

func realm(s *schema.Schema) *schema.Realm {
	if s.Realm == nil {
		s.Realm = schema.NewRealm(s)
	}
	return s.Realm
}

// analyze reports what Atlas's analyzers say of a file, and what the file left.
func (l *linter) analyze(ctx context.Context, check *sqlcheck.File, file *directory.File, track *tracker) error {
	for _, f := range track.introduced() {
		l.addStmt(file, f.stmt, f.code, f.text)
	}
	name := atlasmysql.DriverName
	if l.dev.Dialect() == dialect.SQLite {
		name = atlassqlite.DriverName
	}
	analyzers, err := sqlcheck.AnalyzerFor(name, nil)
	if err != nil {
		return fmt.Errorf("configure Atlas's analyzers: %w", err)
	}
	for _, a := range analyzers {
		analyzer, reported := "", false
		if n, ok := a.(sqlcheck.NamedAnalyzer); ok {
			analyzer = n.Name()
		}
		severity := SeverityWarning
		if analyzer == "destructive" {
			severity = SeverityError
		}
		err := a.Analyze(ctx, &sqlcheck.Pass{
			File: check,
			Dev:  &sqlclient.Client{Name: name, Driver: l.dev.DB().Driver},
			Reporter: sqlcheck.ReportWriterFunc(func(r sqlcheck.Report) {
				reported = true
				for _, d := range r.Diagnostics {
					i := slices.IndexFunc(file.Stmts, func(s *atlas.Stmt) bool { return s.Pos == d.Pos })
					l.add(file, file.Stmts[i], Diagnostic{
						Code: d.Code, Analyzer: analyzer, Severity: severity, Text: withAdvice(d.Code, d.Text),
					})
				}
			}),
		})
		// An analyzer whose findings are errors returns one beside its report.
		if err != nil && !reported {
			return fmt.Errorf("%s: analyze: %w", check.Name(), err)
		}
	}
	return nil
}

// add reports a finding about a statement, unless a directive silences it.
func (l *linter) add(f *directory.File, s *atlas.Stmt, d Diagnostic) {
	directives := s.Directive("nolint")
	if f, ok := f.File.(interface{ Directive(string) []string }); ok {
		directives = append(directives, f.Directive("nolint")...)
	}
	for _, names := range directives {
		names := strings.Fields(names)
		if len(names) == 0 || slices.Contains(names, d.Code) || slices.Contains(names, d.Analyzer) {
			return
		}
	}
	d.File, d.Line, d.Stmt = f.Name(), f.Line(slices.Index(f.Stmts, s)), s.Text
	l.report.Diagnostics = append(l.report.Diagnostics, d)
}

// addStmt is add for a check of our own.
func (l *linter) addStmt(f *directory.File, s *atlas.Stmt, code, text string) {
	c := ownChecks[code]
	l.add(f, s, Diagnostic{Code: code, Analyzer: c.analyzer, Severity: c.severity, Text: text})
}

// addOwn reports a finding that cannot be silenced.
func (l *linter) addOwn(code, file string, line int, text string) {
	c := ownChecks[code]
	l.report.Diagnostics = append(l.report.Diagnostics, Diagnostic{
		File: file, Line: line, Code: code, Analyzer: c.analyzer, Severity: c.severity, Text: text,
	})
}
