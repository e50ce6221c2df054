package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/cli"
)

func TestThePageShowsTheHelp(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)<!-- help[^>]*-->\n```text\n(.*?)```\n<!-- /help -->").FindSubmatch(page)
	require.NotNil(t, shown, "docs/cli.md has no help block")
	var stdout, stderr bytes.Buffer
	require.Zero(t, cli.Run([]string{"--help"}, &stdout, &stderr))
	assert.Equal(t, stdout.String(), string(shown[1]), "put the output of authgraph --help into docs/cli.md")
	assert.Empty(t, stderr.String())
}

// What the pages show of a command is what it prints in an empty module; a line that is … stands for lines left out.
// What takes the network, init and add, is held to what it says it would do.
func TestPagesShowWhatIsPrinted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, command, run string }{
		{"README.md", "list", "list"},
		{"README.md", "add schema auth --db mysql", "add schema auth --db mysql --dry-run"},
		{"docs/install.md", "list", "list"},
		{"docs/install.md", "view schema auth/session --db mysql", "view schema auth/session --db mysql"},
		{"docs/install.md", "init --db mysql", "init --db mysql --dry-run"},
		{"docs/install.md", "add schema auth --db mysql", "add schema auth --db mysql --dry-run"},
	} {
		t.Run(c.page+" "+c.command, func(t *testing.T) {
			t.Parallel()
			shown, err := transcript("../../"+c.page, c.command)
			require.NoError(t, err)
			r := start(t, installed(t), "", strings.Fields(c.run)...)
			require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "go.mod"),
				[]byte("module example.com/app\n\ngo 1.26\n"), 0o644))
			var printed bytes.Buffer
			r.Stdout, r.Stderr = &printed, &printed
			require.NoError(t, r.Run(), printed.String())
			want := printed.String()
			if c.run != c.command {
				// A run on a terminal asks after the plan. The steps that follow are timed; the scripts run them.
				var asked bool
				want, _, _ = strings.Cut(want, "dry run: ")
				shown, _, asked = strings.Cut(shown, question)
				assert.True(t, asked, "the page leaves out the question")
			}
			assert.Regexp(t, pattern(shown), want)
		})
	}
}

// question is what a run on a terminal asks, with the answer.
const question = "Write this? [Y/n] y\n"

// transcript is what a page shows of the output of a command.
func transcript(page, command string) (string, error) {
	list, err := advised(page)
	for _, a := range list {
		if a.command == "authgraph "+command {
			return a.shown, nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("%s does not show authgraph %s", page, command))
}

// version is that of a migration, which is another one with every migration that is added.
var version = regexp.MustCompile(`[0-9]{14}`)

// pattern matches what a page shows: a line that is … stands for any lines, … within a line for any text.
func pattern(shown string) string {
	var p strings.Builder
	for line := range strings.Lines(shown) {
		if line == "…\n" {
			p.WriteString(`(.*\n)*`)
		} else {
			p.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
		}
	}
	return `\A` + version.ReplaceAllString(p.String(), version.String()) + `\z`
}
