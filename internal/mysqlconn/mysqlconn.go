// Package mysqlconn makes the connections of go-sql-driver/mysql say what happened: whether anything was sent before an
// error, and whether the connection is of use after it. COMMIT and ROLLBACK end with the context of their transaction;
// the driver alone waits for them without a bound.
//
//	db := sql.OpenDB(mysqlconn.New(connector, 10*time.Second))
//
// It knows nothing about what a statement does.
package mysqlconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// New returns a connector that gives up a server which has not let it in within a time, also one that accepted the
// connection and then says nothing; 0 is no bound. It is safe for concurrent use, as c is.
//
// An error of connecting is a [*net.OpError] whose Op is "dial" or "handshake",
// or that of the context: nothing was sent that a caller asked for.
func New(c driver.Connector, within time.Duration) driver.Connector {
	return &connector{c, within}
}

type connector struct {
	driver.Connector
	within time.Duration
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	bounded, cancel := ctx, func() {}
	if c.within > 0 {
		bounded, cancel = context.WithTimeout(ctx, c.within)
	}
	defer cancel()
	plain, err := c.Connector.Connect(bounded)
	if err != nil {
		return nil, connecting(ctx, err)
	}
	base, ok := plain.(Conn)
	if !ok {
		_ = plain.Close() // the error below says more
		return nil, fmt.Errorf("mysqlconn: a connection of type %T is not the driver's", plain)
	}
	return &conn{Conn: base}, nil
}

// Close ends what c does beside its connections. [database/sql.DB.Close] calls it.
func (c *connector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// connecting is the error of a connection that was not made. The driver tells of
// a handshake that was cut as of a statement that was.
func connecting(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return err
	}
	return &net.OpError{Op: "handshake", Net: "mysql", Err: err}
}

// Sent tells of the statements under a context, BEGIN too, whether one of them was sent.
type Sent struct{ sent atomic.Bool }

type sentKey struct{}

// Watch returns a context whose statements s tells of.
func (s *Sent) Watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, sentKey{}, s)
}

// Sent reports whether a statement was given to the driver.
func (s *Sent) Sent() bool { return s.sent.Load() }

// Conn is all that a connection of go-sql-driver/mysql can do. What is not overridden below is passed on to it.
type Conn interface {
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

// Stmt is what a statement of go-sql-driver/mysql can do.
type Stmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

// Rows is what rows of go-sql-driver/mysql can do.
type Rows interface {
	driver.RowsNextResultSet
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// conn is used by one goroutine at a time, as database/sql sees to.
type conn struct {
	Conn
	useless bool
	tx      tx // the last one
}

// IsValid has database/sql close the connection, when it is given back, after the server said that it is of no use.
func (c *conn) IsValid() bool { return !c.useless && c.Conn.IsValid() }

// uselessAfter are the server's errors after which another connection may do what this one cannot, because the server
// takes no writes or is about to end (MySQL manual, Server Error Message Reference; MariaDB, Error Codes).
var uselessAfter = []uint16{
	1047, // Galera: the node has no quorum
	1053, // shutdown in progress
	1290, // --read-only, --super-read-only
	1792, // transactions are read-only
	1836, // read-only mode
	3032, // offline mode
	3098, // Group Replication: between two primaries
	3100, // Group Replication: the member left
	3168, // not available
	3796, // Group Replication: not online
	3797, // the same
	4031, // closed for having been idle
}

// withoutValues takes out of an error what Vitess adds to a server's words: the statement and its arguments, which are
// a caller's addresses and hashes.
func withoutValues(err error) error {
	var server *mysql.MySQLError
	if errors.As(err, &server) && strings.Contains(server.Message, "BindVars: {") {
		server.Message, _, _ = strings.Cut(server.Message, ": Sql: ")
	}
	return err
}

// note takes in what an error says of the connection.
func (c *conn) note(err error) error {
	if err = withoutValues(err); err == nil {
		return nil
	}
	if IsServer(err, uselessAfter...) {
		c.useless = true
	}
	return err
}

// send runs what sends a statement of a caller's.
func send[T any](ctx context.Context, c *conn, run func() (T, error)) (result T, err error) {
	if err := ctx.Err(); err != nil {
		return result, err
	}
	s, watched := ctx.Value(sentKey{}).(*Sent)
	if watched {
		s.sent.Store(true)
	}
	result, err = run()
	if watched && errors.Is(err, driver.ErrBadConn) {
		s.sent.Store(false) // which is what that error says
	}
	return result, c.note(err)
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return send(ctx, c, func() (driver.Result, error) { return c.Conn.ExecContext(ctx, text, args) })
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return send(ctx, c, func() (driver.Rows, error) { return c.Conn.QueryContext(ctx, text, args) })
}

func (c *conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	plain, err := c.Conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, c.note(err)
	}
	base, ok := plain.(Stmt)
	if !ok {
		_ = plain.Close() // the error below says more
		return nil, fmt.Errorf("mysqlconn: a statement of type %T is not the driver's", plain)
	}
	return &stmt{base, c}, nil
}

type stmt struct {
	Stmt
	conn *conn
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return send(ctx, s.conn, func() (driver.Result, error) { return s.Stmt.ExecContext(ctx, args) })
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return send(ctx, s.conn, func() (driver.Rows, error) { return s.Stmt.QueryContext(ctx, args) })
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if _, err := c.Conn.BeginTx(ctx, opts); err != nil {
		return nil, c.note(err)
	}
	if s, watched := ctx.Value(sentKey{}).(*Sent); watched {
		s.sent.Store(true)
	}
	c.tx = tx{ctx, c}
	return &c.tx, nil
}

// tx is a transaction with the context that it was begun with. A connection has one at a time.
type tx struct {
	ctx  context.Context //nolint:containedctx // database/sql gives Commit and Rollback none
	conn *conn
}

// Commit sends COMMIT, unless the context has ended, and waits for the answer until it does. If the context ends after
// COMMIT was sent, the transaction may have been committed, and the error is that of a lost connection. If it was not
// sent, the error is [driver.ErrBadConn], and the server rolls back at the end of the connection.
func (t *tx) Commit() error {
	if err := t.ctx.Err(); err != nil {
		t.conn.useless = true
		return fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	_, err := t.conn.Conn.ExecContext(t.ctx, "COMMIT", nil)
	if err = withoutValues(err); err == nil {
		return nil
	}
	if !IsServer(err, erLockDeadlock) {
		// Nobody knows whether the transaction is still open.
		t.conn.useless = true
	}
	if t.ctx.Err() != nil && errors.Is(err, t.ctx.Err()) {
		return fmt.Errorf("%w: %w", mysql.ErrInvalidConn, err)
	}
	return err
}

// erLockDeadlock answers a COMMIT that was turned into a ROLLBACK.
const erLockDeadlock = 1213

// rollbackWait is how long the answer to ROLLBACK is waited for after the end
// of the transaction's context. Closing the connection rolls back, too.
const rollbackWait = 500 * time.Millisecond

func (t *tx) Rollback() error {
	ctx, cancel := t.ctx, func() {}
	if ctx.Err() != nil {
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), rollbackWait)
	}
	defer cancel()
	_, err := t.conn.Conn.ExecContext(ctx, "ROLLBACK", nil)
	if err != nil {
		t.conn.useless = true
	}
	return err
}
