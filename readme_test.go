package authgraph_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheReadmeShowsTheExampleThatIsRun(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)

	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "README.md has no Go code")
	for line := range strings.Lines(string(block[1])) {
		if line = strings.TrimSpace(line); line != "" {
			assert.Contains(t, string(example), "\t"+line+"\n")
		}
	}
}
