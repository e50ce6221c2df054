//go:build cluster

package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// A Galera cluster aborts a transaction on one node for a write that another node committed first, and tells it in the
// answer to the next command. Starting three nodes takes longer than a test may: make cluster runs these.
const galeraRounds = 100

func TestGalera(t *testing.T) {
	galera, err := testserver.StartGalera(t.Context(), 3, t.Output())
	require.NoError(t, err)
	t.Cleanup(galera.Stop)
	servers := galera.Members
	for name, test := range map[string]func(t *testing.T, here, there *world){
		"a password that was acknowledged is kept":       testKeepsAPassword,
		"a refresh token wins once":                      testRefreshTokenWinsOnce,
		"of many refreshes at once one wins":             testManyRefreshes,
		"an abort is told of in the place of all errors": testTellsOfAnAbort,
		"what began on one node ends on another":         testEndsWhatBeganElsewhere,
		"budgets of mails hold over all nodes":           testBudgetsHold,
		"the limit of sessions holds over all nodes":     testSessionLimitHolds,
		"no session outlives its family":                 testNoSessionOutlivesItsFamily,
		"calls for one user at once end well":            testCallsForOneUser,
		"people who register at once come in":            testRegistersAtOnce,
		"an address that declines to wait is obeyed": func(t *testing.T, here, _ *world) {
			testWaitsUnlessDeclined(t, here, "wsrep_sync_wait", "7", "0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := nodes(t, servers[0].URL, servers[1].URL)
			test(t, here, there)
		})
	}
	t.Run("a long statement that all nodes wait for moves nobody", func(t *testing.T) {
		here, _ := nodes(t, servers[0].URL, servers[1].URL)
		testLongStatement(t, here, servers[:2])
	})
	t.Run("a node without a quorum is unavailable", func(t *testing.T) {
		w := newWorldOn(t, servers[0].URL)
		email := w.email()
		id := w.register(t, email)
		token := w.signIn(t, email).Token
		servers[1].Kill()
		servers[2].Kill()
		mysqltest.Eventually(t, "the node has noticed", func() bool {
			_, _, err := w.honest.CheckSession(t.Context(), token)
			return err != nil
		})
		for name, err := range map[string]error{
			"a check": checkSession(token)(t.Context(), w.honest), "a sign-in": signInWith(email,
				password)(t.Context(), w.honest),
			"a deletion": only(w.honest.Delete(t.Context(), id)),
			"a sign-out": only(w.honest.SignOut(t.Context(), token)),
		} {
			t.Log(name, err)
			isUnavailable(t, err)
		}
	})
}

func TestGroupOfPrimaries(t *testing.T) {
	group, err := testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{MultiPrimary: true}, t.Output())
	require.NoError(t, err)
	t.Cleanup(group.Stop)
	here, there := nodes(t, group.Members[0].URL, group.Members[1].URL)
	for name, test := range map[string]func(t *testing.T, here, there *world){
		"what began on one server ends on another":     testEndsWhatBeganElsewhere,
		"budgets of mails hold over all servers":       testBudgetsHold,
		"the limit of sessions holds over all servers": testSessionLimitHolds,
		"no session outlives its family":               testNoSessionOutlivesItsFamily,
		"calls for one user at once end well":          testCallsForOneUser,
		"people who register at once come in":          testRegistersAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, here, there) })
	}
	testWaitsUnlessDeclined(t, here, "group_replication_consistency", "BEFORE", "EVENTUAL")
}

