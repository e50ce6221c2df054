package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/planner"
)

// tracker follows the findings through the statements of a file. A finding that was there before, or that a later
// statement of the file puts right, is not reported.
type tracker struct {
	open map[place]finding
	// tables are those from before the file that are still there.
	tables []string
}

func newTracker(d *planner.Dev, s *schema.Schema) *tracker {
	t := &tracker{open: make(map[place]finding)}
	for _, f := range findings(d, s) {
		t.open[f.place] = f
	}
	for _, table := range s.Tables {
		t.tables = append(t.tables, table.Name)
	}
	return t
}

// existed reports whether a table was there before the file.
func (t *tracker) existed(table string) bool {
	return slices.ContainsFunc(t.tables, func(name string) bool { return strings.EqualFold(name, table) })
}

// step takes in what statement s changed and what is wrong after it.
func (t *tracker) step(s *atlas.Stmt, changes schema.Changes, found []finding) {
	was := t.rename(changes)
	open := make(map[place]finding)
	for _, f := range found {
		if old, ok := was[f.place]; ok {
			f.stmt = old.stmt
		} else if !f.written(s.Text) {
			f.stmt = s
		}
		open[f.place] = f
	}
	t.open = open
}

// rename takes over new names and forgets the tables that were dropped.
func (t *tracker) rename(changes schema.Changes) map[place]finding {
	type part struct{ table, name string }
	names, columns, keys := make(map[string]string), make(map[part]string), make(map[part]string)
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.RenameTable:
			names[c.From.Name] = c.To.Name
		case *schema.DropTable:
			names[c.T.Name] = ""
		case *schema.ModifyTable:
			for _, sub := range c.Changes {
				switch sub := sub.(type) {
				case *schema.ModifyColumn:
					columns[part{c.T.Name, sub.From.Name}] = sub.To.Name
				case *schema.RenameIndex:
					keys[part{c.T.Name, sub.From.Name}] = sub.To.Name
				}
			}
		}
	}
	was := make(map[place]finding)
	for p, f := range t.open {
		if to, ok := names[p.table]; ok {
			p.table = to
		}
		if to, ok := columns[part{p.table, p.column}]; ok {
			p.column = to
		}
		if to, ok := keys[part{p.table, p.index}]; ok {
			p.index = to
		}
		was[p] = f
	}
	var tables []string
	for _, table := range t.tables {
		if to, ok := names[table]; ok {
			table = to
		}
		if table != "" {
			tables = append(tables, table)
		}
	}
	t.tables = tables
	return was
}

// introduced are the findings that the file leaves and did not find.
func (t *tracker) introduced() []finding {
	var found []finding
	for _, f := range t.open {
		if f.stmt != nil {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.text, b.text) })
	return found
}

// createLike is a CREATE TABLE that copies the indexes of another table.
var createLike = regexp.MustCompile(`(?i)^\s*CREATE\b[^(]*\bTABLE\b[^(]*\(?\s*\bLIKE\b`)

// written reports whether the indexed length was stated: by the statement, or by the one that made the table it copies.
func (f *finding) written(stmt string) bool {
	if f.prefix == 0 {
		return false
	}
	if createLike.MatchString(stmt) {
		return true
	}
	length := fmt.Sprintf("(?i)(?:^|[^\\pL\\pN_$])%s`?\\s*\\(\\s*%d\\s*\\)", regexp.QuoteMeta(f.column), f.prefix)
	return regexp.MustCompile(length).MatchString(stmt)
}
