package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// Session is the statement that prepares a connection as that of [Run] is prepared: a value that a column cannot hold
// is refused, and so is a row that a key or a check forbids; an id of 0 stays, times are UTC, a TIMESTAMP has no
// default of the server's own, and definitions are worded in one way. Zero dates are not refused: a column of the
// team's own may hold them, or have one as its default, and the server would refuse any ALTER of its table. Those in
// the columns of this schema are looked for instead, before and after.
const Session = sessionMode + ", explicit_defaults_for_timestamp = 1, default_storage_engine = InnoDB" + sessionRest

// What [atlasdb.DB.Prepare] has set is not set once more: there are servers on which it is right and cannot be set.
const (
	sessionMode = "SET sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION," +
		"NO_AUTO_VALUE_ON_ZERO'"
	sessionRest = ", time_zone = '+00:00', sql_quote_show_create = 1, " + atlasdb.ChecksOn
)

// table is a table in the server's words: the lines of SHOW CREATE TABLE.
type table struct {
	name  string
	parts []part
	// lines are those between the brackets.
	lines []string
	// options is what follows the closing bracket, without AUTO_INCREMENT.
	options string
}

// What a part of a table is, as a report calls it and in its order.
const (
	isColumn = "column"
	isIndex  = "index" // also the primary key, which is named PRIMARY
	isCheck  = "check"
	isKey    = "foreign key"
	isOption = "table" // the engine and the character set; a comment or a row format stays
)

var objects = []string{isColumn, isIndex, isCheck, isOption, isKey}

const primary = "PRIMARY"

// part is a part of a table: text is its definition, for a column what follows the name.
type part struct {
	object, name, text string
	// columns are those of an index, a CHECK or a foreign key; none for an index on expressions.
	columns []string
	// table and parent are those that a foreign key leads from and to, finds the columns there.
	table, parent string
	finds         []string
	// holds is what a column can hold.
	holds holding
}

// holding is what a column can hold: typ is the type as it is written, with base as its name.
type holding struct {
	typ, base, charset, collation string
	size                          int // in characters
	null                          bool
	// fills is set if a row need not name the column, updates if an UPDATE that does not sets it to the current time.
	// Where explicit_defaults_for_timestamp is off, the first TIMESTAMP of a table does so without being told to.
	fills, updates bool
}

const columnsQuery = `SELECT c.TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME,
	COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), IS_NULLABLE = 'YES',
	IS_NULLABLE = 'YES' OR COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%' OR EXTRA LIKE '%GENERATED%',
	EXTRA LIKE '%on update%'
	FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
	WHERE c.TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
	AND c.TABLE_NAME <> '` + atlasdb.RevisionsTable + `'
	ORDER BY c.TABLE_NAME, ORDINAL_POSITION`

// readTables reads the definition of every table of the database in use.
func readTables(ctx context.Context, db *atlasdb.DB) (map[string]*table, error) {
	if _, err := db.Conn.ExecContext(ctx, sessionMode+sessionRest); err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	all := map[string]*table{}
	err := db.Rows(ctx, columnsQuery, func(r []sql.NullString) {
		name := r[0].String
		if all[name] == nil {
			all[name] = &table{name: name}
		}
		size, _ := strconv.Atoi(r[6].String) // a number, by the query
		all[name].parts = append(all[name].parts, part{object: isColumn, name: r[1].String, holds: holding{
			typ: r[2].String, base: r[3].String, charset: r[4].String, collation: r[5].String, size: size,
			null: r[7].String == "1", fills: r[8].String == "1", updates: r[9].String == "1",
		}})
	})
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	for _, t := range all {
		query := "SHOW CREATE TABLE " + dbserver.Quote(t.name)
		err := db.Rows(ctx, query, func(r []sql.NullString) { t.read(r[1].String) })
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", t.name, err)
		}
	}
	return all, nil
}

