package authtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// startChange asks for another address with [password].
func startChange(t *testing.T, svc *auth.Service, userID auth.UserID, to string) *auth.Issued {
	t.Helper()
	issued, err := svc.StartEmailChange(t.Context(),
		auth.EmailChange{UserID: userID, Password: password, New: to, Device: anybody()})
	require.NoError(t, err)
	return issued
}

func finishChange(
	t *testing.T, svc *auth.Service, issued *auth.Issued, keep auth.Token,
) (*auth.EmailChanged, error) {
	return svc.FinishEmailChange(t.Context(), issued.Ticket, issued.Code, keep)
}

var emailChangeRaces = []scenario{
	{name: "of 16 uses of the code for a new address one succeeds", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.MaxAttempts, c.OTP.Budget = 16, 1 })
		u := k.register(t, svc)
		issued := startChange(t, svc, u.ID, k.email())
		errs := atOnce(16, func(int) error {
			_, err := finishChange(t, svc, issued, auth.Token{})
			return err
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCode))
	}},
	{name: "of 6 accounts that change to one address at once, or register with it, one gets it",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			to := k.email()
			var issued [6]*auth.Issued
			for i := range issued {
				issued[i] = startChange(t, svc, k.register(t, svc).ID, to)
			}
			errs := atOnce(2*len(issued), func(i int) (err error) {
				if i < len(issued) {
					_, err = finishChange(t, svc, issued[i], auth.Token{})
				} else {
					_, _, err = svc.Register(t.Context(), nameOf(to), to, password)
				}
				return err
			})
			require.Equal(t, 1, winners(t, errs, auth.ErrEmailTaken))
		}},
}

