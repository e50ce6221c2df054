package authtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// identity is what a provider says that has verified the address.
func identity(subject, email string) auth.Identity {
	return auth.Identity{
		Provider: schematype.ProviderGoogle, Subject: subject,
		Email: email, EmailVerified: true, Name: nameOf(subject + " " + email),
	}
}

func providerSignIn(t *testing.T, svc *auth.Service, id auth.Identity) *auth.Grant {
	t.Helper()
	g, err := svc.SignInWithProvider(t.Context(), id, phone)
	require.NoError(t, err)
	return g
}

// linkedUnverified adds an account as a program may have made it for an identity whose address the provider had not
// verified, and signs in to it.
func (k *kit) linkedUnverified(t *testing.T, svc *auth.Service, id auth.Identity) *auth.Grant {
	t.Helper()
	u, _, err := svc.Register(t.Context(), id.Name, id.Email, password)
	require.NoError(t, err)
	require.NoError(t, k.write(t.Context(), u.ID, graph.Password, graph.NoPassword))
	k.set(t, u.ID, graph.Provider, id.Provider)
	k.set(t, u.ID, graph.ProviderID, id.Subject)
	return providerSignIn(t, svc, id)
}

var providerRaces = []scenario{
	{name: "16 first sign-ins of one identity make one account and all succeed", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		errs := atOnce(16, func(int) error {
			_, err := svc.SignInWithProvider(t.Context(), identity(email, email), phone)
			return err
		})
		require.Equal(t, 16, winners(t, errs))
		require.Equal(t, 1, k.users(t, graph.Email, email))
	}},
	{name: "first sign-ins of one identity link one of its two addresses' accounts", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		a, b := k.register(t, svc), k.register(t, svc)
		subject := a.Email
		errs := atOnce(8, func(i int) error {
			_, err := svc.SignInWithProvider(t.Context(), identity(subject, []string{a.Email, b.Email}[i%2]), phone)
			return err
		})
		require.Equal(t, 8, winners(t, errs))
		require.Equal(t, 1, k.users(t, graph.ProviderID, subject))
	}},
	{name: "a registration and a first sign-in with the address make one account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		registered, signedIn := both(
			func() error { _, _, err := svc.Register(t.Context(), nameOf(email), email, password); return err },
			func() error { _, err := svc.SignInWithProvider(t.Context(), identity(email, email), phone); return err },
		)
		require.NoError(t, signedIn)
		winners(t, []error{registered}, auth.ErrEmailTaken)
		_, err := svc.SignIn(t.Context(), email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials, "the password was never the owner's")
	}},
	{name: "a take-over ends what the password signs in to meanwhile", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		var owner *auth.Grant
		signedIn, linked := both(
			func() error { _, err := svc.SignIn(t.Context(), u.Email, password, phone); return err },
			func() (err error) {
				owner, err = svc.SignInWithProvider(t.Context(), identity(u.Email, u.Email), phone)
				return err
			},
		)
		require.NoError(t, linked)
		winners(t, []error{signedIn}, auth.ErrCredentials)
		require.Equal(t, []int{owner.Session.ID}, sessionIDs(t, svc, u.ID))
		require.Equal(t, 1, k.live(t, u.ID))
	}},
}

