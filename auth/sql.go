package auth

import (
	"context"
	stdsql "database/sql"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// This file sends the statements that are written by hand: those of the paths that every request or sign-in takes.
// Building them costs Ent as much as a third of their round trip. The hooks and interceptors of a client do not see
// them. The statements that Ent builds are shaped in query.go.

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
	rows.Next()
	return true, rows.Err()
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
func updatedNow() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// owner is a user as read together with what is theirs.
type owner struct {
	user                      User
	deleted                   bool
	lockUntil, suspendedUntil *time.Time
}

// isUsable is the predicate [Service.usable] of what was read.
func (s *Service) isUsable(o *owner) bool {
	return !o.deleted && s.suspension(o.suspendedUntil, o.lockUntil).IsZero()
}

// ownerColumns are what [loadOwned] reads of u. A boolean of MySQL is a number, which
// may be 2. Only 1 counts as a permission, and only 0 as not deleted.
const ownerColumns = `u.id, u.name, u.email, u.role, u.provider, u.avatar, u.is_email_verified = 1,
	u.last_login_at, u.created_at, u.is_deleted <> 0, u.lock_until, u.suspended_until`

// loadOwned runs a query for one row by a hash. It scans the first columns into dest
// and the ownerColumns that follow into the owner, which is nil without such a row.
func loadOwned(ctx context.Context, client *ent.Client, query, hash string, dest ...any) (*owner, error) {
	var o owner
	var avatar []byte
	u := &o.user
	found, err := scanRow(ctx, client, query, []any{hash}, append(dest,
		&u.ID, &u.Name, &u.Email, &u.Role, &u.Provider, &avatar, &u.EmailVerified,
		&u.LastLoginAt, &u.CreatedAt, &o.deleted, &o.lockUntil, &o.suspendedUntil)...)
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
type lookup int

const (
	activeByEmail lookup = iota
	verifiedByEmail
	activeByID
	deletedByEmail
	deletedVerifiedByEmail
)

func (by lookup) query() string {
	const all = `SELECT id, created_at, updated_at, name, email, password, role, provider, provider_id,` +
		` avatar, is_email_verified = 1, last_login_at, failed_login_attempts, lock_until, is_deleted <> 0,` +
		` deleted_at, re_activate_available_at, suspended_until, guess_failures, trust_epoch, reset_by_mail = 1 FROM ` +
		`users WHERE `
	switch by {
	case activeByEmail:
		return all + `email = ? AND NOT is_deleted LIMIT 1`
	case verifiedByEmail:
		return all + `email = ? AND NOT is_deleted AND is_email_verified = 1 LIMIT 1`
	case deletedByEmail:
		return all + `email = ? AND is_deleted LIMIT 1`
	case deletedVerifiedByEmail:
		return all + `email = ? AND is_deleted AND is_email_verified = 1 LIMIT 1`
	default:
		return all + `id = ? AND NOT is_deleted LIMIT 1`
	}
}

// loadUser is the user that a value finds, without edges, or nil.
func loadUser(ctx context.Context, client *ent.Client, by lookup, value any) (*ent.User, error) {
	var u ent.User
	var avatar []byte
	found, err := scanRow(ctx, client, by.query(), []any{value},
		&u.ID, &u.CreatedAt, &u.UpdatedAt, &u.Name, &u.Email, &u.Password, &u.Role, &u.Provider, &u.ProviderID,
		&avatar, &u.IsEmailVerified, &u.LastLoginAt, &u.FailedLoginAttempts, &u.LockUntil, &u.IsDeleted,
		&u.DeletedAt, &u.ReActivateAvailableAt, &u.SuspendedUntil, &u.GuessFailures, &u.TrustEpoch,
		&u.ResetByMail)
	if err != nil || !found {
		return nil, err
	}
	u.Avatar = decodeAvatar(avatar)
	return &u, nil
}
