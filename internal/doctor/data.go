package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// purgeSlack is how long rows may wait for a purge that runs daily.
const purgeSlack = 48 * time.Hour

func checkPurge(ctx context.Context, d *database) ([]Finding, error) {
	client := ent.NewClient(ent.Driver(entsql.OpenDB(d.url.Dialect, d.db)))
	config := d.Config
	config.Clock = func() time.Time { return d.now }
	count := auth.PurgeOptions{DryRun: true, Tables: d.tables}
	waiting, err := auth.Purge(ctx, client, config, count)
	if err != nil {
		return nil, err
	}
	n := waiting.OTPs + waiting.Sessions + waiting.RefreshTokens + waiting.Users
	if n == 0 {
		return ok("no rows wait for authgraph purge"), nil
	}
	config.Clock = func() time.Time { return d.now.Add(-purgeSlack) }
	overdue, err := auth.Purge(ctx, client, config, count)
	if err != nil {
		return nil, err
	}
	oldest, err := d.oldest(ctx)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s for a purge (%d otps, %d sessions, %d refresh_tokens, %d users)",
		map[bool]string{true: "1 row waits", false: fmt.Sprintf("%d rows wait", n)}[n == 1],
		waiting.OTPs, waiting.Sessions, waiting.RefreshTokens, waiting.Users)
	if !oldest.IsZero() && oldest.Before(d.now) {
		text += fmt.Sprintf(", the oldest ended %s ago", period(d.now.Sub(oldest)))
	}
	late := overdue.OTPs + overdue.Sessions + overdue.RefreshTokens + overdue.Users
	if late == 0 {
		return ok("%s", text), nil
	}
	return []Finding{found(Warning, "run authgraph purge, and let it run daily", "%s; %d wait for more than %s", text, late, period(purgeSlack))}, nil
}

// oldest is the earliest expiry in the tables, by their indexes.
func (d *database) oldest(ctx context.Context) (oldest time.Time, err error) {
	for _, table := range d.expiring() {
		at, err := d.expiry(ctx, table, "ASC")
		if err != nil {
			return oldest, err
		}
		if !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return oldest, nil
}

// expiring are the tables whose rows have an end.
func (d *database) expiring() []string {
	return slices.DeleteFunc(slices.Clone(d.tables), func(table string) bool { return table == "users" })
}

// expiry is the first expires_at of a table in an order; zero if it is empty.
func (d *database) expiry(ctx context.Context, table, order string) (at time.Time, err error) {
	err = d.db.QueryRowContext(ctx, "SELECT expires_at FROM "+table+" ORDER BY expires_at "+order+" LIMIT 1").Scan(&at)
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
	if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE = 'timestamp' AND "+
		d.inTables("TABLE_NAME")).Scan(&columns); err != nil {
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
	for _, table := range d.expiring() {
		at, err := d.expiry(ctx, table, "DESC")
		if err != nil {
			return nil, err
		}
		if at.After(latest) {
			latest = at
		}
	}
	const fix, soon = "change the columns to DATETIME(6) by a migration", 3 * 365 * 24 * time.Hour
	longest := d.Config.LongestLifetime()
	var off []Finding
	switch {
	case !d.now.Add(longest).Before(end):
		off = append(off, found(Error, fix, "TIMESTAMP ends on %s, and what lives for %s from now ends later: it cannot be written (error 1292)", end.Format(time.DateOnly), period(longest)))
	case !d.now.Add(longest + soon).Before(end):
		off = append(off, found(Warning, fix, "TIMESTAMP ends on %s, in %s", end.Format(time.DateOnly), period(end.Sub(d.now))))
	}
	if !latest.Add(soon).Before(end) {
		off = append(off, found(Warning, "find out who writes such expiries; "+fix, "a row expires on %s, and TIMESTAMP ends on %s", latest.Format(time.DateOnly), end.Format(time.DateOnly)))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("TIMESTAMP ends on %s, in %s; the longest lifetime is %s", end.Format(time.DateOnly), period(end.Sub(d.now)), period(longest)), nil
}

// emailSample is how many rows of a table are read.
const emailSample = 10_000

func checkEmail(ctx context.Context, d *database) (off []Finding, err error) {
	looked := 0
	var seen []string
	for _, table := range []struct {
		name     string
		severity Severity
		means    string
	}{
		{"users", Error, "a sign-in does not find them, and the same person can register twice"},
		{"otps", Warning, "no attempt finds them"},
	} {
		if !slices.Contains(d.tables, table.name) {
			continue
		}
		var ids []string
		var id, email string
		rows := 0
		err := each(ctx, d.db, fmt.Sprintf("SELECT id, email FROM %s ORDER BY id DESC LIMIT %d", table.name, emailSample), []any{&id, &email}, func() {
			rows++
			if email != schematype.NormalizeEmail(email) {
				ids = append(ids, id)
			}
		})
		if err != nil {
			return off, err
		}
		looked += rows
		seen = append(seen, table.name)
		if len(ids) > 0 {
			off = append(off, found(table.severity, "let the client that writes them trim, lower and compose (NFC) addresses, and correct these rows",
				"%d of the newest %s of %s hold an address that is not normalised, so %s (ids %s)", len(ids), plural(rows, "row"), table.name, table.means, enumerate(ids)))
		}
	}
	switch {
	case len(seen) == 0:
		return ok("there are no tables users and otps"), nil
	case len(off) == 0:
		return ok("%s, the newest of %s, hold normalised addresses", plural(looked, "row"), strings.Join(seen, " and ")), nil
	}
	return off, nil
}

// orphanSample is how many rows of a table are looked up.
const orphanSample = 100_000

func checkOrphans(ctx context.Context, d *database) (off []Finding, err error) {
	if !slices.Contains(d.tables, "users") {
		return ok("there is no table users"), nil
	}
	looked := 0
	var seen []string
	for _, table := range []string{"sessions", "refresh_tokens"} {
		if !slices.Contains(d.tables, table) {
			continue
		}
		var rows, orphans int
		if err := d.db.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*), COUNT(*) - COUNT(u.id) FROM (SELECT user_id FROM %s ORDER BY id DESC LIMIT %d) s "+
			"LEFT JOIN users u ON u.id = s.user_id", table, orphanSample)).Scan(&rows, &orphans); err != nil {
			return off, err
		}
		looked += rows
		seen = append(seen, table)
		if orphans > 0 {
			off = append(off, found(Error, fmt.Sprintf("DELETE FROM %s WHERE user_id NOT IN (SELECT id FROM users)", quote(table)),
				"%d of the newest %s of %s belong to no user", orphans, plural(rows, "row"), table))
		}
	}
	switch {
	case len(seen) == 0:
		return ok("there are no tables sessions and refresh_tokens"), nil
	case len(off) == 0:
		return ok("%s, the newest of %s, belong to users", plural(looked, "row"), strings.Join(seen, " and ")), nil
	}
	return off, nil
}