var providerRules = []scenario{
	{name: "the subject decides, whatever the address has become", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		first := providerSignIn(t, svc, identity("subject", k.email()))
		bystander := k.register(t, svc)
		id := identity("subject", bystander.Email)
		id.EmailVerified = false
		assert.Equal(t, first.User.ID, providerSignIn(t, svc, id).User.ID)
		id.Email = ""
		assert.Equal(t, first.User.ID, providerSignIn(t, svc, id).User.ID)
		id.Provider = schematype.ProviderGitHub
		_, err := svc.SignInWithProvider(t.Context(), id, phone)
		require.ErrorIs(t, err, auth.ErrProviderEmail, "the subject is of one provider")
	}},
	{name: "with VerifiedOnly a link signs in once the address of the account is verified, here or by the provider",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.VerifiedOnly = true })
			u := k.register(t, svc)
			id := identity("subject", u.Email)
			id.EmailVerified = false
			require.NoError(t, link(t, svc, u.ID, id))
			other := identity("subject", k.email())
			for _, id := range []auth.Identity{id, other} {
				_, err := svc.SignInWithProvider(t.Context(), id, phone)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			k.nothingLive(t, u.ID)
			providerSignIn(t, svc, identity("subject", u.Email))
			signIn(t, svc, u.Email)
			assert.Equal(t, u.ID, providerSignIn(t, svc, other).User.ID, "the subject decides from then on")
			require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
			k.set(t, u.ID, graph.IsEmailVerified, false)
			_, err := svc.SignInWithProvider(t.Context(), identity("subject", u.Email), phone)
			require.ErrorIs(t, err, auth.ErrCredentials, "a deletion stays")
		}},
	{name: "an address that the provider has not verified neither links nor makes an account, and tells of none",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			for _, email := range []string{u.Email, k.email(), "", "a@b@c"} {
				id := identity("subject", email)
				id.EmailVerified = false
				_, err := svc.SignInWithProvider(t.Context(), id, phone)
				require.ErrorIs(t, err, auth.ErrProviderEmail)
			}
			assert.Equal(t, schematype.ProviderLocal, k.user(t, u.ID).Provider)
			assert.Equal(t, 1, k.allUsers(t))
		}},
	{name: "a second subject of a provider does not enter the account of the first", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		first := providerSignIn(t, svc, identity("subject", k.email()))
		_, err := svc.SignInWithProvider(t.Context(), identity("other subject", first.User.Email), phone)
		require.ErrorIs(t, err, auth.ErrIdentity)
		assert.Equal(t, "subject", *k.user(t, first.User.ID).ProviderID)
		assert.Equal(t, []int{first.Session.ID}, sessionIDs(t, svc, first.User.ID))
		assert.Equal(t, first.User.ID, providerSignIn(t, svc, identity("subject", first.User.Email)).User.ID)
	}},
	{name: "an identity of every provider of the schema makes an account and signs in to it",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for _, provider := range schematype.Provider("").Values() {
				id := identity("subject", k.email())
				id.Provider = schematype.Provider(provider)
				if id.Provider == schematype.ProviderLocal {
					continue
				}
				made := providerSignIn(t, svc, id)
				assert.Equal(t, id.Provider, made.User.Provider)
				assert.Equal(t, made.User.ID, providerSignIn(t, svc, id).User.ID)

				linked := k.register(t, svc)
				id.Subject = "another subject"
				require.NoError(t, link(t, svc, linked.ID, id))
				assert.Equal(t, linked.ID, providerSignIn(t, svc, id).User.ID)
				require.NoError(t, svc.UnlinkProvider(t.Context(), linked.ID))
			}
		}},
	{name: "an identity of no provider, or with a subject that a server confuses with another, is refused",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			owner := providerSignIn(t, svc, identity("subject", k.email()))
			email := k.email()
			of := func(provider schematype.Provider, subject string) auth.Identity {
				id := identity(subject, email)
				id.Provider = provider
				return id
			}
			for _, id := range []auth.Identity{
				of("", "subject"), of(schematype.ProviderLocal, "subject"), of("no such provider", "subject"),
				identity("", email), identity("subject ", email), identity(" subject", email),
				identity("subject\t", email), identity("subject\u00a0", email), identity("\u3000subject", email),
				identity("subject\xff", email), identity(strings.Repeat("x", 256), email),
			} {
				_, err := svc.SignInWithProvider(t.Context(), id, phone)
				var refused *auth.InputError
				require.ErrorAs(t, err, &refused, "%q of %q", id.Subject, id.Provider)
				require.ErrorAs(t, link(t, svc, u.ID, id), &refused)
			}
			assert.Equal(t, []int{owner.Session.ID}, sessionIDs(t, svc, owner.User.ID))

			// Another program may have written a subject with spaces. Nobody enters by what looks like it.
			padded := k.register(t, svc)
			k.set(t, padded.ID, graph.Provider, schematype.ProviderGoogle)
			k.set(t, padded.ID, graph.ProviderID, "padded ")
			_, _ = svc.SignInWithProvider(t.Context(), identity("padded", k.email()), phone)
			assert.Empty(t, sessionIDs(t, svc, padded.ID))
		}},
	{name: "an account with an unverified address is taken over", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		squatter, bystander := k.signIn(t, svc), k.signIn(t, svc)
		owner := providerSignIn(t, svc, identity("subject", squatter.User.Email))
		assert.Equal(t, squatter.User.ID, owner.User.ID)
		assert.True(t, owner.User.EmailVerified)
		checked(t, svc, squatter.Token, auth.ErrSession)
		refused(t, svc, squatter.Refresh, auth.ErrRefresh)
		_, err := svc.SignIn(t.Context(), owner.User.Email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		rotate(t, svc, owner.Refresh)
		rotate(t, svc, bystander.Refresh)
	}},
	{name: "an account that another provider made with an unverified address is taken over",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.email()
			squat := identity("squatter", email)
			squat.Provider, squat.EmailVerified = schematype.ProviderGitHub, false
			squatter := k.linkedUnverified(t, svc, squat)
			owner := providerSignIn(t, svc, identity("owner", email))
			assert.Equal(t, squatter.User.ID, owner.User.ID)
			assert.True(t, owner.User.EmailVerified)
			checked(t, svc, squatter.Token, auth.ErrSession)
			refused(t, svc, squatter.Refresh, auth.ErrRefresh)
			_, err := svc.SignInWithProvider(t.Context(), squat, phone)
			require.ErrorIs(t, err, auth.ErrProviderEmail)
			assert.Equal(t, owner.User.ID, providerSignIn(t, svc, identity("owner", email)).User.ID)
		}},
	{name: "an account with a verified address is linked and keeps what it has", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.verified(t, svc)
		linked := providerSignIn(t, svc, identity("subject", g.User.Email))
		assert.Equal(t, g.User.ID, linked.User.ID)
		_, _, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		signIn(t, svc, g.User.Email)

		other := identity("another subject", g.User.Email)
		other.Provider = schematype.ProviderGitHub
		assert.Equal(t, g.User.ID, providerSignIn(t, svc, other).User.ID)
		row := k.user(t, g.User.ID)
		assert.Equal(t, schematype.ProviderGoogle, row.Provider, "its first link stays")
		assert.Equal(t, "subject", *row.ProviderID)
	}},
	{name: "a suspended or deleted account is not signed in to, linked or taken over", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		suspended, deleted := k.register(t, svc), k.registerVerified(t, svc)
		linked := providerSignIn(t, svc, identity("linked", k.email())).User
		require.NoError(t, svc.Suspend(ctx, suspended.ID, auth.Forever))
		require.NoError(t, svc.Suspend(ctx, linked.ID, auth.Forever))
		require.NoError(t, only(svc.Delete(ctx, deleted.ID)))
		for subject, u := range map[string]*auth.User{"a": suspended, "b": deleted, "linked": linked} {
			_, err := svc.SignInWithProvider(ctx, identity(subject, u.Email), phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		for _, u := range []*auth.User{suspended, deleted} {
			row := k.user(t, u.ID)
			assert.Equal(t, schematype.ProviderLocal, row.Provider)
			assert.NotNil(t, row.Password)
		}
	}},
}
