package authtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// live counts the refresh tokens of a user that are not revoked.
func (k *kit) live(t *testing.T, userID int) int {
	t.Helper()
	n, err := k.client.RefreshToken.Query().
		Where(refreshtoken.UserID(userID), refreshtoken.IsRevoked(false)).
		Count(t.Context())
	require.NoError(t, err)
	return n
}

func (k *kit) activeSessions(t *testing.T, userID int) int {
	t.Helper()
	n, err := k.client.Session.Query().Where(session.UserID(userID), session.IsActive(true)).Count(t.Context())
	require.NoError(t, err)
	return n
}

func rotate(t *testing.T, svc *auth.Service, token auth.Token) auth.Token {
	t.Helper()
	next, _, err := svc.Rotate(t.Context(), token)
	require.NoError(t, err)
	return next
}

func refused(t *testing.T, svc *auth.Service, token auth.Token, want error) {
	t.Helper()
	_, _, err := svc.Rotate(t.Context(), token)
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, err, auth.ErrRefresh)
	if want == auth.ErrRefresh { //nolint:errorlint // ErrReuse wraps it and is another outcome
		require.NotErrorIs(t, err, auth.ErrReuse)
	}
}

// rotateAtOnce presents one token n times together and returns the new tokens.
func rotateAtOnce(t *testing.T, svc *auth.Service, n int, token auth.Token) []auth.Token {
	t.Helper()
	tokens := make([]auth.Token, n)
	errs := atOnce(n, func(i int) (err error) {
		tokens[i], _, err = svc.Rotate(t.Context(), token)
		return err
	})
	winners(t, errs, auth.ErrReuse)
	var won []auth.Token
	for i, err := range errs {
		if err == nil {
			won = append(won, tokens[i])
		}
	}
	return won
}

func grace(uses int) func(*auth.Config) {
	return func(c *auth.Config) { c.Refresh.Grace, c.Refresh.GraceUses = 10*time.Second, uses }
}

var refreshRaces = []scenario{
	{name: "one of 64 rotations of a token succeeds and the others revoke its family", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		won := rotateAtOnce(t, svc, 64, g.Refresh)
		require.Len(t, won, 1)
		require.Zero(t, k.live(t, g.User.ID))
		refused(t, svc, won[0], auth.ErrRefresh)
	}},
	{name: "rotations within the grace leave one live token", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(7))
		g := k.signIn(t, svc)
		won := rotateAtOnce(t, svc, 8, g.Refresh)
		require.Len(t, won, 8)
		require.Equal(t, 1, k.live(t, g.User.ID))
	}},
	{name: "rotations beyond the grace revoke the family", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(2))
		g := k.signIn(t, svc)
		won := rotateAtOnce(t, svc, 64, g.Refresh)
		require.Len(t, won, 3, "the exchange and two uses of its grace")
		require.Zero(t, k.live(t, g.User.ID))
		for _, token := range won {
			_, _, err := svc.Rotate(t.Context(), token)
			require.ErrorIs(t, err, auth.ErrRefresh)
		}
	}},
	{name: "a rotation and a replay of the token before it revoke the family", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		current := rotate(t, svc, g.Refresh)
		var next auth.Token
		rotated, replayed := both(
			func() (err error) { next, _, err = svc.Rotate(t.Context(), current); return err },
			func() error { _, _, err := svc.Rotate(t.Context(), g.Refresh); return err },
		)
		require.ErrorIs(t, replayed, auth.ErrReuse)
		if rotated == nil {
			refused(t, svc, next, auth.ErrRefresh)
		} else {
			require.ErrorIs(t, rotated, auth.ErrRefresh)
		}
		require.Zero(t, k.live(t, g.User.ID))
	}},
	{name: "a grace use and a rotation of the token it replaces leave at most one live token",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t, grace(1))
			g := k.signIn(t, svc)
			current := rotate(t, svc, g.Refresh)
			errs := atOnce(2, func(i int) error {
				_, _, err := svc.Rotate(t.Context(), []auth.Token{current, g.Refresh}[i])
				return err
			})
			require.Equal(t, 1, winners(t, errs, auth.ErrReuse))
			require.Zero(t, k.live(t, g.User.ID), "two holders of one family: it is revoked whoever comes first")
		}},
	{name: "what ends a user's tokens ends those of a rotation under way", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for name, end := range endings(k, svc) {
			for _, withGrace := range []bool{false, true} {
				g := k.signIn(t, svc)
				rotator, presented := svc, g.Refresh
				if withGrace {
					rotator = k.service(t, grace(1))
					rotate(t, rotator, g.Refresh)
				}
				prepared := end(t, g)
				var next auth.Token
				rotated, ended := both(
					func() (err error) { next, _, err = rotator.Rotate(t.Context(), presented); return err },
					prepared,
				)
				require.NoError(t, ended, name)
				winners(t, []error{rotated}, auth.ErrRefresh)
				if name != "Suspend" {
					require.Zero(t, k.live(t, g.User.ID), name)
				}
				if rotated == nil {
					refused(t, svc, next, auth.ErrRefresh)
				}
				if name != "RevokeRefresh" {
					_, _, err := svc.CheckSession(t.Context(), g.Token)
					require.ErrorIs(t, err, auth.ErrSession, name)
				}
			}
		}
	}},
	{name: "what ends a user's sessions ends those of a sign-in under way or refuses it",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for name, end := range endings(k, svc) {
				if name == "RevokeRefresh" || name == "RevokeAll" {
					continue // it spares what is signed in to after it
				}
				g := k.signIn(t, svc)
				prepared := end(t, g)
				var late *auth.Grant
				signedIn, ended := both(
					func() (err error) {
						late, err = svc.SignIn(t.Context(), g.User.Email, password, phone)
						return err
					},
					prepared,
				)
				require.NoError(t, ended, name)
				winners(t, []error{signedIn}, auth.ErrCredentials)
				if signedIn == nil {
					_, _, err := svc.CheckSession(t.Context(), late.Token)
					require.ErrorIs(t, err, auth.ErrSession, name)
					refused(t, svc, late.Refresh, auth.ErrRefresh)
				}
			}
		}},
}