var emailChangeRules = []scenario{
	{name: "an address changes by the password and a code of the new one", run: func(t *testing.T, k *kit) {
		var told []auth.Event
		svc := k.service(t, func(c *auth.Config) {
			c.Observer = auth.ObserverFunc(func(_ context.Context, e auth.Event) { told = append(told, e) })
		})
		mine, bystander := k.signIn(t, svc), k.signIn(t, svc)
		old := mine.User.Email
		other := signIn(t, svc, old)
		before := k.user(t, mine.User.ID).GuessFailures
		issued, err := svc.StartEmailChange(t.Context(), auth.EmailChange{
			UserID: mine.User.ID, Password: password, New: " NEW" + old + "\n", Device: auth.Device{Token: mine.Token},
		})
		require.NoError(t, err)
		assert.Equal(t, "new"+old, issued.Email)
		assert.False(t, issued.Known)
		assert.True(t, issued.Link, "nobody guesses at addresses of others")
		assert.Equal(t, before, k.user(t, mine.User.ID).GuessFailures)
		signIn(t, svc, old)
		told = nil

		changed, err := finishChange(t, svc, issued, mine.Token)
		require.NoError(t, err)
		assert.Equal(t, old, changed.Old)
		assert.Equal(t, "new"+old, changed.New)
		assert.Equal(t, auth.Ended{Sessions: 2, RefreshTokens: 2}, changed.Ended)
		last := told[len(told)-1]
		assert.Equal(t, auth.Event{Action: auth.ActionChangeEmail, At: last.At, UserID: mine.User.ID, Count: 4}, last)
		kept(t, svc, mine)
		kept(t, svc, bystander)
		checked(t, svc, other.Token, auth.ErrSession)
		refused(t, svc, other.Refresh, auth.ErrRefresh)
		_, err = svc.SignIn(t.Context(), old, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		assert.True(t, signIn(t, svc, "new"+old).User.EmailVerified)

		// Strangers lock the account; only the device that was kept is a known one.
		_ = guess(t, svc, "new"+old, anybody(), 10)
		_, err = svc.SignIn(t.Context(), "new"+old, password, auth.Device{Token: other.Token})
		require.ErrorIs(t, err, auth.ErrCredentials)
		_, err = svc.SignIn(t.Context(), "new"+old, password, auth.Device{Token: mine.Token})
		require.NoError(t, err)
	}},
	{name: "an account without a password changes its address by a code of the old one",
		needs: links, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g, withPassword := providerSignIn(t, svc, identity("subject", k.email())), k.register(t, svc)
			stranger := providerSignIn(t, svc, identity("stranger", k.email())).User
			start := func(userID auth.UserID, proof *auth.Issued) (*auth.Issued, error) {
				return svc.StartEmailChange(t.Context(), auth.EmailChange{
					UserID: userID, Ticket: proof.Ticket, Code: proof.Code, New: k.email(), Device: anybody(),
				})
			}
			for what, proof := range map[string]*auth.Issued{
				"nothing":            {},
				"a wrong code":       wrong(issue(t, svc, g.User.Email, schematype.OTPSignIn)),
				"another purpose's":  issue(t, svc, g.User.Email, schematype.OTPPasswordReset),
				"another account's":  issue(t, svc, withPassword.Email, schematype.OTPSignIn),
				"a stranger's":       issue(t, svc, stranger.Email, schematype.OTPSignIn),
				"an unknown address": issue(t, svc, k.email(), schematype.OTPSignIn),
			} {
				_, err := start(g.User.ID, proof)
				require.ErrorIs(t, err, auth.ErrCode, what)
			}
			_, err := start(withPassword.ID, issue(t, svc, withPassword.Email, schematype.OTPSignIn))
			require.ErrorIs(t, err, auth.ErrCode, "it has a password")

			proof := issue(t, svc, g.User.Email, schematype.OTPSignIn)
			issued, err := start(g.User.ID, proof)
			require.NoError(t, err)
			_, err = start(g.User.ID, proof)
			require.ErrorIs(t, err, auth.ErrCode, "it is used")
			_, err = finishChange(t, svc, issued, g.Token)
			require.NoError(t, err)
			kept(t, svc, g)
		}},
	{name: "a wrong password for another address is a guess, and a right one is none", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		for i, want := range []int32{1, 2} {
			_, err := svc.StartEmailChange(t.Context(),
				auth.EmailChange{UserID: u.ID, Password: wrongPassword, New: k.email(), Device: anybody()})
			require.ErrorIs(t, err, auth.ErrCredentials)
			assert.Equal(t, want, k.user(t, u.ID).GuessFailures, i)
		}
		startChange(t, svc, u.ID, k.email())
		assert.EqualValues(t, 2, k.user(t, u.ID).GuessFailures, "a link is no guess")
		_, err := svc.StartEmailChange(t.Context(),
			auth.EmailChange{UserID: nobody(), Password: password, New: k.email()})
		require.ErrorIs(t, err, auth.ErrCredentials)
	}},
	{name: "what is no new address is refused before a guess is counted", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		var invalid *auth.InputError
		for _, to := range []string{"", "none", "a@b\r\nBcc: c@d", "\xff@example.com"} {
			_, err := svc.StartEmailChange(t.Context(), auth.EmailChange{UserID: u.ID, Password: wrongPassword,
				New: to})
			require.ErrorAs(t, err, &invalid, to)
		}
		assert.Zero(t, k.user(t, u.ID).GuessFailures)
		_, err := svc.StartEmailChange(t.Context(), auth.EmailChange{UserID: u.ID, Password: password, New: u.Email})
		require.ErrorAs(t, err, &invalid)
		assert.Zero(t, k.user(t, u.ID).GuessFailures)
	}},
	{name: "an address that is taken is told to whoever reads its mail",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u, other, deleted := k.signIn(t, svc), k.signIn(t, svc), k.registerVerified(t, svc)
			require.NoError(t, only(svc.Delete(t.Context(), deleted.ID)))
			for i, to := range []string{other.User.Email, deleted.Email} {
				issued := startChange(t, svc, u.User.ID, to)
				assert.Equal(t, i == 0, issued.Known)
				_, err := finishChange(t, svc, wrong(issued), u.Token)
				require.ErrorIs(t, err, auth.ErrCode)
				_, err = finishChange(t, svc, issued, u.Token)
				require.ErrorIs(t, err, auth.ErrEmailTaken)
			}
			assert.Equal(t, u.User.Email, k.user(t, u.User.ID).Email)
			assert.Zero(t, k.user(t, other.User.ID).GuessFailures, "nobody guesses at it")
			kept(t, svc, u)
			kept(t, svc, other)
		}},
	{name: "a code for a new address does nothing else, and no other code does its work",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			to := k.email()
			change := startChange(t, svc, u.ID, to)
			squatter, ticket, err := svc.Register(t.Context(), nameOf(to), to, password)
			require.NoError(t, err)
			require.ErrorIs(t, verifyCode(t, svc, schematype.OTPEmailVerification, change), auth.ErrCode)
			require.ErrorIs(t, verifyEmail(t, svc, change), auth.ErrCode)
			assert.False(t, k.user(t, squatter.ID).IsEmailVerified)
			verification, err := svc.IssueCode(t.Context(), auth.CodeRequest{
				Email: to, Kind: schematype.OTPEmailVerification, Ticket: ticket, Device: anybody(),
			})
			require.NoError(t, err)
			for _, other := range []*auth.Issued{
				verification, issue(t, svc, u.Email, schematype.OTPSignIn), {Ticket: change.Ticket,
					Code: verification.Code},
				{Ticket: verification.Ticket, Code: change.Code}, {Code: change.Code},
			} {
				_, err := finishChange(t, svc, other, auth.Token{})
				require.ErrorIs(t, err, auth.ErrCode)
			}
		}},
	{name: "what ends everything voids a change under way", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		for what, end := range possible(map[string]func(u *auth.User) error{
			"RevokeAll": func(u *auth.User) error { return only(svc.RevokeAll(ctx, u.ID)) },
			"ChangePassword": func(u *auth.User) error {
				return only(svc.ChangePassword(ctx, u.ID, password, nextPassword, phone))
			},
			"ResetPassword": func(u *auth.User) error {
				return resetPassword(t, svc, issue(t, svc, u.Email, schematype.OTPPasswordReset))
			},
			"Suspend": func(u *auth.User) error { return svc.Suspend(ctx, u.ID, auth.Forever) },
			"Delete":  func(u *auth.User) error { return only(svc.Delete(ctx, u.ID)) },
			"another change": func(u *auth.User) error {
				_, err := finishChange(t, svc, startChange(t, svc, u.ID, k.email()), auth.Token{})
				return err
			},
		}, deletion, "Delete") {
			u := k.register(t, svc)
			issued := startChange(t, svc, u.ID, k.email())
			require.NoError(t, end(u), what)
			_, err := finishChange(t, svc, issued, auth.Token{})
			require.ErrorIs(t, err, auth.ErrCode, what)
		}
	}},
	{name: "a change keeps no session that is another's or has ended", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		bystander := k.signIn(t, svc)
		for _, keep := range []func(g *auth.Grant) auth.Token{
			func(*auth.Grant) auth.Token { return auth.Token{} },
			func(*auth.Grant) auth.Token { return bystander.Token },
			func(g *auth.Grant) auth.Token { return g.Refresh },
			func(g *auth.Grant) auth.Token {
				require.NoError(t, only(svc.SignOut(t.Context(), g.Token)))
				return g.Token
			},
		} {
			g := k.signIn(t, svc)
			changed, err := finishChange(t, svc, startChange(t, svc, g.User.ID, k.email()), keep(g))
			require.NoError(t, err)
			assert.NotEqual(t, changed.Old, changed.New)
			checked(t, svc, g.Token, auth.ErrSession)
			refused(t, svc, g.Refresh, auth.ErrRefresh)
		}
		kept(t, svc, bystander)
	}},
	{name: "a change ends the refresh token of a session that is idle", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Session.Idle = time.Hour })
		g := k.signIn(t, svc)
		k.clock.Advance(time.Hour)
		_, err := finishChange(t, svc, startChange(t, svc, g.User.ID, k.email()), g.Token)
		require.NoError(t, err)
		refused(t, svc, g.Refresh, auth.ErrRefresh)
	}},
	{name: "a change frees the address and voids the codes for it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		reset := issue(t, svc, u.Email, schematype.OTPPasswordReset)
		_, err := finishChange(t, svc, startChange(t, svc, u.ID, k.email()), auth.Token{})
		require.NoError(t, err)
		require.ErrorIs(t, resetPassword(t, svc, reset), auth.ErrCode)
		_, _, err = svc.Register(t.Context(), nameOf("owner"), u.Email, nextPassword)
		require.NoError(t, err)
	}},
	{name: "mails to a new address have the limits of all mails", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		to, d := k.email(), auth.Device{IP: phone.IP, Token: g.Token}
		change := auth.EmailChange{UserID: g.User.ID, Password: password, New: to, Device: d}
		var soon *auth.TooSoonError
		for range 3 {
			_, err := svc.StartEmailChange(t.Context(), change)
			require.NoError(t, err)
			_, err = svc.StartEmailChange(t.Context(), change)
			require.ErrorAs(t, err, &soon)
			k.clock.Advance(time.Minute)
		}
		_, err := svc.StartEmailChange(t.Context(), change)
		require.ErrorAs(t, err, &soon, "a device is a stranger to an address that is not its account's")
		row, err := k.client.Session.Get(t.Context(), g.Session.ID)
		require.NoError(t, err)
		assert.Zero(t, row.DeviceFailures, "a right password is no failure, and a link takes no guesses")
	}},
	{name: "a code for a new address of a replica a year ahead is none", run: func(t *testing.T, k *kit) {
		svc, ahead := k.service(t), k.replicaAhead(t, year)
		u := k.register(t, svc)
		_, err := finishChange(t, svc, startChange(t, ahead, u.ID, k.email()), auth.Token{})
		require.ErrorIs(t, err, auth.ErrCode)
		assert.Equal(t, u.Email, k.user(t, u.ID).Email)
	}},
	{name: "a change ends the tokens of another program, and keeps its session", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.signIn(t, svc)
		token, err := svc.IssueRefresh(t.Context(), g.User.ID)
		require.NoError(t, err)
		k.withoutFamily(t, g.User.ID)
		g = signIn(t, svc, g.User.Email)
		_, err = finishChange(t, svc, startChange(t, svc, g.User.ID, k.email()), g.Token)
		require.NoError(t, err)
		kept(t, svc, g)
		refused(t, svc, token, auth.ErrRefresh)
		k.nothingLiveBut(t, g.User.ID, 1, 1)
	}},
}
