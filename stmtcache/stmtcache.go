// Package stmtcache keeps prepared statements on the connections of go-sql-driver/mysql, so that a statement that was
// sent before costs one round trip (COM_STMT_EXECUTE), and the server does not parse it again. It is a connector below
// database/sql. Whatever runs over a [database/sql.DB] gains, without a change to its calls: database/sql itself, Ent,
// GORM, sqlc, and Bun where it sends arguments (see below).
//
//	config, err := mysql.ParseDSN(dsn)
//	…
//	config.InterpolateParams = true
//	connector, err := mysql.NewConnector(config)
//	…
//	db := sql.OpenDB(stmtcache.New(connector, stmtcache.Options{}))
//
// A statement lives on the connection it was prepared on, so that transactions, limits of the pool and lost connections
// need no care. The package knows nothing about what a statement does. Statements that a caller prepares are the
// caller's. Examples with GORM, sqlc and Bun are in bench/internal/peers/stmtcache_example_test.go of the repository.
//
// # What is prepared
//
// A SELECT, INSERT, UPDATE, DELETE, REPLACE or WITH of at most 16 KiB that has arguments, with or without a comment
// before it, when one connection sends the same text for the second time. The first time it is sent as the driver
// would, so that a text that never comes again costs nothing more. InterpolateParams makes that first time one round
// trip instead of three.
//
// Always sent as the driver would:
//   - A text without arguments, or with a []byte or a float64 among them, which mean something else in the other form.
//     Nothing is gained where values are written into the text, as Bun does, or a comment that is new each time. The
//     example with Bun shows a way around it.
//   - Any other verb, CALL too.
//   - A text with a semicolon before its end, also in quotes: it may be several statements.
//
// After a text that may change the session (USE, SET, CALL, DDL) its connection prepares anew.
//
// Both forms give the same values, with one exception: a BIGINT UNSIGNED scanned into an any is a uint64 from a text,
// and an int64 or digits from a prepared statement. A column that is an expression with an argument is named after the
// argument by a text, and has a ? in its name from a prepared statement: give it an alias.
//
// The answers to one SELECT without a * share what [database/sql.Rows.Columns] returns, until somebody writes to it.
// Write to it only while the rows are open, as GORM's MapColumns does. If a view comes to write the names of its
// columns with other capitals, connections that are open keep those that they had.
//
// # The server's limit
//
// Each connection keeps up to [Options].Size statements, those used last. The server counts those of all connections,
// of all programs, against max_prepared_stmt_count: 16,382 by default, which is 255 connections of 64. At the limit
// (error 1461) text is sent, and nobody sees an error.
//
// # Proxies and clusters
//
// Some proxies cannot prepare, or share connections among clients and lose what was prepared. Where the answer says so
// (1047, 1235, 1243, 1295, 1615), or the connection ends over the command, text is sent for [Options].Retry. Within a
// transaction that holds only for errors that leave no doubt whether the transaction is still there (1295, 1461): any
// other is the caller's, because what is sent after it might commit by itself. On Galera, for instance, a PREPARE is
// answered with the news that the transaction was rolled back. So treat errors as you would without this package: run
// the transaction again. A proxy that answers from another session without a word is beyond help: use none, or a Size
// below 0.
package stmtcache

