package auth

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHashingIsBoundedInMemoryToo(t *testing.T) {
	t.Parallel()
	const mib = 1 << 10
	for _, test := range []struct {
		memory, atOnce int
	}{
		{0, 4}, {2 * mib, 4}, {2*mib + 1, 3}, {3 * mib, 2}, {4 * mib, 2}, {5 * mib, 1}, {8 * mib, 1},
		{100 * mib, 1}, // as much as there is
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHashing(HashingPolicy{Parallel: 4, Memory: 8, Queue: 4})
			var running atomic.Int64
			end := make(chan struct{})
			for range 8 {
				leave, err := h.enter()
				require.NoError(t, err)
				go func() {
					defer leave()
					assert.NoError(t, h.run(t.Context(), test.memory,
						func() error { running.Add(1); <-end; return nil }))
				}()
				synctest.Wait()
			}
			assert.EqualValues(t, test.atOnce, running.Load(), "%d KiB each", test.memory)
			_, err := h.enter()
			var busy *BusyError
			assert.ErrorAs(t, err, &busy)
			close(end)
			synctest.Wait()
			assert.EqualValues(t, 8, running.Load())
			assert.Empty(t, h.places)
		})
	}
}

func TestAPlaceIsFreeAgainAfterAPanic(t *testing.T) {
	t.Parallel()
	h := newHashing(HashingPolicy{Parallel: 1, Memory: 1, Queue: 1})
	for range 3 {
		assert.Panics(t, func() {
			leave, err := h.enter()
			require.NoError(t, err)
			defer leave()
			_ = h.run(t.Context(), 0, func() error { panic("a hasher of the team's") })
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.run(ended, 0, func() error { return nil }), context.Canceled)
	require.NoError(t, h.run(t.Context(), 0, func() error { return nil }))
}
