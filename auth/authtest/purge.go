package authtest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

func (k *kit) rows(t *testing.T) auth.Purged {
	t.Helper()
	ctx := t.Context()
	count := func(n int, err error) int {
		require.NoError(t, err)
		return n
	}
	return auth.Purged{
		OTPs:          count(k.client.OTP.Query().Count(ctx)),
		Sessions:      count(k.client.Session.Query().Count(ctx)),
		RefreshTokens: count(k.client.RefreshToken.Query().Count(ctx)),
		Users:         k.allUsers(t),
	}
}

func sum(p auth.Purged) int { return p.OTPs + p.Sessions + p.RefreshTokens + p.Users }

// children makes sessions and refresh tokens of a user that do not end soon.
func (k *kit) children(t *testing.T, u *auth.User, sessions, tokens int) {
	t.Helper()
	end := k.clock.Now().Add(365 * 24 * time.Hour)
	for range sessions {
		require.NoError(t, k.client.Session.Create().SetUserID(u.ID).SetTokenHash(k.email()).
			SetExpiresAt(end).Exec(t.Context()))
	}
	for range tokens {
		require.NoError(t, k.client.RefreshToken.Create().SetUserID(u.ID).SetTokenHash(k.email()).
			SetExpiresAt(end).Exec(t.Context()))
	}
}

func purge(t *testing.T, svc *auth.Service, opts auth.PurgeOptions) auth.Purged {
	t.Helper()
	done, err := svc.Purge(t.Context(), opts)
	require.NoError(t, err)
	return done
}

