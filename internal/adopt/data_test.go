package adopt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// Each obstacle is found, named by ids alone, refused before anything is
// changed, and gone when it is put right.
var obstacles = []struct {
	name    string
	make    []string
	kind    adopt.ObstacleKind
	table   string
	columns []string
	rows    int64
	ids     string
	right   []string
}{
	{
		"a key of another table to the address",
		[]string{
			"CREATE TABLE letters (reader varchar(255), " +
				"CONSTRAINT reads_it FOREIGN KEY (reader) REFERENCES users (email))",
			"INSERT INTO letters VALUES ('ada@example.com')",
		},
		adopt.ObstacleStructure, "users", []string{"email"}, 0, "null",
		[]string{"ALTER TABLE `letters` DROP FOREIGN KEY `reads_it`"},
	},
	{
		"a key from a hash to another table",
		[]string{
			"CREATE TABLE hashes (hash varchar(255) PRIMARY KEY)",
			"INSERT INTO hashes SELECT token_hash FROM sessions",
			"ALTER TABLE sessions ADD CONSTRAINT known FOREIGN KEY (token_hash) REFERENCES hashes (hash)",
		},
		adopt.ObstacleStructure, "sessions", []string{"token_hash"}, 0, "null",
		[]string{"ALTER TABLE `sessions` DROP FOREIGN KEY `known`"},
	},
	{
		"a key from an address that may be null",
		[]string{
			"CREATE TABLE mailboxes (email varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)",
			"INSERT INTO mailboxes SELECT email FROM otps",
			"ALTER TABLE otps MODIFY email varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, " +
				"ADD CONSTRAINT sent_to FOREIGN KEY (email) REFERENCES mailboxes (email)",
		},
		adopt.ObstacleStructure, "otps", []string{"email"}, 0, "null",
		[]string{"ALTER TABLE `otps` DROP FOREIGN KEY `sent_to`"},
	},
	{
		"one address in two spellings",
		[]string{
			"UPDATE users SET email = 'Zoë@Example.com' WHERE id = 2",
			"UPDATE users SET email = CONCAT(' zoe', CHAR(0xCC88 USING utf8mb4), '@example.com') WHERE id = 7",
		},
		adopt.ObstacleSameAddress, "users", []string{"email"}, 1, `[["2","7"]]`,
		[]string{
			"UPDATE users SET email = 'zoë@example.com' WHERE id = 2",
			"UPDATE users SET email = 'other@example.com' WHERE id = 7",
		},
	},
	{
		"an address not normalised", []string{"UPDATE users SET email = 'BOB@example.com' WHERE id = 7"},
		adopt.ObstacleAddress, "users", []string{"email"}, 1, `[["7"]]`,
		[]string{"UPDATE users SET email = 'bob@example.com' WHERE id = 7"},
	},
	{
		"the address of a code not normalised", []string{"UPDATE otps SET email = ' ada@example.com'"},
		adopt.ObstacleAddress, "otps", []string{"email"}, 1, `[["3"]]`,
		[]string{"UPDATE otps SET email = 'ada@example.com'"},
	},
	{
		"an address that normalising makes too long",
		[]string{"UPDATE users SET email = CONCAT(REPEAT('İ', 130), '@example.com') WHERE id = 7"},
		adopt.ObstacleTooLong, "users", []string{"email"}, 1, `[["7"]]`,
		[]string{"UPDATE users SET email = 'bob@example.com' WHERE id = 7"},
	},
	{
		"one refresh token twice", []string{"UPDATE refresh_tokens SET token_hash = 'r1 ' WHERE id = 2"},
		adopt.ObstacleDuplicate, "refresh_tokens", []string{"token_hash"}, 1, `[["1","2"]]`,
		[]string{"UPDATE refresh_tokens SET token_hash = 'r2' WHERE id = 2"},
	},
	{
		"one session twice",
		[]string{"DROP INDEX sessions_token_hash_unique ON sessions", "UPDATE sessions SET token_hash = 'aa'"},
		adopt.ObstacleDuplicate, "sessions", []string{"token_hash"}, 1, `[["1","4"]]`,
		[]string{"UPDATE sessions SET token_hash = 'bb' WHERE id = 4"},
	},
	{
		"one address twice",
		[]string{
			"ALTER TABLE users DROP INDEX users_email_unique, DROP INDEX email_idx",
			"UPDATE users SET email = 'ada@example.com'",
		},
		adopt.ObstacleDuplicate, "users", []string{"email"}, 1, `[["1","2","7"]]`,
		[]string{"UPDATE users SET email = CONCAT('u', id, '@example.com')"},
	},
	{
		"two users of one identity", []string{"UPDATE users SET provider = 'github' WHERE id = 2"},
		adopt.ObstacleDuplicate, "users", []string{"provider", "provider_id"}, 1, `[["2","7"]]`,
		[]string{"UPDATE users SET provider = 'google' WHERE id = 2"},
	},
	{
		"a hash longer than its column",
		[]string{"UPDATE refresh_tokens SET token_hash = REPEAT('x', 256) WHERE id = 2"},
		adopt.ObstacleTooLong, "refresh_tokens", []string{"token_hash"}, 1, `[["2"]]`,
		[]string{"UPDATE refresh_tokens SET token_hash = 'r2' WHERE id = 2"},
	},
	{
		"a hash that is not ASCII", []string{"UPDATE users SET password = 'geheim☃' WHERE id = 1"},
		adopt.ObstacleNotASCII, "users", []string{"password"}, 1, `[["1"]]`,
		[]string{"UPDATE users SET password = NULL"},
	},
	{
		"more attempts than allowed", []string{"UPDATE otps SET attempts = 6"},
		adopt.ObstacleCheck, "otps", []string{"attempts", "max_attempts"}, 1, `[["3"]]`,
		[]string{"UPDATE otps SET attempts = 0"},
	},
	{
		"negative failures", []string{"UPDATE users SET failed_login_attempts = -1 WHERE id <> 1"},
		adopt.ObstacleCheck, "users", []string{"failed_login_attempts"}, 2, `[["2"],["7"]]`,
		[]string{"UPDATE users SET failed_login_attempts = 0"},
	},
	{
		"sessions of nobody",
		[]string{
			"ALTER TABLE sessions DROP FOREIGN KEY sessions_user_id_users_id_fk",
			"UPDATE sessions SET user_id = 99",
		},
		adopt.ObstacleOrphan, "sessions", []string{"user_id"}, 2, `[["1"],["4"]]`, []string{"DELETE FROM sessions"},
	},
	{
		"a null where there may be none",
		[]string{"ALTER TABLE users MODIFY name varchar(100) NULL", "UPDATE users SET name = NULL WHERE id = 7"},
		adopt.ObstacleNull, "users", []string{"name"}, 1, `[["7"]]`,
		[]string{"UPDATE users SET name = 'Bob' WHERE id = 7"},
	},
	{
		"a value that the enum has not",
		[]string{
			"ALTER TABLE users MODIFY role varchar(20) NOT NULL DEFAULT 'user'",
			"UPDATE users SET role = 'Admin' WHERE id IN (1, 2)",
		},
		adopt.ObstacleValue, "users", []string{"role"}, 2, `[["1"],["2"]]`,
		[]string{"UPDATE users SET role = 'admin' WHERE id IN (1, 2)"},
	},
	{
		"values that a server without strict mode did not know",
		[]string{
			"SET sql_mode = ''", "UPDATE users SET provider = 'gitlab', updated_at = updated_at WHERE id IN (1, 2)",
			"UPDATE users SET role = 'root', updated_at = updated_at WHERE id = 7", "SET sql_mode = DEFAULT",
		},
		adopt.ObstacleValue, "users", []string{"role"}, 1, `[["7"]]`,
		[]string{
			"UPDATE users SET provider = 'local' WHERE id = 1", "UPDATE users SET role = 'user' WHERE id = 7",
			"UPDATE users SET provider = 'google' WHERE id = 2",
		},
	},
	{
		"a counter too large",
		[]string{
			"ALTER TABLE otps MODIFY max_attempts bigint NOT NULL DEFAULT 5",
			"UPDATE otps SET max_attempts = 3000000000",
		},
		adopt.ObstacleRange, "otps", []string{"max_attempts"}, 1, `[["3"]]`,
		[]string{"UPDATE otps SET max_attempts = 5"},
	},
	{
		"an id above the range",
		[]string{
			"ALTER TABLE otps MODIFY id bigint unsigned AUTO_INCREMENT",
			"UPDATE otps SET id = 18446744073709551610",
		},
		adopt.ObstacleRange, "otps", []string{"id"}, 1, `[["18446744073709551610"]]`,
		[]string{"UPDATE otps SET id = 3"},
	},
	{
		"a line break in the name of a column",
		[]string{
			"CREATE TABLE nl (`a\n) b` int, id int PRIMARY KEY, u int, " +
				"CONSTRAINT fku FOREIGN KEY (u) REFERENCES users (id))",
		},
		adopt.ObstacleStructure, "nl", nil, 0, "null",
		[]string{"DROP TABLE nl"},
	},
	{
		"a line break in the name of a table",
		[]string{"CREATE TABLE `n\nl` (id int)"},
		adopt.ObstacleStructure, "n\nl", nil, 0, "null",
		[]string{"DROP TABLE `n\nl`"},
	},
	{
		"a line break in the name of an index",
		[]string{"ALTER TABLE users ADD INDEX `i\n) x` (name)"},
		adopt.ObstacleStructure, "users", nil, 0, "null",
		[]string{"ALTER TABLE users DROP INDEX `i\n) x`"},
	},
	{
		"a line break in the name of a check",
		[]string{"ALTER TABLE users ADD CONSTRAINT `c\n) x` CHECK (name <> '')"},
		adopt.ObstacleStructure, "users", nil, 0, "null",
		[]string{"ALTER TABLE users DROP CONSTRAINT `c\n) x`"},
	},
	{
		"a column that is missing and cannot be filled", []string{"ALTER TABLE otps DROP COLUMN otp_hash_code"},
		adopt.ObstacleNull, "otps", []string{"otp_hash_code"}, 1, `[["3"]]`,
		[]string{"ALTER TABLE otps ADD COLUMN otp_hash_code varchar(64) NOT NULL"},
	},
	{
		"a column of another kind", []string{"ALTER TABLE users MODIFY lock_until datetime NULL"},
		adopt.ObstacleStructure, "users", []string{"lock_until"}, 0, "null",
		[]string{"ALTER TABLE users MODIFY lock_until timestamp NULL"},
	},
	{
		"another index by the name of one", []string{"ALTER TABLE sessions ADD INDEX token_hash (ip, token_hash)"},
		adopt.ObstacleStructure, "sessions", nil, 0, "null",
		[]string{"ALTER TABLE sessions RENAME INDEX token_hash TO mine"},
	},
	{
		"another primary key",
		[]string{"ALTER TABLE otps DROP PRIMARY KEY, ADD INDEX (id), ADD PRIMARY KEY (email, id)"},
		adopt.ObstacleStructure, "otps", nil, 0, "null",
		[]string{"ALTER TABLE otps DROP PRIMARY KEY, ADD PRIMARY KEY (id), DROP INDEX id"},
	},
	{
		"no primary key", []string{"ALTER TABLE otps DROP PRIMARY KEY, ADD UNIQUE INDEX mine (id)"},
		adopt.ObstacleStructure, "otps", nil, 0, "null", []string{"ALTER TABLE otps ADD PRIMARY KEY (`id`)"},
	},
	{
		"no ids", []string{"ALTER TABLE refresh_tokens DROP COLUMN id"},
		adopt.ObstacleStructure, "refresh_tokens", nil, 0, "null",
		[]string{"ALTER TABLE `refresh_tokens` ADD COLUMN `id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY"},
	},
}

