package authtest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// operator is one that has no keys, on the kit's clock.
func (k *kit) operator(t *testing.T, change ...func(*auth.Config)) *auth.Operator {
	t.Helper()
	cfg := auth.Config{Clock: k.clock.Now}
	for _, c := range change {
		c(&cfg)
	}
	op, err := auth.NewOperator(k.client, cfg)
	require.NoError(t, err)
	return op
}

func (k *kit) profile(t *testing.T, id auth.UserID) *auth.Profile {
	t.Helper()
	p, err := k.operator(t).Find(t.Context(), id)
	require.NoError(t, err)
	return p
}

// trace is what an operator is told of a token.
func (k *kit) trace(t *testing.T, token auth.Token) *auth.Trace {
	t.Helper()
	found, err := k.operator(t).Trace(t.Context(), token)
	require.NoError(t, err)
	return found
}

func idsOf(list []*auth.Profile) (ids []auth.UserID) {
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

var operatorRules = []scenario{
	{name: "an operator finds an account by any spelling of its address, deleted or not",
		run: func(t *testing.T, k *kit) {
			svc, op, ctx := k.service(t), k.operator(t), t.Context()
			u := k.register(t, svc)
			p, err := op.FindByEmail(ctx, "  "+strings.ToUpper(u.Email)+" ")
			require.NoError(t, err)
			require.Equal(t, u.ID, p.ID)
			require.Equal(t, auth.Has("password"), p.HasPassword)
			require.False(t, p.Deleted)
			require.Zero(t, p.SuspendedUntil)
			_, err = op.FindByEmail(ctx, k.email())
			require.ErrorIs(t, err, auth.ErrNotFound)
			var input *auth.InputError
			_, err = op.FindByEmail(ctx, "nobody")
			require.ErrorAs(t, err, &input)
			_, err = op.Find(ctx, nobody())
			require.ErrorIs(t, err, auth.ErrNotFound)
			if have(deletion) {
				require.NoError(t, only(svc.Delete(ctx, u.ID)))
				p, err = op.FindByEmail(ctx, u.Email)
				require.NoError(t, err)
				require.True(t, p.Deleted)
				require.Equal(t, k.clock.Now().Truncate(time.Microsecond), p.DeletedAt)
			}
		}},
	{name: "an operator ends a lock, and no suspension", needs: []string{"password"}, run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		u := k.register(t, svc)
		for range 11 {
			_, err := svc.SignIn(ctx, u.Email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		require.False(t, k.profile(t, u.ID).LockedUntil.IsZero())
		listed, err := op.List(ctx, auth.UserFilter{Locked: true})
		require.NoError(t, err)
		require.Equal(t, []auth.UserID{u.ID}, idsOf(listed))
		require.NoError(t, op.Unlock(ctx, u.ID))
		require.Zero(t, k.profile(t, u.ID).LockedUntil)
		require.Zero(t, k.profile(t, u.ID).GuessFailures)
		signIn(t, svc, u.Email)

		k.guessPasswords(t, svc, u.Email)
		require.True(t, k.profile(t, u.ID).Spent)
		require.NoError(t, op.Unlock(ctx, u.ID))
		signIn(t, svc, u.Email)

		require.NoError(t, op.Suspend(ctx, u.ID, auth.Forever))
		require.NoError(t, op.Unlock(ctx, u.ID))
		require.Equal(t, auth.Forever, k.profile(t, u.ID).SuspendedUntil)
		_, err = svc.SignIn(ctx, u.Email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.NoError(t, op.Unsuspend(ctx, u.ID))
		// A program that does not know suspended_until suspends by a long lock.
		k.lock(t, u.ID, k.clock.Now().Add(30*24*time.Hour))
		require.NoError(t, op.Unlock(ctx, u.ID))
		require.False(t, k.profile(t, u.ID).SuspendedUntil.IsZero())
		require.ErrorIs(t, op.Unlock(ctx, nobody()), auth.ErrNotFound)
	}},
	{name: "an operator lists accounts in pages", needs: []string{"role"}, run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		admins := map[auth.UserID]bool{}
		for i := range 7 {
			u := k.register(t, svc)
			if i%2 == 0 {
				require.NoError(t, op.ChangeRole(ctx, u.ID, schematype.RoleAdmin))
				admins[u.ID] = true
			} else {
				require.NoError(t, op.Suspend(ctx, u.ID, k.clock.Now().Add(time.Hour)))
			}
		}
		f := auth.UserFilter{Role: schematype.RoleAdmin, Limit: 3}
		var found []auth.UserID
		for range 2 {
			page, err := op.List(ctx, f)
			require.NoError(t, err)
			require.NotEmpty(t, page)
			found = append(found, idsOf(page)...)
			f.After = found[len(found)-1]
		}
		require.Len(t, found, 4)
		for _, id := range found {
			require.True(t, admins[id])
		}
		page, err := op.List(ctx, f)
		require.NoError(t, err)
		require.Empty(t, page)
		suspended, err := op.List(ctx, auth.UserFilter{Suspended: true})
		require.NoError(t, err)
		require.Len(t, suspended, 3)
		k.clock.Advance(time.Hour)
		suspended, err = op.List(ctx, auth.UserFilter{Suspended: true})
		require.NoError(t, err)
		require.Empty(t, suspended)
	}},
	{name: "an operator counts what is live", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		g := k.signIn(t, svc)
		signIn(t, svc, g.User.Email)
		other := k.signIn(t, svc)
		count := func(want auth.Ended, n auth.Ended, err error) {
			t.Helper()
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		n, err := op.Count(ctx, g.User.ID)
		count(auth.Ended{Sessions: 2, RefreshTokens: 2}, n, err)
		n, err = op.CountAll(ctx)
		count(auth.Ended{Sessions: 3, RefreshTokens: 3}, n, err)
		ended, err := op.RevokeSession(ctx, g.User.ID, g.Session.ID)
		count(auth.Ended{Sessions: 1, RefreshTokens: 1}, ended, err)
		k.clock.Advance(24 * time.Hour)
		rotate(t, svc, other.Refresh)
		n, err = op.CountAll(ctx)
		count(auth.Ended{RefreshTokens: 2}, n, err)
		k.clock.Advance(13 * 24 * time.Hour)
		n, err = op.CountAll(ctx)
		count(auth.Ended{RefreshTokens: 1}, n, err)
		n, err = op.Count(ctx, nobody())
		count(auth.Ended{}, n, err)
	}},
	{name: "an operator is told what became of a token", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		g := k.signIn(t, svc)
		at := k.clock.Now().Truncate(time.Microsecond)
		of := k.trace(t, g.Token)
		require.Equal(t, auth.KindSession, of.Kind)
		require.Equal(t, auth.StateLive, of.State)
		require.Equal(t, g.User.ID, of.UserID)
		require.Equal(t, g.Session, of.Session)
		require.Equal(t, 1, of.LiveTokens)

		k.clock.Advance(time.Hour)
		next := rotate(t, svc, g.Refresh)
		old := k.trace(t, g.Refresh)
		require.Equal(t, auth.KindRefreshToken, old.Kind)
		require.Equal(t, auth.StateExchanged, old.State)
		require.Equal(t, at.Add(time.Hour), old.ChangedAt)
		require.Equal(t, of.Family, old.Family)
		require.Equal(t, g.Session.ID, old.Session.ID)
		require.Equal(t, []int{2, 1}, []int{old.Tokens, old.LiveTokens})
		require.Equal(t, auth.StateLive, k.trace(t, next).State)

		k.clock.Advance(24 * time.Hour)
		require.Equal(t, auth.StateIdle, k.trace(t, g.Token).State)
		require.NoError(t, only(op.RevokeAll(ctx, g.User.ID)))
		ended := k.trace(t, next)
		require.Equal(t, auth.StateEnded, ended.State)
		require.Equal(t, at.Add(25*time.Hour), ended.ChangedAt)
		require.False(t, ended.SessionActive)
		require.Zero(t, ended.LiveTokens)
		require.Equal(t, auth.StateEnded, k.trace(t, g.Token).State)

		g = k.signIn(t, svc)
		k.clock.Set(g.Session.ExpiresAt)
		require.Equal(t, auth.StateExpired, k.trace(t, g.Token).State)
		require.Equal(t, auth.StateIdle, k.trace(t, g.Refresh).State)
		k.clock.Advance(60 * 24 * time.Hour)
		require.Equal(t, auth.StateExpired, k.trace(t, g.Refresh).State)
		for _, unknown := range []auth.Token{auth.ParseToken("none"), {}} {
			_, err := op.Trace(ctx, unknown)
			require.ErrorIs(t, err, auth.ErrNotFound)
		}
	}},
}

var operatorRaces = []scenario{
	{name: "a suspension stays whatever an unlock does at the same time", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		for range 5 {
			u := k.register(t, svc)
			errA, errB := both(
				func() error { return op.Suspend(ctx, u.ID, auth.Forever) },
				func() error { return op.Unlock(ctx, u.ID) })
			require.NoError(t, errA)
			require.NoError(t, errB)
			p := k.profile(t, u.ID)
			require.Equal(t, auth.Forever, p.SuspendedUntil)
			require.NotNil(t, k.user(t, u.ID).LockUntil, "programs that do not know suspended_until refuse it, too")
		}
	}},
}

