package dburl

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// sqliteWait is how long a SQLite connection waits for the locks of others.
const sqliteWait = 10 * time.Second

// sqliteBusy is the primary result code of SQLite for a lock that is held (sqlite.org/rescode.html).
const sqliteBusy = 5

// IsBusy reports whether err, of a SQLite database, means that another connection holds a lock of the file.
func IsBusy(err error) bool {
	var e interface {
		error
		Code() int
	}
	return errors.As(err, &e) && e.Code()&0xff == sqliteBusy
}

// openSQLite finds the driver by the name under which it registers itself with database/sql. Importing it here would
// link SQLite into every program that connects to a server.
func openSQLite(dsn string) (driver.Connector, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, &Error{Part: PartScheme, Err: errors.New("this program has no driver for SQLite"),
			Fix: `import _ "modernc.org/sqlite" in it`}
	}
	return sqliteConnector{db.Driver(), dsn}, db.Close() // only its driver is wanted
}

// sqliteConnector waits for connections that switch the same new file to a write-ahead log: SQLite asks no busy handler
// there, since two that hold a shared lock and want the exclusive one would wait for each other
// (sqlite.org/c3ref/busy_handler.html). Closing the one that failed gives way.
type sqliteConnector struct {
	driver driver.Driver
	dsn    string
}

func (c sqliteConnector) Driver() driver.Driver { return c.driver }

func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	for start, pause := time.Now(), time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		conn, err := c.driver.Open(c.dsn)
		if err == nil {
			return check(ctx, conn)
		}
		if !IsBusy(err) || time.Since(start) > sqliteWait {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// check has a connection check foreign keys and CHECKs, whatever the parameters of
// its address did: the driver has several spellings for them.
func check(ctx context.Context, conn driver.Conn) (driver.Conn, error) {
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		_ = conn.Close() // the error below says more
		return nil, fmt.Errorf("a connection of type %T is not the driver's", conn)
	}
	if _, err := execer.ExecContext(ctx, "PRAGMA foreign_keys = on; PRAGMA ignore_check_constraints = off",
		nil); err != nil {
		_ = conn.Close() // the error says more
		return nil, err
	}
	return conn, nil
}
