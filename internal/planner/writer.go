package planner

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// writer puts the statements of rewrites in order: foreign keys that go, tables that go, tables that come, tables that
// change, foreign keys that come.
type writer struct {
	before, drops, creates, alters, after []*atlas.Change
	// have are the tables before, by name; rewritten are those that change.
	have, rewritten map[string]*schema.Table
	dropped         map[string]bool
	// beside are the triggers and views of SQLite: a trigger goes with a table that is made anew.
	beside []Object
	// lite is set for SQLite, remade if a table is made anew there, held if a foreign key is in the way of a change.
	lite, remade, held bool
	// loose is set if a foreign key is made that the server makes on request only.
	loose bool
	// unplanned says what cannot be planned.
	unplanned []string
}

func newWriter(changes []schema.Change, have *schema.Schema) *writer {
	w := &writer{
		have: map[string]*schema.Table{}, rewritten: map[string]*schema.Table{}, dropped: map[string]bool{},
		beside: NotCovered(have),
	}
	for _, t := range have.Tables {
		w.have[t.Name] = t
	}
	var adds, drops []*schema.Table
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.AddTable:
			adds = append(adds, c.T)
		case *schema.DropTable:
			drops = append(drops, c.T)
			w.dropped[c.T.Name] = true
		case *rewrite:
			w.rewritten[c.to.Name] = c.to
		}
	}
	w.drop(drops)
	w.create(adds)
	for _, c := range changes {
		if r, ok := c.(*rewrite); ok {
			w.alter(r)
		}
	}
	w.release(changes)
	return w
}

// plan are the statements, in order.
func (w *writer) plan(name string) *atlas.Plan {
	all := slices.Concat(w.before, w.drops, w.creates, w.alters, w.after)
	if w.loose {
		allow := &atlas.Change{
			Cmd:     "SET restrict_fk_on_non_standard_key = OFF",
			Comment: "allow foreign keys to columns that are not unique",
		}
		all = slices.Insert(all, 0, allow)
	}
	if w.lite && (w.remade || len(w.drops) > 0) {
		set := func(pragma, value string) *atlas.Change {
			return &atlas.Change{Cmd: "PRAGMA " + pragma + " = " + value, Comment: "turn " + pragma + " " + value}
		}
		// A view would be in the way of the new name, and a foreign key of the old table.
		all = slices.Concat([]*atlas.Change{set("foreign_keys", "off"), set("legacy_alter_table", "on")}, all,
			[]*atlas.Change{set("legacy_alter_table", "off"), set("foreign_keys", "on")})
	}
	return &atlas.Plan{Name: name, Changes: all}
}

func statement(comment, table, sql string) *atlas.Change {
	return &atlas.Change{Cmd: sql, Comment: fmt.Sprintf(comment, table), Source: &schema.ModifyTable{
		T: schema.NewTable(table),
	}}
}

func alteration(table string, clauses ...string) string {
	return "ALTER TABLE " + dbserver.Quote(table) + " " + strings.Join(clauses, ", ")
}

// ordered has each table behind those that its foreign keys lead to. Later are the keys for which that is not possible.
func ordered(tables []*schema.Table) (order []*schema.Table, later map[string][]part) {
	later = map[string][]part{}
	at := map[string]int{} // 1 for a table whose parents are looked at, 2 for one in the order
	byName := map[string]*schema.Table{}
	for _, t := range tables {
		byName[t.Name] = t
	}
	var visit func(*schema.Table)
	visit = func(t *schema.Table) {
		if at[t.Name] > 0 {
			return
		}
		at[t.Name] = 1
		if d := definitionOf(t); d != nil && !d.lite {
			for _, k := range d.keys() {
				parent := byName[k.parent]
				if parent == nil || parent == t {
					continue
				}
				if visit(parent); at[parent.Name] == 1 {
					later[t.Name] = append(later[t.Name], k)
				}
			}
		}
		at[t.Name] = 2
		order = append(order, t)
	}
	for _, t := range tables {
		visit(t)
	}
	return order, later
}

func (w *writer) create(tables []*schema.Table) {
	order, later := ordered(tables)
	for _, t := range order {
		d := definitionOf(t)
		if d == nil {
			w.unplanned = append(w.unplanned, fmt.Sprintf("table %q: its definition cannot be read", t.Name))
			continue
		}
		w.lite = d.lite
		out := later[t.Name]
		for _, k := range d.keys() {
			w.loose = w.loose || k.loose
			if d.lite || k.parent == "" {
				continue
			}
			switch w.have[k.parent] {
			case nil:
				// A parent that is nowhere is named as not covered.
				if !slices.ContainsFunc(tables, func(p *schema.Table) bool { return p.Name == k.parent }) {
					out = append(out, k)
				}
			default:
				// A parent that changes has the columns of the key only afterwards.
				if w.rewritten[k.parent] != nil {
					out, later[t.Name] = append(out, k), append(later[t.Name], k)
				}
			}
		}
		w.creates = append(w.creates, statement("create %q table", t.Name, d.create(out)))
		w.addKeys(t.Name, later[t.Name])
		if d.lite {
			w.creates = append(w.creates, indexesOf(t)...)
		}
	}
}

