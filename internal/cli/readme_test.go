package cli_test

import (
	"bytes"
	"os"
	"regexp"
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
