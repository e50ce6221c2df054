package authtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// counting is a hasher that calls *between, if it is set, where a service has read an account and is about to count a
// guess at its password.
type counting struct {
	*Hasher
	between *func()
}

func (h counting) Reads(hash string) bool {
	if *h.between != nil {
		(*h.between)()
	}
	return h.Hasher.Reads(hash)
}

// shut checks that a suspended account refuses every way in, and all that is live of a grant.
func (k *kit) shut(t *testing.T, svc *auth.Service, g *auth.Grant) {
	t.Helper()
	ctx, email := t.Context(), g.User.Email
	checked(t, svc, g.Token, auth.ErrSession)
	refused(t, svc, g.Refresh, auth.ErrRefresh)
	var locked *auth.LockedError
	_, err := svc.SignIn(ctx, email, password, phone)
	require.ErrorAs(t, err, &locked)
	require.True(t, locked.Until.After(k.clock.Now()))
	require.ErrorAs(t, only(svc.ChangePassword(ctx, g.User.ID, password, nextPassword, phone)), &locked)
	if have(links) {
		_, err = svc.SignInWithProvider(ctx, identity("subject of "+email, email), phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	_, _, err = svc.StartSession(ctx, g.User.ID, phone)
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = svc.IssueRefresh(ctx, g.User.ID)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// interrupted is a service that calls fn once between reading an account and signing in to it, when armed.
func (k *kit) interrupted(t *testing.T, change ...func(*auth.Config)) (svc *auth.Service, arm func(fn func())) {
	t.Helper()
	h := NewHasher()
	svc = k.service(t, append(change, func(c *auth.Config) { c.Hasher = h })...)
	return svc, func(fn func()) {
		var once sync.Once
		h.Before = func() { once.Do(fn) }
	}
}

var accountRaces = []scenario{
	{name: "a name of which nothing shows makes no account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, name := range []string{"", " ", "\t\n", "\u00a0\u200b"} {
			email := k.email()
			_, _, err := svc.Register(t.Context(), name, email, password)
			var refused *auth.InputError
			require.ErrorAs(t, err, &refused, "%q", name)
			assert.Equal(t, "name", refused.Field)
			_, _, err = svc.Register(t.Context(), nameOf(email), email, password)
			require.NoError(t, err)
		}
	}},
	{name: "32 registrations of one address make one account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		errs := atOnce(32, func(int) error {
			_, _, err := svc.Register(t.Context(), nameOf(email), email, password)
			return err
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrEmailTaken))
	}},
	{name: "64 guesses at once examine no more passwords than allowed", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = h })
		u := k.register(t, svc)
		hash := *k.user(t, u.ID).Password
		for lock := 1; lock <= 2; lock++ {
			errs := atOnce(64, func(int) error {
				_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
				return err
			})
			require.Zero(t, winners(t, errs, auth.ErrCredentials))
			require.Equal(t, 10*lock, h.Examined(hash))
			require.EqualValues(t, 10, k.user(t, u.ID).FailedLoginAttempts)
			until := k.clock.Now().Add(15 * time.Minute).Truncate(time.Microsecond)
			for _, err := range errs {
				var locked *auth.LockedError
				if errors.As(err, &locked) {
					require.Equal(t, until, locked.Until.UTC())
				}
			}
			var locked *auth.LockedError
			_, err := svc.SignIn(t.Context(), u.Email, password, phone)
			require.ErrorAs(t, err, &locked)
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.Equal(t, until, locked.Until.UTC())
			require.Equal(t, 10*lock, h.Examined(hash), "the right one is not examined either")
			k.clock.Set(until)
		}
		signIn(t, svc, u.Email)
		row := k.user(t, u.ID)
		require.Zero(t, row.FailedLoginAttempts)
		require.Nil(t, row.LockUntil)
	}},
	{name: "a suspension is not cut short by guesses that were under way", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Lockout.MaxFailures = 2 })
		u := k.register(t, svc)
		until := k.clock.Now().Add(24 * time.Hour).Truncate(time.Microsecond)
		errs := atOnce(9, func(i int) error {
			if i == 0 {
				return svc.Suspend(t.Context(), u.ID, until)
			}
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			return err
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCredentials))
		require.Equal(t, until, k.user(t, u.ID).SuspendedUntil.UTC())
		require.Equal(t, until, k.user(t, u.ID).LockUntil.UTC())
	}},
	{name: "a reset and sign-ins with the old password leave nothing of the old one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPPasswordReset)
		errs := atOnce(8, func(i int) error {
			if i == 4 {
				return resetPassword(t, svc, issued)
			}
			_, err := svc.SignIn(t.Context(), u.Email, password, phone)
			return err
		})
		require.NoError(t, errs[4])
		winners(t, errs, auth.ErrCredentials)
		require.Zero(t, k.activeSessions(t, u.ID))
		require.Zero(t, k.live(t, u.ID))
		_, err := svc.SignIn(t.Context(), u.Email, nextPassword, phone)
		require.NoError(t, err)
	}},
	{name: "of 8 changes from one password one succeeds", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		errs := atOnce(8, func(int) error {
			return only(svc.ChangePassword(t.Context(), u.ID, password, nextPassword, phone))
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCredentials))
	}},
	{name: "sign-ins while the hash is renewed all succeed", run: func(t *testing.T, k *kit) {
		weak := k.service(t)
		u := k.register(t, weak)
		strong := k.service(t, func(c *auth.Config) { c.Hasher = auth.Argon2id{Memory: 128, Iterations: 2} })
		errs := atOnce(6, func(int) error {
			_, err := strong.SignIn(t.Context(), u.Email, password, phone)
			return err
		})
		require.Equal(t, 6, winners(t, errs))
	}},
	{name: "of 8 deletions one succeeds", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		errs := atOnce(8, func(int) error { return only(svc.Delete(t.Context(), u.ID)) })
		require.Equal(t, 1, winners(t, errs, auth.ErrNotFound))
		errs = atOnce(8, func(int) error { return svc.Restore(t.Context(), u.ID) })
		require.Equal(t, 1, winners(t, errs, auth.ErrNotFound))
	}},
}

