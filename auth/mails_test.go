package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// An address and an origin that have had very many codes cost no more than what is in the window.
func TestACodeCostsWhatIsInItsWindowAndNotWhatIsOld(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		client := w.open(t, authgraph.WithPool(authgraph.Pool{MaxOpen: 1})) // whose counters are the session's
		config := w.config()
		config.OTP.ResendCooldown = time.Nanosecond
		s, err := auth.New(client, config)
		require.NoError(t, err)
		email := w.email()
		w.register(t, email)
		for range 2 {
			_, err = s.IssueCode(t.Context(), codeFor(email))
			require.NoError(t, err)
		}
		_, err = w.db.ExecContext(t.Context(), `INSERT INTO otps (email, type, otp_hash_code, ticket_hash, origin_hash,
			next_resend_allowed_at, expires_at, created_at)
			SELECT o.email, o.type, SHA2(n, 256), SHA2(n, 256), o.origin_hash, o.created_at - INTERVAL 2 DAY,
			o.expires_at - INTERVAL 2 DAY, o.created_at - INTERVAL 2 DAY - INTERVAL n SECOND
			FROM (SELECT * FROM otps LIMIT 1) o, `+numbers)
		require.NoError(t, err)
		_, err = w.db.ExecContext(t.Context(), `ANALYZE TABLE otps`)
		require.NoError(t, err)

		before := handlerReads(t, client)
		_, err = s.IssueCode(t.Context(), codeFor(email))
		require.NoError(t, err)
		assert.Less(t, handlerReads(t, client)-before, 60)
	})
}

// handlerReads is how many rows the one connection of a client has read.
func handlerReads(t *testing.T, client *ent.Client) (sum int) {
	t.Helper()
	rows, err := client.QueryContext(context.WithoutCancel(t.Context()), `SHOW SESSION STATUS LIKE 'Handler_read%'`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var value int
		require.NoError(t, rows.Scan(&name, &value))
		if !strings.HasSuffix(name, "_deleted") && !strings.HasSuffix(name, "_retry") {
			sum += value
		}
	}
	require.NoError(t, rows.Err())
	return sum
}

// Whoever measures a call learns nothing of an address that is not their own: the statements are the same, commits
// among them.
func TestAnAddressWithAnAccountIsSentTheSameStatementsAsOneWithout(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		own := w.email()
		w.register(t, own)
		token, ticket := w.signIn(t, own).Token, w.issue(t, own, schematype.OTPSignIn).Ticket
		var sent []string
		s := w.service(t, w.spied(t, func(query string) { sent = append(sent, normalForm(query)) }), 0)
		during := func(call func() error) []string {
			sent = nil
			err := call()
			if err != nil {
				require.ErrorIs(t, err, auth.ErrCode)
			}
			return sent
		}
		calls := func(email string) (all [][]string) {
			var issued *auth.Issued
			for _, d := range []auth.Device{anybody(), {Origin: email, Token: token}} {
				for _, before := range []auth.Token{{}, ticket} {
					all = append(all, during(func() (err error) {
						issued, err = s.IssueCode(t.Context(), auth.CodeRequest{
							Email: email, Kind: schematype.OTPSignIn, Device: d, Ticket: before,
						})
						return err
					}))
					d.Origin += " and elsewhere"
				}
			}
			for _, code := range []auth.Code{auth.ParseCode("wrong"), issued.Code} {
				all = append(all, during(func() error {
					return s.VerifyCode(t.Context(), schematype.OTPSignIn, issued.Ticket, code)
				}))
			}
			return all
		}
		known := w.email()
		w.register(t, known)
		spent := w.email()
		id := w.register(t, spent)
		require.NoError(t, w.client.User.UpdateOneID(id).SetGuessFailures(100).Exec(t.Context()))
		want := calls(w.email())
		assert.Equal(t, want, calls(known))
		assert.Equal(t, want, calls(spent), "one whose mails carry links")

		registering := w.email()
		_, registration, err := w.honest.Register(t.Context(), "Ada", registering, password)
		require.NoError(t, err)
		first := during(func() error {
			_, err := s.IssueCode(t.Context(), auth.CodeRequest{
				Email: registering, Kind: schematype.OTPSignIn, Device: anybody(), Ticket: registration,
			})
			return err
		})
		assert.Len(t, first, len(want[0]), "an address that is taken has no ticket of a registration")
	})
}

