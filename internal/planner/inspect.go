package planner

import (
	"context"
	"slices"
	"strings"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
)

// Inspect is the schema of a state, as the database of dev spells it: its tables in the order of their names, without
// the history table and without the ids that rows get next. The schema of a dev database is named authgraph.
func Inspect(ctx context.Context, dev *Dev, of State) (*schema.Schema, error) {
	s, err := of(ctx, dev)
	if err != nil {
		return nil, err
	}
	if s.Name == dev.db.URL.Database() && !dev.live {
		s.Name = "authgraph"
	}
	dropState(s)
	slices.SortFunc(s.Tables, func(a, b *schema.Table) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// dropState removes what a database in use holds beside its schema: the history table and the next ids.
func dropState(s *schema.Schema) {
	s.Tables = slices.DeleteFunc(s.Tables, func(t *schema.Table) bool { return t.Name == atlasdb.RevisionsTable })
	for _, t := range s.Tables {
		t.Attrs = slices.DeleteFunc(t.Attrs, forgetNext)
		for _, c := range t.Columns {
			for _, a := range c.Attrs {
				forgetNext(a)
			}
		}
	}
}

// forgetNext removes the next id from an attribute, and reports whether the attribute is AUTO_INCREMENT.
func forgetNext(a schema.Attr) bool {
	next, ok := a.(*mysql.AutoIncrement)
	if ok {
		next.V = 0
	}
	return ok
}

// MarshalSQL are the statements that make the schema in an empty database, in the words of its server.
func MarshalSQL(s *schema.Schema) (string, error) {
	w := creation(s)
	plan := w.plan("schema")
	if len(plan.Changes) == 0 {
		return "", nil
	}
	prepare(plan, nil, w.lite)
	return format(plan)
}

// MarshalHCL is the schema in Atlas's language.
func MarshalHCL(dev *Dev, s *schema.Schema) ([]byte, error) {
	marshal := mysql.MarshalHCL
	if dev.Dialect() == dialect.SQLite {
		marshal = sqlite.MarshalHCL
	}
	hcl, err := marshal(s)
	return hclEscapes(hcl), err
}

// NotInHCL are the tables that Atlas's language does not hold whole.
func NotInHCL(s *schema.Schema) (found []Object) {
	for _, t := range s.Tables {
		if !legible(t) && Attr[*atlasdb.Unreadable](t.Attrs) == nil {
			const why = "Atlas's language does not hold all of it"
			found = append(found, Object{Kind: isTable, Name: t.Name, Reason: why})
		}
	}
	return found
}