func TestAdoptNamesWhatStandsInTheWayAndChangesNothing(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		db, dev := mysqltest.DB(t, url), dirtest.Scratch(t, url)
		db.SetMaxOpenConns(1)
		for _, test := range obstacles {
			t.Run(test.name, func(t *testing.T) {
				mysqltest.Exec(t, db, test.make...)
				before := mysqltest.Dump(t, url)
				report, err := adopt.Run(t.Context(), dev, url, adopt.Options{})
				require.NoError(t, err)
				found := slices.IndexFunc(report.Obstacles, func(o adopt.Obstacle) bool {
					return o.Kind == test.kind && o.Table == test.table
				})
				require.GreaterOrEqual(t, found, 0, "%v", report.Obstacles)
				assert.Equal(t, test.columns, report.Obstacles[found].Columns)
				assert.Equal(t, test.rows, report.Obstacles[found].Rows)
				ids, err := json.Marshal(stringsOf(report.Obstacles[found].IDs))
				require.NoError(t, err)
				assert.JSONEq(t, test.ids, string(ids))
				text, err := json.Marshal(report)
				require.NoError(t, err)
				for _, secret := range []string{"geheim", "argon2id", "r1 ", "xxxx", "example.com"} {
					assert.NotContains(t, string(text), secret)
				}

				_, err = adopt.Run(t.Context(), dev, url, adopt.Options{Apply: true})
				var blocked *adopt.ObstacleError
				require.ErrorAs(t, err, &blocked)
				assert.Equal(t, len(report.Obstacles), blocked.Obstacles)
				require.Equal(t, before, mysqltest.Dump(t, url))

				mysqltest.Exec(t, db, test.right...)
			})
		}
		_, err := adopt.Run(t.Context(), dev, url, adopt.Options{Apply: true})
		require.NoError(t, err)
	})
}

