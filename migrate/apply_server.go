package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// lockName is the advisory lock of a database. Locks are the server's, so it
// holds the database's name, as a digest: a lock's name has at most 64
// characters (MySQL manual, 14.14).
func lockName(database string) string {
	digest := sha256.Sum256([]byte(database))
	return "authgraph_migrate_" + hex.EncodeToString(digest[:16])
}

// applyServer applies on MySQL and MariaDB.
func (a *applier) applyServer(ctx context.Context) (err error) {
	if done, err := a.upToDate(ctx); done || err != nil {
		return err
	}
	if err := prepare(ctx, a.url, a.conn); err != nil {
		return err
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	todos, baseline, err := a.plan(ctx)
	if err != nil {
		return err
	}
	if len(todos) == 0 && baseline == nil {
		return nil
	}
	if err := a.create(ctx); err != nil {
		return err
	}
	if baseline != nil {
		if err := a.save(ctx, baseline); err != nil {
			return err
		}
	}
	for _, t := range todos {
		if err := a.applyFile(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// lock takes the database's advisory lock. It is the connection's: a statement
// that outlives its client still holds it, so that no other apply can start
// before that statement has ended.
func (a *applier) lock(ctx context.Context) (unlock func() error, err error) {
	name := lockName(a.url.Database())
	get := func(seconds int64) (bool, error) {
		var got sql.NullBool
		if err := a.conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, seconds).Scan(&got); err != nil {
			return false, fmt.Errorf("take the migration lock: %w", err)
		}
		return got.Bool, nil
	}
	seconds := int64(a.opts.LockTimeout / time.Second)
	if a.opts.LockTimeout%time.Second > 0 {
		seconds++
	}
	ok, err := get(0)
	if err == nil && !ok {
		a.opts.Progress(Progress{Waiting: true})
		ok, err = get(seconds)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		e := &LockError{Timeout: time.Duration(seconds) * time.Second}
		var holder sql.NullInt64
		if err := a.conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", name).Scan(&holder); err == nil {
			e.Connection = holder.Int64
		}
		return nil, e
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// A connection that was lost has released the lock already.
		if _, err := a.conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name); err != nil && !mysqlconn.Lost(err) {
			return fmt.Errorf("release the migration lock: %w", err)
		}
		return nil
	}, nil
}

// applyFile executes the statements of a file that have not run.
func (a *applier) applyFile(ctx context.Context, t *todo) error {
	from := t.rev.Applied
	t.began, t.earlier = time.Now(), t.rev.ExecutionTime
	// What the file set for its own connection has to be set for this one.
	for _, s := range t.stmts[:from] {
		if sessionOnly.MatchString(s.Text) {
			if _, err := a.conn.ExecContext(ctx, s.Text); err != nil {
				return fmt.Errorf("%s: repeat %q: %w", t.file.Name(), s.Text, err)
			}
		}
	}
	for i := from; i < len(t.stmts); i++ {
		p, began := a.before(t, i), time.Now()
		recovered := t.ran && i == from
		var err error
		switch {
		case recovered:
			err = a.record(ctx, t)
		case rowsOnly.MatchString(t.stmts[i].Text):
			err = a.execRows(ctx, t)
		case calls.MatchString(t.stmts[i].Text):
			err = a.execCall(ctx, t)
		default:
			err = a.execDDL(ctx, t)
		}
		if err != nil {
			return a.failed(ctx, t, err)
		}
		a.after(p, time.Since(began), recovered)
	}
	// A file without statements has had no record yet.
	if from == len(t.stmts) {
		t.rev.PartialHashes = nil
		if err := a.save(ctx, t.rev); err != nil {
			return err
		}
	}
	a.add(t, from, time.Since(t.began))
	return nil
}

// recordDoubt writes that the next statement of t runs and its outcome is open.
func (a *applier) recordDoubt(ctx context.Context, t *todo) error {
	before, err := a.fingerprint(ctx)
	if err != nil {
		return err
	}
	t.rev.Error, t.rev.ErrorStmt = inDoubtPrefix+before, t.stmts[t.rev.Applied].Text
	return a.write(ctx, t.rev)
}

// execDDL executes the next statement of t, one that commits by itself.
func (a *applier) execDDL(ctx context.Context, t *todo) error {
	if err := a.recordDoubt(ctx, t); err != nil {
		return err
	}
	if _, err := a.conn.ExecContext(ctx, t.stmts[t.rev.Applied].Text); err != nil {
		return err
	}
	return a.record(ctx, t)
}

// execCall executes the next statement of t, of which only the server knows
// what it does. Rows are committed together with its record; DDL, which ends the
// transaction, is recognised by what it did to the schema.
func (a *applier) execCall(ctx context.Context, t *todo) error {
	if err := a.recordDoubt(ctx, t); err != nil {
		return err
	}
	return a.execRows(ctx, t)
}

// execRows executes the next statement of t, one that changes rows only, and
// commits it together with its record.
func (a *applier) execRows(ctx context.Context, t *todo) error {
	tx, err := a.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After a commit it fails always, and without one the connection's end
	// rolls back all the same.
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, t.stmts[t.rev.Applied].Text); err != nil {
		return err
	}
	next := t.next()
	if err := a.write(ctx, next); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	t.rev = next
	return nil
}

