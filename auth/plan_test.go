package auth_test

import (
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestEveryQueryGoesByAnIndex(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		load(t, w.db)
		got := map[string]string{}
		for _, query := range w.sent(t) {
			form := normalForm(query)
			if plan := explain(t, w.db, query); plan != "" || got[form] == "" {
				got[form] = plan
			}
		}
		assert.Equal(t, indexes, got)
	})
}

// indexes are by what each statement of the service finds its rows: no scan, and no sort but that of the live sessions of
// one user. Those are a few rows, sorted in memory. An index in their order would have to hold last_used_at, which the most
// frequent write of all moves; for a user with four sessions the list is not faster by it, for one with a thousand it
// takes 16 ms instead of 22.
var indexes = map[string]string{
	"DELETE FROM otps WHERE id IN (?)":                                             "PRIMARY",
	"DELETE FROM refresh_tokens WHERE id IN (?)":                                   "PRIMARY",
	"DELETE FROM sessions WHERE id IN (?)":                                         "PRIMARY",
	"DELETE FROM users WHERE id IN (?) AND (is_deleted IN (?) AND deleted_at < ?)": "PRIMARY",
	"SELECT … FROM otps WHERE ((email = ? AND type = ?) AND id <> ?) AND created_at > ? ORDER BY id DESC LIMIT ? FOR UPDATE":                                                  "otp_email_type",
	"SELECT … FROM otps WHERE email = ? AND type = ? ORDER BY id DESC LIMIT ?":                                                                                                "otp_email_type",
	"SELECT … FROM otps WHERE expires_at < ? ORDER BY expires_at ASC LIMIT ?":                                                                                                 "otp_expires_at",
	"SELECT … FROM otps WHERE expires_at < ?":                                                                                                                                 "otp_expires_at",
	"SELECT … FROM refresh_tokens WHERE expires_at < ? ORDER BY expires_at ASC LIMIT ?":                                                                                       "refreshtoken_expires_at",
	"SELECT … FROM refresh_tokens WHERE expires_at < ?":                                                                                                                       "refreshtoken_expires_at",
	"SELECT … FROM refresh_tokens WHERE token_hash = ? LIMIT ? FOR UPDATE":                                                                                                    "token_hash",
	"SELECT … FROM sessions WHERE expires_at < ? ORDER BY expires_at ASC LIMIT ?":                                                                                             "session_expires_at",
	"SELECT … FROM sessions WHERE expires_at < ?":                                                                                                                             "session_expires_at",
	"SELECT … FROM sessions WHERE user_id = ? AND (is_active IN (?) AND expires_at > ? AND last_used_at > ?) ORDER BY last_used_at DESC, id DESC LIMIT ? OFFSET ? FOR UPDATE": "session_user_id_is_active_expires_at, sorted",
	"SELECT … FROM sessions WHERE user_id = ? AND (is_active IN (?) AND expires_at > ? AND last_used_at > ?) ORDER BY last_used_at DESC, id DESC LIMIT ?":                     "session_user_id_is_active_expires_at, sorted",
	"SELECT … FROM users WHERE id = ? AND (NOT is_deleted AND (lock_until IS NULL OR lock_until <= ?)) LIMIT ? FOR UPDATE":                                                    "PRIMARY",
	"SELECT … FROM users WHERE id = ? LIMIT ? FOR UPDATE":                                                                                                                     "PRIMARY",
	"SELECT … FROM users WHERE email = ? AND (NOT is_deleted AND (lock_until IS NULL OR lock_until <= ?)) LIMIT ? FOR UPDATE":                                                 "email",
	"SELECT … FROM users WHERE email = ? AND NOT is_deleted LIMIT ?":                                                                                                          "email",
	"SELECT … FROM users WHERE email = ? AND is_deleted LIMIT ?":                                                                                                              "email",
	"SELECT … FROM users WHERE email = ? LIMIT ?":                                                                                                                             "email",
	"SELECT … FROM users WHERE id = ? AND NOT is_deleted LIMIT ?":                                                                                                             "PRIMARY",
	"SELECT … FROM users WHERE is_deleted IN (?) AND deleted_at < ? ORDER BY deleted_at ASC LIMIT ?":                                                                          "user_is_deleted_deleted_at",
	"SELECT … FROM users WHERE is_deleted IN (?) AND deleted_at < ?":                                                                                                          "user_is_deleted_deleted_at",
	"SELECT … FROM users WHERE provider = ? AND provider_id = ? LIMIT ?":                                                                                                      "user_provider_provider_id",
	"SELECT … WHERE s.token_hash = ?":                                                                                                                                         "token_hash; PRIMARY",
	"SELECT … WHERE t.token_hash = ?":                                                                                                                                         "token_hash; PRIMARY",
	"UPDATE otps SET … WHERE ((email = ? AND type = ?) AND NOT is_used) AND id <> ?":                                                                                          "otp_email_type",
	"UPDATE otps SET … WHERE ((id = ? AND NOT is_used) AND expires_at > ?) AND attempts < max_attempts":                                                                       "PRIMARY",
	"UPDATE otps SET … WHERE (id = ? AND NOT is_used) AND expires_at > ?":                                                                                                     "PRIMARY",
	"UPDATE refresh_tokens SET … WHERE ((id = ? AND replaced_by_token_hash = ?) AND revoked_at > ?) AND grace_uses < ?":                                                       "PRIMARY",
	"UPDATE refresh_tokens SET … WHERE id = ? AND NOT is_revoked":                                                                                                             "PRIMARY",
	"UPDATE refresh_tokens SET … WHERE id = ?":                                                                                                                                "PRIMARY",
	"UPDATE refresh_tokens SET … WHERE token_hash = ? AND (NOT is_revoked AND expires_at > ? AND created_at > ?)":                                                             "token_hash",
	"UPDATE refresh_tokens SET … WHERE token_hash = ? AND NOT is_revoked":                                                                                                     "token_hash",
	"UPDATE refresh_tokens SET … WHERE user_id = ? AND NOT is_revoked":                                                                                                        "refreshtoken_user_id_is_revoked",
	"UPDATE sessions SET … WHERE (id = ? AND is_active) AND last_used_at <= ?":                                                                                                "PRIMARY",
	"UPDATE sessions SET … WHERE (user_id = ? AND id <> ?) AND is_active":                                                                                                     "session_user_id_is_active_expires_at",
	"UPDATE sessions SET … WHERE (user_id = ? AND id = ?) AND is_active":                                                                                                      "PRIMARY",
	"UPDATE sessions SET … WHERE id IN (?)":                                                                                                                                   "PRIMARY",
	"UPDATE sessions SET … WHERE token_hash = ? AND is_active":                                                                                                                "token_hash",
	"UPDATE sessions SET … WHERE user_id = ? AND is_active":                                                                                                                   "session_user_id_is_active_expires_at",
	"UPDATE users SET … WHERE (((id = ? AND password = ?) AND is_deleted) AND (re_activate_available_at IS NULL OR re_activate_available_at <= ?)) AND (lock_until IS NULL OR lock_until <= ?)": "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND is_deleted) AND (re_activate_available_at IS NULL OR re_activate_available_at <= ?)":                                                                  "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND lock_until IS NULL) AND failed_login_attempts < ?":                                                                                                    "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND lock_until IS NULL) AND failed_login_attempts >= ?":                                                                                                   "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND password = ?) AND (NOT is_deleted AND (lock_until IS NULL OR lock_until <= ?))":                                                                       "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND provider = ?) AND NOT is_email_verified":                                                                                                              "PRIMARY",
	"UPDATE users SET … WHERE (id = ? AND (NOT is_deleted AND (lock_until IS NULL OR lock_until <= ?))) AND (provider = ? AND provider_id = ?)":                                                 "PRIMARY",
	"UPDATE users SET … WHERE email = ? AND NOT is_deleted":                                                                                                                                     "email",
	"UPDATE users SET … WHERE id = ? AND (NOT is_deleted AND (lock_until IS NULL OR lock_until <= ?))":                                                                                          "PRIMARY",
	"UPDATE users SET … WHERE id = ? AND NOT is_deleted":                                                                                                                                        "PRIMARY",
	"UPDATE users SET … WHERE id = ? AND NOT is_email_verified":                                                                                                                                 "PRIMARY",
	"UPDATE users SET … WHERE id = ? AND lock_until <= ?":                                                                                                                                       "PRIMARY",
	"UPDATE users SET … WHERE id = ?": "PRIMARY",
}

