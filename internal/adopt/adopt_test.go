package adopt_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
)

// repaired is the seed as a team would have finished it by hand.
func repaired(t testing.TB, url string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	db.SetMaxOpenConns(1)
	mysqltest.Exec(t, db, "SET explicit_defaults_for_timestamp = 1")
	for _, s := range drizzletest.Statements() {
		mysqltest.Exec(t, db, strings.Replace(s, "(`token_hash`)", "(`token_hash`(191))", 1))
	}
}

func run(t testing.TB, url string, opts adopt.Options) (*adopt.Adoption, error) {
	t.Helper()
	dev, err := planner.Scratch(t.Context(), url)
	require.NoError(t, err)
	defer func() { assert.NoError(t, dev.Close()) }()
	return adopt.Run(t.Context(), dev, url, opts)
}

// fill writes rows in every column, as the seed's client would.
func fill(t testing.TB, url string) {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	mysqltest.Exec(t, db,
		`INSERT INTO users (id, name, email, password, role, provider, provider_id, avatar, is_email_verified,
				last_login_at, created_at, updated_at) VALUES
			(1, 'Ada', 'ada@example.com', '$argon2id$x', 'admin', 'local', NULL,
				'{"url": "https://example.com/ä.png", "size": 7}', 1,
				'2026-01-02 03:04:05', '2026-01-01 00:00:00', '2026-01-03 00:00:00'),
			(2, 'José', 'josé@example.com', NULL, 'user', 'google', 'g-1', NULL, 0,
				NULL, '2026-01-01 00:00:00', '2026-01-03 00:00:00'),
			(7, 'Bob', 'bob@example.com', NULL, 'user', 'github', 'g-1', NULL, 0,
				NULL, '2026-01-01 00:00:00', '2026-01-03 00:00:00')`,
		`INSERT INTO sessions (id, user_id, token_hash, ip, user_agent, is_active,
				last_used_at, expires_at, created_at, updated_at) VALUES
			(1, 1, 'aa', '::1', 'Mozilla ☃', 1,
				'2026-01-02 00:00:00', '2036-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
			(4, 7, 'Ab', NULL, NULL, 0,
				'2026-01-02 00:00:00', '2036-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00')`,
		`INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, is_revoked, replaced_by_token_hash,
				created_at, updated_at) VALUES
			(1, 1, 'r1', '2036-01-01 00:00:00', 1, 'R1', '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
			(2, 1, 'R1', '2036-01-01 00:00:00', 0, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00')`,
		`INSERT INTO otps (id, email, otp_hash_code, next_resend_allowed_at, type, expires_at, attempts,
				created_at, updated_at) VALUES
			(3, 'ada@example.com', 'c0de', '2026-01-01 00:00:00', 'password-reset', '2026-01-01 00:00:00', 5,
				'2026-01-01 00:00:00', '2026-01-01 00:00:00')`)
}

// seedColumns are the columns of the drizzletest.Seed, in its order.
var seedColumns = map[string]string{
	"users": "id, name, email, password, role, provider, provider_id, avatar, is_email_verified, last_login_at, " +
		"failed_login_attempts, lock_until, is_deleted, deleted_at, re_activate_available_at, created_at, updated_at",
	"otps": "id, email, otp_hash_code, next_resend_allowed_at, type, expires_at, is_used, used_at, attempts, " +
		"max_attempts, created_at, updated_at",
	"sessions": "id, user_id, token_hash, ip, user_agent, is_active, last_used_at, expires_at, created_at, " +
		"updated_at",
	"refresh_tokens": "id, user_id, token_hash, expires_at, is_revoked, revoked_at, replaced_by_token_hash, " +
		"created_at, updated_at",
}

// contents are all rows of the seed's columns, times to the second.
func contents(t testing.TB, url string) string {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	var b strings.Builder
	for _, name := range []string{"users", "otps", "sessions", "refresh_tokens"} {
		var columns []string
		for _, c := range strings.Split(seedColumns[name], ", ") {
			if strings.HasSuffix(c, "_at") || c == "lock_until" {
				c = "UNIX_TIMESTAMP(" + c + ") DIV 1"
			}
			columns = append(columns, c)
		}
		mysqltest.Write(t, &b, db, "SELECT "+strings.Join(columns, ", ")+" FROM "+name+" ORDER BY id")
	}
	return b.String()
}

