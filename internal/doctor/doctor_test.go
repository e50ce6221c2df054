package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
)

// A database as the migrations leave it, with users that do what users do, has nothing wrong with it.
func TestHealthyDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')")
		exec(t, db, "INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', ?)", later)
		exec(t, db, "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES (1, 'a', ?)", later)
		exec(t, db, "INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) VALUES "+
			"('ada@example.com', 'a', 'signin', ?, ?)", later, later)
		assertHealthy(t, run(t, url, doctor.Options{}))
	})
}

// ofTheServer reports whether a finding is of what the server is set to, where the tests run on one server by itself:
// its settings may be anything.
func ofTheServer(f doctor.Finding) bool {
	settings := []string{"autocommit", "prepared-statements", "sql-mode", "time-zone", "timestamp-defaults"}
	return os.Getenv(testserver.OnlyVariable) != "" && slices.Contains(settings, f.Code)
}

func assertHealthy(t *testing.T, findings []doctor.Finding) {
	t.Helper()
	for _, f := range findings {
		switch {
		// The test's account is root, and its server keeps nothing on disk.
		// Somebody else may have left a scratch database on it.
		case f.Code == "privileges" && f.Severity == doctor.Warning,
			f.Code == "durability", f.Code == "unused-index", f.Code == "scratch-databases":
		case ofTheServer(f):
		default:
			assert.Equal(t, doctor.OK, f.Severity, "%+v", f)
			assert.False(t, f.Unchecked, "%+v", f)
		}
		assert.NotContains(t, f.Text, "\n")
	}
}

// fault is one thing wrong with a database, brought about by statements.
type fault struct {
	name     string
	code     string
	severity doctor.Severity
	// round tells apart those that cannot be in one database at once.
	round int
	// on are the engines it can happen on: mysql, mariadb, sqlite.
	on string
	// mariadb is the release of MariaDB that it takes.
	mariadb string
	faulty  []string
	text    string
	// cured is set where the finding's Fix, or what follows "undo it: " in it, is a statement, which is then run.
	cured bool
}

const (
	servers = "mysql mariadb"
	all     = "mysql mariadb sqlite"
)

var later = time.Now().UTC().Add(24 * time.Hour).Truncate(time.Second)

func ago(d time.Duration) string { return time.Now().UTC().Add(-d).Format(time.DateTime) }

