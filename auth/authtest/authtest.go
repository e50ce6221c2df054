// Package authtest tests the behaviour of package auth on a database of yours. Run it
// if you put the tables on a server of your own, or wrap the client:
//
//	func TestAuth(t *testing.T) {
//		authtest.Run(t, func(t *testing.T) *ent.Client { return openFresh(t) })
//	}
//
// Its scenarios are races between requests, transitions that must exclude each other, and the rules of codes, sessions,
// tokens and accounts. They judge by what the service answers and by the rows it leaves. Nothing is mocked: each
// scenario needs a database that holds the tables and no rows.
//
// [Clock] and [Hasher] also serve other tests of a program that uses package auth.
package authtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Option configures [Run].
type Option func(*options)

type options struct {
	rounds  int
	exclude func(context.Context, *ent.Client, auth.UserID) error
}

// defaultRounds is how often each race is run without [Repeat].
const defaultRounds = 3

// Repeat sets how often each race is run; default 3. Less than 1 counts as 1. More rounds find rarer races.
func Repeat(n int) Option { return func(o *options) { o.rounds = max(1, n) } }

// Exclude gives a way to exclude a user by the project's own means, such as a status, by which the rule Allowed of
// package auth's graph is tried. Without one, the scenario about that rule is left out.
func Exclude(exclude func(ctx context.Context, client *ent.Client, user auth.UserID) error) Option {
	return func(o *options) { o.exclude = exclude }
}

// Run runs every scenario as a parallel subtest. It calls open once for each, from several goroutines: open returns a
// client for an empty database and closes it in a Cleanup of the test that it gets.
//
// A scenario about what the project's users have no columns for is skipped, with what is missing.
func Run(t *testing.T, open func(t *testing.T) *ent.Client, opts ...Option) {
	t.Helper()
	o := options{rounds: defaultRounds}
	for _, opt := range opts {
		opt(&o)
	}
	for _, sc := range append(races(), rules()...) {
		t.Run(sc.name, func(t *testing.T) {
			if why := sc.leftOut(o); why != "" {
				t.Skip(why)
			}
			t.Parallel()
			k := newKit(open(t))
			k.exclude = o.exclude
			for range o.rounds {
				sc.run(t, k)
				if !sc.race || t.Failed() {
					return
				}
			}
		})
	}
}

// Soak runs the races one after the other, over and over, until d is over, and each of them at least once. It stops at
// the first failure, and returns how many races it ran. All of them run on the one database of open, which is called
// once and returns a client as for [Run]: the database is empty at the beginning. There are no options.
func Soak(t *testing.T, open func(t *testing.T) *ent.Client, d time.Duration) int {
	t.Helper()
	k := newKit(open(t))
	rounds := 0
	for end := time.Now().Add(d); rounds == 0 || time.Now().Before(end); {
		for _, sc := range races() {
			if why := sc.leftOut(options{}); why != "" {
				if rounds < len(races()) {
					t.Logf("left out: %s: %s", sc.name, why)
				}
				continue
			}
			rounds++
			if !t.Run(fmt.Sprintf("%s/%d", sc.name, rounds), func(t *testing.T) { sc.run(t, k) }) {
				return rounds
			}
		}
	}
	return rounds
}

// scenario is one subtest. A race can be run again on the same database.
type scenario struct {
	name string
	race bool
	// needs are fields of users without which there is nothing to show.
	needs []string
	// excludes is whether it needs a way to exclude a user.
	excludes bool
	run      func(t *testing.T, k *kit)
}

// leftOut is why a scenario cannot run on this project's users, if it cannot.
func (sc scenario) leftOut(o options) string {
	switch lack := absent(sc.needs); {
	case len(lack) > 0:
		return "left out: the users of this project have no column for " + strings.Join(lack, ", ")
	case sc.excludes && o.exclude == nil:
		return "left out: authtest.Exclude names no way to exclude a user"
	}
	return ""
}

// needing are the scenarios of a list, each of which needs the fields.
func needing(fields []string, list []scenario) []scenario {
	list = slices.Clone(list)
	for i := range list {
		list[i].needs = slices.Concat(list[i].needs, fields)
	}
	return list
}

func races() []scenario {
	var all []scenario
	for _, list := range [][]scenario{
		codeRaces,
		mailRaces,
		verificationRaces,
		emailChangeRaces,
		refreshRaces,
		accountRaces,
		deviceRaces,
		sessionRaces,
		needing(links, providerRaces),
		stepRaces,
		needing(links, linkRaces),
		operatorRaces,
		erasureRaces,
	} {
		for _, sc := range list {
			sc.race = true
			all = append(all, sc)
		}
	}
	return all
}

func rules() []scenario {
	var all []scenario
	for _, list := range [][]scenario{
		codeRules,
		mailRules,
		verificationRules,
		emailChangeRules,
		refreshRules,
		accountRules,
		deviceRules,
		sessionRules,
		needing(links, providerRules),
		purgeRules,
		grantRules,
		clockRules,
		addressRules,
		passwordRules,
		panicRules,
		stepRules,
		needing(links, linkRules),
		siegeRules,
		guessRules,
		exclusionRules,
		operatorRules,
		erasureRules,
	} {
		all = append(all, list...)
	}
	return all
}

