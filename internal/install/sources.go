package install

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/internal/usergraph"
)

//go:embed files
var files embed.FS

// origin is the module that the sources are written for.
const origin = "github.com/authgraph/authgraph"

// sourceFile is a file that belongs into a project.
type sourceFile struct {
	path   string
	text   string
	reason string
	// need is what a file of the user in its place must contain; such a file stays. It is nil if the text must be this.
	need []string
	// once is whether the text is the project's from the first time on.
	once bool
}

// met reports whether a file of the user contains what is needed. Any DATABASE_URL will do.
func (s sourceFile) met(text string) bool {
	return !slices.ContainsFunc(s.need, func(part string) bool {
		name, _, ok := strings.Cut(part, "=")
		if ok {
			part = name + "="
		}
		return !strings.Contains(text, part)
	})
}

// config are the files of the project itself.
func (l layout) config() ([]sourceFile, error) {
	var out []sourceFile
	add := func(to, from, reason string, edits ...string) error {
		text, err := files.ReadFile("files/" + from)
		if err != nil {
			return err
		}
		edited := strings.NewReplacer(edits...).Replace(string(text))
		out = append(out, sourceFile{path: to, text: edited, reason: reason})
		return nil
	}
	desired := "ent://" + l.entFile("schema")
	if l.generator {
		desired = "file://" + l.entFile(l.desiredFile())
		var edits []string
		if l.db == sqlite {
			edits = []string{
				`"schema.sql"`, `"schema.sqlite.sql"`, "dialect.MySQL", "dialect.SQLite", `"8.0.19"`, `"3.40.0"`,
				`"$1"`, `""`,
			}
		}
		err := add(l.entFile("entc.go"), "entc.go", "generator", edits...)
		if err != nil {
			return nil, err
		}
		// It imports the extension, which is installed too.
		entc := &out[len(out)-1]
		text, err := reroute([]byte(entc.text), l.importPath)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entc.path, err)
		}
		entc.text = string(text)
		if err := add(l.entFile("generate.go"), "generate.go.txt", "generator", "Package ent ",
			"Package "+path.Base(l.dir)+" ", "\npackage ent\n", "\npackage "+path.Base(l.dir)+"\n"); err != nil {
			return nil, err
		}
		template, err := authgraph.Files.ReadFile("internal/entgen/template/format.tmpl")
		if err != nil {
			return nil, err
		}
		out = append(out, sourceFile{path: l.entFile("template/format.tmpl"), text: string(template),
			reason: "entities print without their secrets"})
		extension, err := closure("entfast")
		if err != nil {
			return nil, err
		}
		for _, pkg := range extension {
			if out, err = l.appendPackage(out, pkg, l.place(pkg), "extension of the generator", nil); err != nil {
				return nil, err
			}
		}
	}
	dev := map[string]string{"mysql": "docker://mysql/9/dev", "mariadb": "docker://maria/latest/dev",
		sqlite: "sqlite://dev?mode=memory"}
	err := add("atlas.hcl", "atlas.hcl", "for the Atlas CLI", "{{dev}}", dev[l.db], "{{desired}}", desired,
		"{{migrations}}", l.migrations)
	if err != nil {
		return nil, err
	}
	out[len(out)-1].need = []string{`"` + desired + `"`, `"file://` + l.migrations + `"`}
	example := map[string]string{
		"mysql":   "DATABASE_URL='mysql://user:password@localhost:3306/app'",
		"mariadb": "DATABASE_URL='mariadb://user:password@localhost:3306/app'",
		sqlite:    "DATABASE_URL='sqlite://app.db'",
	}
	out = append(out, sourceFile{
		path:   ".env.example",
		text:   exampleHead + example[l.db] + "\n",
		reason: "the environment of authgraph and of the service",
		need:   []string{example[l.db]},
	})
	return out, nil
}

// exampleHead says how a shell reads the file. Neither authgraph nor Go reads it.
const exampleHead = `# The environment of authgraph and of the service, which read no file .env themselves. Copy this to
# .env, keep that out of git, and load it into the shell before you run them:
#   set -a; . ./.env; set +a
`

