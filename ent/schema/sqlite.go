package schema

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"
)

// strict has SQLite refuse what it cannot compare rightly, as MySQL's types do: SQLite stores any value in any column
// and compares texts byte by byte. The type of each column on SQLite carries a named CHECK there, which MySQL never
// sees: Ent's annotation for CHECKs is for all databases.
func strict(fields []ent.Field) []ent.Field {
	for i, f := range fields {
		if _, ok := f.(ownerKey); ok {
			continue // the foreign key, and whoever writes the id, keep it right
		}
		fields[i] = checked(func() *field.Descriptor { return check(f.Descriptor()) })
	}
	return fields
}

// checked is a field whose column has a CHECK on SQLite.
type checked func() *field.Descriptor

// Descriptor implements ent.Field.
func (f checked) Descriptor() *field.Descriptor { return f() }

// check adds the CHECK to a field's type on SQLite.
func check(d *field.Descriptor) *field.Descriptor {
	column, is, condition := onSQLite(d)
	if column == "" {
		return d
	}
	name := cmp.Or(d.StorageKey, d.Name)
	quoted := name
	if slices.Contains(reserved, strings.ToLower(name)) {
		quoted = "`" + name + "`"
	}
	types := map[string]string{
		dialect.SQLite: fmt.Sprintf("%s constraint %s_is_%s check (%s)", column, name, is,
			strings.ReplaceAll(condition, "{}", quoted)),
	}
	maps.Copy(types, d.SchemaType)
	d.SchemaType = types
	return d
}

// reserved are the words that SQLite does not take for a column without quotes (SQLite documentation, SQL Keywords).
// Other names stay without: Atlas would take a quoted one for another CHECK, and copy the table.
var reserved = strings.Fields(`
	add all alter and as autoincrement between case cast check collate commit constraint create current_date
	current_time current_timestamp default deferrable delete distinct drop else escape except exists foreign from group
	having in index insert intersect into is isnull join limit not nothing notnull null on or order primary raise
	references returning select set table then to transaction union unique update using values when where`)

// literal is a text in a column's type, which Ent writes in lower case.
func literal(s string) string {
	if s == strings.ToLower(s) && !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	var points []string
	for _, r := range s {
		points = append(points, strconv.Itoa(int(r)))
	}
	return "char(" + strings.Join(points, ", ") + ")"
}

// onSQLite is the type of a field's column there, and what its CHECK demands of a value {} that is not NULL, which
// passes any CHECK (SQLite documentation, CREATE TABLE, 3.7).
func onSQLite(d *field.Descriptor) (column, is, condition string) {
	switch d.Info.Type {
	case field.TypeTime:
		// Such texts are in the order of their times: at the first byte that differs, the end of a text comes before
		// '+', then '.', then digits. With a T, a Z or another offset they would not be. A NUL ends a text for the
		// functions that look at it, and not for the comparison.
		return "datetime", "utc", "{} glob '????-??-?? ??:??:??*' and instr({}, char(0)) = 0" +
			" and datetime(substr({}, 1, 19), '+0 days') is substr({}, 1, 19)" +
			" and (substr({}, 20) in ('', '+00:00')" +
			" or substr({}, 20) glob '.[0-9]*' and ltrim(substr({}, 21), '0123456789') in ('', '+00:00'))"
	case field.TypeBool:
		return "bool", "0_or_1", "{} in (0, 1)" // the text 'true' is more than either
	case field.TypeInt32:
		// Any text is more than a limit.
		condition = "typeof({}) = 'integer' and {} between -2147483648 and 2147483647"
		if d.Optional {
			condition = "{} is null or " + condition
		}
		return "integer", "int", condition
	case field.TypeEnum:
		var values []string
		for _, e := range d.Enums {
			values = append(values, literal(e.V))
		}
		return "text", "listed", "{} in (" + strings.Join(values, ", ") + ")"
	case field.TypeJSON:
		// Ent writes a blob. Up to SQLite 3.40 NULL is no valid JSON.
		return "json", "json", "{} is null or json_valid(cast({} as text))"
	case field.TypeString:
		return "text", "text", "typeof({}) <> 'blob'" // a blob of the same bytes equals no text
	default:
		return "", "", "" // an id, which the primary key and the foreign keys keep right
	}
}
