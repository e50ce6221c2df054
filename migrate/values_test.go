package migrate_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// olderFile is a SQLite file made by the migrations before the one with the CHECKs, and the directory of all.
func olderFile(t *testing.T) (url string, dir directory.Dir) {
	t.Helper()
	url = mysqltest.SQLite(t)
	return url, applyBefore(t, url, "_check_values.sql")
}

// applyBefore applies the embedded migrations before the one whose name ends so, and returns the directory of all.
func applyBefore(t *testing.T, url, end string) (dir directory.Dir) {
	t.Helper()
	all := dirtest.Embedded(t, mysqltest.Dialect(url))
	before := maps.Clone(all)
	names := all.Names()
	is := func(name string) bool { return strings.HasSuffix(name, end) }
	for _, name := range names[slices.IndexFunc(names, is):] {
		delete(before, name)
	}
	dirtest.Apply(t, url, dirtest.New(t, before))
	return dirtest.New(t, all)
}

const (
	addUser    = "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')"
	addSession = "INSERT INTO sessions (id, user_id, token_hash, expires_at, user_agent) "
	addOTP     = "INSERT INTO otps (id, email, otp_hash_code, next_resend_allowed_at, type, expires_at, is_used) "
)

// What other programs wrote into a SQLite file and can be read in one way only is written anew.
func TestOlderSQLiteFilesAreConverted(t *testing.T) {
	t.Parallel()
	url, dir := olderFile(t)
	db := mysqltest.DB(t, url)
	mysqltest.Exec(t, db, addUser)
	times := []struct{ written, want string }{
		{"'2026-01-31 12:00:00'", "2026-01-31 12:00:00"},
		{"'2026-01-31 12:00:00.123456+00:00'", "2026-01-31 12:00:00.123456+00:00"},
		{"'2026-01-31T12:00:00.123456Z'", "2026-01-31 12:00:00.123456+00:00"},
		{"'2026-01-31T12:00:00.999999Z'", "2026-01-31 12:00:00.999999+00:00"},
		{"'2026-01-31T12:00:00'", "2026-01-31 12:00:00"},
		{"'2026-01-31 12:00:00Z'", "2026-01-31 12:00:00+00:00"},
		{"'2026-01-31 12:00:00.123456 +0000 UTC'", "2026-01-31 12:00:00.123456+00:00"},
		{"'2026-01-31 17:45:00.123456+05:45'", "2026-01-31 12:00:00.123+00:00"},
		{"'2026-01-31T17:45:00+05:45'", "2026-01-31 12:00:00.000+00:00"},
		{"'2026-01-31T04:00:00-08:00'", "2026-01-31 12:00:00.000+00:00"},
		{"'2026-01-31 12:00'", "2026-01-31 12:00:00.000+00:00"},
		{"'2026-01-31'", "2026-01-31 00:00:00.000+00:00"},
		{"'2026-01-31 12:00:00' || char(0) || 'z'", "2026-01-31 12:00:00.000+00:00"},
		{"1769860800", "2026-01-31 12:00:00.000+00:00"},
		{"1769860800.25", "2026-01-31 12:00:00.250+00:00"},
		{"'1769860800'", "2026-01-31 12:00:00.000+00:00"},
		{"1769860800250", "2026-01-31 12:00:00.250+00:00"},
	}
	for i, c := range times {
		mysqltest.Exec(t, db, fmt.Sprintf(addSession+"VALUES (%d, 1, '%d', %s, '')", i+1, i, c.written))
	}
	words := map[string]string{"'true'": "1", "'FALSE'": "0", "'t'": "1", "'f'": "0", "'1'": "1", "true": "1"}
	for i, word := range slices.Sorted(maps.Keys(words)) {
		mysqltest.Exec(t, db, fmt.Sprintf(addOTP+"VALUES (%d, 'ada@example.com', 'x', "+
			"'2026-01-31 12:00:00', 'signin', '2026-01-31 12:00:00', %s)", i+1, word))
	}
	mysqltest.Exec(t, db, addSession+"VALUES (900, 1, 'gone', '2026-01-31 12:00:00', '')",
		"DELETE FROM sessions WHERE id = 900",
		"INSERT INTO users (id, name, email) VALUES (800, 'Bo', 'bo@example.com')", "DELETE FROM users WHERE id = 800")

	dirtest.Apply(t, url, dir)

	for i, c := range times {
		now := mysqltest.Value(t, db, "SELECT CAST(expires_at AS text) FROM sessions WHERE id = ?", i+1)
		assert.Equal(t, c.want, now, c.written)
	}
	for i, word := range slices.Sorted(maps.Keys(words)) {
		used := mysqltest.Value(t, db, "SELECT CAST(is_used AS text) FROM otps WHERE id = ?", i+1)
		assert.Equal(t, words[word], used, word)
	}
	mysqltest.Exec(t, db,
		"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'next', '2026-01-31 12:00:00')",
		"INSERT INTO users (name, email) VALUES ('Cy', 'cy@example.com')")
	assert.Equal(t, "901", mysqltest.Value(t, db, "SELECT id FROM sessions WHERE token_hash = 'next'"),
		"an id is not given out twice")
	assert.Equal(t, "801", mysqltest.Value(t, db, "SELECT id FROM users WHERE name = 'Cy'"))
}