func stringsOf(ids [][]json.Number) [][]string {
	var out [][]string
	for _, group := range ids {
		var members []string
		for _, id := range group {
			members = append(members, id.String())
		}
		out = append(out, members)
	}
	return out
}

func TestAdoptNormalisesAddressesBatchByBatchAndNothingElse(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		db := mysqltest.DB(t, url)
		const insert = "INSERT INTO users (id, name, email, updated_at) "
		mysqltest.Exec(t, db,
			insert+"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "+
				"SELECT i, 'n', CONCAT(IF(i % 3 = 0, ' JOSÉ', 'bob'), i, '@Example.com'), '2026-01-01 00:00:00' FROM n",
			insert+"WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1800) "+
				"SELECT i, 'n', CONCAT('bob', i, '@example.com'), '2026-01-01 00:00:00' FROM n")
		const others = "SELECT SHA2(GROUP_CONCAT(CONCAT_WS(' ', id, name, UNIX_TIMESTAMP(updated_at) DIV 1) " +
			"ORDER BY id), 256) FROM users"
		mysqltest.Exec(t, db, "SET GROUP_CONCAT_MAX_LEN = 1000000")
		before := mysqltest.Value(t, db, others)
		report, err := run(t, url, adopt.Options{NormalizeEmails: true})
		require.NoError(t, err)
		assert.Empty(t, report.Obstacles)
		assert.Equal(t, map[string]int64{"users": 999}, report.Addresses)

		var batches []int
		_, err = run(t, url, adopt.Options{NormalizeEmails: true, Apply: true, Progress: func(p migrate.Progress) {
			if p.Done && p.Stmt == "" {
				batches = append(batches, p.Index)
				assert.Equal(t, 999, p.Total)
			}
		}})
		require.NoError(t, err)
		assert.Greater(t, len(batches), 1)
		assert.Equal(t, 999, batches[len(batches)-1])
		assert.Equal(t, before, mysqltest.Value(t, db, others))
		assert.Equal(t, "1800", mysqltest.Value(t, db, "SELECT COUNT(*) FROM users "+
			"WHERE email = LOWER(TRIM(email)) AND email LIKE CONCAT('%', id, '@example.com')"))
		assert.Equal(t, "josé333@example.com", mysqltest.Value(t, db, "SELECT email FROM users WHERE id = 333"))
	})
}

