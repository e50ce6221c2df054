package planner

import (
	"regexp"
	"strings"

	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"
)

const (
	// ident matches a name, quoted or not.
	ident = "(`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\\pL\\pN_$]+)"
	// inDatabase matches the database that a name may begin with.
	inDatabase = `(?:` + ident + `\s*\.\s*)?`
	ifExists   = `(?:IF\s+EXISTS\s+)?`
)

var (
	alterTable = regexp.MustCompile(
		`(?i)^\s*ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\s+` + ifExists + inDatabase + ident)
	renameTable  = regexp.MustCompile(`(?i)^\s*RENAME\s+TABLES?\s`)
	renamePair   = regexp.MustCompile(`(?i)` + ident + `\s+TO\s+` + inDatabase + ident)
	renameTo     = regexp.MustCompile(`(?i)\bRENAME\s+(?:TO\s+|AS\s+|=\s*)?` + inDatabase + ident)
	renameColumn = regexp.MustCompile(`(?i)\b(?:RENAME\s+(?:COLUMN\s+)?` + ifExists + ident + `\s+TO|` +
		`CHANGE\s+(?:COLUMN\s+)?` + ifExists + ident + `)\s+` + ident)
	renameIndex = regexp.MustCompile(`(?i)\bRENAME\s+(?:INDEX|KEY)\s+` + ifExists + ident + `\s+TO\s+` + ident)
	indexOn     = regexp.MustCompile(`(?is)^\s*(?:CREATE|DROP)\s.*?\bINDEX\s.*?\bON\s+` + inDatabase + ident)
	// notCode are the parts of a statement in which a word is not a keyword.
	notCode = regexp.MustCompile("(?s)`[^`]*`|'(?:[^'\\\\]|\\\\.)*'|" +
		"\"(?:[^\"\\\\]|\\\\.)*\"|/\\*.*?\\*/|--[^\n]*|#[^\n]*")
)

// code is a statement without its comments and strings.
func code(name, stmt string) string {
	return notCode.ReplaceAllStringFunc(stmt, func(s string) string {
		switch {
		case s[0] == '`', s[0] == '"' && name == dialect.SQLite:
			return s
		case s[0] == '\'', s[0] == '"':
			return "''"
		case s[0] == '#' && name == dialect.SQLite:
			return s
		default:
			return " "
		}
	})
}

// unquote is an identifier without its quotes.
func unquote(id string) string {
	if q := id[:1]; q == "`" || q == `"` {
		return strings.ReplaceAll(id[1:len(id)-1], q+q, q)
	}
	return id
}

// Alter is a statement that changes a table that is there: ALTER TABLE, CREATE INDEX or DROP INDEX.
type Alter struct {
	Table string
	// OnIndex is set for the latter two.
	OnIndex bool
	// NewName is the name that the table is given; empty if it keeps its own.
	NewName string
	// Code is the statement without its comments and strings.
	Code string
}

// ParseAlter reads the code of a statement of a server, as in [directory.File]; it is nil for other statements.
func ParseAlter(stmt string) *Alter {
	a := &Alter{Code: code(dialect.MySQL, stmt)}
	m := alterTable.FindStringSubmatch(a.Code)
	if m == nil {
		m, a.OnIndex = indexOn.FindStringSubmatch(a.Code), true
	}
	if m == nil {
		return nil
	}
	a.Table, a.NewName = unquote(m[2]), newTableName(a.Code)
	return a
}

// Changes is what a statement did to the schema, which was from and is to. Two schemas do not tell a rename from a drop
// and an addition: the statement's code does, as in [directory.File].
func (d *Dev) Changes(stmt string, from, to *schema.Schema) (schema.Changes, error) {
	sql := code(d.Dialect(), stmt)
	if renameTable.MatchString(sql) {
		return renamedTables(sql, from, to), nil
	}
	diff, err := d.db.Driver.SchemaDiff(from, to)
	if err != nil {
		return nil, err
	}
	changes := schema.Changes(addVisibility(diff, from, to))
	m := alterTable.FindStringSubmatch(sql)
	if m == nil {
		return changes, nil
	}
	if name := newTableName(sql); name != "" {
		if changes, err = d.renameTable(changes, unquote(m[2]), name); err != nil {
			return nil, err
		}
	}
	for _, c := range changes {
		t, ok := c.(*schema.ModifyTable)
		if !ok {
			continue
		}
		for _, m := range renameColumn.FindAllStringSubmatch(sql, -1) {
			renameColumnIn(t, unquote(m[1]+m[2]), unquote(m[3]))
		}
		for _, m := range renameIndex.FindAllStringSubmatch(sql, -1) {
			renameIndexIn(t, unquote(m[1]), unquote(m[2]))
		}
	}
	return changes, nil
}

