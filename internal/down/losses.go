package down

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/planner"
)

// Loss is what rows lose by the way back from a file, or what is in its way.
type Loss struct {
	planner.Loss
	File string `json:"file"`
	// Rows is how many.
	Rows int64 `json:"rows"`
}

// Name is the table, or the column as TABLE.COLUMN.
func (l Loss) Name() string {
	if l.Column == "" {
		return l.Table
	}
	return l.Table + "." + l.Column
}

func (l Loss) String() string {
	rows, values := english.Count(int(l.Rows), "row"), english.Count(int(l.Rows), "value")
	switch l.Kind {
	case planner.LostTable:
		return fmt.Sprintf("table %s would be dropped with %s", l.Name(), rows)
	case planner.LostColumn:
		return fmt.Sprintf("column %s would be dropped with %s", l.Name(), values)
	case planner.LostHistory:
		return fmt.Sprintf("table %s would lose the history of its rows, %s", l.Name(), rows)
	case planner.TooLarge:
		return fmt.Sprintf("column %s becomes %s again, which does not hold %s", l.Name(), l.To, values)
	case planner.IsNull:
		return fmt.Sprintf("column %s becomes NOT NULL again, and %s NULL", l.Name(), are(l.Rows, "row"))
	case deleted:
		return fmt.Sprintf("%s of table %s would be deleted", rows, l.Name())
	default:
		return fmt.Sprintf("column %s becomes %s again, which may not hold all of %s", l.Name(), l.To, values)
	}
}

func are(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return english.Count(int(n), noun) + " are"
}

// deleted is the kind of rows that a way back deletes which was written by hand.
const deleted planner.LossKind = "rows"

// Fix says what to do about a loss that is not allowed; allow is the option that allows it.
func (l Loss) Fix(allow string) string {
	switch {
	case l.Kind == planner.IsNull:
		return "give it a value first"
	case l.Blocks():
		return "shorten or change what does not fit first"
	}
	return "allow it with " + allow + " " + l.Name()
}

// LossError is a way back that would take more from rows than is allowed. Nothing of the file's way back ran.
type LossError struct {
	File   string
	Losses []Loss
}

// Found says what would be lost.
func (e *LossError) Found() string {
	var lines []string
	for _, l := range e.Losses {
		lines = append(lines, l.String())
	}
	return fmt.Sprintf("the way back from %s stopped before it began: %s", e.File, strings.Join(lines, "; "))
}

// Fix says what to do.
func (e *LossError) Fix() string { return "allow it, or change the rows" }

func (e *LossError) Error() string { return e.Found() + ": " + e.Fix() }

// Refused are the losses that are not allowed.
func (p *Plan) Refused() []Loss { return p.refused(p.Losses) }

func (p *Plan) refused(found []Loss) []Loss {
	return slices.DeleteFunc(slices.Clone(found), func(l Loss) bool {
		return !l.Blocks() && slices.ContainsFunc(p.opts.Allow, func(name string) bool {
			return strings.EqualFold(name, l.Name()) || strings.EqualFold(name, l.Table)
		})
	})
}

// count asks how many rows the losses of a file are about, and leaves out those that are about none. The database is
// where the way at begins: what is made later has no rows yet, or is counted before the file that drops it.
func count(ctx context.Context, db *atlasdb.DB, f File, at *planner.Way) (found []Loss, err error) {
	for _, l := range f.losses {
		if !at.Begins(l.Table, l.Column) {
			continue
		}
		var rows int64
		err := db.Conn.QueryRowContext(ctx, l.Query).Scan(&rows)
		if err != nil && l.Kind == deleted {
			// The condition may be about what the statements before it make.
			err = db.Conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+dbserver.Quote(l.Table)).Scan(&rows)
		}
		if err != nil {
			return nil, fmt.Errorf("count what %s would lose: %w", Loss{Loss: l}.Name(), err)
		}
		if rows > 0 {
			found = append(found, Loss{Loss: l, File: f.Name, Rows: rows})
		}
	}
	return found, nil
}

const ident = "(`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\\pL\\pN_$]+)"

var (
	object = regexp.MustCompile(`(?is)^\s*(?:CREATE|ALTER|DROP)\b(?:\s+OR\s+REPLACE\b|\s+ALGORITHM\s*=\s*\w+|` +
		`\s+DEFINER\s*=\s*\S+|\s+SQL\s+SECURITY\s+\w+|\s+AGGREGATE\b|\s+TEMP(?:ORARY)?\b|\s+VIRTUAL\b)*` +
		`\s+(VIEW|TRIGGER|PROCEDURE|FUNCTION|EVENT|SEQUENCE|PACKAGE|USER|ROLE|DATABASE|SCHEMA)\b`)
	grants   = regexp.MustCompile(`(?is)^\s*(GRANT|REVOKE)\b`)
	rowsOf   = regexp.MustCompile(`(?is)^\s*(?:INSERT|REPLACE|UPDATE|DELETE)\b.*?\b(?:INTO|UPDATE|FROM)\s+` + ident)
	updates  = regexp.MustCompile(`(?is)^\s*UPDATE\s+` + ident)
	empties  = regexp.MustCompile(`(?is)^\s*(?:TRUNCATE(?:\s+TABLE)?|DROP\s+TABLE(?:\s+IF\s+EXISTS)?)\s+` + ident)
	deletes  = regexp.MustCompile(`(?is)^\s*DELETE\s+(?:\w+\s+)*?FROM\s+` + ident + `\s*(WHERE\b.*)?;?\s*$`)
	alters   = regexp.MustCompile(`(?is)^\s*ALTER\s+TABLE\s+` + ident)
	drops    = regexp.MustCompile(`(?is)\bDROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?` + ident)
	reads    = regexp.MustCompile(`(?is)^\s*(?:SELECT|TABLE|VALUES|WITH)\b`)
	modifies = regexp.MustCompile(`(?is)\b(?:INSERT|UPDATE|DELETE|REPLACE)\b`)
)

