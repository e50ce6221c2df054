package auth

import (
	"context"
	stdsql "database/sql"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/auth/internal/pace"
)

// This file has a purge watch what it does to others, and say how far it is. When the next batch is due is decided in
// package pace.

// pacer is what a purge knows of its course.
type pacer struct {
	s      *Service
	opts   PurgeOptions
	pace   *pace.Pace
	tables []purgedTable
	// estimates are the rows of each table that were to go when the purge began, or pace.Unknown. Without Progress
	// there are none.
	estimates []int
	// table is the index of the one that is being purged.
	table int
	// deleted are all rows so far, with what went with accounts.
	deleted int
	// sources are those of lags, and lags what they said last. They are asked in turn until one answers.
	sources [][]string
	lags    []int
	// trip is the shortest time that a transaction took to begin, which is the way to the server and back, and commit
	// what a COMMIT takes of late, which may wait for a disk.
	trip, commit time.Duration
}

// begun takes in how long a transaction took to begin.
func (p *pacer) begun(took time.Duration) {
	if p.trip == 0 || took < p.trip {
		p.trip = took
	}
}

// committed takes in how long a COMMIT took, and returns the overhead of a batch, whose other commands are BEGIN,
// SELECT and DELETE.
func (p *pacer) committed(took time.Duration) time.Duration {
	if p.commit == 0 {
		p.commit = took
	}
	p.commit += (took - p.commit) / 64
	return 3*p.trip + p.commit
}

// lagSources are the queries for the lags of PurgeProgress, in its order. Only one server in two knows each, and an
// account may have no right. MySQL's manual has them in "The INFORMATION_SCHEMA INNODB_METRICS Table" and "The
// replication_group_member_stats Table"; MariaDB's status needs no right.
var lagSources = [][]string{
	{
		"SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
		"SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS" +
			" WHERE VARIABLE_NAME = 'Innodb_history_list_length'",
	},
	{
		"SELECT MAX(COUNT_TRANSACTIONS_IN_QUEUE + COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE)" +
			" FROM performance_schema.replication_group_member_stats",
	},
}

// rest waits until the next batch is due, and looks at the server meanwhile if that is due, too.
func (p *pacer) rest(ctx context.Context, due time.Time) error {
	if p.pace.Due(time.Now()) {
		p.look(ctx)
		p.pace.Judge(time.Now(), p.lags...)
	}
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err()
}

// look asks for the lags. What does not answer, for want of a right or of the table, is not asked again. A purge does
// without: if the server is away, its next batch says so.
func (p *pacer) look(ctx context.Context) {
	if name, err := dialectOf(p.s.client); err != nil || name == dialect.SQLite {
		p.sources = nil
	}
	sources := slices.Clone(p.sources)
	for i, queries := range sources {
		p.lags[i] = pace.Unknown
		for len(queries) > 0 {
			var n stdsql.NullInt64
			found, err := scanRow(ctx, p.s.client, queries[0], nil, &n)
			if err == nil && found && n.Valid {
				p.lags[i] = int(n.Int64)
				break
			}
			queries = queries[1:]
		}
		sources[i] = queries
	}
	p.sources = sources
}

// estimate has Progress know how many rows are to go. Counting them would read as many.
func (p *pacer) estimate(ctx context.Context) {
	for _, table := range p.tables {
		ended := where{"expires_at >= ? AND expires_at < ?", []any{earliest, table.before}}
		name := "`" + table.name + "`"
		if table.name == usersName {
			name = p.opts.Users.quoted()
			if !p.opts.Users.purged() {
				p.estimates = append(p.estimates, 0)
				continue
			}
			ended = p.opts.Users.gone(span{from: earliest, before: table.before})
		}
		p.estimates = append(p.estimates, p.rows(ctx, name, ended))
	}
}

// rows estimates how many rows of a table meet a condition, or returns pace.Unknown.
func (p *pacer) rows(ctx context.Context, table string, w where) (n int) {
	if name, err := dialectOf(p.s.client); err == nil && name == dialect.SQLite {
		if _, err := scanRow(ctx, p.s.client, "SELECT COUNT(*) FROM "+table+" WHERE "+w.text, w.args, &n); err != nil {
			return pace.Unknown
		}
		return n
	}
	// InnoDB looks at two pages of the index and some in between.
	rows, err := p.s.client.QueryContext(ctx, "EXPLAIN FORMAT=TRADITIONAL SELECT COUNT(*) FROM "+table+" WHERE "+w.text,
		w.args...)
	if err != nil {
		return pace.Unknown
	}
	columns, err := rows.Columns()
	var estimated stdsql.NullInt64
	at := slices.Index(columns, "rows")
	read := scanAll(rows, func(scan func(...any) error) error {
		dest := make([]any, len(columns))
		for i := range dest {
			dest[i] = new(any)
		}
		if at >= 0 {
			dest[at] = &estimated
		}
		return scan(dest...)
	})
	if err != nil || read != nil || at < 0 {
		return pace.Unknown
	}
	return int(estimated.Int64) // null where no row can be
}

// longestLeft is the longest time that a rate of late foretells.
const longestLeft = 30 * 24 * time.Hour

// report calls Progress after a batch that deleted some rows.
func (p *pacer) report(done Purged, deleted int) {
	p.deleted += deleted
	if p.opts.Progress == nil {
		return
	}
	progress := PurgeProgress{
		Purged: done, Rate: p.pace.Rate(), Share: p.pace.Share(), Left: p.left(), TimeLeft: pace.Unknown,
		Lag: p.lags[0], ReplicaLag: p.lags[1],
	}
	if total := done.Total(); progress.Left >= 0 && total > 0 && progress.Rate > 0 {
		// What goes with accounts takes its time, too.
		seconds := float64(progress.Left) / progress.Rate * float64(p.deleted) / float64(total)
		// The rate goes to nothing while all sessions stay for their refresh tokens.
		if seconds < longestLeft.Seconds() {
			progress.TimeLeft = time.Duration(seconds * float64(time.Second))
		}
	}
	p.opts.Progress(progress)
}

// left is what is left of the estimates.
func (p *pacer) left() (rows int) {
	for i := p.table; i < len(p.estimates); i++ {
		if p.estimates[i] == pace.Unknown {
			return pace.Unknown
		}
		rows += max(p.estimates[i]-*p.tables[i].count, 0)
	}
	return rows
}
