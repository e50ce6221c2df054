package adopt

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/registry"
)

// ObstacleKind is why something stands in the way of an [Run].
type ObstacleKind string

// The kinds of obstacles.
const (
	// ObstacleStructure: the table itself cannot be brought to this schema.
	ObstacleStructure ObstacleKind = "structure"
	// ObstacleSameAddress: addresses that are equal once they are normalised.
	ObstacleSameAddress ObstacleKind = "same address"
	// ObstacleAddress: addresses that are not normalised, which this schema's
	// client would not find. [Options.NormalizeEmails] rewrites them.
	ObstacleAddress ObstacleKind = "address not normalised"
	// ObstacleDuplicate: rows that are equal in the columns of a unique index.
	ObstacleDuplicate ObstacleKind = "duplicate"
	// ObstacleTooLong, ObstacleNotASCII, ObstacleNull, ObstacleRange and
	// ObstacleValue: values that a column cannot hold.
	ObstacleTooLong  ObstacleKind = "too long"
	ObstacleNotASCII ObstacleKind = "not ASCII"
	ObstacleNull     ObstacleKind = "null"
	ObstacleRange    ObstacleKind = "out of range"
	ObstacleValue    ObstacleKind = "unknown value"
	// ObstacleCheck: rows that a CHECK refuses.
	ObstacleCheck ObstacleKind = "check"
	// ObstacleOrphan: rows that refer to one that is not there.
	ObstacleOrphan ObstacleKind = "orphan"
)

// Obstacle is what stands in the way of an [Run]. It names rows by their ids
// and never holds a value.
type Obstacle struct {
	Table string `json:"table"`
	// Columns are those at fault, if any.
	Columns []string     `json:"columns,omitempty"`
	Kind    ObstacleKind `json:"kind"`
	// Rows counts the rows, or the groups of rows that are alike; 0 where it is
	// the table that stands in the way.
	Rows int64 `json:"rows,omitempty"`
	// IDs are the first rows, each alone or with those it is alike to.
	IDs [][]json.Number `json:"ids,omitempty"`
	// Text says what is wrong and what to do.
	Text string `json:"text"`
}

// shownRows is how many rows an [Obstacle] names, and how many of each group.
const shownRows = 10

// addressColumn holds an address in each table that has it, which is found in one spelling only.
const addressColumn = "email"

// dataCheck looks for rows that stand in the way of a plan.
type dataCheck struct {
	*adoptPlan
	db *atlasdb.DB
}

// find reads every table that is to be changed: each once for the values of its
// columns, and once for each unique index and foreign key that it has not.
func (d *dataCheck) find(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(d.want)) {
		want, live := d.want[name], d.live[name]
		if live == nil {
			continue
		}
		if err := d.values(ctx, want, live); err != nil {
			return fmt.Errorf("look through table %s: %w", name, err)
		}
		if err := d.duplicates(ctx, want, live); err != nil {
			return fmt.Errorf("look for duplicates in table %s: %w", name, err)
		}
		if err := d.orphans(ctx, want, live); err != nil {
			return fmt.Errorf("look for orphans in table %s: %w", name, err)
		}
	}
	if err := d.findZeros(ctx); err != nil {
		return err
	}
	return d.elsewhere(ctx)
}

// findZeros looks through the columns of this schema for the time 0000-00-00, which
// is what a server without explicit_defaults_for_timestamp writes into a TIMESTAMP
// that is not given. It becomes NULL where there may be none, and stands in the way
// where there has to be a time. Never is it made the current one.
func (d *dataCheck) findZeros(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(d.want)) {
		if d.live[name] == nil {
			continue
		}
		if err := d.zeros(ctx, d.want[name], d.live[name]); err != nil {
			return fmt.Errorf("look for times in table %s: %w", name, err)
		}
	}
	slices.SortStableFunc(d.differences, func(a, b Difference) int { return strings.Compare(a.Table, b.Table) })
	return nil
}

const zeroDefault = "DEFAULT '0000-00-00"

