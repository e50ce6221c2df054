package schemadoc

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"

	"github.com/authgraph/authgraph/internal/english"
)

//go:embed graph.css
var graphCSS string

// SVG is the schema as an image of its entity graph. It needs no font and no
// network, and follows the viewer's choice of light or dark.
func SVG(s *Schema, title string) string {
	g := layout(s)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="%d" height="%d" `+
		`viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title desc">`+"\n", g.width, g.height)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n<style>\n%s</style>\n", text(title),
		text(describe(s)), graphCSS)
	fmt.Fprintf(&b, `<rect class="ground" width="%d" height="%d"/>`+"\n", g.width, g.height)
	g.draw(&b, false)
	b.WriteString("</svg>\n")
	return b.String()
}

// linked is the graph as a part of a page, whose tables are links to their sections. The page brings the style.
func linked(s *Schema) string {
	g := layout(s)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="%d" height="%d" `+
		`viewBox="0 0 %[1]d %[2]d" role="group" aria-label="Entity graph">`+"\n", g.width, g.height)
	fmt.Fprintf(&b, "<desc>%s</desc>\n", text(describe(s)))
	g.draw(&b, true)
	b.WriteString("</svg>\n")
	return b.String()
}

// describe says in words what the graph shows.
func describe(s *Schema) string {
	var parts []string
	for _, t := range s.Tables {
		part := fmt.Sprintf("%s has %s", t.Name, english.Count(len(t.Columns), "column"))
		for _, fk := range t.ForeignKeys {
			part += fmt.Sprintf("; its %s refers to %s", strings.Join(fk.Columns, ", "), fk.RefTable)
		}
		parts = append(parts, part+".")
	}
	if len(parts) == 0 {
		return "There are no tables."
	}
	return strings.Join(parts, " ")
}

func (g *graph) draw(b *strings.Builder, links bool) {
	for _, l := range g.lines {
		l.draw(b)
	}
	for _, n := range g.nodes {
		n.draw(b, links)
	}
}

func (n *node) draw(b *strings.Builder, links bool) {
	t := n.table
	if links {
		fmt.Fprintf(b, `<a class="entity" href="#%s" data-table="%s" aria-label="%s, %s">`+"\n", url.PathEscape(t.Name),
			text(t.Name), text(t.Name), english.Count(len(t.Columns), "column"))
	} else {
		b.WriteString("<g class=\"entity\">\n")
	}
	fmt.Fprintf(b, `<rect class="card" x="%d" y="%d" width="%d" height="%d" rx="8"/>`+"\n", n.x, n.y, n.w, n.h)
	fmt.Fprintf(b, `<path class="head" d="M%d %dv-%dq0-8 8-8h%dq8 0 8 8v%dz"/>`+"\n", n.x, n.y+headerHeight,
		headerHeight-8, n.w-16, headerHeight-8)
	fmt.Fprintf(b, `<text class="name" x="%d" y="%d">%s</text>`+"\n", n.x+sidePad, n.y+headerHeight/2+5, text(t.Name))
	for _, c := range t.Columns {
		y := n.y + n.row(c.Name) + 5
		if keys := t.keys(c.Name); len(keys) > 0 {
			fmt.Fprintf(b, `<text class="key" x="%d" y="%d">%s</text>`+"\n", n.x+sidePad, y-1, text(keys[0]))
		}
		fmt.Fprintf(b, `<text class="column" x="%d" y="%d">%s</text>`, n.x+sidePad+keyWidth, y, text(c.Name))
		fmt.Fprintf(b, `<text class="type" x="%d" y="%d">%s</text>`+"\n", n.x+n.w-sidePad, y, text(c.note()))
	}
	if links {
		n.drawFar(b)
	}
	fmt.Fprintf(b, `<rect class="edge" x="%d" y="%d" width="%d" height="%d" rx="8"/>`+"\n", n.x, n.y, n.w, n.h)
	if links {
		b.WriteString("</a>\n")
	} else {
		b.WriteString("</g>\n")
	}
}

// drawFar draws the name as large as the table, to be read where the columns are too small.
func (n *node) drawFar(b *strings.Builder) {
	words := strings.SplitAfter(n.table.Name, "_")
	lines := []string{words[0]}
	for _, w := range words[1:] {
		if last := &lines[len(lines)-1]; width(*last)+width(w) <= farWidth {
			*last += w
		} else {
			lines = append(lines, w)
		}
	}
	widest := 1
	for _, l := range lines {
		widest = max(widest, width(l))
	}
	size := min(float64(n.w-2*sidePad)/float64(widest)/farChar, float64(n.h-bottomPad)/float64(len(lines))/farLine, 64)
	fmt.Fprintf(b, `<text class="far-name" font-size="%.1f">`, size)
	for i, l := range lines {
		y := float64(n.y) + float64(n.h)/2 + size*(farLine*(float64(i)-float64(len(lines)-1)/2)+0.35)
		fmt.Fprintf(b, `<tspan x="%d" y="%.1f">%s</tspan>`, n.x+n.w/2, y, text(l))
	}
	b.WriteString("</text>\n")
}

// draw draws a foreign key: a crow's foot where many rows may be, one bar where
// one is, a circle where there may be none.
func (l *line) draw(b *strings.Builder) {
	from, to := l.from.y+l.from.row(l.fk.Columns[0]), l.to.y+l.to.row(l.fk.RefColumns[0])+l.shift
	fmt.Fprintf(b, `<g class="relation" data-from="%s" data-to="%s"><title>%s (%s) refers to %s (%s)</title>`,
		text(l.from.table.Name), text(l.to.table.Name),
		text(l.from.table.Name), text(strings.Join(l.fk.Columns,
			", ")), text(l.to.table.Name), text(strings.Join(l.fk.RefColumns, ", ")))
	if l.from == l.to {
		x := l.from.x + l.from.w
		fmt.Fprintf(b, `<path d="M%d %dh%dC%d %[2]d %[4]d %[5]d %[6]d %[5]dH%[1]d"/>`, x, from, stub, x+columnGap/2, to,
			x+stub)
		l.ends(b, x, from, 1, x, to, 1)
		b.WriteString("</g>\n")
		return
	}
	// The side of a table that is turned to the layer the line comes from, or goes to.
	side := func(n *node, right bool) int {
		if right {
			return n.x + n.w
		}
		return n.x
	}
	right, out := l.from.layer < l.to.layer, -1
	if right {
		out = 1
	}
	start, end := side(l.from, right), side(l.to, !right)
	// A straight piece at each end holds the signs.
	fmt.Fprintf(b, `<path d="M%d %dh%d`, start, from, stub*out)
	x, y := start+stub*out, from
	for _, p := range l.passes {
		middle := p.y + p.h/2
		curve(b, x, y, side(p, !right), middle)
		x, y = side(p, right), middle
		fmt.Fprintf(b, "H%d", x)
	}
	curve(b, x, y, end-stub*out, to)
	fmt.Fprintf(b, `H%d"/>`, end)
	l.ends(b, start, from, out, end, to, -out)
	b.WriteString("</g>\n")
}

