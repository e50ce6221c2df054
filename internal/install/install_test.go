package install

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
)

// module is a folder with the files of a Go module.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "go.mod", "module example.com/app\n\ngo 1.26\n")
	for name, text := range files {
		put(t, root, name, text)
	}
	return root
}

func put(t *testing.T, root, name, text string) {
	t.Helper()
	at := filepath.Join(root, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
}

func get(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

func plan(t *testing.T, root string, o Options) (*Plan, error) {
	t.Helper()
	p, err := Open(root)
	require.NoError(t, err)
	if p.DB() == "" && o.DB == "" {
		o.DB = "mysql"
	}
	return p.Plan(t.Context(), o)
}

// add writes the files of a plan, without the steps that need the go command.
func add(t *testing.T, root string, o Options) *Plan {
	t.Helper()
	p, err := plan(t, root, o)
	require.NoError(t, err)
	require.Empty(t, p.Has(Differs))
	require.NoError(t, (&Run{plan: p}).write())
	return p
}

// notes are those of a plan, as text.
func notes(p *Plan) (texts []string) {
	for _, n := range p.Notes {
		texts = append(texts, n.Error())
	}
	return texts
}

// tree is every file of a folder.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, at)
		files[filepath.ToSlash(name)] = get(t, root, filepath.ToSlash(name))
		return err
	}))
	return files
}

// all are the names of the entities, with those of the seed first.
var all = func() (names []string) {
	for _, e := range Entities {
		names = append(names, e.Name)
	}
	return names
}()

func permutations(of []string) (found [][]string) {
	if len(of) < 2 {
		return [][]string{of}
	}
	for i := range of {
		rest := append(append([]string{}, of[:i]...), of[i+1:]...)
		for _, p := range permutations(rest) {
			found = append(found, append([]string{of[i]}, p...))
		}
	}
	return found
}

func TestEveryOrderOfSingleInstallsEndsAsTheFullInstall(t *testing.T) {
	t.Parallel()
	full := module(t, nil)
	some := all[:4] // more would be more orders than is worth it
	add(t, full, Options{Entities: some})
	want := tree(t, full)
	orders := permutations(some)
	require.Len(t, orders, 24)
	for _, order := range orders {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			root := module(t, nil)
			for _, name := range order {
				add(t, root, Options{Entities: []string{name}})
			}
			assert.Equal(t, want, tree(t, root))
		})
	}
}

func TestTheFullInstallHasTheEntitiesOfThisProject(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: all, Auth: true})
	for installed, own := range map[string]string{
		"ent/schema/user.go":                  "ent/schema/user.go",
		"ent/schema/otp.go":                   "ent/schema/otp.go",
		"ent/schema/session.go":               "ent/schema/session.go",
		"ent/schema/refreshtoken.go":          "ent/schema/refreshtoken.go",
		"ent/schema/schematype/schematype.go": "ent/schema/schematype/schematype.go",
		"auth/session.go":                     "auth/session.go",
		"internal/dburl/dburl.go":             "internal/dburl/dburl.go",
		"internal/stmtcache/stmtcache.go":     "stmtcache/stmtcache.go",
	} {
		want := strings.NewReplacer(
			`"github.com/authgraph/authgraph/stmtcache"`, `"example.com/app/internal/stmtcache"`,
			`"github.com/authgraph/authgraph/`, `"example.com/app/`,
		).Replace(get(t, "../..", own))
		assert.Equal(t, want, get(t, root, installed), installed)
	}
	for name, text := range tree(t, root) {
		if strings.HasSuffix(name, ".go") {
			assert.NotContains(t, text, `"github.com/authgraph/authgraph`, name)
			assert.False(t, strings.HasSuffix(name, "_test.go"), name)
		}
	}
}

func TestEntitiesAreAllOfTheSchema(t *testing.T) {
	t.Parallel()
	var types []string
	names, err := goFiles("ent/schema")
	require.NoError(t, err)
	for _, name := range names {
		src, err := authgraph.Files.ReadFile("ent/schema/" + name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok && len(s.Fields.List) == 1 {
				if sel, ok := s.Fields.List[0].Type.(*ast.SelectorExpr); ok && sel.X.(*ast.Ident).Name == "ent" &&
					sel.Sel.Name == "Schema" {
					types = append(types, spec.Name.Name+" in "+name)
				}
			}
			return true
		})
	}
	var listed []string
	for _, e := range Entities {
		listed = append(listed, e.Type+" in "+e.File)
		assert.NotEmpty(t, e.Text, "say in a schema.Comment in ent/schema/%s what the table holds, and run go "+
			"generate ./ent", e.File)
	}
	assert.ElementsMatch(t, types, listed)
}

// What is installed imports nothing of this project that is not installed too.
func TestTheSourcesAreClosed(t *testing.T) {
	t.Parallel()
	packages, err := closure("auth", ".", "ent/schema", "ent/schema/schematype")
	require.NoError(t, err)
	assert.Contains(t, packages, "internal/dburl")
	for _, pkg := range packages {
		if pkg == "." {
			continue
		}
		onDisk, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
		require.NoError(t, err)
		embedded, err := goFiles(pkg)
		require.NoError(t, err)
		for _, file := range onDisk {
			if !strings.HasSuffix(file, "_test.go") {
				assert.Contains(t, embedded, filepath.Base(file), pkg)
			}
		}
	}
	_, err = closure("migrate")
	assert.ErrorContains(t, err, "package migrate is imported and not embedded")
}

// make lint runs golangci-lint with its default settings on all that is installed.
func TestWhatIsInstalledIsLintedByTheDefaults(t *testing.T) {
	t.Parallel()
	packages, err := closure("auth", ".", "ent/schema", "ent/schema/schematype", "entfast")
	require.NoError(t, err)
	text := strings.ReplaceAll(get(t, "../..", "Makefile"), "\\\n", "")
	_, list, _ := strings.Cut(text, "\nINSTALLED := ")
	list, _, _ = strings.Cut(list, "\n")
	var linted []string
	for name := range strings.FieldsSeq(list) {
		linted = append(linted, path.Clean(name))
	}
	assert.ElementsMatch(t, packages, linted)
	assert.Contains(t, text, "run --no-config --tests=false $(INSTALLED)\n")
}

func TestOnlyASQLiteModuleImportsSQLite(t *testing.T) {
	t.Parallel()
	for _, db := range Databases {
		root := module(t, nil)
		p := add(t, root, Options{Entities: all, Auth: true, DB: db})
		var importing []string
		for name, text := range tree(t, root) {
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			paths, err := imports([]byte(text))
			require.NoError(t, err, name)
			if slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, "modernc.org/sqlite") }) {
				importing = append(importing, name)
			}
		}
		required := slices.ContainsFunc(p.Requirements, func(r Requirement) bool {
			return r.Module == "modernc.org/sqlite"
		})
		if db == sqlite {
			assert.Equal(t, []string{"authgraph/sqlite.go"}, importing)
			assert.True(t, required)
			continue
		}
		assert.Empty(t, importing, db)
		assert.False(t, required, db)
	}
}

func TestADriverOfTheProjectsOwnIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"mattn":    "require github.com/mattn/go-sqlite3 v1.14.53\n",
		"glebarez": "require github.com/glebarez/go-sqlite v1.22.0\n",
		"indirect": "require github.com/mattn/go-sqlite3 v1.14.53 // indirect\n",
		"both":     "require (\n\tgithub.com/mattn/go-sqlite3 v1.14.53\n\tmodernc.org/sqlite v1.62.0\n)\n",
	} {
		root := module(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.26\n\n" + text})
		p, err := plan(t, root, Options{Entities: all, Auth: true, Tests: true, DB: sqlite})
		require.NoError(t, err, name)
		drivers := map[string]bool{}
		for _, f := range p.Files {
			if !strings.HasSuffix(f.Path, ".go") {
				continue
			}
			paths, err := imports([]byte(f.Text))
			require.NoError(t, err, f.Path)
			if f.Path == "auth/conformance_test.go" && !slices.Contains(paths, "example.com/app/authgraph") {
				assert.Contains(t, paths, "example.com/app/ent/runtime", "%s: the kit runs without the hooks", name)
			}
			for _, driver := range []string{
				"github.com/mattn/go-sqlite3", "github.com/glebarez/go-sqlite", "modernc.org/sqlite",
			} {
				if slices.Contains(paths, driver) {
					drivers[driver] = true
				}
			}
		}
		if name == "mattn" || name == "glebarez" {
			assert.Equal(t, map[string]bool{text[len("require "):strings.LastIndex(text, " ")]: true}, drivers)
			assert.Contains(t, strings.Join(notes(p), " "), "opens no SQLite file here")
			continue
		}
		assert.Equal(t, map[string]bool{"modernc.org/sqlite": true}, drivers, name)
	}
}

func TestAProgramWhoseOptionsHarmWhatIsInstalledIsNamed(t *testing.T) {
	t.Parallel()
	const text = "package store\n\nvar options = []any{migrate.WithDropColumn(true), migrate.WithForeignKeys(false)}\n"
	root := module(t, map[string]string{"store/store.go": text, "vendor/store/store.go": text})
	project, err := Open(root)
	require.NoError(t, err)
	p := &Plan{project: project}
	require.NoError(t, p.noteCalls())
	assert.Equal(t, []string{
		"store/store.go has WithDropColumn(true), with which a program of before drops the columns that are added: " +
			"take it out of every program that is still started",
		"store/store.go has WithForeignKeys(false), and a database that it makes has no foreign keys, by which " +
			"the sessions of a purged account go with it: add those of sessions and refresh_tokens, as the migration " +
			"has them, to each new database",
	}, notes(p))
}

func TestASessionWithoutUsersHasNoEdge(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	p := add(t, root, Options{Entities: []string{"session"}})
	text := get(t, root, "ent/schema/session.go")
	assert.NotContains(t, text, "edge")
	assert.NotContains(t, text, "Edges")
	assert.Contains(t, text, `ownerID("user_id")`)
	assert.Equal(t, []string{"sessions.user_id has neither edge nor foreign key yet: installing the entity " +
		"user wires it"}, notes(p))

	p, err := plan(t, root, Options{Entities: []string{"user"}})
	require.NoError(t, err)
	require.Len(t, p.Has(Update), 3)
	assert.Contains(t, p.Has(Update)[0].Diff(), `+		edge.From("user", owner.Type).`)
	assert.Contains(t, p.Has(Update)[1].Diff(), `+func (User) Hooks() []ent.Hook {`)
	assert.NotContains(t, p.Has(Update)[1].Text, "OTP")
	assert.Contains(t, p.Has(Update)[2].Diff(), `+type owner = User`)
	for _, f := range p.Has(Create) {
		if f.Path == "ent/schema/user.go" {
			assert.Contains(t, f.Text, `edge.To(sessionsEdge, Session.Type)`)
			assert.NotContains(t, f.Text, "RefreshToken")
		}
	}
}

func TestCommentsGoWithTheirEdge(t *testing.T) {
	t.Parallel()
	src := `package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
)

// A is one.
type A struct{ ent.Schema }

// Edges of A.
func (A) Edges() []ent.Edge {
	return []ent.Edge{
		// To B.
		edge.To("b", B.Type).
			Unique(),
		// To C,
		// which has two lines.
		edge.To("c", C.Type),
	}
}

// Last stays.
func Last() {}
`
	out, without, err := wire([]byte(src), []string{"A", "B"})
	require.NoError(t, err)
	assert.Equal(t, []string{"C"}, without)
	assert.Equal(t, strings.Replace(src, "\t\t// To C,\n\t\t// which has two lines.\n\t\tedge.To(\"c\", C.Type),\n", "",
		1), string(out))

	out, without, err = wire([]byte(src), []string{"A"})
	require.NoError(t, err)
	assert.Equal(t, []string{"B", "C"}, without)
	assert.Equal(t, `package schema

import (
	"entgo.io/ent"
)

// A is one.
type A struct{ ent.Schema }

// Last stays.
func Last() {}
`, string(out))

	_, _, err = wire([]byte(strings.Replace(src, "edge.To(\"c\", C.Type)", "other()", 1)), nil)
	assert.ErrorContains(t, err, "does not begin with edge.To or edge.From")
}

func TestAFolderOfAnotherName(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: all, Auth: true, Dir: "internal/store/db"})
	assert.Contains(t, get(t, root, "internal/store/authgraph/authgraph.go"), `ent "example.com/app/internal/store/db"`)
	assert.Contains(t, get(t, root, "internal/store/authgraph/authgraph.go"),
		`"example.com/app/internal/store/internal/dburl"`)
	assert.Contains(t, get(t, root, "internal/store/auth/session.go"), `"example.com/app/internal/store/db/session"`)
	assert.Contains(t, get(t, root, "internal/store/db/generate.go"), "\npackage db\n")
	assert.Contains(t, get(t, root, "atlas.hcl"), "file://internal/store/db/schema.sql")
	for _, dir := range []string{"../ent", "/ent", ".", "my-ent", "Ent"} {
		_, err := plan(t, module(t, nil), Options{Entities: all, Dir: dir})
		assert.ErrorContains(t, err, "is no folder for a package", dir)
	}
}