func (d *dataCheck) zeros(ctx context.Context, want, live *tableDef) error {
	var columns parts
	var needed []condition
	for _, c := range want.columns {
		had, ok := live.columns.find(c.name)
		if !ok || want.typeOf(c).base != "timestamp" || live.typeOf(had).base != "timestamp" {
			continue
		}
		if !want.typeOf(c).notNull {
			columns = append(columns, had)
			continue
		}
		needed = append(needed, condition{isZero(c.name), Obstacle{Columns: []string{c.name}, Kind: ObstacleRange, Text: "0000-00-00 is no time: correct them"}})
	}
	if err := d.obstructAll(ctx, want.name, needed); err != nil {
		return err
	}
	all := make([]condition, len(columns))
	for i, c := range columns {
		all[i].where = isZero(c.name)
	}
	counts, err := d.count(ctx, want.name, all)
	if err != nil {
		return err
	}
	var set, where []string
	for i, c := range columns {
		// A row may be written with the default until the table is rebuilt.
		if counts[i] == 0 && !strings.Contains(c.text, zeroDefault) {
			continue
		}
		set = append(set, fmt.Sprintf("%s = IF(%s, NULL, %[1]s)", dbserver.Quote(c.name), all[i].where))
		where = append(where, all[i].where)
		d.noteZeros(want, c, counts[i])
	}
	if len(set) == 0 {
		return nil
	}
	kept := want.onUpdate()
	for _, name := range live.onUpdate() {
		if want.columns.index(name) < 0 {
			kept = append(kept, name)
		}
	}
	for _, name := range kept {
		set = append(set, dbserver.Quote(name)+" = "+dbserver.Quote(name))
	}
	d.add("What is no time becomes NULL in "+want.name, "UPDATE "+dbserver.Quote(want.name)+" SET\n  "+strings.Join(set, ",\n  ")+"\nWHERE "+strings.Join(where, " OR "))
	return nil
}

// isZero is a condition for the time 0000-00-00, which is no literal in strict mode.
func isZero(column string) string { return "UNIX_TIMESTAMP(" + dbserver.Quote(column) + ") = 0" }

// noteZeros says at the difference of a column how many rows change.
func (d *dataCheck) noteZeros(want *tableDef, column part, rows int64) {
	note := fmt.Sprintf("0000-00-00 becomes NULL, in %d rows now", rows)
	i := slices.IndexFunc(d.differences, func(x Difference) bool {
		return x.Table == want.name && x.Object == "column" && strings.EqualFold(x.Name, column.name)
	})
	if i < 0 {
		i = len(d.differences)
		d.differ(want.name, "column", column.name, Modify, column.text, column.text)
	}
	d.differences[i].Note = note
}

// condition is a WHERE that holds for the rows that stand in the way.
type condition struct {
	where string
	found Obstacle
}

// values looks for values that the columns and checks of this schema refuse.
func (d *dataCheck) values(ctx context.Context, want, live *tableDef) error {
	var all []condition
	for _, c := range want.columns {
		had, ok := live.columns.find(c.name)
		to := want.typeOf(c)
		switch {
		case ok && !same(want, live, c, had):
			all = append(all, d.column(want.name, c.name, live.typeOf(had), to)...)
		case !ok && !to.fills:
			all = append(all, condition{"TRUE", Obstacle{Columns: []string{c.name}, Kind: ObstacleNull, Text: "the column is missing and has no default: add it and fill it"}})
		}
	}
	for _, c := range want.checks {
		if had, ok := live.checks.find(c.name); ok && had.text == c.text {
			continue
		}
		expression := bracket(c.text)
		columns := quotedNames(expression)
		if slices.ContainsFunc(columns, func(n string) bool { return live.columns.index(n) < 0 }) {
			continue
		}
		all = append(all, condition{"NOT (" + expression + ")", Obstacle{Columns: columns, Kind: ObstacleCheck, Text: "the check " + c.name + " refuses them: correct the values"}})
	}
	return d.obstructAll(ctx, want.name, all)
}

