package migrate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// ApplyOptions configure [Apply]. The zero value applies everything that is pending in the embedded directory.
type ApplyOptions struct {
	// Dir is the directory to apply, such as an [embed.FS] or [os.DirFS]. Its root holds the .sql files and atlas.sum.
	// nil is the embedded directory.
	Dir fs.FS
	// To is the last version to apply; empty is the newest.
	To string
	// AllowDirty lets the first apply add its tables to a database that holds others.
	AllowDirty bool
	// Baseline is the version that a database without history is at already: its file and those before it count as
	// applied. Baseline and AllowDirty exclude each other.
	Baseline string
	// RevisionsSchema is the schema on the server that holds the history; empty is the database itself. Services that
	// share a database keep a history each that way. A schema that does not exist is made. SQLite has none.
	RevisionsSchema string
	// AcceptEdit goes on with a half-applied file if only statements that have not run were edited.
	AcceptEdit bool
	// LockTimeout is how long to wait for another apply; 0 is 1 minute, and a negative one is an error. For a server it
	// is rounded up to whole seconds. On SQLite every file waits for the lock, each as long as this.
	LockTimeout time.Duration
	// DryRun reports what would be executed and changes nothing.
	DryRun bool
	// Progress, if set, is called before and after every statement, and when Apply begins to wait for another one. It
	// is called on the goroutine of Apply, which goes on when it returns.
	Progress func(Progress)
}

// Progress is where an [Apply] stands.
type Progress struct {
	// Waiting is set, and nothing else, while another apply holds the lock.
	Waiting bool
	// File is the name of the migration file.
	File string
	// Index is the statement's number in the file, from 1, of Total.
	Index, Total int
	// Step is the statement's number in this apply, from 1, of Steps.
	Step, Steps int
	// Stmt is the text of the statement.
	Stmt string
	// Done is set on the call after the statement.
	Done bool
	// Recovered is set with Done if the statement was found to have run in an earlier apply that was cut off before it
	// could record so.
	Recovered bool
	// Duration is how long the statement took; set with Done.
	Duration time.Duration
}

// Report is what an [Apply] did, or would do on a dry run.
type Report struct {
	// Applied are the files that are now applied, in order.
	Applied []AppliedFile `json:"applied"`
	// Current is the newest version that is wholly applied; empty if none.
	Current string `json:"current"`
	// DryRun is set if nothing was executed.
	DryRun bool `json:"dry_run,omitempty"`
}

// AppliedFile is one file of a [Report].
type AppliedFile struct {
	// Version is the first part of Name, up to the underscore.
	Version string `json:"version"`
	// Name is the name of the file, such as 20260102030405_add_phone.sql.
	Name string `json:"name"`
	// Statements are the texts of those executed now, or that would be on a dry run.
	Statements []string `json:"statements"`
	// Resumed is how many statements of the file, its first ones, an earlier apply had executed.
	Resumed int `json:"resumed,omitempty"`
	// Duration is how long the file took now; 0 on a dry run.
	Duration time.Duration `json:"duration_ns"`
}

