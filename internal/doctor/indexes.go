package doctor

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/planner"
)

func checkRedundant(ctx context.Context, d *database) (off []Finding, err error) {
	redundant, err := planner.RedundantIndexes(ctx, d.raw, d.tables...)
	if err != nil {
		return nil, err
	}
	for _, r := range redundant {
		byHand, err := d.byHand(object{r.Table, "index", r.Index})
		if err != nil {
			return off, err
		}
		if !byHand {
			fix := "leave it here: the migrations make it, and decide"
			if d.extra == nil {
				fix = "leave it, unless drift says that no migration makes it: the migrations decide"
			}
			off = append(off, found(Info, fix, "%s", r.Text))
			continue
		}
		fix := "DROP INDEX " + dbserver.Quote(r.Index)
		if d.url.Dialect == dialect.MySQL {
			fix += " ON " + dbserver.Quote(r.Table)
		}
		off = append(off, found(Warning, fix, "%s", r.Text))
	}
	if len(off) == 0 {
		return ok("none"), nil
	}
	return off, nil
}

// candidates are the indexes that would serve nothing if no query used them.
const candidates = "SELECT s.TABLE_NAME, s.INDEX_NAME FROM information_schema.STATISTICS s " +
	"WHERE s.TABLE_SCHEMA = DATABASE() AND s.NON_UNIQUE = 1 AND s.SEQ_IN_INDEX = 1 " +
	"AND NOT EXISTS (SELECT 1 FROM information_schema.KEY_COLUMN_USAGE k WHERE k.TABLE_SCHEMA = s.TABLE_SCHEMA " +
	"AND k.TABLE_NAME = s.TABLE_NAME AND k.COLUMN_NAME = s.COLUMN_NAME AND k.REFERENCED_TABLE_NAME IS NOT NULL) AND "

// checkUnused asks whoever counts the reads of an index.
func checkUnused(ctx context.Context, d *database) ([]Finding, error) {
	unknown := func(fix, format string, args ...any) ([]Finding, error) {
		f := found(Info, fix, "it cannot be known: "+format, args...)
		f.Unchecked = true
		return []Finding{f}, nil
	}
	candidates, used := candidates+d.inTables("s.TABLE_NAME")+" ORDER BY 1, 2", ""
	var schema, userstat bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.performance_schema").Scan(&schema); err != nil {
		return nil, err
	}
	if d.maria {
		if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.userstat").Scan(&userstat); err != nil {
			return nil, err
		}
	}
	switch {
	case userstat:
		used = "SELECT TABLE_NAME, INDEX_NAME FROM information_schema.INDEX_STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
	case schema:
		var on string
		err := d.db.QueryRowContext(ctx, "SELECT ENABLED FROM performance_schema.setup_instruments WHERE NAME = "+
			"'wait/io/table/sql/handler'").
			Scan(&on)
		if serverError(err) == erTableAccessDenied {
			return unknown("look with an account that may, or: "+d.grant("SELECT ON performance_schema.*"),
				"the account may not read performance_schema")
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if on != "YES" {
			return unknown("UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = "+
				"'wait/io/table/sql/handler'", "the instrument wait/io/table/sql/handler is off")
		}
		used = "SELECT OBJECT_NAME, INDEX_NAME FROM performance_schema.table_io_waits_summary_by_index_usage " +
			"WHERE OBJECT_SCHEMA = DATABASE() AND INDEX_NAME IS NOT NULL AND COUNT_STAR > 0"
	case d.maria:
		return unknown("SET GLOBAL userstat = 1, and look again some days later",
			"the server does not count it (userstat and performance_schema are off)")
	default:
		return unknown("start the server with performance_schema = ON",
			"the server does not count it (performance_schema is off)")
	}
	status, err := d.status(ctx, "Uptime")
	if err != nil {
		return nil, err
	}
	var read, unread []string
	var table, index string
	err = each(ctx, d.db, used, []any{&table, &index}, func() { read = append(read, table+"."+index) })
	if err != nil {
		return nil, err
	}
	total := 0
	err = each(ctx, d.db, candidates, []any{&table, &index}, func() {
		total++
		if name := table + "." + index; !slices.Contains(read, name) {
			unread = append(unread, name)
		}
	})
	if err != nil {
		return nil, err
	}
	up := period(time.Duration(status["Uptime"]) * time.Second)
	if len(unread) > 0 {
		return []Finding{
			found(Info, "look again when every job has run since the start; of the indexes that migrations make, the "+
				"migrations decide", "not read since the server started %s ago, %d of %d: %s", up, len(unread), total,
				enumerate(unread)),
		}, nil
	}
	return ok("all have been read since the server started %s ago", up), nil
}
