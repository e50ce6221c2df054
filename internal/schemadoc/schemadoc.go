// Package schemadoc shows a schema to people and programs: as JSON, as a Mermaid diagram, as an SVG image and as an
// HTML page. What it shows was read before; the package opens no database.
package schemadoc

import (
	"fmt"
	"slices"
	"strings"

	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
)

// Schema is a set of tables in the order in which they are shown.
type Schema struct {
	Tables []Table `json:"tables"`
}

// Table is a table. Types, defaults and expressions are SQL.
type Table struct {
	Name        string       `json:"name"`
	Comment     string       `json:"comment,omitempty"`
	Columns     []Column     `json:"columns"`
	PrimaryKey  *Index       `json:"primary_key"`
	Indexes     []Index      `json:"indexes"`
	ForeignKeys []ForeignKey `json:"foreign_keys"`
	Checks      []Check      `json:"checks"`
}

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Values are those of an ENUM or a SET.
	Values []string `json:"values,omitempty"`
	Null   bool     `json:"null"`
	// Default is nil where there is none.
	Default       *string `json:"default"`
	OnUpdate      string  `json:"on_update,omitempty"`
	Generated     string  `json:"generated,omitempty"`
	AutoIncrement bool    `json:"auto_increment,omitempty"`
	Collation     string  `json:"collation,omitempty"`
	Comment       string  `json:"comment,omitempty"`
}

