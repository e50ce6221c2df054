package authgraph_test

import (
	"bytes"
	"database/sql"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/cli"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// hostile are flags of a server under which a client that leaves its session as it is
// loses writes, loses rows, is not refused what it should be, and is injectable.
var hostile = []string{
	"--autocommit=0", "--completion-type=CHAIN", "--default-time-zone=+05:30", "--sql-mode=ANSI_QUOTES",
	"--character-set-server=gbk", "--loose-skip-character-set-client-handshake",
	"--init-connect=SET autocommit = 0, completion_type = CHAIN, foreign_key_checks = 0, unique_checks = 0, " +
		"sql_auto_is_null = 1, sql_select_limit = 1, sql_quote_show_create = 0, " +
		"sql_mode = 'NO_BACKSLASH_ESCAPES', NAMES utf8mb4, character_set_client = gbk",
}

// ownServer starts a server for this test.
func ownServer(t *testing.T, product *testserver.Product, flags ...string) *testserver.Server {
	t.Helper()
	server, err := testserver.StartOwn(t.Context(), product, t.Output(), flags...)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server
}

// onOwnServers runs fn on a MySQL and a MariaDB server of this test's own, with the address of an account for which
// init_connect runs, and with a pool of an administrator whose session is in order whatever the server's defaults are.
func onOwnServers(t *testing.T, flags []string, fn func(t *testing.T, url string, admin *sql.DB)) {
	t.Helper()
	for name, product := range map[string]*testserver.Product{"mysql": testserver.MySQL,
		"mariadb": testserver.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "mariadb" {
				_ = mysqltest.MariaDB(t) // it asks whether MariaDB was left out
			}
			server := ownServer(t, product, flags...)
			cfg, err := testserver.Config(server.URL)
			require.NoError(t, err)
			cfg.Params = map[string]string{
				"autocommit": "1", "completion_type": "NO_CHAIN", "time_zone": "'+00:00'",
				"sql_mode":             "'STRICT_ALL_TABLES'",
				"character_set_client": "utf8mb4", "character_set_results": "utf8mb4",
				"character_set_connection": "utf8mb4",
			}
			connector, err := mysql.NewConnector(cfg)
			require.NoError(t, err)
			admin := sql.OpenDB(connector)
			t.Cleanup(func() { assert.NoError(t, admin.Close()) })
			exec(t, admin, "CREATE DATABASE app")
			exec(t, admin, "CREATE USER ada@'%' IDENTIFIED BY 'pw'")
			exec(t, admin, "GRANT ALL ON app.* TO ada@'%'")
			exec(t, admin, "GRANT ALL ON `authgraph%`.* TO ada@'%'")
			u, err := neturl.Parse(server.URL)
			require.NoError(t, err)
			u.User, u.Path = neturl.UserPassword("ada", "pw"), "/app"
			fn(t, u.String(), admin)
		})
	}
}

const strictMode = "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// guarantees are the variables of a session on which an answer depends.
func guarantees(url string) map[string]string {
	want := map[string]string{
		"autocommit": "1", "completion_type": "NO_CHAIN", "time_zone": "+00:00",
		"foreign_key_checks": "1", "unique_checks": "1",
		"sql_mode":         strictMode,
		"sql_auto_is_null": "0", "sql_select_limit": "9223372036854775807", "sql_quote_show_create": "1",
		"character_set_client": "utf8mb4", "character_set_connection": "utf8mb4", "character_set_results": "utf8mb4",
		"collation_connection": "utf8mb4_general_ci",
	}
	if strings.HasPrefix(url, "mariadb") {
		want["check_constraint_checks"] = "1"
	}
	return want
}

func TestAnswersHoldWhateverTheServersDefaultsAre(t *testing.T) {
	t.Parallel()
	onOwnServers(t, hostile, func(t *testing.T, url string, admin *sql.DB) {
		var out, problems bytes.Buffer
		assert.Zero(t, cli.Run([]string{"migrate", "apply", "--url", url}, &out, &problems), problems.String())
		assert.NotZero(t, single[int](t, admin, "SELECT COUNT(*) FROM app.atlas_schema_revisions"),
			"the history is stored")

		ours := connect(t, url)
		byHand, err := openByHand(url)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, byHand.Close()) })
		for name, client := range map[string]*ent.Client{"Open": ours, "by hand": byHand} {
			const password = "correct horse battery staple"
			s, err := auth.New(client, auth.Config{Keys: auth.NewKeys([]byte("0123456789abcdef0123456789abcdef"))})
			require.NoError(t, err)
			u, _, err := s.Register(t.Context(), "Ada 𝄞", "ada@example.com", password)
			require.NoError(t, err, name)
			stored := func(column string) string {
				return single[string](t, admin,
					"SELECT COALESCE(MAX("+column+"), 'nothing') FROM app.users WHERE id = ?", u.ID)
			}
			assert.Equal(t, "Ada 𝄞", stored("name"), name)
			// A write after a transaction on the same connection is no part of another one.
			grant, err := s.SignIn(t.Context(), "ada@example.com", password, auth.Device{})
			require.NoError(t, err, name)
			_, err = s.RevokeAll(t.Context(), u.ID)
			require.NoError(t, err, name)
			require.NoError(t, s.ChangeRole(t.Context(), u.ID, schematype.RoleAdmin), name)
			assert.Equal(t, "admin", stored("role"), name)
			_, _, err = s.CheckSession(t.Context(), grant.Token)
			require.ErrorIs(t, err, auth.ErrSession, name)

			_, err = s.SignIn(t.Context(), injection, password, auth.Device{})
			require.ErrorIs(t, err, auth.ErrCredentials, "%s: an address is no SQL", name)
			_, err = client.ExecContext(t.Context(),
				"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (0, 'a', '2030-01-01')")
			require.ErrorContains(t, err, "foreign key", name)
			newUser(client, "bob@example.com").ExecX(t.Context())
			assert.Len(t, client.User.Query().AllX(t.Context()), 2, name)
			for variable, want := range guarantees(url) {
				assert.Equal(t, want, setting(t, client, variable), "%s: %s", name, variable)
			}
			client.User.Delete().ExecX(t.Context())
			require.NoError(t, s.Close(t.Context()))
		}
	})
}

// injection is an address that is SQL where the connection's character set is GBK: the last
// byte of 中 and the backslash of the escaped quote are one character there.
const injection = "中'/**/or/**/name/**/like/**/0x41646125#"

// Whoever may set a parameter must not, by a character set, give everybody else SQL to write.
func TestNoParameterMakesAnAddressSQL(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		createTables(t, url)
		for _, params := range []string{
			"charset=gbk", "charset=utf8mb3,gbk", "Charset=big5", "character_set_client='gbk'",
			"CHARACTER_SET_CLIENT=sjis",
			"character_set_connection=gbk", "character_set_results=gbk", "collation=gbk_chinese_ci",
			"collation_connection='gbk_chinese_ci'", "max_sort_length=1024,character_set_client='gbk'",
			"max_sort_length=1024,+NAMES+gbk", "time_zone='UTC',character_set_client=gbk", "foo=(SELECT+1)",
			"foo='x\\',+character_set_client=gbk,+time_zone='UTC'", "init_connect='SET+NAMES+gbk'", "names=gbk",
			"%40%40character_set_client=gbk", "session.character_set_client=gbk",
		} {
			_, err := authgraph.Open(t.Context(), url+"?"+params)
			if assert.Error(t, err, params) {
				assertURLError(t, err, "parameter")
			}
		}
	})
}
