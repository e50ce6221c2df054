package usergraph

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/entgraph"
)

// plain is a field of a basic type.
func plain(name, typ string) *entgraph.Field {
	kinds := map[string]string{"time": "time.Time", "enum": "string"}
	kind, ok := kinds[typ]
	if !ok {
		kind = typ
	}
	return &entgraph.Field{Name: name, Column: name, Type: typ, Go: entgraph.GoType{Ident: kind, Kind: kind},
		Required: true, Declared: true}
}

// with is a field that is changed.
func with(f *entgraph.Field, change func(*entgraph.Field)) *entgraph.Field {
	change(f)
	return f
}

func uniquely(f *entgraph.Field) { f.Unique = true }

// entity has an id, an address and a password, and the fields.
func entity(name string, fields ...*entgraph.Field) *entgraph.Entity {
	return &entgraph.Entity{
		Name: name, Table: strings.ToLower(name) + "s", Position: "/app/ent/schema/" + strings.ToLower(name) + ".go:9",
		Package: "example.com/app/ent/" + strings.ToLower(name), Create: name + "Create",
		ID: with(plain("id", "int"), func(f *entgraph.Field) { f.Declared = false }),
		Fields: append([]*entgraph.Field{
			with(plain("email", "string"), uniquely), plain("password", "string"),
		}, fields...),
	}
}

type list []*entgraph.Entity

func schema(entities ...*entgraph.Entity) *entgraph.Schema {
	return &entgraph.Schema{Package: "example.com/app/ent/schema", Client: "example.com/app/ent", Entities: entities}
}

func TestTheUsersAreFoundByTheirAddressAndPassword(t *testing.T) {
	t.Parallel()
	bare := func(name string, fields ...*entgraph.Field) *entgraph.Entity {
		e := entity(name)
		e.Fields = fields
		return e
	}
	address := func() *entgraph.Field { return with(plain("mail", "string"), uniquely) }
	for name, test := range map[string]struct {
		entities list
		want     []string
	}{
		"by name":                {list{bare("Order"), bare("User")}, nil},
		"by name and address":    {list{bare("Invitation", address()), bare("Member", address())}, []string{"Member"}},
		"by password":            {list{entity("Gardener"), bare("Invoice", address())}, []string{"Gardener"}},
		"beside customers":       {list{bare("Customer", address()), entity("User")}, []string{"User"}},
		"several":                {list{entity("Admin"), entity("User")}, []string{"User", "Admin"}},
		"without a password":     {list{entity("Admin"), bare("User", address())}, []string{"User", "Admin"}},
		"ours are not theirs":    {list{entity("OTP"), entity("User")}, []string{"User"}},
		"a number is no address": {list{bare("User", plain("email", "int"))}, nil},
	} {
		var got []string
		for _, e := range Candidates(schema(test.entities...)) {
			got = append(got, e.Name)
		}
		assert.Equal(t, test.want, got, name)
	}
}

func TestWhatIsAskedForAndIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	s := schema(entity("Member", plain("full_name", "string"), plain("age", "int")), entity("Order"))
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{User: "Person"}, "the schema has no entity Person: name one of Member, Order"},
		{Options{}, "several entities may be the users: name one with --user: Member, Order"},
		{Options{User: "Member", Profile: "huge"}, `there is no profile "huge": use whole, plain or minimal`},
		{Options{User: "Member", Map: "name"}, `"name" names no field for a column: write it as email=mail`},
		{Options{User: "Member", Map: "nick=age"}, `package auth has no column "nick": use one of created_at, `},
		{Options{User: "Member", Map: "name=nick"},
			"the entity Member has no field nick for name: name one of its fields, or - for none"},
		{Options{User: "Member", Map: "name=age"},
			"the field age of Member cannot hold name: it is of Ent's type int: name another field, or - for none"},
		{Options{User: "Member", Map: "name=full_name, name=email"},
			"the column name is mapped twice: name one field for it"},
		{Options{User: "Member", Map: "name=full_name,role=full_name"},
			"the field full_name is mapped to name and to role: name another field for one of them"},
		{Options{User: "Member", Map: "trust_epoch=-"},
			"the column trust_epoch is needed: leave it out of --map, or name a field for it"},
		{Options{User: "Member", Map: "email=-"}, "the column email is needed: "},
		{Options{User: "Member", Rule: "status = 1"}, "the rule asks no column of members: "},
		{Options{User: "Member", Rule: "age = 1; DROP TABLE members"}, "the rule has ; in it: "},
		{Options{User: "Member", Rule: "age = 1 -- or not"}, "the rule has -- in it: "},
		{Options{User: "Member", Rule: "age = 1)"}, "the rule closes more brackets than it opens: "},
		{Options{User: "Member", Rule: "(age = 1"}, "the rule opens more brackets than it closes: "},
		{Options{User: "Member", Rule: "full_name = 'Ada"}, "the rule has a quote that does not end: "},
	} {
		_, err := New(s, test.o)
		var wrong *Error
		require.ErrorAs(t, err, &wrong, "%+v", test.o)
		assert.Contains(t, err.Error(), test.want)
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestWhatIsInTheWayIsSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*entgraph.Entity)
		o      Options
		want   string
	}{
		"an address that may be null": {func(e *entgraph.Entity) { e.Fields[0].Optional = true }, Options{},
			"the field email of Member, which is to be the address, may be null: " +
				"give every row an address, then take out Optional and Nillable"},
		"an address of several": {func(e *entgraph.Entity) { e.Fields[0].Unique = false }, Options{},
			"the field email of Member, which is to be the address, is not unique: " +
				"settle the rows that share one, then add Unique()"},
		"an address that stays": {func(e *entgraph.Entity) { e.Fields[0].Immutable = true }, Options{},
			"is immutable: "},
		"no address": {func(e *entgraph.Entity) { e.Fields[0].Type = "int" }, Options{},
			"the entity Member has no field that holds an address: name one with --map email=…"},
		"a short password": {func(e *entgraph.Entity) { e.Fields[1].Size = 60 }, Options{},
			"the field password of Member, which is to hold hashes of passwords, holds 60 characters: "},
		"a short column": {func(e *entgraph.Entity) {
			e.Fields[1].SchemaType = map[string]string{"mysql": "varchar(60)"}
		}, Options{}, "holds 60 characters: "},
		"an id that is a slice": {func(e *entgraph.Entity) {
			e.ID = plain("id", "bytes")
			e.ID.Go = entgraph.GoType{Ident: "[]byte", Kind: "slice"}
		}, Options{}, "the id of Member is of the type []byte, which cannot be compared: "},
		"an id without methods": {func(e *entgraph.Entity) {
			e.ID.Go = entgraph.GoType{Ident: "key.ID", Kind: "array", Custom: true}
		}, Options{}, "the id of Member is of the type key.ID, which has no methods Value and Scan: "},
		"an id with a scanner": {func(e *entgraph.Entity) { e.ID.ValueScanner = true }, Options{},
			"the id of Member has a ValueScanner: let its Go type have the methods Value and Scan instead"},
		"a lock that is always on": {func(e *entgraph.Entity) { e.Fields = append(e.Fields, plain("locked", "time")) },
			Options{Map: "lock_until=locked"},
			"the field locked of Member, which is to be lock_until, cannot be null: "},
		"half an identity": {func(*entgraph.Entity) {}, Options{Map: "provider_id=-"},
			"of provider and provider_id only one is there, and an identity is both: map both, or - for both"},
		"an identity of two": {func(e *entgraph.Entity) {
			e.Fields = append(e.Fields, plain("source", "string"), plain("subject", "string"))
			e.Fields[3].Optional = true
		}, Options{Map: "provider=source,provider_id=subject"},
			"two rows of Member may have one identity in source and subject: " +
				`add index.Fields("source", "subject").Unique()`},
		"a name and its other name": {func(e *entgraph.Entity) {
			e.Fields = append(e.Fields, plain("lock_until", "int"), plain("auth_lock_until", "int"))
		}, Options{}, "the entity Member has fields lock_until and auth_lock_until that are not package auth's: "},
		"both names of an edge": {func(e *entgraph.Entity) {
			e.Edges = []*entgraph.Edge{{Name: "sessions", Type: "Visit"}, {Name: "auth_sessions", Type: "Visit"}}
		}, Options{}, "the entity Member has something called auth_sessions already: rename it"},
		"a status": {func(e *entgraph.Entity) { e.Fields = append(e.Fields, plain("status", "int")) }, Options{},
			"the field status of Member may say who must not sign in, and its name does not tell how: " +
				`say it with --rule, such as --rule "status = 1", or --rule none if it says nothing of the kind`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entity("Member")
			test.change(e)
			test.o.User = "Member"
			g, err := New(schema(e), test.o)
			require.NoError(t, err)
			found := g.Problems()
			require.Len(t, found, 1)
			assert.Contains(t, found[0].Error(), test.want)
			assert.NotContains(t, found[0].Error(), "\n")
		})
	}
}

