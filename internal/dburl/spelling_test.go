package dburl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In all of them ada is the user, geheim the password or a part of it, and db.example the host.
func TestSpellingsOfOtherProgramsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, part, text string }{
		// Forms of the whole.
		{"nonsense", PartURL, "write mysql://user:password@host:3306/database, or sqlite://file.db for a file"},
		{"geheim", PartURL, "is none: write mysql://"},
		{"dev.db", PartURL, "or sqlite://file.db for a file"},
		{"mysql -u ada -pgeheim app", PartURL, "is none: write mysql://"},
		{"host=db.example user=ada password=geheim dbname=app", PartURL, "is none: write mysql://"},
		{"Server=db.example;Database=app;Uid=ada;Pwd=geheim;", PartURL, "is none: write mysql://"},
		{`"mysql://ada:geheim@db.example/app"`, PartURL, "begins with a quote: take the quotes out"},
		{"'mysql://ada:geheim@db.example/app'", PartURL, "begins with a quote"},
		{`"mysql://ada:geheim@db.example/app`, PartURL, "begins with a quote"},
		{
			"DATABASE_URL=mysql://ada:geheim@db.example/app", PartURL,
			"begins with the name of a variable: give what follows",
		},
		{"export DATABASE_URL='mysql://ada:geheim@db.example/app'", PartURL, "begins with the name of a variable"},
		{"$DATABASE_URL", PartURL, "is a variable or a placeholder without its value"},
		{"${DATABASE_URL}", PartURL, "is a variable"},
		{"%DATABASE_URL%", PartURL, "is a variable"},
		{"$env:DATABASE_URL", PartURL, "is a variable"},
		{"{{ .Values.url }}", PartURL, "is a variable"},
		{`env("DATABASE_URL")`, PartURL, "is a variable"},
		{"process.env.DATABASE_URL", PartURL, "is a variable"},
		{"ada:geheim@db.example:3306/app", PartURL, "has no scheme: write mysql:// before it"},
		{"ada@db.example/app", PartURL, "has no scheme: write mysql:// before it"},
		{"ada:geheim@tcp(db.example:3306)", PartURL, "is not of the form user:password@tcp(host:3306)/database"},
		{"mysql:ada:geheim@db.example/app", PartScheme, "is not followed by ://"},
		{"mysql:/ada:geheim@db.example/app", PartScheme, "is not followed by ://"},
		{"mysql//ada:geheim@db.example/app", PartScheme, "is not followed by ://"},
		{
			"jdbc:mysql://db.example:3306/app?user=ada&password=geheim", PartScheme,
			"take out jdbc:, and write user and password",
		},
		{"postgres://ada:geheim@db.example/app", PartScheme, `"postgres" is not supported: use mysql, mariadb`},
		{"mysqlx://ada:geheim@db.example/app", PartScheme, `"mysqlx" is not supported`},
		{"mysql+ssl://ada:geheim@db.example/app", PartScheme, `"mysql+ssl" is not supported`},
		{"gehe im://ada@db.example/app", PartScheme, "is none: write mysql://"},

		// Parts that stand for a value, and what belongs to another part.
		{"mysql://${DB_USER}:geheim@db.example/app", PartUser, "is a variable"},
		{"mysql://$DB_USER:geheim@db.example/app", PartUser, "is a variable"},
		{"mysql://%DB_USER%:geheim@db.example/app", PartUser, "is a variable"},
		{"mysql://<user>:geheim@db.example/app", PartUser, "is a variable"},
		{"mysql://[user]:geheim@db.example/app", PartUser, "is a variable"},
		{"mysql://ada:${DB_PASSWORD}@db.example/app", PartPassword, "is a variable"},
		{"mysql://ada:%DB_PASSWORD%@db.example/app", PartPassword, "is a variable"},
		{"mysql://ada:geheim@${DB_HOST}/app", PartHost, "is a variable"},
		{"mysql://ada:geheim@$DB_HOST:3306/app", PartHost, "has a character that no host has"},
		{"mysql://ada:geheim@<host>/app", PartHost, "is a variable"},
		{"mysql://ada:geheim@db.example/${DB_NAME}", PartDatabase, "is a variable"},
		{"mysql://ada:geheim@db.example/$DB_NAME", PartDatabase, "is a variable"},
		{"${DB_USER}:geheim@tcp(db.example:3306)/app", PartUser, "is a variable"},
		{"ada:geheim@tcp(${DB_HOST}:3306)/app", PartHost, "is a variable"},
		{"ada:geheim@tcp(db.example:3306)/${DB_NAME}", PartDatabase, "is a variable"},
		{"sqlite://${DB_FILE}", PartFile, "is a variable"},
		{"mysql://ada:geheim@tcp(db.example:3306)/app", PartHost, "write host:3306 in place of tcp(host:3306)"},
		{"mysql://tcp(db.example:3306)/app", PartHost, "write host:3306 in place of tcp(host:3306)"},
		{
			"mysql://ada:geheim@unix(/run/mysqld.sock)/app", PartHost,
			"write mysql+unix://user:password@/path/to.sock?database",
		},
		{"mysql+unix://db.example/run/mysqld.sock?database=app", PartHost, "has no place in the address of a socket"},
		{"ada:geheim@tcp(db.example:3306,db2.example:3306)/app", PartHost, "is more than one: write mysql://"},
		{"mysql://ada:geheim@db.example,/app", PartHost, "is missing"},
		{"mysql://ada:geheim@db.example:3306,db2.example:x/app", PartHost, "has a port that is not a number"},
		{"mysql://ada:geheim@db.example:port/app", PartHost, "has a port that is not a number from 1 to 65535"},
		{"mysql://ada:geheim@db.example:99999/app", PartHost, "has a port that is not a number from 1 to 65535"},
		{"mysql://ada:geheim@db.example:/app", PartHost, "has a port that is not a number from 1 to 65535"},
		{"mysql://ada:geheim@::1/app", PartHost, "an IPv6 address goes in brackets"},
		{"mysql://ada:geheim@[db.example]/app", PartHost, "has brackets that hold no IPv6 address"},
		{
			"mysql://ada:geheim/app", PartHost,
			"write user:password@host:3306 (in the password a / is written %2F, an @ %40)",
		},
		{"mysql://ada:gehe#im/geheim", PartHost, "has a character that no host has"},
		{"mysql://ada:gehe,im", PartHost, "has a port that is not a number"},
		{"mysql://ada:geheim@/app", PartHost, "is missing"},
		{"mysql://ada:gehe/im@db.example/app", PartPassword, "has a /: write it %2F"},
		{"mysql://ada:gehe?im@db.example/app", PartPassword, "has a ?: write it %3F"},
		{"mysql://ada:geheim%@db.example/app", PartPassword, "is not percent-encoded right: write a % in it %25"},
		{"mysql://ada:geheim@db.example/app/more", PartDatabase, "has a /"},
		{"mysql://ada:geheim@db.example/app#more", PartDatabase, "has a #"},
		{"mysql://ada:geheim@db.example/app;", PartDatabase, "has a ;"},
		{"mysql://ada:geheim@db.example/app&tls=true", PartDatabase, "is followed by an &: parameters begin with a ?"},
		{"file://dev.db", PartFile, "has a host"},
		{"sqlite://", PartFile, "is missing"},

		// Parameters. Nothing that asks for encryption is passed over.
		{"?tls", PartParameter, "tls has no value: write tls=true"},
		{"?tls=", PartParameter, "tls has no value: write tls=true"},
		{"?tls=require", PartParameter, "use true, skip-verify, preferred or false"},
		{"?ssl=true", PartParameter, "ssl is not known: use tls=true, and tls-ca=FILE"},
		{"?ssl=1", PartParameter, "ssl is not known: use tls=true"},
		{`?ssl={"rejectUnauthorized":true}`, PartParameter, "ssl is not known: use tls=true"},
		{"?ssl=false", PartParameter, "take it out: without tls=true the connection is not encrypted"},
		{"?sslmode=require", PartParameter, "use tls=true, or tls=skip-verify, which encrypts to whoever answers"},
		{"?sslmode=verify-full", PartParameter, "use tls=true, and tls-ca=FILE"},
		{"?sslmode=disable", PartParameter, "take it out: without tls=true"},
		{"?ssl-mode=REQUIRED", PartParameter, "ssl-mode is not known: use tls=true, or tls=skip-verify"},
		{"?ssl_mode=VERIFY_CA", PartParameter, "ssl_mode is not known: use tls=true, and tls-ca=FILE"},
		{"?sslMode=PREFERRED", PartParameter, "use tls=true, or tls=preferred, which goes on unencrypted"},
		{"?sslaccept=strict", PartParameter, "sslaccept is not known: use tls=true"},
		{"?sslaccept=accept_invalid_certs", PartParameter, "use tls=true, or tls=skip-verify"},
		{"?ssl-ca=/ca.pem", PartParameter, "ssl-ca is not known: use tls-ca=FILE"},
		{"?ssl_ca=/ca.pem", PartParameter, "use tls-ca=FILE"},
		{"?sslrootcert=/ca.pem", PartParameter, "use tls-ca=FILE"},
		{
			"?sslcert=/ca.pem", PartParameter,
			"use tls-ca=FILE for the authority's certificate, tls-cert=FILE and tls-key=FILE",
		},
		{"?ssl-key=/key.pem", PartParameter, "use tls-cert=FILE and tls-key=FILE, both in PEM form"},
		{
			"?sslidentity=/id.p12&sslpassword=geheim", PartParameter,
			"use tls-cert=FILE and tls-key=FILE, both in PEM form",
		},
		{"?useSSL=true", PartParameter, "useSSL is not known: use tls=true"},
		{"?useSSL=false", PartParameter, "take it out: without tls=true"},
		{"?requireSSL=true", PartParameter, "use tls=true"},
		{"?trustServerCertificate=true", PartParameter, "use tls=true, or tls=skip-verify"},
		{
			"?schema=public", PartParameter,
			"schema is not known: take it out: the database's name stands after the host",
		},
		{"?database=app", PartParameter, "database is not known: take it out"},
		{"?user=ada&password=geheim", PartParameter, "password"},
		{
			"?pwd=geheim", PartParameter,
			"pwd is not known: take it out: the address begins with user:password@host:3306",
		},
		{"?socketPath=/run/mysqld.sock", PartParameter, "use mysql+unix:///path/to.sock?database=app"},
		{"?unix_socket=/run/mysqld.sock", PartParameter, "use mysql+unix:///path/to.sock?database=app"},
		{"?connect_timeout=5", PartParameter, "connect_timeout is not known: use timeout=10s"},
		{"?socket_timeout=5", PartParameter, "use readTimeout=30s and writeTimeout=30s"},
		{"?timeout=5", PartParameter, "give it a unit, as in 30s"},
		{"?encoding=latin1", PartParameter, "encoding cannot be changed, every connection sets it to utf8mb4"},
		{"?timezone=local", PartParameter, "timezone cannot be changed, every connection sets it to utc"},
	} {
		if strings.HasPrefix(c.raw, "?") {
			c.raw = "mysql://ada:geheim@db.example/app" + c.raw
		}
		_, err := Parse(c.raw)
		var e *Error
		if !assert.ErrorAs(t, err, &e, c.raw) {
			continue
		}
		assert.Equal(t, c.part, e.Part, c.raw)
		assert.ErrorContains(t, err, c.text, c.raw)
		assert.Empty(t, e.URL, c.raw)
		for _, secret := range []string{"ada", "gehe", "heim", "db.example", "db2"} {
			// Words of the advice, beside them.
			text := strings.NewReplacer("database", "", "placeholder", "").Replace(err.Error())
			assert.NotContains(t, text, secret, c.raw)
		}
	}
}

