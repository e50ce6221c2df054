package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// variables reads global variables by name. A name that the server does not know is left out.
func (d *database) variables(ctx context.Context, names ...string) (map[string]string, error) {
	return d.show(ctx, "GLOBAL VARIABLES", names)
}

// show reads what SHOW tells any account.
func (d *database) show(ctx context.Context, what string, names []string) (map[string]string, error) {
	values := make(map[string]string)
	var name string
	var value sql.NullString
	err := each(ctx, d.db, "SHOW "+what+" WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')",
		[]any{&name, &value}, func() { values[strings.ToLower(name)] = value.String })
	return values, err
}

// set is the statement that sets a variable, for good where the server can.
func (d *database) set(name, value string) string {
	if d.maria || d.version.before(version{8, 0, 0}) {
		return fmt.Sprintf("SET GLOBAL %s = %s, and in the option file", name, value)
	}
	return fmt.Sprintf("SET PERSIST %s = %s", name, value)
}

// unseen is the finding of what the account may not look at, and the right it lacks.
func (d *database) unseen(what, right string) []Finding {
	f := found(Info, "look with an account that may, or: "+d.grant(right), "could not be looked at: %s", what)
	f.Unchecked = true
	return []Finding{f}
}

// denied reports whether an account lacks a right.
func denied(err error) bool {
	switch serverError(err) {
	case erTableAccessDenied, erSpecificAccessDenied:
		return true
	default:
		return false
	}
}

func checkAutocommit(ctx context.Context, d *database) ([]Finding, error) {
	set, err := d.variables(ctx, "autocommit", "init_connect")
	if err != nil {
		return nil, err
	}
	const means = "a client that does not set its own, as this project's do, loses what it writes without COMMIT, " +
		"and is told that it was written"
	switch {
	case set["autocommit"] == "OFF":
		return []Finding{found(Error, d.set("autocommit", "1")+"; then reconnect the clients",
			"the global autocommit is off: "+means)}, nil
	case strings.Contains(strings.ToLower(set["init_connect"]), "autocommit"):
		return []Finding{found(Warning, d.set("init_connect", "''")+"; then reconnect the clients",
			"init_connect sets autocommit on every connection; where that is off, "+means)}, nil
	}
	return ok("on"), nil
}

func checkTimestampDefaults(ctx context.Context, d *database) ([]Finding, error) {
	set, err := d.variables(ctx, "explicit_defaults_for_timestamp")
	if err != nil {
		return nil, err
	}
	if set["explicit_defaults_for_timestamp"] != "OFF" {
		return ok("a TIMESTAMP column has the defaults that it was given"), nil
	}
	fix := d.set("explicit_defaults_for_timestamp", "1")
	if d.maria { // many releases cannot set it while they run
		fix = "set explicit_defaults_for_timestamp = ON in the option file, and restart the server"
	}
	return []Finding{found(Warning, fix, "explicit_defaults_for_timestamp is off: a TIMESTAMP column that says "+
		"neither NULL nor DEFAULT gets a default and ON UPDATE of its own, or the zero time")}, nil
}

func checkReadOnly(ctx context.Context, d *database) (off []Finding, err error) {
	set, err := d.variables(ctx, "read_only", "super_read_only", "transaction_read_only", "tx_read_only",
		"innodb_read_only", "innodb_force_recovery", "offline_mode")
	if err != nil {
		return nil, err
	}
	on := func(name string) bool { return !slices.Contains([]string{"", "OFF", "0"}, set[name]) }
	const source = "; where another server is the source (see replica, cluster), put the address of that one into " +
		"the URL instead"
	switch {
	case on("super_read_only"):
		off = append(off, found(Error, d.set("read_only", "OFF")+source,
			"super_read_only is on: every write is refused (error 1290)"))
	case on("read_only"):
		off = append(off, found(Error, d.set("read_only", "OFF")+source,
			"read_only is %s: every write of an account without special rights is refused (error 1290)",
			strings.ToLower(set["read_only"])))
	}
	transactions := "transaction_read_only"
	if d.maria {
		transactions = "tx_read_only"
	}
	if on(transactions) {
		off = append(off, found(Error, d.set(transactions, "OFF")+"; then reconnect the clients",
			"%s is on: every transaction begins read-only, and writes are refused (error 1792)", transactions))
	}
	if on("innodb_read_only") {
		off = append(off, found(Error, "start the server without innodb_read_only",
			"innodb_read_only is on: every write is refused"))
	}
	if on("innodb_force_recovery") {
		off = append(off,
			found(Error, "save the data, build the server anew, and start it without innodb_force_recovery",
				"innodb_force_recovery is %s: the server runs to save data from damage, and refuses writes",
				set["innodb_force_recovery"]))
	}
	if on("offline_mode") {
		off = append(off, found(Error, d.set("offline_mode", "OFF"),
			"offline_mode is on: accounts without special rights cannot connect (error 3032)"))
	}
	readOnly, err := d.databaseReadOnly(ctx)
	if err != nil {
		return off, err
	}
	if readOnly {
		off = append(off, found(Error, "ALTER DATABASE "+dbserver.Quote(d.url.Database())+" READ ONLY = 0",
			"the database is READ ONLY: every write is refused (error 3989)"))
	}
	if len(off) == 0 {
		return ok("writes are taken"), nil
	}
	return off, nil
}

// databaseReadOnly asks for an option of databases that MySQL has since 8.0.22.
func (d *database) databaseReadOnly(ctx context.Context) (on bool, err error) {
	if d.maria || d.version.before(version{8, 0, 22}) {
		return false, nil
	}
	options, err := list(ctx, d.db, "SELECT COALESCE(OPTIONS, '') FROM information_schema.SCHEMATA_EXTENSIONS WHERE "+
		"SCHEMA_NAME = DATABASE()")
	return strings.Contains(strings.Join(options, " "), "READ ONLY=1"), err
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
		return []Finding{
			found(Info,
				"let those clients set sql_mode, or set it for the server: SET PERSIST sql_mode (MySQL), the option "+
					"file (MariaDB)",
				"the global sql_mode %s, for clients that do not set their own as this project's do",
				strings.Join(off, "; it ")),
		}, nil
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
		"TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', "+
		"@@GLOBAL.time_zone))").Scan(&zone, &system, &offset); err != nil {
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
	return []Finding{
		found(Warning,
			"let the service in the other language set time_zone = '+00:00', or set it for the server: SET PERSIST "+
				"time_zone = '+00:00' (MySQL), default_time_zone in the option file",
			"the global time zone is %s%s: clients that do not set their session's to UTC, as this project's do, "+
				"write and read expiry by that clock", zone, apart),
	}, nil
}

func signed(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60)
}

func checkDurability(ctx context.Context, d *database) ([]Finding, error) {
	var flush, sync int
	var binlog bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, "+
		"@@GLOBAL.log_bin").Scan(&flush, &sync, &binlog); err != nil {
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
			"%s: a crash of the machine can forget the last second of sign-ins, revocations and used codes",
			strings.Join(off, ", "))}, nil
	}
	return ok("a commit is on disk when it returns"), nil
}

func checkForeignKeys(ctx context.Context, d *database) ([]Finding, error) {
	var on bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.foreign_key_checks").Scan(&on); err != nil {
		return nil, err
	}
	if !on {
		return []Finding{
			found(Error, "SET GLOBAL foreign_key_checks = 1, and reconnect the clients",
				"foreign keys are not checked for clients that do not ask for it (foreign_key_checks is 0)"),
		}, nil
	}
	return ok("checked"), nil
}
