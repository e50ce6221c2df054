package authgraph_test

import (
	"database/sql"
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

//go:embed testdata/version_before.sql
var versionBefore string

// While a release goes out, the version before writes the same tables. It names none of the columns that came since,
// so that they say in all of its rows what docs/seed-parity.md lists.
func TestTheVersionBeforeGoesOnWriting(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		createTables(t, url)
		db := mysqltest.DB(t, url)
		for line := range strings.Lines(versionBefore) {
			if !strings.HasPrefix(line, "--") {
				assertChanges(t, db, line)
				assertLeftOut(t, db)
			}
		}
	})
}

// A program written for the seed's schema, in any language, finds its columns and values here.
func TestAWriterOfTheSeedsColumnsGoesOnWorking(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		createTables(t, url)
		db := mysqltest.DB(t, url)
		exec(t, db, `INSERT INTO users (id, name, email, password, role, provider, provider_id, avatar,
				is_email_verified, last_login_at, failed_login_attempts, lock_until, is_deleted, deleted_at,
				re_activate_available_at, created_at, updated_at)
			VALUES (1, 'Ada', 'ada@example.com', 'hash', 'admin', 'github', '42',
				'{"public_id":"p","url":"https://example.com/a.png","size":7}', TRUE, '2030-01-01 00:00:00', 2, NULL,
				FALSE, NULL, NULL, '2030-01-01 00:00:00', '2030-01-01 00:00:00')`)
		exec(t, db, `INSERT INTO otps (id, email, otp_hash_code, next_resend_allowed_at, type, expires_at, is_used,
				used_at, attempts, max_attempts, created_at, updated_at)
			VALUES (1, 'ada@example.com', 'hash', '2030-01-01 00:00:00', 'password-change', '2030-01-01 00:00:00',
				FALSE, NULL, 1, 5, '2030-01-01 00:00:00', '2030-01-01 00:00:00')`)
		exec(t, db, `INSERT INTO sessions (id, user_id, token_hash, ip, user_agent, is_active, last_used_at,
				expires_at, created_at, updated_at)
			VALUES (1, 1, 'hash', '::1', 'curl', TRUE, '2030-01-01 00:00:00',
				'2030-01-01 00:00:00', '2030-01-01 00:00:00', '2030-01-01 00:00:00')`)
		exec(t, db, `INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, is_revoked, revoked_at,
				replaced_by_token_hash, created_at, updated_at)
			VALUES (1, 1, 'hash', '2030-01-01 00:00:00', TRUE, '2030-01-01 00:00:00',
				'next', '2030-01-01 00:00:00', '2030-01-01 00:00:00')`)

		assertLeftOut(t, db)

		u := connect(t, url).User.Query().WithSessions().WithRefreshTokens().OnlyX(t.Context())
		assert.Equal(t, schematype.RoleAdmin, u.Role)
		assert.Equal(t, &schematype.Avatar{PublicID: "p", URL: "https://example.com/a.png", Size: 7}, u.Avatar)
		assert.Equal(t, "2030-01-01 00:00:00 +0000 UTC", u.LastLoginAt.String())
		assert.Equal(t, "::1", *u.Edges.Sessions[0].IP)
		assert.True(t, u.Edges.RefreshTokens[0].IsRevoked)

		assertChanges(t, db, "UPDATE users SET role = 'user', lock_until = '2031-01-01 00:00:00' WHERE id = 1")
		assertChanges(t, db, "UPDATE otps SET attempts = attempts + 1 WHERE email = 'ada@example.com' AND NOT is_used")
		assertChanges(t, db, "UPDATE sessions SET is_active = FALSE WHERE token_hash = 'hash' AND is_active")
		assertChanges(t, db, "UPDATE refresh_tokens SET replaced_by_token_hash = 'other' WHERE token_hash = 'hash'")
		assertLeftOut(t, db)
	})
}

// assertChanges sends a statement, which has to change a row.
func assertChanges(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	assert.Positive(t, n, statement)
}

// assertLeftOut checks that every row says in the columns of docs/seed-parity.md what it lists for those who leave
// them out.
func assertLeftOut(t *testing.T, db *sql.DB) {
	t.Helper()
	for column, value := range leftOut(t) {
		table, name, _ := strings.Cut(column, ".")
		is := " = " + value
		if value == "NULL" {
			is = " IS NULL"
		}
		query := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE NOT COALESCE(%s%s, FALSE)", table, name, is)
		assert.Zero(t, single[int](t, db, query), query)
	}
}

var leftOutRow = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\| `(NULL|0|false)` \\| [^ |]")

// leftOut are the columns of that list and what is in them.
func leftOut(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, row := range leftOutRow.FindAllStringSubmatch(parityPage(t), -1) {
		values[row[1]] = row[2]
	}
	return values
}

// The page says of every column that came in the migration of accounts what it means that a row leaves it out.
func TestTheParityPageSaysWhatARowMeansThatLeavesAColumnOut(t *testing.T) {
	var added []string
	for name, text := range dirtest.Embedded(t, dialect.MySQL) {
		if !strings.HasSuffix(name, "_accounts.sql") {
			continue
		}
		for alter := range strings.SplitSeq(text, "ALTER TABLE `") {
			table, rest, _ := strings.Cut(alter, "`")
			for _, column := range regexp.MustCompile("ADD COLUMN `([a-z_]+)`").FindAllStringSubmatch(rest, -1) {
				added = append(added, table+"."+column[1])
			}
		}
	}
	assert.Len(t, added, 17)
	assert.ElementsMatch(t, added, slices.Collect(maps.Keys(leftOut(t))))
}
