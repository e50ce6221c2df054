package auth_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// always is a client all of whose statements fail with what fails returns, where it is not nil.
func (w *world) always(t *testing.T, fails func(statement string) error) *ent.Client {
	t.Helper()
	return w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		s := &saboteur{}
		s.sees = func(statement string) {
			if err := fails(statement); err != nil {
				s.arm(1, fault{err: err})
			}
		}
		return faultyDriver{d, s}
	}))
}

func TestEveryCallOnADatabaseThatGoesOnRefusingIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	readOnly := &mysql.MySQLError{Number: 1290, Message: "running with the --read-only option"}
	client := w.always(t, func(string) error { return readOnly })
	for _, tr := range append(operations, transitions...) {
		email := w.email()
		call := tr.arrange(t, w, email)
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			before := w.state(t, email)
			err := call(t.Context(), w.service(t, client, tr.grace))
			isUnavailable(t, err)
			require.ErrorIs(t, err, readOnly)
			assert.Equal(t, before, w.state(t, email))
		})
	}
}

func isUnavailable(t *testing.T, err error) {
	t.Helper()
	var unavailable *auth.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.False(t, isUnknown(err), "%v", err)
}

func TestEveryWayToBeUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	id := w.register(t, w.email())
	for name, err := range map[string]error{
		"too many connections":           &mysql.MySQLError{Number: 1040},
		"Galera, no quorum":              &mysql.MySQLError{Number: 1047},
		"shutdown":                       &mysql.MySQLError{Number: 1053},
		"a deadlock again and again":     &mysql.MySQLError{Number: 1213},
		"interrupted":                    &mysql.MySQLError{Number: 1317},
		"read-only transactions":         &mysql.MySQLError{Number: 1792},
		"read-only mode":                 &mysql.MySQLError{Number: 1836},
		"MariaDB, killed":                &mysql.MySQLError{Number: 1927},
		"MariaDB, too slow":              &mysql.MySQLError{Number: 1969},
		"a proxy lost its server":        &mysql.MySQLError{Number: 2013},
		"offline mode":                   &mysql.MySQLError{Number: 3032},
		"Group Replication, left":        &mysql.MySQLError{Number: 3100},
		"Group Replication, rolled back": &mysql.MySQLError{Number: 3101},
		"the disk is full":               &mysql.MySQLError{Number: 1021},
		"refused by its machine":         &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")},
		"a handshake that was cut":       &net.OpError{Op: "handshake", Err: mysql.ErrInvalidConn},
		"SQLite, busy":                   busy(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.service(t, w.always(t, func(string) error { return err }), 0)
			wrapped := func(err error) error { return fmt.Errorf("ent: %w", err) }
			isUnavailable(t, wrapped(only(s.Delete(t.Context(), id))))
			_, _, err := s.CheckSession(t.Context(), auth.ParseToken("none"))
			isUnavailable(t, err)
			if !strings.Contains(name, "killed") && !strings.Contains(name, "lost") { // which may have happened
				_, _, err := s.Register(t.Context(), "Ada", w.email(), password)
				isUnavailable(t, err)
				isUnavailable(t, only(s.RevokeSessions(t.Context(), id)))
			}
		})
	}
}

// Whoever gave up is told so, and not only that the database is away.
func TestACallThatEndsWhileItIsTriedAgainTellsOfItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	id := w.register(t, w.email())
	for name, call := range map[string]func(context.Context, *auth.Service) error{
		"a transaction": func(ctx context.Context, s *auth.Service) error { return only(s.Delete(ctx, id)) },
		"a statement":   func(ctx context.Context, s *auth.Service) error { return only(s.RevokeSessions(ctx, id)) },
		"a purge": func(ctx context.Context, s *auth.Service) error {
			_, err := s.Purge(ctx, auth.PurgeOptions{})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tries := 0
		err := call(ctx, w.service(t, w.always(t, func(string) error {
			if tries++; tries == 3 {
				cancel()
			}
			return &mysql.MySQLError{Number: 1213, Message: "deadlock"}
		}), 0))
		require.ErrorIs(t, err, context.Canceled, name)
		isUnavailable(t, err)
	}
}

