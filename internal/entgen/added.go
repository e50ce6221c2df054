package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc/gen"
	"entgo.io/ent/schema/field"
)

// writeAdded lists the tables and columns that docs/seed-parity.md does not compare with the seed: they came later.
// Why they are here is the Comment of the field, or the schema.Comment of the entity.
func writeAdded(g *gen.Graph, tables []*schema.Table) error {
	const page = "../docs/seed-parity.md"
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	rows := "| Table or column | Here | Why |\n| --- | --- | --- |\n"
	for _, n := range g.Nodes {
		_, section, ok := strings.Cut(string(text), "\n## `"+n.Table()+"`\n")
		if !ok {
			comment, _ := n.Annotations["Comment"].(map[string]any)
			rows += fmt.Sprintf("| `%s` | a table | %s |\n", n.Table(), comment["Text"])
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, f := range n.Fields {
			if name := f.StorageKey(); !strings.Contains(section, "\n| `"+name+"` |") {
				c := column(tables, n.Table(), name)
				rows += fmt.Sprintf("| `%s.%s` | `%s` | %s |\n", n.Table(), name, definition(c), f.Comment())
			}
		}
	}
	return replace(page, "added", rows)
}

func column(tables []*schema.Table, table, name string) *schema.Column {
	for _, t := range tables {
		if t.Name == table {
			c, _ := t.Column(name)
			return c
		}
	}
	return nil
}

// definition is a column as it is on MySQL, in the spelling of the page.
func definition(c *schema.Column) string {
	text := columnType(c)
	switch c.Type {
	case field.TypeBool:
		text = "boolean"
	case field.TypeEnum:
		text = "enum('" + strings.Join(c.Enums, "','") + "')"
	}
	if c.Type == field.TypeString || c.Type == field.TypeEnum {
		text += " COLLATE " + cmp.Or(c.Collation, "utf8mb4_bin")
	}
	if c.Nullable {
		text += " NULL"
	} else {
		text += " NOT NULL"
	}
	switch value := c.Default.(type) {
	case nil:
	case string:
		text += " DEFAULT '" + value + "'"
	case schema.Expr:
		text += " DEFAULT " + strings.NewReplacer("/*!", "", "*/", "").Replace(string(value))
	default:
		text += fmt.Sprintf(" DEFAULT %v", value)
	}
	return text
}
