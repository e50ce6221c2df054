package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
)

// Config configures a [Service]. Every zero field but Keys takes the default that its comment names; [Config.Report]
// holds all of them against their sources. Replicas on one database should have the same configuration.
type Config struct {
	// Keys authenticate one-time codes at rest (HMAC-SHA-256), make the successors of refresh tokens and the tickets of
	// registrations, and hide the origins of mails. Each has 32 bytes or more, and all replicas share them. What is new
	// uses the first one; the others are still accepted. To replace one, put the new key last on every replica, then
	// first on every replica. Drop the old one 7 days later, when no ticket of a registration is left that needs it;
	// what else needs it ends sooner, with OTP.Lifetime, OTP.BudgetWindow or Refresh.Grace. There is no default.
	Keys Keys

	Password PasswordPolicy
	Hashing  HashingPolicy
	Lockout  LockoutPolicy
	OTP      OTPPolicy
	Session  SessionPolicy
	Refresh  RefreshPolicy
	Account  AccountPolicy
	// SecondStep is who has to prove more than one thing; default nobody.
	SecondStep SecondStepPolicy

	// Reader, if set, answers [Service.CheckSession] and [Service.Sessions], such as a client of the secondaries of a
	// cluster. It must see what was committed before the call, or a session that was ended is accepted until it does:
	// authgraph.ForReading has the servers of a cluster wait for that. A session that it refuses is asked for once more
	// at the client of [New]. So are all other calls, and these while the reader fails or takes a second. Default none.
	Reader *ent.Client

	// Hasher hashes passwords; default [Argon2id] with OWASP's parameters. A password whose hash another system made is
	// verified all the same, and hashed again when its owner signs in, see HashingPolicy.Rehash. These are read:
	// bcrypt, scrypt, PBKDF2, argon2i and argon2id, as Django, Laravel, Devise, Better Auth, passlib and the npm
	// packages argon2 and bcryptjs write them.
	Hasher Hasher
	// Pepper is one key, the config.pepper of Devise. The bcrypt hashes that are stored are then of the password
	// followed by it. Default none.
	Pepper Keys
	// Observer is told of every transition; default none.
	Observer Observer
	// Clock gives the time, in whatever zone; default [time.Now]. It must be safe for concurrent use.
	Clock func() time.Time
	// Random is the source of tokens and codes; default [rand.Reader]. It must be safe for concurrent use.
	Random io.Reader
}

// PasswordPolicy bounds new passwords. Existing ones are not checked. A password that it refuses is a [*PasswordError].
//
// By default it refuses the most used passwords (of each minimum length from 8 to 16 the first 3,000; OWASP ASVS 5.0.0,
// 6.2.4), repetitions, and what is little more than the user's name and address.
type PasswordPolicy struct {
	// MinLength is in characters; default 15. That is the least where the password
	// is the only factor (NIST SP 800-63B-4, 3.1.1.2; OWASP ASVS 5.0.0, 6.2.1).
	MinLength int
	// MaxLength is in characters; default 128, so that hashing stays affordable. NIST recommends to permit at least 64
	// (the same section), and ASVS 6.2.9 requires it.
	MaxLength int
	// Names are those of the service, its company and its products, which its users think of first. They are refused as
	// a user's own name is (ASVS 6.2.11). Default none, which the report warns of.
	Names []string
	// AllowGuessable leaves all of that out, for a Deny that does it better. The report fails it.
	AllowGuessable bool
	// Deny reports whether a password must not be used for a reason of your own. It gets the password in Unicode's form
	// C and must be safe for concurrent use. Default nil.
	Deny func(password string) bool
	// Breached reports whether a password is known from breaches (ASVS 6.2.12), as [PwnedPasswords] does. It is asked
	// last, gets the password in Unicode's form C, and must be safe for concurrent use. Default nil, which the report
	// warns of.
	Breached func(ctx context.Context, password string) (bool, error)
	// FailClosed refuses new passwords, with a [*BusyError], while Breached returns an error. By default they are taken
	// then, and the Observer is told.
	FailClosed bool
}

