package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/bench/internal/report"
)

// target is what a figure of one of the peers may be at most, or has to be at least.
type target struct {
	op   peers.Op
	peer string
	// figure is what is limited, or empty for the time.
	figure figure
	// over is whose time in the same round the time is divided by.
	over  string
	limit float64
	least bool
}

type figure string

const (
	trips       figure = "round trips"
	allocations figure = "allocations"
	kilobytes   figure = "kB"
)

var targets = func() []target {
	ours, client := peers.Ours[0], peers.Ours[1]
	all := []target{
		{op: peers.CheckSession, peer: ours, over: peers.Reference, limit: 1.10},
		{op: peers.SignIn, peer: ours, over: peers.Reference, limit: 1.15},
		{op: peers.VerifyCode, peer: ours, over: peers.Reference, limit: 1.10},
		{op: peers.Rotate, peer: ours, over: peers.Reference, limit: 1.10},
		{op: peers.CheckSession, peer: client, over: peers.Reference, limit: 1.25},
		{op: peers.CheckSession, peer: client, over: peers.SameColumns, limit: 1.15},
		{op: peers.CheckSession, peer: client, figure: trips, limit: 1},
		{op: peers.CheckSession, peer: client, figure: allocations, limit: 75},
		{op: peers.CheckSession, peer: client, figure: kilobytes, limit: 5.5},
		{op: peers.FindUser, peer: client, over: peers.Reference, limit: 1.12},
		{op: peers.FindUser, peer: client, figure: allocations, limit: 55},
		{op: peers.FindUser, peer: client, figure: kilobytes, limit: 3.5},
	}
	atLeast := func(by float64, peer, over string) {
		all = append(all, target{op: peers.CheckSession, peer: peer, over: over, limit: by, least: true})
	}
	for _, library := range []string{"Ent", "Bun", "GORM", "sqlc"} {
		over, by := library+" over stmtcache", 1.0
		switch library {
		case "Ent":
			by = 1.3
		case "Bun":
			over = "Bun's scan over stmtcache"
		}
		atLeast(by, library+" as it comes", over)
	}
	for _, peer := range []string{"sqlc as it comes", "Bun as it comes", "GORM, PrepareStmt", "GORM as it comes"} {
		atLeast(1, peer, ours)
	}
	for _, peer := range []string{"Drizzle, prepare()", "Drizzle as it comes"} {
		atLeast(5, peer, ours)
	}
	return all
}()

// add adds the row of a target to a table, if what it is about was measured.
func (t *target) add(b *bench, goals *report.Table) {
	c := b.named(t.peer, t.op)
	if c == nil {
		return
	}
	f := c.of[t.op]
	if t.over == "" {
		value := map[figure]float64{trips: f.trips, allocations: f.allocs, kilobytes: f.bytes / 1000}[t.figure]
		printed := number(value)
		rounded, err := strconv.ParseFloat(printed, 64)
		goals.Add(fmt.Sprintf("%s, %s: %s", t.op, t.peer, t.figure), fmt.Sprintf("≤ %.3g", t.limit), printed, "",
			met(err == nil && rounded <= t.limit))
		return
	}
	over := b.named(t.over, t.op)
	if over == nil {
		return
	}
	var times []float64
	for i, r := range f.ratio {
		times = append(times, r/over.of[t.op].ratio[i])
	}
	goals.Add(limited(fmt.Sprintf("%s, %s ÷ %s", t.op, t.peer, t.over), times, t.limit, t.least)...)
}

// limited is a row of the targets.
func limited(name string, times []float64, limit float64, least bool) []string {
	r := measure.SpreadOf(times)
	sign, ok := "≤", r.Median <= limit
	if least {
		sign, ok = "≥", r.Median >= limit
	}
	return []string{name, fmt.Sprintf("%s %.2f", sign, limit), fmt.Sprintf("%.2f", r.Median),
		fmt.Sprintf("%.2f to %.2f", r.Low, r.High), met(ok)}
}

// contender is a peer that is open, and what was measured of it.
type contender struct {
	peers.Spec
	runner peers.Runner
	of     map[peers.Op]*figures
}

// figures are of one operation: microseconds with all connections busy and with one, the cost in terms of the
// reference's in the same round, and what one operation takes.
type figures struct {
	busy, alone, ratio   []float64
	trips, allocs, bytes float64
}

// bench is a loaded database and those who work on it.
type bench struct {
	url    string
	db     *sql.DB
	size   load.Size
	tokens peers.Tokens
	all    []*contender
}

func (b *bench) close() {
	for _, c := range b.all {
		c.runner.Close()
	}
	_ = b.db.Close()
}

