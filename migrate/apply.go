package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// ApplyOptions configure [Apply]. The zero value applies everything that is
// pending in the embedded directory.
type ApplyOptions struct {
	// Dir is the directory to apply, such as an [embed.FS] or [os.DirFS]: its root holds the files and atlas.sum. nil is
	// the embedded one.
	Dir fs.FS
	// To is the last version to apply; empty is the newest.
	To string
	// AllowDirty lets the first apply add its tables to a database that holds
	// others.
	AllowDirty bool
	// Baseline is the version that a database without history is taken to be
	// at: it and the files before it count as applied. Not with AllowDirty.
	Baseline string
	// AcceptEdit goes on with a half-applied file of which only statements
	// that have not run were edited.
	AcceptEdit bool
	// LockTimeout is how long to wait for another apply; default 1 minute. A
	// server counts in whole seconds, for which it is rounded up.
	LockTimeout time.Duration
	// DryRun reports what would be executed and changes nothing.
	DryRun bool
	// Progress, if set, is called before and after every statement, and when
	// Apply begins to wait for another one. It is called from one goroutine.
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
	// Recovered is set with Done if the statement was found to have run in an
	// earlier apply that was cut off before it could record so.
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
	Version string `json:"version"`
	Name    string `json:"name"`
	// Statements were executed now; Resumed were by an earlier apply.
	Statements []string      `json:"statements"`
	Resumed    int           `json:"resumed,omitempty"`
	Duration   time.Duration `json:"duration_ns"`
}

