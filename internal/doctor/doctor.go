// Package doctor checks a live database that the tables of the auth graph live
// in, or are to live in: the server, the tables and the rows. It finds and says
// what to do; it changes nothing. The transactions it reads in are read-only, so
// the database itself would refuse a write; the one thing it makes is the scratch
// database in which migrations are replayed.
//
//	findings, err := doctor.Run(ctx, url, doctor.Options{})
//
// The checks stand in [checks]; those of the server are in server.go, of a SQLite
// file in file.go, of the tables in schema.go and of the rows in data.go.
package doctor

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
)

// Severity is how much a finding matters.
type Severity string

// The severities, gravest first.
const (
	// Error is what is wrong, or will be soon.
	Error Severity = "error"
	// Warning is what can go wrong, and what could not be checked.
	Warning Severity = "warning"
	// Info is what one should know and may have decided.
	Info Severity = "info"
	// OK is what was looked at and found right.
	OK Severity = "ok"
)

var severities = []Severity{Error, Warning, Info, OK}

// Finding is what one check found.
type Finding struct {
	// Code is the name of the check; it stays the same.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Text is what was found, in one line. It holds no secret and no address
	// of a user.
	Text string `json:"text"`
	// Fix is what to do, often a command or a statement.
	Fix string `json:"fix,omitempty"`
	// Unchecked is set where the check could not be made; Text says why.
	Unchecked bool `json:"unchecked,omitempty"`
}

// Options configure [Run].
type Options struct {
	// Dir is the migration directory; nil is the embedded one.
	Dir directory.Dir
	// Dev opens the empty database in which it is replayed; default
	// [planner.Scratch] beside the database that is checked.
	Dev func(context.Context) (*planner.Dev, error)
	// Config is that of the services on the database, without keys. Its Clock
	// is this machine's.
	Config auth.Config
	// Connections is how many the services open together; default 25, the
	// pool of one process.
	Connections int
	// Timeout ends a check, and on a server each of its statements; default
	// 30 s.
	Timeout time.Duration
	// Progress, if set, is called before every check.
	Progress func(code string, n, total int)
}

// check is one thing that is looked at.
type check struct {
	code string
	// engine is the dialect it is for; empty for all.
	engine string
	// tables is set if there is nothing to look at before there are tables.
	tables bool
	// about, advice and source are its row in docs/doctor.md.
	about, advice, source string
	run                   func(context.Context, *database) ([]Finding, error)
}

// database is the one that is checked.
type database struct {
	Options
	url *dburl.URL
	// raw is its address for packages that open it themselves, on a server one
	// who only reads; given is the one it came from, which may write.
	raw, given string
	// db reads in read-only transactions whose statements end by themselves.
	db *sql.DB
	// now is when the run began.
	now time.Time

	maria   bool
	release string // what the server calls its version
	comment string // what it says beside it
	version version

	// files are what there was of a SQLite database before it was opened.
	files []file
	// tables are those of the auth graph that are there.
	tables []string
	// history is what the check of the migrations read; nil if it could not.
	history *status
	// extra is what the check of drift found that no migration makes; nil if it
	// could not compare.
	extra map[object]bool
	// grants are what [database.rights] read.
	grants grants
}

// Run checks the database at rawURL and returns what it found, gravest first. The
// error is one of reaching the database, or that of ctx: a check that fails is a
// finding.
func Run(ctx context.Context, rawURL string, opts Options) ([]Finding, error) {
	opts.complete()
	d, err := open(ctx, rawURL, opts)
	if err != nil {
		return nil, err
	}
	defer d.db.Close()
	var todo []check
	for _, c := range checks {
		if (c.engine == "" || c.engine == d.url.Dialect) && !(c.tables && len(d.tables) == 0) {
			todo = append(todo, c)
		}
	}
	var found []Finding
	for i, c := range todo {
		opts.Progress(c.code, i+1, len(todo))
		found = append(found, d.check(ctx, c)...)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("check %s: %w", c.code, ctx.Err())
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return found, nil
}

// complete sets what was left out.
func (o *Options) complete() {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Connections = cmp.Or(o.Connections, 25)
	if o.Config.Clock == nil {
		o.Config.Clock = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
}

// check makes one check. That it fails is a finding, too.
func (d *database) check(ctx context.Context, c check) []Finding {
	within, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	found, err := c.run(within, d)
	if err != nil {
		found = append(found, d.unchecked(within, err))
	}
	for i := range found {
		found[i].Code = c.code
	}
	return found
}

// Server errors that say why a check could not be made (MySQL and MariaDB, Server
// Error Message Reference).
const (
	erTableAccessDenied    = 1142
	erSpecificAccessDenied = 1227
	erQueryInterrupted     = 1317
	erStatementTimeout     = 1969 // MariaDB
	erQueryTimeout         = 3024 // MySQL
)

func (d *database) unchecked(ctx context.Context, err error) Finding {
	f := Finding{Severity: Warning, Text: "could not be checked: " + err.Error(), Unchecked: true}
	if number := serverError(err); errors.Is(ctx.Err(), context.DeadlineExceeded) || number == erStatementTimeout || number == erQueryTimeout || number == erQueryInterrupted {
		f.Text = fmt.Sprintf("could not be checked: it took longer than %s", d.Timeout)
		f.Fix = "give it more time with --timeout, or look at an hour with less traffic"
	}
	return f
}

// serverError is the number of a server's error; 0 for any other error.
func serverError(err error) uint16 {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) {
		return refused.Number
	}
	return 0
}

// found makes a finding.
func found(s Severity, fix, format string, args ...any) Finding {
	return Finding{Severity: s, Text: fmt.Sprintf(format, args...), Fix: fix}
}

// ok makes the finding of a check that found nothing wrong.
func ok(format string, args ...any) []Finding { return []Finding{found(OK, "", format, args...)} }

func open(ctx context.Context, raw string, opts Options) (*database, error) {
	u, err := dburl.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := u.NeedDatabase(); err != nil {
		return nil, err
	}
	if err := keepPassword(u); err != nil {
		return nil, err
	}
	d := &database{Options: opts, url: u, raw: raw, given: raw, now: opts.Config.Clock().UTC()}
	if u.Dialect == dialect.SQLite {
		err = d.openFile(ctx)
	} else {
		err = d.openServer(ctx)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *database) openFile(ctx context.Context) error {
	err := d.lookBeside()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database %s: make it with authgraph migrate apply", d.url)
	}
	if err != nil {
		return err
	}
	if d.db, err = d.url.ReadOnly().Connect(ctx); err != nil {
		return err
	}
	if err := d.db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&d.release); err != nil {
		d.db.Close()
		return fmt.Errorf("%s: %w", d.url, err)
	}
	if err := d.findTables(ctx, d.db); err != nil {
		d.db.Close()
		return err
	}
	return nil
}

