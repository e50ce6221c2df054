package atlasdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"
)

// tableTypes are the kinds of tables of a server in information_schema, in a list.
const tableTypes = "'BASE TABLE', 'SYSTEM VERSIONED'"

// Unreadable is the attribute of a table that Atlas could not read: it has a name, and no columns.
type Unreadable struct {
	schema.Attr
	Err error
}

// tableNames list the tables as Atlas does.
var tableNames = map[string]string{
	dialect.MySQL: "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() " +
		"AND TABLE_TYPE IN (" + tableTypes + ") ORDER BY 1",
	dialect.SQLite: "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' " +
		"AND name NOT LIKE 'sqlite#_%' ESCAPE '#' ORDER BY 1",
}

// Inspect is the schema of the database. A table that Atlas cannot read is [Unreadable], and a type that it does not
// know is a text of that name: no table is in the way of the others.
func (db *DB) Inspect(ctx context.Context) (*schema.Schema, error) {
	s, err := db.Driver.InspectSchema(ctx, "", nil)
	if err != nil {
		if s, err = db.inspectEach(ctx, err); err != nil {
			return nil, err
		}
	}
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			switch typ := c.Type.Type.(type) {
			case *schema.UnsupportedType:
				c.Type.Type = &schema.StringType{T: c.Type.Raw}
			case *schema.StringType:
				// Atlas prints a text of SQLite without its length.
				if db.URL.Dialect == dialect.SQLite && typ.T != strings.ToLower(c.Type.Raw) {
					c.Type.Type = &sqlite.UserDefinedType{T: c.Type.Raw}
				}
			}
		}
	}
	return s, nil
}

// inspectEach looks for the tables for which Atlas failed with err, and inspects the others.
func (db *DB) inspectEach(ctx context.Context, err error) (*schema.Schema, error) {
	var names, good []string
	var bad []*schema.Table
	name := func(r []sql.NullString) { names = append(names, r[0].String) }
	if db.Rows(ctx, tableNames[db.URL.Dialect], name) != nil {
		return nil, err // the connection is at fault
	}
	for _, name := range names {
		_, odd := db.Driver.InspectSchema(ctx, "", &schema.InspectOptions{Tables: []string{name}})
		if odd == nil {
			good = append(good, name)
			continue
		}
		bad = append(bad, schema.NewTable(name).AddAttrs(&Unreadable{Err: odd}))
	}
	if db.Conn.PingContext(ctx) != nil || len(bad) == 0 {
		return nil, err
	}
	opts := &schema.InspectOptions{Tables: good}
	if len(good) == 0 {
		opts.Mode = schema.InspectSchemas
	}
	s, err := db.Driver.InspectSchema(ctx, "", opts)
	if err != nil {
		return nil, fmt.Errorf("read the other tables: %w", err)
	}
	return s.AddTables(bad...), nil
}