// The same holds for every other call that names an address which may be somebody else's, whatever its account is like.
func TestNoStateOfAnAccountShowsInTheStatementsOfACallForItsAddress(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		ctx, own := t.Context(), w.email()
		ownID := w.register(t, own)
		known := auth.Device{Origin: "known", Token: w.signIn(t, own).Token}
		var sent []string
		s := w.service(t, w.spied(t, func(query string) { sent = append(sent, normalForm(query)) }), 0)
		calls := map[string]func(email string) error{
			"SignIn": func(email string) error { return signInWith(email, newPassword)(ctx, s) },
			"SignIn on another account's device": func(email string) error {
				_, err := s.SignIn(ctx, email, newPassword, known)
				return err
			},
			"Reactivate": func(email string) error {
				_, err := s.Reactivate(ctx, email, newPassword, device)
				return err
			},
			"SignInWithProvider": func(email string) error {
				id := auth.Identity{Provider: schematype.ProviderGoogle, Subject: email, Email: email}
				_, err := s.SignInWithProvider(ctx, id, device)
				return err
			},
			"Register": func(email string) error {
				_, _, err := s.Register(ctx, "Ada", email, newPassword)
				if errors.Is(err, auth.ErrEmailTaken) {
					sent = sent[:len(sent)-1] // it looked why it was refused, within the floor of the answer
				}
				return err
			},
			"StartEmailChange": func(email string) error {
				change := auth.EmailChange{UserID: ownID, Password: password, New: email, Device: anybody()}
				_, err := s.StartEmailChange(ctx, change)
				return err
			},
			"VerifyEmail with a password": func(email string) error {
				ticket := w.issue(t, email, schematype.OTPEmailVerification).Ticket
				wrong := auth.Verification{Ticket: ticket, Code: auth.ParseCode("wrong"), Password: newPassword}
				return s.VerifyEmail(ctx, wrong)
			},
		}
		update := func(id int) *ent.UserUpdateOne { return w.client.User.UpdateOneID(id) }
		states := map[string]func(id int) error{
			"active":   func(int) error { return nil },
			"verified": func(id int) error { return update(id).SetIsEmailVerified(true).Exec(ctx) },
			"spent":    func(id int) error { return update(id).SetGuessFailures(80).Exec(ctx) },
			"locked": func(id int) error {
				return update(id).SetFailedLoginAttempts(10).SetLockUntil(time.Now().Add(time.Minute)).Exec(ctx)
			},
			"suspended": func(id int) error { return w.honest.Suspend(ctx, id, auth.Forever) },
			"deleted":   func(id int) error { return only(w.honest.Delete(ctx, id)) },
			"verified and deleted": func(id int) error {
				return errors.Join(update(id).SetIsEmailVerified(true).Exec(ctx), only(w.honest.Delete(ctx, id)))
			},
			"without a password":         func(id int) error { return update(id).ClearPassword().Exec(ctx) },
			"with a hash that is unread": func(id int) error { return update(id).SetPassword("unread").Exec(ctx) },
		}
		refusals := []error{auth.ErrCredentials, auth.ErrProviderEmail, auth.ErrEmailTaken, auth.ErrCode}
		for name, call := range calls {
			during := func(email string, err error) []string {
				require.NoError(t, err)
				sent = nil
				if err := call(email); err != nil {
					require.True(t, slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) }), err)
				}
				return sent
			}
			want := during(w.email(), nil)
			assert.NotEmpty(t, want, name)
			for state, into := range states {
				email := w.email()
				assert.Equal(t, want, during(email, into(w.register(t, email))), "%s, %s", name, state)
			}
		}
	})
}
