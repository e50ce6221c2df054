package mysqltest_test

import (
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

func TestEachHasAUsableDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		_, err := db.Exec(`CREATE TABLE fruit (id INT PRIMARY KEY, picked_at DATETIME)`)
		require.NoError(t, err)
		at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		_, err = db.Exec(`INSERT INTO fruit VALUES (1, ?)`, at)
		require.NoError(t, err)
		var got time.Time
		require.NoError(t, db.QueryRow(`SELECT picked_at FROM fruit`).Scan(&got))
		assert.Equal(t, at, got.UTC())
	})
}

func TestServersAreWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var version string
		require.NoError(t, mysqltest.DB(t, url).QueryRow(`SELECT VERSION()`).Scan(&version))
		isMariaDB := strings.Contains(version, "MariaDB")
		assert.Equal(t, strings.HasSuffix(t.Name(), "/mariadb"), isMariaDB, version)
	})
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	admin := mysqltest.DB(t, os.Getenv(testserver.MySQLVariable))
	count := func(name string) (n int) {
		require.NoError(t, admin.QueryRow(
			`SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?`, name).Scan(&n))
		return n
	}
	var name string
	t.Run("use", func(t *testing.T) {
		url := mysqltest.MySQL(t)
		other := mysqltest.MySQL(t)
		assert.NotEqual(t, url, other)
		require.NoError(t, mysqltest.DB(t, url).QueryRow(`SELECT DATABASE()`).Scan(&name))
		assert.Equal(t, 1, count(name))
	})
	assert.Zero(t, count(name))
}

func TestSQLiteEnforcesForeignKeys(t *testing.T) {
	t.Parallel()
	db := mysqltest.DB(t, mysqltest.SQLite(t))
	_, err := db.Exec(`CREATE TABLE parent (id INT PRIMARY KEY)`)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE child (parent_id INT REFERENCES parent (id))`)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO child VALUES (1)`)
	assert.ErrorContains(t, err, "FOREIGN KEY")
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		action   mysqltest.Action
		wantRows int
	}{
		{"before", mysqltest.CutBefore, 0},
		{"after", mysqltest.CutAfter, 1},
	}
	statements := []struct {
		name   string
		prefix string
		insert func(*sql.DB) error
	}{
		{"query", "INSERT", func(db *sql.DB) error {
			_, err := db.Exec(`INSERT INTO fruit VALUES (1)`)
			return err
		}},
		{"prepared", "EXECUTE INSERT", func(db *sql.DB) error {
			_, err := db.Exec(`INSERT INTO fruit VALUES (?)`, 1)
			return err
		}},
		{"commit", "COMMIT", func(db *sql.DB) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO fruit VALUES (1)`); err != nil {
				return err
			}
			return tx.Commit()
		}},
	}
	for _, test := range tests {
		for _, statement := range statements {
			t.Run(test.name+"/"+statement.name, func(t *testing.T) {
				t.Parallel()
				mysqltest.EachServer(t, func(t *testing.T, url string) {
					direct := mysqltest.DB(t, url)
					_, err := direct.Exec(`CREATE TABLE fruit (id INT PRIMARY KEY)`)
					require.NoError(t, err)

					rowsAtCut := make(chan int, 1)
					var once sync.Once
					proxy := mysqltest.Proxy{
						Hook: func(_ int, query string) mysqltest.Action {
							action := mysqltest.Forward
							if strings.HasPrefix(query, statement.prefix) {
								once.Do(func() { action = test.action })
							}
							return action
						},
						OnCut: func() {
							var rows int
							assert.NoError(t, direct.QueryRow(`SELECT COUNT(*) FROM fruit`).Scan(&rows))
							rowsAtCut <- rows
						},
					}
					err = statement.insert(preparing(t, proxy.Start(t, url)))
					require.Error(t, err)
					assert.Equal(t, test.wantRows, <-rowsAtCut)
				})
			})
		}
	}
}

// preparing is mysqltest.DB, but of a client that prepares what has arguments.
func preparing(t *testing.T, url string) *sql.DB {
	t.Helper()
	config, err := testserver.Config(url)
	require.NoError(t, err)
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestProxyNumbersAndNamesCommands(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		var seen []string
		proxy := mysqltest.Proxy{Hook: func(n int, query string) mysqltest.Action {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, query)
			assert.Equal(t, len(seen), n)
			return mysqltest.Forward
		}}
		db := preparing(t, proxy.Start(t, url))
		var a, b int
		require.NoError(t, db.QueryRow(`SELECT 7`).Scan(&a))
		require.NoError(t, db.QueryRow(`SELECT ?`, 8).Scan(&b))
		assert.Equal(t, []int{7, 8}, []int{a, b})
		_, err := db.Exec(`NO SUCH STATEMENT ?`, 1)
		require.Error(t, err)
		assert.ErrorContains(t, err, "syntax")

		mu.Lock()
		defer mu.Unlock()
		require.NotEmpty(t, seen)
		assert.Contains(t, seen[0], "time_zone = '+00:00'")
		assert.Equal(t, []string{
			"SELECT 7",
			"PREPARE SELECT ?", "EXECUTE SELECT ?", "CLOSE SELECT ?",
			"PREPARE NO SUCH STATEMENT ?",
		}, seen[1:])
		assert.Equal(t, len(seen), proxy.Commands())
	})
}

func TestProxyCarriesConcurrentConnections(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var proxy mysqltest.Proxy
		db := mysqltest.DB(t, proxy.Start(t, url))
		db.SetMaxOpenConns(4)
		long := strings.Repeat("x", 100_000)
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range 10 {
					var got string
					assert.NoError(t, db.QueryRow(`SELECT ?`, long).Scan(&got))
					assert.Equal(t, len(long), len(got))
				}
			})
		}
		clients.Wait()
	})
}
