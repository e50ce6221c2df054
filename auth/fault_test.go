package auth_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// Each transition is run once for every statement it sends, with that statement failing in every way there is. The
// tables must then be as they were or as after a success, never in between; the error must say which; and the same
// call once more, with nothing failing, must give what is left to give.

func TestFailedStatementLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var s saboteur
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
		for _, tr := range transitions {
			for name, f := range map[string]fault{
				"connection lost before it was sent":      {err: driver.ErrBadConn},
				"connection lost before it ran":           {err: mysql.ErrInvalidConn},
				"connection lost after it ran":            {err: mysql.ErrInvalidConn, after: true},
				"refused":                                 {err: errOrdinary},
				"refused after it ran in the transaction": {err: errOrdinary, after: true},
				"rolled back in favour of another": {err: &mysql.MySQLError{Number: 1213,
					Message: "Deadlock found"}},
			} {
				w.strikeEach(t, tr, name, func(n int, email string, call call) (strike, error) {
					svc := w.service(t, client, tr.grace)
					s.arm(n, f)
					err := call(t.Context(), svc)
					return s.disarm(), err
				})
			}
		}
		w.checkFamilies(t)
	})
}

func TestCutConnectionLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var s saboteur
		proxy := mysqltest.Proxy{Hook: s.command}
		client, err := authgraph.Open(t.Context(), proxy.Start(t, url))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, client.Close()) })
		for _, tr := range transitions {
			for name, after := range map[string]bool{"cut before it ran": false, "cut after it ran": true} {
				w.strikeEach(t, tr, name, func(n int, email string, call call) (strike, error) {
					svc := w.service(t, client, tr.grace)
					s.arm(n, fault{err: mysql.ErrInvalidConn, after: after})
					err := call(t.Context(), svc)
					return s.disarm(), err
				})
			}
		}
		w.checkFamilies(t)
	})
}

func TestEndedContextLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var s saboteur
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
		for _, tr := range transitions {
			for name, after := range map[string]bool{"cancelled before it ran": false, "cancelled after it ran": true} {
				w.strikeEach(t, tr, name, func(n int, email string, call call) (strike, error) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					svc := w.service(t, client, tr.grace)
					s.arm(n, fault{cancel: cancel, after: after})
					err := call(ctx, svc)
					return s.disarm(), err
				})
			}
			email := "late." + strings.ReplaceAll(tr.name, " ", ".") + "@example.com"
			call := tr.arrange(t, w, email)
			before := w.state(t, email)
			late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			assert.ErrorIs(t, call(late, w.service(t, client, tr.grace)), context.DeadlineExceeded, tr.name)
			cancel()
			assert.Equal(t, before, w.state(t, email), tr.name)
		}
		w.checkFamilies(t)
	})
}

// The driver would print each connection that is cut here.
var _ = mysql.SetLogger(&mysql.NopLogger{})

var errOrdinary = errors.New("the statement was refused")

// call is a transition with its arguments.
type call func(context.Context, *auth.Service) error

type transition struct {
	name string
	// arrange brings what belongs to an address to where the transition starts.
	arrange func(t *testing.T, w *world, email string) call
	// done is the error of a call that took effect, again that of the same call after it.
	done, again error
	grace       time.Duration
	// stepwise transitions are several transactions, and what the first ones did stays.
	stepwise bool
	// settled transitions are repeated where they may have happened.
	settled bool
}

const (
	password    = "correct horse battery staple"
	newPassword = "a password that was never used"
	day         = 24 * time.Hour
	// inTwoSteps is the name of users who need a second step, whose answer is answer.
	inTwoSteps = "Two Steps"
	answer     = "an answer"
)

var (
	device     = auth.Device{IP: "192.0.2.7", UserAgent: "fault test"}
	errTooSoon = errors.New("too soon")
)

