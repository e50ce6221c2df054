package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/ent"
)

// Errors a caller branches on. None holds a secret, and none of those returned for
// a credential tells whether an account exists.
var (
	// ErrEmailTaken: another account has the address. Tell it to the address only, never to whoever asked.
	ErrEmailTaken = errors.New("the email address is taken")
	// ErrCredentials: no active account has this email and password.
	ErrCredentials = errors.New("email or password is wrong")
	// ErrCode: the one-time code is not, or no longer, the one to enter. A
	// [CodeError] also tells how many attempts are left.
	ErrCode = errors.New("the code is wrong or has expired")
	// ErrSession: no live session has the token.
	ErrSession = errors.New("the session does not exist or has ended")
	// ErrRefresh: the token is not, or no longer, a refresh token.
	ErrRefresh = errors.New("the refresh token is not valid")
	// ErrReuse: the refresh token was used before. Its whole family is revoked, and stays so. It is an [ErrRefresh]
	// too: test for ErrReuse first. A [ReuseError] also tells whose it is.
	ErrReuse = fmt.Errorf("%w: it was used before, and all tokens descended from it are revoked", ErrRefresh)
	// ErrNotFound: there is no such user, or not in a state that allows the call.
	ErrNotFound = errors.New("there is no such user")
	// ErrSecondStep: the first step was right, and a second one is needed. It is a [*SecondStepError].
	ErrSecondStep = errors.New("a second step is needed")
	// ErrProviderEmail: nobody has signed in with this identity before, and the provider has not verified its address.
	// It is the same whether or not an account has the address.
	ErrProviderEmail = errors.New("the provider has not verified the email address")
	// ErrIdentity: the account is linked to another identity of the provider, or the identity to another account. The
	// owner signs in by another way, and then unlinks the one or the other.
	ErrIdentity = errors.New("the account or the identity is linked to another one")
	// ErrLastWayIn: the account has no password, so nobody could sign in to it without its link to a provider. A reset
	// of the password gives it one.
	ErrLastWayIn = errors.New("the link to the provider is the last way to sign in to the account")
)

// ConfigError is a [Config] that cannot be used.
type ConfigError struct {
	// Field is the one at fault, such as "OTP.Length", or "client".
	Field string
	// Reason is what is wrong with it. It does not repeat a key.
	Reason string
	// Fix is what to do.
	Fix string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("auth: config: %s %s: %s", e.Field, e.Reason, e.Fix)
}

// PasswordError is a new password that the policy does not allow. It does not repeat it.
type PasswordError struct {
	// Rule is what refused it.
	Rule PasswordRule
	// MinLength and MaxLength are the policy's, in characters.
	MinLength, MaxLength int
}

func (e *PasswordError) Error() string {
	switch e.Rule {
	case RuleEncoding:
		return "a password is text in UTF-8"
	case RuleLength:
		return fmt.Sprintf("a password has from %d to %d characters", e.MinLength, e.MaxLength)
	case RuleCommon:
		return "many people have this password: choose another"
	case RuleRepetition:
		return "the password repeats a few characters: choose another"
	case RuleNames:
		return "the password is little more than names that others know: choose another"
	case RuleBreached:
		return "the password is known from a breach of some service: choose another"
	default:
		return "the password is too easily guessed: choose another"
	}
}

// ReuseError is a refresh token that was used before. It unwraps to [ErrReuse]. Tell the user: somebody else has had a
// token of theirs.
type ReuseError struct {
	UserID UserID
	// Ended is what of the family was live, with its session.
	Ended Ended
}

func (e *ReuseError) Error() string { return ErrReuse.Error() }

// Unwrap returns [ErrReuse].
func (e *ReuseError) Unwrap() error { return ErrReuse }

// BusyError is a call that this replica cannot answer now although the database is there. Nothing was changed. Answer
// 503: the same call may succeed in a moment.
type BusyError struct {
	// Reason is what the call waits for.
	Reason string
}

func (e *BusyError) Error() string { return e.Reason + ": try again in a moment" }

// InputError is a name, an address or another value that cannot be stored. It does not repeat it.
type InputError struct {
	// Field is the column, such as "email".
	Field string
	// Err is what is wrong with it.
	Err error
}

func (e *InputError) Error() string { return fmt.Sprintf("%s: %v", e.Field, e.Err) }

// Unwrap returns Err.
func (e *InputError) Unwrap() error { return e.Err }

// input makes an [*InputError] of what the schema or a column does not take. Other errors stay as they are.
func input(err error) error {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		if m := misfit.FindStringSubmatch(server.Message); m != nil && unfit[server.Number] != nil {
			return &InputError{Field: m[1], Err: unfit[server.Number]}
		}
		return err
	}
	var invalid *ent.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	reason := invalid.Unwrap()
	// Under Ent's own words, which name the field too.
	if inner := errors.Unwrap(reason); inner != nil {
		reason = inner
	}
	// There they repeat the value.
	if strings.Contains(reason.Error(), "invalid enum value") {
		reason = errNotListed
	}
	return &InputError{Field: invalid.Name, Err: reason}
}

