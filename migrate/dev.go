package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
	driver "github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
)

// Dev is an empty database in which migrations are tried out: directories and
// schemas are replayed there to learn what they lead to. It is left empty.
// A Dev must not be used by two goroutines at once.
type Dev struct {
	url  *dburl.URL
	db   *sql.DB
	conn *sql.Conn
	drv  atlas.Driver
	drop func(context.Context) error
	// live is set if the database is in use and must stay as it is.
	live bool
}

// OpenDev opens the database at url, which must be empty.
func OpenDev(ctx context.Context, url string) (*Dev, error) {
	u, err := parse(url)
	if err != nil {
		return nil, err
	}
	d, err := openDev(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := d.isEmpty(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dev database %s: %w", u, err), d.Close())
	}
	return d, nil
}

// Scratch makes a database of its own beside the one at url, whose database
// name may be left out, and opens it: on a server a database
// authgraph_dev_…, for which the user needs the right to create and drop
// databases of that name; for SQLite a file in the folder for temporary files.
// [Dev.Close] drops it.
func Scratch(ctx context.Context, url string) (*Dev, error) {
	u, err := dburl.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		return scratchFile(ctx)
	}
	server := u.WithDatabase("")
	db, err := server.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepareOne(ctx, server, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	// The name says when it was made: one that was left over shows its age.
	name := fmt.Sprintf("authgraph_dev_%08x_%s", time.Now().Unix(), hex.EncodeToString(id[:]))
	drop := func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS `"+name+"`")
		if err != nil {
			err = fmt.Errorf("drop the scratch database %s: %w", name, err)
		}
		return errors.Join(err, db.Close())
	}
	// The character set is that of the tables, so that a default of the
	// server does not show up in a plan.
	if _, err := db.ExecContext(ctx, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		err = fmt.Errorf("make a scratch database on %s (or name an empty one: OpenDev, --dev-url): %w", server, err)
		var refused *driver.MySQLError
		if errors.As(err, &refused) {
			return nil, errors.Join(err, db.Close())
		}
		return nil, errors.Join(err, dropIn(ctx, drop)) // it may have been made all the same
	}
	d, err := openDev(ctx, u.WithDatabase(name))
	if err != nil {
		return nil, errors.Join(err, dropIn(ctx, drop))
	}
	d.drop = drop
	return d, nil
}

// prepareOne asks on one connection whether tables can be made on the server.
func prepareOne(ctx context.Context, server *dburl.URL, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(prepare(ctx, server, conn), closeConn(conn))
}

func scratchFile(ctx context.Context) (*Dev, error) {
	folder, err := os.MkdirTemp("", "authgraph_dev_")
	if err != nil {
		return nil, err
	}
	drop := func(context.Context) error { return os.RemoveAll(folder) }
	// Without the parameters of the other file, which may be one to read only.
	u, err := dburl.Parse("sqlite://scratch")
	if err != nil {
		return nil, errors.Join(err, drop(ctx))
	}
	d, err := openDev(ctx, u.WithDatabase(filepath.Join(folder, "dev.db")))
	if err != nil {
		return nil, errors.Join(err, drop(ctx))
	}
	d.drop = drop
	return d, nil
}

func openDev(ctx context.Context, u *dburl.URL) (*Dev, error) {
	db, err := u.Connect(ctx)
	if err != nil {
		return nil, err
	}
	// One connection: a file may set session variables for its later statements.
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	drv, err := openDriver(ctx, u.Dialect, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	return &Dev{url: u, db: db, conn: conn, drv: drv}, nil
}

// Close closes the database and drops it if [Scratch] made it. It does so also
// when the context the database was opened with is cancelled.
func (d *Dev) Close() error {
	err := errors.Join(closeConn(d.conn), d.db.Close())
	if d.drop != nil {
		err = errors.Join(err, dropIn(context.Background(), d.drop))
	}
	return err
}

// dropIn gives clean-up its own time: it has to work after a Ctrl-C.
func dropIn(ctx context.Context, drop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return drop(ctx)
}

// Dialect is dialect.MySQL (for MariaDB too) or dialect.SQLite.
func (d *Dev) Dialect() string { return d.url.Dialect }

// replay runs fn on the empty database, inspects what it made and empties the
// database again.
func (d *Dev) replay(ctx context.Context, fn func() error) (_ *schema.Schema, err error) {
	if d.live {
		return nil, fmt.Errorf("nothing is replayed on %s, which is in use: open a dev database (OpenDev, Scratch)", d.url)
	}
	if err := d.isEmpty(ctx); err != nil {
		return nil, err
	}
	if err := prepare(ctx, d.url, d.conn); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, dropIn(ctx, d.empty))
	}()
	if err := fn(); err != nil {
		return nil, err
	}
	return d.inspect(ctx)
}

// others lists what Atlas neither inspects nor drops.
var others = map[string]string{
	dialect.MySQL: "SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() " +
		"UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() " +
		"UNION ALL SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()",
	dialect.SQLite: "SELECT 'VIEW', name FROM sqlite_master WHERE type = 'view' " +
		"UNION ALL SELECT 'TABLE', name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual'",
}

