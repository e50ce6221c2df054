package authgraph_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// query is the one row that the client's own connection answers.
func query(t *testing.T, client *ent.Client, text string, dest ...any) {
	t.Helper()
	rows, err := client.QueryContext(t.Context(), text)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next(), text)
	require.NoError(t, rows.Scan(dest...))
	require.NoError(t, rows.Err())
}

func TestOpenNamesThePartOfAnAddressThatIsWrong(t *testing.T) {
	const secret = "s3cr3t-passw0rd"
	for _, c := range []struct{ name, url, part string }{
		{"empty", "", "url"},
		{"no form at all", "authgraph", "url"},
		{"a password alone", secret, "url"},
		{"scheme", "postgres://ada:" + secret + "@localhost/app", "scheme"},
		{"no database", "mysql://ada:" + secret + "@localhost:3306", "database"},
		{"no database after the slash", "mysql://ada:" + secret + "@localhost:3306/", "database"},
		{"no database in a DSN", "ada:" + secret + "@tcp(localhost:3306)/", "database"},
		{"no host", "mysql://ada:" + secret + "@/app", "host"},
		{"host forgotten", "mysql://ada:" + secret + "/app", "host"},
		{"port", "mysql://ada:" + secret + "@localhost:33o6/app", "host"},
		{"port too high", "mysql://ada:" + secret + "@localhost:65536/app", "host"},
		{"IPv6 without brackets", "mysql://ada:" + secret + "@::1:3306/app", "host"},
		{"/ in the password", "mysql://ada:" + secret + "/x@localhost/app", "password"},
		{"? in the password", "mysql://ada:" + secret + "?x@localhost/app", "password"},
		{"% in the password", "mysql://ada:" + secret + "%@localhost/app", "password"},
		{"% in the user", "mysql://a%zz:" + secret + "@localhost/app", "user"},
		{"% in the database", "mysql://ada:" + secret + "@localhost/%zz", "database"},
		{"value of a parameter", "mysql://ada:" + secret + "@localhost/app?timeout=soon", "parameter"},
		{"parameters", "mysql://ada:" + secret + "@localhost/app?a;b", "parameter"},
		{"TLS configuration", "mysql://ada:" + secret + "@localhost/app?tls=none", "parameter"},
		{"DSN", "ada:" + secret + "@tcp(localhost:3306/app", "url"},
		{"DSN of another network", "ada:" + secret + "@carrier(pigeon)/app", "host"},
		{"SQLite without a file", "sqlite://", "file"},
		{"SQLite in memory", "sqlite://:memory:", "file"},
		{"SQLite in memory by parameter", "file:app.db?mode=memory", "file"},
		{"SQLite in no folder", "sqlite:///no/such/folder/app.db", "file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := authgraph.Open(t.Context(), c.url)
			assertURLError(t, err, c.part)
			for _, piece := range []string{secret, "s3cr3t", "passw0rd"} {
				assert.NotContains(t, err.Error(), piece)
			}
		})
	}
}

func assertURLError(t *testing.T, err error, part string) {
	t.Helper()
	var urlErr *authgraph.URLError
	require.ErrorAs(t, err, &urlErr)
	assert.Equal(t, part, urlErr.Part, err)
	assert.ErrorContains(t, err, part+": ")
}

