package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// scratchName is the name of a scratch database, which since this release begins with the second it was made in.
var scratchName = regexp.MustCompile(`^authgraph_dev_(?:([0-9a-f]{8})_)?[0-9a-f]{12}$`)

// scratchAge is how old a scratch database is before it can be a left-over one: what works in one takes minutes.
const scratchAge = time.Hour

func checkScratch(ctx context.Context, d *database) (off []Finding, err error) {
	all, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	sees := all.may("PROCESS", "*", "*")
	used, err := list(ctx, d.db, "SELECT DISTINCT DB FROM information_schema.PROCESSLIST WHERE DB IS NOT NULL")
	if err != nil {
		return nil, err
	}
	var name string
	var filled sql.NullTime
	err = each(ctx, d.db, "SELECT s.SCHEMA_NAME, MAX(t.CREATE_TIME) FROM information_schema.SCHEMATA s "+
		"LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME "+
		"WHERE s.SCHEMA_NAME LIKE 'authgraph\\_dev\\_%' GROUP BY s.SCHEMA_NAME ORDER BY "+
		"1", []any{&name, &filled}, func() {
		m := scratchName.FindStringSubmatch(name)
		if m == nil || slices.Contains(used, name) {
			return
		}
		known := "no connection of this account is to it"
		if sees {
			known = "no connection is to it"
		}
		at := filled.Time
		if seconds, err := strconv.ParseInt(m[1], 16, 64); err == nil {
			at = time.Unix(seconds, 0)
		}
		switch {
		case at.IsZero() && sees:
			known = "its age is not known, and " + known
		case at.IsZero() || d.now.Sub(at) < scratchAge:
			return
		default:
			known = fmt.Sprintf("it was made %s ago, and %s", period(d.now.Sub(at)), known)
		}
		off = append(off,
			found(Info, "DROP DATABASE "+dbserver.Quote(name), "scratch database %q was left over: %s", name, known))
	})
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("none was left over that this account sees"), nil
}
