package down

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/planner"
)

// fill puts two rows into each table that holds none, parents first: one with a value in each column, one with as few
// as can be.
func (p *prover) fill(ctx context.Context, f *Proven, with filling) error {
	s, err := p.dev.Now(ctx)
	if err != nil {
		return err
	}
	f.Rows, f.Empty = 0, nil
	if with > asTheyCome {
		if err := p.clear(ctx, s.Tables); err != nil {
			return err
		}
	}
	for _, t := range parentsFirst(s.Tables) {
		var n int
		count := "SELECT COUNT(*) FROM " + dbserver.Quote(t.Name)
		if err := p.dev.DB().Conn.QueryRowContext(ctx, count).Scan(&n); err != nil {
			return err
		}
		if n == 0 && with < noRows {
			for k, sparse := range []bool{false, with != fullOnly} {
				for _, few := range []bool{sparse, !sparse} {
					_, err := p.dev.DB().Conn.ExecContext(ctx, p.row(t, k+1, few))
					if ctx.Err() != nil {
						return err
					}
					if err == nil {
						n++
						break
					}
				}
			}
		}
		if f.Rows += n; n == 0 {
			f.Empty = append(f.Empty, t.Name)
		}
	}
	return nil
}

// clear deletes all rows. An earlier file may have put them there.
func (p *prover) clear(ctx context.Context, tables []*schema.Table) error {
	off, on := "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"
	if p.dev.Dialect() == dialect.SQLite {
		off, on = "PRAGMA foreign_keys = off", "PRAGMA foreign_keys = on"
	}
	stmts := []string{off}
	for _, t := range tables {
		stmts = append(stmts, "DELETE FROM "+dbserver.Quote(t.Name))
	}
	for _, stmt := range append(stmts, on) {
		if _, err := p.dev.DB().Conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

// listing is a CHECK that lists the values of a column, of which it takes the first.
var listing = regexp.MustCompile("(?i)[`\"]?(\\w+)[`\"]?\\s+in\\s*\\(\\s*('(?:[^']|'')*')")

// listedIn are the first values that the checks of a schema list for a column, by TABLE.COLUMN. A later file may make
// such a check of rows that are there.
func listedIn(s *schema.Schema) map[string]string {
	found := map[string]string{}
	for _, t := range s.Tables {
		for _, a := range t.Attrs {
			if c, ok := a.(*schema.Check); ok {
				for _, m := range listing.FindAllStringSubmatch(c.Expr, -1) {
					found[t.Name+"."+m[1]] = m[2]
				}
			}
		}
	}
	return found
}

// parentsFirst are the tables in an order in which their foreign keys find rows.
func parentsFirst(tables []*schema.Table) (order []*schema.Table) {
	var visit func(t *schema.Table)
	seen := map[string]bool{}
	visit = func(t *schema.Table) {
		if seen[t.Name] {
			return
		}
		seen[t.Name] = true
		for _, k := range t.ForeignKeys {
			if i := slices.IndexFunc(tables, func(o *schema.Table) bool { return o.Name == k.RefTable.Name }); i >= 0 {
				visit(tables[i])
			}
		}
		order = append(order, t)
	}
	for _, t := range tables {
		visit(t)
	}
	return order
}

// row is the statement that inserts row k. With few it leaves out what has a default or may be NULL.
func (p *prover) row(t *schema.Table, k int, few bool) string {
	var columns, values []string
	for _, c := range t.Columns {
		if planner.Attr[*schema.GeneratedExpr](c.Attrs) != nil {
			continue
		}
		value := ""
		for _, key := range t.ForeignKeys {
			if i := slices.Index(key.Columns, c); i >= 0 && key.RefTable.Name != t.Name && i < len(key.RefColumns) {
				value = fmt.Sprintf("(SELECT MIN(%s) FROM %s)", dbserver.Quote(key.RefColumns[i].Name),
					dbserver.Quote(key.RefTable.Name))
			} else if i >= 0 && c.Type.Null {
				value = "NULL"
			}
		}
		if few && (c.Default != nil || c.Type.Null) {
			continue
		}
		if value == "" {
			value = cmp.Or(p.listed[t.Name+"."+c.Name], literal(p.dev.Dialect(), c, k))
		}
		columns, values = append(columns, dbserver.Quote(c.Name)), append(values, value)
	}
	if len(columns) == 0 && p.dev.Dialect() == dialect.SQLite {
		return "INSERT INTO " + dbserver.Quote(t.Name) + " DEFAULT VALUES"
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", dbserver.Quote(t.Name), strings.Join(columns, ", "),
		strings.Join(values, ", "))
}

// literal is a value for a column.
func literal(of string, c *schema.Column, k int) string {
	raw := strings.ToLower(c.Type.Raw)
	switch typ := c.Type.Type.(type) {
	case *schema.EnumType:
		return dbserver.QuoteText(typ.Values[0])
	case *schema.JSONType:
		return "'{}'"
	case *schema.SpatialType:
		return fmt.Sprintf("ST_GeomFromText('POINT(%d %d)')", k, k)
	case *schema.StringType:
		if 0 < typ.Size && typ.Size < 4 {
			return fmt.Sprintf("'%c'", 'a'+k)
		}
	case *schema.BoolType, *schema.IntegerType, *schema.DecimalType, *schema.FloatType:
		return fmt.Sprint(k)
	}
	contains := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(raw, w) })
	}
	switch {
	case strings.HasPrefix(raw, "set("):
		return strings.SplitN(strings.TrimPrefix(strings.TrimSuffix(raw, ")"), "set("), ",", 2)[0]
	case strings.HasPrefix(raw, "bit"):
		return "1"
	case raw == "year" || strings.HasPrefix(raw, "year("):
		return fmt.Sprint(2000 + k)
	case contains("datetime", "timestamp"):
		return fmt.Sprintf("'2001-02-0%d 04:05:06'", k)
	case raw == "date":
		return fmt.Sprintf("'2001-02-0%d'", k)
	case strings.HasPrefix(raw, "time"):
		return fmt.Sprintf("'01:02:0%d'", k)
	case raw == "uuid":
		return fmt.Sprintf("'00000000-0000-4000-8000-00000000000%d'", k)
	case of == dialect.SQLite && contains("json"):
		return "'{}'"
	case of == dialect.SQLite && contains("int", "bool", "real", "num", "dec", "float", "double"):
		return fmt.Sprint(k)
	}
	return fmt.Sprintf("'v%d'", k)
}
