package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// applyServer applies on MySQL and MariaDB.
func (a *applier) applyServer(ctx context.Context) (err error) {
	if done, err := a.upToDate(ctx); done || err != nil {
		return err
	}
	if err := a.db.Prepare(ctx); err != nil {
		return err
	}
	ctx, unlock, err := a.store.Lock(ctx, a.opts.LockTimeout, func() { a.opts.Progress(Progress{Waiting: true}) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	p, err := a.replan(ctx)
	if err != nil {
		return err
	}
	if p.isEmpty() {
		return nil
	}
	if err := a.store.Create(ctx); err != nil {
		return err
	}
	if p.baseline != nil {
		if err := a.store.Save(ctx, p.baseline); err != nil {
			return err
		}
	}
	for _, t := range p.files {
		if err := a.applyFile(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// applyFile executes the statements of a file that have not run.
func (a *applier) applyFile(ctx context.Context, t *pendingFile) error {
	from := t.rev.Applied
	if err := a.execute(ctx, t); err != nil {
		return err
	}
	// A file without statements has had no record yet.
	if from == len(t.file.Stmts) {
		t.rev.PartialHashes = nil
		if err := a.store.Save(ctx, t.rev); err != nil {
			return err
		}
	}
	a.addToReport(t, from, time.Since(t.began))
	return nil
}

// execute executes the statements of t that have not run, and records each.
func (a *applier) execute(ctx context.Context, t *pendingFile) error {
	from := t.rev.Applied
	t.began, t.earlier = time.Now(), t.rev.ExecutionTime
	// What the file set for its own connection has to be set for this one.
	for i, s := range t.file.Stmts[:from] {
		if directory.SetsSession(t.file.Code[i]) {
			if _, err := a.db.Conn.ExecContext(ctx, s.Text); err != nil {
				return fmt.Errorf("%s: repeat %q: %w", t.file.Name(), s.Text, err)
			}
		}
	}
	for i := from; i < len(t.file.Stmts); i++ {
		p, began, code := a.startStmt(t, i), time.Now(), t.file.Code[i]
		recovered := t.ran && i == from
		applies, err := directory.Applies(a.db.URL.Dialect, code, a.db.URL.Database())
		switch {
		case err != nil:
		case recovered, !applies:
			err = a.record(ctx, t)
		case directory.ChangesRows(code):
			err = a.execRows(ctx, t)
		case directory.Calls(code):
			err = a.execCall(ctx, t)
		default:
			err = a.execDDL(ctx, t)
		}
		if err != nil {
			return a.failed(ctx, t, err)
		}
		a.endStmt(p, time.Since(began), recovered)
	}
	return nil
}

// recordDoubt writes that the next statement of t runs and its outcome is open.
func (a *applier) recordDoubt(ctx context.Context, t *pendingFile) error {
	stmt := t.file.Stmts[t.rev.Applied].Text
	before, err := fingerprint(ctx, a.db, touches(a.store, stmt))
	if err != nil {
		return err
	}
	t.rev.Error, t.rev.ErrorStmt = inDoubtPrefix+before, stmt
	return a.store.Write(ctx, t.rev)
}

// execDDL executes the next statement of t, one that commits by itself.
func (a *applier) execDDL(ctx context.Context, t *pendingFile) error {
	if err := a.recordDoubt(ctx, t); err != nil {
		return err
	}
	if _, err := a.db.Conn.ExecContext(ctx, t.file.Stmts[t.rev.Applied].Text); err != nil {
		return err
	}
	return a.record(ctx, t)
}

// execCall executes the next statement of t, of which only the server knows what it does. Rows are committed together
// with its record; DDL, which ends the transaction, is recognised by what it did to the schema.
func (a *applier) execCall(ctx context.Context, t *pendingFile) error {
	if err := a.recordDoubt(ctx, t); err != nil {
		return err
	}
	return a.execRows(ctx, t)
}

// patience is how long vtgate may take to learn of a column.
const patience = 30 * time.Second

// isBehind reports whether a statement was not run because vtgate has not learned yet of a column that the statement
// before has added. MySQL says "Unknown column".
func isBehind(err error) bool {
	const unknownColumn = 1054
	return mysqlconn.IsServer(err, unknownColumn) && strings.Contains(err.Error(), "' not found in table '")
}

// execRows executes the next statement of t, one that changes rows only, and commits it together with its record.
func (a *applier) execRows(ctx context.Context, t *pendingFile) error {
	tx, err := a.db.Conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After a commit it fails always, and without one the connection's end rolls back all the same.
	defer func() { _ = tx.Rollback() }()
	began := time.Now()
	for {
		_, err := tx.ExecContext(ctx, t.file.Stmts[t.rev.Applied].Text)
		if err == nil {
			break
		}
		if !isBehind(err) || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	next := t.next()
	if err := a.store.Write(ctx, next); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	t.rev = next
	return nil
}

// record writes that one more statement of t is applied.
func (a *applier) record(ctx context.Context, t *pendingFile) error {
	next := t.next()
	if err := a.store.Save(ctx, next); err != nil {
		return err
	}
	t.rev = next
	return nil
}

// next is the record of t once one more statement is applied.
func (t *pendingFile) next() *atlas.Revision {
	if t.back {
		return history.Undone(t.rev)
	}
	next := *t.rev
	next.PartialHashes = append(slices.Clone(next.PartialHashes), t.sums[next.Applied])
	next.Applied++
	next.Error, next.ErrorStmt = "", ""
	next.ExecutionTime = t.earlier + time.Since(t.began)
	if next.Applied == next.Total {
		next.PartialHashes = nil
	}
	return &next
}

// failed records why the next statement of t did not run and returns the error to report.
func (a *applier) failed(ctx context.Context, t *pendingFile, err error) error {
	e := t.file.Error(t.rev.Applied, t.rev.Applied, err)
	var refused *mysql.MySQLError
	var unrecorded *history.RecordError
	if !errors.As(err, &refused) || errors.As(err, &unrecorded) {
		// Whether the statement took effect is not known: the record that says so stays for the next apply.
		return e
	}
	t.rev.Error, t.rev.ErrorStmt = e.Err.Error(), e.Stmt
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.store.Save(ctx, t.rev); err != nil {
		return errors.Join(e, err)
	}
	return e
}