// Under the seed's collation josé and jose are one: the row is named, not the address.
func TestAdoptNamesTheRowWhoseAddressTheOldCollationRefuses(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	drizzletest.Seed(t, url)
	fill(t, url)
	mysqltest.Exec(t, mysqltest.DB(t, url), "UPDATE users SET email = ' jose@example.com' WHERE id = 7")
	_, err := run(t, url, adopt.Options{NormalizeEmails: true, Apply: true})
	require.ErrorContains(t, err, "row 7")
	assert.NotContains(t, err.Error(), "jose")
}

// What is written after the rows were looked at is refused by the server, and nothing is lost.
func TestAdoptLosesNothingThatIsWrittenWhileItRuns(t *testing.T) {
	t.Parallel()
	const token = "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES "
	const undo = "DELETE FROM refresh_tokens WHERE id > 2"
	for name, test := range map[string]struct{ table, write, undo string }{
		"a duplicate": {"refresh_tokens", token + "(1, 'r1', '2036-01-01 00:00:00')", undo},
		"too long":    {"refresh_tokens", token + "(1, REPEAT('x', 300), '2036-01-01 00:00:00')", undo},
		"not ASCII":   {"refresh_tokens", token + "(1, 'geheim☃', '2036-01-01 00:00:00')", undo},
		"an orphan":   {"refresh_tokens", token + "(99, 'r9', '2036-01-01 00:00:00')", undo},
		"a check":     {"otps", "UPDATE otps SET attempts = 9", "UPDATE otps SET attempts = 5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				drizzletest.Seed(t, url)
				fill(t, url)
				db := mysqltest.DB(t, url)
				want, written := dirtest.Definitions(t, url), ""
				_, err := run(t, url, adopt.Options{Apply: true, Progress: func(p migrate.Progress) {
					alters := strings.HasPrefix(p.Stmt, "ALTER TABLE `"+test.table+"`")
					if !p.Done && alters && strings.Contains(p.Stmt, "MODIFY") {
						mysqltest.Exec(t, db, test.write)
						written = contents(t, url)
					}
				}})
				var stmt *adopt.StmtError
				require.ErrorAs(t, err, &stmt)
				for _, secret := range []string{"r1", "r9", "xx", "geheim"} {
					assert.NotContains(t, err.Error(), "'"+secret)
					assert.NotContains(t, stmt.Err.Error(), "'"+secret)
				}
				assert.Equal(t, written, contents(t, url))
				report, err := run(t, url, adopt.Options{})
				require.NoError(t, err)
				assert.Len(t, report.Obstacles, 1)
				assert.NotContains(t, mysqltest.Tables(t, url), atlasdb.RevisionsTable)

				mysqltest.Exec(t, db, test.undo)
				_, err = run(t, url, adopt.Options{Apply: true})
				require.NoError(t, err)
				assert.Equal(t, want, mysqltest.Definitions(t, url))
			})
		})
	}
}

