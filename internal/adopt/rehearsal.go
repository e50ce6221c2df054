package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// rehearsal carries a plan out on empty copies of the tables, so that what the server refuses whatever the rows are is
// found before anything is changed.
type rehearsal struct {
	plan *plan
	dev  *atlasdb.DB
	// live is the name of the database whose tables are copied.
	live string
	// spoiled are the tables that are not in the state in which the next statement would find them.
	spoiled map[string]bool
}

// rehearse adds an obstacle for each table that the server refuses to change. A table that is an obstacle already is
// left out, and so are those whose keys lead from or to it.
func (a *adoption) rehearse(ctx context.Context, p *plan) error {
	if len(p.statements) == 0 || a.opts.Apply && len(p.obstacles) > 0 {
		return nil
	}
	r := rehearsal{plan: p, dev: a.dev.DB(), live: a.db.URL.Database(), spoiled: map[string]bool{}}
	for _, o := range p.obstacles {
		if o.Kind == ObstacleStructure {
			r.spoil(o.Table, true)
		}
	}
	_, err := a.dev.Replay(ctx, func() error { return errors.Join(r.run(ctx), r.drop(ctx)) })
	if err != nil {
		return fmt.Errorf("try the statements on empty tables: %w", err)
	}
	return nil
}

func (r *rehearsal) run(ctx context.Context) error {
	if err := r.exec(ctx, Session+", foreign_key_checks = 0"); err != nil {
		return err
	}
	for _, name := range r.tables() {
		err := r.exec(ctx, r.plan.live[name].copied())
		if answer(err) == nil && err != nil {
			return err
		}
		if err != nil && !r.spoiled[name] {
			r.obstruct(name, "an empty table like it", true, err)
		}
	}
	if err := r.exec(ctx, "SET "+atlasdb.ChecksOn); err != nil {
		return err
	}
	for _, s := range r.plan.statements {
		if r.spoiled[s.table] {
			continue
		}
		err := r.exec(ctx, s.SQL)
		if answer(err) == nil && err != nil {
			return err
		}
		if err != nil {
			what, _, _ := strings.Cut(s.SQL, "\n")
			holds := strings.Contains(s.SQL, "DROP FOREIGN KEY")
			r.obstruct(s.table, strings.TrimSuffix(what, " (")+" …", holds, err)
		}
	}
	return nil
}

// drop drops the copies. A replay, which empties the database too, does not see tables that MariaDB keeps a history of,
// and does not take zero dates out of the strict mode.
func (r *rehearsal) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	names := []string{dbserver.Quote(notes)}
	for _, tables := range []map[string]*table{r.plan.live, r.plan.want} {
		for name := range tables {
			names = append(names, dbserver.Quote(name))
		}
	}
	slices.Sort(names)
	if err := r.exec(ctx, "SET foreign_key_checks = 0"); err != nil {
		return err
	}
	return r.exec(ctx, "DROP TABLE IF EXISTS "+strings.Join(slices.Compact(names), ", "))
}

func (r *rehearsal) exec(ctx context.Context, stmt string) error {
	_, err := r.dev.Conn.ExecContext(ctx, stmt)
	return err
}

// answer is what the server says about a statement; nil if it says nothing.
func answer(err error) *mysql.MySQLError {
	var refused *mysql.MySQLError
	errors.As(err, &refused)
	return refused
}

// tables are those that are copied: what the plan changes, the tables at the other ends of their foreign keys, and
// those that have a name which the plan gives to a key or a check.
func (r *rehearsal) tables() []string {
	p := r.plan
	names := map[string]bool{notes: true}
	given := map[string]bool{}
	for name, t := range p.want {
		names[name] = true
		for _, part := range slices.Concat(t.all(isKey), t.all(isCheck)) {
			given[fold(part.name)] = true
		}
	}
	for name := range p.alters {
		names[name] = true
	}
	ends := map[string]bool{}
	for _, fk := range slices.Concat(keysOf(p.live), p.noted) {
		if names[fk.table] || names[fk.parent] {
			ends[fk.table], ends[fk.parent] = true, true
		}
	}
	maps.Copy(names, ends)
	for name, t := range p.live {
		names[name] = names[name] || slices.ContainsFunc(slices.Concat(t.all(isKey), t.all(isCheck)),
			func(part part) bool { return given[fold(part.name)] })
	}
	maps.DeleteFunc(names, func(name string, wanted bool) bool { return !wanted || p.live[name] == nil })
	return slices.Sorted(maps.Keys(names))
}

