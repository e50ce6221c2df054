// Package pace spreads a purge over time, so that others do not feel it. It decides alone from what it is told: how
// long batches took, and how far the server is behind. It reads no clock and sleeps nowhere.
//
// The share of the time that the purge works is raised by a step in each calm second and halved in each that is not
// (additive increase, multiplicative decrease; Chiu and Jain, 1989).
package pace

import "time"

const (
	// MaxShare is the most of the time that a purge works. A row costs InnoDB's own purge about as much again
	// (docs/benchmarks.md).
	MaxShare = 0.4
	// minShare is the least. A purge that stood still would never be through.
	minShare = MaxShare / 16
	step     = MaxShare / 8
	// Aim is how long the rows of a batch are meant to take. Whoever comes meanwhile waits for a processor as long as
	// that at worst.
	Aim = 2500 * time.Microsecond
	// LongAim is that where a transaction takes longer than Aim, or most of the time would go to transactions. Up to it
	// the rows take as long as the transaction.
	LongAim = 20 * time.Millisecond
	// First is how many rows the first batch has.
	First = 20
	// least is how many rows a batch has on the slowest server.
	least = 10
	// Beat is how often the pace is judged.
	Beat = time.Second
	// slow is how many times longer than at its best a row takes where the server has too much to do.
	slow = 2
	// Behind is by how many transactions a lag has to have grown until the purge gives way. InnoDB cuts its history off
	// in steps (innodb_purge_rseg_truncate_frequency), so a few thousand say nothing, and a cluster begins to hold
	// writers back at 25000 (group_replication_flow_control_applier_threshold).
	Behind = 5000
	// longest is the longest rest, after a batch that had to wait for a lock.
	longest = 10 * time.Second
	// recent is the time over which the rate is measured.
	recent = 10 * time.Second
)

// Limits are what a purge is bound to.
type Limits struct {
	Batch int  // rows of a batch at most
	Rate  int  // rows a second at most; 0 for no limit
	Full  bool // no rests but those for Rate, and all batches of the largest size
}

// Unknown is a lag that the server does not tell.
const Unknown = -1

// Pace is that of one purge, from its first batch to its last. It is not for concurrent use.
type Pace struct {
	limits Limits
	share  float64
	rows   int
	// next is when the next batch is due by the rate.
	next time.Time
	// row is what a row takes at present, and best what it took when that was least, in seconds.
	row, best float64
	judged    time.Time
	lags      []lag
	meter     meter
}

// lag is a lag as it was last, and at its least.
type lag struct{ last, least int }

// New returns the pace of a purge that begins now.
func New(limits Limits, now time.Time) *Pace {
	p := &Pace{limits: limits, share: MaxShare, rows: min(First, limits.Batch), next: now}
	p.meter.last = now
	if limits.Full {
		p.share, p.rows = 1, limits.Batch
	}
	return p
}

// Rows is how many rows the next batch has at most.
func (p *Pace) Rows() int { return p.rows }

// Share is the part of the time that the purge works at present.
func (p *Pace) Share() float64 { return p.share }

// Rate is how many rows a second were deleted of late, rests included.
func (p *Pace) Rate() float64 { return p.meter.rate() }

// Turn is to be called where another table begins, whose rows cost something else.
func (p *Pace) Turn() { p.row, p.best = 0, 0 }

// Batch is one that has ended.
type Batch struct {
	Began, Ended time.Time
	// Overhead is what a batch takes whatever is in it: the way to the server for each command, and a disk. It says
	// nothing of how busy the server is.
	Overhead time.Duration
	// Looked is how many rows were looked at, and Deleted how many went, with what went with them.
	Looked, Deleted int
}

// After takes in a batch and returns when the next one is due.
func (p *Pace) After(b Batch) time.Time {
	took := b.Ended.Sub(b.Began)
	worked := max(took-b.Overhead, took/32) // the overhead was less this time, maybe
	p.meter.add(b.Ended, b.Deleted)
	due := p.dueByRate(b.Ended, b.Deleted)
	if p.limits.Full {
		return due
	}
	if b.Looked > 0 && worked > 0 {
		row := worked.Seconds() / float64(b.Looked)
		if p.row == 0 {
			p.row = row
		}
		p.row += (row - p.row) / 8
		fitting := int(min(max(b.Overhead, Aim), LongAim).Seconds() / row)
		fitting = max(p.rows/2, least, min(fitting, 2*p.rows)) // one batch says only so much
		p.rows = min(fitting, p.limits.Batch)
	}
	rest := min(time.Duration(float64(worked)*(1-p.share)/p.share), longest)
	if byShare := b.Ended.Add(rest); byShare.After(due) {
		return byShare
	}
	return due
}

// dueByRate makes up for a batch that was late, but not for a longer stall.
func (p *Pace) dueByRate(now time.Time, deleted int) time.Time {
	if p.limits.Rate <= 0 {
		return now
	}
	p.next = p.next.Add(time.Duration(deleted) * time.Second / time.Duration(p.limits.Rate))
	if late := now.Add(-100 * time.Millisecond); p.next.Before(late) {
		p.next = late
	}
	return p.next
}

// Due reports whether the pace is to be judged, for which the lags of the server are asked.
func (p *Pace) Due(now time.Time) bool { return !p.limits.Full && now.Sub(p.judged) >= Beat }

// Judge adapts the share to what a row takes and to the lags of the server, which come in the same order each time.
func (p *Pace) Judge(now time.Time, lags ...int) {
	p.judged = now
	calm := p.row <= slow*p.best || p.best == 0
	if p.best == 0 || p.row < p.best {
		p.best = p.row
	}
	p.best += (p.row - p.best) / 64 // rows can come to cost more for good
	for i, n := range lags {
		if i == len(p.lags) {
			p.lags = append(p.lags, lag{last: n, least: n})
		}
		l := &p.lags[i]
		if n == Unknown || l.least == Unknown {
			*l = lag{last: n, least: n}
			continue
		}
		if n > l.last && n-l.least > Behind {
			calm = false
		}
		l.last, l.least = n, min(n, l.least)
	}
	if calm {
		p.share = min(p.share+step, MaxShare)
	} else {
		p.share = max(p.share/2, minShare)
	}
}

// meter measures a rate of late: what is long past counts for less and less.
type meter struct {
	rows, seconds float64
	last          time.Time
}

func (m *meter) add(now time.Time, rows int) {
	passed := max(now.Sub(m.last), 0)
	m.last = now
	keep := recent.Seconds() / (recent + passed).Seconds()
	m.rows = m.rows*keep + float64(rows)
	m.seconds = m.seconds*keep + passed.Seconds()
}

func (m *meter) rate() float64 {
	if m.seconds == 0 {
		return 0
	}
	return m.rows / m.seconds
}
