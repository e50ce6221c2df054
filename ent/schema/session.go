package schema

import (
	"errors"
	"net/netip"

	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Session is a signed-in device.
type Session struct {
	ent.Schema
}

// Mixin of the Session.
func (Session) Mixin() []ent.Mixin {
	return []ent.Mixin{
		timestamps{},
	}
}

// Fields of the Session.
func (Session) Fields() []ent.Field {
	return strict([]ent.Field{
		ownerID("user_id"),
		field.String("token_hash").
			MaxLen(255).
			Match(printableASCII).
			Unique().
			Sensitive().
			Annotations(hashColumn),
		field.String("ip").
			Comment("Client address, IPv4 or IPv6.").
			MaxLen(45).
			Validate(validateIP).
			Optional().
			Nillable(),
		field.String("user_agent").
			Comment("User-Agent header, cut at 255 characters.").
			MaxRuneLen(schematype.MaxUserAgentLen).
			Optional().
			Nillable(),
		field.Bool("is_active").
			Default(true),
		field.Time("last_used_at").
			SchemaType(timestampType).
			Default(now).
			Annotations(defaultNow),
		field.Time("expires_at").
			SchemaType(timestampType),
		familyField(),
		field.Int32("trust_epoch").
			Comment("The user's trust_epoch when the session began: while it is still that, the device is a known " +
				"one; null for a stranger.").
			NonNegative().
			Optional().
			Nillable(),
		field.Int32("device_failures").
			Comment("Failures in a row of this device. Those of strangers are not among them.").
			NonNegative().
			Default(0),
	})
}

// Edges of the Session.
func (Session) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", owner.Type).
			Ref(sessionsEdge).
			Field("user_id").
			Unique().
			Required(),
	}
}

// Indexes of the Session. The unique index of token_hash comes with its field and serves the session check.
func (Session) Indexes() []ent.Index {
	return []ent.Index{
		// A user's devices, the last used first; the foreign key.
		index.Fields("user_id", "is_active", "last_used_at"),
		// What one sign-in gave.
		index.Fields("family"),
		// Purge of expired sessions.
		index.Fields("expires_at"),
	}
}

// Annotations of the Session.
func (Session) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("signed-in devices"),
	}
}

func validateIP(s string) error {
	if addr, err := netip.ParseAddr(s); err != nil || addr.Zone() != "" {
		return errors.New("ip is not an IPv4 or IPv6 address (without port or zone)")
	}
	return nil
}
