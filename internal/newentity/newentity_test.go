// Package newentity proves that an entity, a column and a provider are added by declaring them in ent/schema and
// generating. It does so in a copy of this repository, and has the copy build, migrate, purge, check and test itself.
package newentity

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// passkey is an entity without an end, with a foreign key to users.
const passkey = `package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Passkey is a public key that a user signs in with.
type Passkey struct {
	ent.Schema
}

// Mixin of the Passkey.
func (Passkey) Mixin() []ent.Mixin {
	return []ent.Mixin{
		timestamps{},
	}
}

// Fields of the Passkey.
func (Passkey) Fields() []ent.Field {
	return strict([]ent.Field{
		field.Int("user_id"),
		field.String("credential_id").
			MaxLen(255).
			Match(printableASCII).
			Unique().
			Annotations(hashColumn),
	})
}

// Edges of the Passkey.
func (Passkey) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).
			Ref("passkeys").
			Field("user_id").
			Unique().
			Required(),
	}
}

// Annotations of the Passkey.
func (Passkey) Annotations() []schema.Annotation {
	return []schema.Annotation{
		schema.Comment("public keys that users sign in with"),
	}
}
`

// declared are the edge to the passkeys, the column phone and the provider apple: by file, each with the text that it
// follows.
var declared = map[string]map[string]string{
	"ent/schema/user.go": {
		"	return []ent.Edge{\n": `		edge.To("passkeys", Passkey.Type).
			Annotations(entsql.OnDelete(entsql.Cascade)),
`,
		"	return strict([]ent.Field{\n": `		field.String("phone").
			Comment("Number for codes by text message.").
			MaxRuneLen(20).
			Optional().
			Nillable(),
`,
	},
	"ent/schema/schematype/schematype.go": {
		"	ProviderGitHub Provider = \"github\"\n": "	ProviderApple  Provider = \"apple\"\n",
		"string(ProviderGitHub)":                  ", string(ProviderApple)",
	},
	// The contract with the seed, in a test and on the page.
	"parity_test.go":      {"\t\"enum('local','google','github'": ",'apple'"},
	"docs/seed-parity.md": {"DEFAULT 'local'` | `enum('local','google','github'": ",'apple'"},
}

// affected are the tests of the copy that look at all tables or columns: those of the schema, of what is installed, and
// of doctor and purge. The others work with tables by name, and go vet has compiled them.
var affected = [][]string{
	{"./internal/registry", "./internal/install", "./internal/dbserver"},
	{"-run", "Seed|Parity|Contract|ColumnOnSQLite", "."},
	{"-run", "Purge", "./auth"},
	{"-run", "TestConformance/sqlite/an identity of every provider", "./auth"},
	{"-run", "TestConformance/(mysql|mariadb)/.*/an identity of every provider", "./auth"},
	{"-run", "Healthy|WithoutTables|SomeOfTheEntities|Privileges|CannotSee|Lifetimes", "./internal/doctor"},
}

func TestAnEntityAColumnAndAProviderAreAddedByDeclaringThem(t *testing.T) {
	root := copyOfTheRepository(t)
	declare(t, root)
	run(t, root, "go", "generate", "./ent")
	run(t, root, "go", "build", "./...")
	run(t, root, "go", "vet", "./...")

	authgraph := filepath.Join(t.TempDir(), "authgraph")
	build := func() { run(t, root, "go", "build", "-o", authgraph, "./cmd/authgraph") }
	build()
	for _, url := range []string{mysqltest.MySQL(t), mysqltest.SQLite(t)} {
		assert.Contains(t, run(t, root, authgraph, "migrate", "diff", "--url", url, "add_passkeys"), "`passkeys`")
		run(t, root, authgraph, "migrate", "check", "--url", url)
	}
	build() // with the migrations
	t.Run("commands", func(t *testing.T) {
		mysqltest.Each(t, func(t *testing.T, url string) { commands(t, authgraph, url) })
	})
	t.Run("view", func(t *testing.T) {
		t.Parallel()
		session := run(t, t.TempDir(), authgraph, "view", "schema", "auth/session")
		assert.Contains(t, session, "ent/schema/session.go")
		assert.NotRegexp(t, `(?i)passkey|phone`, session)
		assert.Contains(t, run(t, t.TempDir(), authgraph, "view", "schema", "auth/passkey"), "ent/schema/passkey.go")
		assert.Contains(t, run(t, t.TempDir(), authgraph, "list"), "public keys that users sign in with")
	})
	t.Run("tests", func(t *testing.T) {
		t.Parallel()
		for _, args := range affected {
			run(t, root, "go", append([]string{"test", "-vet=off"}, args...)...)
		}
	})
}

