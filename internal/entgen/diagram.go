package main

import (
	"bytes"
	"fmt"
	"os"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/authgraph/authgraph/internal/schemadoc"
)

const (
	readme       = "../README.md"
	image        = "../docs/schema.svg"
	diagramBegin = "<!-- diagram: generated from ent/schema by go generate ./ent -->\n"
	diagramEnd   = "<!-- /diagram -->\n"
)

// writeDiagram replaces the diagram in the README.
func writeDiagram(tables []*schema.Table) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(diagramBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(diagramEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s: the lines %q and %q that enclose the diagram are missing", readme, diagramBegin, diagramEnd)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s```mermaid\n%s```\n%s", diagramBegin, schemadoc.Mermaid(document(tables)), diagramEnd)
	b.Write(after)
	return os.WriteFile(readme, b.Bytes(), 0o644)
}

// writeImage draws the same as an image, for the documentation.
func writeImage(tables []*schema.Table) error {
	return os.WriteFile(image, []byte(schemadoc.SVG(document(tables), "The tables of authgraph")), 0o644)
}

// document is what the diagram shows of the tables, as they are on MySQL.
func document(tables []*schema.Table) *schemadoc.Schema {
	doc := &schemadoc.Schema{}
	for _, t := range tables {
		table := schemadoc.Table{Name: t.Name, PrimaryKey: &schemadoc.Index{Unique: true, Parts: parts(t.PrimaryKey)}}
		for _, c := range t.Columns {
			table.Columns = append(table.Columns, schemadoc.Column{Name: c.Name, Type: columnType(c), Values: c.Enums, Null: c.Nullable})
			if c.Unique {
				table.Indexes = append(table.Indexes, schemadoc.Index{Unique: true, Parts: parts([]*schema.Column{c})})
			}
		}
		for _, fk := range t.ForeignKeys {
			table.ForeignKeys = append(table.ForeignKeys, schemadoc.ForeignKey{Columns: names(fk.Columns), RefTable: fk.RefTable.Name, RefColumns: names(fk.RefColumns)})
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