func TestWhatIsThereStays(t *testing.T) {
	t.Parallel()
	const own = "package schema\n\nimport \"entgo.io/ent\"\n\n// User of my own.\ntype User struct{ ent.Schema }\n"
	t.Run("a file that differs", func(t *testing.T) {
		t.Parallel()
		root := module(t, map[string]string{"ent/schema/user.go": own})
		p, err := plan(t, root, Options{Entities: all})
		require.NoError(t, err)
		require.Len(t, p.Has(Differs), 1)
		assert.Contains(t, p.Has(Differs)[0].Diff(), "-// User of my own.\n")
		p, err = plan(t, root, Options{Entities: all, Force: true})
		require.NoError(t, err)
		assert.Len(t, p.Has(Replace), 1)
	})
	t.Run("an entity in a file that stands beside this project's own", func(t *testing.T) {
		t.Parallel()
		owner := strings.ReplaceAll(own, "User", "Owner")
		root := module(t, map[string]string{"ent/schema/owner.go": owner})
		for range 2 {
			assert.Empty(t, add(t, root, Options{Entities: all}).Has(Differs))
			assert.Equal(t, owner, get(t, root, "ent/schema/owner.go"))
			assert.Contains(t, get(t, root, "ent/schema/auth_owner.go"), "func ownerID(")
		}
	})
	t.Run("a type of the same name in another file", func(t *testing.T) {
		t.Parallel()
		_, err := plan(t, module(t, map[string]string{"ent/schema/people.go": own}),
			Options{Entities: all, Force: true})
		assert.EqualError(t, err, "ent/schema/people.go declares User, which ent/schema/user.go would declare again: "+
			"have it be the users, or rename it")
	})
	t.Run("an entity of the same name", func(t *testing.T) {
		t.Parallel()
		root := module(t, map[string]string{
			"ent/schema/visit.go": strings.ReplaceAll(own, "User", "Session"),
		})
		_, err := plan(t, root, Options{Entities: all})
		const found = "ent/schema/visit.go declares Session, which ent/schema/session.go would declare again: "
		assert.EqualError(t, err, found+"rename it, or leave out that entity")
		_, err = plan(t, root, Options{Entities: all, Auth: true})
		assert.EqualError(t, err,
			found+"rename the entity, and its table if that is sessions: package auth needs both names")
	})
	t.Run("the environment and the settings of Atlas", func(t *testing.T) {
		t.Parallel()
		root := module(t, map[string]string{".env.example": "PORT=1\n", "atlas.hcl": "env \"own\" {}\n"})
		for range 2 {
			p := add(t, root, Options{Entities: all, Force: true})
			assert.Equal(t, []string{
				`atlas.hcl is yours and stays as it is: it needs "file://ent/schema.sql", "file://migrate"`,
				".env.example is yours and stays as it is: it needs " +
					"DATABASE_URL='mysql://user:password@localhost:3306/app'",
			}, notes(p))
		}
		assert.Equal(t, "PORT=1\n", get(t, root, ".env.example"))
		put(t, root, ".env.example", "DATABASE_URL=mysql://db/blog\n")
		assert.Len(t, add(t, root, Options{Entities: all}).Notes, 1)
	})
	t.Run("a file that is the same", func(t *testing.T) {
		t.Parallel()
		root := module(t, nil)
		add(t, root, Options{Entities: all})
		require.NoError(t, os.Remove(filepath.Join(root, filepath.FromSlash(RecordFile))))
		p, err := plan(t, root, Options{Entities: all})
		require.NoError(t, err)
		assert.Len(t, p.Has(Keep), len(p.Files))
	})
}

func TestAChangedFileIsMergedWhenAnEdgeIsWired(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: []string{"session"}})
	const own = "// Session is a signed-in device, or a browser."
	put(t, root, "ent/schema/session.go",
		strings.Replace(get(t, root, "ent/schema/session.go"), "// Session is a signed-in device.", own, 1))
	p := add(t, root, Options{Entities: []string{"user"}})
	assert.Len(t, p.Has(Merge), 1)
	text := get(t, root, "ent/schema/session.go")
	assert.Contains(t, text, own)
	assert.Contains(t, text, `edge.From("user", owner.Type)`)
	p = add(t, root, Options{Entities: []string{"user"}})
	assert.False(t, p.Changes(), "a second time there is nothing to do")
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	const file = "ent/schema/otp.go"
	// What an older version installed had other lines.
	older := strings.NewReplacer("Default(5)", "Default(3)", "// Purge of expired codes.", "// Codes.")
	setUp := func(t *testing.T, edit func(string) string) string {
		root := module(t, nil)
		add(t, root, Options{Entities: all, Version: "v1"})
		put(t, root, RecordFile, older.Replace(get(t, root, RecordFile)))
		put(t, root, file, edit(older.Replace(get(t, root, file))))
		return root
	}
	is := func(p *Plan) (found File) {
		for _, f := range p.Files {
			if f.Path == file {
				found = f
			}
		}
		return found
	}
	for _, c := range []struct {
		name     string
		edit     func(string) string
		action   Action
		contains []string
	}{
		{"untouched", func(s string) string { return s }, Update, []string{"Default(5)", "// Purge of expired codes."}},
		{"edited elsewhere", func(s string) string { return s + "\n// Mine.\n" }, Merge,
			[]string{"Default(5)", "// Purge of expired codes.", "// Mine."}},
		{"edited the same", func(s string) string { return strings.Replace(s, "Default(3)", "Default(5)", 1) }, Merge,
			[]string{"Default(5)", "// Purge of expired codes."}},
		{"edited the same lines", func(s string) string { return strings.Replace(s, "Default(3)", "Default(9)", 1) },
			Conflict,
			[]string{"<<<<<<< yours\n", "Default(9)", "||||||| installed by authgraph v1\n", "Default(3)", "Default(5)",
				">>>>>>> authgraph v2\n", "// Purge of expired codes."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := setUp(t, c.edit)
			p, err := plan(t, root, Options{Version: "v2", Upgrade: true})
			require.NoError(t, err)
			assert.Equal(t, c.action, is(p).Action)
			for _, text := range c.contains {
				assert.Contains(t, is(p).Text, text)
			}
			// Afterwards this version is the base.
			require.NoError(t, (&Run{plan: p}).write())
			p, err = plan(t, root, Options{Version: "v2", Upgrade: true})
			require.NoError(t, err)
			assert.False(t, p.Changes())
		})
	}
	t.Run("edited the same lines, with force", func(t *testing.T) {
		t.Parallel()
		root := setUp(t, func(s string) string { return strings.Replace(s, "Default(3)", "Default(9)", 1) })
		p, err := plan(t, root, Options{Version: "v2", Upgrade: true, Force: true})
		require.NoError(t, err)
		assert.Equal(t, Conflict, is(p).Action)
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		root := setUp(t, func(s string) string { return s })
		require.NoError(t, os.Remove(filepath.Join(root, file)))
		p, err := plan(t, root, Options{Version: "v2", Upgrade: true, Force: true})
		require.NoError(t, err)
		assert.Equal(t, Deleted, is(p).Action)
		require.NoError(t, (&Run{plan: p}).write())
		assert.NoFileExists(t, filepath.Join(root, file))
	})
}

