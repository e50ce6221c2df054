package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"
)

const (
	readme       = "../README.md"
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
	fmt.Fprintf(&b, "%s```mermaid\n%s```\n%s", diagramBegin, diagram(tables), diagramEnd)
	b.Write(after)
	return os.WriteFile(readme, b.Bytes(), 0o644)
}

// diagram draws the tables as a Mermaid entity-relationship diagram.
func diagram(tables []*schema.Table) string {
	var b strings.Builder
	b.WriteString("erDiagram\n")
	for _, t := range tables {
		for _, fk := range t.ForeignKeys {
			fmt.Fprintf(&b, "    %s ||--o{ %s : \"%s\"\n", fk.RefTable.Name, t.Name, fk.Columns[0].Name)
		}
	}
	for _, t := range tables {
		fmt.Fprintf(&b, "    %s {\n", t.Name)
		for _, c := range t.Columns {
			fmt.Fprintf(&b, "        %s\n", attribute(t, c))
		}
		b.WriteString("    }\n")
	}
	return b.String()
}

// attribute is one line of an entity: type, name, keys, note.
func attribute(t *schema.Table, c *schema.Column) string {
	var keys, notes []string
	if slices.Contains(t.PrimaryKey, c) {
		keys = append(keys, "PK")
	}
	if slices.ContainsFunc(t.ForeignKeys, func(fk *schema.ForeignKey) bool { return slices.Contains(fk.Columns, c) }) {
		keys = append(keys, "FK")
	}
	if c.Unique {
		keys = append(keys, "UK")
	}
	if c.Type == field.TypeEnum {
		notes = append(notes, strings.Join(c.Enums, " | "))
	}
	if c.Nullable {
		notes = append(notes, "null")
	}
	line := columnType(c) + " " + c.Name
	if len(keys) > 0 {
		line += " " + strings.Join(keys, ", ")
	}
	if len(notes) > 0 {
		line += fmt.Sprintf(" %q", strings.Join(notes, ", "))
	}
	return line
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
		return "boolean"
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
