package main

import (
	"testing"

	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/entc/gen"
	"entgo.io/ent/entc/load"
	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// graph has the entity Gadget with a column size.
func graph(t *testing.T, annotations map[string]any) *gen.Graph {
	t.Helper()
	g, err := gen.NewGraph(&gen.Config{Package: "example.com/ent", IDType: &field.TypeInfo{Type: field.TypeInt}},
		&load.Schema{
			Name:        "Gadget",
			Pos:         "/home/ada/ent/schema/gadget.go:12",
			Annotations: annotations,
			Fields: []*load.Field{{
				Name:    "size",
				Info:    &field.TypeInfo{Type: field.TypeEnum},
				Enums:   []struct{ N, V string }{{"Small", "s|m"}, {"Large", "l"}},
				Comment: "Small | large,\nas printed.",
			}},
		})
	require.NoError(t, err)
	return g
}

func TestAnEntityWithoutACommentIsRefused(t *testing.T) {
	t.Parallel()
	generated := false
	generator := commented(gen.GenerateFunc(func(*gen.Graph) error {
		generated = true
		return nil
	}))
	for name, annotations := range map[string]map[string]any{
		"none":  nil,
		"empty": {"Comment": map[string]any{"Text": " "}},
		"other": {entsql.Annotation{}.Name(): entsql.Annotation{Table: "gadgets"}},
	} {
		err := generator.Generate(graph(t, annotations))
		assert.EqualError(t, err, "the entity Gadget in ent/schema/gadget.go has no comment: "+
			`add schema.Comment("what the table holds") to its Annotations`, name)
	}
	assert.False(t, generated)
	require.NoError(t, generator.Generate(graph(t, map[string]any{"Comment": map[string]any{"Text": "small things"}})))
	assert.True(t, generated)
}

func TestWhatWasAddedStandsInOneRow(t *testing.T) {
	t.Parallel()
	const head = "| Table or column | Here | Why |\n| --- | --- | --- |\n"
	g := graph(t, map[string]any{"Comment": map[string]any{"Text": "on | off\nswitches"}})
	tables, err := g.Tables()
	require.NoError(t, err)
	assert.Equal(t, head+"| `gadgets` | a table | on \\| off switches |\n", added("# Page\n", g, tables))
	assert.Equal(t, head+"| `gadgets.size` | `enum('s\\|m','l') COLLATE utf8mb4_bin NOT NULL` | "+
		"Small \\| large, as printed. |\n", added("# Page\n\n## `gadgets`\n", g, tables))
}