// errNotListed is a value that an enumeration does not have.
var errNotListed = errors.New("is none of the values that there are")

var (
	// unfit are a server's errors for a value that a column of the project's own does not hold.
	unfit = map[uint16]error{
		1265: errNotListed, // an enumeration
		1406: errors.New("is too long for its column"),
	}
	misfit = regexp.MustCompile("for column '([^']+)'")
)

// AbsentError is a call for which the program's users lack a column. [Has] tells before. Nothing was done.
type AbsentError struct {
	// Column is the one of this package's own schema, such as "role".
	Column string
}

func (e *AbsentError) Error() string {
	return fmt.Sprintf("the users have no column %s, which this needs: add one, or leave the call out", e.Column)
}

// errUTF8 is what a server would refuse and SQLite would store.
var errUTF8 = errors.New("is not valid UTF-8")

// errCharacters is what a column of latin1 or utf8mb3 refuses.
var errCharacters = errors.New("has characters that its column cannot hold")

// LockedError is an account that examines no passwords before Until, in UTC: guesses have locked it, or an operator has
// suspended it, until [Forever] if without end. A zero Until is a budget that is used up: no password is examined from
// a device that has not signed in before, until another such device gets in by a mailed link or code or a provider, or
// the password is reset. Right passwords are guesses until they have been examined, so that more of them at once than
// LockoutPolicy.MaxFailures are refused so, too. It unwraps to [ErrCredentials]. Tell whoever is signing in no more
// than that: an email without an account is never locked.
type LockedError struct{ Until time.Time }

func (e *LockedError) Error() string {
	if e.Until.IsZero() {
		return "the account examines no passwords until it is signed in to in another way"
	}
	return "the account is locked until " + e.Until.Format(time.RFC3339)
}

// Unwrap returns [ErrCredentials].
func (e *LockedError) Unwrap() error { return ErrCredentials }

// SecondStepError is a sign-in that waits for its second step. It unwraps to [ErrSecondStep]. Tell the client which
// steps there are, and give it the ticket for [Service.IssueCode] and the calls that finish the sign-in.
type SecondStepError struct {
	// Ticket stands for the first step. Like a session token it belongs to the client alone.
	Ticket Token
	UserID UserID
	// Mail is whether a mailed code finishes the sign-in: not after a first step by mail, nor after one with a password
	// that a mailed code has set.
	Mail bool
	// Factor is whether [Service.FinishWithFactor] does.
	Factor bool
	// ExpiresAt is when the first step has to be done again: OTPPolicy.Lifetime after it.
	ExpiresAt time.Time
}

func (e *SecondStepError) Error() string { return ErrSecondStep.Error() }

// Unwrap returns [ErrSecondStep].
func (e *SecondStepError) Unwrap() error { return ErrSecondStep }

// TooSoonError is a code that cannot be issued before RetryAt, in UTC.
type TooSoonError struct{ RetryAt time.Time }

func (e *TooSoonError) Error() string {
	return "no further code can be sent before " + e.RetryAt.Format(time.RFC3339)
}

// CodeError is a wrong code. It unwraps to [ErrCode].
type CodeError struct{ AttemptsLeft int }

func (e *CodeError) Error() string {
	return fmt.Sprintf("%v (%d attempts left)", ErrCode, e.AttemptsLeft)
}

// Unwrap returns [ErrCode].
func (e *CodeError) Unwrap() error { return ErrCode }

// NotYetError is an account that cannot be reactivated before RetryAt, in UTC.
type NotYetError struct{ RetryAt time.Time }

func (e *NotYetError) Error() string {
	return "the account can be reactivated from " + e.RetryAt.Format(time.RFC3339)
}

// UnknownError is a transition whose committing statement got no answer from the database. It may or may not have
// happened: report it as neither, and read the rows before you repeat it.
type UnknownError struct {
	// Err is the error of the database, the network or the context.
	Err error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the database did not answer, so the change may have happened: look before you repeat it: %v",
		e.Err)
}

// Unwrap returns Err.
func (e *UnknownError) Unwrap() error { return e.Err }

// UnavailableError is a call for which the database is not there now: it cannot be reached, takes no writes, has no
// quorum, or goes on refusing. The call changed nothing, except that a guess at a password or a code may be counted,
// and that [Purge] keeps the batches before. Answer 503: the same call may succeed later.
type UnavailableError struct {
	// Err is the last error of the database or the network.
	Err error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the database cannot be reached or takes no writes now: try again later: %v", e.Err)
}

// Unwrap returns Err.
func (e *UnavailableError) Unwrap() error { return e.Err }
