package authtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/hook"
)

// from is a device that holds a token.
func from(token auth.Token) auth.Device {
	d := phone
	d.Token = token
	return d
}

// guess makes n guesses at a password from a device and returns the error of the last one.
func guess(t *testing.T, svc *auth.Service, email string, d auth.Device, n int) (last error) {
	t.Helper()
	for range n {
		_, last = svc.SignIn(t.Context(), email, wrongPassword, d)
		require.ErrorIs(t, last, auth.ErrCredentials)
	}
	return last
}

// known reports whether a device is told from a stranger: no lock concerns it. It costs the device a failure.
func (k *kit) known(t *testing.T, svc *auth.Service, u *auth.User, token auth.Token) bool {
	t.Helper()
	k.lock(t, u.ID, k.clock.Now().Add(time.Minute))
	var locked *auth.LockedError
	return !errors.As(guess(t, svc, u.Email, from(token), 1), &locked)
}

var deviceRaces = []scenario{
	{name: "64 guesses of a known device examine no more passwords than allowed", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = h })
		g := k.signIn(t, svc)
		other := signIn(t, svc, g.User.Email)
		hash := *k.user(t, g.User.ID).Password
		before := h.Examined(hash)
		errs := atOnce(64, func(int) error {
			_, err := svc.SignIn(t.Context(), g.User.Email, wrongPassword, from(g.Token))
			return err
		})
		require.Zero(t, winners(t, errs, auth.ErrCredentials))
		require.Equal(t, 10+10, h.Examined(hash)-before, "it is a stranger after the first ten")
		require.False(t, k.known(t, svc, g.User, g.Token))
		_, err := svc.SignIn(t.Context(), g.User.Email, password, from(other.Token))
		require.NoError(t, err)
	}},
	{name: "64 guesses at once at the end of the budget examine what is left of it", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = h })
		u := k.register(t, svc)
		hash := *k.user(t, u.ID).Password
		k.set(t, u.ID, graph.GuessFailures, 45)
		errs := atOnce(64, func(int) error {
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			return err
		})
		require.Zero(t, winners(t, errs, auth.ErrCredentials))
		require.Equal(t, 5, h.Examined(hash))
		require.EqualValues(t, 50, k.user(t, u.ID).GuessFailures)
	}},
	{name: "a known device gets in while strangers guess", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		token := g.Token
		errs := atOnce(24, func(i int) error {
			if i == 0 {
				_, err := svc.SignIn(t.Context(), g.User.Email, password, from(token))
				return err
			}
			_, err := svc.SignIn(t.Context(), g.User.Email, wrongPassword, phone)
			return err
		})
		require.NoError(t, errs[0])
		require.Equal(t, 1, winners(t, errs, auth.ErrCredentials))
		require.EqualValues(t, 10, k.user(t, g.User.ID).GuessFailures)
	}},
}

