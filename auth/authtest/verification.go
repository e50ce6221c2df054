package authtest

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// firstProof is a way of showing for the first time that the address of an account is one's own. The request for the
// code may follow a ticket, and come from a device.
type firstProof func(t *testing.T, svc *auth.Service, email string, ticket auth.Token, d auth.Device) error

// byCode asks for a code and uses it.
func byCode(kind schematype.OTPType, use func(*testing.T, *auth.Service, *auth.Issued) error) firstProof {
	return func(t *testing.T, svc *auth.Service, email string, ticket auth.Token, d auth.Device) error {
		t.Helper()
		issued, err := svc.IssueCode(t.Context(),
			auth.CodeRequest{Email: email, Kind: kind, Ticket: ticket, Device: d})
		require.NoError(t, err)
		return use(t, svc, issued)
	}
}

// firstProofs are the ways of proving an address.
func firstProofs() map[string]firstProof {
	return possible(map[string]firstProof{
		"VerifyEmail": byCode(schematype.OTPEmailVerification, verifyEmail),
		"SignInWithCode": byCode(schematype.OTPSignIn,
			func(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
				_, err := signInWithCode(t, svc, issued)
				return err
			}),
		"ResetPassword": byCode(schematype.OTPPasswordReset, resetPassword),
		"SignInWithProvider": func(t *testing.T, svc *auth.Service, email string, _ auth.Token, _ auth.Device) error {
			_, err := svc.SignInWithProvider(t.Context(), identity("owner of "+email, email), phone)
			return err
		},
	}, links, "SignInWithProvider")
}

// squat is an account that somebody made with an address which is not theirs, and what they hold of it.
type squat struct {
	*auth.Grant
	ticket auth.Token
}

func (k *kit) squat(t *testing.T, svc *auth.Service) squat {
	t.Helper()
	email := k.email()
	u, ticket, err := svc.Register(t.Context(), nameOf(email), email, password)
	require.NoError(t, err)
	return squat{signIn(t, svc, u.Email), ticket}
}

// gone requires that nothing of a squat is left.
func (k *kit) gone(t *testing.T, svc *auth.Service, s squat) {
	t.Helper()
	_, err := svc.SignIn(t.Context(), s.User.Email, password, phone)
	assert.ErrorIs(t, err, auth.ErrCredentials)
	checked(t, svc, s.Token, auth.ErrSession)
	refused(t, svc, s.Refresh, auth.ErrRefresh)
	row := k.user(t, s.User.ID)
	assert.True(t, row.IsEmailVerified)
	assert.Positive(t, row.TrustEpoch, "its devices are strangers")
}

// kept requires that a session and its refresh token go on.
func kept(t *testing.T, svc *auth.Service, g *auth.Grant) {
	t.Helper()
	checked(t, svc, g.Token, nil)
	rotate(t, svc, g.Refresh)
}

var verificationRaces = []scenario{
	{name: "of a verification and what a squatter does at once nothing stays that is the squatter's",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			s := k.squat(t, svc)
			issued := issue(t, svc, s.User.Email, schematype.OTPEmailVerification)
			var grants [4]*auth.Grant
			var rotated [4]auth.Token
			errs := atOnce(13, func(i int) (err error) {
				switch {
				case i == 0:
					return verifyEmail(t, svc, issued)
				case i > 8:
					if have(links) {
						return svc.LinkProvider(t.Context(), s.Token, identity(s.User.Email, ""))
					}
				case i <= 4:
					grants[i-1], err = svc.SignIn(t.Context(), s.User.Email, password, phone)
				default:
					rotated[i-5], _, err = svc.Rotate(t.Context(), s.Refresh)
				}
				return err
			})
			require.NoError(t, errs[0])
			_, err := svc.SignIn(t.Context(), s.User.Email, password, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
			for i := range grants {
				if g := grants[i]; g != nil {
					checked(t, svc, g.Token, auth.ErrSession)
					refused(t, svc, g.Refresh, auth.ErrRefresh)
				}
				refused(t, svc, rotated[i], auth.ErrRefresh)
			}
			assert.Nil(t, k.user(t, s.User.ID).ProviderID)
			assert.Zero(t, k.activeSessions(t, s.User.ID))
			assert.Zero(t, k.live(t, s.User.ID))
		}},
}