func TestAnEntityInThePlaceOfOursIsInTheWay(t *testing.T) {
	t.Parallel()
	visit := entity("Visit")
	visit.Table = "sessions"
	ours := entity("Session", plain("token_hash", "string"))
	for want, other := range map[string]*entgraph.Entity{
		"the entity Visit has the table sessions, which package auth needs: rename the table": visit,
		"the schema has an entity OTP of its own: rename it: package auth brings one":         entity("OTP"),
		"": ours,
	} {
		g, err := New(schema(entity("Member"), other), Options{User: "Member"})
		require.NoError(t, err)
		found := g.Problems()
		if want == "" {
			assert.Empty(t, found)
			continue
		}
		require.Len(t, found, 1)
		assert.EqualError(t, found[0], want)
	}
}

func TestARuleBelongsToTheRow(t *testing.T) {
	t.Parallel()
	e := entity("Member", plain("status", "int"), plain("plan", "string"), plain("lower", "string"))
	for asked, want := range map[string]string{
		"status = 1":                           "u.`status` = 1",
		"u.status=1":                           "u.`status`=1",
		"u.`status` IN (1, 2)":                 "u.`status` IN (1, 2)",
		"`status` <> 3":                        "u.`status` <> 3",
		"plan = 'status' AND status > 0":       "u.`plan` = 'status' AND u.`status` > 0",
		"lower(plan) = 'pro'":                  "lower(u.`plan`) = 'pro'",
		"plan <> 'it''s' OR (status = 1)":      "u.`plan` <> 'it''s' OR (u.`status` = 1)",
		"status NOT IN (SELECT s FROM banned)": "u.`status` NOT IN (SELECT s FROM banned)",
	} {
		g, err := New(schema(e), Options{User: "Member", Rule: asked})
		require.NoError(t, err, asked)
		assert.Equal(t, want, g.Rule)
	}
}

func TestAColumnThatComparesBytesIsSaidToMissCapitals(t *testing.T) {
	t.Parallel()
	for collation, want := range map[string]string{
		"": "looked up in lower case", "utf8mb4_bin": "looked up in lower case",
		"utf8mb4_0900_ai_ci": "takes addresses for one that differ",
	} {
		member := entity("Member")
		member.Field("email").Collation = collation
		g, err := New(schema(member), Options{User: "Member"})
		require.NoError(t, err)
		assert.Contains(t, strings.Join(g.Notes(), "\n"), want, collation)
	}
}

func TestWhatAFieldOfTheirsDoesNotHoldIsNoted(t *testing.T) {
	t.Parallel()
	member := entity("Member",
		with(plain("status", "enum"), func(f *entgraph.Field) { f.Enums = []string{"active", "user"} }),
		with(plain("full_name", "string"), func(f *entgraph.Field) { f.Size = 40 }))
	g, err := New(schema(member), Options{User: "Member", Map: "role=status"})
	require.NoError(t, err)
	notes := strings.Join(g.Notes(), "\n")
	assert.Contains(t, notes, "status may say who must not sign in, and is taken for the role: no rule asks it unless "+
		"--rule says so")
	assert.Contains(t, notes, "status does not list admin: ChangeRole refuses it")
	assert.NotContains(t, notes, "does not list user")
	assert.Contains(t, notes, "full_name holds 40 characters: a longer name, up to 100, is refused")
	assert.Contains(t, g.Table(), "note: status may say who must not sign in")
	g, err = New(schema(member), Options{User: "Member", Map: "role=status", Rule: "status = 'active'"})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(g.Notes(), "\n"), "no rule asks it")
}

