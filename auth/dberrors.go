package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// This file says what an error of the database means for a call. The lists hold the server's errors (MySQL manual,
// Server Error Message Reference; MariaDB, Error Codes) and those that proxies make in its place.

// conflicts are the errors of a transaction that lost against another one, or of a
// statement in it that was not run. They leave no trace.
var conflicts = []uint16{
	1020, // MariaDB: record has changed since last read (snapshot isolation)
	1180, // error during COMMIT: certification failed
	1205, // lock wait timeout
	1213, // deadlock, or certification failed
	1243, // the session does not know its own statement: it is another one
	1412, // the table was changed since the transaction began
	1615, // a statement could not be prepared again
	3101, // Group Replication: certification failed
}

// refusals are the errors of a server that does not take a connection or a statement
// now. Nothing was run. Another connection, or the same later, may have more luck.
var refusals = []uint16{
	1021, // the disk is full
	1036, // the table is read only
	1037, // out of memory
	1040, // too many connections
	1041, // out of memory
	1047, // unknown command: a Galera node without a quorum
	1053, // shutdown in progress
	1077, // shut down
	1114, // the table, or the disk, is full
	1129, // the host is blocked after too many connections that failed
	1135, // no thread can be made
	1203, // too many connections of the user
	1206, // too many locks
	1226, // the user has used up a resource
	1290, // --read-only, --super-read-only
	1637, // too many transactions
	1792, // transactions are read-only
	1836, // read-only mode
	1874, // InnoDB is read-only
	2003, // a proxy reached no server
	3032, // offline mode
	3098, // Group Replication: between two primaries, see [Service.explain]
	3100, // Group Replication: the member left the group
	3168, // not available
	3796, // Group Replication: the member is not online
	3797, // Group Replication: the member could not wait for the others
	3798, // the same
	4031, // closed for having been idle
	9001, // ProxySQL reached no server in time
}

// refusesCommit are the refusals that, in answer to COMMIT, say that the server has rolled the transaction back.
var refusesCommit = []uint16{1290, 1836, 3100}

// stopped are the errors of statements that were ended and undone, by an administrator
// or because they took too long. They are not tried again.
var stopped = []uint16{
	1317, // interrupted
	1969, // MariaDB: max_statement_time
	3024, // MySQL: max_execution_time
}

// The primary result codes of SQLite that are told apart (sqlite.org/rescode.html).
const (
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteReadOnly  = 8
	sqliteInterrupt = 9
	sqliteFull      = 13
	sqliteCantOpen  = 14
)

// isBusy reports whether err means that another connection holds a lock of the SQLite file, or that SQLite undid the
// statement, and a transaction around it, because it was interrupted (sqlite.org/c3ref/interrupt.html). A driver such
// as glebarez/go-sqlite may interrupt one that is not meant, after the context of the last one on the connection.
func isBusy(err error) bool { return isSQLite(err, sqliteBusy, sqliteLocked, sqliteInterrupt) }

// sqliteTexts are what SQLite itself says of them, whatever the driver (its function sqlite3_errstr).
var sqliteTexts = map[int]string{
	sqliteBusy: "database is locked", sqliteLocked: "table is locked",
	sqliteReadOnly: "attempt to write a readonly database", sqliteFull: "database or disk is full",
	sqliteCantOpen: "unable to open database file",
}

// isSQLite knows the error of modernc.org/sqlite by its method, and that of another driver, such as mattn/go-sqlite3
// with its field Code, by SQLite's own words. Importing their types would link SQLite into programs that use MySQL.
func isSQLite(err error, codes ...int) bool {
	var file interface {
		error
		Code() int
	}
	if errors.As(err, &file) {
		return slices.Contains(codes, file.Code()&0xff)
	}
	var server *mysql.MySQLError
	return err != nil && !errors.As(err, &server) && slices.ContainsFunc(codes, func(code int) bool {
		text := sqliteTexts[code]
		return text != "" && strings.Contains(err.Error(), text)
	})
}

// mayRepeat reports whether what failed may be tried again on another connection, if it does no harm twice. That the
// server cannot be reached, or does not let this program in, is reported at once.
func mayRepeat(err error) bool {
	if err == nil {
		return false
	}
	if mysqlconn.IsServer(err, refusals...) || mysqlconn.IsServer(err, conflicts...) || isBusy(err) {
		return true
	}
	if op := mysqlconn.Connecting(err); op != nil {
		var server *mysql.MySQLError
		return op.Op == "handshake" && !errors.As(err, &server)
	}
	return mysqlconn.Lost(err)
}

// isUnseen reports whether a unique constraint's error is that of a lookup table of Vitess. A transaction finds there
// what was there when it began, also where it reads the rows themselves as committed.
func isUnseen(err error) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && strings.Contains(server.Message, "lookup.Create: ")
}

// explain makes the caller's error of the last one.
func (s *Service) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var unknown *UnknownError
	switch {
	case errors.As(err, &unknown), isEnded(ctx, err):
		return err
	case ctx.Err() != nil && isSQLite(err, sqliteInterrupt):
		return ctx.Err()
	case mysqlconn.IsServer(err, 3098) && !s.betweenPrimaries(ctx):
		return err
	case mayRepeat(err), mysqlconn.Connecting(err) != nil, mysqlconn.IsServer(err, stopped...),
		errors.Is(err, errRaced),
		isSQLite(err, sqliteReadOnly, sqliteFull, sqliteCantOpen):
		if ctx.Err() != nil { // while it was tried again
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return &UnavailableError{Err: err}
	}
	return err
}

// betweenPrimaries reports whether error 3098 will pass. Group Replication refuses
// tables with cascading foreign keys while it switches from one primary to another. A
// group with many primaries always refuses them, if it checks for them.
func (s *Service) betweenPrimaries(ctx context.Context) bool {
	var single bool
	found, err := scanRow(ctx, s.client, "SELECT @@group_replication_single_primary_mode", nil, &single)
	return err == nil && found && single
}
