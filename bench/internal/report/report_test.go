package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/bench/internal/report"
)

func TestSectionReplacesItsOwnPartAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.md")
	const doc = "before\n<!-- a -->\nold\n<!-- /a -->\nbetween\n<!-- b -->\n<!-- /b -->\nafter\n"
	require.NoError(t, os.WriteFile(path, []byte(doc), 0o600))
	require.NoError(t, report.Section(path, "a", "\nnew\n\n"))
	require.NoError(t, report.Section(path, "b", "other"))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.NewReplacer("old", "new", "<!-- b -->\n", "<!-- b -->\nother\n").Replace(doc), string(got))
	assert.ErrorContains(t, report.Section(path, "c", "text"), "no section between <!-- c --> and <!-- /c -->")
}

func TestPlotsAreWellFormed(t *testing.T) {
	t.Parallel()
	bars := []report.Bar{{Label: "a & b", Low: 90, Value: 100, High: 110, Ours: true},
		{Label: "far beyond", Low: 900, Value: 1000, High: 1100}}
	path := filepath.Join(t.TempDir(), "plot.svg")
	require.NoError(t, report.Bars(path, "title", "µs", []report.Panel{{Title: "<op>", Top: 500, Bars: bars}}))
	wellFormed(t, path)
	require.NoError(t, report.Lines(path, "title", "µs", []string{"1k", "10k"},
		[]report.Series{{Label: "<one>", Points: bars}}))
	wellFormed(t, path)
	require.NoError(t, report.Lines(path, "one step", "µs", []string{"1k"},
		[]report.Series{{Label: "one", Points: bars[:1]}}))
	wellFormed(t, path)
}

func wellFormed(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "NaN")
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}
