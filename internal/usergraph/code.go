package usergraph

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"go/format"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/authgraph/authgraph/internal/entgraph"
)

//go:embed template
var templates embed.FS

// fill is a formatted Go file of a template.
func fill(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(templates, "template/"+name+".tmpl")
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, err
	}
	return format.Source(text.Bytes())
}

// Code is the text of graph.go: what package auth knows of the entity. It follows from the mapping and the schema.
func (g *Graph) Code() ([]byte, error) {
	type constants struct{ Name, Constant, Read string }
	data := struct {
		User, Imports, Client, Package, ID, IDConstant, Create, NoPassword, Chain, Rest string
		Columns                                                                         []constants
		Hooked, SharedPasswords                                                         bool
		// TakesRole and TakesEmail are calls of Ent's validators.
		TakesRole, TakesEmail string
	}{
		User: g.User, Create: g.user.Create, IDConstant: g.user.ID.Constant, NoPassword: "NULL", Hooked: !g.Own,
		SharedPasswords: !g.Own && g.column("password").Source == Theirs,
	}
	imports := &imports{map[string]string{}}
	data.Client, data.Package = imports.use(g.schema.Client, "ent"), imports.use(g.user.Package, g.packageName())
	var err error
	if data.ID, err = imports.typeOf(g.user.ID); err != nil {
		return nil, err
	}
	if data.Chain, data.Rest, err = g.create(imports); err != nil {
		return nil, err
	}
	for _, c := range columns {
		data.Columns = append(data.Columns, constants{c.constant, g.constant(c), g.read(c)})
	}
	if f := g.field("password"); f != nil && !f.Optional {
		data.NoPassword = "''"
	}
	validator := func(f *entgraph.Field) string {
		return data.Package + "." + strings.TrimPrefix(f.Constant, "Field") + "Validator"
	}
	if f := g.field("role"); f != nil && f.Type == "enum" && !g.Own {
		typ, err := imports.typeOf(f)
		if err != nil {
			return nil, err
		}
		data.TakesRole = validator(f) + "(" + typ + "(role))"
	}
	if f := g.field("email"); f != nil && f.Validators > 0 && !g.Own {
		data.TakesEmail = validator(f) + "(email)"
	}
	data.Imports = imports.text()
	return fill("graph.go", data)
}

// packageName is a name for the entity's generated package. Ent itself gives it another one if a type of the schema is
// from a package of that name.
func (g *Graph) packageName() string {
	name := base(g.user.Package)
	for _, e := range g.schema.Entities {
		for _, f := range append([]*entgraph.Field{e.ID}, e.Fields...) {
			if f.Go.Custom && f.Go.Package == name {
				return "ent" + name
			}
		}
	}
	return name
}

// constant is the generated constant that names the column; empty if it is absent.
func (g *Graph) constant(c column) string {
	to := g.column(c.name)
	switch to.Source {
	case Theirs:
		return g.user.Field(to.Field).Constant
	case Added:
		return "Field" + c.goName(to)
	default:
		return ""
	}
}

// goName is what Ent calls a field that was added.
func (c column) goName(to Column) string {
	if to.Field == c.name {
		return c.constant
	}
	return "Auth" + c.constant
}

// read is the Go expression for the SQL that reads a column; empty for the one that nothing reads.
func (g *Graph) read(c column) string {
	if c.name == "updated_at" {
		return ""
	}
	value := "\"u.`\" + " + c.constant + " + \"`"
	f, to := g.field(c.name), g.column(c.name)
	// An added one is as the mixin has it.
	null := to.Source == Added && (c.kind == moment || c.kind == hash || c.kind == face || c.name == "provider_id")
	if f != nil {
		null = f.Optional
	}
	wrap := func(function, rest, behind string) string {
		return "\"" + function + "(" + value[1:] + rest + ")" + behind + "\""
	}
	if to.Source == Absent {
		switch c.kind {
		case boolean, counter:
			return `"0"`
		case choice:
			return `"''"`
		case text:
			if c.name != "provider_id" {
				return `"''"`
			}
		}
		return `"NULL"`
	}
	switch {
	case c.kind == boolean:
		is := " = 1"
		if c.name == "is_deleted" {
			is = " <> 0"
		}
		if null {
			return wrap("COALESCE", ", 0", is)
		}
		return value + is + `"`
	case c.kind == counter && null:
		return wrap("COALESCE", ", 0", "")
	case c.kind == choice && null, c.kind == text && null && c.name != "provider_id":
		return wrap("COALESCE", ", ''", "")
	case c.kind == hash && f != nil && !(f.Optional && f.Nillable), c.name == "provider_id" && !null:
		return wrap("NULLIF", ", ''", "")
	default:
		return value + `"`
	}
}

