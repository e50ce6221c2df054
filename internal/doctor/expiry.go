package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// purgeSlack is how long rows may wait for a purge that runs daily.
const purgeSlack = 48 * time.Hour

func checkPurge(ctx context.Context, d *database) ([]Finding, error) {
	waiting, err := d.endedBefore(ctx, d.now)
	if err != nil {
		return nil, err
	}
	n := waiting.Total()
	if n == 0 {
		return ok("no rows wait for authgraph purge"), nil
	}
	overdue, err := d.endedBefore(ctx, d.now.Add(-purgeSlack))
	if err != nil {
		return nil, err
	}
	var tables []string
	for table, rows := range waiting.PerTable() {
		tables = append(tables, fmt.Sprintf("%d %s", rows, d.Users.Of(table)))
	}
	wait := fmt.Sprintf("%d rows wait", n)
	if n == 1 {
		wait = "1 row waits"
	}
	text := fmt.Sprintf("%s for a purge (%s)", wait, strings.Join(tables, ", "))
	late := overdue.Total()
	if late == 0 {
		return ok("%s, none for more than %s", text, period(purgeSlack)), nil
	}
	oldest, err := d.oldest(ctx, overdue)
	if err != nil {
		return nil, err
	}
	if !oldest.IsZero() {
		text += fmt.Sprintf(", the oldest ended %s ago", period(d.now.Sub(oldest)))
	}
	return []Finding{found(Warning, "run authgraph purge, and let it run daily",
		"%s; %d wait for more than %s", text, late, period(purgeSlack))}, nil
}

// endedBefore counts what a purge at a time would delete.
func (d *database) endedBefore(ctx context.Context, at time.Time) (auth.Purged, error) {
	client := ent.NewClient(ent.Driver(entsql.OpenDB(d.url.Dialect, d.db)))
	config := d.Config
	config.Clock = func() time.Time { return at }
	tables := []string{} // nil would be all
	for table := range (auth.Purged{}).PerTable() {
		if slices.Contains(d.tables, d.Users.Of(table)) {
			tables = append(tables, table)
		}
	}
	return auth.Purge(ctx, client, config, auth.PurgeOptions{DryRun: true, Tables: tables, Users: d.Users.ToPurge()})
}

// oldest is the earliest expiry of the rows that are overdue, by the indexes of their tables. It is the earliest of the
// table, but only where some are: a session that has ended is kept while its device is remembered or holds a live
// refresh token, and a code while it counts.
func (d *database) oldest(ctx context.Context, overdue auth.Purged) (oldest time.Time, err error) {
	late := maps.Collect(overdue.PerTable())
	for _, table := range d.with("expires_at") {
		if late[table] == 0 {
			continue
		}
		at, err := d.expiry(ctx, table, d.keptBack(table)+" ORDER BY expires_at")
		if err != nil {
			return oldest, err
		}
		if !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return oldest, nil
}

// keptBack leaves out the sessions that a purge keeps for the refresh tokens of their devices.
func (d *database) keptBack(table string) string {
	if table != session.Table || !slices.Contains(d.tables, refreshtoken.Table) {
		return ""
	}
	return fmt.Sprintf(" WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family = sessions.family"+
		" AND t.is_revoked = 0 AND t.expires_at > '%s')", d.now.Format(time.DateTime))
}

// expiry is the first expires_at of a table, of some rows in an order; zero if there is none.
func (d *database) expiry(ctx context.Context, table, rows string) (at time.Time, err error) {
	query := "SELECT expires_at FROM " + dbserver.Quote(table) + rows + " LIMIT 1"
	err = d.db.QueryRowContext(ctx, query).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return at, err
}

// The ends of TIMESTAMP: of 31 bits, and of the 32 that MariaDB uses since 11.5.
var (
	end31 = time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC)
	end32 = time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC)
)

func checkTimestampRange(ctx context.Context, d *database) ([]Finding, error) {
	var columns int
	err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "+
		"AND DATA_TYPE = 'timestamp' AND "+d.inTables("TABLE_NAME")).Scan(&columns)
	if err != nil {
		return nil, err
	}
	if columns == 0 {
		return ok("no column is a TIMESTAMP"), nil
	}
	end := end31
	if d.maria && !d.version.before(version{11, 5, 0}) {
		end = end32
	}
	var latest time.Time
	for _, table := range d.with("expires_at") {
		at, err := d.expiry(ctx, table, " ORDER BY expires_at DESC")
		if err != nil {
			return nil, err
		}
		if at.After(latest) {
			latest = at
		}
	}
	const fix, soon = "change the columns to DATETIME(6) by a migration", 3 * 365 * 24 * time.Hour
	longest := d.Config.LongestLifetime()
	last, left := end.Format(time.DateOnly), period(end.Sub(d.now))
	var off []Finding
	switch {
	case !d.now.Add(longest).Before(end):
		off = append(off, found(Error, fix, "TIMESTAMP ends on %s, and what lives for %s from now ends later: "+
			"it cannot be written (error 1292)", last, period(longest)))
	case !d.now.Add(longest + soon).Before(end):
		off = append(off, found(Warning, fix, "TIMESTAMP ends on %s, in %s", last, left))
	}
	if !latest.Add(soon).Before(end) {
		off = append(off, found(Warning, "find out who writes such expiries; "+fix,
			"a row expires on %s, and TIMESTAMP ends on %s", latest.Format(time.DateOnly), last))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("TIMESTAMP ends on %s, in %s; the longest lifetime is %s", last, left, period(longest)), nil
}
