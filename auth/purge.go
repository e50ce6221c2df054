package auth

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/authgraph/authgraph/auth/internal/pace"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
)

// defaultBatch is PurgeOptions.Batch where it is not given.
const defaultBatch = 1000

// PurgeOptions configure [Purge].
type PurgeOptions struct {
	// Batch is how many rows one transaction deletes at most, with the sessions and
	// refresh tokens that go with an account; default 1000. More than [MaxPurgeBatch]
	// counts as that. Readers are not blocked, and an interrupt loses little. A purge that paces itself takes fewer
	// where they would take longer than some 2.5 ms.
	Batch int
	// Rate, if set, is the most rows a second, counted as for Batch. A batch is then no more than 50 ms of it.
	Rate int
	// FullRate has the purge take all that the server can give it, up to Rate, in batches of Batch rows. It is for a
	// server that nobody waits for. Without it a purge paces itself, as [Purge] says.
	FullRate bool
	// DryRun counts and deletes nothing.
	DryRun bool
	// Tables are those that are purged, for a database that has only some of those of [Purged.PerTable]. Nil is all of
	// them and an empty list none. Another name is an error. What goes with an account is counted in these only.
	// Without refresh_tokens sessions do not wait for the end of any.
	Tables []string
	// Users is the table of users and its columns, for a database of another program, which has given them other names.
	// The zero one is that of this program.
	Users UsersTable
	// Progress, if set, is called after every batch, in the goroutine of the purge. The rows are estimated for it
	// before the first one, by a statement for each table.
	Progress func(PurgeProgress)
}

// PurgeProgress is how far a purge is.
type PurgeProgress struct {
	Purged
	// Rate is how many rows a second were deleted in the last ten seconds or so, rests included, counted as for
	// [PurgeOptions.Batch].
	Rate float64
	// Share is the part of the time that the purge works, from 0 to 1. It is 1 at the full rate.
	Share float64
	// Left is about how many rows are still to be deleted, and -1 if that is not known. A server estimates them by its
	// index, which can be wrong by half, and sessions that stay for their refresh tokens are among them. SQLite counts.
	Left int
	// TimeLeft is how long those take at the present rate, and -1 if that is not known or more than 30 days.
	TimeLeft time.Duration
	// Lag is how many transactions InnoDB has still to take out of its history for good (trx_rseg_history_len). MySQL
	// tells an account that has PROCESS, MariaDB tells all. ReplicaLag is how many wait on the slowest member of a
	// group of MySQL servers, where the account may read performance_schema.replication_group_member_stats. Each is -1
	// where it is not known, and both are at the full rate.
	Lag, ReplicaLag int
}

func (o *PurgeOptions) setDefaults() {
	if o.Batch <= 0 {
		o.Batch = defaultBatch
	}
	o.Batch = min(o.Batch, MaxPurgeBatch)
	if o.Users.Name == "" {
		o.Users = ownUsers
	}
	switch {
	case o.DryRun:
		o.Batch, o.Rate, o.FullRate = MaxPurgeBatch, 0, true
	case o.Rate > 0:
		o.Batch = min(o.Batch, max(1, o.Rate/20))
	}
}

// MaxPurgeBatch is the largest [PurgeOptions.Batch]. The server finds the rows of a batch one by one as long as the
// list of their ids fits into the memory of its optimizer, which is 8 MiB at about 230 bytes an id (MySQL manual,
// Limiting Memory Use for Range Optimization). Beyond that it reads and locks the whole table. A batch also has to be a
// small part of what a cluster replicates as one transaction.
const MaxPurgeBatch = 5000

// maxIDs is how many ids other statements than those of a purge's batch have at most. From 1000 ids on MariaDB makes a
// table of them (in_predicate_conversion_threshold).
const maxIDs = 500

// never is when an account may come back that is being purged.
var never = lastTimestamp

// Purged counts the rows of each table that were deleted, or would be in a dry run.
// What goes with an account is not counted.
type Purged struct {
	OTPs          int `json:"otps"`
	Sessions      int `json:"sessions"`
	RefreshTokens int `json:"refresh_tokens"`
	Users         int `json:"users"`
}

