package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/planner"
)

// object is a part of a table.
type object struct{ table, kind, name string }

// byHand reports whether no migration makes a part of a table. Where drift could not
// compare, that is known only of what no file names, and of nothing without files.
func (d *database) byHand(o object) (bool, error) {
	if d.Unversioned {
		return false, nil
	}
	if d.extra != nil {
		return d.extra[o], nil
	}
	named, err := d.named(o.name)
	return !named, err
}

// named reports whether a migration names something.
func (d *database) named(name string) (bool, error) {
	dir, err := d.directory()
	if err != nil {
		return false, err
	}
	files, err := dir.Files()
	if err != nil {
		return false, err
	}
	word := word(name)
	return slices.ContainsFunc(files, func(f atlas.File) bool { return word.Match(f.Bytes()) }), nil
}

// word matches a name that stands alone.
func word(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^\pL\pN_$])` + regexp.QuoteMeta(name) + `(?:$|[^\pL\pN_$])`)
}

// checkInserts looks for what was added by hand and lets the inserts of the
// project's clients fail. Nothing is inserted to find out.
func checkInserts(ctx context.Context, d *database) (off []Finding, err error) {
	live, err := planner.OpenLive(ctx, d.raw)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	s, err := planner.Inspect(ctx, live, planner.Database(d.raw))
	if err != nil {
		return nil, err
	}
	for _, t := range s.Tables {
		if !slices.Contains(d.tables, t.Name) {
			continue
		}
		for _, look := range []func(*schema.Table) ([]Finding, error){
			d.columnsByHand, d.uniqueByHand, d.foreignKeysByHand, d.checksByHand, d.stricter,
		} {
			more, err := look(t)
			if err != nil {
				return off, err
			}
			off = append(off, more...)
		}
	}
	if len(off) == 0 {
		return ok("nothing was added by hand that refuses rows"), nil
	}
	return off, nil
}

// undo is what to do about a part that no migration makes.
func undo(format string, args ...any) string {
	return "make it a migration where it is meant, else undo it: " + fmt.Sprintf(format, args...)
}

func (d *database) columnsByHand(t *schema.Table) (off []Finding, err error) {
	for _, c := range t.Columns {
		byHand, err := d.byHand(object{t.Name, "column", c.Name})
		if err != nil {
			return off, err
		}
		_, computed := attribute[*schema.GeneratedExpr](c.Attrs)
		_, counted := attribute[*mysql.AutoIncrement](c.Attrs)
		switch {
		case !byHand:
		case computed:
			off = append(off, found(Warning, undo("ALTER TABLE %s DROP COLUMN %s",
				dbserver.Quote(t.Name), dbserver.Quote(c.Name)),
				"column %q of table %q is computed at each write, and no migration makes it: a row for which that "+
					"fails is "+"refused", c.Name, t.Name))
		case !c.Type.Null && c.Default == nil && !counted:
			fix := "make it nullable, or give it a default"
			if d.url.Dialect == dialect.MySQL {
				fix = fmt.Sprintf("ALTER TABLE %s MODIFY %s NULL", dbserver.Quote(t.Name), definition(c))
			}
			off = append(off,
				found(Error, fix, "column %q of table %q is NOT NULL without a default, and no migration "+
					"makes it: every insert by this project's clients fails (error 1364)", c.Name, t.Name))
		}
	}
	return off, nil
}

// definition is the type of a column in a statement that changes another part of it.
func definition(c *schema.Column) string {
	text := dbserver.Quote(c.Name) + " " + c.Type.Raw
	if charset, ok := attribute[*schema.Charset](c.Attrs); ok {
		text += " CHARACTER SET " + charset.V
	}
	if collation, ok := attribute[*schema.Collation](c.Attrs); ok {
		text += " COLLATE " + collation.V
	}
	return text
}

// attribute is that of a type among attributes.
func attribute[T schema.Attr](attrs []schema.Attr) (found T, ok bool) {
	for _, a := range attrs {
		if found, ok = a.(T); ok {
			break
		}
	}
	return found, ok
}

func (d *database) uniqueByHand(t *schema.Table) (off []Finding, err error) {
	columns := func(i *schema.Index) (names []string) {
		for _, p := range i.Parts {
			if p.C == nil {
				return nil
			}
			names = append(names, p.C.Name)
		}
		return names
	}
	for _, i := range t.Indexes {
		if !i.Unique {
			continue
		}
		byHand, err := d.byHand(object{t.Name, "index", i.Name})
		if err != nil {
			return off, err
		}
		free, err := d.leftNull(t.Name, indexed(i))
		if err != nil {
			return off, err
		}
		of := columns(i)
		implied := slices.ContainsFunc(append(slices.Clone(t.Indexes), t.PrimaryKey), func(other *schema.Index) bool {
			if other == nil || other == i || !other.Unique && other != t.PrimaryKey {
				return false
			}
			parts := columns(other)
			return parts != nil &&
				!slices.ContainsFunc(parts, func(name string) bool { return !slices.Contains(of, name) })
		})
		if !byHand || free || implied {
			continue
		}
		fix := "DROP INDEX " + dbserver.Quote(i.Name)
		if d.url.Dialect == dialect.MySQL {
			fix += " ON " + dbserver.Quote(t.Name)
		}
		what := "what it is made of"
		if of != nil {
			what = strings.Join(of, ", ")
		}
		off = append(off, found(Error, undo("%s", fix),
			"index %q of table %q is UNIQUE, and no migration makes it: a second row with the same %s is refused "+
				"(error "+"1062)", i.Name, t.Name, what))
	}
	return off, nil
}

// indexed are the columns of an index.
func indexed(i *schema.Index) (columns []*schema.Column) {
	for _, p := range i.Parts {
		if p.C != nil {
			columns = append(columns, p.C)
		}
	}
	return columns
}

// leftNull reports whether one of the columns is unknown to the project's clients and
// stays NULL in what they write, so that no key on it refuses a row.
func (d *database) leftNull(table string, columns []*schema.Column) (bool, error) {
	for _, c := range columns {
		byHand, err := d.byHand(object{table, "column", c.Name})
		if err != nil || byHand && c.Type.Null && c.Default == nil {
			return err == nil, err
		}
	}
	return false, nil
}

func (d *database) foreignKeysByHand(t *schema.Table) (off []Finding, err error) {
	for _, k := range t.ForeignKeys {
		byHand, err := d.byHand(object{t.Name, "foreign key", k.Symbol})
		if err != nil {
			return off, err
		}
		free, err := d.leftNull(t.Name, k.Columns)
		if err != nil {
			return off, err
		}
		if !byHand || free {
			continue
		}
		fix := "build the table anew without it"
		if d.url.Dialect == dialect.MySQL {
			fix = fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s", dbserver.Quote(t.Name), dbserver.Quote(k.Symbol))
		}
		var names []string
		for _, c := range k.Columns {
			names = append(names, c.Name)
		}
		off = append(off, found(Error, undo("%s", fix),
			"foreign key %q of table %q is made by no migration: a row whose %s is not in table %q is refused "+
				"(error 1452)", k.Symbol, t.Name, strings.Join(names, ", "), k.RefTable.Name))
	}
	return off, nil
}

func (d *database) checksByHand(t *schema.Table) (off []Finding, err error) {
	for _, a := range t.Attrs {
		c, ok := a.(*schema.Check)
		if !ok || c.Name == "" || strings.HasPrefix(c.Expr, "json_valid") {
			continue
		}
		byHand, err := d.byHand(object{t.Name, "check", c.Name})
		if err != nil {
			return off, err
		}
		if byHand {
			fix := "build the table anew without it"
			if d.url.Dialect == dialect.MySQL {
				fix = fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", dbserver.Quote(t.Name), dbserver.Quote(c.Name))
			}
			off = append(off, found(Warning, undo("%s", fix),
				"CHECK %q of table %q is made by no migration: a row that does not meet it is refused (error 3819, on "+
					"MariaDB 4025)", c.Name, t.Name))
		}
	}
	return off, nil
}

// stricter finds the columns of the schema that take less than in the schema. Where
// drift could compare, it has said so.
func (d *database) stricter(t *schema.Table) (off []Finding, err error) {
	if d.extra != nil {
		return nil, nil
	}
	const fix = "see drift, with an account that may compare; where a migration of yours makes it so, it is meant"
	for _, known := range d.Users.Declared(t.Name).Columns {
		c, there := t.Column(known.Name)
		if !there {
			continue
		}
		if known.Nullable && !c.Type.Null && c.Default == nil {
			off = append(off, found(Warning, fix, "column %q of table %q is NOT NULL, and NULL in the schema: rows "+
				"without it are refused (error 1048)", c.Name, t.Name))
		}
		if text, ok := c.Type.Type.(*schema.StringType); ok && d.url.Dialect == dialect.MySQL && text.Size > 0 &&
			int64(text.Size) < known.Size {
			off = append(off, found(Warning, fix, "column %q of table %q holds %d characters, and %d in the schema: "+
				"longer values are refused (error 1406)", c.Name, t.Name, text.Size, known.Size))
		}
	}
	return off, nil
}
