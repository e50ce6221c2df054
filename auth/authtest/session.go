package authtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/hook"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

func checked(t *testing.T, svc *auth.Service, token auth.Token, want error) {
	t.Helper()
	_, _, err := svc.CheckSession(t.Context(), token)
	require.ErrorIs(t, err, want)
}

// sessionIDs are those of the live sessions of a user.
func sessionIDs(t *testing.T, svc *auth.Service, userID auth.UserID) []int {
	t.Helper()
	list, err := svc.Sessions(t.Context(), userID)
	require.NoError(t, err)
	ids := []int{}
	for _, s := range list {
		if !s.Dormant {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// onlyRotating is a device that signs in and then shows nothing but its refresh token, while a purge runs daily. It
// returns the token after so many days, and when it got that.
func (k *kit) onlyRotating(t *testing.T, svc *auth.Service, u *auth.User, days int) (*auth.Grant, time.Time) {
	t.Helper()
	g := signIn(t, svc, u.Email)
	rotated := k.clock.Now()
	for day := range days {
		k.clock.Advance(24 * time.Hour)
		if day%10 == 0 {
			g.Refresh, rotated = rotate(t, svc, g.Refresh), k.clock.Now()
		}
		purge(t, svc, auth.PurgeOptions{Batch: 1})
	}
	return g, rotated.Truncate(time.Microsecond)
}

// beforeTouch calls fn before each write of last_used_at.
func (k *kit) beforeTouch(fn func(at time.Time)) {
	k.client.Session.Use(func(next ent.Mutator) ent.Mutator {
		return hook.SessionFunc(func(ctx context.Context, m *ent.SessionMutation) (ent.Value, error) {
			if at, ok := m.LastUsedAt(); ok && m.Op().Is(ent.OpUpdate) {
				fn(at)
			}
			return next.Mutate(ctx, m)
		})
	})
}

var sessionRaces = []scenario{
	{name: "sign-ins at once keep the cap on sessions", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		ctx, u := t.Context(), k.register(t, svc)
		errs := atOnce(8, func(int) error {
			_, err := svc.SignIn(ctx, u.Email, password, phone)
			return err
		})
		require.Equal(t, 8, winners(t, errs))
		require.Equal(t, 2, k.activeSessions(t, u.ID))
	}},
	{name: "sign-ins of every kind at once keep the cap on sessions", needs: links, run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		ctx, email := t.Context(), k.email()
		id := identity(email, email)
		g, err := svc.SignInWithProvider(ctx, id, phone)
		require.NoError(t, err)
		issued := issue(t, svc, email, schematype.OTPPasswordReset)
		require.NoError(t, resetTo(t, svc, issued, password))
		issued = issue(t, svc, email, schematype.OTPSignIn)
		errs := atOnce(9, func(i int) (err error) {
			switch {
			case i == 0:
				_, err = signInWithCode(t, svc, issued)
			case i < 5:
				_, err = svc.SignIn(ctx, email, password, phone)
			default:
				_, err = svc.SignInWithProvider(ctx, id, phone)
			}
			return err
		})
		require.Equal(t, 9, winners(t, errs))
		require.Equal(t, 2, k.activeSessions(t, g.User.ID))
	}},
	{name: "a revocation of all sessions spares only what is signed in to after it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		var late *auth.Grant
		signedIn, revoked := both(
			func() (err error) { late, err = svc.SignIn(t.Context(), g.User.Email, password, phone); return err },
			func() error { return only(svc.RevokeSessions(t.Context(), g.User.ID)) },
		)
		require.NoError(t, signedIn)
		require.NoError(t, revoked)
		checked(t, svc, g.Token, auth.ErrSession)
		require.LessOrEqual(t, k.activeSessions(t, g.User.ID), 1)
		require.NoError(t, only(svc.RevokeSessions(t.Context(), g.User.ID)))
		checked(t, svc, late.Token, auth.ErrSession)
	}},
	{name: "a session that is revoked while it is used stays revoked", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		k.clock.Advance(time.Minute)
		errs := atOnce(8, func(i int) error {
			if i == 0 {
				return only(svc.SignOut(t.Context(), g.Token))
			}
			_, _, err := svc.CheckSession(t.Context(), g.Token)
			return err
		})
		require.NoError(t, errs[0])
		winners(t, errs, auth.ErrSession)
		checked(t, svc, g.Token, auth.ErrSession)
	}},
}

