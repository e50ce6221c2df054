package dbserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/registry"
)

// Object is what has a name among the tables of a database.
type Object struct {
	Name string
	// Kind is table, view, sequence, index (of SQLite, where it takes the name of a table) or system-versioned table.
	Kind string
	// Columns are their names, in order.
	Columns []string
}

// The kinds of an [Object] that have to be told apart.
const (
	KindTable     = "table"
	KindVersioned = "system-versioned table"
)

// kinds are the kinds in the words of the server.
var kinds = map[string]string{"BASE TABLE": KindTable, "SYSTEM VERSIONED": KindVersioned}

// objects list names, kinds and columns. On a server only those are seen that the user has some right on.
var objects = map[string]string{
	dialect.MySQL: "SELECT t.TABLE_NAME, t.TABLE_TYPE, COALESCE(c.COLUMN_NAME, '') FROM information_schema.TABLES t " +
		"LEFT JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME " +
		"WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME IN (%s) ORDER BY t.TABLE_NAME, c.ORDINAL_POSITION",
	dialect.SQLite: "SELECT m.name, m.type, COALESCE(c.name, '') FROM sqlite_master m " +
		"LEFT JOIN pragma_table_info(m.name) c " +
		"WHERE m.type IN ('table', 'view', 'index') AND m.name COLLATE NOCASE IN (%s) ORDER BY m.name, c.cid",
}

// Objects are those of the database in use that have one of the names, sorted by them.
func Objects(ctx context.Context, conn Queryer, engine string, names []string) (found []Object, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(objects[engine], marks), args...)
	if err != nil {
		return nil, fmt.Errorf("look for tables of the same name: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	same := func(a, b string) bool { return a == b || engine == dialect.SQLite && strings.EqualFold(a, b) }
	for rows.Next() {
		var name, kind, column string
		if err := rows.Scan(&name, &kind, &column); err != nil {
			return nil, fmt.Errorf("look for tables of the same name: %w", err)
		}
		if !slices.ContainsFunc(names, func(n string) bool { return same(n, name) }) {
			continue
		}
		if n := len(found); n == 0 || found[n-1].Name != name {
			if known := kinds[kind]; known != "" {
				kind = known
			}
			found = append(found, Object{Name: name, Kind: strings.ToLower(kind)})
		}
		last := &found[len(found)-1]
		if column != "" {
			last.Columns = append(last.Columns, column)
		}
	}
	// Collations differ about _ and letters.
	slices.SortStableFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, rows.Err()
}

// Tables are those of the names that are tables of the database in use, sorted.
func Tables(ctx context.Context, db Queryer, engine string, names []string) (there []string, err error) {
	objects, err := Objects(ctx, db, engine, names)
	for _, o := range objects {
		if o.Kind == KindTable && slices.Contains(names, o.Name) {
			there = append(there, o.Name)
		}
	}
	return there, err
}

// Lacks are the columns of its own that a table of one of the names of this schema has not.
func (o Object) Lacks() (missing []string) {
	for _, c := range registry.Own(o.Name) {
		if !o.has(c) {
			missing = append(missing, c)
		}
	}
	return missing
}

// IsOurs reports whether the object is a table with more than half of the columns
// by which that of this schema, or of the page, is known.
func (o Object) IsOurs() bool {
	return (o.Kind == KindTable || o.Kind == KindVersioned) && len(o.Lacks())*2 < len(registry.Own(o.Name))
}

func (o Object) has(columns ...string) bool {
	return !slices.ContainsFunc(columns, func(c string) bool {
		return !slices.ContainsFunc(o.Columns, func(has string) bool { return strings.EqualFold(has, c) })
	})
}

// owners are libraries by the columns of their tables, whatever these are called; the first that fits counts.
var owners = []struct {
	name    string
	columns []string
}{
	{"scs", []string{"token", "data", "expiry"}},
	{"express-mysql-session", []string{"session_id", "expires", "data"}},
	{"connect-session-knex", []string{"sid", "sess", "expired"}},
	{"express-session on Sequelize", []string{"sid", "expires", "data"}},
	{"Auth.js", []string{"sessionToken", "userId", "expires"}},
	{"Auth.js", []string{"session_token", "user_id", "expires"}},
	{"Laravel", []string{"user_id", "ip_address", "payload", "last_activity"}},
	{"Better Auth", []string{"token", "expiresAt", "ipAddress", "userAgent"}},
	{"Better Auth", []string{"token", "expires_at", "ip_address", "user_agent"}},
	{"gorilla's mysqlstore", []string{"session_data", "created_on", "modified_on", "expires_on"}},
	{"Symfony", []string{"sess_id", "sess_data"}},
	{"Rails' session store", []string{"session_id", "data", "created_at", "updated_at"}},
	{"Flask-Session", []string{"session_id", "data", "expiry"}},
	{"Lucia", []string{"id", "user_id", "expires_at", "fresh"}},
	{"Laravel", []string{"email", "password", "remember_token"}},
	{"Devise", []string{"email", "encrypted_password"}},
	{"Auth.js", []string{"email", "emailVerified", "image"}},
	{"Better Auth", []string{"email", "email_verified", "image"}},
	{"Django", []string{"username", "password", "is_superuser", "date_joined"}},
}

// Owner says whose a table seems to be by its columns; empty if that is not known.
func (o Object) Owner() string {
	for _, owner := range owners {
		if o.has(owner.columns...) {
			return owner.name
		}
	}
	return ""
}

// String says what it is, in a few words.
func (o Object) String() string {
	article := "a "
	if o.Kind == "index" {
		article = "an "
	}
	text := fmt.Sprintf("%q is %s%s", o.Name, article, o.Kind)
	switch owner := o.Owner(); {
	case o.IsOurs():
		text += " with the columns of this schema"
	case owner != "":
		text += " as " + owner + " makes it"
	case len(o.Columns) > 0:
		text += " of somebody else (" + strings.Join(o.Columns[:min(len(o.Columns), 4)], ", ")
		if len(o.Columns) > 4 {
			text += ", …"
		}
		text += ")"
	}
	return text
}
