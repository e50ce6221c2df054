//go:build ignore

// The generator of the client, run by go generate in this folder.
package main

import (
	"context"
	"log"
	"os"
	"regexp"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast"
)

func main() {
	err := entc.Generate("./schema", &gen.Config{
		Features: []gen.Feature{
			gen.FeatureExecQuery,
			gen.FeatureLock,
			gen.FeatureModifier,
			gen.FeatureUpsert,
		},
		Hooks: []gen.Hook{thenSQL},
	}, entc.TemplateDir("./template"), entc.Extensions(entfast.New()))
	if err != nil {
		log.Fatal("entc: ", err)
	}
}

// The database that the schema describes is written as SQL too:
// authgraph migrate diff and the Atlas CLI plan from this file.
const (
	file    = "schema.sql"
	engine  = dialect.MySQL
	version = "8.0.19"
	// hinted is what becomes of the parts of a default that MySQL and MariaDB read and SQLite skips.
	hinted = "$1"
)

var (
	hint     = regexp.MustCompile(`/\*!(.*?)\*/`)
	position = regexp.MustCompile(`(?m)^-- atlas:pos .*\n`)
)

func thenSQL(next gen.Generator) gen.Generator {
	return gen.GenerateFunc(func(g *gen.Graph) error {
		if err := next.Generate(g); err != nil {
			return err
		}
		tables, err := g.Tables()
		if err != nil {
			return err
		}
		ddl, err := schema.DDL(context.Background(), schema.DDLArgs{Dialect: engine, Version: version, Tables: tables})
		if err != nil {
			return err
		}
		ddl = hint.ReplaceAllString(position.ReplaceAllString(ddl, ""), hinted)
		const head = "-- Code generated from the schema by go generate, DO NOT EDIT.\n\n"
		return os.WriteFile(file, []byte(head+strings.TrimLeft(ddl, "\n")), 0o644)
	})
}
