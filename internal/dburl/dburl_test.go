package dburl

import (
	"database/sql"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestEveryFormOfAServersAddress(t *testing.T) {
	for _, c := range []struct {
		raw                           string
		user, password, net, addr, db string
		text                          string
	}{
		{"mysql://ada:pw@db.example.com:3307/app", "ada", "pw", "tcp", "db.example.com:3307", "app",
			"mysql://ada:***@db.example.com:3307/app"},
		{"mysql://ada:pw@db.example.com/app", "ada", "pw", "tcp", "db.example.com:3306", "app",
			"mysql://ada:***@db.example.com:3306/app"},
		{"MySQL://ada@localhost/app", "ada", "", "tcp", "localhost:3306", "app", "mysql://ada@localhost:3306/app"},
		{"mariadb://ada:pw@localhost", "ada", "pw", "tcp", "localhost:3306", "", "mariadb://ada:***@localhost:3306/"},
		{"maria://localhost/app", "", "", "tcp", "localhost:3306", "app", "maria://localhost:3306/app"},
		{"mysql://ada:pw@[::1]/app", "ada", "pw", "tcp", "[::1]:3306", "app", "mysql://ada:***@[::1]:3306/app"},
		{"mysql://ada:pw@[2001:db8::1]:3307/app", "ada", "pw", "tcp", "[2001:db8::1]:3307", "app",
			"mysql://ada:***@[2001:db8::1]:3307/app"},
		{"mysql://a%40b:p%2F%3A%40%3F%25w@localhost/my%20app", "a@b", "p/:@?%w", "tcp", "localhost:3306", "my app",
			"mysql://a%40b:***@localhost:3306/my%20app"},
		{"mysql://ada:p@s:s+w#@localhost/app", "ada", "p@s:s+w#", "tcp", "localhost:3306", "app",
			"mysql://ada:***@localhost:3306/app"},
		{"mysql://:pw@localhost/app", "", "pw", "tcp", "localhost:3306", "app", "mysql://localhost:3306/app"},
		{"mysql+unix:///run/mysqld.sock?database=app", "", "", "unix", "/run/mysqld.sock", "app",
			"mysql+unix:///run/mysqld.sock?database=app"},
		{"mariadb+unix://ada:pw@/run/mysqld.sock?database=app", "ada", "pw", "unix", "/run/mysqld.sock", "app",
			"mariadb+unix://ada:***@/run/mysqld.sock?database=app"},
		{"ada:pw@tcp(localhost:3307)/app", "ada", "pw", "tcp", "localhost:3307", "app",
			"mysql://ada:***@localhost:3307/app"},
		{"ada:p/w@x:y?z@tcp(localhost:3306)/app?timeout=1s", "ada", "p/w@x:y?z", "tcp", "localhost:3306", "app",
			"mysql://ada:***@localhost:3306/app"},
		{"ada:a://b@tcp(localhost:3306)/app", "ada", "a://b", "tcp", "localhost:3306", "app",
			"mysql://ada:***@localhost:3306/app"},
		{"ada@unix(/run/mysqld.sock)/app", "ada", "", "unix", "/run/mysqld.sock", "app",
			"mysql+unix://ada@/run/mysqld.sock?database=app"},
		{"/app", "", "", "tcp", "127.0.0.1:3306", "app", "mysql://127.0.0.1:3306/app"},
	} {
		t.Run(c.raw, func(t *testing.T) {
			u, err := Parse(c.raw)
			require.NoError(t, err)
			assert.Equal(t, dialect.MySQL, u.Dialect)
			assert.Equal(t, []string{c.user, c.password, c.net, c.addr, c.db},
				[]string{u.server.User, u.server.Passwd, u.server.Net, u.server.Addr, u.server.DBName})
			assert.Equal(t, c.text, u.String())
			assert.Equal(t, c.db, u.Database())
		})
	}
}

func TestAnAddressMayHaveSeveralHosts(t *testing.T) {
	u, err := Parse("mysql://ada:pw@db1,[2001:db8::1]:3307,db3:3308/app?timeout=1s")
	require.NoError(t, err)
	assert.Equal(t, []string{"db1:3306", "[2001:db8::1]:3307", "db3:3308"}, u.hosts)
	assert.Equal(t, "mysql://ada:***@db1:3306,[2001:db8::1]:3307,db3:3308/app", u.String())
	assert.Equal(t, u.String(), u.WithDatabase("app").String())
	assert.False(t, u.Local())
	u, err = Parse("mysql://localhost,127.0.0.1:3307/app")
	require.NoError(t, err)
	assert.True(t, u.Local())
}

func TestOfSeveralHostsTheOneThatTakesWritesIsUsed(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, raw string) {
		nobody := "127.0.0.1:1"
		of := func(replace ...string) *URL {
			u, err := Parse(strings.NewReplacer(replace...).Replace(raw))
			require.NoError(t, err)
			return u
		}
		plain := of()
		host := plain.server.Addr
		for _, hosts := range []string{nobody + "," + host, host + "," + nobody} {
			db, err := of(host, hosts).Connect(t.Context())
			require.NoError(t, err)
			require.NoError(t, db.PingContext(t.Context()))
			require.NoError(t, db.Close())
		}

		began := time.Now()
		_, err := of("root@"+host, "stranger:geheim@"+host+","+host).Connect(t.Context())
		var refused *Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, PartUser, refused.Part)
		assert.NotContains(t, err.Error(), "geheim")
		assert.Less(t, time.Since(began), plain.server.Timeout, "it is not asked again")

		none, err := Parse("mysql://root@" + nobody + ",127.0.0.1:2/app?timeout=500ms")
		require.NoError(t, err)
		_, err = none.Connect(t.Context())
		assert.ErrorContains(t, err, nobody+": dial tcp")
		assert.ErrorContains(t, err, "127.0.0.1:2: dial tcp")
	})
}

