package authgraph_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/registry"
)

// column is a column of the seed page and what became of it here.
type column struct{ name, seed, here string }

// seedIndex is an index of the seed page and the one that serves its purpose here; none where it was dropped.
type seedIndex struct {
	name    string
	columns []string
	here    string
}

// table is the contract of a table of the seed: docs/seed-parity.md gives the
// reasons. What was added since follows from ent/schema, and that page lists it.
type table struct {
	name    string
	columns []column
	// seed are the indexes of the seed page, unnamed unique ones under the name
	// that Drizzle gives them; here are all indexes of the table.
	seed []seedIndex
	here map[string]string
	// foreign are the foreign keys, checks the CHECK constraints here.
	foreign map[string]string
	checks  map[string]string
}

const (
	seedKey     = "int NOT NULL AUTO_INCREMENT"
	key         = "bigint NOT NULL AUTO_INCREMENT"
	seedTime    = "timestamp NOT NULL"
	time6       = "timestamp(6) NOT NULL"
	seedNull    = "timestamp NULL"
	timeNull    = "timestamp(6) NULL"
	seedCreated = "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP"
	created     = "timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
	seedUpdated = seedCreated + " ON UPDATE CURRENT_TIMESTAMP"
	updated     = created + " ON UPDATE CURRENT_TIMESTAMP(6)"
	seedText    = "varchar(255) NOT NULL"
	seedOptText = "varchar(255) NULL"
	exact       = "varchar(255) COLLATE utf8mb4_bin NOT NULL"
	optExact    = "varchar(255) COLLATE utf8mb4_bin NULL"
	hash        = "varchar(255) COLLATE ascii_bin NOT NULL"
	optHash     = "varchar(255) COLLATE ascii_bin NULL"
	isFalse     = "boolean NOT NULL DEFAULT false"
	isTrue      = "boolean NOT NULL DEFAULT true"
	zero        = "int NOT NULL DEFAULT 0"
)