// Git and editors on Windows store a text in another way, and that is no edit. Each file keeps its own.
func TestUpgradeMergesTextsHoweverTheyAreStored(t *testing.T) {
	t.Parallel()
	const file = "ent/schema/otp.go"
	older := strings.NewReplacer("Default(5)", "Default(3)")
	windows := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for name, stored := range map[string]func(string) string{
		"with the line ends of Windows": windows,
		"with a byte order mark":        func(s string) string { return "\ufeff" + s },
		"without an end of the last line": func(s string) string {
			return strings.TrimSuffix(s, "\n")
		},
		"with all of them": func(s string) string { return "\ufeff" + strings.TrimSuffix(windows(s), "\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := module(t, nil)
			add(t, root, Options{Entities: all, Version: "v1"})
			installed := tree(t, root)
			delete(installed, "go.mod") // which is the go command's
			for name, text := range installed {
				put(t, root, name, stored(text))
			}
			p, err := plan(t, root, Options{Entities: all, Version: "v1"})
			require.NoError(t, err)
			assert.False(t, p.Changes(), "nothing was edited")

			edited := "// Mine.\n" + installed[file]
			put(t, root, RecordFile, stored(older.Replace(installed[RecordFile])))
			put(t, root, file, stored(older.Replace(edited)))
			p, err = plan(t, root, Options{Version: "v2", Upgrade: true})
			require.NoError(t, err)
			require.Len(t, p.Has(Merge), 1)
			assert.Empty(t, p.Has(Update))
			assert.Equal(t, 1, strings.Count(p.Has(Merge)[0].Diff(), "\n+\t"), "one line changes")
			require.NoError(t, (&Run{plan: p}).write())
			assert.Equal(t, stored(edited), get(t, root, file))
			assert.Equal(t, stored(strings.Replace(installed[RecordFile], "version v1", "version v2", 1)),
				get(t, root, RecordFile))

			// A file that was not edited is brought to this version as it is stored.
			put(t, root, RecordFile, stored(older.Replace(installed[RecordFile])))
			put(t, root, file, stored(older.Replace(installed[file])))
			p, err = plan(t, root, Options{Version: "v2", Upgrade: true})
			require.NoError(t, err)
			require.Len(t, p.Has(Update), 1)
			require.NoError(t, (&Run{plan: p}).write())
			assert.Equal(t, stored(installed[file]), get(t, root, file))
		})
	}
}

// A generator of the user that git has checked out with other line ends is the user's, and the one that would be
// installed is no other for its line ends.
func TestAGeneratorIsKnownHoweverItIsStored(t *testing.T) {
	t.Parallel()
	fresh := module(t, nil)
	add(t, fresh, Options{})
	const own = "package ent\r\n\r\n//go:generate go run -mod=mod entgo.io/ent/cmd/ent generate ./schema\r\n"
	root := module(t, map[string]string{
		"ent/generate.go": strings.ReplaceAll(get(t, fresh, "ent/generate.go"), "\n", "\r\n"),
		"ent/entc.go":     strings.ReplaceAll(get(t, fresh, "ent/entc.go"), "\n", "\r\n"),
	})
	assert.Empty(t, add(t, root, Options{Entities: all}).Has(Differs))
	root = module(t, map[string]string{"ent/ent.go": "package ent\n", "ent/generate.go": own})
	add(t, root, Options{Entities: all, Auth: true})
	assert.Equal(t, strings.Replace(own, "generate ./", "generate --feature "+
		"sql/execquery,sql/lock,sql/modifier,sql/upsert ./", 1), get(t, root, "ent/generate.go"))
}

// What was renamed, moved or split is named, before a build would say that a type is declared twice or not at all.
func TestUpgradeNamesWhatWasMoved(t *testing.T) {
	t.Parallel()
	move := func(t *testing.T, root, from, to string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755))
		require.NoError(t, os.Rename(filepath.Join(root, from), filepath.Join(root, to)))
	}
	for name, test := range map[string]struct {
		move func(t *testing.T, root string)
		// older is a line of a file that an older version had otherwise.
		older, refused, noted string
	}{
		"an entity": {
			func(t *testing.T, root string) { move(t, root, "ent/schema/otp.go", "ent/schema/onetime.go") },
			"Default(5)",
			"ent/schema/otp.go was moved to ent/schema/onetime.go here, and ent/schema/otp.go is to change: " +
				"move it back (git mv ent/schema/onetime.go ent/schema/otp.go)",
			"ent/schema/otp.go was moved to ent/schema/onetime.go here: it stays there until a newer version " +
				"changes it",
		},
		"an entity to a file of another one": {
			func(t *testing.T, root string) {
				put(t, root, "ent/schema/user.go", get(t, root, "ent/schema/user.go")+"\n"+
					strings.SplitAfterN(get(t, root, "ent/schema/otp.go"), ")\n", 2)[1])
				require.NoError(t, os.Remove(filepath.Join(root, "ent/schema/otp.go")))
			},
			"Default(5)",
			"ent/schema/otp.go was moved to ent/schema/user.go here, and ent/schema/otp.go is to change: " +
				"put it into a file of its own again",
			"ent/schema/otp.go was moved to ent/schema/user.go here: it stays there until a newer version changes it",
		},
		"a file of package auth": {
			func(t *testing.T, root string) { move(t, root, "auth/otp.go", "auth/codes.go") },
			"Token is",
			"auth/otp.go was moved to auth/codes.go here, and auth/otp.go is to change: " +
				"move it back (git mv auth/codes.go auth/otp.go)",
			"auth/otp.go was moved to auth/codes.go here: it stays there until a newer version changes it",
		},
		"package auth": {
			func(t *testing.T, root string) { move(t, root, "auth", "internal/auth") },
			"Token is",
			"auth was moved to internal/auth here, and auth/otp.go is to change: " +
				"move it back (git mv internal/auth auth)",
			"auth was moved to internal/auth here: it stays there until a newer version changes it",
		},
		"the ent folder": {
			func(t *testing.T, root string) { move(t, root, "ent", "internal/ent") },
			"",
			"ent was moved to internal/ent here, and ent/entc.go is to change: " +
				"move it back (git mv internal/ent ent)", "",
		},
		"two halves": {
			func(t *testing.T, root string) {
				text := get(t, root, "ent/schema/otp.go")
				at := strings.Index(text, "// Edges")
				if at < 0 {
					at = strings.Index(text, "// Indexes")
				}
				require.Positive(t, at)
				put(t, root, "ent/schema/otp_a.go", text[:at])
				put(t, root, "ent/schema/otp_b.go", "package schema\n\n"+text[at:])
				require.NoError(t, os.Remove(filepath.Join(root, "ent/schema/otp.go")))
			},
			"Default(5)",
			"what ent/schema/otp.go declared is in ent/schema/otp_a.go and ent/schema/otp_b.go here, and " +
				"ent/schema/otp.go is to change: put it together in ent/schema/otp.go again",
			"what ent/schema/otp.go declared is in ent/schema/otp_a.go and ent/schema/otp_b.go here: it stays there " +
				"until a newer version changes it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := module(t, map[string]string{"main.go": "package main\n\ntype User struct{}\n\nfunc main() {}\n"})
			add(t, root, Options{Entities: all, Auth: true, Version: "v1.0.0"})
			test.move(t, root)
			for _, o := range []Options{{Version: "v1.1.0", Upgrade: true}, {Version: "v1.0.0", Force: true}} {
				p, err := plan(t, root, o)
				if test.noted == "" && test.refused != "" {
					assert.EqualError(t, err, test.refused)
					continue
				}
				require.NoError(t, err)
				if test.noted != "" {
					assert.Equal(t, []string{test.noted}, notes(p))
					assert.Empty(t, p.Has(Create))
				}
			}
			if test.older == "" {
				return
			}
			put(t, root, RecordFile, strings.ReplaceAll(get(t, root, RecordFile), test.older, "Older"))
			_, err := plan(t, root, Options{Version: "v1.1.0", Upgrade: true})
			assert.EqualError(t, err, test.refused)
		})
	}
	t.Run("a name that a new file declares", func(t *testing.T) {
		t.Parallel()
		root := module(t, nil)
		add(t, root, Options{Entities: all, Auth: true, Version: "v1.0.0"})
		put(t, root, RecordFile,
			strings.Replace(get(t, root, RecordFile), "-- auth/otp.go --", "-- auth/older.go --", 1))
		require.NoError(t, os.Remove(filepath.Join(root, "auth/otp.go")))
		put(t, root, "auth/mine.go", "package auth\n\ntype CodeRequest struct{}\n")
		_, err := plan(t, root, Options{Version: "v1.1.0", Upgrade: true})
		assert.ErrorContains(t, err,
			"auth/mine.go declares CodeRequest, which auth/otp.go would declare again: rename it")
	})
}

