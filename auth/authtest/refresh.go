package authtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// live counts the refresh tokens of a user that are not revoked.
func (k *kit) live(t *testing.T, userID auth.UserID) int {
	t.Helper()
	n, err := k.client.RefreshToken.Query().
		Where(refreshtoken.UserID(userID), refreshtoken.IsRevoked(false)).
		Count(t.Context())
	require.NoError(t, err)
	return n
}

func (k *kit) activeSessions(t *testing.T, userID auth.UserID) int {
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

// rotateAtOnce presents one token n times together. It returns the new tokens and the errors.
func rotateAtOnce(t *testing.T, svc *auth.Service, n int, token auth.Token) (won []auth.Token, lost []error) {
	t.Helper()
	tokens := make([]auth.Token, n)
	errs := atOnce(n, func(i int) (err error) {
		tokens[i], _, err = svc.Rotate(t.Context(), token)
		return err
	})
	for i, err := range errs {
		if err == nil {
			won = append(won, tokens[i])
		} else {
			require.ErrorIs(t, err, auth.ErrRefresh)
			lost = append(lost, err)
		}
	}
	return won, lost
}

// renew exchanges a refresh token for the next one and a session.
func renew(t *testing.T, svc *auth.Service, token auth.Token) *auth.Grant {
	t.Helper()
	g, err := svc.Renew(t.Context(), token, phone)
	require.NoError(t, err)
	return g
}

func noGrace(c *auth.Config) { c.Refresh.Grace = auth.NoGrace }

// nothingLive holds for a user whose devices have all ended.
func (k *kit) nothingLive(t *testing.T, userID auth.UserID, why ...any) {
	t.Helper()
	require.Zero(t, k.live(t, userID), why...)
	require.Zero(t, k.activeSessions(t, userID), why...)
}

// nothingLiveBut holds for a user with so many live sessions and refresh tokens.
func (k *kit) nothingLiveBut(t *testing.T, userID auth.UserID, sessions, tokens int) {
	t.Helper()
	require.Equal(t, sessions, k.activeSessions(t, userID))
	require.Equal(t, tokens, k.live(t, userID))
}

// tabs are clients that share a refresh token, each of which goes on with the answers that it gets.
type tabs struct {
	svc *auth.Service
	own []auth.Token
}

// goOn is what a client has after its refresh token. Every other one renews its session as well.
func goOn(t *testing.T, svc *auth.Service, client int, token auth.Token) (auth.Token, error) {
	if client%2 == 0 {
		next, _, err := svc.Rotate(t.Context(), token)
		return next, err
	}
	g, err := svc.Renew(t.Context(), token, phone)
	if err != nil {
		return auth.Token{}, err
	}
	return g.Refresh, nil
}

// present has each of the tabs present its token at once. Those that lose the answer keep the token they have.
func (c *tabs) present(t *testing.T, loses func(tab int) bool) {
	t.Helper()
	for _, err := range atOnce(len(c.own), func(i int) error {
		next, _, err := c.svc.Rotate(t.Context(), c.own[i])
		if err == nil && !loses(i) {
			c.own[i] = next
		}
		return err
	}) {
		require.NoError(t, err)
	}
}

var refreshRaces = []scenario{
	{name: "one of 64 rotations of a token succeeds and the others revoke its family", run: func(t *testing.T, k *kit) {
		svc := k.service(t, noGrace)
		g := k.signIn(t, svc)
		won, lost := rotateAtOnce(t, svc, 64, g.Refresh)
		require.Len(t, won, 1)
		reuse := 0
		for _, err := range lost {
			if errors.Is(err, auth.ErrReuse) {
				reuse++
			}
		}
		require.Equal(t, 1, reuse, "the family is revoked once")
		k.nothingLive(t, g.User.ID)
		refused(t, svc, won[0], auth.ErrRefresh)
	}},
	{name: "within the grace 64 rotations of a token get the same successor", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		won, _ := rotateAtOnce(t, svc, 64, g.Refresh)
		require.Len(t, won, 64)
		for _, token := range won {
			require.Equal(t, won[0].Reveal(), token.Reveal())
		}
		require.Equal(t, 1, k.live(t, g.User.ID))
	}},
	{name: "tabs that refresh at once all go on, also after a lost answer", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, n := range []int{2, 8, 64} {
			g := k.signIn(t, svc)
			c := tabs{svc, slices.Repeat([]auth.Token{g.Refresh}, n)}
			for round := range 4 {
				c.present(t, func(tab int) bool { return tab%2 == 1 && round%2 == 0 })
				k.clock.Advance(time.Second)
			}
			for range 4 { // those that lost answers catch up
				c.present(t, func(int) bool { return false })
			}
			require.Equal(t, 1, k.live(t, g.User.ID))
			checked(t, svc, g.Token, nil)
		}
	}},
	{name: "64 renewals of a device give one session", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		grants := make([]*auth.Grant, 64)
		for _, err := range atOnce(64, func(i int) (err error) {
			grants[i], err = svc.Renew(t.Context(), g.Refresh, phone)
			return err
		}) {
			require.NoError(t, err)
		}
		for _, other := range grants {
			require.Equal(t, grants[0].Refresh.Reveal(), other.Refresh.Reveal())
			require.Equal(t, grants[0].Token.Reveal(), other.Token.Reveal())
			require.Equal(t, g.Session.ID, other.Session.ID)
		}
		checked(t, svc, g.Token, auth.ErrSession)
		checked(t, svc, grants[0].Token, nil)
		require.Equal(t, []int{g.Session.ID}, sessionIDs(t, svc, g.User.ID))
		require.Equal(t, 1, k.live(t, g.User.ID))
	}},
	{name: "tabs that rotate and renew at once all go on", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		own := slices.Repeat([]auth.Token{g.Refresh}, 8)
		for range 4 {
			for _, err := range atOnce(len(own), func(i int) (err error) {
				own[i], err = goOn(t, svc, i, own[i])
				return err
			}) {
				require.NoError(t, err)
			}
		}
		require.Equal(t, 1, k.live(t, g.User.ID))
		last := renew(t, svc, own[0])
		checked(t, svc, last.Token, nil)
		require.Equal(t, 1, k.activeSessions(t, g.User.ID))
	}},
	{name: "a rotation and a replay of the token before it revoke the family", run: func(t *testing.T, k *kit) {
		svc := k.service(t, noGrace)
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
		k.nothingLive(t, g.User.ID)
	}},
	{name: "a replay within the grace and a rotation of the successor leave one live token",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g := k.signIn(t, svc)
			current := rotate(t, svc, g.Refresh)
			for _, err := range atOnce(8, func(i int) error {
				_, _, err := svc.Rotate(t.Context(), []auth.Token{current, g.Refresh}[i%2])
				return err
			}) {
				require.NoError(t, err)
			}
			require.Equal(t, 1, k.live(t, g.User.ID))
		}},
	{name: "64 tabs that go on refreshing keep nothing of a device that is ended", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for name, end := range endings(k, svc) {
			g := k.signIn(t, svc)
			prepared := end(t, g)
			tabs, renewing := 8, 1
			switch name {
			case "RevokeSession":
				tabs = 64
			case "SignOut":
				renewing = 0 // a renewal before it leaves it with a token that is worth nothing
			}
			last := make([]auth.Token, tabs)
			var failed atomic.Bool
			errs := atOnce(tabs+1, func(i int) error {
				if i == tabs {
					err := prepared()
					failed.Store(err != nil)
					return err
				}
				for last[i] = g.Refresh; !failed.Load(); {
					next, err := goOn(t, svc, renewing*i, last[i])
					if err != nil {
						return err
					}
					last[i] = next
				}
				return auth.ErrRefresh
			})
			require.NoError(t, errs[tabs], name)
			winners(t, errs[:tabs], auth.ErrRefresh)
			if name != "Suspend" {
				k.nothingLive(t, g.User.ID, name)
			}
			for _, token := range last {
				refused(t, svc, token, auth.ErrRefresh)
			}
			checked(t, svc, g.Token, auth.ErrSession)
		}
	}},
	{name: "64 rotations of a token without a family leave nothing live when it is revoked",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g := k.signIn(t, svc)
			k.withoutFamily(t, g.User.ID)
			errs := atOnce(65, func(i int) error {
				if i == 64 {
					return only(svc.RevokeRefresh(t.Context(), g.Refresh))
				}
				_, _, err := svc.Rotate(t.Context(), g.Refresh)
				return err
			})
			require.NoError(t, errs[64])
			winners(t, errs[:64], auth.ErrRefresh)
			require.Zero(t, k.live(t, g.User.ID))
		}},
	{name: "what ends a user's sessions ends those of a sign-in under way or refuses it",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for name, end := range endings(k, svc) {
				if sparesLaterSignIns(name) {
					continue
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
	return possible(map[string]func(*testing.T, *auth.Grant) func() error{
		"RevokeRefresh": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.RevokeRefresh(t.Context(), g.Refresh)) }
		},
		"SignOut": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.SignOut(t.Context(), g.Token)) }
		},
		"RevokeSession": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.RevokeSession(t.Context(), g.User.ID, g.Session.ID)) }
		},
		"RevokeSessions": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.RevokeSessions(t.Context(), g.User.ID)) }
		},
		"RevokeAll": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.RevokeAll(t.Context(), g.User.ID)) }
		},
		"Delete": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return only(svc.Delete(t.Context(), g.User.ID)) }
		},
		"ChangePassword": func(t *testing.T, g *auth.Grant) func() error {
			return func() error {
				return only(svc.ChangePassword(t.Context(), g.User.ID, password, nextPassword, phone))
			}
		},
		"ResetPassword": func(t *testing.T, g *auth.Grant) func() error {
			issued := issue(t, svc, g.User.Email, schematype.OTPPasswordReset)
			return func() error { return resetPassword(t, svc, issued) }
		},
		"Suspend": func(t *testing.T, g *auth.Grant) func() error {
			return func() error { return svc.Suspend(t.Context(), g.User.ID, k.clock.Now().Add(time.Hour)) }
		},
	}, deletion, "Delete")
}

