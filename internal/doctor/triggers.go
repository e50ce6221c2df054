package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

func checkTriggers(ctx context.Context, d *database) ([]Finding, error) {
	if d.url.Dialect == dialect.SQLite {
		return d.triggers(ctx, "SELECT name, tbl_name, 'on every write it is for', '' FROM sqlite_master WHERE type = "+
			"'trigger' AND "+d.inTables("tbl_name")+" ORDER BY 1")
	}
	db := d.url.Database()
	all, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	off, err := d.triggers(ctx, "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, CONCAT(ACTION_TIMING, ' ', "+
		"EVENT_MANIPULATION), DEFINER FROM information_schema.TRIGGERS "+
		"WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND "+d.inTables("EVENT_OBJECT_TABLE")+" ORDER BY 1")
	if err != nil {
		return off, err
	}
	events, err := d.events(ctx)
	if err != nil {
		return off, err
	}
	off = append(off, events...)
	// A server leaves out, without a word, what an account has no right on.
	var lacks []string
	if slices.ContainsFunc(d.tables, func(table string) bool { return !all.may("TRIGGER", db, table) }) {
		lacks = append(lacks, "TRIGGER")
	}
	if !all.may("EVENT", db, "*") {
		lacks = append(lacks, "EVENT")
	}
	if len(lacks) > 0 {
		off = slices.DeleteFunc(off, func(f Finding) bool { return f.Severity == OK })
		return append(off, d.unseen("triggers on the tables and events that name them",
			strings.Join(lacks, ", ")+" ON "+d.pattern(all)+".*")...), nil
	}
	return off, nil
}

// triggers judges what a query lists: name, table, when, and as whom it runs.
func (d *database) triggers(ctx context.Context, query string) (off []Finding, err error) {
	var name, table, when, definer string
	var fault error
	err = each(ctx, d.db, query, []any{&name, &table, &when, &definer}, func() {
		named, err := d.named(name)
		fault = errors.Join(fault, err)
		if definer != "" {
			when += " as " + definer
		}
		if named {
			off = append(off, found(Info, "nothing, where it is meant",
				"trigger %q on table %q runs %s; a migration names it", name, table, when))
			return
		}
		off = append(off, found(Warning, undo("DROP TRIGGER %s", dbserver.Quote(name)),
			"trigger %q on table %q runs %s, and no migration makes it: it can refuse, change and copy what is "+
				"written, "+"token hashes too", name, table, when))
	})
	if err := errors.Join(err, fault); err != nil || len(off) > 0 {
		return off, err
	}
	return ok("none on the tables"), nil
}

// events are those of the database that name one of the tables.
func (d *database) events(ctx context.Context) (off []Finding, err error) {
	var name, body, definer string
	var fault error
	err = each(ctx, d.db, "SELECT EVENT_NAME, EVENT_DEFINITION, DEFINER FROM information_schema.EVENTS WHERE "+
		"EVENT_SCHEMA = DATABASE() ORDER BY 1",
		[]any{&name, &body, &definer}, func() {
			i := slices.IndexFunc(d.tables, func(table string) bool { return word(table).MatchString(body) })
			if i < 0 {
				return
			}
			named, err := d.named(name)
			fault = errors.Join(fault, err)
			if !named {
				off = append(off, found(Warning, undo("DROP EVENT %s", dbserver.Quote(name)),
					"event %q names table %q, runs on the server's own clock as %s, and no migration makes it", name,
					d.tables[i], definer))
			}
		})
	return off, errors.Join(err, fault)
}
