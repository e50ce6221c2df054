package planner

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// Object is what a database holds and a schema does not cover: it is neither shown nor compared.
type Object struct {
	// Kind is view, trigger, procedure, function, event, sequence, virtual table, or table or column with a Reason.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Reason says why, where the kind does not.
	Reason string `json:"reason,omitempty"`

	// table is that of a trigger, sql the statement that makes the object, if that is known.
	table, sql string
	// printed is set if [MarshalSQL] prints it all the same.
	printed bool
}

func (o Object) String() string {
	text := fmt.Sprintf("%s %q", o.Kind, o.Name)
	if o.Reason != "" {
		text += " (" + o.Reason + ")"
	}
	return text
}

// uncovered are the objects of a database that its schema does not cover.
type uncovered struct {
	schema.Attr
	objects []Object
}

// NotCovered are the objects that a schema from [Inspect] leaves out, with the tables that Atlas could not read.
func NotCovered(s *schema.Schema) []Object {
	if u := Attr[*uncovered](s.Attrs); u != nil {
		return u.objects
	}
	return []Object{}
}

// NotPrinted are those of them that [MarshalSQL] does not print.
func NotPrinted(s *schema.Schema) []Object {
	return slices.DeleteFunc(slices.Clone(NotCovered(s)), func(o Object) bool { return o.printed })
}

// inspectWhole is the schema that the database holds now, with the server's own definition of each table and a list of
// what is not covered.
func (d *Dev) inspectWhole(ctx context.Context) (*schema.Schema, error) {
	s, err := d.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	left := &uncovered{}
	if left.objects, err = d.objects(ctx); err != nil {
		return nil, err
	}
	left.objects = slices.DeleteFunc(left.objects, func(o Object) bool { return o.Kind == isTable })
	if d.Dialect() == dialect.SQLite {
		err = d.defineSQLite(ctx, s)
	} else {
		err = d.db.Plainly(ctx, func() error {
			if err := d.defineTables(ctx, s, left); err != nil {
				return err
			}
			return d.findLoose(ctx, s)
		})
	}
	for _, t := range s.Tables {
		left.objects = append(left.objects, unreadable(s, t)...)
	}
	s.Attrs = append(s.Attrs, left)
	return s, err
}

// unreadable names the table, or its columns, of which the server does not say what they are.
func unreadable(s *schema.Schema, t *schema.Table) (found []Object) {
	if u := Attr[*atlasdb.Unreadable](t.Attrs); u != nil {
		found = append(found, Object{
			Kind: isTable, Name: t.Name, Reason: u.Err.Error(), printed: definitionOf(t) != nil,
		})
	}
	d := definitionOf(t)
	if d == nil {
		return found
	}
	for _, p := range d.parts {
		if d.lite {
			break
		}
		if _, ok := s.Table(p.parent); p.parent != "" && !ok {
			found = append(found, Object{Kind: isKey, Name: t.Name + "." + p.name,
				Reason: fmt.Sprintf("it leads to table %q, which is not there", p.parent)})
		}
		if lossy(p.text) {
			found = append(found, Object{Kind: p.object, Name: t.Name + "." + p.name,
				Reason: "the server shows ? in a text of it, perhaps for a character of four bytes"})
		}
	}
	return found
}

// lossy reports whether a string of a clause, other than its comment, holds what the server shows in place of a
// character that its own texts cannot hold: they are of utf8mb3.
func lossy(clause string) bool {
	words := tokens(clause, false)
	for i, w := range words {
		if w[0] == '\'' && strings.Contains(w, "?") && (i == 0 || words[i-1] != "COMMENT") {
			return true
		}
	}
	return false
}

// objectQueries list what a database holds: kind, name, table, statement.
var objectQueries = map[string]string{
	dialect.MySQL: "SELECT CASE TABLE_TYPE WHEN 'BASE TABLE' THEN 'table' WHEN 'SYSTEM VERSIONED' THEN 'table' " +
		"ELSE LOWER(TABLE_TYPE) END, TABLE_NAME, '', '' FROM information_schema.TABLES " +
		"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE NOT LIKE 'TEMPORARY%' " +
		"UNION ALL SELECT 'trigger', TRIGGER_NAME, EVENT_OBJECT_TABLE, '' FROM information_schema.TRIGGERS " +
		"WHERE TRIGGER_SCHEMA = DATABASE() " +
		"UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, '', '' FROM information_schema.ROUTINES " +
		"WHERE ROUTINE_SCHEMA = DATABASE() " +
		"UNION ALL SELECT 'event', EVENT_NAME, '', '' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() " +
		"ORDER BY 1, 2",
	dialect.SQLite: "SELECT CASE l.type WHEN 'virtual' THEN 'virtual table' ELSE m.type END, m.name, m.tbl_name, " +
		"m.sql FROM sqlite_master AS m LEFT JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = m.name " +
		"WHERE m.type <> 'index' AND COALESCE(l.type, '') <> 'shadow' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' " +
		"ORDER BY 1, 2",
}