// spoil marks a table, those whose new keys lead to it, and those that its own keys still hold.
func (r *rehearsal) spoil(table string, holds bool) {
	if r.spoiled[table] {
		return
	}
	r.spoiled[table] = true
	for _, fk := range slices.Concat(keysOf(r.plan.live), keysOf(r.plan.want), r.plan.noted) {
		switch table {
		case fk.parent:
			r.spoil(fk.table, holds)
		case fk.table:
			if _, there := r.plan.live[table].find(isKey, fk.name); there && holds {
				r.spoil(fk.parent, holds)
			}
		}
	}
}

func (r *rehearsal) obstruct(table, what string, holds bool, err error) {
	text := strings.ReplaceAll(dbserver.WithoutValue(err).Error(), r.dev.URL.Database(), r.live)
	fix := cmp.Or(remedies[answer(err).Number], r.sameName(answer(err).Number), "change what the error names")
	r.plan.obstruct(Obstacle{
		Table: table, Kind: ObstacleStructure,
		Text: fmt.Sprintf("the server refuses %s: %s", what, text),
		Fix:  strings.ReplaceAll(fix, "{table}", dbserver.Quote(table)),
	})
	r.spoil(table, holds)
}

// sameName says which other table has the name of a key or a check already, where that is why the server refuses a
// statement: on MariaDB it does not say so itself.
func (r *rehearsal) sameName(number uint16) string {
	if !slices.Contains([]uint16{1005, 1022, 1826, 3822}, number) {
		return ""
	}
	for _, want := range r.plan.want {
		for _, w := range slices.Concat(want.all(isKey), want.all(isCheck)) {
			for name, live := range r.plan.live {
				if l, ok := live.find(w.object, w.name); ok && name != want.name {
					return fmt.Sprintf("give the constraint %s of table %s another name", l.name, name)
				}
			}
		}
	}
	return ""
}

// remedies say what to do, by the number of the server's error (MySQL manual, Server Error Message Reference; MariaDB
// documentation, Error Codes).
var remedies = map[uint16]string{
	1069: "drop an index of yours",
	1071: "ALTER TABLE {table} ROW_FORMAT = DYNAMIC",
	1118: "make a column of yours a TEXT, or drop it",
	1503: "ALTER TABLE {table} REMOVE PARTITIONING",
	1506: "ALTER TABLE {table} REMOVE PARTITIONING",
	1709: "ALTER TABLE {table} ROW_FORMAT = DYNAMIC",
	3108: "drop the generated column, and add it again afterwards",
	3750: "add a primary key to it",
	4119: "ALTER TABLE {table} DROP SYSTEM VERSIONING (this deletes its row history), and add it again afterwards",
}

// placing are the options of a table that place it outside of its database, or need what an empty database has not.
var placing = regexp.MustCompile(`(?:/\*!\d+ )?` +
	`\b(?:DATA DIRECTORY|INDEX DIRECTORY|TABLESPACE|CONNECTION|ENCRYPTION) ?=? ?` +
	"(?:'[^']*'|`[^`]*`)" + `(?: \*/)?`)

// copied is the statement that makes an empty table like this one, without keys to other databases.
func (t *table) copied() string {
	var lines []string
	for _, line := range t.lines {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		if p := parse(t.name, line); p.object != isKey || p.parent != "" {
			lines = append(lines, line)
		}
	}
	return "CREATE TABLE " + dbserver.Quote(t.name) + " (\n  " + strings.Join(lines, ",\n  ") + "\n" +
		placing.ReplaceAllString(t.options, "")
}
