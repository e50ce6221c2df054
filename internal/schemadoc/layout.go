package schemadoc

import (
	"math"
	"slices"
)

// Measures of the graph in pixels. Text is set in a monospaced font, so that its width is known without the font.
const (
	rowHeight    = 24
	headerHeight = 38
	bottomPad    = 8
	sidePad      = 14
	keyWidth     = 30
	columnGap    = 96 // where lines go
	lineGap      = 3  // more of it for each bundle of lines
	partGap      = 56 // between tables that have nothing to do with each other
	stub         = 20 // of a line at a table
	signGap      = 5  // from the middle of a row to the signs in it, if there are two sorts
	tableGap     = 32
	passHeight   = 6  // of a bundle of lines that passes a column of tables
	passGap      = 16 // before and after it
	margin       = 24
	nameChar     = 7.9 // of a character at 13 px
	typeChar     = 7.3 // of a character at 12 px
	titleChar    = 9.2 // of a character at 15 px, bold
	maxType      = 26  // characters of a type before it is cut
	farWidth     = 11  // characters of a line of a name that is drawn large, if words allow it
	farChar      = 0.7
	farLine      = 1.1 // parts of the font's size
)

// The window that the graph is to fit: the one of a page on a common screen.
const windowWidth, windowHeight = 1180, 700

// node is a table in the graph, or a place where lines pass between tables.
type node struct {
	table      *Table
	layer      int
	x, y, w, h int
}

// line is a foreign key in the graph.
type line struct {
	fk       ForeignKey
	from, to *node
	// back is set if it closes a circle: it goes to the right.
	back bool
	// shift keeps its sign at the table it refers to apart from others that end in the same row.
	shift int
	// passes are the places between from and to, in that order.
	passes []*node
}

// graph is a drawing of parts that have nothing to do with each other. In each of them a table stands to the right of
// those it refers to; the tables without relations are one part.
type graph struct {
	nodes         []*node
	lines         []*line
	width, height int
}

// layout tries several heights of the columns and widths of the whole, and takes what is read best in the window.
func layout(s *Schema) *graph {
	var best *graph
	var parts []*part
	lowest, wide := math.Inf(1), 0
	for _, high := range []float64{0.6, 0.75, 0.9, 1.05, 1.2, 1.4, 2, 4} {
		g := newGraph(s)
		unit := g.unit()
		of := g.parts(high * unit)
		for _, factor := range []float64{0.8, 1, 1.25, 1.6, 2.2} {
			limit := int(factor * unit * windowWidth / windowHeight)
			g.pack(of, limit)
			if cost := g.cost(of); cost < lowest {
				best, parts, lowest, wide = g, of, cost, limit
			}
		}
	}
	best.pack(parts, wide)
	for _, p := range parts {
		for _, n := range p.nodes {
			n.x, n.y = n.x+p.x, n.y+p.y
		}
	}
	return best
}

func newGraph(s *Schema) *graph {
	g := &graph{}
	byName := make(map[string]*node)
	for i := range s.Tables {
		n := &node{table: &s.Tables[i]}
		n.w, n.h = size(n.table)
		g.nodes = append(g.nodes, n)
		byName[n.table.Name] = n
	}
	for _, n := range g.nodes {
		for _, fk := range n.table.ForeignKeys {
			// The table may be one of another database.
			if to, ok := byName[fk.RefTable]; ok {
				g.lines = append(g.lines, &line{fk: fk, from: n, to: to})
			}
		}
	}
	g.turn()
	for _, l := range g.lines {
		for _, o := range g.lines {
			if l.to == o.to && l.fk.RefColumns[0] == o.fk.RefColumns[0] && !l.optional() && o.optional() {
				l.shift, o.shift = -signGap, signGap
			}
		}
	}
	return g
}

// optional reports whether a row may refer to none.
func (l *line) optional() bool { return l.from.table.optional(l.fk) }

// turn finds the lines that close a circle: in a walk along the lines, they lead to a table that it has not left yet.
func (g *graph) turn() {
	const open, done = 1, 2
	state := make(map[*node]int)
	var visit func(n *node)
	visit = func(n *node) {
		state[n] = open
		for _, l := range g.lines {
			switch {
			case l.from != n || l.to == n:
			case state[l.to] == open:
				l.back = true
			case state[l.to] != done:
				visit(l.to)
			}
		}
		state[n] = done
	}
	for _, n := range g.nodes {
		if state[n] != done {
			visit(n)
		}
	}
}

// unit is the height of the window if the tables just filled it.
func (g *graph) unit() float64 {
	area := 1
	for _, n := range g.nodes {
		area += (n.w + columnGap) * (n.h + tableGap)
	}
	return math.Sqrt(float64(area) * windowHeight / windowWidth)
}

// cost is how hard the drawing is to read: small in the window, with many crossings.
func (g *graph) cost(parts []*part) float64 {
	scale := min(1, windowWidth/float64(g.width), windowHeight/float64(g.height))
	crossings := 0
	for _, p := range parts {
		crossings += p.crossings
	}
	return (1 + 0.3*float64(crossings)/float64(len(g.lines)+1)) / scale
}

func size(t *Table) (w, h int) {
	widest := titleChar * float64(width(t.Name))
	for _, c := range t.Columns {
		widest = max(widest, keyWidth+nameChar*float64(width(c.Name))+24+typeChar*float64(width(c.note())))
	}
	return 2*sidePad + int(math.Ceil(widest)), headerHeight + rowHeight*len(t.Columns) + bottomPad
}

// width counts characters; those of East Asia are twice as wide.
func width(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n
}

// note is what stands beside a column's name.
func (c Column) note() string {
	text := c.shortType()
	if r := []rune(text); len(r) > maxType {
		text = string(r[:maxType-1]) + "…"
	}
	if c.Null {
		text += " null"
	}
	return text
}

// row is how far below the top of a table the row of a column has its middle.
func (n *node) row(column string) int {
	i := slices.IndexFunc(n.table.Columns, func(c Column) bool { return c.Name == column })
	if i < 0 {
		return headerHeight / 2
	}
	return headerHeight + rowHeight*i + rowHeight/2
}
