package authgraph_test

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	_ "github.com/authgraph/authgraph/ent/runtime" // defaults, validators and hooks of the schema
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/testserver"
)

// openByHand takes the DATABASE_URL of .env.example.
func openByHand(databaseURL string) (*ent.Client, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL cannot be read") // err holds the password
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	cfg.TLSConfig = u.Query().Get("tls")
	if file := u.Query().Get("tls-ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New(file + " holds no certificate")
		}
	}
	cfg.ParseTime = true
	cfg.ClientFoundRows = true
	cfg.InterpolateParams = true
	// Give up a server that does not answer, and leave one that turned read-only.
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 10*time.Second, 30*time.Second, 30*time.Second
	cfg.RejectReadOnly = true
	cfg.Params = map[string]string{
		"autocommit":      "1",
		"completion_type": "0",
		"sql_mode": "'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO," +
			"NO_ENGINE_SUBSTITUTION'",
		"time_zone":             "'+00:00'",
		"character_set_client":  "'utf8mb4'",
		"character_set_results": "'utf8mb4'",
		"collation_connection":  "'utf8mb4_general_ci'",
		"foreign_key_checks":    "1",
		"unique_checks":         "1 /*M!100201 , check_constraint_checks = 1 */",
		"sql_auto_is_null":      "0",
		"sql_select_limit":      "9223372036854775807",
		"sql_quote_show_create": "1",
		// How long a statement waits for a lock, in seconds, also after its caller gave up.
		"innodb_lock_wait_timeout": "2",
		"lock_wait_timeout":        "2",
	}
	if err := cfg.Apply(mysql.TimeTruncate(time.Microsecond)); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, sql.OpenDB(connector)))), nil
}

func TestTheInstallPageShowsTheProgramThatIsRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/install.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)<!-- open[^>]*-->\n```go\n(.*?)```\n<!-- /open -->").FindSubmatch(page)
	require.NotNil(t, block, "docs/install.md has no program that connects")
	program, err := os.ReadFile("open_by_hand_test.go")
	require.NoError(t, err)
	here := strings.NewReplacer("example.com/app/", "github.com/authgraph/authgraph/", "open takes", "openByHand takes",
		"func open(", "func openByHand(")
	const begin = "\n// openByHand takes "
	imports, shown, _ := strings.Cut(here.Replace(string(block[1])), begin)
	for line := range strings.Lines(imports) {
		assert.Contains(t, string(program), line)
	}
	_, run, found := strings.Cut(string(program), begin)
	require.True(t, found)
	run, _, _ = strings.Cut(run, "\n}\n")
	assert.Equal(t, run+"\n}\n", shown)
}

// A server may be in any time zone and any mode: a program that connects as the page
// says reads and writes the same rows as one with Open.
func TestAProgramThatConnectsByHandAgreesWithOpen(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartOwn(t.Context(), testserver.MySQL, t.Output(), "--default-time-zone=+05:30",
		"--sql-mode=ANSI_QUOTES")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	db, err := sql.Open("mysql", "root@tcp("+strings.TrimSuffix(strings.TrimPrefix(server.URL, "mysql://root@"),
		"/")+")/")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	exec(t, db, "CREATE DATABASE app")
	assert.Equal(t, "+05:30", single[string](t, db, "SELECT @@SESSION.time_zone"))

	ours := open(t, server.URL+"app")
	byHand, err := openByHand(server.URL + "app")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, byHand.Close()) })
	for writer, reader := range map[*ent.Client]*ent.Client{ours: byHand, byHand: ours} {
		expiry := tomorrow()
		u := newUser(writer, "ada@example.com").SaveX(t.Context())
		written := newSession(writer, u, "a").SetExpiresAt(expiry).SaveX(t.Context())
		read := reader.Session.GetX(t.Context(), written.ID)
		assert.Equal(t, expiry, read.ExpiresAt.UTC())
		assert.Equal(t, written.CreatedAt.UTC(), read.CreatedAt.UTC())
		assert.Equal(t, 1, writer.User.Update().SetUpdatedAt(u.UpdatedAt).SaveX(t.Context()),
			"a row that is left as it was counts")

		// What the server fills in, and what it refuses.
		_, err := writer.ExecContext(t.Context(), fmt.Sprintf(plainUser, "bob@example.com"))
		require.NoError(t, err)
		bob := reader.User.Query().Where(user.Email("bob@example.com")).OnlyX(t.Context())
		assert.WithinDuration(t, time.Now(), bob.CreatedAt, time.Minute)
		_, err = writer.ExecContext(t.Context(),
			"INSERT INTO users (name, email) VALUES (REPEAT('a', 101), 'eve@example.com')")
		require.ErrorContains(t, err, "Data too long")
		writer.User.Delete().ExecX(t.Context())
	}
	for _, variable := range []string{"time_zone", "sql_mode", "innodb_lock_wait_timeout", "lock_wait_timeout"} {
		assert.Equal(t, setting(t, ours, variable), setting(t, byHand, variable))
	}
}

// setting is a variable of the session of a client.
func setting(t *testing.T, client *ent.Client, variable string) (value string) {
	t.Helper()
	rows, err := client.QueryContext(t.Context(), "SELECT @@SESSION."+variable)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&value))
	require.NoError(t, rows.Err())
	return value
}
