package adopt

import (
	"maps"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// Statement is one statement of an adoption. Each leaves a database from which another [Run] goes on.
type Statement struct {
	// Comment says what it is for, in one line.
	Comment string `json:"comment"`
	SQL     string `json:"sql"`

	table string
}

func (p *plan) add(table, comment, sql string) {
	p.statements = append(p.statements, Statement{Comment: comment, SQL: sql, table: table})
}

// notes is the table in which an adoption under way keeps the foreign keys of other tables that it has dropped, because
// nothing else knows them.
const (
	notes       = "authgraph_adopt"
	createNotes = "CREATE TABLE `" + notes + "` (\n  `table_name` varchar(64) NOT NULL,\n" +
		"  `name` varchar(64) NOT NULL,\n  `definition` text NOT NULL,\n" +
		"  PRIMARY KEY (`table_name`, `name`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
)

// state puts the statements in order: foreign keys are dropped, each table is rebuilt or made after those it refers to.
func (p *plan) state() {
	if len(p.again) > 0 {
		p.note()
	}
	names := slices.Sorted(maps.Keys(p.alters))
	for _, name := range names {
		if drops := p.alters[name].drops; len(drops) > 0 {
			p.add(name, "Free the columns of "+name+" to change their type; takes no time", alterTable(name, drops...))
		}
	}
	var later []part
	order := p.order(names)
	for i, name := range order {
		a := p.alters[name]
		if a.create != "" {
			p.add(name, "Table "+name+" is missing", a.create)
			continue
		}
		for _, fk := range a.keys {
			// MariaDB looks at the column a table refers to in itself as it was.
			if slices.Contains(order[i:], fk.parent) {
				later = append(later, fk)
			} else {
				a.clauses = append(a.clauses, "ADD "+fk.text)
			}
		}
		if len(a.clauses) > 0 {
			p.add(name, "Rebuild "+name+" once; on MySQL writes to it wait", alterTable(name, a.clauses...))
		}
	}
	for _, fk := range later {
		p.add(fk.table, "A foreign key whose other end had to be rebuilt first", alterTable(fk.table, "ADD "+fk.text))
	}
	if p.live[notes] != nil || len(p.again) > 0 {
		p.add(notes, "Every foreign key is there again", "DROP TABLE "+dbserver.Quote(notes))
	}
}

func alterTable(name string, clauses ...string) string {
	return "ALTER TABLE " + dbserver.Quote(name) + "\n  " + strings.Join(clauses, ",\n  ")
}

// order has each table behind those that its new foreign keys lead to, as far as that is possible.
func (p *plan) order(names []string) (order []string) {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		a := p.alters[name]
		if a == nil || seen[name] {
			return
		}
		seen[name] = true
		for _, fk := range a.keys {
			visit(fk.parent)
		}
		order = append(order, name)
	}
	for _, name := range names {
		visit(name)
	}
	return order
}

// note writes down the foreign keys of others before they are dropped.
func (p *plan) note() {
	if p.live[notes] == nil {
		p.add(notes, "What an adoption that is cut off has to make again", createNotes)
	}
	var rows []string
	for _, fk := range p.again {
		rows = append(rows, "("+literal(fk.table)+", "+literal(fk.name)+", "+literal(fk.text)+")")
	}
	p.add(notes, "The foreign keys of other tables that are dropped", "REPLACE INTO "+dbserver.Quote(notes)+
		" (`table_name`, `name`, `definition`) VALUES\n  "+strings.Join(rows, ",\n  "))
}

// literal is a text in SQL.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(s) + "'"
}