// PerTable returns the rows of each table by its name, in the order of the purge. That of the users is users, whatever
// a program calls it.
func (p Purged) PerTable() iter.Seq2[string, int] {
	return func(yield func(table string, rows int) bool) {
		_ = yield(otp.Table, p.OTPs) && yield(session.Table, p.Sessions) &&
			yield(refreshtoken.Table, p.RefreshTokens) && yield(usersName, p.Users)
	}
}

// Total returns the number of rows of all tables.
func (p Purged) Total() (rows int) {
	for _, n := range p.PerTable() {
		rows += n
	}
	return rows
}

// Purge deletes what has ended. It is for a program that has no keys, such as one that cron runs: cfg needs no Keys. Of
// cfg only OTP, Session.Remember, Account and Clock matter. They should be those of the services on the same database.
//
// It deletes
//   - codes that are past both their life and the budget's window,
//   - sessions past their absolute end and SessionPolicy.Remember, but not before the refresh tokens of their family
//     have ended: by its session a device is listed and signed out,
//   - refresh tokens past the end of their family, but not before: until then a token
//     that was exchanged has to be recognised when it is presented again,
//   - accounts deleted for longer than AccountPolicy.Retention, with all that is theirs.
//
// If another program deleted an account without a time, its retention begins with the
// first purge that finds it. Each purge finds up to a batch of them.
//
// It works in batches along the indexes of expires_at and (is_deleted, deleted_at), and may run beside another purge.
// An account with more sessions and refresh tokens than a batch loses them in several batches before it goes itself.
// From the first of them on it cannot come back.
//
// It paces itself: after a batch it rests one and a half times as long as its rows took, so that it works two fifths of
// the time.
// Once a second it looks at what it does to others. If its rows take more than twice as long as at best, or if a lag of
// the server has grown by more than 5000 transactions and still grows ([PurgeProgress]), it works half as much, down to
// 1/40 of the time. In each calm second it takes a little of that back. It does not know how far asynchronous replicas
// are behind: their source is not told. Rate is for those, and FullRate ends all of this.
//
// Cancelling ctx ends the purge: the batch under way is undone. What was deleted before stays deleted and is returned
// with the error, as after any error. The error is a [*ConfigError] if cfg cannot be used; errors of the database are
// those of the package.
func Purge(ctx context.Context, client *ent.Client, cfg Config, opts PurgeOptions) (Purged, error) {
	cfg.setDefaults()
	if err := cfg.validateWithoutKeys(); err != nil {
		return Purged{}, err
	}
	s := &Service{client: client, cfg: cfg}
	s.counts.Store(true) // what a purge deletes is counted the same on every connection
	return s.Purge(ctx, opts)
}

// Purge deletes what has ended, as the function [Purge] does, with the service's client, policies and clock.
func (s *Service) Purge(ctx context.Context, opts PurgeOptions) (Purged, error) {
	opts.setDefaults()
	var done Purged
	var names []string
	for name := range done.PerTable() {
		names = append(names, name)
	}
	for _, name := range opts.Tables {
		if !slices.Contains(names, name) {
			return done, fmt.Errorf("purge: PurgeOptions.Tables has %q, which is none of the tables: take of %s",
				name, strings.Join(names, ", "))
		}
	}
	if err := opts.Users.check(); err != nil {
		return done, err
	}
	now := s.now()
	tables := slices.DeleteFunc(s.purgedTables(&done, now), func(table purgedTable) bool {
		return opts.Tables != nil && !slices.Contains(opts.Tables, table.name)
	})
	p := &pacer{
		s: s, opts: opts, tables: tables, sources: lagSources, lags: []int{pace.Unknown, pace.Unknown},
		pace: pace.New(pace.Limits{Batch: opts.Batch, Rate: opts.Rate, Full: opts.FullRate}, time.Now()),
	}
	if opts.Progress != nil && !opts.DryRun {
		p.estimate(ctx)
	}
	for i, table := range tables {
		p.table = i
		first := span{PurgeOptions: opts, from: earliest, before: table.before, now: now,
			last: earliest.Format(time.DateTime)}
		if err := s.purgeTable(ctx, table, first, p, &done); err != nil {
			return done, fmt.Errorf("purge %s: %w", table.name, err)
		}
	}
	return done, nil
}