// A secondary is asked for sessions that the primary has just ended.
func TestGroupReadsOnASecondary(t *testing.T) {
	group, err := testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{}, t.Output())
	require.NoError(t, err)
	t.Cleanup(group.Stop)
	here, there := nodes(t, group.Members[0].URL, group.Members[1].URL)
	email := here.email()
	here.register(t, email)
	asks := func(rounds int, opts ...authgraph.Option) (accepted, asked int) {
		var statements atomic.Int32
		opts = append(opts, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return faultyDriver{d, &saboteur{sees: func(string) { statements.Add(1) }}}
		}))
		reader, err := authgraph.Open(t.Context(), there.url, opts...)
		require.NoError(t, err)
		defer reader.Close()
		s := here.withReader(t, here.client, reader)
		for range rounds {
			g := here.signIn(t, email)
			require.NoError(t, checkSession(g.Token)(t.Context(), s), "a session that has just begun")
			require.NoError(t, only(here.honest.SignOut(t.Context(), g.Token)))
			if checkSession(g.Token)(t.Context(), s) == nil {
				accepted++
			}
		}
		return accepted, int(statements.Load())
	}
	accepted, asked := asks(150, authgraph.ForReading())
	t.Logf("%d of 150 ended sessions were accepted, %d questions to the secondary", accepted, asked)
	assert.Zero(t, accepted)
	assert.GreaterOrEqual(t, asked, 300)
	stale, _ := asks(150, authgraph.ForStaleReading())
	t.Logf("%d of 150 where the secondary does not wait", stale)

	// Its group goes on without it.
	reader, err := authgraph.Open(t.Context(), there.url, authgraph.ForReading())
	require.NoError(t, err)
	defer reader.Close()
	s := here.withReader(t, here.client, reader)
	g := here.signIn(t, email)
	require.NoError(t, checkSession(g.Token)(t.Context(), s))
	require.NoError(t, group.Members[1].Leave(t.Context()))
	require.NoError(t, only(here.honest.SignOut(t.Context(), g.Token)))
	mysqltest.Eventually(t, "the secondary that has left its group is asked no more", func() bool {
		return errors.Is(checkSession(g.Token)(t.Context(), s), auth.ErrSession)
	})
}

// An ALTER that copies a table is carried out by all nodes at once, and what waits for other nodes waits for it.
func testLongStatement(t *testing.T, here *world, members []*testserver.Member) {
	name := here.url[strings.LastIndexByte(here.url, '/')+1:]
	client, err := authgraph.Open(t.Context(), hosts(t, members)+name, authgraph.WithStatementTimeout(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	node := func() (name string) {
		rows, err := client.QueryContext(t.Context(), "SELECT @@port")
		require.NoError(t, err)
		require.NoError(t, entsql.ScanOne(rows, &name))
		require.NoError(t, rows.Close())
		return name
	}
	before := node()
	_, err = here.db.Exec("CREATE TABLE big (id int AUTO_INCREMENT PRIMARY KEY, a varchar(200), KEY (a))")
	require.NoError(t, err)
	for range 3 {
		_, err = here.db.Exec("INSERT INTO big (a) SELECT UUID() FROM seq_1_to_60000")
		require.NoError(t, err)
	}
	for _, width := range []int{201, 202} {
		began := time.Now()
		_, err = client.ExecContext(t.Context(), fmt.Sprintf("ALTER TABLE big MODIFY a varchar(%d), ALGORITHM=COPY", width))
		require.NoError(t, err)
		t.Logf("the statement took %v", time.Since(began))
		require.Greater(t, time.Since(began), time.Second, "it must be longer than a server may be silent")
	}
	assert.Equal(t, before, node())
}

// both are the services of two nodes with a configuration that may differ from the world's.
func both(t *testing.T, here, there *world, adjust func(*auth.Config)) (services []*auth.Service) {
	t.Helper()
	for _, w := range []*world{here, there} {
		config := w.config()
		adjust(&config)
		s, err := auth.New(w.client, config)
		require.NoError(t, err)
		services = append(services, s)
	}
	return services
}

// atOnce makes n calls at the same time, on two nodes in turn, and returns their errors.
func atOnce(services []*auth.Service, n int, call func(s *auth.Service, i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-begin
			errs[i] = call(services[i%len(services)], i)
		})
	}
	close(begin)
	group.Wait()
	return errs
}

