package auth_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
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
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// Only a row of the address says that the address is taken: a project may have another unique column.
func TestAnotherUniqueColumnDoesNotSayThatTheAddressIsTaken(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		_, err := w.db.ExecContext(t.Context(), "CREATE UNIQUE INDEX one_name ON users (name)")
		require.NoError(t, err)
		first, second := w.email(), w.email()
		_, _, err = w.honest.Register(t.Context(), "Ada", first, password)
		require.NoError(t, err)

		_, _, err = w.honest.Register(t.Context(), "Ada", second, password)
		require.ErrorContains(t, err, "register: add an account: ")
		assert.ErrorContains(t, err, "name")
		assert.NotErrorIs(t, err, auth.ErrEmailTaken)
		_, err = w.honest.SignInWithProvider(t.Context(), auth.Identity{
			Provider: schematype.ProviderGoogle, Subject: second, Email: second, EmailVerified: true, Name: "Ada",
		}, device)
		require.ErrorContains(t, err, "add an account: ")
		var away *auth.UnavailableError
		assert.False(t, errors.As(err, &away), "it is not tried again: %v", err)
		_, _, err = w.honest.Register(t.Context(), "Grace", first, password)
		assert.ErrorIs(t, err, auth.ErrEmailTaken)
	})
}

func TestAValueThatAColumnOfTheProjectDoesNotHoldIsAnInputError(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email, next := w.email(), strings.Repeat("a", 60)+"@example.com"
		id := w.register(t, email)
		issued, err := w.honest.StartEmailChange(t.Context(), emailChange(id, next))
		require.NoError(t, err)
		_, err = w.db.ExecContext(t.Context(),
			"ALTER TABLE users MODIFY email varchar(50) NOT NULL, MODIFY role enum('user') NOT NULL DEFAULT 'user'")
		require.NoError(t, err)
		for call, got := range map[string]error{
			"is too long for its column": second(w.honest.FinishEmailChange(t.Context(), issued.Ticket, issued.Code,
				auth.Token{})),
			"is none of the values that there are": w.honest.ChangeRole(t.Context(), id, schematype.RoleAdmin),
			"email: is too long":                   third(w.honest.Register(t.Context(), "Ada", next, password)),
		} {
			var wrong *auth.InputError
			require.ErrorAs(t, got, &wrong, call)
			assert.ErrorContains(t, got, call)
			assert.NotContains(t, got.Error(), next)
		}
	})
}

// The columns of a project may be of a character set that has no more than its letters.
func TestATextThatTheTableHasNoLettersForIsRefusedAndNoError(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for charset, letters := range map[string]string{"latin1": "жук", "utf8mb3": "\U0001F41E"} {
			for _, column := range []string{"email varchar(255)", "name varchar(100)"} {
				_, err := w.db.ExecContext(t.Context(),
					"ALTER TABLE users MODIFY "+column+" CHARACTER SET "+charset+" NOT NULL")
				require.NoError(t, err)
			}
			email := letters + "@example.com"

			_, err := w.honest.SignIn(t.Context(), email, password, device)
			require.ErrorIs(t, err, auth.ErrCredentials)
			issued := w.issue(t, email, schematype.OTPSignIn)
			assert.False(t, issued.Known)
			for _, code := range []auth.Code{auth.ParseCode("000000"), issued.Code} {
				_, err = w.honest.SignInWithCode(t.Context(), issued.Ticket, code, device)
				require.ErrorIs(t, err, auth.ErrCode)
			}
			var refused *auth.InputError
			_, _, err = w.honest.Register(t.Context(), "Ada", email, password)
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, "email", refused.Field)
			_, _, err = w.honest.Register(t.Context(), letters, w.email(), password)
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, "name", refused.Field)
			_, err = w.honest.SignInWithProvider(t.Context(), auth.Identity{
				Provider: schematype.ProviderGoogle, Subject: charset, Email: email, EmailVerified: true, Name: "Ada",
			}, device)
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, "email", refused.Field)
		}
	})
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }

// The column of a project may have a collation that takes one address for another.
func TestAnAddressThatTheTableTakesForAnotherEntersNobodysAccount(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		_, err := w.db.ExecContext(t.Context(),
			"ALTER TABLE users MODIFY email varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL")
		require.NoError(t, err)
		const jose, other = "jose@example.com", "josé@example.com"
		w.register(t, jose)
		w.verify(t, jose)

		_, err = w.honest.SignIn(t.Context(), jose, password, device)
		require.NoError(t, err)
		_, err = w.honest.SignIn(t.Context(), other, password, device)
		require.ErrorIs(t, err, auth.ErrCredentials)
		issued := w.issue(t, other, schematype.OTPSignIn)
		assert.False(t, issued.Known)
		_, err = w.honest.SignInWithCode(t.Context(), issued.Ticket, issued.Code, device)
		require.ErrorIs(t, err, auth.ErrCode)
		_, err = w.honest.SignInWithProvider(t.Context(), auth.Identity{
			Provider: schematype.ProviderGoogle, Subject: "1", Email: other, EmailVerified: true,
		}, device)
		require.ErrorIs(t, err, auth.ErrEmailTaken)
		_, _, err = w.honest.Register(t.Context(), "José", other, password)
		require.ErrorIs(t, err, auth.ErrEmailTaken)
	})
}

