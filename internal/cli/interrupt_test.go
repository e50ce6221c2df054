package cli_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// installed is the program as testscript.Main put it on the path.
func installed(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("authgraph")
	require.NoError(t, err)
	return program
}

// running is a program that was started and will be interrupted.
type running struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func start(t *testing.T, program, url string, args ...string) *running {
	t.Helper()
	r := &running{Cmd: exec.CommandContext(t.Context(), program, args...)}
	r.Dir = t.TempDir()
	r.Env = append(os.Environ(), "DATABASE_URL="+url, "TMPDIR="+r.Dir, "GORACE="+goRace)
	r.Stdout, r.Stderr = &r.stdout, &r.stderr
	return r
}

// interrupt sends a signal and waits for the end.
func (r *running) interrupt(t *testing.T, signal os.Signal) {
	t.Helper()
	require.NoError(t, r.Process.Signal(signal))
	// As timeout(1) does, which is still meant as one.
	_ = r.Process.Signal(signal) // the process may have ended
	err := r.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "stderr: %s", &r.stderr)
	assert.Equal(t, 130, exit.ExitCode(), "stderr: %s", &r.stderr)
	assert.Contains(t, r.stderr.String(), "authgraph: interrupted: ")
	assert.Equal(t, 1, strings.Count(r.stderr.String(), "authgraph: "))
}

// statement is one that runs on a server.
type statement struct{ database, state, text string }

// statements are those that run now. Not read from information_schema: on
// MySQL that fails while any of them holds a character outside utf8mb3.
func statements(t *testing.T, server *sql.DB) (running []statement) {
	t.Helper()
	rows, err := server.Query("SHOW FULL PROCESSLIST")
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		require.NoError(t, rows.Scan(dest...))
		running = append(running, statement{database: row[3].String, state: row[6].String, text: row[7].String})
	}
	require.NoError(t, rows.Err())
	return running
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	program := installed(t)
	tests := map[string]func(t *testing.T, program string){
		"diff drops the scratch database": interruptedDiff,
		"diff removes the scratch file":   interruptedDiffOnSQLite,
		"apply goes on":                   interruptedApply,
		"demo leaves no rows":             interruptedDemo,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

func interruptedDiff(t *testing.T, program string) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				server := mysqltest.DB(t, url)
				// The number makes the statement findable among those of other tests.
				sleep := fmt.Sprintf("DO SLEEP(60.%09d)", time.Now().UnixNano()%1e9)
				r := start(t, program, url, "migrate", "diff", "x", "--dry-run", "--to", "slow.sql")
				require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "slow.sql"), []byte(sleep+";\n"), 0o644))
				require.NoError(t, r.Start())

				var scratch string
				mysqltest.Eventually(t, "the statement runs", func() bool {
					for _, s := range statements(t, server) {
						if s.text == sleep {
							scratch = s.database
						}
					}
					return scratch != ""
				})
				require.True(t, strings.HasPrefix(scratch, "authgraph_dev_"), scratch)
				r.interrupt(t, signal)

				var left int
				require.NoError(t, server.QueryRow("SELECT COUNT(*) FROM information_schema.schemata "+
					"WHERE schema_name = ?", scratch).Scan(&left))
				assert.Zero(t, left)
				assert.Empty(t, r.stdout.String())
			})
		})
	}
}

func interruptedDiffOnSQLite(t *testing.T, program string) {
	r := start(t, program, "sqlite://app.db", "migrate", "diff", "x", "--dry-run", "--to", "slow.sql")
	endless := "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n;\n"
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "slow.sql"), []byte(endless), 0o644))
	require.NoError(t, r.Start())
	scratch := func() []string {
		files, err := filepath.Glob(filepath.Join(r.Dir, "authgraph_dev_*", "dev.db"))
		require.NoError(t, err)
		return files
	}
	mysqltest.Eventually(t, "the scratch file is made", func() bool { return len(scratch()) > 0 })
	r.interrupt(t, syscall.SIGINT)
	assert.Empty(t, scratch())
	assert.NoFileExists(t, filepath.Join(r.Dir, "app.db"))
}