var contract = []table{
	{
		name: "users",
		columns: []column{
			{"id", seedKey, key},
			{"name", "varchar(100) NOT NULL", "varchar(100) COLLATE utf8mb4_bin NOT NULL"},
			{"email", seedText, exact},
			{"password", seedOptText, optHash},
			{"role", "enum('user','admin') NOT NULL DEFAULT 'user'",
				"enum('user','admin') COLLATE utf8mb4_bin NOT NULL DEFAULT 'user'"},
			{"provider", "enum('local','google','github') NOT NULL DEFAULT 'local'",
				"enum('local','google','github') COLLATE utf8mb4_bin NOT NULL DEFAULT 'local'"},
			{"provider_id", seedOptText, optExact},
			{"avatar", "json NULL", "json NULL"},
			{"is_email_verified", isFalse, isFalse},
			{"last_login_at", seedNull, timeNull},
			{"failed_login_attempts", zero, zero},
			{"lock_until", seedNull, timeNull},
			{"is_deleted", isFalse, isFalse},
			{"deleted_at", seedNull, timeNull},
			{"re_activate_available_at", seedNull, timeNull},
			{"created_at", seedCreated, created},
			{"updated_at", seedUpdated, updated},
		},
		seed: []seedIndex{
			{"users_email_unique", []string{"email"}, "email"},
			{"email_idx", []string{"email"}, "email"},
			{"role_idx", []string{"role"}, "user_role"},
			{"is_deleted_idx", []string{"is_deleted"}, "user_is_deleted_deleted_at"},
		},
		here: map[string]string{
			"PRIMARY":                    "UNIQUE (id)",
			"email":                      "UNIQUE (email)",
			"user_provider_provider_id":  "UNIQUE (provider, provider_id)",
			"user_role":                  "(role)",
			"user_is_deleted_deleted_at": "(is_deleted, deleted_at)",
		},
		checks: map[string]string{"users_failed_login_attempts": "failed_login_attempts >= 0"},
	},
	{
		name: "otps",
		columns: []column{
			{"id", seedKey, key},
			{"email", seedText, exact},
			{"otp_hash_code", seedText, hash},
			{"next_resend_allowed_at", seedTime, time6},
			{"type", "enum('signin','email-verification','password-reset','password-change') NOT NULL",
				"enum('signin','email-verification','password-reset','password-change') COLLATE utf8mb4_bin NOT NULL"},
			{"expires_at", seedTime, time6},
			{"is_used", isFalse, isFalse},
			{"used_at", seedNull, timeNull},
			{"attempts", zero, zero},
			{"max_attempts", "int NOT NULL DEFAULT 5", "int NOT NULL DEFAULT 5"},
			{"created_at", seedCreated, created},
			{"updated_at", seedUpdated, updated},
		},
		seed: []seedIndex{
			{"email_type_idx", []string{"email", "type"}, "otp_email_type"},
			{"expires_at_idx", []string{"expires_at"}, "otp_expires_at"},
			{"is_used_idx", []string{"is_used"}, ""},
		},
		here: map[string]string{
			"PRIMARY":              "UNIQUE (id)",
			"otp_email_type":       "(email, type)",
			"otp_email_created_at": "(email, created_at)",
			"otp_expires_at":       "(expires_at)",
		},
		checks: map[string]string{"otps_attempts": "attempts between 0 and max_attempts"},
	},
	{
		name: "sessions",
		columns: []column{
			{"id", seedKey, key},
			{"user_id", "int NOT NULL", "bigint NOT NULL"},
			{"token_hash", seedText, hash},
			{"ip", "varchar(45) NULL", "varchar(45) COLLATE utf8mb4_bin NULL"},
			{"user_agent", seedOptText, optExact},
			{"is_active", isTrue, isTrue},
			{"last_used_at", seedCreated, created},
			{"expires_at", seedTime, time6},
			{"created_at", seedCreated, created},
			{"updated_at", seedUpdated, updated},
		},
		seed: []seedIndex{
			{"sessions_token_hash_unique", []string{"token_hash"}, "token_hash"},
			{"userId_idx", []string{"user_id"}, "session_user_id_is_active_last_used_at"},
			{"tokenHash_idx", []string{"token_hash"}, "token_hash"},
			{"isActive_idx", []string{"is_active"}, ""},
		},
		here: map[string]string{
			"PRIMARY":                                "UNIQUE (id)",
			"token_hash":                             "UNIQUE (token_hash)",
			"session_user_id_is_active_last_used_at": "(user_id, is_active, last_used_at)",
			"session_expires_at":                     "(expires_at)",
		},
		foreign: map[string]string{"sessions_users_sessions": "user_id REFERENCES users (id) ON DELETE CASCADE"},
	},
	{
		name: "refresh_tokens",
		columns: []column{
			{"id", seedKey, key},
			{"user_id", "int NOT NULL", "bigint NOT NULL"},
			{"token_hash", "text NOT NULL", hash},
			{"expires_at", seedTime, time6},
			{"is_revoked", isFalse, isFalse},
			{"revoked_at", seedNull, timeNull},
			{"replaced_by_token_hash", seedOptText, optHash},
			{"created_at", seedCreated, created},
			{"updated_at", seedUpdated, updated},
		},
		seed: []seedIndex{
			{"user_id_idx", []string{"user_id"}, "refreshtoken_user_id_is_revoked"},
			{"token_hash_idx", []string{"token_hash"}, "token_hash"},
			{"is_revoked_idx", []string{"is_revoked"}, ""},
			{"expires_at_idx", []string{"expires_at"}, "refreshtoken_expires_at"},
		},
		here: map[string]string{
			"PRIMARY":                         "UNIQUE (id)",
			"token_hash":                      "UNIQUE (token_hash)",
			"refreshtoken_user_id_is_revoked": "(user_id, is_revoked)",
			"refreshtoken_expires_at":         "(expires_at)",
		},
		foreign: map[string]string{"refresh_tokens_users_refresh_tokens": "user_id REFERENCES users " +
			"(id) ON DELETE CASCADE"},
	},
}

