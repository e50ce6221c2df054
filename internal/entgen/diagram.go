package main

import (
	"fmt"
	"os"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc/gen"
	"entgo.io/ent/schema/field"

	"github.com/authgraph/authgraph/internal/schemadoc"
)

// writeDiagram replaces the diagram in the README.
func writeDiagram(_ *gen.Graph, tables []*schema.Table) error {
	return replace("../README.md", "diagram", "```mermaid\n"+schemadoc.Mermaid(document(tables))+"```\n")
}

// replace replaces what a page has between two comments that name it.
func replace(page, name, text string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin := "<!-- " + name + ": generated from ent/schema by go generate ./ent -->\n"
	end := "<!-- /" + name + " -->\n"
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the lines %q and %q that enclose the %s are missing", page, begin, end, name)
	}
	return os.WriteFile(page, []byte(before+begin+text+end+after), 0o644)
}

// writeImage draws the same as an image, for the documentation.
func writeImage(_ *gen.Graph, tables []*schema.Table) error {
	return os.WriteFile("../docs/schema.svg", []byte(schemadoc.SVG(document(tables), "The tables of authgraph")), 0o644)
}

// document is what the diagram shows of the tables, as they are on MySQL.
func document(tables []*schema.Table) *schemadoc.Schema {
	doc := &schemadoc.Schema{}
	for _, t := range tables {
		table := schemadoc.Table{Name: t.Name, PrimaryKey: &schemadoc.Index{Unique: true, Parts: parts(t.PrimaryKey)}}
		for _, c := range t.Columns {
			table.Columns = append(table.Columns,
				schemadoc.Column{Name: c.Name, Type: columnType(c), Values: c.Enums, Null: c.Nullable})
			if c.Unique {
				table.Indexes = append(table.Indexes, schemadoc.Index{Unique: true, Parts: parts([]*schema.Column{c})})
			}
		}
		for _, fk := range t.ForeignKeys {
			table.ForeignKeys = append(table.ForeignKeys, schemadoc.ForeignKey{Columns: names(fk.Columns),
				RefTable: fk.RefTable.Name, RefColumns: names(fk.RefColumns)})
		}
		doc.Tables = append(doc.Tables, table)
	}
	return doc
}

func parts(columns []*schema.Column) (parts []schemadoc.Part) {
	for _, name := range names(columns) {
		parts = append(parts, schemadoc.Part{Column: name})
	}
	return parts
}

func names(columns []*schema.Column) (names []string) {
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return names
}

// columnType is the type of the column on MySQL, enum values left out.
func columnType(c *schema.Column) string {
	if t := c.SchemaType[dialect.MySQL]; t != "" {
		return t
	}
	switch c.Type {
	case field.TypeInt, field.TypeInt64:
		return "bigint"
	case field.TypeInt32:
		return "int"
	case field.TypeBool:
		return "bool"
	case field.TypeString:
		return fmt.Sprintf("varchar(%d)", c.Size)
	case field.TypeEnum:
		return "enum"
	case field.TypeJSON:
		return "json"
	default:
		return c.Type.String()
	}
}
