package planner

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// rewrite is the change of a table that is planned with the server's own words.
type rewrite struct {
	schema.Change
	from, to *schema.Table
	edits    []edit
}

// edit is what happens to a part of a table: it is added where there was none before, dropped where none is wanted.
type edit struct {
	schema.Change
	object, name string
	have, want   string
	// derived is set for a column that can only be dropped and made again, last for the last one of its table.
	derived, last bool
}

// rewrites are the changes between two schemas by what the server says of their tables.
func (d *Dev) rewrites(have, want *schema.Schema) (changes []schema.Change) {
	for _, from := range have.Tables {
		to, ok := want.Table(from.Name)
		if !ok {
			changes = append(changes, &schema.DropTable{T: from})
			continue
		}
		if edits := d.editsOf(from, to); len(edits) > 0 {
			changes = append(changes, &rewrite{from: from, to: to, edits: edits})
		}
	}
	for _, to := range want.Tables {
		if _, ok := have.Table(to.Name); !ok {
			changes = append(changes, &schema.AddTable{T: to})
		}
	}
	return changes
}

// editsOf are the parts in which two tables differ. SQLite keeps a definition as it was written, which may be in many
// ways: there Atlas decides about the parts that it can read.
func (d *Dev) editsOf(from, to *schema.Table) []edit {
	edits := editsIn(from, to)
	def := definitionOf(to)
	if def == nil || !def.lite {
		return edits
	}
	changes, err := d.db.Driver.TableDiff(from, to, schema.DiffNormalized())
	if err != nil || len(from.Columns) == 0 || len(to.Columns) == 0 {
		return edits
	}
	return slices.DeleteFunc(edits, func(e edit) bool {
		if e.unseen() {
			return false
		}
		for _, text := range []string{e.have, e.want} {
			if e.object == isTable || text != "" && !def.plain(part{object: e.object, text: text}) {
				return false
			}
		}
		return !slices.ContainsFunc(changes, e.isIn)
	})
}

