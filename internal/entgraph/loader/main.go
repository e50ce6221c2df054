//go:build ignore

// The program prints the SQL of an Ent schema. Its arguments are the folder, the
// dialect, its version, and flags for the go command.
package main

import (
	"context"
	"fmt"
	"os"

	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder, dialect, version string, flags []string) error {
	graph, err := entc.LoadGraph(folder, &gen.Config{BuildFlags: flags})
	if err != nil {
		return err
	}
	tables, err := graph.Tables()
	if err != nil {
		return err
	}
	ddl, err := schema.DDL(context.Background(), schema.DDLArgs{Dialect: dialect, Version: version, Tables: tables})
	if err != nil {
		return err
	}
	_, err = fmt.Print(ddl)
	return err
}
