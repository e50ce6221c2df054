// Package schema declares the tables of the auth graph, one entity a file. The
// client in package ent and the migrations follow from it.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// User is an account: identity, credentials and profile.
type User struct {
	ent.Schema
}

// Mixin of the User.
func (User) Mixin() []ent.Mixin {
	return []ent.Mixin{
		timestamps{},
	}
}

// Fields of the User.
func (User) Fields() []ent.Field {
	return strict([]ent.Field{
		field.String("name").
			MaxRuneLen(100),
		field.String("email").
			MaxRuneLen(schematype.MaxEmailLen).
			Validate(schematype.ValidateEmail).
			Unique().
			Annotations(emailColumn),
		field.String("password").
			Comment("Hash of the password; null for accounts without one.").
			MaxLen(255).
			Match(printableASCII).
			Optional().
			Nillable().
			Sensitive().
			Annotations(hashColumn),
		field.Enum("role").
			GoType(schematype.Role("")).
			Default(string(schematype.RoleUser)),
		field.Enum("provider").
			GoType(schematype.Provider("")).
			Default(string(schematype.ProviderLocal)),
		field.String("provider_id").
			Comment("Subject at the provider; null for local accounts.").
			NotEmpty().
			MaxRuneLen(255).
			Validate(schematype.ValidateSubject).
			Optional().
			Nillable(),
		field.JSON("avatar", &schematype.Avatar{}).
			Optional(),
		field.Bool("is_email_verified").
			Default(false),
		field.Time("last_login_at").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.Int32("failed_login_attempts").
			NonNegative().
			Default(0),
		field.Time("lock_until").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.Bool("is_deleted").
			Default(false),
		field.Time("deleted_at").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.Time("re_activate_available_at").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.Time("suspended_until").
			Comment("Until then an operator allows no sign-in, session or refresh token. The end of the year 9999 " +
				"stands for no end; null for no suspension.").
			SchemaType(datetimeType).
			Optional().
			Nillable(),
		field.Int32("guess_failures").
			Comment("Failures in a row of strangers, who are no known devices: wrong passwords, and the attempts " +
				"that each mailed code allows.").
			NonNegative().
			Default(0),
		field.Int32("step_failures").
			Comment("Failures in a row at the second step.").
			NonNegative().
			Default(0),
		field.Int32("trust_epoch").
			Comment("Goes up when all devices lose their standing: those of an earlier epoch are strangers.").
			NonNegative().
			Default(0),
		field.Bool("reset_by_mail").
			Comment("A mailed code set the password, so mail is no second step to it.").
			Default(false),
	})
}

// Edges of the User.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To(sessionsEdge, Session.Type).
			Annotations(entsql.OnDelete(entsql.Cascade)),
		edge.To(refreshTokensEdge, RefreshToken.Type).
			Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of the User. The unique index of email comes with its field.
func (User) Indexes() []ent.Index {
	return []ent.Index{
		// Sign-in through a provider; one account for one identity.
		index.Fields("provider", "provider_id").
			Unique(),
		// The accounts of a role.
		index.Fields("role"),
		// Purge of accounts whose retention is over.
		index.Fields("is_deleted", "deleted_at"),
	}
}

// Annotations of the User.
func (User) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("accounts: identity, credentials and profile"),
		entsql.Checks(map[string]string{
			"users_failed_login_attempts": "failed_login_attempts >= 0",
		}),
	}
}