// open loads a database and opens the peers on it.
func (s *server) open(ctx context.Context, size load.Size, connections int, specs []peers.Spec) (*bench, error) {
	url, db, err := s.loaded(ctx, size)
	if err != nil {
		return nil, err
	}
	b := &bench{url: url, db: db, size: size, tokens: peers.Tokens{}}
	for _, spec := range specs {
		runner, err := spec.Open(ctx, url, connections)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", spec.Name, err)
		}
		c := &contender{Spec: spec, runner: runner, of: map[peers.Op]*figures{}}
		for _, op := range peers.Ops {
			if runner.Has(op) {
				c.of[op] = &figures{}
			}
		}
		b.all = append(b.all, c)
	}
	return b, nil
}

// run does one round and puts back what it used up; it returns the microseconds an operation took.
func (b *bench) run(ctx context.Context, runner peers.Runner, op peers.Op, seed uint64, n, workers int,
	limit time.Duration) (float64, error) {
	keys := b.tokens.Keys(op, b.size, seed, n)
	done, elapsed, err := runner.Run(ctx, op, keys, workers, limit)
	b.tokens.Used(op, keys)
	if err == nil && op == peers.VerifyCode {
		err = load.Restore(ctx, b.db, peers.Rows(keys))
	}
	if err == nil && done == 0 {
		err = ctx.Err()
	}
	return float64(elapsed.Microseconds()) / float64(done), err
}

// enough keys for a round that is ended by the clock.
func enough(limit time.Duration, workers int) int {
	return int(limit/(20*time.Microsecond)) + workers
}

// rounds measures op in interleaved rounds, the peers in another random order each time.
func (b *bench) rounds(ctx context.Context, op peers.Op, n, workers int, limit time.Duration,
	note func(c *contender, µs, reference float64)) error {
	for round := range n + 1 {
		took := map[*contender]float64{}
		for _, i := range rand.Perm(len(b.all)) {
			c := b.all[i]
			if c.of[op] == nil {
				continue
			}
			limit := limit
			if round == 0 && !c.InProcess() {
				limit *= 5 // Node compiles what it has run for a while
			}
			µs, err := b.run(ctx, c.runner, op, uint64(round), enough(limit, workers), workers, limit)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			took[c] = µs
		}
		if round == 0 {
			continue // caches, statements and connections get warm
		}
		for c, µs := range took {
			note(c, µs, took[b.all[0]])
		}
	}
	return nil
}

