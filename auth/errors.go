package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/ent"
)

// Errors a caller branches on. None holds a secret, and none of those returned
// for a credential tells whether an account exists.
var (
	// ErrEmailTaken: another account has the address. Say it to the address
	// only, never to who asked.
	ErrEmailTaken = errors.New("the email address is taken")
	// ErrCredentials: no active account has this email and password.
	ErrCredentials = errors.New("email or password is wrong")
	// ErrCode: the one-time code is not, or not any more, the one to enter. See
	// [CodeError] for how many attempts are left.
	ErrCode = errors.New("the code is wrong or has expired")
	// ErrSession: the token is that of no live session.
	ErrSession = errors.New("the session does not exist or has ended")
	// ErrRefresh: the token is not, or not any more, a refresh token.
	ErrRefresh = errors.New("the refresh token is not valid")
	// ErrReuse: the refresh token was used before. Its whole family is revoked,
	// and stays so. errors.Is(err, ErrRefresh) holds too.
	ErrReuse = fmt.Errorf("%w: it was used before, and all tokens descended from it are revoked", ErrRefresh)
	// ErrNotFound: no such user, or not in a state that allows the call.
	ErrNotFound = errors.New("there is no such user")
	// ErrProviderEmail: the provider has not verified the address, which an
	// account here already has: it must not be linked.
	ErrProviderEmail = errors.New("the provider has not verified the email address")
)

// ConfigError is a [Config] that cannot be used.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return fmt.Sprintf("auth: config: %s %s", e.Field, e.Reason) }

// PasswordError is a new password that the policy does not allow.
type PasswordError struct {
	MinLength, MaxLength int
	// Denied is set if its length is right, but PasswordPolicy.Deny refused it.
	Denied bool
}

func (e *PasswordError) Error() string {
	if e.Denied {
		return "the password is too easily guessed: choose another"
	}
	return fmt.Sprintf("a password has from %d to %d characters", e.MinLength, e.MaxLength)
}

// InputError is a name or address that cannot be stored. It does not repeat it.
type InputError struct {
	Field string
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("%s: %v", e.Field, e.Err) }
func (e *InputError) Unwrap() error { return e.Err }

// input is the [*InputError] for what the schema does not take, and otherwise
// err itself.
func input(err error) error {
	var invalid *ent.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	reason := invalid.Unwrap()
	// Under Ent's own words, which name the field too.
	if inner := errors.Unwrap(reason); inner != nil {
		reason = inner
	}
	return &InputError{Field: invalid.Name, Err: reason}
}

// errUTF8 is what a server would refuse and SQLite would store.
var errUTF8 = errors.New("is not valid UTF-8")

// LockedError is an account that examines no passwords before Until. It
// unwraps to [ErrCredentials], and that is all to tell whoever is signing in:
// an email without an account is never locked.
type LockedError struct{ Until time.Time }

func (e *LockedError) Error() string {
	return "the account is locked until " + e.Until.Format(time.RFC3339)
}
func (e *LockedError) Unwrap() error { return ErrCredentials }

// TooSoonError is a code that cannot be issued before RetryAt.
type TooSoonError struct{ RetryAt time.Time }

func (e *TooSoonError) Error() string {
	return "no further code can be sent before " + e.RetryAt.Format(time.RFC3339)
}

// CodeError is a wrong code. It unwraps to [ErrCode].
type CodeError struct{ AttemptsLeft int }

func (e *CodeError) Error() string {
	return fmt.Sprintf("%v (%d attempts left)", ErrCode, e.AttemptsLeft)
}
func (e *CodeError) Unwrap() error { return ErrCode }

// NotYetError is an account that cannot be reactivated before RetryAt.
type NotYetError struct{ RetryAt time.Time }

func (e *NotYetError) Error() string {
	return "the account can be reactivated from " + e.RetryAt.Format(time.RFC3339)
}

// UnknownError is a transition that got no answer to the statement that commits
// it: it may or may not have happened, and must not be reported as either.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the database did not answer, the outcome is unknown: %v", e.Err)
}
func (e *UnknownError) Unwrap() error { return e.Err }

// UnavailableError is a call for which the database is not there now: it cannot
// be reached, takes no writes, has no quorum, or goes on refusing. Nothing that
// the call was to do has happened, except that a guess at a password or a code
// may be counted. Answer 503: the same call may succeed later.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the database cannot be reached or takes no writes now, nothing was changed: %v", e.Err)
}
func (e *UnavailableError) Unwrap() error { return e.Err }
