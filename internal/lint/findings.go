package lint

import (
	"fmt"
	"regexp"
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

const giveLength = "MySQL refuses it; state a length, or give the column a shorter type"

// textKeys are the indexes that MariaDB makes and MySQL refuses. MariaDB indexes the beginning of the column, or for a
// unique index a hash of it.
func textKeys(t *schema.Table) (found []finding) {
	for _, i := range planner.Indexes(t) {
		kind := planner.Attr[*mysql.IndexType](i.Attrs)
		if kind != nil && kind.T != mysql.IndexTypeBTree && kind.T != mysql.IndexTypeHash {
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
				f.text = fmt.Sprintf("index %q of table %q covers only the first %d characters of column %q, "+
					"which nobody stated: "+giveLength, i.Name, t.Name, sub.Len, p.C.Name)
			case endless(p.C):
				f.text = fmt.Sprintf("index %q of table %q is on column %q, "+
					"whose type needs a length there: "+giveLength, i.Name, t.Name, p.C.Name)
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
var hashName = regexp.MustCompile(`(?:^|_)(?i:hash|digest|token|password)(?i:_code|_hex)?$|` +
	`[a-z](?:Hash|Digest|Token|Password)(?:Code|Hex)?$`)

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
			text: fmt.Sprintf("column %q of table %q is compared by %s, to which different values can be equal: "+
				"give it COLLATE ascii_bin", c.Name, t.Name, collation.V),
		})
	}
	return found
}
