package planner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
)

// Files is the state that the migrations of a directory lead to.
func Files(dir directory.Dir) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		if err := directory.Validate(dir); err != nil {
			return nil, err
		}
		return d.replayDir(ctx, dir)
	}
}

// Database is the state of the database at url, which is only read. It must be
// of the kind of the dev database: MySQL and MariaDB spell a schema differently.
func Database(url string) State {
	return func(ctx context.Context, d *Dev) (_ *schema.Schema, err error) {
		live, err := OpenLive(ctx, url)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, live.Close()) }()
		if live.Flavour() != d.Flavour() {
			return nil, &FlavourError{URL: live.db.URL.String(), Flavour: live.Flavour(), Dev: d.Flavour()}
		}
		s, err := live.Inspect(ctx)
		if err != nil {
			return nil, err
		}
		return s, live.seesForeignKeys(ctx, s)
	}
}

// seesForeignKeys is an error if the server has left foreign keys out: MariaDB
// does so, without a word, for a user that has no other right than SELECT.
func (d *Dev) seesForeignKeys(ctx context.Context, s *schema.Schema) error {
	if d.Dialect() == dialect.SQLite {
		return nil
	}
	seen, there := 0, 0
	for _, t := range s.Tables {
		seen += len(t.ForeignKeys)
	}
	err := d.db.Conn.QueryRowContext(ctx, "SELECT COUNT(DISTINCT TABLE_NAME, CONSTRAINT_NAME) FROM information_schema.KEY_COLUMN_USAGE "+
		"WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL").Scan(&there)
	if err != nil {
		return err
	}
	if seen < there {
		return fmt.Errorf("%s shows this user %d of its %d foreign keys: grant it a right beside SELECT there, such as SHOW VIEW", d.db.URL, seen, there)
	}
	return nil
}

// FlavourError is a database that cannot be compared with what is worked out on
// a dev database of another kind.
type FlavourError struct {
	// URL is the address without its password.
	URL string
	// Flavour is the kind of the database, Dev that of the dev database; see
	// [Dev.Flavour].
	Flavour, Dev string
}

// Found says which database is of another kind.
func (e *FlavourError) Found() string {
	return fmt.Sprintf("%s is a database of %s and cannot be compared with a schema of %s", e.URL, e.Flavour, e.Dev)
}

// Fix says what to do.
func (e *FlavourError) Fix() string { return "use a dev database of " + e.Flavour }

func (e *FlavourError) Error() string { return e.Found() + ": " + e.Fix() }

// OpenLive opens a database that is in use, to plan against. Nothing is executed
// there: of the states only [Database] can be read with it.
func OpenLive(ctx context.Context, url string) (*Dev, error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		// To connect would make it.
		if _, err := os.Stat(u.Database()); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no database %s: correct the path", u)
		}
	}
	d, err := openDev(ctx, u.ReadOnly())
	if err != nil {
		return nil, err
	}
	d.live = true
	return d, nil
}

// Flavour is the kind of the database; see [atlasdb.DB.Flavour].
func (d *Dev) Flavour() string { return d.db.Flavour() }

// Inspect is the schema of a state, as the database of dev spells it: its tables
// in the order of their names, without that of the history, and without the ids
// that rows will get next. The schema of a dev database is given the name
// authgraph.
func Inspect(ctx context.Context, dev *Dev, of State) (*schema.Schema, error) {
	s, err := of(ctx, dev)
	if err != nil {
		return nil, err
	}
	if s.Name == dev.db.URL.Database() && !dev.live {
		s.Name = "authgraph"
	}
	dropState(s)
	slices.SortFunc(s.Tables, func(a, b *schema.Table) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// dropState takes out what a database in use has beside its schema: the table of
// the history and the next ids.
func dropState(s *schema.Schema) {
	s.Tables = slices.DeleteFunc(s.Tables, func(t *schema.Table) bool { return t.Name == atlasdb.RevisionsTable })
	for _, t := range s.Tables {
		t.Attrs = slices.DeleteFunc(t.Attrs, forgetNext)
		for _, c := range t.Columns {
			for _, a := range c.Attrs {
				forgetNext(a)
			}
		}
	}
}

// forgetNext takes the next id out of an attribute, and reports whether it is of
// the kind that holds one.
func forgetNext(a schema.Attr) bool {
	next, ok := a.(*mysql.AutoIncrement)
	if ok {
		next.V = 0
	}
	return ok
}

// MarshalSQL are the statements that make the schema in an empty database.
func MarshalSQL(ctx context.Context, dev *Dev, s *schema.Schema) (string, error) {
	none := schema.New(s.Name)
	none.Attrs = s.Attrs
	add, err := dev.db.Driver.SchemaDiff(none, s, schema.DiffNormalized())
	if err != nil {
		return "", err
	}
	plan, err := dev.plan(ctx, "schema", add)
	if err != nil || len(plan.Changes) == 0 {
		return "", err
	}
	return format(plan)
}

// MarshalHCL is the schema in Atlas's language.
func MarshalHCL(dev *Dev, s *schema.Schema) ([]byte, error) {
	if dev.Dialect() == dialect.SQLite {
		return sqlite.MarshalHCL(s)
	}
	return mysql.MarshalHCL(s)
}

// Comparison is what separates two states.
type Comparison struct {
	// SQL takes the one to the other. It is empty where they are the same.
	SQL string `json:"sql"`
	// Statements are those of SQL.
	Statements []string `json:"statements"`
	// Destructive describes each change that loses data.
	Destructive []string `json:"destructive"`
}

// Compare finds out what takes the state from to the state to. The table of the
// history is no part of either.
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

// TableChange is a statement that made, changed or dropped a table.
type TableChange struct {
	// Table is the name that the table has at the end of the directory.
	Table string `json:"table"`
	// File is the migration, Line where the statement begins in it.
	File string `json:"file"`
	Line int    `json:"line"`
	Stmt string `json:"stmt"`
}

// TableChanges are the statements of a directory that changed its tables, in
// order, found by replaying them one by one on dev. A table that was renamed
// keeps what was done to it before.
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
		return nil, fmt.Errorf("replay the directory: %w", err)
	}
	return all, nil
}

// tableChanges executes one file on the schema at, which becomes another.
func (d *Dev) tableChanges(ctx context.Context, f atlas.File, at *schema.Schema, all *[]TableChange) (*schema.Schema, error) {
	file, err := directory.Split(d.db.Driver, f)
	if err != nil {
		return nil, err
	}
	for i, stmt := range file.Stmts {
		if _, err := d.db.Conn.ExecContext(ctx, stmt.Text); err != nil {
			return nil, file.Error(i, i, err)
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

// renamed gives the tables of earlier changes their new names and returns the
// names of those that are changed, each once.
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