// unseen reports whether a part of a table of SQLite differs in what Atlas does not compare: ids that are never used
// again, the type of a key that is the row's id, words and texts as defaults, and the order within a primary key.
func (e edit) unseen() bool {
	if e.have == "" || e.want == "" || e.object == isTable {
		return false
	}
	have, want := tokens(canonical(e.have, true), true), tokens(canonical(e.want, true), true)
	if e.object == isIndex && e.name == primary {
		return !slices.Equal(have, want)
	}
	is := func(words []string, word string) bool { return slices.Contains(words, word) }
	after := func(words []string) string {
		if i := slices.Index(words, "default"); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	text := func(s string) bool { return strings.HasPrefix(s, "'") }
	a, b := after(have), after(want)
	return e.object == isColumn && (is(have, "autoincrement") != is(want, "autoincrement") ||
		is(have, "primary") && is(want, "primary") && is(have, "integer") != is(want, "integer") ||
		text(a) && spoken.MatchString(b) || text(b) && spoken.MatchString(a))
}

// spoken is a default that is a word, and no text.
var spoken = regexp.MustCompile(`^(?:null|true|false|current_\w+)$`)

// isIn reports whether a change of Atlas's is about the part.
func (e edit) isIn(c schema.Change) bool {
	object, name := isTable, ""
	switch c := c.(type) {
	case *schema.AddColumn:
		object, name = isColumn, c.C.Name
	case *schema.DropColumn:
		object, name = isColumn, c.C.Name
	case *schema.ModifyColumn:
		object, name = isColumn, c.To.Name
	case *schema.AddIndex:
		object, name = isIndex, c.I.Name
	case *schema.DropIndex:
		object, name = isIndex, c.I.Name
	case *schema.ModifyIndex:
		object, name = isIndex, c.To.Name
	case *schema.AddPrimaryKey, *schema.DropPrimaryKey, *schema.ModifyPrimaryKey:
		object, name = isIndex, primary
	case *schema.AddForeignKey, *schema.DropForeignKey, *schema.ModifyForeignKey:
		return e.object == isKey
	case *schema.AddCheck, *schema.DropCheck, *schema.ModifyCheck:
		return e.object == isCheck || e.object == isColumn
	}
	return e.object == object && strings.EqualFold(e.name, name)
}

// editsIn are the parts that are worded in another way. The order of columns and indexes does not count.
func editsIn(from, to *schema.Table) (edits []edit) {
	have, want := definitionOf(from), definitionOf(to)
	switch {
	case have == nil && want == nil:
		return nil // both are named as what cannot be compared
	case have == nil || want == nil:
		return []edit{{object: isTable, name: to.Name}}
	}
	for _, p := range have.parts {
		if _, ok := want.find(p.object, p.name); !ok {
			edits = append(edits, edit{object: p.object, name: p.name, have: p.text})
		}
	}
	last := ""
	for _, p := range want.parts {
		if p.object == isColumn {
			last = p.name
		}
	}
	for _, p := range want.parts {
		old, ok := have.find(p.object, p.name)
		if ok && samePart(from, to, old, p) {
			continue
		}
		e := edit{object: p.object, name: p.name, have: old.text, want: p.text, last: p.name == last}
		e.derived = ok && p.object == isColumn && computed(old.text) != computed(p.text) &&
			computed(old.text)+computed(p.text) != "STORED"
		edits = append(edits, e)
	}
	options := []edit{{object: isTable, name: "options", have: have.options, want: want.options}}
	if !want.lite {
		options = optionsOf(have.options, want.options)
	}
	for _, o := range options {
		if canonical(o.have, have.lite) != canonical(o.want, have.lite) {
			edits = append(edits, o)
		}
	}
	return edits
}

// samePart reports whether two parts are one. MySQL shows the collation of a column that is that of its table or not,
// as the column was made.
func samePart(from, to *schema.Table, old, p part) bool {
	lite := definitionOf(to).lite
	if canonical(old.text, lite) == canonical(p.text, lite) {
		return p.object != isColumn || lite || collationOf(from, p.name) == collationOf(to, p.name)
	}
	return p.object == isColumn && !lite && collationOf(from, p.name) == collationOf(to, p.name) &&
		uncollated(old.text) == uncollated(p.text)
}

var collated = regexp.MustCompile(` (?:CHARACTER SET \w+ )?COLLATE \w+`)

// uncollated is the clause of a column without its character set and collation.
func uncollated(clause string) string {
	at := collated.FindStringIndex(clause)
	if at == nil || strings.Count(clause[:at[0]], "'")%2 > 0 {
		return clause
	}
	return clause[:at[0]] + clause[at[1]:]
}

func collationOf(t *schema.Table, column string) string {
	if c, ok := t.Column(column); ok {
		if a := Attr[*schema.Collation](c.Attrs); a != nil {
			return a.V
		}
	}
	return ""
}

// computed is VIRTUAL or STORED for a generated column.
func computed(clause string) string {
	words := tokens(clause, false)
	for i, w := range words {
		if i > 0 && w == "AS" && words[i-1] == "ALWAYS" {
			if slices.Contains(words[i:], "STORED") {
				return "STORED"
			}
			return "VIRTUAL"
		}
	}
	return ""
}

var (
	partitioning = regexp.MustCompile(`(?s)\n(?:/\*!\d+)? PARTITION BY .*$`)
	option       = regexp.MustCompile("(?s)((?:DEFAULT )?[A-Z_]+|`\\w+`)=('(?:[^'\\\\]|''|\\\\.)*'|\\([^)]*\\)|\\S+)|" +
		"WITH SYSTEM VERSIONING|TABLESPACE `(?:[^`]|``)+`")
	// conditional is what a server reads from a version on.
	conditional = regexp.MustCompile(`/\*!\d+ (.*?) ?\*/`)
)

const (
	partitions = "partitions"
	versioning = "WITH SYSTEM VERSIONING"
)

// optionsOf are the options of two tables, one edit each. A character set is one with its collation.
func optionsOf(have, want string) (edits []edit) {
	read := func(text string, set func(*edit) *string) {
		add := func(name, value string) {
			i := slices.IndexFunc(edits, func(e edit) bool { return e.name == name })
			if i < 0 {
				edits, i = append(edits, edit{object: isTable, name: name}), len(edits)
			}
			v := set(&edits[i])
			*v = strings.TrimSpace(*v + " " + value)
		}
		by := partitioning.FindString(text)
		text = conditional.ReplaceAllString(strings.TrimSuffix(text, by), "$1")
		for _, m := range option.FindAllStringSubmatch(text, -1) {
			name := strings.Trim(strings.TrimPrefix(m[1], "DEFAULT "), "`")
			switch name {
			case "":
				name = m[0]
			case "COLLATE":
				name = "CHARSET"
			}
			add(name, m[0])
		}
		if by != "" {
			add(partitions, strings.TrimSpace(by))
		}
	}
	read(have, func(e *edit) *string { return &e.have })
	read(want, func(e *edit) *string { return &e.want })
	return edits
}

// resets are the options that stand for none.
var resets = map[string]string{
	"COMMENT": "COMMENT=''", "KEY_BLOCK_SIZE": "KEY_BLOCK_SIZE=0", "CHECKSUM": "CHECKSUM=0",
	"DELAY_KEY_WRITE": "DELAY_KEY_WRITE=0", "MAX_ROWS": "MAX_ROWS=0", "MIN_ROWS": "MIN_ROWS=0",
	"AVG_ROW_LENGTH": "AVG_ROW_LENGTH=0", "COMPRESSION": "COMPRESSION=''", "ENCRYPTION": "ENCRYPTION='N'",
	"AUTOEXTEND_SIZE": "AUTOEXTEND_SIZE=0", "PAGE_CHECKSUM": "PAGE_CHECKSUM=0", versioning: "DROP SYSTEM VERSIONING",
}

// single is the one statement that makes an edit; empty if it takes more.
func (r *rewrite) single(e edit) string {
	d := definitionOf(r.to)
	switch {
	case d == nil || e.have == "" && e.want == "" || e.object == isKey && e.have != "" && e.want != "":
		return ""
	case d.lite && e.inPlace() && e.object == isIndex && e.have == "":
		return e.want
	case d.lite:
		return ""
	case e.object == isTable && e.name == partitions && e.want == "":
		return alteration(r.to.Name, "REMOVE PARTITIONING")
	}
	return alteration(r.to.Name, append(e.clauses(r.place(e.name)), r.reindex(e)...)...)
}

// clauses are what ALTER TABLE says to make an edit.
func (e edit) clauses(after string) []string {
	name := dbserver.Quote(e.name)
	var drop, add []string
	if e.have != "" {
		drop = []string{"DROP " + map[string]string{
			isColumn: "COLUMN ", isIndex: "INDEX ", isCheck: "CONSTRAINT ", isKey: "FOREIGN KEY ",
			isPeriod: "PERIOD FOR ",
		}[e.object] + name}
	}
	if e.want != "" {
		add = []string{"ADD " + e.want}
	}
	switch {
	case e.object == isTable && e.name == versioning && e.want != "":
		return []string{"ADD SYSTEM VERSIONING"}
	case e.object == isTable && e.want != "":
		return []string{e.want}
	case e.object == isTable:
		if reset, ok := resets[e.name]; ok {
			return []string{reset}
		}
		return []string{strings.Trim(e.have[:strings.IndexByte(e.have+"=", '=')], " ") + "=DEFAULT"}
	case e.object == isIndex && e.name == primary && e.have != "":
		drop = []string{"DROP PRIMARY KEY"}
	case e.object == isPeriod && strings.EqualFold(e.name, "SYSTEM_TIME") && e.have != "":
		drop = []string{"DROP PERIOD FOR SYSTEM_TIME"}
	case e.object == isIndex && seen(e.have) == seen(e.want):
		return []string{"ALTER INDEX " + name + " " + visibilityOf(e.have, e.want)}
	case e.object == isColumn && e.have == "", e.derived:
		add = []string{"ADD COLUMN " + e.want + after}
	case e.object == isColumn && e.want != "":
		return []string{"MODIFY COLUMN " + e.want}
	}
	return append(drop, add...)
}

// unseen is how a server says that queries do not use an index, or that SELECT * leaves out a column.
var unseen = regexp.MustCompile(` (?:/\*!80000 INVISIBLE \*/|IGNORED)$`)

func seen(index string) string { return unseen.ReplaceAllString(index, "") }

// visibilityOf is the word that makes an index what it is to be.
func visibilityOf(have, want string) string {
	hidden := seen(want) != want
	switch {
	case strings.Contains(have+want, "INVISIBLE") && hidden:
		return "INVISIBLE"
	case strings.Contains(have+want, "INVISIBLE"):
		return "VISIBLE"
	case hidden:
		return "IGNORED"
	default:
		return "NOT IGNORED"
	}
}

// describe says what an edit undoes that leads back to the migrations.
func (e edit) describe() (text string, collation bool) {
	what := fmt.Sprintf("%s %q", e.object, e.name)
	if e.object == isCheck {
		what = fmt.Sprintf("CHECK %q", e.name)
	}
	switch {
	case e.object == isTable && e.name == "CHARSET":
		return "the character set is not " + e.want, true
	case e.object == isTable && e.have == "" && e.want == "":
		return "the table is not as in the migrations", false
	case e.object == isTable:
		return fmt.Sprintf("the option %s is %s, not %s", e.name, orNone(e.have), orNone(e.want)), false
	case e.name == primary && e.object == isIndex:
		what = "the primary key"
	}
	switch {
	case e.have == "":
		return what + " is missing", false
	case e.want == "":
		return what + " is in no migration", false
	case e.object == isIndex && seen(e.have) == seen(e.want) && seen(e.want) == e.want:
		return what + " is there, but hidden from queries (INVISIBLE, IGNORED)", false
	case e.object == isIndex && seen(e.have) == seen(e.want):
		return what + " is used by queries, and not in the migrations", false
	case e.object == isColumn:
		own := func(clause string) string { return strings.TrimPrefix(clause, dbserver.Quote(e.name)+" ") }
		return fmt.Sprintf("%s is %s, not %s", what, own(e.have), own(e.want)),
			uncollated(e.have) == uncollated(e.want)
	}
	return what + " is not as in the migrations", false
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