// nameSources are the views of information_schema with the names that SHOW CREATE TABLE repeats, and their columns.
var nameSources = map[string][]string{
	"COLUMNS":           {"TABLE_NAME", "COLUMN_NAME"},
	"STATISTICS":        {"INDEX_NAME"},
	"TABLE_CONSTRAINTS": {"CONSTRAINT_NAME"},
	"KEY_COLUMN_USAGE":  {"REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME", "REFERENCED_COLUMN_NAME"},
}

// badNames are obstacles for the names that hold a control character. SHOW CREATE TABLE does not escape a line break in
// a name, so such a table cannot be read.
func badNames(ctx context.Context, db *atlasdb.DB) (found []Obstacle, err error) {
	seen := map[place]bool{}
	for _, view := range slices.Sorted(maps.Keys(nameSources)) {
		query := "SELECT TABLE_NAME, " + strings.Join(nameSources[view], ", ") + " FROM information_schema." + view +
			" JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME)" +
			" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"
		err := db.Rows(ctx, query, func(r []sql.NullString) {
			for _, name := range r[1:] {
				at := place{r[0].String, name.String}
				if seen[at] || !strings.ContainsFunc(name.String, unicode.IsControl) {
					continue
				}
				seen[at] = true
				found = append(found, Obstacle{
					Table: at.table, Kind: ObstacleStructure,
					Text: fmt.Sprintf("the name %q holds a control character", at.column), Fix: "rename it",
				})
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read the names: %w", err)
		}
	}
	return found, nil
}

// quoted is a name in backticks, in which a backtick is doubled.
const quoted = "`((?:[^`]|``)+)`"

var (
	quotedName = regexp.MustCompile(quoted)
	// counter is the one part of a definition that rows change.
	counter    = regexp.MustCompile(` AUTO_INCREMENT=\d+`)
	partLine   = regexp.MustCompile(`^(PRIMARY KEY|(?:\w+ )?KEY|CONSTRAINT)? ?(?:` + quoted + ` )?(.*)$`)
	keyColumns = regexp.MustCompile(`^\((?:,?` + quoted + `(?:\(\d+\))?(?: ASC| DESC)?)+\)`)
	foreignKey = regexp.MustCompile(`^FOREIGN KEY \(([^)]*)\) REFERENCES ` + quoted + ` \(([^)]*)\)`)
	options    = regexp.MustCompile(`(ENGINE)=\w+|DEFAULT (CHARSET)=\w+(?: COLLATE=\w+)?`)
)

// read takes the answer to SHOW CREATE TABLE, which has a line a part and escapes the line breaks of texts.
func (t *table) read(text string) {
	lines := strings.Split(counter.ReplaceAllString(text, ""), "\n")
	end := max(1, slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, ")") }))
	for _, line := range lines[1:end] {
		p := parse(t.name, strings.TrimSuffix(strings.TrimSpace(line), ","))
		if p.object != isColumn {
			t.parts = append(t.parts, p)
			continue
		}
		for i, c := range t.parts {
			if c.object == isColumn && fold(c.name) == fold(p.name) {
				t.parts[i].text = p.text
			}
		}
	}
	t.lines, t.options = lines[1:end], strings.Join(lines[end:], "\n")
	for _, m := range options.FindAllStringSubmatch(t.options, 2) {
		t.parts = append(t.parts, part{object: isOption, name: strings.ToLower(m[1] + m[2]), text: m[0]})
	}
}

// parse reads a line. A foreign key to another database has no parent.
func parse(table, line string) part {
	m := partLine.FindStringSubmatch(line)
	p := part{object: isIndex, name: unquote(m[2]), text: line}
	switch {
	case m[1] == "":
		p.object, p.text = isColumn, m[3]
	case m[1] == "PRIMARY KEY":
		p.name, p.columns = primary, namesIn(keyColumns.FindString(m[3]))
	case m[1] != "CONSTRAINT":
		p.columns = namesIn(keyColumns.FindString(m[3]))
	case strings.HasPrefix(m[3], "FOREIGN"):
		p.object, p.table = isKey, table
		if m := foreignKey.FindStringSubmatch(m[3]); m != nil {
			p.parent, p.columns, p.finds = unquote(m[2]), namesIn(m[1]), namesIn(m[3])
		}
	default:
		p.object, p.columns = isCheck, namesIn(m[3])
	}
	return p
}

