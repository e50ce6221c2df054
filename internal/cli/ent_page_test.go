package cli_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// blockOfPage is a file that a page shows, with its name, or a console. stepOfWorkflow is a command of a workflow.
var (
	blockOfPage    = regexp.MustCompile("(?ms)^```(?:console|\\w+ title=\"([^\"]+)\")\n(.*?)^```$")
	stepOfWorkflow = regexp.MustCompile(`(?m)^ +- run: (.*)$`)
)

// docs/ent.md makes a module that has nothing else of this repository. What it shows is written and run from top to
// bottom, and then its workflow on a branch that changes the schema.
func TestThePageForAnyEntProjectWorksInAModuleOfItsOwn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/ent.md")
	require.NoError(t, err)
	here, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir, address := t.TempDir(), mysqltest.MySQL(t)
	database, err := url.Parse(address)
	require.NoError(t, err)
	dsn := fmt.Sprintf("%s@tcp(%s)%s", database.User, database.Host, database.Path)
	env := append(os.Environ(), "PATH="+filepath.Dir(installed(t))+":"+os.Getenv("PATH"), "GORACE="+goRace)
	for name, value := range goEnvironment() {
		env = append(env, name+"="+value)
	}
	env = append(env, "DATABASE_URL="+address, "GITHUB_BASE_REF=main")
	run := func(command string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	do := func(command string) string {
		t.Helper()
		out, err := run(command)
		require.NoError(t, err, "%s\n%s", command, out)
		return out
	}
	var workflow []string
	for _, block := range blockOfPage.FindAllStringSubmatch(string(text), -1) {
		if name := block[1]; name != "" {
			file := filepath.Join(dir, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(block[2]), 0o644))
			for _, step := range stepOfWorkflow.FindAllStringSubmatch(block[2], -1) {
				workflow = append(workflow, step[1])
			}
			continue
		}
		for _, a := range adviceOf(block[2]) {
			switch {
			case strings.HasPrefix(a.command, "export "), strings.HasPrefix(a.command, "go install "):
				continue // the database and the program are here
			case strings.HasPrefix(a.command, "go get github.com/"):
				do("go mod edit -replace github.com/authgraph/authgraph=" + here)
				a.command = strings.ReplaceAll(a.command, "@latest", "@v0.0.0")
			case strings.HasPrefix(a.command, "BLOG_DSN="):
				_, command, _ := strings.Cut(a.command, "' ")
				a.command = "BLOG_DSN='" + dsn + "' " + command
			}
			out := do(a.command)
			if a.shown != "" {
				assert.Regexp(t, pattern(a.shown), out, "the page does not show what %s prints", a.command)
			}
		}
	}

	pass := func() (failed string) {
		for _, step := range workflow {
			if strings.HasPrefix(step, "go install ") {
				continue
			}
			if out, err := run(step); err != nil {
				return step + "\n" + out
			}
		}
		return ""
	}
	do("git init -q -b main && git add . && git commit -qm 'A blog' && git update-ref refs/remotes/origin/main HEAD")
	assert.Empty(t, pass())
	edit(t, filepath.Join(dir, "ent", "schema", "post.go"), `field.Text("body"),`,
		`field.Text("body"), field.String("subtitle").MaxLen(200).Optional(),`)
	do("git commit -qam 'A subtitle, without its client'")
	assert.Contains(t, pass(), "git diff --exit-code")
	do("git commit -qam 'The client, without a migration'")
	assert.Contains(t, pass(), "ADD COLUMN `subtitle`")
	do("authgraph migrate diff add_subtitle && git add . && git commit -qm 'The migration'")
	assert.Empty(t, pass())
	edit(t, filepath.Join(dir, "ent", "schema", "post.go"), `field.Text("body"),`, "")
	do("go generate ./ent && authgraph migrate diff drop_body && git add . && git commit -qm 'No more text'")
	assert.Contains(t, pass(), "DS103", "data is lost")
}