var faults = []fault{
	{
		name: "a hash column that ignores case", code: "collation", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE sessions MODIFY token_hash varchar(255) CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_general_ci NOT NULL"},
		text: "sessions.token_hash is compared by utf8mb4_general_ci, to which different values can be equal, not " +
			"by ascii_bin", cured: true,
	},
	{
		name: "a hash column that can be null", code: "collation", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY password varchar(255) CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_unicode_ci NULL"},
		text: "users.password is compared by utf8mb4_unicode_ci", cured: true,
	},
	{
		name: "an address that ignores accents", code: "collation", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY email varchar(255) CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_unicode_ci NOT NULL"},
		text: "users.email is compared by utf8mb4_unicode_ci", cured: true,
	},
	{
		name: "a hash column that is exact and four times as wide", round: 1, code: "collation",
		severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE sessions MODIFY token_hash varchar(255) CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_bin NOT NULL"},
		text: "sessions.token_hash is compared by utf8mb4_bin, not by ascii_bin", cured: true,
	},
	{
		name: "a name that ignores case", code: "collation", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY name varchar(100) CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_general_ci NOT NULL"},
		text: "users.name is compared by utf8mb4_general_ci, not by utf8mb4_bin", cured: true,
	},
	{
		name: "a table with another default", code: "collation", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE otps DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"},
		text:   `the default of table "otps" is utf8mb4_general_ci`, cured: true,
	},
	{
		name: "a database in latin1", code: "collation", severity: doctor.Info, on: servers,
		faulty: []string{"ALTER DATABASE CHARACTER SET latin1"},
		text:   "the default of the database is latin1_swedish_ci", cured: true,
	},
	{
		name: "an index that ignores case", code: "collation", severity: doctor.Error, on: "sqlite",
		faulty: []string{"CREATE UNIQUE INDEX loose ON users (email COLLATE NOCASE)"},
		text:   `index "loose" of table "users" compares email by NOCASE`,
	},
	{
		name: "a table of MyISAM", round: 1, code: "engine", severity: doctor.Error, on: servers,
		// Its keys are shorter.
		faulty: []string{"DROP INDEX otp_email_type ON otps", "DROP INDEX otp_email_created_at ON otps",
			"ALTER TABLE otps ENGINE = MyISAM"},
		text: `table "otps" is kept by MyISAM`, cured: true,
	},
	{
		name: "an index twice", code: "redundant-index", severity: doctor.Warning, on: all,
		faulty: []string{"CREATE INDEX again ON sessions (user_id)"},
		text:   `index "again" of table "sessions" only repeats index "session_user_id_is_active_last_used_at"`,
		cured:  true,
	},
	{
		name: "an index less", code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"DROP INDEX otp_expires_at ON otps"},
		text:   `table "otps": index "otp_expires_at" is missing`, cured: true,
	},
	{
		name: "an index that queries do not use", code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE sessions ALTER INDEX session_expires_at INVISIBLE",
			"SET optimizer_switch = 'use_invisible_indexes=on'"},
		text: `table "sessions": index "session_expires_at" is there, but hidden from queries`, cured: true,
	},
	{
		name: "an index that queries do not use", code: "drift", severity: doctor.Error, on: "mariadb",
		mariadb: "10.6.0",
		faulty:  []string{"ALTER TABLE sessions ALTER INDEX session_expires_at IGNORED"},
		text:    `table "sessions": index "session_expires_at" is there, but hidden from queries`, cured: true,
	},
	{
		name: "an index that begins at the other end", round: 1, code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE sessions DROP INDEX session_expires_at, ADD INDEX session_expires_at " +
			"(expires_at DESC)"},
		text: `table "sessions": index "session_expires_at" is not as in the migrations`, cured: true,
	},
	{
		name: "an index of an expression", round: 2, code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE sessions DROP INDEX session_expires_at, ADD INDEX session_expires_at " +
			"((date(expires_at)))"},
		text: `table "sessions": index "session_expires_at" is not as in the migrations`, cured: true,
	},
	{
		name: "an id that nobody counts up", round: 1, code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE refresh_tokens MODIFY id bigint NOT NULL"},
		text:   `table "refresh_tokens": column "id" is bigint NOT NULL, not bigint NOT NULL AUTO_INCREMENT`,
		cured:  true,
	},
	{
		name: "a CHECK that is not enforced", round: 1, code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE users ALTER CHECK users_failed_login_attempts NOT ENFORCED"},
		text:   `table "users": CHECK "users_failed_login_attempts" is not as in the migrations`, cured: true,
	},
	{
		name: "an index less", code: "drift", severity: doctor.Error, on: "sqlite",
		faulty: []string{"DROP INDEX otp_expires_at"},
		text:   `table "otps": index "otp_expires_at" is missing`, cured: true,
	},
	{
		name: "a column more", code: "drift", severity: doctor.Info, on: servers,
		faulty: []string{"ALTER TABLE users ADD shoe_size varchar(30)"},
		text:   `table "users": column "shoe_size" is in no migration, and is kept`,
	},
	{
		name: "a column more", code: "drift", severity: doctor.Info, on: "sqlite",
		faulty: []string{"ALTER TABLE users ADD shoe_size text"},
		text:   `table "users": column "shoe_size" is in no migration, and is kept`,
	},
	{
		name: "a shorter column", round: 1, code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY name varchar(50) COLLATE utf8mb4_bin NOT NULL"},
		text:   `table "users": column "name"`, cured: true,
	},
	{
		name: "a column that may be null", round: 2, code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY name varchar(100) COLLATE utf8mb4_bin NULL"},
		text:   `table "users": column "name"`, cured: true,
	},
	{
		name: "a time that is not kept up", code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY updated_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"},
		text:   `table "users": column "updated_at"`, cured: true,
	},
	{
		name: "a CHECK less", code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users DROP CONSTRAINT users_failed_login_attempts"},
		text:   `table "users": CHECK "users_failed_login_attempts" is missing`, cured: true,
	},
	{
		name: "a foreign key less", round: 1, code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE sessions DROP FOREIGN KEY sessions_users_sessions"},
		text:   `table "sessions": foreign key "sessions_users_sessions" is missing`, cured: true,
	},
	{
		name: "a table less", round: 5, code: "drift", severity: doctor.Error, on: all,
		faulty: []string{"DROP TABLE otps"},
		text:   `table "otps": the table is missing`,
	},
	{
		name: "int ids that go to their end", round: 2, code: "id-headroom", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE otps MODIFY id int NOT NULL AUTO_INCREMENT",
			"ALTER TABLE otps AUTO_INCREMENT = 1800000000"},
		text: "84 % of otps.id (int) is used: the last id was 1800000000 of 2147483647",
	},
	{
		name: "int ids past the half", round: 3, code: "id-headroom", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE otps MODIFY id int NOT NULL AUTO_INCREMENT",
			"ALTER TABLE otps AUTO_INCREMENT = 1200000000"},
		text: "56 % of otps.id (int) is used",
	},
	{
		name: "unsigned int ids past the half of int", round: 4, code: "id-headroom", severity: doctor.OK, on: servers,
		faulty: []string{"ALTER TABLE otps MODIFY id int unsigned NOT NULL AUTO_INCREMENT",
			"ALTER TABLE otps AUTO_INCREMENT = 1200000000"},
		text: "28 % of otps.id (int unsigned) is used",
	},
	{
		name: "a huge id", code: "id-headroom", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE sessions AUTO_INCREMENT = 5000000000000000000"},
		text:   "54 % of sessions.id (bigint) is used",
	},
	{
		name: "a huge id", code: "id-headroom", severity: doctor.Error, on: "sqlite",
		faulty: []string{"INSERT INTO users (id, name, email) VALUES (9000000000000000000, 'Ada', 'ada@example.com')"},
		text:   "98 % of users.id (bigint) is used",
	},
	{
		name: "rows that no purge took", round: 2, code: "purge", severity: doctor.Warning, on: all,
		faulty: []string{
			"INSERT INTO users (id, name, email, is_deleted, deleted_at) VALUES (1, 'Ada', 'ada@example.com', 0, " +
				"NULL), (2, 'Eve', 'eve@example.com', 1, '" + ago(40*24*time.Hour) + "')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES " +
				"(1, 'a', '" + ago(40*24*time.Hour) + "'), (1, 'b', '" + ago(30*24*time.Hour+time.Hour) + "')",
			"INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) VALUES " +
				"('ada@example.com', 'a', 'signin', '2026-01-01 00:00:00', '" + ago(20*24*time.Hour) + "')",
		},
		text: "4 rows wait for a purge (1 otps, 2 sessions, 0 refresh_tokens, 1 users), the oldest ended 40 days " +
			"ago; 3 wait for more than 2 days",
	},
	{
		name: "rows that the next purge takes", round: 3, code: "purge", severity: doctor.OK, on: all,
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES " +
				"(1, 'b', '" + ago(30*24*time.Hour+5*time.Hour+time.Minute) + "')",
		},
		text: "1 row waits for a purge (0 otps, 1 sessions, 0 refresh_tokens, 0 users), none for more than 2 days",
	},
	{
		name: "rows that a purge leaves", round: 8, code: "purge", severity: doctor.OK, on: all,
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at, trust_epoch) VALUES " +
				"(1, 'remembered', '" + ago(29*24*time.Hour) + "', 0)",
			"INSERT INTO sessions (user_id, token_hash, expires_at, family) VALUES " +
				"(1, 'can begin again', '" + ago(50*24*time.Hour) + "', 'f')",
			"INSERT INTO refresh_tokens (user_id, token_hash, expires_at, family) VALUES " +
				"(1, 'a', '" + ago(-9*24*time.Hour) + "', 'f')",
		},
		text: "no rows wait for authgraph purge",
	},
	{
		name: "sessions that no purge took beside one whose device can begin it again", round: 10, code: "purge",
		severity: doctor.Warning, on: all,
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at, family) VALUES " +
				"(1, 'can begin again', '" + ago(50*24*time.Hour) + "', 'f'), " +
				"(1, 'cannot', '" + ago(40*24*time.Hour) + "', 'g')",
			"INSERT INTO refresh_tokens (user_id, token_hash, is_revoked, expires_at, family) VALUES " +
				"(1, 'a', 0, '" + ago(-9*24*time.Hour) + "', 'f'), (1, 'b', 1, '" + ago(-9*24*time.Hour) + "', 'g')",
		},
		text: "1 row waits for a purge (0 otps, 1 sessions, 0 refresh_tokens, 0 users), the oldest ended 40 days " +
			"ago; 1 wait for more than 2 days",
	},
	{
		name: "rows that no purge took beside rows that it leaves", round: 9, code: "purge", severity: doctor.Warning,
		on: all,
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at, trust_epoch) VALUES " +
				"(1, 'remembered', '" + ago(29*24*time.Hour) + "', 0), " +
				"(1, 'no longer', '" + ago(30*24*time.Hour+time.Hour) + "', 0)",
			"INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES " +
				"(1, 'a', '" + ago(9*24*time.Hour) + "')",
		},
		text: "2 rows wait for a purge (0 otps, 1 sessions, 1 refresh_tokens, 0 users), the oldest ended 9 days ago; " +
			"1 wait for more than 2 days",
	},
	{
		name: "an expiry at the end of TIMESTAMP", round: 4, code: "timestamp-range", severity: doctor.Warning,
		on: "mysql",
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2037-06-01 00:00:00')",
		},
		text: "a row expires on 2037-06-01, and TIMESTAMP ends on 2038-01-19",
	},
	{
		name: "an expiry at the end of TIMESTAMP", round: 4, code: "timestamp-range", severity: doctor.Warning,
		on: "mariadb", mariadb: "11.5.0",
		faulty: []string{
			"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
			"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2105-06-01')",
		},
		text: "a row expires on 2105-06-01, and TIMESTAMP ends on 2106-02-07",
	},
	{
		name: "users as another client writes them", round: 1, code: "email", severity: doctor.Error, on: all,
		faulty: []string{"INSERT INTO users (id, name, email) VALUES (7, 'Ada', 'Ada@Example.com'), (8, 'Bob', " +
			"'bob@example.com'), (9, 'Eve', ' eve@example.com')"},
		text: "2 of the newest 3 rows of users hold an address that is not normalised, so a sign-in does not find " +
			"them, and the same person can register twice (ids 9, 7)",
	},
	{
		name: "a code as another client writes it", round: 3, code: "email", severity: doctor.Warning, on: all,
		faulty: []string{"INSERT INTO otps (id, email, otp_hash_code, type, next_resend_allowed_at, expires_at) " +
			"VALUES (3, 'Ada@example.com', 'a', 'signin', '2030-01-01 00:00:00', '2030-01-01 00:00:00')"},
		text: "1 of the newest 1 row of otps hold an address that is not normalised, so no attempt finds " +
			"them (ids 3)",
	},
	{
		name: "passwords as another system hashed them", round: 6, code: "passwords", severity: doctor.Warning, on: all,
		faulty: []string{"INSERT INTO users (id, name, email, password) VALUES " +
			"(1, 'Ada', 'ada@example.com', '$2y$05$QAVGFZHO178Ffv7hkXQTDOz/YKkt4RK9CiYI3X/UOMHik17QrojX6'), " +
			"(2, 'Bob', 'bob@example.com', '5f4dcc3b5aa765d61d8327deb882cf99'), " +
			"(3, 'Eve', 'eve@example.com', NULL), (4, 'Kim', 'kim@example.com', '!')"},
		text: "2 of the passwords of 3 users are hashed in a way that package auth does not read (unknown), so " +
			"nobody " +
			"signs in with them (ids 2, 4)",
	},
	{
		name: "sessions of nobody", code: "orphans", severity: doctor.Error, on: servers,
		faulty: []string{"SET foreign_key_checks = 0", "INSERT INTO sessions (user_id, token_hash, expires_at) " +
			"VALUES (99, 'a', '2030-01-01 00:00:00')"},
		text: "1 of the newest 1 row of sessions belong to no user", cured: true,
	},
	{
		name: "tokens of nobody", code: "orphans", severity: doctor.Error, on: "sqlite",
		faulty: []string{"PRAGMA foreign_keys = off", "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) " +
			"VALUES (99, 'a', '2030-01-01 00:00:00')"},
		text: "1 of the newest 1 row of refresh_tokens belong to no user", cured: true,
	},
	{
		name: "a column that every insert would have to name", code: "inserts", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users ADD tenant int NOT NULL"},
		text: `column "tenant" of table "users" is NOT NULL without a default, ` +
			"and no migration makes it: every insert", cured: true,
	},
	{
		name: "a text that every insert would have to name", code: "inserts", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE sessions ADD region varchar(8) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL"},
		text:   `column "region" of table "sessions" is NOT NULL without a default`, cured: true,
	},
	{
		name: "a column that is computed", code: "inserts", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE users ADD domain varchar(255) AS (concat(email, name)) STORED"},
		text:   `column "domain" of table "users" is computed at each write`, cured: true,
	},
	{
		name: "a unique index on what repeats", round: 5, code: "inserts", severity: doctor.Error, on: all,
		faulty: []string{"CREATE UNIQUE INDEX one_name ON users (name)"},
		text: `index "one_name" of table "users" is UNIQUE, and no migration makes it: ` +
			"a second row with the same name is refused", cured: true,
	},
	{
		name: "a foreign key on what clients write", code: "inserts", severity: doctor.Error, on: servers,
		faulty: []string{
			"CREATE TABLE contacts (email varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)",
			"ALTER TABLE otps ADD CONSTRAINT known_email FOREIGN KEY (email) REFERENCES contacts (email)",
		},
		text: `foreign key "known_email" of table "otps" is made by no migration: ` +
			`a row whose email is not in table "contacts" is refused`, cured: true,
	},
	{
		name: "a CHECK more", code: "inserts", severity: doctor.Warning, on: servers,
		faulty: []string{"ALTER TABLE users ADD CONSTRAINT long_name CHECK (char_length(name) > 1)"},
		text:   `CHECK "long_name" of table "users" is made by no migration`, cured: true,
	},
	{
		name: "a column that is computed now", round: 1, code: "drift", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER TABLE users DROP COLUMN avatar, ADD avatar json AS (json_object()) VIRTUAL AFTER " +
			"provider_id"},
		text: `table "users": column "avatar"`,
	},
	{
		name: "a column that may not be null any more", round: 5, code: "drift", severity: doctor.Error, on: servers,
		faulty: []string{"ALTER TABLE users MODIFY password varchar(255) CHARACTER SET ascii COLLATE ascii_bin " +
			"NOT NULL"},
		text: `table "users": column "password"`, cured: true,
	},
	{
		name: "a trigger on a table", code: "triggers", severity: doctor.Warning, on: servers,
		faulty: []string{"CREATE TRIGGER spy AFTER INSERT ON users FOR EACH ROW SET @seen = NEW.password"},
		text:   `trigger "spy" on table "users" runs AFTER INSERT as root@`, cured: true,
	},
	{
		name: "a trigger on a table", code: "triggers", severity: doctor.Warning, on: "sqlite",
		faulty: []string{"CREATE TRIGGER spy AFTER INSERT ON users BEGIN UPDATE users SET name = 'x' WHERE id = " +
			"NEW.id; END"},
		text: `trigger "spy" on table "users" runs `, cured: true,
	},
	{
		name: "an event on a table", code: "triggers", severity: doctor.Warning, on: servers,
		faulty: []string{"CREATE EVENT sweep ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01' DO DELETE FROM `sessions` " +
			"WHERE id = 0"},
		text: `event "sweep" names table "sessions"`, cured: true,
	},
	{
		name: "a database that takes no writes", round: 7, code: "read-only", severity: doctor.Error, on: "mysql",
		faulty: []string{"ALTER DATABASE READ ONLY = 1"},
		text:   "the database is READ ONLY: every write is refused", cured: true,
	},
	{
		name: "tables without a history", round: 6, code: "migrations", severity: doctor.Error, on: all,
		faulty: []string{"DROP TABLE atlas_schema_revisions"},
		text:   "there are tables (otp_stripes, otps, refresh_tokens, sessions, users) but no history",
	},
	{
		name: "a journal that blocks readers", code: "journal", severity: doctor.Info, on: "sqlite",
		faulty: []string{"PRAGMA journal_mode = delete"},
		text:   "the journal mode is delete",
	},
}