// create is what gives Ent's builder what a new user has: a chain of calls, and statements behind it.
func (g *Graph) create(imports *imports) (_, _ string, err error) {
	var chain, rest strings.Builder
	for _, c := range columns {
		to, f := g.column(c.name), g.field(c.name)
		if to.Source == Absent || c.name == "role" {
			continue // what nobody chooses is the entity's default
		}
		setter, convert, required := "Set"+c.goName(to), "", false
		if f != nil {
			setter, required = f.Setter, f.Required
			if !g.Own && (f.Go.Custom && c.kind != face || c.kind == choice) {
				if convert, err = imports.typeOf(f); err != nil {
					return "", "", err
				}
			}
		}
		value := func(expr string) string {
			if convert == "" {
				return expr
			}
			return convert + "(" + expr + ")"
		}
		field := "a." + c.constant
		switch {
		case (c.kind == hash || c.name == "provider_id") && (f == nil || f.Optional && convert == ""):
			fmt.Fprintf(&chain, ".\n\t\tSetNillable%s(%s)", strings.TrimPrefix(setter, "Set"), field)
		case c.kind == hash, c.name == "provider_id":
			fmt.Fprintf(&rest, "\tif %[1]s != nil {\n\t\tcreate.%[2]s(%[3]s)\n\t}\n", field, setter, value("*"+field))
		case c.kind == face:
			fmt.Fprintf(&rest, "\tif %[1]s != nil {\n\t\tcreate.%[2]s(%[1]s)\n\t}\n", field, setter)
		case c.name == "updated_at" && required, c.name == "last_login_at" && required:
			fmt.Fprintf(&chain, ".\n\t\t%s(a.CreatedAt)", setter)
		case slices.Contains([]string{"created_at", "name", "email", "provider", "is_email_verified"}, c.name):
			fmt.Fprintf(&chain, ".\n\t\t%s(%s)", setter, value(field))
		}
	}
	return chain.String(), rest.String(), nil
}

// imports are those of a file that is being written.
type imports struct {
	names map[string]string // by path
}

// use imports a package and returns the name by which the file knows it: by default what its path ends with.
func (i *imports) use(path, name string) string {
	if known, ok := i.names[path]; ok {
		return known
	}
	name = cmp.Or(name, base(path))
	for taken := slices.Collect(maps.Values(i.names)); slices.Contains(taken, name); {
		name += "_"
	}
	i.names[path] = name
	return name
}

// base is the name that a package has, as far as its path tells.
func base(p string) string {
	name := path.Base(p)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(p))
	}
	return name
}

// typeOf is how the type of a field is written.
func (i *imports) typeOf(f *entgraph.Field) (string, error) {
	if f.Go.Path == "" {
		return f.Go.Ident, nil
	}
	pkg, name, ok := strings.Cut(f.Go.Ident, ".")
	if !ok || strings.ContainsAny(pkg+name, "*[]{} ") {
		return "", &Error{
			Field: f.Name,
			found: fmt.Sprintf("the field %s is of the type %s, which cannot be named elsewhere", f.Name, f.Go.Ident),
			fix:   "give it a type with a name",
		}
	}
	return i.use(f.Go.Path, cmp.Or(f.Go.Package, pkg)) + "." + name, nil
}

// text is the declaration: the standard library first, then the others, each by its path.
func (i *imports) text() string {
	var standard, others []string
	for _, p := range slices.Sorted(maps.Keys(i.names)) {
		line := "\t" + strconv.Quote(p) + "\n"
		if name := i.names[p]; name != base(p) {
			line = "\t" + name + " " + strconv.Quote(p) + "\n"
		}
		if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") || p == "" {
			others = append(others, line)
		} else {
			standard = append(standard, line)
		}
	}
	if len(standard) > 0 && len(others) > 0 {
		standard = append(standard, "\n")
	}
	return "import (\n" + strings.Join(standard, "") + strings.Join(others, "") + ")\n"
}
