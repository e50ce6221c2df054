package adopt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// Change is what [Run] does about an [Difference].
type Change string

// The changes.
const (
	Create Change = "create"
	Add    Change = "add"
	Modify Change = "modify"
	Move   Change = "move"
	Drop   Change = "drop"
	// Keep: it is not of this schema, and stays.
	Keep Change = "keep"
)

// Difference is one respect in which a live database is not this schema.
type Difference struct {
	Table string `json:"table"`
	// Object is table, column, index, check or foreign key.
	Object string `json:"object"`
	Name   string `json:"name"`
	Change Change `json:"change"`
	// Live and Here are the definitions in the database and in this schema, as
	// the server words them.
	Live string `json:"live,omitempty"`
	Here string `json:"here,omitempty"`
	// Note is what else there is to know.
	Note string `json:"note,omitempty"`
}

// Statement is one statement of an adoption. Each leaves a database from
// which another [Run] goes on.
type Statement struct {
	// Comment says what it is for, in one line.
	Comment string `json:"comment"`
	SQL     string `json:"sql"`
}

// seedFlags are the indexes of the seed on a flag alone: docs/seed-parity.md
// shows why they are gone. Every other index of the seed has a successor.
var seedFlags = map[string]string{
	"otps.is_used_idx": "is_used", "sessions.isActive_idx": "is_active", "refresh_tokens.is_revoked_idx": "is_revoked",
}

// adoptNotes is the table in which an adoption under way keeps the foreign keys
// of other tables that it has dropped, because nothing else knows them.
const adoptNotes = "authgraph_adopt"

// adoptPlan is what separates a live database from this schema.
type adoptPlan struct {
	want, live map[string]*tableDef
	// noted are foreign keys that an adoption that was cut off has dropped.
	noted []foreignKey

	differences []Difference
	obstacles   []Obstacle
	statements  []Statement

	alters map[string]*alter
	// retyped are the types that columns are given, by table and column.
	retyped map[[2]string]string
	// keep are foreign keys that are not of this schema and have to be dropped
	// and made again.
	keep []foreignKey
}

// alter is what is done to a table: its foreign keys are dropped first, all else
// follows in one statement, so that the table is rebuilt once.
type alter struct {
	create  string
	drops   []string
	clauses []string
	adds    []foreignKey
}

