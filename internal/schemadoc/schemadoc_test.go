package schemadoc_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/authgraph/authgraph/internal/queryplan"
	"github.com/authgraph/authgraph/internal/schemadoc"
	"github.com/authgraph/authgraph/internal/schemadoctest"
)

// hostile is a name that means something to every language it is written in.
const hostile = "a\"b</script><script>alert(1)</script>%`&'\\\n{}|"

func id(table, column string) schemadoc.Table {
	return schemadoc.Table{
		Name:       table,
		Columns:    []schemadoc.Column{{Name: column, Type: "bigint"}},
		PrimaryKey: &schemadoc.Index{Unique: true, Parts: []schemadoc.Part{{Column: column}}},
	}
}

func TestMermaidWritesNamesThatAreKeywords(t *testing.T) {
	t.Parallel()
	one, many := id("one", "pk"), id("weird name", "2fa")
	many.Columns = append(many.Columns, schemadoc.Column{Name: "one_id", Type: "int unsigned", Null: true},
		schemadoc.Column{Name: "größe", Type: "enum('a\"','b')", Values: []string{`a"`, "b"}})
	many.ForeignKeys = []schemadoc.ForeignKey{{
		Columns: []string{"one_id"}, RefTable: "one", RefColumns: []string{"pk"},
	}}
	assert.Equal(t, `erDiagram
    "one" |o--o{ "weird name" : "one_id"
    "one" {
        bigint _pk PK
    }
    "weird name" {
        bigint _2fa PK
        int_unsigned one_id FK "null"
        enum größe "a_ | b"
    }
`, schemadoc.Mermaid(&schemadoc.Schema{Tables: []schemadoc.Table{one, many}}))
}

func TestMermaidTellsHowManyRowsRefer(t *testing.T) {
	t.Parallel()
	child := id("child", "id")
	child.ForeignKeys = []schemadoc.ForeignKey{{
		Columns: []string{"id"}, RefTable: "parent", RefColumns: []string{"id"},
	}}
	text := schemadoc.Mermaid(&schemadoc.Schema{Tables: []schemadoc.Table{id("parent", "id"), child}})
	assert.Contains(t, text, `parent ||--o| child : "id"`)
	assert.Contains(t, text, "bigint id PK, FK")
}

func TestHostileNamesStayText(t *testing.T) {
	t.Parallel()
	table := id(hostile, hostile)
	table.Comment = hostile
	table.Columns[0].Comment = hostile
	table.Checks = []schemadoc.Check{{Name: hostile, Expression: hostile}}
	table.ForeignKeys = []schemadoc.ForeignKey{{
		Name: hostile, Columns: []string{hostile}, RefTable: hostile, RefColumns: []string{hostile},
	}}
	s := &schemadoc.Schema{Tables: []schemadoc.Table{table}}
	page, err := schemadoc.HTML(schemadoc.Page{Source: hostile, Directory: hostile, Database: "MySQL", Schema: s,
		Changes: []schemadoc.Change{{Table: hostile, File: hostile, Line: 1, SQL: hostile}}})
	require.NoError(t, err)
	assert.NotContains(t, string(page), "<script>alert")
	assert.Equal(t, 1, strings.Count(string(page), "<script"))
	image := schemadoc.SVG(s, hostile)
	wellFormed(t, image)
	assert.NotContains(t, image, "<script")
}

func TestPageNamesWhatItDoesNotShow(t *testing.T) {
	t.Parallel()
	s := &schemadoc.Schema{Tables: []schemadoc.Table{id("users", "id")}}
	page, err := schemadoc.HTML(schemadoc.Page{Database: "MySQL", Schema: s, NotCovered: []string{"view <active>"}})
	require.NoError(t, err)
	assert.Contains(t, string(page), "<li>view &lt;active&gt;</li>")
	page, err = schemadoc.HTML(schemadoc.Page{Database: "MySQL", Schema: s})
	require.NoError(t, err)
	assert.NotContains(t, string(page), "not shown</summary>")
}

