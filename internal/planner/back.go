package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
)

// Way is what takes one state to another, in a database that holds rows.
type Way struct {
	*Comparison
	// Tables are those that it makes, changes or drops.
	Tables []string
	// Losses are what rows may lose by it, or may be in its way.
	Losses []Loss
	// Objects are what only one of the states holds and no plan covers, such as views and triggers.
	Objects []Object

	have *schema.Schema
}

// LossKind is how a value is lost.
type LossKind string

// The ways in which values are lost, or are in the way.
const (
	// LostTable: the table is dropped with its rows.
	LostTable LossKind = "table"
	// LostColumn: the column is dropped with its values.
	LostColumn LossKind = "column"
	// LostHistory: the table keeps no history of its rows any more.
	LostHistory LossKind = "history"
	// Converted: the column gets a type that may not hold all of a value.
	Converted LossKind = "conversion"
	// TooLarge: the column gets a type that does not hold the value, and the server refuses it.
	TooLarge LossKind = "too large"
	// IsNull: the column becomes NOT NULL.
	IsNull LossKind = "null"
)

// Loss is what rows may lose, or what may be in the way.
type Loss struct {
	Kind LossKind `json:"kind"`
	// Column is empty for a table.
	Table  string `json:"table"`
	Column string `json:"column,omitempty"`
	// From and To are the types of a column that is converted.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Query counts the rows that it is about.
	Query string `json:"-"`
}

// Blocks reports whether the server refuses such rows, so that no permission helps.
func (l Loss) Blocks() bool { return l.Kind == TooLarge || l.Kind == IsNull }

// Prefix is the state that some files lead to, and the first statements of one more.
func Prefix(dir directory.Dir, files []atlas.File, statements int) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		s, err := d.Replay(ctx, func() error { return d.prefix(ctx, files, statements) })
		if err != nil {
			return nil, ReplayOf(dir, err)
		}
		return s, nil
	}
}

// prefix executes files, of the last one only the first statements, if they are not negative.
func (d *Dev) prefix(ctx context.Context, files []atlas.File, statements int) error {
	for i, f := range files {
		file, err := directory.Split(d.db.Driver, f)
		if err != nil {
			return err
		}
		n := len(file.Stmts)
		if i == len(files)-1 && statements >= 0 {
			n = min(n, statements)
		}
		for j, stmt := range file.Stmts[:n] {
			if err := d.Run(ctx, stmt.Text, file.Code[j]); err != nil {
				return Refused(ctx, file, j, err)
			}
		}
	}
	return nil
}

// Then is the state that a file leads to on top of [Prefix].
func Then(dir directory.Dir, files []atlas.File, statements int, f atlas.File) State {
	return func(ctx context.Context, d *Dev) (*schema.Schema, error) {
		s, err := d.Replay(ctx, func() error {
			if err := d.prefix(ctx, files, statements); err != nil {
				return err
			}
			return d.Exec(ctx, f)
		})
		if err != nil {
			return nil, ReplayOf(dir, err)
		}
		return s, nil
	}
}

// WayBack works out what takes the state from to the state to, and what that does to rows.
func WayBack(ctx context.Context, dev *Dev, from, to State) (*Way, error) {
	have, err := Inspect(ctx, dev, from)
	if err != nil {
		return nil, err
	}
	want, err := Inspect(ctx, dev, to)
	if err != nil {
		return nil, err
	}
	w := &Way{
		have: have, Losses: lossesOf(have, want, dev.Dialect() == dialect.SQLite), Objects: differing(have, want),
	}
	w.Comparison = emptyComparison(have, want)
	changes, err := dev.fill(ctx, w.Comparison, have, want)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if name := tableIn(c); name != "" && !slices.Contains(w.Tables, name) {
			w.Tables = append(w.Tables, name)
		}
	}
	return w, nil
}

// Differing are those of some tables that are otherwise in the database at url than where the way begins.
func (w *Way) Differing(ctx context.Context, dev *Dev, url string, tables []string) (differ []string, err error) {
	live, err := Inspect(ctx, dev, Database(url))
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	other := func(t *schema.Table) bool { return !slices.Contains(tables, t.Name) }
	have := without(w.have, other)
	live = without(live, other)
	if dev.Dialect() != dialect.SQLite {
		keepComments(live, have)
	}
	changes, err := dev.compare(live, have)
	for _, c := range changes {
		differ = append(differ, tableIn(c))
	}
	return differ, err
}

