package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	entuser "github.com/authgraph/authgraph/ent/user"
)

func TestTwoTabsThatRefreshAtOnceBothGoOn(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		refresh := b.signIn(password).cookie(refreshCookie)
		for range 5 {
			var tabs [2]answer
			var both sync.WaitGroup
			for i := range tabs {
				both.Go(func() { tabs[i] = s.refreshWith(refresh) })
			}
			both.Wait()
			for _, tab := range tabs {
				require.Equal(t, http.StatusOK, tab.status, tab.body)
				assert.Equal(t, tabs[0].cookie(sessionCookie), tab.cookie(sessionCookie))
				assert.Equal(t, tabs[0].cookie(refreshCookie), tab.cookie(refreshCookie))
				session := sessionCookie + "=" + tab.cookie(sessionCookie)
				assert.Equal(t, http.StatusOK, s.browser().send(http.MethodGet, "/me", nil, "Cookie", session).status)
			}
			refresh = tabs[0].cookie(refreshCookie)
		}
		assert.NotContains(t, s.logged(), "reuse_detected")
	})
}

func TestAStolenPhoneThatTheLaptopSignedOutIsAStranger(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.registered(), s.browser()
		granted := phone.signIn(password)
		require.Equal(t, http.StatusOK, granted.status)
		path := fmt.Sprintf("/sessions/%d", laptop.other().ID)
		assert.Equal(t, http.StatusNoContent, laptop.send(http.MethodDelete, path, nil).status)

		assert.False(t, phone.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, phone.post("/refresh", nil).status)
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(granted.cookie(refreshCookie)).status)
		s.lockStrangersOut()
		assert.Equal(t, http.StatusUnauthorized, phone.signIn(password).status, "no known device any more")
		assert.True(t, laptop.isSignedIn())
		assert.Equal(t, http.StatusOK, laptop.post("/refresh", nil).status)
		assert.Equal(t, http.StatusOK, laptop.signIn(password).status)
	})
}

// lockStrangersOut guesses until no stranger's password is examined for a time.
func (s *site) lockStrangersOut() {
	s.t.Helper()
	for range maxFailures {
		assert.Equal(s.t, http.StatusUnauthorized, s.browser().signIn("a guess at the password").status)
	}
}

func TestStrangersWithWrongPasswordsKeepTheOwnerOutOfNothing(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, tablet := s.registered(), s.browser()
		for range 8 * 60 / 16 { // hours of locks and guesses, until the budget of strangers is spent
			s.lockStrangersOut()
			assert.True(t, laptop.isSignedIn())
			assert.Equal(t, http.StatusOK, laptop.post("/refresh", nil).status)
			s.later(16 * time.Minute)
		}
		assert.Equal(t, http.StatusUnauthorized, tablet.signIn(password).status, "no stranger is examined any more")
		assert.Equal(t, http.StatusNoContent, laptop.post("/sign-out", nil).status)
		assert.Equal(t, http.StatusOK, laptop.signIn(password).status, "the owner is known there")

		unknown := tablet.post("/sign-in/code", fields{"email": "nobody@example.com"})
		assert.Equal(t, unknown.same(), tablet.post("/sign-in/code", fields{"email": ada}).same())
		assert.Equal(t, http.StatusOK, tablet.enter("/sign-in/code", s.link()).status)
		assert.True(t, tablet.isSignedIn())
		assert.Equal(t, http.StatusOK, s.browser().signIn(password).status, "the counts start again")
	})
}

func TestStrangersWhoUseTheMailsUpKeepNoMailFromTheOwner(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.registered()
		s.later(time.Hour)
		ask := fields{"email": ada}
		last := ""
		for s.browser().post("/sign-in/code", ask).status == http.StatusOK {
			last = s.secretTo(ada)
		}
		phone := s.browser()
		assert.Equal(t, http.StatusTooManyRequests, phone.post("/sign-in/code", ask).status)
		ask["link"] = last
		assert.Equal(t, http.StatusOK, phone.post("/sign-in/code", ask).status)
		assert.Equal(t, http.StatusOK, phone.enter("/sign-in/code", s.secretTo(ada)).status)
	})
}

