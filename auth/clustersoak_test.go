//go:build cluster

package auth_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/testserver"
)

// TestSoakCluster has people use services on a cluster whose servers crash, stand still, hand over and lose their
// majority, and come back, for as long as AUTHGRAPH_SOAK says.
func TestSoakCluster(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv("AUTHGRAPH_SOAK"), "1m"))
	require.NoError(t, err)
	for name, start := range map[string]func() (*testserver.Cluster, error){
		"group": func() (*testserver.Cluster, error) {
			return testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{}, t.Output())
		},
		"primaries": func() (*testserver.Cluster, error) {
			return testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{MultiPrimary: true}, t.Output())
		},
		"Galera": func() (*testserver.Cluster, error) { return testserver.StartGalera(t.Context(), 3, t.Output()) },
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := start()
			require.NoError(t, err)
			t.Cleanup(cluster.Stop)
			k := newSoaker(t, cluster)
			faults := []struct {
				name  string
				fault func(t *testing.T, m []*testserver.Member, used int)
			}{
				{"a crash", k.crash}, {"a freeze", k.freeze}, {"a lost majority", k.loseMajority}, {"a switchover", k.handOver},
			}
			if name == "primaries" {
				faults = faults[:3] // there is nothing to hand over
			}
			began := time.Now()
			for i := 0; i < len(faults) || time.Since(began) < length; i++ {
				f := faults[i%len(faults)]
				f.fault(t, cluster.Members, k.used(t))
				k.heal(t)
				k.goesOn(t, f.name+" and its end")
				if t.Failed() {
					break
				}
			}
			k.end(t)
		})
	}
}

// soaker has people use services and notes what must not be.
type soaker struct {
	cluster  *testserver.Cluster
	w        *world
	name     string
	services []*auth.Service
	dbs      []*sql.DB
	stop     context.CancelFunc
	people   sync.WaitGroup

	rounds atomic.Int64
	mu     sync.Mutex
	calls  map[string]int
	failed map[string]int
	wrong  []string
}

const (
	soakPeople   = 6
	soakDeadline = 4 * time.Second
)

// newSoaker has two services: on several writers each has another one in use.
func newSoaker(t *testing.T, cluster *testserver.Cluster) *soaker {
	t.Helper()
	k := &soaker{cluster: cluster, name: "soaked", calls: map[string]int{}, failed: map[string]int{}}
	for _, m := range cluster.Members {
		config, err := testserver.Config(m.URL)
		require.NoError(t, err)
		config.Timeout, config.ReadTimeout, config.Logger = time.Second, 5*time.Second, &mysql.NopLogger{}
		connector, err := mysql.NewConnector(config)
		require.NoError(t, err)
		db := sql.OpenDB(connector)
		t.Cleanup(func() { _ = db.Close() })
		k.dbs = append(k.dbs, db)
	}
	_, err := k.dbs[0].Exec("CREATE DATABASE " + k.name)
	require.NoError(t, err)
	k.w = newWorld(t, cluster.Members[0].URL+k.name)
	waits := ""
	if !isMariaDB(cluster.Members[0]) { // else one that was the primary may answer for a moment around a failover
		waits = "?group_replication_consistency='BEFORE'"
	}
	for i := range 2 {
		servers := slices.Concat(cluster.Members[i:], cluster.Members[:i])
		client, err := authgraph.Open(t.Context(), hosts(t, servers)+k.name+waits)
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		config := k.w.config()
		config.Session.MaxPerUser, config.Refresh.Grace = 0, auth.NoGrace
		s, err := auth.New(client, config)
		require.NoError(t, err)
		k.services = append(k.services, s)
	}
	ctx, stop := context.WithCancel(t.Context())
	k.stop = stop
	for i := range soakPeople {
		email := k.w.email()
		p := &soakPerson{k: k, a: k.services[i%2], b: k.services[(i+1)%2], email: email, password: password}
		p.id = k.w.register(t, email)
		k.people.Go(func() {
			for ctx.Err() == nil {
				p.round(ctx)
				k.rounds.Add(1)
			}
		})
	}
	require.NoError(t, k.w.client.Close()) // its server is one of those that crash
	return k
}

func isMariaDB(m *testserver.Member) bool { return strings.HasPrefix(m.URL, "mariadb") }

