package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/migrate"
)

// applyPrinter shows an apply while it runs: a line a file on standard output
// and, on a terminal, a bar on standard error.
type applyPrinter struct {
	*app
	text, verbose, onTerminal bool

	bar     *progressbar.ProgressBar
	file    fileLine
	printed []string
}

// fileLine is what is known of the file being applied.
type fileLine struct {
	name      string
	ran       int
	total     int
	recovered []string
	took      time.Duration
}

// newBar is a bar on standard error, which disappears once it is full.
func (a *app) newBar(total int, options ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, append(options,
		progressbar.OptionSetWriter(over{a.info}),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)...)
}

// clearBar removes a bar, if there is one.
func clearBar(bar *progressbar.ProgressBar) {
	if bar != nil {
		_ = bar.Clear() // it fails only where the terminal does
	}
}

func newApplyPrinter(a *app, verbose bool) *applyPrinter {
	text := a.format == formatText
	bar := text && !verbose && a.info.rewrites()
	return &applyPrinter{app: a, text: text, verbose: text && verbose, onTerminal: bar}
}

func (p *applyPrinter) progress(s migrate.Progress) {
	switch {
	case s.Waiting:
		fmt.Fprintln(p.info, "waiting for another apply to finish")
	case !s.Done:
		p.begin(s)
	default:
		p.end(s)
	}
}

func (p *applyPrinter) begin(s migrate.Progress) {
	if s.File != p.file.name {
		// The file before this one is applied only now that another begins: on
		// SQLite the commit follows its last statement.
		p.printFile()
		p.file = fileLine{name: s.File, total: s.Total}
		if p.verbose {
			fmt.Fprintln(p.stdout, s.File)
		}
	}
	if !p.onTerminal {
		return
	}
	if p.bar == nil {
		p.bar = p.newBar(s.Steps, progressbar.OptionSetPredictTime(false))
	}
	p.bar.Describe(visible(fmt.Sprintf("%s %d/%d", s.File, s.Index, s.Total)))
}

func (p *applyPrinter) end(s migrate.Progress) {
	p.file.ran++
	p.file.took += s.Duration
	if s.Recovered {
		p.file.recovered = append(p.file.recovered, fmt.Sprint(s.Index))
	}
	if p.verbose {
		how := short(s.Duration)
		if s.Recovered {
			how = "recovered: it took effect in the apply that was cut off"
		}
		fmt.Fprintf(p.stdout, "  %d/%d  %s\n%s\n", s.Index, s.Total, how, indent("    ", s.Stmt))
	}
	if p.bar != nil {
		_ = p.bar.Add(1) // it fails only where the terminal does
	}
}

// printFile prints the line of the file that was applied last.
func (p *applyPrinter) printFile() {
	f := p.file
	if !p.text || f.name == "" {
		return
	}
	clearBar(p.bar)
	statements := english.Count(f.total, "statement")
	if f.ran < f.total {
		statements = fmt.Sprintf("%d of %s", f.ran, statements)
	}
	line := fmt.Sprintf("%s  %s  %s", f.name, statements, short(f.took))
	if len(f.recovered) > 0 {
		line += "  (recovered: statement " + strings.Join(f.recovered, ", ") + ")"
	}
	fmt.Fprintln(p.stdout, line)
	p.printed = append(p.printed, f.name)
}

// finish prints what is left to print. The report of a failed apply is nil, or holds the files before the failure.
func (p *applyPrinter) finish(r *migrate.Report) {
	clearBar(p.bar)
	if r == nil || r.DryRun {
		return
	}
	for _, f := range r.Applied {
		if slices.Contains(p.printed, f.Name) {
			continue
		}
		// A file without statements has made no progress.
		if f.Name != p.file.name {
			p.file = fileLine{name: f.Name, took: f.Duration}
		}
		p.printFile()
	}
}
