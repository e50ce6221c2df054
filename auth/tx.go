package auth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// attempts is how often a transaction is tried. Deadlocks among n requests for
// one row resolve one request a round, so the last one may need many.
const attempts = 20

// patience is how long after the beginning of a call another try may begin.
const patience = 30 * time.Second

// tx runs fn in a transaction and commits it unless fn returns an error. It
// runs fn again where nothing of it can have happened: the database rolled the
// transaction back in favour of another one or refused a statement, or the
// connection was lost before COMMIT was sent. Where that goes on it returns an
// [*UnavailableError], and where the answer to COMMIT is lost an
// [*UnknownError].
//
// What a caller is told as an error but must stay (a family revoked) is set
// aside by fn, which returns nil.
func (s *Service) tx(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) error) error {
	return s.retry(ctx, func() (again bool, err error) {
		tx, err := s.begin(ctx)
		if err != nil {
			return mayRepeat(err), err
		}
		if err := fn(ctx, tx.Client()); err != nil {
			// The database has rolled back already where this fails.
			_ = s.within(ctx, tx, (*ent.Tx).Rollback)
			return mayRepeat(err) || errors.Is(err, errRaced), ended(ctx, err)
		}
		switch err := s.within(ctx, tx, (*ent.Tx).Commit); {
		case err == nil:
			return false, nil
		case errors.Is(err, driver.ErrBadConn), mysqlconn.IsServer(err, conflicts...), mysqlconn.IsServer(err, refusesCommit...), isBusy(err):
			// The driver reports a bad connection only if it sent nothing.
			return true, ended(ctx, err)
		case errors.Is(err, sql.ErrTxDone), isEnded(ctx, err) && !mysqlconn.Lost(err) && !errors.Is(err, errNoAnswer):
			// It was rolled back: database/sql sends no COMMIT then, and SQLite
			// does not finish one.
			return false, ended(ctx, err)
		default:
			return false, &UnknownError{Err: err}
		}
	})
}

// begin begins a transaction.
func (s *Service) begin(ctx context.Context) (*ent.Tx, error) {
	if s.watched.Load() {
		return s.client.BeginTx(ctx, nil)
	}
	watch := new(mysqlconn.Sent)
	tx, err := s.client.BeginTx(watch.Watch(ctx), nil)
	if watch.Sent() {
		s.watched.Store(true)
	}
	return tx, err
}

// within ends a transaction. It waits no longer than until shortly after ctx has
// ended, which the connections of package authgraph see to, but not the driver's
// own Commit and Rollback.
func (s *Service) within(ctx context.Context, tx *ent.Tx, end func(*ent.Tx) error) error {
	if ctx.Done() == nil || s.watched.Load() {
		return end(tx)
	}
	done := make(chan error, 1)
	go func() { done <- end(tx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// An answer that is there, or comes at once, tells more.
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
	}
}

// endWait is what a call may take longer than its context.
const endWait = 600 * time.Millisecond

var errNoAnswer = errors.New("the server did not answer")

// repeat runs a query, or a count that may as well be made twice, again if
// it was refused or the connection was lost.
func repeat[T any](ctx context.Context, s *Service, run func(context.Context) (T, error)) (v T, err error) {
	err = s.retry(ctx, func() (bool, error) {
		var err error
		v, err = run(ctx)
		return mayRepeat(err), err
	})
	return v, err
}

// insist is repeat for a change that may as well happen twice. Where one try may
// have made it, and none after it did for certain, the error is an
// [*UnknownError].
func insist[T any](ctx context.Context, s *Service, write func(context.Context) (T, error)) (v T, err error) {
	maybe := false
	err = s.retry(ctx, func() (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, unknownIf(maybe, err)
		}
		var unsure bool
		var err error
		v, unsure, err = send(ctx, s, write)
		maybe = maybe || unsure
		return mayRepeat(err), unknownIf(maybe, err)
	})
	return v, err
}

// statement runs one write that is a transaction by itself. Where the
// connection was lost, or ctx ended, after it was sent it may have happened: it
// is not run again, and the error is an [*UnknownError].
func statement[T any](ctx context.Context, s *Service, write func(context.Context) (T, error)) (v T, err error) {
	err = s.retry(ctx, func() (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var unsure bool
		var err error
		v, unsure, err = send(ctx, s, write)
		return !unsure && mayRepeat(err), unknownIf(unsure, err)
	})
	return v, err
}

// send runs a write, and reports whether it may have happened though it failed.
func send[T any](ctx context.Context, s *Service, write func(context.Context) (T, error)) (v T, unsure bool, err error) {
	var watch mysqlconn.Sent
	v, err = write(watch.Watch(ctx))
	if watch.Sent() {
		s.watched.Store(true)
	}
	switch {
	case err == nil, mysqlconn.Unsent(err):
		return v, false, err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// Of ctx, or of one that a driver below the client made of it. In the queue
		// for a connection, for instance, nothing was sent. Without the connections
		// of package authgraph nobody can tell.
		return v, watch.Sent() || !s.watched.Load(), err
	}
	return v, mysqlconn.Lost(err), err
}

func unknownIf(unsure bool, err error) error {
	if unsure && err != nil {
		return &UnknownError{Err: err}
	}
	return err
}

// isEnded reports whether err is that of ctx.
func isEnded(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// ended is the error of ctx where database/sql, or the connection, tells only
// that nothing is left of the transaction because of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn)) {
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

func (s *Service) retry(ctx context.Context, try func() (again bool, err error)) error {
	wait := time.Millisecond
	begun := time.Now()
	for i := 1; ; i++ {
		again, err := try()
		if !again || i == attempts || ctx.Err() != nil || time.Since(begun) > patience {
			return s.explain(ctx, err)
		}
		// Full jitter: those that collided must not collide again.
		timer := time.NewTimer(rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return s.explain(ctx, err)
		case <-timer.C:
		}
		wait = min(2*wait, 100*time.Millisecond)
	}
}