func TestASquatterHasNothingOnceTheOwnerVerifiedTheAddress(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		squatter, owner := s.browser(), s.browser()
		squatter.post("/register", fields{"name": "Eve", "email": ada, "password": password})
		registration := squatter.ticket
		s.code()
		assert.Equal(t, http.StatusUnauthorized, squatter.signIn(password).status)
		// As if the service let people in before they have verified their address:
		_, token, err := s.api.auth.StartSession(t.Context(), 1, auth.Device{})
		require.NoError(t, err)
		refresh, err := s.api.auth.IssueRefresh(t.Context(), 1)
		require.NoError(t, err)
		session := sessionCookie + "=" + token.Reveal()
		assert.Equal(t, http.StatusOK, squatter.send(http.MethodGet, "/me", nil, "Cookie", session).status)

		assert.Equal(t, http.StatusOK, owner.post("/verify-email", fields{"email": ada}).status)
		assert.Equal(t, http.StatusNoContent, owner.enter("/verify-email", s.code()).status)
		assert.Equal(t, []string{"Your account begins anew"}, s.subjects())
		assert.Equal(t, http.StatusUnauthorized, squatter.send(http.MethodGet, "/me", nil, "Cookie", session).status)
		assert.Equal(t, http.StatusUnauthorized, s.refreshWith(refresh.Reveal()).status)
		assert.Equal(t, http.StatusUnauthorized, squatter.signIn(password).status)

		owner.post("/password/forgot", fields{"email": ada})
		reset := fields{"ticket": owner.ticket, "code": s.code(), "password": newPassword}
		assert.Equal(t, http.StatusUnauthorized, squatter.post("/password/reset", fields{"ticket": registration,
			"code": reset["code"], "password": password}).status)
		assert.Equal(t, http.StatusNoContent, owner.post("/password/reset", reset).status)
		assert.Equal(t, http.StatusOK, owner.signIn(newPassword).status)
		assert.Len(t, owner.sessions(), 1)
	})
}

func TestWhoRegisteredKeepsThePasswordFromAnotherDeviceToo(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		laptop, phone := s.browser(), s.browser()
		laptop.post("/register", fields{"name": "Ada", "email": ada, "password": password})
		s.mailed()
		phone.post("/verify-email", fields{"email": ada})
		verify := fields{"ticket": phone.ticket, "code": s.code(), "password": "not the password at all"}
		assert.Equal(t, http.StatusUnauthorized, phone.post("/verify-email", verify).status)
		verify["password"] = password
		assert.Equal(t, http.StatusNoContent, phone.post("/verify-email", verify).status)
		assert.Equal(t, http.StatusOK, laptop.signIn(password).status)
		assert.Empty(t, s.mailed())
	})
}

func TestAPasswordThatBcryptHashedSignsInAndIsHashedAnew(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		require.NoError(t, err)
		s.api.client.User.Create().
			SetName("Ada").SetEmail(ada).SetPassword(string(hash)).SetIsEmailVerified(true).
			SaveX(t.Context())

		b := s.browser()
		assert.Equal(t, http.StatusUnauthorized, b.signIn("not the password at all").status)
		assert.Equal(t, http.StatusOK, b.signIn(password).status)
		stored := s.api.client.User.Query().Select(entuser.FieldPassword).StringX(t.Context())
		assert.Regexp(t, `^\$argon2id\$`, stored)
		assert.Equal(t, http.StatusOK, s.browser().signIn(password).status)
	})
}

func TestAnAdminProvesTwiceWhoTheyAre(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		require.NoError(t, s.api.auth.ChangeRole(t.Context(), 1, schematype.RoleAdmin))

		first := b.signIn(password)
		assert.Equal(t, http.StatusAccepted, first.status)
		assert.Contains(t, first.body, `"mail":true,"factor":true`)
		assert.Empty(t, first.cookies)
		assert.False(t, b.isSignedIn())
		answer := func(text string) int {
			return b.post("/sign-in/second", fields{"ticket": b.ticket, "answer": text}).status
		}
		s.answers = map[string]bool{"287082": true, "359152": true}
		assert.Equal(t, http.StatusUnauthorized, answer("000000"))
		assert.Equal(t, http.StatusOK, answer("287082"))
		assert.True(t, b.isSignedIn())
		assert.Equal(t, http.StatusUnauthorized, answer("359152"), "a first step counts once")

		again := s.browser()
		assert.Equal(t, http.StatusAccepted, again.signIn(password).status)
		mailed := again.post("/sign-in/second/mail", fields{"ticket": again.ticket})
		assert.Equal(t, http.StatusOK, mailed.status)
		code := s.code()
		assert.Equal(t, http.StatusUnauthorized, again.enter("/sign-in/code", code).status, "it is no first step")
		assert.Equal(t, http.StatusOK, again.enter("/sign-in/second", code).status)
		assert.True(t, again.isSignedIn())
	})
}

func TestMailIsNoSecondStepAfterMail(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser()
		b.register()
		require.NoError(t, s.api.auth.ChangeRole(t.Context(), 1, schematype.RoleAdmin))
		noMail := func(first answer) {
			t.Helper()
			assert.Equal(t, http.StatusAccepted, first.status)
			assert.Contains(t, first.body, `"mail":false,"factor":true`)
			refused := b.post("/sign-in/second/mail", fields{"ticket": b.ticket})
			assert.Equal(t, http.StatusUnprocessableEntity, refused.status)
			assert.Empty(t, s.mailed())
		}
		b.post("/sign-in/code", fields{"email": ada})
		noMail(b.enter("/sign-in/code", s.code()))
		b.post("/password/forgot", fields{"email": ada})
		reset := fields{"ticket": b.ticket, "code": s.code(), "password": newPassword}
		require.Equal(t, http.StatusNoContent, b.post("/password/reset", reset).status)
		s.mailed()
		noMail(b.signIn(newPassword))
		s.answers = map[string]bool{"287082": true}
		assert.Equal(t, http.StatusOK, b.post("/sign-in/second", fields{"ticket": b.ticket, "answer": "287082"}).status)
	})
}