var accountRules = []scenario{
	{name: "with VerifiedOnly the password of an account counts from the verification of its address on",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.VerifiedOnly = true })
			email := k.email()
			_, ticket, err := svc.Register(t.Context(), nameOf(email), email, password)
			require.NoError(t, err)
			for range 20 {
				_, err = svc.SignIn(t.Context(), email, password, phone)
				require.EqualError(t, err, auth.ErrCredentials.Error())
			}
			issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{
				Email: email, Kind: schematype.OTPEmailVerification, Device: phone, Ticket: ticket,
			})
			require.NoError(t, err)
			require.NoError(t, verifyEmail(t, svc, issued))
			_, err = svc.SignIn(t.Context(), email, password, phone)
			require.NoError(t, err, "what came before was no guess at the account")
		}},
	{name: "with VerifiedOnly an account is not reactivated by its password before its address is verified",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.VerifiedOnly = true })
			u := k.register(t, svc)
			require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
			for range 20 {
				_, err := svc.Reactivate(t.Context(), u.Email, password, phone)
				require.EqualError(t, err, auth.ErrCredentials.Error())
			}
			row := k.user(t, u.ID)
			assert.True(t, row.IsDeleted)
			assert.Zero(t, row.GuessFailures, "what is refused is no guess at the account")
			k.set(t, u.ID, graph.IsEmailVerified, true)
			_, err := svc.Reactivate(t.Context(), u.Email, password, phone)
			require.NoError(t, err)
		}},
	{name: "a success starts the count of guesses again", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		for range 3 {
			for range 9 {
				_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
				var locked *auth.LockedError
				require.ErrorIs(t, err, auth.ErrCredentials)
				require.False(t, errors.As(err, &locked))
			}
			signIn(t, svc, u.Email)
		}
	}},
	{name: "an expired lock starts the count of guesses again", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Lockout.MaxFailures = 2 })
		u := k.register(t, svc)
		guess := func() error {
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			return err
		}
		for range 2 {
			var locked *auth.LockedError
			require.False(t, errors.As(guess(), &locked))
			require.False(t, errors.As(guess(), &locked))
			require.ErrorAs(t, guess(), &locked)
			k.clock.Set(locked.Until)
		}
	}},
	{name: "guesses at the current password of a change are counted with those of sign-ins",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			for range 10 {
				require.ErrorIs(t, only(svc.ChangePassword(t.Context(), u.ID, wrongPassword, nextPassword, phone)),
					auth.ErrCredentials)
			}
			var locked *auth.LockedError
			require.ErrorAs(t, only(svc.ChangePassword(t.Context(), u.ID, password, nextPassword, phone)), &locked)
			_, err := svc.SignIn(t.Context(), u.Email, password, phone)
			require.ErrorAs(t, err, &locked)
		}},
	{name: "a guess that was counted before a crash does not lock an account for ever",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			k.set(t, u.ID, graph.FailedLoginAttempts, 10)
			var locked *auth.LockedError
			_, err := svc.SignIn(t.Context(), u.Email, password, phone)
			require.ErrorAs(t, err, &locked)
			k.clock.Set(locked.Until)
			signIn(t, svc, u.Email)
		}},
	{name: "no account and an account without a password are wrong credentials",
		needs: slices.Concat(links, deletion), run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g, err := svc.SignInWithProvider(t.Context(), identity("subject", k.email()), phone)
			require.NoError(t, err)
			for _, email := range []string{k.email(), g.User.Email} {
				_, err := svc.SignIn(t.Context(), email, password, phone)
				require.ErrorIs(t, err, auth.ErrCredentials)
				_, err = svc.Reactivate(t.Context(), email, password, phone)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			require.ErrorIs(t, only(svc.ChangePassword(t.Context(), g.User.ID, password, nextPassword, phone)),
				auth.ErrCredentials)
		}},
	{name: "what happens while a password is compared refuses the sign-in", run: func(t *testing.T, k *kit) {
		other := k.service(t)
		for name, end := range endings(k, other) {
			if sparesLaterSignIns(name) {
				continue // the proof still holds
			}
			svc, arm := k.interrupted(t)
			g := k.signIn(t, other)
			prepared := end(t, g)
			arm(func() { assert.NoError(t, prepared(), name) })
			_, err := svc.SignIn(t.Context(), g.User.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials, name)
			if name == "Suspend" {
				require.NotNil(t, k.user(t, g.User.ID).LockUntil)
			} else {
				require.Zero(t, k.activeSessions(t, g.User.ID), name)
				require.Zero(t, k.live(t, g.User.ID), name)
			}
		}
	}},
	{name: "a guess at a deleted account is not counted", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
		_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Zero(t, k.user(t, u.ID).FailedLoginAttempts)
	}},
	{name: "a lock between the read and the count refuses the guess", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		var between func()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = counting{h, &between} })
		u := k.register(t, svc)
		hash := *k.user(t, u.ID).Password
		between = sync.OnceFunc(func() { k.lock(t, u.ID, k.clock.Now().Add(time.Hour)) })
		var locked *auth.LockedError
		_, err := svc.SignIn(t.Context(), u.Email, password, phone)
		require.ErrorAs(t, err, &locked)
		require.Zero(t, h.Examined(hash))
	}},
	{name: "right passwords that use the count up do not lock the account", run: func(t *testing.T, k *kit) {
		held, late := NewHasher(), NewHasher()
		limit := func(h *Hasher) func(*auth.Config) {
			return func(c *auth.Config) { c.Hasher, c.Lockout.MaxFailures = h, 2 }
		}
		first, last := k.service(t, limit(held)), k.service(t, limit(late))
		u := k.register(t, last)
		counted, examine := make(chan struct{}), make(chan struct{})
		held.Before = func() { counted <- struct{}{}; <-examine }
		errs := make(chan error)
		for range 2 {
			go func() {
				_, err := first.SignIn(t.Context(), u.Email, password, phone)
				errs <- err
			}()
			<-counted
		}
		var once sync.Once
		late.Before = func() {
			once.Do(func() {
				close(examine)
				assert.NoError(t, <-errs)
				assert.NoError(t, <-errs)
			})
		}
		_, err := last.SignIn(t.Context(), u.Email, password, phone)
		var locked *auth.LockedError
		require.ErrorAs(t, err, &locked, "it is not examined")
		signIn(t, last, u.Email)
	}},
	{name: "an expired lock is ended once", run: func(t *testing.T, k *kit) {
		var between func()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = counting{NewHasher(), &between} })
		u := k.register(t, svc)
		guess := func() error {
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			return err
		}
		for range 10 {
			require.ErrorIs(t, guess(), auth.ErrCredentials)
		}
		k.clock.Advance(15 * time.Minute)
		var called atomic.Bool
		between = func() {
			if called.CompareAndSwap(false, true) {
				for range 10 {
					assert.ErrorIs(t, guess(), auth.ErrCredentials)
				}
			}
		}
		var locked *auth.LockedError
		require.ErrorAs(t, guess(), &locked)
		require.True(t, called.Load())
		require.EqualValues(t, 10, k.user(t, u.ID).FailedLoginAttempts)
	}},
	{name: "a suspension that has expired refuses no sign-in", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		until := k.clock.Now().Add(time.Hour)
		require.NoError(t, svc.Suspend(ctx, u.ID, until))
		k.clock.Set(until)
		_, err := signInWithCode(t, svc, issue(t, svc, u.Email, schematype.OTPSignIn))
		require.NoError(t, err)
		if have(links) {
			providerSignIn(t, svc, identity("subject", u.Email))
		}
	}},
	{name: "a lock while a password is compared is not cut short", run: func(t *testing.T, k *kit) {
		other := k.service(t)
		svc, arm := k.interrupted(t, func(c *auth.Config) { c.Lockout.MaxFailures = 1 })
		u := k.register(t, other)
		until := k.clock.Now().Add(24 * time.Hour).Truncate(time.Microsecond)
		arm(func() { k.lock(t, u.ID, until) })
		_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Equal(t, until, k.user(t, u.ID).LockUntil.UTC())
	}},
	{name: "a revocation does not move the time of an earlier one", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for name, end := range endings(k, svc) {
			g := k.signIn(t, svc)
			prepared := end(t, g)
			rotate(t, svc, g.Refresh)
			at := k.clock.Now().Truncate(time.Microsecond)
			k.clock.Advance(time.Minute)
			require.NoError(t, prepared(), name)
			require.Equal(t, at, k.refreshRow(t, g.Refresh).RevokedAt.UTC(), name)
		}
	}},
	{name: "what happens while a password is compared refuses its change", run: func(t *testing.T, k *kit) {
		other := k.service(t)
		for name, end := range endings(k, other) {
			if sparesLaterSignIns(name) {
				continue // the proof still holds
			}
			svc, arm := k.interrupted(t)
			g := k.signIn(t, other)
			prepared := end(t, g)
			arm(func() { assert.NoError(t, prepared(), name) })
			err := only(svc.ChangePassword(t.Context(), g.User.ID, password, "a third password of this test", phone))
			require.ErrorIs(t, err, auth.ErrCredentials, name)
		}
	}},
	{name: "what happens while a password is compared refuses the reactivation",
		needs: deletion, run: func(t *testing.T, k *kit) {
			other := k.service(t)
			ctx := t.Context()
			for name, meanwhile := range map[string]func(u *auth.User) error{
				"Suspend": func(u *auth.User) error { return other.Suspend(ctx, u.ID, auth.Forever) },
				"Restore and reset": func(u *auth.User) error {
					if err := other.Restore(ctx, u.ID); err != nil {
						return err
					}
					issued, err := other.IssueCode(ctx,
						auth.CodeRequest{Email: u.Email, Kind: schematype.OTPPasswordReset})
					if err != nil {
						return err
					}
					return errors.Join(
						resetPassword(t, other, issued),
						only(other.Delete(ctx, u.ID)),
					)
				},
				"Restore": func(u *auth.User) error { return other.Restore(ctx, u.ID) },
				"deleted again, for longer": func(u *auth.User) error {
					slow := k.service(t, func(c *auth.Config) { c.Account.ReactivateAfter = time.Hour })
					return errors.Join(slow.Restore(ctx, u.ID), only(slow.Delete(ctx, u.ID)))
				},
			} {
				svc, arm := k.interrupted(t)
				u := k.register(t, other)
				require.NoError(t, only(other.Delete(ctx, u.ID)))
				arm(func() { assert.NoError(t, meanwhile(u), name) })
				_, err := svc.Reactivate(ctx, u.Email, password, phone)
				require.ErrorIs(t, err, auth.ErrCredentials, name)
				require.Zero(t, k.activeSessions(t, u.ID), name)
				if name == "Suspend" {
					require.NotNil(t, k.user(t, u.ID).LockUntil)
				}
			}
		}},
	{name: "a new password ends every session and refresh token", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for name, end := range endings(k, svc) {
			if name != "ChangePassword" && name != "ResetPassword" {
				continue
			}
			first := k.signIn(t, svc)
			second := signIn(t, svc, first.User.Email)
			bystander := k.signIn(t, svc)
			require.NoError(t, end(t, first)(), name)
			for _, g := range []*auth.Grant{first, second} {
				_, _, err := svc.CheckSession(t.Context(), g.Token)
				require.ErrorIs(t, err, auth.ErrSession, name)
				refused(t, svc, g.Refresh, auth.ErrRefresh)
			}
			_, err := svc.SignIn(t.Context(), first.User.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials, name)
			_, err = svc.SignIn(t.Context(), first.User.Email, nextPassword, phone)
			require.NoError(t, err, name)
			_, _, err = svc.CheckSession(t.Context(), bystander.Token)
			require.NoError(t, err, name)
			rotate(t, svc, bystander.Refresh)
			signIn(t, svc, bystander.User.Email)
		}
	}},
	{name: "a reset ends a lock", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		for range 10 {
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		issued := issue(t, svc, u.Email, schematype.OTPPasswordReset)
		require.NoError(t, resetPassword(t, svc, issued))
		_, err := svc.SignIn(t.Context(), u.Email, nextPassword, phone)
		require.NoError(t, err)
	}},
	{name: "a hash made with weaker parameters is renewed on sign-in", run: func(t *testing.T, k *kit) {
		weak, strong := NewHasher(), NewHasher()
		strong.Memory = 128
		old := k.service(t, func(c *auth.Config) { c.Hasher = weak })
		grown := k.service(t, func(c *auth.Config) { c.Hasher = strong })
		u := k.register(t, old)
		before := *k.user(t, u.ID).Password
		signIn(t, old, u.Email)
		require.Equal(t, before, *k.user(t, u.ID).Password)

		_, err := grown.SignIn(t.Context(), u.Email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Equal(t, before, *k.user(t, u.ID).Password)
		g := signIn(t, grown, u.Email)
		after := *k.user(t, u.ID).Password
		require.NotEqual(t, before, after)
		require.Contains(t, after, "m=128")
		signIn(t, grown, u.Email)
		require.Equal(t, after, *k.user(t, u.ID).Password)
		_, _, err = grown.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
	}},
	{name: "a hash that is renewed while a password is compared is compared with in turn",
		run: func(t *testing.T, k *kit) {
			grown := NewHasher()
			grown.Memory = 128
			first := k.service(t, func(c *auth.Config) { c.Hasher = grown.Argon2id })
			second := k.service(t, func(c *auth.Config) { c.Hasher = grown })
			u := k.register(t, k.service(t))
			var once sync.Once
			grown.Before = func() { once.Do(func() { signIn(t, first, u.Email) }) }
			signIn(t, second, u.Email)
			require.Contains(t, *k.user(t, u.ID).Password, "m=128")
		}},
	{name: "a deleted account keeps its address and comes back when it may",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.Account.ReactivateAfter = 24 * time.Hour })
			ctx := t.Context()
			g := k.signIn(t, svc)
			require.NoError(t, only(svc.Delete(ctx, g.User.ID)))
			require.ErrorIs(t, only(svc.Delete(ctx, g.User.ID)), auth.ErrNotFound)
			_, _, err := svc.CheckSession(ctx, g.Token)
			require.ErrorIs(t, err, auth.ErrSession)
			refused(t, svc, g.Refresh, auth.ErrRefresh)
			_, err = svc.SignIn(ctx, g.User.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
			_, _, err = svc.Register(ctx, nameOf("another"), g.User.Email, password)
			require.ErrorIs(t, err, auth.ErrEmailTaken)
			if auth.Has("role") {
				require.ErrorIs(t, svc.ChangeRole(ctx, g.User.ID, schematype.RoleAdmin), auth.ErrNotFound)
			}

			may := k.clock.Now().Add(24 * time.Hour).Truncate(time.Microsecond)
			k.clock.Set(may.Add(-time.Microsecond))
			var early *auth.NotYetError
			_, err = svc.Reactivate(ctx, g.User.Email, password, phone)
			require.ErrorAs(t, err, &early)
			assert.Equal(t, may, early.RetryAt.UTC())
			require.ErrorIs(t, svc.Restore(ctx, g.User.ID), auth.ErrNotFound)
			_, err = svc.Reactivate(ctx, g.User.Email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)

			k.clock.Set(may)
			back, err := svc.Reactivate(ctx, g.User.Email, password, phone)
			require.NoError(t, err)
			_, _, err = svc.CheckSession(ctx, back.Token)
			require.NoError(t, err)
			_, _, err = svc.CheckSession(ctx, g.Token)
			require.ErrorIs(t, err, auth.ErrSession, "what the deletion ended stays so")
			_, err = svc.Reactivate(ctx, g.User.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials, "it is not deleted any more")

			require.NoError(t, only(svc.Delete(ctx, g.User.ID)))
			k.clock.Advance(24 * time.Hour)
			require.NoError(t, svc.Restore(ctx, g.User.ID))
			signIn(t, svc, g.User.Email)
			require.ErrorIs(t, svc.Restore(ctx, g.User.ID), auth.ErrNotFound)
			require.ErrorIs(t, svc.Restore(ctx, nobody()), auth.ErrNotFound)
		}},
	{name: "a restored account is the only one", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		back, gone := k.register(t, svc), k.register(t, svc)
		require.NoError(t, only(svc.Delete(ctx, back.ID)))
		require.NoError(t, only(svc.Delete(ctx, gone.ID)))
		require.NoError(t, svc.Restore(ctx, back.ID))
		signIn(t, svc, back.Email)
		_, err := svc.SignIn(ctx, gone.Email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}},
	{name: "a new role holds from the next session check", needs: []string{"role"}, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g, bystander := k.signIn(t, svc), k.signIn(t, svc)
		require.NoError(t, svc.ChangeRole(t.Context(), g.User.ID, schematype.RoleAdmin))
		_, u, err := svc.CheckSession(t.Context(), g.Token)
		require.NoError(t, err)
		assert.Equal(t, schematype.RoleAdmin, u.Role)
		_, u, err = svc.CheckSession(t.Context(), bystander.Token)
		require.NoError(t, err)
		assert.Equal(t, schematype.RoleUser, u.Role)
		require.ErrorIs(t, svc.ChangeRole(t.Context(), nobody(), schematype.RoleAdmin), auth.ErrNotFound)
	}},
	{name: "a lock examines no password, and ends nothing and closes no other way in", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, g := t.Context(), k.signIn(t, svc)
		email := g.User.Email
		for range 10 {
			_, err := svc.SignIn(ctx, email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		var locked *auth.LockedError
		_, err := svc.SignIn(ctx, email, password, phone)
		require.ErrorAs(t, err, &locked)
		checked(t, svc, g.Token, nil)
		rotate(t, svc, g.Refresh)
		_, _, err = svc.StartSession(ctx, g.User.ID, phone)
		require.NoError(t, err)
		_, err = svc.IssueRefresh(ctx, g.User.ID)
		require.NoError(t, err)
		require.NoError(t, verifyEmail(t, svc, issue(t, svc, email, schematype.OTPEmailVerification)))
		if have(links) {
			providerSignIn(t, svc, identity("subject", email))
		}
		k.lock(t, g.User.ID, k.clock.Now().Add(time.Minute))
		_, err = signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
		require.NoError(t, err)
	}},
	{name: "a longer lock than guessing causes is a suspension", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		until := k.clock.Now().Add(15*time.Minute + auth.ClockTolerance + time.Microsecond)
		k.lock(t, g.User.ID, until)
		k.shut(t, svc, g)
		k.clock.Advance(time.Microsecond)
		checked(t, svc, g.Token, nil)
	}},
	{name: "Suspend closes one account, until its time or Unsuspend", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		g, bystander := k.signIn(t, svc), k.signIn(t, svc)
		until := k.clock.Now().Add(time.Minute)
		require.NoError(t, svc.Suspend(ctx, g.User.ID, until))
		k.shut(t, svc, g)
		signIn(t, svc, bystander.User.Email)
		k.clock.Set(until)
		signIn(t, svc, g.User.Email)

		require.NoError(t, svc.Suspend(ctx, g.User.ID, auth.Forever))
		k.shut(t, svc, g)
		require.NoError(t, svc.Unsuspend(ctx, g.User.ID))
		checked(t, svc, g.Token, nil)
		rotate(t, svc, g.Refresh)
		signIn(t, svc, g.User.Email)
		require.NoError(t, svc.Unsuspend(ctx, g.User.ID), "it is open")
		require.ErrorIs(t, svc.Suspend(ctx, nobody(), auth.Forever), auth.ErrNotFound)
		require.ErrorIs(t, svc.Unsuspend(ctx, nobody()), auth.ErrNotFound)
	}},
	{name: "Suspend takes any time to come until the year 9999, and refuses others", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, g := t.Context(), k.signIn(t, svc)
		for _, at := range []time.Time{{}, time.Unix(0, 0), k.clock.Now(), auth.Forever.Add(time.Nanosecond)} {
			var refused *auth.InputError
			require.ErrorAs(t, svc.Suspend(ctx, g.User.ID, at), &refused, "%v", at)
			require.Equal(t, "suspended_until", refused.Field)
			checked(t, svc, g.Token, nil)
		}
		for _, at := range []time.Time{
			k.clock.Now().Add(time.Second), time.Date(2040, 1, 2, 3, 4, 5, 678901000, time.UTC), auth.Forever,
		} {
			require.NoError(t, svc.Suspend(ctx, g.User.ID, at), "%v", at)
			row := k.user(t, g.User.ID)
			require.Equal(t, at.Truncate(time.Microsecond), row.SuspendedUntil.UTC())
			require.True(t, row.LockUntil.After(k.clock.Now()), "for programs that know no suspension")
			k.shut(t, svc, g)
		}
	}},
	{name: "Unsuspend ends a lock and starts the counts again", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		for range 10 {
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		require.NoError(t, k.write(t.Context(), u.ID, graph.GuessFailures, "`"+graph.GuessFailures+"` + 40"))
		k.set(t, u.ID, graph.StepFailures, 20)
		require.NoError(t, svc.Unsuspend(t.Context(), u.ID))
		require.Zero(t, k.user(t, u.ID).StepFailures)
		signIn(t, svc, u.Email)
	}},
	{name: "a transition whose caller has gone changes nothing", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, only(svc.Delete(ctx, u.ID)), context.Canceled)
		require.False(t, k.user(t, u.ID).IsDeleted)
	}},
}