// sparesLaterSignIns are the endings that leave the proof of a sign-in as it is.
func sparesLaterSignIns(ending string) bool {
	return strings.HasPrefix(ending, "Revoke") || ending == "SignOut"
}

var refreshRules = []scenario{
	{name: "a replay is reuse and revokes its own family only", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		first := k.signIn(t, svc)
		second := signIn(t, svc, first.User.Email)
		b := rotate(t, svc, first.Refresh)
		c := rotate(t, svc, b)
		k.clock.Advance(10 * time.Second)
		var reuse *auth.ReuseError
		_, _, err := svc.Rotate(t.Context(), first.Refresh)
		require.ErrorAs(t, err, &reuse)
		ended := auth.Ended{Sessions: 1, RefreshTokens: 1}
		assert.Equal(t, &auth.ReuseError{UserID: first.User.ID, Ended: ended}, reuse)
		checked(t, svc, first.Token, auth.ErrSession)
		for _, token := range []auth.Token{first.Refresh, b, c} {
			refused(t, svc, token, auth.ErrRefresh)
		}
		rotate(t, svc, second.Refresh)
		checked(t, svc, second.Token, nil)
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
		svc := k.service(t)
		a, b := k.signIn(t, svc), k.signIn(t, svc)
		ofA, ofB := rotate(t, svc, a.Refresh), rotate(t, svc, b.Refresh)
		assert.Equal(t, ofA.Reveal(), rotate(t, svc, a.Refresh).Reveal())
		assert.Equal(t, ofB.Reveal(), rotate(t, svc, b.Refresh).Reveal())
		assert.NotEqual(t, ofA.Reveal(), ofB.Reveal())
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
		ended, err := svc.RevokeRefresh(t.Context(), g.Refresh)
		require.NoError(t, err)
		assert.Equal(t, auth.Ended{Sessions: 1, RefreshTokens: 1}, ended)
		refused(t, svc, last, auth.ErrRefresh)
		checked(t, svc, g.Token, auth.ErrSession)
		for _, token := range []auth.Token{last, auth.ParseToken("no such token")} {
			ended, err := svc.RevokeRefresh(t.Context(), token)
			require.NoError(t, err)
			assert.Zero(t, ended)
		}
		rotate(t, svc, other.Refresh)
		checked(t, svc, other.Token, nil)
	}},
	{name: "in 30 of 30 rounds 2 to 64 presentations go on after their answers were lost", run: func(
		t *testing.T, k *kit,
	) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		token := g.Refresh
		for round := range 30 {
			n := []int{2, 3, 5, 8}[round%4]
			if round%15 == 14 {
				n = 64
			}
			won, lost := rotateAtOnce(t, svc, n, token)
			require.Empty(t, lost, "round %d", round)
			k.clock.Advance(9 * time.Second) // no answer arrived
			again, lost := rotateAtOnce(t, svc, 2, token)
			require.Empty(t, lost, "round %d", round)
			for _, next := range append(won, again...) {
				require.Equal(t, won[0].Reveal(), next.Reveal(), "round %d", round)
			}
			require.Equal(t, 1, k.live(t, g.User.ID), "round %d", round)
			token = won[0]
		}
		checked(t, svc, g.Token, nil)
	}},
	{name: "a lost answer is made good within the grace", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		lost := rotate(t, svc, g.Refresh)
		k.clock.Advance(10*time.Second - time.Microsecond)
		for range 3 {
			assert.Equal(t, lost.Reveal(), rotate(t, svc, g.Refresh).Reveal())
		}
		next := rotate(t, svc, lost)
		assert.Equal(t, lost.Reveal(), rotate(t, svc, g.Refresh).Reveal(), "used or not")
		k.clock.Advance(time.Microsecond)
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
	{name: "without a grace the second rotation is reuse", run: func(t *testing.T, k *kit) {
		svc := k.service(t, noGrace)
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		assert.Nil(t, k.refreshRow(t, next).SuccessorSalt)
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
	{name: "the time of an exchange that a wrong clock wrote gives no grace", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		ahead := k.clock.Now().Add(year)
		require.NoError(t, k.client.RefreshToken.Update().Where(refreshtoken.IsRevoked(true)).
			SetRevokedAt(ahead).Exec(t.Context()))
		refused(t, svc, g.Refresh, auth.ErrReuse)
		refused(t, svc, next, auth.ErrRefresh)
	}},
	{name: "the answer is given again by any replica that has the key", run: func(t *testing.T, k *kit) {
		second := []byte("another key of thirty-two bytes..")
		with := func(keys ...[]byte) *auth.Service {
			return k.service(t, func(c *auth.Config) { c.Keys = auth.NewKeys(keys...) })
		}
		before, during, after := with(key), with(second, key), with(second)
		g := k.signIn(t, before)
		next := rotate(t, before, g.Refresh)
		assert.Equal(t, next.Reveal(), rotate(t, during, g.Refresh).Reveal())
		var busy *auth.BusyError
		_, _, err := after.Rotate(t.Context(), g.Refresh)
		require.ErrorAs(t, err, &busy)
		require.Equal(t, 1, k.live(t, g.User.ID), "nothing is revoked")
		last := rotate(t, after, next)
		assert.Equal(t, last.Reveal(), rotate(t, during, next).Reveal())
		_, _, err = before.Rotate(t.Context(), next)
		require.ErrorAs(t, err, &busy)
		k.clock.Advance(10 * time.Second)
		refused(t, after, g.Refresh, auth.ErrReuse)
	}},
	{name: "a salt is kept for the grace, and erased by the exchange after it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		assert.Nil(t, k.refreshRow(t, g.Refresh).SuccessorSalt)
		first := rotate(t, svc, g.Refresh)
		k.clock.Advance(10*time.Second - time.Microsecond)
		second := rotate(t, svc, first)
		assert.NotNil(t, k.refreshRow(t, first).SuccessorSalt, "a replay still needs it")
		k.clock.Advance(10 * time.Second)
		third := rotate(t, svc, second)
		assert.Nil(t, k.refreshRow(t, second).SuccessorSalt)
		assert.NotNil(t, k.refreshRow(t, third).SuccessorSalt)
		require.NoError(t, only(svc.RevokeRefresh(t.Context(), third)))
		assert.Nil(t, k.refreshRow(t, third).SuccessorSalt)
	}},
	{name: "a token of a family that has ended is not reuse", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		require.NoError(t, only(svc.RevokeRefresh(t.Context(), g.Refresh)))
		refused(t, svc, g.Refresh, auth.ErrRefresh)

		g = k.signIn(t, svc)
		rotate(t, svc, g.Refresh)
		require.NoError(t, only(svc.RevokeRefresh(t.Context(), g.Refresh)))
		refused(t, svc, g.Refresh, auth.ErrRefresh)
		k.clock.Advance(10 * time.Second)
		refused(t, svc, g.Refresh, auth.ErrRefresh)
	}},
	{name: "a replay is refused to a suspended account and stays for later", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		rotate(t, svc, g.Refresh)
		require.NoError(t, svc.Suspend(t.Context(), g.User.ID, k.clock.Now().Add(time.Second)))
		refused(t, svc, g.Refresh, auth.ErrRefresh)
		k.clock.Advance(time.Second)
		rotate(t, svc, g.Refresh)
		require.Equal(t, 1, k.live(t, g.User.ID))
	}},
	{name: "a renewal begins the session again with another token", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		g := k.signIn(t, svc)
		other := signIn(t, svc, g.User.Email)
		k.clock.Advance(10 * 24 * time.Hour)
		first, err := svc.Renew(t.Context(), g.Refresh, auth.Device{IP: "192.0.2.8"})
		require.NoError(t, err)
		assert.Equal(t, g.User.ID, first.User.ID)
		assert.Equal(t, g.Session.ID, first.Session.ID)
		found, _, err := svc.CheckSession(t.Context(), first.Token)
		require.NoError(t, err)
		assert.Equal(t, first.Session, found)
		assert.Equal(t, auth.Device{IP: "192.0.2.8"}, auth.Device{IP: found.IP, UserAgent: found.UserAgent})
		assert.Equal(t, k.clock.Now().Add(30*24*time.Hour).Truncate(time.Microsecond), first.Session.ExpiresAt)
		checked(t, svc, g.Token, auth.ErrSession)
		k.nothingLiveBut(t, g.User.ID, 2, 2)
		k.clock.Advance(10 * time.Second)
		_, err = svc.Renew(t.Context(), g.Refresh, phone)
		require.ErrorIs(t, err, auth.ErrReuse)
		checked(t, svc, first.Token, auth.ErrSession)
		refused(t, svc, first.Refresh, auth.ErrRefresh)
		rotate(t, svc, other.Refresh)
	}},
	{name: "a renewal that is repeated gives the same tokens, also once another tab has gone on",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g := k.signIn(t, svc)
			first := renew(t, svc, g.Refresh)
			assert.Equal(t, first.Token.Reveal(), renew(t, svc, g.Refresh).Token.Reveal())
			second := renew(t, svc, first.Refresh)
			late := renew(t, svc, g.Refresh)
			assert.Equal(t, first.Token.Reveal(), late.Token.Reveal())
			assert.Equal(t, g.Session.ID, late.Session.ID)
			checked(t, svc, late.Token, auth.ErrSession)
			assert.Equal(t, second.Token.Reveal(), renew(t, svc, late.Refresh).Token.Reveal())
			checked(t, svc, second.Token, nil)
			k.nothingLiveBut(t, g.User.ID, 1, 1)
		}},
	{name: "a renewal after a rotation of the same token begins the session again", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		next := rotate(t, svc, g.Refresh)
		first := renew(t, svc, g.Refresh)
		assert.Equal(t, next.Reveal(), first.Refresh.Reveal())
		checked(t, svc, g.Token, auth.ErrSession)
		checked(t, svc, first.Token, nil)
		last := rotate(t, svc, next)
		checked(t, svc, renew(t, svc, next).Token, nil)
		second := renew(t, svc, last)
		checked(t, svc, renew(t, svc, next).Token, auth.ErrSession)
		checked(t, svc, second.Token, nil)
		k.nothingLiveBut(t, g.User.ID, 1, 1)
	}},
	{name: "a renewal is refused as a rotation is", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		token, err := svc.IssueRefresh(ctx, u.ID)
		require.NoError(t, err)
		require.NoError(t, svc.Suspend(ctx, u.ID, k.clock.Now().Add(time.Hour)))
		_, err = svc.Renew(ctx, token, phone)
		require.ErrorIs(t, err, auth.ErrRefresh)
		_, err = svc.Renew(ctx, auth.ParseToken("no such token"), phone)
		require.ErrorIs(t, err, auth.ErrRefresh)
		k.nothingLiveBut(t, u.ID, 0, 1)
		require.NoError(t, svc.Unsuspend(ctx, u.ID))
		checked(t, svc, renew(t, svc, token).Token, nil)
	}},
	{name: "the failures of a device go on counting after a renewal", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		_ = guess(t, svc, g.User.Email, from(g.Token), 8)
		next := renew(t, svc, g.Refresh)
		require.False(t, k.known(t, svc, g.User, g.Token))
		require.True(t, k.known(t, svc, g.User, next.Token))
		_ = guess(t, svc, g.User.Email, from(next.Token), 1)
		require.False(t, k.known(t, svc, g.User, next.Token))
	}},
	{name: "a chain of tokens without a family ends as one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, rotatedAgain := range []bool{false, true} {
			g, other := k.signIn(t, svc), k.signIn(t, svc)
			second := rotate(t, svc, g.Refresh)
			third := rotate(t, svc, second)
			k.withoutFamily(t, g.User.ID)
			if rotatedAgain {
				fourth := rotate(t, svc, third)
				assert.NotNil(t, k.refreshRow(t, third).Family)
				assert.Equal(t, k.refreshRow(t, third).Family, k.refreshRow(t, fourth).Family)
				third = fourth
			}
			var busy *auth.BusyError
			_, _, err := svc.Rotate(t.Context(), g.Refresh)
			require.ErrorAs(t, err, &busy, "its successor cannot be made again")
			k.clock.Advance(10 * time.Second)
			refused(t, svc, g.Refresh, auth.ErrReuse)
			require.Zero(t, k.live(t, g.User.ID))
			for _, token := range []auth.Token{g.Refresh, second, third} {
				refused(t, svc, token, auth.ErrRefresh)
			}
			checked(t, svc, g.Token, nil)
			require.NoError(t, only(svc.SignOut(t.Context(), g.Token)))
			checked(t, svc, g.Token, auth.ErrSession)
			rotate(t, svc, other.Refresh)
			checked(t, svc, other.Token, nil)
		}
	}},
	{name: "a family that a program without families went on with ends as a whole", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, end := range []func(g *auth.Grant){
			func(g *auth.Grant) { refused(t, svc, g.Refresh, auth.ErrReuse) },
			func(g *auth.Grant) {
				ended, err := svc.RevokeRefresh(t.Context(), g.Refresh)
				require.NoError(t, err)
				assert.Equal(t, auth.Ended{Sessions: 1, RefreshTokens: 1}, ended)
			},
		} {
			g := k.signIn(t, svc)
			second := rotate(t, svc, g.Refresh)
			k.clock.Advance(10 * time.Second)
			third := k.rotateWithoutFamily(t, second)
			fourth := rotate(t, svc, third)
			require.NotEqual(t, k.refreshRow(t, second).Family, k.refreshRow(t, fourth).Family)
			fifth := k.rotateWithoutFamily(t, fourth)
			end(g)
			require.Zero(t, k.live(t, g.User.ID))
			refused(t, svc, fifth, auth.ErrRefresh)
		}
	}},
}