// newTableName is the name that an ALTER TABLE gives its table, if it does.
func newTableName(sql string) string {
	for _, m := range renameTo.FindAllStringSubmatch(sql, -1) {
		switch strings.ToUpper(m[2]) {
		case "COLUMN", "INDEX", "KEY":
		default:
			return unquote(m[2])
		}
	}
	return ""
}

// renamedTables are the changes of a RENAME TABLE statement, which is executed from left to right and may swap tables.
func renamedTables(sql string, from, to *schema.Schema) (changes schema.Changes) {
	type pair struct{ from, to string }
	var pairs []pair
next:
	for _, m := range renamePair.FindAllStringSubmatch(sql, -1) {
		p := pair{unquote(m[1]), unquote(m[3])}
		if m[2] != "" && unquote(m[2]) != to.Name {
			p.to = m[2] + "." + m[3] // no table here has such a name
		}
		for i := range pairs {
			if pairs[i].to == p.from {
				pairs[i].to = p.to
				continue next
			}
		}
		pairs = append(pairs, p)
	}
	for _, p := range pairs {
		a, ok := from.Table(p.from)
		if !ok || p.from == p.to {
			continue
		}
		if b, ok := to.Table(p.to); ok {
			changes = append(changes, &schema.RenameTable{From: a, To: b})
		} else {
			changes = append(changes, &schema.DropTable{T: a})
		}
	}
	return changes
}

// renameTable replaces the drop of table from and the addition of table to by a rename and by the statement's changes
// to columns and indexes.
func (d *Dev) renameTable(changes schema.Changes, from, to string) (schema.Changes, error) {
	i, j := changes.IndexDropTable(from), changes.IndexAddTable(to)
	if i < 0 || j < 0 {
		return changes, nil
	}
	a, b := changes[i].(*schema.DropTable).T, changes[j].(*schema.AddTable).T
	changes[min(i, j)] = &schema.RenameTable{From: a, To: b}
	changes.RemoveIndex(max(i, j))
	same := *a
	same.Name = b.Name
	diff, err := d.db.Driver.TableDiff(&same, b)
	if err != nil {
		return nil, err
	}
	m := &schema.ModifyTable{T: b}
	for _, c := range diff {
		switch c.(type) {
		case *schema.AddColumn, *schema.DropColumn, *schema.ModifyColumn,
			*schema.AddIndex, *schema.DropIndex, *schema.ModifyIndex:
			m.Changes = append(m.Changes, c)
		}
	}
	if len(m.Changes) > 0 {
		changes = append(changes, m)
	}
	return changes, nil
}

// renameColumnIn makes a modification from one name to another, not a schema.RenameColumn: CHANGE can also make the
// column NOT NULL.
func renameColumnIn(t *schema.ModifyTable, from, to string) {
	changes := schema.Changes(t.Changes)
	drop, add := -1, -1
	for i, c := range changes {
		switch c := c.(type) {
		case *schema.DropColumn:
			if strings.EqualFold(c.C.Name, from) {
				drop = i
			}
		case *schema.AddColumn:
			if strings.EqualFold(c.C.Name, to) {
				add = i
			}
		}
	}
	if drop < 0 || add < 0 {
		return
	}
	old, renamed := changes[drop].(*schema.DropColumn).C, changes[add].(*schema.AddColumn).C
	changes[min(drop, add)] = &schema.ModifyColumn{From: old, To: renamed}
	changes.RemoveIndex(max(drop, add))
	t.Changes = changes
}

func renameIndexIn(t *schema.ModifyTable, from, to string) {
	changes := schema.Changes(t.Changes)
	drop, add := changes.IndexDropIndex(from), changes.IndexAddIndex(to)
	if drop < 0 || add < 0 {
		return
	}
	old, renamed := changes[drop].(*schema.DropIndex).I, changes[add].(*schema.AddIndex).I
	changes[min(drop, add)] = &schema.RenameIndex{From: old, To: renamed}
	changes.RemoveIndex(max(drop, add))
	t.Changes = changes
}
