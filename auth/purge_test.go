package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// A batch that is too large is taken as the largest one, of which the server finds the rows one by one: the plans are
// those of the statements as they are sent, at that moment, and neither a sign-in nor the account of another waits for
// what they lock.
func TestLargestBatchLocksNoMoreThanItsRows(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		load(t, w.db)
		for _, stmt := range []string{
			"INSERT INTO users (id, name, email) VALUES (900000, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) SELECT user_id, " +
				"SHA2(CONCAT(token_hash, n), 256), " +
				"NOW(6) + INTERVAL 1 YEAR " +
				"FROM sessions, (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) copies",
			"ANALYZE TABLE sessions",
		} {
			_, err := w.db.Exec(stmt)
			require.NoError(t, err)
		}
		other, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { assert.NoError(t, other.Close()) }()
		_, err = other.ExecContext(t.Context(), "SET innodb_lock_wait_timeout = 1")
		require.NoError(t, err)

		largest := map[string]int{}
		client := w.spied(t, func(query string) {
			if query == "COMMIT" {
				for _, stmt := range []string{
					"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (900000, UUID(), " +
						"NOW(6) + INTERVAL 1 YEAR)",
					"UPDATE sessions SET last_used_at = NOW(6) ORDER BY id DESC LIMIT 1",
					"UPDATE users SET last_login_at = NOW(6) WHERE id = 900000",
				} {
					_, err := other.ExecContext(t.Context(), stmt)
					assert.NoError(t, err, "a service waits for the purge: %s", stmt)
				}
			}
			if !strings.Contains(query, " IN (") || strings.HasPrefix(query, "SELECT COUNT") {
				return
			}
			form := normalForm(query)
			largest[form] = max(largest[form], strings.Count(query, ",")+1)
			plan := explain(t, w.db, query)
			if assert.Len(t, plan, 1) {
				assert.NotEmpty(t, plan[0].Index, form)
				assert.False(t, plan[0].Sorted, form)
			}
		})
		config := w.config()
		config.Account.Retention, config.Session.Remember = day, time.Second
		config.Clock = func() time.Time { return time.Now().Add(20 * day) }
		done, err := auth.Purge(t.Context(), client, config, auth.PurgeOptions{Batch: 1 << 20,
			Tables: []string{"sessions", "users"}})
		require.NoError(t, err)
		assert.Equal(t, 400, done.Users)
		assert.Greater(t, done.Sessions, 2*auth.MaxPurgeBatch)
		assert.Equal(t, auth.MaxPurgeBatch, largest["DELETE FROM sessions WHERE id IN (?)"])
		assert.Equal(t, 400, largest["SELECT … FROM sessions WHERE user_id IN (?) ORDER BY user_id LIMIT ?"])
	})
}