// HashingPolicy bounds the hashing of passwords, which takes more time and memory than all else that a call does. Each
// service has bounds of its own: make one service in a process.
type HashingPolicy struct {
	// Parallel is how many passwords are hashed at once; default [runtime.GOMAXPROCS], because each keeps a processor
	// busy.
	Parallel int
	// Memory is how many MiB they take together; default 512. What the garbage collector has not freed yet comes on
	// top, about as much again. A hash of another system that would take more by itself is not read.
	Memory int
	// Queue is how many more calls wait for their turn, or until their context ends; default 64 for each of Parallel,
	// which takes some seconds. Beyond it the error is a [*BusyError], at once (OWASP ASVS 5.0.0, 15.2.2).
	Queue int
	// Floor is the time that a refused password takes, with whatever hash or none; default 1 second, [NoFloor] for
	// none. If the refusal takes longer by itself, it is answered after twice the time, and so on. What a wrong
	// password costs does not show then, while the machine is not overloaded. The default is above three times the
	// 0.3 s of bcrypt at cost 12, the most costly hash that other systems usually store: a password that Unicode writes
	// in three forms is compared in each. Where calls wait for each other, such a one takes twice the Floor more often
	// than others, so whoever measures many learns that there is an account. Its owner's next sign-in renews the hash.
	// Until then a longer Floor, and fewer guesses let through to the service, show less.
	Floor time.Duration
	// Rehash is whether a sign-in renews a hash that Config.Hasher would make otherwise today; default true. It is
	// false by default where the users are those of a project whose own code verifies passwords too and might not read
	// the new hash: set it to new(true) when this package alone does.
	Rehash *bool
}

// NoFloor is a HashingPolicy.Floor under which a refusal is answered at once.
const NoFloor time.Duration = -1

// LockoutPolicy bounds online guessing of a password.
type LockoutPolicy struct {
	// MaxFailures is how many consecutive guesses of strangers are examined before the account is locked; default 10. A
	// device that signed in before has as many of its own, which no lock concerns.
	MaxFailures int
	// Duration of the lock after them; default 15 minutes. NIST SP 800-63B-4, 3.2.2 gives 30 seconds to an hour as an
	// example; OWASP's Authentication Cheat Sheet, Account Lockout, names no time. A lock that is further ahead, by
	// more than [ClockTolerance], was not made by guessing and counts as a suspension.
	Duration time.Duration
	// Budget is how many failures in a row an account has in all, whatever the time between them; default and most 100,
	// as NIST SP 800-63B-4, 3.2.2 has it, least 5. It has three parts:
	//
	//   - A fifth is for the second step: 20.
	//   - OTP.Budget times OTP.MaxAttempts are for the codes that are open when somebody gets in: 30. That starts the
	//     counts again and leaves those codes as they are. No more are open at once.
	//   - Strangers have the rest, over passwords and mailed codes, each of which takes OTP.MaxAttempts of it: 50. It
	//     must be MaxFailures or more.
	//
	// When strangers have used theirs up, no stranger's password is examined until somebody gets in by another way, and
	// mails carry links in the place of codes. MaxFailures of each device that signed in before come on top. So do the
	// codes that such devices, and whoever shows a link, have open when they get in: OTP.DeviceBudget at most.
	Budget int
}

// OTPPolicy bounds one-time codes and the mails that carry them. The limits of mails hold over all purposes.
type OTPPolicy struct {
	// Length is in digits, from 4 to 18; default 6. That is the least of NIST SP
	// 800-63B-4, 3.1.3.2 (for recovery 4.2.1.2) and OWASP ASVS 5.0.0, 6.5.4.
	Length int
	// Lifetime of a code; default 10 minutes, the most of NIST SP 800-63B-4, 3.1.3.2 and ASVS 6.5.5.
	Lifetime time.Duration
	// MaxAttempts is how many guesses at one code are examined; default 5 (ASVS 6.6.3 asks for a limit).
	MaxAttempts int
	// ResendCooldown is the least time between two mails to an address that one origin asks for, or one device that is
	// known to the account; default 1 minute. What others ask for makes nobody wait.
	ResendCooldown time.Duration
	// Budget is the most mails to an address within BudgetWindow that strangers ask for; default 6. One origin has at
	// most half of it. The guesses at the codes of an account are bounded by LockoutPolicy.Budget.
	Budget int
	// DeviceBudget is the same for devices that are known to the account (see Device.Token), which strangers cannot use
	// up; default 4.
	DeviceBudget int
	// OriginBudget is the most mails within BudgetWindow that one origin asks for, over all addresses; default 30. Name
	// origins in Device.Origin where many people share an IP address. Without an origin there is only Budget.
	OriginBudget int
	// BudgetWindow is the time that the budgets are for, at least Lifetime; default 1 hour.
	BudgetWindow time.Duration
}