func TestAdoptTakesTheSeedToTheTablesOfAFreshApply(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(testing.TB, string){
		"as drizzle-kit leaves it": drizzletest.Seed, "repaired by hand": repaired,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				make(t, url)
				fill(t, url)
				want, before := dirtest.Definitions(t, url), contents(t, url)

				report, err := run(t, url, adopt.Options{})
				require.NoError(t, err)
				assert.Empty(t, report.Obstacles)
				assert.NotEmpty(t, report.Differences)
				report, err = run(t, url, adopt.Options{Apply: true})
				require.NoError(t, err)
				assert.True(t, report.Applied)
				assert.Equal(t, want, mysqltest.Definitions(t, url))
				assert.Equal(t, before, contents(t, url))
				assert.Empty(t, dirtest.Apply(t, url, nil).Applied)

				again, err := run(t, url, adopt.Options{Apply: true})
				require.NoError(t, err)
				assert.Empty(t, again.Differences)
				assert.Empty(t, again.Statements)
			})
		})
	}
}

// team makes the seed with rows, columns of a team's own and tables that refer to
// its keys.
func team(t testing.TB, url string) {
	t.Helper()
	drizzletest.Seed(t, url)
	fill(t, url)
	db := mysqltest.DB(t, url)
	defer db.Close()
	mysqltest.Exec(t, db,
		"ALTER TABLE users ADD COLUMN invited_by int NULL, ADD COLUMN note varchar(20) DEFAULT 'x' AFTER name, "+
			"ADD INDEX note_idx (note), "+
			"ADD CONSTRAINT inviter FOREIGN KEY (invited_by) REFERENCES users (id) ON DELETE SET NULL",
		"ALTER TABLE users ADD CONSTRAINT not_empty CHECK (email <> '')",
		"UPDATE users SET invited_by = 1, updated_at = updated_at WHERE id = 7",
		"CREATE TABLE profiles (user_id int PRIMARY KEY COMMENT 'a `key`, (1)', bio text, "+
			"CONSTRAINT owner FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)",
		"CREATE TABLE pictures (id int AUTO_INCREMENT PRIMARY KEY, profile int NOT NULL, "+
			"CONSTRAINT shows FOREIGN KEY (profile) REFERENCES profiles (user_id))",
		"CREATE TABLE orders (id int PRIMARY KEY, user_id int NULL, session_id int NULL, "+
			"CONSTRAINT buyer FOREIGN KEY (user_id) REFERENCES users (id), "+
			"CONSTRAINT via FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE SET NULL)",
		"CREATE TABLE coupons (code varchar(20) PRIMARY KEY)",
		"CREATE TABLE uses (code varchar(10), CONSTRAINT redeems FOREIGN KEY (code) REFERENCES coupons (code))",
		"INSERT INTO profiles VALUES (1, 'b')", "INSERT INTO pictures VALUES (1, 1)",
		"INSERT INTO orders VALUES (1, 7, 4), (2, NULL, NULL)")
}

func TestAdoptKeepsWhatIsOfTheTeam(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		team(t, url)
		db := mysqltest.DB(t, url)
		const rows = "SELECT GROUP_CONCAT(CONCAT_WS(' ', u.id, u.invited_by, u.note, bio, o.id) ORDER BY u.id, o.id) " +
			"FROM users u LEFT JOIN profiles ON user_id = u.id LEFT JOIN orders o ON o.user_id = u.id"
		before, kept := mysqltest.Value(t, db, rows), contents(t, url)
		_, err := run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)

		assert.Equal(t, before, mysqltest.Value(t, db, rows))
		assert.Equal(t, kept, contents(t, url))
		assert.Equal(t, []string{
			"buyer", "inviter", "owner", "redeems", "refresh_tokens_users_refresh_tokens", "sessions_users_sessions",
			"shows", "via",
		}, mysqltest.Column(t, db, foreignKeys))
		for _, column := range []string{
			"users.invited_by", "profiles.user_id", "pictures.profile", "orders.user_id", "orders.session_id",
		} {
			assert.Equal(t, "bigint", columnOf(t, db, "DATA_TYPE", column), column)
		}
		assert.Equal(t, "varchar(10)", columnOf(t, db, "COLUMN_TYPE", "uses.code"))
		assert.Equal(t, "a `key`, (1)", columnOf(t, db, "COLUMN_COMMENT", "profiles.user_id"))
		assert.Equal(t, []string{"note_idx"}, mysqltest.Column(t, db, "SELECT INDEX_NAME "+
			"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'note'"))
		assert.Equal(t, []string{"not_empty", "users_failed_login_attempts"}, mysqltest.Column(t, db,
			"SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = DATABASE() "+
				"AND TABLE_NAME = 'users' AND CONSTRAINT_TYPE = 'CHECK' AND CONSTRAINT_NAME <> 'avatar' ORDER BY 1"))
		assert.NotContains(t, mysqltest.Tables(t, url), "authgraph_adopt")
	})
}

