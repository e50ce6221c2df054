package authtest

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/hook"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// issue makes a code for an address.
func issue(t *testing.T, svc *auth.Service, email string, kind schematype.OTPType) *auth.Issued {
	t.Helper()
	issued, err := issueCode(t, svc, email, kind)
	require.NoError(t, err)
	return issued
}

// issueCode asks for a code as somebody who asked for none before.
func issueCode(t *testing.T, svc *auth.Service, email string, kind schematype.OTPType) (*auth.Issued, error) {
	return svc.IssueCode(t.Context(), auth.CodeRequest{Email: email, Kind: kind, Device: anybody()})
}

// anybody is a device of an origin of its own.
func anybody() auth.Device { return auth.Device{Origin: rand.Text()} }

// resend asks for another code in the place of one.
func resend(t *testing.T, svc *auth.Service, of *auth.Issued, kind schematype.OTPType) (*auth.Issued, error) {
	return svc.IssueCode(t.Context(),
		auth.CodeRequest{Email: of.Email, Kind: kind, Device: anybody(), Ticket: of.Ticket})
}

// wrong is the ticket that was issued, with a code of the same length that is not its own.
func wrong(issued *auth.Issued) *auth.Issued {
	digits := []byte(issued.Code.Reveal())
	digits[0] = '0' + (digits[0]-'0'+1)%10
	return &auth.Issued{Ticket: issued.Ticket, Code: auth.ParseCode(string(digits))}
}

func verifyCode(t *testing.T, svc *auth.Service, kind schematype.OTPType, issued *auth.Issued) error {
	return svc.VerifyCode(t.Context(), kind, issued.Ticket, issued.Code)
}

func verifyEmail(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
	return svc.VerifyEmail(t.Context(), auth.Verification{Ticket: issued.Ticket, Code: issued.Code, Device: phone})
}

func signInWithCode(t *testing.T, svc *auth.Service, issued *auth.Issued) (*auth.Grant, error) {
	return svc.SignInWithCode(t.Context(), issued.Ticket, issued.Code, phone)
}

// resetPassword sets [nextPassword].
func resetPassword(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
	return resetTo(t, svc, issued, nextPassword)
}

func resetTo(t *testing.T, svc *auth.Service, issued *auth.Issued, password string) error {
	_, err := svc.ResetPassword(t.Context(), issued.Ticket, issued.Code, password)
	return err
}

func changeTo(t *testing.T, svc *auth.Service, issued *auth.Issued, password string) error {
	_, err := svc.ChangePasswordWithCode(t.Context(), issued.Ticket, issued.Code, password)
	return err
}

func (k *kit) newestCode(t *testing.T, email string, kind schematype.OTPType) *ent.OTP {
	t.Helper()
	row, err := k.client.OTP.Query().Where(otp.Email(email), otp.TypeEQ(kind)).
		Order(ent.Desc(otp.FieldID)).First(t.Context())
	require.NoError(t, err)
	return row
}

// afterAttempt calls fn once, when the next attempt at a code is counted and the code is not used yet.
func (k *kit) afterAttempt(fn func()) {
	var called atomic.Bool // fn may itself make an attempt
	k.client.OTP.Use(func(next ent.Mutator) ent.Mutator {
		return hook.OTPFunc(func(ctx context.Context, m *ent.OTPMutation) (ent.Value, error) {
			v, err := next.Mutate(ctx, m)
			if _, ok := m.AddedAttempts(); ok && called.CompareAndSwap(false, true) {
				fn()
			}
			return v, err
		})
	})
}

type verification func(t *testing.T, svc *auth.Service, issued *auth.Issued) error

// bothWays runs a scenario with each way in which a code for the verification of an address is used: by the statement
// that counts the attempt, and in a transaction that comes after it.
func bothWays(run func(t *testing.T, k *kit, verify verification)) func(t *testing.T, k *kit) {
	return func(t *testing.T, k *kit) {
		run(t, k, func(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
			return verifyCode(t, svc, schematype.OTPEmailVerification, issued)
		})
		run(t, k, verifyEmail)
	}
}

