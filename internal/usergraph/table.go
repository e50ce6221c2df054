package usergraph

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// added are Ent's types of the columns that are added.
var added = map[kind]string{text: "string", hash: "string", choice: "enum", boolean: "bool", moment: "time",
	counter: "int32", face: "json"}

// Table is the mapping as a person reads it: one line a column, and what the project has to know or decide.
func (g *Graph) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "column\t%s\ttype\twhy\n", g.User)
	for _, c := range g.Columns {
		field, kind := c.Field, "-"
		switch c.Source {
		case Absent:
			field = "-"
		case Added:
			known, _ := columnOf(c.Name)
			field, kind = "+ "+c.Field, added[known.kind]
		}
		if f := g.field(c.Name); f != nil {
			kind = f.Type
			if f.Go.Custom {
				kind = f.Go.Ident
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Name, field, kind, c.Why)
	}
	_ = w.Flush() // a strings.Builder takes everything
	rule := g.Rule
	switch {
	case len(g.undecided) > 0:
		rule = "not decided yet, for " + strings.Join(g.undecided, ", ")
	case rule == "":
		rule = "everybody"
	}
	fmt.Fprintf(&b, "\nmay sign in: %s\n", rule)
	for _, d := range g.Decisions() {
		fmt.Fprintf(&b, "to decide: %s\n", d.What)
	}
	for _, n := range g.Notes() {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}
