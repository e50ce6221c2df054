package fast

import (
	"encoding/json"
	"sync"
	"time"
	"unsafe"

	stdsql "database/sql"

	"entgo.io/ent/dialect/sql"
)

// The scanners of fields write what Ent writes by way of sql.NullString and the like: NULL is the zero value.
// A pointer to a field is converted to a pointer to one of these types, which costs nothing.
type (
	// Bool scans a field of kind bool.
	Bool bool
	// String scans a field of kind string.
	String string
	// Int scans a field of kind int.
	Int int
	// Int8 scans a field of kind int8.
	Int8 int8
	// Int16 scans a field of kind int16.
	Int16 int16
	// Int32 scans a field of kind int32.
	Int32 int32
	// Int64 scans a field of kind int64.
	Int64 int64
	// Uint scans a field of kind uint.
	Uint uint
	// Uint8 scans a field of kind uint8.
	Uint8 uint8
	// Uint16 scans a field of kind uint16.
	Uint16 uint16
	// Uint32 scans a field of kind uint32.
	Uint32 uint32
	// Uint64 scans a field of kind uint64.
	Uint64 uint64
	// Float32 scans a field of kind float32.
	Float32 float32
	// Float64 scans a field of kind float64.
	Float64 float64
	// Time scans a time.Time.
	Time time.Time
)

// Scan implements sql.Scanner.
func (f *Bool) Scan(src any) error {
	var n stdsql.NullBool
	if v, ok := src.(int64); ok && v&^1 == 0 {
		*f = v == 1
		return nil
	}
	err := n.Scan(src)
	*f = Bool(n.Bool)
	return err
}

// Scan implements sql.Scanner.
func (f *String) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		*f = String(v)
		return nil
	case string:
		*f = String(v)
		return nil
	}
	var n stdsql.NullString
	err := n.Scan(src)
	*f = String(n.String)
	return err
}

// Scan implements sql.Scanner.
func (f *Time) Scan(src any) error {
	if v, ok := src.(time.Time); ok {
		*f = Time(v)
		return nil
	}
	var n stdsql.NullTime
	err := n.Scan(src)
	*f = Time(n.Time)
	return err
}

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func scanInt[T integer](f *T, src any) error {
	if v, ok := src.(int64); ok {
		*f = T(v)
		return nil
	}
	var n stdsql.NullInt64
	err := n.Scan(src)
	*f = T(n.Int64)
	return err
}

type float interface{ ~float32 | ~float64 }

func scanFloat[T float](f *T, src any) error {
	var n stdsql.NullFloat64
	err := n.Scan(src)
	*f = T(n.Float64)
	return err
}

// Scan implements sql.Scanner.
func (f *Int) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Int8) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Int16) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Int32) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Int64) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Uint) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Uint8) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Uint16) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Uint32) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Uint64) Scan(src any) error { return scanInt(f, src) }

// Scan implements sql.Scanner.
func (f *Float32) Scan(src any) error { return scanFloat(f, src) }

// Scan implements sql.Scanner.
func (f *Float64) Scan(src any) error { return scanFloat(f, src) }

// nilOf returns the scanner of a field that is a pointer, nil for NULL. The type S scans its values, whose type T has
// the same underlying type.
func nilOf[T any, S any, P interface {
	*S
	stdsql.Scanner
}](field **T) stdsql.Scanner {
	// The same layout: a struct of one pointer.
	return (*nillable[S, P])(unsafe.Pointer(field))
}

// nillable is a field that is a pointer.
type nillable[S any, P interface {
	*S
	stdsql.Scanner
}] struct{ value *S }

// Scan implements sql.Scanner.
func (n *nillable[S, P]) Scan(src any) error {
	if src == nil {
		n.value = nil
		return nil
	}
	value := new(S)
	if err := P(value).Scan(src); err != nil {
		return err
	}
	n.value = value
	return nil
}

// NilBool returns the scanner of a field *bool.
func NilBool[T ~bool](field **T) stdsql.Scanner { return nilOf[T, Bool](field) }

// NilString returns the scanner of a field *string.
func NilString[T ~string](field **T) stdsql.Scanner { return nilOf[T, String](field) }

// NilTime returns the scanner of a field *time.Time.
func NilTime(field **time.Time) stdsql.Scanner { return nilOf[time.Time, Time](field) }

// NilInt returns the scanner of a field *int.
func NilInt[T ~int](field **T) stdsql.Scanner { return nilOf[T, Int](field) }

