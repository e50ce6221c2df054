package adopt

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// search looks for rows that stand in the way of a plan.
type search struct {
	db   *atlasdb.DB
	plan *plan
}

// run reads every table of this schema: once for the values of its columns and the rows they refer to, and once for
// each unique index that it has not.
func (s search) run(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(s.plan.want)) {
		want, live := s.plan.want[name], s.plan.live[name]
		if live == nil {
			continue
		}
		all := conditions(want, live)
		for _, fk := range want.all(isKey) {
			if s.plan.live[fk.parent] != nil && !slices.ContainsFunc(live.all(isKey), fk.sameColumns) {
				all = append(all, orphan(fk))
			}
		}
		if err := s.obstruct(ctx, name, all); err != nil {
			return err
		}
		for _, ix := range want.all(isIndex) {
			if err := s.duplicates(ctx, want, live, ix); err != nil {
				return fmt.Errorf("look for duplicates in table %s: %w", name, err)
			}
		}
		if err := s.zeros(ctx, want, live); err != nil {
			return err
		}
	}
	for _, fk := range s.plan.noted {
		if err := s.obstruct(ctx, fk.table, []condition{orphan(fk)}); err != nil {
			return err
		}
	}
	return s.elsewhere(ctx)
}

// obstruct names the rows for which a condition holds.
func (s search) obstruct(ctx context.Context, table string, all []condition) error {
	counts, err := s.count(ctx, table, all)
	if err != nil {
		return err
	}
	for i, c := range all {
		if counts[i] == 0 {
			continue
		}
		o := c.obstacle
		o.Table, o.Rows = table, counts[i]
		if key := s.key(table); key != "" {
			query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY 1 LIMIT %d",
				key, dbserver.Quote(table), c.where, shownRows)
			err := s.db.Rows(ctx, query, func(r []sql.NullString) { o.IDs = append(o.IDs, numbers(r[0].String)) })
			if err != nil {
				return fmt.Errorf("look through table %s: %w", table, err)
			}
		}
		s.plan.obstruct(o)
	}
	return nil
}

