package planner_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
)

// texts are those of comments and defaults that a literal can get wrong.
var texts = []string{
	"esc \x1b[31m", "plain", "it's", `back\slash`, `\x1b`, `a "word"`, `"a" b"`, "bell \a\v\f\b",
	"turned \u202e\u200b", "line\nfeed\r\ttab\x1a", "ü 日本", "", " ",
}

// What a server keeps as a comment or a default is the same after the statements that inspect prints were run.
func TestTextsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		stmt := `CREATE TABLE t (id int COMMENT '"quoted"'`
		for i, text := range texts {
			stmt += fmt.Sprintf(", c%d varchar(90) DEFAULT %[2]s COMMENT %[2]s, KEY (c%[1]d) COMMENT %[2]s", i,
				dbserver.QuoteText(text))
		}
		mysqltest.Exec(t, db, stmt+") COMMENT "+dbserver.QuoteText(texts[0]))
		read := func() (all []string) {
			rows, err := db.Query(`SELECT CONCAT_WS('|', column_name, column_default, column_comment)
				FROM information_schema.columns WHERE table_schema = DATABASE()
				UNION ALL SELECT CONCAT_WS('|', column_name, index_comment) FROM information_schema.statistics
				WHERE table_schema = DATABASE()
				UNION ALL SELECT table_comment FROM information_schema.tables WHERE table_schema = DATABASE()`)
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var row string
				require.NoError(t, rows.Scan(&row))
				all = append(all, row)
			}
			require.NoError(t, rows.Err())
			return all
		}
		want := read()
		dev := live(t, url)
		s, err := planner.Inspect(t.Context(), dev, planner.Database(url))
		require.NoError(t, err)
		sql, err := planner.MarshalSQL(t.Context(), dev, s)
		require.NoError(t, err)
		mysqltest.Exec(t, db, "DROP TABLE t", sql)
		assert.ElementsMatch(t, want, read(), sql)
	})
}
