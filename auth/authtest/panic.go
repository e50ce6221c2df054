package authtest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
)

// panicking is what the program around a service does wrong.
const panicking = "a hook or an observer panics"

var errRefused = errors.New("a hook refuses the commit")

// hooked are hooks of a client by where they end a transaction.
var hooked = map[string]func(next ent.Mutator) ent.Mutator{
	"before a change": func(ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(context.Context, ent.Mutation) (ent.Value, error) { panic(panicking) })
	},
	"after a change": func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			_, _ = next.Mutate(ctx, m)
			panic(panicking)
		})
	},
	"before the commit":          onCommit(func(context.Context, *ent.Tx, ent.Committer) error { panic(panicking) }),
	"in the place of the commit": onCommit(func(context.Context, *ent.Tx, ent.Committer) error { return errRefused }),
	"after the commit": onCommit(func(ctx context.Context, tx *ent.Tx, next ent.Committer) error {
		_ = next.Commit(ctx, tx)
		panic(panicking)
	}),
}

func onCommit(fn func(context.Context, *ent.Tx, ent.Committer) error) func(ent.Mutator) ent.Mutator {
	return func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			if tx, err := m.(interface{ Tx() (*ent.Tx, error) }).Tx(); err == nil {
				tx.OnCommit(func(next ent.Committer) ent.Committer {
					return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error { return fn(ctx, tx, next) })
				})
			}
			return next.Mutate(ctx, m)
		})
	}
}

var panicRules = []scenario{
	{name: "a hook that panics or refuses leaves no transaction open",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			armed := map[string]*atomic.Bool{}
			for name, hook := range hooked {
				on := new(atomic.Bool)
				armed[name] = on
				k.client.Use(func(next ent.Mutator) ent.Mutator {
					wrong := hook(next)
					return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
						if on.Load() {
							return wrong.Mutate(ctx, m)
						}
						return next.Mutate(ctx, m)
					})
				})
			}
			for name, on := range armed {
				// Only the first call of a service has to find out what its connections tell.
				for _, svc := range []*auth.Service{k.service(t), svc} {
					for _, ctx := range []context.Context{context.WithoutCancel(t.Context()), t.Context()} {
						u := k.signIn(t, svc).User
						on.Store(true)
						func() {
							defer func() { _ = recover() }()
							err := only(svc.Delete(ctx, u.ID))
							var unknown *auth.UnknownError
							assert.Equal(t, name == "after the commit", errors.As(err, &unknown), "%s: %v", name, err)
						}()
						on.Store(false)
						// Whoever waited for the row, or the file, would wait for as long as the program runs.
						after, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						err := k.write(after, u.ID, graph.GuessFailures, "0")
						cancel()
						require.NoError(t, err, name)
					}
				}
			}
		}},
	{name: "a hook that panics in the background is left to the next call", run: func(t *testing.T, k *kit) {
		g := k.signIn(t, k.service(t))
		var calls, told atomic.Int32
		k.client.Session.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				if calls.Add(1) == 1 {
					panic(panicking)
				}
				return next.Mutate(ctx, m)
			})
		})
		used := k.clock.Advance(time.Hour)
		for range 2 {
			svc := k.service(t, func(c *auth.Config) {
				c.Observer = auth.ObserverFunc(func(_ context.Context, e auth.Event) {
					assert.Equal(t, auth.ActionPanic, e.Action)
					assert.Contains(t, e.Detail, "panic.go", "where it was")
					assert.NotContains(t, e.Detail, panicking, "the value may hold anything")
					told.Add(1)
					panic(panicking) // which ends the process no more than the hook does
				})
			})
			_, _, err := svc.CheckSession(t.Context(), g.Token)
			require.NoError(t, err)
			require.NoError(t, svc.Close(t.Context()), "it waits for what goes on in the background")
		}
		assert.EqualValues(t, 2, calls.Load())
		assert.EqualValues(t, 1, told.Load())
		row, err := k.client.Session.Get(t.Context(), g.Session.ID)
		require.NoError(t, err)
		assert.True(t, row.LastUsedAt.Equal(used))
	}},
	{name: "an observer that panics leaves what happened as it is", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) {
			c.Observer = auth.ObserverFunc(func(context.Context, auth.Event) { panic(panicking) })
		})
		email := k.email()
		assert.PanicsWithValue(t, panicking,
			func() { _, _, _ = svc.Register(t.Context(), nameOf(email), email, password) })
		assert.PanicsWithValue(t, panicking, func() { _, _ = svc.SignIn(t.Context(), email, password, phone) })
		g := signIn(t, k.service(t), email)
		assert.Len(t, sessionIDs(t, svc, g.User.ID), 2)
	}},
}