func TestTheTablesOnTheServerAreThoseOfTheContract(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		createTables(t, url)
		db := mysqltest.DB(t, url)
		mariaDB := strings.Contains(single[string](t, db, "SELECT VERSION()"), "MariaDB")

		for _, want := range contract {
			columns := make(map[string]string)
			for _, c := range want.columns {
				columns[c.name] = c.here
			}
			checks := want.checks
			if want.name == "users" && mariaDB {
				// JSON is text with a check there.
				columns["avatar"] = "longtext COLLATE utf8mb4_bin NULL"
				checks = map[string]string{"avatar": "json_valid(avatar)"}
				for name, clause := range want.checks {
					checks[name] = clause
				}
			}
			live := liveColumns(t, db, want.name)
			var added []string
			for name, here := range live {
				if _, ok := columns[name]; !ok {
					assertAdded(t, want.name, name, here, mariaDB)
					added = append(added, name)
					delete(live, name)
				}
			}
			// The indexes and constraints of added columns follow from ent/schema, too.
			isAdded := func(_, clause string) bool {
				return slices.ContainsFunc(words(clause), func(w string) bool { return slices.Contains(added, w) })
			}
			ofSeed := func(parts map[string]string) map[string]string {
				maps.DeleteFunc(parts, isAdded)
				return parts
			}
			assert.Equal(t, columns, live, want.name)
			indexes := liveIndexes(t, db, want.name)
			for name, clause := range indexes {
				if isAdded(name, clause) {
					row := fmt.Sprintf("\n| `%s` | `%s` %s | ", name, want.name, clause)
					assert.Contains(t, parityPage(t), row, "say on docs/seed-parity.md which query it serves")
				}
			}
			assert.Equal(t, want.here, ofSeed(indexes), want.name)
			assert.Equal(t, notNil(want.foreign), ofSeed(liveForeignKeys(t, db, want.name)), want.name)
			assert.Equal(t, notNil(checks), ofSeed(liveChecks(t, db, want.name, mariaDB)), want.name)
		}
		assert.ElementsMatch(t, registry.Tables(), column1(t, db, `SELECT table_name FROM information_schema.tables
			WHERE table_schema = DATABASE() AND table_name <> 'atlas_schema_revisions'`))
		assert.Equal(t, []string{"InnoDB utf8mb4_bin"}, column1(t, db, `SELECT DISTINCT CONCAT(engine, ' ',
			table_collation) FROM information_schema.tables
			WHERE table_schema = DATABASE() AND table_name <> 'atlas_schema_revisions'`))
	})
}

// assertAdded checks that docs/seed-parity.md has a column that the seed does not
// have, as it is on the server, and says why.
func assertAdded(t *testing.T, table, name, here string, mariaDB bool) {
	t.Helper()
	if !assert.True(t, registry.Table(table).HasColumn(name), "column %s.%s is not in ent/schema", table, name) {
		return
	}
	row := fmt.Sprintf("\n| `%s.%s` | `%s` | ", table, name, strings.ReplaceAll(here, "|", `\|`))
	if mariaDB && strings.HasPrefix(here, "longtext") { // its JSON
		row = fmt.Sprintf("\n| `%s.%s` | `json", table, name)
	}
	assert.Regexp(t, regexp.QuoteMeta(row)+`[^ |]`, parityPage(t), "column %s.%s is not in the seed: "+
		"say in its Comment in ent/schema why it is here, and run go generate ./ent", table, name)
}

func parityPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("docs/seed-parity.md")
	require.NoError(t, err)
	return string(text)
}