const foreignKeys = "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS " +
	"WHERE CONSTRAINT_SCHEMA = DATABASE() ORDER BY 1"

// columnOf is what information_schema says of a column.
func columnOf(t testing.TB, db *sql.DB, what, column string) string {
	t.Helper()
	return mysqltest.Value(t, db, "SELECT "+what+" FROM information_schema.COLUMNS "+
		"WHERE TABLE_SCHEMA = DATABASE() AND CONCAT(TABLE_NAME, '.', COLUMN_NAME) = ?", column)
}

// What an inspection by Atlas leaves out stays: that a column is hidden from SELECT *, and MariaDB's CHECK of a column.
func TestAdoptKeepsAllOfAColumnThatGrows(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "CREATE TABLE bills (id int PRIMARY KEY, user_id int INVISIBLE CHECK (user_id > 0), "+
			"CONSTRAINT debtor FOREIGN KEY (user_id) REFERENCES users (id))",
			"INSERT INTO bills (id, user_id) VALUES (1, 7)")
		definition := func(typ string) (text string) {
			require.NoError(t, db.QueryRow("SHOW CREATE TABLE bills").Scan(new(string), &text))
			column := regexp.MustCompile("`user_id` " + typ + `(\(\d+\))?`)
			require.Len(t, column.FindAllString(text, -1), 1, text)
			return column.ReplaceAllString(text, "")
		}
		before := definition("int")
		assert.Contains(t, before, "INVISIBLE")
		_, err := run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
		assert.Equal(t, before, definition("bigint"))
		assert.Equal(t, "7", mysqltest.Value(t, db, "SELECT user_id FROM bills"))
	})
}

