package history

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// An advisory lock is one server's. Where several servers take writes, whoever writes a history also claims it by a row
// of the history itself, which only one of them can insert: the cluster certifies it.

const (
	// claimed is the version of that row. This package takes a version with a dot for a note.
	claimed = ".authgraph_claim"
	// beat is how often the holder counts the row up, and stale how long a row that nobody counts up is waited for.
	beat  = 2 * time.Second
	stale = 20 * time.Second
	// beatWait is how long it may take.
	beatWait = 5 * time.Second
	// poll is how often whoever waits looks.
	poll = 200 * time.Millisecond
)

// errTakenOver ends what the holder of a claim does that another process took over.
var errTakenOver = errors.New("another process took over: this one gave no sign of life for 20 seconds")

// severalWriters reports whether the server is a node of Galera, or of a group of which all members take writes.
func (s Store) severalWriters(ctx context.Context) (bool, error) {
	var galera, single sql.NullBool
	err := s.DB.Conn.QueryRowContext(ctx, "SELECT @@GLOBAL.wsrep_on").Scan(&galera)
	const unknownVariable = 1193
	if err == nil || !mysqlconn.IsServer(err, unknownVariable) {
		return galera.Bool, wrapAsk(err)
	}
	err = s.DB.Conn.QueryRowContext(ctx, "SELECT @@GLOBAL.group_replication_single_primary_mode").Scan(&single)
	if mysqlconn.IsServer(err, unknownVariable) {
		return false, nil
	}
	return single.Valid && !single.Bool, wrapAsk(err)
}

func wrapAsk(err error) error {
	if err != nil {
		return fmt.Errorf("ask whether other servers take writes: %w", err)
	}
	return nil
}

// conflicts are the errors by which a cluster refuses a transaction in favour of another server's.
func conflicts(err error) bool { return mysqlconn.IsServer(err, 1180, 1205, 1213, 3101) }

// claim is a row that this process holds.
type claim struct {
	store  Store
	holder string
	pool   *sql.DB
	stop   context.CancelFunc
	ended  chan struct{}
}

// claim waits until the history is this process's alone, and calls waiting when it begins to wait. The context that it
// returns ends if the claim is lost. The error is a [*LockError] if the history was not free in time.
func (s Store) claim(ctx context.Context, timeout time.Duration, waiting func()) (context.Context, *claim, error) {
	if err := s.insist(ctx, func() error { return s.Create(ctx) }); err != nil {
		return nil, nil, err
	}
	c := &claim{store: s, holder: rand.Text(), ended: make(chan struct{})}
	began, waited := time.Now(), false
	var seen struct {
		holder string
		count  int64
		since  time.Time
	}
	for {
		_, err := c.exec(ctx, s.DB.Conn, "INSERT INTO "+s.table()+" (version, description, executed_at, "+
			"execution_time, hash, operator_version) VALUES (?, ?, NOW(), 0, '', ?)", claimed, c.holder, operator)
		const duplicate = 1062
		switch {
		case err == nil:
			return c.keep(ctx)
		case !conflicts(err) && !mysqlconn.IsServer(err, duplicate):
			return nil, nil, fmt.Errorf("claim the history: %w", err)
		}
		if !waited {
			waited = true
			waiting()
		}
		var holder string
		var count int64
		err = s.DB.Conn.QueryRowContext(ctx, "SELECT description, applied FROM "+s.table()+" WHERE version = ?",
			claimed).Scan(&holder, &count)
		switch now := time.Now(); {
		case errors.Is(err, sql.ErrNoRows): // given back meanwhile, or not here yet
		case err != nil && !conflicts(err):
			return nil, nil, fmt.Errorf("claim the history: %w", err)
		case holder != seen.holder, count != seen.count:
			seen.holder, seen.count, seen.since = holder, count, now
		case now.Sub(seen.since) > stale:
			// Whoever counts it up meanwhile keeps it.
			if _, err := c.exec(ctx, s.DB.Conn, "DELETE FROM "+s.table()+" WHERE version = ? AND description = ? AND "+
				"applied = ?", claimed, holder, count); err != nil && !conflicts(err) {
				return nil, nil, fmt.Errorf("take the history over: %w", err)
			}
			seen.since = now
		}
		// One that nobody counts up is waited for until it can be taken over.
		isLeft := time.Since(seen.since) > 2*beat && time.Since(began) < timeout+stale+beat
		if time.Since(began) > timeout && !isLeft {
			return nil, nil, &LockError{Timeout: timeout}
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for another apply: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (c *claim) exec(ctx context.Context, on execer, query string, args ...any) (int64, error) {
	result, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// keep counts the row up until release. It has a connection of its own: the other one may be busy for hours.
func (c *claim) keep(ctx context.Context) (context.Context, *claim, error) {
	pool, err := c.store.DB.URL.OpenDB()
	if err != nil {
		return nil, nil, err
	}
	c.pool = pool
	if err := c.store.insist(ctx, func() error { _, err := c.beat(ctx); return err }); err != nil {
		err = fmt.Errorf("count the claim of the history up: %w", err)
		return nil, nil, errors.Join(err, c.remove(ctx), pool.Close())
	}
	ctx, lost := context.WithCancelCause(ctx)
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = func() { stop(); lost(nil) }
	go func() {
		defer close(c.ended)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-own.Done():
				return
			case <-tick.C:
			}
			n, err := c.beat(own)
			switch {
			case err == nil && n > 0:
				last = time.Now()
			case err == nil, time.Since(last) > stale-beat: // another one may take over
				lost(errTakenOver)
				return
			}
		}
	}()
	return ctx, c, nil
}

// beat counts the row up, and returns how many there are. Atlas takes a file for half applied unless the two are equal.
func (c *claim) beat(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, beatWait)
	defer cancel()
	return c.exec(ctx, c.pool, "UPDATE "+c.store.table()+" SET applied = applied + 1, total = total + 1 "+
		"WHERE version = ? AND description = ?", claimed, c.holder)
}

// release gives the history back.
func (c *claim) release(ctx context.Context) error {
	c.stop()
	<-c.ended
	return errors.Join(c.remove(ctx), c.pool.Close())
}

// remove has the pool's connection, whose session no file has touched: it may have begun a transaction.
func (c *claim) remove(ctx context.Context) error {
	err := c.store.insist(ctx, func() error {
		_, err := c.exec(ctx, c.pool, "DELETE FROM "+c.store.table()+" WHERE version = ? AND description = ?",
			claimed, c.holder)
		return err
	})
	if err != nil && !mysqlconn.Lost(err) {
		return fmt.Errorf("give the history back: %w", err)
	}
	return nil
}

// insist does something again that another server's transaction was preferred to.
func (s Store) insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !conflicts(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}