// words are those of SQL, without quotes.
func words(sql string) []string {
	return strings.FieldsFunc(sql, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// A table that the seed does not have is on the page, too.
func TestTheParityPageListsTheAddedTables(t *testing.T) {
	for _, e := range registry.Entities {
		if slices.ContainsFunc(contract, func(of table) bool { return of.name == e.Table }) {
			continue
		}
		row := fmt.Sprintf("\n| `%s` | a table | ", e.Table)
		assert.Regexp(t, regexp.QuoteMeta(row)+`[^ |]`, parityPage(t), "table %s is not in the seed: "+
			"say in a schema.Comment in ent/schema/%s what it holds, and run go generate ./ent", e.Table, e.File)
	}
}

// On MySQL the types of the columns refuse what cannot be compared, on SQLite a CHECK of each does.
func TestEveryColumnOnSQLiteHasACheck(t *testing.T) {
	url := mysqltest.SQLite(t)
	createTables(t, url)
	db := mysqltest.DB(t, url)
	for _, table := range registry.Tables() {
		definition := single[string](t, db, "SELECT sql FROM sqlite_master WHERE name = ?", table)
		for _, c := range registry.Table(table).Columns {
			if c.Type != field.TypeInt { // ids, which the keys keep right
				assert.Regexp(t, "CONSTRAINT `"+c.Name+"_is_[a-z0-9_]+` CHECK ", definition,
					"%s: return strict(…) from its Fields in ent/schema", table)
			}
		}
	}
}

func liveColumns(t *testing.T, db *sql.DB, table string) map[string]string {
	t.Helper()
	columns := make(map[string]string)
	for _, r := range rows(t, db, `SELECT column_name, column_type, COALESCE(collation_name, ''), is_nullable,
		COALESCE(column_default, 'NULL'), extra
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?`, table) {
		columns[r[0]] = definition(r[1], r[2], r[3] == "YES", r[4], r[5])
	}
	return columns
}

// definition spells a column in one way for both servers.
func definition(typ, collation string, nullable bool, value, extra string) string {
	// MariaDB shows the width at which an integer is displayed.
	typ = cmp.Or(map[string]string{"tinyint(1)": "boolean", "int(11)": "int", "bigint(20)": "bigint"}[typ], typ)
	def := typ
	if collation != "" {
		def += " COLLATE " + collation
	}
	if nullable {
		def += " NULL"
	} else {
		def += " NOT NULL"
	}
	// MariaDB shows an expression, so text is quoted there and NULL is written out.
	value = strings.Trim(value, "'")
	switch {
	case value == "NULL":
	case typ == "boolean":
		def += " DEFAULT " + map[string]string{"0": "false", "1": "true"}[value]
	case strings.HasPrefix(typ, "enum"):
		def += " DEFAULT '" + value + "'"
	default:
		def += " DEFAULT " + strings.ToUpper(value)
	}
	if extra = strings.TrimSpace(strings.TrimPrefix(extra, "DEFAULT_GENERATED")); extra != "" {
		def += " " + strings.ToUpper(extra)
	}
	return def
}

func liveIndexes(t *testing.T, db *sql.DB, table string) map[string]string {
	t.Helper()
	indexes := make(map[string]string)
	for _, r := range rows(t, db, `SELECT index_name, MAX(non_unique), GROUP_CONCAT(CONCAT(column_name,
		COALESCE(CONCAT('[', sub_part, ']'), '')) ORDER BY seq_in_index SEPARATOR ', ')
		FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?
		GROUP BY index_name`, table) {
		indexes[r[0]] = "(" + r[2] + ")"
		if r[1] == "0" {
			indexes[r[0]] = "UNIQUE " + indexes[r[0]]
		}
	}
	return indexes
}

func liveForeignKeys(t *testing.T, db *sql.DB, table string) map[string]string {
	t.Helper()
	keys := make(map[string]string)
	for _, r := range rows(t, db, `SELECT k.constraint_name, k.column_name, k.referenced_table_name,
		k.referenced_column_name, r.delete_rule, r.update_rule
		FROM information_schema.key_column_usage k
		JOIN information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema
		AND r.constraint_name = k.constraint_name
		WHERE k.table_schema = DATABASE() AND k.table_name = ?`, table) {
		keys[r[0]] = fmt.Sprintf("%s REFERENCES %s (%s) ON DELETE %s", r[1], r[2], r[3], r[4])
		// One behaviour with two names in InnoDB; MySQL shows the one, MariaDB the other.
		assert.Contains(t, []string{"NO ACTION", "RESTRICT"}, r[5], r[0])
	}
	return keys
}

func liveChecks(t *testing.T, db *sql.DB, table string, mariaDB bool) map[string]string {
	t.Helper()
	query := `SELECT c.constraint_name, c.check_clause FROM information_schema.check_constraints c
		JOIN information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema
		AND t.constraint_name = c.constraint_name
		WHERE t.table_schema = DATABASE() AND t.table_name = ? AND t.enforced = 'YES'`
	if mariaDB {
		query = `SELECT constraint_name, check_clause FROM information_schema.check_constraints
			WHERE constraint_schema = DATABASE() AND table_name = ?`
	}
	checks := make(map[string]string)
	for _, r := range rows(t, db, query, table) {
		clause := strings.ReplaceAll(r[1], "`", "")
		if !mariaDB {
			clause = strings.TrimSuffix(strings.TrimPrefix(clause, "("), ")")
		}
		checks[r[0]] = clause
	}
	return checks
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// rows are what query finds, as text.
func rows(t *testing.T, db *sql.DB, query string, args ...any) [][]string {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err, query)
	defer found.Close()
	names, err := found.Columns()
	require.NoError(t, err)
	var all [][]string
	for found.Next() {
		row := make([]string, len(names))
		dest := make([]any, len(names))
		for i := range row {
			dest[i] = &row[i]
		}
		require.NoError(t, found.Scan(dest...))
		all = append(all, row)
	}
	require.NoError(t, found.Err())
	return all
}

func column1(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	var values []string
	for _, row := range rows(t, db, query) {
		values = append(values, row[0])
	}
	return values
}

// An index of the seed that was kept or widened still serves whom it served.
func TestAnIndexOfTheSeedIsKeptOrLeadsItsSuccessor(t *testing.T) {
	for _, table := range contract {
		for _, index := range table.seed {
			if index.here == "" {
				continue
			}
			here, ok := table.here[index.here]
			if assert.True(t, ok, "%s.%s", table.name, index.here) {
				columns := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(here, "UNIQUE "), "("), ")")
				assert.True(t, strings.HasPrefix(columns+", ", strings.Join(index.columns, ", ")+", "),
					"%s.%s", table.name, index.name)
			}
		}
	}
}

