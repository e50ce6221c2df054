package planner

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// hidden marks an index that the server keeps up to date and that no query uses: INVISIBLE on MySQL (manual, Invisible
// Indexes), IGNORED on MariaDB (documentation, Ignored Indexes). Atlas knows neither.
type hidden struct{ schema.Attr }

// visibility is the change that makes queries use index I, or not, as the index itself says.
type visibility struct {
	schema.Change
	I *schema.Index
}

func isHidden(i *schema.Index) bool { return Attr[*hidden](i.Attrs) != nil }

// markHidden marks the hidden indexes of a schema. An older server has no such column and no such index.
func (d *Dev) markHidden(ctx context.Context, s *schema.Schema) error {
	var condition string
	err := d.db.Conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(CASE COLUMN_NAME "+
		"WHEN 'IS_VISIBLE' THEN 'IS_VISIBLE = ''NO''' ELSE 'IGNORED = ''YES''' END), '') "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'STATISTICS' "+
		"AND COLUMN_NAME IN ('IS_VISIBLE', 'IGNORED')").Scan(&condition)
	if err != nil || condition == "" {
		return err
	}
	query := "SELECT DISTINCT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS " +
		"WHERE TABLE_SCHEMA = DATABASE() AND "
	return d.db.Rows(ctx, query+condition, func(row []sql.NullString) {
		if t, ok := s.Table(row[0].String); ok {
			if i, ok := t.Index(row[1].String); ok {
				i.AddAttrs(&hidden{})
			}
		}
	})
}

// addVisibility adds the indexes that are hidden on one side only, unless they are built anew for another reason.
func addVisibility(changes []schema.Change, have, want *schema.Schema) []schema.Change {
	for _, to := range want.Tables {
		from, ok := have.Table(to.Name)
		if !ok {
			continue
		}
		for _, i := range to.Indexes {
			old, ok := from.Index(i.Name)
			if !ok || isHidden(old) == isHidden(i) {
				continue
			}
			table := modifyTable(&changes, to)
			anew := slices.ContainsFunc(table.Changes, func(c schema.Change) bool {
				m, ok := c.(*schema.ModifyIndex)
				return ok && m.To == i
			})
			if !anew {
				table.Changes = append(table.Changes, &visibility{I: i})
			}
		}
	}
	return changes
}

// planChanges is Atlas's plan, followed by the statements that hide indexes or show them: Atlas knows no hidden index,
// and each that it makes is visible.
func (d *Dev) planChanges(
	ctx context.Context, name string, changes []schema.Change, opts ...atlas.PlanOption,
) (*atlas.Plan, error) {
	var known []schema.Change
	var rest []*atlas.Change
	add := func(t *schema.Table, i *schema.Index) { rest = append(rest, d.setVisibility(t, i)) }
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.AddTable:
			for _, i := range c.T.Indexes {
				if isHidden(i) {
					add(c.T, i)
				}
			}
		case *schema.ModifyTable:
			kept := &schema.ModifyTable{T: c.T}
			for _, sub := range c.Changes {
				switch sub := sub.(type) {
				case *visibility:
					add(c.T, sub.I)
					continue
				case *schema.AddIndex:
					if isHidden(sub.I) {
						add(c.T, sub.I)
					}
				case *schema.ModifyIndex:
					if isHidden(sub.To) {
						add(c.T, sub.To)
					}
				}
				kept.Changes = append(kept.Changes, sub)
			}
			if len(kept.Changes) > 0 {
				known = append(known, kept)
			}
			continue
		}
		known = append(known, c)
	}
	if d.Dialect() == dialect.MySQL {
		defer quoteTexts(known)()
	}
	plan := &atlas.Plan{Name: name}
	if len(known) > 0 {
		var err error
		if plan, err = d.db.Driver.PlanChanges(ctx, name, known, append(opts, unqualified)...); err != nil {
			return nil, err
		}
	}
	plan.Changes = append(plan.Changes, rest...)
	return plan, nil
}

// setVisibility is the statement that hides an index, or shows it again.
func (d *Dev) setVisibility(t *schema.Table, i *schema.Index) *atlas.Change {
	words := map[bool]string{true: "INVISIBLE", false: "VISIBLE"}
	if m, ok := d.db.Driver.(*mysql.Driver); ok && m.Maria() {
		words = map[bool]string{true: "IGNORED", false: "NOT IGNORED"}
	}
	return &atlas.Change{
		Cmd: fmt.Sprintf("ALTER TABLE %s ALTER INDEX %s %s",
			dbserver.Quote(t.Name), dbserver.Quote(i.Name), words[isHidden(i)]),
		Comment: fmt.Sprintf("let queries use index %q of table %q, or not", i.Name, t.Name),
	}
}
