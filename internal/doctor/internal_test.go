package doctor

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// The page has a row for every check, with the words that stand in [checks].
func TestPageListsEveryCheck(t *testing.T) {
	t.Parallel()
	engines := map[string]string{"": "all", dialect.MySQL: "MySQL, MariaDB", dialect.SQLite: "SQLite"}
	var want strings.Builder
	want.WriteString("| code | on | looks at | what is found, and what to do | by |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range checks {
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", c.code, engines[c.engine], c.about, c.advice, c.source)
	}
	page, err := os.ReadFile("../../docs/doctor.md")
	require.NoError(t, err)
	shown := regexp.MustCompile(`(?s)<!-- checks[^>]*-->\n(.*?)<!-- /checks -->`).FindSubmatch(page)
	require.NotNil(t, shown, "docs/doctor.md has no table of checks")
	assert.Equal(t, want.String(), string(shown[1]), "put this table into docs/doctor.md:\n%s", &want)
}

func TestCodesAreUniqueNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range checks {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, c.code)
		assert.False(t, seen[c.code], c.code)
		seen[c.code] = true
		assert.NotEmpty(t, c.about)
		assert.NotEmpty(t, c.advice)
		assert.NotEmpty(t, c.source)
	}
}

// The database itself refuses what a check would change.
func TestChecksCannotWrite(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
		require.NoError(t, err)
		// The options as Run completes them.
		opts := Options{}
		opts.complete()
		raw := url
		if !mysqltest.IsSQLite(url) {
			raw += "?transaction_read_only=0&TX_read_only=0" // nobody's own setting wins
			if strings.HasPrefix(url, "mysql:") {
				raw = url + "?Transaction_read_only=0"
			} else if mysqltest.MariaDBBefore(t, url, "11.1.1") {
				raw = url + "?TX_read_only=0"
			}
		}
		d, err := open(t.Context(), raw, opts)
		require.NoError(t, err)
		defer d.db.Close()
		_, err = d.db.ExecContext(t.Context(), "INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.com')")
		if mysqltest.IsSQLite(url) {
			assert.ErrorContains(t, err, "readonly database")
		} else {
			assert.ErrorContains(t, err, "READ ONLY transaction")
		}
	})
}

func TestServersVersions(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]struct {
		version string
		maria   bool
		old     bool
	}{
		"9.7.4-2":                                {"9.7.4", false, false},
		"8.0.16":                                 {"8.0.16", false, false},
		"8.0.15-log":                             {"8.0.15", false, true},
		"5.7.44":                                 {"5.7.44", false, true},
		"8.0.36-28.1":                            {"8.0.36", false, false},
		"11.8.9-MariaDB-4 from Debian":           {"11.8.9", true, false},
		"5.5.5-10.6.18-MariaDB-1:10.6.18+maria~": {"10.6.18", true, false},
		"5.5.5-10.4.32-MariaDB-1:10.4.32+maria~": {"10.4.32", true, true},
		"8.0.11-TiDB-v7.5.1":                     {"8.0.11", false, true},
		"10.3.39-MariaDB-0ubuntu0.20.04.2":       {"10.3.39", true, true},
	} {
		v, maria := parseVersion(release)
		assert.Equal(t, want.version, v.String(), release)
		assert.Equal(t, want.maria, maria, release)
		found, err := checkVersion(t.Context(), &database{url: serverURL(t), release: release, version: v,
			maria: maria})
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.Equal(t, want.old, found[0].Severity == Error, release)
		// An old server does not get what it does not know.
		set := (&database{version: v, maria: maria, Options: Options{Timeout: time.Second}}).session()
		assert.Equal(t, !maria && v[0] >= 8, set.Get("information_schema_stats_expiry") != "", release)
		assert.Equal(t, !maria && v[0] >= 8, set.Get("transaction_read_only") == "1", release)
		assert.Equal(t, maria || v[0] < 8, set.Get("tx_read_only") == "1", release)
	}
}

func serverURL(t *testing.T) *dburl.URL {
	t.Helper()
	u, err := dburl.Parse("mysql://root@127.0.0.1/app")
	require.NoError(t, err)
	return u
}

func TestGrants(t *testing.T) {
	t.Parallel()
	all := parseGrants([]string{
		"GRANT `reader`@`%` TO `u`@`%`",
		"GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*462366917EEDD1970A48E87D8EF59EB67D2CA26F'",
		"GRANT SELECT, INSERT ON `app\\_%`.* TO `u`@`%` WITH GRANT OPTION",
		"GRANT ALL PRIVILEGES ON `a``b`.* TO `u`@`%`",
		"GRANT DELETE, UPDATE (`odd,name`, `SELECT`) ON `app_1`.`users` TO `u`@`%`",
		"GRANT EXECUTE ON PROCEDURE `app_1`.`p` TO `u`@`%`",
		"GRANT PROXY ON ``@`%` TO `u`@`%` WITH GRANT OPTION",
		"GRANT PROCESS ON *.* TO `GRANT OPTION`@`%`",
		"SET DEFAULT ROLE `reader` FOR `u`@`%`",
	})
	for _, c := range []struct {
		privilege, db, table string
		want                 bool
	}{
		{"SELECT", "app_1", "*", true},
		{"INSERT", "app_1", "users", true},
		{"SELECT", "appx1", "*", false},
		{"SELECT", "other", "*", false},
		{"DELETE", "app_1", "users", true},
		{"DELETE", "app_1", "*", false},
		{"DELETE", "app_1", "otps", false},
		{"UPDATE", "app_1", "users", false},
		{"DROP", "a`b", "*", true},
		{"EXECUTE", "app_1", "p", false},
		{"PROCESS", "anything", "*", true},
	} {
		assert.Equal(t, c.want, all.may(c.privilege, c.db, c.table), "%+v", c)
	}
	assert.Equal(t, []string{"GRANT OPTION"}, all.excess())

	restricted := parseGrants([]string{
		"GRANT SELECT, INSERT, UPDATE ON *.* TO `u`@`%`",
		"REVOKE INSERT ON `app`.* FROM `u`@`%`",
	})
	assert.True(t, restricted.may("SELECT", "app", "*"))
	assert.False(t, restricted.may("INSERT", "app", "*"))
	assert.True(t, restricted.may("INSERT", "other", "*"))
	assert.Equal(t, []string{"SELECT, INSERT, UPDATE on *.*"}, restricted.excess())

	// A right on the database itself is not touched by what was taken out of a global one.
	both := append(restricted, parseGrants([]string{"GRANT INSERT ON `app`.* TO `u`@`%`"})...)
	assert.True(t, both.may("INSERT", "app", "*"))
}