// schema returns the entities, wired to each other, with their helpers. Unwired holds, by entity, the types whose edges
// are left out until they are installed.
func (l layout) schema(
	entities []string, users *Users,
) (out []sourceFile, unwired map[string][]string, err error) {
	if len(entities) == 0 {
		return nil, nil, nil
	}
	unwired = map[string][]string{}
	var types []string
	if users != nil {
		types = append(types, "User") // as it is called in the sources
	}
	var missing []string
	for _, e := range Entities {
		if slices.Contains(entities, e.Name) {
			types = append(types, e.Type)
		} else {
			missing = append(missing, e.Type)
		}
	}
	for _, e := range Entities {
		if !slices.Contains(entities, e.Name) {
			continue
		}
		src, err := authgraph.Files.ReadFile("ent/schema/" + e.File)
		if err != nil {
			return nil, nil, err
		}
		src, without, err := wire(src, types)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", e.File, err)
		}
		if len(without) > 0 {
			unwired[e.Name] = without
		}
		if out, err = l.appendGo(out, l.entFile("schema/"+e.File), src, "entity "+e.Type); err != nil {
			return nil, nil, err
		}
	}
	// Any hook of a schema moves the defaults of the whole client to a package that a project may import nowhere.
	without := func(name string) bool {
		return slices.ContainsFunc(Entities, func(e Entity) bool { return e.File == name }) ||
			users != nil && name == "hooks.go"
	}
	const shared = "what the entities share"
	at := len(out)
	if out, err = l.appendPackage(out, "ent/schema", l.entFile("schema"), shared, without); err != nil {
		return nil, nil, err
	}
	for i, s := range out[at:] {
		if path.Base(s.path) == "hooks.go" {
			text, err := dropMethods([]byte(s.text), missing)
			if err != nil {
				return nil, nil, err
			}
			out[at+i].text = string(text)
		}
		if path.Base(s.path) != "owner.go" || users == nil && slices.Contains(types, "User") {
			continue
		}
		var mapping usergraph.Mapping
		if users != nil {
			mapping = users.Mapping
		}
		text, err := usergraph.Owner([]byte(s.text), mapping)
		if err != nil {
			return nil, nil, err
		}
		out[at+i].text = string(text)
	}
	if users != nil {
		mixin, err := users.mixin(l, types)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, mixin)
	}
	out, err = l.appendPackage(out, "ent/schema/schematype", l.entFile("schema/schematype"), shared, nil)
	return out, unwired, err
}

// auth is package auth, Open and what they import of this project.
// Where the project has a driver of SQLite of its own, this project's is left out.
func (l layout) auth(users *Users, tests bool, own *driver) (out []sourceFile, err error) {
	begin := []string{"auth", "."}
	if tests {
		begin = append(begin, "auth/authtest")
	}
	packages, err := closure(begin...)
	if err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		var without func(name string) bool
		to := l.place(pkg)
		if pkg == "." {
			without = func(name string) bool {
				return name != "authgraph.go" && (name != "sqlite.go" || l.db != sqlite || own != nil)
			}
		}
		if out, err = l.appendPackage(out, pkg, to, "package "+path.Base(to), without); err != nil {
			return nil, err
		}
	}
	if tests {
		name := "files/conformance.go.txt"
		switch {
		case l.db == sqlite && own != nil:
			name = "files/conformance.driver.go.txt"
		case l.db == sqlite:
			name = "files/conformance.sqlite.go.txt"
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if own != nil {
			edits := strings.NewReplacer("{{module}}", own.module, "{{name}}", own.name, "{{options}}", own.options)
			text = []byte(edits.Replace(string(text)))
		}
		out, err = l.appendGo(out, l.beside("auth/conformance_test.go"), text, "tests package auth here")
		if err != nil {
			return nil, err
		}
	}
	if users == nil {
		return out, nil
	}
	return out, users.replaceGraph(l, out)
}

// appendPackage appends the files of a package of this project, except those for which without is true.
func (l layout) appendPackage(
	out []sourceFile, pkg, to, reason string, without func(name string) bool,
) ([]sourceFile, error) {
	names, err := goFiles(pkg)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if without != nil && without(name) {
			continue
		}
		src, err := authgraph.Files.ReadFile(path.Join(pkg, name))
		if err != nil {
			return nil, err
		}
		if out, err = l.appendGo(out, path.Join(to, name), src, reason); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l layout) appendGo(out []sourceFile, to string, src []byte, reason string) ([]sourceFile, error) {
	src, err := reroute(src, l.importPath)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	return append(out, sourceFile{path: to, text: string(src), reason: reason}), nil
}

// goFiles are the names of a package's Go files, tests left out.
func goFiles(pkg string) ([]string, error) {
	entries, err := fs.ReadDir(authgraph.Files, pkg)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names, nil
}

// importsOf returns the paths that a package of this project imports. They may repeat.
func importsOf(pkg string) (all []string, err error) {
	names, err := goFiles(pkg)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		src, err := authgraph.Files.ReadFile(path.Join(pkg, name))
		if err != nil {
			return nil, err
		}
		paths, err := imports(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, paths...)
	}
	return all, nil
}

// generated reports whether a package of this project is made by the generator.
func generated(pkg string) bool {
	return pkg == "ent" || strings.HasPrefix(pkg, "ent/") && pkg != "ent/schema" &&
		!strings.HasPrefix(pkg, "ent/schema/")
}

// closure returns the packages and those of this project that they import, without the generated ones and the schema,
// which every project has already.
func closure(packages ...string) ([]string, error) {
	for i := 0; i < len(packages); i++ {
		paths, err := importsOf(packages[i])
		if err != nil {
			return nil, fmt.Errorf("package %s is imported and not embedded: %w", packages[i], err)
		}
		for _, p := range paths {
			pkg, ok := strings.CutPrefix(p, origin+"/")
			if ok && !generated(pkg) && !strings.HasPrefix(pkg, "ent/schema") && !slices.Contains(packages, pkg) {
				packages = append(packages, pkg)
			}
		}
	}
	slices.Sort(packages)
	return packages, nil
}