// Apply brings the database at url up to the newest version of the directory.
//
// MySQL commits every DDL statement by itself (MySQL manual, 15.3.3). Apply
// therefore records each one in the revision table, before and after, and
// after a crash, a lost connection or a failing statement a further Apply goes
// on exactly where it stopped: if the statement that was running is found to
// have taken effect, it is recorded, otherwise it is executed again. Statements
// that change rows are committed together with their record. On SQLite a file
// is one transaction. For this to be exact nothing else may change the schema
// while a migration is half applied. What the database's schema does not show
// is executed again after a cut, even if it took effect: CREATE USER, GRANT,
// SET GLOBAL, ALTER DATABASE, rows that a procedure commits itself; and a
// procedure that changes rows and runs DDL counts as done once its DDL shows.
//
// One Apply runs on a database at a time; others wait, unless there is nothing
// to do for them. An apply of the Atlas CLI is not kept out: use one of the two
// at a time. A directory that does not match its atlas.sum is a [*ChecksumError];
// one that does not continue the history of the database, a [*HistoryError]; a
// statement the database refuses, a [*StmtError]; a database that holds other
// tables, a [*DirtyError]; one that holds something of a name that a file makes, a
// [*TakenError]; an unknown version, a [*VersionError]; a lock that
// was not released in time, a [*LockError]; a server that is too old or has no
// InnoDB, a [*ServerError].
//
// Tables are InnoDB's and a TIMESTAMP has no default but the one that its definition
// names, whatever the server's defaults are, unless a file sets them otherwise.
func Apply(ctx context.Context, url string, opts ApplyOptions) (report *Report, err error) {
	if opts.Baseline != "" && opts.AllowDirty {
		return nil, errors.New("the options Baseline and AllowDirty exclude each other: choose one")
	}
	if opts.LockTimeout, err = history.LockTimeout(opts.LockTimeout); err != nil {
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
	a := &applier{
		db: db, dir: dir, store: history.Store{DB: db}, opts: opts,
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

// todo is a pending file, split into statements, and its record.
type todo struct {
	file *directory.File
	sums []string
	rev  *atlas.Revision
	// ran is set if the first statement that is not recorded ran all the same.
	ran bool
	// began is when this apply began with the file, earlier how long the ones
	// before it took.
	began   time.Time
	earlier time.Duration
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

// plan reads what is to be done. It changes nothing.
func (a *applier) plan(ctx context.Context) (todos []*todo, baseline *atlas.Revision, err error) {
	revs, err := a.store.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	var dirty *DirtyError
	if len(revs) == 0 {
		if baseline, err = a.firstRun(ctx); err != nil && !errors.As(err, &dirty) {
			return nil, nil, err
		}
		if baseline != nil {
			revs = append(revs, baseline)
		}
	}
	if err := history.Verify(a.dir, revs); err != nil {
		return nil, nil, err
	}
	files, err := history.Pending(a.dir, revs)
	if err != nil {
		return nil, nil, err
	}
	if a.opts.To != "" {
		if files, err = a.upTo(files); err != nil {
			return nil, nil, err
		}
	}
	for _, r := range revs {
		if r.Applied >= r.Total {
			a.report.Current = r.Version
		}
	}
	sum, err := a.dir.Checksum()
	if err != nil {
		return nil, nil, directory.Wrap(a.dir, err)
	}
	a.steps = a.step
	for _, f := range files {
		file, err := directory.Split(a.db.Driver, f)
		if err != nil {
			return nil, nil, err
		}
		hash, err := sum.SumByName(f.Name())
		if err != nil {
			return nil, nil, directory.Wrap(a.dir, err)
		}
		t := &todo{file: file, sums: file.Sums()}
		if i := slices.IndexFunc(revs, func(r *atlas.Revision) bool { return r.Version == f.Version() }); i >= 0 {
			t.rev = revs[i]
			if t.ran, err = ranBefore(ctx, a.db, t.rev); err != nil {
				return nil, nil, err
			}
			if err := t.compare(hash, a.opts.AcceptEdit); err != nil {
				return nil, nil, err
			}
		} else {
			t.rev = &atlas.Revision{Version: f.Version(), Description: f.Desc(), Type: atlas.RevisionTypeExecute, ExecutedAt: time.Now()}
		}
		t.rev.Total, t.rev.Hash = len(file.Stmts), hash
		a.steps += len(file.Stmts) - t.rev.Applied
		todos = append(todos, t)
	}
	// What no flag helps against comes before what one helps against.
	if err := a.taken(ctx, todos, dirty != nil); err != nil {
		return nil, nil, err
	}
	if baseline != nil {
		if err := a.baselined(ctx, baseline.Version); err != nil {
			return nil, nil, err
		}
	}
	if dirty != nil {
		return nil, nil, dirty
	}
	return todos, baseline, nil
}

// upToDate reports, without a lock, whether there is nothing to do: a replica
// that starts need not wait for what others apply elsewhere in time. Whatever
// else it finds is looked at again under the lock.
func (a *applier) upToDate(ctx context.Context) (bool, error) {
	revs, err := a.store.Read(ctx)
	if err != nil || len(revs) == 0 || revs[len(revs)-1].Applied < revs[len(revs)-1].Total {
		return false, err
	}
	todos, baseline, err := a.plan(ctx)
	return err == nil && len(todos) == 0 && baseline == nil, ctx.Err()
}

// firstRun decides what to do with a database that has no history.
func (a *applier) firstRun(ctx context.Context) (*atlas.Revision, error) {
	if v := a.opts.Baseline; v != "" {
		files, err := a.dir.Files()
		if err != nil {
			return nil, directory.Wrap(a.dir, err)
		}
		i := slices.IndexFunc(files, func(f atlas.File) bool { return f.Version() == v })
		if i < 0 {
			return nil, &history.VersionError{Version: v}
		}
		return history.Baseline(files[i]), nil
	}
	if a.opts.AllowDirty {
		return nil, nil
	}
	s, err := a.db.Driver.InspectSchema(ctx, "", nil)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", a.db.URL, err)
	}
	for _, t := range s.Tables {
		if t.Name != atlasdb.RevisionsTable {
			return nil, &DirtyError{Table: t.Name}
		}
	}
	return nil, nil
}

// upTo cuts the files after version opts.To.
func (a *applier) upTo(files []atlas.File) ([]atlas.File, error) {
	all, err := a.dir.Files()
	if err != nil {
		return nil, directory.Wrap(a.dir, err)
	}
	if !slices.ContainsFunc(all, func(f atlas.File) bool { return f.Version() == a.opts.To }) {
		return nil, &history.VersionError{Version: a.opts.To}
	}
	n := slices.IndexFunc(files, func(f atlas.File) bool { return f.Version() > a.opts.To })
	if n < 0 {
		return files, nil
	}
	return files[:n], nil
}

// compare holds a half-applied file, whose checksum is hash, against its record.
func (t *todo) compare(hash string, acceptEdit bool) error {
	done := t.rev.Applied
	if len(t.rev.PartialHashes) < done {
		return fmt.Errorf("table %s: version %s counts %d applied statements but holds %d hashes: repair the row by hand",
			atlasdb.RevisionsTable, t.rev.Version, done, len(t.rev.PartialHashes))
	}
	edited := func(reason history.Reason, n int) error {
		return &HistoryError{Reason: reason, File: t.file.Name(), Applied: n, Total: t.rev.Total}
	}
	for i := range done {
		if i >= len(t.sums) || t.sums[i] != t.rev.PartialHashes[i] {
			return edited(history.AppliedPartEdited, done)
		}
	}
	// A statement that ran without being recorded must not be edited either.
	if t.ran && (done >= len(t.file.Stmts) || t.file.Stmts[done].Text != t.rev.ErrorStmt) {
		return edited(history.AppliedPartEdited, done+1)
	}
	if t.rev.Hash != hash && done > 0 && !acceptEdit {
		return edited(history.PendingPartEdited, done)
	}
	return nil
}

func (a *applier) dryRun(ctx context.Context) error {
	if done, err := a.upToDate(ctx); done || err != nil {
		return err
	}
	if err := a.db.Prepare(ctx); err != nil {
		return err
	}
	todos, _, err := a.plan(ctx)
	if err != nil {
		return err
	}
	for _, t := range todos {
		for i := t.rev.Applied; i < len(t.file.Stmts); i++ {
			a.before(t, i)
		}
		a.add(t, t.rev.Applied, 0)
	}
	return nil
}

// before reports that statement i of t is about to run.
func (a *applier) before(t *todo, i int) Progress {
	a.step++
	p := Progress{
		File: t.file.Name(), Index: i + 1, Total: len(t.file.Stmts), Step: a.step, Steps: a.steps, Stmt: t.file.Stmts[i].Text,
	}
	a.opts.Progress(p)
	return p
}

func (a *applier) after(p Progress, took time.Duration, recovered bool) {
	p.Done, p.Duration, p.Recovered = true, took, recovered
	a.opts.Progress(p)
}

// add puts a file into the report; from is its first statement that ran now.
func (a *applier) add(t *todo, from int, took time.Duration) {
	f := AppliedFile{Version: t.file.Version(), Name: t.file.Name(), Statements: []string{}, Resumed: from, Duration: took}
	for _, s := range t.file.Stmts[from:] {
		f.Statements = append(f.Statements, s.Text)
	}
	a.report.Applied = append(a.report.Applied, f)
	if !a.report.DryRun {
		a.report.Current = f.Version
	}
}
