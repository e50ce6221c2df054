package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// DownOptions configure [Down].
type DownOptions struct {
	// Dir is the directory, as in [ApplyOptions].
	Dir fs.FS
	// Steps are the files to take back, the newest first.
	Steps []DownStep
	// RevisionsSchema and LockTimeout are as in [ApplyOptions].
	RevisionsSchema string
	LockTimeout     time.Duration
	// Before, if set, is called before the first statement of a step, while the lock is held. Its error ends Down, and
	// nothing of the step has run then. It is not called for a step that goes on where it was cut off.
	Before func(ctx context.Context, step DownStep) error
	// Progress is as in [ApplyOptions].
	Progress func(Progress)
}

// DownStep is one file to take back.
type DownStep struct {
	// Version is that of the file.
	Version string
	// Statements take it back. If the file is on its way back already, those that were begun with are executed instead.
	Statements []string
}

// DownReport is what a [Down] did.
type DownReport struct {
	// Undone are the files that are no longer applied, in the order in which they were taken back.
	Undone []AppliedFile `json:"undone"`
	// Current is the newest version that is wholly applied; empty if none.
	Current string `json:"current"`
}

// Down takes the newest applied files back, one after the other, by the statements that it is given; the command
// authgraph migrate down plans them. It looks at neither the statements nor the rows that they may delete.
//
// It records and resumes as [Apply] does, and its errors are those of Apply. While a file is on its way back, Apply
// returns a [*HistoryError] with the reason "half undone". A file that is back has no record, as after Atlas's own
// command of that name. If the server refuses a file's first statement, the file stays applied.
func Down(ctx context.Context, url string, opts DownOptions) (report *DownReport, err error) {
	if opts.LockTimeout, err = history.CheckLockTimeout(opts.LockTimeout); err != nil {
		return nil, err
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	if opts.Before == nil {
		opts.Before = func(context.Context, DownStep) error { return nil }
	}
	db, dir, err := open(ctx, url, opts.Dir, false)
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
	d := &downer{
		applier: applier{
			db: db, dir: dir, store: store, report: &Report{},
			opts: ApplyOptions{LockTimeout: opts.LockTimeout, Progress: opts.Progress},
		},
		before: opts.Before, report: &DownReport{Undone: []AppliedFile{}},
	}
	for _, s := range opts.Steps {
		d.steps += len(s.Statements)
	}
	if db.URL.Dialect == dialect.SQLite {
		err = d.downSQLite(ctx, opts.Steps)
	} else {
		err = d.downServer(ctx, opts.Steps)
	}
	return d.report, err
}

// downer is one [Down].
type downer struct {
	applier
	before func(ctx context.Context, step DownStep) error
	report *DownReport
}

func (d *downer) downServer(ctx context.Context, steps []DownStep) (err error) {
	if err := d.db.Prepare(ctx); err != nil {
		return err
	}
	ctx, unlock, err := d.store.Lock(ctx, d.opts.LockTimeout, func() { d.opts.Progress(Progress{Waiting: true}) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for _, s := range steps {
		if err := d.takeBack(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// takeBack takes one file back on a server.
func (d *downer) takeBack(ctx context.Context, step DownStep) error {
	revs, err := d.newest(ctx, step)
	if err != nil {
		return err
	}
	last := revs[len(revs)-1]
	begins := !history.Undoing(last)
	t := d.wayBack(last, step)
	if begins {
		if err := d.before(ctx, step); err != nil {
			return err
		}
		if err := d.store.Save(ctx, t.rev); err != nil {
			return err
		}
		d.report.Current = currentOf(revs[:len(revs)-1])
	} else if t.ran, err = ranBefore(ctx, d.store, last); err != nil {
		return err
	}
	from := t.rev.Applied
	if err := d.execute(ctx, t); err != nil {
		var refused *mysql.MySQLError
		if begins && t.changedNothing() && errors.As(err, &refused) {
			return errors.Join(ofWayBack(err), d.putBack(ctx, last))
		}
		return ofWayBack(err)
	}
	if err := d.store.Forget(ctx, last.Version); err != nil {
		return err
	}
	d.addUndone(last, t, from, revs)
	return nil
}

// newest is the history, if the step is about the newest file of it.
func (d *downer) newest(ctx context.Context, step DownStep) ([]*atlas.Revision, error) {
	revs, err := d.store.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := history.Verify(d.dir, revs); err != nil {
		return nil, err
	}
	if len(revs) == 0 || revs[len(revs)-1].Version != step.Version {
		return nil, fmt.Errorf("version %s is not the newest that is applied any more: plan the way back anew",
			step.Version)
	}
	if last := revs[len(revs)-1]; last.Type == atlas.RevisionTypeBaseline {
		return nil, fmt.Errorf("version %s is the baseline, whose statements never ran here: nothing is known of the "+
			"database before it", last.Version)
	}
	d.report.Current = currentOf(revs)
	return revs, nil
}

// currentOf is the newest version of a history that is wholly applied.
func currentOf(revs []*atlas.Revision) (current string) {
	for _, r := range revs {
		if r.Applied >= r.Total {
			current = r.Version
		}
	}
	return current
}

// wayBack is the way back from a file as statements to execute, of which the first is a mark that counts as one that
// ran.
func (d *downer) wayBack(last *atlas.Revision, step DownStep) *pendingFile {
	rev := last
	if !history.Undoing(last) {
		rev = history.Undo(last, step.Statements)
	}
	all, _ := history.UndoStatements(rev)
	name := history.FileOf(last) + " (way back)"
	return &pendingFile{file: directory.Listed(d.db.Driver, name, all), rev: rev, back: true}
}

// changedNothing reports whether no statement of a way back has had an effect that outlives the connection.
func (t *pendingFile) changedNothing() bool {
	return !slices.ContainsFunc(t.file.Code[1:t.rev.Applied], func(code string) bool {
		return !directory.SetsSession(code)
	})
}

// putBack writes the record of a file that stays applied.
func (d *downer) putBack(ctx context.Context, last *atlas.Revision) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if last.Applied >= last.Total {
		d.report.Current = last.Version
	}
	return d.store.Save(ctx, last)
}

// ofWayBack counts the statements of a way back without the mark.
func ofWayBack(err error) error {
	var stmt *StmtError
	if errors.As(err, &stmt) {
		stmt.Line, stmt.Index, stmt.Total, stmt.Kept = stmt.Line-1, stmt.Index-1, stmt.Total-1, max(stmt.Kept-1, 0)
	}
	return err
}

// addUndone puts a file that is back into the report.
func (d *downer) addUndone(last *atlas.Revision, t *pendingFile, from int, revs []*atlas.Revision) {
	f := AppliedFile{
		Version: last.Version, Name: history.FileOf(last), Statements: []string{}, Resumed: from - 1,
		Duration: time.Since(t.began),
	}
	for _, s := range t.file.Stmts[from:] {
		f.Statements = append(f.Statements, s.Text)
	}
	d.report.Undone = append(d.report.Undone, f)
	d.report.Current = currentOf(revs[:len(revs)-1])
}

// downSQLite takes files back on SQLite, one transaction a file.
func (d *downer) downSQLite(ctx context.Context, steps []DownStep) error {
	for _, pragma := range []string{"busy_timeout = 50", "foreign_keys = off"} { // as applySQLite has it
		if _, err := d.db.Conn.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	for _, s := range steps {
		if err := d.takeBackSQLite(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *downer) takeBackSQLite(ctx context.Context, step DownStep) (err error) {
	tx, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := tx.Rollback(); !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
	}()
	revs, err := d.newest(ctx, step)
	if err != nil {
		return err
	}
	if err := d.before(ctx, step); err != nil {
		return err
	}
	last := revs[len(revs)-1]
	t := d.wayBack(last, step)
	t.began = time.Now()
	from := t.rev.Applied
	if err := d.executeSQLite(ctx, t); err != nil {
		return ofWayBack(err)
	}
	if err := d.checkForeignKeys(ctx, t.file); err != nil {
		return err
	}
	if err := d.store.Delete(ctx, last.Version); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	d.addUndone(last, t, from, revs)
	return nil
}

// undoing describes a file that is on its way back.
func undoing(r *atlas.Revision) *Partial {
	all, ran := history.UndoStatements(r)
	p := &Partial{
		File: history.FileOf(r), Applied: ran - 1, Total: len(all) - 1, Stmt: r.ErrorStmt,
		Error: history.AnswerOf(r), Undoing: true,
	}
	if p.InDoubt = strings.HasPrefix(p.Error, inDoubtPrefix); p.InDoubt {
		p.Error = ""
	}
	if p.Stmt == "" && ran < len(all) {
		p.Stmt = all[ran]
	}
	return p
}