// Begins reports whether a table, or a column of it, is there where the way begins.
func (w *Way) Begins(table, column string) bool {
	t, ok := w.have.Table(table)
	if ok && column != "" {
		_, ok = t.Column(column)
	}
	return ok
}

// lossesOf compares tables and columns by name.
func lossesOf(have, want *schema.Schema, lite bool) (losses []Loss) {
	for _, from := range have.Tables {
		to, ok := want.Table(from.Name)
		table := dbserver.Quote(from.Name)
		if !ok {
			losses = append(losses, Loss{Kind: LostTable, Table: from.Name, Query: "SELECT COUNT(*) FROM " + table})
			continue
		}
		if keepsHistory(from) && !keepsHistory(to) {
			losses = append(losses, Loss{
				Kind: LostHistory, Table: from.Name,
				Query: "SELECT (SELECT COUNT(*) FROM " + table + " FOR SYSTEM_TIME ALL) - (SELECT COUNT(*) FROM " +
					table + ")",
			})
		}
		for _, c := range from.Columns {
			losses = append(losses, lossesIn(c, to, lite)...)
		}
	}
	return losses
}

func keepsHistory(t *schema.Table) bool {
	d := definitionOf(t)
	return d != nil && !d.lite && strings.Contains(d.options, versioning)
}

// lossesIn are those of a column, whose table becomes to.
func lossesIn(c *schema.Column, to *schema.Table, lite bool) (losses []Loss) {
	if Attr[*schema.GeneratedExpr](c.Attrs) != nil {
		return nil
	}
	add := func(kind LossKind, next *schema.Column, where string) {
		l := Loss{
			Kind: kind, Table: to.Name, Column: c.Name,
			Query: "SELECT COUNT(*) FROM " + dbserver.Quote(to.Name) + " WHERE " +
				fmt.Sprintf(where, dbserver.Quote(c.Name)),
		}
		if next != nil {
			l.From, l.To = c.Type.Raw, next.Type.Raw
		}
		losses = append(losses, l)
	}
	i := slices.IndexFunc(to.Columns, func(o *schema.Column) bool { return strings.EqualFold(o.Name, c.Name) })
	if i < 0 || Attr[*schema.GeneratedExpr](to.Columns[i].Attrs) != nil {
		add(LostColumn, nil, "%s IS NOT NULL")
		return losses
	}
	next := to.Columns[i]
	if c.Type.Null && !next.Type.Null {
		add(IsNull, next, "%s IS NULL")
	}
	// SQLite keeps a value as it is, whatever the type is called.
	if kind, where := narrowing(c.Type.Raw, next.Type.Raw); !lite && where != "" {
		add(kind, next, where)
	}
	return losses
}

// typed matches a column's type: its name, the sizes in brackets, and what follows.
var typed = regexp.MustCompile(`^(\w+)(?:\((\d+)(?:,\d+)?\))?( unsigned)?`)

var (
	// lengths are the types whose size is a number of characters or bytes, and what counts them.
	lengths = map[string]string{
		"char": "CHAR_LENGTH", "varchar": "CHAR_LENGTH", "binary": "LENGTH", "varbinary": "LENGTH",
	}
	// texts are the types for texts, from the smallest to the largest. Their size is the greatest number of bytes.
	texts = []string{"tinytext", "text", "mediumtext", "longtext"}
	bits  = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
	parts = []string{"time", "datetime", "timestamp"}
)

