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
	"slices"
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
	guide := commands(t)
	for _, v := range variants {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			attach(t, v, filepath.Dir(program), guide)
		})
	}
}

// step is a command of the page, and what the page shows of its output.
type step struct{ command, shown string }

// commands are those of docs/own-user.md.
func commands(t *testing.T) (list []*step) {
	text, err := os.ReadFile("../../docs/own-user.md")
	require.NoError(t, err)
	inside := false
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console\n"
		case inside && ok:
			command, _, _ = strings.Cut(command, " #")
			list = append(list, &step{command: strings.TrimSpace(command)})
		case inside:
			list[len(list)-1].shown += line
		}
	}
	return list
}

// club is one project, with its database.
type club struct {
	owntest.Variant
	dir, url string
	old      string // its program without authgraph
	env      []string
	// guide are the commands of the page that are still to be run.
	guide []*step
}

// attach takes one project from a database with members to package auth on them, and back, as the page has it.
func attach(t *testing.T, v owntest.Variant, path string, guide []*step) {
	c := &club{Variant: v, dir: t.TempDir(), old: filepath.Join(t.TempDir(), "club"), guide: guide}
	var dsn string
	c.url, dsn = database(t, v)
	c.env = []string{
		"DATABASE_URL=" + c.url, "CLUB_DSN=" + dsn, "PATH=" + path + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	c.bootstrap(t)
	if v.Versioned {
		require.NoError(t, os.MkdirAll(filepath.Join(c.dir, c.migrations()), 0o755))
		c.run(t, "sh", "-ec", "authgraph migrate diff create_members --dir "+c.migrations())
		c.run(t, "sh", "-ec", "authgraph migrate apply")
	}
	c.run(t, c.old, "start")
	for _, name := range []string{"ada", "bob", "carol"} {
		c.run(t, c.old, "join", name, name+"@club.example", "an old member's password")
	}
	c.run(t, "sh", "-ec", "git init -q && git add . && git commit -q -m 'A club'")
	tables := c.tables(t)

	c.follow(t, "git clone ", func(string) string { return "true" })
	ours := func(command string) string {
		command = strings.Replace(command, owntest.Gate[0].Rule(), v.Rule(), 1)
		return strings.Replace(command, " --with-auth", " --profile "+v.Profile+" --with-auth --with-tests", 1)
	}
	c.follow(t, "authgraph add ", func(command string) string {
		if c.Variant != owntest.Gate[0] {
			return "true" // a dry run tells no more than the run
		}
		return ours(command)
	})
	c.follow(t, "authgraph add ", ours)
	c.follow(t, "git diff ", nil)
	c.keepsItsOwn(t)
	c.decides(t)
	c.migratesBesideAWriter(t)
	c.follow(t, "authgraph doctor", func(command string) string { return command + ` || test "$?" = 3` })
	c.losesNothingByTheOldProgram(t)
	require.NoError(t, c.Write(c.dir, owntest.Tests))
	c.keepsItsWord(t)
	c.losesNothingByTheOldProgram(t)
	for _, name := range []string{"club_test.go", "conformance_test.go"} {
		require.NoError(t, os.Remove(filepath.Join(c.dir, name)))
	}

	c.run(t, "sh", "-ec", "git add . && git commit -q -m 'Package auth'")
	c.follow(t, "git revert ", nil)
	c.follow(t, "authgraph migrate diff ", nil)
	assert.Empty(t, c.guide, "the page has commands that this test does not run")
	c.run(t, "sh", "-ec", "authgraph migrate apply")
	c.run(t, c.old, "start")
	c.run(t, c.old, "login", "ada@club.example", "an old member's password")
	assert.Equal(t, tables, c.tables(t))
}

// tables are those of the database, without that of the migrations' history.
func (c *club) tables(t *testing.T) []string {
	return slices.DeleteFunc(mysqltest.Tables(t, c.url), func(name string) bool {
		return name == "atlas_schema_revisions"
	})
}

// follow runs the next command of the page, which begins so, with what is different about this project. For the project
// of the page it has to print what that shows.
func (c *club) follow(t *testing.T, begin string, change func(command string) string) {
	t.Helper()
	next := c.guide[0]
	c.guide = c.guide[1:]
	require.True(t, strings.HasPrefix(next.command, begin), "the next command of the page is %s", next.command)
	command := next.command
	if change != nil {
		command = change(command)
	}
	printed := c.run(t, "sh", "-ec", command)
	if c.Variant != owntest.Gate[0] {
		return
	}
	same := func(text string) string {
		return strings.Join(strings.Fields(numbers.ReplaceAllString(text, "0")), " ")
	}
	for line := range strings.Lines(next.shown) {
		if line = same(line); line != "…" && line != "Write this? [Y/n] y" {
			assert.Contains(t, same(printed), line, "the page shows it for %s", next.command)
		}
	}
}

// numbers are what differs from run to run.
var numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)?(ms|m|s)?`)

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
	assert.Contains(t, string(text), "member.FieldDeletedAt + \"` IS NULL\"")
	require.Contains(t, string(text), `SetTenantID("")`)
	decided := strings.Replace(string(text), `SetTenantID("")`, `SetTenantID("north")`, 1)
	require.NoError(t, os.WriteFile(rules, []byte(decided), 0o644))
}

