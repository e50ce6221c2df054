package authtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

const rightAnswer, wrongAnswer = "the right answer", "a wrong answer"

// twoSteps is a service where everybody needs a second step, and its factor.
func (k *kit) twoSteps(t *testing.T, change ...func(*auth.Config)) (*auth.Service, *Factor) {
	t.Helper()
	factor := NewFactor(rightAnswer)
	svc := k.service(t, append([]func(*auth.Config){func(c *auth.Config) {
		c.SecondStep = auth.SecondStepPolicy{Factor: factor,
			Required: func(context.Context, *auth.User) (bool, error) { return true, nil }}
	}}, change...)...)
	return svc, factor
}

// half is the pending step that a call ended in.
func half(t *testing.T, g *auth.Grant, err error) *auth.SecondStepError {
	t.Helper()
	var pending *auth.SecondStepError
	require.ErrorAs(t, err, &pending)
	require.ErrorIs(t, err, auth.ErrSecondStep)
	require.Nil(t, g)
	return pending
}

// firstSteps are the ways of signing in to a user's account. Each is prepared before it is taken.
func firstSteps(k *kit, svc *auth.Service) map[string]func(*testing.T, *auth.User) func() (*auth.Grant, error) {
	ways := map[string]func(*testing.T, *auth.User) func() (*auth.Grant, error){
		"password": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			return func() (*auth.Grant, error) { return svc.SignIn(t.Context(), u.Email, password, phone) }
		},
		"mail": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			issued := issue(t, svc, u.Email, schematype.OTPSignIn)
			return func() (*auth.Grant, error) { return signInWithCode(t, svc, issued) }
		},
		"linked provider": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			id := identity("subject of "+u.Email, u.Email)
			require.NoError(t, link(t, svc, u.ID, id))
			return func() (*auth.Grant, error) { return svc.SignInWithProvider(t.Context(), id, phone) }
		},
		"provider of the address": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			return func() (*auth.Grant, error) {
				return svc.SignInWithProvider(t.Context(), identity("subject of "+u.Email, u.Email), phone)
			}
		},
		"other provider of the address": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			linked, id := identity("subject of "+u.Email, u.Email), identity("another of "+u.Email, u.Email)
			linked.Provider = schematype.ProviderGitHub
			require.NoError(t, link(t, svc, u.ID, linked))
			return func() (*auth.Grant, error) { return svc.SignInWithProvider(t.Context(), id, phone) }
		},
		"reactivation": func(t *testing.T, u *auth.User) func() (*auth.Grant, error) {
			_, err := svc.Delete(t.Context(), u.ID)
			require.NoError(t, err)
			return func() (*auth.Grant, error) { return svc.Reactivate(t.Context(), u.Email, password, phone) }
		},
	}
	return possible(possible(ways, deletion, "reactivation"), links,
		"linked provider", "provider of the address", "other provider of the address")
}

// byMail are the first steps that show no more than who reads the mail of the address.
var byMail = map[string]bool{"mail": true, "provider of the address": true, "other provider of the address": true}

// voids are the endings that end more than what is live of one device: first steps and the standing of devices, too.
var voids = map[string]bool{
	"RevokeAll": true, "Delete": true, "ChangePassword": true, "ResetPassword": true, "Suspend": true,
}

// wrongAnswers gives n wrong answers and returns the error of the last one.
func wrongAnswers(t *testing.T, svc *auth.Service, ticket auth.Token, d auth.Device, n int) (last error) {
	t.Helper()
	for range n {
		_, last = svc.FinishWithFactor(t.Context(), ticket, wrongAnswer, d)
		require.Error(t, last)
	}
	return last
}

