// Package registry is the one place that knows which entities there are. Everything in it follows from ent/schema, so
// that an entity or a column is added by declaring it there and running go generate ./ent. It holds no SQL and reads no
// database: package schemadoc describes tables for a reader, packages install and doctor work on them.
//
//	for _, table := range registry.With("expires_at") { … }
package registry

import (
	"cmp"
	"slices"

	"entgo.io/ent/dialect/sql/schema"

	"github.com/authgraph/authgraph/ent/entity"
	"github.com/authgraph/authgraph/ent/migrate"
)

// page is the ServerCN page that the schema began with: its tables in its order, each with the columns that nobody else
// has. A new entity or column does not belong here.
var page = []struct {
	table string
	own   []string
}{
	{"users", []string{
		"provider", "provider_id", "is_email_verified", "failed_login_attempts", "lock_until", "is_deleted",
		"re_activate_available_at",
	}},
	{"otps", []string{
		"otp_hash_code", "next_resend_allowed_at", "is_used", "used_at", "attempts", "max_attempts",
	}},
	{"sessions", []string{"token_hash", "ip", "is_active", "last_used_at"}},
	{"refresh_tokens", []string{"token_hash", "is_revoked", "revoked_at", "replaced_by_token_hash"}},
}

// Entities are those of the page in its order, then the others by their types.
var Entities = slices.SortedStableFunc(slices.Values(entity.All), func(a, b entity.Entity) int {
	return cmp.Compare(place(a.Table), place(b.Table))
})

// place is the place of a table on the page; the others come behind it.
func place(table string) int {
	for i, p := range page {
		if p.table == table {
			return i
		}
	}
	return len(page)
}

// Tables are the names of all tables, sorted.
func Tables() (names []string) {
	for _, e := range Entities {
		names = append(names, e.Table)
	}
	slices.Sort(names)
	return names
}

// Table is a table as the schema declares it; nil for a name that is none of its tables.
func Table(name string) *schema.Table {
	for _, t := range migrate.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// With are the tables that have a column, in the order of Entities.
func With(column string) (names []string) {
	for _, e := range Entities {
		if t := Table(e.Table); t != nil && t.HasColumn(column) {
			names = append(names, e.Table)
		}
	}
	return names
}

// Reference is a column of a table that refers to a row of another.
type Reference struct{ Table, Column string }

// To are the columns that refer to the ids of a table, in the order of Entities.
func To(table string) (from []Reference) {
	for _, e := range Entities {
		for _, fk := range Table(e.Table).ForeignKeys {
			if fk.RefTable.Name == table {
				from = append(from, Reference{e.Table, fk.Columns[0].Name})
			}
		}
	}
	return from
}

// Own are the columns by which a table is told from others of the same name: those of the page that nobody else has,
// and all columns of a table that came later. It is nil for a name that is none of the tables.
func Own(table string) (columns []string) {
	if i := place(table); i < len(page) {
		return page[i].own
	}
	if t := Table(table); t != nil {
		for _, c := range t.Columns {
			columns = append(columns, c.Name)
		}
	}
	return columns
}
