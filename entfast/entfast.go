// Package entfast is an extension of Ent's code generation that makes the queries of a client as fast as SQL written by
// hand. The client's API and its answers stay as they are:
//
//	err := entc.Generate("./schema", &gen.Config{}, entc.Extensions(entfast.New()))
package entfast

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast/fast"
)

// New returns the extension. It is passed to entc.Generate, in entc.Extensions.
func New() entc.Extension { return &extension{} }

type extension struct{ entc.DefaultExtension }

//go:embed predicates.tmpl
var predicates string

// runtime is the import path of what generated code imports, also where both packages were copied elsewhere.
var runtime = reflect.TypeFor[fast.Texts]().PkgPath()

// Templates implements entc.Extension.
func (*extension) Templates() []*gen.Template {
	t := gen.NewTemplate("entfast").Funcs(map[string]any{
		"entfastRuntime":   func() string { return runtime },
		"entfastPredicate": predicate,
	})
	return []*gen.Template{gen.MustParse(t.Parse(predicates))}
}

// predicate is the call that makes the predicate of an operator.
func predicate(op gen.Op, column, arg string) string {
	switch op {
	case gen.EQ, gen.NEQ, gen.GT, gen.GTE, gen.LT, gen.LTE:
		return fmt.Sprintf("fast.%s(%s, %s)", op.Name(), column, arg)
	case gen.IsNil:
		return fmt.Sprintf("fast.IsNull(%s)", column)
	case gen.NotNil:
		return fmt.Sprintf("fast.NotNull(%s)", column)
	}
	if op.Variadic() {
		arg += "..."
	}
	return fmt.Sprintf("sql.Field%s(%s, %s)", op.Name(), column, arg)
}

// Hooks implements entc.Extension.
func (*extension) Hooks() []gen.Hook {
	return []gen.Hook{func(next gen.Generator) gen.Generator {
		return gen.GenerateFunc(func(g *gen.Graph) error {
			if g.Storage != nil && g.Storage.Name != "sql" {
				return fmt.Errorf("entfast: the storage is %s: take entfast.New() out, it is for sql", g.Storage.Name)
			}
			if err := next.Generate(g); err != nil {
				return err
			}
			err := write(g)
			if err != nil {
				// Without it the client compiles and is Ent's own.
				if gone := os.Remove(filepath.Join(g.Target, file)); !errors.Is(gone, os.ErrNotExist) {
					err = errors.Join(err, gone)
				}
			}
			return err
		})
	}}
}
