package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/planner"
)

// place is what a finding is about. Two findings at one place are the same.
type place struct{ code, table, column, index string }

// finding is something wrong with a schema.
type finding struct {
	place
	text string
	// prefix is, for AG101, how many characters of the column are indexed.
	prefix int
	// stmt is the statement that brought it about.
	stmt *atlas.Stmt
}

// findings are what is wrong with a schema, by our own checks.
func findings(d *planner.Dev, s *schema.Schema) []finding {
	var found []finding
	m, server := d.DB().Driver.(*mysql.Driver)
	for _, t := range s.Tables {
		for _, r := range planner.Redundant(t) {
			found = append(found, finding{
				place: place{code: "AG103", table: r.Table, index: r.Index}, text: r.Text + ": leave it out",
			})
		}
		if server {
			found = append(found, hashCollations(t)...)
		}
		if server && m.Maria() {
			found = append(found, textKeys(t)...)
		}
	}
	return found
}

// tracker follows the findings through the statements of a file, so that what
// was there before, or is put right further down, is not reported.
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

// written reports whether the indexed length was stated: by the statement, or
// by the one that made the table it copies.
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

// textKeys are the indexes that MariaDB makes and MySQL refuses. MariaDB indexes
// the beginning of the column, or for a unique index a hash of it.
func textKeys(t *schema.Table) (found []finding) {
	for _, i := range planner.Indexes(t) {
		if k := planner.Attr[*mysql.IndexType](i.Attrs); k != nil && k.T != mysql.IndexTypeBTree && k.T != mysql.IndexTypeHash {
			continue
		}
		for _, p := range i.Parts {
			if p.C == nil {
				continue
			}
			f := finding{place: place{code: "AG101", table: t.Name, column: p.C.Name}}
			switch sub := planner.Attr[*mysql.SubPart](p.Attrs); {
			case sub != nil:
				f.prefix = sub.Len
				f.text = fmt.Sprintf("index %q of table %q covers only the first %d characters of column %q, which nobody stated: MySQL refuses it; state a length, or give the column a shorter type", i.Name, t.Name, sub.Len, p.C.Name)
			case endless(p.C):
				f.text = fmt.Sprintf("index %q of table %q is on column %q, whose type needs a length there: MySQL refuses it; state a length, or give the column a shorter type", i.Name, t.Name, p.C.Name)
			default:
				continue
			}
			found = append(found, f)
		}
	}
	return found
}

// endless reports whether a column is a TEXT or a BLOB of any size.
func endless(c *schema.Column) bool {
	switch t := c.Type.Type.(type) {
	case *schema.StringType:
		return strings.HasSuffix(t.T, mysql.TypeText)
	case *schema.BinaryType:
		return strings.HasSuffix(t.T, mysql.TypeBlob)
	}
	return false
}

// hashName is a name that says the column holds a hash or a secret.
var hashName = regexp.MustCompile(`(?:^|_)(?i:hash|digest|token|password)(?i:_code|_hex)?$|[a-z](?:Hash|Digest|Token|Password)(?:Code|Hex)?$`)

func hashCollations(t *schema.Table) (found []finding) {
	for _, c := range t.Columns {
		collation := planner.Attr[*schema.Collation](c.Attrs)
		if _, ok := c.Type.Type.(*schema.StringType); !ok || collation == nil || !hashName.MatchString(c.Name) {
			continue
		}
		if strings.HasSuffix(collation.V, "_bin") || collation.V == "binary" {
			continue
		}
		found = append(found, finding{
			place: place{code: "AG102", table: t.Name, column: c.Name},
			text:  fmt.Sprintf("column %q of table %q is compared by %s, to which different values can be equal: give it COLLATE ascii_bin", c.Name, t.Name, collation.V),
		})
	}
	return found
}
