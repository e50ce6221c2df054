package migrate_test

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestApplyStaysInTheDatabaseThatWasNamed(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other := path.Base(mysqltest.Another(t, url))
		for stmt, text := range map[string]string{
			"USE other;":               `it leaves the database "`,
			"/*!40101 USE `other` */;": `for "other": take it out (mysqldump writes it with --databases only)`,
			"/*!40000 DROP DATABASE IF EXISTS `other`*/;": `it would drop the database "other": take it out`,
			"SET @@SESSION.SQL_LOG_BIN= 0;": "it would change what the server replicates: take it out " +
				"(mysqldump --set-gtid-purged=OFF does not write it)",
			"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '';":       "it would change what the server replicates",
			"CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='x';": "it would change what the server replicates",
		} {
			dir := dirtest.New(t, dirtest.Files{
				"1_a.sql": "CREATE TABLE a (id int);\n" + strings.ReplaceAll(stmt, "other", other),
			})
			_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
			var failed *migrate.StmtError
			require.ErrorAs(t, err, &failed, stmt)
			assert.Equal(t, []int{2, 2, 0}, []int{failed.Line, failed.Index, failed.Kept}, stmt)
			assert.ErrorContains(t, err, strings.ReplaceAll(text, "other", other), stmt)
			// It is seen before anything is applied.
			assert.Empty(t, mysqltest.Tables(t, url), stmt)
		}
		dir := dirtest.New(t, dirtest.Files{"1_a.sql": "USE `" + path.Base(url) + "`;\nCREATE TABLE a (id int);"})
		dirtest.Apply(t, url, dir)
		assert.Contains(t, mysqltest.Tables(t, url), "a")
	})
}
