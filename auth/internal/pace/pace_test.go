package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/authgraph/authgraph/auth/internal/pace"
)

const ms = time.Millisecond

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func batch(began, ended time.Time, looked, deleted int) pace.Batch {
	return pace.Batch{Began: began, Ended: ended, Looked: looked, Deleted: deleted}
}

func TestARestFollowsFromWhatTheBatchTook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits  pace.Limits
		took    time.Duration
		deleted int
		rest    time.Duration
	}{
		"one and a half times the batch":        {pace.Limits{Batch: 1000}, 20 * ms, 100, 30 * ms},
		"also where it deleted nothing":         {pace.Limits{Batch: 1000}, 20 * ms, 0, 30 * ms},
		"no longer than ten seconds":            {pace.Limits{Batch: 1000}, time.Minute, 100, 10 * time.Second},
		"none at the full rate":                 {pace.Limits{Batch: 1000, Full: true}, 20 * ms, 100, 0},
		"until a slower rate allows it":         {pace.Limits{Batch: 1000, Rate: 500}, 20 * ms, 100, 180 * ms},
		"not sooner where the rate would allow": {pace.Limits{Batch: 1000, Rate: 100_000}, 20 * ms, 100, 30 * ms},
		"until the rate alone allows it":        {pace.Limits{Rate: 2000, Full: true}, 20 * ms, 100, 30 * ms},
	} {
		p := pace.New(c.limits, start)
		ended := start.Add(c.took)
		assert.Equal(t, c.rest, p.After(batch(start, ended, 100, c.deleted)).Sub(ended), name)
	}
}

// A batch that was late is made up for, a longer stall is not.
func TestARateIsKeptOverLateBatches(t *testing.T) {
	t.Parallel()
	p := pace.New(pace.Limits{Batch: 1000, Rate: 1000, Full: true}, start)
	at := start
	for _, step := range []struct{ took, rest time.Duration }{
		{10 * ms, 90 * ms}, {150 * ms, -50 * ms}, {10 * ms, 40 * ms}, {5000 * ms, -100 * ms}, {10 * ms, -10 * ms},
	} {
		ended := at.Add(step.took)
		due := p.After(batch(at, ended, 100, 100))
		assert.Equal(t, step.rest, due.Sub(ended))
		if at = due; due.Before(ended) {
			at = ended
		}
	}
}

func TestABatchIsAsLargeAsItsTimeAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits pace.Limits
		row    time.Duration
		sizes  []int
	}{
		"a fast server":         {pace.Limits{Batch: 1000}, 25 * time.Microsecond, []int{20, 40, 80, 100, 100}},
		"no more than was said": {pace.Limits{Batch: 70}, time.Microsecond, []int{20, 40, 70, 70}},
		"a slow server":         {pace.Limits{Batch: 1000}, 200 * time.Microsecond, []int{20, 12, 12}},
		"a server that hangs":   {pace.Limits{Batch: 1000}, time.Second, []int{20, 10, 10}},
		"a small limit":         {pace.Limits{Batch: 3}, time.Second, []int{3, 3, 3}},
		"the full rate":         {pace.Limits{Batch: 1000, Full: true}, ms, []int{1000, 1000}},
	} {
		p := pace.New(c.limits, start)
		var sizes []int
		at := start
		for range c.sizes {
			n := p.Rows()
			sizes = append(sizes, n)
			at = p.After(batch(at, at.Add(time.Duration(n)*c.row), n, n))
		}
		assert.Equal(t, c.sizes, sizes, name)
	}
}

// The way to a far server, or a disk, keeps nobody from a processor, and costs as much for few rows as for many.
func TestTheOverheadOfABatchIsNoWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		overhead, took time.Duration
		rows           int // of which each takes 25 µs
		rest           time.Duration
	}{
		"none":                            {0, 5 * ms, 100, 7500 * time.Microsecond},
		"a little":                        {ms, 6 * ms, 100, 7500 * time.Microsecond},
		"so much that rows take as long":  {10 * ms, 15 * ms, 400, 7500 * time.Microsecond},
		"no longer than for others' sake": {100 * ms, 105 * ms, 800, 7500 * time.Microsecond},
	} {
		p := pace.New(pace.Limits{Batch: 1000}, start)
		b := pace.Batch{Began: start, Ended: start.Add(c.took), Overhead: c.overhead, Looked: 200, Deleted: 200}
		var rest time.Duration
		for range 10 {
			rest = p.After(b).Sub(b.Ended)
		}
		assert.Equal(t, c.rows, p.Rows(), name)
		assert.Equal(t, c.rest, rest, name)
	}
}