// must notes what must not be, as soon as it is.
func (k *soaker) must(holds bool, format string, args ...any) {
	if holds {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = append(k.wrong, fmt.Sprintf(time.Now().Format("15:04:05.000 ")+format, args...))
}

// soakPerson uses one service for what another one looks at.
type soakPerson struct {
	k               *soaker
	a, b            *auth.Service
	id              int
	email, password string
	n               int
}

// call makes one call, and reports whether it is certain what it did: its error is nil, or says no.
func (p *soakPerson) call(ctx context.Context, what string, secrets []string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, soakDeadline)
	defer cancel()
	began := time.Now()
	err := f(ctx)
	took := time.Since(began)
	k := p.k
	k.must(took < soakDeadline+time.Second, "%s took %v", what, took)
	if err != nil {
		k.must(isTyped(err), "%s: an error of no class: %v (%T)", what, err, err)
		for _, secret := range append(secrets, p.password) {
			k.must(secret == "" || !strings.Contains(err.Error(), secret), "%s: a secret in its error", what)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls[what]++
	if isOpen(err) {
		k.failed[what]++
	}
	return err
}

// isOpen reports whether an error says that the database did not answer, or not in time.
func isOpen(err error) bool {
	var unavailable *auth.UnavailableError
	return errors.As(err, &unavailable) || isUnknown(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled)
}

func isTyped(err error) bool {
	var soon *auth.TooSoonError
	var code *auth.CodeError
	var locked *auth.LockedError
	return isOpen(err) || errors.Is(err, auth.ErrCredentials) || errors.Is(err, auth.ErrCode) ||
		errors.Is(err, auth.ErrSession) || errors.Is(err, auth.ErrRefresh) || errors.Is(err, auth.ErrNotFound) ||
		errors.As(err, &soon) || errors.As(err, &code) || errors.As(err, &locked)
}

// round signs in and looks at it from elsewhere, presents its refresh token twice, and ends all of it.
func (p *soakPerson) round(ctx context.Context) {
	p.n++
	g := p.signIn(ctx)
	if g == nil {
		return
	}
	p.isAlive(ctx, p.b, g, "a session that was acknowledged elsewhere")
	switch p.n % 3 {
	case 0:
		p.useACode(ctx)
	case 1:
		p.changePassword(ctx, g)
		return
	}
	p.presentTwice(ctx, g.Refresh)
	if g = p.signIn(ctx); g == nil {
		return
	}
	p.endAll(ctx, g)
}

func (p *soakPerson) signIn(ctx context.Context) (g *auth.Grant) {
	err := p.call(ctx, "SignIn", nil, func(ctx context.Context) (err error) {
		g, err = p.a.SignIn(ctx, p.email, p.password, auth.Device{})
		return err
	})
	if errors.Is(err, auth.ErrCredentials) {
		p.k.must(false, "an acknowledged password is refused, %s", p.untilAccepted(ctx))
	}
	p.k.must(err == nil || isOpen(err) || errors.Is(err, auth.ErrCredentials), "a sign-in is refused: %v", err)
	if err != nil {
		return nil
	}
	return g
}

// untilAccepted says whether a password that was refused is accepted later: a server may only have been behind.
func (p *soakPerson) untilAccepted(ctx context.Context) string {
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		if _, err := p.a.SignIn(ctx, p.email, p.password, auth.Device{}); err == nil {
			return fmt.Sprint("for ", time.Since(began))
		}
	}
	return "for good"
}

func (p *soakPerson) isAlive(ctx context.Context, s *auth.Service, g *auth.Grant, what string) {
	err := p.call(ctx, "CheckSession", []string{g.Token.Reveal()}, checkOf(s, g.Token))
	p.k.must(err == nil || isOpen(err), "%s is refused: %v", what, err)
}

func (p *soakPerson) isEnded(ctx context.Context, g *auth.Grant, what string) {
	for _, s := range []*auth.Service{p.b, p.a} {
		err := p.call(ctx, "CheckSession", []string{g.Token.Reveal()}, checkOf(s, g.Token))
		p.k.must(err != nil, "a session is alive after %s", what)
		err = p.call(ctx, "Rotate", []string{g.Refresh.Reveal()}, rotationOf(s, g.Refresh))
		p.k.must(err != nil, "a refresh token is alive after %s", what)
	}
}

func checkOf(s *auth.Service, t auth.Token) func(context.Context) error {
	return func(ctx context.Context) error { return only3(s.CheckSession(ctx, t)) }
}

func rotationOf(s *auth.Service, t auth.Token) func(context.Context) error {
	return func(ctx context.Context) error { return only3(s.Rotate(ctx, t)) }
}

// atOnce makes the same call of both services, and returns how many succeeded, and whether one is open.
func (p *soakPerson) atOnce(
	ctx context.Context, what string, secrets []string, of func(s *auth.Service) func(context.Context) error,
) (won int, open bool) {
	var errs [2]error
	var group sync.WaitGroup
	for i, s := range []*auth.Service{p.a, p.b} {
		group.Go(func() { errs[i] = p.call(ctx, what, secrets, of(s)) })
	}
	group.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		}
		open = open || isOpen(err)
	}
	return won, open
}