var transitions = []transition{
	{name: "register", again: auth.ErrEmailTaken, arrange: func(t *testing.T, w *world, email string) call {
		return func(ctx context.Context, s *auth.Service) error {
			_, _, err := s.Register(ctx, "Ada", email, password)
			return err
		}
	}},
	{name: "sign in", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.SignIn(ctx, email, password, device)
			return err
		}
	}},
	{name: "sign in on a device that signed in before", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		again := device
		again.Token = w.signIn(t, email).Token
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.SignIn(ctx, email, password, again)
			return err
		}
	}},
	{name: "take the first of two steps", done: auth.ErrSecondStep, again: auth.ErrSecondStep,
		arrange: func(t *testing.T, w *world, email string) call {
			_, _, err := w.honest.Register(t.Context(), inTwoSteps, email, password)
			require.NoError(t, err)
			return signInWith(email, password)
		}},
	{name: "take the second of two steps", again: auth.ErrCode, arrange: func(
		t *testing.T, w *world, email string,
	) call {
		_, _, err := w.honest.Register(t.Context(), inTwoSteps, email, password)
		require.NoError(t, err)
		_, err = w.honest.SignIn(t.Context(), email, password, device)
		var pending *auth.SecondStepError
		require.ErrorAs(t, err, &pending)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.FinishWithFactor(ctx, pending.Ticket, answer, device)
			return err
		}
	}},
	{name: "sign in beyond the limit of sessions", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		for range maxSessions {
			w.signIn(t, email)
		}
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.SignIn(ctx, email, password, device)
			return err
		}
	}},
	{name: "sign in with a code", again: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		w.verify(t, email)
		issued := w.issue(t, email, schematype.OTPSignIn)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.SignInWithCode(ctx, issued.Ticket, issued.Code, device)
			return err
		}
	}},
	{name: "start a session", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error {
			_, _, err := s.StartSession(ctx, id, device)
			return err
		}
	}},
	{name: "issue a refresh token", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.IssueRefresh(ctx, id)
			return err
		}
	}},
	{name: "revoke all", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		return func(ctx context.Context, s *auth.Service) error { return only(s.RevokeAll(ctx, id)) }
	}},
	{name: "sign in with a code for the first time", again: auth.ErrCode,
		arrange: func(t *testing.T, w *world, email string) call {
			w.register(t, email)
			w.signIn(t, email)
			issued := w.issue(t, email, schematype.OTPSignIn)
			return func(ctx context.Context, s *auth.Service) error {
				_, err := s.SignInWithCode(ctx, issued.Ticket, issued.Code, device)
				return err
			}
		}},
	{name: "verify a code", again: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		issued := w.issue(t, email, schematype.OTPSignIn)
		return func(ctx context.Context, s *auth.Service) error {
			return s.VerifyCode(ctx, schematype.OTPSignIn, issued.Ticket, issued.Code)
		}
	}},
	{name: "verify an email address", again: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return verifyEmail(w.issue(t, email, schematype.OTPEmailVerification))
	}},
	{name: "ask for another address", again: errTooSoon, arrange: func(t *testing.T, w *world, email string) call {
		return startEmailChange(w.register(t, email), email)
	}},
	{name: "change an address", again: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		keep := w.signIn(t, email).Token
		issued, err := w.honest.StartEmailChange(t.Context(), emailChange(id, email))
		require.NoError(t, err)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.FinishEmailChange(ctx, issued.Ticket, issued.Code, keep)
			return err
		}
	}},
	{name: "reset a password", again: auth.ErrCode, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		w.signIn(t, email)
		issued := w.issue(t, email, schematype.OTPPasswordReset)
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.ResetPassword(ctx, issued.Ticket, issued.Code, newPassword)
			return err
		}
	}},
	{name: "change a password with a code", again: auth.ErrCode,
		arrange: func(t *testing.T, w *world, email string) call {
			w.register(t, email)
			w.verify(t, email)
			issued := w.issue(t, email, schematype.OTPPasswordChange)
			return func(ctx context.Context, s *auth.Service) error {
				_, err := s.ChangePasswordWithCode(ctx, issued.Ticket, issued.Code, newPassword)
				return err
			}
		}},
	{name: "change a password", again: auth.ErrCredentials, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		return func(ctx context.Context, s *auth.Service) error {
			return only(s.ChangePassword(ctx, id, password, newPassword, device))
		}
	}},
	{name: "sign in with a provider for the first time", arrange: func(t *testing.T, w *world, email string) call {
		return signInWithProvider(email)
	}},
	{name: "sign in with a provider again", arrange: func(t *testing.T, w *world, email string) call {
		call := signInWithProvider(email)
		require.NoError(t, call(t.Context(), w.honest))
		return call
	}},
	{name: "link a provider", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		g := w.signIn(t, email)
		return func(ctx context.Context, s *auth.Service) error { return s.LinkProvider(ctx, g.Token, identity(email)) }
	}},
	{name: "unlink a provider", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		require.NoError(t, w.honest.LinkProvider(t.Context(), w.signIn(t, email).Token, identity(email)))
		return func(ctx context.Context, s *auth.Service) error { return s.UnlinkProvider(ctx, id) }
	}},
	{name: "take over an account that was never verified", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		w.signIn(t, email)
		return signInWithProvider(email)
	}},
	{name: "rotate", again: auth.ErrReuse, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return rotate(w.signIn(t, email).Refresh)
	}},
	{name: "rotate in grace", grace: 10 * time.Second, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		call := rotate(w.signIn(t, email).Refresh)
		require.NoError(t, call(t.Context(), w.service(t, w.client, 10*time.Second)))
		return call
	}},
	{name: "renew", again: auth.ErrReuse, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return renew(w.signIn(t, email).Refresh)
	}},
	{name: "renew in grace", grace: 10 * time.Second, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		call := renew(w.signIn(t, email).Refresh)
		require.NoError(t, call(t.Context(), w.service(t, w.client, 10*time.Second)))
		return call
	}},
	{name: "renew what was rotated in grace", grace: 10 * time.Second,
		arrange: func(t *testing.T, w *world, email string) call {
			w.register(t, email)
			token := w.signIn(t, email).Refresh
			require.NoError(t, rotate(token)(t.Context(), w.service(t, w.client, 10*time.Second)))
			return renew(token)
		}},
	{name: "reuse", done: auth.ErrReuse, again: auth.ErrRefresh, settled: true,
		arrange: func(t *testing.T, w *world, email string) call {
			w.register(t, email)
			return rotate(w.rotatedTwice(t, email))
		}},
	{name: "revoke a family", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		token := w.rotatedTwice(t, email)
		return func(ctx context.Context, s *auth.Service) error { return only(s.RevokeRefresh(ctx, token)) }
	}},
	{name: "sign out", arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		token := w.signIn(t, email).Token
		return func(ctx context.Context, s *auth.Service) error { return only(s.SignOut(ctx, token)) }
	}},
	{name: "revoke sessions", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		w.signIn(t, email)
		return func(ctx context.Context, s *auth.Service) error { return only(s.RevokeSessions(ctx, id)) }
	}},
	{name: "delete", again: auth.ErrNotFound, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		return func(ctx context.Context, s *auth.Service) error { return only(s.Delete(ctx, id)) }
	}},
	{name: "reactivate", again: auth.ErrCredentials, arrange: func(t *testing.T, w *world, email string) call {
		require.NoError(t, only(w.honest.Delete(t.Context(), w.register(t, email))))
		return func(ctx context.Context, s *auth.Service) error {
			_, err := s.Reactivate(ctx, email, password, device)
			return err
		}
	}},
	{name: "restore", again: auth.ErrNotFound, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		require.NoError(t, only(w.honest.Delete(t.Context(), id)))
		return func(ctx context.Context, s *auth.Service) error { return s.Restore(ctx, id) }
	}},
	{name: "issue a code", again: errTooSoon, arrange: func(t *testing.T, w *world, email string) call {
		w.register(t, email)
		return issueCode(codeFor(email))
	}},
	{name: "issue a code in place of another", again: errTooSoon,
		arrange: func(t *testing.T, w *world, email string) call {
			before, err := w.at(t, -5*time.Minute).IssueCode(t.Context(), codeFor(email))
			require.NoError(t, err)
			req := codeFor(email)
			req.Ticket = before.Ticket
			return issueCode(req)
		}},
	{name: "erase", again: auth.ErrNotFound, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		w.issue(t, email, schematype.OTPSignIn)
		return erase(id)
	}},
	{name: "erase what holds evidence of reuse", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.rotatedTwice(t, email)
		w.signIn(t, email)
		return erase(id)
	}},
	{name: "unlock", arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		return func(ctx context.Context, s *auth.Service) error { return s.Operator().Unlock(ctx, id) }
	}},
	{name: "purge codes", stepwise: true, arrange: func(t *testing.T, w *world, email string) call {
		for _, kind := range []schematype.OTPType{schematype.OTPSignIn, schematype.OTPPasswordReset} {
			_, err := w.at(t, -100*day).IssueCode(t.Context(),
				auth.CodeRequest{Email: email, Kind: kind, Device: anybody()})
			require.NoError(t, err)
		}
		return purge
	}},
	{name: "purge an account", stepwise: true, arrange: func(t *testing.T, w *world, email string) call {
		id := w.register(t, email)
		w.signIn(t, email)
		require.NoError(t, only(w.at(t, -100*day).Delete(t.Context(), id)))
		return purge
	}},
}

