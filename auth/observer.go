package auth

import (
	"context"
	"log/slog"
	"time"
)

// Action names a transition.
type Action string

// The transitions an [Observer] is told of.
const (
	// ActionRegister: an account was added. Detail is the provider that it came from, if there is one.
	ActionRegister Action = "register"
	// ActionVerifyEmail: a code of its own purpose verified an address.
	ActionVerifyEmail Action = "verify_email"
	// ActionTakeOver: an address was verified for the first time, by somebody who did not show to be who made the
	// account. Its password, link to a provider, sessions and refresh tokens are gone: drop what else it holds. Count
	// is what was revoked.
	ActionTakeOver Action = "take_over"
	// ActionChangeEmail: an account has another address. Count is what was revoked.
	ActionChangeEmail Action = "change_email"
	// ActionSignIn: a session and a family of refresh tokens began. Count is what that ended: what the device of
	// Device.Token had before, and what was beyond SessionPolicy.MaxPerUser. Detail is empty for a password, "code" for
	// a code, or the provider; after a second step it is both, such as "password+factor" or "mail+factor".
	ActionSignIn Action = "sign_in"
	// ActionSecondStep: a first step was right, and a second one is needed. Detail is that of ActionSignIn.
	ActionSecondStep Action = "second_step"
	// ActionStepFailed: an answer to Config.SecondStep.Factor was wrong, or no more are examined.
	ActionStepFailed Action = "second_step_failed"
	// ActionSignInFailed: a password was wrong, or was not examined because the account is locked, suspended or does
	// not exist. Detail says which. The password may also be one for ChangePassword or Reactivate.
	ActionSignInFailed Action = "sign_in_failed"
	// ActionLock: guesses at the password locked an account.
	ActionLock Action = "lock"
	// ActionSuspend: Suspend closed an account.
	ActionSuspend Action = "suspend"
	// ActionUnsuspend: Unsuspend opened an account.
	ActionUnsuspend Action = "unsuspend"
	// ActionUnlock: an operator ended the lock of an account and started its counts of failures again.
	ActionUnlock Action = "unlock"
	// ActionChangePassword: a signed-in user replaced the password. Count is what was revoked.
	ActionChangePassword Action = "change_password"
	// ActionResetPassword: a code replaced a password that was lost. Count is what was revoked.
	ActionResetPassword Action = "reset_password"
	// ActionBreachUnknown: a new password was taken although PasswordPolicy.Breached failed.
	ActionBreachUnknown Action = "breach_unknown"
	// ActionRehash: a sign-in renewed a hash of weaker parameters.
	ActionRehash Action = "rehash"
	// ActionLink: an account was linked to the provider in Detail.
	ActionLink Action = "link_provider"
	// ActionUnlink: the link of an account to the provider in Detail was removed.
	ActionUnlink Action = "unlink_provider"
	// ActionDelete: an account was marked as deleted. Count is what was revoked.
	ActionDelete Action = "delete"
	// ActionErase: an operator erased a person. Count is how many rows went.
	ActionErase Action = "erase"
	// ActionReactivate: a deleted account came back, by Reactivate or Restore.
	ActionReactivate Action = "reactivate"
	// ActionChangeRole: a user got the role in Detail.
	ActionChangeRole Action = "change_role"
	// ActionIssueCode: a code was made for the purpose in Detail.
	ActionIssueCode Action = "issue_code"
	// ActionUseCode: a code was right and is used. Detail is its purpose.
	ActionUseCode Action = "use_code"
	// ActionCodeFailed: a code was wrong, or there is none to guess at. Detail is the purpose.
	ActionCodeFailed Action = "code_failed"
	// ActionStartSession: StartSession started a session. Count is that of ActionSignIn.
	ActionStartSession Action = "start_session"
	// ActionRevokeSessions: sessions of a user ended with their refresh tokens. Count is how many of both. It is also
	// told where more were beyond SessionPolicy.MaxPerUser than end with a sign-in, such as when the limit is new.
	ActionRevokeSessions Action = "revoke_sessions"
	// ActionRevokeAll: RevokeAll ended sessions and refresh tokens of a user. Count is how many.
	ActionRevokeAll Action = "revoke_all"
	// ActionIssueRefresh: IssueRefresh started a family of refresh tokens.
	ActionIssueRefresh Action = "issue_refresh"
	// ActionRotate: a refresh token was exchanged.
	ActionRotate Action = "rotate"
	// ActionRenew: a refresh token was exchanged, and the session of its family begun again. Count is what was beyond
	// SessionPolicy.MaxPerUser.
	ActionRenew Action = "renew"
	// ActionGrace: a refresh token was presented again within RefreshPolicy.Grace and got the same successor. Count is
	// that of ActionRenew.
	ActionGrace Action = "rotate_in_grace"
	// ActionReuse: a refresh token that was exchanged before was presented again. Count is what ended with its family.
	ActionReuse Action = "reuse_detected"
	// ActionRevokeRefresh: RevokeRefresh ended a family. Count is how much of it was live.
	ActionRevokeRefresh Action = "revoke_refresh"
	// ActionPanic: a hook of the client or an observer panicked where no caller's goroutine has it, so the service went
	// on. Detail is the stack. It is no transition.
	ActionPanic Action = "panic"
)

// Event is a transition that happened. It is committed by the time it is told. It holds no secret and no email address.
type Event struct {
	Action Action
	// At is the time of Config.Clock, in UTC.
	At time.Time
	// UserID is the zero one where the account is not known.
	UserID UserID
	// SessionID is 0 where no single session is concerned.
	SessionID int
	// Count is how many sessions or tokens were revoked.
	Count int
	// Detail says more, such as the purpose of a code, or is empty.
	Detail string
}

// Observer is told of transitions, in the goroutine that made them, after they were committed. It must be safe for
// concurrent use and should be quick: the caller waits for it.
type Observer interface {
	// Observe gets the context of the call that made the transition.
	Observe(context.Context, Event)
}

// ObserverFunc is a function as an [Observer].
type ObserverFunc func(context.Context, Event)

// Observe calls f.
func (f ObserverFunc) Observe(ctx context.Context, e Event) { f(ctx, e) }

// LogTo returns an [Observer] that logs to l: failures, locks, a grace, reuse and panics as warnings, the rest as
// information.
func LogTo(l *slog.Logger) Observer {
	return ObserverFunc(func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch e.Action {
		case ActionSignInFailed, ActionStepFailed, ActionBreachUnknown, ActionLock, ActionCodeFailed, ActionReuse,
			ActionGrace, ActionPanic:
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.String("action", string(e.Action))}
		var none UserID
		if e.UserID != none {
			attrs = append(attrs, slog.Any("user_id", e.UserID))
		}
		if e.SessionID != 0 {
			attrs = append(attrs, slog.Int("session_id", e.SessionID))
		}
		if e.Count != 0 {
			attrs = append(attrs, slog.Int("count", e.Count))
		}
		if e.Detail != "" {
			attrs = append(attrs, slog.String("detail", e.Detail))
		}
		l.LogAttrs(ctx, level, "auth", attrs...)
	})
}

func (s *Service) observeAll(ctx context.Context, events []Event) {
	for _, e := range events {
		s.observe(ctx, e)
	}
}

func (s *Service) observe(ctx context.Context, e Event) {
	e.At = s.now()
	s.cfg.Observer.Observe(ctx, e)
}