import (
	"container/list"
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// The defaults of [Options].
const (
	// DefaultSize is room for what most services send over and over: ten processes of 25 connections each stay below
	// the server's default limit.
	DefaultSize  = 64
	DefaultRetry = time.Minute
)

// Options bound a cache. The zero value takes the defaults.
type Options struct {
	// Size is the most statements kept on one connection, those used last; default [DefaultSize]. Below 0 none is kept.
	Size int
	// Retry is how long a refusal to prepare is remembered; default [DefaultRetry]. Below 0 it is not.
	Retry time.Duration
}

// New returns a connector whose connections keep statements. It is safe for concurrent use if c is, as that of
// go-sql-driver/mysql is.
//
// The connections that c makes must be those of go-sql-driver/mysql, or pass on all that they can do. Connecting fails
// otherwise. So whatever traces or counts statements belongs above: wrap what New returns.
//
// If c is an [io.Closer], closing the database closes it.
func New(c driver.Connector, o Options) driver.Connector {
	if o.Size < 0 {
		return c
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	return &connector{Connector: c, options: o, seed: maphash.MakeSeed(), refused: map[uint64]time.Time{}}
}

type connector struct {
	driver.Connector
	options Options
	seed    maphash.Seed

	mu       sync.Mutex
	noneTill time.Time            // until then nothing is prepared
	refused  map[uint64]time.Time // until when a text, by its hash, is not prepared
}

// Close closes what may be closed below. Database/sql asks for it.
func (c *connector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	base, ok := plain.(mysqlconn.Conn)
	if !ok {
		_ = plain.Close() // the error below says more
		return nil, fmt.Errorf("stmtcache: a connection of type %T is not one of go-sql-driver/mysql: "+
			"give New the connector of mysql.NewConnector, and wrap what New returns", plain)
	}
	return &conn{Conn: base, pool: c, byText: map[string]*list.Element{}}, nil
}

// maxRefused bounds the memory of refusals.
const maxRefused = 1024

// refuses reports whether a text is not to be prepared now.
func (c *connector) refuses(hash uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noneTill.IsZero() && len(c.refused) == 0 {
		return false
	}
	now := time.Now()
	return now.Before(c.noneTill) || now.Before(c.refused[hash])
}

func (c *connector) refuse(hash uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refused) >= maxRefused {
		clear(c.refused) // each costs one attempt more
	}
	c.refused[hash] = time.Now().Add(c.options.Retry)
}

func (c *connector) refuseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noneTill = time.Now().Add(c.options.Retry)
}

// conn is used by one goroutine at a time, as database/sql sees to.
type conn struct {
	mysqlconn.Conn
	pool   *connector
	byText map[string]*list.Element // of *entry
	recent list.List                // the last used in front
	// once holds the hashes of the texts that were sent once, in a ring.
	once [128]uint64
	next int
	// inTx is set between BeginTx and the end of that transaction, and byHand
	// from the first text on that may have begun one.
	inTx, byHand bool
	tx           tx   // the last one
	rows         rows // the last that a kept statement answered with
	// foreign is set once a caller has prepared a text that may change the session: nobody tells when it is executed.
	foreign bool
}

type entry struct {
	text string
	stmt mysqlconn.Stmt
	// fixed is whether every answer has the same columns, and columns are their names once an answer told them. Callers
	// get lent, which some write to.
	fixed         bool
	columns, lent []string
}

// hasFixedColumns reports whether a text tells its columns. With a * the table tells them, which may be altered.
func hasFixedColumns(text string) bool {
	return firstWord(text) == "SELECT" && !strings.Contains(text, "*")
}

// rows are the rows of a kept statement with fixed columns. Database/sql asks each answer for its columns, and the
// driver makes their names anew each time.
type rows struct {
	mysqlconn.Rows
	entry *entry
	asked bool
}

// Columns are those of the statement. Its answers share the slice as long as nobody writes to it. One that was written
// to stays with the answer that it was given for, as with the driver alone.
func (r *rows) Columns() []string {
	e := r.entry
	switch {
	case r.asked:
	case e.columns == nil:
		e.lent = r.Rows.Columns()
		e.columns = slices.Clone(e.lent)
	case !slices.Equal(e.lent, e.columns):
		e.lent = slices.Clone(e.columns)
	}
	r.asked = true
	return e.lent
}

// answer has the rows of a statement share the names of its columns. A connection has one open answer at a time.
func (c *conn) answer(e *entry, plain driver.Rows, err error) (driver.Rows, error) {
	base, ok := plain.(mysqlconn.Rows)
	if err != nil || !ok || !e.fixed {
		return plain, err
	}
	c.rows = rows{Rows: base, entry: e}
	return &c.rows, nil
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	e, err := c.prepared(ctx, text, args)
	if err != nil {
		return nil, err
	}
	if e != nil {
		rows, err := e.stmt.QueryContext(ctx, args)
		if !c.isGone(text, err) {
			return c.answer(e, rows, err)
		}
	}
	c.note(text)
	return c.Conn.QueryContext(ctx, text, args)
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	e, err := c.prepared(ctx, text, args)
	if err != nil {
		return nil, err
	}
	if e != nil {
		result, err := e.stmt.ExecContext(ctx, args)
		if !c.isGone(text, err) {
			return result, err
		}
	}
	c.note(text)
	return c.Conn.ExecContext(ctx, text, args)
}

