// Package adopt takes a MySQL or MariaDB database that Drizzle made of the ServerCN schema to this schema, with every
// row kept.
//
// It plans from what is there. It is no general differ: a database with a history of migrations goes on with those.
package adopt

import (
	"cmp"
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
	// Dir is the directory whose newest version the database is brought to; nil is the embedded one.
	Dir directory.Dir
	// Apply changes the database; without it nothing is written.
	Apply bool
	// NormalizeEmails rewrites addresses that are not normalised, which stand in the way otherwise.
	NormalizeEmails bool
	// RevisionsSchema is the schema that the history goes into, as in migrate.ApplyOptions.
	RevisionsSchema string
	// LockTimeout is how long to wait for another adopt or apply, and for a transaction that uses a table which is to
	// be altered; default 1 minute, in whole seconds.
	LockTimeout time.Duration
	// Progress, if set, is called before and after every statement and every batch of addresses, from one goroutine.
	Progress func(migrate.Progress)
}

// Adoption is what separates a database from this schema, and what [Run] did about it.
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
	// Passwords counts the users' by how they are hashed.
	Passwords []Passwords `json:"passwords,omitempty"`
	// Baselined is set if the history was there already.
	Baselined bool `json:"baselined,omitempty"`
	// Applied is set if the database was brought to Version.
	Applied bool `json:"applied"`
}

// Run takes a MySQL or MariaDB database that was made by the seed's Drizzle schema, whole or half migrated, to this
// schema, keeps every row, and writes a baseline into its history, so that [migrate.Apply] goes on from there. dev is
// an empty database on a server of the same kind and version, see [planner.Scratch].
//
// It compares what is there with what is wanted and plans what is missing, so after a cut at any point it goes on when
// it is called again. Every foreign key on a column that grows is dropped first, then each table is rebuilt by one
// ALTER TABLE, which is where other writers wait. In between, deleting a user does not delete what is theirs. Strict
// mode makes the server refuse what a column cannot hold, whenever it was written. The baseline is written last.
//
// Columns, indexes, checks and tables that are not of this schema stay; a column that refers to one of its keys grows
// with it. With Options.Apply it holds the lock of [migrate.Apply]. A database that is no such one is an [*Error], a
// dev database of another kind a [*planner.FlavourError]; rows in the way are an [*ObstacleError], returned with the
// Adoption that names them.
func Run(ctx context.Context, dev *planner.Dev, url string, opts Options) (_ *Adoption, err error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		return nil, &Error{Reason: OnSQLite}
	}
	if err := opts.complete(); err != nil {
		return nil, err
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
	store, err := history.Of(db, opts.RevisionsSchema)
	if err != nil {
		return nil, err
	}
	a := &adoption{db: db, dev: dev, store: store, opts: opts}
	if err := a.replay(ctx); err != nil {
		return nil, err
	}
	if opts.Apply {
		waiting := func() { opts.Progress(migrate.Progress{Waiting: true}) }
		held, unlock, err := store.Lock(ctx, opts.LockTimeout, waiting)
		if err != nil {
			return nil, err
		}
		ctx = held
		defer func() { err = errors.Join(err, unlock()) }()
	}
	return a.run(ctx)
}

// complete sets what was left out.
func (o *Options) complete() (err error) {
	if o.LockTimeout, err = history.CheckLockTimeout(o.LockTimeout); err != nil {
		return err
	}
	if o.Progress == nil {
		o.Progress = func(migrate.Progress) {}
	}
	if o.Dir != nil {
		return nil
	}
	embedded, err := migrate.Embedded(dialect.MySQL)
	if err != nil {
		return err
	}
	o.Dir, err = directory.Of(embedded)
	return err
}

// adoption is one call of [Run], with the newest file of its directory and the tables that this leads to.
type adoption struct {
	db     *atlasdb.DB
	dev    *planner.Dev
	store  history.Store
	opts   Options
	newest atlas.File
	want   map[string]*table
}

// replay finds out which tables the directory leads to on this server.
func (a *adoption) replay(ctx context.Context) error {
	files, err := a.opts.Dir.Files()
	if err == nil && len(files) == 0 {
		err = errors.New("it holds no migration")
	}
	if err != nil {
		return directory.Wrap(a.opts.Dir, err)
	}
	_, err = a.dev.Replay(ctx, func() error {
		for _, f := range files {
			if err := a.dev.Exec(ctx, f); err != nil {
				return err
			}
			a.newest = f
		}
		a.want, err = readTables(ctx, a.dev.DB())
		return err
	})
	if err != nil {
		return planner.ReplayOf(a.opts.Dir, err)
	}
	return nil
}

