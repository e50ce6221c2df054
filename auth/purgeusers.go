package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
)

// This file purges the accounts. It knows the type of their ids from the database alone.

// usersName is what [Purged.PerTable] and PurgeOptions.Tables call the table of the accounts.
const usersName = "users"

// UsersTable names a table of users and its columns. An empty column is one that the table does not have. Without
// IsDeleted and DeletedAt no account is purged.
type UsersTable struct {
	Name, ID, UpdatedAt, IsDeleted, DeletedAt, ReActivateAvailableAt string
}

// ownUsers is the table of this program.
var ownUsers = UsersTable{
	Name: graph.Table, ID: graph.ID, UpdatedAt: graph.UpdatedAt,
	IsDeleted: graph.IsDeleted, DeletedAt: graph.DeletedAt, ReActivateAvailableAt: graph.ReActivateAvailableAt,
}

// check is an error for a name that cannot be quoted.
func (t UsersTable) check() error {
	for _, name := range []string{t.Name, t.ID, t.UpdatedAt, t.IsDeleted, t.DeletedAt, t.ReActivateAvailableAt} {
		if strings.Contains(name, "`") {
			return fmt.Errorf("purge: PurgeOptions.Users has the name %q, which has a backtick", name)
		}
	}
	return nil
}

func (t UsersTable) quoted() string { return "`" + t.Name + "`" }

// purged reports whether it can be told who was deleted, and when.
func (t UsersTable) purged() bool { return t.IsDeleted != "" && t.DeletedAt != "" }

// touched is an assignment together with that of UpdatedAt, if there is one.
func (t UsersTable) touched(assignment string, value any) (set string, args []any) {
	if t.UpdatedAt == "" {
		return assignment, []any{value}
	}
	return assignment + ", `" + t.UpdatedAt + "` = ?", []any{value, updatedNow()}
}

// gone are the accounts that were deleted within the times of a span.
func (t UsersTable) gone(b span) where {
	deleted := "`" + t.DeletedAt + "`"
	return where{"`" + t.IsDeleted + "` = 1 AND " + deleted + " >= ? AND " + deleted + " < ?", []any{b.from, b.before}}
}

func purgeUsers(ctx context.Context, tx *ent.Client, b span) (int, span, error) {
	t := b.Users
	if !t.purged() {
		return 0, b, nil
	}
	gone := t.gone(b)
	if b.DryRun {
		var n int
		_, err := scanRow(ctx, tx, "SELECT COUNT(*) FROM "+t.quoted()+" WHERE "+gone.text, gone.args, &n)
		return n, b, err
	}
	b.children, b.looked = 0, 0
	if len(b.accounts) == 0 {
		if b.from.Equal(earliest) {
			if err := dateDeletions(ctx, tx, b); err != nil {
				return 0, b, err
			}
		}
		if err := b.findAccounts(ctx, tx, gone); err != nil || len(b.accounts) == 0 {
			return 0, b, err
		}
	}
	ids, rest, large, err := fitting(ctx, tx, &b)
	if err != nil {
		return 0, b, err
	}
	if len(ids) == 0 {
		return emptyAccount(ctx, tx, b, gone, large)
	}
	b.accounts = rest
	// An account that came back meanwhile stays.
	n, err := execute(ctx, tx, "DELETE FROM "+t.quoted()+" WHERE `"+t.ID+"` IN ("+marks(len(ids))+") AND "+
		gone.text, slices.Concat(ids, gone.args)...)
	if sqlgraph.IsForeignKeyConstraintError(err) {
		err = fmt.Errorf("other tables refer to accounts whose retention is over, and their foreign keys keep those: "+
			"delete such rows first, or let the keys cascade or set NULL: %w", err)
	}
	return n, b, err
}

// findAccounts reads the next accounts to go.
func (b *span) findAccounts(ctx context.Context, tx *ent.Client, gone where) error {
	t := b.Users
	rows, err := readIDs(ctx, tx, "SELECT `"+t.ID+"`, `"+t.DeletedAt+"` FROM "+t.quoted()+" WHERE "+gone.text+
		" ORDER BY `"+t.DeletedAt+"` LIMIT ?", append(gone.args, b.Batch), true)
	if err != nil {
		return err
	}
	b.accounts = b.accounts[:0:0]
	var last time.Time
	for _, r := range rows {
		b.accounts = append(b.accounts, r.id)
		last = later(last, r.at)
	}
	b.passed(last)
	b.found(len(rows))
	return nil
}

// idRow is an id as the database has it, and a time if there is one.
type idRow struct {
	id any
	at time.Time
}