func signInWithProvider(email string) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.SignInWithProvider(ctx, identity(email), device)
		return err
	}
}

func identity(email string) auth.Identity {
	return auth.Identity{
		Provider: schematype.ProviderGoogle, Subject: "sub-" + email, Email: email, EmailVerified: true, Name: "Ada",
	}
}

func rotate(token auth.Token) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, _, err := s.Rotate(ctx, token)
		return err
	}
}

// codeFor asks for a code from an origin that asks for this address alone.
func codeFor(email string) auth.CodeRequest {
	return auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: auth.Device{Origin: email}}
}

func verifyEmail(issued *auth.Issued) call {
	return func(ctx context.Context, s *auth.Service) error {
		return s.VerifyEmail(ctx, auth.Verification{Ticket: issued.Ticket, Code: issued.Code, Device: device})
	}
}

// emailChange asks for an address beside the one that an account has.
func emailChange(userID int, email string) auth.EmailChange {
	return auth.EmailChange{UserID: userID, Password: password, New: "new." + email, Device: auth.Device{Origin: email}}
}

func startEmailChange(userID int, email string) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.StartEmailChange(ctx, emailChange(userID, email))
		var tooSoon *auth.TooSoonError
		if errors.As(err, &tooSoon) {
			return errTooSoon
		}
		return err
	}
}

