package doctor

import (
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

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
)

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

	// account is the one that the server took the user for.
	account string

	// files are what there was of a SQLite database before it was opened.
	files []file
	// tables are those of the auth graph that are there.
	tables []string
	// history is what the check of the migrations read; nil if it could not.
	history *status
	// extra is what the check of drift found that no migration makes; nil if it could not compare.
	extra map[object]bool
	// grants are what [database.rights] read, from the lines granted.
	grants  grants
	granted []string
}

// serverError is the number of a server's error; 0 for any other error.
func serverError(err error) uint16 {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) {
		return refused.Number
	}
	return 0
}

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
		return fmt.Errorf("there is no database %s: make it with %s", d.url, d.Command("migrate apply"))
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
	if err := first.QueryRowContext(ctx, "SELECT VERSION(), @@version_comment, CURRENT_USER()").
		Scan(&d.release, &d.comment, &d.account); err != nil {
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

// session are the variables of a connection that only reads, whose statements the server itself ends. What an old
// server does not know is left out, so that the checks get to say that it is old.
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

// findTables finds the tables of the auth graph, of which a project may have installed only some.
func (d *database) findTables(ctx context.Context, db *sql.DB) (err error) {
	if d.tables, err = dbserver.Tables(ctx, db, d.url.Dialect, d.Users.Tables()); err != nil {
		return fmt.Errorf("%s: %w", d.url, err)
	}
	return nil
}

// with are the tables that are there and that have a column in the schema.
func (d *database) with(column string) []string {
	return slices.DeleteFunc(
		d.Users.With(column),
		func(table string) bool { return !slices.Contains(d.tables, table) },
	)
}

// inTables is a condition on a column that names one of the tables.
func (d *database) inTables(column string) string {
	return column + " IN ('" + strings.Join(d.tables, "', '") + "')"
}

// inOurs is the same, without the table of a project that its users are in.
func (d *database) inOurs(column string) string {
	if d.Users == nil {
		return d.inTables(column)
	}
	return d.inTables(column) + " AND " + column + " <> '" + d.Users.Table() + "'"
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
