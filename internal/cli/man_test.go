package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachCommandAndFlagHasItsPlaceInTheManPages(t *testing.T) {
	t.Parallel()
	root := newRoot(newApp(io.Discard, io.Discard))
	pages := manPages(root)
	assert.Equal(t, pages, manPages(newRoot(newApp(io.Discard, io.Discard))), "another run writes other pages")
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		page := pages[manName(cmd)+".1"]
		require.NotEmpty(t, page, cmd.CommandPath())
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				assert.Contains(t, page, `\fB\-\-`+roff(f.Name)+`\fR`, cmd.CommandPath())
			}
		})
		for _, part := range strings.Fields(cmd.Long + " " + cmd.Example) {
			assert.Contains(t, page, roff(part), cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				assert.Contains(t, page, ".BR "+roff(manName(sub))+" (1)")
				visit(sub)
			}
		}
	}
	visit(root)
}

func TestAManPageHoldsNoRequestsOfTheText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a\\eb\n\\&.so /etc/passwd\n\\(aqx\\(aq \\-\\-flag", roff("a\\b\n.so /etc/passwd\n'x' --flag"))
}

// What is shipped is what make dist builds: the program, a page for each command, and completions that their shells
// read.
func TestDistHoldsPagesAndCompletions(t *testing.T) {
	t.Parallel()
	dist := filepath.Join(t.TempDir(), "dist")
	out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "dist", "DIST="+dist).CombinedOutput()
	require.NoError(t, err, "%s", out)
	entries, err := os.ReadDir(filepath.Join(dist, "share/man/man1"))
	require.NoError(t, err)
	assert.Len(t, entries, len(manPages(newRoot(newApp(io.Discard, io.Discard)))))
	for name, begin := range map[string]string{
		"bash-completion/completions/authgraph":    "# bash completion",
		"zsh/site-functions/_authgraph":            "#compdef authgraph",
		"fish/vendor_completions.d/authgraph.fish": "# fish completion",
	} {
		text, err := os.ReadFile(filepath.Join(dist, "share", name))
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(text), begin), "%s begins with %.40s", name, text)
	}
	out, err = exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(dist,
		"share/bash-completion/completions/authgraph")).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}
