package planner

import (
	"context"
	"database/sql"
	"slices"

	"ariga.io/atlas/sql/schema"
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
