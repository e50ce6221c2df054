package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
)

// applySQLite applies on SQLite, one transaction a file: it is applied with its record, or not at all.
func (a *applier) applySQLite(ctx context.Context) (err error) {
	if done, err := a.upToDate(ctx); done || err != nil {
		return err
	}
	// SQLite's own wait cannot be cancelled: wait in short turns.
	if _, err := a.db.Conn.ExecContext(ctx, "PRAGMA busy_timeout = 50"); err != nil {
		return err
	}
	// A table is changed by building it anew, during which foreign keys do not hold; they cannot be switched off within
	// a transaction.
	if _, err := a.db.Conn.ExecContext(ctx, "PRAGMA foreign_keys = off"); err != nil {
		return err
	}
	for more := true; more; {
		if more, err = a.applyNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// applyNext applies the next pending file and reports whether there was one.
func (a *applier) applyNext(ctx context.Context) (more bool, err error) {
	// The transaction takes the write lock when it begins: what is pending is read under it.
	tx, err := a.begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if rerr := tx.Rollback(); !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
	}()
	p, err := a.replan(ctx)
	if err != nil || p.isEmpty() {
		return false, err
	}
	if err := a.store.Create(ctx); err != nil {
		return false, err
	}
	if p.baseline != nil {
		if err := a.store.Write(ctx, p.baseline); err != nil {
			return false, err
		}
		return true, tx.Commit()
	}
	t, start := p.files[0], time.Now()
	from := t.rev.Applied
	if err := a.executeSQLite(ctx, t); err != nil {
		return false, err
	}
	if err := a.checkForeignKeys(ctx, t.file); err != nil {
		return false, err
	}
	t.rev.Applied, t.rev.PartialHashes, t.rev.Error, t.rev.ErrorStmt = t.rev.Total, nil, "", ""
	t.rev.ExecutionTime += time.Since(start)
	if err := a.store.Write(ctx, t.rev); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, err
	}
	a.addToReport(t, from, time.Since(start))
	return true, nil
}

// executeSQLite executes the statements of t in the transaction that the connection is in.
func (a *applier) executeSQLite(ctx context.Context, t *pendingFile) error {
	from := t.rev.Applied
	for i := from; i < len(t.file.Stmts); i++ {
		progress, began := a.startStmt(t, i), time.Now()
		applies, err := directory.Applies(a.db.URL.Dialect, t.file.Code[i], "")
		if err == nil && applies {
			_, err = a.db.Conn.ExecContext(ctx, t.file.Stmts[i].Text)
		}
		if err != nil {
			return t.file.Error(i, from, a.nameRows(ctx, t.file.Stmts[i].Text, err))
		}
		a.endStmt(progress, time.Since(began), false)
	}
	return nil
}

// copying is the statement by which Atlas fills the table that takes another's place.
var copying = regexp.MustCompile("(?s)^INSERT (INTO `new_(\\w+)` \\(.*\\) SELECT .* FROM `(\\w+)`);?$")

// nameRows adds to the error of a copy the rows that a CHECK of the new table refused. It copies the rows that can be
// copied, and names those that are missing. The caller rolls the transaction back.
func (a *applier) nameRows(ctx context.Context, stmt string, err error) error {
	var refused *sqlite.Error
	m := copying.FindStringSubmatch(stmt)
	if m == nil || !errors.As(err, &refused) || refused.Code() != sqlite3.SQLITE_CONSTRAINT_CHECK {
		return err
	}
	const most = 6
	var rows, n string
	if _, failed := a.db.Conn.ExecContext(ctx, "INSERT OR IGNORE "+m[1]); failed != nil {
		return err
	}
	query := fmt.Sprintf("WITH missing AS (SELECT rowid AS id FROM `%s` EXCEPT SELECT rowid FROM `new_%s`) "+
		"SELECT group_concat(id, ', '), (SELECT count(*) FROM missing) FROM (SELECT id FROM missing LIMIT %d)",
		m[3], m[2], most)
	if failed := a.db.Conn.QueryRowContext(ctx, query).Scan(&rows, &n); failed != nil {
		return err
	}
	return fmt.Errorf("%w: the new table refuses %s rows of %q (the first ids: %s): "+
		"correct or delete them and apply again", err, n, m[3], rows)
}

// checkForeignKeys refuses a file after which a row refers to a missing one. It names the first such row.
func (a *applier) checkForeignKeys(ctx context.Context, f *directory.File) error {
	var table, parent string
	var id sql.NullInt64 // NULL in a table WITHOUT ROWID
	var key int
	switch err := a.db.Conn.QueryRowContext(ctx, "PRAGMA foreign_key_check").Scan(&table, &id, &parent, &key); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s was not applied: foreign keys cannot be checked: %w: correct that key", f.Name(), err)
	}
	row := "a row"
	if id.Valid {
		row = fmt.Sprintf("row %d", id.Int64)
	}
	return fmt.Errorf("%s: %s of table %q refers to a row missing from %q; nothing was applied: "+
		"insert the missing row or delete this one, then apply again", f.Name(), row, table, parent)
}

// begin takes the write lock, for which it waits as long as the options say.
func (a *applier) begin(ctx context.Context) (*sql.Tx, error) {
	waiting, start := false, time.Now()
	for {
		tx, err := a.db.Conn.BeginTx(ctx, nil)
		if !dburl.IsBusy(err) {
			return tx, err
		}
		if !waiting {
			waiting = true
			a.opts.Progress(Progress{Waiting: true})
		}
		if time.Since(start) >= a.opts.LockTimeout {
			return nil, &history.LockError{Timeout: a.opts.LockTimeout}
		}
	}
}