// narrowing is the condition of the values that do not fit, whole, from one type into another; %s is the column. It is
// empty if all do.
func narrowing(from, to string) (kind LossKind, where string) {
	a, b := typed.FindStringSubmatch(from), typed.FindStringSubmatch(to)
	if from == to || a == nil || b == nil {
		return "", ""
	}
	size := func(m []string) int { n, _ := strconv.Atoi(m[2]); return n } // without one it is 0
	isText := lengths[a[1]] == "CHAR_LENGTH" || a[1] == "enum"
	switch {
	case lengths[a[1]] != "" && lengths[a[1]] == lengths[b[1]] && a[1] != "binary" && b[1] != "binary":
		if size(b) >= size(a) {
			return "", ""
		}
		return TooLarge, fmt.Sprintf("%s(%%s) > %d", lengths[a[1]], size(b))
	case isText && slices.Index(texts, b[1]) > 0: // TEXT holds every VARCHAR
		return "", ""
	case slices.Contains(texts, a[1]) && slices.Index(texts, a[1]) <= slices.Index(texts, b[1]):
		return "", ""
	case bits[a[1]] > 0 && bits[b[1]] > 0:
		return TooLarge, outside(bits[a[1]], a[3] != "", bits[b[1]], b[3] != "")
	case slices.Contains(parts, a[1]) && a[1] == b[1]:
		if size(b) >= size(a) {
			return "", ""
		}
		return Converted, fmt.Sprintf("MICROSECOND(%%s) %% %d <> 0", pow10(6-size(b)))
	case a[1] == "enum" && b[1] == "enum":
		_, values, _ := strings.Cut(to, "(")
		return TooLarge, "%s NOT IN (" + strings.ReplaceAll(values, "%", "%%")
	}
	return Converted, "%s IS NOT NULL"
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// outside is the condition of integers of one size that do not fit another.
func outside(from int, fromUnsigned bool, to int, toUnsigned bool) string {
	least, most := "0", strconv.FormatUint(1<<uint(to)-1, 10)
	if to == 64 {
		most = "18446744073709551615"
	}
	if !toUnsigned {
		least, most = "-"+strconv.FormatUint(1<<uint(to-1), 10), strconv.FormatUint(1<<uint(to-1)-1, 10)
	}
	if fromUnsigned == toUnsigned && from <= to || fromUnsigned && !toUnsigned && from < to {
		return ""
	}
	return fmt.Sprintf("%%s NOT BETWEEN %s AND %s", least, most)
}

// Default has tables that name no collation get the one that they have in another database of the same kind, until
// restore is called.
func (d *Dev) Default(ctx context.Context, like *atlasdb.DB) (restore func(context.Context) error, err error) {
	if d.Dialect() == dialect.SQLite {
		return func(context.Context) error { return nil }, nil
	}
	read := func(db *atlasdb.DB) (collation string, err error) {
		err = db.Conn.QueryRowContext(ctx, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "+
			"WHERE SCHEMA_NAME = DATABASE()").Scan(&collation)
		return collation, err
	}
	was, err := read(d.db)
	if err != nil {
		return nil, fmt.Errorf("read the default collation: %w", err)
	}
	want, err := read(like)
	if err != nil {
		return nil, fmt.Errorf("read the default collation: %w", err)
	}
	set := func(ctx context.Context, collation string) error {
		_, err := d.db.Conn.ExecContext(ctx, "ALTER DATABASE "+dbserver.Quote(d.db.URL.Database())+
			" COLLATE "+collation)
		if err != nil {
			err = fmt.Errorf("set the default collation of the dev database: %w", err)
		}
		return err
	}
	if was == want {
		return func(context.Context) error { return nil }, nil
	}
	return func(ctx context.Context) error {
		return dropIn(ctx, func(ctx context.Context) error { return set(ctx, was) })
	}, set(ctx, want)
}

// Now is the schema that the database holds at this moment of a [Dev.Replay], without the history.
func (d *Dev) Now(ctx context.Context) (*schema.Schema, error) {
	s, err := d.inspectWhole(ctx)
	if err != nil {
		return nil, err
	}
	dropState(s)
	return s, nil
}

// Differ names the tables and other objects in which two schemas differ.
func (d *Dev) Differ(have, want *schema.Schema) (names []string, err error) {
	changes, err := d.compare(have, want)
	for _, c := range changes {
		names = append(names, "table "+tableIn(c))
	}
	for _, o := range differing(have, want) {
		names = append(names, o.Kind+" "+o.Name)
	}
	return names, err
}

// differing are the objects that only one of the schemas holds and no plan covers.
func differing(have, want *schema.Schema) []Object {
	differ := []Object{}
	for _, pair := range [][2]*schema.Schema{{have, want}, {want, have}} {
		for _, o := range NotCovered(pair[0]) {
			if o.Reason == "" && !slices.Contains(NotCovered(pair[1]), o) {
				differ = append(differ, o)
			}
		}
	}
	return differ
}