// openServer asks which server it is, and connects again as one who only reads
// and whose statements the server itself ends.
func (d *database) openServer(ctx context.Context) error {
	first, err := d.url.Connect(ctx)
	if text := exposed(d.url); err != nil && text != "" && ctx.Err() == nil {
		err = fmt.Errorf("%w (and %s: %s)", err, text, verifyServer)
	}
	if err != nil {
		return err
	}
	defer first.Close()
	if err := first.QueryRowContext(ctx, "SELECT VERSION(), @@version_comment").Scan(&d.release, &d.comment); err != nil {
		return fmt.Errorf("%s: ask for the version: %w", d.url, err)
	}
	if err := d.findTables(ctx, first); err != nil {
		return err
	}
	d.version, d.maria = parseVersion(d.release)
	d.raw = dburl.SetParameters(d.raw, d.session())
	u, err := dburl.Parse(d.raw)
	if err != nil {
		return err
	}
	d.db, err = u.Connect(ctx)
	return err
}

// session are the variables of a connection that only reads, whose statements the
// server itself ends. What an old server does not know is left out, so that the
// checks get to say that it is old.
func (d *database) session() url.Values {
	set := url.Values{
		"transaction_read_only": nil, "tx_read_only": nil, "max_execution_time": nil, "max_statement_time": nil,
		"information_schema_stats_expiry": nil,
	}
	switch {
	case d.maria:
		set.Set("tx_read_only", "1")
		set.Set("max_statement_time", fmt.Sprintf("%.3f", max(0.001, d.Timeout.Seconds())))
	case d.version.before(version{8, 0, 0}):
		set.Set("tx_read_only", "1")
		if !d.version.before(version{5, 7, 8}) {
			set.Set("max_execution_time", fmt.Sprint(max(1, d.Timeout.Milliseconds())))
		}
	default:
		set.Set("transaction_read_only", "1")
		set.Set("max_execution_time", fmt.Sprint(max(1, d.Timeout.Milliseconds())))
		// The next id is otherwise what it was up to a day ago.
		set.Set("information_schema_stats_expiry", "0")
	}
	return set
}

// findTables finds the tables of the auth graph, of which a project may have
// installed only some.
func (d *database) findTables(ctx context.Context, db *sql.DB) (err error) {
	if d.tables, err = dbserver.Tables(ctx, db, d.url.Dialect, registry.Tables()); err != nil {
		return fmt.Errorf("%s: %w", d.url, err)
	}
	return nil
}

// with are the tables that are there and that have a column in the schema.
func (d *database) with(column string) []string {
	return slices.DeleteFunc(registry.With(column), func(table string) bool { return !slices.Contains(d.tables, table) })
}

// inTables is a condition on a column that names one of the tables.
func (d *database) inTables(column string) string {
	return column + " IN ('" + strings.Join(d.tables, "', '") + "')"
}

// each calls row for every row of a query, after its columns were read into dest.
func each(ctx context.Context, db dbserver.Queryer, query string, dest []any, row func()) (err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row()
	}
	return rows.Err()
}

// list is the one column of a query.
func list(ctx context.Context, db dbserver.Queryer, query string) (values []string, err error) {
	var value string
	err = each(ctx, db, query, []any{&value}, func() { values = append(values, value) })
	return values, err
}

// quote is a name in a statement.
func quote(name string) string { return dbserver.Quote(name) }

// enumerate is a list for a reader, at most six of it.
func enumerate(names []string) string {
	const most = 6
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// period rounds a duration to what a reader wants to know.
func period(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*365*day:
		return fmt.Sprintf("%d years", d/(365*day))
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	default:
		return d.Round(time.Millisecond).String()
	}
}

func plural(n int, noun string) string { return english.Count(n, noun) }