func (a *adoption) run(ctx context.Context) (*Adoption, error) {
	baselined, err := a.checkHistory(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.writable(ctx, p); err != nil {
		return nil, err
	}
	if err := a.rehearse(ctx, p); err != nil {
		return nil, err
	}
	addresses, err := search{a.db, p}.addresses(ctx, a.opts.NormalizeEmails)
	if err != nil {
		return nil, err
	}
	if err := a.rights(ctx, p, a.needs(p, addresses)); err != nil {
		return nil, err
	}
	passwords, err := search{a.db, p}.passwords(ctx)
	if err != nil {
		return nil, err
	}
	report := &Adoption{
		Version: a.newest.Version(), Baselined: baselined, Addresses: addresses, Passwords: passwords,
		// An empty list is one in JSON, too.
		Differences: append([]Difference{}, p.differences...), Obstacles: append([]Obstacle{}, p.obstacles...),
		Statements: append([]Statement{}, p.statements...),
	}
	if !a.opts.Apply {
		return report, nil
	}
	if n := len(report.Obstacles); n > 0 {
		return report, &ObstacleError{Obstacles: n}
	}
	if err := a.apply(ctx, p, report); err != nil {
		return report, err
	}
	report.Applied = true
	return report, nil
}

// checkHistory refuses a database that migrations were applied to. One that holds nothing but the baseline of the
// newest version may have been adopted before, or by hand.
func (a *adoption) checkHistory(ctx context.Context) (baselined bool, err error) {
	revs, err := a.store.Read(ctx)
	if err != nil || len(revs) == 0 {
		return false, err
	}
	var foreign *history.Error
	if err := history.Verify(a.opts.Dir, revs); errors.As(err, &foreign) && foreign.Reason == history.Foreign {
		return false, err
	}
	last := revs[len(revs)-1]
	if len(revs) == 1 && last.Type == atlas.RevisionTypeBaseline && last.Version == a.newest.Version() {
		return true, nil
	}
	return false, &Error{Reason: HasHistory, Version: last.Version}
}

// plan compares the database with what is wanted, and looks for rows that stand in the way.
func (a *adoption) plan(ctx context.Context) (*plan, error) {
	if err := a.isSeed(ctx); err != nil {
		return nil, err
	}
	if unreadable, err := badNames(ctx, a.db); err != nil || len(unreadable) > 0 {
		return &plan{obstacles: unreadable}, err
	}
	live, err := readTables(ctx, a.db)
	if err != nil {
		return nil, err
	}
	taken, err := a.namesTaken(ctx)
	if err != nil {
		return nil, err
	}
	if len(taken) > 0 {
		delete(live, notes)
	}
	noted, err := a.noted(ctx, live)
	if err != nil {
		return nil, err
	}
	p := newPlan(a.want, live, noted)
	p.obstacles = append(p.obstacles, taken...)
	if err := (search{a.db, p}).run(ctx); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.differences, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Table, b.Table),
			slices.Index(objects, a.Object)-slices.Index(objects, b.Object))
	})
	return p, nil
}

// noted are the foreign keys that an adoption has dropped, or was about to drop.
func (a *adoption) noted(ctx context.Context, live map[string]*table) (noted []part, err error) {
	if live[notes] == nil {
		return nil, nil
	}
	query := "SELECT table_name, definition FROM " + notes + " ORDER BY table_name, name"
	err = a.db.Rows(ctx, query, func(r []sql.NullString) {
		noted = append(noted, parse(r[0].String, r[1].String))
	})
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", notes, err)
	}
	return noted, nil
}

// forget drops the notes after a statement that was refused if every foreign key in them is still there, as far as that
// is possible: then nothing of this adoption stays.
func (a *adoption) forget(ctx context.Context) {
	live, err := readTables(ctx, a.db)
	if err != nil || live[notes] == nil {
		return
	}
	noted, err := a.noted(ctx, live)
	there := keysOf(live)
	gone := slices.ContainsFunc(noted, func(fk part) bool { return !slices.ContainsFunc(there, fk.sameKey) })
	if err == nil && !gone {
		_, _ = a.db.Conn.ExecContext(ctx, "DROP TABLE "+dbserver.Quote(notes)) // the first error is the one to show
	}
}

