package adopt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// Change is what [Run] does about a [Difference].
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
	// Live and Here are the definitions in the database and in this schema, as the server words them.
	Live string `json:"live,omitempty"`
	Here string `json:"here,omitempty"`
	// Note is what else there is to know.
	Note string `json:"note,omitempty"`
}

// plan is what separates the live tables from the wanted ones, and what is done about it. Definitions are compared as
// the one server words both, so the plan is empty exactly where there is nothing to do.
type plan struct {
	want, live  map[string]*table
	differences []Difference
	obstacles   []Obstacle
	statements  []Statement

	alters map[string]*alter
	// retyped are the types that columns are given.
	retyped map[place]string
	// again are foreign keys of others that are dropped, noted those that an adoption that was cut off has dropped:
	// both are made again.
	again, noted []part
}

// place is a column of a table, by its folded name.
type place struct{ table, column string }

func placeOf(table, column string) place { return place{table, fold(column)} }

// alter is what is done to a table: its foreign keys are dropped first, all else follows in one statement, so that the
// table is rebuilt once.
type alter struct {
	create         string
	drops, clauses []string
	keys           []part
}

func newPlan(want, live map[string]*table, noted []part) *plan {
	p := &plan{want: want, live: live, noted: noted, alters: map[string]*alter{}, retyped: map[place]string{}}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if live[name] != nil {
			p.compare(want[name], live[name])
			continue
		}
		*p.alter(name) = alter{create: want[name].create(), keys: want[name].all(isKey)}
		p.differ(Difference{Table: name, Object: isOption, Name: name, Change: Create})
	}
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if want[name] == nil && name != notes {
			p.differ(Difference{Table: name, Object: isOption, Name: name, Change: Keep})
		}
	}
	p.foreignKeys()
	p.state()
	return p
}

func (p *plan) differ(d Difference) { p.differences = append(p.differences, d) }

func (p *plan) obstruct(o Obstacle) { p.obstacles = append(p.obstacles, o) }

func (p *plan) alter(table string) *alter {
	if p.alters[table] == nil {
		p.alters[table] = &alter{}
	}
	return p.alters[table]
}

func (p *plan) clause(table string, text ...string) {
	a := p.alter(table)
	a.clauses = append(a.clauses, strings.Join(text, ""))
}

// compare goes through all parts but the foreign keys.
func (p *plan) compare(want, live *table) {
	want = want.keeping(live)
	var drops []string
	for _, l := range live.parts {
		if _, ours := want.find(l.object, l.name); ours || l.object == isKey {
			continue
		}
		d := Difference{Table: want.name, Object: l.object, Name: l.name, Change: Keep, Live: l.text}
		if l.object == isColumn && !l.holds.fills {
			d.Note = "it has no default: rows written through this schema's client will be refused"
		}
		if note := successor(want, l); note != "" {
			d.Change, d.Note = Drop, note
			drops = append(drops, "DROP INDEX "+dbserver.Quote(l.name))
		}
		p.differ(d)
	}
	differ := map[string]bool{}
	for _, w := range want.parts {
		l, there := live.find(w.object, w.name)
		if w.object == isKey || l.is(w) || !p.possible(want, live, w, l, there) {
			continue
		}
		d := Difference{Table: want.name, Object: w.object, Name: w.name, Change: Add, Here: w.text}
		if there {
			d.Change, d.Live, d.Here = Modify, l.whole(), w.whole()
		}
		if there && l.name != w.name {
			d.Note = "its name is written " + l.name
			differ[isCheck] = true // MySQL words a check that stays with the name that the column had
		}
		if l.holds.updates && !w.holds.updates {
			d.Note = "every change of a row has set it to the time of the change"
		}
		if there && l.holds.typ != w.holds.typ {
			p.retyped[placeOf(want.name, w.name)] = w.holds.typ
		}
		p.differ(d)
		differ[w.object] = true
	}
	for _, of := range []string{isColumn, isIndex} {
		if has, wants := common(live, want, of), common(want, live, of); fold(has) != fold(wants) {
			p.differ(Difference{Table: want.name, Object: of, Name: "order", Change: Move, Live: has, Here: wants})
			differ[of] = true
		}
	}
	p.rebuild(want, live, differ)
	for _, drop := range drops {
		p.clause(want.name, drop)
	}
}

