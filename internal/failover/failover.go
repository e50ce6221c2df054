// Package failover makes connections to the one of several servers that takes writes, and follows it when another one
// does. It finds that out by asking them.
//
//	db := sql.OpenDB(failover.New([]failover.Server{{Name: "h1:3306", …}, {Name: "h2:3306", …}}))
//
// Of several that take writes, the first in the list is taken, so that the processes of a service agree. As long as
// that one does, none before it is gone back to. [NewForReading] is the same for servers that are only read from.
package failover

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

const (
	// interval is the time between two questions to a server.
	interval = 250 * time.Millisecond
	// answer is how long a server may take for its answer. A frozen one accepts connections and says nothing.
	answer = time.Second
	// head is how long a server that takes writes waits for the answers of those before it in the list.
	head = 300 * time.Millisecond
	// again is when a server is asked for a connection again that has just refused one.
	again = 50 * time.Millisecond
)

// Server is one of the servers.
type Server struct {
	// Name is its address, for errors.
	Name string
	// Connector makes the driver's own connections to it, by Sockets.Dial.
	Connector driver.Connector
	// Probe makes the connection over which it is asked, which must wait for no other server: of a cluster that is busy
	// with a long statement, all would be silent.
	Probe   driver.Connector
	Sockets *Sockets
}

// New returns the connector. It asks nothing until the first connection is asked for. From then on it asks the server
// in use four times a second, over a connection of its own, and the others as often while that one is of no use, until
// Close. It is safe for concurrent use.
func New(servers []Server) *Connector { return connector(servers, false) }

// NewForReading returns a connector to the first server that belongs to its cluster, whether or not it takes writes. A
// server that has left its group answers as before, without what the group does, so that connections to it are cut.
func NewForReading(servers []Server) *Connector { return connector(servers, true) }

func connector(servers []Server, reading bool) *Connector {
	c := &Connector{reading: reading, seeking: true, moved: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, s := range servers {
		c.nodes = append(c.nodes, &node{Server: s, reading: reading})
	}
	return c
}

// Connector is a [driver.Connector].
type Connector struct {
	nodes   []*node
	reading bool
	ctx     context.Context //nolint:containedctx // that of the watching, which goes on between calls
	cancel  context.CancelFunc
	start   sync.Once

	mu      sync.Mutex
	current *node // nil while no server takes writes
	used    *node // the one that was in use last
	why     error // why there is none
	// seeking is whether another server may have to take the place of current, since when.
	seeking bool
	since   time.Time
	moved   chan struct{} // closed when current or seeking changes
}

// NoPrimaryError says why none of the servers takes writes, or can be read from.
type NoPrimaryError struct {
	// Reasons are one for each server.
	Reasons []error
	Reading bool
}

func (e *NoPrimaryError) Error() string {
	texts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		texts[i] = r.Error()
	}
	what := "takes writes"
	if e.Reading {
		what = "can be read from"
	}
	return "none of the servers " + what + ": " + strings.Join(texts, "; ")
}

// Unwrap returns Reasons.
func (e *NoPrimaryError) Unwrap() []error { return e.Reasons }

// Connect waits until a server takes writes, or ctx ends. Where each of them refuses the user, or the one in use does,
// it returns that error at once.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	c.start.Do(c.watch)
	for {
		n, moved, why := c.state()
		var err error
		switch {
		case n != nil:
			var made driver.Conn
			made, err = n.connect(ctx, moved)
			switch now, _, _ := c.state(); {
			case err == nil && now != n:
				_ = made.Close() // another one took its place meanwhile
				continue
			case err == nil:
				return c.adopt(n, made)
			case stays(err):
				return nil, err
			}
			c.suspect(n)
		case stays(why), c.reading && why != nil: // whoever reads has another server to ask
			return nil, why
		}
		timer := time.NewTimer(again)
		select {
		case <-moved:
		case <-timer.C:
		case <-c.ctx.Done():
			err = errClosed
		case <-ctx.Done():
			if _, _, why = c.state(); why != nil {
				err = why
			} else if err == nil {
				err = ctx.Err()
			}
		}
		timer.Stop()
		if ctx.Err() != nil || c.ctx.Err() != nil {
			return nil, &net.OpError{Op: "dial", Net: "mysql", Err: err}
		}
	}
}

