package install

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// wire leaves out of an entity's source the edges to entities that are not among the types, and what only they needed.
// It returns the types whose edges it left out.
func wire(src []byte, types []string) (_ []byte, without []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, nil, err
	}
	fn := edges(file)
	if fn == nil {
		return src, nil, nil
	}
	list, ok := returned(fn)
	if !ok {
		return nil, nil, fmt.Errorf("the method Edges at %s is not of the form return []ent.Edge{…}",
			fset.Position(fn.Pos()))
	}
	var gone []span
	for _, element := range list.Elts {
		to := target(element)
		if to == "" {
			return nil, nil, fmt.Errorf("the edge at %s does not begin with edge.To or edge.From",
				fset.Position(element.Pos()))
		}
		if !slices.Contains(types, to) {
			without = append(without, to)
			gone = append(gone, lines(src, fset, file, element))
		}
	}
	switch len(gone) {
	case 0:
		return src, nil, nil
	case len(list.Elts):
		gone = []span{lines(src, fset, file, fn)}
	}
	for _, s := range slices.Backward(gone) {
		src = slices.Delete(slices.Clone(src), s.from, s.to)
	}
	if src, err = dropUnusedImports(src); err != nil {
		return nil, nil, err
	}
	src, err = format.Source(src)
	return src, without, err
}

// dropMethods leaves the methods of types out of a source.
func dropMethods(src []byte, types []string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, d := range slices.Backward(file.Decls) {
		fn, ok := d.(*ast.FuncDecl)
		if ok && slices.Contains(types, strings.TrimSuffix(receiver(fn), ".")) {
			s := lines(src, fset, file, fn)
			src = slices.Delete(slices.Clone(src), s.from, s.to)
		}
	}
	return src, nil
}

func edges(file *ast.File) *ast.FuncDecl {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == "Edges" {
			return fn
		}
	}
	return nil
}

// returned is the one literal that a method returns.
func returned(fn *ast.FuncDecl) (*ast.CompositeLit, bool) {
	if len(fn.Body.List) != 1 {
		return nil, false
	}
	ret, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return nil, false
	}
	list, ok := ret.Results[0].(*ast.CompositeLit)
	return list, ok
}

// target is the entity that a chain of calls which begins with edge.To or edge.From leads to.
func target(e ast.Expr) string {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return ""
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if pkg, ok := method.X.(*ast.Ident); ok && pkg.Name == "edge" && len(call.Args) == 2 {
			if typ, ok := call.Args[1].(*ast.SelectorExpr); ok {
				if x, ok := typ.X.(*ast.Ident); ok && x.Name == "owner" {
					return "User" // its name in ent/schema/owner.go
				} else if ok {
					return x.Name
				}
			}
			return ""
		}
		e = method.X
	}
}

// span is a part of a source, in bytes.
type span struct{ from, to int }

// lines are those of a node with the comment above it and the comma or blank line behind it.
func lines(src []byte, fset *token.FileSet, file *ast.File, n ast.Node) span {
	first, last := fset.Position(n.Pos()).Line, fset.Position(n.End()).Line
	for _, c := range file.Comments {
		if fset.Position(c.End()).Line == first-1 {
			first = fset.Position(c.Pos()).Line
		}
	}
	at := fset.File(n.Pos())
	s := span{from: at.Offset(at.LineStart(first)), to: len(src)}
	if last < at.LineCount() {
		s.to = at.Offset(at.LineStart(last + 1))
	}
	if _, ok := n.(*ast.FuncDecl); ok && s.to < len(src) && src[s.to] == '\n' {
		s.to++
	}
	return s
}

// dropUnusedImports removes the imports whose name is not used any more.
func dropUnusedImports(src []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, spec := range slices.Backward(file.Imports) {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name != "_" && !used[name] {
			s := lines(src, fset, file, spec)
			src = slices.Delete(slices.Clone(src), s.from, s.to)
		}
	}
	return src, nil
}

// reroute rewrites the import paths of a source and formats it.
func reroute(src []byte, path func(string) (to, name string)) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	end := 0
	for _, spec := range file.Imports {
		old, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		to, name := path(old)
		if to == old {
			continue
		}
		at := fset.Position(spec.Path.Pos()).Offset
		out.Write(src[end:at])
		if name != "" && spec.Name == nil {
			out.WriteString(name + " ")
		}
		out.WriteString(strconv.Quote(to))
		end = at + len(spec.Path.Value)
	}
	out.Write(src[end:])
	return format.Source(out.Bytes())
}

// declared are the names that a source declares at its top level, and its methods, as in User.Fields.
func declared(src []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, receiver(d)+d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "_" || n == "init" }), nil
}

// receiver is the type of a method, with a dot; empty for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name + "."
	}
	return "?."
}

// imports are the paths a source imports.
func imports(src []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}
