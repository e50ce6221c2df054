package migrate_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestDriftIsWhatSeparatesADatabaseFromItsHistory(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := directory(t, files{
			"1_a.sql": "CREATE TABLE a (id int PRIMARY KEY, name varchar(10) NOT NULL) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
			"2_b.sql": "CREATE TABLE b (id int PRIMARY KEY) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n",
		})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.NoError(t, err)
		drift := func(version string) []migrate.Deviation {
			dev, err := migrate.Scratch(t.Context(), url)
			require.NoError(t, err)
			defer func() { require.NoError(t, dev.Close()) }()
			found, err := migrate.Deviations(t.Context(), dev, dir, version, url)
			require.NoError(t, err)
			return found
		}
		db := mysqltest.DB(t, url)
		exec := func(stmt string) {
			_, err := db.ExecContext(t.Context(), stmt)
			require.NoError(t, err, stmt)
		}
		assert.Empty(t, drift(""))
		exec("CREATE TABLE of_others (id int)")
		assert.Empty(t, drift(""), "what no migration makes belongs to others")

		exec("ALTER TABLE a MODIFY name varchar(20) COLLATE utf8mb4_bin NULL")
		exec("DROP TABLE b")
		found := drift("")
		require.Len(t, found, 2)
		for _, d := range found {
			exec(d.SQL)
		}
		assert.Empty(t, drift(""), "the statements undo it: %+v", found)

		exec("ALTER TABLE a ADD phone varchar(30), ADD INDEX again (name), ADD CONSTRAINT long_name CHECK (name <> '')")
		found = drift("")
		require.Len(t, found, 3)
		for _, d := range found {
			assert.True(t, d.Extra, "%+v", d)
			assert.Empty(t, d.SQL, "nothing is offered that loses data")
		}
		exec("ALTER TABLE a DROP CONSTRAINT long_name, DROP INDEX again, DROP phone")
		exec("DROP TABLE b")
		assert.Empty(t, drift("1"), "at that version there was no such table")
	})
}
