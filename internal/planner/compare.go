package planner

import (
	"context"
	"fmt"
	"strings"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
)

// Comparison is the difference between two states.
type Comparison struct {
	// SQL takes one to the other. It is empty if they are the same.
	SQL string `json:"sql"`
	// Statements are those of SQL.
	Statements []string `json:"statements"`
	// Destructive describes each change that loses data.
	Destructive []string `json:"destructive"`
}

// Compare works out what takes the state from to the state to. The history table is no part of either.
func Compare(ctx context.Context, dev *Dev, from, to State) (*Comparison, error) {
	have, err := Inspect(ctx, dev, from)
	if err != nil {
		return nil, err
	}
	want, err := Inspect(ctx, dev, to)
	if err != nil {
		return nil, err
	}
	diff := &Comparison{Statements: []string{}, Destructive: []string{}}
	changes, err := dev.compare(have, want)
	if err != nil || len(changes) == 0 {
		return diff, err
	}
	plan, err := dev.plan(ctx, "diff", changes)
	if err != nil || len(plan.Changes) == 0 {
		return diff, err
	}
	for _, c := range plan.Changes {
		diff.Statements = append(diff.Statements, c.Cmd)
	}
	diff.Destructive = append(diff.Destructive, destructive(changes)...)
	diff.SQL, err = format(plan)
	return diff, err
}

// compare are the changes that take the schema have to the schema want.
func (d *Dev) compare(have, want *schema.Schema) ([]schema.Change, error) {
	want.Name, want.Attrs = have.Name, have.Attrs
	// Both come from the database: without the option a changed CHECK would count as the same one.
	changes, err := d.db.Driver.SchemaDiff(have, want, schema.DiffNormalized())
	if err != nil {
		return nil, fmt.Errorf("compare the schemas: %w", err)
	}
	replaceChecks(changes)
	return addVisibility(addAttributes(changes, have, want), have, want), nil
}

// replaceChecks drops and adds a CHECK that changed: Atlas modifies it by DROP CHECK, which MariaDB does not know.
func replaceChecks(changes []schema.Change) {
	for _, c := range changes {
		t, ok := c.(*schema.ModifyTable)
		if !ok {
			continue
		}
		var replaced []schema.Change
		for _, c := range t.Changes {
			if m, ok := c.(*schema.ModifyCheck); ok && m.From.Expr != m.To.Expr {
				replaced = append(replaced, &schema.DropCheck{C: m.From}, &schema.AddCheck{C: m.To})
			} else {
				replaced = append(replaced, c)
			}
		}
		t.Changes = replaced
	}
}

// addAttributes adds the columns whose ON UPDATE or AUTO_INCREMENT differs: Atlas compares neither.
func addAttributes(changes []schema.Change, have, want *schema.Schema) []schema.Change {
	for _, to := range want.Tables {
		from, ok := have.Table(to.Name)
		if !ok {
			continue
		}
		for _, c := range to.Columns {
			old, ok := from.Column(c.Name)
			if !ok || onUpdate(old) == onUpdate(c) && counts(old) == counts(c) {
				continue
			}
			table := modifyTable(&changes, to)
			planned := false
			for _, ch := range table.Changes {
				m, ok := ch.(*schema.ModifyColumn)
				planned = planned || ok && m.To.Name == c.Name
			}
			if !planned {
				table.Changes = append(table.Changes, &schema.ModifyColumn{From: old, To: c, Change: schema.ChangeAttr})
			}
		}
	}
	return changes
}

// modifyTable is the change of table t, added to the changes if it is new.
func modifyTable(changes *[]schema.Change, t *schema.Table) *schema.ModifyTable {
	for _, c := range *changes {
		if m, ok := c.(*schema.ModifyTable); ok && m.T.Name == t.Name {
			return m
		}
	}
	m := &schema.ModifyTable{T: t}
	*changes = append(*changes, m)
	return m
}

func onUpdate(c *schema.Column) string {
	if u := Attr[*mysql.OnUpdate](c.Attrs); u != nil {
		return strings.ToLower(u.A)
	}
	return ""
}

// counts reports whether a column is AUTO_INCREMENT.
func counts(c *schema.Column) bool { return Attr[*mysql.AutoIncrement](c.Attrs) != nil }

// Attr is the attribute of type T, or nil.
func Attr[T schema.Attr](attrs []schema.Attr) (found T) {
	for _, a := range attrs {
		if t, ok := a.(T); ok {
			return t
		}
	}
	return found
}
