package entfast

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"entgo.io/ent/entc/gen"
	"entgo.io/ent/schema/field"
)

// client is what the template is executed on.
type client struct {
	// Header is what the project puts at the beginning of generated files, or empty.
	Header, Package, Runtime string
	Entities                 []*entity
}

// entity is an entity with a fast path.
type entity struct {
	Name, Query string
	// Root are the conditions under which a query is more than predicates, a limit and joined edges.
	Root []string
	// Columns are the columns in Ent's order, the id first; Keys are those of foreign keys that are no fields.
	Columns, Keys []column
	// Slow are the columns that Ent decodes.
	Slow []string
	// Late counts the id and the columns that must not be told of NULL where the whole row is missing.
	Late int
	// Edges are those that are joined, AllEdges all.
	Edges    []*edge
	AllEdges []*edge
	// KeyMask has the bits of the edges for which Keys are read.
	KeyMask uint64
	// Neighbour is whether an edge that is joined leads here, NeedsKeys whether Keys are ever read.
	Neighbour, NeedsKeys bool
}

// column is a column and the expression of where it is scanned to; LateDest is the same where the row may be missing.
type column struct{ Column, Dest, LateDest string }

type edge struct {
	Field, With string
	Joined      bool
	To          *entity
	// Own is whether the root has the foreign key, Key the field that holds it, Nillable whether that is a pointer.
	Own      bool
	Key      string
	Nillable bool
	// Column of the root is OtherColumn of the other table.
	Column, OtherColumn string
	// Back is the edge of the neighbour that is set too, and BackIndex its place; empty for none.
	Back      string
	BackIndex int
}

