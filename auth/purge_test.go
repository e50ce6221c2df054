package auth_test

import (
	neturl "net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
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
		done, err := auth.Purge(t.Context(), client, config, auth.PurgeOptions{Batch: 1 << 20, FullRate: true,
			Tables: []string{"sessions", "users"}})
		require.NoError(t, err)
		assert.Equal(t, 400, done.Users)
		assert.Greater(t, done.Sessions, 2*auth.MaxPurgeBatch)
		assert.Equal(t, auth.MaxPurgeBatch, largest["DELETE FROM sessions WHERE id IN (?)"])
		assert.Equal(t, 400, largest["SELECT … FROM sessions WHERE user_id IN (?) ORDER BY user_id LIMIT ?"])
	})
}

// A purge asks for the lags of the server between its batches alone. What a batch sends is what it always sent.
func TestWhatAPurgeSendsForABatchIsPinned(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		const rows = 24
		for range rows {
			_, err := w.at(t, -100*day).IssueCode(t.Context(),
				auth.CodeRequest{Email: w.email(), Kind: schematype.OTPSignIn, Device: anybody()})
			require.NoError(t, err)
		}
		for _, fullRate := range []bool{false, true} {
			var batches [][]string
			var looks int
			inside := false
			s := w.service(t, w.spied(t, func(query string) {
				verb, _, _ := strings.Cut(query, " ")
				switch {
				case strings.Contains(query, "_schema."):
					looks++
					assert.False(t, inside, "it asks for a lag within a batch: %s", query)
					return
				case verb == "START":
					inside = true
					batches = append(batches, nil)
				case verb == "ROLLBACK": // a new connection is tried
					inside = false
					batches = batches[:len(batches)-1]
					return
				case verb == "COMMIT":
					inside = false
				}
				if verb != "SET" { // which makes a connection ready
					batches[len(batches)-1] = append(batches[len(batches)-1], verb)
				}
			}), 0)
			done, err := s.Purge(t.Context(), auth.PurgeOptions{
				Batch: 2, FullRate: fullRate, Tables: []string{"otps"},
			})
			require.NoError(t, err)
			assert.Equal(t, auth.Purged{OTPs: map[bool]int{false: rows}[fullRate]}, done)
			if fullRate {
				assert.Zero(t, looks)
				continue
			}
			if mysqltest.IsSQLite(url) {
				assert.Zero(t, looks, "it has no lag")
			} else {
				assert.NotZero(t, looks)
			}
			require.Len(t, batches, rows/2+1)
			for _, batch := range batches[:rows/2] {
				assert.Equal(t, []string{"START", "SELECT", "DELETE", "COMMIT"}, batch)
			}
		}
	})
}

// Progress tells what the server says, to an account that may know it. Another purges all the same.
func TestAPurgeTellsWhatTheServerLetsItKnow(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		urls := map[string]string{"who may know all": url}
		if !mysqltest.IsSQLite(url) {
			urls["who has rights on the tables alone"] = w.confined(t)
		}
		earlier := 0
		for who, url := range urls {
			const rows, ended = 400, 100
			var codes []*ent.OTPCreate
			for i := range rows {
				expires := time.Now().Add(-100 * day)
				if i >= ended {
					expires = time.Now().Add(100 * day)
				}
				codes = append(codes, w.client.OTP.Create().SetEmail(w.email()).SetOtpHashCode("x").
					SetType(schematype.OTPSignIn).SetNextResendAllowedAt(expires).SetExpiresAt(expires))
			}
			require.NoError(t, w.client.OTP.CreateBulk(codes...).Exec(t.Context()))
			client, err := authgraph.Open(t.Context(), url)
			require.NoError(t, err)
			var steps []auth.PurgeProgress
			done, err := auth.Purge(t.Context(), client, w.config(), auth.PurgeOptions{
				Batch: 10, Progress: func(p auth.PurgeProgress) { steps = append(steps, p) },
			})
			require.NoError(t, err, who)
			require.NoError(t, client.Close())
			assert.Equal(t, auth.Purged{OTPs: ended}, done, who)
			first, second, last := steps[0], steps[1], steps[len(steps)-1]
			assert.Equal(t, done, last.Purged, who)
			assert.Positive(t, first.Rate, who)
			// What was deleted before is among them until InnoDB has taken it out.
			assert.InDelta(t, ended+earlier/2, first.Total()+first.Left, float64(ended+earlier)/2+10,
				"%s: the server's estimate", who)
			earlier += ended
			assert.Positive(t, first.TimeLeft, who)
			assert.LessOrEqual(t, last.Left, 1, "%s: a server estimates no less than a row", who)
			assert.Less(t, last.Share, 0.41, who)
			assert.Equal(t, -1, first.Lag, "%s: it has not asked yet", who)
			known := !mysqltest.IsSQLite(url) && (url == w.url || strings.HasPrefix(url, "mariadb:"))
			assert.Equal(t, known, second.Lag >= 0, "%s: lag %d", who, second.Lag)
			assert.Equal(t, -1, second.ReplicaLag, "%s: it is in no group", who)
		}
	})
}

// confined makes an account with rights on the rows of the database and no others, and returns the URL for it.
func (w *world) confined(t *testing.T) string {
	t.Helper()
	u, err := neturl.Parse(w.url)
	require.NoError(t, err)
	name := "purge_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	_, err = w.db.Exec("CREATE USER " + name + " IDENTIFIED BY 'confined'")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := w.db.Exec("DROP USER " + name)
		assert.NoError(t, err)
	})
	_, err = w.db.Exec("GRANT SELECT, INSERT, UPDATE, DELETE ON `" + strings.Trim(u.Path, "/") + "`.* TO " + name)
	require.NoError(t, err)
	u.User = neturl.UserPassword(name, "confined")
	return u.String()
}

// Batches that are made ever smaller, because each takes the same time whatever is in it, would never be through.
func TestAPurgeDoesNotTakeTheWayOrADiskForABusyServer(t *testing.T) {
	t.Parallel()
	for name, takes := range map[string]func(query string) time.Duration{
		"the way to the server": func(string) time.Duration { return 15 * time.Millisecond },
		"the disk that COMMIT waits for": func(query string) time.Duration {
			if query == "COMMIT" {
				return 60 * time.Millisecond
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				w := newWorld(t, url)
				id := w.register(t, w.email())
				const rows = 3969
				_, err := w.db.ExecContext(t.Context(), `INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
					WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 63)
					SELECT ?, SHA2(CONCAT(a.i, ' ', b.i), 256), NOW(6) - INTERVAL 100 DAY
					FROM n a, n b LIMIT ?`, id, rows)
				require.NoError(t, err)
				client := w.spied(t, func(query string) { time.Sleep(takes(query)) })
				batches := 0
				done, err := w.service(t, client, 0).Purge(t.Context(), auth.PurgeOptions{
					Tables:   []string{refreshtoken.Table},
					Progress: func(auth.PurgeProgress) { batches++ },
				})
				require.NoError(t, err)
				assert.Equal(t, rows, done.RefreshTokens)
				assert.Less(t, batches, rows/20)
			})
		})
	}
}