// Others are the caller's: a fault of the program or of the server's settings, which no waiting ends.
func TestAFaultThatStaysIsNotUnavailable(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for _, number := range []uint16{1054, 1064, 1142, 1146, 1364, 3098} {
			failure := &mysql.MySQLError{Number: number}
			s := w.service(t, w.always(t, func(statement string) error {
				if strings.Contains(statement, "@@") {
					return nil
				}
				return failure
			}), 0)
			err := only(s.Delete(t.Context(), 1))
			require.ErrorIs(t, err, failure)
			var unavailable *auth.UnavailableError
			assert.NotErrorAs(t, err, &unavailable, number)
		}
	})
}

func TestGroupReplicationBetweenTwoPrimariesIsUnavailable(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartOwn(t.Context(), testserver.MySQL, t.Output(),
		"--plugin-load-add=group_replication.so", "--group-replication-start-on-boot=OFF")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	_, err = mysqltest.DB(t, server.URL).Exec("CREATE DATABASE app")
	require.NoError(t, err)
	w := newWorld(t, server.URL+"app")
	s := w.service(t, w.always(t, func(statement string) error {
		if strings.Contains(statement, "@@") {
			return nil
		}
		return &mysql.MySQLError{Number: 3098,
			Message: "The table does not comply with the requirements by an external plugin."}
	}), 0)
	isUnavailable(t, only(s.Delete(t.Context(), 1)))
}

// A change that may be made twice is made again, and is unknown only where none of the tries is known to have made it.
func TestALostChangeThatNoLaterTryMakesIsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	id := w.register(t, w.email())
	for _, first := range []error{mysql.ErrInvalidConn, &mysql.MySQLError{Number: 2013},
		&mysql.MySQLError{Number: 1927}} {
		var tries atomic.Int32
		s := w.service(t, w.always(t, func(string) error {
			if tries.Add(1) == 1 {
				return first
			}
			return &mysql.MySQLError{Number: 1290}
		}), 0)
		assert.True(t, isUnknown(s.ChangeRole(t.Context(), id, schematype.RoleAdmin)), "%v", first)
		tries.Store(0)
		assert.True(t, isUnknown(s.Unsuspend(t.Context(), id)), "%v", first)
		tries.Store(0)
		_, _, err := s.Register(t.Context(), "Ada", w.email(), password)
		assert.True(t, isUnknown(err), "%v", first)
		tries.Store(0)
		isUnavailable(t, only(s.Delete(t.Context(), id))) // BEGIN was lost
	}
}

// A router accepts the connection while nothing is behind it, and ends it before or in the middle of the handshake, or
// says nothing.
func TestAHandshakeThatComesToNothingChangesNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(net.Conn){
		"cut at once":         func(c net.Conn) {},
		"cut in the greeting": func(c net.Conn) { _, _ = c.Write([]byte{74, 0, 0, 0, 10, '8'}) },
		"an error for a greeting": func(c net.Conn) {
			_, _ = c.Write(append([]byte{23, 0, 0, 0, 0xff, 0x10, 4}, "Too many connections"...))
		},
		"a proxy's error, ambiguous": func(c net.Conn) {
			_, _ = c.Write(append([]byte{23, 0, 0, 0, 0xff, 0xdd, 7}, "Lost the server here"...))
		},
		"silence": func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				w := newWorld(t, url)
				router := &router{answer: answer}
				through := router.start(t, url)
				w.url = through + "?timeout=100ms"
				client := w.open(t, authgraph.WithPool(authgraph.Pool{MaxOpen: 1, MaxLifetime: time.Nanosecond}))
				s := w.service(t, client, 0)
				router.away.Store(true)
				email := w.email()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_, _, err := s.Register(ctx, "Ada", email, password)
				isUnavailable(t, err)
				_, err = s.SignIn(ctx, email, password, device)
				isUnavailable(t, err)
				router.away.Store(false)
				_, _, err = s.Register(ctx, "Ada", email, password)
				require.NoError(t, err, "it goes on as soon as the server is there")
			})
		})
	}
}

// router passes connections on to a server, or does something else with them while it is away.
type router struct {
	answer func(net.Conn)
	away   atomic.Bool
}