// Each fault is found once it is there, and where a statement is said to cure it,
// it is gone afterwards. That it is not there before, TestHealthyDatabase shows.
func TestFaults(t *testing.T) {
	t.Parallel()
	type where struct {
		engine string
		round  int
	}
	of := make(map[where][]fault)
	for _, c := range faults {
		for engine := range strings.FieldsSeq(c.on) {
			of[where{engine, c.round}] = append(of[where{engine, c.round}], c)
		}
	}
	fresh := map[string]func(testing.TB) string{"mysql": mysqltest.MySQL, "mariadb": mysqltest.MariaDB,
		"sqlite": mysqltest.SQLite}
	for at, together := range of {
		t.Run(fmt.Sprintf("%s/%d", at.engine, at.round), func(t *testing.T) {
			t.Parallel()
			testFaults(t, together, fresh[at.engine](t))
		})
	}
}

func testFaults(t *testing.T, faults []fault, url string) {
	faults = slices.DeleteFunc(faults, func(c fault) bool {
		old := c.mariadb != "" && mysqltest.MariaDBBefore(t, url, c.mariadb)
		if old {
			t.Logf("left out: %s, which takes MariaDB %s", c.name, c.mariadb)
		}
		return old
	})
	db := healthy(t, url)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	for _, c := range faults {
		for _, stmt := range c.faulty {
			_, err := conn.ExecContext(t.Context(), stmt)
			require.NoError(t, err, stmt)
		}
	}
	require.NoError(t, conn.Close())
	findings := run(t, url, doctor.Options{})
	for _, f := range findings {
		assert.NotContains(t, strings.ToLower(f.Text), "@example.com")
		assert.True(t, f.Unchecked || (f.Severity == doctor.OK) == (f.Fix == ""), "what to do about %+v", f)
	}
	cures := make(map[string]string)
	for _, c := range faults {
		f := find(t, findings, c.code, c.severity, c.text)
		if c.cured {
			cures[f.Text] = statement(f)
			exec(t, db, cures[f.Text])
		}
	}
	for _, f := range run(t, url, doctor.Options{}) {
		assert.NotContains(t, cures, f.Text, "cured by %s", cures[f.Text])
	}
}

