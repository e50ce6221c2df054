package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/cli"
)

func TestReadmeShowsTheHelp(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)<!-- help[^>]*-->\n```text\n(.*?)```\n<!-- /help -->").FindSubmatch(readme)
	require.NotNil(t, shown, "README.md has no help block")
	var stdout, stderr bytes.Buffer
	require.Zero(t, cli.Run([]string{"--help"}, &stdout, &stderr))
	assert.Equal(t, stdout.String(), string(shown[1]), "put the output of authgraph --help into README.md")
	assert.Empty(t, stderr.String())
}

// What the pages show of a command is what it prints in an empty module; a line that
// is … stands for lines left out. What takes the network, init and add, is held to
// what it says it would do.
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
			page, err := os.ReadFile("../../" + c.page)
			require.NoError(t, err)
			_, shown, ok := strings.Cut(string(page), "\n$ authgraph "+c.command+"\n")
			require.True(t, ok, "%s does not show authgraph %s", c.page, c.command)
			shown = shown[:regexp.MustCompile("(?m)^(\\$ |```)").FindStringIndex(shown)[0]]

			r := start(t, installed(t), "", strings.Fields(c.run)...)
			require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "go.mod"), []byte("module example.com/app\n\ngo 1.26\n"), 0o644))
			var printed bytes.Buffer
			r.Stdout, r.Stderr = &printed, &printed
			require.NoError(t, r.Run(), printed.String())
			want := printed.String()
			if c.run != c.command {
				// The plan is followed by the steps, which are timed.
				want, _, _ = strings.Cut(want, "dry run: ")
				shown = regexp.MustCompile(`(?sm)^ +\d+s  .*`).ReplaceAllString(shown, "")
			}
			pattern := strings.ReplaceAll(regexp.QuoteMeta(shown), "…\n", "(.*\n)*")
			assert.Regexp(t, `\A`+pattern+`\z`, want)
		})
	}
}
