// Package authgraph opens the auth graph: users, one-time passwords, sessions
// and refresh tokens in a MySQL, MariaDB or SQLite database, as a typed Ent
// client.
//
//	client, err := authgraph.Open(ctx, os.Getenv("DATABASE_URL"))
//
// The tables come from the migrations; Open neither creates nor changes any.
package authgraph

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	// The defaults, validators and hooks of the schema.
	_ "github.com/authgraph/authgraph/ent/runtime"
	"github.com/authgraph/authgraph/internal/dburl"
)

// URLError is the error for a database URL that cannot be used. Its fields are
// URL, the address without its password, or empty if it could not be read;
// Part, the part at fault; and Err, what is wrong with it. None holds the
// password.
type URLError = dburl.Error

// The parts of a database URL that [URLError] names.
const (
	PartURL       = dburl.PartURL
	PartScheme    = dburl.PartScheme
	PartUser      = dburl.PartUser
	PartPassword  = dburl.PartPassword
	PartHost      = dburl.PartHost
	PartDatabase  = dburl.PartDatabase
	PartFile      = dburl.PartFile
	PartParameter = dburl.PartParameter
)

// Pool limits the connections of a client. A zero field keeps its default.
type Pool struct {
	// MaxOpen is the most connections at once; default 25. It should stay
	// below the server's max_connections divided by the number of processes.
	MaxOpen int
	// MaxIdle is the most connections kept open unused; default MaxOpen, so
	// that a burst does not pay for connecting again.
	MaxIdle int
	// MaxLifetime closes a connection this long after it was made; default 3
	// minutes, below the idle limits of common proxies and the server.
	MaxLifetime time.Duration
}

func (p Pool) apply(db *sql.DB) {
	maxOpen := cmp.Or(p.MaxOpen, 25)
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(cmp.Or(p.MaxIdle, maxOpen))
	db.SetConnMaxLifetime(cmp.Or(p.MaxLifetime, 3*time.Minute))
}

// Option configures [Open].
type Option func(*options)

type options struct {
	pool       Pool
	statements int
	timeout    time.Duration
	wrap       []func(dialect.Driver) dialect.Driver
}

// WithPool sets the limits of the connection pool.
func WithPool(p Pool) Option {
	return func(o *options) { o.pool = p }
}

// WithStatements sets how many prepared statements each connection to MySQL or
// MariaDB keeps, those used last; default 64, and 0 turns it off. The server
// counts the statements of all connections against max_prepared_stmt_count, and
// keeps some kilobytes for each. Behind a proxy that shares its connections
// among clients and does not carry statements along, turn it off.
func WithStatements(perConnection int) Option {
	return func(o *options) { o.statements = max(0, perConnection) }
}

// WithStatementTimeout bounds how long the client waits for the answer to one
// statement on MySQL or MariaDB where the context does not end before; default
// 30 seconds, and 0 is no bound. The connection is closed then, and the statement
// may have run. At the server a statement waits 2 seconds for a lock and fails
// with error 1205, so that a call that was given up does not stay there: package
// auth tries again. The parameters readTimeout, writeTimeout,
// innodb_lock_wait_timeout and lock_wait_timeout of the address say otherwise.
func WithStatementTimeout(d time.Duration) Option {
	return func(o *options) { o.timeout = d }
}

// WithDriver wraps the driver under the client, for tracing or counting what
// is sent. Wrappers apply in order: the last one sees a query first. A wrapper
// passes on ExecContext, QueryContext and BeginTx where the driver below has
// them, and its transactions the first two: the client's methods of these names,
// and package auth, need them.
func WithDriver(wrap func(dialect.Driver) dialect.Driver) Option {
	return func(o *options) { o.wrap = append(o.wrap, wrap) }
}

// Open connects to the database at url and returns a client for it. It is
// safe for concurrent use and meant to live as long as the program.
//
// The url has one of the forms
//
//	mysql://user:password@host:3306/database    (mariadb:// too)
//	user:password@tcp(host:3306)/database       (the DSN of go-sql-driver/mysql)
//	sqlite://file.db                            (sqlite:///absolute/file.db)
//	file:file.db                                (the DSN of modernc.org/sqlite)
//
// with parameters of the driver, such as ?readTimeout=5s, and session variables of
// the server, such as ?innodb_lock_wait_timeout=5, in whatever case. The value of a
// variable is one number, one word or one text in quotes.
//
// Some settings are the same on every connection, because an answer depends on
// them, and whatever the server's own defaults are: a write is stored when it is
// acknowledged (autocommit, completion_type); the server is in strict mode; it checks
// keys (foreign_key_checks, unique_checks); a query finds all of its rows
// (sql_select_limit, sql_auto_is_null); text is utf8mb4; times are UTC. A parameter
// that says otherwise is an error. The isolation level is the caller's.
//
// How the driver works is decided here too: times are read and written in UTC to
// the microsecond; a query takes one round trip (its arguments are escaped by the
// driver, and where a connection sends the same query again it is prepared once and
// executed from then on, see [WithStatements]); an UPDATE counts the rows it matched,
// also where it left them as they were, so that a conditional write is decided by its
// count on every database. parseTime, loc, timeTruncate, interpolateParams,
// clientFoundRows, multiStatements and columnsWithAlias, which other programs may
// need in the same URL, are accepted and have no effect. On SQLite foreign keys are
// checked and a transaction takes the write lock when it begins.
//
// A connection to a server is not encrypted unless the URL asks for it. Beyond the
// machine it should: ?tls=true verifies the server's certificate and that it is for
// the host of the URL; ?tls-ca=FILE does so against the authorities in a PEM file
// instead of the system's; ?tls-cert=FILE&tls-key=FILE is the client's own certificate.
// (tls=skip-verify and tls=preferred encrypt, but to whoever answers.)
//
// An address that is malformed or where no database answers is a [*URLError].
func Open(ctx context.Context, url string, opts ...Option) (*ent.Client, error) {
	o := options{statements: dburl.DefaultStatements, timeout: dburl.DefaultStatementTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	u, err := dburl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("authgraph: %w", err)
	}
	if err := u.NeedDatabase(); err != nil {
		return nil, fmt.Errorf("authgraph: %w", err)
	}
	db, err := u.WithStatements(o.statements).WithStatementTimeout(o.timeout).Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("authgraph: %w", err)
	}
	o.pool.apply(db)
	var drv dialect.Driver = entsql.OpenDB(u.Dialect, db)
	for _, wrap := range o.wrap {
		drv = wrap(drv)
	}
	return ent.NewClient(ent.Driver(drv)), nil
}