func TestAFileThatIsNoLongerInstalledIsNotedOnce(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: all, Version: "v1.0.0"})
	put(t, root, RecordFile, get(t, root, RecordFile)+
		"-- ent/schema/old.go --\npackage schema\n-- ent/schema/gone.go --\n")
	put(t, root, "ent/schema/old.go", "package schema\n")
	p := add(t, root, Options{Version: "v1.1.0", Upgrade: true})
	assert.Equal(t, []string{"ent/schema/old.go is no longer part of authgraph: remove it if you like"}, notes(p))
	assert.FileExists(t, filepath.Join(root, "ent/schema/old.go"))
	assert.Empty(t, add(t, root, Options{Version: "v1.1.0", Upgrade: true}).Notes)
}

func TestAnOlderVersionInstallsNothingOverANewerOne(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: []string{"user"}, Version: "v0.10.0"})
	for _, upgrade := range []bool{false, true} {
		_, err := plan(t, root, Options{Entities: all, Version: "v0.9.0", Upgrade: upgrade})
		assert.EqualError(t, err, "installed by authgraph v0.10.0, and this is v0.9.0: install the newer one")
	}
	_, err := plan(t, root, Options{Entities: all, Version: "v0.10.0"})
	assert.NoError(t, err)
}

func TestANewerVersionAddsNothingBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: []string{"user"}, Version: "v0.10.0"})
	for _, version := range []string{"v0.10.1", "(devel)"} {
		_, err := plan(t, root, Options{Entities: all, Version: version})
		assert.EqualError(t, err, "installed by authgraph v0.10.0, and this is "+version+": upgrade the project first")
		p, err := plan(t, root, Options{Entities: []string{"user"}, Version: version})
		require.NoError(t, err)
		assert.False(t, p.Changes(), "what is there is as this version has it")
	}
	add(t, root, Options{Version: "v0.10.1", Upgrade: true})
	add(t, root, Options{Entities: all, Version: "v0.10.1"})
}

func TestAFileThatWasDeletedComesBackOnRequestOnly(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	add(t, root, Options{Entities: []string{"otp"}})
	require.NoError(t, os.Remove(filepath.Join(root, "atlas.hcl")))
	p := add(t, root, Options{Entities: []string{"user"}})
	assert.Len(t, p.Has(Deleted), 1)
	assert.Equal(t, []string{"atlas.hcl was deleted here and stays so: it comes back where files are replaced"},
		notes(p))
	assert.NoFileExists(t, filepath.Join(root, "atlas.hcl"))
	add(t, root, Options{Entities: []string{"user"}, Force: true})
	assert.FileExists(t, filepath.Join(root, "atlas.hcl"))
}

// The marker lines of the record's format are in none of the texts.
func TestTheRecordKeepsEveryText(t *testing.T) {
	t.Parallel()
	for _, db := range Databases {
		root := module(t, nil)
		p := add(t, root, Options{Entities: all, Auth: true, DB: db, Version: "v1"})
		installed, err := Open(root)
		require.NoError(t, err)
		r := installed.record
		assert.Equal(t, p.record.files, r.files)
		assert.Equal(t, p.record.order, r.order)
		assert.Equal(t, all, r.entities)
		assert.Equal(t, db, r.layout.db)
		assert.True(t, r.auth)
		assert.True(t, r.layout.generator)
	}
}

func TestFeaturesOfTheUsersGenerator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, generate, want string }{
		{"command", "package ent\n\n//go:generate go run -mod=mod entgo.io/ent/cmd/ent generate ./schema\n",
			"//go:generate go run -mod=mod entgo.io/ent/cmd/ent generate --feature " +
				"sql/execquery,sql/lock,sql/modifier,sql/upsert ./schema\n"},
		{"tool with a feature", "package ent\n\n//go:generate go tool ent generate --feature sql/lock ./schema\n",
			"//go:generate go tool ent generate --feature sql/lock,sql/execquery,sql/modifier,sql/upsert ./schema\n"},
		{"all", "package ent\n\n//go:generate go tool ent generate --feature " +
			"sql/lock,sql/execquery,sql/modifier,sql/upsert ./schema\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := plan(t, module(t, map[string]string{"ent/generate.go": c.generate}),
				Options{Entities: all, Auth: true})
			require.NoError(t, err)
			assert.Empty(t, p.Has(Differs))
			at := slices.IndexFunc(p.Files, func(f File) bool { return f.Path == "ent/generate.go" })
			if c.want == "" {
				assert.Negative(t, at)
				return
			}
			require.GreaterOrEqual(t, at, 0)
			f := p.Files[at]
			assert.True(t, f.Theirs)
			assert.Equal(t, Update, f.Action)
			assert.Contains(t, f.Diff(), "\n+"+c.want)
		})
	}
	_, err := plan(t, module(t, map[string]string{"ent/generate.go": "package ent\n\n//go:generate go run entc.go\n",
		"ent/entc.go": "//go:build ignore\n\npackage main\n\n// gen.FeatureLock\n"}),
		Options{Entities: all, Auth: true})
	assert.EqualError(t, err, "package auth needs features of Ent that the generator does not have: put "+
		"gen.FeatureExecQuery, gen.FeatureModifier, gen.FeatureUpsert into the Features of gen.Config in "+
		"ent/entc.go, then run this again")
}

