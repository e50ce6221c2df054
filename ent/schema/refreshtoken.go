package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// RefreshToken is a long-lived token that is exchanged for a new one on use.
// The row it was exchanged for is named by replaced_by_token_hash.
type RefreshToken struct {
	ent.Schema
}

// Mixin of the RefreshToken.
func (RefreshToken) Mixin() []ent.Mixin {
	return []ent.Mixin{
		timestamps{},
	}
}

// Fields of the RefreshToken.
func (RefreshToken) Fields() []ent.Field {
	return strict([]ent.Field{
		ownerID("user_id"),
		field.String("token_hash").
			MaxLen(255).
			Match(printableASCII).
			Unique().
			Sensitive().
			Annotations(hashColumn),
		field.Time("expires_at").
			SchemaType(timestampType),
		field.Bool("is_revoked").
			Default(false),
		field.Time("revoked_at").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.String("replaced_by_token_hash").
			MaxLen(255).
			Match(printableASCII).
			Optional().
			Nillable().
			Sensitive().
			Annotations(hashColumn),
		field.Int32("grace_uses").
			Comment("How often the token was presented again in the grace interval after its rotation. The version " +
				"before counts here.").
			NonNegative().
			Default(0),
		familyField(),
		field.String("successor_salt").
			Comment("What this token was derived from, together with the token before it and a key; erased " +
				"after the grace.").
			MaxLen(64).
			Match(printableASCII).
			Optional().
			Nillable().
			Sensitive().
			Annotations(hashColumn),
	})
}

// Edges of the RefreshToken.
func (RefreshToken) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", owner.Type).
			Ref(refreshTokensEdge).
			Field("user_id").
			Unique().
			Required(),
	}
}

// Indexes of the RefreshToken. The unique index of token_hash comes with its field and serves rotation.
func (RefreshToken) Indexes() []ent.Index {
	return []ent.Index{
		// Revocation of all that a user holds; the foreign key.
		index.Fields("user_id", "is_revoked"),
		// What is live of a family.
		index.Fields("family", "is_revoked"),
		// Purge of expired tokens.
		index.Fields("expires_at"),
	}
}

// Annotations of the RefreshToken.
func (RefreshToken) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("long-lived tokens, exchanged on use"),
	}
}
