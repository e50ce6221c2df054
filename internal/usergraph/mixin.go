package usergraph

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MixinFile is the name of the file of [Graph.Mixin] in the schema's folder.
const MixinFile = "authmixin.go"

// mixinType is the type that it declares.
const mixinType = "authMixin"

// Edit is a file of the project with one line more.
type Edit struct {
	// Path is as in the position of the entity.
	Path string
	Text []byte
}

// Mixin is the text of [MixinFile], the mixin with what the entity lacks, and the edit of another file that makes it
// one of the entity's; nil where the new file can add the method, or where the list has it already. Src is this
// module's own ent/schema/user.go, and schematype the import path of that package in the project. It reads the folder
// in which [entgraph.Read] found the schema. The error is an [*Error] if the entity's list of mixins is not one to
// which a line can be added: its Fix has the line.
func (g *Graph) Mixin(src []byte, schematype string) (text []byte, edit *Edit, err error) {
	s, err := readSchema(filepath.Dir(g.user.File()))
	if err != nil {
		return nil, nil, err
	}
	data := struct {
		Schema, Imports, Type, User, Identity, Deleted, Method string
		Fields                                                 []string
	}{Schema: s.name, Type: mixinType, User: g.User}
	if data.Method, edit, err = g.mixinMethod(s); err != nil {
		return nil, nil, err
	}
	if data.Fields, err = g.addedFields(src); err != nil {
		return nil, nil, err
	}
	data.Identity, data.Deleted = g.addedIndex("provider", "provider_id"), g.addedIndex("is_deleted", "deleted_at")
	used := []string{"entgo.io/ent", "entgo.io/ent/dialect/entsql", "entgo.io/ent/schema/edge"}
	if len(data.Fields) > 0 {
		used = append(used, "entgo.io/ent/schema/field")
	}
	if data.Identity+data.Deleted != "" {
		used = append(used, "entgo.io/ent/schema/index")
	}
	used = append(used, "entgo.io/ent/schema/mixin")
	if strings.Contains(data.Method, "slices.") {
		used = append([]string{"slices", ""}, used...)
	}
	if strings.Contains(strings.Join(data.Fields, ""), "schematype.") {
		used = append(used, "", schematype)
	}
	data.Imports = "import (\n"
	for _, p := range used {
		if p != "" {
			p = strconv.Quote(p)
		}
		data.Imports += "\t" + p + "\n"
	}
	data.Imports += ")\n"
	text, err = fill("authmixin.go", data)
	return text, edit, err
}

// addedIndex are the names of two fields, as they stand in the declaration of an index, if one of them is added.
func (g *Graph) addedIndex(one, two string) string {
	a, b := g.column(one), g.column(two)
	if a.Source == Absent || b.Source == Absent || a.Source == Theirs && b.Source == Theirs {
		return ""
	}
	return fmt.Sprintf("%q, %q", a.Field, b.Field)
}

// addedFields are the Go expressions of the fields that are added, as this module's own user.go has them.
func (g *Graph) addedFields(src []byte) (fields []string, err error) {
	own, err := declarations(src)
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		to := g.column(c.name)
		if to.Source != Added {
			continue
		}
		text := own[c.name]
		switch c.name {
		case "name":
			text += ".\n\t\t\tDefault(\"\")"
		case "created_at":
			// Rows that are there already have none, and programs that know nothing of the column set none.
			text = `field.Time("created_at").
			SchemaType(timestampType).
			Optional().
			Nillable()`
		}
		if text == "" {
			return nil, fmt.Errorf("user.go declares no field %s", c.name)
		}
		if to.Field != c.name {
			text = strings.Replace(text, strconv.Quote(c.name), strconv.Quote(to.Field), 1)
		}
		fields = append(fields, text)
	}
	return fields, nil
}

// declarations are the texts of the fields that a source declares, by name.
func declarations(src []byte) (map[string]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "user.go", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		list, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		for _, e := range list.Elts {
			if name := fieldName(e); name != "" {
				texts[name] = string(src[fset.Position(e.Pos()).Offset:fset.Position(e.End()).Offset])
			}
		}
		return true
	})
	return texts, nil
}

// fieldName is the name in a chain of calls that begins as field.String("name").
func fieldName(e ast.Expr) string {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return ""
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if pkg, ok := method.X.(*ast.Ident); ok && pkg.Name == "field" && len(call.Args) > 0 {
			if name, ok := call.Args[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(name.Value)
				if err == nil {
					return text
				}
			}
			return ""
		}
		e = method.X
	}
}