func TestAdoptRefusesADevDatabaseOfAnotherKind(t *testing.T) {
	t.Parallel()
	maria, my := mysqltest.MariaDB(t), mysqltest.MySQL(t)
	for _, test := range []struct{ live, dev, flavour, of string }{
		{my, maria, atlasdb.FlavourMySQL, atlasdb.FlavourMariaDB},
		{maria, my, atlasdb.FlavourMariaDB, atlasdb.FlavourMySQL},
		{my, mysqltest.SQLite(t), atlasdb.FlavourMySQL, atlasdb.FlavourSQLite},
	} {
		t.Run(test.of+" for "+test.flavour, func(t *testing.T) {
			live := mysqltest.Another(t, test.live)
			drizzletest.Seed(t, live)
			before := mysqltest.Dump(t, live)
			report, err := adopt.Run(t.Context(), dirtest.Scratch(t, test.dev), live, adopt.Options{Apply: true})
			var other *planner.FlavourError
			require.ErrorAs(t, err, &other)
			assert.Equal(t, test.flavour, other.Flavour)
			assert.Equal(t, test.of, other.Dev)
			assert.Nil(t, report)
			assert.Equal(t, before, mysqltest.Dump(t, live))
		})
	}
}

func TestAdoptRefusesWhatIsNotTheSeeds(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		refused := func(url, text string) {
			t.Helper()
			_, err := run(t, url, adopt.Options{Apply: true})
			var reason *adopt.Error
			require.ErrorAs(t, err, &reason)
			assert.ErrorContains(t, err, text)
		}
		refused(url, "no table users")
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE users (uid int)")
		refused(url, `"users" is a table of somebody else (uid), not the table of the ServerCN schema, `+
			`which has provider, provider_id, is_email_verified`)
		stranger := mysqltest.Another(t, url)
		mysqltest.Exec(t, mysqltest.DB(t, stranger), "CREATE TABLE users (id char(36) PRIMARY KEY, email text)",
			"INSERT INTO users VALUES ('a', 'A@example.com')")
		refused(stranger, `"users" is a table of somebody else (id, email)`)
		applied := mysqltest.Another(t, url)
		dirtest.Apply(t, applied, nil)
		refused(applied, "history of migrations")
	})
	_, err := adopt.Run(t.Context(), nil, mysqltest.SQLite(t), adopt.Options{})
	assert.ErrorContains(t, err, "adopt is for MySQL and MariaDB")
}

