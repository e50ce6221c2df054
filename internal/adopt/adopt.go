// Package adopt takes a MySQL or MariaDB database that Drizzle made of the ServerCN schema to this schema, with every row
// kept.
//
// It plans from what is there. It is no general differ: a database with a history of migrations goes on with those.
package adopt

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/migrate"
)

// Options configure [Run]. The zero value only reports.
type Options struct {
	// Dir is the directory whose newest version the database is brought to; nil
	// is the embedded one.
	Dir directory.Dir
	// Apply changes the database; without it nothing is written.
	Apply bool
	// NormalizeEmails rewrites addresses that are not normalised, which stand in
	// the way otherwise.
	NormalizeEmails bool
	// LockTimeout is how long to wait for another adopt or apply, and for a
	// transaction that uses a table which is to be altered; default 1 minute,
	// in whole seconds.
	LockTimeout time.Duration
	// Progress, if set, is called before and after every statement and every
	// batch of addresses. It is called from one goroutine.
	Progress func(migrate.Progress)
}

// Adoption is what separates a database from this schema, and what [Run] did
// about it.
type Adoption struct {
	// Version is the one that the database is taken to be at afterwards.
	Version string `json:"version"`
	// Differences are all that was found, those that stay included.
	Differences []Difference `json:"differences"`
	// Obstacles are what has to be put right first.
	Obstacles []Obstacle `json:"obstacles"`
	// Statements lead from the database to this schema.
	Statements []Statement `json:"statements"`
	// Addresses counts those that are not normalised, by table.
	Addresses map[string]int64 `json:"addresses,omitempty"`
	// Baselined is set if the history was there already.
	Baselined bool `json:"baselined,omitempty"`
	// Applied is set if the database was brought to Version.
	Applied bool `json:"applied"`
}

// Error is a database that cannot be adopted, whatever its rows are.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

// ObstacleError is a database that was left as it was, because of what the
// [Adoption] names.
type ObstacleError struct{ Obstacles int }

func (e *ObstacleError) Error() string {
	return fmt.Sprintf("%d obstacles stand in the way, nothing was changed: put them right first", e.Obstacles)
}

// Run takes a MySQL or MariaDB database that was made by the seed's Drizzle
// schema, whole or half migrated, to this schema, keeps every row, and writes a
// baseline into its history, so that [Apply] goes on from there. dev is an empty
// database on a server of the same kind and version, see [Scratch].
//
// It compares what is there with what is wanted and plans what is missing, so
// after a cut at any point it goes on when it is called again. Every foreign key
// on a column that grows is dropped first, then each table is rebuilt by one
// ALTER TABLE, which is where other writers wait. In between, deleting a user
// does not delete what is theirs. Strict mode makes the server refuse what a column
// cannot hold, whenever it was written. The baseline is written last.
//
// Columns, indexes, checks and tables that are not of this schema stay; a column
// that refers to one of its keys grows with it. With Options.Apply it holds
// the lock of [Apply]. A database that is no such one is an [*Error], a dev
// database of another kind a [*FlavourError]; rows in the way are an
// [*ObstacleError], returned with the Adoption that names them.
func Run(ctx context.Context, dev *planner.Dev, url string, opts Options) (_ *Adoption, err error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		return nil, &Error{"adopt is for MySQL and MariaDB, on which the tables of the ServerCN schema are made: on SQLite start with authgraph migrate apply (migrate.Apply)"}
	}
	if opts.LockTimeout, err = history.LockTimeout(opts.LockTimeout); err != nil {
		return nil, err
	}
	if opts.Progress == nil {
		opts.Progress = func(migrate.Progress) {}
	}
	if opts.Dir == nil {
		embedded, err := migrate.Embedded(u.Dialect)
		if err != nil {
			return nil, err
		}
		if opts.Dir, err = directory.Of(embedded); err != nil {
			return nil, err
		}
	}
	db, err := atlasdb.Open(ctx, u)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if live := db.Flavour(); live != dev.Flavour() {
		return nil, &planner.FlavourError{URL: u.String(), Flavour: live, Dev: dev.Flavour()}
	}
	if err := directory.Validate(opts.Dir); err != nil {
		return nil, err
	}
	if err := db.Prepare(ctx); err != nil {
		return nil, err
	}
	a := &adopter{db: db, store: history.Store{DB: db}, opts: opts}
	if a.newest, err = newestFile(opts.Dir); err != nil {
		return nil, err
	}
	if a.want, err = tables(ctx, dev, opts.Dir); err != nil {
		return nil, err
	}
	if opts.Apply {
		unlock, err := history.Lock(ctx, db, opts.LockTimeout, func() { opts.Progress(migrate.Progress{Waiting: true}) })
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	return a.adopt(ctx)
}

type adopter struct {
	db     *atlasdb.DB
	store  history.Store
	opts   Options
	newest atlas.File
	want   map[string]*tableDef
}

func newestFile(dir directory.Dir) (atlas.File, error) {
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	if len(files) == 0 {
		return nil, directory.Wrap(dir, errors.New("it holds no migration"))
	}
	return files[len(files)-1], nil
}