// count counts, in one reading of the table, the rows for which each condition holds.
func (s search) count(ctx context.Context, table string, all []condition) ([]int64, error) {
	counts, sums := make([]int64, len(all)), make([]string, len(all))
	if len(all) == 0 {
		return nil, nil
	}
	for i, c := range all {
		sums[i] = "COALESCE(SUM(" + c.where + "), 0)"
	}
	query := "SELECT " + strings.Join(sums, ", ") + " FROM " + dbserver.Quote(table)
	err := s.db.Rows(ctx, query, func(r []sql.NullString) {
		for i, v := range r {
			counts[i], _ = strconv.ParseInt(v.String, 10, 64) // a sum of truths
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look through table %s: %w", table, err)
	}
	return counts, nil
}

// key is the column that names a row in a report; empty if it has none.
func (s search) key(table string) string {
	ix, _ := s.plan.want[table].find(isIndex, primary)
	if len(ix.columns) != 1 {
		return ""
	}
	if c, _ := s.plan.live[table].find(isColumn, ix.columns[0]); c.family() != "integer" {
		return ""
	}
	return dbserver.Quote(ix.columns[0])
}

func numbers(ids ...string) []json.Number {
	out := make([]json.Number, len(ids))
	for i, id := range ids {
		out[i] = json.Number(id)
	}
	return out
}

// duplicates looks for rows that are one under a unique index of this schema.
func (s search) duplicates(ctx context.Context, want, live *table, ix part) error {
	key := s.key(want.name)
	had, _ := live.find(isIndex, ix.name)
	right := had.text == ix.text
	var exact, given []string
	for _, name := range ix.columns {
		w, _ := want.find(isColumn, name)
		l, there := live.find(isColumn, name)
		if !there {
			return nil
		}
		right = right && w.is(l)
		e := dbserver.Quote(name)
		given = append(given, e+" IS NOT NULL")
		if l.family() == "text" {
			// As this schema compares, byte by byte but for spaces at the end, and at a length at which the server can
			// group in memory.
			e = "CAST(UNHEX(SHA2(RTRIM(CONVERT(" + e + " USING utf8mb4)), 256)) AS BINARY(32))"
		}
		exact = append(exact, e)
	}
	if right || key == "" || !ix.isUnique() || ix.name == primary {
		return nil
	}
	groups := fmt.Sprintf(" FROM %s WHERE %s GROUP BY %s HAVING COUNT(*) > 1",
		dbserver.Quote(want.name), strings.Join(given, " AND "), strings.Join(exact, ", "))
	o := Obstacle{
		Table: want.name, Columns: ix.columns, Kind: ObstacleDuplicate,
		Text: "the unique index " + ix.name + " refuses more than one of each", Fix: "delete or change the others",
	}
	err := s.db.Rows(ctx, "SELECT COUNT(*) FROM (SELECT 1"+groups+") AS d", func(r []sql.NullString) {
		o.Rows, _ = strconv.ParseInt(r[0].String, 10, 64) // a count
	})
	if err != nil || o.Rows == 0 {
		return err
	}
	query := fmt.Sprintf("SELECT SUBSTRING_INDEX(GROUP_CONCAT(%s ORDER BY %[1]s SEPARATOR ' '), ' ', %d), MIN(%[1]s)"+
		"%[3]s ORDER BY 2 LIMIT %[2]d", key, shownRows, groups)
	err = s.db.Rows(ctx, query, func(r []sql.NullString) {
		o.IDs = append(o.IDs, numbers(strings.Fields(r[0].String)...))
	})
	s.plan.obstruct(o)
	return err
}

// zeros makes NULL of the time 0000-00-00 where there may be none. Where there has to be a time it stands in the way,
// as a condition: never is it made the current one.
func (s search) zeros(ctx context.Context, want, live *table) error {
	var columns []part
	var all []condition
	for _, c := range want.all(isColumn) {
		had, _ := live.find(isColumn, c.name)
		if zero, ok := noTime(had, c); ok && c.holds.null {
			columns, all = append(columns, had), append(all, zero)
		}
	}
	counts, err := s.count(ctx, want.name, all)
	if err != nil {
		return err
	}
	var set, where []string
	for i, c := range columns {
		// A row may be written with the default until the table is rebuilt.
		if counts[i] == 0 && !strings.Contains(c.text, "DEFAULT '0000-00-00") {
			continue
		}
		set = append(set, fmt.Sprintf("%s = IF(%s, NULL, %[1]s)", dbserver.Quote(c.name), all[i].where))
		where = append(where, all[i].where)
		s.plan.noteZeros(want.name, c, counts[i])
	}
	if len(set) == 0 {
		return nil
	}
	kept := want.all(isColumn)
	for _, c := range live.all(isColumn) {
		if _, ours := want.find(isColumn, c.name); !ours {
			kept = append(kept, c)
		}
	}
	for _, c := range kept {
		if c.holds.updates {
			set = append(set, dbserver.Quote(c.name)+" = "+dbserver.Quote(c.name))
		}
	}
	s.plan.add(want.name, "What is no time becomes NULL in "+want.name, "UPDATE "+dbserver.Quote(want.name)+" SET\n  "+
		strings.Join(set, ",\n  ")+"\nWHERE "+strings.Join(where, " OR "))
	return nil
}

// noteZeros says at the difference of a column how many rows change.
func (p *plan) noteZeros(table string, c part, rows int64) {
	i := slices.IndexFunc(p.differences, func(x Difference) bool {
		return x.Table == table && x.Object == isColumn && fold(x.Name) == fold(c.name)
	})
	if i < 0 {
		i = len(p.differences)
		p.differ(Difference{Table: table, Object: isColumn, Name: c.name, Change: Modify, Live: c.text, Here: c.text})
	}
	p.differences[i].Note = fmt.Sprintf("0000-00-00 becomes NULL, in %d rows now", rows)
}

// elsewhere looks for foreign keys of other databases, which hold the tables fast that are to be changed.
func (s search) elsewhere(ctx context.Context) error {
	const query = "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME " +
		"FROM information_schema.KEY_COLUMN_USAGE " +
		"WHERE REFERENCED_TABLE_SCHEMA = DATABASE() AND TABLE_SCHEMA <> DATABASE()"
	err := s.db.Rows(ctx, query, func(r []sql.NullString) {
		table, column := r[3].String, r[4].String
		if s.plan.alters[table] == nil {
			return
		}
		becomes := s.plan.becomes(table, column)
		if c, ok := s.plan.want[table].find(isColumn, column); ok {
			becomes = c.kind()
		}
		s.plan.obstruct(Obstacle{
			Table: table, Kind: ObstacleStructure,
			Text: fmt.Sprintf("table %s.%s refers to it from another database", r[0].String, r[1].String),
			Fix: fmt.Sprintf("drop its foreign key %s first, and make it again afterwards with a %s",
				r[2].String, becomes),
		})
	})
	if err != nil {
		return fmt.Errorf("look for foreign keys of other databases: %w", err)
	}
	return s.abroad(ctx)
}

// abroad looks for foreign keys to other databases, which hold the columns fast that get another type.
func (s search) abroad(ctx context.Context) error {
	const query = "SELECT TABLE_NAME, COLUMN_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME " +
		"FROM information_schema.KEY_COLUMN_USAGE " +
		"WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_SCHEMA <> DATABASE()"
	err := s.db.Rows(ctx, query, func(r []sql.NullString) {
		table, column := r[0].String, r[1].String
		w, ours := s.plan.want[table].find(isColumn, column)
		l, _ := s.plan.live[table].find(isColumn, column)
		if !ours || w.kind() == l.kind() {
			return
		}
		s.plan.obstruct(Obstacle{
			Table: table, Columns: []string{column}, Kind: ObstacleStructure,
			Text: fmt.Sprintf("its foreign key %s leads to table %s.%s of another database", r[2].String, r[3].String,
				r[4].String),
			Fix: fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s, and make it again afterwards to a %s",
				dbserver.Quote(table), dbserver.Quote(r[2].String), w.kind()),
		})
	})
	if err != nil {
		return fmt.Errorf("look for foreign keys to other databases: %w", err)
	}
	return nil
}
