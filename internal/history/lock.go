package history

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// DefaultLockTimeout is how long one writer waits for another.
const DefaultLockTimeout = time.Minute

// CheckLockTimeout is the timeout that an option means: 0 is the default, a negative one is an error.
func CheckLockTimeout(d time.Duration) (time.Duration, error) {
	if d < 0 {
		return 0, fmt.Errorf("the lock timeout %s is negative: leave it out to wait %s", d, DefaultLockTimeout)
	}
	if d == 0 {
		return DefaultLockTimeout, nil
	}
	return d, nil
}

// lockName is the advisory lock of the history in a schema. Locks are the server's, so it holds the schema's name, as a
// digest: a lock's name has at most 64 characters (MySQL manual, 14.14).
func lockName(schema string) string {
	digest := sha256.Sum256([]byte(schema))
	return "authgraph_migrate_" + hex.EncodeToString(digest[:16])
}

// Lock takes the advisory lock of the history on a server: two histories in one database do not wait for each other. It
// waits for timeout, rounded up to whole seconds, and
// calls waiting when it begins to wait. The error is a [*LockError] if the lock was not free in time.
//
// The lock is the connection's: a statement that outlives its client still holds it, so that no other writer can start
// before that statement has ended. Where several servers take writes, the history is claimed as well, and what is held
// ends with the context held: another process takes over what gives no sign of life for 20 seconds.
func (s Store) Lock(
	ctx context.Context, timeout time.Duration, waiting func(),
) (held context.Context, unlock func() error, err error) {
	here, err := s.lock(ctx, timeout, waiting)
	if err != nil {
		return nil, nil, err
	}
	several, err := s.severalWriters(ctx)
	if err == nil && !several {
		return ctx, here, nil
	}
	var c *claim
	if err == nil {
		held, c, err = s.claim(ctx, timeout, waiting)
	}
	if err != nil {
		return nil, nil, errors.Join(err, here())
	}
	return held, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		var lost error
		if errors.Is(context.Cause(held), errTakenOver) {
			lost = errTakenOver
		}
		return errors.Join(lost, c.release(ctx), here())
	}, nil
}

func (s Store) lock(ctx context.Context, timeout time.Duration, waiting func()) (unlock func() error, err error) {
	db, name := s.DB, lockName(s.schema())
	get := func(seconds int64) (bool, error) {
		var got sql.NullBool
		if err := db.Conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, seconds).Scan(&got); err != nil {
			return false, fmt.Errorf("take the migration lock: %w", err)
		}
		return got.Bool, nil
	}
	seconds := int64((timeout + time.Second - 1) / time.Second)
	ok, err := get(0)
	if err == nil && !ok {
		waiting()
		ok, err = get(seconds)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		e := &LockError{Timeout: time.Duration(seconds) * time.Second}
		var holder sql.NullInt64
		if err := db.Conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", name).Scan(&holder); err == nil {
			e.Connection = holder.Int64
		}
		return nil, e
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// A connection that was lost has released the lock already.
		// Vitess sends DO to a connection that need not have the lock.
		if _, err := db.Conn.ExecContext(ctx, "SELECT RELEASE_LOCK(?)", name); err != nil && !mysqlconn.Lost(err) {
			return fmt.Errorf("release the migration lock: %w", err)
		}
		return nil
	}, nil
}