var stepRaces = []scenario{
	{name: "of 16 right answers to one first step one signs in", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		u := k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		errs := atOnce(16, func(int) error {
			_, err := svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			return err
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCode))
		require.Equal(t, 1, k.activeSessions(t, u.ID))
		require.Zero(t, k.user(t, u.ID).StepFailures)
	}},
	{name: "of 8 requests for a code to finish one first step one is answered", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		u := k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		errs := atOnce(8, func(int) error {
			_, err := svc.IssueCode(t.Context(),
				auth.CodeRequest{Kind: schematype.OTPSignIn, Device: anybody(), Ticket: pending.Ticket})
			var soon *auth.TooSoonError
			if errors.As(err, &soon) {
				return fmt.Errorf("%w: %w", errTooSoon, err)
			}
			return err
		})
		require.Equal(t, 1, winners(t, errs, auth.ErrCode, errTooSoon))
	}},
	{name: "64 answers at once over many first steps examine no more than allowed", run: func(t *testing.T, k *kit) {
		svc, factor := k.twoSteps(t)
		u := k.register(t, svc)
		var tickets []auth.Token
		for range 8 {
			g, err := svc.SignIn(t.Context(), u.Email, password, phone)
			tickets = append(tickets, half(t, g, err).Ticket)
		}
		errs := atOnce(64, func(i int) error {
			_, err := svc.FinishWithFactor(t.Context(), tickets[i%len(tickets)], wrongAnswer, phone)
			return err
		})
		require.Zero(t, winners(t, errs, auth.ErrCode, auth.ErrCredentials))
		require.Equal(t, 20, factor.Asked())
		require.EqualValues(t, 20, k.user(t, u.ID).StepFailures)
	}},
	{name: "a reset voids a first step, or ends what it has started", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		u := k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		reset := endings(k, svc)["ResetPassword"](t, &auth.Grant{User: u})
		finished, done := both(
			func() error {
				_, err := svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
				return err
			},
			reset,
		)
		require.NoError(t, done)
		winners(t, []error{finished}, auth.ErrCode)
		require.Zero(t, k.activeSessions(t, u.ID))
		require.Zero(t, k.live(t, u.ID))
	}},
}