func TestSpellingsOfOtherProgramsThatMeanTheSameAreRead(t *testing.T) {
	t.Parallel()
	const shown = "mysql://ada:***@db.example:3306/app"
	for _, c := range []struct{ raw, want string }{
		{"mysql://ada:geheim@db.example/app\n", shown},
		{" \tmysql://ada:geheim@db.example/app \r\n", shown},
		{"ada:geheim@tcp(db.example:3306)/app\n", shown},
		{"mysql2://ada:geheim@db.example/app", shown},
		{"mysql+pymysql://ada:geheim@db.example/app", shown},
		{"mysql+mysqldb://ada:geheim@db.example/app", shown},
		{"mariadb+mariadbconnector://ada:geheim@h/app", "mariadb://ada:***@h:3306/app"},
		{"maria+unix://ada:geheim@/run/s.sock?database=a", "maria+unix://ada:***@/run/s.sock?database=a"},
		{"mysql://ada:geheim@db.example/app?connection_limit=5&pool_timeout=10&connectionLimit=5&pool=5", shown},
		{"mysql://ada:geheim@db.example/app?serverVersion=8.0.32&charset=utf8mb4", shown},
		{"mysql://ada:geheim@db.example/app?encoding=utf8mb4&reconnect=true&timezone=Z", shown},
		{"mysql://ada:geheim@db.example/app?characterEncoding=UTF-8&serverTimezone=UTC&useUnicode=true", shown},
		{"mysql://ada:geheim@db.example/app?parseTime=True&loc=Local&charset=utf8mb4", shown},
		{"mysql://ada:gehe#im@db.example/app", shown},
		{"mysql://ada:gehe@im@db.example/app", shown},
		{"mysql://ada:gehe:im@db.example/app", shown},
		{"mysql://ada:$geheim@db.example/app", shown},
		{"mysql://ada:pa$$word@db.example/app", shown},
		{"mysql://ada:<geheim>@db.example/app", shown},
		{"mysql://ada:geheim@[::1]/app", "mysql://ada:***@[::1]:3306/app"},
		{"mysql://ada:geheim@[fe80::1%25eth0]/my", "mysql://ada:***@[fe80::1%25eth0]:3306/my"},
		{"mysql://ada:geheim@h/my$db-1", "mysql://ada:***@h:3306/my%24db-1"},
		{"file:dev.db", "sqlite://dev.db"},
		{"file:./dev.db\n", "sqlite://./dev.db"},
		{"file:///var/lib/dev.db", "sqlite:///var/lib/dev.db"},
		{"sqlite:dev.db", "sqlite://dev.db"},
		{"sqlite3:db/dev.db", "sqlite://db/dev.db"},
		{"sqlite3://dev.db", "sqlite://dev.db"},
		{"sqlite:///var/lib/dev.db", "sqlite:///var/lib/dev.db"},
	} {
		raw, want := c.raw, c.want
		u, err := Parse(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, want, u.String(), raw)
		again, err := Parse(u.String())
		require.NoError(t, err, raw)
		assert.Equal(t, want, again.String(), raw)
	}
	u, err := Parse("mysql://ada:geheim@[fe80::1%25eth0]/app")
	require.NoError(t, err)
	assert.Equal(t, "[fe80::1%eth0]:3306", u.server.Addr)
}

func TestMissingDatabaseIsNamedWithoutTheHost(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"mysql://geheim", "mysql://ada:geheim@db.example", "mysql://ada:geheim@db.example/"} {
		u, err := Parse(raw)
		require.NoError(t, err, raw)
		assert.EqualError(t, u.NeedDatabase(),
			"database URL: database: is missing: put its name after the host, as in …:3306/app")
	}
}
