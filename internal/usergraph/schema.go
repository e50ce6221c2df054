package usergraph

import (
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
)

// MixinFile is the name of the file of [Graph.Mixin] in the schema's folder.
const MixinFile = "authmixin.go"

// Owner is the text of the schema's owner.go for an entity: src is this module's own. Without an entity the owner is one
// with Ent's default id, and there are no edges to it.
func Owner(src []byte, m Mapping) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "owner.go", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var from, to int
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE && gen.Tok != token.CONST || to > 0 && gen.Tok == token.TYPE {
			continue
		}
		if from == 0 {
			from = at(gen.Doc.Pos())
		}
		to = at(gen.End())
	}
	if to == 0 {
		return nil, errors.New("owner.go declares no owner")
	}
	head := "// owner stands for the entity that sessions, refresh tokens and one-time passwords belong to: there is none.\n" +
		"type owner struct{ ent.Schema }"
	if m.User != "" {
		head = fmt.Sprintf("// owner is the entity that sessions, refresh tokens and one-time passwords belong to.\ntype owner = %s\n\n"+
			"// The edges from the owner.\nconst (\n\tsessionsEdge = %q\n\trefreshTokensEdge = %q\n)", m.User, m.Sessions,
			m.RefreshTokens)
	}
	return format.Source(slices.Concat(src[:from], []byte(head), src[to:]))
}

// Mixin is the text of [MixinFile], the mixin with what the entity lacks, and the edit of another file that makes it one
// of the entity's; nil where the new file can add the method. Src is this module's own ent/schema/user.go, and
// schematype the import path of that package in the project. It reads the folder in which [entgraph.Read] found the
// schema. The error is an [*Error] if the entity's list of mixins is not one to which a line can be added: its Fix has
// the line.
func (g *Graph) Mixin(src []byte, schematype string) (text []byte, edit *Edit, err error) {
	return nil, nil, errors.New("todo")
}

// Edit is a file of the project with one line more.
type Edit struct {
	// Path is as in the position of the entity.
	Path string
	Text []byte
}