// statement is the one in a finding's Fix.
func statement(f doctor.Finding) string {
	sql := f.Fix
	if _, undo, ok := strings.Cut(sql, "undo it: "); ok {
		sql = undo
	}
	sql, _, _ = strings.Cut(sql, "; ")
	sql, _, _ = strings.Cut(sql, ", and in ")
	sql, _, _ = strings.Cut(sql, ", where ")
	return sql
}

// What was added by hand and lets every insert through is no fault.
func TestAdditionsThatRefuseNothing(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, "CREATE TABLE tenants (id int PRIMARY KEY)")
		exec(t, db, "ALTER TABLE users ADD tenant int, ADD plan varchar(8) NOT NULL DEFAULT 'free', ADD UNIQUE "+
			"by_tenant (tenant, name), "+
			"ADD UNIQUE by_plan (id, plan), ADD FOREIGN KEY (tenant) REFERENCES tenants (id)")
		exec(t, db, "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com'), (2, 'Ada', "+
			"'eve@example.com')")
		find(t, run(t, url, doctor.Options{}), "inserts", doctor.OK, "nothing was added by hand that refuses rows")
	})
}

// Without a scratch database it is not compared: what no file names was added by hand,
// and columns are held against the schema.
func TestInsertsThatFailForAServiceAccount(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		service := account(t, url, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}")
		find(t, run(t, service, doctor.Options{}), "inserts", doctor.OK, "")
		exec(t, db, "ALTER TABLE users ADD tenant int NOT NULL, MODIFY name varchar(50) COLLATE utf8mb4_bin NOT "+
			"NULL, MODIFY password varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL")
		findings := run(t, service, doctor.Options{})
		find(t, findings, "inserts", doctor.Error, `column "tenant" of table "users" is NOT NULL without a default`)
		find(t, findings, "inserts", doctor.Warning,
			`column "name" of table "users" holds 50 characters, and 100 in the schema`)
		find(t, findings, "inserts", doctor.Warning,
			`column "password" of table "users" is NOT NULL, and NULL in the schema`)
	})
}

// Of what a migration makes the migrations decide.
func TestWhatAMigrationMakesIsNotAdvisedAway(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		more := "CREATE INDEX by_user ON sessions (user_id);\nCREATE UNIQUE INDEX one_name ON users (name);\n"
		trigger := "CREATE TRIGGER by_plan AFTER INSERT ON users FOR EACH ROW SET @seen = 1"
		if mysqltest.IsSQLite(url) {
			trigger = "CREATE TRIGGER by_plan AFTER INSERT ON users BEGIN SELECT 1; END"
		}
		// A comment is enough to name it: its body has a delimiter of its own.
		opts := doctor.Options{Dir: dirtest.Open(t, files(t, url,
			map[string]string{"30000101000000_more.sql": more + "-- by_plan is made by the deployment\n"}))}
		db := applied(t, url, opts.Dir)
		exec(t, db, trigger)
		urls := []string{url}
		if !mysqltest.IsSQLite(url) {
			urls = append(urls, account(t, url, db, "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON {db}.* "+
				"TO {user}"))
		}
		for _, url := range urls {
			findings := run(t, url, opts)
			f := find(t, findings, "redundant-index", doctor.Info, `index "by_user" of table "sessions"`)
			assert.NotContains(t, f.Fix, "DROP")
			find(t, findings, "inserts", doctor.OK, "")
			f = find(t, findings, "triggers", doctor.Info, `trigger "by_plan" on table "users"`)
			assert.NotContains(t, f.Fix, "DROP")
			for _, f := range problems(findings, "unused-index") {
				assert.NotContains(t, f.Fix, "drop")
			}
		}
	})
}

// Where nobody knows what the tables should be, that is said once.
func TestTablesWithoutAHistory(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, "DROP TABLE atlas_schema_revisions")
		exec(t, db, "DROP TABLE otps")
		off := problems(run(t, url, doctor.Options{}), "drift")
		require.Len(t, off, 1)
		assert.True(t, off[0].Unchecked)
		assert.Equal(t, "could not be checked: without a history it is not known what the tables should be, see "+
			"migrations", off[0].Text)
	})
}

// An index that queries do not use replaces none.
func TestHiddenIndexReplacesNone(t *testing.T) {
	t.Parallel()
	for hide, url := range map[string]string{"INVISIBLE": mysqltest.MySQL(t), "IGNORED": mysqltest.MariaDB(t)} {
		db := healthy(t, url)
		exec(t, db, "CREATE INDEX again ON sessions (user_id)")
		exec(t, db, "ALTER TABLE sessions ALTER INDEX session_user_id_is_active_last_used_at "+hide)
		assert.Empty(t, problems(run(t, url, doctor.Options{}), "redundant-index"))
	}
}

// A loosened collation is one finding, although it is a difference too; and what
// the migrations do not make is nobody's business.
func TestOneFaultIsOneFinding(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		exec(t, db, "ALTER TABLE sessions MODIFY token_hash varchar(255) CHARACTER SET utf8mb4 COLLATE "+
			"utf8mb4_general_ci NOT NULL")
		exec(t, db, "CREATE TABLE invoices (id int AUTO_INCREMENT PRIMARY KEY, a int, KEY x (a), KEY y (a), "+
			"token_hash varchar(20) COLLATE utf8mb4_general_ci) ENGINE = MyISAM, AUTO_INCREMENT = 2000000000")
		findings := run(t, url, doctor.Options{})
		assert.Len(t, problems(findings, "collation"), 1)
		for _, code := range []string{"drift", "engine", "redundant-index", "id-headroom"} {
			assert.Empty(t, problems(findings, code))
		}
	})
}

// What is not there cannot be counted.
func TestSomeOfTheTables(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		exec(t, db, "CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, email varchar(255) NOT NULL, provider int, "+
			"provider_id int, is_email_verified int, failed_login_attempts int)")
		findings := run(t, url, doctor.Options{})
		find(t, findings, "email", doctor.OK, "0 rows, the newest of users, hold normalised addresses")
		find(t, findings, "orphans", doctor.OK, "no table that refers to users is there")
		find(t, findings, "passwords", doctor.OK, "no user has a password")
		find(t, findings, "id-headroom", doctor.OK, "no id was given yet")
		find(t, findings, "purge", doctor.Warning, "could not be checked: purge users: ")
	})
}

