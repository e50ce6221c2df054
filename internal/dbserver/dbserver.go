// Package dbserver says which database servers this project's tables can be made on, and prepares a session for making
// them. The limits are decided here and nowhere else.
package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Version is major, minor and patch.
type Version [3]int

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Before reports whether v is older than other.
func (v Version) Before(other Version) bool { return slices.Compare(v[:], other[:]) < 0 }

// The oldest servers on which the tables are what the migrations say: MySQL enforces CHECK constraints from 8.0.16 on
// (MySQL manual, CHECK Constraints), and MariaDB 10.5 is the oldest release that the tests are run on.
var (
	OldestMySQL   = Version{8, 0, 16}
	OldestMariaDB = Version{10, 5, 0}
)

// Product is a kind of server: MySQL, MariaDB, or one of those that only answer MySQL's protocol.
type Product string

// The products that are supported.
const (
	MySQL   Product = "MySQL"
	MariaDB Product = "MariaDB"
)

// imitations answer MySQL's protocol and give one of its versions as their own, but differ in what the guarantees rest
// on: checks, foreign keys, locks, isolation. Vitess is not among them: there it is MySQL that holds the rows.
var imitations = []Product{"TiDB", "OceanBase", "Dolt", "SingleStore", "MemSQL", "ClickHouse", "StarRocks", "Doris"}

// Server is what a server says that it is.
type Server struct {
	Product Product
	// Release is its version in its own words.
	Release string
	// Version is the number in it; zero where there is none.
	Version Version
}

func (s Server) String() string { return string(s.Product) + " " + s.Release }

var versionNumber = regexp.MustCompile(`^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)`)

// Parse reads what VERSION() and @@version_comment say. MariaDB puts 5.5.5- before
// its own number where old replicas would not understand that.
func Parse(release, comment string) Server {
	s := Server{Product: MySQL, Release: release}
	if m := versionNumber.FindStringSubmatch(release); m != nil {
		for i := range s.Version {
			s.Version[i], _ = strconv.Atoi(m[i+1]) // digits
		}
	}
	said := strings.ToLower(release + " " + comment)
	if strings.Contains(said, "mariadb") {
		s.Product = MariaDB
		return s
	}
	for _, p := range imitations {
		if strings.Contains(said, strings.ToLower(string(p))) {
			s.Product = p
		}
	}
	return s
}

// Error is a server, or a setting of one, on which tables would not be what the migrations say. Nothing was made.
type Error struct {
	found, need string
}

// Found says what the server is, or how it is set.
func (e *Error) Found() string { return e.found }

// Fix says what is needed.
func (e *Error) Fix() string { return e.need }

func (e *Error) Error() string { return e.found + ": " + e.need }

// Check is an [*Error] for a server that is too old or no MySQL or MariaDB.
func (s Server) Check() error {
	const need = "MySQL 8.0.16 or MariaDB 10.5 is needed at least"
	switch {
	case s.Product != MySQL && s.Product != MariaDB:
		return &Error{fmt.Sprintf("the server is %s, which answers as MySQL does but is not supported", s), need}
	case s.Version == Version{}:
		return &Error{fmt.Sprintf("the server gives %q as its version, which is not a number", s.Release), need}
	case s.Version.Before(s.oldest()):
		return &Error{fmt.Sprintf("the server is %s, which is too old", s), need}
	}
	return nil
}

func (s Server) oldest() Version {
	if s.Product == MariaDB {
		return OldestMariaDB
	}
	return OldestMySQL
}

// Queryer sends a query: a pool, a connection, or a client of Ent.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Conn is one connection to a server.
type Conn interface {
	Queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Prepare sets the session of conn so that a definition means the same on every server, whatever its defaults are:
// tables are InnoDB's, and a TIMESTAMP has no default that its definition does not name (MySQL manual, Server System
// Variables, default_storage_engine, explicit_defaults_for_timestamp). Both can be set without a privilege. Where that
// is not possible, or the server is not one of those that are supported, the error is an [*Error].
func Prepare(ctx context.Context, conn Conn) error {
	set, err := variables(ctx, conn, "version", "version_comment", "default_storage_engine",
		"enforce_storage_engine", "disabled_storage_engines", "explicit_defaults_for_timestamp")
	if err != nil {
		return err
	}
	if err := Parse(set["version"], set["version_comment"]).Check(); err != nil {
		return err
	}
	const need = "the tables need InnoDB"
	if forced := set["enforce_storage_engine"]; forced != "" && !strings.EqualFold(forced, "InnoDB") {
		return &Error{fmt.Sprintf("the server makes every table with the engine %s (enforce_storage_engine)", forced),
			need}
	}
	for engine := range strings.SplitSeq(set["disabled_storage_engines"], ",") {
		if strings.EqualFold(strings.TrimSpace(engine), "InnoDB") {
			return &Error{"the server makes no tables with InnoDB (disabled_storage_engines)", need}
		}
	}
	if engine := set["default_storage_engine"]; !strings.EqualFold(engine, "InnoDB") {
		if _, err := conn.ExecContext(ctx, "SET default_storage_engine = InnoDB"); IsServers(err) {
			return &Error{fmt.Sprintf("the server's engine is %s, and it refuses InnoDB (%v)", engine, err), need}
		} else if err != nil {
			return err
		}
	}
	// A server that has no such variable any more has no such defaults either.
	if on, ok := set["explicit_defaults_for_timestamp"]; ok && !strings.EqualFold(on, "ON") && on != "1" {
		if _, err := conn.ExecContext(ctx, "SET explicit_defaults_for_timestamp = 1"); IsServers(err) {
			found := "explicit_defaults_for_timestamp is OFF on the server, and it may not be set for a session"
			return &Error{fmt.Sprintf("%s (%v)", found, err),
				"start the server with --explicit-defaults-for-timestamp=ON"}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// IsServers reports whether err is the answer of a server, which can be asked again.
func IsServers(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused)
}

// variables are the session's values of system variables; those that the server does not know are missing.
func variables(ctx context.Context, conn Conn, names ...string) (_ map[string]string, err error) {
	rows, err := conn.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')")
	if err != nil {
		return nil, fmt.Errorf("ask for the server's settings: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("ask for the server's settings: %w", err)
		}
		values[strings.ToLower(name)] = value
	}
	return values, rows.Err()
}
