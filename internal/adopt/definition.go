package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// tableDef is a table as SHOW CREATE TABLE words it, cut into its parts. That
// wording is complete, and what a statement made of it leads to is worded the
// same again, which holds for no other description of a table.
type tableDef struct {
	name    string
	columns parts
	indexes parts // the primary key is named PRIMARY
	checks  parts
	foreign parts
	// options is what follows the closing bracket, without AUTO_INCREMENT.
	options string
	// text is all of it.
	text string
}

// part is a column, an index or a constraint: for a column text is what follows
// its name, else the whole definition.
type part struct{ name, text string }

type parts []part

func (p parts) find(name string) (part, bool) {
	i := p.index(name)
	if i < 0 {
		return part{}, false
	}
	return p[i], true
}

func (p parts) index(name string) int {
	return slices.IndexFunc(p, func(x part) bool { return strings.EqualFold(x.name, name) })
}

// quoted is a name in backticks, in which a backtick is doubled.
const quoted = "`((?:[^`]|``)+)`"

var (
	startsQuoted = regexp.MustCompile(`^` + quoted + ` `)
	indexLine    = regexp.MustCompile(`^(?:\w+ )?KEY ` + quoted)
	constraint   = regexp.MustCompile(`^CONSTRAINT ` + quoted + ` (\w+)`)
)

// parseTable reads the answer to SHOW CREATE TABLE, which has a line a part and
// escapes the line breaks of texts.
func parseTable(name, text string) *tableDef {
	t := &tableDef{name: name, text: autoIncrement.ReplaceAllString(text, "")}
	lines := strings.Split(t.text, "\n")
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, ")") {
			t.options = strings.Join(lines[i+1:], "\n")
			break
		}
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		if m := startsQuoted.FindStringSubmatch(line); m != nil {
			t.columns = append(t.columns, part{unquoteName(m[1]), line[len(m[0]):]})
		} else if strings.HasPrefix(line, "PRIMARY KEY") {
			t.indexes = append(t.indexes, part{primary, line})
		} else if m := indexLine.FindStringSubmatch(line); m != nil {
			t.indexes = append(t.indexes, part{unquoteName(m[1]), line})
		} else if m := constraint.FindStringSubmatch(line); m != nil && m[2] == "FOREIGN" {
			t.foreign = append(t.foreign, part{unquoteName(m[1]), line})
		} else if m != nil {
			t.checks = append(t.checks, part{unquoteName(m[1]), line})
		}
	}
	return t
}

const primary = "PRIMARY"

// autoIncrement is the one part of a definition that rows change.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

func unquoteName(name string) string { return strings.ReplaceAll(name, "``", "`") }

// Session is the statement that prepares a connection as that of an [Run] is
// prepared: a value that a column cannot hold is refused, and so is a row that a
// key or a check forbids; an id of 0 stays, times are UTC, a TIMESTAMP has no
// default of the server's own, and definitions are worded in one way. Zero dates are
// not refused: a column of the team's own may hold them, or have one as its default,
// and the server would refuse any ALTER of its table. Those in the columns of this
// schema are looked for instead, before and after.
const Session = adoptMode + ", explicit_defaults_for_timestamp = 1, default_storage_engine = InnoDB" + adoptRest

// What a session has that was prepared, see [atlasdb.DB.Prepare], is not set once more: there
// are servers on which it is right and cannot be set.
const (
	adoptMode = "SET sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'"
	adoptRest = ", time_zone = '+00:00', sql_quote_show_create = 1, " + atlasdb.ChecksOn
)

// readTables reads the definition of every table of the database in use.
func readTables(ctx context.Context, db *atlasdb.DB) (map[string]*tableDef, error) {
	if _, err := db.Conn.ExecContext(ctx, adoptMode+adoptRest); err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	var names []string
	err := db.Rows(ctx, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'", func(r []sql.NullString) { names = append(names, r[0].String) })
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	all := make(map[string]*tableDef, len(names))
	for _, name := range names {
		if name == atlasdb.RevisionsTable {
			continue
		}
		err := db.Rows(ctx, "SHOW CREATE TABLE "+dbserver.Quote(name), func(r []sql.NullString) { all[name] = parseTable(name, r[1].String) })
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", name, err)
		}
	}
	return all, nil
}

// columnsOf are the columns of an index; nil where it is not on columns alone.
func columnsOf(index part) []string {
	list := bracket(index.text)
	if strings.HasPrefix(list, "(") {
		return nil
	}
	return quotedNames(list)
}

// bracket is what the first brackets of a definition enclose, names in
// backticks skipped.
func bracket(text string) string {
	depth, start, inName := 0, 0, false
	for i, r := range text {
		switch {
		case r == '`':
			inName = !inName
		case inName:
		case r == '(':
			if depth++; depth == 1 {
				start = i + 1
			}
		case r == ')':
			if depth--; depth == 0 {
				return text[start:i]
			}
		}
	}
	return ""
}

var quotedName = regexp.MustCompile(quoted)

func quotedNames(list string) []string {
	var names []string
	for _, m := range quotedName.FindAllStringSubmatch(list, -1) {
		names = append(names, unquoteName(m[1]))
	}
	return names
}

func isUnique(index part) bool {
	return index.name == primary || strings.HasPrefix(index.text, "UNIQUE ")
}

// foreignKey is a foreign key, whose part is worded as the server words it.
type foreignKey struct {
	part
	table, parent  string
	columns, finds []string
}

var foreignLine = regexp.MustCompile("^CONSTRAINT " + quoted + ` FOREIGN KEY \(([^)]*)\) REFERENCES ` + quoted + ` \(([^)]*)\)`)