func TestAdoptFindsTimesThatAreNone(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		conn, err := mysqltest.DB(t, url).Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, conn.Close()) })
		for _, s := range []string{
			"SET sql_mode = ''",
			"UPDATE users SET last_login_at = '0000-00-00 00:00:00', updated_at = updated_at WHERE id = 2",
			"UPDATE sessions SET expires_at = '0000-00-00 00:00:00', updated_at = updated_at WHERE id = 4",
		} {
			_, err = conn.ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
		report, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		require.Len(t, report.Obstacles, 1)
		assert.Equal(t, adopt.ObstacleRange, report.Obstacles[0].Kind)
		assert.Equal(t, []string{"expires_at"}, report.Obstacles[0].Columns)

		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db,
			"UPDATE sessions SET expires_at = '2036-01-01 00:00:00', updated_at = updated_at WHERE id = 4")
		updated := mysqltest.Value(t, db, "SELECT UNIX_TIMESTAMP(updated_at) DIV 1 FROM users WHERE id = 2")
		none := mysqltest.Value(t, db, "SELECT COUNT(*) + 1 FROM users WHERE last_login_at IS NULL")
		_, err = run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
		assert.Equal(t, "1",
			mysqltest.Value(t, db, "SELECT COUNT(*) FROM users WHERE id = 2 AND last_login_at IS NULL"))
		assert.Equal(t, none, mysqltest.Value(t, db, "SELECT COUNT(*) FROM users WHERE last_login_at IS NULL"))
		assert.Equal(t, updated,
			mysqltest.Value(t, db, "SELECT UNIX_TIMESTAMP(updated_at) DIV 1 FROM users WHERE id = 2"))
	})
}

func TestAdoptCountsPasswordsByHowTheyAreHashed(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		const bcrypt = "$2b$12$W/JqyjVI9b7lZP.gI6ZyzeB1ACRdEsJITvkd9iOOb12/BbsVoIuJy"
		const argon2 = "$argon2id$v=19$m=65536,p=4,t=3$" +
			"VZxp0MNtowEpOB+Sm5j/JA$MmOA6BKGjsVAiB/BAK3cQHZ8spTNbBbf0YAfrRuWy50"
		mysqltest.Exec(t, mysqltest.DB(t, url), fmt.Sprintf(`INSERT INTO users (id, name, email, password) VALUES
			(1, 'Ada', 'ada@example.com', '%s'), (2, 'Bob', 'bob@example.com', '%[1]s'),
			(3, 'Eve', 'eve@example.com', '%s'), (4, 'Kim', 'kim@example.com', NULL),
			(5, 'Lea', 'lea@example.com', '5f4dcc3b5aa765d61d8327deb882cf99'),
			(6, 'Max', 'max@example.com', '%s')`, bcrypt, argon2, strings.Replace(bcrypt, "12", "31", 1)))
		report, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		assert.Equal(t, []adopt.Passwords{
			{Kind: "argon2id", Users: 1, Readable: true},
			{Kind: "bcrypt", Users: 2, Readable: true},
			{Kind: "bcrypt beyond the bounds", Users: 1, IDs: []json.Number{"6"}},
			{Kind: "unknown", Users: 1, IDs: []json.Number{"5"}},
		}, report.Passwords)
	})
}

