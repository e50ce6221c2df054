package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// Animal has an edge of each kind.
type Animal struct{ ent.Schema }

// Fields of Animal.
func (Animal) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Default(uuid.New),
		field.String("name"),
		field.Int("age"),
		field.Bool("tame"),
		field.Int("keeper_id").Optional().Nillable(),
		field.Int("sponsor_id").Optional(),
		field.Strings("foods").Optional(),
	}
}

// Edges of Animal.
func (Animal) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("keeper", Keeper.Type).Ref("animals").Field("keeper_id").Unique(),
		edge.To("sponsor", Keeper.Type).Field("sponsor_id").Unique(),
		edge.To("pen", Pen.Type).Unique(),
		edge.To("mate", Animal.Type).Unique(),
		edge.To("children", Animal.Type).From("mother").Unique(),
		edge.To("tag", Tag.Type).Unique(),
		edge.To("chip", Chip.Type).Unique(),
		edge.To("ghost", Ghost.Type).Unique(),
		edge.To("vault", Vault.Type).Unique(),
	}
}