var verificationRules = []scenario{
	{name: "whoever first proves an address takes over the account that somebody else made with it",
		run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				var told []auth.Event
				svc := k.service(t, func(c *auth.Config) {
					c.Observer = auth.ObserverFunc(func(_ context.Context, e auth.Event) { told = append(told, e) })
				})
				s, bystander := k.squat(t, svc), k.signIn(t, svc)
				// A code that the squatter has asked for is a code of the squatter's.
				theirs, err := svc.IssueCode(t.Context(), auth.CodeRequest{
					Email: s.User.Email, Kind: schematype.OTPSignIn, Ticket: s.ticket, Device: anybody(),
				})
				require.NoError(t, err)
				told = nil

				require.NoError(t, prove(t, svc, s.User.Email, auth.Token{}, anybody()), way)
				k.gone(t, svc, s)
				kept(t, svc, bystander)
				signIn(t, svc, bystander.User.Email)
				var taken []auth.Event
				for _, e := range told {
					if e.Action == auth.ActionTakeOver {
						e.At = time.Time{}
						taken = append(taken, e)
					}
				}
				assert.Equal(t, []auth.Event{{Action: auth.ActionTakeOver, UserID: s.User.ID, Count: 2}}, taken, way)

				_, err = signInWithCode(t, svc, theirs)
				require.NoError(t, err, "whoever reads the mail may still have asked for it")
			}
		}},
	{name: "whoever first proves an address takes over an account that a provider made with it",
		needs: links, run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				svc := k.service(t)
				id := identity("squatter "+way, k.email())
				id.EmailVerified = false
				g := k.linkedUnverified(t, svc, id)
				require.NoError(t, prove(t, svc, id.Email, auth.Token{}, anybody()), way)
				checked(t, svc, g.Token, auth.ErrSession)
				refused(t, svc, g.Refresh, auth.ErrRefresh)
				_, err := svc.SignInWithProvider(t.Context(), id, phone)
				require.ErrorIs(t, err, auth.ErrProviderEmail, way)
			}
		}},
	{name: "whoever proves an address takes over an account that was deleted before anybody had",
		needs: deletion, run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				svc := k.service(t)
				s := k.squat(t, svc)
				require.NoError(t, only(svc.Delete(t.Context(), s.User.ID)))
				_, _, err := svc.Register(t.Context(), nameOf(way), s.User.Email, password)
				require.ErrorIs(t, err, auth.ErrEmailTaken)
				assert.True(t, issue(t, svc, s.User.Email, schematype.OTPSignIn).Known)
				require.NoError(t, prove(t, svc, s.User.Email, s.ticket, auth.Device{Token: s.Token}), way)
				row := k.user(t, s.User.ID)
				assert.False(t, row.IsDeleted, way)
				assert.Nil(t, row.DeletedAt, way)
				k.gone(t, svc, s)
			}
		}},
	{name: "whoever proves an address takes over a deleted account that a provider made with it",
		needs: slices.Concat(links, deletion), run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				svc := k.service(t)
				id := identity("deleted squatter "+way, k.email())
				id.EmailVerified = false
				g := k.linkedUnverified(t, svc, id)
				require.NoError(t, only(svc.Delete(t.Context(), g.User.ID)))
				require.NoError(t, prove(t, svc, id.Email, auth.Token{}, anybody()), way)
				_, err := svc.SignInWithProvider(t.Context(), id, phone)
				require.ErrorIs(t, err, auth.ErrProviderEmail, way)
			}
		}},
	{name: "a deleted account that an operator has suspended is not taken over",
		needs: deletion, run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				svc := k.service(t)
				s := k.squat(t, svc)
				require.NoError(t, only(svc.Delete(t.Context(), s.User.ID)))
				require.NoError(t, svc.Suspend(t.Context(), s.User.ID, auth.Forever))
				require.Error(t, prove(t, svc, s.User.Email, auth.Token{}, anybody()), way)
				assert.True(t, k.user(t, s.User.ID).IsDeleted, way)
				assert.NotNil(t, k.user(t, s.User.ID).Password, way)
			}
		}},
	{name: "an account that was deleted after its address had been proved stays deleted",
		needs: deletion, run: func(t *testing.T, k *kit) {
			for way, prove := range firstProofs() {
				svc := k.service(t)
				u := k.registerVerified(t, svc)
				require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
				require.Error(t, prove(t, svc, u.Email, auth.Token{}, anybody()), way)
				assert.True(t, k.user(t, u.ID).IsDeleted, way)
			}
		}},
	{name: "an account that a purge has begun with stays deleted", needs: deletion, run: func(t *testing.T, k *kit) {
		for way, prove := range firstProofs() {
			svc := k.service(t)
			s := k.squat(t, svc)
			require.NoError(t, only(svc.Delete(t.Context(), s.User.ID)))
			k.set(t, s.User.ID, graph.ReActivateAvailableAt, time.Unix(math.MaxInt32, 0))
			assert.False(t, issue(t, svc, s.User.Email, schematype.OTPSignIn).Known)
			require.Error(t, prove(t, svc, s.User.Email, auth.Token{}, anybody()), way)
			assert.True(t, k.user(t, s.User.ID).IsDeleted, way)
		}
	}},
	{name: "whoever shows to have made the account keeps it when they prove its address",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			evidence := map[string]func(s squat) (auth.Token, auth.Device){
				"the ticket of the registration": func(s squat) (auth.Token, auth.Device) {
					return s.ticket,
						anybody()
				},
				"the ticket of a resend": func(s squat) (auth.Token, auth.Device) {
					ticket := s.ticket
					for range 2 {
						issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{
							Email: s.User.Email, Kind: schematype.OTPSignIn, Ticket: ticket, Device: anybody(),
						})
						require.NoError(t, err)
						ticket = issued.Ticket
					}
					return ticket, anybody()
				},
				"a live session": func(s squat) (auth.Token, auth.Device) {
					return auth.Token{},
						auth.Device{Token: s.Token}
				},
			}
			for what, show := range evidence {
				for way, prove := range firstProofs() {
					if way == "SignInWithProvider" {
						continue // a provider knows nothing of it
					}
					s := k.squat(t, svc)
					ticket, d := show(s)
					require.NoError(t, prove(t, svc, s.User.Email, ticket, d), what)
					row := k.user(t, s.User.ID)
					assert.True(t, row.IsEmailVerified)
					assert.NotNil(t, row.Password, "%s, %s", what, way)
					if way != "ResetPassword" { // which ends everything itself
						kept(t, svc, s.Grant)
						signIn(t, svc, s.User.Email)
					}
				}
			}
		}},
	{name: "the ticket of a registration shows for 7 days who made the account", run: func(t *testing.T, k *kit) {
		for after, shows := range map[time.Duration]bool{
			7*24*time.Hour - time.Microsecond: true,
			7 * 24 * time.Hour:                false,
		} {
			svc := k.service(t)
			k.clock.Set(k.clock.Now().Truncate(time.Second)) // users may have a created_at that is no finer
			s := k.squat(t, svc)
			k.clock.Advance(after)
			require.NoError(t, firstProofs()["VerifyEmail"](t, svc, s.User.Email, s.ticket, anybody()))
			assert.Equal(t, shows, k.user(t, s.User.ID).Password != nil, "the password stays after %s", after)
		}
	}},
	{name: "a reset by whoever made the account keeps its link to a provider",
		needs: links, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			id := identity("subject", k.email())
			id.EmailVerified = false
			g := k.linkedUnverified(t, svc, id)
			reset := firstProofs()["ResetPassword"]
			require.NoError(t, reset(t, svc, id.Email, auth.Token{}, auth.Device{Token: g.Token}))
			assert.Equal(t, g.User.ID, providerSignIn(t, svc, id).User.ID)
		}},
	{name: "what is another's or has ended shows nobody to have made the account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		other := k.squat(t, svc)
		theirs, err := svc.IssueCode(ctx, auth.CodeRequest{
			Email: other.User.Email, Kind: schematype.OTPSignIn, Ticket: other.ticket, Device: anybody(),
		})
		require.NoError(t, err)
		for what, show := range map[string]func(s squat) (auth.Token, auth.Device){
			"another's registration": func(squat) (auth.Token, auth.Device) { return other.ticket, anybody() },
			"another's code":         func(squat) (auth.Token, auth.Device) { return theirs.Ticket, anybody() },
			"another's session": func(squat) (auth.Token, auth.Device) {
				return auth.Token{},
					auth.Device{Token: other.Token}
			},
			"a stranger's code": func(s squat) (auth.Token, auth.Device) {
				return issue(t, svc, s.User.Email, schematype.OTPSignIn).Ticket, anybody()
			},
			"a session that ended": func(s squat) (auth.Token, auth.Device) {
				require.NoError(t, only(svc.SignOut(ctx, s.Token)))
				return auth.Token{}, auth.Device{Token: s.Token}
			},
			"a registration from before everything was revoked": func(s squat) (auth.Token, auth.Device) {
				require.NoError(t, only(svc.RevokeAll(ctx, s.User.ID)))
				return s.ticket, anybody()
			},
			"a code from before everything was revoked": func(s squat) (auth.Token, auth.Device) {
				issued, err := svc.IssueCode(ctx, auth.CodeRequest{
					Email: s.User.Email, Kind: schematype.OTPSignIn, Ticket: s.ticket, Device: anybody(),
				})
				require.NoError(t, err)
				require.NoError(t, only(svc.RevokeAll(ctx, s.User.ID)))
				return issued.Ticket, anybody()
			},
		} {
			s := k.squat(t, svc)
			ticket, d := show(s)
			require.NoError(t, firstProofs()["VerifyEmail"](t, svc, s.User.Email, ticket, d), what)
			assert.Nil(t, k.user(t, s.User.ID).Password, what)
		}
	}},
	{name: "a password beside the code shows who made the account, and a wrong one is a guess",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			s := k.squat(t, svc)
			issued := issue(t, svc, s.User.Email, schematype.OTPEmailVerification)
			before := k.user(t, s.User.ID).GuessFailures
			v := auth.Verification{Ticket: issued.Ticket, Code: issued.Code, Device: anybody(), Password: wrongPassword}
			require.ErrorIs(t, svc.VerifyEmail(t.Context(), v), auth.ErrCredentials)
			assert.Equal(t, before+1, k.user(t, s.User.ID).GuessFailures)
			assert.Zero(t, k.newestCode(t, s.User.Email, schematype.OTPEmailVerification).Attempts)

			v.Password, v.Code = password, wrong(issued).Code
			require.ErrorIs(t, svc.VerifyEmail(t.Context(), v), auth.ErrCode)
			v.Code = issued.Code
			require.NoError(t, svc.VerifyEmail(t.Context(), v))
			assert.Equal(t, before+1, k.user(t, s.User.ID).GuessFailures, "a right password is no failure")
			kept(t, svc, s.Grant)
			signIn(t, svc, s.User.Email)

			unknown := issue(t, svc, k.email(), schematype.OTPEmailVerification)
			v = auth.Verification{Ticket: unknown.Ticket, Code: unknown.Code, Password: password, Device: anybody()}
			require.ErrorIs(t, svc.VerifyEmail(t.Context(), v), auth.ErrCredentials)
			v.Ticket = auth.ParseToken("none")
			require.ErrorIs(t, svc.VerifyEmail(t.Context(), v), auth.ErrCode)
		}},
	{name: "a password beside a wrong code does not tell whether there is an account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, email := range []string{k.register(t, svc).Email, k.email()} {
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			for _, guess := range []string{password, wrongPassword} {
				var wrongCode *auth.CodeError
				err := svc.VerifyEmail(t.Context(), auth.Verification{
					Ticket: issued.Ticket, Code: wrong(issued).Code, Device: anybody(), Password: guess,
				})
				require.ErrorAs(t, err, &wrongCode)
			}
		}
	}},
	{name: "a password that is changed while it is verified shows nothing", run: func(t *testing.T, k *kit) {
		hasher := NewHasher()
		svc, other := k.service(t, func(c *auth.Config) { c.Hasher = hasher }), k.service(t)
		s := k.squat(t, other)
		issued := issue(t, other, s.User.Email, schematype.OTPEmailVerification)
		hasher.Before = func() {
			hasher.Before = nil
			assert.NoError(t, only(other.ChangePassword(t.Context(), s.User.ID, password, nextPassword, phone)))
		}
		v := auth.Verification{Ticket: issued.Ticket, Code: issued.Code, Device: anybody(), Password: password}
		require.ErrorIs(t, svc.VerifyEmail(t.Context(), v), auth.ErrCredentials)
		assert.False(t, k.user(t, s.User.ID).IsEmailVerified)
		v.Password = nextPassword
		require.NoError(t, svc.VerifyEmail(t.Context(), v))
		assert.NotNil(t, k.user(t, s.User.ID).Password)
	}},
	{name: "VerifyEmail concerns one account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u, other := k.register(t, svc), k.register(t, svc)
		theirs := issue(t, svc, other.Email, schematype.OTPEmailVerification)
		require.NoError(t, verifyEmail(t, svc, issue(t, svc, u.Email, schematype.OTPEmailVerification)))
		assert.True(t, k.user(t, u.ID).IsEmailVerified)
		assert.False(t, k.user(t, other.ID).IsEmailVerified)
		require.NoError(t, verifyEmail(t, svc, theirs))
	}},
	{name: "a verified account keeps what it has whoever proves its address again", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		before := k.verified(t, svc)
		for way, prove := range firstProofs() {
			if way == "ResetPassword" {
				continue
			}
			require.NoError(t, prove(t, svc, before.User.Email, auth.Token{}, anybody()), way)
			checked(t, svc, before.Token, nil)
			signIn(t, svc, before.User.Email)
		}
		rotate(t, svc, before.Refresh)

		if !have(links) {
			return
		}
		linked := providerSignIn(t, svc, identity("subject", k.email()))
		email := linked.User.Email
		_, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
		require.NoError(t, err)
		checked(t, svc, linked.Token, nil)
		require.NoError(t, resetPassword(t, svc, issue(t, svc, email, schematype.OTPPasswordReset)))
		assert.Equal(t, linked.User.ID, providerSignIn(t, svc, identity("subject", email)).User.ID)
	}},
}
