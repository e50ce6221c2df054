package auth_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// engines are the databases the behaviour must be the same on. The isolation level is the server's default for the
// connection; a transaction of the service may name its own.
var engines = []struct {
	name      string
	database  func(testing.TB) string
	variable  string
	isolation string
}{
	{"mysql/repeatable read", mysqltest.MySQL, "transaction_isolation", "REPEATABLE-READ"},
	{"mysql/read committed", mysqltest.MySQL, "transaction_isolation", "READ-COMMITTED"},
	{"mariadb/repeatable read", mysqltest.MariaDB, "tx_isolation", "REPEATABLE-READ"},
	{"mariadb/read committed", mysqltest.MariaDB, "tx_isolation", "READ-COMMITTED"},
	{"sqlite", mysqltest.SQLite, "", ""},
}

// opener opens an empty database.
type opener func(*testing.T, ...authgraph.Option) *ent.Client

// onEngines runs fn on each engine with a function that opens empty databases there. A database is emptied and used
// again when its test ends: to make the tables takes longer than most tests.
func onEngines(t *testing.T, fn func(t *testing.T, open opener)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			fresh := func() string {
				address := e.database(t)
				migratedtest.Apply(t, address)
				return address
			}
			free := make(chan string, 1000)
			free <- fresh() // here, where a server that was left out may skip
			fn(t, func(t *testing.T, opts ...authgraph.Option) *ent.Client {
				var address string
				select {
				case address = <-free:
				default:
					address = fresh()
				}
				client := openIsolated(t, address, e.variable, e.isolation, opts...)
				t.Cleanup(func() {
					empty(t, client)
					require.NoError(t, client.Close())
					free <- address
				})
				return client
			})
		})
	}
}

// openIsolated opens a database with a default isolation level, if it has such a variable.
func openIsolated(
	t *testing.T, address, variable, level string, opts ...authgraph.Option,
) *ent.Client {
	t.Helper()
	if variable != "" {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		// A test that waits for itself must not do so for each of the service's
		// retries times the 50 s that are the default.
		address += separator + variable + "=" + url.QueryEscape("'"+level+"'") + "&innodb_lock_wait_timeout=3"
	}
	client, err := authgraph.Open(t.Context(), address, opts...)
	require.NoError(t, err)
	if variable != "" {
		rows, err := client.QueryContext(t.Context(), "SELECT @@"+variable)
		require.NoError(t, err)
		var got string
		require.NoError(t, scanOne(rows, &got))
		require.Equal(t, level, got)
	}
	return client
}

func empty(t *testing.T, client *ent.Client) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_, err := client.User.Delete().Exec(ctx) // and what is theirs
	require.NoError(t, err)
	_, err = client.OTP.Delete().Exec(ctx)
	require.NoError(t, err)
}

func scanOne(rows *sql.Rows, v any) error {
	defer rows.Close()
	rows.Next()
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Scan(v)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open opener) {
		authtest.Run(t, func(t *testing.T) *ent.Client {
			// It makes one call after the other, 20,000 of them, which takes as long as all other scenarios together.
			// No transaction of it meets another, so an isolation level has nothing to decide.
			if strings.Contains(t.Name(), "/read_committed/a_siege") {
				t.Skip("left out: it runs on the other isolation level of this server")
			}
			return open(t)
		}, authtest.Exclude(closed))
	})
}

// closed suspends a user past the service, as this project has no rule of its own.
func closed(ctx context.Context, client *ent.Client, id auth.UserID) error {
	return client.User.UpdateOneID(id).SetSuspendedUntil(auth.Forever).Exec(ctx)
}

// TestSoakRaces runs each race once on each database, or for as long as AUTHGRAPH_SOAK says on each isolation level.
func TestSoakRaces(t *testing.T) {
	t.Parallel()
	var d time.Duration
	if s := os.Getenv("AUTHGRAPH_SOAK"); s != "" {
		var err error
		d, err = time.ParseDuration(s)
		require.NoError(t, err)
	}
	onEngines(t, func(t *testing.T, open opener) {
		// TestConformance has run each race on each level, one database for each. This shows that they can share one.
		if d == 0 && strings.HasSuffix(t.Name(), "/read_committed") {
			t.Skip("left out: without AUTHGRAPH_SOAK it runs on the other isolation level of this server")
		}
		t.Logf("%d rounds", authtest.Soak(t, func(t *testing.T) *ent.Client { return open(t) }, d))
	})
}