func issueCode(req auth.CodeRequest) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.IssueCode(ctx, req)
		var tooSoon *auth.TooSoonError
		if errors.As(err, &tooSoon) {
			return errTooSoon
		}
		return err
	}
}

func renew(token auth.Token) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.Renew(ctx, token, device)
		return err
	}
}

func erase(id int) call {
	return func(ctx context.Context, s *auth.Service) error {
		_, err := s.Operator().Erase(ctx, id)
		return err
	}
}

func purge(ctx context.Context, s *auth.Service) error {
	_, err := s.Purge(ctx, auth.PurgeOptions{FullRate: true})
	return err
}

// world is a database with a service that nothing happens to.
type world struct {
	url    string
	db     *sql.DB
	client *ent.Client
	honest *auth.Service
	key    []byte
	adjust func(*auth.Config) // what a test needs otherwise
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	return newWorldWith(t, url, nil)
}

func newWorldWith(t *testing.T, url string, adjust func(*auth.Config)) *world {
	t.Helper()
	migratedtest.Apply(t, url)
	w := &world{url: url, db: mysqltest.DB(t, url), key: make([]byte, 32), adjust: adjust}
	_, err := rand.Read(w.key)
	require.NoError(t, err)
	w.client = w.open(t)
	w.honest = w.service(t, w.client, 0)
	return w
}

