package report

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// Bar is a measurement with its spread.
type Bar struct {
	Label             string
	Low, Value, High  float64
	Ours, IsReference bool
}

// Panel is bars of one scale, which ends at Top: a longer bar is cut off there.
type Panel struct {
	Title string
	Top   float64
	Bars  []Bar
}

const (
	width    = 860
	label    = 220
	barRow   = 20
	plotLeft = label + 10
	plotEnd  = width - 100
)

// style follows the reader's light or dark mode.
const style = `<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}.n{fill:#57606a}
.o{fill:#8c959f}.u{fill:#0969da}.r{fill:#57606a}.w,.a{stroke:#24292f;fill:none}.g{stroke:#d0d7de}
.s0{stroke:#0969da}.s1{stroke:#57606a}.s2{stroke:#bf8700}.s3{stroke:#8250df}.s4{stroke:#1a7f37}.s5{stroke:#cf222e}
.l{fill:none;stroke-width:2}.b{fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.n{fill:#9198a1}.o{fill:#656c76}.u{fill:#4493f8}.r{fill:#9198a1}
.w,.a{stroke:#e6edf3}.g{stroke:#3d444d}.b{fill:#0d1117}.s0{stroke:#4493f8}.s1{stroke:#9198a1}}
</style>`

func open(height int, title string) *strings.Builder {
	b := &strings.Builder{}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n%s\n"+
		`<rect class="b" width="%[1]d" height="%[2]d"/>`+"\n", width, height, html.EscapeString(title), style)
	return b
}

// Bars writes panels of horizontal bars, shorter is better, with the quartiles as a whisker.
func Bars(path, title, unit string, panels []Panel) error {
	height := 10
	for _, p := range panels {
		height += 40 + barRow*len(p.Bars)
	}
	b := open(height, title)
	y := 10
	for _, p := range panels {
		top := 0.0
		for _, bar := range p.Bars {
			top = max(top, bar.Value)
		}
		top = min(top, p.Top)
		at := func(v float64) float64 { return plotLeft + math.Min(v/top, 1.04)*(plotEnd-plotLeft) }
		fmt.Fprintf(b, `<text class="t" x="10" y="%d">%s</text>`+"\n", y+18, html.EscapeString(p.Title))
		y += 28
		for _, bar := range p.Bars {
			class := "o"
			switch {
			case bar.Ours:
				class = "u"
			case bar.IsReference:
				class = "r"
			}
			mid := float64(y) + barRow/2
			fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`, label, mid+4,
				html.EscapeString(bar.Label))
			fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, plotLeft, y+3,
				at(bar.Value)-plotLeft, barRow-6)
			fmt.Fprintf(b, `<path class="w" d="M%.1f %.1fH%.1f"/>`, at(bar.Low), mid, at(bar.High))
			fmt.Fprintf(b, `<text class="n" x="%.1f" y="%.0f">%.0f %s</text>`+"\n",
				math.Max(at(bar.High), at(bar.Value))+6, mid+4, bar.Value, unit)
			y += barRow
		}
		y += 12
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// Series is a line: a value, with its spread, at each step.
type Series struct {
	Label  string
	Points []Bar
}

// Lines writes a plot of series over steps that are equally far apart, from zero.
func Lines(path, title, unit string, steps []string, series []Series) error {
	const height, bottom, head = 392, 352, 56
	top := 0.0
	for _, s := range series {
		for _, p := range s.Points {
			top = max(top, p.High, p.Value)
		}
	}
	top = ceiling(top)
	b := open(height, title)
	fmt.Fprintf(b, `<text class="t" x="10" y="20">%s</text>`+"\n", html.EscapeString(title))
	x := func(i int) float64 {
		return 80 + float64(i)*float64(width-320)/float64(max(1, len(steps)-1))
	}
	y := func(v float64) float64 { return bottom - v/top*(bottom-head) }
	for i := range 6 {
		v := top * float64(i) / 5
		fmt.Fprintf(b, `<path class="g" d="M60 %.1fH%d"/>`+
			`<text class="n" x="54" y="%.1f" text-anchor="end">%g</text>`+"\n",
			y(v), width-220, y(v)+4, v)
	}
	fmt.Fprintf(b, `<text class="n" x="54" y="%d" text-anchor="end">%s</text>`+"\n", head-8, html.EscapeString(unit))
	for i, step := range steps {
		fmt.Fprintf(b, `<text class="n" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), bottom+20,
			html.EscapeString(step))
	}
	for n, s := range series {
		var path strings.Builder
		for i, p := range s.Points {
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x(i), y(p.Value))
			fmt.Fprintf(b, `<path class="w s%d" d="M%.1f %.1fV%.1f"/>`, n%6, x(i), y(p.Low), y(p.High))
		}
		fmt.Fprintf(b, `<path class="l s%d" d="%s"/>`, n%6, path.String())
		legend := head + 10 + 20*n
		fmt.Fprintf(b, `<path class="l s%d" d="M%d %dh20"/><text x="%d" y="%d">%s</text>`+"\n",
			n%6, width-205, legend, width-180, legend+4, html.EscapeString(s.Label))
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// ceiling is the next round number.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}