func testBudgetsHold(t *testing.T, here, there *world) {
	const budget, origins = 5, 3
	services := both(t, here, there, func(c *auth.Config) {
		c.OTP.Budget, c.OTP.OriginBudget = budget, origins
	})
	issue := func(s *auth.Service, email, origin string) error {
		return only(s.IssueCode(t.Context(), auth.CodeRequest{
			Email: email, Kind: schematype.OTPSignIn, Device: auth.Device{Origin: origin},
		}))
	}
	for name, of := range map[string]struct {
		most int
		call func(round int) func(s *auth.Service, i int) error
	}{
		"an address": {budget, func(round int) func(*auth.Service, int) error {
			email, origin := here.email(), name(round)
			return func(s *auth.Service, i int) error { return issue(s, email, fmt.Sprint(origin, i)) }
		}},
		"an origin": {origins, func(round int) func(*auth.Service, int) error {
			origin := name(round)
			return func(s *auth.Service, _ int) error { return issue(s, here.email(), origin) }
		}},
		"one origin's mails to an address": {1, func(round int) func(*auth.Service, int) error {
			email, origin := here.email(), name(round)
			return func(s *auth.Service, _ int) error { return issue(s, email, origin) }
		}},
	} {
		beyond, short := 0, 0
		for round := range 30 {
			sent := 0
			for _, err := range atOnce(services, 2*of.most+2, of.call(round)) {
				var soon *auth.TooSoonError
				switch {
				case err == nil:
					sent++
				case !errors.As(err, &soon):
					assert.NoError(t, err)
				}
			}
			if sent > of.most {
				beyond++
			}
			if sent < of.most {
				short++
			}
		}
		t.Logf("%s: in %d of 30 rounds more mails than the budget, in %d fewer", name, beyond, short)
		assert.Zero(t, beyond)
		assert.Zero(t, short)
	}
}

// name is one for what no other round has.
func name(round int) string { return fmt.Sprint("round ", round, " of ", time.Now().UnixNano()) }

func testSessionLimitHolds(t *testing.T, here, there *world) {
	services := both(t, here, there, func(c *auth.Config) { c.Session.MaxPerUser = 2 })
	beyond := 0
	for range 40 {
		id := here.register(t, here.email())
		for _, err := range atOnce(services, 6, func(s *auth.Service, i int) error {
			return only3(s.StartSession(t.Context(), id, device))
		}) {
			require.NoError(t, err)
		}
		sessions, err := here.honest.Sessions(t.Context(), id)
		require.NoError(t, err)
		if len(sessions) > 2 {
			beyond++
		}
	}
	t.Logf("in %d of 40 rounds more sessions than the limit", beyond)
	assert.Zero(t, beyond)
}

func only3[A, B any](_ A, _ B, err error) error { return err }

// A tab that renews within the grace gets a session, while another node ends the family.
func testNoSessionOutlivesItsFamily(t *testing.T, here, there *world) {
	services := both(t, here, there, func(c *auth.Config) { c.Refresh.Grace = 10 * time.Second })
	outlived := 0
	for range 60 {
		id := here.register(t, here.email())
		first, err := services[0].IssueRefresh(t.Context(), id)
		require.NoError(t, err)
		next, _, err := services[0].Rotate(t.Context(), first)
		require.NoError(t, err)
		for _, err := range atOnce(services, 2, func(s *auth.Service, i int) error {
			if i == 0 {
				return only(s.Renew(t.Context(), first, device))
			}
			return only(s.RevokeRefresh(t.Context(), next))
		}) {
			if !errors.Is(err, auth.ErrRefresh) {
				require.NoError(t, err)
			}
		}
		sessions, err := here.honest.Sessions(t.Context(), id)
		require.NoError(t, err)
		if len(sessions) > 0 {
			outlived++
		}
	}
	t.Logf("%d of 60 sessions outlived their families", outlived)
	assert.Zero(t, outlived)
}

// Conflicts among the calls of one user end in success, or in an error that says what to do.
func testCallsForOneUser(t *testing.T, here, there *world) {
	services := both(t, here, there, func(*auth.Config) {})
	for range 20 {
		email := here.email()
		id := here.register(t, email)
		for i, err := range atOnce(services, 12, func(s *auth.Service, i int) error {
			switch i / 2 {
			case 0:
				return only(s.SignIn(t.Context(), email, password, device))
			case 1:
				return only3(s.StartSession(t.Context(), id, device))
			case 2:
				return only(s.IssueRefresh(t.Context(), id))
			case 3:
				return only(s.RevokeAll(t.Context(), id))
			case 4:
				return only(s.RevokeSessions(t.Context(), id))
			default:
				return s.ChangeRole(t.Context(), id, schematype.RoleAdmin)
			}
		}) {
			var unavailable *auth.UnavailableError
			if !errors.As(err, &unavailable) {
				assert.NoError(t, err, "call %d", i)
			}
		}
	}
}

