package planner

import (
	"context"
	"slices"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/directory"
)

// TableChange is a statement that made, changed or dropped a table.
type TableChange struct {
	// Table is the name that the table has at the end of the directory.
	Table string `json:"table"`
	// File is the migration, Line the line of it on which the statement begins.
	File string `json:"file"`
	Line int    `json:"line"`
	Stmt string `json:"stmt"`
}

// TableChanges are the statements of a directory that change its tables, in order. It finds them by replaying the
// directory on dev, one statement at a time. A renamed table keeps its earlier changes.
func TableChanges(ctx context.Context, dev *Dev, dir directory.Dir) ([]TableChange, error) {
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	var all []TableChange
	_, err = dev.Replay(ctx, func() error {
		at := schema.New("")
		for _, f := range files {
			if at, err = dev.tableChanges(ctx, f, at, &all); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, ReplayOf(dir, err)
	}
	return all, nil
}

// tableChanges executes one file on the schema at, which becomes another.
func (d *Dev) tableChanges(
	ctx context.Context, f atlas.File, at *schema.Schema, all *[]TableChange,
) (*schema.Schema, error) {
	file, err := directory.Split(d.db.Driver, f)
	if err != nil {
		return nil, err
	}
	for i, stmt := range file.Stmts {
		if err := d.Run(ctx, stmt.Text); err != nil {
			return nil, Refused(ctx, file, i, err)
		}
		if directory.ChangesRows(stmt.Text) || directory.SetsSession(stmt.Text) {
			continue
		}
		next, err := d.Inspect(ctx)
		if err != nil {
			return nil, err
		}
		at.Name, at.Attrs = next.Name, next.Attrs
		changes, err := d.Changes(stmt, at, next)
		if err != nil {
			return nil, err
		}
		if at = next; len(changes) == 0 {
			continue
		}
		for _, table := range renamed(*all, changes) {
			*all = append(*all, TableChange{Table: table, File: f.Name(), Line: file.Line(i), Stmt: stmt.Text})
		}
	}
	return at, nil
}

// renamed gives the tables of earlier changes their new names and returns the names of those that are changed, each
// once.
func renamed(all []TableChange, changes schema.Changes) (tables []string) {
	now := make(map[string]string)
	for _, c := range changes {
		name := ""
		switch c := c.(type) {
		case *schema.AddTable:
			name = c.T.Name
		case *schema.DropTable:
			name = c.T.Name
		case *schema.ModifyTable:
			name = c.T.Name
		case *schema.RenameTable:
			now[c.From.Name], name = c.To.Name, c.To.Name
		default:
			continue
		}
		if !slices.Contains(tables, name) {
			tables = append(tables, name)
		}
	}
	for i, c := range all {
		if to, ok := now[c.Table]; ok {
			all[i].Table = to
		}
	}
	return tables
}
