package authtest

import (
	"context"
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
	issued, err := svc.IssueCode(t.Context(), email, kind)
	require.NoError(t, err)
	return issued
}

// otherCode is a code of the same length that is not c.
func otherCode(c auth.Code) auth.Code {
	digits := []byte(c.Reveal())
	digits[0] = '0' + (digits[0]-'0'+1)%10
	return auth.ParseCode(string(digits))
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

type verification func(svc *auth.Service, email string, c auth.Code) error

// bothWays runs a scenario with each way in which a code for the verification of an address is used: by the statement
// that counts the attempt, and in a transaction that comes after it.
func bothWays(run func(t *testing.T, k *kit, verify verification)) func(t *testing.T, k *kit) {
	return func(t *testing.T, k *kit) {
		run(t, k, func(svc *auth.Service, email string, c auth.Code) error {
			return svc.VerifyCode(t.Context(), email, schematype.OTPEmailVerification, c)
		})
		run(t, k, func(svc *auth.Service, email string, c auth.Code) error {
			return svc.VerifyEmail(t.Context(), email, c)
		})
	}
}

var codeRaces = []scenario{
	{name: "one of 64 verifications of a code succeeds", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.MaxAttempts = 64 })
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		errs := atOnce(64, func(int) error {
			return verify(svc, email, issued.Code)
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
				return verify(svc, email, otherCode(issued.Code))
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
			require.ErrorIs(t, verify(svc, email, issued.Code), auth.ErrCode)
		})},
	{name: "of 32 calls for a code at once one gets it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		codes := make([]*auth.Issued, 32)
		one := func() {
			errs := atOnce(len(codes), func(i int) (err error) {
				codes[i], err = svc.IssueCode(t.Context(), email, schematype.OTPSignIn)
				var soon *auth.TooSoonError
				if errors.As(err, &soon) {
					return errTooSoon
				}
				return err
			})
			require.Equal(t, 1, winners(t, errs, errTooSoon))
		}
		one()
		k.clock.Advance(time.Minute)
		one()
		for _, c := range codes {
			if c != nil {
				require.NoError(t, svc.VerifyCode(t.Context(), email, schematype.OTPSignIn, c.Code))
			}
		}
		n, err := k.client.OTP.Query().Where(otp.Email(email)).Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, n)
	}},
	{name: "a code that is replaced while it is verified does not outlive its successor",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.email()
			older := issue(t, svc, email, schematype.OTPSignIn)
			k.clock.Advance(time.Minute)
			var newer *auth.Issued
			verified, issued := both(
				func() error { return svc.VerifyCode(t.Context(), email, schematype.OTPSignIn, older.Code) },
				func() (err error) {
					newer, err = svc.IssueCode(t.Context(), email, schematype.OTPSignIn)
					return err
				},
			)
			require.NoError(t, issued)
			winners(t, []error{verified}, auth.ErrCode)
			require.ErrorIs(t, svc.VerifyCode(t.Context(), email, schematype.OTPSignIn, older.Code), auth.ErrCode)
			require.NoError(t, svc.VerifyCode(t.Context(), email, schematype.OTPSignIn, newer.Code))
		}},
}

// errTooSoon stands for every [auth.TooSoonError].
var errTooSoon = errors.New("too soon")

