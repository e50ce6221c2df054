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
	ActionRegister       Action = "register"
	ActionVerifyEmail    Action = "verify_email"
	ActionSignIn         Action = "sign_in"
	ActionSignInFailed   Action = "sign_in_failed"
	ActionLock           Action = "lock"
	ActionChangePassword Action = "change_password"
	ActionResetPassword  Action = "reset_password"
	ActionRehash         Action = "rehash"
	ActionLink           Action = "link_provider"
	ActionDelete         Action = "delete"
	ActionReactivate     Action = "reactivate"
	ActionChangeRole     Action = "change_role"
	ActionIssueCode      Action = "issue_code"
	ActionUseCode        Action = "use_code"
	ActionCodeFailed     Action = "code_failed"
	ActionStartSession   Action = "start_session"
	ActionRevokeSessions Action = "revoke_sessions"
	ActionRevokeAll      Action = "revoke_all"
	ActionIssueRefresh   Action = "issue_refresh"
	ActionRotate         Action = "rotate"
	ActionGrace          Action = "rotate_in_grace"
	ActionReuse          Action = "reuse_detected"
	ActionRevokeRefresh  Action = "revoke_refresh"
)

// Event is a transition that happened. It is committed by the time it is told. It holds no secret and no email address.
type Event struct {
	Action Action
	// At is the time of Config.Clock, in UTC.
	At time.Time
	// UserID is 0 where the account is not known.
	UserID int
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

// LogTo returns an [Observer] that logs to l: failures, locks, a grace and reuse as warnings, the rest as information.
func LogTo(l *slog.Logger) Observer {
	return ObserverFunc(func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch e.Action {
		case ActionSignInFailed, ActionLock, ActionCodeFailed, ActionReuse, ActionGrace:
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.String("action", string(e.Action))}
		if e.UserID != 0 {
			attrs = append(attrs, slog.Int("user_id", e.UserID))
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

func (s *Service) observe(ctx context.Context, e Event) {
	e.At = s.now()
	s.cfg.Observer.Observe(ctx, e)
}