func (w *world) open(t *testing.T, opts ...authgraph.Option) *ent.Client {
	t.Helper()
	client, err := authgraph.Open(t.Context(), w.url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

const maxSessions = 3

func (w *world) config() auth.Config {
	config := auth.Config{
		Keys:    auth.NewKeys(w.key),
		Hasher:  digestHasher{},
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
		Session: auth.SessionPolicy{MaxPerUser: maxSessions},
		SecondStep: auth.SecondStepPolicy{
			Required: func(_ context.Context, u *auth.User) (bool, error) { return u.Name == inTwoSteps, nil },
			Factor:   authtest.NewFactor(answer),
		},
	}
	if w.adjust != nil {
		w.adjust(&config)
	}
	return config
}

func (w *world) service(t *testing.T, client *ent.Client, grace time.Duration) *auth.Service {
	t.Helper()
	config := w.config()
	config.Refresh.Grace = cmp.Or(grace, auth.NoGrace)
	s, err := auth.New(client, config)
	require.NoError(t, err)
	return s
}

// at is a service whose clock is off.
func (w *world) at(t *testing.T, off time.Duration) *auth.Service {
	t.Helper()
	return w.serviceAt(t, w.client, off)
}

func (w *world) serviceAt(t *testing.T, client *ent.Client, off time.Duration) *auth.Service {
	t.Helper()
	config := w.config()
	config.Clock = func() time.Time { return time.Now().Add(off) }
	s, err := auth.New(client, config)
	require.NoError(t, err)
	return s
}

func (w *world) register(t *testing.T, email string) int {
	t.Helper()
	u, _, err := w.honest.Register(t.Context(), "Ada", email, password)
	require.NoError(t, err)
	return u.ID
}

func (w *world) signIn(t *testing.T, email string) *auth.Grant {
	t.Helper()
	g, err := w.honest.SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	return g
}

// rotatedTwice is the first of three tokens of a family.
func (w *world) rotatedTwice(t *testing.T, email string) auth.Token {
	t.Helper()
	first := w.signIn(t, email).Refresh
	second, _, err := w.honest.Rotate(t.Context(), first)
	require.NoError(t, err)
	_, _, err = w.honest.Rotate(t.Context(), second)
	require.NoError(t, err)
	return first
}

// verify verifies the address of an account as whoever is signed in to it.
func (w *world) verify(t *testing.T, email string) {
	t.Helper()
	issued, err := w.honest.IssueCode(t.Context(), auth.CodeRequest{
		Email: email, Kind: schematype.OTPEmailVerification, Device: auth.Device{Token: w.signIn(t, email).Token},
	})
	require.NoError(t, err)
	require.NoError(t, verifyEmail(issued)(t.Context(), w.honest))
}

// anybody is a device of an origin of its own, which has asked for no mail before.
func anybody() auth.Device { return auth.Device{Origin: rand.Text()} }

func (w *world) issue(t *testing.T, email string, kind schematype.OTPType) *auth.Issued {
	t.Helper()
	issued, err := w.honest.IssueCode(t.Context(), auth.CodeRequest{Email: email, Kind: kind, Device: anybody()})
	require.NoError(t, err)
	return issued
}

// strikeEach runs a transition again and again, the nth time with its nth statement struck, until it sends fewer.
func (w *world) strikeEach(
	t *testing.T, tr transition, how string, run func(n int, email string, call call) (strike, error),
) {
	t.Helper()
	clean := w.email()
	call := tr.arrange(t, w, clean)
	require.ErrorIs(t, call(t.Context(), w.service(t, w.client, tr.grace)), tr.done, tr.name)
	after := w.state(t, clean)

	for n := 1; ; n++ {
		require.Less(t, n, 60, "%s never ends", tr.name)
		email := w.email()
		call := tr.arrange(t, w, email)
		before, attempts := w.state(t, email), w.attempts(t, email)

		hit, err := run(n, email, call)
		state := w.state(t, email)
		what := fmt.Sprintf("%s: statement %d %s: %s\nerror: %v", tr.name, n, how, hit.statement, err)
		if !hit.landed {
			require.ErrorIs(t, err, tr.done, what)
			require.Greater(t, n, 1, what)
			return
		}
		hit.check(t, tr, err, what)
		switch unknown := isUnknown(err); {
		case is(err, tr.done):
			require.Equal(t, after, state, what)
		case unknown:
			require.Contains(t, []string{before, after}, state, what)
			if hit.commit && !tr.stepwise && !hit.fault.after {
				require.Equal(t, before, state, what)
			}
			if hit.commit && !tr.stepwise && hit.fault.after {
				require.Equal(t, after, state, what)
			}
		case tr.stepwise:
			require.Contains(t, []string{before, after}, state, what)
		default:
			require.Equal(t, before, state, what)
		}
		require.GreaterOrEqual(t, w.attempts(t, email), attempts, what)

		want := tr.done
		if state == after {
			want = tr.again
		}
		again := call(t.Context(), w.service(t, w.client, tr.grace))
		require.ErrorIs(t, again, want, "%s\nand again", what)
		if want == nil && state == before {
			require.Equal(t, after, w.state(t, email), "%s\nand again", what)
		}
	}
}

var emails struct {
	sync.Mutex
	n int
}

func (w *world) email() string {
	emails.Lock()
	defer emails.Unlock()
	emails.n++
	return fmt.Sprintf("ada%d@example.com", emails.n)
}

func is(err, target error) bool {
	return err == nil && target == nil || target != nil && errors.Is(err, target)
}

func isUnknown(err error) bool {
	var unknown *auth.UnknownError
	return errors.As(err, &unknown)
}

// state is what the tables hold for an address, without what differs from one run to the next. Attempts and failures
// are left out: they may be counted for a call that did not succeed.
func (w *world) state(t *testing.T, email string) string {
	t.Helper()
	var b strings.Builder
	var userID int
	var password, provider string
	var verified, deleted, signedIn bool
	err := w.db.QueryRow(`SELECT id, COALESCE(password, ''), provider, is_email_verified, is_deleted,
		last_login_at IS NOT NULL
		FROM users WHERE email IN (?, ?)`, email, "new."+email).
		Scan(&userID, &password, &provider, &verified, &deleted, &signedIn)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(t, err)
		fmt.Fprintf(&b, "user: password %.12s, provider %s, verified %t, deleted %t, signed in %t\n", password,
			provider, verified, deleted, signedIn)
	}
	for _, session := range column[string](t, w.db,
		`SELECT CONCAT('active ', is_active, ', known ', trust_epoch IS NOT NULL) FROM sessions WHERE user_id = ?
			ORDER BY id`, userID) {
		fmt.Fprintln(&b, "session:", session)
	}
	tokens := w.tokens(t, `SELECT token_hash, COALESCE(replaced_by_token_hash, ''), is_revoked, revoked_at IS NOT NULL,
		grace_uses
		FROM refresh_tokens WHERE user_id = ? ORDER BY id`, userID)
	for _, token := range tokens {
		next := slices.IndexFunc(tokens, func(o refreshRow) bool { return o.hash == token.next })
		fmt.Fprintf(&b, "token: revoked %t at a time %t, exchanged %t for %d, grace %d\n", token.revoked, token.timed,
			token.next != "", next, token.grace)
	}
	for _, code := range column[string](t, w.db,
		`SELECT CONCAT(type, ' used ', is_used, ' at a time ', used_at IS NOT NULL) FROM otps WHERE email IN (?, ?)
			ORDER BY id`, email, "new."+email) {
		fmt.Fprintln(&b, "code:", code)
	}
	return b.String()
}

func (w *world) attempts(t *testing.T, email string) int {
	t.Helper()
	return column[int](t, w.db, `SELECT COALESCE(SUM(attempts), 0) FROM otps WHERE email = ?`, email)[0]
}

type refreshRow struct {
	hash, next     string
	revoked, timed bool
	grace          int
}

func (w *world) tokens(t *testing.T, query string, args ...any) (tokens []refreshRow) {
	t.Helper()
	rows, err := w.db.Query(query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var token refreshRow
		require.NoError(t, rows.Scan(&token.hash, &token.next, &token.revoked, &token.timed, &token.grace))
		tokens = append(tokens, token)
	}
	require.NoError(t, rows.Err())
	return tokens
}

// checkFamilies holds whatever happened: an exchanged token is revoked and names a token that exists, and of those
// that descend from one sign-in at most one is live.
func (w *world) checkFamilies(t *testing.T) {
	t.Helper()
	tokens := w.tokens(t, `SELECT token_hash, COALESCE(replaced_by_token_hash, ''), is_revoked, revoked_at IS NOT NULL,
		grace_uses
		FROM refresh_tokens`)
	require.NotEmpty(t, tokens)
	next := map[string]refreshRow{}
	for _, token := range tokens {
		next[token.hash] = token
	}
	live := map[string]int{}
	for _, token := range tokens {
		if token.next != "" {
			assert.True(t, token.revoked, "an exchanged token is live")
			assert.Contains(t, next, token.next, "an exchanged token has no successor")
		}
		last := token
		for last.next != "" {
			last = next[last.next]
		}
		if !token.revoked {
			live[last.hash]++
		}
	}
	for _, n := range live {
		assert.Equal(t, 1, n, "a family has several live tokens")
	}
}

func column[T any](t *testing.T, db *sql.DB, query string, args ...any) (values []T) {
	t.Helper()
	rows, err := db.Query(query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var v T
		require.NoError(t, rows.Scan(&v))
		values = append(values, v)
	}
	require.NoError(t, rows.Err())
	return values
}

// digestHasher spares the tests that are not about hashing the time it takes.
type digestHasher struct{}

func (digestHasher) Hash(password string) (string, error) {
	h := sha256.Sum256([]byte(password))
	return hex.EncodeToString(h[:]), nil
}

func (digestHasher) Reads(string) bool { return true }

func (d digestHasher) Verify(password, hash string) (ok, weak bool, err error) {
	h, err := d.Hash(password)
	return h == hash, false, err
}

// fault is how a statement fails.
type fault struct {
	err    error
	after  bool // it has run
	cancel context.CancelFunc
}

func (f fault) lost() bool {
	return errors.Is(f.err, driver.ErrBadConn) || errors.Is(f.err, mysql.ErrInvalidConn)
}

func (f fault) rolledBack() bool {
	var server *mysql.MySQLError
	return errors.As(f.err, &server)
}

// strike is a fault and where it landed.
type strike struct {
	fault        fault
	landed       bool
	statement    string
	commit, inTx bool
}

func (s strike) read() bool { return strings.HasPrefix(s.statement, "SELECT") }

// check says what a caller must be told of a statement that failed here.
func (s strike) check(t *testing.T, tr transition, err error, what string) {
	t.Helper()
	switch f := s.fault; {
	case f.cancel != nil:
		// The call may have been past the last place where a context counts.
		if !is(err, tr.done) {
			require.ErrorIs(t, err, context.Canceled, what)
		}
		require.False(t, s.inTx && !s.commit && isUnknown(err), "a transaction without COMMIT did not happen: %s", what)
	case errors.Is(f.err, driver.ErrBadConn), f.rolledBack() && !(s.commit && f.after):
		require.ErrorIs(t, err, tr.done, "nothing can have happened: %s", what)
	case s.commit:
		require.True(t, isUnknown(err) || tr.settled && is(err, tr.done), "it may have happened: %s", what)
	case f.lost() && (s.inTx || s.read()):
		require.ErrorIs(t, err, tr.done, "nothing can have happened: %s", what)
	case f.lost():
		require.True(t, is(err, tr.done) || isUnknown(err), "it may have happened: %s", what)
	default:
		require.ErrorIs(t, err, errOrdinary, what)
		require.False(t, isUnknown(err), "the database has answered: %s", what)
	}
}

// saboteur strikes one statement, counted from when it was armed.
type saboteur struct {
	sees   func(statement string) // nil, or told of every statement
	mu     sync.Mutex
	armed  bool
	left   int
	inTx   bool
	strike strike
}

func (s *saboteur) arm(n int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.left, s.inTx, s.strike = true, n, false, strike{fault: f}
}

func (s *saboteur) disarm() strike {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	return s.strike
}

func (s *saboteur) next(statement string) (f fault, now bool) {
	if s.sees != nil {
		s.sees(statement)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	inTx := s.inTx
	switch {
	case strings.HasPrefix(statement, "START"), strings.HasPrefix(statement, "SET TRANSACTION"):
		s.inTx, inTx = true, true
	case statement == "COMMIT", statement == "ROLLBACK":
		s.inTx = false
	}
	if !s.armed {
		return fault{}, false
	}
	s.left--
	if s.left != 0 {
		return fault{}, false
	}
	f = s.strike.fault
	// A database that refuses a statement by itself has not run it, so this is no fault that exists.
	f.after = f.after && (inTx || f.lost() || f.cancel != nil)
	// One that has committed does not say that it rolled back.
	if f.rolledBack() && statement == "COMMIT" {
		f.after = false
	}
	s.strike = strike{fault: f, landed: true, statement: statement, commit: statement == "COMMIT", inTx: inTx}
	return f, true
}

// command is the hook of a proxy.
func (s *saboteur) command(_ int, query string) mysqltest.Action {
	f, now := s.next(query)
	switch {
	case !now:
		return mysqltest.Forward
	case f.after:
		return mysqltest.CutAfter
	}
	return mysqltest.CutBefore
}

// run runs a statement, or fails in its place.
func (s *saboteur) run(statement string, run, undo func() error) error {
	f, now := s.next(statement)
	switch {
	case !now:
		return run()
	case f.cancel != nil && f.after:
		err := run()
		f.cancel()
		return err
	case f.cancel != nil:
		f.cancel()
		return run()
	case f.after:
		if err := run(); err != nil {
			return err
		}
		if statement != "COMMIT" {
			return errors.Join(f.err, undo())
		}
	default:
		if statement == "COMMIT" {
			return errors.Join(f.err, undo())
		}
	}
	return f.err
}

func nothing() error { return nil }

type faultyDriver struct {
	dialect.Driver
	s *saboteur
}

func (d faultyDriver) Exec(ctx context.Context, query string, args, v any) error {
	return d.s.run(query, func() error { return d.Driver.Exec(ctx, query, args, v) }, nothing)
}

func (d faultyDriver) Query(ctx context.Context, query string, args, v any) error {
	return d.s.run(query, func() error { return d.Driver.Query(ctx, query, args, v) }, closing(v))
}

func (d faultyDriver) Tx(ctx context.Context) (dialect.Tx, error) { return d.BeginTx(ctx, nil) }

func (d faultyDriver) BeginTx(ctx context.Context, opts *sql.TxOptions) (tx dialect.Tx, err error) {
	err = d.s.run("START TRANSACTION",
		func() error { tx, err = d.Driver.(*entsql.Driver).BeginTx(ctx, opts); return err },
		func() error { return tx.Rollback() })
	if err != nil {
		return nil, err
	}
	return faultyTx{tx, d.s}, nil
}

type faultyTx struct {
	dialect.Tx
	s *saboteur
}

func (tx faultyTx) Exec(ctx context.Context, query string, args, v any) error {
	return tx.s.run(query, func() error { return tx.Tx.Exec(ctx, query, args, v) }, nothing)
}

func (tx faultyTx) Query(ctx context.Context, query string, args, v any) error {
	return tx.s.run(query, func() error { return tx.Tx.Query(ctx, query, args, v) }, closing(v))
}

func (tx faultyTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return faultyRows(ctx, tx.s, tx.Tx.(*entsql.Tx), query, args)
}

func (tx faultyTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return faultyResult(ctx, tx.s, tx.Tx.(*entsql.Tx), query, args)
}

func (d faultyDriver) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return faultyRows(ctx, d.s, d.Driver.(*entsql.Driver), query, args)
}

func (d faultyDriver) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return faultyResult(ctx, d.s, d.Driver.(*entsql.Driver), query, args)
}

func faultyRows(
	ctx context.Context, s *saboteur, below entsql.ExecQuerier, query string, args []any,
) (rows *sql.Rows, err error) {
	err = s.run(query,
		func() error {
			//nolint:rowserrcheck,sqlclosecheck // the caller reads and closes the rows
			rows, err = below.QueryContext(ctx, query, args...)
			return err
		},
		func() error { return rows.Close() })
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func faultyResult(
	ctx context.Context, s *saboteur, below entsql.ExecQuerier, query string, args []any,
) (result sql.Result, err error) {
	err = s.run(query, func() error { result, err = below.ExecContext(ctx, query, args...); return err }, nothing)
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (tx faultyTx) Commit() error { return tx.s.run("COMMIT", tx.Tx.Commit, tx.Tx.Rollback) }

func closing(v any) func() error {
	return func() error { return v.(*entsql.Rows).Close() }
}

// only is the error of a call that ends what a user holds.
func only[T any](_ T, err error) error { return err }