// A project that installed only some of the entities has nothing wrong with it, until one of its own tables is gone.
func TestSomeOfTheEntities(t *testing.T) {
	t.Parallel()
	// As authgraph add leaves it out where there is no entity User.
	wired := entmigrate.SessionsTable
	sessions := &schema.Table{Name: wired.Name, Columns: wired.Columns, PrimaryKey: wired.PrimaryKey,
		Indexes: wired.Indexes, Annotation: wired.Annotation}
	for name, tables := range map[string][]*schema.Table{
		"codes":                {entmigrate.OtpsTable},
		"sessions of nobody":   {sessions},
		"accounts":             {entmigrate.UsersTable},
		"accounts and session": {entmigrate.SessionsTable, entmigrate.UsersTable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				path := t.TempDir()
				dev, err := planner.Scratch(t.Context(), url)
				require.NoError(t, err)
				plan, err := planner.Diff(t.Context(), dev, dirtest.Open(t, path), planner.Tables(tables...), "create")
				require.NoError(t, errors.Join(err, dev.Close()))
				require.NoError(t, plan.Write())
				opts := doctor.Options{Dir: dirtest.Open(t, path)}
				db := applied(t, url, opts.Dir)
				assertHealthy(t, run(t, url, opts))
				if mysqltest.IsSQLite(url) {
					exec(t, db, "DROP TABLE "+tables[0].Name)
					find(t, run(t, url, opts), "drift", doctor.Error,
						`table "`+tables[0].Name+`": the table is missing`)
					return
				}

				// The account of a service may have its rights table by table.
				grants := []string{"GRANT SELECT ON {db}.atlas_schema_revisions TO {user}"}
				for _, table := range tables {
					grants = append(grants, "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}."+table.Name+" TO {user}")
				}
				service := account(t, url, db, grants...)
				for _, service := range []string{service, account(t, url, db, grants[1:]...)} {
					find(t, run(t, service, opts), "privileges", doctor.OK,
						"may SELECT, INSERT, UPDATE, DELETE on the tables")
				}

				exec(t, db, "DROP TABLE "+tables[0].Name)
				for _, url := range []string{url, service} {
					find(t, run(t, url, opts), "drift", doctor.Error,
						`table "`+tables[0].Name+`": the table is missing`)
				}
			})
		})
	}
}

// files is a directory with the embedded migrations and more.
func files(t *testing.T, url string, more map[string]string) string {
	t.Helper()
	return dirtest.Folder(t, dirtest.Embedded(t, mysqltest.Dialect(url)).With(more))
}

func TestDatabaseWithoutTables(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		findings := run(t, url, doctor.Options{})
		files, err := dirtest.EmbeddedDir(t, mysqltest.Dialect(url)).Files()
		require.NoError(t, err)
		f := find(t, findings, "migrations", doctor.Error,
			fmt.Sprintf("nothing is applied, %d files pending", len(files)))
		assert.Equal(t, "authgraph migrate apply", f.Fix)
		for _, f := range findings {
			assert.NotContains(t, []string{"drift", "collation", "purge", "email"}, f.Code,
				"there is nothing to look at")
		}
	})
}

func TestPendingFile(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		healthy(t, url)
		path := files(t, url, map[string]string{"30000101000000_later.sql": "CREATE TABLE later (id int);\n"})
		findings := run(t, url, doctor.Options{Dir: dirtest.Open(t, path)})
		find(t, findings, "migrations", doctor.Warning, "1 file pending: 30000101000000_later.sql")
		assert.Empty(t, problems(findings, "drift"), "the tables are held against what is applied")
	})
}

func TestHalfAppliedFile(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		path := files(t, url, map[string]string{"30000101000000_later.sql": "CREATE TABLE later (id int);\nALTER " +
			"TABLE nowhere ADD x int;\n"})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
		require.Error(t, err)
		findings := run(t, url, doctor.Options{Dir: dirtest.Open(t, path)})
		find(t, findings, "migrations", doctor.Error, "30000101000000_later.sql is half applied: 1 of 2 statements, "+
			"the next one failed: ")
		f := find(t, findings, "drift", doctor.Warning, "could not be checked: a file is half applied, see migrations")
		assert.True(t, f.Unchecked)
	})
}

func TestEditedAndMissingFiles(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		path := files(t, url, map[string]string{"30000101000000_later.sql": "CREATE TABLE later (id int);\n"})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
		require.NoError(t, err)
		later := filepath.Join(path, "30000101000000_later.sql")

		require.NoError(t, os.WriteFile(later, []byte("CREATE TABLE later (id bigint);\n"), 0o644))
		f := find(t, run(t, url, doctor.Options{Dir: dirtest.Open(t, path)}), "migrations", doctor.Error,
			"atlas.sum does not match")
		assert.Contains(t, f.Fix, "authgraph migrate hash")

		require.NoError(t, directory.Hash(dirtest.Open(t, path)))
		f = find(t, run(t, url, doctor.Options{Dir: dirtest.Open(t, path)}), "migrations", doctor.Error,
			"30000101000000_later.sql was edited after it was applied")
		assert.Equal(t, "restore it, and make the change in a new migration", f.Fix)

		require.NoError(t, os.Remove(later))
		require.NoError(t, directory.Hash(dirtest.Open(t, path)))
		findings := run(t, url, doctor.Options{Dir: dirtest.Open(t, path)})
		f = find(t, findings, "migrations", doctor.Error,
			"30000101000000_later.sql was applied to this database but is not in the directory")
		assert.Equal(t, "restore it", f.Fix)
		assert.True(t, find(t, findings, "drift", doctor.Warning,
			"could not be checked: directory and history disagree").Unchecked)
	})
}

func TestLifetimesThatReachTheEndOfTimestamp(t *testing.T) {
	t.Parallel()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		url := mysqltest.MySQL(t)
		db := healthy(t, url)
		for _, c := range []struct {
			at       string
			absolute time.Duration
			severity doctor.Severity
			text     string
		}{
			{"2026-11-01", 0, doctor.OK, "TIMESTAMP ends on 2038-01-19, in 11 years; the longest lifetime is 90 days"},
			{"2026-11-01", 20 * 365 * 24 * time.Hour, doctor.Error,
				"what lives for 20 years from now ends later: it cannot be written (error 1292)"},
			{"2036-01-01", 0, doctor.Warning, "TIMESTAMP ends on 2038-01-19, in 2 years"},
			{"2037-12-01", 0, doctor.Error, "what lives for 90 days from now ends later"},
			{"2039-01-01", 0, doctor.Error, "what lives for 90 days from now ends later"},
		} {
			at, err := time.Parse(time.DateOnly, c.at)
			require.NoError(t, err)
			config := auth.Config{Clock: func() time.Time { return at },
				Refresh: auth.RefreshPolicy{Absolute: c.absolute}}
			find(t, run(t, url, doctor.Options{Config: config}), "timestamp-range", c.severity, c.text)
		}
		for _, table := range registry.Tables() {
			exec(t, db, "SET foreign_key_checks = 0")
			for _, name := range timestamps(t, db, table) {
				exec(t, db, "ALTER TABLE "+table+" MODIFY "+name+" datetime(6) NULL")
			}
		}
		find(t, run(t, url, doctor.Options{}), "timestamp-range", doctor.OK, "no column is a TIMESTAMP")
	})
}

func timestamps(t *testing.T, db *sql.DB, table string) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE "+
		"TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND DATA_TYPE = 'timestamp'", table)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

// The other clock is this machine's, set wrong by as much.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		healthy(t, url)
		for _, c := range []struct {
			off      time.Duration
			severity doctor.Severity
			text     string
		}{
			{10 * time.Second, doctor.Warning, "s behind this machine's"},
			{-5 * time.Minute, doctor.Error, "minutes ahead of this machine's"},
		} {
			config := auth.Config{Clock: func() time.Time { return time.Now().Add(c.off) }}
			find(t, run(t, url, doctor.Options{Config: config}), "clock", c.severity, c.text)
		}
	})
}