// empty drops everything, on a new connection: the old one may be cut off, and
// what a file set for it must not reach the next replay.
func (d *Dev) empty(ctx context.Context) error {
	_ = d.conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // has it closed instead of used again
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	d.conn = conn
	if d.drv, err = openDriver(ctx, d.Dialect(), conn); err != nil {
		return err
	}
	if err := d.dropOthers(ctx); err != nil {
		return err
	}
	have, err := d.inspect(ctx)
	if err != nil {
		return err
	}
	none := schema.New(have.Name)
	none.Attrs = have.Attrs
	drops, err := d.drv.SchemaDiff(have, none)
	if err != nil {
		return err
	}
	return d.drv.ApplyChanges(ctx, drops)
}

func (d *Dev) dropOthers(ctx context.Context) error {
	drops, err := d.listOthers(ctx)
	for _, drop := range drops {
		if err == nil {
			_, err = d.conn.ExecContext(ctx, drop)
		}
	}
	return err
}

// listOthers returns the statements that drop the others.
func (d *Dev) listOthers(ctx context.Context) (drops []string, err error) {
	rows, err := d.conn.QueryContext(ctx, others[d.Dialect()])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, err
		}
		drops = append(drops, "DROP "+kind+" `"+strings.ReplaceAll(name, "`", "``")+"`")
	}
	return drops, rows.Err()
}

func (d *Dev) inspect(ctx context.Context) (*schema.Schema, error) {
	s, err := d.drv.InspectSchema(ctx, "", nil)
	if err != nil || d.Dialect() == dialect.SQLite {
		return s, err
	}
	return s, d.markHidden(ctx, s)
}

// exec runs the statements of a file one by one.
func (d *Dev) exec(ctx context.Context, f atlas.File) error {
	stmts, err := statements(d.drv, f)
	if err != nil {
		return err
	}
	for i, stmt := range stmts {
		if _, err := d.conn.ExecContext(ctx, stmt.Text); err != nil {
			return stmtError(f, stmts, i, i, err)
		}
	}
	return nil
}

// replayDir is the schema that the migrations of a directory lead to.
func (d *Dev) replayDir(ctx context.Context, dir Dir) (*schema.Schema, error) {
	files, err := dir.Files()
	if err != nil {
		return nil, dirError(dir, err)
	}
	s, err := d.replayFiles(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("replay the directory: %w", err)
	}
	return s, nil
}

func (d *Dev) replayFiles(ctx context.Context, files []atlas.File) (*schema.Schema, error) {
	return d.replay(ctx, func() error {
		for _, f := range files {
			if err := d.exec(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func parse(url string) (*dburl.URL, error) {
	u, err := dburl.Parse(url)
	if err != nil {
		return nil, err
	}
	return u, u.NeedDatabase()
}

// checksOn, in a SET, has the server look at the rows when a key or a check is
// added to a table, also where a file turned that off before on the connection. MySQL
// takes what only MariaDB has for a comment.
const checksOn = "foreign_key_checks = 1, unique_checks = 1 /*M!100201 , check_constraint_checks = 1 */"

func openDriver(ctx context.Context, name string, conn schema.ExecQuerier) (atlas.Driver, error) {
	if name == dialect.SQLite {
		return openSQLite(conn)
	}
	if _, err := conn.ExecContext(ctx, "SET "+checksOn); err != nil {
		return nil, fmt.Errorf("prepare the connection: %w", err)
	}
	return mysql.Open(legibleColumns{conn})
}

// legibleColumns has Atlas (v1.3.0, parseExtra) read a column that SELECT * leaves
// out as any other: it fails at the words that servers add for one (MySQL manual,
// Invisible Columns; MariaDB documentation, Invisible Columns, System-Versioned Tables).
type legibleColumns struct{ schema.ExecQuerier }

func (c legibleColumns) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	const extra, known = "`COLUMN_DEFAULT`, `EXTRA`,",
		"`COLUMN_DEFAULT`, REGEXP_REPLACE(`EXTRA`, '(, *| )?(INVISIBLE|WITHOUT SYSTEM VERSIONING)', '') AS `EXTRA`,"
	return c.ExecQuerier.QueryContext(ctx, strings.Replace(query, extra, known, 1), args...)
}

// prepare readies a connection on which tables are to be made or changed. It is a
// [*ServerError] where they would not be what the migrations say.
func prepare(ctx context.Context, u *dburl.URL, conn dbserver.Conn) error {
	if u.Dialect == dialect.SQLite {
		return nil
	}
	if err := dbserver.Prepare(ctx, conn); err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	return nil
}

// isEmpty is an error if the database holds anything: all of it would be dropped
// at the end.
func (d *Dev) isEmpty(ctx context.Context) error {
	_, err := d.drv.Snapshot(ctx)
	var dirty *atlas.NotCleanError
	if errors.As(err, &dirty) {
		table := ""
		for _, s := range dirty.State.Schemas {
			for _, t := range s.Tables {
				table = t.Name
			}
		}
		return fmt.Errorf("it must be empty, but holds table %q", table)
	}
	if err != nil {
		return err
	}
	drops, err := d.listOthers(ctx)
	if len(drops) > 0 {
		return fmt.Errorf("it must be empty, but holds %s", strings.TrimPrefix(drops[0], "DROP "))
	}
	return err
}