// planAdopt compares and plans. The definitions are taken from the two servers'
// own words, so the plan is empty exactly where there is nothing to do.
func planAdopt(want, live map[string]*tableDef, noted []foreignKey) *adoptPlan {
	p := &adoptPlan{want: want, live: live, alters: map[string]*alter{}, retyped: map[[2]string]string{}}
	for _, fk := range noted {
		if t, ok := live[fk.table]; ok {
			if _, there := t.foreign.find(fk.name); !there {
				p.noted = append(p.noted, fk)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if l, ok := live[name]; ok {
			p.table(want[name], l)
		} else {
			p.alter(name).create = want[name].createText()
			p.differ(name, "table", name, Create, "", "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if want[name] == nil && name != adoptNotes {
			p.differ(name, "table", name, Keep, "", "")
		}
	}
	p.foreignKeys()
	p.arrange()
	slices.SortStableFunc(p.differences, func(a, b Difference) int { return strings.Compare(a.Table, b.Table) })
	return p
}

func (p *adoptPlan) differ(table, object, name string, c Change, live, here string) {
	p.differences = append(p.differences, Difference{Table: table, Object: object, Name: name, Change: c, Live: live, Here: here})
}

func (p *adoptPlan) alter(table string) *alter {
	if p.alters[table] == nil {
		p.alters[table] = &alter{}
	}
	return p.alters[table]
}

func (p *adoptPlan) clause(table, text string) {
	a := p.alter(table)
	a.clauses = append(a.clauses, text)
}

func (p *adoptPlan) table(want, live *tableDef) {
	p.columns(want, live)
	p.indexes(want, live)
	p.checks(want, live)
	p.options(want, live)
}

// columns puts the columns of this schema first and in order; what else the
// table has follows them.
func (p *adoptPlan) columns(want, live *tableDef) {
	order := make([]string, len(live.columns))
	for i, c := range live.columns {
		order[i] = c.name
	}
	at := "FIRST"
	for i, c := range want.columns {
		had, ok := live.columns.find(c.name)
		inPlace := i < len(order) && strings.EqualFold(order[i], c.name)
		switch {
		case !ok:
			p.differ(want.name, "column", c.name, Add, "", c.text)
			p.clause(want.name, "ADD COLUMN "+dbserver.Quote(c.name)+" "+want.clauseText(c)+" "+at)
			order = slices.Insert(order, i, c.name)
		case !same(want, live, c, had) || !inPlace:
			change := Modify
			if same(want, live, c, had) {
				change = Move
			}
			p.differ(want.name, "column", c.name, change, live.whole(had), want.whole(c))
			if had.updates() && !c.updates() {
				p.differences[len(p.differences)-1].Note = "every change of a row has set it to the time of the change"
			}
			verb := "MODIFY COLUMN "
			if had.name != c.name {
				verb = "CHANGE COLUMN " + dbserver.Quote(had.name) + " "
			}
			p.clause(want.name, verb+dbserver.Quote(c.name)+" "+want.clauseText(c)+" "+at)
			if typeText(had) != typeText(c) {
				p.retyped[[2]string{want.name, c.name}] = typeText(c)
			}
			order = slices.DeleteFunc(order, func(n string) bool { return strings.EqualFold(n, c.name) })
			order = slices.Insert(order, i, c.name)
		}
		at = "AFTER " + dbserver.Quote(c.name)
	}
	for _, c := range live.columns {
		if want.columns.index(c.name) >= 0 {
			continue
		}
		p.differ(want.name, "column", c.name, Keep, c.text, "")
		if typ := live.typeOf(c); !typ.fills {
			p.differences[len(p.differences)-1].Note = "it has no default: rows written through this schema's client will be refused"
		}
	}
}

// same reports whether a column is what it is to be, with all that it has from
// its table.
func same(want, live *tableDef, w, l part) bool {
	return w == l && want.whole(w) == live.whole(l)
}

// indexes keeps those that stand where they belong, drops those that have a
// successor, and keeps the others.
func (p *adoptPlan) indexes(want, live *tableDef) {
	var kept []string
	if w, ok := want.indexes.find(primary); ok && live.indexes.index(primary) < 0 {
		key := columnsOf(w)
		text := fmt.Sprintf("the table has no primary key: ALTER TABLE %s ADD PRIMARY KEY (%s)", dbserver.Quote(want.name), bracket(w.text))
		if len(key) == 1 && live.columns.index(key[0]) < 0 {
			text = fmt.Sprintf("the table has no primary key: ALTER TABLE %s ADD COLUMN %s bigint NOT NULL AUTO_INCREMENT PRIMARY KEY", dbserver.Quote(want.name), dbserver.Quote(key[0]))
		}
		p.obstruct(Obstacle{Table: want.name, Kind: ObstacleStructure, Text: text})
	}
	for _, ix := range live.indexes {
		w, named := want.indexes.find(ix.name)
		successor, replaced := successorOf(want, ix)
		switch {
		case named && (w.text == ix.text || ix.name == primary && slices.Equal(columnsOf(w), columnsOf(ix))):
			kept = append(kept, w.name)
		case ix.name == primary:
			p.obstruct(Obstacle{Table: want.name, Kind: ObstacleStructure, Text: fmt.Sprintf("the primary key is (%s) and has to be (%s)", strings.Join(columnsOf(ix), ", "), strings.Join(columnsOf(w), ", "))})
		case named && replaced:
			p.differ(want.name, "index", ix.name, Modify, ix.text, w.text)
			p.clause(want.name, "DROP INDEX "+dbserver.Quote(ix.name))
		case named:
			p.obstruct(Obstacle{Table: want.name, Kind: ObstacleStructure, Text: fmt.Sprintf("another index has the name %s: rename it with ALTER TABLE %s RENAME INDEX", dbserver.Quote(ix.name), dbserver.Quote(want.name))})
		case replaced:
			p.differ(want.name, "index", ix.name, Drop, ix.text, "")
			p.differences[len(p.differences)-1].Note = successor
			p.clause(want.name, "DROP INDEX "+dbserver.Quote(ix.name))
		default:
			p.differ(want.name, "index", ix.name, Keep, ix.text, "")
		}
	}
	// The server shows indexes in the order in which they were made.
	common := 0
	for common < len(kept) && want.indexes[common].name == kept[common] {
		common++
	}
	for _, name := range kept[common:] {
		w, _ := want.indexes.find(name)
		p.differ(want.name, "index", name, Move, w.text, w.text)
		p.clause(want.name, "DROP INDEX "+dbserver.Quote(name))
	}
	for i, w := range want.indexes {
		if i < common || w.name == primary {
			continue
		}
		if live.indexes.index(w.name) < 0 {
			p.differ(want.name, "index", w.name, Add, "", w.text)
		}
		p.clause(want.name, "ADD "+w.text)
	}
}

// successorOf says by which index of the table another one is replaced.
func successorOf(want *tableDef, ix part) (note string, ok bool) {
	columns := columnsOf(ix)
	if len(columns) == 0 || strings.HasPrefix(ix.text, "FULLTEXT") || strings.HasPrefix(ix.text, "SPATIAL") {
		return "", false
	}
	for _, w := range want.indexes {
		has := columnsOf(w)
		whole := slices.Equal(columns, has)
		if whole && isUnique(w) || !isUnique(ix) && len(columns) <= len(has) && slices.Equal(columns, has[:len(columns)]) {
			return "replaced by " + w.name, true
		}
	}
	if only, ok := seedFlags[want.name+"."+ix.name]; ok && slices.Equal(columns, []string{only}) {
		return "on a flag alone, which is slower with it than without", true
	}
	return "", false
}

func (p *adoptPlan) checks(want, live *tableDef) {
	for _, c := range live.checks {
		switch w, ok := want.checks.find(c.name); {
		case !ok:
			p.differ(want.name, "check", c.name, Keep, c.text, "")
		case w.text != c.text:
			p.differ(want.name, "check", c.name, Modify, c.text, w.text)
			p.clause(want.name, "DROP CONSTRAINT "+dbserver.Quote(c.name))
			p.clause(want.name, "ADD "+w.text)
		}
	}
	for _, w := range want.checks {
		if live.checks.index(w.name) < 0 {
			p.differ(want.name, "check", w.name, Add, "", w.text)
			p.clause(want.name, "ADD "+w.text)
		}
	}
}

// options compares the engine and the character set; a comment or a row format
// stays.
func (p *adoptPlan) options(want, live *tableDef) {
	for _, option := range []interface{ FindString(string) string }{engineName, tableSet} {
		has, wants := option.FindString(live.options), option.FindString(want.options)
		if has != wants {
			p.differ(want.name, "table", "options", Modify, has, wants)
			p.clause(want.name, wants)
		}
	}
}

// foreignKeys drops the foreign keys that hold the type of a column fast, and
// makes them again with the rebuild of their table. What refers to a column
// that grows has to grow with it, in whatever table.
func (p *adoptPlan) foreignKeys() {
	var have []foreignKey
	for _, name := range slices.Sorted(maps.Keys(p.live)) {
		for _, c := range p.live[name].foreign {
			if fk, ok := parseForeign(name, c); ok {
				have = append(have, fk)
			}
		}
	}
	var wanted []foreignKey
	for _, name := range slices.Sorted(maps.Keys(p.want)) {
		for _, c := range p.want[name].foreign {
			if fk, ok := parseForeign(name, c); ok && p.live[name] != nil {
				wanted = append(wanted, fk)
			}
		}
	}
	own := func(fk foreignKey) bool {
		return slices.ContainsFunc(wanted, func(w foreignKey) bool { return w.sameColumns(fk) || w.table == fk.table && w.name == fk.name })
	}
	have = slices.DeleteFunc(have, p.holdsText)
	others := slices.DeleteFunc(append(slices.Clone(have), p.noted...), own)
	for p.widen(others) {
	}
	missing := slices.Clone(wanted)
	for _, fk := range have {
		exact := func(w foreignKey) bool { return w.table == fk.table && w.part == fk.part }
		i := slices.IndexFunc(wanted, exact)
		if i < 0 && own(fk) {
			p.drop(fk)
			p.differ(fk.table, "foreign key", fk.name, Drop, fk.text, "")
		} else if p.isRetyped(fk) {
			p.drop(fk)
			if i < 0 {
				p.keep = append(p.keep, fk)
			}
		} else if i >= 0 {
			missing = slices.DeleteFunc(missing, exact)
		}
	}
	for _, fk := range missing {
		a := p.alter(fk.table)
		a.adds = append(a.adds, fk)
		p.differ(fk.table, "foreign key", fk.name, Add, "", fk.text)
	}
	for _, fk := range append(slices.Clone(p.keep), p.noted...) {
		a := p.alter(fk.table)
		a.adds = append(a.adds, fk)
		p.differ(fk.table, "foreign key", fk.name, Keep, fk.text, "")
		p.differences[len(p.differences)-1].Note = "dropped, and made again when both ends are alike"
	}
}

func (p *adoptPlan) drop(fk foreignKey) {
	a := p.alter(fk.table)
	a.drops = append(a.drops, "DROP FOREIGN KEY "+dbserver.Quote(fk.name))
}

// holdsText reports, and names as an obstacle, a foreign key on a text that is to
// have another type or collation, or that may not be NULL any more. A server that
// copies the table does not change such a column while the key is there, and the one
// at its other end cannot follow: rows that the key takes for equal now may not be so
// afterwards.
func (p *adoptPlan) holdsText(fk foreignKey) bool {
	for i := range fk.columns {
		for _, end := range [][2]string{{fk.table, fk.columns[i]}, {fk.parent, fk.finds[i]}} {
			want, live := p.want[end[0]], p.live[end[0]]
			if want == nil || live == nil {
				continue
			}
			w, ok := want.columns.find(end[1])
			l, there := live.columns.find(end[1])
			if !ok || !there || !want.typeOf(w).isText() {
				continue
			}
			after := "both of its columns are " + want.textType(w)
			if want.comparedAs(w) == live.comparedAs(l) {
				if !want.typeOf(w).notNull || live.typeOf(l).notNull {
					continue
				}
				after = "the column is NOT NULL"
			}
			p.obstruct(Obstacle{Table: end[0], Columns: []string{w.name}, Kind: ObstacleStructure, Text: fmt.Sprintf(
				"the foreign key %s of table %s holds it fast: ALTER TABLE %s DROP FOREIGN KEY %s, and make it again afterwards, when %s",
				fk.name, fk.table, dbserver.Quote(fk.table), dbserver.Quote(fk.name), after)})
			return true
		}
	}
	return false
}

func (p *adoptPlan) isRetyped(fk foreignKey) bool {
	for i := range fk.columns {
		_, child := p.retyped[[2]string{fk.table, fk.columns[i]}]
		_, parent := p.retyped[[2]string{fk.parent, fk.finds[i]}]
		if child || parent {
			return true
		}
	}
	return false
}

// widen gives a column that is not of this schema the type of the one it refers
// to, and reports whether there was one to change.
func (p *adoptPlan) widen(fks []foreignKey) (changed bool) {
	for _, fk := range fks {
		for i, column := range fk.columns {
			to, child := p.finalType(fk.parent, fk.finds[i]), p.finalType(fk.table, column)
			if to == "" || child == "" || to == child {
				continue
			}
			_, grows := p.retyped[[2]string{fk.parent, fk.finds[i]}]
			if _, there := p.live[fk.table].foreign.find(fk.name); there && !grows {
				continue // what differs does not matter to the server: a length
			}
			if w := p.want[fk.table]; w != nil && w.columns.index(column) >= 0 {
				continue // this schema decides
			}
			had, _ := p.live[fk.table].columns.find(column)
			text := to + strings.TrimPrefix(had.text, typeText(had))
			p.retyped[[2]string{fk.table, column}] = to
			p.differ(fk.table, "column", column, Modify, had.text, text)
			p.differences[len(p.differences)-1].Note = fmt.Sprintf("it refers to %s.%s", fk.parent, fk.finds[i])
			p.clause(fk.table, "MODIFY COLUMN "+dbserver.Quote(column)+" "+text)
			changed = true
		}
	}
	return changed
}

// finalType is the type a column will have; empty if there is no such column.
func (p *adoptPlan) finalType(table, column string) string {
	if to, ok := p.retyped[[2]string{table, column}]; ok {
		return to
	}
	for _, tables := range []map[string]*tableDef{p.live, p.want} {
		if t, ok := tables[table]; ok {
			if c, ok := t.columns.find(column); ok {
				return typeText(c)
			}
		}
	}
	return ""
}

// becomes is what a column will be, as far as a foreign key to it has to agree.
func (p *adoptPlan) becomes(table, column string) string {
	if w, ok := p.want[table]; ok {
		if c, ok := w.columns.find(column); ok {
			return w.textType(c)
		}
	}
	return p.finalType(table, column)
}

// arrange puts the statements in order: foreign keys are dropped, each table is
// rebuilt or made after those it refers to.
func (p *adoptPlan) arrange() {
	names := slices.Sorted(maps.Keys(p.alters))
	notes := p.live[adoptNotes] != nil
	if len(p.keep) > 0 {
		p.note(notes)
		notes = true
	}
	for _, name := range names {
		if a := p.alters[name]; len(a.drops) > 0 {
			p.add("Free the columns of "+name+" to change their type; takes no time", "ALTER TABLE "+dbserver.Quote(name)+"\n  "+strings.Join(a.drops, ",\n  "))
		}
	}
	var later []foreignKey
	placed := map[string]bool{}
	var place func(string)
	place = func(name string) {
		if placed[name] {
			return
		}
		placed[name] = true
		a := p.alters[name]
		for _, parent := range p.parents(name) {
			if p.alters[parent] != nil {
				place(parent)
			}
		}
		for _, fk := range a.adds {
			// MariaDB looks at the column a table refers to in itself as it was.
			if fk.parent == name || p.alters[fk.parent] != nil && p.waits(fk.parent) {
				later = append(later, fk)
				continue
			}
			a.clauses = append(a.clauses, "ADD "+fk.text)
		}
		switch {
		case a.create != "":
			p.add("Table "+name+" is missing", a.create)
		case len(a.clauses) > 0:
			p.add("Rebuild "+name+" once; on MySQL writes to it wait", "ALTER TABLE "+dbserver.Quote(name)+"\n  "+strings.Join(a.clauses, ",\n  "))
		}
		a.create, a.clauses = "", nil
	}
	for _, name := range names {
		place(name)
	}
	for _, fk := range later {
		p.add("A foreign key whose other end had to be rebuilt first", "ALTER TABLE "+dbserver.Quote(fk.table)+"\n  ADD "+fk.text)
	}
	if notes {
		p.add("Every foreign key is there again", "DROP TABLE "+dbserver.Quote(adoptNotes))
	}
}

// waits reports whether a table is still to be changed.
func (p *adoptPlan) waits(table string) bool {
	a := p.alters[table]
	return a.create != "" || len(a.clauses) > 0
}

// parents are the tables that the foreign keys to be made of a table lead to.
func (p *adoptPlan) parents(name string) []string {
	a := p.alters[name]
	var out []string
	for _, fk := range a.adds {
		out = append(out, fk.parent)
	}
	if a.create != "" {
		for _, c := range p.want[name].foreign {
			if fk, ok := parseForeign(name, c); ok {
				out = append(out, fk.parent)
			}
		}
	}
	return out
}

// note writes down the foreign keys of others before they are dropped.
func (p *adoptPlan) note(exists bool) {
	if !exists {
		p.add("What an adoption that is cut off has to make again", "CREATE TABLE "+dbserver.Quote(adoptNotes)+" (\n"+
			"  `table_name` varchar(64) NOT NULL,\n  `name` varchar(64) NOT NULL,\n  `definition` text NOT NULL,\n"+
			"  PRIMARY KEY (`table_name`, `name`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
	}
	var rows []string
	for _, fk := range p.keep {
		rows = append(rows, "("+text(fk.table)+", "+text(fk.name)+", "+text(fk.text)+")")
	}
	p.add("The foreign keys of other tables that are dropped", "REPLACE INTO "+dbserver.Quote(adoptNotes)+" (`table_name`, `name`, `definition`) VALUES\n  "+strings.Join(rows, ",\n  "))
}

func (p *adoptPlan) add(comment, sql string) {
	p.statements = append(p.statements, Statement{Comment: comment, SQL: sql})
}

func (p *adoptPlan) obstruct(o Obstacle) { p.obstacles = append(p.obstacles, o) }

// text is a text as a literal of SQL.
func text(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(s) + "'"
}
