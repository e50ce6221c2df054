package auth

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// hashing lets a bounded number of passwords be hashed at once, in a bounded amount of memory. Other calls wait in a
// queue, first come, first served.
type hashing struct {
	// places are one for each call that hashes or waits to.
	places chan struct{}
	// memory is shared out in KiB. The least share is that of one of HashingPolicy.Parallel, so it bounds both.
	memory *semaphore.Weighted
	share  int
	all    int
}

func newHashing(p HashingPolicy) *hashing {
	share := max(1, p.Memory<<10/p.Parallel)
	all := share * p.Parallel
	return &hashing{
		places: make(chan struct{}, p.Parallel+p.Queue),
		memory: semaphore.NewWeighted(int64(all)), share: share, all: all,
	}
}

// enter takes a place for one or more runs. It does not wait: the error is a [*BusyError] if there is none. A call that
// counts a guess enters before it does so. leave may be called more than once.
func (h *hashing) enter() (leave func(), err error) {
	select {
	case h.places <- struct{}{}:
		return sync.OnceFunc(func() { <-h.places }), nil
	default:
		return nil, &BusyError{Reason: "too many passwords wait to be hashed"}
	}
}

// run waits until fn may hash, which takes so many KiB, or until ctx ends. The caller has entered and holds no row and
// no connection, because others may have to wait for it.
func (h *hashing) run(ctx context.Context, memory int, fn func() error) error {
	n := int64(min(max(memory, h.share), h.all))
	if err := h.memory.Acquire(ctx, n); err != nil {
		return fmt.Errorf("wait to hash a password: %w", err)
	}
	defer h.memory.Release(n)
	return fn()
}
