// Package schemadoctest makes schemas of a size to try the graph and the page with.
package schemadoctest

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/schemadoc"
)

// shop is a table a line. A column may refer to a table (>) and be null (?).
//
//go:embed shop.txt
var shop string

// Most is how many tables there are at most.
const Most = 100

// Shop is a shop's schema: its first n tables, in the order of their names.
func Shop(n int) *schemadoc.Schema {
	lines := strings.Split(strings.TrimSpace(shop), "\n")[:n]
	s := &schemadoc.Schema{}
	for _, line := range lines {
		s.Tables = append(s.Tables, table(line, lines))
	}
	slices.SortFunc(s.Tables, func(a, b schemadoc.Table) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func table(line string, all []string) schemadoc.Table {
	name, columns, _ := strings.Cut(line, ": ")
	t := schemadoc.Table{Name: name}
	for _, c := range strings.Fields(columns) {
		c, null := strings.CutSuffix(c, "?")
		c, to, refers := strings.Cut(c, ">")
		column := schemadoc.Column{Name: c, Type: "varchar(255)", Null: null}
		switch {
		case c == "id" || refers:
			column.Type = "bigint"
		case strings.HasSuffix(c, "_at"):
			column.Type = "timestamp(6)"
		}
		t.Columns = append(t.Columns, column)
		key := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, to+": ") })
		if !refers || key < 0 {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(all[key], to+": "), " ")
		t.ForeignKeys = append(t.ForeignKeys, schemadoc.ForeignKey{
			Name: name + "_" + c, Columns: []string{c}, RefTable: to, RefColumns: []string{first}, OnDelete: "CASCADE",
			OnUpdate: "NO ACTION",
		})
	}
	t.PrimaryKey = &schemadoc.Index{Unique: true, Parts: []schemadoc.Part{{Column: t.Columns[0].Name}}}
	if len(t.ForeignKeys) > 1 && t.ForeignKeys[0].Columns[0] == t.Columns[0].Name {
		t.PrimaryKey.Parts = append(t.PrimaryKey.Parts, schemadoc.Part{Column: t.Columns[1].Name})
	}
	return t
}
