package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"time"
)

// Config configures a [Service]. Every zero field but Keys has a default,
// named beside it with its source.
type Config struct {
	// Keys authenticate one-time codes at rest (HMAC-SHA-256), 32 bytes or
	// more each. The first is used for new codes, the others are still
	// accepted: put a new key in front to rotate, and drop the last one once
	// OTP.Lifetime has passed. There is no default: all replicas share them.
	Keys Keys

	Password PasswordPolicy
	Lockout  LockoutPolicy
	OTP      OTPPolicy
	Session  SessionPolicy
	Refresh  RefreshPolicy
	Account  AccountPolicy

	// Hasher hashes passwords; default argon2id with OWASP's parameters.
	Hasher Hasher
	// Observer is told of every transition; default none.
	Observer Observer
	// Clock gives the time; default time.Now.
	Clock func() time.Time
	// Random gives tokens and codes; default crypto/rand.Reader.
	Random io.Reader
}

// PasswordPolicy bounds new passwords.
type PasswordPolicy struct {
	// MinLength in characters; default 15 (NIST SP 800-63B-4, 3.1.1.2: the
	// least where the password is the only factor; OWASP ASVS 5.0.0, 6.2.1).
	MinLength int
	// MaxLength in characters; default 128 (the same section recommends to
	// permit at least 64, ASVS 6.2.9 requires it; a limit keeps hashing
	// affordable).
	MaxLength int
	// Deny reports whether a password must not be used: one that is common,
	// was breached, or names the service (NIST SP 800-63B-4, 3.1.1.2). It gets
	// the password in Unicode's form C. Default nil: none is denied, which the
	// policy report says.
	Deny func(password string) bool
}

// LockoutPolicy bounds online guessing of a password.
type LockoutPolicy struct {
	// MaxFailures is how many consecutive guesses are examined before the
	// account is locked; default 10 (NIST SP 800-63B-4, 3.2.2 allows at most
	// 100, and then has the password disabled: here the count starts again
	// when a lock ends).
	MaxFailures int
	// Duration is how long the account is locked after them; default 15 minutes
	// (within the 30 seconds to an hour that the same section gives as an
	// example; OWASP Authentication Cheat Sheet, Account Lockout, names none).
	Duration time.Duration
}

// OTPPolicy bounds one-time codes.
type OTPPolicy struct {
	// Length in digits; default 6 (NIST SP 800-63B-4, 3.1.3.2 and, for
	// recovery, 4.2.1.2: the least; OWASP ASVS 5.0.0, 6.5.4).
	Length int
	// Lifetime of a code; default 10 minutes (NIST SP 800-63B-4, 3.1.3.2 and
	// ASVS 6.5.5: the most).
	Lifetime time.Duration
	// MaxAttempts is how many guesses at one code are examined; default 5
	// (ASVS 6.6.3 asks for a limit).
	MaxAttempts int
	// ResendCooldown is the least time between two codes; default 1 minute.
	ResendCooldown time.Duration
	// Budget is the most codes issued within BudgetWindow; defaults 5 and 1
	// hour. It bounds all guesses at codes of one window to Budget ×
	// MaxAttempts, below the 100 of NIST SP 800-63B-4, 3.2.2: a new code does
	// not make the attempts endless (3.1.3.2).
	Budget       int
	BudgetWindow time.Duration
}

// SessionPolicy bounds sessions.
type SessionPolicy struct {
	// Idle ends a session that was not used for this long; default 24 hours
	// (NIST SP 800-63B-4, 2.1.3 requires none at AAL1; OWASP Session Management
	// Cheat Sheet, Session Expiration, calls 15 to 30 minutes common).
	Idle time.Duration
	// Absolute ends a session this long after it began; default 30 days (NIST
	// SP 800-63B-4, 2.1.3: the most it recommends at AAL1).
	Absolute time.Duration
	// TouchInterval is how exact last_used_at is; default 1 minute. A session
	// is written at most once within it.
	TouchInterval time.Duration
	// MaxPerUser ends a user's least recently used sessions beyond this many;
	// 0 is no limit.
	MaxPerUser int
}

// RefreshPolicy bounds refresh tokens.
type RefreshPolicy struct {
	// Idle ends a family whose token was not rotated for this long; default
	// 14 days (RFC 9700, 4.14.2 asks for expiry after inactivity).
	Idle time.Duration
	// Absolute ends a family this long after its first token; default 90 days
	// (OWASP ASVS 5.0.0, 10.4.8 asks for an end, and names no time).
	Absolute time.Duration
	// Grace is how long after its rotation a token may be presented again, by
	// a client that did not get the answer; default 0: never (OWASP ASVS
	// 5.0.0, 10.4.5).
	Grace time.Duration
	// GraceUses is how often it may be, within Grace; default 1.
	GraceUses int
}

