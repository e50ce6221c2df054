package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/bench/internal/report"
)

// The bars: rows a second, and the readers' 99th percentile in terms of what it is without a purge.
const (
	purgeRate  = 20_000
	readersP99 = 2.0
)

// slice is one part: a purge, readers, or both.
type slice struct {
	rows, batches int
	elapsed       time.Duration
	latencies     []time.Duration
}

func (s slice) rate() float64 { return float64(s.rows) / s.elapsed.Seconds() }

func purge(ctx context.Context, s *settings) error {
	size := load.Of(s.rows[0], s.expired)
	server, err := start(ctx, s, size.Rows())
	if err != nil {
		return err
	}
	defer server.stop()
	url, db, err := server.loaded(ctx, size)
	if err != nil {
		return err
	}
	defer db.Close()
	svc, closeService, err := service(ctx, url, s.readers+1)
	if err != nil {
		return err
	}
	defer closeService()

	readers := func(ctx context.Context) ([]time.Duration, error) { return read(ctx, svc, size, s.readers, s.rate) }
	var alone, full, limited, only []slice
	for n := range s.rounds + 1 {
		fmt.Fprintf(os.Stderr, "purge: round %d of %d …\n", n+1, s.rounds+1)
		// Each part of a round beside the others: what else the machine does hits all.
		for _, part := range []struct {
			svc     *auth.Service
			readers func(context.Context) ([]time.Duration, error)
			rate    int
			into    *[]slice
		}{
			{nil, readers, 0, &alone}, {svc, readers, 0, &full}, {svc, readers, s.limit, &limited}, {svc, nil, 0, &only},
		} {
			if err := settle(ctx, db); err != nil {
				return err
			}
			measured, err := s.measure(ctx, part.svc, part.rate, part.readers)
			if err != nil {
				return err
			}
			if n > 0 { // the first round warms connections and caches
				*part.into = append(*part.into, measured)
			}
		}
	}
	setting, err := server.setting(ctx, s, goVersions("github.com/go-sql-driver/mysql"))
	if err != nil {
		return err
	}
	text, err := purgeReport(s, size, alone, full, limited, only)
	if err != nil {
		return err
	}
	text = setting + text
	fmt.Println(text)
	return report.Section(s.doc, "purge", text)
}

// settled is a history, in transactions, that InnoDB's own purge has caught up with.
const settled = 100

// settle waits until the server has taken out what the part before this one deleted (MySQL manual, InnoDB Purge
// Configuration), which would be counted against the next one.
func settle(ctx context.Context, db *sql.DB) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var history int
		err := db.QueryRowContext(ctx, "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'").Scan(&history)
		if err != nil || history < settled {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// service is package auth on a pool of its own.
func service(ctx context.Context, url string, connections int) (*auth.Service, func(), error) {
	client, err := authgraph.Open(ctx, url, authgraph.WithPool(authgraph.Pool{MaxOpen: connections, MaxLifetime: time.Hour}))
	if err != nil {
		return nil, nil, err
	}
	svc, err := auth.New(client, peers.AuthConfig())
	return svc, func() { _ = client.Close() }, err
}

// measure runs a purge, where svc is given, and readers, where they are, until the time of a part is over.
func (set *settings) measure(ctx context.Context, svc *auth.Service, rate int, readers func(context.Context) ([]time.Duration, error)) (slice, error) {
	ctx, cancel := context.WithTimeout(ctx, set.part)
	defer cancel()
	var s slice
	var reading sync.WaitGroup
	var errRead error
	if readers != nil {
		reading.Go(func() {
			defer cancel() // nothing is measured without them
			s.latencies, errRead = readers(ctx)
		})
	}
	began := time.Now()
	var err error
	if svc != nil {
		var done auth.Purged
		done, err = svc.Purge(ctx, auth.PurgeOptions{Batch: set.batch, Rate: rate, Progress: func(auth.Purged) { s.batches++ }})
		s.rows = done.OTPs + done.Sessions + done.RefreshTokens + done.Users
		if err == nil {
			err = errors.New("the purge was through before its time was over: load more rows")
		}
	} else {
		<-ctx.Done()
		err = ctx.Err()
	}
	s.elapsed = time.Since(began)
	reading.Wait()
	switch {
	case errRead != nil:
		return s, errRead
	case errors.Is(err, context.DeadlineExceeded):
		err = nil
	}
	return s, err
}

// read checks random live sessions at a rate that does not wait for answers, and returns how long after its time each
// check was answered. A check that fails before ctx is over ends them all: the others would be measured with fewer beside
// them.
func read(ctx context.Context, svc *auth.Service, size load.Size, readers, rate int) ([]time.Duration, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var mu sync.Mutex
	var all []time.Duration
	var group sync.WaitGroup
	interval := time.Second * time.Duration(readers) / time.Duration(rate)
	began := time.Now()
	for r := range readers {
		group.Go(func() {
			var latencies []time.Duration
			first := size.FirstLive(size.Sessions)
			due := began.Add(interval * time.Duration(r) / time.Duration(readers))
			for ; ctx.Err() == nil; due = due.Add(interval) {
				time.Sleep(time.Until(due))
				token := auth.ParseToken(load.SessionToken(first + rand.IntN(size.Sessions-first)))
				if _, _, err := svc.CheckSession(ctx, token); err != nil {
					fail(fmt.Errorf("check a session: %w", err)) // the first is kept, as is the end of ctx
					break
				}
				latencies = append(latencies, time.Since(due))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, latencies...)
		})
	}
	group.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return all, err
	}
	return all, nil
}

