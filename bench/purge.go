package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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
	pacedRate  = 5000 // of a purge that paces itself
	pacedLimit = 5200 // one that goes no faster than it has to
	readersP99 = 2.0
)

// part is what is measured together, once a round.
type part struct {
	name    string
	readers func(context.Context) ([]time.Duration, error)
	purge   *auth.PurgeOptions
	beside  func(context.Context) (stop func(), err error)
	slices  []slice
}

// slice is a part in one round.
type slice struct {
	rows      int
	elapsed   time.Duration
	latencies []time.Duration
}

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
	parts := []*part{
		{name: "readers alone", readers: readers},
		{name: "two programs that only compute, no purge", readers: readers, beside: busy},
		{name: fmt.Sprintf("purge at its own pace, %d at most", pacedLimit), readers: readers,
			purge: &auth.PurgeOptions{Batch: s.batch, Rate: pacedLimit}},
		{name: "purge at its own pace", readers: readers, purge: &auth.PurgeOptions{Batch: s.batch}},
		{name: "purge at the full rate", readers: readers,
			purge: &auth.PurgeOptions{Batch: s.batch, FullRate: true}},
	}
	for _, rate := range s.limits {
		parts = append(parts, &part{
			name: fmt.Sprintf("purge at a fixed rate of %d", rate), readers: readers,
			purge: &auth.PurgeOptions{Batch: s.batch, Rate: rate, FullRate: true},
		})
	}
	parts = append(parts, &part{
		name: "purge at the full rate, no readers", purge: &auth.PurgeOptions{Batch: s.batch, FullRate: true},
	})
	if err := purgeCodes(ctx, svc); err != nil {
		return err
	}
	for n := range s.rounds + 1 {
		fmt.Fprintf(os.Stderr, "purge: round %d of %d …\n", n+1, s.rounds+1)
		// Each part of a round beside the others: what else the machine does hits all.
		for _, p := range parts {
			if err := server.rest(ctx, s, db); err != nil {
				return err
			}
			measured, err := p.measure(ctx, svc, s.part)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if n > 0 { // the first round warms connections and caches
				p.slices = append(p.slices, measured)
			}
		}
	}
	setting, err := server.setting(ctx, s, goVersions("github.com/go-sql-driver/mysql"))
	if err != nil {
		return err
	}
	text, err := purgeReport(s, size, parts)
	if err != nil {
		return err
	}
	text = setting + text
	fmt.Println(text)
	return report.Section(s.doc, s.section, text)
}

// purgeCodes deletes the codes that have ended, which a purge begins with: only sessions, the
// dearest rows, are measured.
func purgeCodes(ctx context.Context, svc *auth.Service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sessions := false
	_, err := svc.Purge(ctx, auth.PurgeOptions{FullRate: true, Progress: func(done auth.PurgeProgress) {
		if sessions = done.Sessions > 0; sessions {
			cancel()
		}
	}})
	if sessions && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// rest has the server settle as fast as it can, if it is its own, and then write pages as the settings say.
func (s *server) rest(ctx context.Context, of *settings, db *sql.DB) error {
	if of.url != "" {
		return settle(ctx, db)
	}
	if err := s.setIOCapacity(ctx, 10_000); err != nil {
		return err
	}
	if err := settle(ctx, db); err != nil {
		return err
	}
	return s.setIOCapacity(ctx, of.ioCapacity)
}

// setIOCapacity sets how many pages a second InnoDB writes in the background (MySQL manual, Configuring InnoDB I/O
// Capacity).
func (s *server) setIOCapacity(ctx context.Context, pages int) error {
	for _, set := range []string{
		"innodb_io_capacity = 100", fmt.Sprint("innodb_io_capacity_max = ", 2*pages),
		fmt.Sprint("innodb_io_capacity = ", pages),
	} {
		if _, err := s.admin.ExecContext(ctx, "SET GLOBAL "+set); err != nil {
			return fmt.Errorf("set the server's capacity: %w", err)
		}
	}
	return nil
}

// settle waits until the server rests: InnoDB's own purge has taken out what the part before this one deleted (MySQL
// manual, InnoDB Purge Configuration), and the pages are written. It would be counted against the next one.
func settle(ctx context.Context, db *sql.DB) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	before, same := -1, 0
	for {
		var history, dirty int
		if err := db.QueryRowContext(ctx, `SELECT MAX(IF(NAME = 'trx_rseg_history_len', COUNT, 0)),
		MAX(IF(NAME = 'buffer_pool_pages_dirty', COUNT, 0))
			FROM information_schema.INNODB_METRICS`).Scan(&history, &dirty); err != nil {
			return err
		}
		// What is left of the history at rest is what no later batch has cut off yet.
		if history != before || dirty > 100 {
			before, same = history, 0
		} else if same++; same == 8 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("the server does not come to rest, does somebody else write to it? Its history is %d "+
				"transactions, %d pages are not written", history, dirty)
		case <-tick.C:
		}
	}
}

// busy runs two programs that use a processor each and nothing else, as many as a purge keeps: its connection's thread,
// and InnoDB's purge thread.
func busy(ctx context.Context) (stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running []*exec.Cmd
	stop = func() {
		cancel()
		for _, cmd := range running {
			_ = cmd.Wait() // it was killed
		}
	}
	for range 2 {
		cmd := exec.CommandContext(ctx, program, spinCommand)
		// It ends with this process, however that ends.
		if _, err := cmd.StdinPipe(); err != nil {
			stop()
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			stop()
			return nil, err
		}
		running = append(running, cmd)
	}
	return stop, nil
}

// spinCommand is what [busy] runs.
const spinCommand = "spin"

