package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
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
		return []Finding{found(Error, unfit.Fix(), "%s", unfit.Found())}, nil
	}
	return ok("%s", d.product()), nil
}

func checkSQLMode(ctx context.Context, d *database) ([]Finding, error) {
	var mode string
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.sql_mode").Scan(&mode); err != nil {
		return nil, err
	}
	has := func(name string) bool { return slices.Contains(strings.Split(mode, ","), name) }
	var off []string
	if !has("STRICT_TRANS_TABLES") && !has("STRICT_ALL_TABLES") {
		off = append(off, "is not strict: what is too long is cut, and an unknown enum value is stored as ''")
	}
	for _, name := range []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT"} {
		if has(name) {
			off = append(off, "has "+name+": SQL means something else in it")
		}
	}
	if len(off) > 0 {
		return []Finding{found(Info, "let those clients set sql_mode, or set it for the server: SET PERSIST sql_mode (MySQL), the option file (MariaDB)",
			"the global sql_mode %s, for clients that do not set their own as this project's do", strings.Join(off, "; it "))}, nil
	}
	return ok("strict"), nil
}

// utc are the names under which a zone is UTC the year round.
var utc = []string{"UTC", "ETC/UTC", "UCT", "UNIVERSAL", "ETC/UNIVERSAL", "ZULU", "ETC/ZULU", "+00:00", "-00:00"}

func checkTimeZone(ctx context.Context, d *database) ([]Finding, error) {
	var zone, system string
	var offset sql.NullInt64
	// A named zone without the server's zone tables has no offset.
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.time_zone, @@system_time_zone, "+
		"TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@GLOBAL.time_zone))").Scan(&zone, &system, &offset); err != nil {
		return nil, err
	}
	name := zone
	if zone == "SYSTEM" {
		name = system
		zone = "SYSTEM, which is " + system
	}
	if slices.Contains(utc, strings.ToUpper(name)) {
		return ok("%s", zone), nil
	}
	apart := ""
	switch {
	case offset.Int64 != 0:
		apart = ", its clock is " + signed(time.Duration(offset.Int64)*time.Minute) + " from UTC today"
	case offset.Valid:
		apart = ", its clock is UTC's today"
	}
	return []Finding{found(Warning, "let the service in the other language set time_zone = '+00:00', or set it for the server: SET PERSIST time_zone = '+00:00' (MySQL), default_time_zone in the option file",
		"the global time zone is %s%s: clients that do not set their session's to UTC, as this project's do, write and read expiry by that clock", zone, apart)}, nil
}

func signed(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60)
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
		return ok("%s between the server and this machine, asked in %s", skew.Abs().Round(time.Microsecond), took.Round(time.Microsecond)), nil
	}
	ahead := "ahead of"
	if skew < 0 {
		ahead = "behind"
	}
	return []Finding{found(severity, "let both machines follow one time server (chrony, systemd-timesyncd)",
		"the server's clock is %s %s this machine's", period(skew.Abs()), ahead)}, nil
}

// exposed is what a connection to the address lets happen on its way to another
// machine; empty where nothing. Nothing is connected for it.
func exposed(u *dburl.URL) string {
	if u.Local() {
		return ""
	}
	switch u.Transport() {
	case dburl.TransportPlain:
		return "the connection leaves this machine and is not encrypted"
	case dburl.TransportOptional:
		return "the connection leaves this machine and is encrypted only if whoever answers offers it, with a certificate that nobody verifies"
	case dburl.TransportUnverified:
		return "the connection leaves this machine, encrypted to whoever answers: the server's certificate is not verified, " +
			"and caching_sha2_password sends the password as it is"
	}
	return ""
}

const verifyServer = "add tls=true to the URL, with tls-ca=FILE in its place where the certificate is of an authority of your own " +
	"(both verify the certificate and the host's name); then ALTER USER … REQUIRE SSL"

// keepPassword refuses an address that hands the password to whoever answers, before
// anything is connected.
func keepPassword(u *dburl.URL) error {
	if text := exposed(u); text != "" && u.SendsPassword() {
		return fmt.Errorf("%s: not connected: allowCleartextPasswords or allowOldPasswords gives the password away, and %s: %s", u, text, verifyServer)
	}
	return nil
}

