package schema

import (
	"testing"

	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/assert"
)

// MySQL refuses a foreign key between texts that compare otherwise (error 3780).
func TestAKeyComparesLikeTheIDThatItHolds(t *testing.T) {
	t.Parallel()
	latin := entsql.Annotation{Charset: "latin1", Collation: "latin1_bin"}
	ascii := entsql.Annotation{Collation: "ascii_bin"}
	type annotations []schema.Annotation
	sized := entsql.Annotation{Size: 20}
	for name, test := range map[string]struct {
		id       *field.Descriptor
		of, want annotations
	}{
		"Ent's own":           {field.Int("id").Descriptor(), annotations{latin}, nil},
		"a text":              {field.String("id").Descriptor(), nil, nil},
		"a text of the table": {field.String("id").Descriptor(), annotations{latin}, annotations{latin}},
		"a text by a pointer": {field.String("id").Annotations(&ascii).Descriptor(), nil, annotations{ascii}},
		"a text of its own": {
			field.String("id").Annotations(latin).Descriptor(), annotations{ascii}, annotations{latin},
		},
		"a text of a length":   {field.String("id").Annotations(sized).Descriptor(), nil, annotations{sized}},
		"a default is no part": {field.String("id").Annotations(entsql.DefaultExpr("uuid()")).Descriptor(), nil, nil},
	} {
		assert.Equal(t, test.want, annotations(comparison(test.id, test.of)), name)
	}
}

func TestTheKeysOfTheOwnerHaveItsType(t *testing.T) {
	t.Parallel()
	key := ownerID("user_id").Descriptor()
	assert.Equal(t, field.TypeInt, key.Info.Type)
	assert.False(t, key.Optional || key.Nillable || key.Unique || key.Immutable)
	maybe := ownerID("requested_by").optional("who asked").Descriptor()
	assert.True(t, maybe.Optional && maybe.Nillable)
	assert.Equal(t, "who asked", maybe.Comment)
}