var deviceRules = []scenario{
	{name: "what a sign-in ends is counted", run: func(t *testing.T, k *kit) {
		var told []string
		observed := func(limit int) *auth.Service {
			return k.service(t, func(c *auth.Config) {
				c.Session.MaxPerUser = limit
				c.Observer = auth.ObserverFunc(func(_ context.Context, e auth.Event) {
					told = append(told, fmt.Sprintf("%s %d", e.Action, e.Count))
				})
			})
		}
		svc, bounded := observed(0), observed(2)
		u := k.register(t, k.service(t))
		start := func(svc *auth.Service, d auth.Device) {
			_, _, err := svc.StartSession(t.Context(), u.ID, d)
			require.NoError(t, err)
		}
		first := signIn(t, svc, u.Email)
		second, err := svc.SignIn(t.Context(), u.Email, password, from(first.Token))
		require.NoError(t, err)
		start(svc, from(second.Refresh))
		_ = signIn(t, bounded, u.Email)
		last := signIn(t, bounded, u.Email)
		for range 2 {
			start(svc, phone)
		}
		k.clock.Advance(time.Second)
		renew(t, bounded, last.Refresh)
		assert.Equal(t, []string{
			"sign_in 0", "sign_in 2", "start_session 2", "sign_in 0", "sign_in 1", "start_session 0", "start_session 0",
			"renew 3",
		}, told)
		for range 102 {
			start(svc, phone)
		}
		k.clock.Advance(time.Second)
		told = nil
		start(bounded, phone)
		assert.Equal(t, []string{"revoke_sessions 100", "revoke_sessions 3", "start_session 1"}, told)
	}},
	{name: "the budget of strangers is spent for good until somebody gets in", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, g := t.Context(), k.signIn(t, svc)
		email := g.User.Email
		for range 5 {
			_ = guess(t, svc, email, phone, 10)
			k.clock.Advance(15 * time.Minute)
		}
		for range 2 {
			var spent *auth.LockedError
			_, err := svc.SignIn(ctx, email, password, phone)
			require.ErrorAs(t, err, &spent)
			require.Zero(t, spent.Until)
			require.ErrorAs(t, only(svc.ChangePassword(ctx, g.User.ID, password, nextPassword, phone)), &spent)
			k.clock.Advance(24 * time.Hour)
		}
		here, err := svc.SignIn(ctx, email, password, from(g.Token))
		require.NoError(t, err)
		var spent *auth.LockedError
		require.ErrorAs(t, guess(t, svc, email, phone, 1), &spent)

		require.NoError(t, endings(k, svc)["ResetPassword"](t, here)())
		_, err = svc.SignIn(ctx, email, nextPassword, phone)
		require.NoError(t, err)
	}},
	{name: "the success of a known device says nothing of strangers' guesses", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.verified(t, svc)
		_ = guess(t, svc, g.User.Email, phone, 9)
		_, err := svc.SignIn(t.Context(), g.User.Email, password, from(g.Token))
		require.NoError(t, err)
		row := k.user(t, g.User.ID)
		assert.EqualValues(t, 9, row.FailedLoginAttempts)
		assert.EqualValues(t, 9, row.GuessFailures)
		signIn(t, svc, g.User.Email)
		row = k.user(t, g.User.ID)
		assert.Zero(t, row.FailedLoginAttempts)
		assert.Zero(t, row.GuessFailures)
	}},
	{name: "a device that failed too often is a stranger, whose success starts the count of strangers again",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g := k.verified(t, svc)
			_ = guess(t, svc, g.User.Email, from(g.Token), 10+3)
			require.EqualValues(t, 3, k.user(t, g.User.ID).GuessFailures)
			_, err := svc.SignIn(t.Context(), g.User.Email, password, from(g.Token))
			require.NoError(t, err)
			require.Zero(t, k.user(t, g.User.ID).GuessFailures)
		}},
	{name: "a device that failed too often is a stranger where mails are asked for", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.verified(t, svc)
		_ = guess(t, svc, g.User.Email, from(g.Token), 10)
		before := k.user(t, g.User.ID).GuessFailures
		issued, err := issueFrom(t, svc, from(g.Token), g.User.Email)
		require.NoError(t, err)
		require.False(t, issued.Link)
		require.Equal(t, before+5, k.user(t, g.User.ID).GuessFailures)
		_, err = issueFrom(t, svc, phone, g.User.Email)
		require.ErrorIs(t, err, errTooSoon, "its origin is its address")
	}},
	{name: "a device that fails too often while it is told from strangers is one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		var called atomic.Bool
		k.client.Session.Use(func(next ent.Mutator) ent.Mutator {
			return hook.SessionFunc(func(ctx context.Context, m *ent.SessionMutation) (ent.Value, error) {
				if _, ok := m.AddedDeviceFailures(); ok && called.CompareAndSwap(false, true) {
					_ = guess(t, svc, g.User.Email, from(g.Token), 10)
				}
				return next.Mutate(ctx, m)
			})
		})
		_ = guess(t, svc, g.User.Email, from(g.Token), 1)
		require.EqualValues(t, 1, k.user(t, g.User.ID).GuessFailures)
	}},
	{name: "a guess is counted for its own account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		bystander, g := k.signIn(t, svc), k.signIn(t, svc)
		_ = guess(t, svc, g.User.Email, phone, 3)
		_ = guess(t, svc, k.email(), phone, 3)
		_ = guess(t, svc, g.User.Email, from(g.Token), 2)
		assert.Zero(t, k.user(t, bystander.User.ID).GuessFailures)
		assert.EqualValues(t, 3, k.user(t, g.User.ID).GuessFailures)
	}},
	{name: "the guesses of one known device are not those of another", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		other := signIn(t, svc, g.User.Email)
		_ = guess(t, svc, g.User.Email, from(g.Token), 10)
		require.False(t, k.known(t, svc, g.User, g.Token))
		require.True(t, k.known(t, svc, g.User, other.Token))
		row, err := k.client.Session.Get(t.Context(), other.Session.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, row.DeviceFailures)
	}},
	{name: "a device is known by its session or its refresh token, live or ended", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		for _, token := range []auth.Token{g.Token, g.Refresh, next} {
			require.True(t, k.known(t, svc, g.User, token))
		}
		require.NoError(t, only(svc.SignOut(t.Context(), g.Token)))
		require.True(t, k.known(t, svc, g.User, g.Token))
		require.False(t, k.known(t, svc, g.User, auth.ParseToken("no such token")))
		require.False(t, k.known(t, svc, g.User, auth.Token{}))
	}},
	{name: "a device is known to its own account alone", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g, stranger := k.signIn(t, svc), k.signIn(t, svc)
		require.False(t, k.known(t, svc, g.User, stranger.Token))
		require.False(t, k.known(t, svc, g.User, stranger.Refresh))
	}},
	{name: "a device is known for as long as it is remembered", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.Remember = 24 * time.Hour })
		g := k.signIn(t, svc)
		k.clock.Set(g.Session.ExpiresAt.Add(24*time.Hour - time.Microsecond))
		require.True(t, k.known(t, svc, g.User, g.Token))
		k.clock.Advance(time.Microsecond)
		require.False(t, k.known(t, svc, g.User, g.Token))
	}},
	{name: "a device of a replica a year ahead is a stranger", run: func(t *testing.T, k *kit) {
		svc, ahead := k.service(t), k.replicaAhead(t, year)
		u := k.register(t, svc)
		require.False(t, k.known(t, svc, u, signIn(t, ahead, u.Email).Token))
	}},
	{name: "a device that another program signed in is a stranger", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		require.NoError(t, k.client.Session.UpdateOneID(g.Session.ID).ClearTrustEpoch().Exec(t.Context()))
		require.False(t, k.known(t, svc, g.User, g.Token))
	}},
	{name: "a sign-in moves the standing of its device", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		_ = guess(t, svc, g.User.Email, from(g.Token), 9)
		next, err := svc.SignIn(t.Context(), g.User.Email, password, from(g.Token))
		require.NoError(t, err)
		require.False(t, k.known(t, svc, g.User, g.Token))
		_ = guess(t, svc, g.User.Email, from(next.Token), 9)
		require.True(t, k.known(t, svc, g.User, next.Token), "its count starts again")

		former := k.signIn(t, svc)
		moved, err := svc.SignIn(t.Context(), former.User.Email, password, from(former.Token))
		require.NoError(t, err)
		require.False(t, k.known(t, svc, former.User, former.Token), "without a failure too")
		require.True(t, k.known(t, svc, former.User, moved.Token))
	}},
	{name: "a reset and RevokeAll end the standing of every device", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for name, end := range endings(k, svc) {
			if !voids[name] || name == "Suspend" || name == "Delete" {
				continue
			}
			g, bystander := k.signIn(t, svc), k.signIn(t, svc)
			other := signIn(t, svc, g.User.Email)
			require.NoError(t, end(t, g)(), name)
			require.False(t, k.known(t, svc, g.User, g.Token), name)
			require.False(t, k.known(t, svc, g.User, other.Token), name)
			require.True(t, k.known(t, svc, bystander.User, bystander.Token), name)
		}
	}},
	{name: "a device whose session is revoked is a stranger, and one that signed out is not",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 3 })
			ctx, u := t.Context(), k.register(t, svc)
			pushed, out := signIn(t, svc, u.Email), signIn(t, svc, u.Email)
			revoked, last := signIn(t, svc, u.Email), signIn(t, svc, u.Email)
			require.NoError(t, only(svc.SignOut(ctx, out.Token)))
			require.NoError(t, only(svc.RevokeSession(ctx, u.ID, revoked.Session.ID)))
			require.NoError(t, only(svc.RevokeSession(ctx, k.register(t, svc).ID, last.Session.ID)))
			for _, known := range []*auth.Grant{pushed, out, last} {
				require.True(t, k.known(t, svc, u, known.Token))
			}
			require.False(t, k.known(t, svc, u, revoked.Token))
			require.NoError(t, only(svc.RevokeSession(ctx, u.ID, out.Session.ID)))
			require.False(t, k.known(t, svc, u, out.Token), "also after its end")
			k.clock.Advance(time.Minute)
			kept := signIn(t, svc, u.Email)
			require.NoError(t, only(svc.RevokeOtherSessions(ctx, u.ID, kept.Session.ID)))
			require.False(t, k.known(t, svc, u, last.Token))
			require.True(t, k.known(t, svc, u, kept.Token))
			require.NoError(t, only(svc.RevokeSessions(ctx, u.ID)))
			require.False(t, k.known(t, svc, u, kept.Token))
		}},
	{name: "a deletion ends the standing of every device", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		require.NoError(t, only(svc.Delete(t.Context(), g.User.ID)))
		require.NoError(t, svc.Restore(t.Context(), g.User.ID))
		require.False(t, k.known(t, svc, g.User, g.Token))
	}},
	{name: "a change of the password leaves its device known, and no other", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		other := signIn(t, svc, g.User.Email)
		_ = guess(t, svc, g.User.Email, from(g.Token), 9)
		k.lock(t, g.User.ID, k.clock.Now().Add(time.Minute))
		ctx := t.Context()
		require.NoError(t, only(svc.ChangePassword(ctx, g.User.ID, password, nextPassword, from(g.Token))))
		require.True(t, k.known(t, svc, g.User, g.Token))
		require.False(t, k.known(t, svc, g.User, other.Token))
	}},
	{name: "a right password that may not reactivate yet is no failure",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.ReactivateAfter = time.Hour })
			u := k.register(t, svc)
			require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
			for range 11 {
				var early *auth.NotYetError
				_, err := svc.Reactivate(t.Context(), u.Email, password, phone)
				require.ErrorAs(t, err, &early)
			}
			assert.Zero(t, k.user(t, u.ID).GuessFailures)
		}},
}
