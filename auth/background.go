package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// maxBackground is how much work that can wait for another time may be under way, and maxSettling all work outside of
// the callers' contexts. Work is given up after backgroundTimeout.
const (
	maxBackground     = 16
	maxSettling       = 256
	backgroundTimeout = 5 * time.Second
)

// work is what goes on outside of the callers' contexts, and what Close waits for.
type work struct {
	mu       sync.Mutex
	underWay int
	closed   bool
	group    sync.WaitGroup
}

// start runs fn in the background, if no more than limit is under way and nobody has called close.
func (w *work) start(limit int, fn func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.underWay >= limit {
		return false
	}
	w.underWay++
	w.group.Go(func() {
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.underWay--
		}()
		fn()
	})
	return true
}

func (w *work) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

func (w *work) close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	done := make(chan struct{})
	go func() { w.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goOn runs fn as [work.start] does, and survives a panic.
func (s *Service) goOn(limit int, fn func()) bool {
	return s.work.start(limit, func() {
		defer s.survive()
		fn()
	})
}

// survive is deferred where a panic, such as one of a client's hook, would end the process, because no caller's
// goroutine has it. The observer is told, without the value, which may hold anything.
func (s *Service) survive() {
	if recover() == nil {
		return
	}
	defer func() { _ = recover() }() // it may be the observer that panics
	s.observe(context.Background(), Event{Action: ActionPanic, Detail: string(debug.Stack())})
}

// background runs fn outside of any caller's context, again where it was refused in favour of another, and then done.
// It reports whether it did: there may be too much under way. What fn does must be something that may happen twice and
// that a later call does again, because an error is told to nobody.
func (s *Service) background(fn func(context.Context) error, done func(error)) bool {
	return s.goOn(maxBackground, func() {
		err := errPanicked
		defer func() { done(err) }()
		ctx, cancel := context.WithTimeout(context.Background(), backgroundTimeout)
		defer cancel()
		_, err = repeat(ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	})
}

// settle runs fn although ctx may end, and tries it again for as long as there is patience for. The caller waits for it
// until shortly after the end of ctx, and gets the error of ctx if it still goes on then. It is for what must not be
// left undone because a caller gives up. After an [*UnknownError] fn runs again as well.
func (s *Service) settle(ctx context.Context, fn func(context.Context) error) error {
	done := make(chan error, 1)
	started := s.goOn(maxSettling, func() {
		err := errPanicked
		defer func() { done <- err }()
		err = persist(context.WithoutCancel(ctx), fn)
	})
	if !started {
		return fn(ctx)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w: it goes on in the background", ctx.Err())
	}
}

// persist tries fn until it succeeds or fails for good. Each try gets more time than the one before, because a
// connection may be dead without a sign, and a server may be slow.
func persist(ctx context.Context, fn func(context.Context) error) error {
	begun := time.Now()
	for timeout := backgroundTimeout; ; timeout *= 2 {
		err := timed(ctx, timeout, fn)
		var unavailable *UnavailableError
		var unknown *UnknownError
		passing := errors.As(err, &unavailable) || errors.As(err, &unknown) || errors.Is(err, context.DeadlineExceeded)
		if !passing || time.Since(begun) > patience {
			return err
		}
		time.Sleep(timeout / 50)
	}
}

func timed(ctx context.Context, timeout time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return fn(ctx)
}