var errClosed = errors.New("the client is closed")

// Driver implements [driver.Connector].
func (c *Connector) Driver() driver.Driver { return c.nodes[0].Connector.Driver() }

// Close ends the watching. [database/sql.DB.Close] calls it.
func (c *Connector) Close() error {
	c.cancel()
	return nil
}

func (c *Connector) state() (current *node, moved <-chan struct{}, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, c.moved, c.why
}

// watch has each server asked for as long as its answer decides anything.
func (c *Connector) watch() {
	c.since = time.Now()
	for _, n := range c.nodes {
		go func() {
			defer n.hangUp()
			for c.ctx.Err() == nil {
				c.mu.Lock()
				idle, moved := !c.seeking && c.current != n, c.moved
				c.mu.Unlock()
				var next <-chan time.Time
				if idle {
					n.hangUp()
				} else {
					c.answered(n, n.ask(c.ctx))
					moved, next = nil, time.After(interval)
				}
				select {
				case <-moved:
				case <-next:
				case <-c.ctx.Done():
				}
			}
		}()
	}
}

// suspect has the others asked, too.
func (c *Connector) suspect(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == n && !c.seeking {
		c.seek(n)
	}
}

func (c *Connector) seek(but *node) {
	c.seeking, c.since = true, time.Now()
	for _, n := range c.nodes {
		n.asked = n == but && n.asked
	}
	c.move()
}

func (c *Connector) move() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// answered takes in whether a server takes writes, and decides which one is in use.
func (c *Connector) answered(n *node, err error) {
	c.mu.Lock()
	before := c.current
	n.asked, n.err = true, err
	switch {
	case n == before && err == nil:
		if c.seeking {
			c.seeking = false
			c.move()
		}
	case n == before && !c.seeking:
		c.seek(n)
	case c.seeking:
		c.choose()
	}
	used := c.used
	if c.current != nil || c.reading {
		c.used = c.current
	}
	moved := used != nil && used != c.used
	c.mu.Unlock()
	if moved {
		used.Sockets.cut() // what goes on there may never be answered
	}
}

// choose takes the first server in the list that takes writes into use, or none if all have answered.
func (c *Connector) choose() {
	var reasons []error
	for _, n := range c.nodes {
		switch {
		case !n.asked && time.Since(c.since) < head:
			return
		case !n.asked:
		case n.err == nil:
			c.current, c.why, c.seeking = n, nil, false
			c.move()
			return
		default:
			reasons = append(reasons, n.err)
		}
	}
	switch {
	case len(reasons) < len(c.nodes):
	case c.current != nil && !isRefusal(c.current.err): // it said nothing: it may be slow
	default:
		c.current, c.why = nil, &NoPrimaryError{Reasons: reasons, Reading: c.reading}
		c.move()
	}
}

// adopt makes a connection one of a server in use.
func (c *Connector) adopt(n *node, made driver.Conn) (driver.Conn, error) {
	base, ok := made.(mysqlconn.Conn)
	if !ok {
		_ = made.Close() // the error below says more
		return nil, fmt.Errorf("failover: a connection of type %T is not the driver's", made)
	}
	return &conn{Conn: base, of: n, c: c}, nil
}

// conn is a connection to the server that was in use when it was made.
type conn struct {
	mysqlconn.Conn
	of *node
	c  *Connector
}

func (c *conn) current() bool {
	n, _, _ := c.c.state()
	return n == c.of || n == nil && !c.c.reading
}

// IsValid implements [driver.Validator].
func (c *conn) IsValid() bool { return c.current() && c.Conn.IsValid() }

// ResetSession implements [driver.SessionResetter].
func (c *conn) ResetSession(ctx context.Context) error {
	if !c.current() {
		return driver.ErrBadConn
	}
	return c.Conn.ResetSession(ctx)
}

// isRefusal reports whether a server answered that it takes no writes.
func isRefusal(err error) bool {
	var no *refusalError
	return errors.As(err, &no)
}