func TestTwoAdoptionsAtOnceDoNotMeet(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		want := dirtest.Definitions(t, url)
		done := make(chan error)
		executed := make(chan string, 100)
		for range 3 {
			dev := dirtest.Scratch(t, url)
			opts := adopt.Options{Apply: true, Progress: func(p migrate.Progress) {
				if p.Done {
					executed <- p.Stmt
				}
			}}
			go func() {
				_, err := adopt.Run(context.WithoutCancel(t.Context()), dev, url, opts)
				done <- err
			}()
		}
		for range 3 {
			require.NoError(t, <-done)
		}
		close(executed)
		seen := map[string]bool{}
		for s := range executed {
			assert.False(t, seen[s], "ran twice: %s", s)
			seen[s] = true
		}
		assert.NotEmpty(t, seen)
		assert.Equal(t, want, mysqltest.Definitions(t, url))
	})
}

func TestAdoptWaitsForTheLockAndForTransactionsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		db := mysqltest.DB(t, url)
		holder, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, holder.Close()) })
		_, err = holder.ExecContext(t.Context(), "DO GET_LOCK("+mysqltest.MigrationLock+", 5)")
		require.NoError(t, err)
		waited := false
		_, err = run(t, url, adopt.Options{Apply: true, LockTimeout: time.Second, Progress: func(p migrate.Progress) {
			waited = waited || p.Waiting
		}})
		var locked *migrate.LockError
		require.ErrorAs(t, err, &locked)
		assert.True(t, waited)
		_, err = run(t, url, adopt.Options{})
		require.NoError(t, err, "a report takes no lock")
		_, err = holder.ExecContext(t.Context(), "DO RELEASE_LOCK("+mysqltest.MigrationLock+")")
		require.NoError(t, err)

		tx, err := db.Begin()
		require.NoError(t, err)
		_, err = tx.Exec("UPDATE sessions SET ip = NULL WHERE id = 1")
		require.NoError(t, err)
		_, err = run(t, url, adopt.Options{Apply: true, LockTimeout: time.Second})
		require.ErrorContains(t, err, "1205")
		require.NoError(t, tx.Rollback())
		_, err = run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
	})
}

func TestAdoptMakesWhatIsMissingAndLeavesARowWithTheIDZero(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "DROP TABLE sessions", "DROP TABLE otps",
			"ALTER TABLE users DROP COLUMN re_activate_available_at, DROP COLUMN failed_login_attempts",
			"UPDATE users SET id = 0 WHERE id = 7",
			"ALTER TABLE users ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT 'ours'")
		want := dirtest.Definitions(t, url)
		_, err := run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
		have := mysqltest.Definitions(t, url)
		have["users"] = strings.NewReplacer(" ROW_FORMAT=DYNAMIC", "", " COMMENT='ours'", "").Replace(have["users"])
		assert.Equal(t, want, have)
		assert.Equal(t, "0,1,2", mysqltest.Value(t, db, "SELECT GROUP_CONCAT(id ORDER BY id) FROM users"))
	})
}

func TestAdoptSaysWhichOtherDatabaseHoldsItsTables(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		db := mysqltest.DB(t, url)
		other := mysqltest.Another(t, url)
		name := mysqltest.Value(t, db, "SELECT DATABASE()")
		mysqltest.Exec(t, mysqltest.DB(t, other),
			"CREATE TABLE bills (id int PRIMARY KEY, user_id int, "+
				"CONSTRAINT payer FOREIGN KEY (user_id) REFERENCES `"+name+"`.users (id))",
			"CREATE TABLE letters (email varchar(255), "+
				"CONSTRAINT reader FOREIGN KEY (email) REFERENCES `"+name+"`.users (email))")
		report, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		require.Len(t, report.Obstacles, 2)
		text := report.Obstacles[0].String() + report.Obstacles[1].String()
		assert.Regexp(t, `\.bills refers to it from another database: drop its foreign key payer first, `+
			`and make it again afterwards with a bigint`, text)
		assert.Regexp(t, `\.letters refers to it from another database: drop its foreign key reader first, `+
			`.* with a varchar\(255\) COLLATE utf8mb4_bin`, text)
		mysqltest.Exec(t, mysqltest.DB(t, other), "DROP TABLE bills, letters")
	})
}