// common are the names of the parts of a table that another one has, too, in their order.
func common(t, other *table, of string) string {
	var names []string
	for _, p := range t.all(of) {
		if _, ok := other.find(of, p.name); ok {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, ", ")
}

// possible reports whether a part can be made what is wanted. If not, an obstacle says why; the primary key stays.
func (p *plan) possible(want, live *table, w, l part, there bool) bool {
	o := Obstacle{Table: want.name, Kind: ObstacleStructure}
	alter := "ALTER TABLE " + dbserver.Quote(want.name)
	switch {
	case w.name == primary && there:
		if sameNames(l.columns, w.columns) {
			return false
		}
		o.Text = fmt.Sprintf("the primary key is (%s)", strings.Join(l.columns, ", "))
		o.Fix = fmt.Sprintf("make it (%s)", strings.Join(w.columns, ", "))
	case w.name == primary:
		o.Text, o.Fix = "the table has no primary key", alter+" ADD "+w.text
		if _, ok := live.find(isColumn, w.columns[0]); !ok && len(w.columns) == 1 {
			o.Fix = fmt.Sprintf("%s ADD COLUMN %s bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
				alter, dbserver.Quote(w.columns[0]))
		}
	case w.object == isIndex && there && successor(want, l) == "":
		o.Text = "another index has the name " + dbserver.Quote(l.name)
		o.Fix = "rename it with " + alter + " RENAME INDEX"
	case w.object == isColumn && there && l.family() != w.family():
		o.Columns = []string{w.name}
		o.Text = fmt.Sprintf("the column is %s and has to be %s", l.holds.base, w.holds.base)
		o.Fix = "convert it yourself, without loss"
		if w.holds.base == "timestamp" && l.holds.base == "datetime" {
			o.Fix = "if it holds UTC, run ALTER TABLE with time_zone = '+00:00' yourself"
		}
	default:
		return true
	}
	p.obstruct(o)
	return false
}

// successor says by what an index is replaced; empty if it is not, or is none.
func successor(want *table, ix part) string {
	special := strings.HasPrefix(ix.text, "FULLTEXT") || strings.HasPrefix(ix.text, "SPATIAL")
	if ix.object != isIndex || len(ix.columns) == 0 || special {
		return ""
	}
	for _, w := range want.all(isIndex) {
		begins := len(ix.columns) <= len(w.columns) && sameNames(ix.columns, w.columns[:len(ix.columns)])
		if begins && (!ix.isUnique() || w.isUnique() && len(ix.columns) == len(w.columns)) {
			return "replaced by " + w.name
		}
	}
	c, _ := want.find(isColumn, ix.columns[0])
	if slices.Contains(flagIndexes, fold(ix.name)) && len(ix.columns) == 1 && c.holds.typ == "tinyint(1)" {
		return "on a flag alone, which is slower with it than without"
	}
	return ""
}

// flagIndexes are the indexes of the page on a flag alone, by their folded names: docs/seed-parity.md shows why they
// are gone. Every other index of the page has a successor.
var flagIndexes = []string{"is_used_idx", "isactive_idx", "is_revoked_idx"}

// rebuild makes all columns, all indexes or all checks of this schema anew if one of them differs. Its columns come
// first and in order. The server shows indexes in the order in which they were made.
func (p *plan) rebuild(want, live *table, differ map[string]bool) {
	at := " FIRST"
	for _, w := range want.parts {
		l, there := live.find(w.object, w.name)
		if !differ[w.object] || w.name == primary {
			continue
		}
		name := dbserver.Quote(w.name)
		switch w.object {
		case isColumn:
			verb := "ADD COLUMN "
			if there && l.name == w.name {
				verb = "MODIFY COLUMN "
			} else if there {
				verb = "CHANGE COLUMN " + dbserver.Quote(l.name) + " "
			}
			p.clause(want.name, verb, want.clause(w), at)
			at = " AFTER " + name
		case isIndex:
			if there {
				p.clause(want.name, "DROP INDEX ", name)
			}
			p.clause(want.name, "ADD ", w.text)
		case isCheck:
			if there {
				p.clause(want.name, "DROP CONSTRAINT ", name)
			}
			p.clause(want.name, "ADD ", w.text)
		case isOption:
			if !l.is(w) {
				p.clause(want.name, w.text)
			}
		}
	}
}
