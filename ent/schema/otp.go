package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// OTP is a one-time password sent to an email address. It has no edge to User:
// an address can be verified before there is an account.
type OTP struct {
	ent.Schema
}

// Mixin of the OTP.
func (OTP) Mixin() []ent.Mixin {
	return []ent.Mixin{
		timestamps{},
	}
}

// Fields of the OTP.
func (OTP) Fields() []ent.Field {
	return strict([]ent.Field{
		field.String("email").
			MaxRuneLen(schematype.MaxEmailLen).
			Validate(schematype.ValidateEmail).
			Annotations(emailColumn),
		field.String("otp_hash_code").
			MaxLen(255).
			Match(printableASCII).
			Sensitive().
			Annotations(hashColumn),
		field.Time("next_resend_allowed_at").
			SchemaType(timestampType),
		field.Enum("type").
			GoType(schematype.OTPType("")),
		field.Time("expires_at").
			SchemaType(timestampType),
		field.Bool("is_used").
			Default(false),
		field.Time("used_at").
			SchemaType(timestampType).
			Optional().
			Nillable(),
		field.Int32("attempts").
			NonNegative().
			Default(0),
		field.Int32("max_attempts").
			NonNegative().
			Default(5),
		field.String("ticket_hash").
			Comment("Hash of the ticket that whoever asked for the code got: the code counts only together with it.").
			MaxLen(64).
			Match(printableASCII).
			Optional().
			Nillable().
			Sensitive().
			Annotations(hashColumn),
		field.String("origin_hash").
			Comment("Hash of where the request came from, by which mails are limited; null if that is not known.").
			MaxLen(64).
			Match(printableASCII).
			Optional().
			Nillable().
			Annotations(hashColumn),
		field.Bool("is_known_device").
			Comment("A device that had signed in to the account before asked for it.").
			Default(false),
		field.Bool("is_link").
			Comment("The code is 256 random bits for a link, which nobody guesses, instead of digits.").
			Default(false),
		ownerID("requested_by").
			optional("The account that asked for it, as a live session, the ticket of its registration or a first " +
				"step shows; null for anybody else. It is no foreign key."),
		field.Enum("first_step").
			Comment("What was proved before and waits for this code or another second step; null for a code that " +
				"stands alone.").
			GoType(schematype.OTPFirstStep("")).
			Optional().
			Nillable(),
		field.Int32("trust_epoch").
			Comment("The account's trust_epoch when first_step was proved: if it has gone up since, the step is void.").
			NonNegative().
			Optional().
			Nillable(),
	})
}

// Indexes of the OTP.
func (OTP) Indexes() []ent.Index {
	return []ent.Index{
		// The newest code of an address and purpose, for the version before.
		index.Fields("email", "type"),
		// The code of a ticket.
		index.Fields("ticket_hash"),
		// The mails to an address, and those that an origin asked for, in the last hour.
		index.Fields("email", "created_at"),
		index.Fields("origin_hash", "created_at"),
		// Purge of expired codes.
		index.Fields("expires_at"),
	}
}

// Annotations of the OTP.
func (OTP) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("one-time passwords sent to an email address"),
		entsql.Table("otps"),
		entsql.Checks(map[string]string{
			// A counter past its limit would be a code that can be guessed forever.
			"otps_attempts": "attempts BETWEEN 0 AND max_attempts",
		}),
	}
}
