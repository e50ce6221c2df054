package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
)

// OTPStripe is one of 65,536 parts of all addresses and origins, by their hash (a striped lock). A request for a mail
// writes the rows of its own two, so that of two at once one waits. Where several servers take writes, one is rolled
// back: they compare what transactions wrote, and not what they locked.
type OTPStripe struct {
	ent.Schema
}

// Fields of the OTPStripe.
func (OTPStripe) Fields() []ent.Field {
	return strict([]ent.Field{
		field.Int("id").
			NonNegative().
			Annotations(entsql.Annotation{Incremental: new(bool)}),
		field.Int("turn").
			Comment("Goes up with each request.").
			NonNegative().
			Default(0),
	})
}

// Annotations of the OTPStripe.
func (OTPStripe) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("turns of the requests for mails, by address and by origin"),
		entsql.Table("otp_stripes"),
	}
}