func compare(ctx context.Context, s *settings) error {
	size := load.Of(s.rows[0], 0)
	specs, versions := comparePeers(ctx, s)
	server, err := start(ctx, s, size.Rows())
	if err != nil {
		return err
	}
	defer server.stop()
	b, err := server.open(ctx, size, s.connections, specs)
	if err != nil {
		return err
	}
	defer b.close()
	for _, op := range peers.Ops {
		fmt.Fprintf(os.Stderr, "%s: %d rounds of %d peers …\n", op, s.rounds, len(b.all))
		err := b.rounds(ctx, op, s.rounds, s.connections, s.round, func(c *contender, µs, reference float64) {
			f := c.of[op]
			f.busy, f.ratio = append(f.busy, µs), append(f.ratio, µs/reference)
		})
		if err != nil {
			return err
		}
		err = b.rounds(ctx, op, max(3, s.rounds/3), 1, s.round/2, func(c *contender, µs, _ float64) {
			c.of[op].alone = append(c.of[op].alone, µs)
		})
		if err != nil {
			return err
		}
		for _, c := range b.all {
			if c.of[op] == nil {
				continue
			}
			if err := b.count(ctx, c, op); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	setting, err := server.setting(ctx, s, versions)
	if err != nil {
		return err
	}
	var passages []*passage
	if b.named(peers.Ours[0], peers.CheckSession) != nil {
		if passages, err = b.transitions(ctx, s); err != nil {
			return err
		}
	}
	text, panels := b.report(passages)
	plot := "benchmarks-comparison.svg"
	if err := report.Bars(filepath.Join(filepath.Dir(s.doc), plot), "Microseconds an operation", "µs",
		panels); err != nil {
		return err
	}
	text = setting + fmt.Sprintf("Rows: %s. %d connections, %d rounds of %s a peer.\n\n![Microseconds an "+
		"operation](%s)\n\n",
		rowsText(size), s.connections, s.rounds, s.round, plot) + text
	fmt.Println(text)
	return report.Section(s.doc, "comparison", text)
}

// comparePeers are the peers that take part, and the versions of all.
func comparePeers(ctx context.Context, s *settings) ([]peers.Spec, []string) {
	specs := peers.All()
	versions := goVersions("github.com/go-sql-driver/mysql", "entgo.io/ent", "github.com/uptrace/bun", "gorm.io/gorm",
		"gorm.io/driver/mysql")
	versions = append(versions, peers.SqlcVersion())
	drizzle, err := peers.Drizzle(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		versions = append(versions, "Drizzle left out: no Node")
	} else {
		specs = append(specs, drizzle...)
		versions = append(versions, peers.DrizzleVersions()...)
		versions = append(versions, "Node "+programVersion(ctx, "node", "--version"))
	}
	specs = slices.DeleteFunc(specs, func(p peers.Spec) bool {
		return p.Name != peers.Reference && !strings.Contains(p.Name, s.only)
	})
	return specs, versions
}

// count counts what one operation takes, on one connection: round trips, and allocations where the peer runs in this
// process.
func (b *bench) count(ctx context.Context, c *contender, op peers.Op) error {
	const n = 50
	relay, err := measure.Relay(b.url)
	if err != nil {
		return err
	}
	through, err := c.Open(ctx, relay.URL, 1)
	if err != nil {
		return err
	}
	f := c.of[op]
	if _, err = b.run(ctx, through, op, 1, n, 1, time.Minute); err == nil {
		before := relay.Count()
		_, err = b.run(ctx, through, op, 2, n, 1, time.Minute)
		f.trips = float64(relay.Count()-before) / n
	}
	through.Close()
	_ = relay.Close()
	if err != nil || !c.InProcess() {
		f.allocs, f.bytes = math.NaN(), math.NaN()
		return err
	}
	keys := b.tokens.Keys(op, b.size, 3, 10*n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done, _, err := c.runner.Run(ctx, op, keys, 1, time.Minute)
	runtime.ReadMemStats(&after)
	b.tokens.Used(op, keys)
	if err == nil && op == peers.VerifyCode {
		err = load.Restore(ctx, b.db, peers.Rows(keys))
	}
	f.allocs = float64(after.Mallocs-before.Mallocs) / float64(done)
	f.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(done)
	return err
}

func (b *bench) report(passages []*passage) (text string, panels []report.Panel) {
	var out strings.Builder
	goals := report.Table{Head: []string{"target", "limit", "median", "quartiles", ""}}
	for _, t := range targets {
		t.add(b, &goals)
	}
	for _, p := range passages {
		if limit, ok := passageLimits[p.name]; ok {
			name := fmt.Sprintf("%s, %s ÷ the same statements by hand", p.name, peers.Ours[0])
			goals.Add(limited(name, p.ratio, limit, false)...)
		}
	}
	fmt.Fprintf(&out, "%s", goals.String())
	for _, op := range peers.Ops {
		table := report.Table{Head: []string{string(op), "µs", "× prepared", "quartiles", "µs alone", "round trips",
			"allocations", "kB"}}
		panel := report.Panel{Title: string(op), Top: 5 * measure.SpreadOf(b.all[0].of[op].busy).Median}
		for _, c := range b.all {
			f := c.of[op]
			if f == nil {
				continue
			}
			busy, ratio := measure.SpreadOf(f.busy), measure.SpreadOf(f.ratio)
			table.Add(c.Name, fmt.Sprintf("%.0f", busy.Median), fmt.Sprintf("%.2f", ratio.Median),
				fmt.Sprintf("%.2f to %.2f", ratio.Low, ratio.High), fmt.Sprintf("%.0f",
					measure.SpreadOf(f.alone).Median),
				fmt.Sprintf("%.3g", f.trips), number(f.allocs), number(f.bytes/1000))
			panel.Bars = append(panel.Bars, report.Bar{
				Label: c.Name, Low: busy.Low, Value: busy.Median, High: busy.High,
				Ours: slices.Contains(peers.Ours, c.Name), IsReference: c.Name == peers.Reference,
			})
		}
		fmt.Fprintf(&out, "\n%s", table.String())
		panels = append(panels, panel)
	}
	if len(passages) > 0 {
		fmt.Fprintf(&out, "\n%s", transitionsTable(passages))
	}
	return out.String(), panels
}

// named is the contender of a name, if it does op.
func (b *bench) named(name string, op peers.Op) *contender {
	for _, c := range b.all {
		if c.Name == name && c.of[op] != nil {
			return c
		}
	}
	return nil
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "**missed**"
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func rowsText(size load.Size) string {
	return fmt.Sprintf("%d sessions, %d users and %d locked ones, %d refresh tokens, %d codes", size.Sessions,
		size.Users, size.Locked, size.RefreshTokens, size.Codes)
}