func curve(b *strings.Builder, x1, y1, x2, y2 int) {
	middle := (x1 + x2) / 2
	fmt.Fprintf(b, "C%d %d %[1]d %[3]d %d %[3]d", middle, y1, y2, x2)
}

// ends draws the signs at the tables, outwards in the directions d1 and d2.
func (l *line) ends(b *strings.Builder, x1, y1, d1, x2, y2, d2 int) {
	t := l.from.table
	if t.unique(l.fk) {
		fmt.Fprintf(b, `<path d="M%d %dv12"/><circle cx="%d" cy="%d" r="4"/>`, x1+8*d1, y1-6, x1+15*d1, y1)
	} else {
		fmt.Fprintf(b, `<path d="M%d %dl%d 6l%d 6"/><circle cx="%d" cy="%d" r="4"/>`, x1, y1-6, 12*d1, -12*d1, x1+16*d1,
			y1)
	}
	half := 6
	if l.shift != 0 {
		half = signGap - 1
	}
	fmt.Fprintf(b, `<path d="M%d %dv%d"/>`, x2+7*d2, y2-half, 2*half)
	if l.optional() {
		fmt.Fprintf(b, `<circle cx="%d" cy="%d" r="4"/>`, x2+15*d2, y2)
	} else {
		fmt.Fprintf(b, `<path d="M%d %dv%d"/>`, x2+12*d2, y2-half, 2*half)
	}
}

// text is a text as XML and HTML take it, in an attribute too.
func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return b.String()
}