// refreshRow is the row of a token.
func (k *kit) refreshRow(t *testing.T, token auth.Token) *ent.RefreshToken {
	t.Helper()
	row, err := k.client.RefreshToken.Query().Where(refreshtoken.TokenHash(tokenHash(token))).Only(t.Context())
	require.NoError(t, err)
	return row
}

func tokenHash(token auth.Token) string {
	h := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(h[:])
}

// withoutFamily makes what a user holds what a program wrote that knows no families.
func (k *kit) withoutFamily(t *testing.T, userID auth.UserID) {
	t.Helper()
	require.NoError(t, k.client.RefreshToken.Update().Where(refreshtoken.UserID(userID)).
		ClearFamily().ClearSuccessorSalt().Exec(t.Context()))
	require.NoError(t, k.client.Session.Update().Where(session.UserID(userID)).
		ClearFamily().ClearTrustEpoch().Exec(t.Context()))
}

// rotateWithoutFamily exchanges a token as a program does that knows no families.
func (k *kit) rotateWithoutFamily(t *testing.T, token auth.Token) auth.Token {
	t.Helper()
	row := k.refreshRow(t, token)
	next := auth.ParseToken(k.email())
	require.NoError(t, k.client.RefreshToken.UpdateOne(row).
		SetIsRevoked(true).SetRevokedAt(k.clock.Now()).SetReplacedByTokenHash(tokenHash(next)).
		Exec(t.Context()))
	require.NoError(t, k.client.RefreshToken.Create().
		SetUserID(row.UserID).SetTokenHash(tokenHash(next)).SetExpiresAt(row.ExpiresAt.UTC()).
		SetCreatedAt(k.clock.Now()).
		Exec(t.Context()))
	return next
}