// SessionPolicy bounds sessions.
type SessionPolicy struct {
	// Idle ends a session that was not used for this long; default 24 hours. NIST SP 800-63B-4, 2.1.3 requires none at
	// AAL1; OWASP's Session Management Cheat Sheet, Session Expiration, calls 15 to 30 minutes common.
	Idle time.Duration
	// Absolute ends a session this long after it began; default 30 days, the most
	// that NIST SP 800-63B-4, 2.1.3 recommends at AAL1.
	Absolute time.Duration
	// TouchInterval is the precision of last_used_at; default 1 minute. A session is
	// written at most once within it. It is at most half of Idle.
	TouchInterval time.Duration
	// Remember is how long after a session's absolute end its device is still told from a stranger; default 30 days.
	Remember time.Duration
	// MaxPerUser is how many live sessions a user may have. A new one beyond it ends the least recently used; default
	// 0, which is no limit. Where the limit is new, the next sign-in of a user ends all that are beyond it, a hundred
	// in a transaction: with 100,000 it waits for 1,000 transactions. What it has ended stays ended if its context ends
	// before, and the sign-in after it goes on.
	MaxPerUser int
}

// RefreshPolicy bounds refresh tokens.
type RefreshPolicy struct {
	// Idle ends a family whose token was not rotated for this long; default 14 days
	// (RFC 9700, 4.14.2 asks for expiry after inactivity).
	Idle time.Duration
	// Absolute ends a family this long after its first token; default 90 days (OWASP
	// ASVS 5.0.0, 10.4.8 asks for an end and names no time).
	Absolute time.Duration
	// Grace is how long after its exchange a token may be presented again, and gets the same successor; default and
	// most 10 seconds, [NoGrace] for never. RFC 9700, 4.14.2 and OWASP ASVS 5.0.0, 10.4.5 ask for never, which signs
	// out whoever refreshes in two tabs at once or loses an answer. In these seconds a thief may use a token that its
	// owner has exchanged; each such use is an event.
	Grace time.Duration
}

// NoGrace is a RefreshPolicy.Grace of none.
const NoGrace time.Duration = -1

// maxGrace is the longest RefreshPolicy.Grace: long enough for an answer that was lost and a retry.
const maxGrace = 10 * time.Second

// AccountPolicy bounds accounts that are not verified, and deleted ones.
type AccountPolicy struct {
	// VerifiedOnly lets nobody in whose address is not verified; default false. [Service.SignIn] and
	// [Service.Reactivate] take such an account for none. Otherwise whoever registers an address and signs in learns
	// from the result whether it had an account (OWASP ASVS 5.0.0, 6.3.8). A mailed code, and a provider that has
	// verified the same address, verify it and sign in. [Service.StartSession] and [Service.IssueRefresh] rest on the
	// caller's own proof and do not ask.
	VerifiedOnly bool
	// ReactivateAfter is how long a deleted account cannot come back; default 0: it can at once.
	ReactivateAfter time.Duration
	// Retention is how long a deleted account is kept before [Purge] deletes it; default 30 days (OWASP ASVS 5.0.0,
	// 14.2.7 asks for a schedule and names no time).
	Retention time.Duration
}

const day = 24 * time.Hour

// defaults are the values of zero fields.
var defaults = Config{
	Password: PasswordPolicy{MinLength: 15, MaxLength: 128},
	Lockout:  LockoutPolicy{MaxFailures: 10, Duration: 15 * time.Minute, Budget: maxGuesses},
	Hashing:  HashingPolicy{Memory: 512, Floor: time.Second},
	OTP: OTPPolicy{
		Length: 6, Lifetime: 10 * time.Minute, MaxAttempts: 5,
		ResendCooldown: time.Minute, Budget: 6, DeviceBudget: 4, OriginBudget: 30, BudgetWindow: time.Hour,
	},
	Session:  SessionPolicy{Idle: day, Absolute: 30 * day, TouchInterval: time.Minute, Remember: 30 * day},
	Refresh:  RefreshPolicy{Idle: 14 * day, Absolute: 90 * day, Grace: maxGrace},
	Account:  AccountPolicy{Retention: 30 * day},
	Hasher:   Argon2id{},
	Observer: ObserverFunc(func(context.Context, Event) {}),
	Clock:    time.Now,
	Random:   rand.Reader,
}

// lastTimestamp is the last second that a TIMESTAMP holds on every server (MySQL manual, 13.2.2).
var lastTimestamp = time.Unix(math.MaxInt32, 0).UTC()

// LongestLifetime is how far ahead of the clock a service with this configuration
// writes times, with the defaults applied. The columns have to hold such times.
func (c Config) LongestLifetime() time.Duration {
	c.setDefaults()
	longest := time.Duration(0)
	for _, l := range c.lifetimes() {
		longest = max(longest, l.value)
	}
	return longest
}

