// Package entfast is an extension of Ent's code generation that makes the common queries of a client nearly as fast as
// SQL written by hand, on MySQL, MariaDB and SQLite. Neither the schema, nor the client's API, nor its answers change.
// It is one line of the program that generates the client:
//
//	err := entc.Generate("./schema", &gen.Config{}, entc.Extensions(entfast.New()))
//
// # What is fast
//
// Three things are done otherwise than by Ent. For a session by the hash of its token, with its user, they take 65
// allocations instead of 335, and one statement instead of two.
//
//   - Only, First and All with at most 8 predicates of a field, its id included: those made by functions such as
//     user.Email(v), EmailNEQ, CreatedAtGT, GTE, LT, LTE, DeletedAtIsNil and NotNil. The text of such a query is built
//     by Ent once for each shape, which is the columns and operators, and then kept.
//   - Only and First with edges to one row, such as WithUser(): the row comes by a LEFT JOIN in the same statement. The
//     foreign key may be on either side, in a field of the schema or not. An interceptor, a logger or a driver that
//     wraps Ent's therefore sees no query of the edge.
//   - Rows of such queries are scanned into the fields of the entity. Ent decodes the columns of a field that has a
//     ValueScanner of its own and of a few unusual types.
//
// # What is left to Ent
//
// Everything else goes the way it went, with the same statements as before:
//
//   - other predicates: In, NotIn, HasPrefix, Contains and the like, And, Or, Not, predicates on an edge, functions on
//     a selector; and a value of a type that writes SQL of its own, which is a Querier or a ParamFormatter;
//   - Order, Offset, Unique, Select, GroupBy, IDs, Count, Exist, a limit above 2, modifiers, ForUpdate and ForShare;
//   - a query that began at another entity, as u.QuerySessions() does;
//   - an edge to many rows, one with a filter or anything else in its options, and one to an entity with interceptors
//     or a privacy policy; then the whole query is Ent's. Those of the entity that is queried hold for both ways;
//   - an entity without a single id, and one whose generated query does more than this release of Ent makes it do, by a
//     template of the project's or the feature sql/schemaconfig;
//   - PostgreSQL.
//
// First relies on the unique index of an edge whose key is in the other table. A driver that answers in place of a
// database, such as a mock, has to give all columns in the order of the statement.
//
// A row whose foreign key is NULL, in a field that is not Nillable, is asked for as Ent does: under the zero id.
// A value that does not fit its field is read a second time by Ent, whose error it is.
//
// # Generated code
//
// The file entfast.go of the client's package has the fast paths, each method sqlAll begins with a call of one, and
// where.go makes predicates with package fast, which the client imports. New fails the generation in one line where the
// code is not what Ent v0.14.6 generates. To go back, take New out, generate, and delete entfast.go.
//
// At most 512 texts are kept for each entity, in the memory of the process; those of further shapes are made anew each
// time. A client may be used by several goroutines at once, as before.
package entfast

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast/fast"
)

// New returns the extension. It is passed to entc.Generate, in entc.Extensions.
func New() entc.Extension { return &extension{} }

type extension struct{ entc.DefaultExtension }

// imported is the import path of what generated code imports, also where both packages were copied elsewhere.
var imported = reflect.TypeFor[fast.Texts]().PkgPath()

// Templates implements entc.Extension.
func (*extension) Templates() []*gen.Template {
	t := gen.NewTemplate("entfast").Funcs(map[string]any{
		"entfastRuntime":   func() string { return imported },
		"entfastPredicate": predicate,
	})
	return []*gen.Template{gen.MustParse(t.Parse(predicates))}
}

// predicate is the call that makes the predicate of an operator.
func predicate(op gen.Op, column, arg string) string {
	switch op {
	case gen.EQ, gen.NEQ, gen.GT, gen.GTE, gen.LT, gen.LTE:
		return fmt.Sprintf("entfast.%s(%s, %s)", op.Name(), column, arg)
	case gen.IsNil:
		return fmt.Sprintf("entfast.IsNull(%s)", column)
	case gen.NotNil:
		return fmt.Sprintf("entfast.NotNull(%s)", column)
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
			for _, n := range g.Nodes {
				if n.PackageDir()+".go" == file {
					return fmt.Errorf("entfast: the entity %s has the file %s of the extension: name it otherwise",
						n.Name, file)
				}
			}
			if err := oneByOne(next, g); err != nil {
				return err
			}
			if err := write(g); err != nil {
				return errors.Join(err, remove(g))
			}
			return nil
		})
	}}
}

var processors sync.Mutex

// oneByOne generates with one processor, because Ent formats as many files at once as there are, and looks for the
// imports of one in others that may be half written just then.
func oneByOne(next gen.Generator, g *gen.Graph) error {
	processors.Lock()
	defer processors.Unlock()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	return next.Generate(g)
}
