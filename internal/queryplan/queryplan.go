// Package queryplan knows by which index each statement of package auth finds its rows, and which operations send it.
// The tests of package auth hold what is written here against what the operations send and the databases explain.
package queryplan

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed queries.txt
var text string

// Query is a statement without its values and the columns it reads or writes.
type Query struct {
	SQL string
	// Server and SQLite are how MySQL and MariaDB, and SQLite, find the rows of
	// each of its tables. SQLite is sent the statement without FOR UPDATE.
	Server, SQLite []Access
	// SentBy are the operations of package auth, in alphabetical order.
	SentBy []string
}

// Access is how the rows of a table are found.
type Access struct {
	Table string
	// Index is the name of the index. It is PRIMARY for a primary key, and empty where all rows are read.
	Index string
	// Sorted says that the rows are sorted afterwards.
	Sorted bool
}

const (
	primary = "PRIMARY"
	scan    = "scan"
	sorted  = ", sorted"
	server  = "\tserver: "
	sqlite  = "\tsqlite: "
	sentBy  = "\tsent by: "
)

// All are the statements, in alphabetical order.
func All() ([]Query, error) { return parse(text) }

// Format writes the statements as they are kept.
func Format(queries []Query) string {
	var b strings.Builder
	for _, q := range queries {
		fmt.Fprintf(&b, "%s\n%s%s\n%s%s\n%s%s\n", q.SQL, server, accesses(q.Server), sqlite, accesses(q.SQLite), sentBy,
			strings.Join(q.SentBy, "; "))
	}
	return b.String()
}

// IsPrimary reports whether the rows are found by the primary key.
func (a Access) IsPrimary() bool { return a.Index == primary }

func (a Access) String() string {
	s := a.Table + "." + a.Index
	if a.Index == "" {
		s = scan + " of " + a.Table
	}
	if a.Sorted {
		s += sorted
	}
	return s
}

func accesses(all []Access) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, "; ")
}

func parse(text string) (queries []Query, err error) {
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !strings.HasPrefix(line, "\t") {
			queries = append(queries, Query{SQL: line})
			continue
		}
		if len(queries) == 0 {
			return nil, fmt.Errorf("queries.txt:%d: no statement comes before", n+1)
		}
		q := &queries[len(queries)-1]
		switch {
		case strings.HasPrefix(line, server):
			q.Server, err = parseAccesses(line[len(server):])
		case strings.HasPrefix(line, sqlite):
			q.SQLite, err = parseAccesses(line[len(sqlite):])
		case strings.HasPrefix(line, sentBy):
			q.SentBy = strings.Split(line[len(sentBy):], "; ")
		default:
			err = fmt.Errorf("is neither of server, sqlite and sent by")
		}
		if err != nil {
			return nil, fmt.Errorf("queries.txt:%d: %w", n+1, err)
		}
	}
	return queries, nil
}

func parseAccesses(text string) (all []Access, err error) {
	for part := range strings.SplitSeq(text, "; ") {
		var a Access
		part, a.Sorted = strings.CutSuffix(part, sorted)
		if table, ok := strings.CutPrefix(part, scan+" of "); ok {
			a.Table = table
		} else if a.Table, a.Index, ok = strings.Cut(part, "."); !ok {
			return nil, fmt.Errorf("%q is not of the form table.index", part)
		}
		all = append(all, a)
	}
	return all, nil
}