// objects are all that the database holds.
func (d *Dev) objects(ctx context.Context) (found []Object, err error) {
	err = d.db.Rows(ctx, objectQueries[d.Dialect()], func(r []sql.NullString) {
		found = append(found, Object{Kind: r[0].String, Name: r[1].String, table: r[2].String, sql: r[3].String})
	})
	return found, err
}

// defineTables asks for the definition of each table: no server gives several at once. A table that may not be read
// keeps what Atlas read.
func (d *Dev) defineTables(ctx context.Context, s *schema.Schema, left *uncovered) error {
	// A default may name a sequence with the database that it is in.
	qualifier := dbserver.Quote(s.Name) + "."
	for i, o := range left.objects {
		if o.Kind != "sequence" {
			continue
		}
		if err := d.db.Rows(ctx, "SHOW CREATE SEQUENCE "+dbserver.Quote(o.Name), func(r []sql.NullString) {
			left.objects[i].sql, left.objects[i].printed = r[1].String, true
		}); err != nil && !dbserver.IsServers(err) {
			return err
		}
	}
	for _, t := range s.Tables {
		err := d.db.Rows(ctx, "SHOW CREATE TABLE "+dbserver.Quote(t.Name), func(r []sql.NullString) {
			def := define(strings.ReplaceAll(r[1].String, qualifier, ""), false)
			t.AddAttrs(def)
			correct(t, def)
		})
		switch {
		case dbserver.IsServers(err):
			t.AddAttrs(&atlasdb.Unreadable{Err: err})
		case err != nil:
			return fmt.Errorf("read table %q: %w", t.Name, err)
		}
	}
	return nil
}

// findLoose finds the foreign keys that an older server made, and that this one makes on request only.
func (d *Dev) findLoose(ctx context.Context, s *schema.Schema) error {
	var loose []*part
	for _, t := range s.Tables {
		def := definitionOf(t)
		if def == nil {
			continue
		}
		for i, p := range def.parts {
			parent, ok := s.Table(p.parent)
			if ok && definitionOf(parent) != nil && !definitionOf(parent).unique(p.finds) {
				loose = append(loose, &def.parts[i])
			}
		}
	}
	if len(loose) == 0 {
		return nil
	}
	return d.db.Rows(ctx, "SHOW VARIABLES LIKE 'restrict_fk_on_non_standard_key'", func([]sql.NullString) {
		for _, p := range loose {
			p.loose = true
		}
	})
}

// correct corrects what Atlas took for a text though it is an expression: the default of a column with ON UPDATE.
func correct(t *schema.Table, def *definition) {
	for _, c := range t.Columns {
		if _, ok := c.Default.(*schema.Literal); !ok || Attr[*mysql.OnUpdate](c.Attrs) == nil {
			continue
		}
		p, _ := def.find(isColumn, c.Name)
		if _, text, ok := strings.Cut(p.text, " DEFAULT ("); ok {
			_, parts, _ := brackets("("+text, false)
			c.Default = &schema.RawExpr{X: "(" + strings.Join(parts, ",") + ")"}
		}
	}
}

// defineSQLite reads the definitions that SQLite keeps.
func (d *Dev) defineSQLite(ctx context.Context, s *schema.Schema) error {
	return d.db.Rows(ctx, "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('table', 'index') "+
		"AND sql IS NOT NULL ORDER BY type DESC, rowid", func(r []sql.NullString) {
		t, ok := s.Table(r[2].String)
		switch {
		case !ok:
		case r[0].String == "table":
			t.AddAttrs(define(r[3].String, true))
		default:
			def := definitionOf(t)
			def.parts = append(def.parts, part{object: isIndex, name: r[1].String, text: r[3].String})
		}
	})
}