// makesObject is the kind of what a statement makes, changes or drops, if that is no table.
func makesObject(code string) string {
	if m := object.FindStringSubmatch(code); m != nil {
		return strings.ToLower(m[1])
	}
	if grants.MatchString(code) {
		return "right"
	}
	return ""
}

// changesRows says that a statement changed rows, which no plan changes back; empty if it did not, or if they go with
// their table.
func changesRows(code string, way *planner.Way) string {
	onlyReads := reads.MatchString(code) && !modifies.MatchString(code)
	if onlyReads || !directory.ChangesRows(code) && !directory.Calls(code) {
		return ""
	}
	m := updates.FindStringSubmatch(code)
	if m == nil {
		m = rowsOf.FindStringSubmatch(code)
	}
	if m == nil {
		return "may have changed rows: they stay as they are"
	}
	name := plain(m[1])
	if slices.ContainsFunc(way.Losses, func(l planner.Loss) bool {
		return l.Kind == planner.LostTable && strings.EqualFold(l.Table, name)
	}) {
		return ""
	}
	return "changed rows of " + name + ": they stay as they are"
}

func plain(name string) string {
	if q := name[:1]; q == "`" || q == `"` {
		return strings.ReplaceAll(name[1:len(name)-1], q+q, q)
	}
	return name
}

// byHandLosses are the losses of a way back that was written by hand: those that the schema shows, but for what it
// renames, and the rows that it deletes.
func byHandLosses(losses []planner.Loss, back *directory.File) []planner.Loss {
	kept := slices.DeleteFunc(slices.Clone(losses), func(l planner.Loss) bool {
		return slices.ContainsFunc(back.Code, func(code string) bool { return renames(code, l) })
	})
	for i, code := range back.Code {
		if table := alters.FindStringSubmatch(code); table != nil {
			for _, m := range drops.FindAllStringSubmatch(code, -1) {
				kept = addDropped(kept, plain(table[1]), plain(m[1]))
			}
		} else if m := empties.FindStringSubmatch(code); m != nil {
			kept = addDeleted(kept, plain(m[1]), "")
		} else if m := deletes.FindStringSubmatchIndex(code); m != nil {
			where := ""
			if m[4] >= 0 { // with the texts, which the code leaves blank
				where = strings.TrimSuffix(strings.TrimSpace(back.Stmts[i].Text[m[4]:m[5]]), ";")
			}
			kept = addDeleted(kept, plain(code[m[2]:m[3]]), where)
		}
	}
	return kept
}

// addDropped adds a column that is dropped and made again, which two schemas do not show. What is no column is not
// there when it is counted.
func addDropped(losses []planner.Loss, table, column string) []planner.Loss {
	if slices.ContainsFunc(losses, func(l planner.Loss) bool {
		return strings.EqualFold(l.Table, table) && (strings.EqualFold(l.Column, column) || l.Kind == planner.LostTable)
	}) {
		return losses
	}
	return append(losses, planner.Loss{
		Kind: planner.LostColumn, Table: table, Column: column,
		Query: "SELECT COUNT(" + dbserver.Quote(column) + ") FROM " + dbserver.Quote(table),
	})
}

func addDeleted(losses []planner.Loss, table, where string) []planner.Loss {
	if slices.ContainsFunc(losses, func(l planner.Loss) bool {
		return strings.EqualFold(l.Table, table) && (l.Kind == planner.LostTable || l.Kind == deleted && where == "")
	}) {
		return losses
	}
	query := strings.TrimSpace("SELECT COUNT(*) FROM " + dbserver.Quote(table) + " " + where)
	return append(losses, planner.Loss{Kind: deleted, Table: table, Query: query})
}

// renames reports whether a statement gives the table or the column of a loss another name.
func renames(code string, l planner.Loss) bool {
	quoted := func(name string) string {
		return "[`\"]?" + regexp.QuoteMeta(name) + "[`\"]?"
	}
	var text string
	if l.Column == "" {
		text = `(?is)(?:^\s*RENAME\s+TABLES?\s(?:.*,)?\s*` + quoted(l.Table) + `\s+TO\b|` +
			`^\s*ALTER\s+TABLE\s+` + quoted(l.Table) + `\s+RENAME\s+(?:TO\s+|AS\s+)?[^\s]+\s*;?\s*$)`
	} else {
		text = `(?is)^\s*ALTER\s+TABLE\s+` + quoted(l.Table) + `\s.*\b(?:RENAME\s+COLUMN\s+` + quoted(l.Column) +
			`\s+TO|CHANGE\s+(?:COLUMN\s+)?` + quoted(l.Column) + `\s)`
	}
	re, err := regexp.Compile(text)
	return err == nil && re.MatchString(code)
}