func TestAModuleInside(t *testing.T) {
	t.Parallel()
	_, err := plan(t, module(t, map[string]string{"ent/go.mod": "module example.com/ent\n"}), Options{Entities: all})
	assert.EqualError(t, err, "ent is a module of its own: install there, or choose another ent folder")
}

func TestNothingIsWrittenThroughASymbolicLink(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ent", "ent/schema", "ent/user", "ent/client.go", "auth", "auth/auth.go", "migrate",
		"migrate/atlas.sum", ".authgraph", "atlas.hcl"} {
		root, elsewhere := module(t, nil), t.TempDir()
		at := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.Symlink(filepath.Join(elsewhere, "missing"), at))
		if path.Ext(name) == "" || name == ".authgraph" {
			require.NoError(t, os.Mkdir(filepath.Join(elsewhere, "missing"), 0o755))
		}
		p, err := Open(root)
		if err == nil {
			_, err = p.Plan(t.Context(), Options{Entities: all, Auth: true, DB: "mysql"})
		}
		assert.ErrorContains(t, err, name+" is a symbolic link, through which authgraph does not write: ", name)
	}
	// What is only read may lie elsewhere.
	root := module(t, map[string]string{"common/post.go": "package schema\n",
		"ent/schema/mixin/x.go": "package mixin\n", "ent/template/x.tmpl": ""})
	for _, name := range []string{"ent/schema/post.go", "ent/template/post.tmpl"} {
		require.NoError(t, os.Symlink("../../common/post.go", filepath.Join(root, filepath.FromSlash(name))))
	}
	_, err := plan(t, root, Options{Entities: all, Auth: true})
	assert.NoError(t, err)
}

// A pipe in the place of the record would be waited for.
func TestTheRecordIsARegularFile(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.FromSlash(RecordFile)), 0o755))
	_, err := Open(root)
	assert.EqualError(t, err, RecordFile+" is no regular file: restore it from git, or delete it")
}

// A pipe in the place of the journal would be waited for.
func TestTheJournalIsARegularFile(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	at := filepath.Join(root, filepath.FromSlash(journalFile))
	require.NoError(t, os.MkdirAll(at, 0o755))
	want := journalFile + " is no regular file: delete it; nothing was changed"
	assert.EqualError(t, CheckFinished(root), want)
	_, err := Lock(t.Context(), root, func() {})
	assert.EqualError(t, err, want)
	assert.DirExists(t, at)
}

// The lock is the first that is written, and the last that is removed.
func TestTheLockIsNotWrittenThroughASymbolicLink(t *testing.T) {
	t.Parallel()
	for _, name := range []string{".authgraph", journalFile} {
		root, elsewhere := module(t, nil), t.TempDir()
		at := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		to := elsewhere
		if name == journalFile {
			to = filepath.Join(elsewhere, "missing")
		}
		require.NoError(t, os.Symlink(to, at))
		j, err := Lock(t.Context(), root, nil)
		if err == nil {
			require.NoError(t, j.Close())
		}
		assert.EqualError(t, err, name+" is a symbolic link, through which authgraph does not write: put what it "+
			"leads to in its place; nothing was changed")
		assert.EqualError(t, CheckFinished(root), err.Error())
		is, err := os.Readlink(at)
		require.NoError(t, err)
		assert.Equal(t, to, is)
		assert.Empty(t, tree(t, elsewhere))
	}
}

func TestPackageAuthIsNotMixedWithAPackageOfTheUser(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"auth", "authgraph", "internal/dburl"} {
		root := module(t, map[string]string{dir + "/login.go": "package x\n", "cmd/app/main.go": "package main\n"})
		add(t, root, Options{Entities: all})
		_, err := plan(t, root, Options{Entities: all, Auth: true, Force: true})
		assert.EqualError(t, err, dir+"/login.go is yours, and package "+path.Base(dir)+
			" of authgraph would share the folder "+dir+" with it: rename the folder, or leave out package auth")
	}
	root := module(t, nil)
	add(t, root, Options{Entities: all, Auth: true})
	put(t, root, "auth/login.go", "package auth\n")
	add(t, root, Options{Entities: all, Auth: true})
}

func TestMigrationsWhereEntsDocumentationHasThem(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"ent/migrate/migrations/atlas.sum": "h1:\n"})
	assert.Equal(t, "ent/migrate/migrations", add(t, root, Options{Entities: all}).layout.migrations)
	assert.Contains(t, get(t, root, "atlas.hcl"), "file://ent/migrate/migrations")
}

// killed leaves the journal of a run behind, as the system does for a process that was killed.
func killed(t *testing.T, root string, paths ...string) {
	t.Helper()
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	assert.False(t, j.Recovered)
	_, err = j.keep(paths)
	require.NoError(t, err)
	require.NoError(t, j.file.Close())
}

// A killed run is undone by the next, byte for byte, and what there was instead is moved aside.
func TestAJournalRestoresEverything(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"ent/schema/post.go": "package schema\n", "ent/old.go": "package ent\n",
		"migrate/x.go": "package migrate\n"})
	want := tree(t, root)
	killed(t, root, "go.mod", "go.sum", "ent", "migrate", filepath.FromSlash(RecordFile), "auth/auth.go")
	put(t, root, "go.mod", "changed")
	put(t, root, "go.sum", "new")
	put(t, root, "ent/schema/user.go", "new")
	put(t, root, "ent/user/user.go", "new")
	put(t, root, "auth/auth.go", "new")
	put(t, root, RecordFile, "new")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "migrate")))
	require.NoError(t, os.Remove(filepath.Join(root, "ent/old.go")))
	// What the user did since then.
	put(t, root, "migrate/1_mine.sql", "mine")
	put(t, root, "ent/schema/post.go", "package schema\n\n// Mine.\n")

	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	assert.True(t, j.Recovered)
	require.NoError(t, j.Close())
	require.NotEmpty(t, j.Undone)
	assert.Equal(t, ignoreText, get(t, root, ignoreFile))
	assert.Equal(t, "mine", get(t, root, j.Undone+"/migrate/1_mine.sql"))
	assert.Equal(t, "package schema\n\n// Mine.\n", get(t, root, j.Undone+"/ent/schema/post.go"))
	assert.Equal(t, "changed", get(t, root, j.Undone+"/go.mod"))
	require.NoError(t, os.RemoveAll(filepath.Join(root, path.Dir(RecordFile))))
	assert.Equal(t, want, tree(t, root))
	for _, folder := range []string{"ent/user", "auth"} {
		assert.NoDirExists(t, filepath.Join(root, folder))
	}
}

