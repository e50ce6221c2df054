package planner

import (
	"context"
	"fmt"
	"slices"
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
	// Unplanned are the differences for which there is no statement.
	Unplanned []string `json:"unplanned"`
	// NotCovered are the objects of both states that are not compared.
	NotCovered []Object `json:"not_covered"`
	// LeftOut are the tables that only the database in use has; see [OursOnly].
	LeftOut []string `json:"left_out"`
}

// Equal reports whether the states are the same, as far as they are compared.
func (c *Comparison) Equal() bool { return len(c.Statements) == 0 && len(c.Unplanned) == 0 }

// CompareOption changes what [Compare] compares.
type CompareOption func(c *Comparison, have, want *schema.Schema)

// OursOnly leaves out the tables that only one of the states has: the one that is a database in use, which may hold
// tables of others. It is the first state, or the second.
func OursOnly(first bool) CompareOption {
	return func(c *Comparison, have, want *schema.Schema) {
		live, other := want, have
		if first {
			live, other = have, want
		}
		live.Tables = slices.DeleteFunc(live.Tables, func(t *schema.Table) bool {
			_, ours := other.Table(t.Name)
			if !ours {
				c.LeftOut = append(c.LeftOut, t.Name)
			}
			return !ours
		})
	}
}

// Compare works out what takes the state from to the state to. The history table is no part of either.
func Compare(ctx context.Context, dev *Dev, from, to State, opts ...CompareOption) (*Comparison, error) {
	have, err := Inspect(ctx, dev, from)
	if err != nil {
		return nil, err
	}
	want, err := Inspect(ctx, dev, to)
	if err != nil {
		return nil, err
	}
	diff := emptyComparison(have, want)
	for _, opt := range opts {
		opt(diff, have, want)
	}
	_, err = dev.fill(ctx, diff, have, want)
	return diff, err
}

// emptyComparison is one of two states that says only what is not compared.
func emptyComparison(have, want *schema.Schema) *Comparison {
	diff := &Comparison{
		Statements: []string{}, Destructive: []string{}, Unplanned: []string{},
		NotCovered: []Object{}, LeftOut: []string{},
	}
	for _, o := range slices.Concat(NotCovered(have), NotCovered(want)) {
		if !slices.ContainsFunc(diff.NotCovered, func(old Object) bool { return old.String() == o.String() }) {
			diff.NotCovered = append(diff.NotCovered, o)
		}
	}
	return diff
}

// fill works out the differences, and returns them as changes too.
func (d *Dev) fill(ctx context.Context, diff *Comparison, have, want *schema.Schema) ([]schema.Change, error) {
	changes, err := d.compare(have, want)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	plan, unplanned, err := d.plan(ctx, "diff", changes, have, want)
	if err != nil {
		return nil, err
	}
	diff.Unplanned = append(diff.Unplanned, unplanned...)
	if len(plan.Changes) == 0 {
		return changes, nil
	}
	for _, c := range plan.Changes {
		diff.Statements = append(diff.Statements, c.Cmd)
	}
	diff.Destructive = append(diff.Destructive, destructive(changes)...)
	diff.SQL, err = format(plan)
	return changes, err
}

// compare are the changes that take the schema have to the schema want. They are Atlas's where it can read and print
// all that the tables are that differ, and else by the server's own words.
func (d *Dev) compare(have, want *schema.Schema) ([]schema.Change, error) {
	want.Name, want.Attrs = have.Name, have.Attrs
	same := func(other *schema.Schema) func(*schema.Table) bool {
		return func(t *schema.Table) bool {
			o, ok := other.Table(t.Name)
			return ok && definitionOf(t).same(definitionOf(o))
		}
	}
	old, next := without(have, same(want)), without(want, same(have))
	// What Atlas cannot read of a table on either side, it cannot compare.
	odd := map[string]bool{}
	for _, t := range slices.Concat(old.Tables, next.Tables) {
		odd[t.Name] = odd[t.Name] || !legible(t)
	}
	for _, t := range old.Tables {
		to, ok := next.Table(t.Name)
		if d := definitionOf(t); ok && d != nil && d.lite && slices.ContainsFunc(editsIn(t, to), edit.unseen) {
			odd[t.Name] = true
		}
	}
	isOdd := func(t *schema.Table) bool { return odd[t.Name] }
	plainOld, plainNext := without(old, isOdd), without(next, isOdd)
	// Both come from the database: without the option a changed CHECK would count as the same one.
	changes, err := d.db.Driver.SchemaDiff(plainOld, plainNext, schema.DiffNormalized())
	if err != nil {
		return nil, fmt.Errorf("compare the schemas: %w", err)
	}
	replaceChecks(changes)
	changes = addAttributes(changes, plainOld, plainNext)
	if len(plainOld.Tables) == len(old.Tables) && len(plainNext.Tables) == len(next.Tables) {
		return changes, nil
	}
	return slices.DeleteFunc(d.rewrites(old, next), func(c schema.Change) bool {
		return !odd[tableIn(c)] &&
			!slices.ContainsFunc(changes, func(o schema.Change) bool { return tableIn(o) == tableIn(c) })
	}), nil
}

// without is a schema without some of its tables.
func without(s *schema.Schema, drop func(*schema.Table) bool) *schema.Schema {
	rest := *s
	rest.Tables = slices.DeleteFunc(slices.Clone(s.Tables), drop)
	return &rest
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