var codeRaces = []scenario{
	{name: "one of 64 verifications of a code succeeds", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.MaxAttempts, c.OTP.Budget = 64, 1 })
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		errs := atOnce(64, func(int) error {
			return verify(t, svc, issued)
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCode))
		require.Equal(t, k.clock.Now().Truncate(time.Microsecond),
			k.newestCode(t, email, schematype.OTPEmailVerification).UsedAt.UTC())
	})},
	{name: "50 wrong guesses at once examine no more than the code allows",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			errs := atOnce(50, func(int) error {
				return verify(t, svc, wrong(issued))
			})
			require.Zero(t, winners(t, errs, auth.ErrCode))
			examined := 0
			for _, err := range errs {
				var wrong *auth.CodeError
				if errors.As(err, &wrong) {
					examined++
				}
			}
			require.Equal(t, 5, examined)
			row := k.newestCode(t, email, schematype.OTPEmailVerification)
			require.EqualValues(t, 5, row.Attempts)
			require.ErrorIs(t, verify(t, svc, issued), auth.ErrCode)
		})},
	{name: "a code that is replaced while it is verified does not outlive its successor",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.email()
			older := issue(t, svc, email, schematype.OTPSignIn)
			k.clock.Advance(time.Minute)
			var newer *auth.Issued
			verified, issued := both(
				func() error { return verifyCode(t, svc, schematype.OTPSignIn, older) },
				func() (err error) {
					newer, err = resend(t, svc, older, schematype.OTPSignIn)
					return err
				},
			)
			require.NoError(t, issued)
			winners(t, []error{verified}, auth.ErrCode)
			require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, older), auth.ErrCode)
			require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, newer))
		}},
}

