package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

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
		return d.unseen("whether this server is the replica of another", right), nil
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
		io := c["replica_io_running"] + c["slave_io_running"]
		sql := c["replica_sql_running"] + c["slave_sql_running"]
		if io != "Yes" || sql != "Yes" {
			state = fmt.Sprintf(", and has stopped following it (IO %s, SQL %s)", io, sql)
		}
		off = append(off, found(Warning, "put the address of the source into the URL; where this server was promoted: "+
			"STOP REPLICA; RESET REPLICA ALL",
			"this server is a replica of %s%s: it shows late what was revoked there, and what is written here does "+
				"not "+"get there", source, state))
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
	set, err := d.variables(ctx, "group_replication_group_name", "group_replication_single_primary_mode",
		"group_replication_enforce_update_everywhere_checks",
		"server_uuid", "wsrep_on", "wsrep_reject_queries")
	if err != nil {
		return nil, err
	}
	// A service's own connections, which have what the URL says.
	waits, err := d.show(ctx, "SESSION VARIABLES", []string{"group_replication_consistency", "wsrep_sync_wait"})
	if err != nil {
		return nil, err
	}
	maps.Copy(set, waits)
	where := "this server is in no cluster"
	switch {
	case set["wsrep_on"] == "ON":
		where = "this node of Galera is ready, and in the part of the cluster that has the quorum"
		status, err := d.show(
			ctx,
			"GLOBAL STATUS",
			[]string{"wsrep_cluster_status", "wsrep_ready", "wsrep_local_state_comment"},
		)
		if err != nil {
			return nil, err
		}
		off = d.galera(set, status)
	case set["group_replication_group_name"] != "":
		where = "this node takes writes for its group, which has one primary"
		if set["group_replication_single_primary_mode"] == "OFF" {
			where = "this node takes writes for its group, as all of its members do"
		}
		members, err := records(ctx, d.db, "SELECT * FROM performance_schema.replication_group_members")
		if denied(err) {
			return d.unseen("whether this node of Group Replication is a secondary or without quorum",
				"SELECT ON performance_schema.replication_group_members"), nil
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

// stale says what services have to expect of a URL that has nothing wait for what other nodes wrote.
const stale = ": what was revoked on one node can be accepted on another for a moment"

// galera judges a node of Galera by its variables and its status (MariaDB
// documentation, Galera Cluster Status Variables).
func (d *database) galera(set, status map[string]string) (off []Finding) {
	state := status["wsrep_local_state_comment"]
	switch {
	case status["wsrep_cluster_status"] != "Primary":
		off = append(off, found(Error, "bring the other nodes back; where they are gone for good: SET GLOBAL "+
			"wsrep_provider_options = 'pc.bootstrap=YES'",
			"this node of Galera is without quorum: wsrep_cluster_status is %s, and statements are refused (error "+
				"1047)", status["wsrep_cluster_status"]))
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
		off = append(off, found(Info, "take wsrep_sync_wait out of the URL",
			"the URL sets wsrep_sync_wait to %d%s", wait, stale))
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
			"Group Replication is set up here and does not run: this node is in no group, and is not told what the "+
				"others "+"write"))
	case state != "ONLINE":
		off = append(off, found(Error, "put another node into the URL: "+enumerate(online),
			"this node of Group Replication is %s: it takes no writes, and what it shows is old", state))
	case 2*len(lost) >= len(members):
		off = append(off, found(Error, "bring them back; where they are gone for good: MySQL manual, Handling a "+
			"Network Partition and Loss of Quorum",
			"this node of Group Replication is without quorum: it does not reach %d of %d members (%s), and writes "+
				"wait "+"without end", len(lost), len(members), enumerate(lost)))
	case self["member_role"] == "SECONDARY":
		off = append(off, found(Error, "put all nodes into the URL, for services that follow the primary: "+
			enumerate(append(writers, without(online, writers)...)),
			"this node of Group Replication is a secondary: it refuses writes (error 1290)"))
	case len(lost) > 0:
		off = append(off, found(Warning, "bring them back",
			"%d of %d members of the group cannot be reached: %s", len(lost), len(members), enumerate(lost)))
	}
	if set["group_replication_enforce_update_everywhere_checks"] == "ON" {
		off = append(off,
			found(Error, "stop the group, SET PERSIST group_replication_enforce_update_everywhere_checks "+
				"= OFF on every member, and start it",
				"group_replication_enforce_update_everywhere_checks is on: tables whose foreign keys cascade, as "+
					"these do, "+"are refused (error 3098)"))
	}
	value := set["group_replication_consistency"]
	switch several := set["group_replication_single_primary_mode"] == "OFF"; {
	case several && !slices.Contains([]string{"BEFORE", "AFTER", "BEFORE_AND_AFTER"}, value):
		off = append(off, found(Info, "take group_replication_consistency out of the URL",
			"the URL sets group_replication_consistency to %s%s", value, stale))
	case !several && value == "EVENTUAL":
		off = append(off, found(Info, "take group_replication_consistency out of the URL",
			"the URL sets group_replication_consistency to EVENTUAL: after a failover, what was revoked before can be "+
				"accepted for a moment"))
	}
	return off
}

// without are the elements of a list that others are not.
func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}