func TestOpenNamesThePartThatTheServerRefuses(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		const secret = "s3cr3t-passw0rd"
		base, err := neturl.Parse(url)
		require.NoError(t, err)
		account := newAccount(t, url, secret)
		with := func(edit func(*neturl.URL)) string {
			u := *base
			u.User = neturl.UserPassword(account, secret)
			edit(&u)
			return u.String()
		}
		for _, c := range []struct{ name, url, part string }{
			{"wrong password", with(func(u *neturl.URL) { u.User = neturl.UserPassword(account, secret+"x") }), "user"},
			{"no password", with(func(u *neturl.URL) { u.User = neturl.User(account) }), "user"},
			{"unknown user", with(func(u *neturl.URL) { u.User = neturl.UserPassword("authgraph_nobody", secret) }),
				"user"},
			{"a database of others", with(func(u *neturl.URL) { u.Path = "/authgraph_nowhere" }), "database"},
			{"unknown database", base.JoinPath("../authgraph_nowhere").String(), "database"},
			{"unknown parameter", with(func(u *neturl.URL) { u.RawQuery = "no_such_variable=1" }), "parameter"},
			{"wrong value", with(func(u *neturl.URL) { u.RawQuery = "transaction_isolation=%27SOMETIMES%27" }),
				"parameter"},
			{"nothing listens", with(func(u *neturl.URL) { u.Host = closedPort(t) }), "host"},
		} {
			_, err := authgraph.Open(t.Context(), c.url)
			if assert.Error(t, err, c.name) {
				assertURLError(t, err, c.part)
				assert.NotContains(t, err.Error(), secret, c.name)
			}
		}
	})
}

// newAccount creates a user of the server who may use the database at url.
func newAccount(t *testing.T, url, password string) string {
	t.Helper()
	db := mysqltest.DB(t, url)
	name := "authgraph_" + strings.ToLower(rand.Text()[:12])
	exec(t, db, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", name, strings.NewReplacer(`\`, `\\`, `'`,
		`\'`).Replace(password)))
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), fmt.Sprintf("DROP USER '%s'@'%%'", name))
		assert.NoError(t, err)
	})
	exec(t, db, fmt.Sprintf("GRANT ALL ON %s.* TO '%s'@'%%'", single[string](t, db, "SELECT DATABASE()"), name))
	return name
}

// closedPort is an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestEveryFormOfAnAddressOpensTheDatabase(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		u, err := neturl.Parse(url)
		require.NoError(t, err)
		database := strings.TrimPrefix(u.Path, "/")
		for _, password := range []string{"simple", "p@s:s/w%2?#&=+ é'\\\"", "@", "%41", "a@tcp(b)/c"} {
			account := newAccount(t, url, password)
			encoded := neturl.UserPassword(account, password).String()
			for _, address := range []string{
				fmt.Sprintf("mysql://%s@%s/%s", encoded, u.Host, database),
				fmt.Sprintf("mariadb://%s@%s/%s?timeout=5s", encoded, u.Host, database),
				fmt.Sprintf("%s:%s@tcp(%s)/%s", account, password, u.Host, database),
				fmt.Sprintf("%s:%s@tcp(%s)/%s?timeout=5s&parseTime=false", account, password, u.Host, database),
			} {
				client, err := authgraph.Open(t.Context(), address)
				if !assert.NoError(t, err, address) {
					continue
				}
				var user, name string
				query(t, client, "SELECT USER(), DATABASE()", &user, &name)
				assert.Equal(t, account, strings.SplitN(user, "@", 2)[0])
				assert.Equal(t, database, name)
				require.NoError(t, client.Close())
			}
		}

		// What can be told without doubt need not be encoded.
		account := newAccount(t, url, "p@s:s#w")
		connect(t, fmt.Sprintf("mysql://%s:p@s:s#w@%s/%s", account, u.Host, database))
	})
}

func TestASQLiteFileOpensByURLAndByDSN(t *testing.T) {
	for _, name := range []string{"authgraph.db", "with space.db", "50%.db", "é?#.db"} {
		file := filepath.Join(t.TempDir(), name)
		escaped := (&neturl.URL{Path: file}).EscapedPath()
		for _, address := range []string{"sqlite://" + escaped, "sqlite3://" + escaped, "file:" + escaped} {
			assert.False(t, open(t, address).User.Query().ExistX(t.Context()), address)
		}
		assert.FileExists(t, file)
	}
}

