package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// TestAServiceGoesOnWithTheNextPrimary has a service sign people in and out while the primary of its group is switched,
// stands still and is killed.
func TestAServiceGoesOnWithTheNextPrimary(t *testing.T) {
	t.Parallel()
	mysqltest.MySQL(t) // where it is left out, so is this
	group, err := testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{}, t.Output())
	require.NoError(t, err)
	t.Cleanup(group.Stop)
	c := newVisitors(t, group)

	require.NoError(t, group.Members[1].MakePrimary(t.Context()))
	c.goesOn(t, "a switchover")

	require.NoError(t, group.Members[1].Freeze())
	next := c.elected(t, 0, 2)
	c.goesOn(t, "a freeze")
	require.NoError(t, group.Members[1].Thaw())
	require.NoError(t, group.Members[1].Rejoin(t.Context()))

	group.Members[next].Kill()
	c.elected(t, 1, 2-next)
	c.goesOn(t, "a crash")
	c.end(t)

	// It takes writes again, and its group knows nothing of them.
	require.NoError(t, group.Members[next].Restart(t.Context()))
	alone, others := group.Members[next], slices.Delete(slices.Clone(group.Members), next, next+1)
	client, err := authgraph.Open(t.Context(), hosts(t, append([]*testserver.Member{alone}, others...))+c.name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	rows, err := client.QueryContext(t.Context(), "SELECT @@GLOBAL.server_id")
	require.NoError(t, err)
	defer rows.Close()
	used, err := entsql.ScanInt(rows)
	require.NoError(t, errors.Join(err, rows.Err()))
	assert.NotEqual(t, next+1, used)
}

// hosts is the URL of several servers.
func hosts(t *testing.T, members []*testserver.Member) string {
	t.Helper()
	var all []string
	for _, m := range members {
		u, err := url.Parse(m.URL)
		require.NoError(t, err)
		all = append(all, u.Host)
	}
	return "mysql://root@" + strings.Join(all, ",") + "/"
}

// visitors are people who sign in and out all the time, of a service that knows all members of a group.
type visitors struct {
	group *testserver.Cluster
	w     *world
	name  string
	dbs   map[int]*sql.DB
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu sync.Mutex
	// began are the times at which what succeeded did, and failed the errors of the rest.
	began  []time.Time
	failed []error
	// ended are the sessions whose end was acknowledged.
	ended []int
}

func newVisitors(t *testing.T, group *testserver.Cluster) *visitors {
	t.Helper()
	c := &visitors{group: group, name: "visited", dbs: map[int]*sql.DB{}}
	_, err := c.db(t, 0).ExecContext(t.Context(), "CREATE DATABASE "+c.name)
	require.NoError(t, err)
	c.w = newWorld(t, group.Members[0].URL+c.name)
	client, err := authgraph.Open(t.Context(), hosts(t, group.Members)+c.name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	svc := c.w.service(t, client, 0)
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	for range 4 {
		email := c.w.email()
		c.w.register(t, email)
		c.done.Go(func() {
			for ctx.Err() == nil {
				c.visit(t, svc, email)
			}
		})
	}
	return c
}

// visit signs in and out.
func (c *visitors) visit(t *testing.T, svc *auth.Service, email string) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	g, err := svc.SignIn(ctx, email, password, auth.Device{})
	if err == nil {
		_, _, err = svc.CheckSession(ctx, g.Token)
	}
	if err == nil {
		_, err = svc.SignOut(ctx, g.Token)
	}
	assert.Less(t, time.Since(began), patience+time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.began, c.ended = append(c.began, began), append(c.ended, g.Session.ID)
}

// elected waits until one of the members takes writes, and returns it.
func (c *visitors) elected(t *testing.T, members ...int) (primary int) {
	t.Helper()
	mysqltest.Eventually(t, "there is a primary", func() bool {
		for _, primary = range members {
			var readOnly bool
			if c.db(t, primary).QueryRowContext(t.Context(), "SELECT @@GLOBAL.read_only").Scan(&readOnly) == nil &&
				!readOnly {
				return true
			}
		}
		return false
	})
	return primary
}

// goesOn waits until people come in and out that began after what happened.
func (c *visitors) goesOn(t *testing.T, after string) {
	t.Helper()
	since := time.Now()
	mysqltest.Eventually(t, "people sign in after "+after, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := 0
		for _, at := range c.began {
			if at.After(since) {
				n++
			}
		}
		return n > 20
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%s: %v until 20 people had signed in and out, with %d errors so far", after,
		time.Since(since).Round(time.Millisecond), len(c.failed))
}

// end compares what was acknowledged with the tables.
func (c *visitors) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.done.Wait()
	for _, err := range c.failed {
		var unavailable *auth.UnavailableError
		assert.True(t, errors.As(err, &unavailable) || isUnknown(err), "%v", err)
	}
	primary := c.elected(t, 0, 1, 2)
	for _, id := range c.ended {
		var active bool
		require.NoError(t, c.db(t, primary).QueryRowContext(t.Context(),
			"SELECT is_active FROM "+c.name+".sessions WHERE id = ?", id).Scan(&active), "session %d", id)
		assert.False(t, active, "session %d", id)
	}
	t.Logf("%d sessions, %d errors", len(c.ended), len(c.failed))
}

// db is a member's database, over a connection at a time that gives up what is silent.
func (c *visitors) db(t *testing.T, member int) *sql.DB {
	t.Helper()
	if c.dbs[member] == nil {
		config, err := testserver.Config(c.group.Members[member].URL)
		require.NoError(t, err)
		config.Timeout, config.ReadTimeout, config.Logger = time.Second, time.Second, &mysql.NopLogger{}
		connector, err := mysql.NewConnector(config)
		require.NoError(t, err)
		c.dbs[member] = sql.OpenDB(connector)
		t.Cleanup(func() { _ = c.dbs[member].Close() })
	}
	return c.dbs[member]
}
