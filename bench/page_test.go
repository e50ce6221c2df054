package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The prose names some ratios of the tables; the next run may change them.
func TestTheProseAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/benchmarks.md")
	require.NoError(t, err)
	for said, measured := range map[string]string{
		"That query costs %s times":       `(?s)\n\| sign-in read \|.*?\n\| authgraph, typed client \| \d+`,
		"a suspended account\": %s times": `\n\| sign in to a suspended account, .*? \| ≤ 1.10`,
	} {
		row := regexp.MustCompile(measured + ` \| ([\d.]+) \|`).FindSubmatch(page)
		require.NotNil(t, row, said)
		assert.Contains(t, string(page), fmt.Sprintf(said, row[1]))
	}
}

func TestEverySectionOfThePageIsWritten(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/benchmarks.md")
	require.NoError(t, err)
	for _, section := range []string{"comparison", "growth", "purge", "purge-disk", "migrations"} {
		assert.Regexp(t, regexp.MustCompile(`<!-- `+section+` -->\n[^<]`), string(page),
			"run make bench, bench-growth, bench-purge or bench-migrations")
	}
}