// Local accounts have the same provider and no id at one. Galera takes their entries of the unique index of both for
// equal, although each has a NULL, and rolls back all but one of those who register at once.
func testRegistersAtOnce(t *testing.T, here, there *world) {
	conflicts := func() (n int) {
		for _, w := range []*world{here, there} {
			rows, err := w.db.Query("SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_bf_aborts', " +
				"'wsrep_local_cert_failures')")
			require.NoError(t, err)
			for rows.Next() {
				var name string
				var count int
				require.NoError(t, rows.Scan(&name, &count))
				n += count
			}
			require.NoError(t, rows.Close())
		}
		return n
	}
	register := func(what string, n int, services []*auth.Service) {
		before, began := conflicts(), time.Now()
		took := make([]time.Duration, n)
		work := make(chan int, n)
		for i := range took {
			work <- i
		}
		close(work)
		for _, err := range atOnce(services, 12, func(s *auth.Service, _ int) error {
			for i := range work {
				began := time.Now()
				if err := only3(s.Register(t.Context(), "Ada", here.email(), password)); err != nil {
					return err
				}
				took[i] = time.Since(began)
			}
			return nil
		}) {
			assert.NoError(t, err)
		}
		slices.Sort(took)
		t.Logf("%s: %d registrations in %v, %d conflicts, median %v, 99 of 100 within %v, all within %v", what, n,
			time.Since(began), conflicts()-before, took[n/2], took[n*99/100], took[n-1])
	}
	fast := []*auth.Service{here.honest, there.honest}
	register("passwords hashed as in service", 120, both(t, here, there, func(c *auth.Config) { c.Hasher = nil }))
	register("without the time of hashing", 540, fast)
	_, err := here.db.Exec("ALTER TABLE users DROP INDEX user_provider_provider_id")
	require.NoError(t, err)
	register("and without the index", 540, fast)
	_, err = here.db.Exec("ALTER TABLE users ADD UNIQUE INDEX user_provider_provider_id (provider, provider_id)")
	require.NoError(t, err)
}

// testWaitsUnlessDeclined logs what the waiting costs, too.
func testWaitsUnlessDeclined(t *testing.T, here *world, variable, waits, declined string) {
	email := here.email()
	here.register(t, email)
	token := here.signIn(t, email).Token
	took := map[string]time.Duration{}
	for want, address := range map[string]string{
		waits: here.url, declined: here.url + "?" + variable + "=" + url.QueryEscape("'"+declined+"'"),
	} {
		if declined == "0" {
			address = strings.ReplaceAll(address, "%27", "")
		}
		client, err := authgraph.Open(t.Context(), address)
		require.NoError(t, err)
		rows, err := client.QueryContext(t.Context(), "SELECT @@SESSION."+variable)
		require.NoError(t, err)
		var value string
		require.NoError(t, entsql.ScanOne(rows, &value))
		require.NoError(t, rows.Close())
		assert.Equal(t, want, value)
		s := here.service(t, client, 0)
		began := time.Now()
		for range 1000 {
			_, _, err := s.CheckSession(t.Context(), token)
			require.NoError(t, err)
		}
		took[want] = time.Since(began) / 1000
		require.NoError(t, client.Close())
	}
	t.Logf("a session check takes %v, and %v where it is declined to wait", took[waits], took[declined])
}

