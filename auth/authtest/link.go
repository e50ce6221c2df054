package authtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// linked are the accounts with an identity of [identity].
func (k *kit) linked(t *testing.T, subject string) (ids []auth.UserID) {
	t.Helper()
	rows, err := k.client.QueryContext(t.Context(), "SELECT "+graph.ReadID+" FROM `"+graph.Table+"` AS u "+
		"WHERE u.`"+graph.Provider+"` = ? AND u.`"+graph.ProviderID+"` = ?", schematype.ProviderGoogle, subject)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id auth.UserID
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	return ids
}

// tells has the observer of a service keep what it is told of an action, without the time.
func tells(events *[]auth.Event, of auth.Action) func(*auth.Config) {
	return func(c *auth.Config) {
		c.Observer = observed(func(e auth.Event) {
			if e.At = (time.Time{}); e.Action == of {
				*events = append(*events, e)
			}
		})
	}
}

// link links an account in a session of its user's that ends then.
func link(t *testing.T, svc *auth.Service, userID auth.UserID, id auth.Identity) error {
	_, token, err := svc.StartSession(t.Context(), userID, phone)
	require.NoError(t, err)
	err = svc.LinkProvider(t.Context(), token, id)
	require.NoError(t, only(svc.SignOut(t.Context(), token)))
	return err
}

var linkRaces = []scenario{
	{name: "of 16 accounts that link one identity one gets it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		subject := k.email()
		var ids []auth.UserID
		for range 16 {
			ids = append(ids, k.register(t, svc).ID)
		}
		errs := atOnce(16, func(i int) error { return link(t, svc, ids[i], identity(subject, "")) })
		require.Equal(t, 1, winners(t, errs, auth.ErrIdentity))
		require.Len(t, k.linked(t, subject), 1)
	}},
	{name: "of 16 identities that one account links one is linked", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		subjects := make([]string, 16)
		for i := range subjects {
			subjects[i] = k.email()
		}
		errs := atOnce(16, func(i int) error {
			return link(t, svc, u.ID, identity(subjects[i], ""))
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrIdentity))
		for i, subject := range subjects {
			require.Equal(t, errs[i] == nil, len(k.linked(t, subject)) == 1)
		}
	}},
	{name: "a link and a first sign-in with its identity give it one account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		id := identity(k.email(), k.email())
		var g *auth.Grant
		linked, signedIn := both(
			func() error { return link(t, svc, u.ID, id) },
			func() (err error) { g, err = svc.SignInWithProvider(t.Context(), id, phone); return err },
		)
		require.NoError(t, signedIn)
		winners(t, []error{linked}, auth.ErrIdentity)
		require.Equal(t, []auth.UserID{g.User.ID}, k.linked(t, id.Subject))
		require.Equal(t, linked == nil, g.User.ID == u.ID)
	}},
	{name: "removing a link and losing the password leave a way in", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		require.NoError(t, link(t, svc, u.ID, identity(k.email(), "")))
		unlinked, cleared := both(
			func() error { return svc.UnlinkProvider(t.Context(), u.ID) },
			func() error {
				_, err := k.client.ExecContext(t.Context(), fmt.Sprintf(
					"UPDATE `%s` SET `%s` = %s WHERE `%s` = ? AND `%s` IS NOT NULL", graph.Table, graph.Password,
					graph.NoPassword, graph.ID, graph.ProviderID), u.ID)
				return err
			},
		)
		require.NoError(t, cleared)
		winners(t, []error{unlinked}, auth.ErrLastWayIn)
		row := k.user(t, u.ID)
		require.True(t, row.Password != nil || row.ProviderID != nil)
	}},
}

