package authtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// grantRules are those of what a caller grants, denies or ends by itself, and of
// what the first proof of an address ends.
var grantRules = []scenario{
	{name: "StartSession and IssueRefresh work for a user", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
		ctx, u, bystander := t.Context(), k.register(t, svc), k.signIn(t, svc)
		s, token, err := svc.StartSession(ctx, u.ID, phone)
		require.NoError(t, err)
		found, owner, err := svc.CheckSession(ctx, token)
		require.NoError(t, err)
		assert.Equal(t, s.ID, found.ID)
		assert.Equal(t, u.ID, owner.ID)
		assert.Zero(t, k.live(t, u.ID), "a session alone is no family")

		refresh, err := svc.IssueRefresh(ctx, u.ID)
		require.NoError(t, err)
		next := rotate(t, svc, refresh)
		_, owner, err = svc.Rotate(ctx, next)
		require.NoError(t, err)
		assert.Equal(t, u.ID, owner.ID)
		k.clock.Advance(10 * time.Second)
		refused(t, svc, refresh, auth.ErrReuse)

		for range 2 {
			k.clock.Advance(time.Second)
			_, _, err = svc.StartSession(ctx, u.ID, phone)
			require.NoError(t, err)
		}
		assert.Len(t, sessionIDs(t, svc, u.ID), 2)
		checked(t, svc, token, auth.ErrSession)
		checked(t, svc, bystander.Token, nil)
	}},
	{name: "StartSession and IssueRefresh are refused for a suspended, deleted or unknown user",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx, suspended, deleted := t.Context(), k.register(t, svc), k.register(t, svc)
			until := k.clock.Now().Add(time.Hour)
			require.NoError(t, svc.Suspend(ctx, suspended.ID, until))
			require.NoError(t, only(svc.Delete(ctx, deleted.ID)))
			k.register(t, svc) // one who may
			for what, id := range map[string]auth.UserID{
				"suspended": suspended.ID, "deleted": deleted.ID, "unknown": nobody(),
			} {
				_, _, err := svc.StartSession(ctx, id, phone)
				assert.ErrorIs(t, err, auth.ErrNotFound, what)
				_, err = svc.IssueRefresh(ctx, id)
				assert.ErrorIs(t, err, auth.ErrNotFound, what)
				assert.Zero(t, k.activeSessions(t, id), what)
				assert.Zero(t, k.live(t, id), what)
			}
			k.clock.Set(until)
			_, _, err := svc.StartSession(ctx, suspended.ID, phone)
			require.NoError(t, err)
			_, err = svc.IssueRefresh(ctx, suspended.ID)
			require.NoError(t, err)
		}},
	{name: "RevokeAll ends every session and refresh token of one user", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, first := t.Context(), k.signIn(t, svc)
		second, bystander := signIn(t, svc, first.User.Email), k.signIn(t, svc)
		require.ErrorIs(t, only(svc.RevokeAll(ctx, nobody())), auth.ErrNotFound)
		require.NoError(t, only(svc.RevokeAll(ctx, first.User.ID)))
		for _, g := range []*auth.Grant{first, second} {
			checked(t, svc, g.Token, auth.ErrSession)
			refused(t, svc, g.Refresh, auth.ErrRefresh)
		}
		require.NoError(t, only(svc.RevokeAll(ctx, first.User.ID)), "it has nothing left to end")
		checked(t, svc, bystander.Token, nil)
		rotate(t, svc, bystander.Refresh)
		signIn(t, svc, first.User.Email)
	}},
	{name: "a reset ends a lock that guessing caused and no suspension", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, byCode := t.Context(), map[schematype.OTPType]func(issued *auth.Issued) error{
			schematype.OTPPasswordReset: func(issued *auth.Issued) error { return resetPassword(t, svc, issued) },
			schematype.OTPPasswordChange: func(issued *auth.Issued) error {
				return changeTo(t, svc, issued, nextPassword)
			},
		}
		for kind, set := range byCode {
			guessed, suspended, bystander := k.register(t, svc), k.register(t, svc), k.register(t, svc)
			k.lock(t, bystander.ID, k.clock.Now().Add(time.Minute))
			require.NoError(t, svc.Suspend(ctx, suspended.ID, k.clock.Now().Add(time.Minute)))
			for range 10 {
				_, err := svc.SignIn(ctx, guessed.Email, wrongPassword, phone)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			require.NotNil(t, k.user(t, guessed.ID).LockUntil)

			require.NoError(t, set(issue(t, svc, guessed.Email, kind)))
			_, err := svc.SignIn(ctx, guessed.Email, nextPassword, phone)
			require.NoError(t, err)

			require.ErrorIs(t, set(issue(t, svc, suspended.Email, kind)), auth.ErrCode)
			require.NoError(t, svc.Unsuspend(ctx, suspended.ID))
			signIn(t, svc, suspended.Email)
			assert.NotNil(t, k.user(t, bystander.ID).LockUntil)
		}
	}},
}