func purgeReport(s *settings, size load.Size, alone, full, limited, only []slice) (string, error) {
	rates := func(parts []slice) (v []float64) {
		for _, p := range parts {
			v = append(v, p.rate())
		}
		return v
	}
	percentiles := func(parts []slice, q float64) (v []float64) {
		for _, p := range parts {
			v = append(v, float64(measure.Percentile(p.latencies, q).Microseconds()))
		}
		return v
	}
	quiet := percentiles(alone, 0.99)
	cell := func(verb string, values []float64) string {
		v := measure.SpreadOf(values)
		return fmt.Sprintf(verb+" ("+verb+" to "+verb+")", v.Median, v.Low, v.High)
	}
	table := report.Table{Head: []string{"median, with quartiles", "rows purged a second", "readers' p50, µs", "readers' p99, µs", "p99 ÷ alone", ""}}
	table.Add("target", fmt.Sprintf("≥ %d", purgeRate), "", "", fmt.Sprintf("≤ %.1f", readersP99), "")
	table.Add("readers alone", "–", cell("%.0f", percentiles(alone, 0.5)), cell("%.0f", quiet), "1", "")
	for _, with := range []struct {
		name  string
		parts []slice
	}{
		{"purge without a rate", full},
		{fmt.Sprintf("purge at a rate of %d", s.limit), limited},
	} {
		times := percentiles(with.parts, 0.99)
		for i := range times {
			times[i] /= quiet[i]
		}
		rate, ratio := measure.SpreadOf(rates(with.parts)), measure.SpreadOf(times)
		table.Add(with.name, cell("%.0f", rates(with.parts)), cell("%.0f", percentiles(with.parts, 0.5)), cell("%.0f", percentiles(with.parts, 0.99)),
			cell("%.2f", times), met(rate.Median >= purgeRate && ratio.Median <= readersP99))
	}
	table.Add("purge without a rate and readers", cell("%.0f", rates(only)), "–", "–", "–", "")

	const plot = "benchmarks-purge.svg"
	var steps []string
	lines := []report.Series{{Label: "without a rate"}, {Label: fmt.Sprintf("at a rate of %d", s.limit)}, {Label: "without readers"}}
	for i := range full {
		steps = append(steps, fmt.Sprint(i+1))
		for n, part := range []slice{full[i], limited[i], only[i]} {
			lines[n].Points = append(lines[n].Points, report.Bar{Low: part.rate(), Value: part.rate(), High: part.rate()})
		}
	}
	err := report.Lines(filepath.Join(filepath.Dir(s.doc), plot), "Rows purged a second, round by round", "rows/s", steps, lines)
	return fmt.Sprintf("Rows: %s, of which %d %% of the sessions, tokens and codes have ended. %d readers check %d random live sessions a "+
		"second together. %d rounds of four parts of %s each.\n\n%s\n![Rows purged a second](%s)\n",
		rowsText(size), size.Expired, s.readers, s.rate, len(full), s.part, table.String(), plot), err
}
