package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// Which errors mean that nothing happened, shown on one transition: fault_test.go shows all of them for a few errors.
func TestWhatTheDatabaseRolledBackIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	var s saboteur
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
	tr := transitions[slices.IndexFunc(transitions, func(tr transition) bool { return tr.name == "rotate" })]
	try := func(t *testing.T, n int, f fault) (strike, error) {
		call := tr.arrange(t, w, w.email())
		svc := w.service(t, client, 0)
		s.arm(n, f)
		err := call(t.Context(), svc)
		return s.disarm(), err
	}
	const statements = 5

	for name, err := range map[string]error{
		"MariaDB, changed since the snapshot": &mysql.MySQLError{Number: 1020},
		"certification failed in COMMIT":      &mysql.MySQLError{Number: 1180},
		"lock wait timeout":                   &mysql.MySQLError{Number: 1205},
		"deadlock":                            &mysql.MySQLError{Number: 1213},
		"a statement of the session is gone":  &mysql.MySQLError{Number: 1243},
		"a statement needs preparing again":   &mysql.MySQLError{Number: 1615},
		"Group Replication, certification":    &mysql.MySQLError{Number: 3101},
		"read-only":                           &mysql.MySQLError{Number: 1290},
		"read-only mode":                      &mysql.MySQLError{Number: 1836},
		"Group Replication, member left":      &mysql.MySQLError{Number: 3100},
		"SQLite, busy":                        busy(t),
		"SQLite, interrupted":                 interrupted{},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= statements; n++ {
				hit, err := try(t, n, fault{err: err})
				require.True(t, hit.landed)
				assert.NoError(t, err, hit.statement)
			}
		})
	}
	for name, err := range map[string]error{
		"a proxy lost its server":      &mysql.MySQLError{Number: 2013},
		"the network, told in time":    &mysql.MySQLError{Number: 1159},
		"MariaDB, killed":              &mysql.MySQLError{Number: 1927},
		"the packets are out of order": mysql.ErrPktSync,
		"the packet is malformed":      mysql.ErrMalformPkt,
		"the network broke":            &net.OpError{Op: "write", Err: errors.New("broken pipe")},
		"the connection is closed":     sql.ErrConnDone,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n < statements; n++ {
				hit, err := try(t, n, fault{err: err})
				require.True(t, hit.landed)
				assert.NoError(t, err, hit.statement)
			}
			for _, after := range []bool{false, true} {
				hit, err := try(t, statements, fault{err: err, after: after})
				assert.True(t, hit.commit)
				assert.True(t, isUnknown(err), "%v", err)
			}
		})
	}
	t.Run("a server that refuses COMMIT in its own words has told nothing of the outcome", func(t *testing.T) {
		_, err := try(t, statements, fault{err: &mysql.MySQLError{Number: 1105, Message: "unknown error"}})
		assert.True(t, isUnknown(err), "%v", err)
	})
	t.Run("a server that cannot be reached is told at once", func(t *testing.T) {
		_, err := try(t, 1, fault{err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}})
		assert.ErrorContains(t, err, "connection refused")
		assert.False(t, isUnknown(err))
	})
	w.checkFamilies(t)
}

// busy is what SQLite says to the second of two writers.
func busy(t *testing.T) error {
	t.Helper()
	open := func() *sql.DB {
		db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(t.TempDir(), "..",
			"busy.db"))+"?_txlock=immediate")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		return db
	}
	tx, err := open().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = open().BeginTx(t.Context(), nil)
	require.ErrorContains(t, err, "SQLITE_BUSY")
	require.NoError(t, tx.Rollback())
	return err
}

// interrupted is what glebarez/go-sqlite says of a statement that it interrupted.
type interrupted struct{}

func (interrupted) Error() string { return "interrupted (9)" }

func (interrupted) Code() int { return 9 }

func TestTheEndOfAContextIsToldForAnInterruptedStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	ctx, cancel := context.WithCancel(t.Context())
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return onStatement{d, func(string) error {
			if ctx.Err() == nil {
				return nil
			}
			return interrupted{}
		}}
	}))
	svc := w.service(t, client, 0)
	id := w.register(t, w.email())
	cancel()
	_, err := svc.Delete(ctx, id)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, interrupted{})
}

func TestTransactionThatAlwaysLosesEndsInItsError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	deadlock := &mysql.MySQLError{Number: 1213, Message: "Deadlock found"}
	begun := 0
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return onStatement{d, func(statement string) error {
			if statement != "START TRANSACTION" {
				return nil
			}
			begun++
			return deadlock
		}}
	}))
	id := w.register(t, w.email())
	_, err := w.service(t, client, 0).Delete(t.Context(), id)
	assert.ErrorIs(t, err, deadlock)
	assert.False(t, isUnknown(err))
	assert.Equal(t, 20, begun)
}

