package authgraph_test

import (
	"bytes"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
)

func TestAServiceDoesNotCarryTheFiles(t *testing.T) {
	t.Parallel()
	// A comment of the sources, which no compiler keeps.
	comment := []byte("// emailColumn makes the database compare addresses exactly")
	source, err := authgraph.Files.ReadFile("ent/schema/field.go")
	require.NoError(t, err)
	require.True(t, bytes.Contains(source, comment))

	program := filepath.Join(t.TempDir(), "httpapi")
	out, err := osexec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/httpapi").CombinedOutput()
	require.NoError(t, err, "%s", out)
	binary, err := os.ReadFile(program)
	require.NoError(t, err)
	assert.False(t, bytes.Contains(binary, comment))
}