// testEndsWhatBeganElsewhere has one node end what another one has just acknowledged, and each see at once that it has.
func testEndsWhatBeganElsewhere(t *testing.T, here, there *world) {
	ctx := t.Context()
	for name, end := range map[string]func(id int, g *auth.Grant) error{
		"RevokeAll":      func(id int, _ *auth.Grant) error { return only(there.honest.RevokeAll(ctx, id)) },
		"RevokeSessions": func(id int, _ *auth.Grant) error { return only(there.honest.RevokeSessions(ctx, id)) },
		"SignOut":        func(_ int, g *auth.Grant) error { return only(there.honest.SignOut(ctx, g.Token)) },
		"RevokeRefresh":  func(_ int, g *auth.Grant) error { return only(there.honest.RevokeRefresh(ctx, g.Refresh)) },
	} {
		email := here.email()
		id := here.register(t, email)
		for round := range 30 {
			g := here.signIn(t, email)
			require.NoError(t, end(id, g), "%s, round %d", name, round)
			for _, w := range []*world{here, there} {
				_, _, err := w.honest.CheckSession(ctx, g.Token)
				assert.ErrorIs(t, err, auth.ErrSession, "%s, round %d", name, round)
				_, _, err = w.honest.Rotate(ctx, g.Refresh)
				assert.ErrorIs(t, err, auth.ErrRefresh, "%s, round %d", name, round)
			}
		}
	}
}

// newWorldOn is a world over a database of its own, which stays: a node without a quorum drops none.
func newWorldOn(t *testing.T, server string) *world {
	t.Helper()
	admin, err := sql.Open("mysql", dsn(t, server, ""))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	name := fmt.Sprintf("authgraph_%d", time.Now().UnixNano())
	_, err = admin.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	return newWorld(t, server+name)
}

// nodes are the worlds of two nodes over one database.
func nodes(t *testing.T, urls ...string) (here, there *world) {
	t.Helper()
	here = newWorldOn(t, urls[0])
	name := strings.TrimPrefix(here.url, urls[0])
	other, err := sql.Open("mysql", dsn(t, urls[1], name))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, other.Close()) })
	mysqltest.Eventually(t, "the other node has the tables", func() bool {
		var n int
		return other.QueryRow("SELECT COUNT(*) FROM refresh_tokens").Scan(&n) == nil
	})
	client, err := authgraph.Open(t.Context(), urls[1]+name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	there = &world{url: urls[1] + name, db: other, client: client, key: here.key}
	there.honest = there.service(t, client, 0)
	return here, there
}

func dsn(t *testing.T, raw, name string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return fmt.Sprintf("root@tcp(%s)/%s?parseTime=true", u.Host, name)
}

// disturbed is a client with one connection that has sent nothing, and whose statement that begins so is preceded by fn
// where it is armed.
func (w *world) disturbed(t *testing.T, prefix string, fn func()) (client *ent.Client, arm *atomic.Bool) {
	t.Helper()
	arm = new(atomic.Bool)
	client, err := authgraph.Open(t.Context(), w.url, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}),
		authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return faultyDriver{d, &saboteur{sees: func(statement string) {
				if strings.HasPrefix(statement, prefix) && arm.CompareAndSwap(true, false) {
					fn()
				}
			}}}
		}))
	require.NoError(t, err)
	return client, arm
}

// rename writes an account there, and waits until it is written here.
func rename(t *testing.T, here, there *world, id int, name string) {
	t.Helper()
	mysqltest.Eventually(t, "the account is on the other node", func() bool {
		result, err := there.db.Exec(fmt.Sprintf("UPDATE users SET name = '%s' WHERE id = %d", name, id))
		if err != nil { // what it lost against is on its way
			return false
		}
		n, err := result.RowsAffected()
		return err == nil && n == 1
	})
	mysqltest.Eventually(t, "the change is here", func() bool {
		return column[string](t, here.db, fmt.Sprint("SELECT name FROM users WHERE id = ", id))[0] == name
	})
}

// The statements after the first one of the transaction are texts the first time, prepared the second, executed the
// third.
func testKeepsAPassword(t *testing.T, here, there *world) {
	kept := 0
	for round := range galeraRounds {
		email := here.email()
		id := here.register(t, email)
		here.signIn(t, email)
		client, arm := here.disturbed(t, "UPDATE `sessions`", func() {
			rename(t, here, there, id, "changed there")
		})
		s := here.service(t, client, 0)
		current := password
		for range round % 3 {
			require.NoError(t, only(s.ChangePassword(t.Context(), id, current, current+"!", device)))
			current += "!"
		}
		arm.Store(true)
		require.NoError(t, only(s.ChangePassword(t.Context(), id, current, newPassword, device)))
		_, err := here.honest.SignIn(t.Context(), email, newPassword, device)
		if errors.Is(err, auth.ErrCredentials) {
			kept++
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, client.Close())
	}
	t.Logf("%d of %d acknowledged changes kept the old password", kept, galeraRounds)
	assert.Zero(t, kept)
}

