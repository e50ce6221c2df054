package planner

import (
	"regexp"
	"strings"

	"ariga.io/atlas/sql/schema"
)

// keepComments gives the tables of want, their columns and their indexes the comments that they have in the database.
// A comment changes nothing that a table does, and a statement that undoes another difference has to repeat it.
func keepComments(have, want *schema.Schema) {
	for _, to := range want.Tables {
		from, ok := have.Table(to.Name)
		if !ok {
			continue
		}
		keepComment(&to.Attrs, from.Attrs)
		for _, c := range to.Columns {
			if old, ok := from.Column(c.Name); ok {
				keepComment(&c.Attrs, old.Attrs)
			}
		}
		for _, i := range to.Indexes {
			if old, ok := from.Index(i.Name); ok {
				keepComment(&i.Attrs, old.Attrs)
			}
		}
		if to.PrimaryKey != nil && from.PrimaryKey != nil {
			keepComment(&to.PrimaryKey.Attrs, from.PrimaryKey.Attrs)
		}
		if old, d := definitionOf(from), definitionOf(to); old != nil && d != nil && !d.lite {
			d.keepComments(old)
		}
	}
}

func keepComment(attrs *[]schema.Attr, have []schema.Attr) {
	var kept []schema.Attr
	for _, a := range *attrs {
		if _, ok := a.(*schema.Comment); !ok {
			kept = append(kept, a)
		}
	}
	if c := Attr[*schema.Comment](have); c != nil {
		kept = append(kept, c)
	}
	*attrs = kept
}

// keepComments does so in the server's own words.
func (d *definition) keepComments(old *definition) {
	for i, p := range d.parts {
		if o, ok := old.find(p.object, p.name); ok && (p.object == isColumn || p.object == isIndex) {
			d.parts[i].text = withComment(p.text, o.text)
		}
	}
	d.options = withComment(d.options, old.options)
	d.sql = d.create(nil)
}

// last is what a server says after a comment: the CHECK of a column, whether an index is used, and partitions.
var last = regexp.MustCompile(`^(?: CHECK \(| (?:/\*!80000 INVISIBLE \*/|IGNORED)$|\n(?:/\*!\d+)? PARTITION BY )`)

// withComment is a clause with the comment of another, in the place of its own.
func withComment(clause, other string) string {
	plain, _ := cutComment(clause)
	rest, comment := cutComment(other)
	if plain == rest {
		return other
	}
	at := len(plain)
	walk(plain, func(i int) bool {
		if last.MatchString(plain[i:]) {
			at = i
		}
		return at == i
	})
	return plain[:at] + comment + plain[at:]
}

// cutComment takes the comment out of a clause.
func cutComment(clause string) (plain, comment string) {
	plain = clause
	walk(clause, func(i int) bool {
		for _, mark := range []string{" COMMENT '", " COMMENT='"} {
			if strings.HasPrefix(clause[i:], mark) {
				end := i + len(mark) - 1
				end += token(clause[end:], false)
				plain, comment = clause[:i]+clause[end:], clause[i:end]
				return true
			}
		}
		return false
	})
	return plain, comment
}

// walk calls found with the beginning of each token that stands in no brackets, until it says true.
func walk(clause string, found func(at int) bool) {
	depth := 0
	for i := 0; i < len(clause); i += token(clause[i:], false) {
		if depth == 0 && found(i) {
			return
		}
		switch clause[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
}
