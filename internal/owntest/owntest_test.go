package owntest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/owntest"
	"github.com/authgraph/authgraph/internal/testserver"
)

func TestTheGraphAttachesToAUserOfTheProjectsOwn(t *testing.T) {
	t.Parallel()
	variants := owntest.Gate
	if os.Getenv("AUTHGRAPH_OWN_USER") == "matrix" {
		variants = owntest.Matrix()
	}
	program := filepath.Join(t.TempDir(), "authgraph")
	c := &club{dir: "../.."}
	c.run(t, "go", "build", "-o", program, "./cmd/authgraph")
	for _, v := range variants {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			attach(t, v, program)
		})
	}
}

// club is one project, with its database.
type club struct {
	owntest.Variant
	dir, url string
	old      string // its program without authgraph
	env      []string
}

// attach takes one project from a database with members to package auth on them.
func attach(t *testing.T, v owntest.Variant, authgraph string) {
	c := &club{Variant: v, dir: t.TempDir(), old: filepath.Join(t.TempDir(), "club")}
	c.url, c.env = database(t, v)
	c.bootstrap(t)
	if v.Versioned {
		require.NoError(t, os.MkdirAll(filepath.Join(c.dir, c.migrations()), 0o755))
		c.run(t, authgraph, "migrate", "diff", "create_members", "--dir", c.migrations())
		c.run(t, authgraph, "migrate", "apply", "--dir", c.migrations())
	}
	c.run(t, c.old, "start")
	for _, name := range []string{"ada", "bob", "carol"} {
		c.run(t, c.old, "join", name, name+"@club.example", "an old member's password")
	}
	c.run(t, "git", "init", "-q")
	c.run(t, "git", "add", ".")
	c.run(t, "git", "commit", "-q", "-m", "A club")

	t.Log(c.run(t, authgraph, "add", "schema", "auth", "--user", "Member", "--profile", v.Profile, "--rule", v.Rule(),
		"--with-auth", "--yes"))
	c.keepsItsOwn(t)
	c.decides(t)
	c.migratesBesideAWriter(t, authgraph)
	c.losesNothingByTheOldProgram(t)
	require.NoError(t, c.Write(c.dir, owntest.Tests))
	t.Log(c.run(t, "go", "test", "-count=1", "-v", "."))
	c.losesNothingByTheOldProgram(t)
}

// migrations is the folder of the project's migrations.
func (c *club) migrations() string {
	if c.SQLite() {
		return "migrate/sqlite"
	}
	return "migrate"
}

// decides is what the project's people decide: what tenant somebody who registers belongs to.
func (c *club) decides(t *testing.T) {
	rules := filepath.Join(c.dir, "auth", "internal", "graph", "rules.go")
	text, err := os.ReadFile(rules)
	require.NoError(t, err)
	assert.Contains(t, string(text), c.Rule())
	require.Contains(t, string(text), `SetTenantID("")`)
	decided := strings.Replace(string(text), `SetTenantID("")`, `SetTenantID("north")`, 1)
	require.NoError(t, os.WriteFile(rules, []byte(decided), 0o644))
}

// migratesBesideAWriter applies the migration while the old program adds and changes members.
func (c *club) migratesBesideAWriter(t *testing.T, authgraph string) {
	writer := c.command(t.Context(), c.old, "write")
	stop, err := writer.StdinPipe()
	require.NoError(t, err)
	says, err := writer.StdoutPipe()
	require.NoError(t, err)
	var wrong bytes.Buffer
	writer.Stderr = &wrong
	require.NoError(t, writer.Start())
	lines := bufio.NewScanner(says)
	lines.Scan()
	assert.Equal(t, "writing", lines.Text())
	args := []string{"migrate", "apply"}
	if !c.Versioned {
		files, err := filepath.Glob(filepath.Join(c.dir, c.migrations(), "*_baseline.sql"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		version, _, _ := strings.Cut(filepath.Base(files[0]), "_")
		args = append(args, "--baseline", version)
	}
	c.run(t, authgraph, args...)
	require.NoError(t, stop.Close())
	lines.Scan()
	assert.NoError(t, writer.Wait(), "the old program failed while the migration ran: %s", &wrong)
	t.Logf("%s members were added meanwhile", lines.Text())
}

// losesNothingByTheOldProgram starts the old program, as on a replica that was not updated yet.
func (c *club) losesNothingByTheOldProgram(t *testing.T) {
	held := mysqltest.Dump(t, c.url)
	c.run(t, c.old, "start")
	assert.Equal(t, held, mysqltest.Dump(t, c.url), "the old program changed what it does not know of")
}

// database is a fresh database of the variant, and the environment that names it.
func database(t *testing.T, v owntest.Variant) (url string, env []string) {
	dsn := ""
	switch v.Database {
	case "mysql":
		url = mysqltest.MySQL(t)
	case "mariadb":
		url = mysqltest.MariaDB(t)
	default:
		url = mysqltest.SQLite(t)
		dsn = "file:" + strings.TrimPrefix(url, "sqlite://") +
			"?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_time_format=sqlite"
		if v.Database == "mattn" {
			dsn = "file:" + strings.TrimPrefix(url, "sqlite://") + "?_fk=1&_busy_timeout=10000"
		}
	}
	if dsn == "" {
		config, err := testserver.Config(url)
		require.NoError(t, err)
		dsn = fmt.Sprintf("%s:%s@tcp(%s)/%s?parseTime=true&clientFoundRows=true",
			config.User, config.Passwd, config.Addr, config.DBName)
	}
	return url, []string{"DATABASE_URL=" + url, "CLUB_DSN=" + dsn}
}

// bootstrap writes the project, generates its client and builds its program.
func (c *club) bootstrap(t *testing.T) {
	require.NoError(t, c.Write(c.dir, owntest.Project))
	// With the requirements of this module, what they make is compiled already.
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile("../../" + name)
		require.NoError(t, err)
		text = bytes.Replace(text, []byte("github.com/authgraph/authgraph\n"), []byte("example.com/club\n"), 1)
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), text, 0o644))
	}
	if c.Database == "mattn" {
		c.run(t, "go", "get", "github.com/mattn/go-sqlite3@v1.14.53")
	}
	c.run(t, "go", "generate", "./ent")
	if !c.Bare {
		require.NoError(t, c.Write(c.dir, owntest.Later))
		c.run(t, "go", "generate", "./ent")
	}
	c.run(t, "go", "build", "-o", c.old, ".")
}

// keepsItsOwn checks that the files of the project differ in one line at most. Those that are generated, and the go
// command's, are not its own.
func (c *club) keepsItsOwn(t *testing.T) {
	changed := 0
	for line := range strings.Lines(c.run(t, "git", "diff", "--numstat")) {
		fields := strings.Fields(line)
		added, removed, name := fields[0], fields[1], fields[2]
		text, err := os.ReadFile(filepath.Join(c.dir, name))
		require.NoError(t, err, "%s is gone", name)
		if strings.HasPrefix(name, "go.") || generated.Match(text) || filepath.Base(name) == "atlas.sum" ||
			strings.HasPrefix(name, "ent/internal/") {
			continue
		}
		assert.Equal(t, "1 0", added+" "+removed, "%s has lines added and removed", name)
		changed++
	}
	assert.LessOrEqual(t, changed, 1, "files of the project changed")
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// run runs a command in the project's folder and returns what it printed.
func (c *club) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := c.command(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

func (c *club) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	// What one project has compiled is not compiled again for another one in another folder.
	cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"), "CLUB_PROGRAM="+c.old,
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	return cmd
}
