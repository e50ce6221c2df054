package entfast

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"entgo.io/ent/entc/gen"
)

// file is what the extension adds to the package of the client.
const file = "entfast.go"

// write writes the fast paths and makes the queries take them.
func write(g *gen.Graph) error {
	if decodes(g) {
		return remove(g)
	}
	plain := map[string][]string{}
	var patches []patch
	for _, n := range g.Nodes {
		path := filepath.Join(g.Target, n.PackageDir()+"_query.go")
		q, err := readQuery(path, n)
		if err != nil {
			return err
		}
		if q.plain == nil || !n.HasOneFieldID() {
			continue
		}
		plain[n.Name] = q.plain
		patches = append(patches, q.patch)
	}
	c, err := model(g, plain)
	if err != nil {
		return err
	}
	if len(c.Entities) == 0 {
		return remove(g)
	}
	text, err := c.code()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(g.Target, file), text, 0o644); err != nil {
		return err
	}
	for _, p := range patches {
		if err := os.WriteFile(p.path, p.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// decodes reports whether a template of the project decodes the rows, which the fast paths would not do.
func decodes(g *gen.Graph) bool {
	return slices.ContainsFunc(g.Templates, func(t *gen.Template) bool {
		return slices.ContainsFunc(t.Templates(), func(t *template.Template) bool {
			return strings.HasPrefix(t.Name(), "dialect/sql/decode/")
		})
	})
}

// remove removes what an earlier generation wrote: without it a client compiles that takes no fast path.
func remove(g *gen.Graph) error {
	err := os.Remove(filepath.Join(g.Target, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (c *client) code() ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"quote": strconv.Quote,
		"list":  func(v ...any) []any { return v },
	}).Parse(queries)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, c); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

// patch is a file with its new text.
type patch struct {
	path string
	text []byte
}

// query is what was read of a file of queries.
type query struct {
	// plain are the conditions under which nothing is asked of a query but predicates, a limit and edges. It is nil
	// where sqlAll does what the fast path does not know.
	plain []string
	patch patch
}

// readQuery reads the file of the queries of an entity.
func readQuery(path string, n *gen.Type) (*query, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	all, fields := find(parsed, n.QueryName())
	if all == nil || fields == nil {
		return nil, fmt.Errorf("entfast: %s has no method sqlAll(context, hooks...) of %s: this release of Ent "+
			"generates other code; use Ent v0.14.6, or take entfast.New() out of the generator", path, n.QueryName())
	}
	receiver := all.Recv.List[0].Names[0].Name
	params := all.Type.Params.List
	call := fmt.Sprintf("\n\tif nodes, done, err := %s.fastAll(%s, %s); done {\n\t\treturn nodes, err\n\t}\n",
		receiver, params[0].Names[0].Name, params[1].Names[0].Name)
	at := fset.Position(all.Body.Lbrace).Offset + 1
	if text[at] == '\n' {
		call = strings.TrimSuffix(call, "\n")
	}
	q := &query{patch: patch{path, slices.Concat(text[:at], []byte(call), text[at:])}}
	seen := map[string]bool{}
	for _, s := range all.Body.List {
		begin := known(fset, s, receiver)
		if begin == "" || seen[begin] && strings.HasPrefix(begin, "_spec.") {
			return q, nil
		}
		seen[begin] = true
	}
	q.plain = conditions(fields, n)
	return q, nil
}

// find returns the method sqlAll of a type of queries, and the fields of the type.
func find(f *ast.File, name string) (all *ast.FuncDecl, fields *ast.FieldList) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || d.Name.Name != "sqlAll" || len(d.Recv.List[0].Names) != 1 ||
				len(d.Type.Params.List) != 2 {
				continue
			}
			star, ok := d.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			of, ok := star.X.(*ast.Ident)
			_, variadic := d.Type.Params.List[1].Type.(*ast.Ellipsis)
			if ok && variadic && of.Name == name {
				all = d
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if t, ok := s.(*ast.TypeSpec); ok && t.Name.Name == name {
					if st, ok := t.Type.(*ast.StructType); ok {
						fields = st.Fields
					}
				}
			}
		}
	}
	return all, fields
}

// statements is how the statements of sqlAll begin that the fast path knows. Q stands for the receiver.
var statements = []string{
	"var (\n\tnodes", "if Q.with", "if withFKs {", "_spec.ScanValues = ", "_spec.Assign = ",
	"if len(Q.modifiers) > 0 {", "for i := range hooks {",
	"if err := sqlgraph.QueryNodes(", "if len(nodes) == 0 {", "if query := Q.with",
	"for name, query := range Q.withNamed", "for i := range Q.loadTotal {", "return nodes, nil",
}

// known is how a statement begins that the fast path knows, or empty.
func known(fset *token.FileSet, s ast.Stmt, receiver string) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, s); err != nil {
		return ""
	}
	for _, begin := range statements {
		if strings.HasPrefix(b.String(), strings.ReplaceAll(begin, "Q.", receiver+".")) {
			return begin
		}
	}
	return ""
}

// conditions says of each field of a query, but the edges, that it is as at first. It returns nil where that cannot be
// said of a field.
func conditions(fields *ast.FieldList, n *gen.Type) []string {
	known := []string{"config", "ctx", "inters", "predicates"}
	for _, e := range n.Edges {
		known = append(known, e.EagerLoadField())
	}
	out := []string{}
	for _, f := range fields.List {
		for _, name := range f.Names {
			if slices.Contains(known, name.Name) {
				continue
			}
			switch t := f.Type.(type) {
			case *ast.ArrayType, *ast.MapType:
				out = append(out, "len(q."+name.Name+") == 0")
			case *ast.StarExpr, *ast.FuncType, *ast.InterfaceType, *ast.ChanType:
				out = append(out, "q."+name.Name+" == nil")
			case *ast.Ident:
				if t.Name != "bool" {
					return nil
				}
				out = append(out, "!q."+name.Name)
			default:
				return nil
			}
		}
		if len(f.Names) == 0 {
			if embedded, ok := f.Type.(*ast.Ident); !ok || embedded.Name != "config" {
				return nil
			}
		}
	}
	return out
}
