package adopt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// foreignKeys drops the foreign keys that hold the type of a column fast, and makes them again with the rebuild of
// their table. What refers to a column that grows has to grow with it, in whatever table.
func (p *plan) foreignKeys() {
	have, wanted := keysOf(p.live), keysOf(p.want)
	wanted = slices.DeleteFunc(wanted, func(fk part) bool { return p.live[fk.table] == nil })
	p.noted = slices.DeleteFunc(p.noted, func(fk part) bool {
		there := slices.ContainsFunc(have, fk.sameKey)
		return there || p.live[fk.table] == nil
	})
	ours := func(fk part) bool {
		return slices.ContainsFunc(wanted, func(w part) bool { return w.sameColumns(fk) || w.sameKey(fk) })
	}
	have = slices.DeleteFunc(have, p.holdsText)
	p.widen(slices.DeleteFunc(slices.Concat(have, p.noted), ours))
	for _, fk := range have {
		right := slices.IndexFunc(wanted, func(w part) bool { return w.table == fk.table && w.text == fk.text })
		d := Difference{Table: fk.table, Object: isKey, Name: fk.name, Change: Drop, Live: fk.text}
		switch {
		case right < 0 && ours(fk):
			p.differ(d)
		case !p.grows(fk):
			if right >= 0 {
				wanted = slices.Delete(wanted, right, right+1)
			}
			continue
		case right < 0:
			p.again = append(p.again, fk)
		}
		a := p.alter(fk.table)
		a.drops = append(a.drops, "DROP FOREIGN KEY "+dbserver.Quote(fk.name))
	}
	for _, fk := range wanted {
		p.makeKey(fk, Difference{Change: Add, Here: fk.text})
	}
	for _, fk := range slices.Concat(p.again, p.noted) {
		note := "dropped, and made again when both ends are alike"
		p.makeKey(fk, Difference{Change: Keep, Live: fk.text, Note: note})
	}
}

func keysOf(tables map[string]*table) (all []part) {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		for _, fk := range tables[name].all(isKey) {
			if fk.parent != "" { // in this database
				all = append(all, fk)
			}
		}
	}
	return all
}

func (p *plan) makeKey(fk part, d Difference) {
	d.Table, d.Object, d.Name = fk.table, isKey, fk.name
	p.differ(d)
	a := p.alter(fk.table)
	a.keys = append(a.keys, fk)
}

// holdsText reports, and names as an obstacle, a foreign key on a text that is to have another type or collation, or
// that may not be NULL any more. A server that copies the table does not change such a column while the key is there,
// and the one at its other end cannot follow: rows that the key takes for equal now may not be so afterwards.
func (p *plan) holdsText(fk part) bool {
	for i := range fk.columns {
		for _, end := range []place{placeOf(fk.table, fk.columns[i]), placeOf(fk.parent, fk.finds[i])} {
			w, wanted := p.want[end.table].find(isColumn, end.column)
			l, there := p.live[end.table].find(isColumn, end.column)
			if !wanted || !there || w.holds.collation == "" || w.kind() == l.kind() && (w.holds.null || !l.holds.null) {
				continue
			}
			after := "both of its columns are " + w.kind()
			if w.kind() == l.kind() {
				after = "the column is NOT NULL"
			}
			p.obstruct(Obstacle{
				Table: end.table, Columns: []string{w.name}, Kind: ObstacleStructure,
				Text: fmt.Sprintf("the foreign key %s of table %s holds it fast", fk.name, fk.table),
				Fix: fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s, and make it again afterwards, when %s",
					dbserver.Quote(fk.table), dbserver.Quote(fk.name), after),
			})
			return true
		}
	}
	return false
}

// widen gives a column that is not of this schema the type of the one it refers to, and so on to those that refer to
// it.
func (p *plan) widen(others []part) {
	for again := true; again; {
		again = false
		for _, fk := range others {
			for i, name := range fk.columns {
				_, ours := p.want[fk.table].find(isColumn, name)
				had, there := p.live[fk.table].find(isColumn, name)
				to := p.becomes(fk.parent, fk.finds[i])
				if ours || !there || to == "" || to == p.becomes(fk.table, name) {
					continue
				}
				_, grows := p.retyped[placeOf(fk.parent, fk.finds[i])]
				if !grows && !slices.ContainsFunc(p.noted, fk.sameColumns) {
					continue // what differs does not matter to the server: a length
				}
				text := to + had.rest()
				p.retyped[placeOf(fk.table, name)] = to
				p.differ(Difference{
					Table: fk.table, Object: isColumn, Name: name, Change: Modify, Live: had.text, Here: text,
					Note: fmt.Sprintf("it refers to %s.%s", fk.parent, fk.finds[i]),
				})
				p.clause(fk.table, "MODIFY COLUMN "+dbserver.Quote(name)+" "+text)
				again = true
			}
		}
	}
}

// becomes is the type that a column will have; empty if there is no such column.
func (p *plan) becomes(table, name string) string {
	if to, ok := p.retyped[placeOf(table, name)]; ok {
		return to
	}
	if c, ok := p.live[table].find(isColumn, name); ok {
		return c.holds.typ
	}
	c, _ := p.want[table].find(isColumn, name)
	return c.holds.typ
}

// grows reports whether a column at either end of a foreign key gets another type.
func (p *plan) grows(fk part) bool {
	for i := range fk.columns {
		_, child := p.retyped[placeOf(fk.table, fk.columns[i])]
		_, parent := p.retyped[placeOf(fk.parent, fk.finds[i])]
		if child || parent {
			return true
		}
	}
	return false
}
