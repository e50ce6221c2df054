package schema

import (
	"cmp"

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
	var annotations []schema.Annotation
	for _, m := range o.Mixin() {
		fields, annotations = append(fields, m.Fields()...), append(annotations, m.Annotations()...)
	}
	for _, f := range fields {
		if d := f.Descriptor(); d.Name == id.Name {
			id = d
		}
	}
	return ownerKey{&field.Descriptor{
		Name: name, Info: id.Info, Size: id.Size, ValueScanner: id.ValueScanner, SchemaType: id.SchemaType,
		Annotations: comparison(id, append(annotations, o.Annotations()...)), Err: id.Err,
	}}
}

// comparison is what annotations of an id, or else of its table, say of its characters and length: a foreign key has to
// agree.
func comparison(id *field.Descriptor, ofTable []schema.Annotation) []schema.Annotation {
	var same entsql.Annotation
	switch id.Info.Type {
	case field.TypeString, field.TypeUUID, field.TypeOther:
		for _, a := range append(ofTable, id.Annotations...) {
			if pointer, ok := a.(*entsql.Annotation); ok {
				a = *pointer
			}
			if sql, ok := a.(entsql.Annotation); ok {
				same.Charset = cmp.Or(sql.Charset, same.Charset)
				same.Collation = cmp.Or(sql.Collation, same.Collation)
				same.Size = cmp.Or(sql.Size, same.Size)
			}
		}
	}
	if same.Charset+same.Collation == "" && same.Size == 0 {
		return nil
	}
	return []schema.Annotation{same}
}

// optional is the same field where there may be no owner.
func (k ownerKey) optional(comment string) ent.Field {
	k.descriptor.Optional, k.descriptor.Nillable, k.descriptor.Comment = true, true, comment
	return k
}

// Descriptor implements ent.Field.
func (k ownerKey) Descriptor() *field.Descriptor { return k.descriptor }
