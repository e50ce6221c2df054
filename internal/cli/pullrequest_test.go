package cli_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// The way of a change through a pull request, in a copy of this repository:
// edit the schema, generate, plan, check, lint, apply.
func TestPullRequest(t *testing.T) {
	t.Parallel()
	repository := t.TempDir()
	copyRepository(t, repository)
	user := filepath.Join(repository, "ent", "schema", "user.go")
	edit(t, user, `		field.Bool("is_email_verified").`, `		field.String("test_colour").
			MaxLen(32).
			Optional().
			Nillable(),
		field.Bool("is_email_verified").`)
	edit(t, user, `		edge.To(sessionsEdge, Session.Type).`, `		edge.To("gadgets", Gadget.Type).
			Annotations(entsql.OnDelete(entsql.Cascade)),
		edge.To(sessionsEdge, Session.Type).`)
	require.NoError(t, os.WriteFile(filepath.Join(repository, "ent", "schema", "gadget.go"), []byte(gadget), 0o644))

	mysql, sqlite := mysqltest.MySQL(t), mysqltest.SQLite(t)
	program := func(url string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./cmd/authgraph"}, args...)...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
		return cmd
	}
	run := func(cmd *exec.Cmd) string {
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s\n%s%s", cmd, out, &stderr)
		return string(out)
	}
	generate := exec.CommandContext(t.Context(), "go", "generate", "./ent")
	generate.Dir = repository
	run(generate)

	for url, plans := range map[string]struct{ has, lacks []string }{
		mysql: {[]string{
			"ALTER TABLE `users` ADD COLUMN `test_colour` varchar(32) NULL;",
			"CREATE TABLE `gadgets` (",
			"REFERENCES `users` (`id`) ON UPDATE NO ACTION ON DELETE CASCADE",
		}, []string{"DROP"}},
		// The CHECK of a column of ours comes with a copy of its table.
		sqlite: {[]string{
			"`test_colour` text NULL,",
			"CONSTRAINT `test_colour_is_text` CHECK",
			"ALTER TABLE `new_users` RENAME TO `users`;",
			"CREATE TABLE `gadgets` (",
			"REFERENCES `users` (`id`) ON UPDATE NO ACTION ON DELETE CASCADE",
		}, []string{"DROP TABLE `sessions`", "DROP TABLE `refresh_tokens`", "DROP TABLE `otps`", "DROP COLUMN"}},
	} {
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		require.NoError(t, err)
		db := mysqltest.DB(t, url)
		_, err = db.Exec("INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.com')")
		require.NoError(t, err)
		before := program(url, "migrate", "check")
		assert.Error(t, before.Run(), "before the plan")
		plan := run(program(url, "migrate", "diff", "add_colour_and_gadgets"))
		for _, sql := range plans.has {
			assert.Contains(t, plan, sql)
		}
		for _, sql := range plans.lacks {
			assert.NotContains(t, plan, sql)
		}
		assert.Empty(t, run(program(url, "migrate", "diff", "again")))
		run(program(url, "migrate", "check"))
		run(program(url, "migrate", "lint", "--latest", "1"))
		assert.Contains(t, run(program(url, "migrate", "apply")), "_add_colour_and_gadgets.sql ")
		assert.Contains(t, run(program(url, "migrate", "status")), "up to date")
		_, err = db.Exec("INSERT INTO gadgets (name, user_id) SELECT 'lamp', id FROM users WHERE test_colour IS NULL")
		assert.NoError(t, err)
		var owner string
		assert.NoError(t, db.QueryRow("SELECT users.email FROM users JOIN gadgets "+
			"ON gadgets.user_id = users.id").Scan(&owner))
		assert.Equal(t, "ada@example.com", owner, "the rows stay")
	}
}

const gadget = `package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Gadget is something that a user owns.
type Gadget struct {
	ent.Schema
}

// Annotations of the Gadget.
func (Gadget) Annotations() []schema.Annotation {
	return []schema.Annotation{schema.Comment("things that users own")}
}

// Fields of the Gadget.
func (Gadget) Fields() []ent.Field {
	return []ent.Field{
		field.Int("user_id"),
		field.String("name").
			MaxLen(100),
	}
}

// Edges of the Gadget.
func (Gadget) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).
			Ref("gadgets").
			Field("user_id").
			Unique().
			Required(),
	}
}

// Indexes of the Gadget.
func (Gadget) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id"),
	}
}
`

// copyRepository copies the files that a program can be built from.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o644)
	}))
}

// edit replaces a text that occurs once in a file.
func edit(t *testing.T, file, old, with string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(content), old), "%s: %s", file, old)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(content), old, with, 1)), 0o644))
}
