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
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx, suspended, deleted := t.Context(), k.register(t, svc), k.register(t, svc)
			until := k.clock.Now().Add(time.Hour)
			require.NoError(t, svc.Suspend(ctx, suspended.ID, until))
			require.NoError(t, only(svc.Delete(ctx, deleted.ID)))
			k.register(t, svc) // one who may
			for what, id := range map[string]int{"suspended": suspended.ID, "deleted": deleted.ID, "unknown": -1} {
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
		require.ErrorIs(t, only(svc.RevokeAll(ctx, -1)), auth.ErrNotFound)
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
	{name: "a code takes over an account that was never verified", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, squatter, bystander := t.Context(), k.signIn(t, svc), k.signIn(t, svc)
		email := squatter.User.Email
		owner, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
		require.NoError(t, err)
		assert.Equal(t, squatter.User.ID, owner.User.ID)
		assert.True(t, owner.User.EmailVerified)
		_, err = svc.SignIn(ctx, email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		checked(t, svc, squatter.Token, auth.ErrSession)
		refused(t, svc, squatter.Refresh, auth.ErrRefresh)
		checked(t, svc, owner.Token, nil)
		assert.Equal(t, []int{owner.Session.ID}, sessionIDs(t, svc, owner.User.ID))
		rotate(t, svc, owner.Refresh)
		checked(t, svc, bystander.Token, nil)
		rotate(t, svc, bystander.Refresh)
		signIn(t, svc, bystander.User.Email)
	}},
	{name: "a code takes over an account that a provider made with an unverified address",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			squat := identity("squatter", k.email())
			squat.EmailVerified = false
			squatter := k.linkedUnverified(t, svc, squat)
			email := squat.Email
			owner, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
			require.NoError(t, err)
			assert.Equal(t, squatter.User.ID, owner.User.ID)
			assert.Equal(t, schematype.ProviderLocal, owner.User.Provider)
			checked(t, svc, squatter.Token, auth.ErrSession)
			_, err = svc.SignInWithProvider(t.Context(), squat, phone)
			require.ErrorIs(t, err, auth.ErrProviderEmail)
		}},
	{name: "a reset takes the link of an account that was never verified, and of no other",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx := t.Context()
			squat, kept := identity("squatter", k.email()), identity("owner", k.email())
			squat.EmailVerified = false
			k.linkedUnverified(t, svc, squat)
			providerSignIn(t, svc, kept)
			for _, id := range []auth.Identity{squat, kept} {
				require.NoError(t, resetPassword(t, svc, issue(t, svc, id.Email, schematype.OTPPasswordReset)))
			}
			_, err := svc.SignInWithProvider(ctx, squat, phone)
			require.ErrorIs(t, err, auth.ErrProviderEmail)
			providerSignIn(t, svc, kept)
		}},
	{name: "a code leaves a verified account what it has", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		before := k.signIn(t, svc)
		email := before.User.Email
		require.NoError(t, verifyEmail(t, svc, issue(t, svc, email, schematype.OTPEmailVerification)))
		for range 2 {
			_, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
			require.NoError(t, err)
			checked(t, svc, before.Token, nil)
			signIn(t, svc, email)
			k.clock.Advance(time.Minute)
		}
		rotate(t, svc, before.Refresh)

		linked := providerSignIn(t, svc, identity("subject", k.email()))
		email = linked.User.Email
		_, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
		require.NoError(t, err)
		checked(t, svc, linked.Token, nil)
		assert.Equal(t, linked.User.ID, providerSignIn(t, svc, identity("subject", email)).User.ID)
	}},
}
