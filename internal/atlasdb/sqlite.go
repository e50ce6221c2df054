package atlasdb

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
)

// sqliteDriver is Atlas's driver with two corrections to how it reads foreign keys (v1.3.0, inspect.addFKs). Atlas
// leaves the result open if it cannot read a key, and closing the connection then waits for ever. And Atlas cannot read
// two kinds of key that SQLite takes: one without a column list, and one of a table to itself that spells its column in
// other letters.
type sqliteDriver struct {
	*sqlite.Driver
	conn *sqliteConn
}

func openSQLite(conn schema.ExecQuerier) (atlas.Driver, error) {
	own := &sqliteConn{ExecQuerier: conn}
	drv, err := sqlite.Open(own)
	if err != nil {
		return nil, err
	}
	known, ok := drv.(*sqlite.Driver)
	if !ok {
		return nil, fmt.Errorf("the driver that Atlas opened for SQLite is a %T", drv)
	}
	return &sqliteDriver{Driver: known, conn: own}, nil
}

// InspectSchema names the table that an error is about, which Atlas does not always.
func (d *sqliteDriver) InspectSchema(
	ctx context.Context, name string, opts *schema.InspectOptions,
) (*schema.Schema, error) {
	defer d.conn.close()
	s, err := d.Driver.InspectSchema(ctx, name, opts)
	if err != nil && d.conn.table != "" {
		err = fmt.Errorf("table %q cannot be read: %w", d.conn.table, err)
	}
	return s, err
}

func (d *sqliteDriver) Snapshot(ctx context.Context) (atlas.RestoreFunc, error) {
	defer d.conn.close()
	return d.Driver.Snapshot(ctx)
}

// sqliteConn is what Atlas reads a schema through. It closes each result when the next is asked for: Atlas reads one at
// a time.
type sqliteConn struct {
	schema.ExecQuerier
	open *sql.Rows
	// table is the one that is being read.
	table string
}

func (c *sqliteConn) QueryContext(ctx context.Context, query string, args ...any) (_ *sql.Rows, err error) {
	c.close()
	if m := tableOf.FindStringSubmatch(query); m != nil {
		c.table = m[1]
	}
	c.open, err = c.ExecQuerier.QueryContext(ctx, legibleKeys(quoted(ownTables(query))), args...)
	return c.open, err
}

// close ends the last result. Its reader is done with it, so an error does not matter.
func (c *sqliteConn) close() {
	if c.open != nil {
		_ = c.open.Close()
	}
	c.open = nil
}

// ownTables leaves virtual tables and those that they store their rows in out of Atlas's list of tables: it would print
// them as plain ones.
func ownTables(query string) string {
	const all = "sqlite_master.type = 'table'"
	return strings.NewReplacer(all, all+" AND pragma_table_list.type = 'table'",
		"NOT LIKE 'sqlite_%'", "NOT LIKE 'sqlite#_%' ESCAPE '#'").Replace(query)
}

// nameIn is the name in a query about a table or an index, which Atlas does not quote.
var nameIn = regexp.MustCompile(`(?s)(pragma_\w+\(')(.*)('\) (?:ORDER|AS|WHERE) )`)

// quoted doubles the quotes of that name.
func quoted(query string) string {
	m := nameIn.FindStringSubmatchIndex(query)
	if m == nil {
		return query
	}
	return query[:m[4]] + strings.ReplaceAll(query[m[4]:m[5]], "'", "''") + query[m[5]:]
}

// tableOf is Atlas's first query about a table.
var tableOf = regexp.MustCompile(`pragma_table_xinfo\('(.*)'\)`)

// keysOf is its query for the foreign keys of a table.
var keysOf = regexp.MustCompile("(?s)^SELECT `id`, `from`, (`to`), .* FROM pragma_foreign_key_list\\(('.*')\\)")

// legibleKeys has that query name a column wherever there is one: without a list it is that of the primary key
// (https://www.sqlite.org/foreignkeys.html, section 3), within one table the one of that name. A key without a list to
// what has no primary key, which SQLite takes and then refuses every row of, gets the name of its own column.
func legibleKeys(query string) string {
	m := keysOf.FindStringSubmatchIndex(query)
	if m == nil {
		return query
	}
	const columns = "(SELECT p.name FROM pragma_table_xinfo(`table`) AS p WHERE "
	itself := "CASE WHEN `table` = " + query[m[4]:m[5]] + " THEN " + columns + "p.name = `to` COLLATE NOCASE) END"
	column := "COALESCE(" + itself + ", `to`, " + columns + "p.pk = seq + 1), `from`) AS `to`"
	return query[:m[2]] + column + query[m[3]:]
}
