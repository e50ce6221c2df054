package planner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	entschema "entgo.io/ent/dialect/sql/schema"

	"github.com/authgraph/authgraph/internal/directory"
)

// ErrNoChanges is returned by [Diff] if the directory already leads to the desired state.
var ErrNoChanges = errors.New("the migration directory is up to date with the schema")

// State is a schema that a directory is to lead to.
type State func(context.Context, *Dev) (*schema.Schema, error)

// Tables is the state described by an Ent schema, as generated in ent/migrate:
//
//	migrate.Tables(entmigrate.Tables...)
func Tables(tables ...*entschema.Table) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		m, err := entschema.NewMigrate(entsql.NewDriver(d.Dialect(), entsql.Conn{ExecQuerier: d.db.Conn}))
		if err != nil {
			return nil, err
		}
		realm, err := m.StateReader(tables...).ReadState(ctx)
		if err != nil {
			return nil, err
		}
		if len(realm.Schemas) == 0 {
			return schema.New(""), nil
		}
		// The database spells types and defaults in its own way: create the
		// tables and look.
		want := realm.Schemas[0]
		if d.Dialect() == dialect.SQLite {
			dropHints(want)
		}
		add, err := d.db.Driver.SchemaDiff(schema.New(want.Name), want)
		if err != nil {
			return nil, err
		}
		return d.Replay(ctx, func() error {
			return d.db.Driver.ApplyChanges(ctx, add, unqualified)
		})
	}
}

// hint is a part of a default that MySQL and MariaDB read and SQLite skips.
var hint = regexp.MustCompile(`/\*!.*?\*/`)

// dropHints keeps what SQLite skips out of its migrations.
func dropHints(s *schema.Schema) {
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			if x, ok := c.Default.(*schema.RawExpr); ok {
				x.X = hint.ReplaceAllString(x.X, "")
			}
		}
	}
}

// SQLFile is the state that the statements in the file at path lead to, such
// as ent/schema.sql.
func SQLFile(path string) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return SQL(path, string(b))(ctx, d)
	}
}

// SQL is the state that statements lead to; name is what an error calls them.
func SQL(name, statements string) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		if tool := directory.ToolOf(statements); tool != "" {
			return nil, fmt.Errorf("%s is a file of %s, whose statements go back, too: take a file that only makes the schema", name, tool)
		}
		return d.Replay(ctx, func() error {
			return d.Exec(ctx, atlas.NewLocalFile(name, []byte(statements)))
		})
	}
}

// Plan is a migration that is planned but not written.
type Plan struct {
	// File is the name it will have in the directory.
	File string `json:"file"`
	// SQL is its content.
	SQL string `json:"sql"`
	// Destructive describes each change that loses data.
	Destructive []string `json:"destructive,omitempty"`

	dir directory.Dir
}

// Write adds the file to the directory and updates the checksums.
func (p *Plan) Write() error {
	return directory.Write(p.dir, p.File, []byte(p.SQL))
}

// Diff plans the migration that takes the schema the directory leads to, as
// replayed on dev, to the state to. The error is [ErrNoChanges] where there is
// nothing to do; nothing is written before [Plan.Write].
func Diff(ctx context.Context, dev *Dev, dir directory.Dir, to State, name string) (*Plan, error) {
	if err := directory.CheckName(name); err != nil {
		return nil, err
	}
	if err := directory.ValidateNew(dir); err != nil {
		return nil, err
	}
	have, err := dev.replayDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	want, err := to(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("read the desired state: %w", err)
	}
	changes, err := dev.compare(have, want)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, ErrNoChanges
	}
	plan, err := dev.plan(ctx, name, changes)
	if err != nil {
		return nil, err
	}
	if len(plan.Changes) == 0 {
		return nil, ErrNoChanges
	}
	sql, err := format(plan)
	if err != nil {
		return nil, err
	}
	file, err := directory.FileName(dir, name)
	if err != nil {
		return nil, err
	}
	return &Plan{File: file, SQL: sql, Destructive: destructive(changes), dir: dir}, nil
}

// unqualified leaves the name of the database out of statements: they run in
// whichever one the connection is to.
func unqualified(o *atlas.PlanOptions) { o.SchemaQualifier = new(string) }

// compare is what takes the schema have to the schema want.
func (d *Dev) compare(have, want *schema.Schema) ([]schema.Change, error) {
	want.Name, want.Attrs = have.Name, have.Attrs
	// Both come from the database: without the option a changed CHECK would
	// count as the same one.
	changes, err := d.db.Driver.SchemaDiff(have, want, schema.DiffNormalized())
	if err != nil {
		return nil, fmt.Errorf("compare the schemas: %w", err)
	}
	replaceChecks(changes)
	return addVisibility(addAttributes(changes, have, want), have, want), nil
}

// plan turns changes into statements.
func (d *Dev) plan(ctx context.Context, name string, changes []schema.Change) (*atlas.Plan, error) {
	plan, err := d.planChanges(ctx, name, changes, func(o *atlas.PlanOptions) {
		o.Indent = "  "
		o.Mode = atlas.PlanModeDeferred
	})
	if err != nil {
		return nil, fmt.Errorf("plan the changes: %w", err)
	}
	plan.Name = name
	return plan, nil
}

// format is the file of a plan that holds changes.
func format(plan *atlas.Plan) (string, error) {
	files, err := atlas.DefaultFormatter.Format(plan)
	if err != nil {
		return "", fmt.Errorf("format the plan: %w", err)
	}
	return string(files[0].Bytes()), nil
}

// replaceChecks drops and adds a CHECK that changed: Atlas modifies it by DROP
// CHECK, which MariaDB does not know.
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

// addAttributes adds the columns whose ON UPDATE or AUTO_INCREMENT differs: Atlas
// compares neither.
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
	for _, a := range c.Attrs {
		if u, ok := a.(*mysql.OnUpdate); ok {
			return strings.ToLower(u.A)
		}
	}
	return ""
}

// counts reports whether the server gives the column its value.
func counts(c *schema.Column) bool { return Attr[*mysql.AutoIncrement](c.Attrs) != nil }

// destructive describes the changes that lose data.
func destructive(changes []schema.Change) []string {
	var lost []string
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.DropTable:
			lost = append(lost, fmt.Sprintf("drops table %q", c.T.Name))
		case *schema.ModifyTable:
			for _, sub := range c.Changes {
				if d, ok := sub.(*schema.DropColumn); ok {
					lost = append(lost, fmt.Sprintf("drops column %q of table %q", d.C.Name, c.T.Name))
				}
			}
		}
	}
	return lost
}

// DriftError is a directory that does not lead to the desired state.
type DriftError struct {
	// SQL is the migration that would get there.
	SQL string
}

// Found says what is wrong.
func (e *DriftError) Found() string { return "the migration directory does not lead to the schema" }

// Fix says what to do.
func (e *DriftError) Fix() string { return "plan the migration that is missing" }

func (e *DriftError) Error() string { return e.Found() + ": " + e.Fix() }

// Check reports whether the directory leads to the state to: nil if it does, a
// [*DriftError] if it does not.
func Check(ctx context.Context, dev *Dev, dir directory.Dir, to State) error {
	plan, err := Diff(ctx, dev, dir, to, "check")
	switch {
	case errors.Is(err, ErrNoChanges):
		return nil
	case err != nil:
		return err
	}
	return &DriftError{SQL: plan.SQL}
}