// namesTaken is an obstacle if the name of the notes is taken by something else.
func (a *adoption) namesTaken(ctx context.Context) ([]Obstacle, error) {
	found, err := dbserver.Objects(ctx, a.db.Conn, dialect.MySQL, []string{notes})
	if err != nil || len(found) == 0 || slices.Equal(found[0].Columns, []string{"table_name", "name", "definition"}) {
		return nil, err
	}
	return []Obstacle{{
		Table: notes, Kind: ObstacleStructure,
		Text: "the name is taken by a " + found[0].Kind + ", and adopt makes a table of this name for a while",
		Fix:  "rename it",
	}}, nil
}

// isSeed refuses a database in which a name of this schema is taken by something else than a table as the seed has it,
// and one without the table that the seed begins with.
func (a *adoption) isSeed(ctx context.Context) error {
	found, err := dbserver.Objects(ctx, a.db.Conn, dialect.MySQL, slices.Sorted(maps.Keys(a.want)))
	if err != nil {
		return err
	}
	first := dbserver.Object{Name: registry.Entities[0].Table}
	missing := a.want[first.Name] != nil
	for _, o := range found {
		missing = missing && o.Name != first.Name
		switch {
		case o.Kind == dbserver.KindVersioned && o.IsOurs():
			return &Error{Reason: Versioned, Object: o}
		case !o.IsOurs() && (o.Kind != dbserver.KindTable || o.Lacks() != nil):
			return &Error{Reason: Taken, Object: o}
		}
	}
	if missing {
		return &Error{Reason: Nothing, Object: first}
	}
	return nil
}

// writable names a database that is READ ONLY as an obstacle, as one of MySQL 8.0.22 and later can be.
func (a *adoption) writable(ctx context.Context, p *plan) error {
	if a.db.Flavour() != atlasdb.FlavourMySQL {
		return nil
	}
	query := "SELECT SCHEMA_NAME, OPTIONS FROM information_schema.SCHEMATA_EXTENSIONS WHERE SCHEMA_NAME = DATABASE()"
	err := a.db.Rows(ctx, query, func(r []sql.NullString) {
		if strings.Contains(r[1].String, "READ ONLY=1") {
			p.obstruct(Obstacle{
				Table: r[0].String, Kind: ObstacleStructure, Text: "the database is read-only",
				Fix: "ALTER DATABASE " + dbserver.Quote(r[0].String) + " READ ONLY = 0",
			})
		}
	})
	if answer(err) != nil {
		return nil // an older server has no such view
	}
	return err
}

func (a *adoption) apply(ctx context.Context, p *plan, report *Adoption) error {
	// An ALTER that waits for a long transaction keeps all others waiting, too.
	wait := fmt.Sprintf("SET lock_wait_timeout = %d", max(1, int(a.opts.LockTimeout/time.Second)))
	if _, err := a.db.Conn.ExecContext(ctx, wait); err != nil {
		return fmt.Errorf("prepare the connection: %w", err)
	}
	for _, table := range slices.Sorted(maps.Keys(report.Addresses)) {
		err := search{a.db, p}.normalize(ctx, table, report.Addresses[table], a.opts.Progress)
		if err != nil {
			return err
		}
	}
	n := len(report.Statements)
	for i, s := range report.Statements {
		progress := migrate.Progress{File: "adopt", Index: i + 1, Total: n, Step: i + 1, Steps: n, Stmt: s.SQL}
		a.opts.Progress(progress)
		began := time.Now()
		if _, err := a.db.Conn.ExecContext(ctx, s.SQL); err != nil {
			a.forget(ctx)
			return &StmtError{Index: i + 1, Total: n, Stmt: s.SQL, Err: dbserver.WithoutValue(err)}
		}
		progress.Done, progress.Duration = true, time.Since(began)
		a.opts.Progress(progress)
	}
	left, err := a.plan(ctx)
	if err != nil {
		return err
	}
	if len(left.obstacles)+len(left.statements) > 0 {
		return &LeftError{Obstacles: left.obstacles, Statements: left.statements}
	}
	if err := a.store.Create(ctx); err != nil {
		return err
	}
	return a.store.Save(ctx, history.Baseline(a.newest))
}