func TestWhatWasAddedBeforeIsNotTheirs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := entity("Member", plain("deleted_at", "time"))
	e.Position = filepath.Join(folder, "member.go") + ":3"
	write(t, e.File(), "package schema\n\ntype Member struct{ ent.Schema }\n")
	first, err := New(schema(e), Options{})
	require.NoError(t, err)
	text, _, err := first.Mixin([]byte(read(t, "../../ent/schema/user.go")), "example.com/app/ent/schema/schematype")
	require.NoError(t, err)
	write(t, filepath.Join(folder, MixinFile), string(text))
	later := *e
	for _, c := range first.Columns {
		if c.Source == Added {
			known, _ := columnOf(c.Name)
			later.Fields = append(later.Fields, plain(c.Field, added[known.kind]))
		}
	}
	later.Edges = []*entgraph.Edge{{Name: "sessions", Type: "Session"}, {Name: "refresh_tokens", Type: "RefreshToken"}}
	second, err := New(schema(&later), Options{})
	require.NoError(t, err)
	assert.Equal(t, first.Mapping, second.Mapping)
	assert.Equal(t, "auth_deleted_at", second.column("deleted_at").Field)
}

func TestAFieldThatIsGoneIsMissed(t *testing.T) {
	t.Parallel()
	e := entity("Member", plain("full_name", "string"))
	g, err := New(schema(e), Options{})
	require.NoError(t, err)
	e.Fields = e.Fields[:2]
	_, err = Load(schema(e), g.Mapping)
	assert.EqualError(t, err, "the entity Member has no field full_name any more, in which package auth keeps name: "+
		"bring it back, or name another one: authgraph add schema auth --map name=FIELD")
	e.Fields = append(e.Fields, plain("called", "string"))
	m, err := Follow(schema(e), g.Mapping, "name=called")
	require.NoError(t, err)
	g2, err := Load(schema(e), m)
	require.NoError(t, err)
	assert.Equal(t, "called", g2.field("name").Name)
	m, err = Follow(schema(e), m, "email=called")
	require.NoError(t, err)
	assert.Equal(t, "email", m.column("email").Field, "a field that is there stays")
	_, err = Follow(schema(e), g.Mapping, "name=email")
	assert.EqualError(t, err, "the field email holds another column already: name another field")
	_, err = Load(schema(), g.Mapping)
	assert.EqualError(t, err, "the schema has no entity Member any more, whose rows are package auth's users: "+
		"bring it back")
}