// An address that is none of the loopback's is one that leaves the machine, as far
// as anybody can tell from it; Linux takes 0.0.0.0 for this machine.
func TestConnectionInTheClear(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, raw string) {
		mysqltest.NeedsMariaDB(t, raw, "11.4.1", "certificate of its own")
		healthy(t, raw)
		u, err := url.Parse(raw)
		require.NoError(t, err)
		find(t, run(t, raw, doctor.Options{}), "tls", doctor.OK, "does not leave this machine")
		u.Host = "0.0.0.0:" + u.Port()
		find(t, run(t, u.String(), doctor.Options{}), "tls", doctor.Warning,
			"the connection leaves this machine and is not encrypted")
		for params, text := range map[string]string{
			"tls=skip-verify": "encrypted to whoever answers",
			"tls=preferred":   "encrypted only if whoever answers offers it",
			"tls=skip-verify&allowFallbackToPlaintext=true": "encrypted only if whoever answers offers it",
		} {
			u.RawQuery = params
			f := find(t, run(t, u.String(), doctor.Options{}), "tls", doctor.Warning, text)
			assert.Contains(t, f.Fix, "tls-ca=FILE")
			assert.NotContains(t, f.Fix, "skip-verify")
		}
		// It says so where the server then refuses the account, and keeps a password for itself that would go in the
		// clear.
		u.RawQuery, u.User = "tls=skip-verify", url.UserPassword("authgraph_nobody", "pw")
		_, err = doctor.Run(t.Context(), u.String(), doctor.Options{})
		require.ErrorContains(t, err, "encrypted to whoever answers")
		u.RawQuery = "allowCleartextPasswords=true"
		_, err = doctor.Run(t.Context(), u.String(), doctor.Options{})
		require.ErrorContains(t, err, "not connected: ")
		assert.ErrorContains(t, err, "tls-ca=FILE")
	})
}

// account makes an account with grants, in which {db} stands for the database and
// {user} for the account, and returns its URL.
func account(t *testing.T, raw string, db *sql.DB, grants ...string) string {
	t.Helper()
	return accountNamed(t, raw, db, "authgraph_"+strings.ToLower(rand.Text()[:12]), grants...)
}

func accountNamed(t *testing.T, raw string, db *sql.DB, name string, grants ...string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	user := dbserver.Quote(name)
	exec(t, db, "CREATE USER "+user+" IDENTIFIED BY 'geheim'")
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), "DROP USER "+user)
		assert.NoError(t, err)
	})
	for _, grant := range grants {
		exec(t, db, strings.NewReplacer("{db}", strings.TrimPrefix(u.Path, "/"), "{user}", user).Replace(grant))
	}
	u.User = url.UserPassword(name, "geheim")
	return u.String()
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		const lacks, excess, migrates, scratch = "on table", "which a service does not need",
			"may not migrate: it lacks ", "may not make a scratch database"
		const history = "GRANT SELECT ON {db}.atlas_schema_revisions TO {user}"
		var each, allButOne []string
		for _, table := range registry.Tables() {
			grant := "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}." + table + " TO {user}"
			each = append(each, grant)
			if table != "refresh_tokens" {
				allButOne = append(allButOne, grant)
			}
		}
		// Of accounts without rights beside these, all are told whether they may migrate.
		for _, c := range []struct {
			name   string
			grants []string
			// The texts that are found, and those that are not.
			found, absent []string
		}{
			{
				"what a service needs", []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}"},
				[]string{migrates + "CREATE, ALTER, DROP, INDEX, REFERENCES", scratch,
					"may SELECT, INSERT, UPDATE, DELETE on the tables"}, []string{lacks, excess},
			},
			{
				"what a service and its migrations need",
				[]string{"GRANT ALL ON {db}.* TO {user}", "GRANT ALL ON `authgraph\\_dev\\_%`.* TO {user}"},
				[]string{"may SELECT, INSERT, UPDATE, DELETE on the tables"},
				[]string{lacks, excess, migrates, scratch},
			},
			{
				"table by table", append(each, history),
				[]string{"may SELECT, INSERT, UPDATE, DELETE on the tables"}, []string{lacks, excess},
			},
			{
				"table by table, and one forgotten", append(slices.Clone(allButOne), history),
				[]string{`may not SELECT, INSERT, UPDATE, DELETE on table "refresh_tokens"`},
				[]string{`on table "users"`, excess, "may SELECT"},
			},
			{
				"table by table, and one and the history forgotten", allButOne,
				[]string{`may not SELECT, INSERT, UPDATE, DELETE on table "refresh_tokens"`},
				[]string{`on table "users"`, excess, "may SELECT"},
			},
			{
				"too little", []string{"GRANT SELECT, INSERT, UPDATE ON {db}.* TO {user}",
					"GRANT DELETE ON {db}.otps TO {user}"},
				[]string{`may not DELETE on table "users"`, `may not DELETE on table "sessions"`},
				[]string{excess, `on table "otps"`, "may SELECT"},
			},
			{
				"columns only", []string{"GRANT SELECT, DELETE ON {db}.* TO {user}",
					"GRANT INSERT, UPDATE (name, email) ON {db}.users TO {user}"},
				[]string{`may not UPDATE on table "users"`, `may not INSERT, UPDATE on table "otps"`},
				[]string{`INSERT on table "users"`},
			},
			{
				"everything", []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}",
					"GRANT FILE, CREATE USER, PROCESS ON *.* TO {user}"},
				[]string{"holds CREATE USER, FILE on *.*, which a service does not need"}, []string{lacks},
			},
			{
				"the right to grant", []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user} WITH " +
					"GRANT OPTION"},
				[]string{"holds GRANT OPTION, which a service does not need"}, []string{lacks},
			},
		} {
			t.Run(c.name, func(t *testing.T) {
				findings := run(t, account(t, url, db, c.grants...), doctor.Options{})
				var texts []string
				for _, f := range findings {
					if f.Code == "privileges" {
						texts = append(texts, f.Text)
						assert.NotContains(t, f.Text+f.Fix, "geheim")
						assert.NotContains(t, f.Text+f.Fix, "IDENTIFIED")
					}
				}
				seen := strings.Join(texts, "\n")
				for _, text := range c.found {
					assert.Contains(t, seen, text)
				}
				for _, text := range c.absent {
					assert.NotContains(t, seen, text)
				}
			})
		}
	})
}

// What doctor says to run is run as it is, whatever the account and the database are called.
func TestTheStatementsOfPrivilegesAreComplete(t *testing.T) {
	t.Parallel()
	statement := regexp.MustCompile(`GRANT .*;$`)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		for name, grants := range map[string][]string{
			"some of the database": {"GRANT SELECT ON {db}.* TO {user}"},
			"some of a table":      {"GRANT SELECT ON {db}.users TO {user}"},
			"a pattern":            {"GRANT SELECT ON `authgraph\\_test\\_%`.* TO {user}"},
			"the right to grant":   {"GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user} WITH GRANT OPTION"},
		} {
			t.Run(name, func(t *testing.T) {
				odd := accountNamed(t, url, db, `o'b\"%_`+"`"+strings.ToLower(rand.Text()[:8]), grants...)
				ran := 0
				for _, f := range run(t, odd, doctor.Options{}) {
					fix := statement.FindString(f.Fix)
					switch {
					case strings.Contains(f.Fix, "for the service alone"):
						assert.Regexp(t, "^GRANT SELECT, INSERT, UPDATE, DELETE ON `.*`.* TO 'authgraph'@'%';$", fix)
					case fix != "" && f.Code != "migrations":
						exec(t, db, strings.TrimSuffix(fix, ";"))
						ran++
					}
				}
				assert.NotZero(t, ran)
				for _, f := range run(t, odd, doctor.Options{}) {
					if f.Code == "privileges" && !strings.Contains(f.Text, "GRANT OPTION") {
						assert.Equal(t, doctor.OK, f.Severity, "%+v", f)
					}
				}
			})
		}
	})
}