// Rows as nodes of groups of three have shown them.
func TestNodesOfAGroup(t *testing.T) {
	t.Parallel()
	// members are the nodes a, b and c in the states that are given.
	members := func(states ...string) (all []map[string]string) {
		for i, text := range states {
			id := string(rune('a' + i))
			state, role, _ := strings.Cut(text, " ")
			all = append(all, map[string]string{
				"member_id": id, "member_host": id, "member_port": "3306", "member_state": state, "member_role": role,
			})
		}
		return all
	}
	const primary, secondary, lost = "ONLINE PRIMARY", "ONLINE SECONDARY", "UNREACHABLE SECONDARY"
	for name, c := range map[string]struct {
		members  []map[string]string
		severity Severity
		text     string
		fix      string
	}{
		"primary":          {members(primary, secondary, secondary), OK, "", ""},
		"one of primaries": {members(primary, primary, primary), OK, "", ""},
		"secondary": {
			members(secondary, primary, secondary), Error,
			"is a secondary", "put all nodes into the URL, for services that follow the primary: b:3306",
		},
		"alone of three": {
			members(primary, lost, lost), Error,
			"without quorum: it does not reach 2 of 3 members (b:3306, c:3306)", "",
		},
		"one of two is lost": {members(primary, lost), Error, "without quorum", ""},
		"one of three lost": {
			members(primary, secondary, lost), Warning,
			"1 of 3 members of the group cannot be reached: c:3306", "",
		},
		"expelled": {members("ERROR"), Error, "is ERROR", ""},
		"catching up": {
			members("RECOVERING SECONDARY", primary), Error,
			"is RECOVERING", "put another node into the URL: b:3306",
		},
		"stopped":       {members("OFFLINE"), Error, "does not run", ""},
		"never started": {nil, Error, "does not run", ""},
	} {
		d := &database{version: version{9, 7, 0}}
		off := d.group(map[string]string{"server_uuid": "a", "group_replication_consistency": "BEFORE"}, c.members)
		if c.severity == OK {
			assert.Empty(t, off, name)
			continue
		}
		require.Len(t, off, 1, name)
		assert.Equal(t, c.severity, off[0].Severity, name)
		assert.Contains(t, off[0].Text, c.text, name)
		assert.Contains(t, off[0].Fix, c.fix, name)
	}
	off := (&database{version: version{9, 7, 0}}).group(map[string]string{
		"server_uuid": "a", "group_replication_consistency": "BEFORE_ON_PRIMARY_FAILOVER",
		"group_replication_single_primary_mode":              "OFF",
		"group_replication_enforce_update_everywhere_checks": "ON",
	}, members(primary))
	require.Len(t, off, 2)
	assert.Contains(t, off[0].Text, "are refused (error 3098)")
	assert.Equal(t, "take group_replication_consistency out of the URL", off[1].Fix)
}

// Values as nodes of Galera have shown them.
func TestNodesOfGalera(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status, ready, state string
		wait, reject         string
		severity             Severity
		text                 string
	}{
		"in order": {"Primary", "ON", "Synced", "15", "NONE", OK, ""},
		"without quorum": {"non-Primary", "OFF", "Initialized", "15", "NONE", Error,
			"without quorum: wsrep_cluster_status is non-Primary"},
		"cut off": {"Disconnected", "OFF", "Initialized", "15", "NONE", Error,
			"without quorum: wsrep_cluster_status is Disconnected"},
		"joining": {"Primary", "OFF", "Joining", "15", "NONE", Error, "is not ready (Joining)"},
		"giving its data": {"Primary", "ON", "Donor/Desynced", "15", "NONE", Warning,
			"is behind the others (Donor/Desynced)"},
		"taken out": {"Primary", "ON", "Synced", "15", "ALL", Error, "wsrep_reject_queries is ALL"},
		"not waiting": {"Primary", "ON", "Synced", "0", "NONE", Info,
			"the URL sets wsrep_sync_wait to 0: what was revoked on one node"},
		"reads only": {"Primary", "ON", "Synced", "1", "NONE", Info, "the URL sets wsrep_sync_wait to 1"},
	} {
		off := (&database{maria: true}).galera(
			map[string]string{"wsrep_sync_wait": c.wait, "wsrep_reject_queries": c.reject},
			map[string]string{
				"wsrep_cluster_status": c.status, "wsrep_ready": c.ready, "wsrep_local_state_comment": c.state,
			})
		if c.severity == OK {
			assert.Empty(t, off, name)
			continue
		}
		require.Len(t, off, 1, name)
		assert.Equal(t, c.severity, off[0].Severity, name)
		assert.Contains(t, off[0].Text, c.text, name)
	}
}
