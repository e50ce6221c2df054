package authtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

var exclusionRules = []scenario{
	{name: "whom the project excludes is refused as who is suspended", excludes: true, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, g, bystander := t.Context(), k.verified(t, svc), k.verified(t, svc)
		email := g.User.Email
		before := map[schematype.OTPType]*auth.Issued{}
		for _, kind := range []schematype.OTPType{schematype.OTPSignIn, schematype.OTPPasswordReset} {
			before[kind] = issue(t, svc, email, kind)
		}
		require.NoError(t, k.exclude(ctx, k.client, g.User.ID))
		k.shut(t, svc, g)
		_, err := signInWithCode(t, svc, before[schematype.OTPSignIn])
		require.ErrorIs(t, err, auth.ErrCode)
		require.ErrorIs(t, resetPassword(t, svc, before[schematype.OTPPasswordReset]), auth.ErrCode)
		_, err = signInWithCode(t, svc, issue(t, svc, bystander.User.Email, schematype.OTPSignIn))
		require.NoError(t, err)
		kept(t, svc, bystander)
	}},
	{name: "whom the project excludes does not come back by a password", excludes: true, needs: deletion,
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
			require.NoError(t, k.exclude(t.Context(), k.client, u.ID))
			_, err := svc.Reactivate(t.Context(), u.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.Zero(t, k.activeSessions(t, u.ID))
		}},
}