func (r *router) start(t *testing.T, url string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	before, after, _ := strings.Cut(url, "@")
	host, name, _ := strings.Cut(after, "/")
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, client)
			mu.Unlock()
			group.Go(func() {
				defer end(client)
				if r.away.Load() {
					r.answer(client)
					return
				}
				server, err := net.Dial("tcp", host)
				if err != nil {
					return
				}
				defer end(server)
				group.Go(func() { _, _ = server.(*net.TCPConn).ReadFrom(client); end(server) })
				_, _ = client.(*net.TCPConn).ReadFrom(server)
			})
		}
	})
	t.Cleanup(func() {
		end(listener)
		mu.Lock()
		for _, c := range open {
			end(c)
		}
		mu.Unlock()
		group.Wait()
	})
	return before + "@" + listener.Addr().String() + "/" + name
}

// end closes what its other side may have closed before.
func end(c io.Closer) { _ = c.Close() }

// A deadline that ends in the queue for a connection is no change that may have happened.
func TestACallThatGetsNoConnectionChangesNothing(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		client := w.open(t, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}))
		s := w.service(t, client, 0)
		_, _, err := s.Register(t.Context(), "Ada", w.email(), password)
		require.NoError(t, err)
		held, err := client.Tx(t.Context())
		require.NoError(t, err)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, _, err = s.Register(ctx, "Bob", w.email(), password)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.False(t, isUnknown(err), "%v", err)
		}
		require.NoError(t, held.Rollback())
	})
}

// A server that was demoted goes on answering. Its connections are given up, so that the next one may reach its
// successor, and what it refused has not happened, not even where COMMIT was refused.
func TestAServerThatTurnedReadOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		product *testserver.Product
		on, off string
	}{
		{testserver.MySQL, "SET GLOBAL super_read_only = ON", "SET GLOBAL read_only = OFF"},
		{testserver.MariaDB, "SET GLOBAL read_only = ON", "SET GLOBAL read_only = OFF"},
	} {
		t.Run(c.product.String(), func(t *testing.T) {
			t.Parallel()
			server, err := testserver.StartOwn(t.Context(), c.product, t.Output())
			require.NoError(t, err)
			t.Cleanup(server.Stop)
			admin := mysqltest.DB(t, server.URL)
			for _, text := range []string{"CREATE DATABASE app", "CREATE USER app@'127.0.0.1'",
				"GRANT ALL ON app.* TO app@'127.0.0.1'"} {
				_, err := admin.Exec(text)
				require.NoError(t, err)
			}
			set := func(text string) { _, err := admin.Exec(text); require.NoError(t, err) }
			w := newWorld(t, server.URL+"app")
			w.url = strings.Replace(server.URL, "root@", "app@", 1) + "app"
			for name, param := range map[string]string{"": "", "with the driver's own way": "?rejectReadOnly=true"} {
				t.Run(name, func(t *testing.T) {
					url := w.url
					defer func() { w.url = url }()
					w.url += param
					var before string // what is sent when the server turns
					var s saboteur
					var turned sync.Once
					s.sees = func(statement string) {
						if before != "" && strings.HasPrefix(statement, before) {
							turned.Do(func() { set(c.on) })
						}
					}
					client := w.open(t, authgraph.WithPool(authgraph.Pool{MaxOpen: 1}),
						authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
					service := w.service(t, client, 0)
					for _, statement := range []string{"START", "UPDATE `users`", "UPDATE `sessions`", "COMMIT"} {
						email := w.email()
						id := w.register(t, email)
						w.signIn(t, email)
						state := w.state(t, email)
						old := connectionID(t, client)
						before, turned = statement, sync.Once{}
						isUnavailable(t, only(service.Delete(t.Context(), id)))
						before = ""
						assert.NotEqual(t, old, connectionID(t, client), statement)
						_, _, err := service.Register(t.Context(), "Ada", w.email(), password)
						isUnavailable(t, err)
						isUnavailable(t, only(service.RevokeSessions(t.Context(), id)))
						set(c.off)
						assert.Equal(t, state, w.state(t, email), statement)
						require.NoError(t, only(service.Delete(t.Context(), id)), statement)
					}
				})
			}
		})
	}
}

func connectionID(t *testing.T, client *ent.Client) (id int) {
	t.Helper()
	rows, err := client.QueryContext(t.Context(), "SELECT CONNECTION_ID()")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&id))
	require.NoError(t, rows.Err())
	return id
}
