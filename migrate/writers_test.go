package migrate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// What a program of another language writes into a SQLite file either is refused or compares as it should: as text with
// a time of ours, and as a boolean.
func TestOtherProgramsWriteIntoSQLiteWhatComparesRightly(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dirtest.Apply(t, url, nil)
	db := mysqltest.DB(t, url)
	mysqltest.Exec(t, db, addUser)
	file := strings.TrimPrefix(url, "sqlite://")

	shell(t, file)
	program(t, "python3", "testdata/writers/write.py", file)
	assertComparable(t, url,
		"python future datetime in UTC", "python future datetime to the second", "python future naive datetime of UTC",
		"python future strftime", "python future strftime with microseconds",
		"shell future datetime", "shell future strftime", "shell future with offset",
		"python on bool True", "python on int 1", "python on float 1.0", "python on str 1",
		"python off bool False", "python off int 0", "python off float 0.0", "python off str 0",
		"shell on true", "shell on 1", "shell off false", "shell off 0",
	)
	if os.Getenv(drizzletest.WithoutNPM) == "1" {
		return
	}
	work := t.TempDir()
	require.NoError(t, os.CopyFS(work, os.DirFS("testdata/writers")))
	require.NoError(t, os.Symlink(drizzletest.NodeModules(t, "testdata/writers"), filepath.Join(work, "node_modules")))
	// This build of SQLite for Node opens no file with a write-ahead log.
	plain := filepath.Join(work, "plain.db")
	mysqltest.Exec(t, db, "DELETE FROM sessions", "VACUUM INTO '"+plain+"'")
	program(t, "node", filepath.Join(work, "write.mjs"), plain)
	assertComparable(t, "sqlite://"+plain,
		"node future toISOString without T and Z", "node future toISOString with another end",
		"node on boolean true", "node on number 1", "node on bigint 1", "node on string 1",
		"node off boolean false", "node off number 0", "node off bigint 0", "node off string 0",
	)
}

// assertComparable checks every session of a file against what its label says, and that the labels are those that are
// accepted.
func assertComparable(t *testing.T, url string, accepted ...string) {
	t.Helper()
	rows, err := mysqltest.DB(t, url).QueryContext(t.Context(),
		"SELECT token_hash, expires_at, expires_at > ?, is_active FROM sessions", time.Now().UTC())
	require.NoError(t, err)
	defer rows.Close()
	var stored []string
	for rows.Next() {
		var label string
		var expires time.Time
		var later, active bool
		require.NoError(t, rows.Scan(&label, &expires, &later, &active))
		stored = append(stored, strings.Replace(label, " past ", " future ", 1))
		switch strings.Fields(label)[1] {
		case "past", "future":
			assert.Equal(t, strings.Fields(label)[1] == "future", later, label)
			assert.WithinDuration(t, time.Now(), expires, 30*time.Minute, label)
		default:
			assert.Equal(t, strings.Fields(label)[1] == "on", active, label)
		}
	}
	require.NoError(t, rows.Err())
	assert.Subset(t, accepted, stored)
	assert.Subset(t, stored, accepted)
}

func program(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out[max(0, len(out)-1000):])
}

// shell writes with the sqlite3 command.
func shell(t *testing.T, file string) {
	t.Helper()
	var script strings.Builder
	insert := func(label, columns, values string) {
		fmt.Fprintf(&script, "INSERT INTO sessions (user_id, token_hash, %s) VALUES (1, 'shell %s', %s);\n",
			columns, label, values)
	}
	for when, shift := range map[string]string{"past": "'-1 minute'", "future": "'+1 minute'"} {
		for label, value := range map[string]string{
			"datetime":           "datetime('now', " + shift + ")",
			"strftime":           "strftime('%Y-%m-%d %H:%M:%f', 'now', " + shift + ")",
			"with offset":        "datetime('now', " + shift + ") || '+00:00'",
			"with T":             "strftime('%Y-%m-%dT%H:%M:%S', 'now', " + shift + ")",
			"with T and Z":       "strftime('%Y-%m-%dT%H:%M:%SZ', 'now', " + shift + ")",
			"with Z":             "datetime('now', " + shift + ") || 'Z'",
			"in Kathmandu":       "datetime('now', '+345 minutes', " + shift + ") || '+05:45'",
			"seconds":            "strftime('%s', 'now', " + shift + ")",
			"seconds as integer": "CAST(strftime('%s', 'now', " + shift + ") AS integer)",
			"Julian day":         "julianday('now', " + shift + ")",
			"date":               "date('now', " + shift + ")",
			"to the minute":      "strftime('%Y-%m-%d %H:%M', 'now', " + shift + ")",
			"bytes":              "CAST(datetime('now', " + shift + ") AS blob)",
			"padded":             "' ' || datetime('now', " + shift + ")",
			"word":               "'now'",
		} {
			insert(when+" "+label, "expires_at", value)
		}
	}
	for when, values := range map[string][]string{
		"on":  {"true", "1", "'true'", "'yes'", "x'01'", "2", "0.5"},
		"off": {"false", "0", "'false'", "'no'", "x'00'", "''"},
	} {
		for _, value := range values {
			insert(when+" "+strings.ReplaceAll(value, "'", "''"), "expires_at, is_active",
				"'2026-01-31 12:00:00', "+value)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sqlite3", "-cmd", ".timeout 10000", file)
	cmd.Stdin = strings.NewReader(script.String())
	out, _ := cmd.CombinedOutput() // it fails where one statement does, and goes on
	for line := range strings.Lines(string(out)) {
		require.Contains(t, line, "CHECK constraint failed")
	}
}
