package authgraph_test

import (
	osexec "os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// floors are the packages of a migration from the command line down to the driver. A package imports only packages of
// lower floors, never one of its own or of a higher floor.
var floors = [][]string{
	{"cmd/authgraph"},
	{"internal/cli"},
	{"internal/lint", "internal/adopt", "internal/down", "internal/install", "internal/doctor"},
	{"internal/planner", "migrate"},
	{"internal/history"},
	{"internal/directory", "internal/atlasdb"},
	{"internal/dbserver", "internal/dburl"},
	{"internal/registry", "stmtcache"},
	{"internal/mysqlconn"},
}

func TestImportsOfTheMigrationPackagesRunOneWay(t *testing.T) {
	t.Parallel()
	const module = "github.com/authgraph/authgraph/"
	floor := func(pkg string) int {
		return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, pkg) })
	}
	list := osexec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
	out, err := list.Output()
	require.NoError(t, err)
	seen := 0
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, module, "")), " ")
		from := floor(pkg)
		if from < 0 {
			continue
		}
		seen++
		for imported := range strings.FieldsSeq(imports) {
			if to := floor(imported); to >= 0 {
				assert.Less(t, from, to, "%s imports %s: move what it needs to a lower floor", pkg, imported)
			}
		}
	}
	assert.Equal(t, len(slices.Concat(floors...)), seen, "a package of the list is gone: take it out")
}