// count counts, in one reading of the table, the rows for which each condition holds.
func (d *dataCheck) count(ctx context.Context, table string, all []condition) ([]int64, error) {
	if len(all) == 0 {
		return nil, nil
	}
	sums := make([]string, len(all))
	for i, c := range all {
		sums[i] = "COALESCE(SUM(" + c.where + "), 0)"
	}
	counts := make([]int64, len(all))
	err := d.db.Rows(ctx, "SELECT "+strings.Join(sums, ", ")+" FROM "+dbserver.Quote(table), func(r []sql.NullString) {
		for i, v := range r {
			counts[i], _ = strconv.ParseInt(v.String, 10, 64) // a sum of truths
		}
	})
	return counts, err
}

// obstructAll names the rows for which a condition holds.
func (d *dataCheck) obstructAll(ctx context.Context, table string, all []condition) error {
	counts, err := d.count(ctx, table, all)
	if err != nil {
		return err
	}
	for i, c := range all {
		if counts[i] == 0 {
			continue
		}
		o := c.found
		o.Table, o.Rows = table, counts[i]
		if key := d.key(table); key != "" {
			err := d.db.Rows(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY 1 LIMIT %d", key, dbserver.Quote(table), c.where, shownRows),
				func(r []sql.NullString) { o.IDs = append(o.IDs, []json.Number{json.Number(r[0].String)}) })
			if err != nil {
				return err
			}
		}
		d.obstruct(o)
	}
	return nil
}

// key is the column that names a row in a report; empty if it has none.
func (d *dataCheck) key(table string) string {
	ix, _ := d.want[table].indexes.find(primary)
	columns := columnsOf(ix)
	if len(columns) != 1 {
		return ""
	}
	if c, ok := d.live[table].columns.find(columns[0]); !ok || d.live[table].typeOf(c).family() != "integer" {
		return ""
	}
	return dbserver.Quote(columns[0])
}

// limits are the least and the greatest integer of a type.
var limits = map[string][2]string{
	"tinyint": {"-128", "127"}, "smallint": {"-32768", "32767"}, "mediumint": {"-8388608", "8388607"},
	"int": {"-2147483648", "2147483647"}, "bigint": {"-9223372036854775808", "9223372036854775807"},
}

// column gives the conditions under which a value of one type is none of another.
func (d *dataCheck) column(table, name string, from, to columnType) (all []condition) {
	q := dbserver.Quote(name)
	add := func(kind ObstacleKind, where, text string) {
		all = append(all, condition{where, Obstacle{Columns: []string{name}, Kind: kind, Text: text}})
	}
	if from.family() != to.family() {
		hint := "it would not be converted without loss"
		if to.base == "timestamp" && from.base == "datetime" {
			hint = "it has no time zone: if it holds UTC, run ALTER TABLE with time_zone = '+00:00' yourself"
		}
		d.obstruct(Obstacle{Table: table, Columns: []string{name}, Kind: ObstacleStructure, Text: fmt.Sprintf("the column is %s and has to be %s: %s", from.base, to.base, hint)})
		return nil
	}
	if to.notNull && !from.notNull {
		add(ObstacleNull, q+" IS NULL", "the column may not be null here: fill them")
	}
	switch to.family() {
	case "integer":
		if from.base != to.base || from.unsigned != to.unsigned {
			add(ObstacleRange, fmt.Sprintf("%s NOT BETWEEN %s AND %s", q, limits[to.base][0], limits[to.base][1]), "the values do not fit into "+to.base+": correct them")
		}
	case "text":
		in := "CONVERT(" + q + " USING utf8mb4)"
		switch to.base {
		case "varchar":
			n, _ := strconv.Atoi(to.args) // the server wrote it
			if had, err := strconv.Atoi(from.args); from.base != "varchar" || err != nil || had > n {
				add(ObstacleTooLong, fmt.Sprintf("CHAR_LENGTH(%s) > %d", q, n), fmt.Sprintf("the values are longer than %d characters: shorten them or delete the rows", n))
			}
			if to.charset == "ascii" && from.charset != "ascii" {
				add(ObstacleNotASCII, "LENGTH("+in+") <> CHAR_LENGTH("+in+")", "they are not ASCII, so they are no hashes: correct them or delete the rows")
			}
		case "enum":
			if from.base != "enum" || from.args != to.args {
				add(ObstacleValue, in+" COLLATE utf8mb4_bin NOT IN ("+to.args+")", "the values are none of "+to.args+": correct them")
			}
		case "json":
			if from.base != "json" {
				add(ObstacleValue, "NOT JSON_VALID("+q+")", "the values are no JSON: correct them")
			}
		}
		if to.check != "" && to.check != from.check {
			add(ObstacleCheck, "NOT ("+to.check+")", "the check "+to.check+" refuses them: correct the values")
		}
	}
	return all
}

