package install

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sumFile holds the checksums of a directory of migrations.
const sumFile = "atlas.sum"

// found is what a search of the module for Ent finds.
type found struct {
	// schemas are the folders of entities.
	schemas []string
	// generators are the files that run Ent's generator, by the folder of entities that they read.
	generators map[string]generator
	// sums are the folders with checksums of migrations.
	sums []string
	// tools are the folders with migrations of other tools.
	tools []tool
}

// generator is a file that go generate runs Ent with.
type generator struct {
	// file is the one with the line //go:generate, and target the folder that it says the client goes to; empty if it
	// says none.
	file, target string
}

var (
	// entGenerate is a line of go generate with Ent's command. Its arguments follow.
	entGenerate = regexp.MustCompile(`(?m)^//go:generate .*\bent(?:@\S+)? generate(.*)$`)
	// entcGenerate is a call of Ent's generator, with the folder that it reads, and entcTarget its option.
	entcGenerate = regexp.MustCompile(`\bentc\.Generate\(\s*"([^"]+)"`)
	entcTarget   = regexp.MustCompile(`\bTarget:\s*"([^"]+)"`)
	runsGo       = regexp.MustCompile(`(?m)^//go:generate go run .*?(\S+\.go)`)
	targetFlag   = regexp.MustCompile(`--?target[= ](\S+)`)
)

// find looks for the Ent schemas of the module. It leaves out what the go command does, and modules inside.
func (p *Project) find() (found, error) {
	f := found{generators: map[string]generator{}}
	if !p.exists("go.mod") { // an imagined project, of which the folder holds nothing
		return f, nil
	}
	runs := map[string]string{}       // files with a line go:generate, by the program that it runs
	programs := map[string][]string{} // the folder that is read and the target, by the program
	err := fs.WalkDir(p.files.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil { // a folder of a server's, say, that only its account may read
			return fs.SkipDir
		}
		base := path.Base(name)
		if entry.IsDir() {
			ignored := base == "vendor" || base == "testdata" || base == "node_modules" ||
				strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".")
			if name != "." && (ignored || p.exists(path.Join(name, "go.mod"))) {
				return fs.SkipDir
			}
			return nil
		}
		if base == sumFile {
			f.sums = append(f.sums, path.Dir(name))
		}
		if entry.Type().IsRegular() && strings.HasSuffix(base, ".sql") {
			text, err := p.files.ReadFile(name)
			t := tool{toolOf(base, string(text)), path.Dir(name)}
			if err == nil && t.name != "" && !slices.Contains(f.tools, t) {
				f.tools = append(f.tools, t)
			}
		}
		if !entry.Type().IsRegular() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		raw, err := p.files.ReadFile(name)
		if err != nil {
			return nil
		}
		text, dir := string(raw), path.Dir(name)
		if m := entGenerate.FindStringSubmatch(text); m != nil {
			if schema := argument(m[1]); schema != "" {
				g := generator{file: name}
				if t := targetFlag.FindStringSubmatch(m[1]); t != nil {
					g.target = path.Join(dir, t[1])
				}
				f.generators[path.Join(dir, schema)] = g
			}
		}
		if m := runsGo.FindStringSubmatch(text); m != nil {
			runs[path.Join(dir, m[1])] = name
		}
		if m := entcGenerate.FindStringSubmatch(text); m != nil {
			target := ""
			if t := entcTarget.FindStringSubmatch(text); t != nil {
				target = t[1]
			}
			programs[name] = []string{m[1], target}
		}
		if dir != "." && !slices.Contains(f.schemas, dir) && declaresEntity(raw) {
			f.schemas = append(f.schemas, dir)
		}
		return nil
	})
	for program, reads := range programs {
		// A program runs in the folder of the file that has it run.
		if file, ok := runs[program]; ok {
			g := generator{file: file}
			if reads[1] != "" {
				g.target = path.Join(path.Dir(file), reads[1])
			}
			f.generators[path.Join(path.Dir(file), reads[0])] = g
		}
	}
	// Below a schema there are its mixins.
	all := f.schemas
	f.schemas = slices.DeleteFunc(slices.Clone(all), func(dir string) bool {
		return slices.ContainsFunc(all, func(above string) bool { return strings.HasPrefix(dir, above+"/") })
	})
	return f, err
}

// argument is the folder that Ent's command is given, whose flags may stand before it and behind it and all take a
// value; empty if there is none.
func argument(args string) string {
	value := false
	for _, word := range strings.Fields(args) {
		switch {
		case value:
			value = false
		case strings.HasPrefix(word, "-"):
			value = !strings.Contains(word, "=")
		default:
			return strings.Trim(word, "\"'")
		}
	}
	return ""
}

// declaresEntity reports whether a source declares a struct that embeds ent.Schema.
func declaresEntity(src []byte) bool {
	if !strings.Contains(string(src), `"entgo.io/ent"`) {
		return false
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", src, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	name := ""
	for _, spec := range file.Imports {
		if value, err := strconv.Unquote(spec.Path.Value); err == nil && value == "entgo.io/ent" {
			name = "ent"
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	entity := false
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range s.Fields.List {
			sel, ok := field.Type.(*ast.SelectorExpr)
			if !ok || len(field.Names) > 0 || sel.Sel.Name != "Schema" {
				continue
			}
			x, ok := sel.X.(*ast.Ident)
			entity = entity || ok && x.Name == name
		}
		return true
	})
	return entity
}

// folder is the ent folder of the module: the one that its entities are in, or ent if it has none.
func (f found) folder() (string, error) {
	switch len(f.schemas) {
	case 0:
		return "ent", nil
	case 1:
		schema := f.schemas[0]
		dir := path.Dir(schema)
		to := f.generators[schema].target
		if path.Base(schema) != "schema" || to != "" && to != dir || (Options{Dir: dir}).Check() != nil {
			return "", &Error{
				Reason: OtherLayout,
				Path:   schema,
				found: fmt.Sprintf("the Ent schema of this project is in %s and its client in %s, "+
					"and authgraph needs them in FOLDER/schema and FOLDER, as internal/ent", schema, cmp.Or(to, dir)),
				fix: "move them, or name a folder for a second client",
			}
		}
		return dir, nil
	}
	return "", &Error{
		Reason: TwoSchemas,
		Path:   f.schemas[0],
		found:  "this project has Ent schemas in " + strings.Join(f.schemas, " and "),
		fix:    "name the ent folder to install into, as " + path.Dir(f.schemas[0]),
	}
}

// elsewhere is the file that runs the generator of a layout's schema, if that is not in the ent folder.
func (f found) elsewhere(l layout) string {
	if file := f.generators[l.entFile("schema")].file; file != "" && path.Dir(file) != l.dir {
		return file
	}
	return ""
}