// spin computes until its standard input ends.
func spin() {
	var done atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		done.Store(true)
	}()
	for !done.Load() {
	}
}

// service is package auth on a pool of its own.
func service(ctx context.Context, url string, connections int) (*auth.Service, func(), error) {
	client, err := authgraph.Open(ctx, url,
		authgraph.WithPool(authgraph.Pool{MaxOpen: connections, MaxLifetime: time.Hour}))
	if err != nil {
		return nil, nil, err
	}
	svc, err := auth.New(client, peers.AuthConfig())
	return svc, func() { _ = client.Close() }, err
}

// measure runs what the part has until its time is over.
func (p *part) measure(ctx context.Context, svc *auth.Service, length time.Duration) (s slice, err error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	if p.beside != nil {
		stop, err := p.beside(ctx)
		if err != nil {
			return s, err
		}
		defer stop()
	}
	var group errgroup.Group
	if p.readers != nil {
		group.Go(func() (err error) {
			s.latencies, err = p.readers(ctx)
			return err
		})
	}
	began := time.Now()
	if p.purge != nil {
		var done auth.Purged
		done, err = svc.Purge(ctx, *p.purge)
		s.rows = done.OTPs + done.Sessions + done.RefreshTokens + done.Users
		if err == nil {
			err = errors.New("the purge was through before its time was over: load more rows")
		}
	} else {
		<-ctx.Done()
		err = ctx.Err()
	}
	s.elapsed = time.Since(began)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return s, errors.Join(err, group.Wait())
}

// read checks random live sessions at a rate that does not wait for answers, and returns how long after its time each
// check was answered.
func read(ctx context.Context, svc *auth.Service, size load.Size, readers, rate int) ([]time.Duration, error) {
	all := make([][]time.Duration, readers)
	var group errgroup.Group
	interval := time.Second * time.Duration(readers) / time.Duration(rate)
	began := time.Now()
	for r := range readers {
		group.Go(func() error {
			first := size.FirstLive(size.Sessions)
			due := began.Add(interval * time.Duration(r) / time.Duration(readers))
			for ; ctx.Err() == nil; due = due.Add(interval) {
				time.Sleep(time.Until(due))
				token := auth.ParseToken(load.SessionToken(first + rand.IntN(size.Sessions-first)))
				if _, _, err := svc.CheckSession(ctx, token); err != nil {
					if ctx.Err() != nil {
						return nil
					}
					return err
				}
				all[r] = append(all[r], time.Since(due))
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(all...), err
}

func purgeReport(s *settings, size load.Size, parts []*part) (string, error) {
	cell := func(verb string, values []float64) string {
		v := measure.SpreadOf(values)
		return fmt.Sprintf(verb+" ("+verb+" to "+verb+")", v.Median, v.Low, v.High)
	}
	table := report.Table{Head: []string{"median, with quartiles", "rows purged a second", "readers' p50, µs",
		"readers' p99, µs", "p99 ÷ alone", ""}}
	table.Add("target at its own pace", fmt.Sprintf("≥ %d", pacedRate), "", "", fmt.Sprintf("≤ %.1f", readersP99), "")
	table.Add("target at the full rate", fmt.Sprintf("≥ %d", purgeRate), "", "", fmt.Sprintf("≤ %.1f", readersP99), "")
	var lines []report.Series
	quiet := parts[0].percentiles(0.99)
	for _, p := range parts {
		row := []string{p.name, "–", "–", "–", "–", ""}
		if p.purge != nil {
			row[1] = cell("%.0f", p.rates())
			line := report.Series{Label: p.name}
			for _, rate := range p.rates() {
				line.Points = append(line.Points, report.Bar{Low: rate, Value: rate, High: rate})
			}
			lines = append(lines, line)
		}
		if p.readers != nil {
			times := p.percentiles(0.99)
			row[2], row[3] = cell("%.0f", p.percentiles(0.5)), cell("%.0f", times)
			for i := range times {
				times[i] /= quiet[i]
			}
			row[4] = cell("%.2f", times)
			if target := p.target(); target > 0 {
				row[5] = met(measure.SpreadOf(p.rates()).Median >= target &&
					measure.SpreadOf(times).Median <= readersP99)
			}
		}
		table.Add(row...)
	}
	plot := "benchmarks-" + s.section + ".svg"
	var steps []string
	for i := range s.rounds {
		steps = append(steps, fmt.Sprint(i+1))
	}
	err := report.Lines(filepath.Join(filepath.Dir(s.doc), plot), "Rows purged a second, round by round", "rows/s",
		steps, lines)
	return fmt.Sprintf("Rows: %s. %d %% of the sessions have ended. %d readers check %d random live sessions a second "+
		"between them. %d rounds of %d parts of %s each.\n\n%s\n![Rows purged a second](%s)\n",
		rowsText(size), size.Expired, s.readers, s.rate, s.rounds, len(parts), s.part, table.String(), plot), err
}

// target is the rate that the part is to reach, and 0 for none.
func (p *part) target() float64 {
	switch {
	case p.purge == nil:
		return 0
	case !p.purge.FullRate:
		return pacedRate
	case p.purge.Rate == 0, p.purge.Rate >= purgeRate:
		return purgeRate
	}
	return 0
}

func (p *part) rates() (v []float64) {
	for _, s := range p.slices {
		v = append(v, float64(s.rows)/s.elapsed.Seconds())
	}
	return v
}

func (p *part) percentiles(q float64) (v []float64) {
	for _, s := range p.slices {
		v = append(v, float64(measure.Percentile(s.latencies, q).Microseconds()))
	}
	return v
}
