package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Cage is in a table that is called as Ent calls the first that it joins.
type Cage struct{ ent.Schema }

// Fields of Cage.
func (Cage) Fields() []ent.Field {
	return []ent.Field{field.Int("size"), field.String("brand_id").MaxLen(40).Optional()}
}

// Edges of Cage.
func (Cage) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("brand", Brand.Type).Field("brand_id").Unique(),
		edge.To("next", Cage.Type).Unique().From("previous").Unique(),
		edge.To("lock", Lock.Type).Unique(),
	}
}

// Annotations of Cage.
func (Cage) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "t1"}}
}

// Lock has its key in a field.
type Lock struct{ ent.Schema }

// Fields of Lock.
func (Lock) Fields() []ent.Field {
	return []ent.Field{field.Int("pins"), field.Int("cage_id").Optional()}
}

// Edges of Lock.
func (Lock) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("cage", Cage.Type).Ref("lock").Field("cage_id").Unique(),
		edge.To("spare", Lock.Type).Unique(),
	}
}

// Brand has a string for an id.
type Brand struct{ ent.Schema }

// Fields of Brand.
func (Brand) Fields() []ent.Field {
	return []ent.Field{field.String("id").MaxLen(40), field.Int("year")}
}