func TestPrivilegesOfARole(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		role := "authgraph_role_" + strings.ToLower(rand.Text()[:10])
		exec(t, db, "CREATE ROLE "+role)
		t.Cleanup(func() {
			_, err := db.ExecContext(context.Background(), "DROP ROLE "+role)
			assert.NoError(t, err)
		})
		makeDefault := "SET DEFAULT ROLE " + role + " TO {user}"
		if strings.HasPrefix(url, "mariadb:") {
			makeDefault = "SET DEFAULT ROLE " + role + " FOR {user}"
		}
		grant := []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO " + role,
			"GRANT SELECT ON {db}.* TO {user}", "GRANT " + role + " TO {user}"}

		idle := account(t, url, db, grant...)
		f := find(t, run(t, idle, doctor.Options{}), "privileges", doctor.Error,
			`may not INSERT, UPDATE, DELETE on table "users"`)
		activate, ok := strings.CutPrefix(f.Fix, "a role of the account may, make it active: ")
		assert.True(t, ok, f.Fix)
		exec(t, db, strings.TrimSuffix(activate, ";"))
		find(t, run(t, idle, doctor.Options{}), "privileges", doctor.OK,
			"may SELECT, INSERT, UPDATE, DELETE on the tables")
		active := account(t, url, db, append(grant, makeDefault)...)
		findings := run(t, active, doctor.Options{})
		find(t, findings, "privileges", doctor.OK, "may SELECT, INSERT, UPDATE, DELETE on the tables")
		for _, f := range findings {
			assert.True(t, f.Severity != doctor.Error || ofTheServer(f), "%+v", f)
		}
	})
}

// An account with the rights of a service can have everything checked but what it may not see, and is told so.
func TestWhatAServiceAccountCannotSee(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := healthy(t, url)
		service := account(t, url, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}")
		var unchecked []string
		findings := run(t, service, doctor.Options{})
		for _, f := range findings {
			assert.True(t, f.Severity != doctor.Error || ofTheServer(f), "%+v", f)
			if f.Unchecked {
				unchecked = append(unchecked, f.Code)
			}
		}
		assert.ElementsMatch(t, []string{"drift", "replica", "triggers", "unused-index"}, unchecked)
		for code, right := range map[string]string{"replica": "GRANT REPLICA",
			"triggers": "GRANT TRIGGER, EVENT ON `"} {
			f := find(t, findings, code, doctor.Info, "could not be looked at: ")
			assert.Contains(t, strings.ReplaceAll(f.Fix, "REPLICATION CLIENT", "REPLICA"), right)
			exec(t, db, strings.TrimPrefix(f.Fix, "look with an account that may, or: "))
		}
		findings = run(t, service, doctor.Options{})
		find(t, findings, "replica", doctor.OK, "this server is the replica of no other")
		find(t, findings, "triggers", doctor.OK, "none on the tables")

		// A database to replay in that somebody else made will do.
		own := mysqltest.MySQL
		if strings.HasPrefix(url, "mariadb:") {
			own = mysqltest.MariaDB
		}
		dev := own(t)
		opts := doctor.Options{Dev: func(ctx context.Context) (*planner.Dev,
			error) {
			return planner.OpenDev(ctx, dev)
		}}
		find(t, run(t, service, opts), "drift", doctor.OK, "the tables are those of ")

		// A table that it has no right on need not be missing, nor a history.
		var grants []string
		seen := slices.DeleteFunc(registry.Tables(), func(table string) bool { return table == "refresh_tokens" })
		for _, table := range seen {
			grants = append(grants, "GRANT SELECT ON {db}."+table+" TO {user}")
		}
		findings = run(t, account(t, url, db, grants...), doctor.Options{})
		f := find(t, findings, "migrations", doctor.Error, fmt.Sprintf(
			"there are tables (%s) but no history, or this account has no right on it", strings.Join(seen, ", ")))
		assert.Contains(t, f.Fix, "where it is there: GRANT SELECT ON ")
		for _, right := range []string{"INSERT", "DELETE"} { // by which it sees that there is one
			service = account(t, url, db,
				append(grants, "GRANT "+right+" ON {db}.atlas_schema_revisions TO {user}")...)
			f := find(t, run(t, service, doctor.Options{}), "migrations", doctor.Error,
				"may not read table atlas_schema_revisions, so it is not known what was applied")
			exec(t, db, f.Fix)
			assert.Empty(t, problems(run(t, service, doctor.Options{}), "migrations"))
		}
		service = account(t, url, db, append(grants, "GRANT SELECT ON {db}.atlas_schema_revisions TO {user}")...)
		for _, opts := range []doctor.Options{{}, opts} {
			findings := run(t, service, opts)
			f := find(t, findings, "drift", doctor.Error,
				`table "refresh_tokens": the table is missing, or this account has no right on it`)
			assert.Contains(t, f.Fix, "where it is there, see privileges; where not, make it a migration ")
			for _, f := range problems(findings, "drift") {
				assert.True(t, f.Unchecked || strings.Contains(f.Text, "refresh_tokens"), "%+v", f)
			}
		}
	})
}

// Where the files are only read, what they rename and drop is not missing, with the name of the database or without.
func TestFilesThatRenameTables(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		name := url[strings.LastIndex(url, "/")+1:]
		rename := fmt.Sprintf("RENAME TABLE `sessions` TO `%[1]s`.`visits`, refresh_tokens TO tickets;\n"+
			"ALTER TABLE %[1]s.otps RENAME TO codes;\n"+
			"CREATE TABLE `%[1]s`.`otps` (id int PRIMARY KEY);\n", name)
		path := files(t, url, map[string]string{"20991231235959_rename.sql": rename})
		opts := doctor.Options{Dir: dirtest.Open(t, path)}
		db := applied(t, url, opts.Dir)
		service := account(t, url, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {user}")
		off := problems(run(t, service, opts), "drift")
		require.Len(t, off, 1)
		assert.True(t, off[0].Unchecked, "%+v", off[0])

		exec(t, db, "DROP TABLE otps")
		find(t, run(t, service, opts), "drift", doctor.Error, `table "otps": the table is missing`)
	})
}

func TestAccountWithTooFewConnections(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		service := account(t, url, healthy(t, url), "GRANT SELECT ON {db}.* TO {user}",
			"ALTER USER {user} WITH MAX_USER_CONNECTIONS 15")
		find(t, run(t, service, doctor.Options{}), "connections", doctor.Error,
			"the services open up to 25 connections, the account may have 15")
		find(t, run(t, service, doctor.Options{Connections: 15}), "connections", doctor.OK,
			"the services open up to 15")
	})
}

func TestMorePreparedStatementsThanTheServerHolds(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		mysqltest.NeedsPreparedStatements(t, url)
		healthy(t, url)
		f := find(t, run(t, url, doctor.Options{Connections: 10_000}), "prepared-statements", doctor.Warning,
			"the services can keep 640000 prepared statements, 64 on each of 10000 connections; the server holds ")
		assert.Equal(t, "set authgraph.WithStatements or raise max_prepared_stmt_count", f.Fix)
	})
}