// prepared returns the statement of a text, or nil where the text is to be sent
// itself. After an error nothing has been run.
func (c *conn) prepared(ctx context.Context, text string, args []driver.NamedValue) (*entry, error) {
	// While rows are open the connection takes no command, and the driver says so.
	if !isPlain(args) || c.foreign || !c.IsValid() {
		return nil, nil
	}
	if e, ok := c.byText[text]; ok {
		c.recent.MoveToFront(e)
		kept := e.Value.(*entry)
		if kept.stmt.NumInput() != len(args) {
			return nil, nil // the driver tells what is wrong
		}
		return kept, nil
	}
	if !isRowStatement(text) {
		return nil, nil
	}
	hash := maphash.String(c.pool.seed, text)
	if !slices.Contains(c.once[:], hash) {
		c.once[c.next] = hash
		c.next = (c.next + 1) % len(c.once)
		return nil, nil
	}
	if c.pool.refuses(hash) {
		return nil, nil
	}
	return c.prepare(ctx, text, hash, len(args))
}

// Errors of the server (MySQL manual, Server Error Message Reference).
const (
	erUnknownCommand            = 1047
	erNotSupportedYet           = 1235
	erUnknownStmtHandler        = 1243
	erUnsupportedPS             = 1295
	erMaxPreparedStmtCountReach = 1461
	erNeedReprepare             = 1615
)

// textInstead reports whether an error of preparing a text says that it cannot be prepared here, so that sending it
// does what the caller asked for. Any other error may be news of the transaction: Galera tells in the answer to the
// next command, whatever that is, that it has rolled one back, and what is sent then commits by itself.
//
// Two errors are the server's own about the command alone, also within a transaction: Galera puts its news in their
// place. The others of the list come from proxies that lack the command. Within a transaction they are not trusted: for
// a Galera node without a quorum 1047 has another meaning, and a proxy's transaction may have ended with the connection
// behind it.
func (c *conn) textInstead(number uint16) bool {
	switch number {
	case erUnsupportedPS, erMaxPreparedStmtCountReach:
		return true
	case erUnknownCommand, erNotSupportedYet:
		return !c.mayBeInTx()
	}
	return false
}

func (c *conn) mayBeInTx() bool { return c.inTx || c.byHand }

func (c *conn) prepare(ctx context.Context, text string, hash uint64, args int) (*entry, error) {
	// Before, so that there are never more than the limit.
	for c.recent.Len() >= c.pool.options.Size {
		c.drop(c.recent.Back())
	}
	plain, err := c.Conn.PrepareContext(ctx, text)
	if err == nil {
		c.once[slices.Index(c.once[:], hash)] = 0 // dropped, it has to come twice again
		stmt, ok := plain.(mysqlconn.Stmt)
		if !ok {
			return nil, fmt.Errorf("stmtcache: a statement of type %T cannot be kept", plain)
		}
		e := &entry{text: text, stmt: stmt, fixed: hasFixedColumns(text)}
		c.byText[text] = c.recent.PushFront(e)
		if stmt.NumInput() != args {
			return nil, nil
		}
		return e, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var server *mysql.MySQLError
	switch {
	case !errors.As(err, &server):
		// A proxy may end the connection over the command: the next one sends text.
		c.pool.refuse(hash)
		return nil, driver.ErrBadConn
	case server.Number == erMaxPreparedStmtCountReach, server.Number == erUnknownCommand:
		c.pool.refuseAll()
	case server.Number == erUnsupportedPS, server.Number == erNotSupportedYet:
		c.pool.refuse(hash)
	}
	if c.textInstead(server.Number) {
		return nil, nil
	}
	return nil, err
}

// isGone drops the statement of a text where err says that the server cannot run it any more, and reports whether the
// text is to be sent in its place. Within a transaction it is not: a session that does not know a statement of its own
// is another one, or was reset, and the transaction went with it.
func (c *conn) isGone(text string, err error) bool {
	if err == nil {
		return false
	}
	var server *mysql.MySQLError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Number {
	case erUnknownStmtHandler:
		// Whoever lost this one loses others: a proxy that shares its connections.
		c.pool.refuseAll()
	case erNeedReprepare:
		c.pool.refuse(maphash.String(c.pool.seed, text))
	default:
		return false
	}
	if e, ok := c.byText[text]; ok {
		c.drop(e)
	}
	return !c.mayBeInTx()
}

// BeginTx begins a transaction that this connection knows of.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	begun, err := c.Conn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.inTx, c.tx = true, tx{begun, c}
	return &c.tx, nil
}

