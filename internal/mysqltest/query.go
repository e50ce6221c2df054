package mysqltest

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/require"
)

// Exec executes statements, which have to succeed.
func Exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err, s)
	}
}

// Value is the one value a query returns, as text.
func Value(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var v sql.NullString
	require.NoError(t, db.QueryRow(query, args...).Scan(&v), query)
	return v.String
}

// Another is a second fresh database on the server of url.
func Another(t testing.TB, url string) string {
	t.Helper()
	switch {
	case IsSQLite(url):
		return SQLite(t)
	case strings.HasPrefix(url, "mariadb"):
		return MariaDB(t)
	default:
		return MySQL(t)
	}
}

// Column is the first column of a query, as texts.
func Column(t testing.TB, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(query, args...)
	require.NoError(t, err, query)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v sql.NullString
		require.NoError(t, rows.Scan(&v))
		out = append(out, v.String)
	}
	require.NoError(t, rows.Err())
	return out
}

// Tables are the names of the tables of a database.
func Tables(t testing.TB, url string) []string {
	t.Helper()
	db := DB(t, url)
	defer db.Close()
	if IsSQLite(url) {
		return Column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "+
			"ORDER BY 1")
	}
	return Column(t, db, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1")
}

// revisionsTable is the table of Atlas's history.
const revisionsTable = "atlas_schema_revisions"

// counter is what the next row's number does to a definition.
var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// Dump is everything a database holds: definitions, rows, and what of the history is the same each time.
func Dump(t testing.TB, url string) string {
	t.Helper()
	db := DB(t, url)
	defer db.Close()
	var b strings.Builder
	var tables []string
	if IsSQLite(url) {
		Write(t, &b, db, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
		tables = Column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	} else {
		tables = Column(t, db, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "+
			"ORDER BY 1")
		for _, name := range tables {
			Write(t, &b, db, "SHOW CREATE TABLE `"+name+"`")
		}
		Write(t, &b, db, "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, "+
			"ACTION_STATEMENT, SQL_MODE "+
			"FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1")
		Write(t, &b, db, "SELECT ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE "+
			"FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY 1, 2")
	}
	for _, name := range tables {
		columns := "*"
		if name == revisionsTable {
			columns = "version, description, type, applied, total, error, error_stmt, hash, partial_hashes, " +
				"operator_version"
		}
		Write(t, &b, db, "SELECT "+columns+" FROM `"+name+"` ORDER BY 1")
	}
	return counter.ReplaceAllString(b.String(), "")
}

// Write prints the rows of a query.
func Write(t testing.TB, b *strings.Builder, db *sql.DB, query string) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err, query)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	fmt.Fprintln(b, "--", query)
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		require.NoError(t, rows.Scan(into...))
		for i, v := range values {
			// Views carry the name of their database.
			fmt.Fprintf(b, "%s=%q:%t ", columns[i], schemaName.ReplaceAllString(v.String, "`db`."), v.Valid)
		}
		fmt.Fprintln(b)
	}
	require.NoError(t, rows.Err())
}

var schemaName = regexp.MustCompile("`authgraph_test_[a-z0-9]+`\\.")

// Dialect is Ent's name for the kind of database at url.
func Dialect(url string) string {
	if IsSQLite(url) {
		return dialect.SQLite
	}
	return dialect.MySQL
}

// Definitions are the SHOW CREATE TABLE of the tables of the embedded directory.
func Definitions(t testing.TB, url string) map[string]string {
	t.Helper()
	db := DB(t, url)
	defer db.Close()
	all := map[string]string{}
	for _, name := range []string{"users", "otps", "sessions", "refresh_tokens"} {
		var text string
		require.NoError(t, db.QueryRow("SHOW CREATE TABLE "+name).Scan(new(string), &text))
		all[name] = counter.ReplaceAllString(text, "")
	}
	return all
}
