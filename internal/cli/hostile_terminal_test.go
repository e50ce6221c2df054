//go:build linux

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// evil rewrites the line it stands on, colours what follows, names the window, and turns the rest around.
const evil = "a\x1b[2K\rb\x1b]0;owned\ac\u202ed\u200be\u009b31mf\b"

// A name, a comment or a file that comes from elsewhere does not act on the terminal of whoever looks at it, whichever
// command shows it. A pipe gets it as it is.
func TestNothingFromElsewhereActsOnATerminal(t *testing.T) {
	t.Parallel()
	program := installed(t)
	mysqltest.Each(t, func(t *testing.T, url string) {
		sqlite := mysqltest.IsSQLite(url)
		db := mysqltest.DB(t, url)
		for _, stmt := range hostileTables(sqlite) {
			_, err := db.Exec(stmt)
			require.NoError(t, err, "%q", stmt)
		}
		dir := t.TempDir()
		for name, text := range map[string]string{
			"1_first.sql": "CREATE TABLE t (id int);\n",
			"2_second" + strings.ReplaceAll(evil, "/", "") + ".sql": "-- " + evil + "\nCREATE TABLE u (id int /* " +
				evil + " */, `" + evil + "` int);\nDROP TABLE t;\n",
		} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
		var empty string
		switch scheme, _, _ := strings.Cut(url, "://"); scheme {
		case "mysql":
			empty = mysqltest.MySQL(t)
		case "mariadb":
			empty = mysqltest.MariaDB(t)
		default:
			empty = mysqltest.SQLite(t)
		}
		for _, test := range []struct {
			args  []string
			exact bool // whether a pipe gets the raw characters
		}{
			{[]string{"inspect", url}, true},
			{[]string{"inspect", url, "--format", "hcl"}, false},
			{[]string{"inspect", url, "--format", "json"}, false},
			{[]string{"inspect", url, "--format", "mermaid"}, false},
			{[]string{"inspect", url, "--format", "svg"}, false},
			{[]string{"diff", url, "schema"}, !sqlite}, // SQLite copies the table, without the column
			{[]string{"diff", "schema", url}, true},
			{[]string{"doctor", "--url", url}, false},
			{[]string{"adopt", "--url", url}, false},
			{[]string{"migrate", "hash", "--dir", dir}, false},
			{[]string{"migrate", "validate", "--dir", dir}, false},
			{[]string{"migrate", "validate", "--dir", dir + evil}, false},
			{[]string{"migrate", "lint", "--dir", dir, "--url", empty}, false},
			{[]string{"migrate", "lint", "--dir", dir, "--url", empty, "--format", "github"}, false},
			{[]string{"migrate", "apply", "--dir", dir, "--url", empty, "--dry-run"}, true},
			{[]string{"migrate", "status", "--dir", dir, "--url", empty}, true},
			{[]string{"migrate", "apply", "--dir", dir, "--url", empty, "--verbose"}, true},
			{[]string{"migrate", "status", "--dir", dir, "--url", empty}, true},
			{[]string{"migrate", "status", "--dir", dir, "--url", url}, false},
			{[]string{"migrate", evil}, false},
			{[]string{"add", "schema", evil}, false},
			{[]string{"--" + evil}, false},
		} {
			r := start(t, program, url, test.args...)
			r.Env = append(r.Env, "TERM=xterm", "NO_COLOR=1")
			shown, _ := typeInto(t, r.Cmd, "") // some of them find something
			for line := range strings.Lines(shown) {
				line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
				if !strings.Contains(line, "% |") { // the bar goes back to the begin of its line
					assert.NotContains(t, line, "\r", "%q", test.args)
				}
				for _, r := range strings.ReplaceAll(line, "\r", "") {
					if r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf) {
						assert.Failf(t, "a raw character", "%U of %q in %q", r, test.args, line)
						break
					}
				}
			}
			if test.exact {
				assert.Contains(t, shown, "<U+001B>", test.args)
				assert.Contains(t, shown, "warning: the output is not exact", test.args)
			}
		}
		for _, args := range [][]string{{"inspect", url}, {"diff", "schema", url}} {
			r := start(t, program, url, args...)
			var out bytes.Buffer
			r.Stdout = &out
			_ = r.Run() // diff finds something
			assert.Contains(t, out.String(), evil, args)
		}
	})
}

// hostileTables hold what a stranger may put into a database.
func hostileTables(sqlite bool) []string {
	if sqlite {
		return []string{
			"CREATE TABLE users (id integer PRIMARY KEY, `" + evil + "` text DEFAULT '" + evil + "')",
			"CREATE TABLE `" + evil + "` (id integer PRIMARY KEY)",
			"CREATE INDEX `i" + evil + "` ON users (`" + evil + "`)",
		}
	}
	return []string{
		"CREATE TABLE users (id int PRIMARY KEY COMMENT '" + evil + "', `" + evil + "` varchar(90) DEFAULT '" + evil +
			"', e enum('" + evil + "')) COMMENT '" + evil + "'",
		"CREATE TABLE `" + evil + "` (id int PRIMARY KEY)",
		"CREATE INDEX `i" + evil + "` ON users (`" + evil + "`)",
		"CREATE TRIGGER `tr" + evil + "` BEFORE INSERT ON users FOR EACH ROW SET @x = 1",
	}
}