// purgedTable is a table as a purge goes through it.
type purgedTable struct {
	name  string
	count *int
	// before is the time before which its rows go.
	before time.Time
	batch  func(context.Context, *ent.Client, span) (deleted int, after span, err error)
}

func (s *Service) purgedTables(done *Purged, now time.Time) []purgedTable {
	return []purgedTable{
		// A code counts against the budget for longer than it can be used.
		{otp.Table, &done.OTPs, now.Add(s.cfg.OTP.Lifetime - s.cfg.OTP.BudgetWindow), purgeOTPs},
		// Its device is told from a stranger for longer than it lives.
		{session.Table, &done.Sessions, now.Add(-s.cfg.Session.Remember), purgeSessions},
		{refreshtoken.Table, &done.RefreshTokens, now, purgeRefreshTokens},
		{usersName, &done.Users, now.Add(-s.cfg.Account.Retention), purgeUsers},
	}
}

// purgeTable purges a table in batches, of which b is the first.
func (s *Service) purgeTable(ctx context.Context, table purgedTable, b span, p *pacer, done *Purged) error {
	p.pace.Turn()
	for {
		b.Batch = p.pace.Rows()
		var n int
		var after span
		var executed time.Time
		began := time.Now()
		err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
			p.begun(time.Since(began))
			n, after, err = table.batch(ctx, tx, b)
			executed = time.Now()
			return err
		})
		if err != nil {
			return err
		}
		b = after
		*table.count += n
		ended := time.Now()
		due := p.pace.After(pace.Batch{
			Began: began, Ended: ended, Overhead: p.committed(ended.Sub(executed)),
			Looked: max(b.looked, n+b.children), Deleted: n + b.children,
		})
		p.report(*done, n+b.children)
		if !b.full && len(b.accounts) == 0 {
			return nil
		}
		if err := p.rest(ctx, due); err != nil {
			return err
		}
	}
}

// earliest is the first moment that a TIMESTAMP holds.
var earliest = time.Unix(1, 0).UTC()

// span is where the next batch of a table is. It begins at the time at which the last one ended. The server keeps what
// was deleted until no reader can see it, so that a batch from the oldest row on would pass all of it again.
type span struct {
	PurgeOptions
	from, before time.Time
	// last and lastID are the time and id of the last session, of which some stay.
	last   string
	lastID int
	// now is when the purge began.
	now time.Time
	// full is whether there may be rows behind those that were found last, of which another purge may have deleted
	// some. A dry run that has counted all rows has found none.
	full bool
	// looked is how many rows the last batch had to do with.
	looked int
	// accounts are those that were seen and are still to go, by their ids.
	accounts []any
	// children is how many rows went with the accounts of the last batch.
	children int
}

// has reports whether a table is one of those that are purged.
func (b *span) has(table string) bool { return b.Tables == nil || slices.Contains(b.Tables, table) }

// next takes over the rows of a batch, which are in the order of time. The next batch begins a second before the last
// row, because SQLite compares times as texts and another client may have written the same time in a shorter way.
func next[T any](b *span, rows []T, row func(T) (id int, at time.Time)) []int {
	ids := make([]int, len(rows))
	var last time.Time
	for i, r := range rows {
		ids[i], last = row(r)
	}
	b.passed(last)
	b.found(len(rows))
	return ids
}

// found takes note of how many rows a batch found.
func (b *span) found(n int) { b.looked, b.full = n, n == b.Batch }

// passed has the next batch begin at the time of the last row of one. SQLite compares it as a text, so it is in UTC as
// those of the rows, whatever zone the driver reads them in.
func (b *span) passed(last time.Time) {
	if last = last.Add(-time.Second).UTC(); last.After(b.from) {
		b.from = last
	}
}