// An apply that is interrupted while a statement waits for a lock says how to go on, and a further one does.
func interruptedApply(t *testing.T, program string) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		server := mysqltest.DB(t, url)
		database := databaseOf(t, server)
		_, err := server.Exec("CREATE TABLE fruit (id int PRIMARY KEY)")
		require.NoError(t, err)
		tx, err := server.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		// It keeps ALTER TABLE from starting.
		_, err = tx.Exec("SELECT * FROM fruit")
		require.NoError(t, err)

		apply := func() *running {
			return start(t, program, url, "migrate", "apply", "--allow-dirty", "--dir", ".")
		}
		files := t.TempDir()
		r := apply()
		r.Dir = files
		require.NoError(t, os.WriteFile(filepath.Join(files, "1_pick.sql"),
			[]byte("ALTER TABLE fruit ADD COLUMN picked int NULL;\n"), 0o644))
		hash := start(t, program, url, "migrate", "hash", "--dir", ".")
		hash.Dir = files
		require.NoError(t, hash.Run())
		require.NoError(t, r.Start())
		mysqltest.Eventually(t, "the statement waits", func() bool {
			return slices.ContainsFunc(statements(t, server), func(s statement) bool {
				return strings.HasPrefix(s.text, "ALTER TABLE") && s.database == database &&
					strings.Contains(s.state, "metadata lock")
			})
		})
		r.interrupt(t, syscall.SIGINT)
		assert.Contains(t, r.stderr.String(), "1_pick.sql:1: statement 1 of 1 failed, 0 stay applied")
		assert.Contains(t, r.stderr.String(),
			"run authgraph migrate apply --dir . again: it finds out whether the statement took effect, and goes on")

		status := start(t, program, url, "migrate", "status", "--dir", ".")
		status.Dir = files
		require.NoError(t, status.Run())
		assert.Contains(t, status.stdout.String(), "half applied  1_pick.sql: 0 of 1 statements")
		assert.Contains(t, status.stdout.String(), "was cut off while running")

		require.NoError(t, tx.Rollback())
		again := apply()
		again.Dir = files
		require.NoError(t, again.Run(), "stderr: %s", &again.stderr)
		assert.Contains(t, again.stdout.String(), "applied 1 migration: the database is at version 1\n")
		_, err = server.Exec("SELECT picked FROM fruit")
		assert.NoError(t, err)
	})
}

// The demo is interrupted while its insert waits for a lock.
func interruptedDemo(t *testing.T, program string) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		server := mysqltest.DB(t, url)
		require.NoError(t, start(t, program, url, "demo").Run())
		database := databaseOf(t, server)
		// The gap before the first row is locked: users and sessions can be made, refresh tokens cannot.
		tx, err := server.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("DELETE FROM refresh_tokens")
		require.NoError(t, err)
		r := start(t, program, url, "demo")
		require.NoError(t, r.Start())
		mysqltest.Eventually(t, "the insert waits", func() bool {
			return slices.ContainsFunc(statements(t, server), func(s statement) bool {
				return strings.HasPrefix(s.text, "INSERT INTO `refresh_tokens`") && s.database == database
			})
		})
		r.interrupt(t, syscall.SIGINT)
		require.NoError(t, tx.Rollback())
		for _, table := range []string{"users", "otps", "sessions", "refresh_tokens"} {
			mysqltest.Eventually(t, table+" is empty again", func() bool {
				// A plain SELECT would not see what another transaction still holds.
				var n int
				require.NoError(t, server.QueryRow("SELECT COUNT(*) FROM "+table+" FOR UPDATE").Scan(&n))
				return n == 0
			})
		}
	})
}

func databaseOf(t *testing.T, server *sql.DB) (name string) {
	t.Helper()
	require.NoError(t, server.QueryRow("SELECT DATABASE()").Scan(&name))
	return name
}
