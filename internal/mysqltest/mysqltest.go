// Package mysqltest gives each test a database of its own, on the servers that the environment names.
//
// It starts no server and creates no tables: package testserver does the one, the package under test the other. It uses
// plain database/sql, so that it can judge what the product wrote without the product's help.
//
//	func TestSomething(t *testing.T) {
//		mysqltest.Each(t, func(t *testing.T, url string) {
//			…
//		})
//	}
package mysqltest

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/mod/semver"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/authgraph/authgraph/internal/testserver"
)

// MySQL returns the URL of a fresh database on the MySQL test server, dropped when the test ends.
func MySQL(t testing.TB) string {
	t.Helper()
	skipUnless(t, "mysql")
	return database(t, testserver.MySQLVariable)
}

// MariaDB returns the URL of a fresh database on the MariaDB test server, dropped when the test ends. The test is
// skipped only where MariaDB was left out on request.
func MariaDB(t testing.TB) string {
	t.Helper()
	skipUnless(t, "mariadb")
	if withoutMariaDB() {
		t.Skip(leftOut)
	}
	return database(t, testserver.MariaDBVariable)
}

// SQLite returns the URL of a database file that does not exist yet, removed when the test ends.
func SQLite(t testing.TB) string {
	t.Helper()
	skipUnless(t, "sqlite")
	return "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "authgraph.db"))
}

// Each runs fn as the parallel subtests "mysql", "mariadb" and "sqlite", each with a database of its own.
func Each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	EachServer(t, fn)
	subtest(t, "sqlite", SQLite, fn)
}

// EachServer is Each without SQLite, for what one process alone cannot show.
func EachServer(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	subtest(t, "mysql", MySQL, fn)
	if withoutMariaDB() {
		t.Log(leftOut)
		return
	}
	subtest(t, "mariadb", MariaDB, fn)
}

func subtest(t *testing.T, name string, fresh func(testing.TB) string, fn func(*testing.T, string)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		fn(t, fresh(t))
	})
}

// skipUnless leaves the test out where another engine is the only one to test on.
func skipUnless(t testing.TB, engine string) {
	t.Helper()
	if only := os.Getenv(testserver.OnlyVariable); only != "" && only != engine {
		t.Skipf("%s left out, because %s=%s", engine, testserver.OnlyVariable, only)
	}
}

const leftOut = "mariadb left out, because " + testserver.WithoutMariaDBVariable + "=1"

func withoutMariaDB() bool {
	return os.Getenv(testserver.MariaDBVariable) == "" && os.Getenv(testserver.WithoutMariaDBVariable) == "1"
}

// DB opens the database that url names, and closes it when the test ends. Times are UTC, a call runs one statement, and
// SQLite enforces foreign keys.
func DB(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// IsSQLite reports whether url names a SQLite file.
func IsSQLite(url string) bool { return strings.HasPrefix(url, "sqlite:") }

// NeedsMariaDB leaves the test out on a MariaDB before a release, which lacks what the test is about.
func NeedsMariaDB(t testing.TB, url, release, what string) {
	t.Helper()
	if MariaDBBefore(t, url, release) {
		t.Skipf("this MariaDB has no %s, which came with %s", what, release)
	}
}

// MariaDBBefore reports whether url is of a MariaDB before a release, such as "10.6.18".
func MariaDBBefore(t testing.TB, url, release string) bool {
	t.Helper()
	if !strings.HasPrefix(url, "mariadb:") {
		return false
	}
	var version string
	if err := DB(t, url).QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	found, _, _ := strings.Cut(version, "-")
	return semver.Compare("v"+found, "v"+release) < 0
}

// NeedsPreparedStatements leaves the test out on a server that is set to prepare none.
func NeedsPreparedStatements(t testing.TB, url string) {
	t.Helper()
	var most int
	query := "SELECT @@max_prepared_stmt_count"
	if err := DB(t, url).QueryRowContext(t.Context(), query).Scan(&most); err != nil {
		t.Fatal(err)
	}
	if most == 0 {
		t.Skip("this server prepares no statements: max_prepared_stmt_count is 0")
	}
}

// Strictly has every session of db refuse what a column does not hold, as those of a server at its defaults do.
func Strictly(t testing.TB, db *sql.DB) {
	t.Helper()
	db.SetMaxOpenConns(1)
	db.SetConnMaxLifetime(0)
	if _, err := db.ExecContext(t.Context(), "SET sql_mode = 'TRADITIONAL'"); err != nil {
		t.Fatal(err)
	}
}

// MigrationLock is, in SQL, the name of the lock that an apply takes for the database in use.
const MigrationLock = "CONCAT('authgraph_migrate_', LEFT(SHA2(DATABASE(), 256), 32))"

// Eventually polls until fn reports that what, which others bring about, has happened.
func Eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("this did not happen: %s", what)
		}
	}
}

func open(rawURL string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(rawURL, "sqlite://"); ok {
		path, _, _ = strings.Cut(path, "?")
		file := url.URL{Scheme: "file", Path: path,
			RawQuery: "_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_time_format=sqlite&_timezone=UTC"}
		return sql.Open("sqlite", file.String())
	}
	config, err := testserver.Config(rawURL)
	if err != nil {
		return nil, err
	}
	// The driver prints each lost connection otherwise; the error says it too.
	config.Logger = &mysql.NopLogger{}
	// The server may allow no prepared statements.
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func database(t testing.TB, variable string) string {
	t.Helper()
	url, drop, err := create(variable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	t.Log(testserver.DatabaseMark + url[strings.LastIndex(url, "/")+1:])
	return url
}

// ForExample is a fresh database for a testable example, which has no [testing.T], on the MySQL test server, or on
// MariaDB's where that is the only one to test on. It panics if there is none.
func ForExample() (url string, drop func()) {
	variable := testserver.MySQLVariable
	if os.Getenv(variable) == "" || os.Getenv(testserver.OnlyVariable) == "mariadb" {
		variable = testserver.MariaDBVariable
	}
	url, done, err := create(variable)
	if err != nil {
		panic(err)
	}
	return url, func() { _ = done() }
}

func create(variable string) (address string, drop func() error, err error) {
	server := os.Getenv(variable)
	if server == "" {
		return "", nil, fmt.Errorf("%s is not set: run make test, or set it to the URL of a server to test on",
			variable)
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", variable, err)
	}
	name := "authgraph_test_" + strings.ToLower(rand.Text()[:16])
	// The server's default may be latin1, which what the tests write is not.
	if err := execute(server, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		return "", nil, fmt.Errorf("%s: %w", variable, err)
	}
	u.Path = "/" + name
	return u.String(), func() error {
		if err := execute(server, "DROP DATABASE IF EXISTS "+name); err != nil {
			return fmt.Errorf("%s is not dropped; does a transaction still use it? %w", name, err)
		}
		return nil
	}, nil
}

func execute(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := open(server)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	if err := cmp.Or(err, db.Close()); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
