package registry

import (
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql/schema"

	"github.com/authgraph/authgraph/auth"
)

// users is the table of authgraph's own User.
const users = "users"

// Users is a table of a project whose rows are the users. A nil one stands for the table users.
type Users struct {
	// Name is the table's.
	Name string
	// Columns are the names of its columns by those of the table users, with id. What it lacks is not among them.
	Columns map[string]string
	// Added are those of the keys of Columns that authgraph added: they are declared as in the table users.
	Added []string
}

// Table is the name of the table.
func (u *Users) Table() string {
	if u == nil {
		return users
	}
	return u.Name
}

// Column is the name of a column of the table users; empty if the table lacks it.
func (u *Users) Column(name string) string {
	if u == nil {
		return name
	}
	return u.Columns[name]
}

// Tables are the names of all tables of a project with these users, sorted.
func (u *Users) Tables() []string {
	names := Tables()
	for i, name := range names {
		names[i] = u.Of(name)
	}
	slices.Sort(names)
	return names
}

// Of is what a table of authgraph is called: that of the users may have another name.
func (u *Users) Of(table string) string {
	if table == users {
		return u.Table()
	}
	return table
}

// ToPurge names the table for [auth.Purge].
func (u *Users) ToPurge() (t auth.UsersTable) {
	if u == nil {
		return t
	}
	return auth.UsersTable{
		Name: u.Name, ID: u.Columns["id"], UpdatedAt: u.Columns["updated_at"], IsDeleted: u.Columns["is_deleted"],
		DeletedAt: u.Columns["deleted_at"], ReActivateAvailableAt: u.Columns["re_activate_available_at"],
	}
}

// Declared is a table as authgraph declares it, as [Table] is. Of a project's users it has the columns that were added.
func (u *Users) Declared(name string) *schema.Table {
	if u == nil || name != u.Name {
		return Table(name)
	}
	t := *Table(users)
	t.Name, t.Columns = name, nil
	for _, c := range Table(users).Columns {
		if slices.Contains(u.Added, c.Name) {
			added := *c
			added.Name, added.SchemaType = u.Columns[c.Name], map[string]string{}
			for dialect, text := range c.SchemaType { // with its CHECK
				added.SchemaType[dialect] = strings.ReplaceAll(text, c.Name, added.Name)
			}
			t.Columns = append(t.Columns, &added)
		}
	}
	return &t
}

// With are the tables that have a column, which the users' may call otherwise, in the order of Entities.
func (u *Users) With(column string) []string {
	names := With(column)
	for i, name := range names {
		names[i] = u.Of(name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == u.Table() && u.Column(column) == "" })
}
