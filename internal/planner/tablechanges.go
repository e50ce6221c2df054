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

// Past is how a directory came to its tables.
type Past struct {
	// Changes are the statements that made and changed them, in order.
	Changes []TableChange
	// End is what they lead to.
	End *schema.Schema
}

// PastOf is the past of a directory up to and including a version; an empty version is the newest. It replays the
// directory on dev, one statement at a time. A renamed table keeps its earlier changes.
func PastOf(ctx context.Context, dev *Dev, dir directory.Dir, version string) (*Past, error) {
	if err := directory.Validate(dir); err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	p := &Past{}
	p.End, err = dev.Replay(ctx, func() error {
		at := schema.New("")
		for _, f := range upTo(version, files) {
			if at, err = dev.tableChanges(ctx, f, at, &p.Changes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, ReplayOf(dir, err)
	}
	return p, nil
}

// Made are the tables of s that are just as the directory makes them. Both must be of the kind of dev.
func (p *Past) Made(dev *Dev, s *schema.Schema) (tables []string, err error) {
	dropState(p.End)
	changes, err := dev.compare(p.End, s)
	if err != nil {
		return nil, err
	}
	differ := make(map[string]bool)
	for _, c := range changes {
		differ[tableIn(c)] = true
	}
	for _, t := range s.Tables {
		if !differ[t.Name] {
			tables = append(tables, t.Name)
		}
	}
	return tables, nil
}

// upTo are the files up to and including a version; an empty version is the newest.
func upTo(version string, files []atlas.File) []atlas.File {
	if i := slices.IndexFunc(files, func(f atlas.File) bool { return f.Version() > version }); version != "" && i >= 0 {
		return files[:i]
	}
	return files
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
		if err := d.Run(ctx, stmt.Text, file.Code[i]); err != nil {
			return nil, Refused(ctx, file, i, err)
		}
		if directory.ChangesRows(file.Code[i]) || directory.SetsSession(file.Code[i]) {
			continue
		}
		next, err := d.Inspect(ctx)
		if err != nil {
			return nil, err
		}
		at.Name, at.Attrs = next.Name, next.Attrs
		changes, err := d.Changes(file.Code[i], at, next)
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