var codeRules = []scenario{
	{name: "a code is right once, until it expires, and not after a newer one",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email

			first := issue(t, svc, email, schematype.OTPEmailVerification)
			require.NoError(t, verify(svc, email, first.Code))
			require.ErrorIs(t, verify(svc, email, first.Code), auth.ErrCode)

			k.clock.Advance(time.Minute)
			second := issue(t, svc, email, schematype.OTPEmailVerification)
			k.clock.Advance(time.Minute)
			third := issue(t, svc, email, schematype.OTPEmailVerification)
			require.ErrorIs(t, verify(svc, email, second.Code), auth.ErrCode)
			require.NoError(t, verify(svc, email, third.Code))

			k.clock.Advance(time.Minute)
			fourth := issue(t, svc, email, schematype.OTPEmailVerification)
			k.clock.Set(fourth.ExpiresAt)
			require.ErrorIs(t, verify(svc, email, fourth.Code), auth.ErrCode)
			require.Zero(t, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
			k.clock.Advance(-time.Microsecond)
			require.NoError(t, verify(svc, email, fourth.Code))
		})},
	{name: "a code expires between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		k.afterAttempt(func() { k.clock.Set(issued.ExpiresAt) })
		require.ErrorIs(t, svc.VerifyEmail(t.Context(), email, issued.Code), auth.ErrCode)
	}},
	{name: "a code is used between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		verify := func() error { return svc.VerifyEmail(t.Context(), email, issued.Code) }
		k.afterAttempt(func() { assert.NoError(t, verify()) })
		require.ErrorIs(t, verify(), auth.ErrCode)
	}},
	{name: "a code is replaced between the attempt and its use", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		older := issue(t, svc, email, schematype.OTPEmailVerification)
		k.clock.Advance(time.Minute)
		var newer *auth.Issued
		k.afterAttempt(func() { newer = issue(t, svc, email, schematype.OTPEmailVerification) })
		require.ErrorIs(t, svc.VerifyEmail(t.Context(), email, older.Code), auth.ErrCode)
		require.NoError(t, svc.VerifyEmail(t.Context(), email, newer.Code))
	}},
	{name: "a wrong code tells how many attempts are left",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			for left := 4; left >= 0; left-- {
				var wrong *auth.CodeError
				require.ErrorAs(t, verify(svc, email, otherCode(issued.Code)), &wrong)
				assert.Equal(t, left, wrong.AttemptsLeft)
			}
			require.ErrorIs(t, verify(svc, email, issued.Code), auth.ErrCode)
		})},
	{name: "a refused code is not counted", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t)
		email := k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		require.NoError(t, verify(svc, email, issued.Code))
		var wrong *auth.CodeError
		err := verify(svc, email, otherCode(issued.Code))
		require.ErrorIs(t, err, auth.ErrCode)
		require.False(t, errors.As(err, &wrong), "it has no attempts left to tell")
		assert.EqualValues(t, 1, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
	})},
	{name: "an attempt is counted for its own code", run: bothWays(func(t *testing.T, k *kit, verify verification) {
		svc := k.service(t)
		email, other := k.register(t, svc).Email, k.register(t, svc).Email
		issued := issue(t, svc, email, schematype.OTPEmailVerification)
		issue(t, svc, other, schematype.OTPEmailVerification)
		require.ErrorIs(t, verify(svc, email, otherCode(issued.Code)), auth.ErrCode)
		assert.EqualValues(t, 1, k.newestCode(t, email, schematype.OTPEmailVerification).Attempts)
		assert.Zero(t, k.newestCode(t, other, schematype.OTPEmailVerification).Attempts)
	})},
	{name: "the last attempt that is allowed may be right",
		run: bothWays(func(t *testing.T, k *kit, verify verification) {
			svc := k.service(t)
			email := k.register(t, svc).Email
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			for range 4 {
				require.ErrorIs(t, verify(svc, email, otherCode(issued.Code)), auth.ErrCode)
			}
			require.NoError(t, verify(svc, email, issued.Code))
		})},
	{name: "cooldown and budget hold over resends", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, email := t.Context(), k.email()
		start := k.clock.Now().Truncate(time.Microsecond)
		var last *auth.Issued
		for range 5 {
			last = issue(t, svc, email, schematype.OTPSignIn)
			k.clock.Set(last.RetryAt.Add(-time.Microsecond))
			var soon *auth.TooSoonError
			_, err := svc.IssueCode(ctx, email, schematype.OTPSignIn)
			require.ErrorAs(t, err, &soon)
			assert.Equal(t, last.RetryAt, soon.RetryAt.UTC())
			k.clock.Advance(time.Microsecond)
		}
		var soon *auth.TooSoonError
		_, err := svc.IssueCode(ctx, email, schematype.OTPSignIn)
		require.ErrorAs(t, err, &soon)
		assert.Equal(t, start.Add(time.Hour), soon.RetryAt.UTC())
		require.NoError(t, svc.VerifyCode(ctx, email, schematype.OTPSignIn, last.Code),
			"a refusal leaves the code that was sent")

		k.clock.Set(soon.RetryAt.Add(-time.Microsecond))
		_, err = svc.IssueCode(ctx, email, schematype.OTPSignIn)
		require.ErrorAs(t, err, &soon)
		k.clock.Advance(time.Microsecond)
		issue(t, svc, email, schematype.OTPSignIn)
	}},
	{name: "a code is of one address and one purpose", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, email, other := t.Context(), k.email(), k.email()
		signin := issue(t, svc, email, schematype.OTPSignIn)
		reset := issue(t, svc, email, schematype.OTPPasswordReset)
		issue(t, svc, other, schematype.OTPSignIn)

		require.ErrorIs(t, svc.VerifyCode(ctx, other, schematype.OTPSignIn, signin.Code), auth.ErrCode)
		require.ErrorIs(t, svc.VerifyCode(ctx, email, schematype.OTPPasswordReset, signin.Code), auth.ErrCode)
		require.ErrorIs(t, svc.VerifyCode(ctx, email, schematype.OTPEmailVerification, signin.Code), auth.ErrCode)

		require.NoError(t, svc.VerifyCode(ctx, email, schematype.OTPSignIn, signin.Code))
		require.NoError(t, svc.VerifyCode(ctx, email, schematype.OTPPasswordReset, reset.Code))

		// Whoever can write rows cannot move a code to another address either.
		stolen := k.newestCode(t, email, schematype.OTPSignIn).OtpHashCode
		require.NoError(t, k.client.OTP.Update().Where(otp.Email(other)).SetOtpHashCode(stolen).Exec(ctx))
		require.ErrorIs(t, svc.VerifyCode(ctx, other, schematype.OTPSignIn, signin.Code), auth.ErrCode)
	}},
	{name: "keys rotate: a new one in front, the old one accepted until it is dropped",
		run: func(t *testing.T, k *kit) {
			oldKey, newKey := key, []byte("another key that has 32 bytes or more")
			with := func(keys ...[]byte) *auth.Service {
				return k.service(t, func(c *auth.Config) { c.Keys = auth.NewKeys(keys...) })
			}
			before, during, after := with(oldKey), with(newKey, oldKey), with(newKey)
			ctx, email := t.Context(), k.email()

			issued := issue(t, before, email, schematype.OTPSignIn)
			require.ErrorIs(t, after.VerifyCode(ctx, email, schematype.OTPSignIn, issued.Code), auth.ErrCode)
			require.NoError(t, during.VerifyCode(ctx, email, schematype.OTPSignIn, issued.Code))
			k.clock.Advance(time.Minute)
			issued = issue(t, during, email, schematype.OTPSignIn)
			require.ErrorIs(t, before.VerifyCode(ctx, email, schematype.OTPSignIn, issued.Code), auth.ErrCode)
			require.NoError(t, after.VerifyCode(ctx, email, schematype.OTPSignIn, issued.Code))
		}},
	{name: "a code without an active account is issued and worth nothing", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, unknown := t.Context(), k.email()
		deleted, suspended := k.register(t, svc), k.register(t, svc)
		require.NoError(t, svc.Delete(ctx, deleted.ID))
		require.NoError(t, svc.Suspend(ctx, suspended.ID, auth.Forever))

		for _, email := range []string{unknown, deleted.Email, suspended.Email} {
			issued := issue(t, svc, email, schematype.OTPEmailVerification)
			assert.Equal(t, email == suspended.Email, issued.Known)
			assert.ErrorIs(t, svc.VerifyEmail(ctx, email, issued.Code), auth.ErrCode)
			issued = issue(t, svc, email, schematype.OTPPasswordReset)
			assert.ErrorIs(t, svc.ResetPassword(ctx, email, issued.Code, nextPassword), auth.ErrCode)
			issued = issue(t, svc, email, schematype.OTPPasswordChange)
			assert.ErrorIs(t, svc.ChangePasswordWithCode(ctx, email, issued.Code, nextPassword), auth.ErrCode)
			_, err := svc.SignInWithCode(ctx, email, issue(t, svc, email, schematype.OTPSignIn).Code, phone)
			assert.ErrorIs(t, err, auth.ErrCode)
		}
		row, err := k.client.User.Get(ctx, deleted.ID)
		require.NoError(t, err)
		assert.False(t, row.IsEmailVerified)
	}},
	{name: "a code signs in and verifies the address", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPSignIn)
		assert.True(t, issued.Known)
		g, err := svc.SignInWithCode(ctx, u.Email, issued.Code, phone)
		require.NoError(t, err)
		assert.True(t, g.User.EmailVerified)
		_, _, err = svc.CheckSession(ctx, g.Token)
		require.NoError(t, err)
		_, err = svc.SignInWithCode(ctx, u.Email, issued.Code, phone)
		require.ErrorIs(t, err, auth.ErrCode)
	}},
	{name: "VerifyEmail marks the address verified", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u, other := t.Context(), k.register(t, svc), k.register(t, svc)
		theirs := issue(t, svc, other.Email, schematype.OTPEmailVerification)
		require.NoError(t, svc.VerifyEmail(ctx, u.Email, issue(t, svc, u.Email, schematype.OTPEmailVerification).Code))
		assert.True(t, signIn(t, svc, u.Email).User.EmailVerified)
		assert.False(t, k.user(t, other.ID).IsEmailVerified)
		require.NoError(t, svc.VerifyEmail(ctx, other.Email, theirs.Code))
	}},
	{name: "a password that the policy refuses costs no attempt", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPPasswordReset)
		var short *auth.PasswordError
		require.ErrorAs(t, svc.ResetPassword(ctx, u.Email, issued.Code, "short"), &short)
		assert.Zero(t, k.newestCode(t, u.Email, schematype.OTPPasswordReset).Attempts)
		require.NoError(t, svc.ResetPassword(ctx, u.Email, issued.Code, nextPassword))
	}},
}