var codeRules = []scenario{
	{name: "a code is right once, until it expires, and not after the one in its place",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email

			first := issue(t, svc, email, schematype.OTPEmailVerification)
			require.NoError(t, verify(t, svc, first))
			require.ErrorIs(t, verify(t, svc, first), auth.ErrCode)

			k.clock.Advance(time.Minute)
			second := issue(t, svc, email, schematype.OTPEmailVerification)
			k.clock.Advance(time.Minute)
			third, err := resend(t, svc, second, schematype.OTPEmailVerification)
			require.NoError(t, err)
			require.ErrorIs(t, verify(t, svc, second), auth.ErrCode)
			require.NoError(t, verify(t, svc, third))

			k.clock.Advance(time.Minute)
			fourth := issue(t, svc, email, schematype.OTPEmailVerification)
			k.clock.Set(fourth.ExpiresAt)
			require.ErrorIs(t, verify(t, svc, fourth), auth.ErrCode)
			require.Zero(t, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
			k.clock.Advance(-time.Microsecond)
			require.NoError(t, verify(t, svc, fourth))
		})},
	{name: "a code expires between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		k.afterAttempt(func() { k.clock.Set(issued.ExpiresAt) })
		require.ErrorIs(t, verifyEmail(t, svc, issued), auth.ErrCode)
	}},
	{name: "a code is used between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		for kind, use := range map[schematype.OTPType]verification{
			schematype.OTPEmailVerification: verifyEmail, schematype.OTPPasswordReset: resetPassword,
		} {
			issued := issue(t, svc, email, kind)
			k.afterAttempt(func() { assert.NoError(t, use(t, svc, issued)) })
			require.ErrorIs(t, use(t, svc, issued), auth.ErrCode, kind)
		}
	}},
	{name: "a code is replaced between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		older := issue(t, svc, email, schematype.OTPEmailVerification)
		k.clock.Advance(time.Minute)
		var newer *auth.Issued
		k.afterAttempt(func() {
			var err error
			newer, err = resend(t, svc, older, schematype.OTPEmailVerification)
			assert.NoError(t, err)
		})
		require.ErrorIs(t, verifyEmail(t, svc, older), auth.ErrCode)
		require.NoError(t, verifyEmail(t, svc, newer))
	}},
	{name: "a wrong code tells how many attempts are left",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			for left := 4; left >= 0; left-- {
				var refused *auth.CodeError
				require.ErrorAs(t, verify(t, svc, wrong(issued)), &refused)
				assert.Equal(t, left, refused.AttemptsLeft)
			}
			require.ErrorIs(t, verify(t, svc, issued), auth.ErrCode)
		})},
	{name: "a wrong code is answered alike in every state of the account", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx := t.Context()
		suspended, locked := k.register(t, svc), k.register(t, svc)
		require.NoError(t, svc.Suspend(ctx, suspended.ID, auth.Forever))
		k.lock(t, locked.ID, k.clock.Now().Add(year))
		emails := map[string]string{"active": k.register(t, svc).Email, "none": k.email(), "suspended": suspended.Email,
			"suspended by another program": locked.Email}
		if have(deletion) {
			deleted := k.register(t, svc)
			require.NoError(t, only(svc.Delete(ctx, deleted.ID)))
			emails["deleted"] = deleted.Email
		}
		ways := map[schematype.OTPType]verification{
			schematype.OTPEmailVerification: verifyEmail,
			schematype.OTPPasswordReset:     resetPassword,
			schematype.OTPPasswordChange: func(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
				return verifyCode(t, svc, schematype.OTPPasswordChange, issued)
			},
			schematype.OTPSignIn: func(t *testing.T, svc *auth.Service, issued *auth.Issued) error {
				_, err := signInWithCode(t, svc, issued)
				return err
			},
		}
		for state, email := range emails {
			for kind, verify := range ways {
				issued := issue(t, svc, email, kind)
				for left := 4; left >= -1; left-- {
					err := verify(t, svc, wrong(issued))
					require.ErrorIs(t, err, auth.ErrCode)
					var refused *auth.CodeError
					told := errors.As(err, &refused)
					if assert.Equal(t, left >= 0, told, "%s of %s: %v", kind, state, err) && told {
						assert.Equal(t, left, refused.AttemptsLeft, "%s of %s", kind, state)
					}
				}
			}
		}
	}},
	{name: "a refused code is not counted", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		require.NoError(t, verify(t, svc, issued))
		var refused *auth.CodeError
		err := verify(t, svc, wrong(issued))
		require.ErrorIs(t, err, auth.ErrCode)
		require.False(t, errors.As(err, &refused), "it has no attempts left to tell")
		assert.EqualValues(t, 1, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
	})},
	{name: "an attempt is counted for its own code", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t)
		email, other := k.register(t, svc).Email, k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		issue(t, svc, other, schematype.OTPEmailVerification)
		require.ErrorIs(t, verify(t, svc, wrong(issued)), auth.ErrCode)
		assert.EqualValues(t, 1, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
		assert.Zero(t, k.newestCode(t, other, schematype.OTPEmailVerification).Attempts)
	})},
	{name: "the last attempt that is allowed may be right",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			for range 4 {
				require.ErrorIs(t, verify(t, svc, wrong(issued)), auth.ErrCode)
			}
			require.NoError(t, verify(t, svc, issued))
		})},
	{name: "a code is of one address, one purpose and one request", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, email, other := t.Context(), k.email(), k.email()
		signin := issue(t, svc, email, schematype.OTPSignIn)
		reset := issue(t, svc, email, schematype.OTPPasswordReset)
		theirs := issue(t, svc, other, schematype.OTPSignIn)
		k.clock.Advance(time.Minute)
		again := issue(t, svc, email, schematype.OTPSignIn)

		with := func(ticket, code *auth.Issued) *auth.Issued {
			return &auth.Issued{Ticket: ticket.Ticket, Code: code.Code}
		}
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, with(theirs, signin)), auth.ErrCode)
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, with(again, signin)), auth.ErrCode)
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPPasswordReset, with(reset, signin)), auth.ErrCode)
		for range 5 { // which are no guesses at it
			require.ErrorIs(t, verifyCode(t, svc, schematype.OTPPasswordReset, signin), auth.ErrCode)
			require.ErrorIs(t, verifyCode(t, svc, schematype.OTPEmailVerification, signin), auth.ErrCode)
		}
		require.ErrorIs(t, svc.VerifyCode(ctx, schematype.OTPSignIn, auth.Token{}, signin.Code), auth.ErrCode)

		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, again))
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, signin), "what others request leaves it")
		require.NoError(t, verifyCode(t, svc, schematype.OTPPasswordReset, reset))

		// Whoever can write rows cannot move a code to another address or request either.
		k.clock.Advance(time.Minute)
		signin = issue(t, svc, email, schematype.OTPSignIn)
		stolen := k.newestCode(t, email, schematype.OTPSignIn).OtpHashCode
		require.NoError(t, k.client.OTP.Update().Where(otp.Email(other)).SetOtpHashCode(stolen).Exec(ctx))
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, with(theirs, signin)), auth.ErrCode)
		require.NoError(t, k.client.OTP.Update().Where(otp.TicketHash(*k.newestCode(t, email, schematype.OTPSignIn).
			TicketHash)).SetEmail(other).Exec(ctx))
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, signin), auth.ErrCode)
		again = issue(t, svc, email, schematype.OTPSignIn)
		moved := otp.ID(k.newestCode(t, email, schematype.OTPSignIn).ID)
		mine := issue(t, svc, email, schematype.OTPSignIn)
		stolen = k.newestCode(t, email, schematype.OTPSignIn).OtpHashCode
		require.NoError(t, k.client.OTP.Update().Where(moved).SetOtpHashCode(stolen).Exec(ctx))
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, with(again, mine)), auth.ErrCode)
	}},
	{name: "a code that follows a ticket ends the one of the same address and purpose alone",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.email()
			first := issue(t, svc, email, schematype.OTPSignIn)
			reset, err := resend(t, svc, first, schematype.OTPPasswordReset)
			require.NoError(t, err)
			_, err = resend(t, svc, &auth.Issued{Ticket: first.Ticket, Email: k.email()}, schematype.OTPSignIn)
			require.NoError(t, err)
			bystander := issue(t, svc, email, schematype.OTPSignIn)
			_, err = resend(t, svc, bystander, schematype.OTPSignIn)
			require.NoError(t, err)
			require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, bystander), auth.ErrCode)
			require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, first))
			require.NoError(t, verifyCode(t, svc, schematype.OTPPasswordReset, reset))
		}},
	{name: "a code without a ticket is that of no request", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		issued := issue(t, svc, k.email(), schematype.OTPSignIn)
		require.NoError(t, k.client.OTP.Update().ClearTicketHash().Exec(t.Context()))
		require.ErrorIs(t, verifyCode(t, svc, schematype.OTPSignIn, issued), auth.ErrCode)
		require.ErrorIs(t, svc.VerifyCode(t.Context(), schematype.OTPSignIn, auth.Token{}, issued.Code), auth.ErrCode)
	}},
	{name: "a code of an account that is suspended is refused, and counts again afterwards",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			u, other := k.register(t, svc), k.register(t, svc)
			issued := issue(t, svc, u.Email, schematype.OTPEmailVerification)
			theirs := issue(t, svc, other.Email, schematype.OTPEmailVerification)
			require.NoError(t, svc.Suspend(t.Context(), u.ID, k.clock.Now().Add(time.Minute)))
			require.ErrorIs(t, verify(t, svc, issued), auth.ErrCode)
			require.NoError(t, verify(t, svc, theirs))
			k.clock.Advance(time.Minute)
			require.NoError(t, verify(t, svc, issued))
			k.lock(t, u.ID, k.clock.Now().Add(time.Hour))
			k.clock.Advance(time.Minute)
			issued = issue(t, svc, u.Email, schematype.OTPEmailVerification)
			require.ErrorIs(t, verify(t, svc, issued), auth.ErrCode, "another program's suspension")
		})},
	{name: "mail carries links once the budget of guesses is spent", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u, unknown := k.register(t, svc), k.email()
		for range 10 { // of 5 guesses each
			require.False(t, issue(t, svc, u.Email, schematype.OTPSignIn).Link)
			k.clock.Advance(20 * time.Minute)
		}
		require.EqualValues(t, 50, k.user(t, u.ID).GuessFailures)
		link := issue(t, svc, u.Email, schematype.OTPSignIn)
		assert.True(t, link.Link)
		assert.Len(t, link.Code.Reveal(), 43)
		assert.True(t, k.newestCode(t, u.Email, schematype.OTPSignIn).IsLink)
		assert.EqualValues(t, 50, k.user(t, u.ID).GuessFailures, "a link is no guess")
		assert.False(t, issue(t, svc, unknown, schematype.OTPSignIn).Link)
		_, err := signInWithCode(t, svc, link)
		require.NoError(t, err)
	}},
	{name: "keys rotate: a new one in front, the old one accepted until it is dropped",
		run: func(t *testing.T, k *kit) {
			oldKey, newKey := key, []byte("another key that has 32 bytes or more")
			with := func(keys ...[]byte) *auth.Service {
				return k.service(t, func(c *auth.Config) { c.Keys = auth.NewKeys(keys...) })
			}
			before, during, after := with(oldKey), with(newKey, oldKey), with(newKey)
			email := k.email()

			issued := issue(t, before, email, schematype.OTPSignIn)
			require.ErrorIs(t, verifyCode(t, after, schematype.OTPSignIn, issued), auth.ErrCode)
			require.NoError(t, verifyCode(t, during, schematype.OTPSignIn, issued))
			k.clock.Advance(time.Minute)
			issued = issue(t, during, email, schematype.OTPSignIn)
			require.ErrorIs(t, verifyCode(t, before, schematype.OTPSignIn, issued), auth.ErrCode)
			require.NoError(t, verifyCode(t, after, schematype.OTPSignIn, issued))
		}},
	{name: "a code without an active account is issued and worth nothing",
		needs: deletion, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			ctx, unknown := t.Context(), k.email()
			deleted, suspended := k.registerVerified(t, svc), k.register(t, svc)
			require.NoError(t, only(svc.Delete(ctx, deleted.ID)))
			require.NoError(t, svc.Suspend(ctx, suspended.ID, auth.Forever))

			for _, email := range []string{unknown, deleted.Email, suspended.Email} {
				issued := issue(t, svc, email, schematype.OTPEmailVerification)
				assert.Equal(t, email == suspended.Email, issued.Known)
				assert.ErrorIs(t, verifyEmail(t, svc, issued), auth.ErrCode)
				issued = issue(t, svc, email, schematype.OTPPasswordReset)
				assert.ErrorIs(t, resetPassword(t, svc, issued), auth.ErrCode)
				issued = issue(t, svc, email, schematype.OTPPasswordChange)
				assert.ErrorIs(t, changeTo(t, svc, issued, nextPassword), auth.ErrCode)
				_, err := signInWithCode(t, svc, issue(t, svc, email, schematype.OTPSignIn))
				assert.ErrorIs(t, err, auth.ErrCode)
			}
			assert.True(t, k.user(t, deleted.ID).IsDeleted)
			assert.False(t, k.user(t, suspended.ID).IsEmailVerified)
		}},
	{name: "a code signs in and verifies the address", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPSignIn)
		assert.True(t, issued.Known)
		g, err := signInWithCode(t, svc, issued)
		require.NoError(t, err)
		assert.True(t, g.User.EmailVerified)
		_, _, err = svc.CheckSession(ctx, g.Token)
		require.NoError(t, err)
		_, err = signInWithCode(t, svc, issued)
		require.ErrorIs(t, err, auth.ErrCode)
	}},
	{name: "a password that the policy refuses costs no attempt", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPPasswordReset)
		var short *auth.PasswordError
		require.ErrorAs(t, resetTo(t, svc, issued, "short"), &short)
		assert.Zero(t, k.newestCode(t, u.Email, schematype.OTPPasswordReset).Attempts)
		require.NoError(t, resetPassword(t, svc, issued))
	}},
}