// parseForeign reads a foreign key; ok is false for one to another database.
func parseForeign(table string, p part) (fk foreignKey, ok bool) {
	m := foreignLine.FindStringSubmatch(p.text)
	if m == nil {
		return fk, false
	}
	return foreignKey{part: p, table: table, parent: unquoteName(m[3]), columns: quotedNames(m[2]), finds: quotedNames(m[4])}, true
}

// sameColumns reports whether two foreign keys lead from and to the same columns.
func (fk foreignKey) sameColumns(other foreignKey) bool {
	return fk.table == other.table && fk.parent == other.parent && slices.Equal(fk.columns, other.columns) && slices.Equal(fk.finds, other.finds)
}

// columnType is the part of a column's definition that says what it can hold.
type columnType struct {
	// base is the type's name, args what follows in brackets.
	base, args string
	unsigned   bool
	charset    string
	notNull    bool
	// fills is set if a row need not name the column.
	fills bool
	// check is the condition of a CHECK of the column, as MariaDB has it.
	check string
}

var (
	typeStart   = regexp.MustCompile(`^(\w+)(\((?:[^')]|'(?:[^'\\]|''|\\.)*')*\))?( unsigned)?`)
	charsetName = regexp.MustCompile(`^ (?:CHARACTER SET (\w+))?`)
	columnCheck = regexp.MustCompile(` CHECK \((.*)\)$`)
	fills       = regexp.MustCompile(` (DEFAULT |AUTO_INCREMENT|GENERATED ALWAYS)`)
	tableSet    = regexp.MustCompile(`DEFAULT CHARSET=(\w+)(?: COLLATE=(\w+))?`)
	engineName  = regexp.MustCompile(`ENGINE=(\w+)`)
)

// typeOf reads a column's type; the character set is the table's where the
// column has none of its own.
func (t *tableDef) typeOf(c part) columnType {
	m := typeStart.FindStringSubmatch(c.text)
	if m == nil {
		return columnType{base: c.text}
	}
	rest := c.text[len(m[0]):]
	typ := columnType{base: m[1], args: strings.Trim(m[2], "()"), unsigned: m[3] != "", notNull: strings.Contains(rest, " NOT NULL"), fills: fills.MatchString(rest)}
	if !typ.notNull {
		typ.fills = true
	}
	if set := charsetName.FindStringSubmatch(rest); set != nil && set[1] != "" {
		typ.charset = set[1]
	} else if set := tableSet.FindStringSubmatch(t.options); set != nil {
		typ.charset = set[1]
	}
	if check := columnCheck.FindStringSubmatch(rest); check != nil {
		typ.check = check[1]
	}
	return typ
}

// isText reports whether a column has a collation.
func (c columnType) isText() bool { return c.family() == "text" && c.base != "json" }

// ownCollation is what a definition says about its collation, after its type.
var ownCollation = regexp.MustCompile(`^ (?:CHARACTER SET \w+ ?)?(?:COLLATE \w+)?`)

// whole is a column's definition with the collation that it has from its table,
// which MariaDB leaves out.
func (t *tableDef) whole(c part) string {
	typ := typeText(c)
	rest := c.text[len(typ):]
	set := tableSet.FindStringSubmatch(t.options)
	if !t.typeOf(c).isText() || set == nil || strings.Contains(ownCollation.FindString(rest), "E") {
		return c.text
	}
	if set[2] == "" {
		return typ + " CHARACTER SET " + set[1] + rest
	}
	return typ + " COLLATE " + set[2] + rest
}

// textType is the type of a column with its character set and collation.
func (t *tableDef) textType(c part) string {
	whole := part{text: t.whole(c)}
	typ := typeText(whole)
	return typ + strings.TrimRight(ownCollation.FindString(whole.text[len(typ):]), " ")
}

// charsetOf is the character set before a collation, whose name begins with it.
var charsetOf = regexp.MustCompile(` CHARACTER SET \w+ COLLATE`)

// comparedAs is the type of a text and its collation, in one wording.
func (t *tableDef) comparedAs(c part) string {
	return charsetOf.ReplaceAllString(t.textType(c), " COLLATE")
}

// clauseText is a column's definition as it has to be written to be shown the
// same: MySQL shows a collation that it was told otherwise than one that the
// column has from its table.
func (t *tableDef) clauseText(c part) string {
	typ := typeText(c)
	rest := c.text[len(typ):]
	set := tableSet.FindStringSubmatch(t.options)
	if set != nil && set[2] != "" && t.typeOf(c).isText() {
		rest = strings.TrimPrefix(rest, " COLLATE "+set[2])
	}
	return typ + rest
}

// createText is the statement that makes the table, to be shown the same.
func (t *tableDef) createText() string {
	text := t.text
	for _, c := range t.columns {
		line := "\n  " + dbserver.Quote(c.name) + " "
		text = strings.Replace(text, line+c.text, line+t.clauseText(c), 1)
	}
	return text
}

// updates reports whether an UPDATE sets the column to the current time unless it
// names it. Where the server's explicit_defaults_for_timestamp is off, the first
// TIMESTAMP of a table does so without being told to.
func (p part) updates() bool { return strings.Contains(strings.ToUpper(p.text), " ON UPDATE ") }

// onUpdate are the columns that an UPDATE sets to the current time.
func (t *tableDef) onUpdate() (names []string) {
	for _, c := range t.columns {
		if c.updates() {
			names = append(names, c.name)
		}
	}
	return names
}

// typeText is the type of a column as it is written.
func typeText(c part) string { return typeStart.FindString(c.text) }

// family groups the types between which values convert without loss if they fit.
func (c columnType) family() string {
	switch c.base {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return "integer"
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "json":
		return "text"
	default:
		return c.base
	}
}