// second is what a purge sees within one.
type second struct {
	row  time.Duration
	lags []int
	turn bool
	want float64 // the share as a part of the largest
}

func TestTheShareFollowsWhatOthersFeel(t *testing.T) {
	t.Parallel()
	const far = pace.Behind + 1
	for name, seconds := range map[string][]second{
		"a calm server":                    {{row: ms, want: 1}, {row: ms, want: 1}},
		"what varies a little counts calm": {{row: ms, want: 1}, {row: 19 * ms / 10, want: 1}},
		"slower rows halve it, a step each": {{row: ms, want: 1}, {row: 9 * ms, want: .5}, {row: 9 * ms, want: .25},
			{row: ms, want: .375}, {row: ms, want: .5}},
		"it never stands still": {{row: ms, want: 1}, {row: 9 * ms, want: .5}, {row: 9 * ms, want: .25},
			{row: 9 * ms, want: .125}, {row: 9 * ms, want: .0625}, {row: 9 * ms, want: .0625}},
		"another table is another measure": {{row: ms, want: 1},
			{row: 9 * ms, turn: true, want: 1}, {row: 9 * ms, want: 1}},
		"a lag that grew far":  {{row: ms, lags: []int{70}, want: 1}, {row: ms, lags: []int{70 + far}, want: .5}},
		"a lag that grew some": {{row: ms, lags: []int{70}, want: 1}, {row: ms, lags: []int{69 + far}, want: 1}},
		"a lag from before":    {{row: ms, lags: []int{9 * far}, want: 1}, {row: ms, lags: []int{9*far + 1}, want: 1}},
		"a lag that shrinks again": {{row: ms, lags: []int{0}, want: 1}, {row: ms, lags: []int{far}, want: .5},
			{row: ms, lags: []int{2 * far}, want: .25}, {row: ms, lags: []int{2*far - 1}, want: .375}},
		"of two lags either": {{row: ms, lags: []int{0, 0}, want: 1}, {row: ms, lags: []int{0, far}, want: .5},
			{row: ms, lags: []int{far, far}, want: .25}},
		"a lag that is not known": {{row: ms, lags: []int{pace.Unknown, 5}, want: 1},
			{row: ms, lags: []int{pace.Unknown, 5}, want: 1}},
		"a lag that comes to be known": {{row: ms, lags: []int{pace.Unknown}, want: 1},
			{row: ms, lags: []int{2 * far}, want: 1}, {row: ms, lags: []int{4 * far}, want: .5}},
	} {
		p := pace.New(pace.Limits{Batch: 1}, start)
		at := start
		for i, s := range seconds {
			if s.turn {
				p.Turn()
			}
			for range 100 { // until the mean has followed
				p.After(batch(at, at.Add(s.row), 1, 1))
			}
			at = at.Add(pace.Beat)
			assert.True(t, p.Due(at), name)
			p.Judge(at, s.lags...)
			assert.False(t, p.Due(at.Add(pace.Beat-1)), name)
			assert.InDelta(t, s.want*pace.MaxShare, p.Share(), 1e-9, "%s: second %d", name, i)
		}
		ended := at.Add(20 * ms)
		rest := p.After(batch(at, ended, 1, 1)).Sub(ended)
		assert.InDelta(t, p.Share(), 20/(20+float64(rest)/float64(ms)), 1e-6, name)
	}
	assert.False(t, pace.New(pace.Limits{Full: true}, start).Due(start), "nobody is asked at the full rate")
}

// After a while, rows that came to cost more for good are the new measure.
func TestRowsThatStayDearerAreGotUsedTo(t *testing.T) {
	t.Parallel()
	p := pace.New(pace.Limits{Batch: 1}, start)
	at := start
	for i := range 300 {
		row := ms
		if i > 0 {
			row = 3 * ms
		}
		for range 100 {
			p.After(batch(at, at.Add(row), 1, 1))
		}
		at = at.Add(pace.Beat)
		p.Judge(at)
		if i == 5 {
			assert.Less(t, p.Share(), pace.MaxShare/8)
		}
	}
	assert.InDelta(t, pace.MaxShare, p.Share(), 1e-9)
}

func TestTheRateIsThatOfLate(t *testing.T) {
	t.Parallel()
	p := pace.New(pace.Limits{Batch: 1000}, start)
	assert.Zero(t, p.Rate())
	at := start
	run := func(seconds, rows int) {
		for range 10 * seconds {
			next := at.Add(100 * ms)
			p.After(batch(at, next, rows, rows))
			at = next
		}
	}
	run(1, 100)
	assert.InDelta(t, 1000, p.Rate(), 1e-6)
	run(60, 10)
	assert.InDelta(t, 100, p.Rate(), 10)
}
