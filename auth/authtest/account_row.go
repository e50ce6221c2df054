package authtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
)

// This file reads and writes the rows of users, whose table and columns package graph names. It does so by SQL, so that
// what a project's hooks, interceptors and privacy rules do to its own code is nothing to the scenarios.

// What a scenario may need of users that not every project has.
var (
	links    = []string{"provider", "provider_id"}
	deletion = []string{"is_deleted", "deleted_at", "re_activate_available_at"}
)

// absent are those of the fields that users lack.
func absent(fields []string) (lack []string) {
	for _, field := range fields {
		if !auth.Has(field) {
			lack = append(lack, field)
		}
	}
	return lack
}

// have reports whether users have each of the fields.
func have(fields []string) bool { return len(absent(fields)) == 0 }

// possible are the ways that can be taken, where those of names need fields that users may lack.
func possible[Way any](ways map[string]Way, need []string, names ...string) map[string]Way {
	if !have(need) {
		for _, name := range names {
			delete(ways, name)
		}
	}
	return ways
}

// nobody is the id of no user.
func nobody() (id auth.UserID) { return id }

// nameOf is a name that goes with a text, and no other text has: letters only, as a project may ask for.
func nameOf(text string) string {
	var name strings.Builder
	name.WriteString("Person")
	for _, b := range sha256.Sum256([]byte(text)) {
		if name.Len() < len("Person")+12 {
			name.WriteByte('a' + b%26)
		}
	}
	return name.String()
}

// columns are what [kit.user] reads, and into what.
func columns(a *graph.Account) (expressions []string, into []any) {
	for _, c := range []struct {
		read string
		into any
	}{
		{graph.ReadID, &a.ID}, {graph.ReadEmail, &a.Email}, {graph.ReadPassword, &a.Password},
		{graph.ReadProvider, &a.Provider}, {graph.ReadProviderID, &a.ProviderID},
		{graph.ReadIsEmailVerified, &a.IsEmailVerified}, {graph.ReadLastLoginAt, &a.LastLoginAt},
		{graph.ReadFailedLoginAttempts, &a.FailedLoginAttempts}, {graph.ReadLockUntil, &a.LockUntil},
		{graph.ReadIsDeleted, &a.IsDeleted}, {graph.ReadDeletedAt, &a.DeletedAt},
		{graph.ReadSuspendedUntil, &a.SuspendedUntil}, {graph.ReadGuessFailures, &a.GuessFailures},
		{graph.ReadStepFailures, &a.StepFailures}, {graph.ReadTrustEpoch, &a.TrustEpoch},
	} {
		expressions, into = append(expressions, c.read), append(into, c.into)
	}
	return expressions, into
}

// user is the row of a user.
func (k *kit) user(t *testing.T, id auth.UserID) *graph.Account {
	t.Helper()
	a := &graph.Account{}
	read, into := columns(a)
	k.scan(t, fmt.Sprintf("SELECT %s FROM `%s` AS u WHERE u.`%s` = ?", strings.Join(read, ", "), graph.Table, graph.ID),
		[]any{id}, into...)
	return a
}

// users counts the users whose column has a value.
func (k *kit) users(t *testing.T, column string, value any) (n int) {
	t.Helper()
	k.scan(t, fmt.Sprintf("SELECT COUNT(*) FROM `%s` AS u WHERE u.`%s` = ?", graph.Table, column), []any{value}, &n)
	return n
}

// allUsers counts them.
func (k *kit) allUsers(t *testing.T) (n int) {
	t.Helper()
	k.scan(t, "SELECT COUNT(*) FROM `"+graph.Table+"`", nil, &n)
	return n
}

// scan reads the one row that a query finds.
func (k *kit) scan(t *testing.T, query string, args []any, into ...any) {
	t.Helper()
	rows, err := k.client.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next(), "no row is found by %s", query)
	require.NoError(t, rows.Scan(into...))
	require.NoError(t, rows.Err())
}

// set gives a column of a user's row a value, as another program does.
func (k *kit) set(t *testing.T, id auth.UserID, column string, value any) {
	t.Helper()
	require.NoError(t, k.write(t.Context(), id, column, "?", value))
}

// write gives a column of a user's row the value of an expression.
func (k *kit) write(ctx context.Context, id auth.UserID, column, expression string, args ...any) error {
	_, err := k.client.ExecContext(ctx, fmt.Sprintf("UPDATE `%s` SET `%s` = %s WHERE `%s` = ?", graph.Table, column,
		expression, graph.ID), append(args, id)...)
	return err
}

// lock has an account locked until a time, as guessing or another program does.
func (k *kit) lock(t *testing.T, id auth.UserID, until time.Time) {
	t.Helper()
	k.set(t, id, graph.LockUntil, until)
}
