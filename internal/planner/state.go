package planner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	entschema "entgo.io/ent/dialect/sql/schema"

	"github.com/authgraph/authgraph/internal/directory"
)

// State is a schema that a directory is to lead to.
type State func(context.Context, *Dev) (*schema.Schema, error)

// Tables is the state described by an Ent schema, as generated in ent/migrate:
//
//	planner.Tables(entmigrate.Tables...)
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
		// The database spells types and defaults in its own way: create the tables and look.
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

// SQLFile is the state that the statements in the file at path lead to, such as ent/schema.sql.
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
			return nil, fmt.Errorf("%s is a file of %s, which also holds statements that undo it: "+
				"use a file that only makes the schema", name, tool)
		}
		return d.Replay(ctx, func() error {
			return d.Exec(ctx, atlas.NewLocalFile(name, []byte(statements)))
		})
	}
}

// Files is the state that the migrations of a directory lead to.
func Files(dir directory.Dir) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		if err := directory.Validate(dir); err != nil {
			return nil, err
		}
		return d.replayDir(ctx, dir)
	}
}

// Database is the state of the database at url, which is only read. It must be of the kind of the dev database: MySQL
// and MariaDB spell a schema differently.
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
		s, err := live.inspectWhole(ctx)
		if err != nil {
			return nil, err
		}
		return s, live.seesForeignKeys(ctx, s)
	}
}

// seesForeignKeys is an error if the server has left foreign keys out. MariaDB silently does so for a user that has no
// right but SELECT.
func (d *Dev) seesForeignKeys(ctx context.Context, s *schema.Schema) error {
	if d.Dialect() == dialect.SQLite {
		return nil
	}
	seen, there := 0, 0
	for _, t := range s.Tables {
		seen += len(t.ForeignKeys)
	}
	err := d.db.Conn.QueryRowContext(ctx, "SELECT COUNT(DISTINCT TABLE_NAME, CONSTRAINT_NAME) "+
		"FROM information_schema.KEY_COLUMN_USAGE "+
		"WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL").Scan(&there)
	if err != nil {
		return err
	}
	if seen < there {
		return fmt.Errorf("%s shows this user %d of its %d foreign keys: "+
			"grant it a right beside SELECT there, such as SHOW VIEW", d.db.URL, seen, there)
	}
	return nil
}

// FlavourError is a database that cannot be compared with what is worked out on a dev database of another kind.
type FlavourError struct {
	// URL is the address without its password.
	URL string
	// Flavour is the kind of the database, Dev that of the dev database; see [Dev.Flavour].
	Flavour, Dev string
}

// Found says which database is of another kind.
func (e *FlavourError) Found() string {
	return fmt.Sprintf("%s is a database of %s and cannot be compared with a schema of %s", e.URL, e.Flavour, e.Dev)
}

// Fix says what to do.
func (e *FlavourError) Fix() string { return "use a dev database of " + e.Flavour }

func (e *FlavourError) Error() string { return e.Found() + ": " + e.Fix() }
