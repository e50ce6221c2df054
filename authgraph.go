// Package authgraph opens the auth graph: users, one-time passwords, sessions and
// refresh tokens in a MySQL, MariaDB or SQLite database, as a typed Ent client.
//
//	client, err := authgraph.Open(ctx, os.Getenv("DATABASE_URL"))
//	svc, err := auth.New(client, auth.Config{Keys: auth.NewKeys(key)})
//
// [Open] neither creates nor changes tables: package migrate does. What the tables are
// for, such as signing in, is in package auth.
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

// URLError is the error for a database URL that cannot be used. Its fields are URL, the address without its password,
// or empty if it could not be read; Part, the part at fault, one of [PartURL], [PartScheme], [PartUser],
// [PartPassword], [PartHost], [PartDatabase], [PartFile] and [PartParameter]; Err, what is wrong with it; and Fix, what
// to do, or empty. None holds the password.
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

// Pool limits the connections of a client. A zero field keeps its default, and a negative one has a meaning of its own.
// The limits hold on SQLite too: readers run side by side, and one connection writes at a time, whatever MaxOpen is.
type Pool struct {
	// MaxOpen is the most connections at once; default 25. It should stay below the
	// server's max_connections divided by the number of processes. A negative one is
	// no limit: set MaxIdle too, which otherwise is negative as well.
	MaxOpen int
	// MaxIdle is the most connections kept open unused; default MaxOpen, so that a
	// burst does not pay for connecting again. A negative one keeps none.
	MaxIdle int
	// MaxLifetime closes a connection this long after it was made; default 3 minutes,
	// below the idle limits of common proxies and the server. A negative one is no
	// limit.
	MaxLifetime time.Duration
}

// defaultPool is a [Pool] without fields.
var defaultPool = Pool{MaxOpen: 25, MaxLifetime: 3 * time.Minute}

func (p Pool) apply(db *sql.DB) {
	maxOpen := cmp.Or(p.MaxOpen, defaultPool.MaxOpen)
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(cmp.Or(p.MaxIdle, maxOpen))
	db.SetConnMaxLifetime(cmp.Or(p.MaxLifetime, defaultPool.MaxLifetime))
}

// Option configures [Open].
type Option func(*options)

type options struct {
	pool       Pool
	statements int
	timeout    time.Duration
	reading    dburl.Reading
	wrap       []func(dialect.Driver) dialect.Driver
}

// WithPool sets the limits of the connection pool.
func WithPool(p Pool) Option {
	return func(o *options) { o.pool = p }
}

// WithStatements sets how many prepared statements each connection to MySQL or MariaDB keeps, those used last; default
// 64, and 0 or less turns it off. The server counts the statements of all connections against max_prepared_stmt_count,
// and keeps some kilobytes for each. Turn it off behind a proxy that shares its connections among clients and does not
// carry statements along.
func WithStatements(perConnection int) Option {
	return func(o *options) { o.statements = max(0, perConnection) }
}

// WithStatementTimeout bounds how long the client waits for the answer to one statement
// on MySQL or MariaDB, if the context does not end before; default 30 seconds, and 0 or
// less is no bound. After it the connection is closed, and the statement may have run.
//
// With a bound, a statement waits at most 2 seconds for a lock at the server and then fails with error 1205, so that a
// call that was given up does not stay there. Package auth tries such a statement again. The parameters readTimeout,
// writeTimeout, innodb_lock_wait_timeout and lock_wait_timeout of the address take precedence.
func WithStatementTimeout(d time.Duration) Option {
	return func(o *options) { o.timeout = d }
}

// ForReading opens a client that only reads, from a server that gets its changes from another one: a member of a group
// of MySQL servers, or a node of Galera. It is for the Reader of package auth's Config, and for queries of your own.
// Each statement waits until the server has what was committed before it anywhere, see docs/high-availability.md. The
// parameters group_replication_consistency and wsrep_sync_wait of the url say otherwise. Another server cannot be made
// to wait, and is refused: it would accept a session for some time after it was ended.
//
// Of several hosts the first one that belongs to its cluster is used. Of a group the account needs SELECT on
// performance_schema.replication_group_members, by which each server is asked four times a second: one that has left
// its group waits for nothing any more, so its connections are cut. Open also returns a client if no server answers.
func ForReading() Option {
	return func(o *options) { o.reading = dburl.ReadCausal }
}

