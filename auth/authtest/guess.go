package authtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// guessCode makes wrong guesses at a code until it takes no more, and returns how many were examined. None is made at
// a link.
func guessCode(t *testing.T, issued *auth.Issued, use func(*auth.Issued) error) (examined int) {
	t.Helper()
	if issued.Link {
		return 0
	}
	for {
		err := use(wrong(issued))
		require.ErrorIs(t, err, auth.ErrCode)
		var counted *auth.CodeError
		if !errors.As(err, &counted) {
			return examined
		}
		examined++
	}
}

// guessPasswords guesses for as long as passwords of strangers are examined, and returns how many were. It waits for
// locks to end.
func (k *kit) guessPasswords(t *testing.T, svc *auth.Service, email string) (examined int) {
	t.Helper()
	for {
		_, err := svc.SignIn(t.Context(), email, wrongPassword, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		var locked *auth.LockedError
		switch {
		case !errors.As(err, &locked):
			examined++
		case locked.Until.IsZero():
			return examined
		default:
			k.clock.Set(locked.Until)
		}
	}
}

// squatterWays are the ways in that whoever made an account has without reading its mail. Of two services the second
// asks for a second step.
func squatterWays(
	t *testing.T, k *kit, svc, twoSteps *auth.Service,
) map[string]func(*testing.T, squat) (*auth.Grant, error) {
	ctx := t.Context()
	ways := map[string]func(*testing.T, squat) (*auth.Grant, error){
		"a password": func(_ *testing.T, s squat) (*auth.Grant, error) {
			return svc.SignIn(ctx, s.User.Email, password, phone)
		},
		"a password at a known device": func(_ *testing.T, s squat) (*auth.Grant, error) {
			return svc.SignIn(ctx, s.User.Email, password, from(s.Token))
		},
		"a provider": func(t *testing.T, s squat) (*auth.Grant, error) {
			id := identity("squatter of "+s.User.Email, k.email())
			id.EmailVerified = false
			require.NoError(t, svc.LinkProvider(ctx, s.Token, id))
			return svc.SignInWithProvider(ctx, id, phone)
		},
		"a change of the password": func(_ *testing.T, s squat) (*auth.Grant, error) {
			_, err := svc.ChangePassword(ctx, s.User.ID, password, password, from(s.Token))
			return s.Grant, err
		},
		"a reactivation": func(t *testing.T, s squat) (*auth.Grant, error) {
			require.NoError(t, only(svc.Delete(ctx, s.User.ID)))
			g, err := svc.Reactivate(ctx, s.User.Email, password, phone)
			if err != nil {
				require.NoError(t, svc.Restore(ctx, s.User.ID))
			}
			return g, err
		},
		"a second step": func(_ *testing.T, s squat) (*auth.Grant, error) {
			_, err := twoSteps.SignIn(ctx, s.User.Email, password, phone)
			var pending *auth.SecondStepError
			if !errors.As(err, &pending) {
				return nil, err
			}
			return twoSteps.FinishWithFactor(ctx, pending.Ticket, rightAnswer, phone)
		},
	}
	return possible(possible(ways, links, "a provider"), deletion, "a reactivation")
}

// guessRules bound what can be guessed at an account in a row, over all ways.
var guessRules = []scenario{
	{name: "no more than 100 guesses in a row follow a success, over passwords, codes and the second step",
		run: func(t *testing.T, k *kit) {
			svc, factor := k.twoSteps(t)
			ctx, u := t.Context(), k.registerVerified(t, svc)
			k.clock.Advance(time.Hour)
			first := func() auth.Token {
				g, err := svc.SignIn(ctx, u.Email, password, phone)
				return half(t, g, err).Ticket
			}
			step, err := svc.IssueCode(ctx,
				auth.CodeRequest{Kind: schematype.OTPSignIn, Device: anybody(), Ticket: first()})
			require.NoError(t, err)
			var open, changes []*auth.Issued
			for range 5 {
				open = append(open, issue(t, svc, u.Email, schematype.OTPSignIn))
			}
			_, err = issueCode(t, svc, u.Email, schematype.OTPSignIn)
			require.Error(t, err, "these are all the mails")
			for range 4 {
				changes = append(changes, startChange(t, svc, u.ID, k.email()))
			}
			success := first()
			require.NoError(t, only(svc.FinishWithFactor(ctx, success, rightAnswer, phone)))

			asked, examined, pending := factor.Asked(), 0, first()
			for err := error(nil); !errors.Is(err, auth.ErrCredentials); {
				_, err = svc.FinishWithFactor(ctx, pending, wrongAnswer, phone)
				require.Error(t, err)
			}
			examined += factor.Asked() - asked
			examined += guessCode(t, step, func(issued *auth.Issued) error {
				return only(svc.FinishWithCode(ctx, issued.Ticket, issued.Code, phone))
			})
			for _, code := range open {
				examined += guessCode(t, code, func(issued *auth.Issued) error {
					return only(signInWithCode(t, svc, issued))
				})
			}
			for _, change := range changes {
				examined += guessCode(t, change, func(issued *auth.Issued) error {
					return only(finishChange(t, svc, issued, auth.Token{}))
				})
			}
			examined += k.guessPasswords(t, svc, u.Email)
			require.LessOrEqual(t, examined, 100)
			require.Greater(t, examined, 90, "this would find more")
			k.clock.Advance(time.Hour)
			require.True(t, issue(t, svc, u.Email, schematype.OTPSignIn).Link, "no code is left to guess at")
		}},
	{name: "nobody guesses at the code for an address by signing in to an account that is theirs without it",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			twoSteps, _ := k.twoSteps(t)
			for way, enter := range squatterWays(t, k, svc, twoSteps) {
				s := k.squat(t, svc)
				examined := 0
				for range 14 {
					if g, err := enter(t, s); err == nil {
						s.Grant = g
					} else {
						require.ErrorIs(t, err, auth.ErrCredentials, way)
					}
					for _, d := range []auth.Device{anybody(), from(s.Token)} {
						issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{
							Email: s.User.Email, Kind: schematype.OTPEmailVerification, Device: d, Ticket: s.ticket,
						})
						require.NoError(t, err, way)
						examined += guessCode(t, issued, func(issued *auth.Issued) error {
							return verifyEmail(t, svc, issued)
						})
					}
					k.clock.Advance(31 * time.Minute)
				}
				assert.LessOrEqual(t, examined, 50, way)
				require.NoError(t, firstProofs()["VerifyEmail"](t, svc, s.User.Email, s.ticket, anybody()), way)
			}
		}},
	{name: "right passwords to an account without a verified address cost it nothing", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, u := t.Context(), k.register(t, svc)
		_ = guess(t, svc, u.Email, phone, 3)
		for range 60 {
			signIn(t, svc, u.Email)
			require.NoError(t, only(svc.ChangePassword(ctx, u.ID, password, password, phone)))
		}
		row := k.user(t, u.ID)
		assert.EqualValues(t, 3, row.GuessFailures, "those of others stay")
		assert.Zero(t, row.FailedLoginAttempts)
		_ = guess(t, svc, u.Email, phone, 9)
		signIn(t, svc, u.Email)

		_, err := signInWithCode(t, svc, issue(t, svc, u.Email, schematype.OTPSignIn))
		require.NoError(t, err)
		assert.Zero(t, k.user(t, u.ID).GuessFailures, "whoever reads the mail starts the count again")
	}},
	{name: "a right password beside a code is taken out of the count as the code is used", run: func(
		t *testing.T, k *kit,
	) {
		svc := k.service(t)
		s := k.squat(t, svc)
		issued := issue(t, svc, s.User.Email, schematype.OTPEmailVerification)
		before := k.user(t, s.User.ID).GuessFailures
		k.client.OTP.Use(onCommit(func(ctx context.Context, tx *ent.Tx, next ent.Committer) error {
			err := next.Commit(ctx, tx)
			assert.Equal(t, before, k.user(t, s.User.ID).GuessFailures)
			return err
		}))
		require.NoError(t, svc.VerifyEmail(t.Context(), auth.Verification{
			Ticket: issued.Ticket, Code: issued.Code, Device: anybody(), Password: password,
		}))
		assert.Equal(t, before, k.user(t, s.User.ID).GuessFailures)
	}},
	{name: "a lock that a right password helped to cause ends as it is taken out of the count", run: func(
		t *testing.T, k *kit,
	) {
		h := NewHasher()
		svc, _ := k.twoSteps(t, func(c *auth.Config) { c.Hasher, c.Lockout.MaxFailures = h, 1 })
		u := k.register(t, svc)
		h.Before = func() {
			h.Before = nil
			_ = guess(t, svc, u.Email, phone, 1)
			assert.NotNil(t, k.user(t, u.ID).LockUntil)
		}
		for range 2 {
			g, err := svc.SignIn(t.Context(), u.Email, password, phone)
			_ = half(t, g, err)
			require.Nil(t, k.user(t, u.ID).LockUntil)
		}
	}},
	{name: "guesses at the codes of a deleted account are its own", needs: deletion, run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		u := k.registerVerified(t, svc)
		require.NoError(t, only(svc.Delete(t.Context(), u.ID)))
		examined := 0
		for range 14 {
			k.clock.Advance(time.Hour)
			issued := issue(t, svc, u.Email, schematype.OTPSignIn)
			assert.False(t, issued.Known)
			examined += guessCode(t, issued, func(issued *auth.Issued) error {
				return verifyCode(t, svc, schematype.OTPSignIn, issued)
			})
		}
		assert.LessOrEqual(t, examined, 50)
		link := issue(t, svc, u.Email, schematype.OTPSignIn)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, link), "whoever reads the mail comes back")
		require.NoError(t, svc.Restore(t.Context(), u.ID))
		_, err := signInWithCode(t, svc, issue(t, svc, u.Email, schematype.OTPSignIn))
		require.NoError(t, err)
		assert.Zero(t, k.user(t, u.ID).GuessFailures)
	}},
}