var erasureRules = []scenario{
	{name: "an erasure frees the address and leaves nobody a way in", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		g, bystander := k.verified(t, svc), k.verified(t, svc)
		email := g.User.Email
		next := rotate(t, svc, g.Refresh)
		issued := issue(t, svc, email, schematype.OTPSignIn)
		erased, err := op.Erase(ctx, g.User.ID)
		require.NoError(t, err)
		require.Equal(t, 1, erased.Sessions)
		checked(t, svc, g.Token, auth.ErrSession)
		refused(t, svc, next, auth.ErrRefresh)
		refused(t, svc, g.Refresh, auth.ErrRefresh)
		_, err = signInWithCode(t, svc, issued)
		require.ErrorIs(t, err, auth.ErrCode)
		_, err = svc.SignIn(ctx, email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Zero(t, k.users(t, graph.Email, email))
		u, _, err := svc.Register(ctx, nameOf("another"), email, password)
		require.NoError(t, err)
		require.NotEqual(t, g.User.ID, u.ID)
		kept(t, svc, bystander)
		_, err = op.Erase(ctx, nobody())
		require.ErrorIs(t, err, auth.ErrNotFound)
	}},
	{name: "an erased account does not come back, and its evidence tells a reuse until it expires",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc, op, ctx := k.service(t), k.operator(t), t.Context()
			g := k.verified(t, svc)
			rotate(t, svc, g.Refresh)
			erased, err := op.Erase(ctx, g.User.ID)
			require.NoError(t, err)
			require.True(t, erased.Anonymised)
			require.Equal(t, 2, erased.Kept)
			found := k.trace(t, g.Refresh)
			require.Equal(t, auth.StateExchanged, found.State)
			require.Equal(t, g.User.ID, found.UserID)
			require.Nil(t, found.Session)
			p := k.profile(t, g.User.ID)
			require.True(t, p.Deleted)
			require.False(t, p.HasPassword)
			k.clock.Advance(time.Hour)
			require.ErrorIs(t, svc.Restore(ctx, g.User.ID), auth.ErrNotFound)
			_, _, err = svc.Register(ctx, nameOf("another"), p.Email, password)
			require.ErrorIs(t, err, auth.ErrEmailTaken)
			issued, err := issueCode(t, svc, p.Email, schematype.OTPSignIn)
			require.NoError(t, err)
			require.False(t, issued.Known)

			k.clock.Advance(89 * 24 * time.Hour)
			purge(t, svc, auth.PurgeOptions{})
			k.trace(t, g.Refresh)
			k.clock.Advance(24 * time.Hour)
			purge(t, svc, auth.PurgeOptions{})
			_, err = op.Find(ctx, g.User.ID)
			require.ErrorIs(t, err, auth.ErrNotFound)
			_, err = op.Trace(ctx, g.Refresh)
			require.ErrorIs(t, err, auth.ErrNotFound)
		}},
	{name: "an export is of one person, and an erasure of as much", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		g, other := k.signIn(t, svc), k.signIn(t, svc)
		signIn(t, svc, g.User.Email)
		issue(t, svc, g.User.Email, schematype.OTPSignIn)
		issue(t, svc, other.User.Email, schematype.OTPSignIn)
		e, err := op.Export(ctx, g.User.ID)
		require.NoError(t, err)
		require.Equal(t, g.User.Email, e.User.Email)
		require.Equal(t, []int{2, 2, 1}, []int{len(e.Sessions), len(e.RefreshTokens), len(e.OTPs)})
		before := k.rows(t)
		erased, err := op.Erase(ctx, g.User.ID)
		require.NoError(t, err)
		require.Equal(t, auth.Erased{Sessions: 2, RefreshTokens: 2, OTPs: 1}, erased)
		require.Equal(t, auth.Purged{Users: before.Users - 1, Sessions: before.Sessions - 2,
			RefreshTokens: before.RefreshTokens - 2, OTPs: before.OTPs - 1}, k.rows(t))
		_, err = op.Export(ctx, g.User.ID)
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, _, err = svc.CheckSession(ctx, other.Token)
		require.NoError(t, err)
	}},
}

var erasureRaces = []scenario{
	{name: "an erasure excludes whatever the account does at the same time", run: func(t *testing.T, k *kit) {
		svc, op, ctx := k.service(t), k.operator(t), t.Context()
		g := k.verified(t, svc)
		calls := []func() error{
			func() error { return second(op.Erase(ctx, g.User.ID)) },
			func() error { return third(svc.Rotate(ctx, g.Refresh)) },
			func() error { return second(svc.SignIn(ctx, g.User.Email, password, phone)) },
			func() error { return third(svc.StartSession(ctx, g.User.ID, phone)) },
			func() error { return second(svc.IssueRefresh(ctx, g.User.ID)) },
			func() error { return second(op.Erase(ctx, g.User.ID)) },
		}
		winners(t, atOnce(len(calls), func(i int) error { return calls[i]() }),
			auth.ErrRefresh, auth.ErrCredentials, auth.ErrNotFound)
		require.Zero(t, k.activeSessions(t, g.User.ID))
		require.Zero(t, k.live(t, g.User.ID))
		require.Zero(t, k.users(t, graph.Email, g.User.Email))
	}},
}

// second and third are the errors of calls with as many results.
func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }
