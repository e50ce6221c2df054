package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/bench/internal/report"
)

// passage is what was measured of a transition: by hand, then by package auth.
type passage struct {
	name          string
	statements    int
	µs            [2][]float64
	ratio         []float64
	allocs, bytes [2]float64
}

// passageLimits are targets.
var passageLimits = map[string]float64{peers.SignInRead: 1.10, "sign in": 1.15}

// perConnection is how many people go through a transition on each connection in a round. None can do so twice.
const perConnection = 32

// transitions measures each transition by hand and by package auth, in the order that chance gives each round.
func (b *bench) transitions(ctx context.Context, s *settings) (all []*passage, err error) {
	stage, err := peers.OpenStage(ctx, b.url, s.connections)
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	for _, t := range peers.Transitions {
		fmt.Fprintf(os.Stderr, "%s: %d rounds …\n", t.Name, s.rounds)
		p, err := measureTransition(ctx, s, stage, &t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func measureTransition(ctx context.Context, s *settings, stage *peers.Stage, t *peers.Transition) (*passage, error) {
	learnt, err := stage.Learn(ctx, t)
	if err != nil {
		return nil, err
	}
	ways := [2]func(context.Context, *peers.Person) error{learnt.ByHand, learnt.ByAuth}
	p := &passage{name: t.Name, statements: len(learnt.Statements())}
	for round := range s.rounds + 1 {
		var took [2]float64
		for _, way := range rand.Perm(2) {
			if took[way], err = through(ctx, learnt, s.connections*perConnection, s.connections, ways[way],
				nil); err != nil {
				return nil, err
			}
		}
		if round == 0 {
			continue // caches, statements and connections get warm
		}
		for way, µs := range took {
			p.µs[way] = append(p.µs[way], µs)
		}
		p.ratio = append(p.ratio, took[1]/took[0])
	}
	for way := range ways {
		const n = 50
		var before, after runtime.MemStats
		if _, err := through(ctx, learnt, n, 1, ways[way], func(begin bool) {
			if begin {
				runtime.ReadMemStats(&before)
			} else {
				runtime.ReadMemStats(&after)
			}
		}); err != nil {
			return nil, err
		}
		p.allocs[way] = float64(after.Mallocs-before.Mallocs) / n
		p.bytes[way] = float64(after.TotalAlloc-before.TotalAlloc) / n
	}
	return p, nil
}

// through makes n people, has each go through a transition, on so many workers at once, and returns the microseconds
// that one took. At is called before the first and after the last.
func through(ctx context.Context, p *peers.Passage, n, workers int,
	call func(context.Context, *peers.Person) error, at func(begin bool)) (float64, error) {
	people := make([]*peers.Person, n)
	err := share(n, workers, func(i int) (err error) {
		people[i], err = p.Arm(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	runtime.GC()
	if at != nil {
		at(true)
	}
	began := time.Now()
	err = share(n, workers, func(i int) error { return call(ctx, people[i]) })
	took := time.Since(began)
	if at != nil {
		at(false)
	}
	return float64(took.Microseconds()) / float64(n), err
}

// share has workers do what is numbered.
func share(n, workers int, do func(i int) error) error {
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				errs[w] = do(i)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func transitionsTable(all []*passage) string {
	table := report.Table{Head: []string{"transition", "statements", "µs by hand", "µs", "× by hand", "quartiles",
		"allocations by hand", "allocations", "kB"}}
	for _, p := range all {
		r := measure.SpreadOf(p.ratio)
		table.Add(p.name, fmt.Sprint(p.statements), fmt.Sprintf("%.0f", measure.SpreadOf(p.µs[0]).Median),
			fmt.Sprintf("%.0f", measure.SpreadOf(p.µs[1]).Median), fmt.Sprintf("%.2f", r.Median),
			fmt.Sprintf("%.2f to %.2f", r.Low, r.High), number(p.allocs[0]), number(p.allocs[1]),
			number(p.bytes[1]/1000))
	}
	return table.String()
}