// Each try of a rotation locks more than the answer needs. Of many at once, each would have to get past all the others.
func TestARotationThatLostReadsWhetherAnotherHasWonBeforeItLocksAgain(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.register(t, "ada@example.com")
		token := w.signIn(t, "ada@example.com").Refresh
		var winner auth.Token
		inserts := 0
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return onStatement{d, func(statement string) (err error) {
				switch {
				case strings.HasPrefix(statement, "INSERT INTO refresh_tokens"):
					inserts++
				case strings.HasPrefix(statement, "UPDATE refresh_tokens") && winner == (auth.Token{}):
					winner, _, err = w.service(t, w.client, 10*time.Second).Rotate(t.Context(), token)
					return errors.Join(err, &mysql.MySQLError{Number: 1213, Message: "Deadlock found"})
				}
				return nil
			}}
		}))
		got, _, err := w.service(t, client, 10*time.Second).Rotate(t.Context(), token)
		require.NoError(t, err)
		assert.Equal(t, winner.Reveal(), got.Reveal())
		assert.Equal(t, 1, inserts)
	})
}

// What ends the standing of all devices in between refuses nobody who has just shown the password.
func TestADeviceThatSignsInWhileAllLoseTheirStandingHasItAfterwards(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		id := w.register(t, "ada@example.com")
		armed, revoked := false, false
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return onStatement{d, func(statement string) (err error) {
				if statement == "START TRANSACTION" && armed {
					armed, revoked = false, true
					_, err = w.honest.RevokeAll(t.Context(), id)
				}
				return err
			}}
		}))
		s := w.service(t, client, 0)
		armed = true
		g, err := s.SignIn(t.Context(), "ada@example.com", password, device)
		require.NoError(t, err)
		require.True(t, revoked)
		var known bool
		require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT s.trust_epoch = u.trust_epoch AND u.trust_epoch > 0
			FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?`, g.Session.ID).Scan(&known))
		assert.True(t, known)
	})
}

// A project's own DSN may have transactions begin without the lock of the file.
func TestManyWriteAtOnceOnSQLiteWhateverTheDSNSays(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mysqltest.SQLite(t))
			id := w.register(t, w.email())
			require.NoError(t, w.client.Close())
			_, err := w.db.ExecContext(t.Context(), "PRAGMA journal_mode = "+journal)
			require.NoError(t, err)
			s := w.service(t, w.deferred(t, nil), 0)
			errs := make([]error, 64)
			var callers sync.WaitGroup
			for i := range errs {
				callers.Go(func() {
					for range 3 {
						_, _, err := s.StartSession(t.Context(), id, device)
						errs[i] = errors.Join(errs[i], err)
					}
				})
			}
			callers.Wait()
			assert.NoError(t, errors.Join(errs...))
		})
	}
}

// Without the lock every try would lose to the other writer.
func TestATransactionThatLosesTheFileTakesItFirstTheNextTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	w.register(t, w.email())
	var read bool
	var others []bool
	client := w.deferred(t, func(d dialect.Driver) dialect.Driver {
		return onStatement{d, func(statement string) error {
			if read && !strings.HasPrefix(statement, "SELECT") {
				_, err := w.db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0; UPDATE users SET name = 'other'")
				others = append(others, err == nil)
			}
			read = strings.HasPrefix(statement, "SELECT")
			return nil
		}}
	})
	_, err := w.service(t, client, 0).IssueCode(t.Context(),
		auth.CodeRequest{Email: w.email(), Kind: schematype.OTPSignIn, Device: device})
	require.NoError(t, err)
	assert.Equal(t, []bool{true, false}, others)
}

// deferred is a client whose transactions begin without the lock of the SQLite file.
func (w *world) deferred(t *testing.T, wrap func(dialect.Driver) dialect.Driver) *ent.Client {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(w.url, "sqlite://")+
		"?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_time_format=sqlite&_pragma=synchronous(OFF)")
	require.NoError(t, err)
	var drv dialect.Driver = entsql.OpenDB(dialect.SQLite, db)
	if wrap != nil {
		drv = wrap(drv)
	}
	client := ent.NewClient(ent.Driver(drv))
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

func TestRealLockWaitTimeoutIsTriedAgain(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		id := w.register(t, email)
		w.signIn(t, email)
		holder, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = holder.ExecContext(t.Context(), `UPDATE users SET name = 'held' WHERE id = ?`, id)
		require.NoError(t, err)

		var release sync.Once
		waited := false
		w.url = withParameter(t, url, "innodb_lock_wait_timeout", "1")
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return onError{d, func(err error) {
				if isServerError(err, 1205) {
					release.Do(func() { waited = true; assert.NoError(t, holder.Commit()) })
				}
			}}
		}))
		require.NoError(t, only(w.service(t, client, 0).Delete(t.Context(), id)))
		assert.True(t, waited)
		assert.Contains(t, w.state(t, email), "deleted true")
		assert.NotContains(t, w.state(t, email), "active true")
	})
}

func TestRealDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, repeatableRead(t, url))
		email := w.email()
		id := w.register(t, email)
		w.signIn(t, email)
		// The other transaction takes the session, waits for the user, and is made the dearer one to roll back.
		other, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = other.ExecContext(t.Context(), `UPDATE sessions SET ip = '192.0.2.1' WHERE user_id = ?`, id)
		require.NoError(t, err)
		for range 20 {
			_, err = other.ExecContext(t.Context(),
				`INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at)
					VALUES ('x@example.com', 'x', 'signin', NOW(6), NOW(6))`)
			require.NoError(t, err)
		}
		done := make(chan error, 1)
		var start sync.Once
		begun := 0
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
			return onStatement{d, func(statement string) error {
				if statement == "START TRANSACTION" {
					begun++
				}
				if strings.HasPrefix(statement, "UPDATE `refresh_tokens`") {
					start.Do(func() {
						go func() {
							_, err := other.ExecContext(t.Context(), `UPDATE users SET name = 'other' WHERE id = ?`, id)
							done <- errors.Join(err, other.Commit())
						}()
					})
				}
				return nil
			}}
		}))
		s := w.service(t, client, 0)
		begun = 0 // New begins one, too
		require.NoError(t, only(s.Delete(t.Context(), id)))
		require.NoError(t, <-done)
		assert.Equal(t, 2, begun)
		assert.NotContains(t, w.state(t, email), "active true")
	})
}

// On MariaDB the write of a last use holds the session and looks for the user: their index has the time, too.
func TestALastUseIsWrittenAfterADeadlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, repeatableRead(t, mysqltest.MariaDB(t)))
	id := w.register(t, "ada@example.com")
	g := w.signIn(t, "ada@example.com")
	other, err := w.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, statement := range append(slices.Repeat([]string{ // which make it the dearer one to roll back
		`INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at)
			VALUES ('x@example.com', 'x', 'signin', NOW(6), NOW(6))`,
	}, 20), `UPDATE users SET name = 'other' WHERE id = `+fmt.Sprint(id)) {
		_, err = other.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	var tries atomic.Int32
	client := w.spied(t, func(query string) {
		if strings.HasPrefix(query, "UPDATE `sessions`") {
			tries.Add(1)
		}
	})
	s := w.serviceAt(t, client, 2*time.Minute)
	_, _, err = s.CheckSession(t.Context(), g.Token)
	require.NoError(t, err)
	// The server keeps what it shows for as long as somebody looks at it within a tenth of a second.
	require.Eventually(t, func() bool {
		var n int
		err := w.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.INNODB_TRX
			WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE 'UPDATE%sessions%'`).Scan(&n)
		return assert.NoError(t, err) && n > 0
	}, 4*time.Second, 120*time.Millisecond)
	_, err = other.ExecContext(t.Context(), `UPDATE sessions SET ip = '192.0.2.1' WHERE user_id = ?`, id)
	require.NoError(t, err)
	require.NoError(t, other.Commit())
	require.NoError(t, s.Close(t.Context()))
	row, err := w.client.Session.Get(t.Context(), g.Session.ID)
	require.NoError(t, err)
	assert.True(t, row.LastUsedAt.After(g.Session.LastUsedAt))
	assert.EqualValues(t, 2, tries.Load())
}

