package schema

import (
	"context"
	"errors"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"

	"example.com/zoo/kind"
)

// Pen has a string for an id.
type Pen struct{ ent.Schema }

// Fields of Pen.
func (Pen) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(40).SchemaType(map[string]string{dialect.MySQL: "varchar(40)"}),
		field.Int("area"),
	}
}

// Annotations of Pen.
func (Pen) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "pen_of_animals"}}
}

// Tag has the key of the animal in a field.
type Tag struct{ ent.Schema }

// Fields of Tag.
func (Tag) Fields() []ent.Field {
	return []ent.Field{field.Int64("id"), field.String("text")}
}

// Edges of Tag.
func (Tag) Edges() []ent.Edge {
	return []ent.Edge{edge.From("animal", Animal.Type).Ref("tag").Unique().Required()}
}

// Chip has the key of the animal, which it may lack, in no field.
type Chip struct{ ent.Schema }

// Fields of Chip.
func (Chip) Fields() []ent.Field {
	return []ent.Field{field.Uint64("serial")}
}

// Edges of Chip.
func (Chip) Edges() []ent.Edge {
	return []ent.Edge{edge.From("animal", Animal.Type).Ref("chip").Unique()}
}

// Ghost is not seen where it is hidden.
type Ghost struct{ ent.Schema }

// Fields of Ghost.
func (Ghost) Fields() []ent.Field {
	return []ent.Field{field.String("name"), field.Bool("hidden").Default(false)}
}

// Interceptors of Ghost.
func (Ghost) Interceptors() []ent.Interceptor {
	return []ent.Interceptor{
		ent.TraverseFunc(func(context.Context, ent.Query) error {
			kind.Intercepted.Add(1)
			return nil
		}),
	}
}

// Vault is seen by those whose context has a kind.Key.
type Vault struct{ ent.Schema }

// Fields of Vault.
func (Vault) Fields() []ent.Field {
	return []ent.Field{field.String("name")}
}

// Policy of Vault.
func (Vault) Policy() ent.Policy { return keyed{} }

type keyed struct{}

func (keyed) EvalMutation(context.Context, ent.Mutation) error { return nil }

func (keyed) EvalQuery(ctx context.Context, _ ent.Query) error {
	if ctx.Value(kind.Key{}) == nil {
		return errors.New("no key to the vault")
	}
	return nil
}
