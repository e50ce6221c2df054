package doctor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// integers are the largest values of the integer types.
var integers = map[string]float64{
	"tinyint": math.MaxInt8, "smallint": math.MaxInt16, "mediumint": 1<<23 - 1, "int": math.MaxInt32,
	"bigint": math.MaxInt64,
}

// largest is the largest value of a column type, and what the type is called.
func largest(columnType string) (float64, string) {
	words := strings.FieldsFunc(columnType, func(r rune) bool { return r == ' ' || r == '(' || r == ')' })
	if len(words) == 0 {
		return 0, columnType
	}
	limit := integers[words[0]]
	// What Go reads ends at int64, whatever the column holds.
	if slices.Contains(words, "unsigned") && words[0] != "bigint" {
		return 2*limit + 1, words[0] + " unsigned"
	}
	return limit, words[0]
}

func percent(share float64) string {
	if share > 0 && share < 0.01 {
		return "less than 0.01 %"
	}
	return fmt.Sprintf("%.2g %%", share)
}

func checkHeadroom(ctx context.Context, d *database) ([]Finding, error) {
	query := "SELECT t.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, COALESCE(t.AUTO_INCREMENT, 1) - 1 FROM " +
		"information_schema.TABLES t " +
		"JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND " +
		"c.EXTRA LIKE '%auto_increment%' " +
		"WHERE t.TABLE_SCHEMA = DATABASE() AND " + d.inTables(
		"t.TABLE_NAME",
	) + " ORDER BY 1"
	if d.url.Dialect == dialect.SQLite {
		// A rowid is a signed 64-bit integer whatever its column is called.
		// Before the first table with AUTOINCREMENT there is no sqlite_sequence.
		var n int
		if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = "+
			"'sqlite_sequence'").Scan(&n); err != nil {
			return nil, err
		}
		if n == 0 {
			return ok("no id was given yet"), nil
		}
		query = "SELECT name, 'id', 'bigint', seq FROM sqlite_sequence WHERE " + d.inTables("name") + " ORDER BY 1"
	}
	var off []Finding
	var table, column, columnType, fullest string
	var used float64
	most := -1.0
	err := each(ctx, d.db, query, []any{&table, &column, &columnType, &used}, func() {
		limit, name := largest(columnType)
		if limit == 0 {
			return
		}
		share := 100 * used / limit
		if share > most {
			most, fullest = share, fmt.Sprintf("%s of %s.%s (%s) is used, the most of all", percent(share), table,
				column, name)
		}
		severity := Warning
		switch {
		case share > 80:
			severity = Error
		case share <= 50:
			return
		}
		fix := fmt.Sprintf(
			"ALTER TABLE %s MODIFY %s bigint NOT NULL AUTO_INCREMENT, by a migration; first drop foreign keys that "+
				"refer to it, and widen their columns too", dbserver.Quote(table), dbserver.Quote(column))
		if name == "bigint" {
			fix = "find out who writes such ids: counting up does not get there"
		}
		off = append(off,
			found(severity, fix, "%.0f %% of %s.%s (%s) is used: the last id was %.0f of %.0f", share, table, column,
				name, used, limit))
	})
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("%s", cmp.Or(fullest, "no id was given yet")), nil
}
