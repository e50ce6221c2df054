package auth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// tx runs fn in a transaction and commits it unless fn returns an error. It runs fn again where nothing of it can have
// happened: the database rolled the transaction back in favour of another one, it refused a statement, or the
// connection was lost before COMMIT was sent. If that goes on the error is an [*UnavailableError]. If the answer to
// COMMIT is lost it is an [*UnknownError].
//
// A change that must stay although the caller gets an error, such as a revoked family,
// is committed: fn returns nil, and its caller makes the error.
//
// If a hook of the client panics or keeps the commit from being sent, the transaction is rolled back.
func (s *Service) tx(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) error) error {
	for {
		err := s.retry(ctx, func() (bool, error) { return s.txOnce(ctx, fn) })
		var backlog *backlogError
		if !errors.As(err, &backlog) {
			return err
		}
		if err := s.workOff(ctx, backlog.userID); err != nil {
			return err
		}
	}
}

// txOnce runs fn in a transaction once, and reports whether it may run again after the error.
func (s *Service) txOnce(
	ctx context.Context, fn func(ctx context.Context, tx *ent.Client) error,
) (again bool, err error) {
	if err := s.proveCounts(ctx); err != nil {
		return mayRepeat(err), err
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return mayRepeat(err), err
	}
	returned := false
	defer func() {
		if !returned {
			_ = s.within(ctx, tx, (*ent.Tx).Rollback)
		}
	}()
	if s.locks.Load() {
		if _, err := tx.Client().ExecContext(ctx, "DELETE FROM otps WHERE false"); err != nil {
			return mayRepeat(err), ended(ctx, err)
		}
	}
	if err := fn(ctx, tx.Client()); err != nil {
		if isBusy(err) {
			// A connection of the project's own may begin without the lock. What has read before another wrote is then
			// refused for good (sqlite.org/lang_transaction.html, 2.1). What writes first waits.
			s.locks.Store(true)
		}
		// The database has rolled back already where that fails.
		return mayRepeat(err) || errors.Is(err, errRaced), ended(ctx, err)
	}
	err = s.within(ctx, tx, (*ent.Tx).Commit)
	returned = true
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, driver.ErrBadConn), mysqlconn.IsServer(err, conflicts...),
		mysqlconn.IsServer(err, refusesCommit...), isBusy(err):
		// The driver reports a bad connection only if it sent nothing.
		return true, ended(ctx, err)
	case errors.Is(err, sql.ErrTxDone), isEnded(ctx, err) && !mysqlconn.Lost(err) && !errors.Is(err, errNoAnswer):
		// It was rolled back: database/sql sends no COMMIT then, and SQLite does not finish one.
		return false, ended(ctx, err)
	case s.within(ctx, tx, (*ent.Tx).Rollback) == nil:
		return false, err // a hook sent no COMMIT
	default:
		return false, &UnknownError{Err: err}
	}
}

// holding runs fn in a transaction that holds the row of a user who matches. It is an [ErrNotFound] if there is none.
// The row is written and not only locked: a lock is one server's, and where several take writes they compare what was
// written.
func (s *Service) holding(
	ctx context.Context, userID UserID, fn func(ctx context.Context, tx *ent.Client) error, which ...where,
) error {
	return s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		switch n, err := changeOf(userID).only(which...).send(ctx, tx); {
		case unheld(err, userID), err == nil && n == 0:
			return ErrNotFound
		case err != nil:
			return fmt.Errorf("find an account: %w", err)
		}
		return fn(ctx, tx)
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

// within ends a transaction and waits until shortly after the end of ctx at most. The connections of package authgraph
// see to that by themselves; the driver's own Commit and Rollback do not.
func (s *Service) within(ctx context.Context, tx *ent.Tx, end func(*ent.Tx) error) error {
	if ctx.Done() == nil || s.watched.Load() {
		return end(tx)
	}
	done := make(chan error, 1)
	go func() {
		err := errPanicked
		defer func() { done <- err }()
		defer s.survive()
		err = end(tx)
	}()
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

// endWait is how much longer than its context a call may take.
const endWait = 600 * time.Millisecond

var errNoAnswer = errors.New("the server did not answer")

// errPanicked takes the place of a panic that would end the process, because no caller's goroutine has it.
var errPanicked = errors.New("a hook or an observer panicked")

// isEnded reports whether err is that of ctx.
func isEnded(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// ended returns the error of ctx in place of one of database/sql or the connection
// that only says that the transaction is gone because ctx ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn)) {
		return ctx.Err()
	}
	return err
}

// wrap says what was being done when err came about; it is nil if err is.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
