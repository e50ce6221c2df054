// Package report writes what the benchmarks found: a section of a Markdown file between its markers, tables, and plots
// as SVG.
package report

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Section replaces what lies between <!-- name --> and <!-- /name --> in the file at path. The rest of the file stays.
func Section(path, name, text string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	open, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->")
	before, rest, ok := bytes.Cut(file, open)
	_, after, closed := bytes.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no section between %s and %s", path, bytes.TrimSpace(open), end)
	}
	return os.WriteFile(path, bytes.Join([][]byte{before, open, []byte(strings.TrimSpace(text) + "\n"), end, after},
		nil), 0o644)
}

// Table is a Markdown table; numbers stand right.
type Table struct {
	Head []string
	Rows [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// String is the table with a line feed after each row.
func (t *Table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		if rule[i] = "---:"; i == 0 {
			rule[i] = "---"
		}
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}
