package dburl

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteWait is how long a SQLite connection waits for the locks of others.
const sqliteWait = 10 * time.Second

// IsBusy reports whether err means that another connection holds a lock of the
// SQLite file.
func IsBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// sqliteConnector waits for connections that switch the same new file to a
// write-ahead log: SQLite asks no busy handler there, since two that hold a shared
// lock and want the exclusive one would wait for each other
// (sqlite.org/c3ref/busy_handler.html). Closing the one that failed gives way.
type sqliteConnector struct {
	driver.Connector
}

func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	for start, pause := time.Now(), time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		conn, err := c.Connector.Connect(ctx)
		if err == nil || !IsBusy(err) || time.Since(start) > sqliteWait {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}