var purgeRules = []scenario{
	{name: "a purge deletes in batches what a dry run counts", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		for range 7 {
			g := k.signIn(t, svc)
			issue(t, svc, g.User.Email, schematype.OTPSignIn)
			require.NoError(t, only(svc.Delete(ctx, g.User.ID)))
		}
		before := k.rows(t)
		require.Equal(t, auth.Purged{OTPs: 7, Sessions: 7, RefreshTokens: 7, Users: 7}, before)
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}))

		k.clock.Advance(91 * 24 * time.Hour)
		stays := k.signIn(t, svc)
		issue(t, svc, stays.User.Email, schematype.OTPSignIn)
		require.Equal(t, before, purge(t, svc, auth.PurgeOptions{DryRun: true}))
		require.Equal(t, auth.Purged{OTPs: 8, Sessions: 8, RefreshTokens: 8, Users: 8}, k.rows(t))

		var steps []auth.Purged
		done := purge(t, svc, auth.PurgeOptions{Batch: 3,
			Progress: func(p auth.PurgeProgress) { steps = append(steps, p.Purged) }})
		require.Equal(t, before, done)
		assert.Len(t, steps, 12, "3, 3 and 1 rows of each of four tables")
		assert.Equal(t, auth.Purged{OTPs: 3}, steps[0])
		assert.Equal(t, auth.Purged{OTPs: 7, Sessions: 6}, steps[4])
		require.Equal(t, auth.Purged{OTPs: 1, Sessions: 1, RefreshTokens: 1, Users: 1}, k.rows(t))
		_, _, err := svc.CheckSession(ctx, stays.Token)
		require.NoError(t, err)
		rotate(t, svc, stays.Refresh)
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}))
	}},
	{name: "a purge of some of the tables leaves the others", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		issue(t, svc, g.User.Email, schematype.OTPSignIn)
		require.NoError(t, only(svc.Delete(t.Context(), g.User.ID)))
		k.clock.Advance(91 * 24 * time.Hour)

		for _, unknown := range []string{"session", "Sessions", ""} {
			done, err := svc.Purge(t.Context(), auth.PurgeOptions{Tables: []string{"otps", unknown}})
			require.ErrorContains(t, err, strconv.Quote(unknown))
			require.Zero(t, done)
		}
		require.Zero(t, purge(t, svc, auth.PurgeOptions{Tables: []string{}}), "an empty list is none of them")
		require.Equal(t, auth.Purged{OTPs: 1, Sessions: 1, RefreshTokens: 1, Users: 1}, k.rows(t))

		for _, dryRun := range []bool{true, false} {
			opts := auth.PurgeOptions{DryRun: dryRun, Tables: []string{"refresh_tokens", "otps"}}
			require.Equal(t, auth.Purged{OTPs: 1, RefreshTokens: 1}, purge(t, svc, opts))
		}
		require.Equal(t, auth.Purged{Sessions: 1, Users: 1}, k.rows(t))
		require.Equal(t, auth.Purged{Sessions: 1, Users: 1}, purge(t, svc, auth.PurgeOptions{}))
	}},
	{name: "an exchanged token is kept until its family ends so that a replay is recognised",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g := k.signIn(t, svc)
			end := k.clock.Now().Add(90 * 24 * time.Hour)
			last := g.Refresh
			for k.clock.Now().Before(end.Add(-14 * 24 * time.Hour)) {
				k.clock.Advance(13 * 24 * time.Hour)
				last = rotate(t, svc, last)
			}
			k.clock.Set(end.Add(-time.Second))
			require.Zero(t, purge(t, svc, auth.PurgeOptions{}).RefreshTokens)
			refused(t, svc, g.Refresh, auth.ErrReuse)
			refused(t, svc, last, auth.ErrRefresh)
			k.clock.Set(end.Add(time.Second))
			require.Equal(t, 7, purge(t, svc, auth.PurgeOptions{}).RefreshTokens)
		}},
	{name: "a code is kept while it counts against the budget", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		start := k.clock.Now()
		for range 6 {
			issue(t, svc, email, schematype.OTPSignIn)
			k.clock.Advance(time.Minute)
		}
		k.clock.Set(start.Add(time.Hour - time.Millisecond))
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}).OTPs)
		var soon *auth.TooSoonError
		_, err := issueCode(t, svc, email, schematype.OTPSignIn)
		require.ErrorAs(t, err, &soon)
		k.clock.Set(start.Add(time.Hour + time.Millisecond))
		require.Equal(t, 1, purge(t, svc, auth.PurgeOptions{}).OTPs)
		issue(t, svc, email, schematype.OTPSignIn)
	}},
	{name: "a code is kept while it can be used", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.Lifetime, c.OTP.BudgetWindow = time.Hour, time.Hour })
		email := k.email()
		issued := issue(t, svc, email, schematype.OTPSignIn)
		k.clock.Advance(59 * time.Minute)
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}).OTPs)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, issued))
	}},
	{name: "a session is kept while its device is remembered", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.Remember = 24 * time.Hour })
		g := k.signIn(t, svc)
		require.NoError(t, only(svc.SignOut(t.Context(), g.Token)))
		k.clock.Set(g.Session.ExpiresAt.Add(24 * time.Hour))
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}).Sessions)
		k.clock.Advance(time.Microsecond)
		require.Equal(t, 1, purge(t, svc, auth.PurgeOptions{}).Sessions)
	}},
	{name: "a session is kept while its family has a live refresh token", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		var kept, gone []*auth.Grant
		for range 5 {
			kept, gone = append(kept, signIn(t, svc, u.Email)), append(gone, signIn(t, svc, u.Email))
		}
		_, _, err := svc.StartSession(ctx, u.ID, phone)
		require.NoError(t, err)
		for _, g := range gone {
			require.NoError(t, only(svc.SignOut(ctx, g.Token)))
		}
		k.clock.Advance(89 * 24 * time.Hour)
		require.Equal(t, 6, purge(t, svc, auth.PurgeOptions{DryRun: true}).Sessions)
		require.Equal(t, 6, purge(t, svc, auth.PurgeOptions{Batch: 2}).Sessions)
		require.Zero(t, purge(t, svc, auth.PurgeOptions{Batch: 1}).Sessions)
		for _, g := range kept {
			_, err := k.client.Session.Get(ctx, g.Session.ID)
			require.NoError(t, err)
		}
		require.NoError(t, only(svc.RevokeSession(ctx, u.ID, kept[0].Session.ID)))
		require.Equal(t, 1, purge(t, svc, auth.PurgeOptions{}).Sessions)
		k.clock.Set(kept[0].Session.CreatedAt.Add(90*24*time.Hour - time.Microsecond))
		require.Zero(t, purge(t, svc, auth.PurgeOptions{}).Sessions)
		k.clock.Advance(time.Microsecond)
		require.Equal(t, 4, purge(t, svc, auth.PurgeOptions{DryRun: true}).Sessions)
		require.Equal(t, 4, purge(t, svc, auth.PurgeOptions{Batch: 3}).Sessions)
	}},
	{name: "a purge passes the sessions that it leaves, also those of one moment", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		for range 3 { // the clock stands still
			signIn(t, svc, u.Email)
			_, _, err := svc.StartSession(t.Context(), u.ID, phone)
			require.NoError(t, err)
		}
		k.clock.Advance(61 * 24 * time.Hour)
		for batch := range 4 {
			require.Equal(t, map[bool]int{true: 3}[batch == 0],
				purge(t, svc, auth.PurgeOptions{Batch: batch + 1}).Sessions)
		}
		require.Equal(t, 3, k.rows(t).Sessions)
	}},
	{name: "a deleted account goes after its retention with all that is its own",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.Retention = 24 * time.Hour })
			ctx := t.Context()
			gone, back, stays := k.signIn(t, svc), k.signIn(t, svc), k.signIn(t, svc)
			require.NoError(t, only(svc.Delete(ctx, gone.User.ID)))
			require.NoError(t, only(svc.Delete(ctx, back.User.ID)))
			k.clock.Advance(24 * time.Hour)
			require.Zero(t, purge(t, svc, auth.PurgeOptions{}))
			require.NoError(t, svc.Restore(ctx, back.User.ID))
			k.clock.Advance(time.Microsecond)
			require.Equal(t, auth.Purged{Users: 1}, purge(t, svc, auth.PurgeOptions{}))
			for _, g := range []*auth.Grant{back, stays} {
				signIn(t, svc, g.User.Email)
			}
			require.Zero(t, k.users(t, graph.ID, gone.User.ID))
			left, err := k.client.Session.Query().Where(session.UserID(gone.User.ID)).Exist(ctx)
			require.NoError(t, err)
			require.False(t, left)
			left, err = k.client.RefreshToken.Query().Where(refreshtoken.UserID(gone.User.ID)).Exist(ctx)
			require.NoError(t, err)
			require.False(t, left)
			_, _, err = svc.Register(ctx, nameOf("another"), gone.User.Email, password)
			require.NoError(t, err)
		}},
	{name: "an account with more rows than a batch loses them in several before it goes",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for _, batch := range []int{1, 4, 9, 1000} {
				before := k.rows(t)
				small := []*auth.User{k.register(t, svc), k.register(t, svc), k.register(t, svc)}
				for i, large := range []*auth.User{k.register(t, svc), small[0], k.register(t, svc), small[1]} {
					k.children(t, large, []int{7, 1, 2, 0}[i], []int{9, 0, 20, 2}[i])
					require.NoError(t, only(svc.Delete(t.Context(), large.ID)))
				}
				k.children(t, small[2], 1, 1)
				k.clock.Advance(31 * 24 * time.Hour)
				left, gone := k.rows(t), 0
				done := purge(t, svc, auth.PurgeOptions{Batch: batch, Progress: func(auth.PurgeProgress) {
					now := k.rows(t)
					step := sum(left) - sum(now)
					require.LessOrEqual(t, step, batch, "rows of one transaction, with what goes with an account")
					left, gone = now, gone+step
				}, FullRate: true})
				require.Equal(t, auth.Purged{Users: 4}, done, "what goes with an account is not counted")
				require.Equal(t, 4+7+9+1+2+20+2, gone)
				require.Equal(t, auth.Purged{Sessions: before.Sessions + 1, RefreshTokens: before.RefreshTokens + 1,
					Users: before.Users + 1}, k.rows(t))
				signIn(t, svc, small[2].Email)
				k.clock.Advance(-31 * 24 * time.Hour)
				require.NoError(t, only(svc.RevokeAll(t.Context(), small[2].ID)))
			}
		}},
	{name: "an account whose rows are being deleted does not come back without them",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			k.children(t, u, 3, 3)
			require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
			k.clock.Advance(31 * 24 * time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := svc.Purge(ctx, auth.PurgeOptions{Batch: 2, Progress: func(auth.PurgeProgress) {
				if k.rows(t).Sessions == 1 {
					cancel()
				}
			}})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, auth.Purged{Sessions: 1, RefreshTokens: 3, Users: 1}, k.rows(t))
			require.ErrorIs(t, svc.Restore(t.Context(), u.ID), auth.ErrNotFound)
			_, err = svc.Reactivate(t.Context(), u.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials, "it is as good as gone")
			require.Equal(t, auth.Purged{Users: 1}, purge(t, svc, auth.PurgeOptions{Batch: 2}))
			require.Zero(t, k.rows(t))
			_, _, err = svc.Register(t.Context(), nameOf("another"), u.Email, password)
			require.NoError(t, err)
		}},
	{name: "an account with a time of deletion that is not deleted stays",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			k.set(t, u.ID, graph.DeletedAt, k.clock.Now())
			k.clock.Advance(365 * 24 * time.Hour)
			require.Zero(t, purge(t, svc, auth.PurgeOptions{}).Users)
			signIn(t, svc, u.Email)
		}},
	{name: "an interrupted purge keeps what it did and can go on", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for range 6 {
			k.signIn(t, svc)
		}
		k.clock.Advance(91 * 24 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done, err := svc.Purge(ctx, auth.PurgeOptions{Batch: 2, Progress: func(p auth.PurgeProgress) {
			if p.Sessions == 4 {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, auth.Purged{Sessions: 4}, done)
		require.Equal(t, auth.Purged{Sessions: 2, RefreshTokens: 6, Users: 6}, k.rows(t))
		require.Equal(t, auth.Purged{Sessions: 2, RefreshTokens: 6}, purge(t, svc, auth.PurgeOptions{Batch: 2}))
	}},
	{name: "a purge with a rate takes small batches and can be interrupted in between",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for range 5 {
				k.signIn(t, svc)
			}
			k.clock.Advance(91 * 24 * time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			done, err := svc.Purge(ctx, auth.PurgeOptions{Rate: 1, Progress: func(p auth.PurgeProgress) {
				if p.Sessions == 1 {
					cancel()
				}
			}})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, auth.Purged{Sessions: 1}, done)

			var steps []auth.Purged
			done = purge(t, svc,
				auth.PurgeOptions{Rate: 60, Progress: func(p auth.PurgeProgress) { steps = append(steps, p.Purged) }})
			require.Equal(t, auth.Purged{Sessions: 4, RefreshTokens: 5}, done)
			assert.Equal(t, auth.Purged{Sessions: 3}, steps[1],
				"the first step is of codes, a batch is 50 ms of the rate")
		}},
	{name: "a purge lets others write between its batches", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for range 5 {
			k.signIn(t, svc)
		}
		k.clock.Advance(91 * 24 * time.Hour)
		var last auth.PurgeProgress
		done := purge(t, svc, auth.PurgeOptions{Batch: 2, Progress: func(p auth.PurgeProgress) {
			last = p
			k.signIn(t, svc)
		}})
		require.Equal(t, auth.Purged{Sessions: 5, RefreshTokens: 5}, done)
		require.Equal(t, done, last.Purged)
	}},
	{name: "an account that comes back while a purge selects it stays",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx := t.Context()
			u := k.register(t, svc)
			require.NoError(t, only(svc.Delete(ctx, u.ID)))
			k.clock.Advance(31 * 24 * time.Hour)
			purged, restored := both(
				func() error { _, err := svc.Purge(ctx, auth.PurgeOptions{}); return err },
				func() error { return svc.Restore(ctx, u.ID) },
			)
			require.NoError(t, purged)
			_, err := svc.SignIn(ctx, u.Email, password, phone)
			if restored == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, restored, auth.ErrNotFound)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
		}},
	{name: "sessions are checked and tokens rotated while a purge runs", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		old := k.register(t, svc)
		expired := k.clock.Now()
		k.clock.Advance(91 * 24 * time.Hour)
		g := k.signIn(t, svc)
		var builders []*ent.SessionCreate
		for range 400 {
			builders = append(builders, k.client.Session.Create().SetUserID(old.ID).
				SetTokenHash(k.email()).SetExpiresAt(expired))
		}
		require.NoError(t, k.client.Session.CreateBulk(builders...).Exec(ctx))

		batch, finished := make(chan struct{}), make(chan struct{})
		var failed error
		var checks sync.WaitGroup
		checks.Go(func() {
			<-batch
			token := g.Refresh
			for n := 0; ; n++ {
				select {
				case <-finished:
					return
				default:
				}
				_, _, err := svc.CheckSession(ctx, g.Token)
				failed = errors.Join(failed, err)
				if n%10 == 0 {
					token, _, err = svc.Rotate(ctx, token)
					failed = errors.Join(failed, err)
				}
			}
		})
		var once sync.Once
		done := purge(t, svc, auth.PurgeOptions{Batch: 10,
			Progress: func(auth.PurgeProgress) { once.Do(func() { close(batch) }) }})
		close(finished)
		checks.Wait()
		require.Equal(t, 400, done.Sessions)
		require.NoError(t, failed)
		_, _, err := svc.CheckSession(ctx, g.Token)
		require.NoError(t, err)
	}},
}