func (p *soakPerson) presentTwice(ctx context.Context, t auth.Token) {
	won, open := p.atOnce(ctx, "Rotate", []string{t.Reveal()}, func(s *auth.Service) func(context.Context) error {
		return rotationOf(s, t)
	})
	p.k.must(won <= 1, "a refresh token was exchanged %d times", won)
	p.k.must(won == 1 || open, "a live refresh token was exchanged by nobody")
}

func (p *soakPerson) useACode(ctx context.Context) {
	var issued *auth.Issued
	err := p.call(ctx, "IssueCode", nil, func(ctx context.Context) (err error) {
		issued, err = p.a.IssueCode(ctx, auth.CodeRequest{Email: p.k.w.email(), Kind: schematype.OTPSignIn})
		return err
	})
	p.k.must(err == nil || isOpen(err), "a code for a new address is refused: %v", err)
	if err != nil {
		return
	}
	secrets := []string{issued.Code.Reveal(), issued.Ticket.Reveal()}
	won, open := p.atOnce(ctx, "VerifyCode", secrets, func(s *auth.Service) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.VerifyCode(ctx, schematype.OTPSignIn, issued.Ticket, issued.Code)
		}
	})
	p.k.must(won <= 1, "a code was used %d times", won)
	p.k.must(won == 1 || open, "a right code was used by nobody")
}

// changePassword also ends the sessions of others, in the same transaction.
func (p *soakPerson) changePassword(ctx context.Context, g *auth.Grant) {
	next := fmt.Sprintf("%s and %d more", password, p.n)
	err := p.call(ctx, "ChangePassword", []string{next}, func(ctx context.Context) error {
		return only(p.a.ChangePassword(ctx, p.id, p.password, next, auth.Device{}))
	})
	switch {
	case err == nil:
		p.password = next
		p.isEnded(ctx, g, "a change of the password")
	case isUnknown(err):
		p.findPassword(ctx, next, g)
	default:
		p.k.must(isOpen(err), "a change of the password is refused: %v", err)
	}
}

// findPassword finds out which of two passwords the account has. The session has ended with the old one.
func (p *soakPerson) findPassword(ctx context.Context, next string, g *auth.Grant) {
	for ctx.Err() == nil {
		for _, candidate := range []string{p.password, next} {
			err := p.call(ctx, "SignIn", []string{candidate}, func(ctx context.Context) error {
				return only(p.b.SignIn(ctx, p.email, candidate, auth.Device{}))
			})
			if err != nil {
				continue
			}
			if candidate == next {
				p.isEnded(ctx, g, "a change of the password without an answer")
			} else {
				p.isAlive(ctx, p.b, g, "a session of an account whose password is the old one")
			}
			p.password = candidate
			return
		}
	}
}

func (p *soakPerson) endAll(ctx context.Context, g *auth.Grant) {
	ends := map[string]func(context.Context) error{
		"SignOut":        func(ctx context.Context) error { return only(p.b.SignOut(ctx, g.Token)) },
		"RevokeRefresh":  func(ctx context.Context) error { return only(p.b.RevokeRefresh(ctx, g.Refresh)) },
		"RevokeSessions": func(ctx context.Context) error { return only(p.b.RevokeSessions(ctx, p.id)) },
		"RevokeAll":      func(ctx context.Context) error { return only(p.b.RevokeAll(ctx, p.id)) },
	}
	what := slices.Sorted(maps.Keys(ends))[p.n/3%len(ends)]
	err := p.call(ctx, what, []string{g.Token.Reveal(), g.Refresh.Reveal()}, ends[what])
	p.k.must(err == nil || isOpen(err), "%s is refused: %v", what, err)
	if err == nil {
		p.isEnded(ctx, g, what)
	}
}

