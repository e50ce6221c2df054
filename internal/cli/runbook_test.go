package cli_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// incident is a section of docs/runbook.md and its commands.
type incident struct{ title, script string }

var (
	sections     = regexp.MustCompile(`(?m)^## `)
	shellOfBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
)

// incidents are those of the page, each with all of its commands in one script.
func incidents(t *testing.T) (list []incident) {
	t.Helper()
	page, err := os.ReadFile("../../docs/runbook.md")
	require.NoError(t, err)
	for _, section := range sections.Split(string(page), -1)[1:] {
		title, _, _ := strings.Cut(section, "\n")
		script := ""
		for _, block := range shellOfBlock.FindAllStringSubmatch(section, -1) {
			script += block[1]
		}
		list = append(list, incident{title, script})
	}
	return list
}

// befallen is what an incident finds in the database, beside the persons, and what its commands have to leave there:
// the answer to a query.
var befallen = map[string]struct{ before, query, answer string }{
	"1. A session or refresh token was stolen": {
		query: `SELECT (SELECT COUNT(*) FROM sessions WHERE user_id = 1 AND is_active = 1)
			+ (SELECT COUNT(*) FROM refresh_tokens WHERE user_id = 1 AND is_revoked = 0)`,
		answer: "0",
	},
	"2. A reuse was detected": {
		query: `SELECT COUNT(*) FROM sessions WHERE user_id = 2 AND is_active = 1`, answer: "0",
	},
	"3. A key of the service leaked": {
		query: `SELECT COUNT(*) FROM sessions
			WHERE is_active = 1 AND user_id IN (SELECT id FROM users WHERE role = 'admin')`,
		answer: "0",
	},
	"5. A wave of users is locked out": {
		before: `UPDATE users SET guess_failures = 50 WHERE id IN (2, 3, 4)`,
		query:  `SELECT SUM(guess_failures) FROM users`, answer: "0",
	},
	"6. An account was taken over": {
		query: `SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id
			WHERE u.email = 'carol@example.com' AND s.is_active = 1 OR u.suspended_until IS NOT NULL`,
		answer: "0",
	},
	"7. A device was lost": {
		query: `SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id
			WHERE u.email = 'dave@example.com' AND s.is_active = 1`,
		answer: "1",
	},
	"8. Somebody has a wrong role": {
		query: `SELECT role FROM users WHERE email = 'mallory@example.com'`, answer: "user",
	},
	"9. The disk is full": {
		before: `INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at)
			VALUES ('ada@example.com', 'a', 'signin', '2026-01-01 00:00:00', '2026-01-01 00:00:00')`,
		query: `SELECT COUNT(*) FROM otps`, answer: "0",
	},
	halfWay: {
		query: `SELECT COUNT(*) FROM userz WHERE b IS NULL`, answer: "0",
	},
	"12. The database was restored from a backup": {
		query: `SELECT (SELECT COUNT(*) FROM sessions WHERE is_active = 1)
			+ (SELECT COUNT(*) FROM refresh_tokens WHERE is_revoked = 0)`,
		answer: "0",
	},
	"15. A person asks to be erased": {
		query: `SELECT COUNT(*) FROM users WHERE email = 'erin@example.com'`, answer: "0",
	},
}

const halfWay = "10. A migration stopped half way"

// persons have a phone each, and a session of another device. Mallory is an admin.
var persons = []string{"ada", "bob", "carol", "dave", "erin", "mallory"}

// TestTheRunbookIsRun runs the commands of each incident on a database of its own, as a shell does.
func TestTheRunbookIsRun(t *testing.T) {
	t.Parallel()
	list := incidents(t)
	require.Len(t, list, 15)
	known := map[string]bool{}
	for _, in := range list {
		known[in.title] = true
		assert.NotEmpty(t, in.script, "%s has no commands", in.title)
	}
	for title := range befallen {
		assert.True(t, known[title], "the page has no incident %q any more", title)
	}
	program := installed(t)
	mysqltest.Each(t, func(t *testing.T, url string) {
		for i, in := range list {
			if i > 0 {
				url = mysqltest.Another(t, url)
			}
			runIncident(t, program, url, in)
		}
	})
}

// addPersons adds the persons. The first one has a session with a token.
func addPersons(t *testing.T, db *sql.DB, token string) {
	t.Helper()
	hash := sha256.Sum256([]byte(token))
	for i, name := range persons {
		role, phone := "user", name+"-a"
		if name == "mallory" {
			role = "admin"
		}
		if i == 0 {
			phone = hex.EncodeToString(hash[:])
		}
		for _, stmt := range []string{
			fmt.Sprintf(`INSERT INTO users (id, name, email, role) VALUES (%d, '%s', '%[2]s@example.com', '%s')`,
				i+1, name, role),
			fmt.Sprintf(`INSERT INTO sessions (user_id, token_hash, user_agent, family, expires_at)
				VALUES (%d, '%s', 'lost-phone', '%s', '2037-01-01 00:00:00'),
				(%[1]d, '%[3]s-b', 'laptop', NULL, '2037-01-01 00:00:00')`, i+1, phone, name),
			fmt.Sprintf(`INSERT INTO refresh_tokens (user_id, token_hash, family, expires_at)
				VALUES (%d, '%s', '%[2]s', '2037-01-01 00:00:00')`, i+1, name),
		} {
			_, err := db.Exec(stmt)
			require.NoError(t, err)
		}
	}
}

// stopHalfWay has a migration stop at its second statement, and then removes the cause.
func stopHalfWay(t *testing.T, program, url, dir string) {
	t.Helper()
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DATABASE_URL="+url, "GORACE="+goRace)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"migrate", "apply"}, {"migrate", "new", "stops"}} {
		out, err := run(args...)
		require.NoError(t, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "migrate", "*_stops.sql"))
	require.NoError(t, err)
	lite, err := filepath.Glob(filepath.Join(dir, "migrate", "sqlite", "*_stops.sql"))
	require.NoError(t, err)
	files = append(files, lite...)
	require.Len(t, files, 1)
	require.NoError(t, os.WriteFile(files[0], []byte("CREATE TABLE first_half (a int);\n"+
		"ALTER TABLE userz ADD COLUMN b int NULL;\n"), 0o600))
	out, err := run("migrate", "hash")
	require.NoError(t, err, out)
	out, err = run("migrate", "apply")
	require.Error(t, err, out)
	_, err = mysqltest.DB(t, url).Exec("CREATE TABLE userz (a int)")
	require.NoError(t, err)
}

func runIncident(t *testing.T, program, url string, in incident) {
	t.Helper()
	const token = "a-token-that-was-found"
	what := befallen[in.title]
	db := mysqltest.DB(t, url)
	dir := t.TempDir()
	if in.title == halfWay {
		dir = repository(t)
		stopHalfWay(t, program, url, dir)
	} else {
		migratedtest.Apply(t, url)
		addPersons(t, db, token)
	}
	if what.before != "" {
		_, err := db.Exec(what.before)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token.txt"), []byte(token+"\n"), 0o600))
	// What doctor finds is an answer, and no failure of the page.
	const prelude = `authgraph() { command authgraph "$@" || { code=$?; test "$1 $code" = "doctor 3"; }; }
`
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", prelude+in.script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "DATABASE_URL="+url,
		"GORACE="+goRace)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", in.title, out)
	assert.NotContains(t, string(out), token, in.title)
	if what.query != "" {
		var answer string
		require.NoError(t, db.QueryRow(what.query).Scan(&answer), in.title)
		assert.Equal(t, what.answer, answer, "%s\n%s", in.title, out)
	}
}