// endings are the calls that end what a user holds. Each is prepared for a grant before it is raced.
func endings(k *kit, svc *auth.Service) map[string]func(*testing.T, *auth.Grant) func() error {
	return map[string]func(*testing.T, *auth.Grant) func() error{
		"RevokeRefresh": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.RevokeRefresh(t.Context(), g.Refresh) }
		},
		"RevokeAll": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.RevokeAll(t.Context(), g.User.ID) }
		},
		"Delete": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.Delete(t.Context(), g.User.ID) }
		},
		"ChangePassword": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.ChangePassword(t.Context(), g.User.ID, password, nextPassword, phone) }
		},
		"ResetPassword": func(t *testing.T, g *auth.Grant) func() error {
			issued := issue(t, svc, g.User.Email, schematype.OTPPasswordReset)
			return func() error { return resetPassword(t, svc, issued) }
		},
		"Suspend": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.Suspend(t.Context(), g.User.ID, k.clock.Now().Add(time.Hour)) }
		},
	}
}

var refreshRules = []scenario{
	{name: "a replay is reuse and revokes its own family only", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		first := k.signIn(t, svc)
		second := signIn(t, svc, first.User.Email)
		b := rotate(t, svc, first.Refresh)
		c := rotate(t, svc, b)
		refused(t, svc, first.Refresh, auth.ErrReuse)
		refused(t, svc, c, auth.ErrRefresh)
		refused(t, svc, b, auth.ErrReuse)
		rotate(t, svc, second.Refresh)
	}},
	{name: "a rotation tells whose the token is", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		_, u, err := svc.Rotate(t.Context(), g.Refresh)
		require.NoError(t, err)
		assert.Equal(t, g.User.ID, u.ID)
		refused(t, svc, auth.ParseToken("no such token"), auth.ErrRefresh)
	}},
	{name: "a family ends when it is idle and at its absolute end", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Refresh.Idle, c.Refresh.Absolute = 10*time.Hour, 25*time.Hour })
		start := k.clock.Now()

		idle := k.signIn(t, svc).Refresh
		k.clock.Set(start.Add(10 * time.Hour))
		refused(t, svc, idle, auth.ErrRefresh)
		k.clock.Advance(-time.Microsecond)
		used := rotate(t, svc, idle)

		k.clock.Set(start.Add(19 * time.Hour))
		last := rotate(t, svc, used)
		k.clock.Set(start.Add(25 * time.Hour))
		refused(t, svc, last, auth.ErrRefresh)
		refused(t, svc, used, auth.ErrRefresh)
		k.clock.Advance(-time.Microsecond)
		refused(t, svc, used, auth.ErrReuse)
		refused(t, svc, last, auth.ErrRefresh)
	}},
	{name: "a family ends at its absolute end though it is in use", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Refresh.Idle, c.Refresh.Absolute = 10*time.Hour, 15*time.Hour })
		g := k.signIn(t, svc)
		k.clock.Advance(9 * time.Hour)
		last := rotate(t, svc, g.Refresh)
		k.clock.Advance(6 * time.Hour)
		refused(t, svc, last, auth.ErrRefresh)
	}},
	{name: "the grace of one family is not that of another", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		a, b := k.signIn(t, svc), k.signIn(t, svc)
		rotate(t, svc, a.Refresh)
		rotate(t, svc, b.Refresh)
		rotate(t, svc, a.Refresh)
		rotate(t, svc, b.Refresh)
	}},
	{name: "a suspension does not use a token up", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		require.NoError(t, svc.Suspend(t.Context(), g.User.ID, k.clock.Now().Add(time.Hour)))
		refused(t, svc, g.Refresh, auth.ErrRefresh)
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.ErrorIs(t, err, auth.ErrSession)
		k.clock.Advance(time.Hour)
		rotate(t, svc, g.Refresh)
		_, _, err = svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
	}},
	{name: "RevokeRefresh ends the family from any of its tokens, and no other", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		other := signIn(t, svc, g.User.Email)
		last := rotate(t, svc, rotate(t, svc, g.Refresh))
		require.NoError(t, svc.RevokeRefresh(t.Context(), g.Refresh))
		refused(t, svc, last, auth.ErrRefresh)
		require.NoError(t, svc.RevokeRefresh(t.Context(), last))
		require.NoError(t, svc.RevokeRefresh(t.Context(), auth.ParseToken("no such token")))
		rotate(t, svc, other.Refresh)
	}},
	{name: "a lost answer is made good within the grace", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		lost := rotate(t, svc, g.Refresh)
		k.clock.Advance(10*time.Second - time.Microsecond)
		again := rotate(t, svc, g.Refresh)
		next := rotate(t, svc, again)
		refused(t, svc, lost, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
	{name: "a token that a grace use replaced has no grace of its own", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		replaced := rotate(t, svc, g.Refresh)
		live := rotate(t, svc, g.Refresh)
		refused(t, svc, replaced, auth.ErrReuse)
		refused(t, svc, live, auth.ErrRefresh)
	}},
	{name: "the grace ends", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		k.clock.Advance(10 * time.Second)
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
	{name: "the grace is used up", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(2))
		g := k.signIn(t, svc)
		rotate(t, svc, g.Refresh)
		rotate(t, svc, g.Refresh)
		last := rotate(t, svc, g.Refresh)
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, last, auth.ErrRefresh)
	}},
	{name: "there is no grace once the answer was used", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		bystander := k.signIn(t, svc)
		theirs := rotate(t, svc, bystander.Refresh)
		used := rotate(t, svc, g.Refresh)
		last := rotate(t, svc, used)
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, last, auth.ErrRefresh)
		require.Zero(t, k.live(t, g.User.ID))
		k.clock.Advance(10 * time.Second)
		refused(t, svc, bystander.Refresh, auth.ErrReuse)
		refused(t, svc, theirs, auth.ErrRefresh)
	}},
	{name: "a token that was revoked, not exchanged, has no grace", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		require.NoError(t, svc.RevokeRefresh(t.Context(), g.Refresh))
		refused(t, svc, g.Refresh, auth.ErrRefresh)

		g = k.signIn(t, svc)
		rotate(t, svc, g.Refresh)
		require.NoError(t, svc.RevokeRefresh(t.Context(), g.Refresh))
		refused(t, svc, g.Refresh, auth.ErrReuse)
	}},
	{name: "a grace use is refused to a suspended account and stays for later", run: func(t *testing.T, k *kit) {
		svc := k.service(t, grace(1))
		g := k.signIn(t, svc)
		rotate(t, svc, g.Refresh)
		require.NoError(t, svc.Suspend(t.Context(), g.User.ID, k.clock.Now().Add(time.Second)))
		refused(t, svc, g.Refresh, auth.ErrRefresh)
		k.clock.Advance(time.Second)
		rotate(t, svc, g.Refresh)
		require.Equal(t, 1, k.live(t, g.User.ID))
	}},
	{name: "a revoked family survives the caller's giving up", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := svc.Rotate(ctx, g.Refresh)
		cancel()
		require.ErrorIs(t, err, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
}
