package auth

import (
	"net/netip"
	"strings"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// User is an account as callers see it, without its password. Times are UTC, to the microsecond.
type User struct {
	ID   UserID
	Name string
	// Email is normalised: trimmed, in Unicode's form C and in lower case. It may be otherwise only where another
	// program wrote it.
	Email string
	Role  schematype.Role
	// Provider is the one that the account is linked to.
	Provider schematype.Provider
	// Avatar is nil if there is none.
	Avatar        *schematype.Avatar
	EmailVerified bool
	// LastLoginAt is nil before the first sign-in.
	LastLoginAt *time.Time
	CreatedAt   time.Time
}

func userOf(u *graph.Account) *User {
	out := &User{
		ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Provider: u.Provider, Avatar: u.Avatar,
		EmailVerified: u.IsEmailVerified, LastLoginAt: u.LastLoginAt, CreatedAt: u.CreatedAt,
	}
	out.leaveOutZero()
	return out
}

// leaveOutZero makes nil what other programs wrote in the place of nothing: an empty avatar, and MySQL's zero date.
func (u *User) leaveOutZero() {
	if u.Avatar != nil && *u.Avatar == (schematype.Avatar{}) {
		u.Avatar = nil
	}
	if u.LastLoginAt != nil && u.LastLoginAt.IsZero() {
		u.LastLoginAt = nil
	}
}

// Device is where a request comes from, as far as it says so.
type Device struct {
	// IP is the client's address, IPv4 or IPv6. A port after it, as in http.Request.RemoteAddr, a zone and brackets do
	// not count. What is no address, such as a list of a header X-Forwarded-For, is not kept, is no error and limits
	// nothing: name the origin yourself there.
	IP string
	// UserAgent is the header of this name. It is cut at 255 characters.
	UserAgent string
	// Token is the last session token that the device got, live or ended, such as that of a cookie which outlives the
	// session (OWASP, Slow Down Online Guessing Attacks with Device Cookies). It may also be the refresh token of the
	// device. The zero Token is none.
	Token Token
	// Origin is where the request comes from, by which mails are limited. Default: IP, an IPv6 one cut to its /64.
	Origin string
}

// addr is the address of IP; the zero one, which is not valid, if it is none.
func (d Device) addr() netip.Addr {
	text := strings.TrimSpace(d.IP)
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, _ := netip.ParseAddrPort(text) // the zero one is not valid
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone("")
}

func (d Device) ip() *string {
	addr := d.addr()
	if !addr.IsValid() {
		return nil
	}
	s := addr.String()
	return &s
}

func (d Device) userAgent() *string {
	if d.UserAgent == "" {
		return nil
	}
	s := schematype.CutUserAgent(d.UserAgent)
	return &s
}
