package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// User is an account as callers see it: without its password.
type User struct {
	ID            int
	Name          string
	Email         string
	Role          schematype.Role
	Provider      schematype.Provider
	Avatar        *schematype.Avatar
	EmailVerified bool
	LastLoginAt   *time.Time
	CreatedAt     time.Time
}

func userOf(u *ent.User) *User {
	return &User{
		ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Provider: u.Provider, Avatar: u.Avatar,
		EmailVerified: u.IsEmailVerified, LastLoginAt: u.LastLoginAt, CreatedAt: u.CreatedAt,
	}
}

// Device is where a request comes from, as far as it says so.
type Device struct {
	// IP is the client's address. One that does not parse is not kept.
	IP string
	// UserAgent is the header; it is cut at 255 characters.
	UserAgent string
}

func (d Device) ip() *string {
	addr, err := netip.ParseAddr(d.IP)
	if err != nil {
		return nil
	}
	s := addr.WithZone("").String()
	return &s
}

func (d Device) userAgent() *string {
	if d.UserAgent == "" {
		return nil
	}
	return &d.UserAgent
}

// locked reports whether an account examines no passwords and has no live
// sessions.
func locked(u *ent.User, now time.Time) bool {
	return u.LockUntil != nil && u.LockUntil.After(now)
}

// owner is a user as read together with what is theirs.
type owner struct {
	user      User
	deleted   bool
	lockUntil sql.NullTime
}

// usable is [usable] of what was read.
func (o *owner) usable(now time.Time) bool {
	return !o.deleted && !(o.lockUntil.Valid && o.lockUntil.Time.After(now))
}

// ownerColumns are what [loadOwned] reads of u.
const ownerColumns = `u.id, u.name, u.email, u.role, u.provider, u.avatar, u.is_email_verified,
	u.last_login_at, u.created_at, u.is_deleted, u.lock_until`

// loadOwned runs a query for one row by a hash and scans it into dest, and the
// ownerColumns that follow into the owner. It is nil where there is no such row.
func loadOwned(ctx context.Context, client *ent.Client, query, hash string, dest ...any) (_ *owner, err error) {
	rows, err := client.QueryContext(ctx, query, hash)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return nil, rows.Err()
	}
	var o owner
	var avatar []byte
	var lastLogin sql.NullTime
	if err := rows.Scan(append(dest,
		&o.user.ID, &o.user.Name, &o.user.Email, &o.user.Role, &o.user.Provider, &avatar, &o.user.EmailVerified,
		&lastLogin, &o.user.CreatedAt, &o.deleted, &o.lockUntil)...); err != nil {
		return nil, err
	}
	if lastLogin.Valid {
		o.user.LastLoginAt = &lastLogin.Time
	}
	if len(avatar) > 0 {
		if err := json.Unmarshal(avatar, &o.user.Avatar); err != nil {
			return nil, fmt.Errorf("avatar of user %d: %w", o.user.ID, err)
		}
	}
	return &o, nil
}