func (w *writer) addKeys(table string, keys []part) {
	var clauses []string
	for _, k := range keys {
		clauses = append(clauses, "ADD "+k.text)
		w.loose = w.loose || k.loose
	}
	if len(clauses) > 0 {
		w.after = append(w.after, statement("add foreign keys to table %q", table, alteration(table, clauses...)))
	}
}

func (w *writer) dropKeys(table string, keys []part) {
	var clauses []string
	for _, k := range keys {
		clauses = append(clauses, "DROP FOREIGN KEY "+dbserver.Quote(k.name))
	}
	if len(clauses) > 0 {
		w.before = append(w.before, statement("drop foreign keys of table %q", table, alteration(table, clauses...)))
	}
}

func (w *writer) drop(tables []*schema.Table) {
	order, later := ordered(tables)
	slices.Reverse(order)
	for _, t := range order {
		w.dropKeys(t.Name, later[t.Name])
		w.drops = append(w.drops, statement("drop %q table", t.Name, "DROP TABLE "+dbserver.Quote(t.Name)))
	}
}

// alter changes a table in one statement, but for its foreign keys and for its partitions, which are no clause.
func (w *writer) alter(r *rewrite) {
	name := r.to.Name
	if definitionOf(r.from) == nil || definitionOf(r.to) == nil {
		w.unplanned = append(w.unplanned, fmt.Sprintf("table %q: its definition cannot be read", name))
		return
	}
	if definitionOf(r.to).lite {
		w.alterSQLite(r)
		return
	}
	var clauses, parts []string
	var drops, adds []part
	add := func(c *[]*atlas.Change, sql string) { *c = append(*c, statement("modify %q table", name, sql)) }
	keeps := strings.Contains(definitionOf(r.from).options, versioning)
	named := strings.Contains(definitionOf(r.to).sql, "PERIOD FOR SYSTEM_TIME")
	for _, e := range r.edits {
		switch {
		case e.object == isKey:
			if e.have != "" {
				drops = append(drops, part{name: e.name})
			}
			if k, ok := definitionOf(r.to).find(isKey, e.name); ok && e.want != "" {
				adds = append(adds, k)
			}
		case e.object == isTable && e.name == partitions && e.want == "":
			add(&w.alters, alteration(name, "REMOVE PARTITIONING"))
		case e.object == isTable && e.name == partitions:
			parts = append(parts, "ALTER TABLE "+dbserver.Quote(name)+" "+e.want)
		default:
			if e.name == versioning && e.want != "" && !named {
				// Words about the history of a column are refused before the table has one.
				add(&w.alters, alteration(name, e.clauses("")...))
				keeps = true
				continue
			}
			clauses = append(clauses, e.clauses(r.place(e.name))...)
			clauses = append(clauses, r.reindex(e)...)
		}
	}
	if keeps && len(clauses) > 0 {
		add(&w.alters, "SET system_versioning_alter_history = KEEP")
	}
	if len(clauses) > 0 {
		add(&w.alters, alteration(name, clauses...))
	}
	for _, p := range parts {
		add(&w.alters, p)
	}
	w.dropKeys(name, drops)
	w.addKeys(name, adds)
}

// place is where a new column comes.
func (r *rewrite) place(column string) string {
	before := ""
	for _, p := range definitionOf(r.to).parts {
		switch {
		case p.object != isColumn:
		case p.name != column:
			before = " AFTER " + dbserver.Quote(p.name)
		case before == "":
			return " FIRST"
		default:
			return before
		}
	}
	return ""
}

// reindex drops and makes again the indexes of a column that is made again.
func (r *rewrite) reindex(e edit) (clauses []string) {
	if !e.derived {
		return nil
	}
	for _, p := range definitionOf(r.to).parts {
		named := p.object == isIndex && strings.Contains(p.text, dbserver.Quote(e.name))
		itself := func(o edit) bool { return o.object == isIndex && o.name == p.name }
		if named && !slices.ContainsFunc(r.edits, itself) {
			clauses = append(clauses, "DROP INDEX "+dbserver.Quote(p.name), "ADD "+p.text)
		}
	}
	return clauses
}