// lifetime is a duration of the configuration.
type lifetime struct {
	field string
	value time.Duration
}

// lifetimes are those that end at a time which is written.
func (c *Config) lifetimes() []lifetime {
	return []lifetime{
		{"Lockout.Duration", c.Lockout.Duration}, {"OTP.Lifetime", c.OTP.Lifetime},
		{"OTP.ResendCooldown", c.OTP.ResendCooldown}, {"Session.Absolute", c.Session.Absolute},
		{"Refresh.Absolute", c.Refresh.Absolute}, {"Account.ReactivateAfter", c.Account.ReactivateAfter},
	}
}

// setDefaults fills the zero fields that have a default.
func (c *Config) setDefaults() {
	c.Password.MinLength = cmp.Or(c.Password.MinLength, defaults.Password.MinLength)
	c.Password.MaxLength = cmp.Or(c.Password.MaxLength, defaults.Password.MaxLength)
	c.Hashing.Parallel = cmp.Or(c.Hashing.Parallel, runtime.GOMAXPROCS(0))
	c.Hashing.Memory = cmp.Or(c.Hashing.Memory, defaults.Hashing.Memory)
	c.Hashing.Floor = cmp.Or(c.Hashing.Floor, defaults.Hashing.Floor)
	c.Hashing.Queue = cmp.Or(c.Hashing.Queue, 64*c.Hashing.Parallel)
	if c.Hashing.Rehash == nil {
		c.Hashing.Rehash = new(!graph.SharedPasswords)
	}
	c.Lockout.MaxFailures = cmp.Or(c.Lockout.MaxFailures, defaults.Lockout.MaxFailures)
	c.Lockout.Duration = cmp.Or(c.Lockout.Duration, defaults.Lockout.Duration)
	c.Lockout.Budget = cmp.Or(c.Lockout.Budget, defaults.Lockout.Budget)
	c.OTP.Length = cmp.Or(c.OTP.Length, defaults.OTP.Length)
	c.OTP.Lifetime = cmp.Or(c.OTP.Lifetime, defaults.OTP.Lifetime)
	c.OTP.MaxAttempts = cmp.Or(c.OTP.MaxAttempts, defaults.OTP.MaxAttempts)
	c.OTP.ResendCooldown = cmp.Or(c.OTP.ResendCooldown, defaults.OTP.ResendCooldown)
	c.OTP.Budget = cmp.Or(c.OTP.Budget, defaults.OTP.Budget)
	c.OTP.DeviceBudget = cmp.Or(c.OTP.DeviceBudget, defaults.OTP.DeviceBudget)
	c.OTP.OriginBudget = cmp.Or(c.OTP.OriginBudget, defaults.OTP.OriginBudget)
	c.OTP.BudgetWindow = cmp.Or(c.OTP.BudgetWindow, defaults.OTP.BudgetWindow)
	c.Session.Idle = cmp.Or(c.Session.Idle, defaults.Session.Idle)
	c.Session.Absolute = cmp.Or(c.Session.Absolute, defaults.Session.Absolute)
	c.Session.TouchInterval = cmp.Or(c.Session.TouchInterval, defaults.Session.TouchInterval)
	c.Session.Remember = cmp.Or(c.Session.Remember, defaults.Session.Remember)
	c.Refresh.Idle = cmp.Or(c.Refresh.Idle, defaults.Refresh.Idle)
	c.Refresh.Absolute = cmp.Or(c.Refresh.Absolute, defaults.Refresh.Absolute)
	c.Refresh.Grace = cmp.Or(c.Refresh.Grace, defaults.Refresh.Grace)
	c.Account.Retention = cmp.Or(c.Account.Retention, defaults.Account.Retention)
	if c.Hasher == nil {
		c.Hasher = defaults.Hasher
	}
	if c.Observer == nil {
		c.Observer = defaults.Observer
	}
	if c.Clock == nil {
		c.Clock = defaults.Clock
	}
	if c.Random == nil {
		c.Random = defaults.Random
	}
}