// duplicates looks for rows that are one under a unique index of this schema.
func (d *dataCheck) duplicates(ctx context.Context, want, live *tableDef) error {
	key := d.key(want.name)
	for _, ix := range want.indexes {
		columns := columnsOf(ix)
		if had, ok := live.indexes.find(ix.name); ix.name == primary || !isUnique(ix) || ok && had.text == ix.text && d.unchanged(want, live, columns) || key == "" {
			continue
		}
		var exact, given []string
		missing := false
		for _, c := range columns {
			had, ok := live.columns.find(c)
			missing = missing || !ok
			e := dbserver.Quote(c)
			if live.typeOf(had).family() == "text" {
				// As this schema compares, byte by byte but for spaces at the end, and
				// at a length at which the server can group in memory.
				e = "CAST(UNHEX(SHA2(RTRIM(CONVERT(" + e + " USING utf8mb4)), 256)) AS BINARY(32))"
			}
			exact, given = append(exact, e), append(given, dbserver.Quote(c)+" IS NOT NULL")
		}
		if missing {
			continue
		}
		groups := fmt.Sprintf(" FROM %s WHERE %s GROUP BY %s HAVING COUNT(*) > 1", dbserver.Quote(want.name), strings.Join(given, " AND "), strings.Join(exact, ", "))
		o := Obstacle{Table: want.name, Columns: columns, Kind: ObstacleDuplicate, Text: "the unique index " + ix.name + " refuses more than one of each: delete or change the others"}
		err := d.db.Rows(ctx, "SELECT COUNT(*) FROM (SELECT 1"+groups+") AS d", func(r []sql.NullString) {
			o.Rows, _ = strconv.ParseInt(r[0].String, 10, 64) // a count
		})
		if err == nil && o.Rows > 0 {
			ids := fmt.Sprintf("SELECT SUBSTRING_INDEX(GROUP_CONCAT(%s ORDER BY %s SEPARATOR ' '), ' ', %d), MIN(%s)", key, key, shownRows, key)
			err = d.db.Rows(ctx, ids+groups+fmt.Sprintf(" ORDER BY 2 LIMIT %d", shownRows), func(r []sql.NullString) {
				o.IDs = append(o.IDs, numbers(strings.Fields(r[0].String)))
			})
		}
		if err != nil {
			return err
		}
		if o.Rows > 0 {
			d.obstruct(o)
		}
	}
	return nil
}

// unchanged reports whether columns already are what they are to be.
func (d *dataCheck) unchanged(want, live *tableDef, columns []string) bool {
	return !slices.ContainsFunc(columns, func(name string) bool {
		w, _ := want.columns.find(name)
		l, _ := live.columns.find(name)
		return !same(want, live, w, l)
	})
}

func numbers(ids []string) []json.Number {
	out := make([]json.Number, len(ids))
	for i, id := range ids {
		out[i] = json.Number(id)
	}
	return out
}

