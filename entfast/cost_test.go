package entfast_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// What the client of this module costs beside SQL written by hand is what it allocates; bench compares the time.
// A context that can end costs 4 allocations more, in database/sql.
//
// Not parallel: it counts the allocations of the whole process.
func TestAClientAllocatesLittleMoreThanSQLByHand(t *testing.T) {
	url := mysqltest.MySQL(t)
	mysqltest.NeedsPreparedStatements(t, url)
	migratedtest.Apply(t, url)
	ctx := context.Background()
	client, err := authgraph.Open(ctx, url, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	ada := client.User.Create().SetName("Ada").SetEmail("ada@example.com").SetPassword("hash").SaveX(ctx)
	client.Session.Create().SetUser(ada).SetTokenHash("phone").SetExpiresAt(time.Now().Add(time.Hour)).
		SetIP("203.0.113.7").SetUserAgent("Firefox").SetFamily("family").SaveX(ctx)

	for _, c := range []struct {
		name             string
		run              func() error
		count, kilobytes float64
	}{
		{"a session with its user", func() error {
			_, err := client.Session.Query().Where(session.TokenHash("phone")).WithUser().Only(ctx)
			return err
		}, 65, 4.9},
		{"one row by a unique key", func() error {
			_, err := client.Session.Query().Where(session.TokenHash("phone")).Only(ctx)
			return err
		}, 45, 2.5},
	} {
		run := func() { require.NoError(t, c.run()) }
		run()
		count, kilobytes := testing.AllocsPerRun(200, run), bytesPerRun(200, run)/1000
		t.Logf("%s: %.0f allocations, %.2f kB", c.name, count, kilobytes)
		if raced { // the detector has pools forget at random
			c.count, c.kilobytes = c.count+10, c.kilobytes+2
		}
		assert.LessOrEqual(t, count, c.count, c.name)
		assert.LessOrEqual(t, kilobytes, c.kilobytes, c.name)
	}
}

func bytesPerRun(n int, run func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		run()
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}
