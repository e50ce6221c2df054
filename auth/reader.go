package auth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/authgraph/authgraph/ent"
)

// readerWait is how long Config.Reader may take for an answer at most. After a failure one call in as long a time asks
// it again, and the others do not wait for it.
const readerWait = time.Second

// readerTime is how long the reader may take for a call, which has to have time left for the other server.
func readerTime(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return readerWait
	}
	return min(readerWait, time.Until(deadline)/2)
}

// reader is Config.Reader. The nil one is never asked.
type reader struct {
	client *ent.Client
	// again is when it is asked again after a failure, in nanoseconds since 1970; 0 while it answers.
	again atomic.Int64
}

func newReader(client *ent.Client) *reader {
	if client == nil {
		return nil
	}
	return &reader{client: client}
}

// isDue reports whether the reader is to be asked.
func (r *reader) isDue() bool {
	if r == nil {
		return false
	}
	again, now := r.again.Load(), time.Now()
	return again == 0 || now.UnixNano() >= again && r.again.CompareAndSwap(again, now.Add(readerWait).UnixNano())
}

// told takes in whether the reader has answered.
func (r *reader) told(answered bool) {
	switch {
	case !answered:
		r.again.Store(time.Now().Add(readerWait).UnixNano())
	case r.again.Load() != 0:
		r.again.Store(0)
	}
}

// errBehind is an answer of the reader that it may give because it lacks what was changed last.
var errBehind = errors.New("the reader may be behind")

// read runs a query at the reader. Where there is none, or it fails, it is as [repeat] at the service's own client.
func read[T any](
	ctx context.Context, s *Service, query func(context.Context, *ent.Client) (T, error),
) (v T, err error) {
	if s.reader.isDue() {
		bounded, cancel := context.WithTimeout(ctx, readerTime(ctx))
		v, err = query(bounded, s.reader.client)
		gaveUp := errors.Is(ctx.Err(), context.Canceled) // which says nothing of the reader
		cancel()
		if !gaveUp {
			s.reader.told(err == nil || errors.Is(err, errBehind))
		}
		if err == nil {
			return v, nil
		}
	}
	err = s.retry(ctx, func() (bool, error) {
		var err error
		v, err = query(ctx, s.client)
		return mayRepeat(err), err
	})
	return v, err
}