func TestParametersAreTheDriversExceptThoseDecidedHere(t *testing.T) {
	const params = "?readTimeout=3s&max_execution_time=1000&parseTime=false&loc=Asia%2FKolkata" +
		"&multiStatements=true&columnsWithAlias=true"
	for _, raw := range []string{"mysql://ada:pw@localhost/app", "ada:pw@tcp(localhost:3306)/app"} {
		u, err := Parse(raw + params)
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, u.server.ReadTimeout)
		assert.Equal(t, 10*time.Second, u.server.Timeout, "a host that does not answer is given up")
		assert.True(t, u.server.ParseTime)
		assert.True(t, u.server.InterpolateParams)
		assert.True(t, u.server.ClientFoundRows)
		assert.False(t, u.server.MultiStatements)
		assert.Equal(t, time.UTC, u.server.Loc)
		assert.False(t, u.server.ColumnsWithAlias)
		want := maps.Clone(session)
		want["max_execution_time"] = "1000"
		assert.Equal(t, want, u.server.Params)
	}
}

func TestEveryFormOfAFilesAddress(t *testing.T) {
	for raw, file := range map[string]string{
		"sqlite://app.db":              "app.db",
		"sqlite3://data/app.db":        "data/app.db",
		"sqlite:///var/lib/app.db":     "/var/lib/app.db",
		"file:app.db":                  "app.db",
		"file:/var/lib/app.db?cache=x": "/var/lib/app.db",
		"sqlite://my%20app%3F.db":      "my app?.db",
	} {
		u, err := Parse(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, dialect.SQLite, u.Dialect)
		assert.Equal(t, file, u.Database())
		assert.Equal(t, "sqlite://"+file, u.String())
	}
}

func TestAnotherDatabaseOfTheSameServer(t *testing.T) {
	u, err := Parse("mysql://ada:pw@localhost/app?readTimeout=3s")
	require.NoError(t, err)
	other := u.WithDatabase("scratch")
	assert.Equal(t, "scratch", other.Database())
	assert.Equal(t, "app", u.Database(), "the first one stays")
	assert.Equal(t, "pw", other.server.Passwd)
	assert.Equal(t, 3*time.Second, other.server.ReadTimeout)
	assert.NoError(t, other.NeedDatabase())
	assert.Error(t, u.WithDatabase("").NeedDatabase())

	file, err := Parse("sqlite://app.db")
	require.NoError(t, err)
	assert.Equal(t, "sqlite://scratch.db", file.WithDatabase("scratch.db").String())
}

func TestConnectProvesThatADatabaseAnswers(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		u, err := Parse(url)
		require.NoError(t, err)
		db, err := u.Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, db.PingContext(t.Context()))
		require.NoError(t, db.Close())
	})
}