// byHandOpened is a client of the driver's own connections.
func byHandOpened(t *testing.T, url string, change func(*mysql.Config)) (client *ent.Client, away *atomic.Bool) {
	t.Helper()
	config, err := testserver.Config(url)
	require.NoError(t, err)
	config.ParseTime, config.ClientFoundRows = true, true
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	change(config)
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	away = new(atomic.Bool)
	client = ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, sql.OpenDB(unreachable{connector, away}))))
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client, away
}

// unreachable is a connector whose server may be away.
type unreachable struct {
	driver.Connector
	away *atomic.Bool
}

func (c unreachable) Connect(ctx context.Context) (driver.Conn, error) {
	if c.away.Load() {
		return nil, driver.ErrBadConn
	}
	return c.Connector.Connect(ctx)
}

// Every decision is the number of rows that an UPDATE matched. MySQL's driver counts those that it changed by default.
func TestConnectionsThatCountChangedRowsAreRefused(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		id := w.register(t, email)
		counted := func() (n int) {
			row := w.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM otps")
			require.NoError(t, row.Scan(&n))
			return n
		}
		refused := func(err error) {
			t.Helper()
			var config *auth.ConfigError
			require.ErrorAs(t, err, &config)
			assert.Equal(t, "client", config.Field)
			assert.Contains(t, config.Fix, "clientFoundRows=true")
		}

		right, _ := byHandOpened(t, url, func(*mysql.Config) {})
		svc, err := auth.New(right, w.config())
		require.NoError(t, err)
		_, err = svc.SignIn(t.Context(), email, password, device)
		require.NoError(t, err)
		wrong, _ := byHandOpened(t, url, func(c *mysql.Config) { c.ClientFoundRows = false })
		_, err = auth.New(wrong, w.config())
		refused(err)
		assert.Zero(t, counted(), "the trial is rolled back")

		// Where the server is away at the start, the first call that writes finds out.
		late, away := byHandOpened(t, url, func(c *mysql.Config) { c.ClientFoundRows = false })
		away.Store(true)
		svc, err = auth.New(late, w.config())
		require.NoError(t, err)
		var unavailable *auth.UnavailableError
		require.ErrorAs(t, svc.Suspend(t.Context(), id, auth.Forever), &unavailable)
		away.Store(false)
		refused(svc.Suspend(t.Context(), id, auth.Forever))
		refused(only(svc.RevokeAll(t.Context(), id)))
		_, err = w.honest.SignIn(t.Context(), email, password, device)
		require.NoError(t, err, "nothing has changed")
	})
}

// What else every call rests on is a parameter of the DSN too.
func TestConnectionsThatLoseWritesOrReadTimesAsTextAreRefused(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for fix, wrong := range map[string]func(*mysql.Config){
			"parseTime=true": func(c *mysql.Config) { c.ParseTime = false },
			"loc=UTC":        func(c *mysql.Config) { c.Loc = time.FixedZone("east", 8*60*60) },
			"autocommit=1":   func(c *mysql.Config) { c.Params = map[string]string{"autocommit": "0"} },
		} {
			client, _ := byHandOpened(t, url, wrong)
			_, err := auth.New(client, w.config())
			var config *auth.ConfigError
			require.ErrorAs(t, err, &config, fix)
			assert.Equal(t, "client", config.Field)
			assert.Contains(t, config.Fix, fix)
		}
	})
}

// A seeded row may have the zero id, which otherwise stands for no account.
func TestARowWithTheZeroIDIsNobodys(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		_, _, err := w.honest.Register(t.Context(), "Root", email, password)
		require.NoError(t, err)
		_, err = w.db.ExecContext(t.Context(), "UPDATE users SET id = 0")
		require.NoError(t, err)

		for _, asked := range []string{w.email(), email} {
			_, err = w.honest.SignIn(t.Context(), asked, password, device)
			require.ErrorIs(t, err, auth.ErrCredentials)
			issued, err := w.honest.IssueCode(t.Context(), auth.CodeRequest{Email: asked, Kind: schematype.OTPSignIn})
			require.NoError(t, err)
			assert.False(t, issued.Known)
			_, err = w.honest.SignInWithCode(t.Context(), issued.Ticket, issued.Code, device)
			require.ErrorIs(t, err, auth.ErrCode)
		}
		var counted int
		row := w.db.QueryRowContext(t.Context(), "SELECT guess_failures + failed_login_attempts FROM users")
		require.NoError(t, row.Scan(&counted))
		assert.Zero(t, counted, "guesses at nobody's password")
	})
}