func purgeOTPs(ctx context.Context, tx *ent.Client, b span) (int, span, error) {
	q := tx.OTP.Query().Where(otp.ExpiresAtGTE(b.from), otp.ExpiresAtLT(b.before))
	if b.DryRun {
		n, err := q.Count(ctx)
		return n, b, err
	}
	rows, err := q.Order(ent.Asc(otp.FieldExpiresAt)).Limit(b.Batch).Select(otp.FieldID, otp.FieldExpiresAt).All(ctx)
	if err != nil {
		return 0, b, err
	}
	ids := next(&b, rows, func(r *ent.OTP) (int, time.Time) { return r.ID, r.ExpiresAt })
	if len(ids) == 0 {
		return 0, b, nil
	}
	n, err := tx.OTP.Delete().Where(otp.IDIn(ids...)).Exec(ctx)
	return n, b, err
}

// purgeSessions leaves a session whose family has a live refresh token: by its row the family is found and ended. No
// family comes to life again, so the delete does not repeat the condition. What stays is passed by the time and id of
// the last row. That is the column's own text, because SQLite compares times as texts.
func purgeSessions(ctx context.Context, tx *ent.Client, b span) (int, span, error) {
	const query = `SELECT id, CAST(expires_at AS CHAR), COALESCE(family, '') FROM sessions` +
		` WHERE expires_at >= ? AND expires_at < ? AND (expires_at > ? OR id > ?) ORDER BY expires_at, id LIMIT ?`
	rows, err := tx.QueryContext(ctx, query, b.last, b.before, b.last, b.lastID, b.Batch)
	if err != nil {
		return 0, b, err
	}
	var ids []int
	var families []string
	err = scanAll(rows, func(scan func(...any) error) error {
		var family string
		err := scan(&b.lastID, &b.last, &family)
		ids, families = append(ids, b.lastID), append(families, family)
		return err
	})
	if err != nil {
		return 0, b, err
	}
	b.found(len(ids))
	live, err := liveFamilies(ctx, tx, b, families)
	if err != nil {
		return 0, b, err
	}
	i := -1
	ids = slices.DeleteFunc(ids, func(int) bool { i++; return live[families[i]] })
	if len(ids) == 0 || b.DryRun {
		return len(ids), b, nil
	}
	n, err := tx.Session.Delete().Where(session.IDIn(ids...)).Exec(ctx)
	return n, b, err
}

// liveFamilies are those that have a live refresh token. They are asked for in steps, as with [maxStep].
func liveFamilies(ctx context.Context, tx *ent.Client, b span, families []string) (map[string]bool, error) {
	live := map[string]bool{}
	if !b.has(refreshtoken.Table) {
		return live, nil
	}
	named := slices.DeleteFunc(slices.Clone(families), func(family string) bool { return family == "" })
	for step := range slices.Chunk(named, maxStep) {
		found, err := tx.RefreshToken.Query().
			Where(
				refreshtoken.FamilyIn(step...), isFalse(refreshtoken.FieldIsRevoked), refreshtoken.ExpiresAtGT(b.now),
			).
			Select(refreshtoken.FieldFamily).
			Strings(ctx)
		if err != nil {
			return nil, err
		}
		for _, family := range found {
			live[family] = true
		}
	}
	return live, nil
}

func purgeRefreshTokens(ctx context.Context, tx *ent.Client, b span) (int, span, error) {
	q := tx.RefreshToken.Query().Where(refreshtoken.ExpiresAtGTE(b.from), refreshtoken.ExpiresAtLT(b.before))
	if b.DryRun {
		n, err := q.Count(ctx)
		return n, b, err
	}
	rows, err := q.Order(ent.Asc(refreshtoken.FieldExpiresAt)).Limit(b.Batch).
		Select(refreshtoken.FieldID, refreshtoken.FieldExpiresAt).All(ctx)
	if err != nil {
		return 0, b, err
	}
	ids := next(&b, rows, func(r *ent.RefreshToken) (int, time.Time) { return r.ID, r.ExpiresAt })
	if len(ids) == 0 {
		return 0, b, nil
	}
	n, err := tx.RefreshToken.Delete().Where(refreshtoken.IDIn(ids...)).Exec(ctx)
	return n, b, err
}