var sessionRules = []scenario{
	{name: "a check returns the session and its user", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		s, u, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		assert.Equal(t, g.Session.ID, s.ID)
		assert.Equal(t, g.User.ID, u.ID)
		assert.Equal(t, g.User.Email, u.Email)
		assert.Equal(t, phone, auth.Device{IP: s.IP, UserAgent: s.UserAgent})
		assert.Equal(t, k.clock.Now().Add(30*24*time.Hour).Truncate(time.Microsecond), s.ExpiresAt.UTC())
		checked(t, svc, auth.ParseToken("no such token"), auth.ErrSession)
		checked(t, svc, auth.Token{}, auth.ErrSession)
	}},
	{name: "a session keeps the address without port, zone and brackets, and nothing that is no address", run: func(
		t *testing.T, k *kit,
	) {
		svc := k.service(t)
		u := k.register(t, svc)
		for given, kept := range map[string]string{
			"192.0.2.7:5678": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "[2001:db8::1%eth0]:443": "2001:db8::1",
			"[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1",
			"": "", "@": "", "unknown": "", "192.0.2.7, 192.0.2.8": "", "192.0.2.7:http": "", "localhost:80": "",
		} {
			g, err := svc.SignIn(t.Context(), u.Email, password, auth.Device{IP: given})
			require.NoError(t, err)
			assert.Equal(t, kept, g.Session.IP, given)
		}
	}},
	{name: "a session ends when it is idle", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		end := g.Session.LastUsedAt.Add(24 * time.Hour)
		k.clock.Set(end)
		checked(t, svc, g.Token, auth.ErrSession)
		assert.Empty(t, sessionIDs(t, svc, g.User.ID))
		k.clock.Advance(-time.Microsecond)
		assert.Len(t, sessionIDs(t, svc, g.User.ID), 1)
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
	}},
	{name: "a session that is used ends at its absolute end", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.Idle, c.Session.Absolute = 2*time.Hour, 5*time.Hour })
		g := k.signIn(t, svc)
		for range 4 {
			k.clock.Advance(time.Hour)
			k.used(t, svc, g)
		}
		k.clock.Set(g.Session.ExpiresAt.Add(-time.Microsecond))
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		assert.Len(t, sessionIDs(t, svc, g.User.ID), 1)
		k.clock.Advance(time.Microsecond)
		checked(t, svc, g.Token, auth.ErrSession)
		assert.Empty(t, sessionIDs(t, svc, g.User.ID))
	}},
	{name: "SignOut and RevokeSession end one session of the user alone", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		a := k.signIn(t, svc)
		b, c := signIn(t, svc, a.User.Email), signIn(t, svc, a.User.Email)
		stranger := k.signIn(t, svc)

		require.NoError(t, only(svc.SignOut(ctx, a.Token)))
		require.NoError(t, only(svc.SignOut(ctx, a.Token)))
		require.NoError(t, only(svc.SignOut(ctx, auth.ParseToken("no such token"))))
		checked(t, svc, a.Token, auth.ErrSession)
		require.NoError(t, only(svc.RevokeSession(ctx, b.User.ID, b.Session.ID)))
		checked(t, svc, b.Token, auth.ErrSession)
		require.NoError(t, only(svc.RevokeSession(ctx, stranger.User.ID, c.Session.ID)), "told nothing about it")
		for _, g := range []*auth.Grant{c, stranger} {
			_, _, err := svc.CheckSession(ctx, g.Token)
			require.NoError(t, err)
		}
	}},
	{name: "RevokeOtherSessions keeps one and RevokeSessions none", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		a := k.signIn(t, svc)
		b, c := signIn(t, svc, a.User.Email), signIn(t, svc, a.User.Email)
		stranger := k.signIn(t, svc)

		require.NoError(t, only(svc.RevokeOtherSessions(ctx, a.User.ID, b.Session.ID)))
		assert.Equal(t, []int{b.Session.ID}, sessionIDs(t, svc, a.User.ID))
		checked(t, svc, a.Token, auth.ErrSession)
		checked(t, svc, c.Token, auth.ErrSession)
		require.NoError(t, only(svc.RevokeSessions(ctx, a.User.ID)))
		checked(t, svc, b.Token, auth.ErrSession)
		_, _, err := svc.CheckSession(ctx, stranger.Token)
		require.NoError(t, err)
	}},
	{name: "a sign-in ends what its device had before, whosever it was", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u, other := t.Context(), k.register(t, svc), k.register(t, svc)
		signInOn := func(u *auth.User, token auth.Token) *auth.Grant {
			g, err := svc.SignIn(ctx, u.Email, password, from(token))
			require.NoError(t, err)
			return g
		}
		first := signIn(t, svc, u.Email)
		bystander := signIn(t, svc, u.Email)
		second := signInOn(u, first.Token)
		checked(t, svc, first.Token, auth.ErrSession)
		refused(t, svc, first.Refresh, auth.ErrRefresh)
		third := signInOn(u, first.Token)
		checked(t, svc, second.Token, nil)
		fourth := signInOn(u, rotate(t, svc, second.Refresh))
		checked(t, svc, second.Token, auth.ErrSession)
		require.False(t, k.known(t, svc, u, second.Token), "its standing is the new session's")
		k.clock.Advance(time.Minute)
		require.NoError(t, only(svc.SignOut(ctx, fourth.Token)))
		theirs := signInOn(other, third.Token)
		checked(t, svc, third.Token, auth.ErrSession)
		require.True(t, k.known(t, svc, u, third.Token), "another's sign-in does not take it")
		k.clock.Advance(time.Minute)

		started, token, err := svc.StartSession(ctx, u.ID, from(theirs.Refresh))
		require.NoError(t, err)
		checked(t, svc, theirs.Token, auth.ErrSession)
		refused(t, svc, theirs.Refresh, auth.ErrRefresh)
		assert.ElementsMatch(t, []int{bystander.Session.ID, started.ID}, sessionIDs(t, svc, u.ID))
		if id := identity("subject", k.email()); have(links) {
			byProvider, err := svc.SignInWithProvider(ctx, id, from(token))
			require.NoError(t, err)
			checked(t, svc, token, auth.ErrSession)
			token = byProvider.Token
		}

		issued := issue(t, svc, k.register(t, svc).Email, schematype.OTPSignIn)
		byCode, err := svc.SignInWithCode(ctx, issued.Ticket, issued.Code, from(token))
		require.NoError(t, err)
		checked(t, svc, token, auth.ErrSession)
		checked(t, svc, byCode.Token, nil)
		checked(t, svc, bystander.Token, nil)
		rotate(t, svc, bystander.Refresh)
	}},
	{name: "a sign-in ends what its device had without a family", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		first, second := signIn(t, svc, u.Email), signIn(t, svc, u.Email)
		last := rotate(t, svc, second.Refresh)
		k.withoutFamily(t, u.ID)
		for _, token := range []auth.Token{first.Token, second.Refresh, auth.ParseToken("no such token")} {
			_, err := svc.SignIn(t.Context(), u.Email, password, from(token))
			require.NoError(t, err)
		}
		checked(t, svc, first.Token, auth.ErrSession)
		refused(t, svc, last, auth.ErrRefresh)
		checked(t, svc, second.Token, nil)
		rotate(t, svc, first.Refresh)
	}},
	{name: "what ends tells how much it was", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		for name, end := range map[string]func(g *auth.Grant) (auth.Ended, error){
			"SignOut":       func(g *auth.Grant) (auth.Ended, error) { return svc.SignOut(ctx, g.Token) },
			"RevokeRefresh": func(g *auth.Grant) (auth.Ended, error) { return svc.RevokeRefresh(ctx, g.Refresh) },
			"RevokeSession": func(g *auth.Grant) (auth.Ended, error) {
				return svc.RevokeSession(ctx, g.User.ID, g.Session.ID)
			},
		} {
			g := k.signIn(t, svc)
			signIn(t, svc, g.User.Email)
			ended, err := end(g)
			require.NoError(t, err)
			assert.Equal(t, auth.Ended{Sessions: 1, RefreshTokens: 1}, ended, name)
			k.nothingLiveBut(t, g.User.ID, 1, 1)
		}
		for name, end := range possible(map[string]func(u *auth.User) (auth.Ended, error){
			"RevokeSessions": func(u *auth.User) (auth.Ended, error) { return svc.RevokeSessions(ctx, u.ID) },
			"RevokeAll":      func(u *auth.User) (auth.Ended, error) { return svc.RevokeAll(ctx, u.ID) },
			"Delete":         func(u *auth.User) (auth.Ended, error) { return svc.Delete(ctx, u.ID) },
			"ChangePassword": func(u *auth.User) (auth.Ended, error) {
				return svc.ChangePassword(ctx, u.ID, password, nextPassword, phone)
			},
		}, deletion, "Delete") {
			g := k.signIn(t, svc)
			signIn(t, svc, g.User.Email)
			alone, err := svc.IssueRefresh(ctx, g.User.ID)
			require.NoError(t, err)
			ended, err := end(g.User)
			require.NoError(t, err)
			if name == "RevokeSessions" {
				assert.Equal(t, auth.Ended{Sessions: 2, RefreshTokens: 2}, ended, name)
				rotate(t, svc, alone)
				continue
			}
			assert.Equal(t, auth.Ended{Sessions: 2, RefreshTokens: 3}, ended, name)
			k.nothingLive(t, g.User.ID, name)
		}
	}},
	{name: "the list has the last used session first, and no ended one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		a := k.signIn(t, svc)
		b, c, d := signIn(t, svc, a.User.Email), signIn(t, svc, a.User.Email), signIn(t, svc, a.User.Email)
		k.signIn(t, svc)
		assert.Equal(t, []int{d.Session.ID, c.Session.ID, b.Session.ID, a.Session.ID}, sessionIDs(t, svc, a.User.ID))
		k.clock.Advance(time.Minute)
		k.used(t, svc, a)
		require.NoError(t, only(svc.SignOut(t.Context(), c.Token)))
		assert.Equal(t, []int{a.Session.ID, d.Session.ID, b.Session.ID}, sessionIDs(t, svc, a.User.ID))
	}},
	{name: "a device whose session has ended by time is listed and ended while it can begin it again",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx := t.Context()
			ways := map[string]func(stolen, mine *auth.Grant) (auth.Ended, error){
				"RevokeSessions": func(stolen, _ *auth.Grant) (auth.Ended, error) {
					return svc.RevokeSessions(ctx, stolen.User.ID)
				},
				"RevokeOtherSessions": func(_, mine *auth.Grant) (auth.Ended, error) {
					return svc.RevokeOtherSessions(ctx, mine.User.ID, mine.Session.ID)
				},
				"RevokeSession": func(stolen, _ *auth.Grant) (auth.Ended, error) {
					return svc.RevokeSession(ctx, stolen.User.ID, stolen.Session.ID)
				},
				"SignOut": func(stolen, _ *auth.Grant) (auth.Ended, error) { return svc.SignOut(ctx, stolen.Token) },
				"a sign-in on it": func(stolen, _ *auth.Grant) (auth.Ended, error) {
					_, err := svc.SignIn(ctx, stolen.User.Email, password, from(stolen.Token))
					return auth.Ended{Sessions: 1, RefreshTokens: 1}, err
				},
			}
			for way, end := range ways {
				for what, days := range map[string]int{"idle": 2, "past its end": 35, "no longer remembered": 85} {
					u := k.register(t, svc)
					began := k.clock.Now()
					stolen, rotated := k.onlyRotating(t, svc, u, days)
					mine := signIn(t, svc, u.Email)
					list, err := svc.Sessions(ctx, u.ID)
					require.NoError(t, err)
					require.Len(t, list, 2, "%s: %s", way, what)
					dormant := list[1]
					assert.Equal(t, stolen.Session.ID, dormant.ID)
					assert.True(t, dormant.Dormant)
					assert.False(t, list[0].Dormant)
					assert.Equal(t, phone, auth.Device{IP: dormant.IP, UserAgent: dormant.UserAgent})
					assert.True(t, dormant.LastUsedAt.Equal(rotated), "%s is not %s", dormant.LastUsedAt, rotated)
					end90 := began.Add(90 * 24 * time.Hour).Truncate(time.Microsecond)
					assert.True(t, dormant.ExpiresAt.Equal(end90), "%s is not %s", dormant.ExpiresAt, end90)
					checked(t, svc, stolen.Token, auth.ErrSession)

					ended, err := end(stolen, mine)
					require.NoError(t, err)
					assert.GreaterOrEqual(t, ended.RefreshTokens, 1, "%s: %s", way, what)
					refused(t, svc, stolen.Refresh, auth.ErrRefresh)
					list, err = svc.Sessions(ctx, u.ID)
					require.NoError(t, err)
					for _, s := range list {
						assert.NotEqual(t, stolen.Session.ID, s.ID, "%s: %s", way, what)
					}
				}
			}
		}},
	{name: "a device that can begin its session again is listed, and no other that has ended", run: func(
		t *testing.T, k *kit,
	) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		listed := func() (ids []int) {
			list, err := svc.Sessions(ctx, u.ID)
			require.NoError(t, err)
			for _, s := range list {
				ids = append(ids, s.ID)
			}
			return ids
		}
		_, _, err := svc.StartSession(ctx, u.ID, phone)
		require.NoError(t, err)
		_, err = svc.IssueRefresh(ctx, u.ID)
		require.NoError(t, err)
		out, back, renewed := signIn(t, svc, u.Email), signIn(t, svc, u.Email), signIn(t, svc, u.Email)
		k.signIn(t, svc)
		require.NoError(t, only(svc.SignOut(ctx, out.Token)))
		exchanged := make([]*ent.RefreshTokenCreate, 1000)
		for i := range exchanged {
			exchanged[i] = k.client.RefreshToken.Create().SetUserID(u.ID).SetTokenHash(k.email()).SetIsRevoked(true).
				SetCreatedAt(k.clock.Now()).SetExpiresAt(k.clock.Now().Add(year))
		}
		require.NoError(t, k.client.RefreshToken.CreateBulk(exchanged...).Exec(ctx))
		k.clock.Advance(24 * time.Hour)
		assert.Equal(t, []int{renewed.Session.ID, back.Session.ID}, listed())
		_, err = svc.Renew(ctx, renewed.Refresh, phone)
		require.NoError(t, err)
		assert.Equal(t, []int{renewed.Session.ID}, sessionIDs(t, svc, u.ID), "it is live again")
		assert.Equal(t, []int{renewed.Session.ID, back.Session.ID}, listed())
		k.clock.Set(back.Session.CreatedAt.Add(14*24*time.Hour - time.Microsecond))
		assert.Equal(t, []int{renewed.Session.ID, back.Session.ID}, listed())
		k.clock.Advance(time.Microsecond)
		assert.Equal(t, []int{renewed.Session.ID}, listed(), "its token was left too long")
		k.clock.Advance(24 * time.Hour)
		assert.Empty(t, listed())
	}},
	{name: "a device whose family is at its end is not listed", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Refresh.Idle, c.Refresh.Absolute = 29*time.Hour, 30*time.Hour })
		g := k.signIn(t, svc)
		k.clock.Advance(28 * time.Hour)
		rotate(t, svc, g.Refresh)
		for _, want := range []int{1, 0} {
			list, err := svc.Sessions(t.Context(), g.User.ID)
			require.NoError(t, err)
			require.Len(t, list, want)
			k.clock.Advance(2 * time.Hour)
		}
	}},
	{name: "the cap ends the least recently used session", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		a := k.signIn(t, svc)
		b := signIn(t, svc, a.User.Email)
		stranger := k.signIn(t, svc)
		k.clock.Advance(time.Minute)
		k.used(t, svc, a)
		c := signIn(t, svc, a.User.Email)
		assert.Equal(t, []int{c.Session.ID, a.Session.ID}, sessionIDs(t, svc, a.User.ID))
		checked(t, svc, b.Token, auth.ErrSession)
		_, _, err := svc.CheckSession(t.Context(), stranger.Token)
		require.NoError(t, err)
	}},
	{name: "sessions that ended by time leave the cap to the others", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		a := k.signIn(t, svc)
		signIn(t, svc, a.User.Email)
		k.clock.Advance(24 * time.Hour)
		c, d := signIn(t, svc, a.User.Email), signIn(t, svc, a.User.Email)
		assert.Equal(t, []int{d.Session.ID, c.Session.ID}, sessionIDs(t, svc, a.User.ID))
	}},
	{name: "the last use is written once in an interval", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		start := g.Session.LastUsedAt
		lastUsed := func() time.Time {
			row, err := k.client.Session.Get(t.Context(), g.Session.ID)
			require.NoError(t, err)
			return row.LastUsedAt.UTC()
		}
		k.clock.Set(start.Add(time.Minute - time.Microsecond))
		k.used(t, svc, g)
		assert.Equal(t, start, lastUsed())
		k.clock.Advance(time.Microsecond)
		k.used(t, svc, g)
		assert.Equal(t, start.Add(time.Minute), lastUsed())
		k.clock.Advance(30 * time.Second)
		k.used(t, svc, g)
		assert.Equal(t, start.Add(time.Minute), lastUsed())
	}},
	{name: "of two replicas that see one use after the other the first one writes it", run: func(t *testing.T, k *kit) {
		first, second := k.service(t), k.service(t)
		g := k.signIn(t, first)
		start := g.Session.LastUsedAt
		waiting, written := make(chan struct{}), make(chan struct{})
		k.beforeTouch(func(at time.Time) {
			if at.Equal(start.Add(61 * time.Second)) {
				close(waiting)
				<-written
			}
		})
		k.clock.Set(start.Add(61 * time.Second))
		_, _, err := second.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		<-waiting
		k.clock.Set(start.Add(60 * time.Second))
		_, _, err = first.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		require.NoError(t, first.Close(t.Context()))
		close(written)
		require.NoError(t, second.Close(t.Context()))
		row, err := k.client.Session.Get(t.Context(), g.Session.ID)
		require.NoError(t, err)
		require.Equal(t, start.Add(60*time.Second), row.LastUsedAt.UTC())
	}},
	{name: "a last use that is late does not turn the time back or wake a session", run: func(t *testing.T, k *kit) {
		svc, other := k.service(t), k.service(t)
		g := k.signIn(t, svc)
		start := g.Session.LastUsedAt
		waiting, signedOut := make(chan struct{}), make(chan struct{})
		k.beforeTouch(func(time.Time) { close(waiting); <-signedOut })
		k.clock.Set(start.Add(time.Hour))
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		<-waiting
		require.NoError(t, only(other.SignOut(t.Context(), g.Token)))
		close(signedOut)
		require.NoError(t, svc.Close(t.Context()))
		row, err := k.client.Session.Query().Where(session.ID(g.Session.ID)).Only(t.Context())
		require.NoError(t, err)
		require.False(t, row.IsActive)
		require.Equal(t, start, row.LastUsedAt.UTC())
	}},
}

// used checks a grant's session, with a service of its own so that the write of its last use can be waited for.
func (k *kit) used(t *testing.T, like *auth.Service, g *auth.Grant) {
	t.Helper()
	_, _, err := like.CheckSession(t.Context(), g.Token)
	require.NoError(t, err)
	svc := k.service(t)
	_, _, err = svc.CheckSession(t.Context(), g.Token)
	require.NoError(t, err)
	require.NoError(t, svc.Close(t.Context()))
}

// only is the error of a call whose result does not matter.
func only[T any](_ T, err error) error { return err }
