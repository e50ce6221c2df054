package auth

import (
	"context"
	stdsql "database/sql"
	"strings"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// This file sends the statements that are written by hand: those of the paths that every request or sign-in takes, and
// what no builder says. Building a write costs Ent five to seven times as many allocations as sending it. The hooks and
// interceptors of a client do not see them. The statements that Ent builds are shaped in query.go.

// scanRow scans the row of a query for at most one, and reports whether there is one.
// It reads to the end, because reading what is left in Close does not end with ctx.
func scanRow(ctx context.Context, client *ent.Client, query string, args []any, dest ...any) (found bool, err error) {
	rows, err := client.QueryContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	inUTC(dest)
	rows.Next()
	return true, rows.Err()
}

// inUTC has the times that were scanned be in UTC: a driver gives them in the zone that its DSN or the machine names.
func inUTC(scanned []any) {
	for _, dest := range scanned {
		switch t := dest.(type) {
		case *time.Time:
			*t = t.UTC()
		case **time.Time:
			if *t != nil {
				**t = (*t).UTC()
			}
		}
	}
}

// scanAll has each row scanned, to the end, and closes them.
func scanAll(rows *stdsql.Rows, each func(scan func(dest ...any) error) error) (err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// execute runs a write and returns how many rows it matched.
func execute(ctx context.Context, client *ent.Client, query string, args ...any) (int, error) {
	result, err := client.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// updatedNow is for updated_at, which follows the real clock.
func updatedNow() time.Time { return cut(time.Now().UTC()) }

// cut cuts a time to what the tables keep.
func cut(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

// owner is a user as read together with what is theirs.
type owner struct {
	user                      User
	deleted, allowed          bool
	lockUntil, suspendedUntil *time.Time
}

// isUsable is the predicate [Service.usable] of what was read.
func (s *Service) isUsable(o *owner) bool {
	return !o.deleted && s.suspension(o.allowed, o.suspendedUntil, o.lockUntil).IsZero()
}

// ownerColumns are what [loadOwned] reads of u.
var ownerColumns = strings.Join([]string{
	graph.ReadID, graph.ReadName, graph.ReadEmail, graph.ReadRole, graph.ReadProvider, graph.ReadAvatar,
	graph.ReadIsEmailVerified, graph.ReadLastLoginAt, graph.ReadCreatedAt, graph.ReadIsDeleted, graph.ReadLockUntil,
	graph.ReadSuspendedUntil,
}, ", ") + ruleColumn

// ownerJoin finds u by an id that follows.
const ownerJoin = usersTable + " ON u.`" + graph.ID + "` = "

// loadOwned runs a query for one row by a hash. It scans the first columns into dest
// and the ownerColumns that follow into the owner, which is nil without such a row.
func loadOwned(ctx context.Context, client *ent.Client, query, hash string, dest ...any) (*owner, error) {
	o := owner{allowed: graph.Allowed == ""}
	var avatar []byte
	u := &o.user
	dest = append(dest,
		&u.ID, &u.Name, &u.Email, &u.Role, &u.Provider, &avatar, &u.EmailVerified,
		&u.LastLoginAt, (*timeOrZero)(&u.CreatedAt), &o.deleted, &o.lockUntil, &o.suspendedUntil)
	if graph.Allowed != "" {
		dest = append(dest, &o.allowed)
	}
	found, err := scanRow(ctx, client, query, []any{hash}, dest...)
	if err != nil || !found {
		return nil, err
	}
	o.user.Avatar = decodeAvatar(avatar)
	o.user.leaveOutZero()
	return &o, nil
}

// decodeAvatar is nil where the column holds none.
func decodeAvatar(column []byte) *schematype.Avatar {
	if len(column) == 0 {
		return nil
	}
	var avatar schematype.Avatar
	_ = avatar.UnmarshalJSON(column) // never fails
	return &avatar
}

// lookup is how [loadUser] finds a user.
type lookup struct {
	query string
	// byEmail is set if the value is an address.
	byEmail bool
}

var (
	activeByEmail          = lookup{byEmail + notDeleted + " LIMIT 1", true}
	verifiedByEmail        = lookup{byEmail + notDeleted + " AND " + isVerified + " LIMIT 1", true}
	activeByID             = lookup{accountQuery + "u.`" + graph.ID + "` = ? AND " + notDeleted + " LIMIT 1", false}
	deletedByEmail         = lookup{byEmail + isDeleted + " LIMIT 1", true}
	deletedVerifiedByEmail = lookup{byEmail + isDeleted + " AND " + isVerified + " LIMIT 1", true}
)

var byEmail = accountQuery + "u.`" + graph.Email + "` = ? AND "

// loadUser is the user that a value finds, or nil.
func loadUser(ctx context.Context, client *ent.Client, by lookup, value any) (*graph.Account, error) {
	a, err := loadAccount(ctx, client, by.query, value)
	if email, ok := value.(string); ok && by.byEmail {
		return ofAddress(email)(a, err)
	}
	return a, err
}
