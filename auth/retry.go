package auth

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// attempts is how often a transaction is tried. Each round of deadlocks among n
// requests for one row lets one of them through, so the last one may need many.
const attempts = 20

// patience is how long after the beginning of a call another try may begin.
const patience = 30 * time.Second

// retry calls try until it does not ask for another time, for as long as there is
// patience for. It returns what [Service.explain] makes of the last error.
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

// repeat runs a query again if it was refused or the connection was lost. It also serves counts that may be made twice.
func repeat[T any](ctx context.Context, s *Service, run func(context.Context) (T, error)) (v T, err error) {
	err = s.retry(ctx, func() (bool, error) {
		var err error
		v, err = run(ctx)
		return mayRepeat(err), err
	})
	return v, err
}

// insist is repeat for a change that may happen twice. If one try may have made it,
// and no later one made it for certain, the error is an [*UnknownError].
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

// statement runs one write that is a transaction by itself. If the connection was lost, or ctx ended, after it was sent
// it may have happened. It is then not run again, and the error is an [*UnknownError].
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

// send runs a write, and reports whether it may have happened although it failed.
func send[T any](
	ctx context.Context, s *Service, write func(context.Context) (T, error),
) (v T, unsure bool, err error) {
	if err := s.proveCounts(ctx); err != nil {
		return v, false, err
	}
	var watch mysqlconn.Sent
	v, err = write(watch.Watch(ctx))
	if watch.Sent() {
		s.watched.Store(true)
	}
	switch {
	case err == nil, mysqlconn.Unsent(err):
		return v, false, err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// It is the error of ctx, or of a context that a driver below the client made. In the queue for a connection,
		// for instance, nothing was sent. Only the connections of package authgraph can tell.
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
