package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
)

// owner is the entity that sessions, refresh tokens and one-time passwords belong to.
type owner = User

// The edges from the owner.
const (
	sessionsEdge      = "sessions"
	refreshTokensEdge = "refresh_tokens"
)

// ownerKey is a field that holds an owner's id.
type ownerKey struct{ descriptor *field.Descriptor }

// ownerID is a field that holds an owner's id and has its type, whatever that is: nothing else names it.
func ownerID(name string) ownerKey {
	// Ent's own id, where the owner declares none.
	id := field.Int("id").Descriptor()
	var o owner
	fields := o.Fields()
	for _, m := range o.Mixin() {
		fields = append(fields, m.Fields()...)
	}
	for _, f := range fields {
		if d := f.Descriptor(); d.Name == id.Name {
			id = d
		}
	}
	return ownerKey{&field.Descriptor{
		Name: name, Info: id.Info, Size: id.Size, ValueScanner: id.ValueScanner, SchemaType: id.SchemaType,
		Annotations: comparison(id.Annotations), Err: id.Err,
	}}
}

// comparison is what the annotations of a key say of its column's characters and length: a foreign key has to agree.
func comparison(annotations []schema.Annotation) (same []schema.Annotation) {
	for _, a := range annotations {
		var sql entsql.Annotation
		switch a := a.(type) {
		case entsql.Annotation:
			sql = a
		case *entsql.Annotation:
			sql = *a
		}
		if sql.Charset+sql.Collation != "" || sql.Size != 0 {
			same = append(same, entsql.Annotation{Charset: sql.Charset, Collation: sql.Collation, Size: sql.Size})
		}
	}
	return same
}

// optional is the same field where there may be no owner.
func (k ownerKey) optional(comment string) ent.Field {
	k.descriptor.Optional, k.descriptor.Nillable, k.descriptor.Comment = true, true, comment
	return k
}

// Descriptor implements ent.Field.
func (k ownerKey) Descriptor() *field.Descriptor { return k.descriptor }