func TestAKilledRunThatChangedNothingLeavesNothing(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"ent/schema/post.go": "package schema\n"})
	want := tree(t, root)
	killed(t, root, "go.mod", "ent")
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	assert.True(t, j.Recovered)
	assert.Empty(t, j.Undone)
	require.NoError(t, j.Close())
	assert.Equal(t, want, tree(t, root))
	assert.NoDirExists(t, filepath.Join(root, path.Dir(RecordFile)))
}

// What an editor saves while the question waits is neither overwritten nor lost.
func TestAFileThatWasSavedAfterThePlanStays(t *testing.T) {
	t.Parallel()
	const own, mine = "package schema\n", "package schema\n\n// Mine.\n"
	for name, edit := range map[string]func(t *testing.T, root string){
		"edited": func(t *testing.T, root string) { put(t, root, "ent/schema/user.go", mine) },
		"deleted": func(t *testing.T, root string) {
			require.NoError(t, os.Remove(filepath.Join(root, "ent/schema/user.go")))
		},
		"created": func(t *testing.T, root string) { put(t, root, "ent/schema/session.go", mine) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := module(t, map[string]string{"ent/schema/user.go": own})
			p, err := plan(t, root, Options{Entities: all, Force: true})
			require.NoError(t, err)
			edit(t, root)
			want := tree(t, root)
			j, err := Lock(t.Context(), root, nil)
			require.NoError(t, err)
			run, err := p.Prepare(t.Context(), ApplyOptions{})
			require.NoError(t, err)
			_, err = run.Apply(t.Context(), j, nil)
			assert.ErrorContains(t, err, ".go was changed after authgraph had read it: run this again; nothing "+
				"was changed")
			require.NoError(t, j.Close())
			assert.Equal(t, want, tree(t, root))
		})
	}
}

// A run that fails takes back what it wrote. What somebody saved meanwhile is moved aside.
func TestAFailedRunKeepsWhatWasSavedMeanwhile(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"ent/schema/post.go": "package schema\n", "ent/ent.go": "package ent\n",
		"ent/generate.go": "package ent\n"})
	want := tree(t, root)
	saved := map[string]string{
		"ent/schema/post.go":  "package schema\n\n// Mine.\n",
		"ent/schema/draft.go": "package schema\n\n// A draft.\n",
		"ent/schema/user.go":  "package schema\n\n// An edit of what was installed just now.\n",
		"ent/schema/plan.go": "// Code generated by a generator. DO NOT EDIT. Not yet, that is.\npackage " +
			"schema\n\n// Code generated by hand. DO NOT EDIT.\n",
		"ent/schema/boxes.go": "/* Boxes. */ package schema /*\n*/\n// Code generated by hand. DO NOT EDIT.\n",
		"migrate/1_mine.sql":  "SELECT 1;\n",
		"go.mod":              "module example.com/app\n\ngo 1.26\n\nreplace example.com/x => ./x\n",
	}
	p, err := plan(t, root, Options{Entities: all})
	require.NoError(t, err)
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	run, err := p.Prepare(t.Context(), ApplyOptions{})
	require.NoError(t, err)
	_, err = run.Apply(ctx, j, func(string) {
		for name, text := range saved {
			put(t, root, name, text)
		}
		put(t, root, "ent/ent.go", "// Code generated by ent, DO NOT EDIT.\n\npackage ent\n")
		for name, head := range map[string]string{
			"ent/user/user.go":  "// Code generated by ent, DO NOT EDIT.\n",
			"ent/user/where.go": "\n// Code generated by ent, DO NOT EDIT.\n", // not formatted yet
			"ent/user/licensed.go": "// Copyright of the blog.\n\n//go:build linux\n\n// Code generated by the " +
				"blog's ent. DO NOT EDIT.\n",
			"ent/user/boxed.go": "/*\n * Copyright of the blog.\n **/\n\n// Code generated by ent, DO NOT EDIT.\r\n",
		} {
			put(t, root, name, head+"\npackage user\n")
		}
		put(t, root, "migrate/atlas.sum", "h1:\n")
		put(t, root, "ent/user.graphql",
			"# Copyright of the blog.\n# Code generated by ent, DO NOT EDIT.\n\ntype User\n")
		interrupt()
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "; nothing was changed; what stood there instead is in "+
		j.Undone+": take from it what is yours, then remove it")
	require.NoError(t, j.Close())
	require.NotEmpty(t, j.Undone)
	assert.Equal(t, saved, tree(t, filepath.Join(root, filepath.FromSlash(j.Undone))))
	require.NoError(t, os.RemoveAll(filepath.Join(root, path.Dir(RecordFile))))
	assert.Equal(t, want, tree(t, root))
}

func TestMigrationsOfAnotherToolAreRefusedBeforeTheRun(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"migrate/1_posts.up.sql": "CREATE TABLE posts (id int);\n",
		"migrate/1_posts.down.sql": "DROP TABLE posts;\n"})
	p, err := plan(t, root, Options{Entities: all})
	require.NoError(t, err)
	_, err = p.Prepare(t.Context(), ApplyOptions{})
	assert.EqualError(t, err, "migrate holds SQL files and no atlas.sum: "+
		"if another tool made them, move them to another folder or leave out the migration; "+
		"if Atlas did, write its atlas.sum; nothing was changed")
	_, err = p.Prepare(t.Context(), ApplyOptions{NoMigration: true})
	assert.NoError(t, err)
	put(t, root, "migrate/atlas.sum", "h1:\n")
	_, err = p.Prepare(t.Context(), ApplyOptions{})
	assert.ErrorContains(t, err, "1_posts.down.sql is a file of golang-migrate")
}

func TestARunWaitsForAnotherAndCanBeInterrupted(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	// It is told that it waits, and gives up then.
	_, err = Lock(ctx, root, interrupt)
	require.ErrorIs(t, err, context.Canceled)
	next := make(chan error)
	j2, err := Lock(t.Context(), root, func() { go func() { next <- j.Close() }() })
	require.NoError(t, err)
	require.NoError(t, <-next)
	require.NoError(t, j2.Close())
}