var linkRules = []scenario{
	{name: "a user links an identity of any address and signs in with it", run: func(t *testing.T, k *kit) {
		var links []auth.Event
		svc := k.service(t, tells(&links, auth.ActionLink))
		u, other := k.register(t, svc), k.register(t, svc)
		id := identity("subject", other.Email)
		for range 2 {
			require.NoError(t, link(t, svc, u.ID, id))
		}
		assert.Equal(t, []auth.Event{{Action: auth.ActionLink, UserID: u.ID, Detail: "google"}}, links)
		assert.Equal(t, u.ID, providerSignIn(t, svc, id).User.ID)
		signIn(t, svc, u.Email)
		assert.False(t, k.user(t, u.ID).IsEmailVerified)

		require.ErrorIs(t, link(t, svc, other.ID, id), auth.ErrIdentity)
		require.ErrorIs(t, link(t, svc, u.ID, identity("next", "")), auth.ErrIdentity)
		id.Provider = schematype.ProviderGitHub
		require.ErrorIs(t, link(t, svc, u.ID, id), auth.ErrIdentity, "the same subject elsewhere")
		assert.Equal(t, "subject", *k.user(t, u.ID).ProviderID)
		assert.Nil(t, k.user(t, other.ID).ProviderID)
	}},
	{name: "a user with a password removes the link and links another identity", run: func(t *testing.T, k *kit) {
		var ends []auth.Event
		svc := k.service(t, tells(&ends, auth.ActionUnlink))
		u, bystander := k.register(t, svc), providerSignIn(t, svc, identity("bystander", k.email()))
		require.NoError(t, link(t, svc, u.ID, identity("subject", k.email())))
		for range 2 {
			require.NoError(t, svc.UnlinkProvider(t.Context(), u.ID))
		}
		assert.Equal(t, []auth.Event{{Action: auth.ActionUnlink, UserID: u.ID, Detail: "google"}}, ends)
		row := k.user(t, u.ID)
		assert.Equal(t, schematype.ProviderLocal, row.Provider)
		assert.Nil(t, row.ProviderID)
		signIn(t, svc, u.Email)
		assert.NotEqual(t, u.ID, providerSignIn(t, svc, identity("subject", k.email())).User.ID)
		require.NoError(t, link(t, svc, u.ID, identity("next", "")))
		assert.Equal(t, bystander.User.ID, providerSignIn(t, svc, identity("bystander", "")).User.ID)
	}},
	{name: "the link of an account without a password stays until it has one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		id := identity("subject", k.email())
		u := providerSignIn(t, svc, id).User
		require.ErrorIs(t, svc.UnlinkProvider(t.Context(), u.ID), auth.ErrLastWayIn)
		k.set(t, u.ID, graph.Password, "not-a-hash")
		require.ErrorIs(t, svc.UnlinkProvider(t.Context(), u.ID), auth.ErrLastWayIn, "nobody can verify it")
		assert.Equal(t, u.ID, providerSignIn(t, svc, id).User.ID)
		require.NoError(t, resetPassword(t, svc, issue(t, svc, u.Email, schematype.OTPPasswordReset)))
		require.NoError(t, svc.UnlinkProvider(t.Context(), u.ID))
	}},
	{name: "only an account that can be used is linked, and its link removed", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		suspended, deleted := k.signIn(t, svc), k.signIn(t, svc)
		for i, g := range []*auth.Grant{suspended, deleted} {
			require.NoError(t, svc.LinkProvider(t.Context(), g.Token, identity([]string{"a", "b"}[i], "")))
		}
		require.NoError(t, svc.Suspend(t.Context(), suspended.User.ID, auth.Forever))
		require.NoError(t, only(svc.Delete(t.Context(), deleted.User.ID)))
		for _, g := range []*auth.Grant{suspended, deleted, {User: &auth.User{ID: nobody()}}} {
			require.ErrorIs(t, svc.LinkProvider(t.Context(), g.Token, identity("c", "")), auth.ErrSession)
			require.ErrorIs(t, svc.UnlinkProvider(t.Context(), g.User.ID), auth.ErrNotFound)
		}
		assert.NotNil(t, k.user(t, suspended.User.ID).ProviderID)
		assert.NotNil(t, k.user(t, deleted.User.ID).ProviderID)
	}},
	{name: "a lock keeps nobody from a link and from its identity", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Lockout.MaxFailures = 1 })
		u := k.register(t, svc)
		_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		id := identity("subject", k.email())
		require.NoError(t, link(t, svc, u.ID, id))
		assert.Equal(t, u.ID, providerSignIn(t, svc, id).User.ID)
	}},
}