// A MODIFY COLUMN drops what it does not repeat, and so does an index that is made anew.
func TestAdoptKeepsWhatTheOwnerWroteBesideADefinition(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		repaired(t, url)
		fill(t, url)
		db := mysqltest.DB(t, url)
		const comment = "the owner's `x`, \\ and (1)\n COMMENT 'no' INVISIBLE"
		literal := strings.NewReplacer(`\`, `\\`, "'", "''").Replace(comment)
		format := ""
		if strings.HasPrefix(url, "mysql:") {
			format = "COLUMN_FORMAT DYNAMIC "
		}
		mysqltest.Exec(t, db,
			"ALTER TABLE users MODIFY id int NOT NULL AUTO_INCREMENT COMMENT '"+literal+"', "+
				"MODIFY email varchar(255) NOT NULL "+format+"COMMENT '"+literal+"', "+
				"MODIFY avatar json COMMENT '"+literal+"', "+
				"MODIFY name varchar(100) NOT NULL COMMENT 'a name', "+
				"MODIFY last_login_at timestamp NULL INVISIBLE COMMENT 'a time', "+
				"DROP INDEX users_email_unique, ADD UNIQUE INDEX email (email) COMMENT '"+literal+"', "+
				"COMMENT '"+literal+"', STATS_PERSISTENT = 1",
			"ALTER TABLE otps MODIFY type varchar(50) NOT NULL DEFAULT 'INVISIBLE' COMMENT 'a kind'",
		)
		beside := func() string {
			var b strings.Builder
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_COMMENT, EXTRA LIKE '%INVISIBLE%' "+
				"FROM information_schema.COLUMNS "+
				"WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_COMMENT <> '' ORDER BY 1, 2")
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, INDEX_NAME, INDEX_COMMENT "+
				"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_COMMENT <> ''")
			mysqltest.Write(t, &b, db, "SELECT TABLE_NAME, TABLE_COMMENT, CREATE_OPTIONS "+
				"FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_COMMENT <> ''")
			return b.String()
		}
		before := beside()
		assert.Contains(t, before, "a name")
		_, err := run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
		assert.Equal(t, before, beside())
		if format != "" {
			assert.Contains(t, mysqltest.Definitions(t, url)["users"], "COLUMN_FORMAT DYNAMIC")
		}
		again, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		assert.Empty(t, again.Statements)
	})
}

// A foreign key on a text that keeps its type and collation does not stand in the
// way, whatever else is changed.
func TestAdoptKeepsTheKeysOnTextsThatAreComparedAsBefore(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drizzletest.Seed(t, url)
		fill(t, url)
		db := mysqltest.DB(t, url)
		const text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
		mysqltest.Exec(t, db,
			"UPDATE sessions SET ip = '::1'",
			"ALTER TABLE sessions MODIFY ip varchar(45)"+text+"NOT NULL, "+
				"MODIFY user_agent varchar(255)"+text+"DEFAULT 'none'",
			"ALTER TABLE users MODIFY email varchar(255)"+text+"NOT NULL DEFAULT ''",
			"CREATE TABLE hosts (ip varchar(45)"+text+"PRIMARY KEY, agent varchar(255)"+text+"UNIQUE)",
			"INSERT INTO hosts VALUES ('::1', 'Mozilla ☃')",
			"CREATE TABLE letters (reader varchar(50)"+text+", "+
				"CONSTRAINT reads_it FOREIGN KEY (reader) REFERENCES users (email))",
			"INSERT INTO letters VALUES ('ada@example.com')",
			"ALTER TABLE sessions ADD CONSTRAINT comes_from FOREIGN KEY (ip) REFERENCES hosts (ip), "+
				"ADD CONSTRAINT made_by FOREIGN KEY (user_agent) REFERENCES hosts (agent)")
		before := contents(t, url)
		_, err := run(t, url, adopt.Options{Apply: true})
		require.NoError(t, err)
		assert.Equal(t, before, contents(t, url))
		assert.Equal(t, []string{
			"comes_from", "made_by", "reads_it", "refresh_tokens_users_refresh_tokens", "sessions_users_sessions",
		}, mysqltest.Column(t, db, foreignKeys))
		assert.Equal(t, "varchar(50)", columnOf(t, db, "COLUMN_TYPE", "letters.reader"))

		again, err := run(t, url, adopt.Options{})
		require.NoError(t, err)
		assert.Empty(t, again.Statements)
	})
}

func TestAdoptGoesOnWhereverItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	whole := adopt.Options{Apply: true, NormalizeEmails: true}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		start := func(url string) {
			team(t, url)
			mysqltest.Exec(t, mysqltest.DB(t, url),
				"UPDATE users SET email = ' BOB@example.com', updated_at = updated_at WHERE id = 7")
		}
		start(url)
		fresh, dev := dirtest.Definitions(t, url), dirtest.Scratch(t, url)
		counter := &changes{k: -1}
		_, err := adopt.Run(t.Context(), dev, counter.start(t, url), whole)
		require.NoError(t, err)
		want := mysqltest.Dump(t, url)
		require.Greater(t, counter.n, 10)
		// To the server, a cut before a command is one after the command before it.
		for k := range counter.n + 1 {
			t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
				url := mysqltest.Another(t, url)
				start(url)
				cut := &changes{k: k}
				_, err := adopt.Run(t.Context(), dev, cut.start(t, url), whole)
				require.Error(t, err)
				_, err = adopt.Run(t.Context(), dev, url, whole)
				require.NoError(t, err, "cut at %q", cut.at)
				require.Equal(t, want, mysqltest.Dump(t, url), "cut at %q", cut.at)
				for _, name := range []string{"otps", "sessions", "refresh_tokens"} { // users has columns of the team
					require.Equal(t, fresh[name], mysqltest.Definitions(t, url)[name])
				}
				assert.Empty(t, dirtest.Apply(t, url, nil).Applied)
			})
		}
	})
}

// changes is a proxy that cuts the connection when the server has carried out k
// commands that change something; if k is negative, never.
type changes struct {
	mysqltest.Proxy
	k int

	mu sync.Mutex
	n  int
	at string
}

func (c *changes) start(t testing.TB, url string) string {
	t.Helper()
	c.Hook = func(_ int, command string) mysqltest.Action {
		for _, reads := range []string{"SELECT", "SHOW", "SET", "DO "} {
			if strings.HasPrefix(command, reads) {
				return mysqltest.Forward
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n++
		switch {
		case c.k == 0:
			c.at = command
			return mysqltest.CutBefore
		case c.n == c.k:
			c.at = command
			return mysqltest.CutAfter
		}
		return mysqltest.Forward
	}
	return c.Start(t, url)
}