// Clock is a clock that stands still until it is moved, for Config.Clock. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands in the year 2030.
func NewClock() *Clock {
	return &Clock{now: time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on and returns the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// Set moves the clock to a time.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Hasher is a hasher so weak that a test can sign in often, for Config.Hasher. It
// counts, by hash, how many passwords it examined. It is safe for concurrent use.
type Hasher struct {
	auth.Argon2id
	// Before, if set, is called before a password is compared with a hash:
	// between a service's reading an account and its signing in.
	Before func()

	mu       sync.Mutex
	examined map[string]int
}

// NewHasher returns a hasher with the least parameters of argon2id.
func NewHasher() *Hasher {
	return &Hasher{Argon2id: auth.Argon2id{Memory: 64, Iterations: 1}, examined: map[string]int{}}
}

// Verify counts and compares.
func (h *Hasher) Verify(password, hash string) (ok, outdated bool, err error) {
	h.mu.Lock()
	h.examined[hash]++
	h.mu.Unlock()
	if h.Before != nil {
		h.Before()
	}
	return h.Argon2id.Verify(password, hash)
}

// Examined is how many passwords were compared with a hash.
func (h *Hasher) Examined(hash string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.examined[hash]
}

// Factor is a second step with one right answer, for SecondStepPolicy.Factor. Unlike a real one it takes the answer
// more than once. It is safe for concurrent use.
type Factor struct {
	// Before, if set, is called before an answer is examined. Its error is that of Verify.
	Before func() error

	answer string
	asked  atomic.Int64
}

// NewFactor returns a factor whose right answer is answer.
func NewFactor(answer string) *Factor { return &Factor{answer: answer} }

// Verify counts and compares.
func (f *Factor) Verify(_ context.Context, _ *auth.User, answer string) (bool, error) {
	f.asked.Add(1)
	if f.Before != nil {
		if err := f.Before(); err != nil {
			return false, err
		}
	}
	return answer == f.answer, nil
}

// Asked is how many answers were examined.
func (f *Factor) Asked() int { return int(f.asked.Load()) }

// kit is what a scenario works with.
type kit struct {
	client *ent.Client
	clock  *Clock
	// exclude is that of [Exclude].
	exclude func(context.Context, *ent.Client, auth.UserID) error
	// serial keeps the addresses of one database apart.
	serial atomic.Int64
}

func newKit(client *ent.Client) *kit { return &kit{client: client, clock: NewClock()} }

const (
	password      = "correct horse battery staple"
	nextPassword  = "incorrect donkey charger pin"
	wrongPassword = "a guess that is long enough."
)

var (
	key   = []byte("qKz0R7v2mWb5hXn8cTj3fYd6gLs1pAe9")
	phone = auth.Device{IP: "192.0.2.7", UserAgent: "phone"}
)

// service is a service on the kit's database and clock, which change configures further. It is closed with the test.
func (k *kit) service(t *testing.T, change ...func(*auth.Config)) *auth.Service {
	t.Helper()
	cfg := auth.Config{
		Keys: auth.NewKeys(key), Hasher: NewHasher(), Clock: k.clock.Now,
		// Some scenarios hold several calls while they hash, on a machine with one processor too.
		Hashing: auth.HashingPolicy{Parallel: 64, Floor: auth.NoFloor, Rehash: new(true)},
	}
	for _, c := range change {
		c(&cfg)
	}
	svc, err := auth.New(k.client, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, svc.Close(context.WithoutCancel(t.Context()))) })
	return svc
}

// email is an address that no other call returns.
func (k *kit) email() string { return fmt.Sprintf("person%d@example.com", k.serial.Add(1)) }

// register adds an account with [password].
func (k *kit) register(t *testing.T, svc *auth.Service) *auth.User {
	t.Helper()
	email := k.email()
	u, _, err := svc.Register(t.Context(), nameOf(email), email, password)
	require.NoError(t, err)
	return u
}

// signIn adds an account and signs in to it.
func (k *kit) signIn(t *testing.T, svc *auth.Service) *auth.Grant {
	t.Helper()
	return signIn(t, svc, k.register(t, svc).Email)
}

// registerVerified adds an account of whoever reads its mail.
func (k *kit) registerVerified(t *testing.T, svc *auth.Service) *auth.User {
	t.Helper()
	email := k.email()
	u, ticket, err := svc.Register(t.Context(), nameOf(email), email, password)
	require.NoError(t, err)
	issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{
		Email: u.Email, Kind: schematype.OTPEmailVerification, Device: anybody(), Ticket: ticket,
	})
	require.NoError(t, err)
	require.NoError(t, verifyEmail(t, svc, issued))
	return u
}

// verified is registerVerified, signed in.
func (k *kit) verified(t *testing.T, svc *auth.Service) *auth.Grant {
	t.Helper()
	return signIn(t, svc, k.registerVerified(t, svc).Email)
}

func signIn(t *testing.T, svc *auth.Service, email string) *auth.Grant {
	t.Helper()
	g, err := svc.SignIn(t.Context(), email, password, phone)
	require.NoError(t, err)
	return g
}

// atOnce makes n calls that start together, and returns their errors.
func atOnce(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	group.Wait()
	return errs
}

// both starts two calls together and returns their errors.
func both(a, b func() error) (errA, errB error) {
	errs := atOnce(2, func(i int) error {
		if i == 0 {
			return a()
		}
		return b()
	})
	return errs[0], errs[1]
}

// winners counts the calls that succeeded. Each of the others must have failed with one of the errors.
func winners(t *testing.T, errs []error, allowed ...error) int {
	t.Helper()
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
			continue
		}
		requireOneOf(t, err, allowed...)
	}
	return n
}

func requireOneOf(t *testing.T, err error, allowed ...error) {
	t.Helper()
	for _, want := range allowed {
		if errors.Is(err, want) {
			return
		}
	}
	require.NoError(t, err, "none of the errors that are allowed here: %v", allowed)
}
