package usergraph

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/entgraph"
)

const module = "example.com/app"

// environment has the go command find in its cache what it compiled in another folder, and fetch nothing.
var environment = []string{"GOFLAGS=-mod=mod -trimpath", "GOPROXY=off", entgraph.NoWorkspace}

// generator is a project's. It needs no module that this one does not have.
const generator = `package main

import (
	"log"
	"os"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

func main() {
	if err := entc.Generate(os.Args[1], &gen.Config{}); err != nil {
		log.Fatal(err)
	}
}
`

// Each schema of testdata becomes a client, and the graph that is generated for it makes, reads and signs in users of
// it on SQLite.
func TestAUserOfAnyShapeIsAttached(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	repository, err := filepath.Abs("../..")
	require.NoError(t, err)
	mod := read(t, filepath.Join(repository, "go.mod"))
	write(t, filepath.Join(root, "go.mod"), strings.Replace(mod, "github.com/authgraph/authgraph", module, 1))
	write(t, filepath.Join(root, "go.sum"), read(t, filepath.Join(repository, "go.sum")))
	write(t, filepath.Join(root, "generator/main.go"), generator)
	cases, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	var attached sync.Mutex
	var names []string
	t.Run("of", func(t *testing.T) {
		for _, path := range cases {
			name := strings.TrimSuffix(filepath.Base(path), ".txt")
			if name == "check.go" {
				continue
			}
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				attach(t, repository, root, name, files)
				attached.Lock()
				defer attached.Unlock()
				names = append(names, name)
			})
		}
	})
	if t.Failed() {
		return
	}
	var imports, calls string
	for _, name := range names {
		imports += fmt.Sprintf("\tc_%[1]s %[2]q\n", name, module+"/"+name+"/check")
		calls += fmt.Sprintf("\tif err := c_%[1]s.Check(context.Background()); err != nil {\n"+
			"\t\tfmt.Println(\"%[1]s:\", err)\n\t}\n", name)
	}
	write(t, filepath.Join(root, "main.go"), "package main\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\n"+imports+")\n\n"+
		"func main() {\n"+calls+"}\n")
	assert.Empty(t, run(t, root, "run", "."))
	for _, name := range names {
		run(t, root, "vet", "./"+name+"/graph", "./"+name+"/ent/schema")
	}
}

// attach does for one schema what authgraph add does.
func attach(t *testing.T, repository, root, name string, files map[string]string) {
	folder := filepath.Join(root, name)
	for file, text := range files {
		switch {
		case strings.Contains(file, "/"):
			write(t, filepath.Join(folder, file), text)
		case strings.HasSuffix(file, ".go"):
			write(t, filepath.Join(folder, "ent/schema", file), text)
		}
	}
	schema, err := entgraph.Read(t.Context(), folder, "ent/schema", environment...)
	require.NoError(t, err)
	var o Options
	fields := strings.Fields(strings.ReplaceAll(files["options"], "'", `"`))
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields[i] {
		case "--user":
			o.User = fields[i+1]
		case "--profile":
			o.Profile = Profile(fields[i+1])
		case "--map":
			o.Map = fields[i+1]
		case "--rule":
			_, rule, _ := strings.Cut(files["options"], `--rule "`)
			o.Rule = strings.TrimSuffix(strings.TrimSpace(rule), `"`)
			i = len(fields)
		}
	}
	g, err := New(schema, o)
	require.NoError(t, err)
	require.Empty(t, g.Problems())

	own := func(path string) string { return read(t, filepath.Join(repository, path)) }
	text := func(b []byte, err error) string {
		t.Helper()
		require.NoError(t, err)
		return string(b)
	}
	code, rules := text(g.Code()), text(g.Rules())
	owner := text(Owner([]byte(own("ent/schema/owner.go")), g.Mapping))
	mixin, edit, err := g.Mixin([]byte(own("ent/schema/user.go")), module+"/"+name+"/ent/schema/schematype")
	require.NoError(t, err)
	var edited string
	if edit != nil {
		edited = string(edit.Text)
		write(t, edit.Path, edited)
	}
	for what, got := range map[string]string{"graph": code, "rules": rules, "owner": owner, "mixin": string(mixin)} {
		for line := range strings.Lines(files[what]) {
			if !strings.Contains(oneLine(got), oneLine(line)) {
				t.Errorf("%s has no %q:\n%s", what, strings.TrimSpace(line), got)
			}
		}
	}
	assert.Contains(t, edited, files["edited"])

	put := func(path, text string) {
		text = strings.ReplaceAll(text, "github.com/authgraph/authgraph/ent", module+"/"+name+"/ent")
		write(t, filepath.Join(folder, path), text)
	}
	for _, f := range []string{"field", "mixin", "sqlite", "session", "refreshtoken", "otp", "schematype/email",
		"schematype/schematype", "schematype/useragent"} {
		put("ent/schema/"+f+".go", own("ent/schema/"+f+".go"))
	}
	put("ent/schema/owner.go", owner)
	put("ent/schema/"+MixinFile, string(mixin))
	put("graph/account.go", own("auth/internal/graph/account.go"))
	put("graph/graph.go", code)
	if fill := files["fill"]; fill != "" {
		pkg := schema.Entity(g.User).Package
		rules = strings.TrimSuffix(rules, "}\n") + fill + "}\n"
		switch {
		case strings.Contains(rules, strconv.Quote(pkg)):
		case strings.Contains(rules, "import "):
			rules = strings.Replace(rules, "import ", fmt.Sprintf("import %q\nimport ", pkg), 1)
		default:
			rules = strings.Replace(rules, "package graph\n", fmt.Sprintf("package graph\n\nimport %q\n", pkg), 1)
		}
	}
	put("graph/rules.go", rules)
	put("check/check.go", strings.ReplaceAll(read(t, "testdata/check.go.txt"), "CASE", name))
	run(t, folder, "run", module+"/generator", "./ent/schema")

	// What is recorded makes the same of the schema as it is now.
	schema, err = entgraph.Read(t.Context(), folder, "ent/schema", environment...)
	require.NoError(t, err)
	record, err := json.Marshal(g.Mapping)
	require.NoError(t, err)
	var m Mapping
	require.NoError(t, json.Unmarshal(record, &m))
	again, err := Load(schema, m)
	require.NoError(t, err)
	assert.Empty(t, again.Problems())
	assert.Equal(t, code, text(again.Code()))
	for _, c := range m.Columns {
		if c.Source == Added {
			f := schema.Entity(g.User).Field(c.Field)
			require.NotNil(t, f, c.Field)
			assert.True(t, f.Optional || f.Default && f.Type != "time", "a row without %s", c.Field)
		}
	}
	second, edit, err := again.Mixin([]byte(own("ent/schema/user.go")), module+"/"+name+"/ent/schema/schematype")
	require.NoError(t, err)
	assert.Equal(t, string(mixin), string(second))
	assert.Nil(t, edit)
}

// oneLine is a text whose white space is single spaces.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func run(t *testing.T, root string, args ...string) string {
	t.Helper()
	out, said, err := entgraph.Go(t.Context(), root, environment, args...)
	require.NoError(t, err, "%s", said)
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}
