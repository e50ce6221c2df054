package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
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
func (d *Dev) findings(s *schema.Schema) []finding {
	var found []finding
	m, server := d.drv.(*mysql.Driver)
	for _, t := range s.Tables {
		found = append(found, redundantIndexes(t)...)
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

func newTracker(d *Dev, s *schema.Schema) *tracker {
	t := &tracker{open: make(map[place]finding)}
	for _, f := range d.findings(s) {
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
	for _, i := range indexes(t) {
		if k := attr[*mysql.IndexType](i.Attrs); k != nil && k.T != mysql.IndexTypeBTree && k.T != mysql.IndexTypeHash {
			continue
		}
		for _, p := range i.Parts {
			if p.C == nil {
				continue
			}
			f := finding{place: place{code: "AG101", table: t.Name, column: p.C.Name}}
			switch sub := attr[*mysql.SubPart](p.Attrs); {
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
		collation := attr[*schema.Collation](c.Attrs)
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

// leaveOut is what to do about an index that is planned.
const leaveOut = ": leave it out"

func redundantIndexes(t *schema.Table) (found []finding) {
	all := indexes(t)
	for n, short := range all {
		for m, long := range all {
			if n == m || short == t.PrimaryKey || !begins(short, long) {
				continue
			}
			same := len(short.Parts) == len(long.Parts)
			longUnique := long.Unique || long == t.PrimaryKey
			if short.Unique && !(same && longUnique) {
				continue
			}
			// Of two that are the same the later is to go.
			if same && short.Unique == longUnique && n < m {
				continue
			}
			what := fmt.Sprintf("index %q", long.Name)
			if long == t.PrimaryKey {
				what = "the primary key"
			}
			found = append(found, finding{
				place: place{code: "AG103", table: t.Name, index: short.Name},
				text:  fmt.Sprintf("index %q of table %q does nothing that %s does not do", short.Name, t.Name, what) + leaveOut,
			})
			break
		}
	}
	return found
}

// indexes are those of a table, with the primary key.
func indexes(t *schema.Table) []*schema.Index {
	if t.PrimaryKey == nil {
		return t.Indexes
	}
	return append([]*schema.Index{t.PrimaryKey}, t.Indexes...)
}

// begins reports whether the parts of one index are the first of the other's.
func begins(short, long *schema.Index) bool {
	if len(short.Parts) > len(long.Parts) || !plain(short) || !plain(long) {
		return false
	}
	for i, a := range short.Parts {
		b := long.Parts[i]
		if a.C == nil || b.C == nil || a.C.Name != b.C.Name || a.Desc != b.Desc || prefix(a) != prefix(b) {
			return false
		}
	}
	return true
}

var collate = regexp.MustCompile(`(?i)\bCOLLATE\b`)

// plain reports whether an index is a sorted one of all rows that queries use. Of SQLite's
// collations Atlas tells nothing but the statement.
func plain(i *schema.Index) bool {
	if isHidden(i) {
		return false
	}
	if k := attr[*mysql.IndexType](i.Attrs); k != nil && k.T != mysql.IndexTypeBTree {
		return false
	}
	if s := attr[*sqlite.CreateStmt](i.Attrs); s != nil && collate.MatchString(s.S) {
		return false
	}
	return attr[*sqlite.IndexPredicate](i.Attrs) == nil
}

func prefix(p *schema.IndexPart) int {
	if s := attr[*mysql.SubPart](p.Attrs); s != nil {
		return s.Len
	}
	return 0
}

// attr is the attribute of type T, or nil.
func attr[T schema.Attr](attrs []schema.Attr) (found T) {
	for _, a := range attrs {
		if t, ok := a.(T); ok {
			return t
		}
	}
	return found
}