// copyOfTheRepository copies the files that git knows, but not the benchmarks, which are a module of their own.
func copyOfTheRepository(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name := range strings.SplitSeq(run(t, "../..", "git", "ls-files", "-z", "--", ".", ":!bench"), "\x00") {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if name == "" || os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		write(t, filepath.Join(root, name), string(text))
	}
	return root
}

func declare(t *testing.T, root string) {
	t.Helper()
	write(t, filepath.Join(root, "ent", "schema", "passkey.go"), passkey)
	for name, additions := range declared {
		file := filepath.Join(root, filepath.FromSlash(name))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for before, more := range additions {
			require.Equal(t, 1, strings.Count(string(text), before), before)
			text = []byte(strings.Replace(string(text), before, before+more, 1))
		}
		write(t, file, string(text))
	}
}

// commands runs those on a database whose tables have rows, one of each over.
func commands(t *testing.T, authgraph, url string) {
	do := func(args ...string) string { return run(t, t.TempDir(), authgraph, append(args, "--url", url)...) }
	do("migrate", "apply")
	db := mysqltest.DB(t, url)
	for _, stmt := range []string{
		"INSERT INTO users (id, name, email, phone) VALUES (1, 'Ada', 'ada@example.com', '1')",
		"INSERT INTO users (id, name, email, is_deleted, deleted_at) VALUES " +
			"(2, 'Bob', 'bob@example.com', 1, '2020-01-01 00:00:00')",
		"INSERT INTO passkeys (user_id, credential_id) VALUES (1, 'a'), (2, 'b')",
		"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2020-01-01 00:00:00')",
	} {
		_, err := db.ExecContext(t.Context(), stmt)
		require.NoError(t, err)
	}
	findings := doctor(t, do("doctor", "--format", "json"))
	assert.Contains(t, findings["purge"].Text, "2 rows wait for a purge")
	assert.Contains(t, findings["orphans"].Text, "passkeys")
	for _, f := range findings {
		assert.NotEqual(t, "error", f.Severity, "%+v", f)
		assert.False(t, f.Unchecked && f.Severity == "warning", "%+v", f)
	}

	purged := deleted(t, do("purge", "--format", "json"))
	assert.JSONEq(t, `{"otps": 0, "sessions": 1, "refresh_tokens": 0, "users": 1}`, purged)
	var left string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT MAX(credential_id) FROM passkeys").Scan(&left))
	assert.Equal(t, "a", left, "the passkeys of an account go with it")
}

type finding struct {
	Code, Severity, Text string
	Unchecked            bool
}

// doctor are the gravest findings of each check.
func doctor(t *testing.T, text string) map[string]finding {
	t.Helper()
	var result struct{ Findings []finding }
	require.NoError(t, json.Unmarshal([]byte(text), &result))
	byCode := map[string]finding{}
	for _, f := range result.Findings {
		if _, graver := byCode[f.Code]; !graver {
			byCode[f.Code] = f
		}
	}
	return byCode
}

// deleted is what a purge says that it deleted.
func deleted(t *testing.T, text string) string {
	t.Helper()
	var result struct{ Deleted json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(text), &result))
	return string(result.Deleted)
}

// run is the standard output of a command that must not fail.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	require.NoError(t, err, "%s %s\n%s%s", name, strings.Join(args, " "), stdout, &stderr)
	return string(stdout)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}
