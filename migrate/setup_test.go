package migrate_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// The variables that make the test binary an apply of its own, for tests that
// end a whole process.
const (
	childURL  = "AUTHGRAPH_TEST_CHILD_URL"
	childDir  = "AUTHGRAPH_TEST_CHILD_DIR"
	childStep = "AUTHGRAPH_TEST_CHILD_STEP"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child applies, prints a line for every call of Progress and, if asked to,
// goes on only when it has read a line.
func child() int {
	opts := migrate.ApplyOptions{}
	if path := os.Getenv(childDir); path != "" {
		dir, err := migrate.OpenDir(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		opts.Dir = dir
	}
	in := bufio.NewReader(os.Stdin)
	opts.Progress = func(p migrate.Progress) {
		switch {
		case p.Waiting:
			fmt.Println("waiting")
			return
		case p.Done:
			fmt.Println("done", p.Step)
		default:
			fmt.Println("begin", p.Step)
		}
		if os.Getenv(childStep) != "" {
			_, _ = in.ReadString('\n') // an end of input means go on, too
		}
	}
	report, err := migrate.Apply(context.Background(), os.Getenv(childURL), opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("applied", len(report.Applied))
	return 0
}

// applyInChild is a process that applies the directory at path; an empty path
// is the embedded one.
func applyInChild(t *testing.T, url, path string, env ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childURL+"="+url, childDir+"="+path)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// files are the contents of a directory by name.
type files map[string]string

// folder writes the files and their checksums to a folder of the test.
func folder(t testing.TB, content files) string {
	t.Helper()
	path := t.TempDir()
	for name, text := range content {
		put(t, path, name, text)
	}
	require.NoError(t, migrate.Hash(open(t, path)))
	return path
}

func put(t testing.TB, path, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte(text), 0o644))
}

// edit replaces the files of a folder and accepts the change.
func edit(t testing.TB, path string, content files) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(path, "*.sql"))
	require.NoError(t, err)
	for _, name := range old {
		require.NoError(t, os.Remove(name))
	}
	for name, text := range content {
		put(t, path, name, text)
	}
	require.NoError(t, migrate.Hash(open(t, path)))
}

func open(t testing.TB, path string) migrate.Dir {
	t.Helper()
	dir, err := migrate.OpenDir(path)
	require.NoError(t, err)
	return dir
}

func directory(t testing.TB, content files) migrate.Dir {
	t.Helper()
	return open(t, folder(t, content))
}

// embedded are the files compiled into the package for the database at url.
func embedded(t testing.TB, url string) files {
	t.Helper()
	name := dialect.MySQL
	if isSQLite(url) {
		name = dialect.SQLite
	}
	dir, err := migrate.Embedded(name)
	require.NoError(t, err)
	all, err := dir.Files()
	require.NoError(t, err)
	content := files{}
	for _, f := range all {
		content[f.Name()] = string(f.Bytes())
	}
	return content
}

// apply applies a directory, which has to succeed.
func apply(t testing.TB, url string, dir migrate.Dir) *migrate.Report {
	t.Helper()
	report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.NoError(t, err)
	return report
}

func run(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err, s)
	}
}

// value is the one value a query returns, as text.
func value(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var v sql.NullString
	require.NoError(t, db.QueryRow(query, args...).Scan(&v), query)
	return v.String
}

func isSQLite(url string) bool { return strings.HasPrefix(url, "sqlite:") }

// another is a second fresh database on the server of url.
func another(t testing.TB, url string) string {
	t.Helper()
	switch {
	case isSQLite(url):
		return mysqltest.SQLite(t)
	case strings.HasPrefix(url, "mariadb"):
		return mysqltest.MariaDB(t)
	default:
		return mysqltest.MySQL(t)
	}
}

// counter is what the next row's number does to a definition.
var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// dump is everything a database holds: definitions, rows, and what of the
// history is the same each time.
func dump(t testing.TB, url string) string {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	var b strings.Builder
	var tables []string
	if isSQLite(url) {
		write(t, &b, db, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
		tables = column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	} else {
		tables = column(t, db, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1")
		for _, name := range tables {
			write(t, &b, db, "SHOW CREATE TABLE `"+name+"`")
		}
		write(t, &b, db, "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, SQL_MODE "+
			"FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1")
		write(t, &b, db, "SELECT ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE "+
			"FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY 1, 2")
	}
	for _, name := range tables {
		columns := "*"
		if name == migrate.RevisionsTable {
			columns = "version, description, type, applied, total, error, error_stmt, hash, partial_hashes, operator_version"
		}
		write(t, &b, db, "SELECT "+columns+" FROM `"+name+"` ORDER BY 1")
	}
	return counter.ReplaceAllString(b.String(), "")
}

// write prints the rows of a query.
func write(t testing.TB, b *strings.Builder, db *sql.DB, query string) {
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

func column(t testing.TB, db *sql.DB, query string, args ...any) []string {
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

// tables are the names of the tables of a database.
func tables(t testing.TB, url string) []string {
	t.Helper()
	db := mysqltest.DB(t, url)
	defer db.Close()
	if isSQLite(url) {
		return column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
	}
	return column(t, db, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1")
}

// eventually waits until ok, which another connection or process has to bring
// about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		require.True(t, time.Now().Before(deadline), "%s did not happen", what)
		time.Sleep(2 * time.Millisecond)
	}
}

// names are the names of the files, in order.
func (f files) names() []string { return slices.Sorted(maps.Keys(f)) }

// with is the files with some of them added or replaced.
func (f files) with(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// without is the files but one.
func (f files) without(name string) files {
	rest := maps.Clone(f)
	delete(rest, name)
	return rest
}

// isSum reports whether text is a checksum as Atlas writes it.
func isSum(text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(b) == 32
}
