package testserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Cluster is servers that hold the same data.
type Cluster struct {
	// Members are in the order in which they joined.
	Members []*Member
	release func()
}

// Stop ends all members, and removes their data.
func (c *Cluster) Stop() {
	for _, m := range c.Members {
		m.Kill()
	}
	c.release()
}

// Member is a server of a [Cluster].
type Member struct {
	Server
	product *Product
	log     string
	// command runs the server, for the first time or again, and join has it belong to the others.
	command func(again bool) (*exec.Cmd, error)
	join    func(ctx context.Context, again bool) error
	// state is a query whose second column is member where it does, and that of size is how many do.
	state, member, size string

	cmd   *exec.Cmd
	ended chan struct{}
}

// begin makes a cluster, whose folder is removed at its end.
func begin(ctx context.Context, product *Product) (c *Cluster, folder string, err error) {
	parent := os.TempDir()
	if os.Getenv("TMPDIR") == "" && hasRoomInMemory(memory) {
		parent = memory
	}
	folder, release, err := temporaryFolder(ctx, parent, product)
	if err != nil {
		return nil, "", err
	}
	return &Cluster{release: sync.OnceFunc(release)}, folder, nil
}

// add starts a member and has it join.
func (c *Cluster) add(ctx context.Context, m *Member, say func(string, ...any)) error {
	c.Members = append(c.Members, m)
	err := m.run(ctx, false)
	if err == nil {
		err = m.enter(ctx, false)
	}
	if err != nil {
		return fmt.Errorf("member %d: %w", len(c.Members), err)
	}
	say("member %d on %s", len(c.Members), address(m.URL))
	return nil
}

func (m *Member) run(ctx context.Context, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd, err := m.command(again)
	if err != nil {
		return err
	}
	output, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
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
	if m.Version, err = waitReady(ctx, m.product, m.URL, ended); err != nil {
		m.Kill()
		return fmt.Errorf("%w\n%s", err, logTail(m.log))
	}
	return nil
}

// enter has a member that runs belong to the others.
func (m *Member) enter(ctx context.Context, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := m.join(ctx, again); err != nil {
		return fmt.Errorf("%w\n%s", err, logTail(m.log))
	}
	return nil
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

// Rejoin has a member that was killed, or that the others have shut out, belong to them again.
func (m *Member) Rejoin(ctx context.Context) error {
	if m.HasEnded() {
		if err := m.Restart(ctx); err != nil {
			return err
		}
	}
	return m.enter(ctx, true)
}

// Restart starts a member that was killed. A member of a group belongs to none until it rejoins.
func (m *Member) Restart(ctx context.Context) error { return m.run(ctx, true) }

// HasEnded reports whether the member's process has ended.
func (m *Member) HasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// IsWhole reports whether all members belong to the cluster, and all say so.
func (c *Cluster) IsWhole(ctx context.Context) bool {
	return !slices.ContainsFunc(c.Members, func(m *Member) bool {
		if !m.Joined(ctx) {
			return true
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return m.waitFor(ctx, m.size, fmt.Sprint(len(c.Members))) != nil
	})
}

// Joined reports whether the member belongs to the others.
func (m *Member) Joined(ctx context.Context) bool {
	if m.HasEnded() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return m.waitFor(ctx, m.state, m.member) == nil
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

// waitFor waits until the last column of a query's row has a value.
func (m *Member) waitFor(ctx context.Context, query, value string) error {
	db, err := m.open()
	if err != nil {
		return err
	}
	defer db.Close()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		var name, state string
		err := db.QueryRowContext(ctx, query).Scan(&name, &state)
		if err == nil && state == value {
			return nil
		}
		select {
		case <-m.ended:
			return errors.New("it ended before it was " + value)
		case <-ctx.Done():
			return fmt.Errorf("it is not %s but %q: %w", value, state, ctx.Err())
		case <-retry.C:
		}
	}
}

// freePorts are different ones, which one after the other need not be.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