func namesIn(text string) (names []string) {
	for _, m := range quotedName.FindAllStringSubmatch(text, -1) {
		names = append(names, unquote(m[1]))
	}
	return names
}

func unquote(name string) string { return strings.ReplaceAll(name, "``", "`") }

// fold is what the server compares of the name of a part: it takes email and Email for one column.
func fold(name string) string { return strings.ToLower(name) }

// sameNames reports whether two lists name the same parts in the same order.
func sameNames(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool { return fold(x) == fold(y) })
}

// all are the parts that are such objects, in order; none if there is no table.
func (t *table) all(of string) (found []part) {
	if t == nil {
		return nil
	}
	for _, p := range t.parts {
		if p.object == of {
			found = append(found, p)
		}
	}
	return found
}

// find is the part of a name; ok is false where there is none, or no table.
func (t *table) find(of string, name string) (p part, ok bool) {
	for _, p := range t.all(of) {
		if fold(p.name) == fold(name) {
			return p, true
		}
	}
	return part{}, false
}

// is reports whether a part is what another one is, by the same name in the same case, which indexes and keys repeat.
// A column leaves out the collation that it has from its table.
func (p part) is(other part) bool {
	return p.name == other.name && p.text == other.text && p.holds.collation == other.holds.collation
}

// kind is the type of a column with its collation, by which two texts are compared.
func (p part) kind() string {
	if p.holds.collation == "" {
		return p.holds.typ
	}
	return p.holds.typ + " COLLATE " + p.holds.collation
}

// rest is what follows the type in the definition of a column.
func (p part) rest() string { return strings.TrimPrefix(p.text, p.holds.typ) }

// whole is the definition, of a column with the collation that it has from its table.
func (p part) whole() string {
	if strings.HasPrefix(p.rest(), " CHARACTER SET ") || strings.HasPrefix(p.rest(), " COLLATE ") {
		return p.text
	}
	return p.kind() + p.rest()
}

// clause is the definition of a column as it has to be written to be shown the same: MySQL shows a collation that it
// was told otherwise than one that the column has from its table.
func (t *table) clause(c part) string {
	text := c.text
	if strings.Contains(t.options, " COLLATE="+c.holds.collation) {
		text = c.holds.typ + strings.TrimPrefix(c.rest(), " COLLATE "+c.holds.collation)
	}
	return dbserver.Quote(c.name) + " " + text
}

// create is the statement that makes the table, to be shown the same.
func (t *table) create() string {
	var lines []string
	for _, p := range t.parts {
		switch p.object {
		case isColumn:
			lines = append(lines, t.clause(p))
		case isOption:
		default:
			lines = append(lines, p.text)
		}
	}
	return "CREATE TABLE " + dbserver.Quote(t.name) + " (\n  " + strings.Join(lines, ",\n  ") + "\n" + t.options
}

func (p part) isUnique() bool { return p.name == primary || strings.HasPrefix(p.text, "UNIQUE ") }

// sameKey reports whether two foreign keys have one table and name.
func (p part) sameKey(other part) bool {
	return p.table == other.table && fold(p.name) == fold(other.name)
}

// sameColumns reports whether two foreign keys lead from and to the same columns.
func (p part) sameColumns(other part) bool {
	return p.table == other.table && p.parent == other.parent &&
		sameNames(p.columns, other.columns) && sameNames(p.finds, other.finds)
}

// isJSON reports whether a column holds documents, which on MariaDB are texts with a CHECK.
func (p part) isJSON() bool {
	return p.holds.base == "json" || strings.Contains(p.text, " CHECK (json_valid(")
}

// family groups the types between which values convert without loss if they fit.
func (p part) family() string {
	switch p.holds.base {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return "integer"
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "json":
		return "text"
	default:
		return p.holds.base
	}
}
