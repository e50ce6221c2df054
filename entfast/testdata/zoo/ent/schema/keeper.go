package schema

import (
	"database/sql"
	"database/sql/driver"
	"strings"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"

	"example.com/zoo/kind"
)

// Keeper has a field of each type.
type Keeper struct{ ent.Schema }

// Fields of Keeper.
func (Keeper) Fields() []ent.Field {
	path := field.ValueScannerFunc[kind.Path, *sql.NullString]{
		V: func(p kind.Path) (driver.Value, error) { return p.Join(), nil },
		S: func(s *sql.NullString) (kind.Path, error) { return strings.Split(s.String, "."), nil },
	}
	return []ent.Field{
		field.String("name").StorageKey("full_name"),
		field.String("nick").Optional(),
		field.String("title").Optional().Nillable(),
		field.String("secret").Sensitive().Default("s"),
		field.String("code").GoType(kind.Code("")).Default("c"),
		field.String("other_code").GoType(kind.Code("")).Optional().Nillable(),
		field.String("note").GoType(kind.Note{}).Optional(),
		field.String("other_note").GoType(kind.Note{}).Optional().Nillable(),
		field.String("path").GoType(kind.Path{}).ValueScanner(path).DefaultFunc(func() kind.Path { return kind.Path{"a"} }),
		field.String("gone").Optional().Deprecated(),
		field.Enum("rank").Values("low", "high").Default("low"),
		field.Enum("other_rank").Values("low", "high").Optional().Nillable(),
		field.Bool("active").Default(true),
		field.Bool("flag").Optional(),
		field.Bool("other_flag").Optional().Nillable(),
		field.Int("n"),
		field.Int8("n8").Default(-8),
		field.Int16("n16").Default(-16),
		field.Int32("n32").Default(-32),
		field.Int64("n64").Default(-64),
		field.Uint("u").Default(1),
		field.Uint8("u8").Default(8),
		field.Uint16("u16").Default(16),
		field.Uint32("u32").Default(32),
		field.Uint64("u64").Default(64),
		field.Int32("level").GoType(kind.Level(0)).Default(3),
		field.Int("maybe").Optional(),
		field.Int8("m8").Optional().Nillable(),
		field.Uint16("m16").Optional().Nillable(),
		field.Int32("m32").GoType(kind.Level(0)).Optional().Nillable(),
		field.Int64("m64").Optional().Nillable(),
		field.Float("weight").Default(1.5),
		field.Float32("height").Default(2.25),
		field.Float("other_weight").Optional().Nillable(),
		field.Time("born"),
		field.Time("left").Optional(),
		field.Time("back").Optional().Nillable(),
		field.Bytes("photo").Optional(),
		field.Bytes("other_photo").Optional().Nillable(),
		field.JSON("size", kind.Size{}).Optional(),
		field.JSON("sizes", map[string]*kind.Size{}).Optional(),
		field.Strings("tags").Optional(),
		field.UUID("token", uuid.UUID{}).Default(uuid.New),
		field.UUID("maybe_token", uuid.UUID{}).Optional(),
		field.UUID("other_token", uuid.UUID{}).Optional().Nillable(),
	}
}

// Edges of Keeper.
func (Keeper) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("animals", Animal.Type),
		edge.To("friends", Keeper.Type),
		edge.To("deputy", Keeper.Type).Unique(),
	}
}
