package adopt

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// ObstacleKind is why something stands in the way of [Run].
type ObstacleKind string

// The kinds of obstacles.
const (
	// ObstacleStructure: the table itself cannot be brought to this schema.
	ObstacleStructure ObstacleKind = "structure"
	// ObstacleSameAddress: addresses that are equal once they are normalised.
	ObstacleSameAddress ObstacleKind = "same address"
	// ObstacleAddress: addresses that are not normalised, which this schema's client would not find.
	// [Options.NormalizeEmails] rewrites them.
	ObstacleAddress ObstacleKind = "address not normalised"
	// ObstacleDuplicate: rows that are equal in the columns of a unique index.
	ObstacleDuplicate ObstacleKind = "duplicate"
	// ObstacleTooLong and those below: values that a column cannot hold.
	ObstacleTooLong  ObstacleKind = "too long"
	ObstacleNotASCII ObstacleKind = "not ASCII"
	ObstacleNull     ObstacleKind = "null"
	ObstacleRange    ObstacleKind = "out of range"
	ObstacleValue    ObstacleKind = "unknown value"
	// ObstacleCheck: rows that a CHECK refuses.
	ObstacleCheck ObstacleKind = "check"
	// ObstacleRight: the account may not do what is needed.
	ObstacleRight ObstacleKind = "missing right"
	// ObstacleOrphan: rows that refer to one that is not there.
	ObstacleOrphan ObstacleKind = "orphan"
)

// Obstacle is what stands in the way of [Run]. It names rows by their ids and never holds a value.
type Obstacle struct {
	Table string `json:"table"`
	// Columns are those at fault, if any.
	Columns []string     `json:"columns,omitempty"`
	Kind    ObstacleKind `json:"kind"`
	// Rows counts the rows, or the groups of rows that are alike; 0 where it is the table that stands in the way.
	Rows int64 `json:"rows,omitempty"`
	// IDs are the first rows, each alone or with those it is alike to.
	IDs [][]json.Number `json:"ids,omitempty"`
	// Text says what is wrong, Fix what to do.
	Text string `json:"text"`
	Fix  string `json:"fix"`
}

func (o Obstacle) String() string { return o.Text + ": " + o.Fix }

// shownRows is how many rows an [Obstacle] names, and how many of each group.
const shownRows = 10

// condition is a WHERE that holds for the rows that stand in the way, and the obstacle that they are.
type condition struct {
	where    string
	obstacle Obstacle
}

// conditions are those of a table that rows must not meet: values that the wanted columns and checks refuse.
func conditions(want, live *table) (all []condition) {
	for _, c := range want.all(isColumn) {
		had, there := live.find(isColumn, c.name)
		if zero, ok := noTime(had, c); ok && !c.holds.null {
			all = append(all, zero)
		}
		if c.holds.base == "enum" && had.holds.base == "enum" {
			all = append(all, noMember(c))
		}
		switch {
		case there && !c.is(had):
			all = append(all, conditionsOf(had, c)...)
		case !there && !c.holds.fills:
			all = append(all, refused(c, ObstacleNull,
				"TRUE", "the column is missing and has no default", "add it and fill it"))
		}
	}
	for _, c := range want.all(isCheck) {
		had, _ := live.find(isCheck, c.name)
		_, expression, _ := strings.Cut(c.text, " CHECK ")
		missing := false
		for _, name := range c.columns {
			_, there := live.find(isColumn, name)
			missing = missing || !there
		}
		if had.text == c.text || missing {
			continue
		}
		// What may follow is that the check is not enforced.
		where := "NOT " + expression[:strings.LastIndex(expression, ")")+1]
		all = append(all, condition{where, Obstacle{Columns: c.columns, Kind: ObstacleCheck,
			Text: "the check " + c.name + " refuses them", Fix: "correct the values"}})
	}
	return all
}

func refused(c part, kind ObstacleKind, where, text, fix string) condition {
	return condition{where, Obstacle{Columns: []string{c.name}, Kind: kind, Text: text, Fix: fix}}
}