// NilInt8 returns the scanner of a field *int8.
func NilInt8[T ~int8](field **T) stdsql.Scanner { return nilOf[T, Int8](field) }

// NilInt16 returns the scanner of a field *int16.
func NilInt16[T ~int16](field **T) stdsql.Scanner { return nilOf[T, Int16](field) }

// NilInt32 returns the scanner of a field *int32.
func NilInt32[T ~int32](field **T) stdsql.Scanner { return nilOf[T, Int32](field) }

// NilInt64 returns the scanner of a field *int64.
func NilInt64[T ~int64](field **T) stdsql.Scanner { return nilOf[T, Int64](field) }

// NilUint returns the scanner of a field *uint.
func NilUint[T ~uint](field **T) stdsql.Scanner { return nilOf[T, Uint](field) }

// NilUint8 returns the scanner of a field *uint8.
func NilUint8[T ~uint8](field **T) stdsql.Scanner { return nilOf[T, Uint8](field) }

// NilUint16 returns the scanner of a field *uint16.
func NilUint16[T ~uint16](field **T) stdsql.Scanner { return nilOf[T, Uint16](field) }

// NilUint32 returns the scanner of a field *uint32.
func NilUint32[T ~uint32](field **T) stdsql.Scanner { return nilOf[T, Uint32](field) }

// NilUint64 returns the scanner of a field *uint64.
func NilUint64[T ~uint64](field **T) stdsql.Scanner { return nilOf[T, Uint64](field) }

// NilFloat32 returns the scanner of a field *float32.
func NilFloat32[T ~float32](field **T) stdsql.Scanner { return nilOf[T, Float32](field) }

// NilFloat64 returns the scanner of a field *float64.
func NilFloat64[T ~float64](field **T) stdsql.Scanner { return nilOf[T, Float64](field) }

// NilScanner returns the scanner of a field *T whose values scan themselves.
func NilScanner[T any, P interface {
	*T
	stdsql.Scanner
}](field **T) stdsql.Scanner {
	return nilOf[T, T, P](field)
}

// JSON returns the scanner of a field that is stored as JSON. Of NULL and of the empty text it takes no notice.
func JSON[T any](field *T) stdsql.Scanner {
	// The same layout: a struct of one field.
	return (*document[T])(unsafe.Pointer(field))
}

// document is a field that is stored as JSON.
type document[T any] struct{ value T }

// Scan implements sql.Scanner.
func (d *document[T]) Scan(src any) error {
	text, ok := src.([]byte)
	if !ok {
		var n stdsql.Null[[]byte]
		if err := n.Scan(src); err != nil {
			return err
		}
		text = n.V
	}
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, &d.value)
}

// Late makes a destination that does not tell the scanner of NULL, since the whole row may be missing. Settle tells it
// where the row is there.
func Late(late *sql.NullScanner, scanner stdsql.Scanner) *sql.NullScanner {
	*late = sql.NullScanner{S: scanner}
	return late
}

// Settle is called once the row is known to be there.
func Settle(late []sql.NullScanner) error {
	for i := range late {
		if !late[i].Valid {
			if err := late[i].S.Scan(nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Slow are the columns of a row that may be missing which Ent decodes.
type Slow struct {
	Values []any // Ent's destinations
	Dest   []any // the same, but those that scan themselves are not told of NULL
}

// NewSlow takes the destinations that Ent made.
func NewSlow(values []any) Slow {
	s := Slow{values, make([]any, len(values))}
	for i, v := range values {
		s.Dest[i] = v
		if scanner, ok := v.(stdsql.Scanner); ok {
			s.Dest[i] = &sql.NullScanner{S: scanner}
		}
	}
	return s
}

// Settle is called once the row is known to be there.
func (s Slow) Settle() error {
	for i, dest := range s.Dest {
		if late, ok := dest.(*sql.NullScanner); ok && !late.Valid && dest != s.Values[i] {
			if err := late.S.Scan(nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Dest is where the columns of a row are scanned to.
type Dest struct{ Fields []any }

var dests = sync.Pool{New: func() any { return new(Dest) }}

// NewDest returns destinations without fields.
func NewDest() *Dest { return dests.Get().(*Dest) }

// Release gives them back.
func (d *Dest) Release() {
	clear(d.Fields)
	d.Fields = d.Fields[:0]
	dests.Put(d)
}