// model describes the entities for which plain holds the conditions of a query. The others are left to Ent.
func model(g *gen.Graph, plain map[string][]string) (*client, error) {
	c := &client{Header: g.Header, Package: base(g.Package), Runtime: imported}
	entities := map[string]*entity{}
	slowKeys := map[string]bool{}
	for _, n := range g.Nodes {
		conditions, ok := plain[n.Name]
		if !ok || !n.HasOneFieldID() {
			continue
		}
		e := &entity{Name: n.Name, Query: n.QueryName(), Root: conditions}
		slowKeys[n.Name] = e.columns(n)
		entities[n.Name] = e
		c.Entities = append(c.Entities, e)
	}
	for _, n := range g.Nodes {
		e := entities[n.Name]
		if e == nil {
			continue
		}
		for _, edge := range n.Edges {
			joined, err := join(n, edge, entities, slowKeys)
			if err != nil {
				return nil, err
			}
			e.AllEdges = append(e.AllEdges, joined)
			if !joined.Joined {
				e.Root = append(e.Root, "q."+joined.With+" == nil")
				continue
			}
			if joined.Own && edge.Field() == nil {
				e.KeyMask |= 1 << len(e.Edges)
				e.NeedsKeys = true
			}
			if !joined.Own && len(joined.To.Keys) > 0 {
				joined.To.NeedsKeys = true
			}
			joined.To.Neighbour = true
			e.Edges = append(e.Edges, joined)
		}
	}
	return c, nil
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// maxEdges is how many edges of an entity are joined. The others are left to Ent.
const maxEdges = 8

// join describes an edge, which is joined if it leads to one row at most that nothing but its own columns belongs to.
func join(n *gen.Type, e *gen.Edge, entities map[string]*entity, slowKeys map[string]bool) (*edge, error) {
	out := &edge{Field: e.StructField(), With: e.EagerLoadField()}
	to := entities[e.Type.Name]
	if !e.Unique || e.M2M() || to == nil || e.Type.NumPolicy() > 0 || len(entities[n.Name].Edges) == maxEdges {
		return out, nil
	}
	key, err := e.ForeignKey()
	if err != nil {
		return nil, err
	}
	out.Own = e.OwnFK()
	switch {
	case slices.Contains(to.Slow, e.Type.ID.StorageKey()),
		out.Own && e.Field() == nil && slowKeys[n.Name],
		!out.Own && slowKeys[e.Type.Name]:
		return out, nil
	}
	out.Joined, out.To, out.Key, out.Nillable = true, to, key.StructField(), key.Field.Nillable
	if out.Own {
		out.Column, out.OtherColumn = e.Rel.Column(), e.Type.ID.StorageKey()
	} else {
		out.Column, out.OtherColumn = n.ID.StorageKey(), e.Rel.Column()
	}
	if bidirectional, err := n.FeatureEnabled("bidiedges"); err != nil {
		return nil, err
	} else if bidirectional && e.Ref != nil && e.Ref.Unique {
		out.Back = e.Ref.StructField()
		if out.BackIndex, err = e.Ref.Index(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// columns describes the columns, and reports whether Ent has to decode a key that is no field.
func (e *entity) columns(n *gen.Type) (slowKeys bool) {
	fields := []*gen.Field{n.ID}
	for _, f := range n.Fields {
		if !f.IsDeprecated() {
			fields = append(fields, f)
		}
	}
	for _, f := range fields {
		c := column{Column: f.StorageKey()}
		dest, late := scanner(f, "n."+f.StructField())
		if dest == "" {
			dest = fmt.Sprintf("slow[%d]", len(e.Slow))
			e.Slow = append(e.Slow, c.Column)
		}
		c.Dest, c.LateDest = dest, dest
		if late || f == n.ID {
			c.LateDest = fmt.Sprintf("fast.Late(&late[%d], %s)", e.Late, dest)
			e.Late++
		}
		e.Columns = append(e.Columns, c)
	}
	for _, key := range n.UnexportedForeignKeys() {
		f := *key.Field
		f.Nillable = true
		dest, _ := scanner(&f, "n."+key.StructField())
		slowKeys = slowKeys || dest == ""
		e.Keys = append(e.Keys, column{Column: key.Edge.Rel.Column(), Dest: dest})
	}
	return slowKeys
}

// scanners are the scanners of package fast by the kinds they write.
var scanners = map[reflect.Kind]string{
	reflect.Bool: "Bool", reflect.String: "String",
	reflect.Int: "Int", reflect.Int8: "Int8", reflect.Int16: "Int16", reflect.Int32: "Int32", reflect.Int64: "Int64",
	reflect.Uint: "Uint", reflect.Uint8: "Uint8", reflect.Uint16: "Uint16", reflect.Uint32: "Uint32",
	reflect.Uint64: "Uint64", reflect.Float32: "Float32", reflect.Float64: "Float64",
}

var kinds = map[field.Type]reflect.Kind{
	field.TypeBool: reflect.Bool, field.TypeString: reflect.String, field.TypeEnum: reflect.String,
	field.TypeInt: reflect.Int, field.TypeInt8: reflect.Int8, field.TypeInt16: reflect.Int16,
	field.TypeInt32: reflect.Int32, field.TypeInt64: reflect.Int64, field.TypeUint: reflect.Uint,
	field.TypeUint8: reflect.Uint8, field.TypeUint16: reflect.Uint16, field.TypeUint32: reflect.Uint32,
	field.TypeUint64: reflect.Uint64, field.TypeFloat32: reflect.Float32, field.TypeFloat64: reflect.Float64,
}

// scanner is the expression of where a field is scanned to, or empty where Ent has to decode it. It is late where it
// must not be told of NULL unless the row is known to be there.
func scanner(f *gen.Field, at string) (dest string, late bool) {
	t := f.Type
	switch {
	case f.HasValueScanner(), f.IsJSON() && t.ValueScanner():
		return "", false
	case f.IsJSON():
		return "fast.JSON(&" + at + ")", false
	}
	if t.ValueScanner() {
		switch {
		case t.RType.IsPtr() || strings.HasPrefix(f.ScanType(), "sql.Null") && f.ScanType() != "sql.NullScanner":
			return "", false
		case f.Nillable:
			return "fast.NilScanner(&" + at + ")", false
		}
		return "&" + at, true
	}
	switch {
	case t.Type == field.TypeBytes && !f.HasGoType() && !f.Nillable:
		return "&" + at, false
	case t.Type == field.TypeTime && !f.HasGoType() && f.Nillable:
		return "fast.NilTime(&" + at + ")", false
	case t.Type == field.TypeTime && !f.HasGoType():
		return "(*fast.Time)(&" + at + ")", false
	}
	kind, ok := kinds[t.Type]
	if !ok {
		return "", false
	}
	if f.HasGoType() {
		if kind = t.RType.Kind; kind != kinds[t.Type] {
			return "", false
		}
	}
	if f.Nillable {
		return "fast.Nil" + scanners[kind] + "(&" + at + ")", false
	}
	return "(*fast." + scanners[kind] + ")(&" + at + ")", false
}
