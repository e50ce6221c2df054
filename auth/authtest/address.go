package authtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// twoMailboxes are addresses that name more than one mailbox, or none.
var twoMailboxes = []string{
	"a@evil.example,x@corp.example", "a@b@c.example", "<a@b.example>", "a;b@c.example", "a..b@c.example",
	"a@b.example.", "a\u200b@b.example", "a\u202e@b.example", "a@b.example\r\nbcc: c@d.example",
}

var addressRules = []scenario{
	{name: "an address of two mailboxes gets no account and no code", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, email := range twoMailboxes {
			_, _, registered := svc.Register(t.Context(), nameOf(email), email, password)
			_, issued := issueCode(t, svc, email, schematype.OTPSignIn)
			errs := []error{registered, issued}
			if have(links) {
				_, err := svc.SignInWithProvider(t.Context(), identity("subject", email), phone)
				errs = append(errs, err)
			}
			for _, err := range errs {
				var refused *auth.InputError
				if assert.ErrorAs(t, err, &refused, "%q", email) {
					assert.Equal(t, "email", refused.Field)
					assert.NotContains(t, err.Error(), email)
				}
			}
		}
	}},
	{name: "an account goes on with an address that another program wrote", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		const email = "a@evil.example,x@corp.example"
		u := k.register(t, svc)
		k.set(t, u.ID, graph.Email, email)
		g := signIn(t, svc, email)
		_, checked, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		assert.Equal(t, email, checked.Email)
		rotate(t, svc, g.Refresh)
		require.NoError(t, only(svc.ChangePassword(t.Context(), u.ID, password, nextPassword, phone)))
		_, err = svc.SignIn(t.Context(), email, nextPassword, phone)
		require.NoError(t, err)
	}},
}
