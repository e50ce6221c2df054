package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
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
	return replace(page, "added", added(string(text), g, tables))
}

// added are the rows of what the page does not compare.
func added(page string, g *gen.Graph, tables []*schema.Table) string {
	rows := "| Table or column | Here | Why |\n| --- | --- | --- |\n"
	for _, n := range g.Nodes {
		_, section, ok := strings.Cut(page, "\n## `"+n.Table()+"`\n")
		if !ok {
			rows += fmt.Sprintf("| `%s` | a table | %s |\n", n.Table(), cell(comment(n)))
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, f := range n.Fields {
			if name := f.StorageKey(); !strings.Contains(section, "\n| `"+name+"` |") {
				here := definition(column(tables, n.Table(), name))
				rows += fmt.Sprintf("| `%s.%s` | `%s` | %s |\n", n.Table(), name, cell(here), cell(f.Comment()))
			}
		}
	}
	return rows
}

// cell is a text as it stands in a table of a page.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

// comment is the schema.Comment of an entity.
func comment(n *gen.Type) string {
	annotation, _ := n.Annotations["Comment"].(map[string]any)
	text, _ := annotation["Text"].(string)
	return text
}

// commented refuses an entity without a comment, before anything is written.
func commented(next gen.Generator) gen.Generator {
	return gen.GenerateFunc(func(g *gen.Graph) error {
		for _, n := range g.Nodes {
			if strings.TrimSpace(comment(n)) == "" {
				file, _, _ := strings.Cut(filepath.Base(n.Pos()), ":")
				return fmt.Errorf("the entity %s in ent/schema/%s has no comment: add "+
					`schema.Comment("what the table holds") to its Annotations`, n.Name, file)
			}
		}
		return next.Generate(g)
	})
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
