package doctor

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/planner"
)

func checkDrift(ctx context.Context, d *database) (off []Finding, err error) {
	switch {
	case d.Unversioned:
		return nil, nil // see migrations
	case len(d.tables) == 0 && (d.history == nil || d.history.Current == ""):
		return nil, nil
	case d.history == nil, d.history.err != nil:
		return nil, errors.New("directory and history disagree, see migrations")
	case d.history.Partial != nil:
		return nil, errors.New("a file is half applied, see migrations")
	case d.history.Current == "":
		return nil, errors.New("without a history it is not known what the tables should be, see migrations")
	}
	open := d.Dev
	if open == nil {
		open = func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, d.given) }
	}
	dir, err := d.directory()
	if err != nil {
		return nil, err
	}
	dev, err := open(ctx)
	if err != nil {
		return d.missing(ctx, err)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	differences, err := planner.Deviations(ctx, dev, dir, d.history.Current, d.raw)
	if err != nil {
		return d.missing(ctx, err)
	}
	d.extra = make(map[object]bool)
	for _, diff := range differences {
		// The next check has these with what they mean.
		if diff.Collation && slices.Contains(d.tables, diff.Table) && d.url.Dialect != dialect.SQLite {
			continue
		}
		if diff.Extra {
			d.extra[object{diff.Table, diff.Object, diff.Name}] = true
			off = append(off,
				found(Info, "make it a migration where every database is to have it", "table %q: %s, and is kept",
					diff.Table, diff.Text))
			continue
		}
		fix := "make it a migration where it is meant"
		if diff.SQL != "" {
			fix += ", else undo it: " + diff.SQL
		}
		off = append(off, d.drifted(ctx, diff.Table, diff.Text, fix))
	}
	if len(off) == 0 {
		return ok("the tables are those of %s", d.history.Current), nil
	}
	return off, nil
}

// drifted makes the finding of a table that is not what the files make.
func (d *database) drifted(ctx context.Context, table, text, fix string) Finding {
	if d.hidden(ctx, table) {
		text += ", or this account has no right on it"
		fix = "where it is there, see privileges; where not, " + fix
	}
	return found(Error, fix, "table %q: %s", table, text)
}

var (
	// tableStmt is a statement that makes, drops or renames tables.
	tableStmt = regexp.MustCompile(`(?is)^\s*(CREATE|ALTER|DROP|RENAME)\s+TABLES?\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(.*)`)
	// tableClause is the table it is about, without the database that it may name, and what that is renamed to.
	tableClause = regexp.MustCompile(`(?is)^\s*` + tableName + `(?:\s+(?:RENAME\s+)?TO\s+` + tableName + `)?`)
)

const tableName = "(?:(?:`[^`]+`|\"[^\"]+\"|\\w+)\\s*\\.\\s*)?[`\"]?(\\w+)[`\"]?"

// made says which tables the applied files make, or all files where the history is not known.
func (d *database) made() (map[string]bool, error) {
	if d.Unversioned {
		return nil, nil
	}
	dir, err := d.directory()
	if err != nil {
		return nil, err
	}
	files, err := dir.Files()
	if err != nil {
		return nil, err
	}
	made := make(map[string]bool)
	for _, f := range files {
		if d.history != nil && d.history.Current != "" && f.Version() > d.history.Current {
			break
		}
		stmts, err := f.Stmts()
		if err != nil {
			return nil, err
		}
		for _, stmt := range stmts {
			m := tableStmt.FindStringSubmatch(stmt)
			if m == nil {
				continue
			}
			verb, clauses := strings.ToUpper(m[1]), m[2:]
			if verb == "DROP" || verb == "RENAME" {
				clauses = strings.Split(m[2], ",")
			}
			for _, clause := range clauses {
				switch names := tableClause.FindStringSubmatch(clause); {
				case names == nil:
				case names[2] != "":
					made[names[1]], made[names[2]] = false, true
				case verb != "ALTER":
					made[names[1]] = verb == "CREATE"
				}
			}
		}
	}
	return made, nil
}

// expected are the tables of the auth graph that are seen, and those that are not
// and should be. Where the files cannot be read, that is all of them.
func (d *database) expected() []string {
	made, err := d.made()
	if err != nil {
		return d.Users.Tables()
	}
	return slices.DeleteFunc(
		d.Users.Tables(),
		func(name string) bool { return !made[name] && !slices.Contains(d.tables, name) },
	)
}

// missing finds the tables that the applied files make and that are not there,
// where for a cause the files could not be replayed.
func (d *database) missing(ctx context.Context, cause error) (off []Finding, err error) {
	made, err := d.made()
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	for _, name := range d.Users.Tables() {
		if made[name] && !slices.Contains(d.tables, name) {
			off = append(off,
				d.drifted(ctx, name, "the table is missing", "make it a migration where it is meant, else restore it"))
		}
	}
	return off, cause
}