func TestTableMayHaveTheNameOfAPartOfThePage(t *testing.T) {
	t.Parallel()
	s := &schemadoc.Schema{}
	for _, name := range []string{"graph", "graph-", "tables", "users"} {
		s.Tables = append(s.Tables, id(name, "id"))
	}
	page, err := schemadoc.HTML(schemadoc.Page{Database: "MySQL", Schema: s})
	require.NoError(t, err)
	var ids []string
	for _, m := range regexp.MustCompile(`\bid="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		assert.NotContains(t, ids, m[1])
		ids = append(ids, m[1])
	}
	assert.Subset(t, ids, []string{"graph", "graph-", "tables", "users"})
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		assert.Contains(t, ids, m[1])
	}
}

func wellFormed(t require.TestingT, text string) {
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else {
			require.NoError(t, err)
		}
	}
}

var (
	card  = regexp.MustCompile(`class="card" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"`)
	frame = regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`)
	curve = regexp.MustCompile(`d="M(\d+) (\d+)h-?\d+((?:C[\d ]+H\d+)+)"`)
)

func numbers(m []string) (n [4]int) {
	for i, text := range m[1:] {
		n[i], _ = strconv.Atoi(text) // the expression matched digits
	}
	return n
}

// Whatever refers to whatever, in circles too, every table has a place of its own.
func TestTablesOfTheGraphDoNotOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "tables")
		s := &schemadoc.Schema{}
		for i := range n {
			table := id(fmt.Sprint("t", i), "id")
			for c := range rapid.IntRange(0, 5).Draw(t, "columns") {
				table.Columns = append(table.Columns, schemadoc.Column{
					Name: fmt.Sprint("c", c), Type: rapid.StringN(0, 40, -1).Draw(t, "type"),
				})
			}
			for range rapid.IntRange(0, 3).Draw(t, "foreign keys") {
				to := fmt.Sprint("t", rapid.IntRange(0, n).Draw(t, "to")) // the last is no table
				table.ForeignKeys = append(table.ForeignKeys, schemadoc.ForeignKey{
					Columns: []string{"id"}, RefTable: to, RefColumns: []string{"id"},
				})
			}
			s.Tables = append(s.Tables, table)
		}
		image := schemadoc.SVG(s, "graph")
		wellFormed(t, image)
		require.Equal(t, image, schemadoc.SVG(s, "graph"), "it is the same every time")
		size := frame.FindStringSubmatch(image)
		require.NotNil(t, size)
		width, _ := strconv.Atoi(size[1])
		height, _ := strconv.Atoi(size[2])
		var cards [][4]int
		for _, m := range card.FindAllStringSubmatch(image, -1) {
			c := numbers(m)
			require.LessOrEqual(t, c[0]+c[2], width)
			require.LessOrEqual(t, c[1]+c[3], height)
			for _, o := range cards {
				apart := c[0]+c[2] < o[0] || o[0]+o[2] < c[0] || c[1]+c[3] < o[1] || o[1]+o[3] < c[1]
				require.True(t, apart, "%v and %v", c, o)
			}
			cards = append(cards, c)
		}
		require.Len(t, cards, n)
	})
}

// A hundred tables fill a window, are drawn at once, and no line passes behind a table that it has nothing to do with.
func TestGraphOfManyTablesIsLegible(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 16, 40, schemadoctest.Most} {
		s := schemadoctest.Shop(n)
		begin := time.Now()
		image := schemadoc.SVG(s, "graph")
		assert.Less(t, time.Since(begin), 5*time.Second, "%d tables; a tenth of a second is usual", n)
		wellFormed(t, image)
		size := frame.FindStringSubmatch(image)
		width, _ := strconv.ParseFloat(size[1], 64)
		height, _ := strconv.ParseFloat(size[2], 64)
		assert.InDelta(t, 1.6, width/height, 0.7, "%d tables: %g × %g", n, width, height)
		area := 0.0
		var cards [][4]int
		for _, m := range card.FindAllStringSubmatch(image, -1) {
			c := numbers(m)
			area += float64(c[2] * c[3])
			cards = append(cards, c)
		}
		assert.Greater(t, area/(width*height), 0.3, "%d tables fill the graph", n)
		lines := curve.FindAllStringSubmatch(image, -1)
		assert.GreaterOrEqual(t, len(lines), n/2)
		for _, m := range lines {
			at := numbers(m[:3])
			x, y := at[0], at[1]
			for _, piece := range strings.Split(m[3], "C")[1:] {
				var middle, x2, y2, right int
				_, err := fmt.Sscanf(piece, "%d %d %d %d %d %dH%d", &middle, new(int), new(int), new(int), &x2, &y2,
					&right)
				require.NoError(t, err)
				for i := range 41 { // a curve, and the level piece after it
					px := bezier(float64(i)/20, [4]int{x, middle, middle, x2})
					py := bezier(float64(i)/20, [4]int{y, y, y2, y2})
					if i > 20 {
						px, py = float64(x2)+float64(right-x2)*float64(i-20)/20, float64(y2)
					}
					for _, c := range cards {
						behind := float64(c[0])+1 < px && px < float64(c[0]+c[2])-1 && float64(c[1])+1 < py &&
							py < float64(c[1]+c[3])-1
						require.False(t, behind, "%d tables: %s passes %v", n, m[0], c)
					}
				}
				x, y = right, y2
			}
		}
	}
}

// bezier is a coordinate of a cubic curve.
func bezier(t float64, p [4]int) float64 {
	t, u := min(t, 1), 1-min(t, 1)
	return u*u*u*float64(p[0]) + 3*u*u*t*float64(p[1]) + 3*u*t*t*float64(p[2]) + t*t*t*float64(p[3])
}

func TestPageMissesTheIndexOfAQuery(t *testing.T) {
	t.Parallel()
	page := schemadoc.Page{
		Database: "MySQL",
		Schema:   &schemadoc.Schema{Tables: []schemadoc.Table{id("users", "id")}},
		Queries: []queryplan.Query{{
			SQL:    "SELECT … FROM users WHERE email = ?",
			Server: []queryplan.Access{{Table: "users", Index: "email"}},
			SQLite: []queryplan.Access{{Table: "users", Index: "PRIMARY"}},
			SentBy: []string{"sign in"},
		}},
	}
	const missing = "counts on an index that is not here"
	text, err := schemadoc.HTML(page)
	require.NoError(t, err)
	assert.Contains(t, string(text), missing)
	page.Database = "SQLite"
	text, err = schemadoc.HTML(page)
	require.NoError(t, err)
	assert.NotContains(t, string(text), missing)
	assert.Contains(t, string(text), "1 query of package auth")
}
