package entgraph

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Schema is what an Ent schema declares, with the names that Ent's generator gives it.
type Schema struct {
	// Package and Client are the import paths of the schema and of the client that is generated from it.
	Package, Client string
	// Entities are in the order of their names. Views, and entities whose key has several columns, are not among them.
	Entities []*Entity
}

// Entity is one with a table and an id of one column.
type Entity struct {
	Name, Table string
	// Position is where its type is declared: file:line.
	Position string
	// Package is the import path of its generated package, and Create the name of its builder.
	Package, Create string
	ID              *Field
	// Fields are without the id, those of mixins first.
	Fields  []*Field
	Edges   []*Edge
	Indexes []*Index
	// Hooks, Interceptors and Policies are how many there are. Those that a program adds to its client are not known.
	Hooks, Interceptors, Policies int
}

// Field is a field of an entity, of its own or of a mixin.
type Field struct {
	Name, Column string
	// Constant is the name of the generated constant that holds the name of the column, and Setter that of the
	// builder's method.
	Constant, Setter string
	// Type is Ent's type: bool, time, json, uuid, bytes, enum, string, other, int, int8 and so on.
	Type string
	Go   GoType
	// Size is what the schema says of the column's length; 0 for Ent's default.
	Size       int64
	SchemaType map[string]string
	Collation  string
	Unique     bool
	// Optional is whether the column may be NULL, and Nillable whether the generated field is a pointer.
	Optional, Nillable, Immutable, Sensitive bool
	// Default is whether the builder fills the field, and Required whether nothing does and the builder has to be given
	// it.
	Default, Required bool
	Validators        int
	Enums             []string
	// ValueScanner is whether the field has one beside its Go type.
	ValueScanner bool
	// Declared is false for the id that Ent adds.
	Declared, MixedIn bool
}

// GoType is the type of a field's values.
type GoType struct {
	// Ident is as it is written outside of its package, such as uuid.UUID, Path the import path of the package, and
	// Package its name; both are empty for a basic type.
	Ident, Path, Package string
	// Kind is reflect's, such as string or array.
	Kind string
	// Custom is whether the schema names the type, and Pointer whether it is one, a slice or a map.
	Custom, Pointer bool
	// Scans is whether it has the methods Value and Scan.
	Scans bool
}

// Edge is an edge of an entity, of its own or of a mixin.
type Edge struct {
	// Name is the edge's, Type the entity it leads to, and Field the field that holds its key here; empty if none does.
	Name, Type, Field string
	// Setter is the name of the builder's method that takes the id.
	Setter           string
	Unique, Optional bool
}

// Index is an index of several columns, or one that the schema lists apart from its field.
type Index struct {
	Columns []string
	Unique  bool
}

// Entity is the entity of a name; nil if there is none.
func (s *Schema) Entity(name string) *Entity {
	for _, e := range s.Entities {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// Field is the field of a name, or else of a column; nil if there is none. The id is none.
func (e *Entity) Field(name string) *Field {
	for _, is := range []func(*Field) bool{
		func(f *Field) bool { return f.Name == name },
		func(f *Field) bool { return f.Column == name },
	} {
		if i := slices.IndexFunc(e.Fields, is); i >= 0 {
			return e.Fields[i]
		}
	}
	return nil
}

// File is the path of the file that declares the entity.
func (e *Entity) File() string {
	return e.Position[:max(strings.LastIndexByte(e.Position, ':'), 0)]
}

// Read reads an Ent schema as [Load] does, in the module of the folder root; "" is the current one.
func Read(ctx context.Context, root, folder string, env ...string) (*Schema, error) {
	out, err := load(ctx, root, folder, "entities", "", env)
	if err != nil {
		return nil, err
	}
	var s Schema
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return nil, fmt.Errorf("read the Ent schema in %s: %w", folder, err)
	}
	return &s, nil
}
