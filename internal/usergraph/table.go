package usergraph

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

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
			field = "+ " + c.Field
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
	if rule == "" {
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