func TestUnusedIndexes(t *testing.T) {
	t.Parallel()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		url := mysqltest.MySQL(t)
		db := healthy(t, url)
		f := find(t, run(t, url, doctor.Options{}), "unused-index", doctor.Info,
			"11 of 11: otps.otp_email_created_at, otps.otp_email_type, otps.otp_expires_at, ")
		assert.Contains(t, f.Text, "since the server started ")
		assert.NotContains(t, f.Text, "session_user_id", "it serves the foreign key")
		assert.NotContains(t, f.Text, "token_hash", "it keeps them unique")
		exec(t, db, "INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) VALUES "+
			"('ada@example.com', 'a', 'signin', '2030-01-01 00:00:00', '2030-01-01 00:00:00')")
		var n int
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM otps FORCE INDEX (otp_email_type) WHERE email = "+
			"'ada@example.com'").Scan(&n))
		f = find(t, run(t, url, doctor.Options{}), "unused-index", doctor.Info, "otps.otp_expires_at")
		assert.NotContains(t, f.Text, "otp_email_type")
	})
}

// A check that waits for a lock ends, and those after it are made.
func TestCheckThatTakesTooLong(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		conn, err := healthy(t, url).Conn(t.Context())
		require.NoError(t, err)
		defer func() { assert.NoError(t, conn.Close()) }()
		_, err = conn.ExecContext(t.Context(), "LOCK TABLES otps WRITE")
		require.NoError(t, err)
		findings := run(t, url, doctor.Options{Timeout: 700 * time.Millisecond})
		for _, code := range []string{"email", "purge"} {
			f := find(t, findings, code, doctor.Warning, "could not be checked: it took longer than 700ms")
			assert.True(t, f.Unchecked)
			assert.Contains(t, f.Fix, "--timeout")
		}
		find(t, findings, "orphans", doctor.OK, "belong to users")
	})
}

func TestFileThatOthersMayReadOrWrite(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	healthy(t, url)
	path := strings.TrimPrefix(url, "sqlite://")
	for mode, want := range map[os.FileMode]struct {
		severity doctor.Severity
		text     string
	}{
		0o600: {doctor.OK, "readable for its owner and group only"},
		0o640: {doctor.OK, "readable for its owner and group only"},
		0o644: {doctor.Warning, "everybody on this machine may read " + path + " (mode 0644)"},
		0o666: {doctor.Error, "everybody on this machine may write " + path + " (mode 0666)"},
	} {
		require.NoError(t, os.Chmod(path, mode))
		find(t, run(t, url, doctor.Options{}), "file", want.severity, want.text)
	}
}

// Looking at a file changes nothing of it, not even its journal.
func TestFileIsNotChanged(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	db := healthy(t, url)
	exec(t, db, "PRAGMA journal_mode = delete")
	require.NoError(t, db.Close())
	path := strings.TrimPrefix(url, "sqlite://")
	before := sum(t, path)
	run(t, url, doctor.Options{})
	assert.Equal(t, before, sum(t, path))
	beside, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	assert.Equal(t, []string{path}, beside)
}

// A -wal that nobody has moved into the file yet stays, too, and what SQLite leaves
// beside the file is not what was there.
func TestWriteAheadLogIsNotChanged(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	db := healthy(t, url)
	exec(t, db, "PRAGMA journal_mode = wal")
	exec(t, db, "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'Ada@example.com')")
	path := strings.TrimPrefix(url, "sqlite://")
	left := filepath.Join(t.TempDir(), "left.db")
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + end)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(left+end, content, 0o600))
	}
	for _, path := range []string{path, left} {
		file, log := sum(t, path), sum(t, path+"-wal")
		find(t, run(t, "sqlite://"+path, doctor.Options{}), "email", doctor.Error, "1 of the newest 1 row of users")
		assert.Equal(t, file, sum(t, path))
		assert.Equal(t, log, sum(t, path+"-wal"))
	}
	find(t, run(t, url+"?mode=ro", doctor.Options{}), "drift", doctor.OK, "the tables are those of ")
}

func TestFilesThatSQLiteLeavesAreNoFinding(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	path := strings.TrimPrefix(url, "sqlite://")
	db := healthy(t, url)
	exec(t, db, "PRAGMA journal_mode = wal")
	require.NoError(t, db.Close())
	require.NoFileExists(t, path+"-wal")
	for range 2 {
		find(t, run(t, url, doctor.Options{}), "file", doctor.OK, "readable for its owner and group only")
	}
	db = mysqltest.DB(t, url)
	exec(t, db, "INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')")
	require.NoError(t, os.Chmod(path+"-wal", 0o604))
	find(t, run(t, url, doctor.Options{}), "file", doctor.Warning,
		"everybody on this machine may read "+path+"-wal (mode 0604)")
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(content)
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	db := healthy(t, url)
	exec(t, db, "PRAGMA journal_mode = delete")
	var page, size int64
	require.NoError(t, db.QueryRow("SELECT rootpage FROM sqlite_master WHERE name = 'otp_expires_at'").Scan(&page))
	require.NoError(t, db.QueryRow("PRAGMA page_size").Scan(&size))
	require.NoError(t, db.Close())
	f, err := os.OpenFile(strings.TrimPrefix(url, "sqlite://"), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("broken", 20)), (page-1)*size)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	find(t, run(t, url, doctor.Options{}), "integrity", doctor.Error, "the file is damaged: ")
}

func TestDatabaseThatCannotBeReached(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.db")
	_, err := doctor.Run(t.Context(), "sqlite://"+missing, doctor.Options{})
	require.ErrorContains(t, err, "make it with authgraph migrate apply")
	assert.NoFileExists(t, missing)
	_, err = doctor.Run(t.Context(), "mysql://root:geheim@127.0.0.1:1/app", doctor.Options{})
	require.ErrorContains(t, err, "no server answers there")
	assert.NotContains(t, err.Error(), "geheim")
}

// healthy applies the migrations and returns a pool for what happens next.
func healthy(t *testing.T, url string) *sql.DB {
	t.Helper()
	return applied(t, url, nil)
}

func applied(t *testing.T, url string, dir directory.Dir) *sql.DB {
	t.Helper()
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.NoError(t, err)
	if mysqltest.IsSQLite(url) {
		for _, file := range []string{"", "-wal", "-shm"} {
			if path := strings.TrimPrefix(url, "sqlite://") + file; fileExists(path) {
				require.NoError(t, os.Chmod(path, 0o600))
			}
		}
	}
	return mysqltest.DB(t, url)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err, query)
}

func run(t *testing.T, url string, opts doctor.Options) []doctor.Finding {
	t.Helper()
	findings, err := doctor.Run(t.Context(), url, opts)
	require.NoError(t, err)
	return findings
}

// find is the finding with a code, a severity and a text.
func find(t *testing.T, findings []doctor.Finding, code string, severity doctor.Severity, text string) doctor.Finding {
	t.Helper()
	var seen []string
	for _, f := range findings {
		if f.Code != code {
			continue
		}
		if f.Severity == severity && strings.Contains(f.Text, text) {
			return f
		}
		seen = append(seen, fmt.Sprintf("%s: %s", f.Severity, f.Text))
	}
	require.Fail(t, "not found", "%s %s: %s\nbut:\n%s", severity, code, text, strings.Join(seen, "\n"))
	return doctor.Finding{}
}

// problems are the findings with a code that are not all right.
func problems(findings []doctor.Finding, code string) (off []doctor.Finding) {
	for _, f := range findings {
		if f.Code == code && f.Severity != doctor.OK {
			off = append(off, f)
		}
	}
	return off
}
