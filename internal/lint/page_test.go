package lint

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThePageListsEveryCheck(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/migrations.md")
	require.NoError(t, err)
	for code := range ownChecks {
		assert.Contains(t, string(page), "\n| "+code+" | ", "add %s to the table of docs/migrations.md", code)
	}
}
