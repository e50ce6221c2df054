package mysqlconn

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// cuts are errors by which a server or a proxy says that it ended the connection (MySQL manual, Server Error Message
// Reference; MariaDB, Error Codes). Like a connection that was just cut, they say nothing of what was sent.
var cuts = []uint16{
	1080, // closed by the server
	1152, // aborted
	1158, // network: could not read
	1159, // network: not read in time
	1160, // network: could not write
	1161, // network: not written in time
	1184, // aborted before it was in use
	1927, // MariaDB: killed; MaxScale: lost its server
	2006, // a proxy's server has gone away
	2013, // a proxy lost its server
	2055, // the same
	3169, // MySQL: killed
}

// Connecting returns the error of a connection that was not made, or nil. Its Op is "dial" or "handshake".
func Connecting(err error) *net.OpError {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "handshake") {
		return op
	}
	return nil
}

// Unsent reports whether err says that nothing was sent.
func Unsent(err error) bool { return errors.Is(err, driver.ErrBadConn) || Connecting(err) != nil }

// Lost reports whether err says that a connection can no longer be used: it was cut, or what came over it makes no
// sense. What was sent may have been executed, unless [Unsent] says otherwise.
func Lost(err error) bool {
	if Connecting(err) != nil {
		return false
	}
	for _, e := range []error{
		driver.ErrBadConn, sql.ErrConnDone, io.ErrShortWrite,
		mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	// The driver passes on what the network says of a command sent in part.
	var network *net.OpError
	return errors.As(err, &network) || IsServer(err, cuts...)
}

// IsServer reports whether err is one of the server's errors with these numbers.
func IsServer(err error, numbers ...uint16) bool {
	if err == nil {
		return false
	}
	var server *mysql.MySQLError
	return errors.As(err, &server) && slices.Contains(numbers, server.Number)
}
