package testserver

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// GroupOptions configure StartGroup.
type GroupOptions struct {
	// MultiPrimary has all members take writes. Without it the first one is the primary.
	MultiPrimary bool
	// Flags come last, and so win.
	Flags []string
}

// groupUser copies what a member lacks from another one.
const groupUser = "recovery"

// StartGroup starts a Group Replication cluster of n MySQL servers. It takes about ten seconds, and MySQL from the
// Debian archive. A member that says nothing is expelled after the five seconds in which the group suspects it.
func StartGroup(ctx context.Context, n int, o GroupOptions, progress io.Writer) (_ *Cluster, err error) {
	say := sayer("group", progress)
	product := MySQL.Version(MySQL.releases[len(MySQL.releases)-1].name)
	folders, err := product.archived().folders(ctx, say)
	if err != nil {
		return nil, err
	}
	p, err := unpackedProgram(product, folders[0])
	if err != nil {
		return nil, err
	}
	c, folder, err := begin(ctx, product)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	seed := filepath.Join(folder, "seed")
	if err := product.initialise(ctx, p, seed); err != nil {
		return nil, err
	}
	// It is the server's identity.
	if err := os.Remove(filepath.Join(seed, "auto.cnf")); err != nil {
		return nil, err
	}
	ports, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	var seeds []string
	for _, port := range ports {
		seeds = append(seeds, fmt.Sprint("127.0.0.1:", port))
	}
	primary := "ON"
	if o.MultiPrimary {
		primary = "OFF"
	}
	for i, port := range ports {
		data := filepath.Join(folder, fmt.Sprint("member", i+1))
		if err := os.CopyFS(data, os.DirFS(seed)); err != nil {
			return nil, err
		}
		args := slices.Concat([]string{
			"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--socket=sock", "--pid-file=pid",
			fmt.Sprint("--server-id=", i+1), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog",
			"--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF",
			"--innodb-buffer-pool-size=64M", "--max-connections=300",
			"--report-host=127.0.0.1", fmt.Sprint("--report-port=", port),
			"--plugin-load-add=group_replication.so",
			"--group-replication-group-name=5a1bd2c6-3c39-4b8f-9a35-5e4a4f0e7c11",
			"--group-replication-start-on-boot=OFF", "--group-replication-communication-stack=MYSQL",
			fmt.Sprint("--group-replication-local-address=127.0.0.1:", port),
			"--group-replication-group-seeds=" + strings.Join(seeds, ","),
			"--group-replication-recovery-get-public-key=ON", "--group-replication-ip-allowlist=127.0.0.1/32",
			"--group-replication-single-primary-mode=" + primary,
			"--group-replication-enforce-update-everywhere-checks=OFF", "--group-replication-member-expel-timeout=0",
		}, o.Flags)
		m := &Member{
			Server: Server{URL: fmt.Sprintf("mysql://root@127.0.0.1:%d/", port)}, product: product, log: data + ".log",
			state: `SELECT MEMBER_ID, MEMBER_STATE FROM performance_schema.replication_group_members
				WHERE MEMBER_ID = @@GLOBAL.server_uuid`,
			member: "ONLINE",
			size: `SELECT 'online', COUNT(*) FROM performance_schema.replication_group_members
				WHERE MEMBER_STATE = 'ONLINE'`,
			// Not bound to ctx, which ends when the member is ready.
			command: func(bool) (*exec.Cmd, error) { return p.run(context.Background(), data, args...), nil },
		}
		m.join = func(ctx context.Context, again bool) error { return m.joinGroup(ctx, i == 0 && !again, again) }
		if err := c.add(ctx, m, say); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// MakePrimary has the group make the member its primary.
func (m *Member) MakePrimary(ctx context.Context) error {
	return m.exec(ctx, "SELECT group_replication_set_as_primary(@@GLOBAL.server_uuid)")
}

// Leave has the member leave the group, and go on by itself as a server that takes no writes.
func (m *Member) Leave(ctx context.Context) error { return m.exec(ctx, "STOP GROUP_REPLICATION") }

// joinGroup has a member join the group, or begin it, and waits until it has what the others have.
func (m *Member) joinGroup(ctx context.Context, first, again bool) error {
	// That of a group which was left goes on until it is stopped.
	statements := []string{"STOP GROUP_REPLICATION"}
	if !again {
		statements = append(statements, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF",
			"SET SESSION sql_log_bin = 0",
			"CREATE USER "+groupUser+"@'%' IDENTIFIED BY '"+groupUser+"'",
			"GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO "+
				groupUser+"@'%'",
			"SET SESSION sql_log_bin = 1",
			"CHANGE REPLICATION SOURCE TO SOURCE_USER = '"+groupUser+"', SOURCE_PASSWORD = '"+groupUser+
				"' FOR CHANNEL 'group_replication_recovery'")
	}
	const bootstrap = "SET GLOBAL group_replication_bootstrap_group = "
	if first {
		statements = append(statements, bootstrap+"ON")
	}
	statements = append(statements, "START GROUP_REPLICATION")
	if first {
		statements = append(statements, bootstrap+"OFF")
	}
	if err := m.exec(ctx, statements...); err != nil {
		return err
	}
	return m.waitFor(ctx, m.state, m.member)
}