// A user that the schema would not take is told of when a service is made.
func TestAUserThatTheSchemaRefusesIsToldOfAtTheStart(t *testing.T) { // not parallel: it changes a validator
	w := newWorld(t, mysqltest.SQLite(t))
	valid := user.NameValidator
	t.Cleanup(func() { user.NameValidator = valid })
	user.NameValidator = func(string) error { return errors.New("a name has a title") }
	_, err := auth.New(w.client, w.config())
	var config *auth.ConfigError
	require.ErrorAs(t, err, &config)
	assert.Equal(t, "client", config.Field)
	assert.Contains(t, config.Error(), "field name")
	assert.Contains(t, config.Error(), "a name has a title")
	assert.Contains(t, config.Fix, "FillIn")
}

// The command purges databases whose users have other names and ids than those of its own program.
func TestAPurgeGoesByTheNamesOfAnotherProgramsTable(t *testing.T) {
	t.Parallel()
	kinds := map[string][]any{
		"VARCHAR(20)":     {"ada", "Bob", "eve", "Zoe"},
		"BINARY(2)":       {[]byte{0xff, 0}, []byte{0, 1}, []byte{200, 200}, []byte{7, 7}},
		"BIGINT UNSIGNED": {int64(1), int64(1) << 40, int64(3), int64(4)},
	}
	for kind, ids := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				client, err := authgraph.Open(t.Context(), url)
				require.NoError(t, err)
				t.Cleanup(func() { assert.NoError(t, client.Close()) })
				send := func(query string, args ...any) {
					t.Helper()
					_, err := client.ExecContext(t.Context(), query, args...)
					require.NoError(t, err)
				}
				typ := kind
				if mysqltest.IsSQLite(url) && kind == "BINARY(2)" {
					typ = "uuid" // as Ent declares it, whatever the Go type stores
				}
				send("CREATE TABLE members (no " + typ + " PRIMARY KEY, gone BOOLEAN, gone_at DATETIME NULL)")
				id := "id BIGINT AUTO_INCREMENT PRIMARY KEY"
				if mysqltest.IsSQLite(url) {
					id = "id INTEGER PRIMARY KEY"
				}
				for _, table := range []string{"sessions", "refresh_tokens"} {
					send("CREATE TABLE " + table + " (" + id + ", user_id " + typ + " NOT NULL, expires_at DATETIME," +
						" family VARCHAR(32), is_revoked BOOLEAN," +
						" FOREIGN KEY (user_id) REFERENCES members (no) ON DELETE CASCADE)")
				}
				send("CREATE TABLE bills (member " + typ + ", FOREIGN KEY (member) REFERENCES members (no))")
				for i, id := range ids { // all but the last are gone, with 0, 2 and 20 rows of their own
					send("INSERT INTO members VALUES (?, ?, ?)", id, i < 3, time.Now().UTC().Add(-90*day))
					for range []int{0, 1, 10, 10}[i] {
						send("INSERT INTO sessions (user_id) VALUES (?)", id)
						send("INSERT INTO refresh_tokens (user_id) VALUES (?)", id)
					}
				}
				opts := auth.PurgeOptions{
					Batch: 5, Tables: []string{"users", "sessions", "refresh_tokens"},
					Users: auth.UsersTable{Name: "members", ID: "no", IsDeleted: "gone", DeletedAt: "gone_at"},
				}
				purge := func() (int, error) {
					done, err := auth.Purge(t.Context(), client, auth.Config{}, opts)
					return done.Users, err
				}

				opts.DryRun = true
				n, err := purge()
				require.NoError(t, err)
				assert.Equal(t, 3, n)
				opts.DryRun = false
				send("INSERT INTO bills VALUES (?)", ids[0])
				before, err := purge()
				require.ErrorContains(t, err, "purge users: other tables refer to accounts whose retention is over")
				send("DELETE FROM bills")
				n, err = purge()
				require.NoError(t, err)
				assert.Equal(t, 3, before+n)
				for table, rows := range map[string]int{"members": 1, "sessions": 10, "refresh_tokens": 10} {
					rest, err := client.QueryContext(t.Context(), "SELECT COUNT(*) FROM "+table)
					require.NoError(t, err)
					var left int
					require.NoError(t, scanOne(rest, &left))
					assert.Equal(t, rows, left, table)
				}
			})
		})
	}
}
