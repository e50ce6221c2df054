package schemadoc

import (
	"cmp"
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
	columnGap    = 112 // where lines go
	aloneGap     = 40  // before tables without relations
	stub         = 20  // of a line at a table
	tableGap     = 32
	passHeight   = 16 // of a line that passes a column of tables
	margin       = 24
	nameChar     = 7.9 // of a character at 13 px
	typeChar     = 7.3 // of a character at 12 px
	titleChar    = 9.2 // of a character at 15 px, bold
	maxType      = 26  // characters of a type before it is cut
)

// node is a table in the graph, or a place where a line passes between tables.
type node struct {
	table      *Table
	layer      int
	x, y, w, h int
}

// line is a foreign key in the graph.
type line struct {
	fk       ForeignKey
	from, to *node
	// passes are the places between from and to, in that order.
	passes []*node
}

// graph is a layered drawing: a table stands to the right of those it refers to,
// tables without relations stand at the right end.
type graph struct {
	nodes         []*node
	lines         []line
	width, height int
}

func layout(s *Schema) *graph {
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
				g.lines = append(g.lines, line{fk: fk, from: n, to: to})
			}
		}
	}
	layers := g.layers()
	g.order(layers)
	g.place(layers, g.alone(layers))
	return g
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

// layers puts each table that has relations one layer after those it refers to. Of a circle, one line goes back.
func (g *graph) layers() [][]*node {
	const unseen, open, done = 0, 1, 2
	state := make(map[*node]int)
	related := make(map[*node]bool)
	var visit func(n *node) int
	visit = func(n *node) int {
		if state[n] == done {
			return n.layer
		}
		state[n] = open
		for _, l := range g.lines {
			if l.from == n && l.to != n && state[l.to] != open {
				n.layer = max(n.layer, visit(l.to)+1)
			}
		}
		state[n] = done
		return n.layer
	}
	for _, l := range g.lines {
		if l.from != l.to {
			related[l.from], related[l.to] = true, true
		}
	}
	var layers [][]*node
	for _, n := range g.nodes {
		if !related[n] {
			n.layer = -1
			continue
		}
		for visit(n) >= len(layers) {
			layers = append(layers, nil)
		}
		layers[n.layer] = append(layers[n.layer], n)
	}
	for i := range g.lines {
		l := &g.lines[i]
		step := cmp.Compare(l.to.layer, l.from.layer)
		for at := l.from.layer + step; l.from != l.to && at != l.to.layer; at += step {
			pass := &node{layer: at, h: passHeight}
			l.passes = append(l.passes, pass)
			layers[at] = append(layers[at], pass)
		}
	}
	return layers
}

// order sorts each layer by where the neighbours of its tables are, to and fro, so that few lines cross.
func (g *graph) order(layers [][]*node) {
	next := make(map[*node][]*node)
	for _, l := range g.lines {
		chain := append(append([]*node{l.from}, l.passes...), l.to)
		for i := 1; i < len(chain); i++ {
			next[chain[i-1]] = append(next[chain[i-1]], chain[i])
			next[chain[i]] = append(next[chain[i]], chain[i-1])
		}
	}
	for range 4 {
		for i := range layers {
			arrange(layers, i, next)
		}
		for i := len(layers) - 1; i >= 0; i-- {
			arrange(layers, i, next)
		}
	}
}

// arrange sorts one layer by the mean position of the neighbours in the others.
func arrange(layers [][]*node, i int, next map[*node][]*node) {
	rank := make(map[*node]float64)
	for _, layer := range layers {
		for at, n := range layer {
			rank[n] = (float64(at) + 0.5) / float64(len(layer))
		}
	}
	mean := make(map[*node]float64)
	for _, n := range layers[i] {
		sum := 0.0
		for _, other := range next[n] {
			sum += rank[other]
		}
		mean[n] = sum / float64(max(1, len(next[n])))
	}
	slices.SortStableFunc(layers[i], func(a, b *node) int { return cmp.Compare(mean[a], mean[b]) })
}

// alone puts the tables without relations into columns of their own, about as high as the others.
func (g *graph) alone(layers [][]*node) (columns [][]*node) {
	limit, area := 0.0, 0.0
	for _, layer := range layers {
		limit = max(limit, float64(heightOf(layer)))
	}
	for _, n := range g.nodes {
		if n.layer < 0 {
			area += float64(n.w * n.h)
		}
	}
	limit = max(limit, math.Sqrt(area))
	for _, n := range g.nodes {
		if n.layer >= 0 {
			continue
		}
		last := len(columns) - 1
		if last < 0 || float64(heightOf(columns[last])+tableGap+n.h) > limit {
			columns, last = append(columns, nil), last+1
		}
		columns[last] = append(columns[last], n)
	}
	return columns
}

func heightOf(column []*node) int {
	h := tableGap * (len(column) - 1)
	for _, n := range column {
		h += n.h
	}
	return h
}

// place gives every table its place, column by column from the left. The tables of a column are equally wide.
func (g *graph) place(layers, alone [][]*node) {
	right := margin
	for i, column := range append(layers, alone...) {
		x, y, w := right, margin, 0
		switch {
		case i == 0:
		case i < len(layers):
			x += columnGap
		default:
			x += aloneGap
		}
		for _, n := range column {
			w = max(w, n.w)
		}
		for _, n := range column {
			n.x, n.y, n.w = x, y, w
			y += n.h + tableGap
		}
		g.height = max(g.height, y-tableGap+margin)
		right = x + w
		if slices.ContainsFunc(g.lines,
			func(l line) bool { return l.from == l.to && slices.Contains(column, l.from) }) {
			right += columnGap / 2
		}
	}
	g.width = right + margin
}

// row is the height at which the row of a column has its middle.
func (n *node) row(column string) int {
	i := slices.IndexFunc(n.table.Columns, func(c Column) bool { return c.Name == column })
	if i < 0 {
		return n.y + headerHeight/2
	}
	return n.y + headerHeight + rowHeight*i + rowHeight/2
}