// Index is an index or a primary key.
type Index struct {
	// Name is empty for a primary key.
	Name   string `json:"name,omitempty"`
	Unique bool   `json:"unique"`
	// Type is given where it is not BTREE.
	Type  string `json:"type,omitempty"`
	Parts []Part `json:"parts"`
	// Where is the condition of a partial index.
	Where   string `json:"where,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Part is a column or an expression that an index sorts by.
type Part struct {
	Column     string `json:"column,omitempty"`
	Expression string `json:"expression,omitempty"`
	Descending bool   `json:"descending,omitempty"`
	// Length is how many characters of the column are indexed; 0 for all.
	Length int `json:"length,omitempty"`
}

// ForeignKey is a reference from one table to another.
type ForeignKey struct {
	Name       string   `json:"name"`
	Columns    []string `json:"columns"`
	RefTable   string   `json:"ref_table"`
	RefColumns []string `json:"ref_columns"`
	OnUpdate   string   `json:"on_update"`
	OnDelete   string   `json:"on_delete"`
}

// Check is a condition that every row fulfils.
type Check struct {
	Name       string `json:"name,omitempty"`
	Expression string `json:"expression"`
}

func (p Part) String() string {
	text := p.Column
	if p.Expression != "" {
		text = p.Expression
	}
	if p.Length > 0 {
		text += fmt.Sprintf("(%d)", p.Length)
	}
	if p.Descending {
		text += " DESC"
	}
	return text
}

// of reports whether the columns are those of the index, all of them and no other.
func (i *Index) of(column string) bool {
	return i != nil && len(i.Parts) == 1 && i.Parts[0].Column == column
}

// has reports whether the index has the column.
func (i *Index) has(column string) bool {
	return i != nil && slices.ContainsFunc(i.Parts, func(p Part) bool { return p.Column == column })
}

// keys are the marks of a column: PK, FK, UK (unique by itself).
func (t *Table) keys(column string) (keys []string) {
	if t.PrimaryKey.has(column) {
		keys = append(keys, "PK")
	}
	if slices.ContainsFunc(t.ForeignKeys, func(fk ForeignKey) bool { return slices.Contains(fk.Columns, column) }) {
		keys = append(keys, "FK")
	}
	if slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Unique && i.of(column) }) {
		keys = append(keys, "UK")
	}
	return keys
}

// unique reports whether at most one row refers to another by the foreign key.
func (t *Table) unique(fk ForeignKey) bool {
	covers := func(i *Index) bool {
		return i != nil && i.Unique && i.Where == "" && len(i.Parts) > 0 &&
			!slices.ContainsFunc(i.Parts, func(p Part) bool {
				return p.Length > 0 || !slices.Contains(fk.Columns, p.Column)
			})
	}
	return covers(t.PrimaryKey) || slices.ContainsFunc(t.Indexes, func(i Index) bool { return covers(&i) })
}

// optional reports whether a row may refer to none.
func (t *Table) optional(fk ForeignKey) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Null && slices.Contains(fk.Columns, c.Name) })
}

// Of is the schema that Atlas has read.
func Of(s *schema.Schema) (*Schema, error) {
	doc := &Schema{Tables: []Table{}}
	for _, t := range s.Tables {
		table, err := tableOf(t)
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", t.Name, err)
		}
		doc.Tables = append(doc.Tables, table)
	}
	return doc, nil
}

func tableOf(t *schema.Table) (Table, error) {
	table := Table{
		Name:        t.Name,
		Comment:     comment(t.Attrs),
		Columns:     []Column{},
		Indexes:     []Index{},
		ForeignKeys: []ForeignKey{},
		Checks:      []Check{},
	}
	for _, c := range t.Columns {
		column, err := columnOf(c)
		if err != nil {
			return table, fmt.Errorf("column %q: %w", c.Name, err)
		}
		if t.PrimaryKey != nil && attr[*sqlite.AutoIncrement](t.PrimaryKey.Attrs) != nil {
			column.AutoIncrement = len(t.PrimaryKey.Parts) == 1 && t.PrimaryKey.Parts[0].C == c
		}
		table.Columns = append(table.Columns, column)
	}
	if t.PrimaryKey != nil {
		key := indexOf(t.PrimaryKey)
		key.Name, key.Unique = "", true
		table.PrimaryKey = &key
	}
	for _, i := range t.Indexes {
		table.Indexes = append(table.Indexes, indexOf(i))
	}
	slices.SortFunc(table.Indexes, func(a, b Index) int { return strings.Compare(a.Name, b.Name) })
	for _, fk := range t.ForeignKeys {
		table.ForeignKeys = append(table.ForeignKeys, foreignKeyOf(fk))
	}
	slices.SortFunc(table.ForeignKeys, func(a, b ForeignKey) int { return strings.Compare(a.Name, b.Name) })
	for _, a := range t.Attrs {
		if c, ok := a.(*schema.Check); ok {
			table.Checks = append(table.Checks, Check{Name: c.Name, Expression: outer(c.Expr)})
		}
	}
	slices.SortFunc(table.Checks, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return table, nil
}

func columnOf(c *schema.Column) (Column, error) {
	column := Column{Name: c.Name, Null: c.Type.Null, Comment: comment(c.Attrs)}
	var err error
	if column.Type, column.Values, err = typeOf(c.Type); err != nil {
		return column, err
	}
	switch d := c.Default.(type) {
	case *schema.Literal:
		column.Default = &d.V
	case *schema.RawExpr:
		column.Default = &d.X
	}
	if a := attr[*mysql.OnUpdate](c.Attrs); a != nil {
		column.OnUpdate = a.A
	}
	if a := attr[*schema.GeneratedExpr](c.Attrs); a != nil {
		column.Generated = outer(a.Expr)
	}
	if a := attr[*schema.Collation](c.Attrs); a != nil {
		column.Collation = a.V
	}
	column.AutoIncrement = attr[*mysql.AutoIncrement](c.Attrs) != nil || attr[*sqlite.AutoIncrement](c.Attrs) != nil
	return column, nil
}

// typeOf is a type as the database writes it; those that Atlas does not know are taken as they were read.
func typeOf(t *schema.ColumnType) (text string, values []string, err error) {
	switch t := t.Type.(type) {
	case *schema.EnumType:
		values = t.Values
	case *mysql.SetType:
		values = t.Values
	case *schema.UnsupportedType:
		return t.T, nil, nil
	case *sqlite.UserDefinedType:
		return t.T, nil, nil
	}
	text, err = mysql.FormatType(t.Type)
	if err != nil {
		text, err = sqlite.FormatType(t.Type)
	}
	return text, values, err
}

func indexOf(i *schema.Index) Index {
	index := Index{Name: i.Name, Unique: i.Unique, Comment: comment(i.Attrs)}
	if a := attr[*mysql.IndexType](i.Attrs); a != nil && a.T != mysql.IndexTypeBTree {
		index.Type = a.T
	}
	if a := attr[*sqlite.IndexPredicate](i.Attrs); a != nil {
		index.Where = outer(a.P)
	}
	for _, p := range i.Parts {
		part := Part{Descending: p.Desc}
		switch x := p.X.(type) {
		case *schema.RawExpr:
			part.Expression = x.X
		case *schema.Literal:
			part.Expression = x.V
		}
		if p.C != nil {
			part.Column = p.C.Name
		}
		if a := attr[*mysql.SubPart](p.Attrs); a != nil {
			part.Length = a.Len
		}
		index.Parts = append(index.Parts, part)
	}
	return index
}

func foreignKeyOf(fk *schema.ForeignKey) ForeignKey {
	key := ForeignKey{Name: fk.Symbol, RefTable: fk.RefTable.Name, OnUpdate: string(fk.OnUpdate),
		OnDelete: string(fk.OnDelete)}
	for _, c := range fk.Columns {
		key.Columns = append(key.Columns, c.Name)
	}
	for _, c := range fk.RefColumns {
		key.RefColumns = append(key.RefColumns, c.Name)
	}
	return key
}

func comment(attrs []schema.Attr) string {
	if a := attr[*schema.Comment](attrs); a != nil {
		return a.Text
	}
	return ""
}

// outer is an expression without the parentheses around the whole of it.
func outer(expr string) string {
	for len(expr) > 1 && expr[0] == '(' && closes(expr) == len(expr)-1 {
		expr = strings.TrimSpace(expr[1 : len(expr)-1])
	}
	return expr
}

// closes is the index at which the first parenthesis of an expression closes.
func closes(expr string) int {
	depth := 0
	var quote rune
	for i, r := range expr {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'', r == '"', r == '`':
			quote = r
		case r == '(':
			depth++
		case r == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// attr is the attribute of type T, or nil.
func attr[T schema.Attr](attrs []schema.Attr) (found T) {
	for _, a := range attrs {
		if t, ok := a.(T); ok {
			return t
		}
	}
	return found
}
