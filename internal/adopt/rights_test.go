package adopt_test

import (
	"crypto/rand"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// The rights that an adoption needs, table by table, are enough, and each that is missing is named with a GRANT that
// can be pasted.
func TestAdoptNamesTheRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		repaired(t, url)
		fill(t, url)
		db, dev := mysqltest.DB(t, url), dirtest.Scratch(t, url)
		user := "authgraph_" + strings.ToLower(rand.Text()[:12])
		mysqltest.Exec(t, db,
			"CREATE TABLE orders (id int PRIMARY KEY, user_id int, "+
				"CONSTRAINT buyer FOREIGN KEY (user_id) REFERENCES users (id))",
			"UPDATE users SET email = ' BOB@example.com', updated_at = updated_at WHERE id = 7",
			"CREATE USER "+user+" IDENTIFIED BY 'geheim'")
		t.Cleanup(func() { mysqltest.Exec(t, db, "DROP USER "+user) })
		base := "`" + mysqltest.Value(t, db, "SELECT DATABASE()") + "`"
		mysqltest.Exec(t, db, "GRANT SELECT ON "+base+".orders TO "+user)
		for _, table := range []string{"users", "otps", "sessions", "refresh_tokens"} {
			mysqltest.Exec(t, db, "GRANT SELECT ON "+base+"."+table+" TO "+user)
		}
		parsed, err := neturl.Parse(url)
		require.NoError(t, err)
		parsed.User = neturl.UserPassword(user, "geheim")
		whole := adopt.Options{NormalizeEmails: true}
		before := mysqltest.Dump(t, url)
		report, err := adopt.Run(t.Context(), dev, parsed.String(), whole)
		require.NoError(t, err)
		var tables []string
		for _, o := range report.Obstacles {
			assert.Equal(t, adopt.ObstacleRight, o.Kind)
			tables = append(tables, o.Table)
		}
		assert.Equal(t, []string{
			strings.Trim(base, "`"), "atlas_schema_revisions", "authgraph_adopt", "orders", "otp_stripes", "otps",
			"refresh_tokens", "sessions", "users",
		}, tables)
		assert.Contains(t, report.Obstacles[3].String(), "lacks the right to ALTER: GRANT ALTER ON "+base+
			".`orders` TO '"+user+"'@'%';")

		whole.Apply = true
		_, err = adopt.Run(t.Context(), dev, parsed.String(), whole)
		var blocked *adopt.ObstacleError
		require.ErrorAs(t, err, &blocked)
		assert.Equal(t, before, mysqltest.Dump(t, url))

		for _, o := range report.Obstacles {
			mysqltest.Exec(t, db, strings.TrimSuffix(o.Fix, ";"))
		}
		// One that is taken away meanwhile leaves nothing behind.
		whole.Progress = func(p migrate.Progress) {
			if !p.Done && strings.HasPrefix(p.Stmt, "ALTER TABLE `orders`") {
				mysqltest.Exec(t, db, "REVOKE ALTER ON "+base+".orders FROM "+user)
			}
		}
		_, err = adopt.Run(t.Context(), dev, parsed.String(), whole)
		var stmt *adopt.StmtError
		require.ErrorAs(t, err, &stmt)
		assert.Equal(t, 3, stmt.Index)
		assert.NotContains(t, mysqltest.Tables(t, url), "authgraph_adopt")

		mysqltest.Exec(t, db, "GRANT ALTER ON "+base+".orders TO "+user)
		whole.Progress = nil
		_, err = adopt.Run(t.Context(), dev, parsed.String(), whole)
		require.NoError(t, err)
	})
}
