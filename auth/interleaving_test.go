package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
)

// onServers is onEngines without SQLite, on which nothing is written while a transaction is open.
func onServers(t *testing.T, fn func(t *testing.T, open opener)) {
	t.Helper()
	onEngines(t, func(t *testing.T, open opener) {
		if client := open(t); !isSQLite(t, client) {
			fn(t, open)
		}
	})
}

func isSQLite(t *testing.T, client *ent.Client) bool {
	t.Helper()
	_, err := client.ExecContext(t.Context(), "SELECT sqlite_version()")
	return err == nil
}

// pair is a service, and another one that comes between what the first one reads and what it writes.
type pair struct {
	client       *ent.Client
	clock        *authtest.Clock
	first, other *auth.Service

	mu    sync.Mutex
	spies []func(query string)
}

func newPair(t *testing.T, open opener) *pair {
	t.Helper()
	p := &pair{clock: authtest.NewClock()}
	p.client = open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return faultyDriver{d, &saboteur{sees: p.sees}}
	}))
	p.first, p.other = p.service(t), p.service(t)
	return p
}

// sees is told of a statement of either service before it is sent.
func (p *pair) sees(query string) {
	p.mu.Lock()
	spies := slices.Clone(p.spies)
	p.mu.Unlock()
	for _, spy := range spies {
		spy(query)
	}
}

func (p *pair) service(t *testing.T, change ...func(*auth.Config)) *auth.Service {
	t.Helper()
	cfg := auth.Config{
		Keys:    auth.NewKeys([]byte("0123456789abcdef0123456789abcdef")),
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
		Hasher:  authtest.NewHasher(), Clock: p.clock.Now,
	}
	for _, c := range change {
		c(&cfg)
	}
	svc, err := auth.New(p.client, cfg)
	require.NoError(t, err)
	return svc
}

// patience is how long what comes between waits for a row: less than the server would, which the retries multiply.
const patience = 10 * time.Second

// before calls fn once, just before the first statement that match finds.
// It must not need a row that the statement's transaction holds: see [pair.during].
func (p *pair) before(t *testing.T, match func(query string) bool, fn func(context.Context) error) {
	t.Helper()
	var called atomic.Bool // fn may itself send what match finds
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spies = append(p.spies, func(query string) {
		if match(query) && called.CompareAndSwap(false, true) {
			within, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			assert.NoError(t, fn(within))
		}
	})
}

// during starts fn once, just before the first statement that match finds, and lets that go on only when fn has ended
// or had the time to: it may have to wait for a row that the transaction holds. The function it returns waits for fn
// and returns its error.
func (p *pair) during(t *testing.T, match func(query string) bool, fn func(context.Context) error) func() error {
	t.Helper()
	ended := make(chan error, 1)
	p.before(t, match, func(context.Context) error {
		done := make(chan struct{})
		go func() {
			within, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			defer close(done)
			ended <- fn(within)
		}()
		select {
		case <-done:
		case <-time.After(300 * time.Millisecond):
		}
		return nil
	})
	return func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(2 * patience):
			return errors.New("what was to come between was not called, or did not end")
		}
	}
}

func (p *pair) code(t *testing.T, email string, kind schematype.OTPType) *auth.Issued {
	t.Helper()
	issued, err := p.other.IssueCode(t.Context(), auth.CodeRequest{Email: email, Kind: kind, Device: anybody()})
	require.NoError(t, err)
	return issued
}

func (p *pair) verify(t *testing.T, u *auth.User) {
	t.Helper()
	require.NoError(t, p.client.User.UpdateOneID(u.ID).SetIsEmailVerified(true).Exec(t.Context()))
}

// change is a code that changes the address of an account.
func (p *pair) change(t *testing.T, u *auth.User) *auth.Issued {
	t.Helper()
	issued, err := p.other.StartEmailChange(t.Context(), auth.EmailChange{
		UserID: u.ID, Password: interleavedPassword, New: "next@example.com", Device: anybody(),
	})
	require.NoError(t, err)
	return issued
}

