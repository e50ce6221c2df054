package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
)

// Deviation is one difference between a database and its migrations.
type Deviation struct {
	Table string
	// Text says what differs, as in: column "phone" is missing.
	Text string
	// Object and Name say which part of the table is Extra: column, index, check or foreign key.
	Object, Name string
	// SQL is the statement that undoes it; empty if one is not enough, and if it is Extra.
	SQL string
	// Extra is set for a column, an index, a CHECK or a foreign key that no migration makes. Dropping it may lose data,
	// so adopting keeps it.
	Extra bool
	// Collation is set if only character set and collation differ.
	Collation bool
}

// Deviations compares the tables of the database at url with those that the directory makes when it is replayed on dev,
// up to and including a version; an empty version is the newest. Tables that the directory does not make belong to
// others and are ignored, and so are comments, which do nothing. If a file leaves the collation of a table to its
// database, that of dev counts, which is utf8mb4_bin in a scratch database. The database at url is only read.
func Deviations(ctx context.Context, dev *Dev, dir directory.Dir, version, url string) ([]Deviation, error) {
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	want, err := dev.replayFiles(ctx, upTo(version, files))
	if err != nil {
		return nil, ReplayOf(dir, err)
	}
	if len(want.Tables) == 0 {
		return nil, nil
	}
	have, err := Database(url)(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	have.Tables = slices.DeleteFunc(have.Tables, func(t *schema.Table) bool {
		_, made := want.Table(t.Name)
		return !made
	})
	keepComments(have, want)
	changes, err := dev.compare(have, want)
	if err != nil {
		return nil, err
	}
	var found []Deviation
	for _, c := range changes {
		for _, d := range describe(c) {
			if !d.Extra && d.change != nil {
				d.Deviation.SQL = dev.single(ctx, d.change)
			}
			found = append(found, d.Deviation)
		}
	}
	return found, nil
}

// described is a deviation with the change that undoes it.
type described struct {
	Deviation
	change schema.Change
}

// describe says what a change undoes that leads back to the migrations.
func describe(c schema.Change) (found []described) {
	switch c := c.(type) {
	case *schema.AddTable:
		return []described{{Deviation{Table: c.T.Name, Text: "the table is missing"}, c}}
	case *rewrite:
		for _, e := range c.edits {
			text, collation := e.describe()
			deviation := Deviation{Table: c.to.Name, Text: text, Collation: collation}
			if e.want == "" && e.have != "" && e.object != isTable && e.name != primary {
				deviation.Extra, deviation.Object, deviation.Name = true, e.object, e.name
			} else {
				deviation.SQL = c.single(e)
			}
			found = append(found, described{deviation, nil})
		}
		return found
	case *schema.ModifyTable:
		for _, sub := range c.Changes {
			text, collation := describeIn(sub)
			object, name := extra(sub)
			found = append(found, described{
				Deviation{
					Table: c.T.Name, Text: text, Collation: collation,
					Extra: object != "", Object: object, Name: name,
				},
				&schema.ModifyTable{T: c.T, Changes: []schema.Change{sub}},
			})
		}
		return found
	default:
		return []described{{Deviation{Text: fmt.Sprintf("%T", c)}, c}}
	}
}

// extra names the part that a change drops because no migration makes it.
func extra(c schema.Change) (object, name string) {
	switch c := c.(type) {
	case *schema.DropColumn:
		return "column", c.C.Name
	case *schema.DropIndex:
		return "index", c.I.Name
	case *schema.DropCheck:
		return "check", c.C.Name
	case *schema.DropForeignKey:
		return "foreign key", c.F.Symbol
	default:
		return "", ""
	}
}

// describeIn describes a change within a table.
func describeIn(c schema.Change) (text string, collation bool) {
	const missing, extra, differs = "%s %q is missing", "%s %q is in no migration", "%s %q is not as in the migrations"
	switch c := c.(type) {
	case *schema.AddColumn:
		return fmt.Sprintf(missing, "column", c.C.Name), false
	case *schema.DropColumn:
		return fmt.Sprintf(extra, "column", c.C.Name), false
	case *schema.ModifyColumn:
		const spelling = schema.ChangeCharset | schema.ChangeCollate
		return describeColumn(c), c.Change&^spelling == schema.NoChange
	case *schema.AddIndex:
		return fmt.Sprintf(missing, "index", c.I.Name), false
	case *schema.DropIndex:
		return fmt.Sprintf(extra, "index", c.I.Name), false
	case *schema.ModifyIndex:
		return fmt.Sprintf(differs, "index", c.To.Name), false
	case *schema.AddForeignKey:
		return fmt.Sprintf(missing, "foreign key", c.F.Symbol), false
	case *schema.DropForeignKey:
		return fmt.Sprintf(extra, "foreign key", c.F.Symbol), false
	case *schema.ModifyForeignKey:
		return fmt.Sprintf(differs, "foreign key", c.To.Symbol), false
	case *schema.AddCheck:
		return fmt.Sprintf(missing, "CHECK", c.C.Name), false
	case *schema.DropCheck:
		return fmt.Sprintf(extra, "CHECK", c.C.Name), false
	case *schema.ModifyCheck:
		return fmt.Sprintf(differs, "CHECK", c.To.Name), false
	case *schema.AddPrimaryKey:
		return "the primary key is missing", false
	case *schema.DropPrimaryKey:
		return "the primary key is in no migration", false
	case *schema.ModifyPrimaryKey:
		return "the primary key is not as in the migrations", false
	case *schema.AddAttr:
		return describeAttr(c.A)
	case *schema.DropAttr:
		return describeAttr(c.A)
	case *schema.ModifyAttr:
		return describeAttr(c.To)
	default:
		return fmt.Sprintf("%T", c), false
	}
}

func describeAttr(a schema.Attr) (text string, collation bool) {
	switch a := a.(type) {
	case *schema.Charset:
		return "the character set is not " + a.V, true
	case *schema.Collation:
		return "the collation is not " + a.V, true
	case *mysql.Engine:
		return "the storage engine is not " + a.V, false
	default:
		return fmt.Sprintf("the %s is not as in the migrations", strings.TrimPrefix(fmt.Sprintf("%T", a), "*")), false
	}
}

func describeColumn(c *schema.ModifyColumn) string {
	var what []string
	for _, part := range []struct {
		kind schema.ChangeKind
		text string
	}{
		{schema.ChangeType, fmt.Sprintf("its type is %s, not %s", c.From.Type.Raw, c.To.Type.Raw)},
		{schema.ChangeNull, map[bool]string{true: "it is NOT NULL", false: "it can be NULL"}[c.To.Type.Null]},
		{schema.ChangeDefault, "its default is another"},
		{schema.ChangeCharset, "its character set is another"},
		{schema.ChangeCollate, "its collation is another"},
		{schema.ChangeGenerated, "what it is generated from is another"},
	} {
		if c.Change.Is(part.kind) {
			what = append(what, part.text)
		}
	}
	if onUpdate(c.From) != onUpdate(c.To) {
		what = append(what, "its ON UPDATE is another")
	}
	if counts(c.From) != counts(c.To) {
		what = append(what, "its AUTO_INCREMENT is another")
	}
	if len(what) == 0 {
		what = append(what, "its attributes are others")
	}
	return fmt.Sprintf("column %q: %s", c.To.Name, strings.Join(what, ", "))
}

// single is the statement that makes a change, if it takes one.
func (d *Dev) single(ctx context.Context, c schema.Change) string {
	if add, ok := c.(*schema.AddTable); ok && d.Dialect() != dialect.SQLite && definitionOf(add.T) != nil {
		return definitionOf(add.T).sql
	}
	plan, err := d.db.Driver.PlanChanges(ctx, "drift", []schema.Change{c}, unqualified, func(o *atlas.PlanOptions) {
		o.Mode = atlas.PlanModeDeferred
	})
	if err != nil || len(plan.Changes) == 0 {
		return ""
	}
	cmd := plan.Changes[0].Cmd
	for _, more := range plan.Changes[1:] {
		// Atlas drops an index and makes it anew in two statements for one table.
		m, ok := c.(*schema.ModifyTable)
		if !ok || d.Dialect() == dialect.SQLite {
			return ""
		}
		clause, ok := strings.CutPrefix(more.Cmd, "ALTER TABLE "+dbserver.Quote(m.T.Name)+" ")
		if !ok {
			return ""
		}
		cmd += ", " + clause
	}
	return cmd
}
