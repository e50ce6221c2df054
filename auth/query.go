package auth

import (
	"context"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/user"
)

// This file shapes the queries that Ent builds. Those written by hand are in sql.go.

// readable has Ent read the booleans of users as [ownerColumns] does.
func readable(sel *entsql.Selector) {
	var rest []string
	for _, column := range user.Columns {
		if column != user.FieldIsEmailVerified && column != user.FieldIsDeleted {
			rest = append(rest, column)
		}
	}
	sel.Select(sel.Columns(rest...)...)
	sel.AppendSelectExprAs(entsql.Expr(sel.C(user.FieldIsEmailVerified)+" = 1"), user.FieldIsEmailVerified)
	sel.AppendSelectExprAs(entsql.Expr(sel.C(user.FieldIsDeleted)+" <> 0"), user.FieldIsDeleted)
}

// readUser is the one user that matches.
func readUser(ctx context.Context, tx *ent.Client, which ...predicate.User) (*ent.User, error) {
	q := tx.User.Query().Where(which...)
	q.Modify(readable)
	return q.Only(ctx)
}

// hold is the user that matches, as committed, whose row the transaction then holds. The error is missing if there is
// none.
func hold(ctx context.Context, tx *ent.Client, missing error, which ...predicate.User) (*ent.User, error) {
	q := tx.User.Query().Where(which...)
	q.Modify(forUpdate, readable)
	u, err := q.Only(ctx)
	if ent.IsNotFound(err) {
		return nil, missing
	}
	return u, wrap(err, "find an account")
}

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

// isNot holds where isTrue does not, whatever number another program wrote.
func isNot(field string) func(*entsql.Selector) {
	return func(sel *entsql.Selector) { sel.Where(entsql.ExprP(sel.C(field) + " <> 1")) }
}