// AccountPolicy bounds deleted accounts.
type AccountPolicy struct {
	// ReactivateAfter is how long a deleted account cannot be reactivated;
	// default 0: at once.
	ReactivateAfter time.Duration
	// Retention is how long a deleted account is kept; default 30 days (OWASP
	// ASVS 5.0.0, 14.2.7 asks for a schedule, and names no time).
	Retention time.Duration
}

// LongestLifetime is how far ahead of the clock a service with this configuration
// writes times, the defaults applied: what the type of the columns has to hold.
func (c Config) LongestLifetime() time.Duration {
	c.setDefaults()
	return max(c.OTP.Lifetime, c.OTP.ResendCooldown, c.Session.Absolute, c.Refresh.Absolute, c.Lockout.Duration, c.Account.ReactivateAfter)
}

func (c *Config) setDefaults() {
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	const day = 24 * time.Hour
	orInt(&c.Password.MinLength, 15)
	orInt(&c.Password.MaxLength, 128)
	orInt(&c.Lockout.MaxFailures, 10)
	orDuration(&c.Lockout.Duration, 15*time.Minute)
	orInt(&c.OTP.Length, 6)
	orDuration(&c.OTP.Lifetime, 10*time.Minute)
	orInt(&c.OTP.MaxAttempts, 5)
	orDuration(&c.OTP.ResendCooldown, time.Minute)
	orInt(&c.OTP.Budget, 5)
	orDuration(&c.OTP.BudgetWindow, time.Hour)
	orDuration(&c.Session.Idle, day)
	orDuration(&c.Session.Absolute, 30*day)
	orDuration(&c.Session.TouchInterval, time.Minute)
	orDuration(&c.Refresh.Idle, 14*day)
	orDuration(&c.Refresh.Absolute, 90*day)
	orInt(&c.Refresh.GraceUses, 1)
	orDuration(&c.Account.Retention, 30*day)
	if c.Hasher == nil {
		c.Hasher = Argon2id{}
	}
	if c.Observer == nil {
		c.Observer = ObserverFunc(func(context.Context, Event) {})
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
}

func (c *Config) validate() error {
	bad := func(field, reason string, args ...any) error {
		return &ConfigError{Field: field, Reason: fmt.Sprintf(reason, args...)}
	}
	if len(c.Keys.reveal()) == 0 {
		return bad("Keys", "needs at least one key")
	}
	for i, k := range c.Keys.reveal() {
		if len(k) < 32 {
			return bad("Keys", "key %d has %d bytes, needs 32", i, len(k))
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"Password.MinLength", c.Password.MinLength}, {"Password.MaxLength", c.Password.MaxLength},
		{"Lockout.MaxFailures", c.Lockout.MaxFailures}, {"OTP.MaxAttempts", c.OTP.MaxAttempts},
		{"OTP.Budget", c.OTP.Budget}, {"Refresh.GraceUses", c.Refresh.GraceUses},
		{"Session.MaxPerUser", c.Session.MaxPerUser + 1},
	} {
		switch {
		case n.value < 1:
			return bad(n.field, "is negative")
		case n.value > math.MaxInt32:
			return bad(n.field, "is above what the column holds")
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Lockout.Duration", c.Lockout.Duration}, {"OTP.Lifetime", c.OTP.Lifetime},
		{"OTP.ResendCooldown", c.OTP.ResendCooldown}, {"OTP.BudgetWindow", c.OTP.BudgetWindow},
		{"Session.Idle", c.Session.Idle}, {"Session.Absolute", c.Session.Absolute},
		{"Session.TouchInterval", c.Session.TouchInterval}, {"Refresh.Idle", c.Refresh.Idle},
		{"Refresh.Absolute", c.Refresh.Absolute}, {"Refresh.Grace", c.Refresh.Grace},
		{"Account.ReactivateAfter", c.Account.ReactivateAfter}, {"Account.Retention", c.Account.Retention},
	} {
		if d.value < 0 {
			return bad(d.field, "is negative")
		}
	}
	switch {
	case c.Password.MinLength > c.Password.MaxLength:
		return bad("Password.MinLength", "is above MaxLength")
	case c.OTP.Length < 4 || c.OTP.Length > 18:
		return bad("OTP.Length", "must be from 4 to 18 digits")
	case c.Session.TouchInterval > c.Session.Idle/2:
		return bad("Session.TouchInterval", "must be at most half of Idle, or sessions in use would end")
	}
	return nil
}

// problem is the error of a Config that [New] would refuse, apart from its
// having no keys.
func (c Config) problem() error {
	if len(c.Keys.reveal()) == 0 {
		c.Keys = NewKeys(make([]byte, minKey))
	}
	return c.validate()
}

// minKey is the length in bytes below which a key weakens HMAC-SHA-256.
const minKey = 32
