package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEverySectionOfThePageIsWritten(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/benchmarks.md")
	require.NoError(t, err)
	for _, section := range []string{"comparison", "growth", "purge", "purge-disk", "migrations"} {
		assert.Regexp(t, regexp.MustCompile(`<!-- `+section+` -->\n[^<]`), string(page), "run make bench, bench-growth, bench-purge or bench-migrations")
	}
}