func testRefreshTokenWinsOnce(t *testing.T, here, there *world) {
	twice := 0
	for round := range galeraRounds {
		email := here.email()
		here.register(t, email)
		token := here.signIn(t, email).Refresh
		var wonThere bool
		client, arm := here.disturbed(t, "INSERT INTO refresh_tokens", func() {
			mysqltest.Eventually(t, "the token is on the other node", func() bool {
				return column[int](t, there.db,
					"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
					email)[0] == 1
			})
			_, _, err := there.honest.Rotate(t.Context(), token)
			wonThere = err == nil
			mysqltest.Eventually(t, "the exchange is here", func() bool {
				return column[int](t, here.db,
					"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
					email)[0] == 2
			})
		})
		s := here.service(t, client, 0)
		warm := here.email()
		here.register(t, warm)
		for range round % 3 {
			_, _, err := s.Rotate(t.Context(), here.signIn(t, warm).Refresh)
			require.NoError(t, err)
		}
		arm.Store(true)
		_, _, err := s.Rotate(t.Context(), token)
		if err == nil && wonThere {
			twice++
		}
		if err != nil {
			require.ErrorIs(t, err, auth.ErrRefresh)
		}
		require.NoError(t, client.Close())
	}
	t.Logf("%d of %d tokens were exchanged twice", twice, galeraRounds)
	assert.Zero(t, twice)
}

// The same without an order: eight requests on two nodes with one token, on connections that are warm in part.
func testManyRefreshes(t *testing.T, here, there *world) {
	services := []*auth.Service{here.honest, there.honest}
	twice := 0
	for range galeraRounds {
		email := here.email()
		here.register(t, email)
		token := here.signIn(t, email).Refresh
		mysqltest.Eventually(t, "the token is on the other node", func() bool {
			return column[int](t, there.db,
				"SELECT COUNT(*) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = ?",
				email)[0] == 1
		})
		var won atomic.Int32
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				_, _, err := services[i%2].Rotate(t.Context(), token)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, auth.ErrRefresh) {
					t.Log(err)
				}
			})
		}
		group.Wait()
		if won.Load() > 1 {
			twice++
		}
	}
	t.Logf("%d of %d tokens were exchanged twice", twice, galeraRounds)
	assert.Zero(t, twice)
}

// Why 1295 and 1461 may be followed by the text within a transaction: the news of an abort comes in their place.
func testTellsOfAnAbort(t *testing.T, here, there *world) {
	id := here.register(t, here.email())
	for text, limit := range map[string]int{"SELECT 1": 0, "PREPARE a FROM 'SELECT 1'": 16382,
		"SELECT no_such_column": 16382} {
		t.Run(text, func(t *testing.T) {
			_, err := here.db.Exec(fmt.Sprint("SET GLOBAL max_prepared_stmt_count = ", limit))
			require.NoError(t, err)
			defer here.db.Exec("SET GLOBAL max_prepared_stmt_count = 16382")
			conn, err := here.db.Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			prepare := func() error {
				stmt, err := conn.PrepareContext(context.Background(), text)
				if err == nil {
					stmt.Close()
				}
				return err
			}
			t.Log("without an abort:", prepare())
			_, err = conn.ExecContext(t.Context(), "BEGIN")
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), fmt.Sprint("UPDATE users SET name = 'here' WHERE id = ", id))
			require.NoError(t, err)
			rename(t, here, there, id, fmt.Sprint("there ", limit, len(text)))
			var server *mysql.MySQLError
			require.ErrorAs(t, prepare(), &server)
			assert.EqualValues(t, 1213, server.Number, "%v", server)
		})
	}
}
