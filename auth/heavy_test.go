package auth_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// heavy is a user who holds a quarter of the sessions and refresh tokens: as many as held. An optimizer prefers to read
// the whole table for so many. The users before and after heavy are those whose rows are beside its own in an index.
const (
	heavy = 5000
	held  = 15000
)

// crowd fills the tables. The rows of heavy are the newest.
func crowd(t *testing.T, db *sql.DB) {
	t.Helper()
	const digits = `(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
		UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)`
	const numbers = `(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n FROM ` +
		digits + ` a, ` + digits + ` b, ` + digits + ` c, ` + digits + ` d,
		(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5) e
		) numbers`
	const owner = `IF(n < 45000, n DIV 4 + 1, 5000)`
	const family = `IF(n < 20000, NULL, LEFT(SHA2(CONCAT('family', n), 256), 22))`
	for _, statement := range []string{
		`INSERT INTO users (id, name, email) SELECT n + 1, 'Ada', CONCAT('crowd', n, '@example.com') FROM ` + numbers +
			` WHERE n < 12000`,
		`INSERT INTO sessions (user_id, token_hash, is_active, last_used_at, expires_at, family) SELECT ` + owner + `,
			SHA2(CONCAT('session', n), 256), 1, NOW(6) - INTERVAL n SECOND, NOW(6) + INTERVAL 10 DAY, ` + family + `
			FROM ` + numbers + ` ORDER BY n`,
		`INSERT INTO refresh_tokens (user_id, token_hash, is_revoked, expires_at, family) SELECT ` + owner + `,
			SHA2(CONCAT('token', n), 256), 0, NOW(6) + INTERVAL 10 DAY, ` + family + `
			FROM ` + numbers + ` ORDER BY n`,
		`ANALYZE TABLE users, sessions, refresh_tokens`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// heavyWorld is a crowd, and a service on one connection whose statements are seen.
type heavyWorld struct {
	*world
	client *ent.Client
	svc    *auth.Service
	// sees is told of every statement before it is sent.
	sees func(query string)
}

func newHeavyWorld(t *testing.T, url string, adjust func(*auth.Config)) *heavyWorld {
	t.Helper()
	url = repeatableRead(t, url)
	h := &heavyWorld{world: newWorldWith(t, url, adjust), sees: func(string) {}}
	crowd(t, h.db)
	proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
		h.sees(query)
		return mysqltest.Forward
	}}
	var err error
	h.client, err = authgraph.Open(t.Context(), proxy.Start(t, url), authgraph.WithStatements(0),
		authgraph.WithPool(authgraph.Pool{MaxOpen: 1}))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.client.Close()) })
	h.svc = h.service(t, h.client, 0)
	return h
}

// read is how many rows or entries of an index the connection of the service has read.
func (h *heavyWorld) read(t *testing.T) (sum int) {
	t.Helper()
	rows, err := h.client.QueryContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		require.NoError(t, rows.Scan(&name, &n))
		sum += n
	}
	require.NoError(t, rows.Err())
	return sum
}

// reads is how many rows or entries of an index a call of the service reads.
func (h *heavyWorld) reads(t *testing.T, call func()) int {
	t.Helper()
	before := h.read(t)
	call()
	return h.read(t) - before
}

// locks is how many rows the transaction of the service holds.
func (h *heavyWorld) locks(t *testing.T) (rows int) {
	t.Helper()
	require.NoError(t, h.db.QueryRowContext(t.Context(), `SELECT COALESCE(MAX(x.trx_rows_locked), 0)
		FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
		WHERE p.db = DATABASE()`).Scan(&rows))
	return rows
}

// neighbours are the users beside heavy, who go on with their sessions and refresh tokens.
func (h *heavyWorld) neighbours(t *testing.T) (goOn func()) {
	t.Helper()
	svc := (&world{url: withParameter(t, h.url, "innodb_lock_wait_timeout", "1"), key: h.key}).impatient(t)
	type holder struct {
		user  int
		token auth.Token
	}
	var holders []*holder
	for _, user := range []int{heavy - 1, heavy + 1} {
		token, err := svc.IssueRefresh(t.Context(), user)
		require.NoError(t, err)
		holders = append(holders, &holder{user, token})
	}
	return func() {
		// A lock that is held is in the way of every try, each of which waits for a second; a busy server is slow.
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		for _, d := range holders {
			next, _, err := svc.Rotate(ctx, d.token)
			if assert.NoError(t, err, "a rotation of user %d waits", d.user) {
				d.token = next
			}
			_, _, err = svc.StartSession(ctx, d.user, device)
			assert.NoError(t, err, "a sign-in of user %d waits", d.user)
		}
		_, err := h.db.ExecContext(ctx,
			"UPDATE sessions SET last_used_at = NOW(6) WHERE user_id IN (?, ?)", heavy-1, heavy+1)
		assert.NoError(t, err, "a last use waits")
	}
}

