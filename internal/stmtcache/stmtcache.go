// Package stmtcache keeps prepared statements on the connections of
// go-sql-driver/mysql, so that database/sql's QueryContext and ExecContext cost
// one COM_STMT_EXECUTE where the text has been sent before.
//
//	db := sql.OpenDB(stmtcache.New(connector, stmtcache.Options{Size: 64}))
//
// It works below database/sql: a statement lives on the connection it was
// prepared on, so that transactions, limits of the pool and lost connections
// need no care. It knows nothing about what a statement does. Statements that
// a caller prepares are the caller's.
package stmtcache

import (
	"container/list"
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options bound a cache.
type Options struct {
	// Size is the most statements kept on one connection; below 1 none is. The
	// server counts those of all connections against max_prepared_stmt_count.
	Size int
	// Retry is how long a refusal to prepare is remembered; default 1 minute.
	Retry time.Duration
}

// New returns a connector whose connections keep up to o.Size statements. It
// is safe for concurrent use, as the connector of go-sql-driver/mysql given to
// it is. The driver must be set to interpolate parameters: what is not prepared
// goes to the server as text.
//
// A text is prepared when a connection sends it for the second time. The first
// time it is sent as the driver would: a text that never comes again costs no
// round trip more and takes no other one's place. Sent as text, always, is what
// would not mean the same in both forms, or could not be sent a second time
// without harm: see [isPlain] and [isRowStatement].
//
// Where the server or a proxy before it refuses to prepare a text, it goes as
// text in all connections, until o.Retry has passed.
func New(c driver.Connector, o Options) driver.Connector {
	if o.Size < 1 {
		return c
	}
	if o.Retry == 0 {
		o.Retry = time.Minute
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

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	base, ok := plain.(mysqlConn)
	if !ok {
		_ = plain.Close() // the error below says more
		return nil, fmt.Errorf("stmtcache: a connection of type %T cannot keep statements", plain)
	}
	return &conn{mysqlConn: base, pool: c, byText: map[string]*list.Element{}}, nil
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

// mysqlConn is all that a connection of go-sql-driver/mysql can do. What is not
// overridden below is passed on to it.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// mysqlStmt is what a statement of go-sql-driver/mysql can do.
type mysqlStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is used by one goroutine at a time, as database/sql sees to.
type conn struct {
	mysqlConn
	pool   *connector
	byText map[string]*list.Element // of entry
	recent list.List                // the last used in front
	// once holds the hashes of the texts that were sent once, in a ring.
	once [128]uint64
	next int
}

type entry struct {
	text string
	stmt mysqlStmt
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	stmt, err := c.prepared(ctx, text, args)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		rows, err := stmt.QueryContext(ctx, args)
		if !c.isGone(text, err) {
			return rows, err
		}
	}
	return c.mysqlConn.QueryContext(ctx, text, args)
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	stmt, err := c.prepared(ctx, text, args)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		result, err := stmt.ExecContext(ctx, args)
		if !c.isGone(text, err) {
			return result, err
		}
	}
	return c.mysqlConn.ExecContext(ctx, text, args)
}

// prepared returns the statement of a text, or nil where the text is to be sent
// itself. After an error nothing has been run.
func (c *conn) prepared(ctx context.Context, text string, args []driver.NamedValue) (mysqlStmt, error) {
	// While rows are open the connection takes no command, and the driver says so.
	if !isPlain(args) || !c.IsValid() {
		return nil, nil
	}
	if e, ok := c.byText[text]; ok {
		c.recent.MoveToFront(e)
		stmt := e.Value.(entry).stmt
		if stmt.NumInput() != len(args) {
			return nil, nil // the driver tells what is wrong
		}
		return stmt, nil
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
	erUnknownStmtHandler        = 1243
	erMaxPreparedStmtCountReach = 1461
	erNeedReprepare             = 1615
)

func (c *conn) prepare(ctx context.Context, text string, hash uint64, args int) (mysqlStmt, error) {
	// Before, so that there are never more than the limit.
	for c.recent.Len() >= c.pool.options.Size {
		c.drop(c.recent.Back())
	}
	plain, err := c.PrepareContext(ctx, text)
	if err == nil {
		c.once[slices.Index(c.once[:], hash)] = 0 // dropped, it has to come twice again
		stmt, ok := plain.(mysqlStmt)
		if !ok {
			return nil, fmt.Errorf("stmtcache: a statement of type %T cannot be kept", plain)
		}
		c.byText[text] = c.recent.PushFront(entry{text, stmt})
		if stmt.NumInput() != args {
			return nil, nil
		}
		return stmt, nil
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
	case server.Number == erMaxPreparedStmtCountReach:
		c.pool.refuseAll()
	default:
		c.pool.refuse(hash)
	}
	return nil, nil
}

// isGone reports whether err says that the server has not run the statement of
// a text because it cannot any more, and drops it then.
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
	return true
}

func (c *conn) drop(e *list.Element) {
	dropped := c.recent.Remove(e).(entry)
	delete(c.byText, dropped.text)
	// The server does not answer, and where it cannot be reached the next
	// command says so.
	_ = dropped.stmt.Close()
}

// isPlain reports whether there are arguments, all of which mean the same to
// the server whether they are sent by themselves or written into the text. The
// driver writes a []byte as a binary string and a float64 as a decimal number,
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

// isRowStatement reports whether a text reads or writes rows and nothing else.
// Others, a CALL above all, may have done something before they fail with one
// of the errors that [conn.isGone] takes for not having run.
func isRowStatement(text string) bool {
	end := strings.IndexAny(text, " \t\r\n")
	if end < 0 || len(text) > maxText {
		return false
	}
	switch strings.ToUpper(text[:end]) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		return true
	}
	return false
}
