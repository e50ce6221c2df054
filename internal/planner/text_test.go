package planner_test

import (
	"fmt"
	"strings"
	"testing"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
)

// texts are those of comments and defaults that a literal can get wrong.
var texts = []string{
	"esc \x1b[31m", "'quoted'", `"quoted"`, "plain", "it's", `back\slash`, `\x1b`, `a "word"`, `"a" b"`,
	"bell \a\v\f\b",
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
		sql, err := planner.MarshalSQL(s)
		require.NoError(t, err)
		mysqltest.Exec(t, db, "DROP TABLE t", sql)
		assert.ElementsMatch(t, want, read(), sql)
	})
}

// HCL has other escapes than Go: what inspect prints is read again, and by Atlas.
func TestHCLReadsTextsAsTheyWere(t *testing.T) {
	t.Parallel()
	const odd = "a\x1b\a\v\f\b\u202e\u00ad"
	mysqltest.Each(t, func(t *testing.T, url string) {
		create := "CREATE TABLE t (id int, e enum('x" + odd + "') COMMENT '" + odd + "')"
		if mysqltest.IsSQLite(url) {
			create = "CREATE TABLE t (id int, e text); CREATE INDEX i ON t (id) WHERE e <> '" + odd + "'"
		}
		for stmt := range strings.SplitSeq(create, "; ") {
			mysqltest.Exec(t, mysqltest.DB(t, url), stmt)
		}
		dev := live(t, url)
		s, err := planner.Inspect(t.Context(), dev, planner.Database(url))
		require.NoError(t, err)
		hcl, err := planner.MarshalHCL(dev, s)
		require.NoError(t, err)
		var again schema.Schema
		eval := mysql.EvalHCLBytes
		if mysqltest.IsSQLite(url) {
			eval = sqlite.EvalHCLBytes
		}
		require.NoError(t, eval(hcl, &again, nil), "%s", hcl)
		if mysqltest.IsSQLite(url) {
			assert.Contains(t, again.Tables[0].Indexes[0].Attrs, &sqlite.IndexPredicate{P: "e <> '" + odd + "'"})
			return
		}
		values := again.Tables[0].Columns[1].Type.Type.(*schema.EnumType).Values
		assert.Equal(t, []string{"x" + odd}, values)
	})
}
