package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/bench/internal/report"
)

// growthLimit is how much more a session check may cost at the largest size than at the smallest.
const growthLimit = 1.25

// line is a peer and an operation, followed over the sizes.
type line struct {
	op   peers.Op
	peer string
	// µs and ratio, to the smallest size in the same round, by size and round.
	µs, ratio [][]float64
}

func growth(ctx context.Context, s *settings) error {
	total := 0
	slices.Sort(s.rows)
	for _, n := range s.rows {
		total += load.Of(n, 0).Rows()
	}
	specs := slices.DeleteFunc(peers.All(), func(p peers.Spec) bool {
		return p.Name != peers.Reference && !slices.Contains(peers.Ours, p.Name)
	})
	server, err := start(ctx, s, total)
	if err != nil {
		return err
	}
	defer server.stop()
	var sizes []*bench
	for _, n := range s.rows {
		b, err := server.open(ctx, load.Of(n, 0), s.connections, specs)
		if err != nil {
			return err
		}
		defer b.close()
		sizes = append(sizes, b)
	}
	var lines []*line
	for _, op := range []peers.Op{peers.CheckSession, peers.FindUser, peers.VerifyCode, peers.Rotate} {
		for i, c := range sizes[0].all {
			// The typed client has words for all, but package auth is what does the last two.
			if c.of[op] == nil || c.Name == peers.Ours[1] && (op == peers.VerifyCode || op == peers.Rotate) {
				continue
			}
			l := &line{op: op, peer: c.Name, µs: make([][]float64, len(sizes)), ratio: make([][]float64, len(sizes))}
			lines = append(lines, l)
			fmt.Fprintf(os.Stderr, "%s, %s: %d rounds on %d sizes …\n", op, c.Name, s.rounds, len(sizes))
			if err := l.measure(ctx, s, sizes, i); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	setting, err := server.setting(ctx, s, goVersions("github.com/go-sql-driver/mysql", "entgo.io/ent"))
	if err != nil {
		return err
	}
	text, err := growthReport(s, sizes, lines)
	if err != nil {
		return err
	}
	text = setting + text
	fmt.Println(text)
	return report.Section(s.doc, "growth", text)
}

// measure takes the sizes in another random order each round.
func (l *line) measure(ctx context.Context, s *settings, sizes []*bench, peer int) error {
	for round := range s.rounds + 1 {
		took := make([]float64, len(sizes))
		for _, i := range rand.Perm(len(sizes)) {
			µs, err := sizes[i].run(ctx, sizes[i].all[peer].runner, l.op, uint64(round), enough(s.round, s.connections),
				s.connections, s.round)
			if err != nil {
				return err
			}
			took[i] = µs
		}
		if round == 0 {
			continue
		}
		for i, µs := range took {
			l.µs[i], l.ratio[i] = append(l.µs[i], µs), append(l.ratio[i], µs/took[0])
		}
	}
	return nil
}

func growthReport(s *settings, sizes []*bench, lines []*line) (string, error) {
	var steps []string
	head := []string{"µs an operation, with × the smallest"}
	for _, b := range sizes {
		steps = append(steps, short(b.size.Sessions))
		head = append(head, short(b.size.Sessions))
	}
	head = append(head, "quartiles of the last")
	table := report.Table{Head: head}
	goals := report.Table{Head: []string{"target", "limit", "median", "quartiles", ""}}
	var plotted []report.Series
	last := len(sizes) - 1
	for _, l := range lines {
		row := []string{fmt.Sprintf("%s, %s", l.op, l.peer)}
		series := report.Series{Label: string(l.op) + ", " +
			strings.TrimPrefix(strings.TrimPrefix(l.peer, "authgraph, "), "database/sql, ")}
		for i := range sizes {
			µs, ratio := measure.SpreadOf(l.µs[i]), measure.SpreadOf(l.ratio[i])
			row = append(row, fmt.Sprintf("%.0f (%.2f)", µs.Median, ratio.Median))
			series.Points = append(series.Points, report.Bar{Low: µs.Low, Value: µs.Median, High: µs.High})
		}
		r := measure.SpreadOf(l.ratio[last])
		quartiles := fmt.Sprintf("%.2f to %.2f", r.Low, r.High)
		table.Add(append(row, quartiles)...)
		if slices.Contains(peers.Ours, l.peer) {
			plotted = append(plotted, series)
			if l.op == peers.CheckSession {
				goals.Add(fmt.Sprintf("%s, %s, %s ÷ %s", l.op, l.peer, steps[last], steps[0]),
					fmt.Sprintf("%.2f", growthLimit),
					fmt.Sprintf("%.2f", r.Median), quartiles, met(r.Median <= growthLimit))
			}
		}
	}
	const plot = "benchmarks-growth.svg"
	err := report.Lines(filepath.Join(filepath.Dir(s.doc), plot), "Microseconds an operation, by sessions in the table",
		"µs", steps, plotted)
	return fmt.Sprintf("A size is the number of sessions. Users, refresh tokens and codes are a quarter of it each. "+
		"One server holds all sizes at once. %d connections, %d rounds of %s a size.\n\n%s\n%s\n"+
		"![Microseconds an operation by size](%s)\n",
		s.connections, s.rounds, s.round, goals.String(), table.String(), plot), err
}
