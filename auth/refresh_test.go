package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// A thief who presents a token and hangs up must not keep the family alive, nor a database that is slow just then.
func TestReuseIsRevokedAlthoughTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		id := w.register(t, email)
		first := w.rotatedTwice(t, email)
		holder, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer holder.Rollback()
		_, err = holder.ExecContext(t.Context(), "UPDATE refresh_tokens SET revoked_at = NULL WHERE user_id = ?", id)
		require.NoError(t, err)

		var told atomic.Int32
		s := w.observed(t, w.open(t), 0, func(e auth.Event) {
			if e.Action == auth.ActionReuse && e.UserID == id && e.Count == 2 {
				told.Add(1)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _, err = s.Rotate(ctx, first)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), late)
		require.Zero(t, told.Load())

		require.NoError(t, holder.Rollback())
		require.NoError(t, s.Close(t.Context()), "it waits for the revocation")
		assert.EqualValues(t, 1, told.Load())
		assert.NotContains(t, w.state(t, email), "revoked false")
		assert.NotContains(t, w.state(t, email), "active true")
	})
}

func TestASaltIsErasedAfterTheGrace(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		s := w.service(t, w.client, 20*time.Millisecond)
		for range 3 {
			email := w.email()
			w.register(t, email)
			require.NoError(t, rotate(w.signIn(t, email).Refresh)(t.Context(), s))
		}
		salts := func() int {
			n, err := w.client.RefreshToken.Query().Where(refreshtoken.SuccessorSaltNotNil()).Count(t.Context())
			require.NoError(t, err)
			return n
		}
		mysqltest.Eventually(t, "the salts are erased", func() bool { return salts() == 0 })

		email := w.email()
		w.register(t, email)
		closed := w.service(t, w.client, 20*time.Millisecond)
		require.NoError(t, closed.Close(t.Context()))
		next, _, err := closed.Rotate(t.Context(), w.signIn(t, email).Refresh)
		require.NoError(t, err, "a service that is closed still rotates")
		_, _, err = s.Rotate(t.Context(), next)
		require.NoError(t, err)
		mysqltest.Eventually(t, "what a closed service left is erased by the exchange or after it",
			func() bool { return salts() == 0 })
	})
}

// Neither an error nor a panic nor too much work in the background leaves a salt behind.
func TestASaltIsErasedThoughThatFailsAtFirst(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		client := w.open(t)
		var tries atomic.Int32
		client.RefreshToken.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				switch tries.Add(1) {
				case 1:
					return nil, errOrdinary
				case 2:
					panic("a hook panics")
				}
				return next.Mutate(ctx, m)
			})
		})
		busy := make(chan struct{})
		var touched sync.WaitGroup
		client.Session.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				touched.Done()
				<-busy
				return next.Mutate(ctx, m)
			})
		})
		config := w.config()
		config.Refresh.Grace = 20 * time.Millisecond
		config.Clock = func() time.Time { return time.Now().Add(2 * time.Minute) }
		s, err := auth.New(client, config)
		require.NoError(t, err)
		email := w.email()
		w.register(t, email)
		for range 16 {
			token := w.signIn(t, email).Token
			touched.Add(1)
			_, _, err := s.CheckSession(t.Context(), token)
			require.NoError(t, err)
		}
		touched.Wait()
		require.NoError(t, rotate(w.signIn(t, email).Refresh)(t.Context(), s))
		rotated := time.Now()
		mysqltest.Eventually(t, "the first try has found no place", func() bool {
			return time.Since(rotated) > 5*config.Refresh.Grace
		})
		close(busy)
		mysqltest.Eventually(t, "the salt is erased", func() bool {
			n, err := w.client.RefreshToken.Query().Where(refreshtoken.SuccessorSaltNotNil()).Count(t.Context())
			return err == nil && n == 0
		})
		assert.EqualValues(t, 3, tries.Load())
		require.NoError(t, s.Close(t.Context()))
	})
}
