// Package fast is what code generated with package entfast imports. Programs have no other use for it.
//
// Its predicates can be read as well as applied. So the shape of a query is known before its text is built, and the
// text of a shape seen before is taken from memory. Its scanners write a column into the field of an entity.
package fast

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/sqlgraph"
)

const (
	// maxPredicates is how many predicates a query may have whose text is kept.
	maxPredicates = 8
	// maxTexts is how many texts are kept for an entity. Later ones are left to Ent.
	maxTexts = 512
)

// Limit is the limit of a query, or 0 where it has none. It reports false where the query is left to Ent: where it
// selects fields, skips rows or duplicates, or has a limit above 2. A query that joins must have a limit, so that what
// is joined is sent twice at most.
func Limit(query *ent.QueryContext, joins bool) (limit int, ok bool) {
	if len(query.Fields) > 0 || query.Offset != nil || query.Unique != nil {
		return 0, false
	}
	if query.Limit == nil {
		return 0, !joins
	}
	return *query.Limit, *query.Limit == 1 || *query.Limit == 2
}

// Texts holds the texts of the queries of one entity by their shapes. The zero value is empty and ready. It may be used
// by several goroutines at once.
type Texts struct {
	byShape atomic.Pointer[map[shape]string] // never changed, only replaced
	adding  sync.Mutex
}

// shape is all that a text depends on.
type shape struct {
	mysql      bool
	limit      int8
	edges      uint64
	length     int // of predicates
	predicates [maxPredicates]predicate
}

type predicate struct {
	column string
	op     op
}

// Text returns the text of a query and its arguments. The text is empty where the query is left to Ent.
// Edges are the edges joined, a bit each. Build makes Ent's own description of the query, or returns nil.
func Text[P ~func(*sql.Selector)](
	texts *Texts, name string, limit int, edges uint64, predicates []P, build func() *sqlgraph.QuerySpec,
) (string, []any) {
	if len(predicates) > maxPredicates || name != dialect.MySQL && name != dialect.SQLite {
		return "", nil
	}
	for _, p := range predicates {
		if reflect.ValueOf(p).Pointer() != ours {
			return "", nil
		}
	}
	r := recorders.Get().(*recorder)
	defer r.release()
	r.shape.mysql, r.shape.limit, r.shape.edges = name == dialect.MySQL, int8(limit), edges
	for _, p := range predicates {
		p(&r.selector)
	}
	if r.opaque {
		return "", nil
	}
	args := slices.Clone(r.args[:r.length])
	if known := texts.byShape.Load(); known != nil {
		if text, ok := (*known)[r.shape]; ok {
			return text, args
		}
	}
	text := textOf(name, build(), args)
	if text != "" {
		texts.add(r.shape, text)
	}
	return text, args
}

func (t *Texts) add(s shape, text string) {
	t.adding.Lock()
	defer t.adding.Unlock()
	next := map[shape]string{}
	if known := t.byShape.Load(); known != nil {
		if len(*known) >= maxTexts {
			return
		}
		next = maps.Clone(*known)
	}
	next[s] = text
	t.byShape.Store(&next)
}

// textOf is the text that Ent sends for a query, or empty where its arguments are not those.
func textOf(name string, spec *sqlgraph.QuerySpec, args []any) string {
	if spec == nil {
		return ""
	}
	sent := &capture{name: name}
	if err := sqlgraph.QueryNodes(context.Background(), sent, spec); !errors.Is(err, errCaptured) {
		return ""
	}
	if !slices.EqualFunc(sent.args, args, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		return ""
	}
	return sent.text
}

// capture is a driver that keeps the first query instead of sending it.
type capture struct {
	dialect.Driver // nil: nothing else is called
	name, text     string
	args           []any
}

var errCaptured = errors.New("captured")

func (c *capture) Dialect() string { return c.name }

func (c *capture) Query(_ context.Context, text string, args, _ any) error {
	c.text = text
	c.args, _ = args.([]any)
	return errCaptured
}

// HasColumns reports whether a query selects these columns in this order.
func HasColumns(spec *sqlgraph.QuerySpec, columns ...string) bool {
	return slices.Equal(spec.Node.Columns, columns)
}

// Join adds to a query the row of another table whose column equals the root's, where there is one.
func Join(root *sqlgraph.QuerySpec, column string, other *sqlgraph.QuerySpec, otherColumn string) {
	name := "t" + strconv.Itoa(len(root.Modifiers)+1) // by Ent
	root.Modifiers = append(slices.Clip(root.Modifiers), func(s *sql.Selector) {
		table := sql.Table(other.Node.Table)
		if strings.EqualFold(root.Node.Table, name) {
			table.As(name + "_joined")
		}
		s.LeftJoin(table).On(s.C(column), table.C(otherColumn))
		s.AppendSelect(table.Columns(other.Node.Columns...)...)
	})
}