// used is the member that the first service is connected to.
func (k *soaker) used(t *testing.T) (member int) {
	t.Helper()
	k.await(t, "a server that takes writes", func() bool {
		for i, db := range k.dbs {
			member = i
			var readOnly bool
			if db.QueryRow("SELECT @@GLOBAL.read_only").Scan(&readOnly) == nil && !readOnly {
				return true
			}
		}
		return false
	})
	return member
}

func (k *soaker) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 150*time.Second, 20*time.Millisecond, what)
}

// goesOn waits until the people go on.
func (k *soaker) goesOn(t *testing.T, after string) {
	t.Helper()
	began, before := time.Now(), k.rounds.Load()
	k.await(t, "people go on after "+after, func() bool { return k.rounds.Load() > before+4*soakPeople })
	k.mu.Lock()
	defer k.mu.Unlock()
	t.Logf("%v until people went on after %s", time.Since(began).Round(10*time.Millisecond), after)
	for _, wrong := range k.wrong {
		t.Error(wrong)
	}
	k.wrong = nil
}

func (k *soaker) crash(t *testing.T, m []*testserver.Member, used int) {
	m[used].Kill()
	k.goesOn(t, "a crash")
}

func (k *soaker) freeze(t *testing.T, m []*testserver.Member, used int) {
	require.NoError(t, m[used].Freeze())
	k.goesOn(t, "a freeze")
	require.NoError(t, m[used].Thaw())
}

// loseMajority leaves the server that is used alone for longer than its cluster suspects the others.
func (k *soaker) loseMajority(t *testing.T, m []*testserver.Member, used int) {
	others := slices.Concat(m[:used], m[used+1:])
	for _, o := range others {
		require.NoError(t, o.Freeze())
	}
	time.Sleep(8 * time.Second)
	for _, o := range others {
		require.NoError(t, o.Thaw())
	}
}

func (k *soaker) handOver(t *testing.T, m []*testserver.Member, used int) {
	next := (used + 1) % len(m)
	if isMariaDB(m[used]) {
		_, err := k.dbs[used].Exec("SET GLOBAL read_only = ON")
		require.NoError(t, err)
		k.goesOn(t, "a switchover")
		_, err = k.dbs[used].Exec("SET GLOBAL read_only = OFF")
		require.NoError(t, err)
		return
	}
	k.await(t, "the group hands over", func() bool { return m[next].MakePrimary(t.Context()) == nil })
	k.goesOn(t, "a switchover")
}

// heal has all members belong to the cluster again.
func (k *soaker) heal(t *testing.T) {
	t.Helper()
	began := time.Now()
	const patience = 15 * time.Second // in which those that stood still come back by themselves
	k.await(t, "the cluster is whole", func() bool {
		for _, m := range k.cluster.Members {
			if !m.HasEnded() && (time.Since(began) < patience || m.Joined(t.Context())) {
				continue
			}
			if err := m.Rejoin(t.Context()); err != nil {
				t.Log(err)
			}
		}
		return k.cluster.IsWhole(t.Context())
	})
	t.Logf("the cluster was whole after %v", time.Since(began).Round(10*time.Millisecond))
}

// end compares the members.
func (k *soaker) end(t *testing.T) {
	t.Helper()
	k.stop()
	k.people.Wait()
	for _, wrong := range k.wrong {
		t.Error(wrong)
	}
	var sums [3]string
	k.await(t, "all members have the same rows", func() bool {
		for i, db := range k.dbs {
			sums[i] = ""
			for _, table := range []string{"users", "otps", "sessions", "refresh_tokens"} {
				var name string
				var sum sql.NullInt64
				if err := db.QueryRow("CHECKSUM TABLE "+k.name+"."+table).Scan(&name, &sum); err != nil {
					return false
				}
				sums[i] += fmt.Sprint(table, " ", sum.Int64, " ")
			}
		}
		return sums[0] == sums[1] && sums[1] == sums[2]
	})
	assert.Equal(t, sums[0], sums[2])
	calls, failed := 0, 0
	for what, n := range k.calls {
		calls, failed = calls+n, failed+k.failed[what]
	}
	t.Logf("%d rounds of %d people, %d calls, %d without an answer: %v", k.rounds.Load(), soakPeople, calls, failed,
		k.failed)
}
