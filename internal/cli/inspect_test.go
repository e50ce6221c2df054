package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// A shop's own table users, as an Ent schema and as SQL.
const (
	shopEntity = `package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

type User struct{ ent.Schema }

func (User) Fields() []ent.Field {
	return []ent.Field{field.String("email").Unique(), field.String("nickname")}
}
`
	shopTable = "CREATE TABLE users (id integer NOT NULL PRIMARY KEY, email varchar(99) NOT NULL UNIQUE, " +
		"nickname varchar(99))"
)

// shop is a folder with a Go module that has nothing of authgraph's.
func shop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"shop/schema/user.go":       shopEntity,
		"shop.sql":                  shopTable + ";\n",
		"changes/20260101_shop.sql": shopTable + ";\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile("../../" + name)
		require.NoError(t, err)
		text = bytes.Replace(text, []byte("module github.com/authgraph/authgraph\n"),
			[]byte("module example.com/shop\n"), 1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	return dir
}

func TestInspectWritesEveryFormatOfEverySource(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir, program := shop(t), installed(t)
		_, err := mysqltest.DB(t, url).Exec(shopTable)
		require.NoError(t, err)
		authgraph := func(args ...string) string {
			r := start(t, program, url, args...)
			r.Dir = dir
			require.NoError(t, r.Run(), "authgraph %v: %s", args, &r.stderr)
			return r.stdout.String()
		}
		authgraph("migrate", "hash", "--dir", "changes")
		for source, title := range map[string]string{
			"schema": "authgraph", "migrate": "authgraph", "ent://shop/schema": "shop/schema",
			"file://shop.sql": "shop.sql", "file://changes": "changes", url: filepath.Base(url),
		} {
			for format, holds := range map[string]string{
				"sql": "CREATE TABLE [`\"]?users\\b", "hcl": `table "users"`, "json": `"name": "users"`,
				"mermaid": "    users \\{", "svg": "</svg>\n",
			} {
				if strings.HasPrefix(source, "ent://") && !mysqltest.IsSQLite(url) {
					continue // go run compiles each time; the page below is enough
				}
				assert.Regexp(t, holds, authgraph("inspect", source, "--format", format), "%s of %s", format, source)
			}
			page := authgraph("inspect", source, "--format", "html")
			assert.Contains(t, page, "<h1>"+title+"</h1>")
			assert.Regexp(t, "<title>"+title+` · (MySQL|MariaDB|SQLite) [0-9]+\.[0-9.]+</title>`, page)
			if title == "authgraph" { // what is compiled in, as the shop has neither
				assert.Contains(t, page, "of package auth")
				assert.Contains(t, page, "migrations: embedded")
				continue
			}
			assert.NotContains(t, page, "ackage auth", "%s is not authgraph's", source)
			assert.NotContains(t, page, "migrations: embedded", "%s is not authgraph's", source)
			assert.NotContains(t, page, "_create_auth_tables.sql", "%s is not authgraph's", source)
			assert.Equal(t, source == "file://changes", strings.Contains(page, "<h3>Migrations</h3>"), source)
		}
	})
}