// record writes that one more statement of t is applied.
func (a *applier) record(ctx context.Context, t *todo) error {
	next := t.next()
	if err := a.save(ctx, next); err != nil {
		return err
	}
	t.rev = next
	return nil
}

// save writes a record so that it stays, whatever a file set or began on the
// connection: autocommit = 0, a transaction.
func (a *applier) save(ctx context.Context, r *atlas.Revision) error {
	if err := a.write(ctx, r); err != nil {
		return err
	}
	if _, err := a.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return &recordError{err: err}
	}
	return nil
}

// next is the record of t once one more statement is applied.
func (t *todo) next() *atlas.Revision {
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

// failed records why the next statement of t did not run and returns the error
// to report.
func (a *applier) failed(ctx context.Context, t *todo, err error) error {
	e := stmtError(t.file, t.stmts, t.rev.Applied, t.rev.Applied, err)
	var refused *mysql.MySQLError
	var unrecorded *recordError
	if !errors.As(err, &refused) || errors.As(err, &unrecorded) {
		// Whether the statement took effect is not known: the record that
		// says so stays for the next apply.
		return e
	}
	t.rev.Error, t.rev.ErrorStmt = e.Err.Error(), e.Stmt
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.save(ctx, t.rev); err != nil {
		return errors.Join(e, err)
	}
	return e
}

// inDoubtPrefix begins the error of a statement while it runs; the fingerprint
// of the schema before it follows. It stays if the apply is cut off.
const inDoubtPrefix = "running, or cut off before its outcome was recorded; schema before it: "

// ranBefore reports whether the statement a record leaves in doubt took effect:
// it did if the schema is no longer what it was before the statement.
func (t *target) ranBefore(ctx context.Context, r *atlas.Revision) (bool, error) {
	before, ok := strings.CutPrefix(r.Error, inDoubtPrefix)
	if !ok {
		return false, nil
	}
	now, err := t.fingerprint(ctx)
	return err == nil && now != before, err
}

// autoIncrement is the one part of a definition that rows change.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// The server words definitions by these variables, and a file may set them.
const (
	plainWording = "SET @authgraph_sql_mode = @@sql_mode, @authgraph_time_zone = @@time_zone, " +
		"@authgraph_quote = @@sql_quote_show_create, @authgraph_results = @@character_set_results, " +
		"sql_mode = '', time_zone = '+00:00', sql_quote_show_create = 1, character_set_results = utf8mb4"
	ownWording = "SET sql_mode = @authgraph_sql_mode, time_zone = @authgraph_time_zone, " +
		"sql_quote_show_create = @authgraph_quote, character_set_results = @authgraph_results"
)

// fingerprint is a digest of everything in a database that DDL can change and
// that it does not change a second time. ALTER DATABASE may run twice.
func (t *target) fingerprint(ctx context.Context) (_ string, err error) {
	if _, err := t.conn.ExecContext(ctx, plainWording); err != nil {
		return "", fmt.Errorf("read the schema: %w", err)
	}
	defer func() {
		if _, rerr := t.conn.ExecContext(ctx, ownWording); err == nil && rerr != nil {
			err = fmt.Errorf("read the schema: %w", rerr)
		}
	}()
	h := sha256.New()
	type object struct{ name, kind string }
	var objects []object
	err = t.rows(ctx, "SHOW FULL TABLES", func(r []sql.NullString) {
		if r[0].String != RevisionsTable {
			objects = append(objects, object{r[0].String, r[1].String})
		}
	})
	if err != nil {
		return "", fmt.Errorf("read the schema: %w", err)
	}
	queries := []string{
		"SELECT 'TRIGGER', TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT " +
			"FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() " +
			"UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME, '', '', LAST_ALTERED, ROUTINE_DEFINITION " +
			"FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() " +
			"UNION ALL SELECT 'EVENT', EVENT_NAME, '', '', LAST_ALTERED, EVENT_DEFINITION " +
			"FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1, 2",
	}
	for _, o := range objects {
		kind := "TABLE"
		switch o.kind {
		case "VIEW":
			kind = "VIEW"
		case "SEQUENCE": // MariaDB
			kind = "SEQUENCE"
		}
		queries = append(queries, "SHOW CREATE "+kind+" `"+strings.ReplaceAll(o.name, "`", "``")+"`")
	}
	for _, q := range queries {
		if err := t.rows(ctx, q, func(r []sql.NullString) { hashRow(h, r) }); err != nil {
			return "", fmt.Errorf("read the schema: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashRow(h hash.Hash, row []sql.NullString) {
	for _, v := range row {
		fmt.Fprintf(h, "%q\x00", autoIncrement.ReplaceAllString(v.String, ""))
	}
}

// rows calls fn with each row of a query.
func (t *target) rows(ctx context.Context, query string, fn func([]sql.NullString)) error {
	return queryRows(ctx, t.conn, query, fn)
}

// queryRows calls fn with each row of a query.
func queryRows(ctx context.Context, conn *sql.Conn, query string, fn func([]sql.NullString), args ...any) (err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	row, dest := make([]sql.NullString, len(cols)), make([]any, len(cols))
	for i := range row {
		dest[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		fn(row)
	}
	return rows.Err()
}
