package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

func TestAnAddressIsChangedByACodeToTheNewOneAndToldToTheOldOne(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.registered(), s.browser()
		require.Equal(t, http.StatusOK, phone.signIn(password).status)
		change := fields{"password": "not the password at all", "new_email": newAda}
		assert.Equal(t, http.StatusUnauthorized, s.browser().post("/email", change).status, "nobody is signed in")
		assert.Equal(t, http.StatusUnauthorized, laptop.post("/email", change).status)
		change["password"] = password
		for _, none := range []string{ada, "nobody"} {
			refused := laptop.post("/email", fields{"password": password, "new_email": none})
			assert.Equal(t, http.StatusUnprocessableEntity, refused.status, none)
		}
		assert.Empty(t, s.mailed())

		assert.Equal(t, http.StatusOK, laptop.post("/email", change).status)
		code := s.secretTo(newAda)
		assert.Equal(t, http.StatusUnauthorized, laptop.enter("/email/verify", "000000x").status)
		assert.Equal(t, http.StatusUnauthorized, laptop.enter("/verify-email", code).status, "it has one purpose")
		assert.True(t, phone.isSignedIn())
		assert.Equal(t, http.StatusNoContent, laptop.enter("/email/verify", code).status)
		assert.Equal(t, []string{"Your address was changed"}, s.subjects())
		assert.Contains(t, laptop.send(http.MethodGet, "/me", nil).body, newAda)
		assert.False(t, phone.isSignedIn())

		assert.Equal(t, http.StatusUnauthorized, phone.signIn(password).status, "by the old address")
		in := fields{"email": newAda, "password": password}
		assert.Equal(t, http.StatusOK, phone.post("/sign-in", in).status)
		assert.Equal(t, http.StatusUnauthorized, laptop.enter("/email/verify", code).status, "the code is used")
	})
}

func TestAnAddressThatIsTakenIsToldToItsOwnerAlone(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		eve := s.browser()
		assert.Equal(t, http.StatusOK, eve.post("/sign-in/provider", fields{"credential": newAda}).status)
		b := s.registered()
		free := b.post("/email", fields{"password": password, "new_email": "free@example.com"})
		assert.Equal(t, http.StatusOK, free.status)
		s.secretTo("free@example.com")
		assert.Equal(t, free.same(), b.post("/email", fields{"password": password, "new_email": newAda}).same())
		mails := s.mailed()
		require.Len(t, mails, 1)
		assert.Equal(t, newAda, mails[0].to)
		assert.Equal(t, "You have an account already", mails[0].subject)
		assert.NotRegexp(t, `\d{6}`, mails[0].text)

		taken := "taken@example.com"
		require.Equal(t, http.StatusOK, b.post("/email", fields{"password": password, "new_email": taken}).status)
		code := s.secretTo(taken)
		require.Equal(t, http.StatusOK, s.browser().post("/sign-in/provider", fields{"credential": taken}).status)
		assert.Equal(t, http.StatusConflict, b.enter("/email/verify", code).status, "it was taken meanwhile")
		assert.Contains(t, b.send(http.MethodGet, "/me", nil).body, ada)
	})
}

func TestWhoSignsInElsewhereChangesTheAddressByMail(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		assert.Equal(t, http.StatusUnauthorized, b.post("/sign-in/provider", fields{"credential": "forged"}).status)
		assert.Equal(t, http.StatusOK, b.post("/sign-in/provider", fields{"credential": ada}).status)
		assert.Equal(t, http.StatusConflict, b.send(http.MethodDelete, "/provider", nil).status, "the last way in")

		b.post("/sign-in/code", fields{"email": ada})
		change := fields{"ticket": b.ticket, "code": s.secretTo(ada), "new_email": newAda}
		assert.Equal(t, http.StatusUnauthorized, b.post("/email", fields{"new_email": newAda}).status)
		assert.Equal(t, http.StatusOK, b.post("/email", change).status)
		assert.Equal(t, http.StatusNoContent, b.enter("/email/verify", s.secretTo(newAda)).status)
		assert.Equal(t, []string{"Your address was changed"}, s.subjects())
		again := s.browser().post("/sign-in/provider", fields{"credential": ada})
		assert.Equal(t, http.StatusOK, again.status)
		assert.Contains(t, again.body, newAda, "the provider's subject decides")
	})
}

func TestALinkToAProviderAsksForThePasswordAgain(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b, elsewhere := s.registered(), s.browser()
		require.Equal(t, http.StatusOK, elsewhere.post("/sign-in/provider", fields{"credential": newAda}).status)
		link := fields{"credential": "ada@work.example.com", "password": "not the password at all"}
		assert.Equal(t, http.StatusUnauthorized, b.post("/provider", link).status)
		link["password"] = password
		assert.Equal(t, http.StatusUnauthorized, s.browser().post("/provider", link).status, "nobody is signed in")
		another := b.post("/provider", fields{"credential": newAda, "password": password})
		assert.Equal(t, http.StatusConflict, another.status, "it is another account's")
		assert.True(t, b.isSignedIn())
		assert.Empty(t, s.mailed())

		assert.Equal(t, http.StatusOK, b.post("/provider", link).status)
		assert.Equal(t, []string{"Your account was linked"}, s.subjects())
		in := s.browser().post("/sign-in/provider", fields{"credential": "ada@work.example.com"})
		assert.Equal(t, http.StatusOK, in.status)
		assert.Contains(t, in.body, ada)
		assert.Equal(t, http.StatusNoContent, b.send(http.MethodDelete, "/provider", nil).status)
		assert.Equal(t, http.StatusOK, b.signIn(password).status)
	})
}

func TestADeletedAccountComesBackWithItsPassword(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.registered()
		assert.Equal(t, http.StatusUnauthorized, s.browser().send(http.MethodDelete, "/me", nil).status)
		assert.Equal(t, http.StatusNoContent, b.send(http.MethodDelete, "/me", nil).status)
		assert.Equal(t, []string{"Your account was deleted"}, s.subjects())
		assert.False(t, b.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, b.signIn(password).status)

		s.later(29 * 24 * time.Hour)
		back := fields{"email": ada, "password": "not the password at all"}
		assert.Equal(t, http.StatusUnauthorized, b.post("/reactivate", back).status)
		back["password"] = password
		assert.Equal(t, http.StatusOK, b.post("/reactivate", back).status)
		assert.True(t, b.isSignedIn())
	})
}

func TestAnAdminClosesAnAccountAndOpensItAgain(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.registered()
		admin := s.browser()
		require.Equal(t, http.StatusOK, admin.post("/sign-in/provider", fields{"credential": newAda}).status)
		assert.Equal(t, http.StatusForbidden, admin.post("/users/1/suspend", nil).status)
		require.NoError(t, s.api.auth.ChangeRole(t.Context(), 2, schematype.RoleAdmin))
		assert.Equal(t, http.StatusNotFound, admin.post("/users/3/suspend", nil).status)
		assert.Equal(t, http.StatusNotFound, admin.post("/users/x/suspend", nil).status)

		assert.Equal(t, http.StatusNoContent, admin.post("/users/1/suspend", nil).status)
		assert.False(t, b.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, b.signIn(password).status)
		assert.Equal(t, http.StatusNoContent, admin.post("/users/1/unsuspend", nil).status)
		assert.False(t, b.isSignedIn(), "what was signed in to is gone")
		assert.Equal(t, http.StatusOK, b.signIn(password).status)
	})
}
