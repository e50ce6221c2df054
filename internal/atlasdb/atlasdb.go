// Package atlasdb opens a database for migrations: a [DB] is one connection with Atlas's driver on it. It corrects what
// that driver misreads: columns that SELECT * leaves out, foreign keys and virtual tables of SQLite. [DB.Inspect] reads
// a schema of which Atlas cannot read a part.
//
// It knows nothing of directories and plans. Services connect through package authgraph instead.
package atlasdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// RevisionsTable is the table in which Atlas keeps the history of a database.
const RevisionsTable = "atlas_schema_revisions"

// DB is one connection to a database. It must not be used by two goroutines at once.
type DB struct {
	URL *dburl.URL
	// Conn is the connection that everything runs on: it holds locks and the session variables that a file sets.
	Conn *sql.Conn
	// Driver is Atlas's, on Conn.
	Driver atlas.Driver

	pool *sql.DB
}

// Parse reads a URL that names a database.
func Parse(url string) (*dburl.URL, error) {
	u, err := dburl.Parse(url)
	if err != nil {
		return nil, err
	}
	return u, u.NeedDatabase()
}

// Open connects to the database at u.
func Open(ctx context.Context, u *dburl.URL) (*DB, error) {
	pool, err := u.Connect(ctx)
	if err != nil {
		return nil, err
	}
	db := &DB{URL: u, pool: pool}
	if err := db.connect(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

func (db *DB) connect(ctx context.Context) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	drv, err := openDriver(ctx, db.URL.Dialect, conn)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	db.Conn, db.Driver = conn, drv
	return nil
}

// Reconnect goes on with a new connection. The old one may be cut off, and what was set on it is gone with it.
func (db *DB) Reconnect(ctx context.Context) error {
	_ = db.Conn.Raw(func(any) error { return driver.ErrBadConn }) // has it closed instead of used again
	return db.connect(ctx)
}

// Close closes the connection, which may be lost already.
func (db *DB) Close() error {
	err := db.Conn.Close()
	if mysqlconn.Lost(err) {
		err = nil
	}
	return errors.Join(err, db.pool.Close())
}

// Prepare readies the connection for making and changing tables. It is a [*dbserver.Error] if they would not be what
// the migrations say.
func (db *DB) Prepare(ctx context.Context) error {
	if db.URL.Dialect == dialect.SQLite {
		return nil
	}
	if err := dbserver.Prepare(ctx, db.Conn); err != nil {
		return fmt.Errorf("%s: %w", db.URL, err)
	}
	return nil
}

// The server words definitions, and reads the queries for them, by these variables.
const (
	plainWording = "SET @authgraph_sql_mode = @@sql_mode, @authgraph_time_zone = @@time_zone, " +
		"@authgraph_quote = @@sql_quote_show_create, @authgraph_results = @@character_set_results, " +
		"sql_mode = '', time_zone = '+00:00', sql_quote_show_create = 1, character_set_results = utf8mb4"
	ownWording = "SET sql_mode = @authgraph_sql_mode, time_zone = @authgraph_time_zone, " +
		"sql_quote_show_create = @authgraph_quote, character_set_results = @authgraph_results"
)

// Plainly calls fn to read the schema, whatever a file has set on the connection, and then sets that again.
func (db *DB) Plainly(ctx context.Context, fn func() error) (err error) {
	if db.URL.Dialect == dialect.SQLite {
		return fn()
	}
	if _, err := db.Conn.ExecContext(ctx, plainWording); err != nil {
		return err
	}
	defer func() {
		if _, rerr := db.Conn.ExecContext(ctx, ownWording); err == nil {
			err = rerr
		}
	}()
	return fn()
}

// The flavours that [DB.Flavour] tells apart.
const (
	FlavourMySQL   = "mysql"
	FlavourMariaDB = "mariadb"
	FlavourSQLite  = "sqlite"
)

// Flavour is the kind of the database: FlavourMySQL, FlavourMariaDB or FlavourSQLite.
func (db *DB) Flavour() string {
	m, ok := db.Driver.(*mysql.Driver)
	switch {
	case !ok:
		return FlavourSQLite
	case m.Maria():
		return FlavourMariaDB
	default:
		return FlavourMySQL
	}
}

// Rows calls fn with each row of a query. The row is only valid during the call.
func (db *DB) Rows(ctx context.Context, query string, fn func([]sql.NullString), args ...any) (err error) {
	rows, err := db.Conn.QueryContext(ctx, query, args...)
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

// ChecksOn is the part of a SET after which the server checks the rows when a key or a CHECK is added to a table, even
// if a file turned that off on the connection. The variable that only MariaDB has is in a comment for MySQL.
const ChecksOn = "foreign_key_checks = 1, unique_checks = 1 /*M!100201 , check_constraint_checks = 1 */"

func openDriver(ctx context.Context, name string, conn schema.ExecQuerier) (atlas.Driver, error) {
	if name == dialect.SQLite {
		return openSQLite(conn)
	}
	if _, err := conn.ExecContext(ctx, "SET "+ChecksOn); err != nil {
		return nil, fmt.Errorf("prepare the connection: %w", err)
	}
	return mysql.Open(legible{conn})
}

// legible lets Atlas (v1.3.0) read what it leaves out or fails at: tables that keep their history, and columns with
// words that it does not know, such as those that SELECT * leaves out (MySQL manual, Invisible Columns; MariaDB
// documentation, Invisible Columns, System-Versioned Tables).
type legible struct{ schema.ExecQuerier }

// knownExtra is the part of EXTRA that Atlas knows (parseExtra).
const knownExtra = "`COLUMN_DEFAULT`, CASE WHEN EXTRA LIKE '%auto_increment%' THEN 'auto_increment' " +
	"WHEN EXTRA LIKE '%on update%' THEN REGEXP_SUBSTR(EXTRA, 'on update current_timestamp([(][0-9]*[)])*') " +
	"WHEN EXTRA LIKE '%STORED GENERATED%' THEN 'STORED GENERATED' " +
	"WHEN EXTRA LIKE '%PERSISTENT%' THEN 'PERSISTENT GENERATED' " +
	"WHEN EXTRA LIKE '%VIRTUAL GENERATED%' THEN 'VIRTUAL GENERATED' " +
	"WHEN EXTRA LIKE '%DEFAULT%GENERATED%' THEN 'DEFAULT_GENERATED' ELSE '' END AS `EXTRA`,"

func (c legible) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query = strings.NewReplacer("`COLUMN_DEFAULT`, `EXTRA`,", knownExtra,
		"TABLE_TYPE = 'BASE TABLE'", "TABLE_TYPE IN ("+tableTypes+")").Replace(query)
	return c.ExecQuerier.QueryContext(ctx, query, args...)
}
