package failover

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// node is a server, and the connection over which it is asked.
type node struct {
	Server
	reading bool
	// asked is whether it has answered since the seeking began, and err why it takes no writes. Both are of
	// Connector.mu.
	asked bool
	err   error

	// What follows is of the goroutine that asks. probe is nil before the first question and after an error.
	probe driver.Conn
	// memberless is a server that lets the account read nothing of a group, or is in none.
	memberless bool
}

// refusalError is a server's word that it takes no writes.
type refusalError struct{ reason string }

func (e *refusalError) Error() string { return e.reason }

// StrangerError is a server that cannot be read from in the place of another one.
type StrangerError struct {
	// Denied is set if the account may not read whether the server belongs to its group. Otherwise it is in none.
	Denied bool
}

func (e *StrangerError) Error() string {
	if e.Denied {
		return "the account may not see whether the server belongs to its group"
	}
	return "the server belongs to no cluster, so it cannot wait for what was changed elsewhere"
}

// connect makes a connection, unless another server is in use meanwhile.
func (n *node) connect(ctx context.Context, moved <-chan struct{}) (driver.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-moved:
			cancel()
		case <-done:
		}
	}()
	return n.Connector.Connect(ctx)
}

// ask returns nil if the server takes writes, or else why not.
func (n *node) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	err := n.question(ctx)
	if err != nil && !isRefusal(err) {
		n.hangUp()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}

func (n *node) hangUp() {
	if n.probe != nil {
		_ = n.probe.Close()                // nothing was written
		n.probe, n.memberless = nil, false // the right may have been granted
	}
}

// Of a group of MySQL servers a member takes writes if it is the primary, which the others' super_read_only says, and
// if it sees more than half of the group, without which a write would wait (MySQL manual, "The
// replication_group_members Table"). A node of a Galera cluster without a quorum refuses these queries as it refuses a
// write. Setting super_read_only sets read_only, too.
const (
	readOnlyQuery = "SELECT @@GLOBAL.read_only"
	membersQuery  = "SELECT COUNT(*), COALESCE(SUM(MEMBER_STATE = 'UNREACHABLE'), 0)," +
		" COALESCE(MAX(CASE WHEN MEMBER_ID = @@GLOBAL.server_uuid THEN MEMBER_STATE END), '')" +
		" FROM performance_schema.replication_group_members WHERE MEMBER_ID <> ''"
)

func (n *node) question(ctx context.Context) error {
	if n.probe == nil {
		var err error
		if n.probe, err = n.Probe.Connect(ctx); err != nil {
			n.probe = nil
			return err
		}
	}
	row, err := n.row(ctx, readOnlyQuery, 1)
	if err != nil {
		return err
	}
	if !n.reading && !slices.Contains([]string{"0", "off"}, strings.ToLower(row[0])) {
		return &refusalError{"it is read-only"}
	}
	if n.memberless && !n.reading {
		return nil
	}
	row, err = n.row(ctx, membersQuery, 3)
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		n.memberless = server.Number == 1142 || server.Number == 1146 // no right, no such table: it stays so
		if n.reading && server.Number == 1142 {
			return &StrangerError{Denied: true}
		}
		return nil
	case err != nil:
		return err
	case row[0] == "0":
		return nil
	}
	var all, unreachable int
	if _, err := fmt.Sscan(row[0]+" "+row[1], &all, &unreachable); err != nil {
		return fmt.Errorf("read the members of the group: %w", err)
	}
	switch state := row[2]; {
	case state != "ONLINE":
		return &refusalError{"as a member of its group it is " + strings.ToLower(state)}
	case 2*unreachable >= all:
		return &refusalError{fmt.Sprintf("it cannot reach %d of the %d members of its group", unreachable, all)}
	}
	return nil
}

// row is the one row of a query, as text.
func (n *node) row(ctx context.Context, query string, columns int) ([]string, error) {
	queryer, ok := n.probe.(driver.QueryerContext)
	if !ok {
		return nil, errors.New("the driver's connection has no QueryContext")
	}
	rows, err := queryer.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	values := make([]driver.Value, columns)
	if err := errors.Join(rows.Next(values), rows.Close()); err != nil {
		return nil, err
	}
	out := make([]string, columns)
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		out[i] = fmt.Sprint(v)
	}
	return out, nil
}

// passing are errors of a server after which it, or another one, may well let the user in.
var passing = []uint16{1040, 1047, 1053, 1129, 1203, 1226, 3032}

// stays reports whether a server, or each of them, let nobody in for a reason that does not pass.
func stays(err error) bool {
	if none, ok := errors.AsType[*NoPrimaryError](err); ok {
		return !slices.ContainsFunc(none.Reasons, func(reason error) bool { return !stays(reason) })
	}
	if _, ok := errors.AsType[*StrangerError](err); ok {
		return true
	}
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && !slices.Contains(passing, server.Number)
}

// Sockets are those of the connections to a server, so that they can be cut: a connection that waits for an answer is
// held by its driver.
type Sockets struct {
	mu   sync.Mutex
	open map[*socket]struct{}
}

// Dial makes a connection of a driver one that can be cut.
func (s *Sockets) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	made, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k := &socket{Conn: made, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*socket]struct{}{}
	}
	s.open[k] = struct{}{}
	return k, nil
}

func (s *Sockets) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.open {
		_ = k.Conn.Close() // whoever uses it is told
	}
	clear(s.open)
}

type socket struct {
	net.Conn
	of *Sockets
}

// SyscallConn lets the driver see whether the server has closed a connection.
func (k *socket) SyscallConn() (syscall.RawConn, error) {
	c, ok := k.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("failover: a connection of type %T has no file", k.Conn)
	}
	return c.SyscallConn()
}

func (k *socket) Close() error {
	k.of.mu.Lock()
	delete(k.of.open, k)
	k.of.mu.Unlock()
	return k.Conn.Close()
}