// tx is the transaction of a connection, which has one at a time.
type tx struct {
	driver.Tx
	conn *conn
}

func (t *tx) Commit() error {
	t.conn.inTx = false
	return t.Tx.Commit()
}

func (t *tx) Rollback() error {
	t.conn.inTx = false
	return t.Tx.Rollback()
}

// PrepareContext prepares a statement of the caller's.
func (c *conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if kindOf(text) != onRows {
		c.foreign, c.byHand = true, true
		c.dropAll()
	}
	return c.Conn.PrepareContext(ctx, text)
}

// note takes in what a text that is sent may do to the session.
func (c *conn) note(text string) {
	switch kindOf(text) {
	case onRows:
	case transactionControl:
		c.byHand = true
	default:
		// The same text means something else in another database, for instance.
		c.byHand = true
		c.dropAll()
	}
}

func (c *conn) dropAll() {
	for c.recent.Len() > 0 {
		c.drop(c.recent.Back())
	}
}

func (c *conn) drop(e *list.Element) {
	dropped := c.recent.Remove(e).(*entry)
	delete(c.byText, dropped.text)
	// The server does not answer, and where it cannot be reached the next command says so.
	_ = dropped.stmt.Close()
}

// isPlain reports whether there are arguments, all of which mean the same to the server whether they are sent by
// themselves or written into the text. The driver writes a []byte as a binary string and a float64 as a decimal number,
// but sends characters and a double.
func isPlain(args []driver.NamedValue) bool {
	for i := range args {
		switch args[i].Value.(type) {
		case nil, int64, uint64, bool, string, time.Time, json.RawMessage:
		default:
			return false
		}
	}
	return len(args) > 0
}

// maxText is the longest text prepared, in bytes. A longer one has a long list
// in it, which seldom has as many elements again.
const maxText = 16 << 10

// isRowStatement reports whether a text reads or writes rows and nothing else. Others, a CALL above all, may have done
// something before they fail with one of the errors that [conn.isGone] takes for not having run. The server prepares no
// text of several statements, which the driver sends with multiStatements=true.
func isRowStatement(text string) bool {
	if len(text) > maxText || mayBeSeveral(text) {
		return false
	}
	switch firstWord(text) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		return true
	}
	return false
}

// kind is what a text may do to the session it is sent to.
type kind int

const (
	onRows             kind = iota // nothing
	transactionControl             // begin or end a transaction
	anything                       // change the database, a variable, and more
)

// mayBeSeveral reports whether there is a semicolon before the end of a text, though it may be one in quotes.
func mayBeSeveral(text string) bool {
	return strings.Contains(strings.TrimRight(text, "; \t\r\n"), ";")
}

// kindOf goes by the first word of a text. Anything is what it does not know, and whatever may hold a second statement.
func kindOf(text string) kind {
	if mayBeSeveral(text) {
		return anything
	}
	switch firstWord(text) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "SHOW", "EXPLAIN", "DESCRIBE", "DESC":
		return onRows
	case "BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE":
		return transactionControl
	}
	return anything
}

// firstWord is the first word of a text, in capitals, after space, parentheses
// and comments. It is empty where a comment is one that the server executes.
func firstWord(text string) string {
	for {
		text = strings.TrimLeft(text, "( \t\r\n")
		end := "\n"
		switch {
		case strings.HasPrefix(text, "/*!"), strings.HasPrefix(text, "/*M!"):
			return ""
		case strings.HasPrefix(text, "/*"):
			text, end = text[2:], "*/"
		case strings.HasPrefix(text, "-- "), strings.HasPrefix(text, "#"):
		default:
			word := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
			if word < 0 {
				word = len(text)
			}
			return strings.ToUpper(text[:word])
		}
		_, text, _ = strings.Cut(text, end)
	}
}
