package auth

import (
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// This file shapes the queries that Ent builds. Those written by hand are in sql.go.

// forUpdate makes a query read what is committed, wait for what is not, and lock the rows until the transaction ends.
// Under repeatable read a plain query would show rows as they were when the transaction first read. SQLite needs no
// lock of rows: a transaction holds the whole file.
func forUpdate(sel *entsql.Selector) {
	if sel.Dialect() == dialect.MySQL {
		sel.ForUpdate()
	}
}

// asSeen leaves a query as it is: it reads what is committed, or a snapshot of it, and locks nothing.
func asSeen(*entsql.Selector) {}

// isTrue is an equality for MySQL's planner, which a bare column is not. Only after an
// equality does it use the next column of an index.
func isTrue(field string) func(*entsql.Selector) { return entsql.FieldIn(field, true) }

// isFalse is isTrue for the other value.
func isFalse(field string) func(*entsql.Selector) { return entsql.FieldIn(field, false) }