// readIDs runs a query for ids, each with a time if timed is set. An id is a number, a string of a column of text, or
// bytes of a binary one, so that as an argument it is compared by the column's index.
func readIDs(ctx context.Context, tx *ent.Client, query string, args []any, timed bool) (ids []idRow, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	// SQLite has bytes in a column of any type, and gives texts as such.
	name, _ := dialectOf(tx)
	binary := name == dialect.SQLite
	if types, err := rows.ColumnTypes(); err == nil && !binary {
		binary = isBinary(types[0].DatabaseTypeName())
	}
	err = scanAll(rows, func(scan func(...any) error) error {
		var r idRow
		dest := []any{&r.id}
		if timed {
			dest = append(dest, &r.at)
		}
		err := scan(dest...)
		if text, ok := r.id.([]byte); ok && !binary {
			r.id = string(text)
		}
		ids = append(ids, r)
		return err
	})
	return ids, err
}

// isBinary reports whether a column of a type holds bytes.
func isBinary(databaseType string) bool {
	return strings.Contains(databaseType, "BINARY") || strings.Contains(databaseType, "BLOB")
}

// key is an id as the key of a map.
func key(id any) any {
	if bytes, ok := id.([]byte); ok {
		return string(bytes)
	}
	return id
}

// marks are the places of n arguments.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// fitting returns accounts that fit into a batch together with what goes with them, which b then counts, and the
// others. If none fits, large is one that does not.
func fitting(ctx context.Context, tx *ent.Client, b *span) (ids, rest []any, large any, err error) {
	some := b.accounts[:min(len(b.accounts), b.Batch, maxIDs)]
	large = some[0]
	of := make(map[any]int, len(some))
	for _, table := range []string{session.Table, refreshtoken.Table} {
		if !b.has(table) {
			continue
		}
		owners, err := readIDs(ctx, tx, "SELECT user_id FROM "+table+" WHERE user_id IN ("+marks(len(some))+
			") ORDER BY user_id LIMIT ?", slices.Concat(some, []any{b.Batch + 1}), false)
		if err != nil {
			return nil, nil, nil, err
		}
		in := make(map[any]int, len(some))
		for _, r := range owners {
			in[key(r.id)]++
		}
		var last any
		if len(owners) > b.Batch {
			large = owners[b.Batch].id
			last = key(large)
		}
		for _, id := range some {
			k := key(id)
			of[k] += in[k]
			if last != nil && (in[k] == 0 || k == last) { // beyond the limit there may be any number
				of[k] = b.Batch
			}
		}
	}
	for i, id := range b.accounts {
		if n := of[key(id)]; i < len(some) && len(ids)+1+b.children+n <= b.Batch {
			ids, b.children = append(ids, id), b.children+n
		} else {
			rest = append(rest, id)
		}
	}
	return ids, rest, large, nil
}

// emptyAccount deletes a batch of what goes with an account. It first keeps the
// account from coming back without a part of its rows.
func emptyAccount(ctx context.Context, tx *ent.Client, b span, gone where, id any) (int, span, error) {
	t := b.Users
	if t.ReActivateAvailableAt != "" { // else it does not come back
		set, args := t.touched("`"+t.ReActivateAvailableAt+"` = ?", never)
		n, err := execute(ctx, tx, "UPDATE "+t.quoted()+" SET "+set+" WHERE `"+t.ID+"` = ? AND "+gone.text,
			slices.Concat(args, []any{id}, gone.args)...)
		if err != nil {
			return 0, b, err
		}
		if n == 0 { // it came back, or another purge was faster
			b.accounts = slices.DeleteFunc(slices.Clone(b.accounts), func(a any) bool { return key(a) == key(id) })
			return 0, b, nil
		}
	}
	for _, table := range []string{session.Table, refreshtoken.Table} {
		left := b.Batch - b.children
		if left <= 0 || !b.has(table) {
			continue
		}
		rows, err := readIDs(ctx, tx, "SELECT id FROM "+table+" WHERE user_id = ? LIMIT ?", []any{id, left}, false)
		if err == nil && len(rows) > 0 {
			_, err = execute(ctx, tx, "DELETE FROM "+table+" WHERE id IN ("+marks(len(rows))+")", idsIn(rows)...)
		}
		if err != nil {
			return 0, b, err
		}
		b.children += len(rows)
	}
	return 0, b, nil
}

func idsIn(rows []idRow) []any {
	ids := make([]any, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	return ids
}

// dateDeletions begins the retention of accounts that another program deleted without
// a time. They would be kept for ever otherwise.
func dateDeletions(ctx context.Context, tx *ent.Client, b span) error {
	t := b.Users
	undated := "`" + t.IsDeleted + "` = 1 AND (`" + t.DeletedAt + "` IS NULL OR `" + t.DeletedAt + "` < ?)"
	rows, err := readIDs(ctx, tx, "SELECT `"+t.ID+"` FROM "+t.quoted()+" WHERE "+undated+" LIMIT ?",
		[]any{earliest, b.Batch}, false)
	if err != nil || len(rows) == 0 {
		return err
	}
	set, args := t.touched("`"+t.DeletedAt+"` = ?", b.now)
	_, err = execute(ctx, tx, "UPDATE "+t.quoted()+" SET "+set+" WHERE `"+t.ID+"` IN ("+marks(len(rows))+") AND "+
		undated, slices.Concat(args, idsIn(rows), []any{earliest})...)
	return err
}