var stepRules = []scenario{
	{name: "every way in waits for the second step", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		plain := k.service(t)
		for name, way := range firstSteps(k, svc) {
			u := k.registerVerified(t, svc)
			first := way(t, u)
			before := k.user(t, u.ID)
			_ = guess(t, svc, u.Email, phone, 1)
			g, err := first()
			pending := half(t, g, err)
			assert.Equal(t, u.ID, pending.UserID, name)
			assert.Equal(t, !byMail[name], pending.Mail, name)
			assert.True(t, pending.Factor, name)
			assert.True(t, pending.ExpiresAt.Equal(k.clock.Now().Add(10*time.Minute).Truncate(time.Microsecond)), name)
			require.Zero(t, k.activeSessions(t, u.ID), name)
			require.Zero(t, k.live(t, u.ID), name)
			after := k.user(t, u.ID)
			assert.Equal(t, before.IsDeleted, after.IsDeleted, name)
			assert.Equal(t, before.Provider, after.Provider, name)
			want := before.GuessFailures + 1
			if name == "reactivation" {
				want = before.GuessFailures // guesses at a deleted account are not counted
			}
			assert.Equal(t, want, after.GuessFailures, "%s resets nothing, and is no failure", name)
			assert.Nil(t, after.LastLoginAt, name)

			_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, wrongAnswer, phone)
			require.ErrorIs(t, err, auth.ErrCode, name)
			g, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			require.NoError(t, err, name)
			checked(t, plain, g.Token, nil)
			rotate(t, plain, g.Refresh)
			row := k.user(t, u.ID)
			assert.False(t, row.IsDeleted, name)
			assert.Zero(t, row.GuessFailures, name)
			assert.Zero(t, row.StepFailures, name)
			_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			require.ErrorIs(t, err, auth.ErrCode, "%s is used once", name)
		}
	}},
	{name: "who needs a second step is asked of each user", run: func(t *testing.T, k *kit) {
		var needs string
		svc, _ := k.twoSteps(t, func(c *auth.Config) {
			c.SecondStep.Required = func(_ context.Context, u *auth.User) (bool, error) {
				if u.Email == "" {
					return false, errors.New("nobody")
				}
				return u.Email == needs, nil
			}
		})
		u, other := k.register(t, svc), k.register(t, svc)
		needs = u.Email
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		_ = half(t, g, err)
		signIn(t, svc, other.Email)
	}},
	{name: "whether a second step is needed cannot be left open", run: func(t *testing.T, k *kit) {
		failing := errors.New("the directory is away")
		svc, _ := k.twoSteps(t, func(c *auth.Config) {
			c.SecondStep.Required = func(context.Context, *auth.User) (bool, error) { return false, failing }
		})
		u := k.register(t, svc)
		for range 11 {
			_, err := svc.SignIn(t.Context(), u.Email, password, phone)
			require.ErrorIs(t, err, failing)
		}
		require.Zero(t, k.activeSessions(t, u.ID))
		require.Zero(t, k.user(t, u.ID).GuessFailures, "the password was right")
	}},
	{name: "StartSession and IssueRefresh rest on the caller's own proof", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		u := k.register(t, svc)
		_, _, err := svc.StartSession(t.Context(), u.ID, phone)
		require.NoError(t, err)
		_, err = svc.IssueRefresh(t.Context(), u.ID)
		require.NoError(t, err)
	}},
	{name: "a first step expires, and is worth nothing as a session or a code", run: func(t *testing.T, k *kit) {
		svc, factor := k.twoSteps(t)
		_, u := k.register(t, svc), k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		checked(t, svc, pending.Ticket, auth.ErrSession)
		refused(t, svc, pending.Ticket, auth.ErrRefresh)
		_, err = svc.FinishWithFactor(t.Context(), auth.ParseToken("no such ticket"), rightAnswer, phone)
		require.ErrorIs(t, err, auth.ErrCode)
		k.clock.Set(pending.ExpiresAt)
		_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
		require.ErrorIs(t, err, auth.ErrCode)
		require.Zero(t, factor.Asked(), "its answers are not examined")
		_, err = svc.IssueCode(t.Context(),
			auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: pending.Ticket})
		require.ErrorIs(t, err, auth.ErrCode)
		k.clock.Advance(-time.Microsecond)
		g, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
		require.NoError(t, err)
		require.Equal(t, u.ID, g.User.ID)
		asked := factor.Asked()
		_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
		require.ErrorIs(t, err, auth.ErrCode)
		require.Equal(t, asked, factor.Asked(), "it is used")
	}},
	{name: "a first step of a replica a year ahead is none", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		ahead, _ := k.twoSteps(t, func(c *auth.Config) {
			c.Clock = func() time.Time { return k.clock.Now().Add(year) }
		})
		u := k.register(t, svc)
		g, err := ahead.SignIn(t.Context(), u.Email, password, phone)
		_, err = svc.FinishWithFactor(t.Context(), half(t, g, err).Ticket, rightAnswer, phone)
		require.ErrorIs(t, err, auth.ErrCode)
	}},
	{name: "what ends all of a user voids a first step", run: func(t *testing.T, k *kit) {
		svc, factor := k.twoSteps(t)
		for name, end := range endings(k, svc) {
			if !voids[name] {
				continue
			}
			u := k.register(t, svc)
			g, err := svc.SignIn(t.Context(), u.Email, password, phone)
			pending := half(t, g, err)
			require.NoError(t, end(t, &auth.Grant{User: u})(), name)
			asked := factor.Asked()
			_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			require.ErrorIs(t, err, auth.ErrCode, name)
			require.Equal(t, asked, factor.Asked(), "%s: it is not examined", name)
			_, err = svc.IssueCode(t.Context(),
				auth.CodeRequest{Kind: schematype.OTPSignIn, Device: anybody(), Ticket: pending.Ticket})
			require.ErrorIs(t, err, auth.ErrCode, "%s: nothing is mailed", name)
			require.Zero(t, k.activeSessions(t, u.ID), name)
		}
	}},
	{name: "what ends all of a user while an answer is examined refuses it", run: func(t *testing.T, k *kit) {
		svc, factor := k.twoSteps(t)
		for name, end := range endings(k, svc) {
			if !voids[name] {
				continue
			}
			u := k.register(t, svc)
			g, err := svc.SignIn(t.Context(), u.Email, password, phone)
			pending := half(t, g, err)
			factor.Before = end(t, &auth.Grant{User: u})
			_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			require.ErrorIs(t, err, auth.ErrCode, name)
			require.Zero(t, k.activeSessions(t, u.ID), name)
			require.Zero(t, k.user(t, u.ID).StepFailures, "%s: the answer was right", name)
		}
	}},
	{name: "wrong answers are counted over all first steps, and those of a known device apart",
		run: func(t *testing.T, k *kit) {
			svc, _ := k.twoSteps(t)
			ctx, u := t.Context(), k.register(t, svc)
			device := k.signIn(t, k.service(t))
			_, token, err := svc.StartSession(ctx, u.ID, phone)
			require.NoError(t, err)
			pending := func() auth.Token {
				g, err := svc.SignIn(ctx, u.Email, password, phone)
				return half(t, g, err).Ticket
			}
			for range 4 {
				_ = wrongAnswers(t, svc, pending(), phone, 5)
			}
			var locked *auth.LockedError
			_, err = svc.FinishWithFactor(ctx, pending(), rightAnswer, phone)
			require.ErrorAs(t, err, &locked)
			require.Zero(t, locked.Until)
			_, err = svc.FinishWithFactor(ctx, pending(), rightAnswer, from(device.Token))
			require.ErrorAs(t, err, &locked, "it is known to another account")

			require.ErrorIs(t, wrongAnswers(t, svc, pending(), from(token), 10), auth.ErrCode)
			require.ErrorAs(t, wrongAnswers(t, svc, pending(), from(token), 1), &locked)
			require.NoError(t, svc.Unsuspend(ctx, u.ID))
			_, err = svc.FinishWithFactor(ctx, pending(), rightAnswer, phone)
			require.NoError(t, err)
		}},
	{name: "a known device finishes its sign-in while strangers have used the second step up",
		run: func(t *testing.T, k *kit) {
			svc, _ := k.twoSteps(t)
			ctx, u := t.Context(), k.register(t, svc)
			_, token, err := svc.StartSession(ctx, u.ID, phone)
			require.NoError(t, err)
			g, err := svc.SignIn(ctx, u.Email, password, phone)
			_ = wrongAnswers(t, svc, half(t, g, err).Ticket, phone, 20)
			g, err = svc.SignIn(ctx, u.Email, password, from(token))
			g, err = svc.FinishWithFactor(ctx, half(t, g, err).Ticket, rightAnswer, from(token))
			require.NoError(t, err)
			require.EqualValues(t, 20, k.user(t, u.ID).StepFailures, "its success says nothing of theirs")
			require.True(t, k.known(t, svc, g.User, g.Token))
		}},
	{name: "guessing at passwords does not close the second step", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		ctx, u := t.Context(), k.register(t, svc)
		issued := issue(t, svc, u.Email, schematype.OTPSignIn)
		for range 5 {
			_ = guess(t, svc, u.Email, phone, 10)
			k.set(t, u.ID, graph.FailedLoginAttempts, 0)
			k.set(t, u.ID, graph.LockUntil, nil)
		}
		g, err := signInWithCode(t, svc, issued)
		_, err = svc.FinishWithFactor(ctx, half(t, g, err).Ticket, rightAnswer, phone)
		require.NoError(t, err)
	}},
	{name: "an answer that could not be examined is no failure", run: func(t *testing.T, k *kit) {
		svc, factor := k.twoSteps(t)
		u := k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		away := errors.New("the service of the factor is away")
		factor.Before = func() error { return away }
		for range 21 {
			_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
			require.ErrorIs(t, err, away)
		}
		require.Zero(t, k.user(t, u.ID).StepFailures)
		factor.Before = nil
		_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
		require.NoError(t, err)
	}},
	{name: "a first step does not count as a mail", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		u := k.register(t, svc)
		for range 12 {
			g, err := svc.SignIn(t.Context(), u.Email, password, phone)
			_ = half(t, g, err)
		}
		issue(t, svc, u.Email, schematype.OTPSignIn)
		n, err := k.client.OTP.Query().Where(otp.Email(u.Email), otp.FirstStepNotNil()).Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, 12, n)
	}},
	{name: "a mailed code finishes a sign-in", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		for name, way := range firstSteps(k, svc) {
			u := k.registerVerified(t, svc)
			first := way(t, u)
			k.clock.Advance(time.Minute)
			g, err := first()
			pending := half(t, g, err)
			issued, err := svc.IssueCode(t.Context(),
				auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: pending.Ticket})
			if byMail[name] {
				require.ErrorIs(t, err, auth.ErrSecondStep, "%s: mail was the first step", name)
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, u.Email, issued.Email, name)
			require.True(t, issued.Known, name)
			_, err = svc.FinishWithCode(t.Context(), issued.Ticket, auth.ParseCode("wrong"), phone)
			require.ErrorIs(t, err, auth.ErrCode, name)
			_, err = svc.FinishWithCode(t.Context(), pending.Ticket, issued.Code, phone)
			require.ErrorIs(t, err, auth.ErrCode, "%s: its ticket is the code's", name)
			g, err = svc.FinishWithCode(t.Context(), issued.Ticket, issued.Code, phone)
			require.NoError(t, err, name)
			checked(t, svc, g.Token, nil)
			require.False(t, k.user(t, u.ID).IsDeleted, name)
			require.Zero(t, k.user(t, u.ID).StepFailures, name)
			for _, ticket := range []auth.Token{pending.Ticket, issued.Ticket} {
				_, err = svc.FinishWithFactor(t.Context(), ticket, rightAnswer, phone)
				require.ErrorIs(t, err, auth.ErrCode, "%s is used once", name)
			}
		}
	}},
	{name: "a code of a second step is worth nothing else, and no other code one", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		ctx, u := t.Context(), k.register(t, svc)
		other := issue(t, svc, u.Email, schematype.OTPSignIn)
		k.clock.Advance(time.Minute)
		g, err := svc.SignIn(ctx, u.Email, password, phone)
		pending := half(t, g, err)
		_, err = svc.FinishWithCode(ctx, other.Ticket, other.Code, phone)
		require.ErrorIs(t, err, auth.ErrCode)
		issued, err := svc.IssueCode(ctx,
			auth.CodeRequest{Email: k.email(), Kind: schematype.OTPSignIn, Device: phone, Ticket: pending.Ticket})
		require.NoError(t, err)
		require.Equal(t, u.Email, issued.Email, "it goes to the account's address alone")
		_, err = signInWithCode(t, svc, issued)
		require.ErrorIs(t, err, auth.ErrCode)
		err = svc.VerifyCode(ctx, schematype.OTPSignIn, issued.Ticket, issued.Code)
		require.ErrorIs(t, err, auth.ErrCode)
		_, err = svc.FinishWithCode(ctx, issued.Ticket, issued.Code, phone)
		require.NoError(t, err)
	}},
	{name: "the ticket of a new code stands for the first step, and the one before does not", run: func(
		t *testing.T, k *kit,
	) {
		svc, _ := k.twoSteps(t)
		ctx, u := t.Context(), k.register(t, svc)
		g, err := svc.SignIn(ctx, u.Email, password, phone)
		tickets := []auth.Token{half(t, g, err).Ticket}
		for range 3 {
			issued, err := svc.IssueCode(ctx, auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone,
				Ticket: tickets[len(tickets)-1]})
			require.NoError(t, err)
			tickets = append(tickets, issued.Ticket)
			k.clock.Advance(time.Minute)
		}
		for _, ticket := range tickets[:3] {
			_, err = svc.FinishWithFactor(ctx, ticket, rightAnswer, phone)
			require.ErrorIs(t, err, auth.ErrCode)
			_, err = svc.IssueCode(ctx, auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: ticket})
			require.ErrorIs(t, err, auth.ErrCode)
		}
		_, err = svc.FinishWithFactor(ctx, tickets[3], rightAnswer, phone)
		require.NoError(t, err)
	}},
	{name: "codes of second steps take guesses of their own, and are links once those are spent",
		run: func(t *testing.T, k *kit) {
			svc, _ := k.twoSteps(t)
			ctx, u := t.Context(), k.register(t, svc)
			for n := range 5 {
				g, err := svc.SignIn(ctx, u.Email, password, phone)
				issued, err := svc.IssueCode(ctx,
					auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: half(t, g, err).Ticket})
				require.NoError(t, err)
				row := k.user(t, u.ID)
				require.EqualValues(t, min(5*(n+1), 20), row.StepFailures)
				require.Zero(t, row.GuessFailures)
				require.Equal(t, n == 4, issued.Link)
				if issued.Link {
					_, err = svc.FinishWithCode(ctx, issued.Ticket, issued.Code, phone)
					require.NoError(t, err)
				}
				k.clock.Advance(21 * time.Minute)
			}
			require.Zero(t, k.user(t, u.ID).StepFailures)
		}},
	{name: "whom a provider vouches for while there was no account finishes by mail",
		needs: links, run: func(t *testing.T, k *kit) {
			svc, _ := k.twoSteps(t)
			for range 2 {
				k.clock.Advance(time.Minute)
				g, err := svc.SignInWithProvider(t.Context(), identity("a new subject", "new@example.com"), phone)
				issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone,
					Ticket: half(t, g, err).Ticket})
				require.NoError(t, err)
				_, err = svc.FinishWithCode(t.Context(), issued.Ticket, issued.Code, phone)
				require.NoError(t, err)
			}
		}},
	{name: "after a mailed reset mail is no second step, until the factor was", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		ctx, u := t.Context(), k.register(t, svc)
		require.NoError(t, endings(k, svc)["ResetPassword"](t, &auth.Grant{User: u})())
		for _, mail := range []bool{false, true} {
			k.clock.Advance(time.Hour)
			g, err := svc.SignIn(ctx, u.Email, nextPassword, phone)
			pending := half(t, g, err)
			require.Equal(t, mail, pending.Mail)
			request := auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: pending.Ticket}
			issued, err := svc.IssueCode(ctx, request)
			if mail {
				require.NoError(t, err)
				_, err = svc.FinishWithCode(ctx, issued.Ticket, issued.Code, phone)
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, auth.ErrSecondStep)
			_, err = svc.FinishWithFactor(ctx, pending.Ticket, rightAnswer, phone)
			require.NoError(t, err)
		}
	}},
	{name: "after a mailed reset the factor beside another first step makes mail no second step",
		needs: links, run: func(t *testing.T, k *kit) {
			svc, _ := k.twoSteps(t)
			ctx, u := t.Context(), k.register(t, svc)
			id := identity("subject", k.email())
			require.NoError(t, link(t, svc, u.ID, id))
			require.NoError(t, endings(k, svc)["ResetPassword"](t, &auth.Grant{User: u})())
			k.clock.Advance(time.Hour)
			for _, first := range []func() (*auth.Grant, error){
				func() (*auth.Grant, error) {
					return signInWithCode(t, svc, issue(t, svc, u.Email, schematype.OTPSignIn))
				},
				func() (*auth.Grant, error) { return svc.SignInWithProvider(ctx, id, phone) },
			} {
				g, err := first()
				_, err = svc.FinishWithFactor(ctx, half(t, g, err).Ticket, rightAnswer, phone)
				require.NoError(t, err)
				g, err = svc.SignIn(ctx, u.Email, nextPassword, phone)
				require.False(t, half(t, g, err).Mail, "whoever reads the mail has set the password")
			}
		}},
	{name: "what ends all of a user voids the code of a second step", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t)
		ctx := t.Context()
		for name, end := range endings(k, svc) {
			if !voids[name] {
				continue
			}
			u := k.register(t, svc)
			prepared := end(t, &auth.Grant{User: u})
			g, err := svc.SignIn(ctx, u.Email, password, phone)
			k.clock.Advance(time.Minute)
			issued, err := svc.IssueCode(ctx,
				auth.CodeRequest{Kind: schematype.OTPSignIn, Device: phone, Ticket: half(t, g, err).Ticket})
			require.NoError(t, err, name)
			require.NoError(t, prepared(), name)
			_, err = svc.FinishWithCode(ctx, issued.Ticket, issued.Code, phone)
			require.ErrorIs(t, err, auth.ErrCode, name)
			require.Zero(t, k.activeSessions(t, u.ID), name)
		}
	}},
	{name: "without a factor none finishes a sign-in", run: func(t *testing.T, k *kit) {
		svc, _ := k.twoSteps(t, func(c *auth.Config) { c.SecondStep.Factor = nil })
		u := k.register(t, svc)
		g, err := svc.SignIn(t.Context(), u.Email, password, phone)
		pending := half(t, g, err)
		require.False(t, pending.Factor)
		var bad *auth.ConfigError
		_, err = svc.FinishWithFactor(t.Context(), pending.Ticket, rightAnswer, phone)
		require.ErrorAs(t, err, &bad)
	}},
}