func TestASQLiteFileWithAnyNameIsTheFileItself(t *testing.T) {
	for _, name := range []string{"a.db", "a b.db", "a%20b.db", "a?b#c.db", "é.db", "a:b.db"} {
		file := filepath.Join(t.TempDir(), name)
		u := (&URL{Dialect: dialect.SQLite, params: sqliteParams}).WithDatabase(file)
		db, err := u.Connect(t.Context())
		require.NoError(t, err, name)
		_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)")
		require.NoError(t, err, name)
		require.NoError(t, db.Close())
		_, err = os.Stat(file)
		assert.NoError(t, err, name)
	}
}

func TestParametersThatAreSet(t *testing.T) {
	more := url.Values{"max_execution_time": {"1000"}, "tx_read_only": nil}
	for _, c := range []struct{ raw, want string }{
		{"mysql://ada:pw@localhost/app", "mysql://ada:pw@localhost/app?"},
		{"mysql://ada:pw@localhost/app?timeout=3s", "mysql://ada:pw@localhost/app?timeout=3s&"},
		{"mysql+unix:///run/sock?database=app", "mysql+unix:///run/sock?database=app&"},
		{"ada:p?w://@tcp(localhost:3306)/app", "ada:p?w://@tcp(localhost:3306)/app?"},
		{"ada:p?w@tcp(localhost:3306)/app?timeout=3s", "ada:p?w@tcp(localhost:3306)/app?timeout=3s&"},
		{"mysql://ada@localhost/app?Max_Execution_time=1&timeout=3s&tx_read_only=0",
			"mysql://ada@localhost/app?timeout=3s&"},
		{"sqlite://app.db", "sqlite://app.db?"},
		{"file:app.db?cache=private", "file:app.db?cache=private&"},
	} {
		got := SetParameters(c.raw, more)
		assert.Equal(t, c.want+"max_execution_time=1000", got)
		u, err := Parse(got)
		require.NoError(t, err, c.raw)
		if u.Dialect == dialect.MySQL {
			assert.Equal(t, "1000", u.server.Params["max_execution_time"], c.raw)
			assert.Equal(t, "app", u.Database())
		}
	}
}

func TestAddressesThatDoNotLeaveTheMachine(t *testing.T) {
	for raw, local := range map[string]bool{
		"mysql://root@localhost/app":          true,
		"mysql://root@127.0.0.53:3307/app":    true,
		"mysql://root@[::1]:3306/app":         true,
		"mysql+unix:///run/sock?database=app": true,
		"root@tcp(127.0.0.1:3306)/app":        true,
		"sqlite://app.db":                     true,
		"mysql://root@db.example.com/app":     false,
		"mysql://root@10.0.0.1/app":           false,
		"mysql://root@localhost.example/app":  false,
	} {
		u, err := Parse(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, local, u.Local(), raw)
	}
}

func TestReadOnlyFileIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	file, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = file.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	for _, raw := range []string{"sqlite://" + path + "?mode=ro", "sqlite://" + path + "?mode=rw&mode=ro"} {
		u, err := Parse(raw)
		require.NoError(t, err)
		db, err := u.Connect(t.Context())
		require.NoError(t, err)
		var mode string
		require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
		assert.Equal(t, "delete", mode)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err, "a transaction needs no write lock")
		require.NoError(t, tx.Rollback())
		_, err = db.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		assert.ErrorContains(t, err, "readonly")
		require.NoError(t, db.Close())
	}
}

// A -wal with rows that the file has not yet is left where it is, whoever asks.
func TestReadOnlyLeavesTheWriteAheadLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	writer, err := Parse("sqlite://" + path)
	require.NoError(t, err)
	db, err := writer.Connect(t.Context())
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	// As after a crash: nobody has the copies open.
	left := filepath.Join(t.TempDir(), "left.db")
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + end)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(left+end, content, 0o600))
	}
	require.NoError(t, db.Close())
	read := func() (content [2]string) {
		for i, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(left + end)
			require.NoError(t, err)
			content[i] = string(b)
		}
		return content
	}
	before := read()
	require.NotEmpty(t, before[1])
	plain, err := Parse("sqlite://" + left + "?_txlock=exclusive&_pragma=JOURNAL_MODE(delete)")
	require.NoError(t, err)
	given, err := Parse("sqlite://" + left + "?mode=ro")
	require.NoError(t, err)
	for _, u := range []*URL{plain.ReadOnly(), given, given.ReadOnly()} {
		db, err := u.Connect(t.Context())
		require.NoError(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		var n int
		require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM t").Scan(&n))
		require.NoError(t, tx.Rollback())
		require.NoError(t, db.Close())
		assert.Equal(t, before, read())
	}
}
