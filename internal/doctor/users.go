package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/ent/user"
)

// checkUsers holds the table of a project's own users against what package auth reads and writes of it.
func checkUsers(ctx context.Context, d *database) ([]Finding, error) {
	if d.Users == nil {
		return nil, nil
	}
	table := d.Users.Table()
	if !slices.Contains(d.tables, table) {
		return []Finding{found(Error, "run the migrations of the project",
			"the table %q, in which the users are, is not there", table)}, nil
	}
	columns, err := d.columns(ctx, table)
	if err != nil {
		return nil, err
	}
	var off []Finding
	if d.Dir != nil && d.url.Dialect != dialect.SQLite {
		var wrong *Misfit
		if err := Refers(ctx, d.db, d.Users, d.Dir); errors.As(err, &wrong) {
			off = append(off, found(Error, wrong.Fix, "%s", wrong.Found))
		} else if err != nil {
			return nil, err
		}
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(d.Users.Columns)) {
		if column := d.Users.Column(name); !slices.Contains(columns, column) {
			missing = append(missing, column)
		}
	}
	if len(missing) > 0 {
		off = append(off, found(Error, "run the migration that adds them, or look at what dropped them: a program of "+
			"before that makes the tables by itself may do so on SQLite",
			"the table %q lacks %s", table, strings.Join(missing, ", ")))
	}
	email := d.Users.Column(user.FieldEmail)
	single, err := d.uniqueAlone(ctx, table, email)
	if err == nil && !single && slices.Contains(columns, email) {
		fix := fmt.Sprintf("make one, by a migration: CREATE UNIQUE INDEX %s_%s ON %[1]s (%[2]s)", table, email)
		off = append(off, found(Error, fix, "no unique index is on %s.%s: one address can get two accounts", table,
			email))
	}
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("the users are in %s, which has every column that package auth uses", table), nil
}

// uniqueAlone reports whether a column has a unique index of its own.
func (d *database) uniqueAlone(ctx context.Context, table, column string) (bool, error) {
	query := "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND " +
		"TABLE_NAME = '" + table + "' GROUP BY INDEX_NAME HAVING MAX(NON_UNIQUE) = 0 AND COUNT(*) = 1 AND " +
		"MAX(COLUMN_NAME) = '" + column + "' AND MAX(SUB_PART) IS NULL"
	if d.url.Dialect == dialect.SQLite {
		query = "SELECT l.name FROM pragma_index_list('" + table + "') l, pragma_index_info(l.name) i " +
			"WHERE l.\"unique\" AND NOT l.partial GROUP BY l.name HAVING COUNT(*) = 1 AND MAX(i.name) = '" +
			column + "'"
	}
	names, err := list(ctx, d.db, query)
	return len(names) > 0, err
}