func TestAFileThatIsNoDatabaseIsToldAtOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("These are notes. ", 100)), 0o600))
	_, err := authgraph.Open(t.Context(), "sqlite://"+file)
	assertURLError(t, err, "file")
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := authgraph.Open(ctx, url)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestASessionIsStrictAndInUTCWhateverTheAddressSays(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		for _, params := range []string{
			"",
			"?Time_Zone=utc&AUTOCOMMIT=on&loc=Asia%2FKolkata&parseTime=false",
			"?interpolateParams=false&clientFoundRows=false&multiStatements=true",
		} {
			client := connect(t, url+params)
			var zone, mode string
			query(t, client, "SELECT @@time_zone, @@sql_mode", &zone, &mode)
			assert.Equal(t, "+00:00", zone, params)
			assert.ElementsMatch(t, []string{
				"STRICT_TRANS_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO",
				"NO_ENGINE_SUBSTITUTION",
			}, strings.Split(mode, ","), params)

			_, err := client.ExecContext(t.Context(), "SELECT 1; SELECT 2")
			assert.Error(t, err, "two statements at once, %s", params)
		}
	})
}

func TestAnUpdateCountsTheRowsItMatched(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		for range 2 {
			n, err := client.User.Update().
				Where(user.ID(ada.ID), user.Name("Ada")).
				SetName("Ada").
				SetUpdatedAt(ada.UpdatedAt).
				Save(ctx)
			require.NoError(t, err)
			assert.Equal(t, 1, n)
		}
		assert.Zero(t, client.User.Update().Where(user.Name("Bob")).SetName("Bob").SaveX(ctx))
	})
}

func TestAStatementTakesOneRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   []authgraph.Option
		rounds int // before it is measured
	}{
		{"as text", []authgraph.Option{authgraph.WithStatements(0)}, 0},
		{"prepared before", nil, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				if c.rounds > 0 {
					mysqltest.NeedsPreparedStatements(t, url)
				}
				client := open(t, url, append(c.opts, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}))...)
				ada := newUser(client, "ada@example.com").SaveX(t.Context())
				for range c.rounds {
					for _, s := range statements(t.Context(), client, ada) {
						require.NoError(t, s.do(), s.name)
					}
				}
				status := func(name string) (n int) {
					query(t, client, "SHOW SESSION STATUS LIKE '"+name+"'", new(string), &n)
					return n
				}
				prepared := status("Com_stmt_prepare")
				assert.Equal(t, c.rounds > 0, prepared > 0)
				for _, s := range statements(t.Context(), client, ada) {
					before := status("Questions")
					require.NoError(t, s.do(), s.name)
					assert.Equal(t, s.want, status("Questions")-before-1, s.name)
				}
				assert.Equal(t, prepared, status("Com_stmt_prepare"))
			})
		})
	}
}

type statement struct {
	name string
	want int
	do   func() error
}

// statements are what the client sends; they can be run again.
func statements(ctx context.Context, client *ent.Client, ada *ent.User) []statement {
	return []statement{
		{"get", 1, func() error { _, err := client.User.Get(ctx, ada.ID); return err }},
		{"count", 1, func() error { _, err := client.User.Query().Where(user.Name("Ada")).Count(ctx); return err }},
		{"create", 1, func() error { return newSession(client, ada, "other").Exec(ctx) }},
		{"create many", 1, func() error {
			return client.Session.CreateBulk(newSession(client, ada, "a"), newSession(client, ada, "b")).Exec(ctx)
		}},
		{"upsert", 1, func() error {
			return newUser(client, "ada@example.com").OnConflict().UpdateNewValues().Exec(ctx)
		}},
		{"update", 1, func() error { return client.User.Update().Where(user.ID(ada.ID)).SetName("Grace").Exec(ctx) }},
		// in a transaction, and read back
		{"update one", 4, func() error { return ada.Update().SetName("Ada").Exec(ctx) }},
		{"edge", 1, func() error { _, err := ada.QuerySessions().All(ctx); return err }},
		{"eager loading", 2, func() error { _, err := client.User.Query().WithSessions().All(ctx); return err }},
		{"delete", 1, func() error { _, err := client.Session.Delete().Exec(ctx); return err }},
	}
}