// Apply brings the database at url up to the newest version of the directory. The url is mysql://, mariadb:// or
// sqlite://, or a DSN of the driver. A SQLite file that does not exist is made. Many processes may call Apply at the
// same time: one does the work, and the others wait for it, unless there is nothing to do for them.
//
// Before it executes anything Apply returns
//   - a *authgraph.URLError if the address is malformed or no database answers there,
//   - a [*ChecksumError] if the directory does not match its atlas.sum,
//   - a [*HistoryError] if the directory does not continue the history of the database,
//   - a [*DirtyError] if the database holds other tables and no history,
//   - a [*TakenError] if the database holds something of a name that a pending file makes,
//   - a [*LockError] if another Apply did not end within LockTimeout,
//   - an error without a type of its own if no file has the version of To or Baseline, if the directory cannot be read,
//     or if the server is too old or has no InnoDB.
//
// On SQLite Apply takes the lock for each file and then looks again, so that such an error may come after earlier files
// were applied.
//
// A statement that the database refuses is a [*StmtError]. With any error the report says what was applied until then;
// it is nil if the database could not be opened or the directory is wrong.
//
// MySQL commits every DDL statement by itself (MySQL manual, 15.3.3). Apply therefore records each one in the revision
// table, before and after. After a crash, a lost connection or a failing statement the next Apply goes on exactly where
// this one stopped. If the statement that was running took effect, Apply records it; otherwise Apply executes it again.
// Statements that change rows are committed together with their record. On SQLite a file is one transaction.
//
// Cancelling ctx ends the wait for the lock, or the statement under way, which is a [*StmtError] then. The error wraps
// that of ctx. A server may go on with the statement: it keeps the lock until that has ended, and the next Apply finds
// out whether the statement took effect. SQLite undoes the file.
//
// This is exact as long as nothing else changes the schema while a migration is half applied. An apply of the Atlas CLI
// does not take Apply's lock: use one of the two at a time. Some statements leave no trace in the schema of the
// database and are executed again after a crash, even if they took effect: CREATE USER, GRANT, SET GLOBAL, ALTER
// DATABASE, and rows that a procedure commits itself. A procedure that changes rows and runs DDL counts as done once
// its DDL shows.
//
// Whatever the server's defaults are, tables are InnoDB's, and a TIMESTAMP has only the default that its definition
// names, unless a file sets them otherwise.
func Apply(ctx context.Context, url string, opts ApplyOptions) (report *Report, err error) {
	if opts.Baseline != "" && opts.AllowDirty {
		return nil, errors.New("the options Baseline and AllowDirty exclude each other: choose one")
	}
	if opts.LockTimeout, err = history.CheckLockTimeout(opts.LockTimeout); err != nil {
		return nil, err
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	db, dir, err := open(ctx, url, opts.Dir, opts.DryRun)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	store, err := history.Of(db, opts.RevisionsSchema)
	if err != nil {
		return nil, err
	}
	a := &applier{
		db: db, dir: dir, store: store, opts: opts,
		report: &Report{DryRun: opts.DryRun, Applied: []AppliedFile{}},
	}
	switch {
	case opts.DryRun:
		err = a.dryRun(ctx)
	case db.URL.Dialect == dialect.SQLite:
		err = a.applySQLite(ctx)
	default:
		err = a.applyServer(ctx)
	}
	return a.report, err
}

// open opens the database at url and the directory; a nil one is the embedded one. A SQLite file that is only to be
// read and does not exist is not made.
func open(ctx context.Context, url string, fsys fs.FS, readOnly bool) (*atlasdb.DB, directory.Dir, error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, nil, err
	}
	if readOnly && u.Dialect == dialect.SQLite {
		if _, err := os.Stat(u.Database()); errors.Is(err, fs.ErrNotExist) {
			u = u.WithDatabase(":memory:")
		} else {
			u = u.ReadOnly()
		}
	}
	if fsys == nil {
		if fsys, err = Embedded(u.Dialect); err != nil {
			return nil, nil, err
		}
	}
	dir, err := directory.Of(fsys)
	if err != nil {
		return nil, nil, err
	}
	db, err := atlasdb.Open(ctx, u)
	return db, dir, err
}

// applier is one Apply.
type applier struct {
	db          *atlasdb.DB
	dir         directory.Dir
	store       history.Store
	opts        ApplyOptions
	report      *Report
	step, steps int
}

func (a *applier) dryRun(ctx context.Context) error {
	if done, err := a.upToDate(ctx); done || err != nil {
		return err
	}
	if err := a.db.Prepare(ctx); err != nil {
		return err
	}
	p, err := a.replan(ctx)
	if err != nil {
		return err
	}
	for _, t := range p.files {
		for i := t.rev.Applied; i < len(t.file.Stmts); i++ {
			a.startStmt(t, i)
		}
		a.addToReport(t, t.rev.Applied, 0)
	}
	return nil
}

// startStmt tells Progress that statement i of t is about to run.
func (a *applier) startStmt(t *pendingFile, i int) Progress {
	a.step++
	p := Progress{
		File: t.file.Name(), Stmt: t.file.Stmts[i].Text,
		Index: i + 1, Total: len(t.file.Stmts), Step: a.step, Steps: a.steps,
	}
	if t.back { // the first is a mark
		p.Index, p.Total = p.Index-1, p.Total-1
	}
	a.opts.Progress(p)
	return p
}

// endStmt tells Progress that the statement of p has run.
func (a *applier) endStmt(p Progress, took time.Duration, recovered bool) {
	p.Done, p.Duration, p.Recovered = true, took, recovered
	a.opts.Progress(p)
}

// addToReport puts a file into the report; from is its first statement that ran now.
func (a *applier) addToReport(t *pendingFile, from int, took time.Duration) {
	f := AppliedFile{
		Version: t.file.Version(), Name: t.file.Name(), Statements: []string{}, Resumed: from, Duration: took,
	}
	for _, s := range t.file.Stmts[from:] {
		f.Statements = append(f.Statements, s.Text)
	}
	a.report.Applied = append(a.report.Applied, f)
	if !a.report.DryRun {
		a.report.Current = f.Version
	}
}