// orphans looks for rows that a missing foreign key has let in.
func (d *dataCheck) orphans(ctx context.Context, want, live *tableDef) error {
	var missing []foreignKey
	for _, c := range want.foreign {
		fk, ok := parseForeign(want.name, c)
		if !ok || d.live[fk.parent] == nil || slices.ContainsFunc(live.foreign, func(l part) bool {
			have, ok := parseForeign(want.name, l)
			return ok && have.sameColumns(fk)
		}) {
			continue
		}
		missing = append(missing, fk)
	}
	for _, fk := range d.noted {
		if fk.table == want.name {
			missing = append(missing, fk)
		}
	}
	for _, fk := range missing {
		if err := d.orphansOf(ctx, fk); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataCheck) orphansOf(ctx context.Context, fk foreignKey) error {
	var on, given []string
	for i, c := range fk.columns {
		on, given = append(on, "p."+dbserver.Quote(fk.finds[i])+" = c."+dbserver.Quote(c)), append(given, "c."+dbserver.Quote(c)+" IS NOT NULL")
	}
	from := fmt.Sprintf("FROM %s AS c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s AS p WHERE %s)",
		dbserver.Quote(fk.table), strings.Join(given, " AND "), dbserver.Quote(fk.parent), strings.Join(on, " AND "))
	o := Obstacle{Table: fk.table, Columns: fk.columns, Kind: ObstacleOrphan, Text: "they refer to " + fk.parent + " that are not there: delete the rows"}
	err := d.db.Rows(ctx, "SELECT COUNT(*) "+from, func(r []sql.NullString) {
		o.Rows, _ = strconv.ParseInt(r[0].String, 10, 64) // a count
	})
	if err != nil || o.Rows == 0 {
		return err
	}
	if d.want[fk.table] != nil {
		if key := d.key(fk.table); key != "" {
			err = d.db.Rows(ctx, fmt.Sprintf("SELECT c.%s %s ORDER BY 1 LIMIT %d", key, from, shownRows),
				func(r []sql.NullString) { o.IDs = append(o.IDs, []json.Number{json.Number(r[0].String)}) })
		}
	}
	d.obstruct(o)
	return err
}

// elsewhere looks for what holds the tables fast from outside: other databases,
// and tables of this one whose foreign keys are to be made again.
func (d *dataCheck) elsewhere(ctx context.Context) error {
	for _, fk := range d.noted {
		if d.want[fk.table] == nil {
			if err := d.orphansOf(ctx, fk); err != nil {
				return err
			}
		}
	}
	err := d.db.Rows(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE "+
		"WHERE REFERENCED_TABLE_SCHEMA = DATABASE() AND TABLE_SCHEMA <> DATABASE()", func(r []sql.NullString) {
		if a := d.alters[r[3].String]; a != nil {
			d.obstruct(Obstacle{Table: r[3].String, Kind: ObstacleStructure, Text: fmt.Sprintf(
				"table %s.%s refers to it from another database: drop its foreign key %s first, and make it again afterwards with a %s",
				r[0].String, r[1].String, r[2].String, d.becomes(r[3].String, r[4].String))})
		}
	})
	if err != nil {
		return fmt.Errorf("look for foreign keys of other databases: %w", err)
	}
	return nil
}

// batchRows is how many rows are read at once, and how many addresses one
// statement rewrites.
const batchRows = 500

// addresses calls fn with each row that has an address, in the order of ids and
// without a transaction that stays open, and flush after every so many rows.
func addresses(ctx context.Context, db *atlasdb.DB, table, column string, fn func(id int64, email string), flush func() error) error {
	last := int64(math.MinInt64)
	query := fmt.Sprintf("SELECT id, CONVERT(%s USING utf8mb4) FROM %s WHERE id > ? AND %s IS NOT NULL ORDER BY id LIMIT %d", dbserver.Quote(column), dbserver.Quote(table), dbserver.Quote(column), batchRows)
	for n := batchRows; n == batchRows; {
		n = 0
		var bad error
		err := db.Rows(ctx, query, func(r []sql.NullString) {
			id, err := strconv.ParseInt(r[0].String, 10, 64)
			if err != nil {
				bad = err
				return
			}
			n++
			last = id
			fn(id, r[1].String)
		}, last)
		if err != nil {
			return err
		}
		if bad != nil {
			return bad
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

func noFlush() error { return nil }

// addresses finds the addresses that are not normalised, and those that would be
// equal if they were. What is kept in memory grows with these alone.
func (d *dataCheck) addresses(ctx context.Context, rewrite bool) (counts map[string]int64, err error) {
	counts = map[string]int64{}
	const column = addressColumn
	for _, table := range registry.With(column) {
		live := d.live[table]
		if live == nil || live.columns.index(column) < 0 || d.want[table] == nil || d.key(table) != dbserver.Quote("id") {
			continue
		}
		var long, other Obstacle
		groups := map[[16]byte][]json.Number{}
		err := addresses(ctx, d.db, table, column, func(id int64, email string) {
			now := schematype.NormalizeEmail(email)
			if now == email {
				return
			}
			count(&other, id)
			if len([]rune(now)) > schematype.MaxEmailLen {
				count(&long, id)
			}
			groups[digest(now)] = nil
		}, noFlush)
		if err != nil {
			return nil, fmt.Errorf("read the addresses of table %s: %w", table, err)
		}
		if other.Rows == 0 {
			continue
		}
		if d.isUniqueColumn(table, column) {
			same, err := d.sameAddresses(ctx, table, column, groups)
			if err != nil {
				return nil, fmt.Errorf("read the addresses of table %s: %w", table, err)
			}
			if same.Rows > 0 {
				d.obstruct(same)
			}
		}
		counts[table] = other.Rows
		if long.Rows > 0 {
			long.Table, long.Columns, long.Kind, long.Text = table, []string{column}, ObstacleTooLong, "the addresses are longer than 255 characters once normalised: correct them"
			d.obstruct(long)
		}
		if !rewrite {
			other.Table, other.Columns, other.Kind, other.Text = table, []string{column}, ObstacleAddress,
				"they would not be found any more: --normalize-emails (NormalizeEmails) rewrites them"
			d.obstruct(other)
		}
	}
	return counts, nil
}

// digest stands for an address in memory, at 16 bytes.
func digest(address string) [16]byte {
	sum := sha256.Sum256([]byte(address))
	return [16]byte(sum[:16])
}

func count(o *Obstacle, id int64) {
	if o.Rows++; o.Rows <= shownRows {
		o.IDs = append(o.IDs, []json.Number{json.Number(strconv.FormatInt(id, 10))})
	}
}

// isUniqueColumn reports whether a column alone is unique in this schema.
func (d *dataCheck) isUniqueColumn(table, column string) bool {
	return slices.ContainsFunc(d.want[table].indexes, func(ix part) bool {
		return isUnique(ix) && slices.Equal(columnsOf(ix), []string{column})
	})
}

// sameAddresses reads the addresses once more and gathers the rows that share
// one of the groups.
func (d *dataCheck) sameAddresses(ctx context.Context, table, column string, groups map[[16]byte][]json.Number) (Obstacle, error) {
	o := Obstacle{Table: table, Columns: []string{column}, Kind: ObstacleSameAddress,
		Text: "they are one address once normalised, and one account can have it: decide whose it is"}
	err := addresses(ctx, d.db, table, column, func(id int64, email string) {
		key := digest(schematype.NormalizeEmail(email))
		if ids, ok := groups[key]; ok && len(ids) < shownRows {
			groups[key] = append(ids, json.Number(strconv.FormatInt(id, 10)))
		}
	}, noFlush)
	if err != nil {
		return o, err
	}
	for _, ids := range groups {
		if len(ids) > 1 {
			o.Rows++
			o.IDs = append(o.IDs, ids)
		}
	}
	slices.SortFunc(o.IDs, func(a, b []json.Number) int {
		x, _ := a[0].Int64() // written by FormatInt
		y, _ := b[0].Int64()
		return int(min(1, max(-1, x-y)))
	})
	o.IDs = o.IDs[:min(len(o.IDs), shownRows)]
	return o, nil
}