// mixinMethod is the method that makes the mixin one of the entity's, for the new file, or the edit of the one that is
// there.
func (g *Graph) mixinMethod(s *schemaFiles) (method string, edit *Edit, err error) {
	if fn := s.method(g.User, "Mixin"); fn != nil {
		edit, err = s.addMixin(g.User, fn)
		return "", edit, err
	}
	embedded := s.embedded(g.User)
	if len(embedded) == 0 {
		return "", nil, fmt.Errorf("the entity %s is not declared in %s", g.User, filepath.Dir(g.user.File()))
	}
	const list = "[]ent.Mixin{" + mixinType + "{}}"
	switch {
	case len(embedded) == 1 && embedded[0] == "ent.Schema":
		return fmt.Sprintf("func (%s) Mixin() []ent.Mixin {\n\treturn %s\n}", g.User, list), nil, nil
	case len(embedded) == 1:
		// What it embeds may have mixins, which the method would hide.
		name := embedded[0][strings.LastIndexByte(embedded[0], '.')+1:]
		return fmt.Sprintf("func (e %s) Mixin() []ent.Mixin {\n\treturn slices.Concat(e.%s.Mixin(), %s)\n}", g.User,
			name, list), nil, nil
	}
	return "", nil, byHand(g.User, g.user.Position)
}

// byHand is the error of a project whose mixins are listed in a way of its own.
func byHand(user, position string) error {
	return &Error{
		Position: position,
		found:    fmt.Sprintf("the method Mixin of %s has no one place where a mixin can be added", user),
		fix:      "let it return once, at its end, a list or a variable that holds it, and run this again",
	}
}

// schemaFiles are the Go files of a schema's folder.
type schemaFiles struct {
	fset  *token.FileSet
	name  string
	files map[string]*ast.File
	texts map[string][]byte
}

func readSchema(folder string) (*schemaFiles, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	s := &schemaFiles{fset: token.NewFileSet(), files: map[string]*ast.File{}, texts: map[string][]byte{}}
	for _, e := range entries {
		name := filepath.Join(folder, e.Name())
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || e.Name() == MixinFile {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(s.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.name, s.files[name], s.texts[name] = file.Name.Name, file, text
	}
	return s, nil
}

// method is a method of a type; nil if it has none of its own.
func (s *schemaFiles) method(typ, name string) *ast.FuncDecl {
	for _, file := range s.files {
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != name || len(fn.Recv.List) != 1 {
				continue
			}
			if id, ok := fn.Recv.List[0].Type.(*ast.Ident); ok && id.Name == typ {
				return fn
			}
		}
	}
	return nil
}

// embedded are the types that a struct embeds, as they are written.
func (s *schemaFiles) embedded(typ string) (types []string) {
	for _, file := range s.files {
		for _, d := range file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				spec, ok := spec.(*ast.TypeSpec)
				if !ok || spec.Name.Name != typ {
					continue
				}
				fields, ok := spec.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, f := range fields.Fields.List {
					if len(f.Names) == 0 {
						types = append(types, typeName(f.Type))
					}
				}
			}
		}
	}
	return types
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return typeName(e.X)
	}
	return ""
}

// addMixin adds the mixin behind the others that a method returns.
func (s *schemaFiles) addMixin(user string, fn *ast.FuncDecl) (*Edit, error) {
	position := s.fset.Position(fn.Pos())
	refused := byHand(user, fmt.Sprintf("%s:%d", position.Filename, position.Line))
	if fn.Body == nil {
		return nil, refused
	}
	there, returns := false, []*ast.ReturnStmt(nil)
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			there = there || typeName(n.Type) == mixinType
		case *ast.ReturnStmt:
			returns = append(returns, n)
		}
		return true
	})
	if there {
		return nil, nil
	}
	if len(returns) != 1 || returns[0] != fn.Body.List[len(fn.Body.List)-1] || len(returns[0].Results) != 1 {
		return nil, refused
	}
	switch list := returns[0].Results[0].(type) {
	case *ast.CompositeLit:
		return s.addToList(list), nil
	case *ast.Ident, *ast.SelectorExpr, *ast.CallExpr: // not a slice of another list, which append would write into
		return s.appendTo(list), nil
	}
	return nil, refused
}

// appendTo has what is returned be what append makes of it.
func (s *schemaFiles) appendTo(list ast.Expr) *Edit {
	from, to := s.fset.Position(list.Pos()), s.fset.Position(list.End()).Offset
	text := s.texts[from.Filename]
	old := string(text[from.Offset:to])
	if old == "nil" {
		old = "[]ent.Mixin(nil)"
	}
	call := []byte("append(" + old + ", " + mixinType + "{})")
	return &Edit{from.Filename, slices.Concat(text[:from.Offset], call, text[to:])}
}

// addToList adds the mixin behind the others of a literal.
func (s *schemaFiles) addToList(list *ast.CompositeLit) *Edit {
	position := s.fset.Position(list.Pos())
	text := s.texts[position.Filename]
	at := s.fset.Position(list.Rbrace)
	line := at.Offset - (at.Column - 1)
	insert, offset := mixinType+"{},", 0
	switch indent := string(text[line:at.Offset]); {
	case strings.TrimSpace(indent) == "": // the bracket has a line to itself
		newline := "\n"
		if line > 1 && text[line-2] == '\r' {
			newline = "\r\n"
		}
		insert, offset = indent+"\t"+insert+newline, line
	case len(list.Elts) == 0:
		insert, offset = mixinType+"{}", at.Offset
	default:
		insert, offset = ", "+mixinType+"{}", s.fset.Position(list.Elts[len(list.Elts)-1].End()).Offset
	}
	return &Edit{position.Filename, slices.Concat(text[:offset], []byte(insert), text[offset:])}
}
