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

// Owner is the text of the schema's owner.go for an entity: src is this module's own. Without an entity the owner is
// one with Ent's default id, and there are no edges to it.
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
	head := `// owner stands for the entity that sessions, refresh tokens and one-time passwords belong to: there is
// none.
type owner struct{ ent.Schema }`
	if m.User != "" {
		head = fmt.Sprintf(`// owner is the entity that sessions, refresh tokens and one-time passwords belong to.
type owner = %s

// The edges from the owner.
const (
	sessionsEdge = %q
	refreshTokensEdge = %q
)`, m.User, m.Sessions, m.RefreshTokens)
	}
	return format.Source(slices.Concat(src[:from], []byte(head), src[to:]))
}
