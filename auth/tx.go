package auth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/authgraph/authgraph/ent"
)

// attempts is how often a transaction is tried. Deadlocks among n requests for
// one row resolve one request a round, so the last one may need many.
const attempts = 20

// tx runs fn in a transaction and commits it unless fn returns an error. It
// runs fn again where the database rolled the transaction back in favour of
// another one, or the connection was lost before COMMIT was sent: then nothing
// of it can have happened. Where the answer to COMMIT is lost it returns an
// [*UnknownError].
//
// What a caller is told as an error but must stay (a family revoked) is set
// aside by fn, which returns nil.
func (s *Service) tx(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) error) error {
	return retry(ctx, func() (again bool, err error) {
		tx, err := s.client.BeginTx(ctx, nil)
		if err != nil {
			return rolledBack(err) || lost(err), err
		}
		if err := fn(ctx, tx.Client()); err != nil {
			// The database has rolled back already where this fails.
			_ = tx.Rollback()
			return rolledBack(err) || lost(err) || errors.Is(err, errRaced), ended(ctx, err)
		}
		switch err := tx.Commit(); {
		case err == nil:
			return false, nil
		case rolledBack(err), errors.Is(err, driver.ErrBadConn):
			// The driver reports a bad connection only if it sent nothing.
			return true, err
		case errors.Is(err, sql.ErrTxDone), isEnded(ctx, err):
			// It was rolled back: database/sql sends no COMMIT then, and SQLite
			// does not finish one.
			return false, ended(ctx, err)
		default:
			return false, &UnknownError{Err: err}
		}
	})
}

// repeat runs a query, or a write that may as well happen twice, again if the
// connection was lost.
func repeat[T any](ctx context.Context, run func(context.Context) (T, error)) (v T, err error) {
	err = retry(ctx, func() (bool, error) {
		var err error
		v, err = run(ctx)
		return rolledBack(err) || lost(err), err
	})
	return v, err
}

// statement runs one write that is a transaction by itself. Where the
// connection was lost, or ctx ended, after it was sent it may have happened: it
// is not run again, and the error is an [*UnknownError].
func statement[T any](ctx context.Context, write func(context.Context) (T, error)) (v T, err error) {
	err = retry(ctx, func() (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var err error
		v, err = write(ctx)
		if lost(err) && !errors.Is(err, driver.ErrBadConn) || isEnded(ctx, err) {
			err = &UnknownError{Err: err}
		}
		return rolledBack(err) || errors.Is(err, driver.ErrBadConn), err
	})
	return v, err
}

// isEnded reports whether err is that of ctx.
func isEnded(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// ended is the error of ctx where database/sql tells only that it has rolled
// back because of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, sql.ErrTxDone) {
		return ctx.Err()
	}
	return err
}

// forUpdate makes a query read what is committed, wait for what is not, and keep
// it so until the transaction ends: under repeatable read a plain query would
// show rows as they were when the transaction first read. SQLite's transaction
// holds the whole file.
func forUpdate(sel *entsql.Selector) {
	if sel.Dialect() == dialect.MySQL {
		sel.ForUpdate()
	}
}

// isTrue is an equality to MySQL's planner, and a bare column is not: only with
// an equality does it go on to the index's next column.
func isTrue(field string) func(*entsql.Selector) { return entsql.FieldIn(field, true) }

func retry(ctx context.Context, try func() (again bool, err error)) error {
	wait := time.Millisecond
	for i := 1; ; i++ {
		again, err := try()
		if !again || i == attempts || ctx.Err() != nil {
			return err
		}
		// Full jitter: those that collided must not collide again.
		timer := time.NewTimer(rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		wait = min(2*wait, 100*time.Millisecond)
	}
}

// rolledBackBy are the server's errors for a transaction that lost against
// another one and left no trace (MySQL manual, Server Error Message Reference;
// MariaDB, Error Codes).
var rolledBackBy = []uint16{
	1020, // MariaDB: record has changed since last read (snapshot isolation)
	1180, // error during COMMIT: certification failed
	1205, // lock wait timeout
	1213, // deadlock, or certification failed
	1243, // the session does not know its own statement: it is another one
	1615, // a statement could not be prepared again
	3101, // Group Replication: certification failed
}

func rolledBack(err error) bool {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return slices.Contains(rolledBackBy, server.Number)
	}
	var file *sqlite.Error
	if errors.As(err, &file) {
		code := file.Code() & 0xff
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	return false
}

// lost reports whether the connection cannot be used any more: it was cut, or
// what came over it makes no sense. Only [driver.ErrBadConn] says that nothing
// was sent.
func lost(err error) bool {
	for _, e := range []error{
		driver.ErrBadConn, sql.ErrConnDone, io.ErrShortWrite,
		mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	// The driver passes on what the network says of a command sent in part. A
	// server that cannot be reached is no lost connection.
	var network *net.OpError
	return errors.As(err, &network) && network.Op != "dial"
}