// tables are the definitions that the directory leads to on this server.
func tables(ctx context.Context, d *planner.Dev, dir directory.Dir) (want map[string]*tableDef, err error) {
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	_, err = d.Replay(ctx, func() error {
		for _, f := range files {
			if err := d.Exec(ctx, f); err != nil {
				return err
			}
		}
		want, err = readTables(ctx, d.DB())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("replay the directory: %w", err)
	}
	return want, nil
}

func (a *adopter) adopt(ctx context.Context) (*Adoption, error) {
	report := &Adoption{Version: a.newest.Version()}
	var err error
	if report.Baselined, err = a.checkHistory(ctx); err != nil {
		return nil, err
	}
	plan, err := a.compare(ctx)
	if err != nil {
		return nil, err
	}
	check := &dataCheck{adoptPlan: plan, db: a.db}
	if err := check.find(ctx); err != nil {
		return nil, err
	}
	if report.Addresses, err = check.addresses(ctx, a.opts.NormalizeEmails); err != nil {
		return nil, err
	}
	report.Differences, report.Obstacles, report.Statements = notNil(plan.differences), notNil(plan.obstacles), notNil(plan.statements)
	if !a.opts.Apply {
		return report, nil
	}
	if n := len(report.Obstacles); n > 0 {
		return report, &ObstacleError{Obstacles: n}
	}
	if err := a.apply(ctx, plan, report); err != nil {
		return report, err
	}
	report.Applied = true
	return report, nil
}

// notNil makes an empty list of none, for JSON.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// checkHistory refuses a database that migrations were applied to. One that
// holds nothing but the baseline of the newest version may have been adopted
// before, or by hand.
func (a *adopter) checkHistory(ctx context.Context) (baselined bool, err error) {
	revs, err := a.store.Read(ctx)
	if err != nil || len(revs) == 0 {
		return false, err
	}
	last := revs[len(revs)-1]
	var foreign *history.Error
	if err := history.Verify(a.opts.Dir, revs); errors.As(err, &foreign) && foreign.Reason == history.Foreign {
		return false, err
	}
	if len(revs) == 1 && last.Type == atlas.RevisionTypeBaseline && last.Version == a.newest.Version() {
		return true, nil
	}
	return false, &Error{fmt.Sprintf("the database has a history of migrations, up to version %s: there is nothing to adopt, go on with authgraph migrate status and authgraph migrate apply", last.Version)}
}

// compare reads the database and plans.
func (a *adopter) compare(ctx context.Context) (*adoptPlan, error) {
	if err := a.isSeed(ctx); err != nil {
		return nil, err
	}
	live, err := readTables(ctx, a.db)
	if err != nil {
		return nil, err
	}
	var noted []foreignKey
	if live[adoptNotes] != nil {
		err := a.db.Rows(ctx, "SELECT table_name, name, definition FROM "+adoptNotes+" ORDER BY 1, 2", func(r []sql.NullString) {
			if fk, ok := parseForeign(r[0].String, part{r[1].String, r[2].String}); ok {
				noted = append(noted, fk)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", adoptNotes, err)
		}
	}
	return planAdopt(a.want, live, noted), nil
}

// isSeed refuses a database in which a name of this schema is taken by something
// else than a table as the seed has it, and one without users.
func (a *adopter) isSeed(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(a.want))
	found, err := dbserver.Objects(ctx, a.db.Conn, dialect.MySQL, names)
	if err != nil {
		return err
	}
	users := false
	for _, o := range found {
		switch {
		case o.Kind == dbserver.KindVersioned && o.IsOurs():
			return &Error{fmt.Sprintf("table %s is system-versioned, which this schema is not: ALTER TABLE %s DROP SYSTEM VERSIONING first, with which its old rows go", o.Name, dbserver.Quote(o.Name))}
		case o.IsOurs():
		case o.Kind != dbserver.KindTable, o.Lacks() != nil:
			return &Error{fmt.Sprintf("%s, not the table of the ServerCN schema%s: rename it, or use another database with authgraph migrate apply (migrate.Apply)", o, lacking(o))}
		}
		users = users || o.Name == "users"
	}
	if !users && a.want["users"] != nil {
		return &Error{"the database has no table users, so there is nothing to adopt: make the tables with authgraph migrate apply (migrate.Apply)"}
	}
	return nil
}

// lacking names some of the columns by which a table would be the seed's.
func lacking(o dbserver.Object) string {
	missing := o.Lacks()
	if o.Kind != dbserver.KindTable {
		return ""
	}
	return ", which has " + strings.Join(missing[:min(3, len(missing))], ", ")
}

func (a *adopter) apply(ctx context.Context, plan *adoptPlan, report *Adoption) error {
	// An ALTER that waits for a long transaction keeps all others waiting, too.
	if _, err := a.db.Conn.ExecContext(ctx, fmt.Sprintf("SET lock_wait_timeout = %d", max(1, int(a.opts.LockTimeout/time.Second)))); err != nil {
		return fmt.Errorf("prepare the connection: %w", err)
	}
	for _, table := range registry.With(addressColumn) {
		if n := report.Addresses[table]; n > 0 {
			if err := a.normalize(ctx, plan.live[table], addressColumn, n); err != nil {
				return fmt.Errorf("normalise the addresses of table %s: %w", table, err)
			}
		}
	}
	for i, s := range report.Statements {
		p := migrate.Progress{File: "adopt", Index: i + 1, Total: len(report.Statements), Step: i + 1, Steps: len(report.Statements), Stmt: s.SQL}
		a.opts.Progress(p)
		began := time.Now()
		if _, err := a.db.Conn.ExecContext(ctx, s.SQL); err != nil {
			return &StmtError{Index: i + 1, Total: len(report.Statements), Stmt: s.SQL, Err: dbserver.WithoutValue(err)}
		}
		p.Done, p.Duration = true, time.Since(began)
		a.opts.Progress(p)
	}
	rest, err := a.compare(ctx)
	if err != nil {
		return err
	}
	if len(rest.statements) > 0 {
		return fmt.Errorf("the database still differs, because the server words something else than it was told or somebody else changes it: %s", rest.statements[0].SQL)
	}
	left := &dataCheck{adoptPlan: rest, db: a.db}
	if err := left.findZeros(ctx); err != nil {
		return err
	}
	if len(left.obstacles)+len(left.statements) > 0 {
		return errors.New("somebody wrote the time 0000-00-00 meanwhile: run authgraph adopt (Adopt) again")
	}
	return a.baseline(ctx)
}

// baseline writes the version into the history, as [Apply] would with
// [ApplyOptions.Baseline].
func (a *adopter) baseline(ctx context.Context) error {
	if err := a.store.Create(ctx); err != nil {
		return err
	}
	return a.store.Save(ctx, history.Baseline(a.newest))
}

// StmtError is a statement of an adoption that the database refused, or
// whose outcome is not known. Those before it stay done.
type StmtError struct {
	// Index is the statement's number, from 1, of Total.
	Index, Total int
	Stmt         string
	// Err is the database's answer. Its text holds no value of a row; the
	// driver's error, to which errors.As leads, may.
	Err error
}

func (e *StmtError) Error() string {
	first, _, _ := strings.Cut(e.Stmt, "\n")
	return fmt.Sprintf("statement %d of %d (%s …) failed, those before it stay done: %v", e.Index, e.Total, first, e.Err)
}

func (e *StmtError) Unwrap() error { return e.Err }

// normalize rewrites addresses batch by batch, each row only if it still is
// what was read, and leaves the times of the row's last update alone.
func (a *adopter) normalize(ctx context.Context, live *tableDef, column string, total int64) error {
	table := live.name
	kept := ""
	for _, name := range live.onUpdate() {
		kept += ", r." + dbserver.Quote(name) + " = r." + dbserver.Quote(name)
	}
	var batch []address
	done := 0
	flush := func() error {
		p := migrate.Progress{File: "addresses of " + table, Index: done + len(batch), Total: int(max(total, int64(done+len(batch))))}
		a.opts.Progress(p)
		began := time.Now()
		if err := a.rewrite(ctx, table, column, kept, batch); err != nil {
			return err
		}
		done += len(batch)
		batch = batch[:0]
		p.Done, p.Duration = true, time.Since(began)
		a.opts.Progress(p)
		return nil
	}
	err := addresses(ctx, a.db, table, column, func(id int64, email string) {
		if now := schematype.NormalizeEmail(email); now != email {
			batch = append(batch, address{id, email, now})
		}
	}, func() error {
		if len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return flush()
}

// address is a row whose address is not normalised.
type address struct {
	id       int64
	was, now string
}

// rewrite updates a batch with one statement, which also sets what is kept.
func (a *adopter) rewrite(ctx context.Context, table, column, kept string, batch []address) error {
	var rows []string
	var args []any
	for _, r := range batch {
		rows = append(rows, "SELECT ? AS id, ? AS was, ? AS now")
		args = append(args, r.id, r.was, r.now)
	}
	q := "r." + dbserver.Quote(column)
	_, err := a.db.Conn.ExecContext(ctx, "UPDATE "+dbserver.Quote(table)+" AS r JOIN ("+strings.Join(rows, " UNION ALL ")+") AS v ON v.id = r.id SET "+q+" = v.now"+kept+
		" WHERE CONVERT("+q+" USING utf8mb4) COLLATE utf8mb4_bin = v.was", args...)
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && refused.Number == duplicateKey {
		if len(batch) > 1 {
			for i := range batch {
				if err := a.rewrite(ctx, table, column, kept, batch[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("row %d: the table's collation takes its address for that of another row: change one of the two", batch[0].id)
	}
	if err != nil {
		return dbserver.WithoutValue(err)
	}
	return nil
}

// duplicateKey is the server's error for a row that a unique index refuses.
const duplicateKey = 1062