// noTime is the condition for the time 0000-00-00, which a server without explicit_defaults_for_timestamp writes into a
// TIMESTAMP that is not given. The time is no literal in strict mode.
func noTime(from, to part) (zero condition, ok bool) {
	zero = refused(to, ObstacleRange, "UNIX_TIMESTAMP("+dbserver.Quote(to.name)+") = 0",
		"0000-00-00 is no time", "correct them")
	return zero, from.holds.base == "timestamp" && to.holds.base == "timestamp"
}

// noMember is the condition for the empty text. A server that is not strict stores it in an ENUM for a value that the
// ENUM has not. Strict mode does not let it be copied, and no client of this schema reads it.
func noMember(c part) condition {
	return refused(c, ObstacleValue, dbserver.Quote(c.name)+" + 0 = 0",
		"they are '', which a server that is not strict stores for a value it does not know",
		"set them to one of "+enumValues(c))
}

// enumValues are the values of an ENUM as a list in SQL.
func enumValues(c part) string {
	return strings.TrimSuffix(strings.TrimPrefix(c.holds.typ, "enum("), ")")
}

// integers are the least and the greatest value of a type.
var integers = map[string]string{
	"tinyint": "-128 AND 127", "smallint": "-32768 AND 32767", "mediumint": "-8388608 AND 8388607",
	"int": "-2147483648 AND 2147483647", "bigint": "-9223372036854775808 AND 9223372036854775807",
}

// conditionsOf are those under which a value of one column is none of another.
func conditionsOf(from, to part) (all []condition) {
	if from.family() != to.family() {
		return nil // which is an obstacle without any row
	}
	refuse := func(applies bool, kind ObstacleKind, where, text, fix string) {
		if applies {
			all = append(all, refused(to, kind, where, text, fix))
		}
	}
	q := dbserver.Quote(to.name)
	text := "CONVERT(" + q + " USING utf8mb4)"
	values := enumValues(to)
	refuse(from.holds.null && !to.holds.null, ObstacleNull,
		q+" IS NULL", "the column may not be null here", "fill them")
	refuse(to.family() == "integer" && from.holds.typ != to.holds.typ, ObstacleRange,
		q+" NOT BETWEEN "+integers[to.holds.base], "the values do not fit into "+to.holds.base, "correct them")
	shorter := from.holds.base != "varchar" || from.holds.size > to.holds.size
	refuse(to.holds.base == "varchar" && shorter, ObstacleTooLong,
		fmt.Sprintf("CHAR_LENGTH(%s) > %d", q, to.holds.size),
		fmt.Sprintf("the values are longer than %d characters", to.holds.size), "shorten them or delete the rows")
	refuse(to.holds.charset == "ascii" && from.holds.charset != "ascii", ObstacleNotASCII,
		"LENGTH("+text+") <> CHAR_LENGTH("+text+")",
		"they are not ASCII, so they are no hashes", "correct them or delete the rows")
	unknown := text + " COLLATE utf8mb4_bin NOT IN (" + values + ")"
	if from.holds.base == "enum" {
		unknown += " AND " + q + " + 0 <> 0" // which is another condition
	}
	refuse(to.holds.base == "enum" && from.holds.typ != to.holds.typ, ObstacleValue, unknown,
		"the values are none of "+values, "correct them")
	refuse(to.isJSON() && !from.isJSON(), ObstacleValue,
		"NOT JSON_VALID("+q+")", "the values are no JSON", "correct them")
	return all
}

// orphan is the condition under which a row refers to one that is not there.
func orphan(fk part) condition {
	var given, on []string
	for i, c := range fk.columns {
		child := dbserver.Quote(fk.table) + "." + dbserver.Quote(c)
		given, on = append(given, child+" IS NOT NULL"), append(on, "p."+dbserver.Quote(fk.finds[i])+" = "+child)
	}
	where := fmt.Sprintf("%s AND NOT EXISTS (SELECT 1 FROM %s AS p WHERE %s)",
		strings.Join(given, " AND "), dbserver.Quote(fk.parent), strings.Join(on, " AND "))
	return condition{where, Obstacle{Columns: fk.columns, Kind: ObstacleOrphan,
		Text: "they refer to " + fk.parent + " that are not there", Fix: "delete the rows"}}
}
