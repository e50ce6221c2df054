package testserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Group is a Group Replication cluster of MySQL servers.
type Group struct {
	// Members are in the order in which they joined. Without MultiPrimary the first one is the primary.
	Members []*Member
}

// Member is a server of a [Group].
type Member struct {
	Server
	cmd   *exec.Cmd
	ended chan struct{}
	run   func(ctx context.Context) error
}

// GroupOptions configure StartGroup.
type GroupOptions struct {
	// MultiPrimary has all members take writes.
	MultiPrimary bool
	// Flags come last, and so win.
	Flags []string
}

// groupUser copies what a member lacks from another one.
const groupUser = "recovery"

// StartGroup starts a group of n members and returns it. It takes about ten seconds, and MySQL from the Debian archive.
// A member that says nothing is expelled after the five seconds in which the group suspects it.
func StartGroup(ctx context.Context, n int, o GroupOptions, progress io.Writer) (_ *Group, err error) {
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
	parent := os.TempDir()
	if os.Getenv("TMPDIR") == "" && hasRoomInMemory(memory) {
		parent = memory
	}
	folder, release, err := temporaryFolder(ctx, parent, product)
	if err != nil {
		return nil, err
	}
	release = sync.OnceFunc(release)
	g := &Group{}
	defer func() {
		if err != nil {
			g.Stop()
			release()
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
	left := n
	for i, port := range ports {
		data := filepath.Join(folder, fmt.Sprint("member", i+1))
		if err := os.CopyFS(data, os.DirFS(seed)); err != nil {
			return nil, err
		}
		args := slices.Concat([]string{
			"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--socket=sock", "--pid-file=pid",
			fmt.Sprint("--server-id=", i+1), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog",
			"--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF",
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
		m := &Member{Server: Server{URL: fmt.Sprintf("mysql://root@127.0.0.1:%d/", port)}}
		m.run = func(ctx context.Context) error {
			output, err := os.OpenFile(data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			defer output.Close()
			// Not bound to ctx, which ends when the member is ready.
			cmd := p.run(context.Background(), data, args...)
			cmd.Stdout, cmd.Stderr = output, output
			if err := cmd.Start(); err != nil {
				return err
			}
			ended := make(chan struct{})
			go func() {
				_ = cmd.Wait() // the log says how it ended
				close(ended)
			}()
			m.cmd, m.ended = cmd, ended
			if m.Version, err = waitReady(ctx, product, m.URL, ended); err != nil {
				return fmt.Errorf("%w\n%s", err, logTail(data+".log"))
			}
			return nil
		}
		m.stop = sync.OnceFunc(func() {
			m.Kill()
			if left--; left == 0 {
				release()
			}
		})
		g.Members = append(g.Members, m)
		if err := m.run(ctx); err != nil {
			return nil, fmt.Errorf("member %d: %w", i+1, err)
		}
		if err := m.join(ctx, i == 0); err != nil {
			return nil, fmt.Errorf("member %d: %w\n%s", i+1, err, logTail(data+".log"))
		}
		say("member %d of %d on %s", i+1, n, address(m.URL))
	}
	return g, nil
}

// Stop ends all members, and removes their data.
func (g *Group) Stop() {
	for _, m := range g.Members {
		m.Stop()
	}
}

// Kill ends the member as a crash does.
func (m *Member) Kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill() // it has ended already where that fails
		<-m.ended
	}
}

// Freeze has the member stand still, with its connections open, until Thaw.
func (m *Member) Freeze() error { return m.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw has it go on.
func (m *Member) Thaw() error { return m.cmd.Process.Signal(syscall.SIGCONT) }

// Rejoin starts a member that was killed, or one that was expelled, and has it join the group again.
func (m *Member) Rejoin(ctx context.Context) error {
	select {
	case <-m.ended:
		if err := m.run(ctx); err != nil {
			return err
		}
	default:
		if err := m.exec(ctx, "STOP GROUP_REPLICATION"); err != nil {
			return err
		}
	}
	return m.join(ctx, false)
}

// MakePrimary has the group make the member its primary.
func (m *Member) MakePrimary(ctx context.Context) error {
	return m.exec(ctx, "SELECT group_replication_set_as_primary(@@GLOBAL.server_uuid)")
}

// join has a member that runs join the group, or begin it, and waits until it has what the others have.
func (m *Member) join(ctx context.Context, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	account := []string{
		"SET SESSION sql_log_bin = 0",
		"CREATE USER IF NOT EXISTS " + groupUser + "@'%' IDENTIFIED BY '" + groupUser + "'",
		"GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO " +
			groupUser + "@'%'",
		"SET SESSION sql_log_bin = 1",
		"CHANGE REPLICATION SOURCE TO SOURCE_USER = '" + groupUser + "', SOURCE_PASSWORD = '" + groupUser +
			"' FOR CHANNEL 'group_replication_recovery'",
	}
	const bootstrap = "SET GLOBAL group_replication_bootstrap_group = "
	statements := append([]string{"SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"}, account...)
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
	return m.wait(ctx)
}

func (m *Member) open() (*sql.DB, error) {
	config, err := Config(m.URL)
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// exec runs statements on one connection.
func (m *Member) exec(ctx context.Context, statements ...string) error {
	db, err := m.open()
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (m *Member) wait(ctx context.Context) error {
	db, err := m.open()
	if err != nil {
		return err
	}
	defer db.Close()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		var state string
		err := db.QueryRowContext(ctx, `SELECT MEMBER_STATE FROM performance_schema.replication_group_members
			WHERE MEMBER_ID = @@GLOBAL.server_uuid`).Scan(&state)
		if err == nil && state == "ONLINE" {
			return nil
		}
		select {
		case <-m.ended:
			return errors.New("it ended before it was online")
		case <-ctx.Done():
			return fmt.Errorf("it is not online but %q: %w", state, ctx.Err())
		case <-retry.C:
		}
	}
}