// migratesBesideAWriter applies the migration while the old program adds and changes members.
func (c *club) migratesBesideAWriter(t *testing.T) {
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
	c.follow(t, "authgraph migrate apply --baseline ", func(command string) string {
		if c.Versioned {
			return "authgraph migrate apply"
		}
		files, err := filepath.Glob(filepath.Join(c.dir, c.migrations(), "*_baseline.sql"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		version, _, _ := strings.Cut(filepath.Base(files[0]), "_")
		return command[:strings.LastIndexByte(command, ' ')+1] + version
	})
	require.NoError(t, stop.Close())
	lines.Scan()
	assert.NoError(t, writer.Wait(), "the old program failed while the migration ran: %s", &wrong)
	t.Logf("%s members were added meanwhile", lines.Text())
}

// keepsItsWord runs the project's tests and the conformance kit, in one program. The kit gets as many databases as it
// uses at once, of the project's migrations.
func (c *club) keepsItsWord(t *testing.T) {
	const parallel = 4
	var empty strings.Builder
	for range parallel {
		url, dsn := database(t, c.Variant)
		apply := c.command(t.Context(), "sh", "-ec", "authgraph migrate apply")
		apply.Env = append(apply.Env, "DATABASE_URL="+url)
		out, err := apply.CombinedOutput()
		require.NoError(t, err, "%s", out)
		empty.WriteString(dsn + "\n")
	}
	c.run(t, "go", "vet", "./auth") // the test that add installed, too
	c.env = append(c.env, "CLUB_EMPTY="+empty.String())
	args := []string{"test", "-count=1", fmt.Sprint("-parallel=", parallel)}
	if os.Getenv("AUTHGRAPH_OWN_USER") != "matrix" && c.Database != "sqlite" {
		// Its 20,000 calls take as long as the rest of the kit. Package auth's own tests run it on each database.
		args = append(args, "-skip=TestConformance/a_siege_of_24_hours")
	}
	t.Log(c.run(t, "go", append(args, ".")...))
}

// losesNothingByTheOldProgram starts the old program, as on a replica that was not updated yet.
func (c *club) losesNothingByTheOldProgram(t *testing.T) {
	held := mysqltest.Dump(t, c.url)
	c.run(t, c.old, "start")
	assert.Equal(t, held, mysqltest.Dump(t, c.url), "the old program changed what it does not know of")
}

// database is a fresh database of the variant: its URL, and its DSN as the project opens it.
func database(t *testing.T, v owntest.Variant) (url, dsn string) {
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
			dsn = "file:" + strings.TrimPrefix(url, "sqlite://") +
				"?_fk=1&_busy_timeout=10000&_loc=Asia/Tokyo"
		}
	}
	if dsn == "" {
		config, err := testserver.Config(url)
		require.NoError(t, err)
		dsn = fmt.Sprintf("%s:%s@tcp(%s)/%s?parseTime=true&clientFoundRows=true",
			config.User, config.Passwd, config.Addr, config.DBName)
	}
	return url, dsn
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
		// The oldest versions that will do, which nothing raises.
		c.env = append(c.env, "GONOSUMDB=entgo.io,ariga.io,github.com")
		c.run(t, "go", append([]string{"get", "github.com/mattn/go-sqlite3@v1.14.53"}, oldest...)...)
	}
	c.run(t, "go", "generate", "./ent")
	if !c.Bare {
		require.NoError(t, c.Write(c.dir, owntest.Later))
		c.run(t, "go", "generate", "./ent")
	}
	c.run(t, "go", "build", "-o", c.old, ".")
}

// oldest are versions with which a project has not to raise anything.
var oldest = []string{"entgo.io/ent@v0.14.5", "ariga.io/atlas@v0.32.1-0.20250325101103-175b25e1c1b9"}

// keepsItsOwn checks that the files of the project differ in one line at most. Those that are generated, and the go
// command's, are not its own.
func (c *club) keepsItsOwn(t *testing.T) {
	if c.Database == "mattn" {
		requires, err := os.ReadFile(filepath.Join(c.dir, "go.mod"))
		require.NoError(t, err)
		for _, module := range oldest {
			assert.Contains(t, string(requires), strings.Replace(module, "@", " ", 1))
		}
	}
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