// The enums of the seed are Go types with its values, in its order. What a team adds follows.
func TestTheGoTypesHaveTheValuesOfTheSeed(t *testing.T) {
	for name, values := range map[string][]string{
		"users.role":     schematype.Role("").Values(),
		"users.provider": schematype.Provider("").Values(),
		"otps.type":      schematype.OTPType("").Values(),
	} {
		tableName, columnName, _ := strings.Cut(name, ".")
		for _, table := range contract {
			for _, c := range table.columns {
				if table.name == tableName && c.name == columnName {
					of, _, _ := strings.Cut(c.seed, ")")
					assert.True(t, strings.HasPrefix("enum('"+strings.Join(values, "','")+"'", of), "%s: %v", name,
						values)
				}
			}
		}
	}
}

// The page's User, NewUser and so on.
var (
	_ = []any{(*ent.User)(nil), (*ent.OTP)(nil), (*ent.Session)(nil), (*ent.RefreshToken)(nil)}
	_ = []any{(*ent.UserCreate)(nil), (*ent.OTPCreate)(nil), (*ent.SessionCreate)(nil), (*ent.RefreshTokenCreate)(nil)}
)

func TestTheParityPageListsTheWholeContract(t *testing.T) {
	for _, table := range contract {
		_, section, ok := strings.Cut(parityPage(t), "\n## `"+table.name+"`\n")
		require.True(t, ok, "a section on %s", table.name)
		section, _, _ = strings.Cut(section, "\n## ")
		for _, c := range table.columns {
			here := "same"
			if c.here != c.seed {
				here = "`" + c.here + "`"
			}
			assert.Contains(t, section, fmt.Sprintf("\n| `%s` | `%s` | %s |", c.name, c.seed, here))
		}
		for _, index := range table.seed {
			here := "dropped"
			if index.here != "" {
				here = fmt.Sprintf("`%s` %s", index.here, table.here[index.here])
			}
			row := fmt.Sprintf("\n| `%s` (%s) | %s |", index.name, strings.Join(index.columns, ", "), here)
			assert.Contains(t, section, row)
		}
		for name := range table.here {
			if name != "PRIMARY" {
				assert.Contains(t, section, "`"+name+"`")
			}
		}
		for name, clause := range table.checks {
			assert.Contains(t, section, fmt.Sprintf("`%s`: %s", name, clause))
		}
		for name, clause := range table.foreign {
			assert.Contains(t, section, fmt.Sprintf("`%s`: %s", name, clause))
		}
	}
}
