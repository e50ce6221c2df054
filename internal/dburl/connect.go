package dburl

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/failover"
)

// Server errors that tell which part of an address is at fault (MySQL manual, Server Error Message Reference).
const (
	erDBAccessDenied        = 1044
	erSecureTransport       = 3159
	erAccessDenied          = 1045
	erBadDB                 = 1049
	erUnknownSystemVariable = 1193
	erSpecificAccessDenied  = 1227
	erGlobalVariable        = 1229
	erWrongValueForVar      = 1231
	erWrongTypeForVar       = 1232
	erReadOnlyVariable      = 1238
	erUnknownCollation      = 1273
)

// Connect makes a pool for the address and proves with one connection that
// it works. Errors are of type [*Error], or that of ctx.
func (u *URL) Connect(ctx context.Context) (*sql.DB, error) {
	if u.Dialect == dialect.SQLite {
		// The driver's own error does not name the folder.
		if info, err := os.Stat(filepath.Dir(u.file)); err != nil || !info.IsDir() {
			return nil, u.wrap(PartFile, fmt.Errorf("there is no folder %s", filepath.Dir(u.file)))
		}
	}
	db, err := u.OpenDB()
	if err != nil {
		return nil, err
	}
	if err := u.ping(ctx, db); err != nil {
		if u.reading != ReadWrite && ctx.Err() == nil && u.isUnanswered(err) {
			return db, nil // whoever reads has another server to ask
		}
		_ = db.Close() // nothing was opened that could fail to close
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect to %s: %w", u, ctx.Err())
		}
		return nil, u.explain(err)
	}
	return db, nil
}

// readerStart is how long a server that is only read from may take to let a service in that starts.
const readerStart = 1500 * time.Millisecond

func (u *URL) ping(ctx context.Context, db *sql.DB) error {
	if u.reading != ReadWrite {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readerStart)
		defer cancel()
	}
	return db.PingContext(ctx)
}

// isUnanswered reports whether connecting failed because no server answered.
func (u *URL) isUnanswered(err error) bool {
	var (
		connecting *net.OpError
		refused    *mysql.MySQLError
		stranger   *failover.StrangerError
	)
	silent := errors.As(err, &connecting) || errors.Is(err, context.DeadlineExceeded)
	return silent && !errors.As(err, &refused) && !errors.As(err, &stranger) && u.explainTLS(err) == nil
}

// explain says which part of the address made a connection fail.
func (u *URL) explain(err error) error {
	e := &Error{URL: u.String(), Part: PartHost, Err: err}
	if u.Dialect == dialect.SQLite {
		e.Part = PartFile
		return e
	}
	var connecting *net.OpError
	if errors.As(err, &connecting) && connecting.Op == "handshake" {
		err = connecting.Err // whoever connects knows that
		e.Err = err
	}
	var stranger *failover.StrangerError
	switch {
	case !errors.As(err, &stranger):
	case stranger.Denied:
		e.Part, e.Err = PartUser, stranger
		e.Fix = "grant it: GRANT SELECT ON performance_schema.replication_group_members TO '" + u.server.User + "'@'…'"
		return e
	default:
		e.Err, e.Fix = stranger, "use ForStaleReading if a session may be accepted for some time after it was ended"
		return e
	}
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		switch server.Number {
		case erSecureTransport:
			e.Part, e.Err = PartParameter, fmt.Errorf("the server takes encrypted connections only: %w", err)
			e.Fix = "add tls=true, and tls-ca=FILE where its certificate is of an authority of your own"
		case erAccessDenied:
			e.Part, e.Err = PartUser, fmt.Errorf("the server refused the user or the password: %w", err)
			if u.Transport() == TransportPlain && !u.Local() {
				e.Fix = "correct them, or add tls=true if the account needs it (REQUIRE SSL)"
			}
		case erDBAccessDenied:
			e.Part, e.Err = PartDatabase, fmt.Errorf("the user has no rights on it: %w", err)
		case erBadDB:
			e.Part, e.Err = PartDatabase, fmt.Errorf("it does not exist: %w", err)
			e.Fix = fmt.Sprintf("create it with: CREATE DATABASE `%s`", u.Database())
		case erUnknownSystemVariable, erSpecificAccessDenied, erGlobalVariable, erWrongValueForVar, erWrongTypeForVar,
			erReadOnlyVariable,
			erUnknownCollation:
			e.Part = PartParameter
		}
		return e
	}
	if ofTLS := u.explainTLS(err); ofTLS != nil {
		return ofTLS
	}
	if connecting != nil && connecting.Op == "dial" {
		e.Err = fmt.Errorf("no server answers there: %w", err)
	}
	return e
}