func TestAJournalThatWasCutIsWrittenAnew(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	put(t, root, journalFile, `{"Paths":`+strings.Repeat(" ", 1<<16))
	require.NoError(t, CheckFinished(root), "nothing was changed yet")
	want := get(t, root, "go.mod")
	killed(t, root, "go.mod")
	put(t, root, "go.mod", "changed")
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	assert.True(t, j.Recovered)
	require.NoError(t, j.Close())
	assert.Equal(t, want, get(t, root, "go.mod"))
}

func TestTheJournalOfARollbackThatFailedIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"migrate/x.sql": "SELECT 1;\n"})
	want := tree(t, root)
	p, err := plan(t, root, Options{Entities: all})
	require.NoError(t, err)
	j, err := Lock(t.Context(), root, nil)
	require.NoError(t, err)
	run, err := p.Prepare(t.Context(), ApplyOptions{NoMigration: true})
	require.NoError(t, err)
	// A folder in the place of a file can be neither written nor replaced.
	_, err = run.Apply(t.Context(), j, func(string) {
		if os.Remove(filepath.Join(root, "migrate/x.sql")) == nil {
			put(t, root, "migrate/x.sql/in the way", "")
		}
		put(t, root, "go.mod", "broken")
	})
	require.ErrorContains(t, err, "; and not everything could be undone: ")
	require.ErrorContains(t, err, "; run authgraph again to finish undoing")
	require.NoError(t, j.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(root, "migrate/x.sql")))

	j, err = Lock(t.Context(), root, nil)
	require.NoError(t, err)
	assert.True(t, j.Recovered)
	require.NoError(t, j.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(root, path.Dir(RecordFile))))
	assert.Equal(t, want, tree(t, root))
}

func TestTheProjectsOwnTablesComeBeforeOurs(t *testing.T) {
	t.Parallel()
	const (
		posts = "-- Create \"posts\" table\nCREATE TABLE `posts` (`id` bigint, `t` varchar(9) DEFAULT ';');\n"
		index = "-- Create index\nCREATE UNIQUE INDEX `by_title` ON `posts` (`t`);\n"
		users = "-- Create \"users\" table\nCREATE TABLE `users` (`id` bigint);\n"
		email = "CREATE UNIQUE INDEX `user_email` ON `users` (`email`);\n"
		likes = "CREATE TABLE `likes` (`who` bigint, CONSTRAINT `w` FOREIGN KEY (`who`) REFERENCES `users` (`id`));\n"
	)
	for name, c := range map[string]struct{ sql, own, ours string }{
		"none":                 {users + email, "", users + email},
		"some":                 {posts + users + index + email, posts + index, users + email},
		"some refer to ours":   {posts + users + likes, "", posts + users + likes},
		"none of ours in here": {posts, posts, ""},
	} {
		own, ours, err := split(c.sql, []string{"user"})
		require.NoError(t, err, name)
		assert.Equal(t, c.own, own, name)
		assert.Equal(t, c.ours, ours, name)
	}
}

func TestTheEntSchemaOfAProjectIsFound(t *testing.T) {
	t.Parallel()
	const (
		entity  = "package schema\n\nimport \"entgo.io/ent\"\n\n// Post.\ntype Post struct{ ent.Schema }\n"
		renamed = "package schema\n\nimport e \"entgo.io/ent\"\n\n// Post.\ntype Post struct{ e.Schema }\n"
		command = "//go:generate go run -mod=mod entgo.io/ent/cmd/ent generate "
		program = "//go:build ignore\n\npackage main\n\nfunc main() { entc.Generate(\"./schema\", &gen.Config{"
	)
	for name, c := range map[string]struct {
		files         map[string]string
		dir, generate string
		fails         string
	}{
		"none":        {nil, "ent", "", ""},
		"internal":    {map[string]string{"internal/ent/schema/post.go": entity}, "internal/ent", "", ""},
		"other names": {map[string]string{"pkg/db/schema/post.go": renamed}, "pkg/db", "", ""},
		"run from elsewhere": {map[string]string{"internal/ent/schema/post.go": entity,
			"tools.go": "package app\n\n" + command + "--feature sql/lock ./internal/ent/schema\n"},
			"internal/ent", "tools.go", ""},
		"flags behind the folder": {map[string]string{"internal/ent/schema/post.go": entity,
			"tools.go": "package app\n\n" + command + "./internal/ent/schema --feature sql/lock --template=./x.tmpl\n"},
			"internal/ent", "tools.go", ""},
		"a program": {map[string]string{"data/schema/post.go": entity, "data/entc.go": program + "}) }\n",
			"data/generate.go": "package data\n\n//go:generate go run entc.go\n"}, "data", "", ""},
		"not looked at": {map[string]string{"ent/schema/post.go": entity, "ent/schema/base/base.go": entity,
			"vendor/x/schema/post.go": entity, "testdata/schema/post.go": entity, "_old/schema/post.go": entity,
			"other/go.mod": "module example.com/other\n", "other/schema/post.go": entity,
			"ent/schema/post_test.go": entity}, "ent", "", ""},
		"two": {map[string]string{"a/schema/post.go": entity, "b/schema/post.go": entity}, "", "",
			"this project has Ent schemas in a/schema and b/schema: name the ent folder to install into, as a"},
		"a folder of another name": {map[string]string{"internal/entities/post.go": entity}, "", "",
			"the Ent schema of this project is in internal/entities and its client in internal, and authgraph needs "},
		"a client elsewhere": {map[string]string{"ent/schema/post.go": entity,
			"ent/generate.go": "package ent\n\n" + command + "--target ../store ./schema\n"}, "", "",
			"the Ent schema of this project is in ent/schema and its client in store, and authgraph needs "},
		"a client elsewhere by a program": {map[string]string{"ent/schema/post.go": entity,
			"ent/generate.go": "package ent\n\n//go:generate go run entc.go\n",
			"ent/entc.go":     program + "Target: \"../store\"}) }\n"}, "", "",
			"the Ent schema of this project is in ent/schema and its client in store, and authgraph needs "},
		"the module's root": {map[string]string{"schema/post.go": entity}, "", "",
			"the Ent schema of this project is in schema and its client in ., and authgraph needs "},
	} {
		root := module(t, c.files)
		p, err := plan(t, root, Options{Entities: all})
		if c.fails != "" {
			assert.ErrorContains(t, err, c.fails, name)
			p, err = plan(t, root, Options{Entities: all, Dir: "store/ent"})
			if assert.NoError(t, err, name) {
				assert.Equal(t, "store/ent", p.Dir, name)
			}
			continue
		}
		if assert.NoError(t, err, name) {
			assert.Equal(t, c.dir, p.Dir, name)
			assert.Equal(t, c.generate, p.layout.generate, name)
		}
	}
}
