package adopt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// What the server refuses whatever the rows are stands in the report, with what to do, and not in the middle of a
// change.
func TestAdoptFindsWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	const free = "ALTER TABLE refresh_tokens DROP FOREIGN KEY refresh_tokens_user_id_users_id_fk"
	const child = "CREATE TABLE orders (id int PRIMARY KEY, user_id int, " +
		"CONSTRAINT buyer FOREIGN KEY (user_id) REFERENCES users (id))"
	cases := []struct {
		name, servers string
		make          []string
		table, text   string
		right         []string
	}{
		{
			"a partitioned child without its foreign key", "mysql mariadb",
			[]string{free, "ALTER TABLE refresh_tokens PARTITION BY HASH (id) PARTITIONS 2"},
			"refresh_tokens", "ALTER TABLE `refresh_tokens` REMOVE PARTITIONING",
			[]string{"ALTER TABLE `refresh_tokens` REMOVE PARTITIONING"},
		},
		{
			"the name of a foreign key", "mysql mariadb",
			[]string{"CREATE TABLE mine (id int PRIMARY KEY, p int, " +
				"CONSTRAINT sessions_users_sessions FOREIGN KEY (p) REFERENCES mine (id))"},
			"sessions", "give the constraint sessions_users_sessions of table mine another name",
			[]string{"ALTER TABLE mine DROP FOREIGN KEY sessions_users_sessions"},
		},
		{
			"the name of a check", "mysql",
			[]string{"CREATE TABLE odd (id int PRIMARY KEY, CONSTRAINT users_failed_login_attempts CHECK (id > 0))"},
			"users", "give the constraint users_failed_login_attempts of table odd another name",
			[]string{"DROP TABLE odd"},
		},
		{
			"a row format of short indexes", "mysql mariadb",
			[]string{"ALTER TABLE users DROP INDEX users_email_unique, DROP INDEX email_idx, ROW_FORMAT = COMPACT"},
			"users", "ALTER TABLE `users` ROW_FORMAT = DYNAMIC",
			[]string{"ALTER TABLE `users` ROW_FORMAT = DYNAMIC"},
		},
		{
			"a child with a history of its rows", "mariadb",
			[]string{child + " WITH SYSTEM VERSIONING"},
			"orders", "ALTER TABLE `orders` DROP SYSTEM VERSIONING",
			[]string{"DROP TABLE orders"},
		},
		{
			"a view by the name of the notes", "mysql mariadb",
			[]string{"CREATE VIEW authgraph_adopt AS SELECT 1 AS one"},
			"authgraph_adopt", "the name is taken by a view",
			[]string{"DROP VIEW authgraph_adopt"},
		},
		{
			"a table by the name of the notes", "mysql mariadb",
			[]string{"CREATE TABLE authgraph_adopt (id int PRIMARY KEY)"},
			"authgraph_adopt", "the name is taken by a table",
			[]string{"DROP TABLE authgraph_adopt"},
		},
	}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		repaired(t, url)
		fill(t, url)
		db, dev := mysqltest.DB(t, url), dirtest.Scratch(t, url)
		for _, test := range cases {
			if !strings.Contains(test.servers, strings.Split(url, ":")[0]) {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				mysqltest.Exec(t, db, test.make...)
				before := mysqltest.Definitions(t, url)
				report, err := adopt.Run(t.Context(), dev, url, adopt.Options{})
				require.NoError(t, err)
				require.Len(t, report.Obstacles, 1)
				assert.Equal(t, adopt.ObstacleStructure, report.Obstacles[0].Kind)
				assert.Equal(t, test.table, report.Obstacles[0].Table)
				assert.Contains(t, report.Obstacles[0].String(), test.text)
				assert.NotContains(t, report.Obstacles[0].String(), "authgraph_dev_")
				_, err = adopt.Run(t.Context(), dev, url, adopt.Options{Apply: true})
				var blocked *adopt.ObstacleError
				require.ErrorAs(t, err, &blocked)
				assert.Equal(t, before, mysqltest.Definitions(t, url))
				mysqltest.Exec(t, db, test.right...)
			})
		}
		_, err := adopt.Run(t.Context(), dev, url, adopt.Options{Apply: true})
		require.NoError(t, err)
	})
}

// A foreign key that leads to another database is not copied, and holds its column all the same.
func TestAdoptNamesAKeyToAnotherDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		repaired(t, url)
		fill(t, url)
		db, other := mysqltest.DB(t, url), mysqltest.DB(t, mysqltest.Another(t, url))
		mysqltest.Exec(t, other, "CREATE TABLE people (id int PRIMARY KEY)", "INSERT INTO people VALUES (1), (2), (7)")
		mysqltest.Exec(t, db, "ALTER TABLE sessions ADD CONSTRAINT abroad FOREIGN KEY (user_id) REFERENCES `"+
			mysqltest.Value(t, other, "SELECT DATABASE()")+"`.people (id)")
		report, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		require.Len(t, report.Obstacles, 1)
		assert.Contains(t, report.Obstacles[0].String(), "its foreign key abroad leads to table")
		mysqltest.Exec(t, db, "ALTER TABLE `sessions` DROP FOREIGN KEY `abroad`")
		_, err = run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
	})
}

// Every ALTER of a table without a primary key fails where the server asks for one, and so does one in a database that
// is read-only.
func TestAdoptNamesWhatASettingOfMySQLRefuses(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	repaired(t, url)
	db := mysqltest.DB(t, url)
	mysqltest.Exec(t, db, "CREATE TABLE orders (user_id int, "+
		"CONSTRAINT buyer FOREIGN KEY (user_id) REFERENCES users (id))")
	report, err := run(t, url+"?sql_require_primary_key=1", adopt.Options{})
	require.NoError(t, err)
	require.Len(t, report.Obstacles, 1)
	assert.Equal(t, "orders", report.Obstacles[0].Table)
	assert.Contains(t, report.Obstacles[0].String(), "add a primary key")
	name := "`" + mysqltest.Value(t, db, "SELECT DATABASE()") + "`"
	mysqltest.Exec(t, db, "ALTER DATABASE "+name+" READ ONLY = 1")
	t.Cleanup(func() {
		_, err := db.Exec("ALTER DATABASE " + name + " READ ONLY = 0")
		assert.NoError(t, err)
	})
	report, err = run(t, url, adopt.Options{})
	require.NoError(t, err)
	require.Len(t, report.Obstacles, 1)
	assert.Contains(t, report.Obstacles[0].String(), "ALTER DATABASE "+name+" READ ONLY = 0")
}
