//go:build ignore

// The program prints an Ent schema. Its arguments are the folder, the dialect and its version, for the SQL that makes
// the tables, and flags for the go command. Instead of a dialect, "entities" has it print package entgraph's Schema as
// JSON: what of it Ent's generator decides, such as the names of methods, is as the generator of this module has it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"

	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
	"entgo.io/ent/schema/field"
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
	if dialect == "entities" {
		return json.NewEncoder(os.Stdout).Encode(describe(graph))
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

type object = map[string]any

func describe(g *gen.Graph) object {
	var entities []object
	for _, t := range g.Nodes {
		if t.IsView() || !t.HasOneFieldID() {
			continue
		}
		var fields, edges, indexes []object
		for _, f := range t.Fields {
			fields = append(fields, column(t, f, f.Column()))
		}
		for _, e := range t.Edges {
			setter := e.MutationAdd()
			if e.Unique {
				setter = e.MutationSet()
			}
			field := ""
			if f := e.Field(); f != nil {
				field = f.Name
			}
			edges = append(edges, object{"Name": e.Name, "Type": e.Type.Name, "Field": field, "Setter": setter,
				"Unique": e.Unique, "Optional": e.Optional})
		}
		for _, i := range t.Indexes {
			indexes = append(indexes, object{"Columns": i.Columns, "Unique": i.Unique})
		}
		entities = append(entities, object{
			"Name": t.Name, "Table": t.Table(), "Position": t.Pos(),
			"Package": path.Join(g.Package, t.PackageDir()), "Create": t.CreateName(),
			"ID": column(t, t.ID, t.ID.PK()), "Fields": fields, "Edges": edges, "Indexes": indexes,
			"Hooks": t.NumHooks(), "Interceptors": t.NumInterceptors(), "Policies": t.NumPolicy(),
		})
	}
	return object{"Package": g.Schema, "Client": g.Package, "Entities": entities}
}

func column(t *gen.Type, f *gen.Field, c *schema.Column) object {
	goType := object{"Ident": f.Type.String(), "Path": f.Type.PkgPath, "Package": f.Type.PkgName,
		"Kind": f.Type.Type.String(), "Pointer": f.Type.Nillable, "Scans": f.Type.ValueScanner()}
	if r := f.Type.RType; r != nil {
		goType["Kind"], goType["Custom"] = r.Kind.String(), true
	}
	if f.IsEnum() && !f.HasGoType() {
		goType["Path"], goType["Package"] = path.Join(t.Config.Package, t.PackageDir()), t.PackageDir()
	}
	required := !f.Optional && !f.Default
	switch c.Default.(type) {
	case schema.Expr, map[string]schema.Expr:
		required = false
	}
	out := object{
		"Name": f.Name, "Column": f.StorageKey(), "Constant": f.Constant(), "Setter": "Set" + f.StructField(),
		"Type": types[f.Type.Type], "Go": goType, "Size": c.Size, "SchemaType": c.SchemaType, "Collation": c.Collation,
		"Unique": f.Unique, "Optional": f.Optional, "Nillable": f.Nillable, "Immutable": f.Immutable,
		"Sensitive": f.Sensitive(), "Default": f.Default, "Required": required,
		"Validators": f.Validators, "Enums": f.EnumValues(), "ValueScanner": f.HasValueScanner(),
		"Declared": f.UserDefined,
	}
	if f.Position != nil {
		out["MixedIn"] = f.Position.MixedIn
	}
	return out
}

// types name Ent's types, whatever their numbers are in this version.
var types = map[field.Type]string{
	field.TypeBool: "bool", field.TypeTime: "time", field.TypeJSON: "json", field.TypeUUID: "uuid",
	field.TypeBytes: "bytes", field.TypeEnum: "enum", field.TypeString: "string", field.TypeOther: "other",
	field.TypeInt8: "int8", field.TypeInt16: "int16", field.TypeInt32: "int32", field.TypeInt: "int",
	field.TypeInt64: "int64", field.TypeUint8: "uint8", field.TypeUint16: "uint16", field.TypeUint32: "uint32",
	field.TypeUint: "uint", field.TypeUint64: "uint64", field.TypeFloat32: "float32", field.TypeFloat64: "float64",
}
