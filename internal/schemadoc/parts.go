package schemadoc

import (
	"cmp"
	"math"
	"slices"
)

// part is a part of the graph, drawn for itself.
type part struct {
	nodes []*node
	lines []*line
	// layers are the columns, from the left.
	layers [][]*node
	// steps are the pieces of the lines from one column to another, each once.
	steps         [][2]*node
	crossings     int
	x, y          int
	width, height int
}

// parts draws the tables that hang together, in columns of about a height, and last the tables without relations.
func (g *graph) parts(high float64) (parts []*part) {
	of := make(map[*node]*part)
	for _, n := range g.nodes {
		of[n] = &part{nodes: []*node{n}}
	}
	for _, l := range g.lines {
		a, b := of[l.from], of[l.to]
		if a == b {
			continue
		}
		a.nodes = append(a.nodes, b.nodes...)
		for _, n := range b.nodes {
			of[n] = a
		}
	}
	alone := &part{}
	for _, n := range g.nodes {
		switch p := of[n]; {
		case len(p.nodes) == 1:
			alone.nodes = append(alone.nodes, n)
		case p.nodes[0] == n:
			parts = append(parts, p)
		}
	}
	for _, l := range g.lines {
		of[l.from].lines = append(of[l.from].lines, l)
	}
	for _, p := range parts {
		p.fill(int(high))
		p.shorten(int(high * 1.1))
		p.route()
		p.order()
		p.place(columnGap)
	}
	if len(alone.nodes) > 0 {
		alone.fill(int(min(high, g.unit())))
		alone.place(tableGap)
		parts = append(parts, alone)
	}
	return parts
}

// fill puts the tables into columns, each after those it refers to. What many others wait for comes first.
func (p *part) fill(high int) {
	chain := make(map[*node]int)
	var longest func(n *node) int
	longest = func(n *node) int {
		if chain[n] == 0 {
			chain[n] = 1
			for _, l := range p.lines {
				if l.to == n && l.ahead() {
					chain[n] = max(chain[n], longest(l.from)+1)
				}
			}
		}
		return chain[n]
	}
	todo := slices.Clone(p.nodes)
	for _, n := range todo {
		n.layer = -1
		longest(n)
	}
	slices.SortStableFunc(todo, func(a, b *node) int { return cmp.Compare(chain[b], chain[a]) })
	for at := 0; len(todo) > 0; at++ {
		h := 0
		var column []*node
		for {
			i := slices.IndexFunc(todo, func(n *node) bool {
				return (h == 0 || h+tableGap+n.h <= high) && !slices.ContainsFunc(p.lines, func(l *line) bool {
					return l.from == n && l.ahead() && (l.to.layer < 0 || l.to.layer == at)
				})
			})
			if i < 0 {
				break
			}
			n := todo[i]
			todo = slices.Delete(todo, i, i+1)
			n.layer = at
			h += tableGap + n.h
			column = append(column, n)
		}
		p.layers = append(p.layers, column)
	}
}

// ahead reports whether the line goes to a column further left.
func (l *line) ahead() bool { return l.from != l.to && !l.back }

