package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"

	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// exact are the columns that must be compared byte by byte although they hold no hash.
var exact = []string{"email", "provider_id"}

// defaultCollation is the one that Ent and the migrations give a text column.
const defaultCollation = "utf8mb4_bin"

// collations are those of the text columns, by table and column.
func (d *database) collations() map[[2]string]string {
	want := make(map[[2]string]string)
	for _, table := range d.Users.Tables() {
		for _, c := range d.Users.Declared(table).Columns {
			if c.Type == field.TypeString {
				want[[2]string{table, c.Name}] = cmp.Or(c.Collation, defaultCollation)
			}
		}
	}
	return want
}

func checkCollation(ctx context.Context, d *database) ([]Finding, error) {
	if d.url.Dialect == dialect.SQLite {
		return checkIndexCollation(ctx, d)
	}
	want := d.collations()
	var off []Finding
	var table, column, columnType, collation, nullable string
	err := each(
		ctx,
		d.db,
		"SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COALESCE(COLLATION_NAME, 'binary'), IS_NULLABLE "+
			"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "+d.inTables("TABLE_NAME")+
			" ORDER BY TABLE_NAME, ORDINAL_POSITION",
		[]any{&table, &column, &columnType, &collation, &nullable},
		func() {
			if table == d.Users.Table() && column == d.Users.Column(user.FieldEmail) && d.Users != nil {
				if !strings.HasSuffix(collation, "_bin") && collation != "binary" {
					fix := fmt.Sprintf("leave it so if that is meant, else ALTER TABLE %s MODIFY %s %s "+
						"COLLATE utf8mb4_bin NOT NULL, by a migration", dbserver.Quote(table), dbserver.Quote(column),
						columnType)
					off = append(off, found(Warning, fix, "%s.%s is compared by %s, to which different addresses can "+
						"be equal: only the first of them gets an account", table, column, collation))
				}
				return
			}
			right, text := want[[2]string{table, column}]
			if !text || collation == right {
				return
			}
			hash := right != defaultCollation
			charset, _, _ := strings.Cut(right, "_")
			fix := fmt.Sprintf("ALTER TABLE %s MODIFY %s %s CHARACTER SET %s COLLATE %s",
				dbserver.Quote(table), dbserver.Quote(column),
				columnType, charset, right)
			if nullable == "NO" {
				fix += " NOT NULL"
			}
			binary := strings.HasSuffix(collation, "_bin") || collation == "binary"
			if (hash || slices.Contains(exact, column)) && !binary {
				off = append(off,
					found(Error, fix, "%s.%s is compared by %s, to which different values can be equal, not by %s",
						table, column, collation, right))
			} else {
				off = append(off, found(Warning, fix, "%s.%s is compared by %s, not by "+
					"%s", table, column, collation, right))
			}
		},
	)
	if err != nil {
		return nil, err
	}
	err = each(
		ctx,
		d.db,
		"SELECT TABLE_NAME, TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "+
			d.inOurs("TABLE_NAME")+" AND TABLE_COLLATION <> '"+defaultCollation+"' ORDER BY TABLE_NAME",
		[]any{&table, &collation},
		func() {
			off = append(off, found(Warning,
				fmt.Sprintf("ALTER TABLE %s CHARACTER SET utf8mb4 COLLATE %s", dbserver.Quote(table), defaultCollation),
				"the default of table %q is %s: a column added by hand gets that one", table, collation))
		},
	)
	if err != nil {
		return nil, err
	}
	if err := d.db.QueryRowContext(ctx, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE "+
		"SCHEMA_NAME = DATABASE()").Scan(&collation); err != nil {
		return off, err
	}
	if !strings.HasPrefix(collation, "utf8mb4_") {
		off = append(off,
			found(Info, fmt.Sprintf("ALTER DATABASE %s CHARACTER SET utf8mb4 COLLATE %s",
				dbserver.Quote(d.url.Database()),
				defaultCollation), "the default of the database is %s: a table made by hand gets that one", collation))
	}
	if len(off) == 0 {
		return ok("as in the schema; the default of the database is %s", collation), nil
	}
	return off, nil
}

// checkIndexCollation asks for the collations of indexes: of a column SQLite tells
// only the text it was made by, and an index takes over its column's.
func checkIndexCollation(ctx context.Context, d *database) (off []Finding, err error) {
	var table, index, column, collation string
	err = each(
		ctx,
		d.db,
		"SELECT m.name, l.name, x.name, x.coll FROM sqlite_master m, pragma_index_list(m.name) l, "+
			"pragma_index_xinfo(l.name) x "+
			"WHERE m.type = 'table' AND "+d.inTables(
			"m.name",
		)+" AND x.key AND x.coll <> 'BINARY' ORDER BY 1, 2, 3",
		[]any{&table, &index, &column, &collation},
		func() {
			off = append(off, found(Error, "build the index, or the column, anew without COLLATE",
				"index %q of table %q compares %s by %s, to which different values can be equal", index, table, column,
				collation))
		},
	)
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("every index compares byte by byte"), nil
}
