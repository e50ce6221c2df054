package directory

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"entgo.io/ent/dialect"
)

const name = "(`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\\pL\\pN_$]+)"

var (
	locks = regexp.MustCompile(`(?i)^\s*(UN)?LOCK\s+TABLES?\b`)
	uses  = regexp.MustCompile(`(?i)^\s*USE\b\s*` + name)
	drops = regexp.MustCompile(`(?i)^\s*DROP\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?` + name)
	// replicates are statements that dumps hold for a new replica.
	replicates = regexp.MustCompile(`(?is)^\s*SET\b.*\b(?:SQL_LOG_BIN|GTID_PURGED|GTID_NEXT|GTID_SLAVE_POS)\s*:?=`)
	becomes    = regexp.MustCompile(`(?is)^\s*CHANGE\s+(?:MASTER|REPLICATION)\b`)
	// transaction is SQLite's.
	transaction = regexp.MustCompile(`(?i)^\s*(?:BEGIN(?:\s+(?:DEFERRED|IMMEDIATE|EXCLUSIVE))?|COMMIT|END)` +
		`(?:\s+TRANSACTION)?\s*;?\s*$`)
	rollback = regexp.MustCompile(`(?i)^\s*ROLLBACK(?:\s+TRANSACTION)?\s*;?\s*$`)
)

// Locks reports whether the code of a statement locks tables or unlocks them.
func Locks(code string) bool { return locks.MatchString(code) }

// Replicates reports whether the code of a statement changes what a server replicates, or as what it does so.
func Replicates(code string) bool { return replicates.MatchString(code) || becomes.MatchString(code) }

// Applies reports whether a statement, given its code, is sent to the database that a directory is applied to. It is
// not if it would have no effect there but to stand in the way of the history:
//   - LOCK TABLES, under which no other table could be written, and which the next transaction undoes;
//   - SQLite's BEGIN and COMMIT: a file is one transaction.
//
// A statement that leaves the database, drops one, undoes the file or changes the server's replication is an error.
// An empty name of the database stands for any.
func Applies(of, code, database string) (bool, error) {
	if of == dialect.SQLite {
		if rollback.MatchString(code) {
			return false, errors.New("it would undo the file: take it out " +
				"(sqlite3 .dump ends so if it could not read all)")
		}
		return !transaction.MatchString(code), nil
	}
	const takeOut = "take it out (mysqldump writes it with %s only)"
	m, d := uses.FindStringSubmatch(code), drops.FindStringSubmatch(code)
	switch {
	case replicates.MatchString(code):
		return false, fmt.Errorf("it would change what the server replicates: take it out " +
			"(mysqldump --set-gtid-purged=OFF does not write it)")
	case becomes.MatchString(code):
		return false, fmt.Errorf("it would change what the server replicates: "+takeOut, "--source-data")
	case m != nil && database != "" && plainName(m[1]) != database:
		return false, fmt.Errorf("it leaves the database %q for %q: "+takeOut, database, plainName(m[1]), "--databases")
	case d != nil:
		return false, fmt.Errorf("it would drop the database %q: "+takeOut, plainName(d[1]), "--add-drop-database")
	}
	return !locks.MatchString(code), nil
}

func plainName(quoted string) string {
	if q := quoted[:1]; q == "`" || q == `"` {
		return strings.ReplaceAll(quoted[1:len(quoted)-1], q+q, q)
	}
	return quoted
}
