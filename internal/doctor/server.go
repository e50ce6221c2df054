package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// version is major, minor and patch.
type version [3]int

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) before(other version) bool { return slices.Compare(v[:], other[:]) < 0 }

// parseVersion reads what VERSION() says.
func parseVersion(release string) (v version, maria bool) {
	s := dbserver.Parse(release, "")
	return version(s.Version), s.Product == dbserver.MariaDB
}

func (d *database) product() string {
	switch {
	case d.url.Dialect == dialect.SQLite:
		return "SQLite " + d.release + ", compiled into this program"
	case d.maria:
		return "MariaDB " + d.release
	default:
		return "MySQL " + d.release
	}
}

func checkVersion(_ context.Context, d *database) ([]Finding, error) {
	if d.url.Dialect == dialect.SQLite {
		return ok("%s", d.product()), nil
	}
	var unfit *dbserver.Error
	if err := dbserver.Parse(d.release, d.comment).Check(); errors.As(err, &unfit) {
		return []Finding{foundIn(unfit)}, nil
	}
	return ok("%s", d.product()), nil
}

func checkClock(ctx context.Context, d *database) ([]Finding, error) {
	var server time.Time
	before := d.Config.Clock()
	if err := d.db.QueryRowContext(ctx, "SELECT UTC_TIMESTAMP(6)").Scan(&server); err != nil {
		return nil, err
	}
	took := d.Config.Clock().Sub(before)
	skew := server.Sub(before.Add(took / 2))
	off := skew.Abs() - took/2 // by so much at least
	severity := Warning
	switch {
	case off >= 30*time.Second:
		severity = Error
	case off < 2*time.Second:
		return ok("%s between the server and this machine, asked in %s", skew.Abs().Round(time.Microsecond),
			took.Round(time.Microsecond)), nil
	}
	ahead := "ahead of"
	if skew < 0 {
		ahead = "behind"
	}
	return []Finding{found(severity, "let both machines follow one time server (chrony, systemd-timesyncd)",
		"the server's clock is %s %s this machine's", period(skew.Abs()), ahead)}, nil
}