// Arguments are escaped by the client, so what escaping is about is tried.
func TestTextArrivesAsItIs(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		for i, name := range []string{
			`'; DROP TABLE users; -- `, `\`, `\'`, `"`, "`", "a\x00b", "\n\r\t\x1a", "%_", "?", "😀", " trailing ",
			`\u0027`, "/* */ #",
		} {
			u := newUser(client, fmt.Sprintf("%d@example.com", i)).SetName(name).SaveX(ctx)
			assert.Equal(t, name, client.User.Query().Where(user.Name(name)).OnlyX(ctx).Name)
			assert.Equal(t, name, client.User.GetX(ctx, u.ID).Name)
		}
	})
}

func TestRulesAreCheckedOnEveryConnectionToSQLite(t *testing.T) {
	for _, params := range []string{
		"", "?_pragma=foreign_keys(0)", "?_pragma=foreign_keys=0", "?_pragma=main.foreign_keys(0)",
		"?_foreign_keys=off", "?_fk=0", "?_journal=wal&_fk=false",
		"?_pragma=ignore_check_constraints(1)", "?_pragma=busy_timeout(1)%3BPRAGMA+ignore_check_constraints=on",
	} {
		client := connect(t, mysqltest.SQLite(t)+params)
		for range 8 {
			for pragma, want := range map[string]int{"foreign_keys": 1, "ignore_check_constraints": 0} {
				rows, err := client.QueryContext(t.Context(), "PRAGMA "+pragma)
				require.NoError(t, err)
				// Held until the end: each connection is a new one.
				defer rows.Close()
				require.True(t, rows.Next())
				var got int
				require.NoError(t, rows.Scan(&got))
				require.NoError(t, rows.Err())
				assert.Equal(t, want, got, "%s under %q", pragma, params)
			}
		}
	}
}

func TestTimesOfSQLiteAreTextWhateverTheURLSays(t *testing.T) {
	for _, params := range []string{
		"_time_format=datetime", "_time_integer_format=unix", "_timezone=Asia/Kolkata", "_inttotime=1&_texttotime=1",
	} {
		url := mysqltest.SQLite(t)
		open(t, url)
		client := connect(t, url+"?"+params)
		u, err := newUser(client, "ada@example.com").Save(t.Context())
		require.NoError(t, err, params)
		assert.Equal(t, u.CreatedAt, client.User.GetX(t.Context(), u.ID).CreatedAt, params)
	}
}

func TestWritersOfSQLiteWaitForOneAnother(t *testing.T) {
	client := open(t, mysqltest.SQLite(t))
	var wg sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		wg.Go(func() {
			tx, err := client.Tx(t.Context())
			if err != nil {
				errs[i] = err
				return
			}
			tx.User.Query().CountX(t.Context())
			_, err = newUser(tx.Client(), fmt.Sprintf("%d@example.com", i)).Save(t.Context())
			errs[i] = errors.Join(err, tx.Commit())
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	assert.Equal(t, len(errs), client.User.Query().CountX(t.Context()))
}

// The certificate that MySQL makes for itself names no host, so the check must
// fail; it must fail for the host of the address.
func TestTLSVerifiesTheHostOfTheAddress(t *testing.T) {
	u, err := neturl.Parse(mysqltest.MySQL(t))
	require.NoError(t, err)
	u.Host = net.JoinHostPort("localhost", u.Port())
	u.RawQuery = "tls=true"
	_, err = authgraph.Open(t.Context(), u.String())
	assertURLError(t, err, "host")
	var hostname x509.HostnameError
	require.ErrorAs(t, err, &hostname)
	assert.Equal(t, "localhost", hostname.Host)
}

type traced struct {
	dialect.Driver
	name string
	log  *[]string
}

func (d traced) Query(ctx context.Context, query string, args, v any) error {
	*d.log = append(*d.log, d.name)
	return d.Driver.Query(ctx, query, args, v)
}

func TestTheLastDriverWrapperSeesAQueryFirst(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		createTables(t, url)
		var log []string
		wrap := func(name string) authgraph.Option {
			return authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return traced{d, name, &log} })
		}
		client := connect(t, url, wrap("inner"), wrap("outer"))
		client.User.Query().ExistX(t.Context())
		assert.Equal(t, []string{"outer", "inner"}, log)
	})
}