func checkTLS(ctx context.Context, d *database) ([]Finding, error) {
	if text := exposed(d.url); text != "" {
		return []Finding{found(Warning, verifyServer, "%s", text)}, nil
	}
	var name, cipher string
	if err := d.db.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil {
		return nil, err
	}
	switch {
	case cipher == "" && !d.url.Local():
		return []Finding{found(Warning, "have the proxy between connect to the server with TLS", "the connection is encrypted, but not up to the server")}, nil
	case cipher == "":
		return ok("not encrypted, and does not leave this machine"), nil
	case d.url.Transport() == dburl.TransportVerified:
		return ok("encrypted with %s, to a server whose certificate and name are verified", cipher), nil
	default:
		return ok("encrypted with %s", cipher), nil
	}
}

func checkDurability(ctx context.Context, d *database) ([]Finding, error) {
	var flush, sync int
	var binlog bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, @@GLOBAL.log_bin").Scan(&flush, &sync, &binlog); err != nil {
		return nil, err
	}
	var off []string
	if flush != 1 {
		off = append(off, fmt.Sprintf("innodb_flush_log_at_trx_commit is %d", flush))
	}
	if binlog && sync != 1 {
		off = append(off, fmt.Sprintf("sync_binlog is %d", sync))
	}
	if len(off) > 0 {
		return []Finding{found(Info, "set it to 1, unless that is decided",
			"%s: a crash of the machine can forget the last second of sign-ins, revocations and used codes", strings.Join(off, ", "))}, nil
	}
	return ok("a commit is on disk when it returns"), nil
}

// status reads counters of the server by name.
func (d *database) status(ctx context.Context, names ...string) (map[string]int64, error) {
	values := make(map[string]int64)
	var name string
	var value int64
	err := each(ctx, d.db, "SHOW GLOBAL STATUS WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')",
		[]any{&name, &value}, func() { values[name] = value })
	return values, err
}

func checkConnections(ctx context.Context, d *database) ([]Finding, error) {
	var limit, ofUser int64
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.max_connections, @@SESSION.max_user_connections").Scan(&limit, &ofUser); err != nil {
		return nil, err
	}
	status, err := d.status(ctx, "Max_used_connections")
	if err != nil {
		return nil, err
	}
	used := status["Max_used_connections"]
	const fix = "raise the limit, or lower Pool.MaxOpen of the services"
	var off []Finding
	if ofUser > 0 && int64(d.Connections) > ofUser {
		off = append(off, found(Error, fix, "the services open up to %d connections, the account may have %d (max_user_connections)", d.Connections, ofUser))
	}
	if int64(d.Connections) > limit {
		off = append(off, found(Error, fix, "the services open up to %d connections, the server allows %d (max_connections)", d.Connections, limit))
	}
	if used*10 >= limit*9 {
		off = append(off, found(Warning, fix, "%d of %d connections have been in use at once", used, limit))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("%d of %d allowed have been in use at once, the services open up to %d", used, limit, d.Connections), nil
}

func checkPrepared(ctx context.Context, d *database) ([]Finding, error) {
	var limit int64
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.max_prepared_stmt_count").Scan(&limit); err != nil {
		return nil, err
	}
	status, err := d.status(ctx, "Prepared_stmt_count")
	if err != nil {
		return nil, err
	}
	held := status["Prepared_stmt_count"]
	if limit == 0 {
		return []Finding{found(Warning, "set max_prepared_stmt_count to its default, 16382", "no client may prepare a statement (max_prepared_stmt_count is 0)")}, nil
	}
	var off []Finding
	if held*5 >= limit*4 {
		off = append(off, found(Warning, "raise max_prepared_stmt_count, or look for clients that do not close theirs: performance_schema.prepared_statements_instances",
			"%d of %d prepared statements are held", held, limit))
	}
	// Open keeps as many on each connection unless told otherwise.
	if kept := int64(d.Connections) * dburl.DefaultStatements; kept > limit {
		off = append(off, found(Warning, "set authgraph.WithStatements or raise max_prepared_stmt_count",
			"the services can keep %d prepared statements, %d on each of %d connections; the server holds %d (max_prepared_stmt_count)",
			kept, dburl.DefaultStatements, d.Connections, limit))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("%d of %d are held", held, limit), nil
}

func checkForeignKeys(ctx context.Context, d *database) ([]Finding, error) {
	var on bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.foreign_key_checks").Scan(&on); err != nil {
		return nil, err
	}
	if !on {
		return []Finding{found(Error, "SET GLOBAL foreign_key_checks = 1, and reconnect the clients", "foreign keys are not checked for clients that do not ask for it (foreign_key_checks is 0)")}, nil
	}
	return ok("checked"), nil
}