// validate is a [*ConfigError] if the configuration, with its defaults, cannot be used.
func (c *Config) validate() error {
	bad := func(field, reason, fix string) error { return &ConfigError{Field: field, Reason: reason, Fix: fix} }
	if len(c.Keys.reveal()) == 0 {
		return bad("Keys", "is empty", fmt.Sprintf("give one of at least %d random bytes", minKey))
	}
	for i, k := range c.Keys.reveal() {
		if len(k) < minKey {
			return bad("Keys", fmt.Sprintf("has %d bytes in key %d", len(k), i),
				fmt.Sprintf("give at least %d random ones", minKey))
		}
		if bytes.Count(k, k[:1]) == len(k) {
			return bad("Keys", fmt.Sprintf("has one byte over and over in key %d", i),
				fmt.Sprintf("give at least %d random ones", minKey))
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"Password.MinLength", c.Password.MinLength}, {"Password.MaxLength", c.Password.MaxLength},
		{"Hashing.Parallel", c.Hashing.Parallel}, {"Hashing.Memory", c.Hashing.Memory},
		{"Hashing.Queue", c.Hashing.Queue}, {"Lockout.MaxFailures", c.Lockout.MaxFailures},
		{"OTP.MaxAttempts", c.OTP.MaxAttempts}, {"OTP.Budget", c.OTP.Budget},
		{"OTP.DeviceBudget", c.OTP.DeviceBudget}, {"OTP.OriginBudget", c.OTP.OriginBudget},
		{"Session.MaxPerUser", c.Session.MaxPerUser},
	} {
		switch {
		case n.value < 0:
			return bad(n.field, "is negative", "leave it out for the default")
		case n.value > math.MaxInt32:
			return bad(n.field, "is above what the column holds", fmt.Sprintf("take at most %d", math.MaxInt32))
		}
	}
	for _, d := range append(c.lifetimes(), []lifetime{
		{"OTP.BudgetWindow", c.OTP.BudgetWindow}, {"Session.Idle", c.Session.Idle},
		{"Session.TouchInterval", c.Session.TouchInterval}, {"Refresh.Idle", c.Refresh.Idle},
		{"Session.Remember", c.Session.Remember}, {"Account.Retention", c.Account.Retention},
	}...) {
		if d.value < 0 {
			return bad(d.field, "is negative", "leave it out for the default")
		}
	}
	for _, l := range c.lifetimes() {
		if !c.Clock().Add(l.value).Before(lastTimestamp) {
			return bad(l.field, "ends after 2038-01-19T03:14:07Z, the last time that its column holds", "take less")
		}
	}
	switch {
	case len(c.Pepper.reveal()) > 1:
		return bad("Pepper", "has more than one key", "give that of the system that made the hashes")
	case c.Password.MinLength > c.Password.MaxLength:
		return bad("Password.MinLength", "is above MaxLength", fmt.Sprintf("take at most %d", c.Password.MaxLength))
	case c.Lockout.Budget < 5 || c.Lockout.Budget > maxGuesses:
		return bad("Lockout.Budget", fmt.Sprintf("is %d", c.Lockout.Budget),
			fmt.Sprintf("take 5 to %d", maxGuesses))
	case c.OTP.BudgetWindow < c.OTP.Lifetime:
		return bad("OTP.BudgetWindow", "is shorter than Lifetime, so more codes than Budget would be open at once",
			"take Lifetime or more")
	case c.strangers() < c.Lockout.MaxFailures:
		return bad("Lockout.Budget", fmt.Sprintf("leaves strangers %d guesses in a row, fewer than MaxFailures: "+
			"%d are for the second step, and %d for open codes", c.strangers(), c.Lockout.step(), c.OTP.open()),
			"lower OTP.Budget, OTP.MaxAttempts or Lockout.MaxFailures")
	case c.OTP.Length < 4 || c.OTP.Length > 18:
		return bad("OTP.Length", fmt.Sprintf("is %d", c.OTP.Length), "take 4 to 18 digits")
	case c.Session.TouchInterval > c.Session.Idle/2:
		return bad("Session.TouchInterval", "is more than half of Idle, so sessions in use would end",
			"take half of Idle or less")
	case c.Refresh.Grace > maxGrace:
		return bad("Refresh.Grace", "is longer than a lost answer takes", fmt.Sprintf("take at most %s", maxGrace))
	case c.Refresh.Grace < 0 && c.Refresh.Grace != NoGrace:
		return bad("Refresh.Grace", "is negative", "leave it out for the default, or take NoGrace for none")
	}
	return nil
}

// pepper is what follows a password in a hash of bcrypt.
func (c *Config) pepper() string {
	for _, pepper := range c.Pepper.reveal() {
		return string(pepper)
	}
	return ""
}

// validateWithoutKeys is validate for a use that needs no keys: there may be none.
func (c Config) validateWithoutKeys() error {
	if len(c.Keys.reveal()) == 0 {
		c.Keys = NewKeys([]byte("any key of at least thirty-two bytes"))
	}
	return c.validate()
}

// minKey is the length in bytes below which a key weakens HMAC-SHA-256.
const minKey = 32