func (w *world) impatient(t *testing.T) *auth.Service {
	t.Helper()
	return w.service(t, w.open(t), 0)
}

// alive restores what heavy holds.
func (h *heavyWorld) alive(t *testing.T) {
	t.Helper()
	for _, statement := range []string{
		"UPDATE sessions SET is_active = 1 WHERE user_id = ?",
		"UPDATE refresh_tokens SET is_revoked = 0, revoked_at = NULL WHERE user_id = ?",
	} {
		_, err := h.db.ExecContext(t.Context(), statement, heavy)
		require.NoError(t, err)
	}
}

func (h *heavyWorld) live(t *testing.T, user int) (sessions, tokens int) {
	t.Helper()
	sessions, err := h.world.client.Session.Query().Where(session.UserID(user), session.IsActive(true)).
		Count(t.Context())
	require.NoError(t, err)
	tokens, err = h.world.client.RefreshToken.Query().
		Where(refreshtoken.UserID(user), refreshtoken.IsRevoked(false)).Count(t.Context())
	require.NoError(t, err)
	return sessions, tokens
}

// What ends all that a user holds in one transaction reads and holds the rows of that user, however many they are, and
// others go on beside it.
func TestEndingWhatAHeavyUserHoldsIsNobodyElsesBusiness(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		h := newHeavyWorld(t, url, nil)
		goOn := h.neighbours(t)
		rows := held + 4
		steps, locks, foreign := 0, 0, 0
		h.sees = func(query string) {
			switch {
			case strings.Contains(query, "WHERE `refresh_tokens`.`id` IN ("),
				strings.Contains(query, "WHERE `sessions`.`id` IN ("):
				if steps++; steps%10 == 0 {
					goOn()
				}
			case query == "COMMIT" && steps > 0:
				locks, foreign = h.locks(t), h.foreignLocks(t)
			}
		}
		var ended auth.Ended
		var err error
		read := h.reads(t, func() { ended, err = h.svc.RevokeAll(t.Context(), heavy) })
		require.NoError(t, err)
		assert.Equal(t, auth.Ended{Sessions: rows, RefreshTokens: rows}, ended)
		sessions, tokens := h.live(t, heavy)
		assert.Zero(t, sessions+tokens)
		assert.Greater(t, steps, 2*held/500)
		assert.Less(t, read, 4*2*rows, "rows read, of %d that the user holds", 2*rows)
		assert.Less(t, locks, 4*2*rows, "rows locked")
		assert.Zero(t, foreign, "rows of others are locked")
	})
}