func TestRowChangedSinceTheSnapshotIsTriedAgain(t *testing.T) {
	t.Parallel()
	url := mysqltest.MariaDB(t)
	mysqltest.NeedsMariaDB(t, url, "10.6.18", "innodb_snapshot_isolation")
	w := newWorld(t, url)
	email := w.email()
	call := signInWithProvider(email)
	require.NoError(t, call(t.Context(), w.honest))
	var change sync.Once
	changed := 0
	w.url = withParameter(t, w.url, "innodb_snapshot_isolation", "ON")
	// A serializable read would lock the row, and the change would wait.
	w.url = withParameter(t, w.url, "tx_isolation", "'REPEATABLE-READ'")
	client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return onError{onStatement{d, func(statement string) error {
			if strings.HasPrefix(statement, "UPDATE `users`") {
				change.Do(func() {
					_, err := w.db.ExecContext(t.Context(), `UPDATE users SET name = 'changed' WHERE email = ?`, email)
					assert.NoError(t, err)
				})
			}
			return nil
		}}, func(err error) {
			if isServerError(err, 1020) {
				changed++
			}
		}}
	}))
	require.NoError(t, call(t.Context(), w.service(t, client, 0)))
	assert.Equal(t, 1, changed)
}

func TestOfManyCodesIssuedAtOnceOneIs(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		for _, level := range []string{"READ-COMMITTED", "REPEATABLE-READ"} {
			w := newWorld(t, url)
			name := "transaction_isolation"
			if strings.HasSuffix(t.Name(), "/mariadb") {
				name = "tx_isolation"
			}
			w.url = withParameter(t, url, name, "'"+level+"'")
			s := w.service(t, w.open(t), 0)
			email := w.email()
			errs := make([]error, 12)
			var callers sync.WaitGroup
			for i := range errs {
				callers.Go(func() { errs[i] = issueCode(codeFor(email))(t.Context(), s) })
			}
			callers.Wait()
			issued := 0
			for _, err := range errs {
				if err == nil {
					issued++
					continue
				}
				assert.ErrorIs(t, err, errTooSoon, level)
			}
			assert.Equal(t, 1, issued, level)
			assert.Equal(t, []int{1}, column[int](t, w.db, `SELECT COUNT(*) FROM otps WHERE email = ?`, email), level)
		}
	})
}