// Anything else stops the migration before it changed something, with the rows.
func TestOlderSQLiteFilesWithValuesOfNoMeaningAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, check string }{
		"a day that there is not": {"UPDATE users SET lock_until = '2026-02-30 00:00:00' WHERE id = 1",
			"lock_until_is_utc"},
		"a number too small": {"UPDATE users SET lock_until = 17 WHERE id = 1", "lock_until_is_utc"},
		"words for a time":   {"UPDATE users SET lock_until = 'now' WHERE id = 1", "lock_until_is_utc"},
		"a boolean of 2":     {"UPDATE users SET is_deleted = 2 WHERE id = 1", "is_deleted_is_0_or_1"},
		"yes": {"UPDATE users SET is_email_verified = 'yes' WHERE id = 1",
			"is_email_verified_is_0_or_1"},
		"a role that there is not": {"UPDATE users SET role = 'Admin' WHERE id = 1", "role_is_listed"},
		"no JSON":                  {"UPDATE users SET avatar = '{' WHERE id = 1", "avatar_is_json"},
		"an address in bytes":      {"UPDATE users SET email = x'616461' WHERE id = 1", "email_is_text"},
		"a count in words": {"UPDATE users SET failed_login_attempts = 'none' WHERE id = 1",
			"failed_login_attempts_is_int"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := olderFile(t)
			db := mysqltest.DB(t, url)
			mysqltest.Exec(t, db, addUser, c.statement,
				"INSERT INTO users (id, name, email, created_at) "+
					"VALUES (2, 'Bo', 'bo@example.com', '2026-01-31T12:00:00Z')")
			before := mysqltest.Dump(t, url)
			_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
			require.ErrorContains(t, err, c.check)
			assert.ErrorContains(t, err, `refuses 1 rows of "users" (the first ids: 1)`)
			assert.NotContains(t, err.Error(), "\n")
			assert.Equal(t, before, mysqltest.Dump(t, url))
		})
	}
}

// Texts of times that the tables accept are in the order of the times: with and without a fraction or an offset, also
// beside each other.
func TestTextsOfTimesOnSQLiteAreInTheirOrder(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dirtest.Apply(t, url, nil)
	db := mysqltest.DB(t, url)
	mysqltest.Exec(t, db, addUser)
	id := 0
	for _, day := range []string{
		"1999-12-31 23:59:59", "2026-01-31 12:00:00", "2026-01-31 12:00:09", "2026-01-31 12:00:10",
	} {
		for moment, fractions := range [][]string{
			{"", ".0", ".000000"}, {".000000001"}, {".00001"}, {".000123"}, {".1", ".10", ".100000"}, {".100001"},
			{".11"}, {".49"}, {".5", ".500"}, {".999999"}, {".999999999"},
		} {
			for _, fraction := range fractions {
				for _, offset := range []string{"", "+00:00"} {
					id++
					mysqltest.Exec(t, db, fmt.Sprintf(addSession+"VALUES (%d, 1, '%[1]d', '%s', '%s %02d')",
						id, day+fraction+offset, day, moment))
				}
			}
		}
	}
	// To the functions that look at a text it ends here, to a comparison it does not.
	_, err := db.Exec("UPDATE sessions SET expires_at = '2026-01-31 12:00:00' || char(0) || 'z' WHERE id = 1")
	assert.ErrorContains(t, err, "expires_at_is_utc")
	assert.Equal(t, strconv.Itoa(id), mysqltest.Value(t, db, "SELECT count(*) FROM sessions"))
	assert.Equal(t, "0", mysqltest.Value(t, db, "SELECT count(*) FROM sessions a JOIN sessions b "+
		"WHERE a.user_agent < b.user_agent AND NOT a.expires_at < b.expires_at"))
}