// shorten moves tables to other columns, or exchanges two, if that makes the lines shorter.
func (p *part) shorten(high int) {
	of := make(map[*node][]*line)
	for _, l := range p.lines {
		if l.from != l.to {
			of[l.from], of[l.to] = append(of[l.from], l), append(of[l.to], l)
		}
	}
	room := make([]int, len(p.layers))
	for at, column := range p.layers {
		room[at] = high - heightOf(column)
	}
	move := func(n *node, at int) {
		room[n.layer] += n.h + tableGap
		room[at] -= n.h + tableGap
		n.layer = at
	}
	// gain is how much shorter the lines of a table are in another column, if it can stand there.
	gain := func(n *node, at int) (int, bool) {
		shorter := 0
		for _, l := range of[n] {
			other := l.to
			if other == n {
				other = l.from
			}
			if l.ahead() && (other == l.to) != (other.layer < at) || other.layer == at {
				return 0, false
			}
			shorter += distance(n.layer, other.layer) - distance(at, other.layer)
		}
		return shorter, true
	}
	for range 6 {
		moved := false
		for _, n := range p.nodes {
			for at := range p.layers {
				if by, ok := gain(n, at); ok && by > 0 && room[at] >= n.h+tableGap {
					move(n, at)
					moved = true
				}
			}
			for _, o := range p.nodes {
				a, b := n.layer, o.layer
				grows := n.h - o.h
				if a == b || room[b] < grows && grows > 0 || room[a] < -grows && grows < 0 {
					continue
				}
				first, ok := gain(n, b)
				if !ok {
					continue
				}
				move(n, b)
				second, ok := gain(o, a)
				if !ok || first+second <= 0 {
					move(n, a)
					continue
				}
				move(o, a)
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	p.layers = make([][]*node, len(p.layers))
	for _, n := range p.nodes {
		p.layers[n.layer] = append(p.layers[n.layer], n)
	}
	p.layers = slices.DeleteFunc(p.layers, func(column []*node) bool { return len(column) == 0 })
	for at, column := range p.layers {
		for _, n := range column {
			n.layer = at
		}
	}
}

func distance(a, b int) int { return max(a-b, b-a) }

// bundle is what lines to one end have in common: they pass the columns between in one place.
type bundle struct {
	to     *node
	column string
	// optional lines end in another sign.
	optional, back bool
}

// route gives the lines their places in the columns that they pass.
func (p *part) route() {
	passes := make(map[bundle]map[int]*node)
	for _, l := range p.lines {
		if l.from == l.to {
			continue
		}
		key := bundle{l.to, l.fk.RefColumns[0], l.optional(), l.back}
		if passes[key] == nil {
			passes[key] = make(map[int]*node)
		}
		step := cmp.Compare(l.to.layer, l.from.layer)
		last := l.from
		for at := l.from.layer + step; at != l.to.layer; at += step {
			pass := passes[key][at]
			if pass == nil {
				pass = &node{layer: at, h: passHeight}
				passes[key][at] = pass
				p.layers[at] = append(p.layers[at], pass)
				p.nodes = append(p.nodes, pass)
			}
			l.passes = append(l.passes, pass)
			p.step(last, pass)
			last = pass
		}
		p.step(last, l.to)
	}
}

func (p *part) step(a, b *node) {
	if a.layer > b.layer {
		a, b = b, a
	}
	if s := [2]*node{a, b}; !slices.Contains(p.steps, s) {
		p.steps = append(p.steps, s)
	}
}

// order sorts each column by where the neighbours of its tables are, to and fro, and keeps what has the fewest
// crossings.
func (p *part) order() {
	next := make(map[*node][]*node)
	for _, s := range p.steps {
		next[s[0]] = append(next[s[0]], s[1])
		next[s[1]] = append(next[s[1]], s[0])
	}
	var best [][]*node
	for range 12 {
		for i := range p.layers {
			arrange(p.layers, i, next)
		}
		for i := len(p.layers) - 1; i >= 0; i-- {
			arrange(p.layers, i, next)
		}
		if n := p.count(); best == nil || n < p.crossings {
			p.crossings, best = n, nil
			for _, column := range p.layers {
				best = append(best, slices.Clone(column))
			}
		}
	}
	p.layers = best
}

// arrange sorts one column by the mean position of the neighbours in the others.
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

// count counts the crossings between columns.
func (p *part) count() (crossings int) {
	rank := make(map[*node]int)
	for _, column := range p.layers {
		for at, n := range column {
			rank[n] = at
		}
	}
	between := make([][][2]int, len(p.layers))
	for _, s := range p.steps {
		at := s[0].layer
		between[at] = append(between[at], [2]int{rank[s[0]], rank[s[1]]})
	}
	for _, steps := range between {
		for i, a := range steps {
			for _, b := range steps[:i] {
				if (a[0]-b[0])*(a[1]-b[1]) < 0 {
					crossings++
				}
			}
		}
	}
	return crossings
}

// gap is how far two neighbours in a column are apart.
func gap(a, b *node) int {
	if a.table == nil || b.table == nil {
		return passGap
	}
	return tableGap
}

func heightOf(column []*node) (h int) {
	for i, n := range column {
		if i > 0 {
			h += gap(column[i-1], n)
		}
		h += n.h
	}
	return h
}

// place gives every table its place. The tables of a column are equally wide.
func (p *part) place(between int) {
	right := 0
	for i, column := range p.layers {
		x, w := right, 0
		if i > 0 {
			x += between
		}
		for _, n := range column {
			w = max(w, n.w)
		}
		for _, n := range column {
			n.x, n.w = x, w
		}
		p.height = max(p.height, heightOf(column))
		right = x + w
		for _, s := range p.steps {
			if s[0].layer == i && s[0].table == nil || s[1].layer == i+1 && s[1].table == nil {
				right += lineGap
			}
		}
		if slices.ContainsFunc(p.lines, func(l *line) bool { return l.from == l.to && l.from.layer == i }) {
			right += columnGap / 3
		}
	}
	p.width = right
	p.align()
}

// tie is a piece of a line as one of its ends sees it: the other end, and how far below their tops the line meets the
// two.
type tie struct {
	other      *node
	at, theirs int
}

// align moves tables up and down within the height of the part, so that lines run as level as they can.
func (p *part) align() {
	ties := make(map[*node][]tie)
	for _, l := range p.lines {
		last, at := l.from, l.from.row(l.fk.Columns[0])
		for _, n := range append(slices.Clone(l.passes), l.to) {
			below := passHeight / 2
			if n == l.to {
				below = l.to.row(l.fk.RefColumns[0])
			}
			ties[last] = append(ties[last], tie{n, at, below})
			ties[n] = append(ties[n], tie{last, below, at})
			last, at = n, below
		}
	}
	for _, column := range p.layers {
		settle(column, nil, p.height)
	}
	for range 6 {
		for _, column := range p.layers {
			settle(column, ties, p.height)
		}
		for _, column := range slices.Backward(p.layers) {
			settle(column, ties, p.height)
		}
	}
}

// settle gives the tables of a column the places nearest to those that their ties want, without changing their order or
// leaving the height. Tables that want the same place share the distance: this is isotonic regression.
func settle(column []*node, ties map[*node][]tie, height int) {
	type block struct{ sum, weight, size float64 }
	var blocks []block
	room := float64(height - heightOf(column))
	below := 0 // where the table would be if the column began at the top
	tops := make([]int, len(column))
	for i, n := range column {
		if i > 0 {
			below += gap(column[i-1], n)
		}
		tops[i] = below
		below += n.h
		b := block{room / 2, 1, 1}
		if of := ties[n]; len(of) > 0 {
			b = block{size: 1}
			for _, t := range of {
				b.sum += float64(t.other.y + t.theirs - t.at - tops[i])
				b.weight++
			}
		} else if ties != nil {
			b.sum = float64(n.y - tops[i])
		}
		for len(blocks) > 0 {
			last := blocks[len(blocks)-1]
			if last.sum/last.weight <= b.sum/b.weight {
				break
			}
			b = block{b.sum + last.sum, b.weight + last.weight, b.size + last.size}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		down := int(min(max(0, b.sum/b.weight), room))
		for range int(b.size) {
			column[i].y = tops[i] + down
			i++
		}
	}
}

// pack puts the parts beside and below each other, the high ones first, within a width as far as that is possible.
func (g *graph) pack(parts []*part, limit int) {
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(b.height, a.height) })
	g.width, g.height = 2*margin, 2*margin
	for i, p := range parts {
		p.x, p.y = margin, math.MaxInt
		for at := -1; at < i; at++ {
			x := margin
			if at >= 0 {
				x = parts[at].x + parts[at].width + partGap
			}
			if x > margin && x+p.width > limit {
				continue
			}
			y := margin
			for _, o := range parts[:i] {
				if x < o.x+o.width+partGap && o.x < x+p.width+partGap {
					y = max(y, o.y+o.height+partGap)
				}
			}
			if y < p.y {
				p.x, p.y = x, y
			}
		}
		g.width, g.height = max(g.width, p.x+p.width+margin), max(g.height, p.y+p.height+margin)
	}
}
