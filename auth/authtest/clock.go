package authtest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// replicaAhead is a replica whose clock is wrong.
func (k *kit) replicaAhead(t *testing.T, by time.Duration) *auth.Service {
	t.Helper()
	return k.service(t, func(cfg *auth.Config) { cfg.Clock = func() time.Time { return k.clock.Now().Add(by) } })
}

const year = 365 * 24 * time.Hour

var clockRules = []scenario{
	{name: "the longest times that a service takes are written and compared", run: func(t *testing.T, k *kit) {
		ctx := t.Context()
		last := time.Date(2038, 1, 19, 3, 14, 6, 0, time.UTC).Sub(k.clock.Now())
		svc := k.service(t, func(c *auth.Config) {
			c.Lockout = auth.LockoutPolicy{MaxFailures: 1, Duration: last}
			c.OTP.Lifetime, c.OTP.ResendCooldown, c.OTP.BudgetWindow = last, last, math.MaxInt64
			c.Session.Absolute, c.Session.Idle = last, math.MaxInt64
			c.Refresh.Absolute, c.Refresh.Idle = last, math.MaxInt64
			c.Account.ReactivateAfter, c.Account.Retention = last, math.MaxInt64
		})
		g := k.signIn(t, svc)
		_, _, err := svc.CheckSession(ctx, g.Token)
		require.NoError(t, err)
		rotate(t, svc, g.Refresh)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, issue(t, svc, g.User.Email, schematype.OTPSignIn)))
		_, err = svc.SignIn(ctx, g.User.Email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		_, err = svc.SignIn(ctx, g.User.Email, password, phone)
		var locked *auth.LockedError
		require.ErrorAs(t, err, &locked)
		if have(deletion) {
			require.NoError(t, only(svc.Delete(ctx, g.User.ID)))
			require.ErrorIs(t, svc.Restore(ctx, g.User.ID), auth.ErrNotFound)
		}
	}},
	{name: "a replica a year ahead keeps nobody from a code", run: func(t *testing.T, k *kit) {
		svc, ahead := k.service(t), k.replicaAhead(t, year)
		email := k.register(t, svc).Email
		wrong, err := issueFrom(t, ahead, phone, email)
		require.NoError(t, err)
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, wrong), auth.ErrCode,
			"it would live for a year")

		issued, err := issueFrom(t, svc, phone, email)
		require.NoError(t, err)
		var soon *auth.TooSoonError
		_, err = issueFrom(t, svc, phone, email)
		require.ErrorAs(t, err, &soon)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, issued))
	}},
	{name: "a session of a replica a year ahead does not live for a year", run: func(t *testing.T, k *kit) {
		svc, ahead := k.service(t), k.replicaAhead(t, year)
		u := k.register(t, svc)
		g := signIn(t, ahead, u.Email)
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.ErrorIs(t, err, auth.ErrSession)
		_, _, err = svc.Rotate(t.Context(), g.Refresh)
		require.ErrorIs(t, err, auth.ErrRefresh)
		list, err := svc.Sessions(t.Context(), u.ID)
		require.NoError(t, err)
		assert.Empty(t, list)
		right := signIn(t, svc, u.Email)
		_, _, err = svc.CheckSession(t.Context(), right.Token)
		require.NoError(t, err)
	}},
	{name: "replicas a minute apart agree", run: func(t *testing.T, k *kit) {
		svc, ahead := k.service(t), k.replicaAhead(t, time.Minute)
		u := k.register(t, svc)
		g := signIn(t, ahead, u.Email)
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		_, _, err = svc.Rotate(t.Context(), g.Refresh)
		require.NoError(t, err)
		issued, err := issueFrom(t, ahead, phone, u.Email)
		require.NoError(t, err)
		var soon *auth.TooSoonError
		_, err = issueFrom(t, svc, phone, u.Email)
		require.ErrorAs(t, err, &soon)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, issued))
	}},
	{name: "an exchange in the future of a replica's clock is within the grace, and one that looks old is not",
		run: func(t *testing.T, k *kit) {
			svc, ahead := k.service(t), k.replicaAhead(t, auth.ClockTolerance)
			g := k.signIn(t, svc)
			next := rotate(t, ahead, g.Refresh)
			require.Equal(t, next.Reveal(), rotate(t, svc, g.Refresh).Reveal(), "it is this clock that is behind")

			g = k.signIn(t, svc)
			next = rotate(t, svc, g.Refresh)
			refused(t, ahead, g.Refresh, auth.ErrReuse)
			refused(t, svc, next, auth.ErrRefresh)

			near := k.replicaAhead(t, 10*time.Second-time.Microsecond)
			g = k.signIn(t, svc)
			next = rotate(t, svc, g.Refresh)
			require.Equal(t, next.Reveal(), rotate(t, near, g.Refresh).Reveal())
		}},
	{name: "a code that asks for more patience than the window is waited for no longer",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			_, err := issueFrom(t, svc, phone, email)
			require.NoError(t, err)
			require.NoError(t, k.client.OTP.Update().SetNextResendAllowedAt(k.clock.Now().Add(year)).Exec(t.Context()))
			var soon *auth.TooSoonError
			_, err = issueFrom(t, svc, phone, email)
			require.ErrorAs(t, err, &soon)
			require.True(t, soon.RetryAt.Equal(k.clock.Now().Add(time.Hour)), soon.RetryAt)
			k.clock.Advance(time.Hour)
			_, err = issueFrom(t, svc, phone, email)
			require.NoError(t, err)
		}},
}