func TestAMixinGetsOneLine(t *testing.T) {
	t.Parallel()
	const head, tail = "package schema\n\ntype Member struct{ ent.Schema }\n\n", "\n"
	byHand := "the method Mixin of Member has no one place where a mixin can be added: " +
		"let it return once, at its end, a list or a variable that holds it, and run this again"
	const before = "func (m Member) Mixin() []ent.Mixin {\n\treturn []ent.Mixin{\n\t\tA{},\n\t}\n}"
	const after = "func (m Member) Mixin() []ent.Mixin {\n\treturn []ent.Mixin{\n\t\tA{},\n\t\tauthMixin{},\n\t}\n}"
	windows := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for name, test := range map[string]struct{ before, after, err string }{
		"lines":            {before: before, after: after},
		"lines of Windows": {before: windows(before), after: windows(after)},
		"one line": {before: "func (Member) Mixin() []ent.Mixin { return []ent.Mixin{A{}, B{}} }",
			after: "func (Member) Mixin() []ent.Mixin { return []ent.Mixin{A{}, B{}, authMixin{}} }"},
		"a call at the end": {before: "func (Member) Mixin() []ent.Mixin {\n\treturn []ent.Mixin{a(\n\t\t1)}\n}",
			after: "func (Member) Mixin() []ent.Mixin {\n\treturn []ent.Mixin{a(\n\t\t1), authMixin{}}\n}"},
		"nothing": {before: "func (Member) Mixin() []ent.Mixin { return []ent.Mixin{} }",
			after: "func (Member) Mixin() []ent.Mixin { return []ent.Mixin{authMixin{}} }"},
		"there already": {before: "func (Member) Mixin() []ent.Mixin { return []ent.Mixin{authMixin{}, A{}} }"},
		"no method":     {before: "func (Order) Mixin() []ent.Mixin { return all() }"},
		"a call": {before: "func (Member) Mixin() []ent.Mixin { return all() }",
			after: "func (Member) Mixin() []ent.Mixin { return append(all(), authMixin{}) }"},
		"append": {before: "func (Member) Mixin() []ent.Mixin { return append(Base{}.Mixin(), A{}) }",
			after: "func (Member) Mixin() []ent.Mixin { return append(append(Base{}.Mixin(), A{}), authMixin{}) }"},
		"statements": {before: "func (Member) Mixin() []ent.Mixin {\n\tm := all()\n\treturn m\n}",
			after: "func (Member) Mixin() []ent.Mixin {\n\tm := all()\n\treturn append(m, authMixin{})\n}"},
		"nil": {before: "func (Member) Mixin() []ent.Mixin { return nil }",
			after: "func (Member) Mixin() []ent.Mixin { return append([]ent.Mixin(nil), authMixin{}) }"},
		"there already, in a call": {before: "func (Member) Mixin() []ent.Mixin { return append(all(), authMixin{}) }"},
		"a part of another list":   {before: "func (Member) Mixin() []ent.Mixin { return all[:1] }", err: byHand},
		"two returns": {before: "func (Member) Mixin() []ent.Mixin {\n\tif x {\n\t\treturn a\n\t}\n\treturn b\n}",
			err: byHand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "member.go")
			write(t, file, head+test.before+tail)
			e := entity("Member")
			e.Position = file + ":3"
			g, err := New(schema(e), Options{})
			require.NoError(t, err)
			own := []byte(read(t, "../../ent/schema/user.go"))
			text, edit, err := g.Mixin(own, "example.com/app/ent/schema/schematype")
			switch {
			case test.err != "":
				assert.EqualError(t, err, test.err)
				return
			case test.after == "":
				assert.Nil(t, edit)
			default:
				require.NotNil(t, edit, err)
				assert.Equal(t, file, edit.Path)
				assert.Equal(t, head+test.after+tail, string(edit.Text))
			}
			require.NoError(t, err)
			assert.Equal(t, name == "no method", strings.Contains(string(text), "func (Member) Mixin()"))
		})
	}
}

func TestTheFieldsOfAnEmbeddedTypeAreNotHidden(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string]string{
		"type Member struct{ base.Schema }": "return slices.Concat(e.Schema.Mixin(), []ent.Mixin{authMixin{}})",
		"type Member struct {\n\tBase\n}":   "return slices.Concat(e.Base.Mixin(), []ent.Mixin{authMixin{}})",
		"type Member struct{ ent.Schema }":  "return []ent.Mixin{authMixin{}}",
	} {
		file := filepath.Join(t.TempDir(), "member.go")
		write(t, file, "package schema\n\n"+declared+"\n")
		e := entity("Member")
		e.Position = file + ":3"
		g, err := New(schema(e), Options{})
		require.NoError(t, err)
		text, _, err := g.Mixin([]byte(read(t, "../../ent/schema/user.go")), "example.com/app/ent/schema/schematype")
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
	}
}

func TestAnOwnerThatIsNotThereHasEntsID(t *testing.T) {
	t.Parallel()
	src := []byte(read(t, "../../ent/schema/owner.go"))
	text, err := Owner(src, Mapping{})
	require.NoError(t, err)
	assert.Contains(t, string(text), "type owner struct{ ent.Schema }")
	assert.NotContains(t, string(text), "Edge")
	own, err := Owner(src, Own())
	require.NoError(t, err)
	assert.Equal(t, string(src), string(own))
}