// release drops the foreign keys that hold a column fast whose type changes, and makes them again.
func (w *writer) release(changes []schema.Change) {
	for name, t := range w.have {
		d := definitionOf(t)
		if d == nil || d.lite || w.dropped[name] {
			continue
		}
		var held []part
		for _, k := range d.keys() {
			if now := w.rewritten[name]; now != nil && definitionOf(now) != nil {
				if kept, ok := definitionOf(now).find(isKey, k.name); !ok || kept.text != k.text {
					continue // it is dropped anyway
				}
			}
			if w.retyped(name, k.columns) || w.retyped(k.parent, k.finds) {
				held = append(held, k)
			}
		}
		w.held = w.held || len(held) > 0
		w.dropKeys(name, held)
		w.addKeys(name, held)
	}
}

// retyped reports whether one of the columns gets another type, collation or nullability.
func (w *writer) retyped(table string, columns []string) bool {
	from, to := w.have[table], w.rewritten[table]
	return from != nil && to != nil && slices.ContainsFunc(columns, func(name string) bool {
		a, ok := from.Column(name)
		b, both := to.Column(name)
		return ok && both && (a.Type.Raw != b.Type.Raw || a.Type.Null != b.Type.Null ||
			collationOf(from, name) != collationOf(to, name))
	})
}

// indexesOf are the statements that make the indexes of a table of SQLite.
func indexesOf(t *schema.Table) (made []*atlas.Change) {
	for _, p := range definitionOf(t).parts {
		if isStatement(p.text) {
			made = append(made, statement("create an index of table %q", t.Name, p.text))
		}
	}
	return made
}

// alterSQLite adds what can be added, and else makes the table anew and copies its rows, as SQLite's manual has it
// (https://www.sqlite.org/lang_altertable.html#making_other_kinds_of_table_schema_changes).
func (w *writer) alterSQLite(r *rewrite) {
	name, d := r.to.Name, definitionOf(r.to)
	w.lite = true
	do := func(comment, sql string) { w.alters = append(w.alters, statement(comment, name, sql)) }
	if !slices.ContainsFunc(r.edits, func(e edit) bool { return !e.inPlace() }) {
		for _, e := range r.edits {
			switch {
			case e.object == isColumn:
				column := dbserver.Quote(e.name) + e.want[token(e.want, true):]
				do("modify %q table", alteration(name, "ADD COLUMN "+column))
			case e.have != "":
				do("drop an index of table %q", "DROP INDEX "+dbserver.Quote(e.name))
			}
			if e.object == isIndex && e.want != "" {
				do("create an index of table %q", e.want)
			}
		}
		return
	}
	w.remade = true
	var columns, values []string
	for _, c := range r.to.Columns {
		old, ok := r.from.Column(c.Name)
		if !ok || Attr[*schema.GeneratedExpr](c.Attrs) != nil {
			continue
		}
		column := dbserver.Quote(c.Name)
		columns = append(columns, column)
		if fill := defaultOf(c); fill != "" && old.Type.Null && !c.Type.Null {
			column = "IFNULL(" + column + ", " + fill + ")"
		}
		values = append(values, column)
	}
	anew := dbserver.Quote("new_" + name)
	const create = "CREATE TABLE " // as SQLite writes it, whatever it was told
	do("make table %q anew", create+anew+d.sql[len(create)+token(d.sql[len(create):], true):])
	if len(columns) > 0 {
		do("copy the rows of table %q", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", anew,
			strings.Join(columns, ", "), strings.Join(values, ", "), dbserver.Quote(name)))
	}
	do("drop the old table %q", "DROP TABLE "+dbserver.Quote(name))
	do("name the new table %q", "ALTER TABLE "+anew+" RENAME TO "+dbserver.Quote(name))
	w.alters = append(w.alters, indexesOf(r.to)...)
	for _, o := range w.beside {
		if o.table == name && o.Kind == "trigger" {
			do("make a trigger of table %q again", o.sql)
		}
	}
}

// addable is a column that SQLite adds to a table with rows (https://www.sqlite.org/lang_altertable.html).
var addable = regexp.MustCompile(`^\S+(?: \w+(?: \(\))?| default (?:'[^']*'|-? ?\d+))*$`)

// inPlace reports whether SQLite makes an edit without making the table anew.
func (e edit) inPlace() bool {
	if e.object == isIndex {
		return isStatement(e.have + e.want)
	}
	text, _ := collapse(canonical(e.want, true))
	words := strings.Fields(text)
	has := func(w string) bool { return slices.Contains(words, w) }
	refused := has("primary") || has("unique") || has("references") || has("stored") || has("generated") || has("as") ||
		has("check") || has("current_timestamp") || has("default") && has("()") || has("not") && !has("default")
	return e.object == isColumn && e.have == "" && e.last && !refused && addable.MatchString(text)
}

// defaultOf is the default of a column of SQLite; empty if it has none.
func defaultOf(c *schema.Column) string {
	switch x := c.Default.(type) {
	case *schema.Literal:
		return x.V
	case *schema.RawExpr:
		return "(" + x.X + ")"
	}
	return ""
}