// oneOf asserts that one of two calls with a code succeeded, and that the code of the other is void.
func oneOf(t *testing.T, a, b error) {
	t.Helper()
	if a == nil {
		a, b = b, a
	}
	require.ErrorIs(t, a, auth.ErrCode)
	require.NoError(t, b)
}

// sets finds the changes of users that give a column a value.
func sets(column string) func(query string) bool {
	return func(query string) bool {
		assignments, _, _ := strings.Cut(query, " WHERE ")
		return strings.HasPrefix(query, "UPDATE `users` ") && strings.Contains(assignments, "`"+column+"` = ")
	}
}

func begins(text string) func(query string) bool {
	return func(query string) bool { return strings.HasPrefix(query, text) }
}

const interleavedPassword = "correct horse battery staple"

func TestWhatIsCommittedBetweenAReadAndItsWriteIsSeen(t *testing.T) {
	t.Parallel()
	id := func(email string) auth.Identity {
		return auth.Identity{Provider: schematype.ProviderGoogle, Subject: "subject", Email: email, EmailVerified: true}
	}
	suspend := func(p *pair, u *auth.User) func(context.Context) error {
		return func(ctx context.Context) error { return p.other.Suspend(ctx, u.ID, p.clock.Now().Add(time.Hour)) }
	}
	noSessions := func(t *testing.T, p *pair, u *auth.User) {
		list, err := p.other.Sessions(t.Context(), u.ID)
		require.NoError(t, err)
		require.Empty(t, list)
	}
	tests := map[string]func(t *testing.T, p *pair, u *auth.User){
		"an account that is taken over refuses a sign-in with the provider that made " +
			"it": func(t *testing.T, p *pair, _ *auth.User) {
			squat := id("squatted@example.com")
			squat.EmailVerified = false
			require.NoError(t, p.client.User.Create().SetName("Eve").SetEmail(squat.Email).
				SetProvider(squat.Provider).SetProviderID(squat.Subject).Exec(t.Context()))
			g, err := p.first.SignInWithProvider(t.Context(), squat, auth.Device{})
			require.NoError(t, err)
			code := p.code(t, squat.Email, schematype.OTPSignIn)
			p.before(t, sets(user.FieldLastLoginAt), func(ctx context.Context) error {
				_, err := p.other.SignInWithCode(ctx, code.Ticket, code.Code, auth.Device{})
				return err
			})
			_, err = p.first.SignInWithProvider(t.Context(), squat, auth.Device{})
			// MariaDB rolls the first try back, and the second finds no link
			if !errors.Is(err, auth.ErrProviderEmail) {
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			list, err := p.other.Sessions(t.Context(), g.User.ID)
			require.NoError(t, err)
			require.Len(t, list, 1, "the owner's")
		},
		"an account whose address has changed is not entered by the former one": func(
			t *testing.T, p *pair, _ *auth.User,
		) {
			g, err := p.first.SignInWithProvider(t.Context(), id("former@example.com"), auth.Device{})
			require.NoError(t, err)
			p.before(t, sets(user.FieldLastLoginAt), func(ctx context.Context) error {
				return p.client.User.UpdateOneID(g.User.ID).SetEmail("next@example.com").Exec(ctx)
			})
			former := id("former@example.com")
			former.Provider = schematype.ProviderGitHub
			other, err := p.first.SignInWithProvider(t.Context(), former, auth.Device{})
			if err == nil { // MariaDB rolls the first try back, and the second finds nobody
				require.NotEqual(t, g.User.ID, other.User.ID)
			} else {
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			list, err := p.other.Sessions(t.Context(), g.User.ID)
			require.NoError(t, err)
			require.Len(t, list, 1)
		},
		"a suspension waits for a sign-in with a code, which it ends": func(t *testing.T, p *pair, u *auth.User) {
			code := p.code(t, u.Email, schematype.OTPSignIn)
			suspended := p.during(t, sets(user.FieldLastLoginAt), suspend(p, u))
			g, err := p.first.SignInWithCode(t.Context(), code.Ticket, code.Code, auth.Device{})
			require.NoError(t, err)
			require.NoError(t, suspended())
			_, _, err = p.first.CheckSession(t.Context(), g.Token)
			require.ErrorIs(t, err, auth.ErrSession)
			_, _, err = p.first.Rotate(t.Context(), g.Refresh)
			require.ErrorIs(t, err, auth.ErrRefresh)
		},
		"the password that a sign-in with a code removes gives nothing that " +
			"stays": func(t *testing.T, p *pair, u *auth.User) {
			code := p.code(t, u.Email, schematype.OTPSignIn)
			signedIn := p.during(t, sets(user.FieldLastLoginAt), func(ctx context.Context) error {
				_, err := p.other.SignIn(ctx, u.Email, interleavedPassword, auth.Device{})
				return err
			})
			g, err := p.first.SignInWithCode(t.Context(), code.Ticket, code.Code, auth.Device{})
			require.NoError(t, err)
			if err := signedIn(); err != nil {
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			list, err := p.other.Sessions(t.Context(), u.ID)
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, g.Session.ID, list[0].ID)
		},
		"a new password is not removed by a sign-in with a code that began " +
			"before": func(t *testing.T, p *pair, u *auth.User) {
			signIn, reset := p.code(t, u.Email, schematype.OTPSignIn), p.code(t, u.Email, schematype.OTPPasswordReset)
			const next = "incorrect donkey charger pin"
			done := p.during(t, sets(user.FieldLastLoginAt), func(ctx context.Context) error {
				_, err := p.other.ResetPassword(ctx, reset.Ticket, reset.Code, next)
				return err
			})
			_, err := p.first.SignInWithCode(t.Context(), signIn.Ticket, signIn.Code, auth.Device{})
			require.NoError(t, err)
			require.NoError(t, done())
			_, err = p.other.SignIn(t.Context(), u.Email, next, auth.Device{})
			require.NoError(t, err)
		},
		"of a reset by the old address and a change of the address one succeeds": func(
			t *testing.T, p *pair, u *auth.User,
		) {
			p.verify(t, u)
			reset, change := p.code(t, u.Email, schematype.OTPPasswordReset), p.change(t, u)
			changed := p.during(t, sets(user.FieldPassword), func(ctx context.Context) error {
				_, err := p.other.FinishEmailChange(ctx, change.Ticket, change.Code, auth.Token{})
				return err
			})
			_, err := p.first.ResetPassword(t.Context(), reset.Ticket, reset.Code, "incorrect donkey charger pin")
			oneOf(t, err, changed())
		},
		"of a change of the address and a reset by the old one one succeeds": func(
			t *testing.T, p *pair, u *auth.User,
		) {
			p.verify(t, u)
			reset, change := p.code(t, u.Email, schematype.OTPPasswordReset), p.change(t, u)
			done := p.during(t, sets(user.FieldEmail), func(ctx context.Context) error {
				_, err := p.other.ResetPassword(ctx, reset.Ticket, reset.Code, "incorrect donkey charger pin")
				return err
			})
			_, err := p.first.FinishEmailChange(t.Context(), change.Ticket, change.Code, auth.Token{})
			oneOf(t, err, done())
		},
		"a deletion waits for a session that is started, which it ends": func(t *testing.T, p *pair, u *auth.User) {
			// The row is held by then.
			ended := p.during(t, begins("INSERT INTO sessions"),
				func(ctx context.Context) error { return only(p.other.Delete(ctx, u.ID)) })
			_, token, err := p.first.StartSession(t.Context(), u.ID, auth.Device{})
			require.NoError(t, err)
			require.NoError(t, ended())
			list, err := p.client.Session.Query().All(t.Context())
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.False(t, list[0].IsActive, "a deletion ends every session")
			_, _, err = p.first.CheckSession(t.Context(), token)
			require.ErrorIs(t, err, auth.ErrSession)
		},
		"a sign-out waits for a renewal after a rotation, and ends it": func(t *testing.T, p *pair, u *auth.User) {
			g, err := p.first.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
			_, _, err = p.first.Rotate(t.Context(), g.Refresh)
			require.NoError(t, err)
			ended := make(chan error, 1)
			var started sync.Once
			p.client.RefreshToken.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
				return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
					// The live token is held once it was read.
					v, err := next.Query(ctx, q)
					started.Do(func() {
						done := make(chan struct{})
						go func() {
							defer close(done)
							within, cancel := context.WithTimeout(t.Context(), patience)
							defer cancel()
							ended <- only(p.other.SignOut(within, g.Token))
						}()
						select {
						case <-done:
						case <-time.After(300 * time.Millisecond):
						}
					})
					return v, err
				})
			}))
			renewed, err := p.first.Renew(t.Context(), g.Refresh, auth.Device{})
			require.NoError(t, err)
			require.NoError(t, <-ended)
			_, _, err = p.first.CheckSession(t.Context(), renewed.Token)
			require.ErrorIs(t, err, auth.ErrSession)
			noSessions(t, p, u)
		},
		"a suspension refuses a renewal": func(t *testing.T, p *pair, u *auth.User) {
			g, err := p.first.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
			p.before(t, begins("UPDATE `users`"), suspend(p, u))
			_, err = p.first.Renew(t.Context(), g.Refresh, auth.Device{})
			require.ErrorIs(t, err, auth.ErrRefresh)
			require.NoError(t, p.other.Unsuspend(t.Context(), u.ID))
			_, _, err = p.other.CheckSession(t.Context(), g.Token)
			require.NoError(t, err, "nothing has changed")
		},
		"a session that began meanwhile counts against the cap": func(t *testing.T, p *pair, u *auth.User) {
			p.verify(t, u)
			capped := p.service(t, func(c *auth.Config) { c.Session.MaxPerUser = 1 })
			_, err := capped.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.NoError(t, err)
			p.before(t, sets(user.FieldLastLoginAt), func(ctx context.Context) error {
				_, err := p.other.SignIn(ctx, u.Email, interleavedPassword, auth.Device{})
				return err
			})
			g, err := capped.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.NoError(t, err)
			list, err := p.other.Sessions(t.Context(), u.ID)
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, g.Session.ID, list[0].ID)
		},
		"a suspension refuses a sign-in with a provider": func(t *testing.T, p *pair, u *auth.User) {
			_, err := p.first.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.NoError(t, err)
			require.NoError(t, only(p.other.RevokeSessions(t.Context(), u.ID)))
			p.before(t, sets(user.FieldLastLoginAt), suspend(p, u))
			_, err = p.first.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.ErrorIs(t, err, auth.ErrCredentials)
			noSessions(t, p, u)
		},
		"a deletion waits for a reset": func(t *testing.T, p *pair, u *auth.User) {
			code := p.code(t, u.Email, schematype.OTPPasswordReset)
			deleted := p.during(t, sets(user.FieldPassword),
				func(ctx context.Context) error { return only(p.other.Delete(ctx, u.ID)) })
			const next = "incorrect donkey charger pin"
			_, err := p.first.ResetPassword(t.Context(), code.Ticket, code.Code, next)
			require.NoError(t, err)
			require.NoError(t, deleted())
			_, err = p.first.SignIn(t.Context(), u.Email, next, auth.Device{})
			require.ErrorIs(t, err, auth.ErrCredentials)
			_, err = p.first.Reactivate(t.Context(), u.Email, next, auth.Device{})
			require.NoError(t, err)
		},
		"an address that is verified keeps its password when it is linked": func(t *testing.T, p *pair, u *auth.User) {
			g, err := p.other.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
			code, err := p.other.IssueCode(t.Context(), auth.CodeRequest{
				Email: u.Email, Kind: schematype.OTPEmailVerification, Device: auth.Device{Token: g.Token},
			})
			require.NoError(t, err)
			p.before(t, sets(user.FieldProvider),
				func(ctx context.Context) error { return verifyEmail(code)(ctx, p.other) })
			_, err = p.first.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.NoError(t, err)
			_, err = p.first.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
		},
		"an account that is linked keeps its link": func(t *testing.T, p *pair, u *auth.User) {
			require.NoError(t, verifyEmail(p.code(t, u.Email, schematype.OTPEmailVerification))(t.Context(), p.first))
			github := id(u.Email)
			github.Provider = schematype.ProviderGitHub
			p.before(t, sets(user.FieldProvider), func(ctx context.Context) error {
				_, err := p.other.SignInWithProvider(ctx, github, auth.Device{})
				return err
			})
			_, err := p.first.SignInWithProvider(t.Context(), id(u.Email), auth.Device{})
			require.NoError(t, err)
			row, err := p.client.User.Get(t.Context(), u.ID)
			require.NoError(t, err)
			require.Equal(t, schematype.ProviderGitHub, row.Provider)
		},
		"an account that is restored is not purged": func(t *testing.T, p *pair, u *auth.User) {
			require.NoError(t, only(p.other.Delete(t.Context(), u.ID)))
			p.clock.Advance(31 * 24 * time.Hour)
			p.before(t, begins("DELETE FROM `users`"),
				func(ctx context.Context) error { return p.other.Restore(ctx, u.ID) })
			done, err := p.first.Purge(t.Context(), auth.PurgeOptions{})
			require.NoError(t, err)
			require.Zero(t, done.Users)
			_, err = p.first.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
		},
		"an account that is restored keeps all of its rows": func(t *testing.T, p *pair, u *auth.User) {
			for range 3 {
				_, err := p.other.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
				require.NoError(t, err)
			}
			require.NoError(t, only(p.other.Delete(t.Context(), u.ID)))
			p.clock.Advance(31 * 24 * time.Hour)
			count := func() int {
				sessions, err := p.client.Session.Query().Count(t.Context())
				require.NoError(t, err)
				tokens, err := p.client.RefreshToken.Query().Count(t.Context())
				require.NoError(t, err)
				return sessions + tokens
			}
			_, err := p.first.Purge(t.Context(), auth.PurgeOptions{Tables: []string{"sessions"}})
			require.NoError(t, err)
			before := count()
			p.before(t, sets(user.FieldReActivateAvailableAt),
				func(ctx context.Context) error { return p.other.Restore(ctx, u.ID) })
			done, err := p.first.Purge(t.Context(), auth.PurgeOptions{Batch: 2})
			require.NoError(t, err)
			require.Zero(t, done.Users)
			require.Equal(t, before, count())
			_, err = p.first.SignIn(t.Context(), u.Email, interleavedPassword, auth.Device{})
			require.NoError(t, err)
		},
		"a purge goes on behind an account that is restored": func(t *testing.T, p *pair, u *auth.User) {
			require.NoError(t, only(p.other.Delete(t.Context(), u.ID)))
			p.clock.Advance(time.Hour)
			gone, _, err := p.other.Register(t.Context(), "Gone", "gone@example.com", interleavedPassword)
			require.NoError(t, err)
			require.NoError(t, only(p.other.Delete(t.Context(), gone.ID)))
			p.clock.Advance(31 * 24 * time.Hour)
			p.before(t, begins("DELETE FROM `users`"),
				func(ctx context.Context) error { return p.other.Restore(ctx, u.ID) })
			done, err := p.first.Purge(t.Context(), auth.PurgeOptions{Batch: 1})
			require.NoError(t, err)
			require.Equal(t, 1, done.Users)
		},
	}
	onServers(t, func(t *testing.T, open opener) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, open)
				u, _, err := p.other.Register(t.Context(), "Person", "person@example.com", interleavedPassword)
				require.NoError(t, err)
				test(t, p, u)
			})
		}
	})
}
