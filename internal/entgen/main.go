// Command entgen generates everything that follows from ent/schema: the typed client, the desired state of the database
// as SQL, the diagram in the README and docs, what docs/seed-parity.md lists as added, and what package auth knows of
// User. It runs in ent/, by its generate line:
//
//	go generate ./ent
package main

import (
	"context"
	"fmt"
	"os"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast"
	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/usergraph"
)

func main() {
	err := entc.Generate("./schema", &gen.Config{
		Features: []gen.Feature{
			gen.FeatureExecQuery,
			gen.FeatureLock,
			gen.FeatureModifier,
			gen.FeatureUpsert,
		},
		Hooks: []gen.Hook{commented, andThen(writeSQL, writeDiagram, writeImage, writeAdded)},
	}, entc.TemplateDir("../internal/entgen/template"), entc.Extensions(entfast.New()))
	if err != nil {
		fmt.Fprintln(os.Stderr, "entgen:", err)
		os.Exit(1)
	}
	if err := writeGraph(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "entgen:", err)
		os.Exit(1)
	}
}

// writeGraph writes what package auth knows of User, as authgraph add does for the entity of a project.
func writeGraph(ctx context.Context) error {
	schema, err := entgraph.Read(ctx, "", "./schema", entgraph.NoWorkspace)
	if err != nil {
		return err
	}
	g, err := usergraph.Load(schema, usergraph.Own())
	if err != nil {
		return err
	}
	text, err := g.Code()
	if err != nil {
		return err
	}
	return os.WriteFile("../auth/internal/graph/graph.go", text, 0o644)
}

// andThen runs the steps on the graph and its tables once the client is written.
func andThen(steps ...func(*gen.Graph, []*schema.Table) error) gen.Hook {
	return func(next gen.Generator) gen.Generator {
		return gen.GenerateFunc(func(g *gen.Graph) error {
			if err := next.Generate(g); err != nil {
				return err
			}
			tables, err := g.Tables()
			if err != nil {
				return err
			}
			for _, step := range steps {
				if err := step(g, tables); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

const generated = "-- Code generated from ent/schema by go generate ./ent, DO NOT EDIT.\n\n"

// writeSQL writes the desired state for tools that read SQL, one file a dialect.
func writeSQL(_ *gen.Graph, tables []*schema.Table) error {
	for _, target := range []struct{ file, dialect string }{
		{"schema.sql", dialect.MySQL},
		{"schema.sqlite.sql", dialect.SQLite},
	} {
		sql, err := entgraph.SQL(context.Background(), target.dialect, tables)
		if err != nil {
			return fmt.Errorf("%s: %w", target.file, err)
		}
		if err := os.WriteFile(target.file, []byte(generated+sql), 0o644); err != nil {
			return err
		}
	}
	return nil
}
