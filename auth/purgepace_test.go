package auth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth/internal/pace"
)

// The clock is that of the bubble, so nothing waits.
func TestARestEndsWhenItIsOverOrItsContextIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			rest, deadline, want time.Duration
			err                  error
		}{
			"when it is over":           {time.Second, time.Minute, time.Second, nil},
			"when the context ends":     {time.Hour, time.Second, time.Second, context.DeadlineExceeded},
			"at once if it is not due":  {-time.Second, time.Minute, 0, nil},
			"at once if it was ended":   {time.Hour, 0, 0, context.DeadlineExceeded},
			"also where nothing is due": {0, 0, 0, context.DeadlineExceeded},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			p := pacer{pace: pace.New(pace.Limits{Batch: 1, Full: true}, time.Now())}
			began := time.Now()
			require.ErrorIs(t, p.rest(ctx, began.Add(c.rest)), c.err, name)
			assert.Equal(t, c.want, time.Since(began), name)
			cancel()
		}
	})
}

// While all sessions stay, the rate falls for as long as there are any.
func TestNoTimeLeftIsToldWhileNextToNothingIsDeleted(t *testing.T) {
	t.Parallel()
	sessions := 1
	var told PurgeProgress
	at := time.Now()
	p := pacer{
		pace: pace.New(pace.Limits{Batch: 100}, at), estimates: []int{1 << 20},
		tables: []purgedTable{{count: &sessions}}, lags: []int{pace.Unknown, pace.Unknown},
		opts: PurgeOptions{Progress: func(now PurgeProgress) { told = now }},
	}
	report := func(deleted int) {
		ended := at.Add(50 * time.Millisecond)
		p.pace.After(pace.Batch{Began: at, Ended: ended, Looked: 100, Deleted: deleted})
		at = ended
		p.report(Purged{Sessions: sessions}, deleted)
	}
	report(1)
	assert.Positive(t, told.TimeLeft)
	for range 20_000 {
		report(0)
		if told.TimeLeft != pace.Unknown {
			require.Greater(t, told.TimeLeft, time.Duration(0))
			require.Less(t, told.TimeLeft, longestLeft)
		}
	}
	assert.EqualValues(t, pace.Unknown, told.TimeLeft)
}
