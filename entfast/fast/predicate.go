package fast

import (
	"context"
	"reflect"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"
)

// op is what a predicate compares by. Those of bool have a text of their own for each value, and no argument.
type op uint8

const (
	eq op = iota
	neq
	gt
	gte
	lt
	lte
	isNull
	notNull
	eqTrue
	eqFalse
	neqTrue
	neqFalse
)

// EQ is sql.FieldEQ.
func EQ(column string, value any) func(*sql.Selector) { return field(eq, column, value) }

// NEQ is sql.FieldNEQ.
func NEQ(column string, value any) func(*sql.Selector) { return field(neq, column, value) }

// GT is sql.FieldGT.
func GT(column string, value any) func(*sql.Selector) { return field(gt, column, value) }

// GTE is sql.FieldGTE.
func GTE(column string, value any) func(*sql.Selector) { return field(gte, column, value) }

// LT is sql.FieldLT.
func LT(column string, value any) func(*sql.Selector) { return field(lt, column, value) }

// LTE is sql.FieldLTE.
func LTE(column string, value any) func(*sql.Selector) { return field(lte, column, value) }

// IsNull is sql.FieldIsNull.
func IsNull(column string) func(*sql.Selector) { return field(isNull, column, nil) }

// NotNull is sql.FieldNotNull.
func NotNull(column string) func(*sql.Selector) { return field(notNull, column, nil) }

// field is the one function that makes predicates. All that it returns have one code pointer, by which they are told
// from any other, as long as the compiler makes no copy of it.
//
//go:noinline
func field(o op, column string, value any) func(*sql.Selector) {
	return func(s *sql.Selector) {
		if r, ok := s.Context().(*recorder); ok {
			r.record(o, column, value)
			return
		}
		s.Where(apply(o, s.C(column), value))
	}
}

// ours is the code pointer of what field returns.
var ours = reflect.ValueOf(field(eq, "", nil)).Pointer()

func apply(o op, column string, value any) *sql.Predicate {
	switch o {
	case neq:
		return sql.NEQ(column, value)
	case gt:
		return sql.GT(column, value)
	case gte:
		return sql.GTE(column, value)
	case lt:
		return sql.LT(column, value)
	case lte:
		return sql.LTE(column, value)
	case isNull:
		return sql.IsNull(column)
	case notNull:
		return sql.NotNull(column)
	default:
		return sql.EQ(column, value)
	}
}

// recorder takes down what is applied to its selector, which has it for a context.
type recorder struct {
	context.Context
	selector sql.Selector
	shape    shape
	args     [maxPredicates]any
	length   int // of args
	opaque   bool
}

// recorders keeps none of the arguments.
var recorders = sync.Pool{New: func() any {
	r := &recorder{Context: context.Background()}
	r.selector.WithContext(r)
	return r
}}

func (r *recorder) release() {
	clear(r.args[:r.length])
	r.shape, r.length, r.opaque = shape{}, 0, false
	recorders.Put(r)
}

// record is called at most maxPredicates times.
func (r *recorder) record(o op, column string, value any) {
	switch o {
	case isNull, notNull:
	default:
		switch v := value.(type) {
		case string, int, int64, time.Time, int8, int16, int32, uint, uint8, uint16, uint32, uint64, float32, float64,
			[]byte:
			r.args[r.length] = value
			r.length++
		case bool:
			switch {
			case o == eq && v:
				o = eqTrue
			case o == eq:
				o = eqFalse
			case o == neq && v:
				o = neqTrue
			case o == neq:
				o = neqFalse
			default:
				r.opaque = true
				return
			}
		case nil, sql.Querier, sql.ParamFormatter: // part of the text
			r.opaque = true
			return
		default:
			r.args[r.length] = value
			r.length++
		}
	}
	r.shape.predicates[r.shape.length] = predicate{column, o}
	r.shape.length++
}