// ForStaleReading is ForReading for any server, such as a replica, and no statement waits. What was just changed may
// not show: a session that was ended is accepted for as long as the server is behind. Several hosts have the
// connections in turn.
func ForStaleReading() Option {
	return func(o *options) { o.reading = dburl.ReadStale }
}

// WithDriver wraps the driver under the client, for tracing or counting what is sent. Wrappers apply in order: the last
// one sees a query first. A wrapper must pass on ExecContext, QueryContext and BeginTx, and its transactions the first
// two, where the driver below has them: the client's methods of these names, and package auth, need them.
func WithDriver(wrap func(dialect.Driver) dialect.Driver) Option {
	return func(o *options) { o.wrap = append(o.wrap, wrap) }
}

// Open connects to the database at url and returns a client for it. The client is safe for concurrent use and meant to
// live as long as the program. Close it at the end.
//
// ctx bounds the connecting only. Without a deadline Open gives up after 10 seconds, if the server is silent
// (?timeout=5s in the url says otherwise) or another process holds a lock of the SQLite file. Open does not look at the
// server's version: package migrate and the command authgraph doctor do.
//
// The url has one of the forms
//
//	mysql://user:password@host:3306/database    (mariadb:// too)
//	mysql://user:password@h1,h2:3307,h3/database (the servers of a cluster)
//	user:password@tcp(host:3306)/database       (the DSN of go-sql-driver/mysql)
//	sqlite://file.db                            (sqlite:///absolute/file.db)
//	file:file.db                                (the DSN of modernc.org/sqlite)
//
// It may have parameters of the driver, such as ?readTimeout=5s, and session variables of the server, such as
// ?innodb_lock_wait_timeout=5, in whatever case. The value of a variable is one number, one word or one text in quotes.
//
// # Settings
//
// Some settings are the same on every connection, whatever the server's defaults are,
// because an answer depends on them. A parameter that says otherwise is an error.
//   - A write is stored when it is acknowledged (autocommit, completion_type).
//   - The server is in strict mode and checks keys (foreign_key_checks, unique_checks).
//   - A query finds all of its rows (sql_select_limit, sql_auto_is_null).
//   - Text is utf8mb4 and times are UTC, to the microsecond.
//   - An UPDATE counts the rows it matched, also those it left as they were, so that the
//     count decides a conditional write on every database.
//   - On SQLite foreign keys are checked, and a transaction takes the write lock when it
//     begins.
//
// The isolation level is the caller's. A query takes one round trip: the driver escapes its arguments, and a connection
// that sends the same query again prepares it, see [WithStatements]. The parameters parseTime, loc, timeTruncate,
// interpolateParams, clientFoundRows, multiStatements and columnsWithAlias, which other programs may need in the same
// URL, are accepted and have no effect.
//
// # Several hosts
//
// Of several hosts the client is connected to the one that takes writes, and to the first in the list of several that
// do. It asks them: read_only, and of a group of MySQL servers whether it sees more than half of it, if the account has
// SELECT on performance_schema.replication_group_members. It asks the one in use four times a second, over a connection
// of its own until the client is closed, and the others once that one is silent for a second, refuses, or takes no more
// writes. When another one takes writes, the connections to the one before are cut. What was under way there ends in
// the errors of a lost connection.
//
// While none takes writes a call waits, for as long as its context lets it and for the parameter timeout of the url at
// most, 10 seconds by default. docs/high-availability.md has more.
//
// # Encryption
//
// A connection to a server is encrypted only if the URL asks for it, and should be beyond the machine. ?tls=true
// verifies the server's certificate and that it is for the host of the URL. ?tls-ca=FILE does so against the
// authorities in a PEM file instead of the system's. ?tls-cert=FILE&tls-key=FILE is the client's own certificate.
// tls=skip-verify and tls=preferred encrypt too, but to whoever answers.
//
// # Errors
//
// The error is a [*URLError] if the address is malformed or no database answers there,
// and that of ctx if ctx ends first.
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
	db, err := u.WithStatements(o.statements).WithStatementTimeout(o.timeout).ForReading(o.reading).Connect(ctx)
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