// foreignLocks is how many rows of others the transaction of the service holds. The gap at the end of a page is between
// rows of the user. Only MySQL tells.
func (h *heavyWorld) foreignLocks(t *testing.T) (n int) {
	t.Helper()
	if strings.HasSuffix(t.Name(), "/mariadb") {
		return 0
	}
	for _, table := range []string{"sessions", "refresh_tokens"} {
		var rows int
		require.NoError(t, h.db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT COUNT(*)
			FROM performance_schema.data_locks l LEFT JOIN %[1]s s ON s.id = l.lock_data AND s.user_id = %[2]d
			WHERE l.object_schema = DATABASE() AND l.object_name = '%[1]s' AND l.lock_type = 'RECORD'
			AND l.lock_data <> 'supremum pseudo-record' AND IF(l.index_name = 'PRIMARY', s.id IS NULL,
				l.lock_data NOT LIKE '%[2]d, %%' AND l.lock_mode NOT LIKE '%%GAP%%')`, table, heavy)).Scan(&rows))
		n += rows
	}
	return n
}

// What may end in steps holds few rows at a time.
func TestSessionsOfAHeavyUserEndInSteps(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		h := newHeavyWorld(t, url, func(c *auth.Config) { c.Session.MaxPerUser = 3 })
		goOn := h.neighbours(t)
		most, transactions := 0, 0
		h.sees = func(query string) {
			if query != "COMMIT" {
				return
			}
			if transactions++; transactions%25 == 0 {
				goOn()
				most = max(most, h.locks(t))
			}
		}
		var err error
		read := h.reads(t, func() { _, _, err = h.svc.StartSession(t.Context(), heavy, device) })
		require.NoError(t, err)
		sessions, _ := h.live(t, heavy)
		assert.Equal(t, 3, sessions, "the limit holds whatever there was before")
		assert.Less(t, read, 5*2*held)

		h.alive(t)
		read = h.reads(t, func() {
			ended, err := h.svc.RevokeSessions(t.Context(), heavy)
			require.NoError(t, err)
			assert.Equal(t, held+4+1, ended.Sessions)
		})
		assert.Less(t, read, 5*2*held)
		assert.NotZero(t, most)
		assert.Less(t, most, 1000, "rows locked by one of %d transactions", transactions)
	})
}

// The list of sessions costs what it returns.
func TestListingTheSessionsOfAHeavyUserReadsNoMoreThanItReturns(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		h := newHeavyWorld(t, url, nil)
		listed := 0
		read := h.reads(t, func() {
			list, err := h.svc.Sessions(t.Context(), heavy)
			require.NoError(t, err)
			listed = len(list)
		})
		assert.Equal(t, 1000, listed)
		assert.Less(t, read, 1100)
		_, err := h.db.ExecContext(t.Context(),
			"UPDATE sessions SET last_used_at = NOW(6) - INTERVAL 2 DAY WHERE user_id = ?", heavy)
		require.NoError(t, err)
		read = h.reads(t, func() {
			list, err := h.svc.Sessions(t.Context(), heavy)
			require.NoError(t, err)
			assert.Len(t, list, 1000)
			assert.True(t, list[0].Dormant)
		})
		most := 6 * 1000
		if mysqltest.MariaDBBefore(t, url, "10.6") {
			most += 2 * held // it looks for the live ones by two columns of the index where it could by three
		}
		assert.Less(t, read, most, "of devices that can begin theirs again, those that are listed are read")
		_, err = h.db.ExecContext(t.Context(),
			"UPDATE refresh_tokens SET created_at = NOW(6) - INTERVAL 15 DAY WHERE user_id = ?", heavy)
		require.NoError(t, err)
		read = h.reads(t, func() {
			list, err := h.svc.Sessions(t.Context(), heavy)
			require.NoError(t, err)
			assert.Empty(t, list)
		})
		assert.Less(t, read, most, "what is old is not read to its end")
	})
}

// A step of a purge costs what it looks at, also where it leaves nearly all of that for the refresh tokens of the
// devices.
func TestAStepOfAPurgeBesideLiveFamiliesCostsWhatItLooksAt(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		h := newHeavyWorld(t, url, func(c *auth.Config) {
			c.Clock = func() time.Time { return time.Now().Add(100 * day) }
		})
		for _, statement := range []string{
			"UPDATE refresh_tokens SET expires_at = expires_at + INTERVAL 1 YEAR",
			"ANALYZE TABLE sessions, refresh_tokens",
		} {
			_, err := h.db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		const rows, kept, batch = 60000, 40000, 1000
		tables := []string{"sessions", "refresh_tokens"}
		counted := 0
		read := h.reads(t, func() {
			done, err := h.svc.Purge(t.Context(), auth.PurgeOptions{DryRun: true, Tables: tables})
			require.NoError(t, err)
			counted = done.Sessions
		})
		assert.Equal(t, rows-kept, counted)
		assert.Less(t, read, 5*rows)

		steps, most := 0, 0
		before := h.read(t)
		progress := func(auth.PurgeProgress) {
			now := h.read(t)
			steps, most, before = steps+1, max(most, now-before), now
		}
		done, err := h.svc.Purge(t.Context(), auth.PurgeOptions{
			Batch: batch, FullRate: true, Tables: tables, Progress: progress,
		})
		require.NoError(t, err)
		assert.Equal(t, auth.Purged{Sessions: rows - kept}, done)
		assert.Greater(t, steps, rows/batch)
		assert.Less(t, most, 7*batch, "rows read in one of %d steps", steps)
	})
}
