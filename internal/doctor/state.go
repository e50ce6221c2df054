package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// variables reads global variables by name. A name that the server does not know is
// left out.
func (d *database) variables(ctx context.Context, names ...string) (map[string]string, error) {
	return d.show(ctx, "VARIABLES", names)
}

// show reads what SHOW GLOBAL tells any account.
func (d *database) show(ctx context.Context, what string, names []string) (map[string]string, error) {
	values := make(map[string]string)
	var name string
	var value sql.NullString
	err := each(ctx, d.db, "SHOW GLOBAL "+what+" WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')",
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

// unseen is the finding of what an account may not look at, and the right it lacks.
func (d *database) unseen(ctx context.Context, what, right string) ([]Finding, error) {
	var account string
	if err := d.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&account); err != nil {
		return nil, err
	}
	f := found(Info, fmt.Sprintf("GRANT %s TO %s, or look with an account that may", right, grantee(account)),
		"could not be looked at: %s", what)
	f.Unchecked = true
	return []Finding{f}, nil
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

func checkDefaultEngine(ctx context.Context, d *database) (off []Finding, err error) {
	set, err := d.variables(ctx, "default_storage_engine", "enforce_storage_engine", "disabled_storage_engines")
	if err != nil {
		return nil, err
	}
	if name := set["default_storage_engine"]; !strings.EqualFold(name, "InnoDB") {
		off = append(off, found(Warning, d.set("default_storage_engine", "InnoDB"),
			"the default engine is %s: a table that others make without ENGINE has no transactions and no foreign keys", name))
	}
	if name := set["enforce_storage_engine"]; name != "" && !strings.EqualFold(name, "InnoDB") {
		off = append(off, found(Error, d.set("enforce_storage_engine", "NULL"),
			"enforce_storage_engine is %s: every new table is one of that engine, whatever it says", name))
	}
	if slices.ContainsFunc(strings.Split(set["disabled_storage_engines"], ","),
		func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), "InnoDB") }) {
		off = append(off, found(Error, "start the server without InnoDB in disabled_storage_engines",
			"disabled_storage_engines holds InnoDB: no migration can make a table"))
	}
	if len(off) == 0 {
		return ok("InnoDB"), nil
	}
	return off, nil
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
			"read_only is %s: every write of an account without special rights is refused (error 1290)", strings.ToLower(set["read_only"])))
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
		off = append(off, found(Error, "save the data, build the server anew, and start it without innodb_force_recovery",
			"innodb_force_recovery is %s: the server runs to save data from damage, and refuses writes", set["innodb_force_recovery"]))
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
		off = append(off, found(Error, "ALTER DATABASE "+quote(d.url.Database())+" READ ONLY = 0",
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

func checkReplica(ctx context.Context, d *database) (off []Finding, err error) {
	query, right := "SHOW REPLICA STATUS", "REPLICATION CLIENT ON *.*"
	switch {
	case d.maria:
		query = "SHOW ALL SLAVES STATUS"
		if !d.version.before(version{10, 5, 0}) {
			right = "REPLICA MONITOR ON *.*"
		}
	case d.version.before(version{8, 0, 22}):
		query = "SHOW SLAVE STATUS"
	}
	channels, err := records(ctx, d.db, query)
	if denied(err) {
		return d.unseen(ctx, "whether this server is the replica of another", right)
	}
	if err != nil {
		return nil, err
	}
	for _, c := range channels {
		if strings.HasPrefix(c["channel_name"], "group_replication_") {
			continue // that is no source, see cluster
		}
		source := c["source_host"] + c["master_host"] + ":" + c["source_port"] + c["master_port"]
		state := ""
		if io, sql := c["replica_io_running"]+c["slave_io_running"], c["replica_sql_running"]+c["slave_sql_running"]; io != "Yes" || sql != "Yes" {
			state = fmt.Sprintf(", and has stopped following it (IO %s, SQL %s)", io, sql)
		}
		off = append(off, found(Warning, "put the address of the source into the URL; where this server was promoted: "+
			"STOP REPLICA; RESET REPLICA ALL",
			"this server is a replica of %s%s: it shows late what was revoked there, and what is written here does not "+
				"get there", source, state))
	}
	if len(off) == 0 {
		return ok("this server is the replica of no other"), nil
	}
	return off, nil
}

// records are the rows of a query whose columns differ from server to server, by
// the names of the columns in small letters.
func records(ctx context.Context, db dbserver.Queryer, query string) (all []map[string]string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		record := make(map[string]string)
		for i, name := range columns {
			record[strings.ToLower(name)] = values[i].String
		}
		all = append(all, record)
	}
	return all, rows.Err()
}

func checkCluster(ctx context.Context, d *database) (off []Finding, err error) {
	set, err := d.variables(ctx, "group_replication_group_name", "group_replication_consistency",
		"group_replication_enforce_update_everywhere_checks",
		"server_uuid", "wsrep_on", "wsrep_sync_wait", "wsrep_reject_queries")
	if err != nil {
		return nil, err
	}
	where := "this server is in no cluster"
	switch {
	case set["wsrep_on"] == "ON":
		where = "this node of Galera is ready, and in the part of the cluster that has the quorum"
		status, err := d.show(ctx, "STATUS", []string{"wsrep_cluster_status", "wsrep_ready", "wsrep_local_state_comment"})
		if err != nil {
			return nil, err
		}
		off = d.galera(set, status)
	case set["group_replication_group_name"] != "":
		where = "this node takes writes for its group"
		members, err := records(ctx, d.db, "SELECT * FROM performance_schema.replication_group_members")
		if denied(err) {
			return d.unseen(ctx, "whether this node of Group Replication is a secondary or without quorum",
				"SELECT ON performance_schema.replication_group_members")
		}
		if err != nil {
			return nil, err
		}
		off = d.group(set, members)
	}
	if !slices.ContainsFunc(off, func(f Finding) bool { return f.Severity != Info }) {
		off = append(off, ok("%s", where)...)
	}
	return off, nil
}

// stale says what services that use several nodes have to expect.
const stale = ": what was revoked on one node can be taken on another for a moment, and a code can be used on both"

// galera judges a node of Galera by its variables and its status (MariaDB
// documentation, Galera Cluster Status Variables).
func (d *database) galera(set, status map[string]string) (off []Finding) {
	state := status["wsrep_local_state_comment"]
	switch {
	case status["wsrep_cluster_status"] != "Primary":
		off = append(off, found(Error, "bring the other nodes back; where they are gone for good: SET GLOBAL "+
			"wsrep_provider_options = 'pc.bootstrap=YES'",
			"this node of Galera is without quorum: wsrep_cluster_status is %s, and statements are refused (error 1047)", status["wsrep_cluster_status"]))
	case status["wsrep_ready"] != "ON":
		off = append(off, found(Error, "wait until wsrep_local_state_comment is Synced, or look into its error log; "+
			"meanwhile put another node into the URL",
			"this node of Galera is not ready (%s): statements are refused (error 1047)", state))
	case state != "Synced":
		off = append(off, found(Warning, "wait until wsrep_local_state_comment is Synced; meanwhile put another node "+
			"into the URL", "this node of Galera is behind the others (%s)", state))
	}
	if refuses := set["wsrep_reject_queries"]; refuses != "" && refuses != "NONE" {
		off = append(off, found(Error, "SET GLOBAL wsrep_reject_queries = NONE",
			"wsrep_reject_queries is %s: every query is refused (error 1047)", refuses))
	}
	const reads = 7 // SELECT; UPDATE and DELETE; INSERT and REPLACE
	if wait, err := strconv.Atoi(set["wsrep_sync_wait"]); err == nil && wait&reads != reads {
		off = append(off, found(Info, d.set("wsrep_sync_wait", "15")+", where services use more than one node",
			"wsrep_sync_wait is %d%s", wait, stale))
	}
	return off
}

// group judges a node of Group Replication by its variables and the members of the
// group as this node sees them (MySQL manual, Monitoring Group Replication).
func (d *database) group(set map[string]string, members []map[string]string) (off []Finding) {
	address := func(m map[string]string) string { return m["member_host"] + ":" + m["member_port"] }
	var self map[string]string
	var writers, lost, online []string
	for _, m := range members {
		if m["member_id"] == set["server_uuid"] {
			self = m
		}
		switch m["member_state"] {
		case "UNREACHABLE":
			lost = append(lost, address(m))
		case "ONLINE":
			online = append(online, address(m))
			if m["member_role"] == "PRIMARY" {
				writers = append(writers, address(m))
			}
		}
	}
	switch state := self["member_state"]; {
	case state == "" || state == "OFFLINE":
		off = append(off, found(Error, "START GROUP_REPLICATION, or put another node into the URL",
			"Group Replication is set up here and does not run: this node is in no group, and is not told what the others "+
				"write"))
	case state != "ONLINE":
		off = append(off, found(Error, "put another node into the URL: "+enumerate(online),
			"this node of Group Replication is %s: it takes no writes, and what it shows is old", state))
	case 2*len(lost) >= len(members):
		off = append(off, found(Error, "bring them back; where they are gone for good: MySQL manual, Handling a "+
			"Network Partition and Loss of Quorum",
			"this node of Group Replication is without quorum: it does not reach %d of %d members (%s), and writes wait "+
				"without end", len(lost), len(members), enumerate(lost)))
	case self["member_role"] == "SECONDARY":
		off = append(off, found(Error, "put the address of the primary into the URL: "+enumerate(writers),
			"this node of Group Replication is a secondary: it refuses writes (error 1290)"))
	case len(lost) > 0:
		off = append(off, found(Warning, "bring them back",
			"%d of %d members of the group cannot be reached: %s", len(lost), len(members), enumerate(lost)))
	}
	if set["group_replication_enforce_update_everywhere_checks"] == "ON" {
		off = append(off, found(Error, "stop the group, SET PERSIST group_replication_enforce_update_everywhere_checks "+
			"= OFF on every member, and start it",
			"group_replication_enforce_update_everywhere_checks is on: tables whose foreign keys cascade, as these do, "+
				"are refused (error 3098)"))
	}
	if value := set["group_replication_consistency"]; !slices.Contains([]string{"BEFORE", "AFTER", "BEFORE_AND_AFTER"},
		value) {
		off = append(off, found(Info, d.set("group_replication_consistency",
			"'BEFORE'")+", where services use more than one node", "group_replication_consistency is %s%s", value, stale))
	}
	return off
}
