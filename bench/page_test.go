package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The prose names one ratio of a table; the next run may change it.
func TestTheProseAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/benchmarks.md")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?s)\n\| sign-in read \|.*?\n\| authgraph, typed client \| \d+ \| ([\d.]+) \|`).
		FindSubmatch(page)
	require.NotNil(t, row)
	assert.Contains(t, string(page), "That query costs "+string(row[1])+" times the same by hand")
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