// sent are the statements of every transition, as the server gets them.
func (w *world) sent(t *testing.T) (queries []string) {
	t.Helper()
	var mu sync.Mutex
	proxy := mysqltest.Proxy{Hook: func(_ int, query string) mysqltest.Action {
		mu.Lock()
		defer mu.Unlock()
		queries = append(queries, query)
		return mysqltest.Forward
	}}
	// As text, which EXPLAIN takes.
	client, err := authgraph.Open(t.Context(), proxy.Start(t, w.url), authgraph.WithStatements(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	for _, tr := range transitions {
		call := tr.arrange(t, w, w.email())
		require.ErrorIs(t, call(t.Context(), w.service(t, client, tr.grace)), tr.done, tr.name)
	}
	email := w.email()
	id := w.register(t, email)
	grant := w.signIn(t, email)
	config := w.config()
	config.Lockout.MaxFailures = 1
	s, err := auth.New(client, config)
	require.NoError(t, err)
	_, err = s.SignIn(t.Context(), email, newPassword, device)
	require.ErrorIs(t, err, auth.ErrCredentials)
	require.NoError(t, s.Lock(t.Context(), id, time.Now().Add(-time.Hour)))
	_, err = s.SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	later := w.serviceAt(t, client, time.Hour)
	_, _, err = later.CheckSession(t.Context(), grant.Token)
	require.NoError(t, err)
	require.NoError(t, later.Close(t.Context()))
	_, err = s.Sessions(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, s.ChangeRole(t.Context(), id, schematype.RoleAdmin))
	require.NoError(t, s.RevokeOtherSessions(t.Context(), id, grant.Session.ID))
	require.NoError(t, s.RevokeSession(t.Context(), id, grant.Session.ID))
	require.NoError(t, s.Delete(t.Context(), id))
	_, err = s.Reactivate(t.Context(), email, newPassword, device)
	require.ErrorIs(t, err, auth.ErrCredentials)
	email = w.email()
	w.register(t, email)
	_, err = w.at(t, -100*day).SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	for _, dryRun := range []bool{true, false} {
		_, err = s.Purge(t.Context(), auth.PurgeOptions{DryRun: dryRun})
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.DeleteFunc(slices.Clone(queries), func(q string) bool {
		return !strings.HasPrefix(q, "SELECT") && !strings.HasPrefix(q, "UPDATE") && !strings.HasPrefix(q, "DELETE")
	})
}

// load fills each table with as many rows as an optimizer needs to care.
func load(t testing.TB, db *sql.DB) {
	t.Helper()
	const digits = `(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
		UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)`
	const numbers = `(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n FROM ` +
		digits + ` a, ` + digits + ` b, ` + digits + ` c, ` + digits + ` d, (SELECT 0 d UNION ALL SELECT 1) e) numbers`
	for _, statement := range []string{
		`INSERT INTO users (id, name, email, is_deleted, deleted_at)
			SELECT n + 1, 'Ada', CONCAT('load', n, '@example.com'), n % 50 = 0, IF(n % 50 = 0, NOW(6) - INTERVAL n % 7 DAY, NULL) FROM ` + numbers,
		`INSERT INTO sessions (user_id, token_hash, is_active, last_used_at, expires_at)
			SELECT n DIV 4 + 1, SHA2(n, 256), n % 4 < 2, NOW(6), NOW(6) + INTERVAL 1 + n % 30 DAY FROM ` + numbers,
		`INSERT INTO refresh_tokens (user_id, token_hash, is_revoked, expires_at)
			SELECT n DIV 4 + 1, SHA2(n, 256), n % 4 < 2, NOW(6) + INTERVAL 1 + n % 90 DAY FROM ` + numbers,
		`INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at, is_used)
			SELECT CONCAT('load', n DIV 4, '@example.com'), SHA2(n, 256), 'signin', NOW(6), NOW(6) + INTERVAL n % 10 MINUTE, n % 4 < 3 FROM ` + numbers,
		`ANALYZE TABLE users, sessions, refresh_tokens, otps`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// explain says for each table of a query by which index it is read, and what is done to the rows that is worse than
// reading them. It is empty where the server has found by unique indexes alone that no row matches.
func explain(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN FORMAT=TRADITIONAL "+query)
	require.NoError(t, err, query)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		dest := make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(t, rows.Scan(dest...))
		of := func(name string) string { return values[slices.Index(names, name)].String }
		if of("table") == "" {
			assert.Regexp(t, "Impossible WHERE noticed after reading const tables|no matching row in const table", of("Extra"), query)
			continue
		}
		table := of("key")
		if of("type") == "ALL" || of("type") == "index" {
			table = "scan of " + of("table") + table
		}
		if strings.Contains(of("Extra"), "Using filesort") {
			table += ", sorted"
		}
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	return strings.Join(tables, "; ")
}

var (
	literal = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|\b\d+\b`)
	list    = regexp.MustCompile(`\?(?:, \?)+`)
	quoted  = regexp.MustCompile("(?:`\\w+`\\.)?`(\\w+)`")
	columns = regexp.MustCompile(`(?s)^(SELECT|UPDATE \S+ SET) .*? (FROM|WHERE)`)
)

// normalForm is a query without what differs from call to call, and without the columns it reads or writes.
func normalForm(query string) string {
	query = list.ReplaceAllString(literal.ReplaceAllString(query, "?"), "?")
	query = columns.ReplaceAllString(query, "$1 … $2")
	return strings.Join(strings.Fields(quoted.ReplaceAllString(query, "$1")), " ")
}