func TestResetOfAnAccountThatIsGoneIsAWrongCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	email := w.email()
	issued := w.issue(t, email, schematype.OTPPasswordReset)
	_, err := w.honest.ResetPassword(t.Context(), issued.Ticket, issued.Code, newPassword)
	assert.ErrorIs(t, err, auth.ErrCode)
	assert.NotErrorIs(t, err, auth.ErrCredentials)
}

func isServerError(err error, number uint16) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && server.Number == number
}

// repeatableRead is url with that isolation. The server's may be serializable: reads of such transactions lock, too.
func repeatableRead(t *testing.T, url string) string {
	t.Helper()
	name := "transaction_isolation"
	if mysqltest.MariaDBBefore(t, url, "11.1") {
		name = "tx_isolation"
	}
	return withParameter(t, url, name, "'REPEATABLE-READ'")
}

func withParameter(t *testing.T, rawURL, name, value string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// onStatement calls fn before each statement, and sends no statement for which fn has an error.
type onStatement struct {
	dialect.Driver
	fn func(statement string) error
}

func (d onStatement) BeginTx(ctx context.Context, opts *sql.TxOptions) (dialect.Tx, error) {
	if err := d.fn("START TRANSACTION"); err != nil {
		return nil, err
	}
	tx, err := d.Driver.(*entsql.Driver).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return onStatementTx{tx, d.fn}, nil
}

func (d onStatement) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := d.fn(query); err != nil {
		return nil, err
	}
	return d.Driver.(execer).ExecContext(ctx, query, args...)
}

func (d onStatement) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := d.fn(query); err != nil {
		return nil, err
	}
	return d.Driver.(execer).QueryContext(ctx, query, args...)
}

type onStatementTx struct {
	dialect.Tx
	fn func(statement string) error
}

func (tx onStatementTx) Exec(ctx context.Context, query string, args, v any) error {
	if err := tx.fn(query); err != nil {
		return err
	}
	return tx.Tx.Exec(ctx, query, args, v)
}

func (tx onStatementTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := tx.fn(query); err != nil {
		return nil, err
	}
	return tx.Tx.(execer).ExecContext(ctx, query, args...)
}

func (tx onStatementTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.fn(query); err != nil {
		return nil, err
	}
	return tx.Tx.(execer).QueryContext(ctx, query, args...)
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// onError calls fn with the error of each write.
type onError struct {
	dialect.Driver
	fn func(error)
}

func (d onError) BeginTx(ctx context.Context, opts *sql.TxOptions) (dialect.Tx, error) {
	tx, err := d.Driver.(interface {
		BeginTx(context.Context, *sql.TxOptions) (dialect.Tx, error)
	}).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return onErrorTx{tx, d.fn}, nil
}

type onErrorTx struct {
	dialect.Tx
	fn func(error)
}

func (tx onErrorTx) Exec(ctx context.Context, query string, args, v any) error {
	err := tx.Tx.Exec(ctx, query, args, v)
	if err != nil {
		tx.fn(err)
	}
	return err
}

func (tx onErrorTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := tx.Tx.(execer).ExecContext(ctx, query, args...)
	if err != nil {
		tx.fn(err)
	}
	return result, err
}

func (tx onErrorTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.Tx.(execer).QueryContext(ctx, query, args...)
}
