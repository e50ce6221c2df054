package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// Operator carries out what the person on call does to the account of somebody else. It asks nobody for a password, so
// whoever may call it may do all of it. It is safe for concurrent use. Make one with [NewOperator], or by
// [Service.Operator].
type Operator struct{ s *Service }

// NewOperator makes an operator for a program that has no keys, such as the command line: cfg needs none. Of cfg only
// Lockout, OTP.MaxAttempts, OTP.Budget, Session, Refresh, Account, Observer, Clock and Random matter. They should be
// those of the services on the same database. The error is a [*ConfigError] if cfg or client cannot be used.
func NewOperator(client *ent.Client, cfg Config) (*Operator, error) {
	if client == nil {
		return nil, &ConfigError{Field: "client", Reason: "is nil", Fix: "pass the client of authgraph.Open"}
	}
	cfg.setDefaults()
	if err := cfg.validateWithoutKeys(); err != nil {
		return nil, err
	}
	name, err := dialectOf(client)
	if err != nil {
		return nil, fmt.Errorf("auth: find the dialect of the client: %w", err)
	}
	s := &Service{client: client, cfg: cfg}
	if name == dialect.MySQL {
		s.forUpdate = " FOR UPDATE"
	} else {
		s.counts.Store(true)
	}
	return &Operator{s}, nil
}

// Operator is the operator with the service's client, policies, observer and clock.
func (s *Service) Operator() *Operator { return &Operator{s} }

// Profile is an account as an operator sees it: the user, and what decides whether they get in. It holds no secret.
// Times are UTC, to the microsecond, and zero for none.
type Profile struct {
	User
	// HasPassword is whether the account has a password, and Linked whether it has an identity of Provider.
	HasPassword, Linked bool
	// SuspendedUntil is the end of a suspension, [Forever] if it has none.
	SuspendedUntil time.Time
	// LockedUntil is the end of the lock that guessing at the password caused. It concerns strangers only.
	LockedUntil time.Time
	// GuessFailures are the failures of strangers in a row, and StepFailures those at the second step.
	GuessFailures, StepFailures int
	// Spent is whether strangers have no guess left, so that no password of theirs is examined (see
	// LockoutPolicy.Budget).
	Spent bool
	// Deleted is whether the account is marked as deleted, and DeletedAt since when.
	Deleted   bool
	DeletedAt time.Time
}

// profileOf is what an operator sees of an account.
func (s *Service) profileOf(u *graph.Account) *Profile {
	p := &Profile{
		User: *userOf(u), HasPassword: u.Password != nil, Linked: u.ProviderID != nil,
		SuspendedUntil: s.suspension(u.Allowed, u.SuspendedUntil, u.LockUntil),
		GuessFailures:  int(u.GuessFailures), StepFailures: int(u.StepFailures),
		Spent:   u.GuessFailures >= int32(s.cfg.strangers()),
		Deleted: u.IsDeleted,
	}
	if p.SuspendedUntil.IsZero() && locked(u, s.now()) {
		p.LockedUntil = u.LockUntil.UTC()
	}
	if u.IsDeleted && u.DeletedAt != nil {
		p.DeletedAt = u.DeletedAt.UTC()
	}
	return p
}

// Find is the account of an id, deleted or not. The error is [ErrNotFound] if there is none.
func (o *Operator) Find(ctx context.Context, userID UserID) (*Profile, error) {
	return o.find(ctx, func(ctx context.Context) (*graph.Account, error) {
		return readUser(ctx, o.s.client, is(graph.ID, userID))
	})
}

// FindByEmail is the account of an address, deleted or not. The address may be as somebody typed it: it is normalised
// as the tables do. The error is [ErrNotFound] if there is no such account, and an [*InputError] for what cannot be an
// address.
func (o *Operator) FindByEmail(ctx context.Context, email string) (*Profile, error) {
	stored, err := address(email)
	if err != nil {
		return nil, err
	}
	return o.find(ctx, func(ctx context.Context) (*graph.Account, error) {
		return readByEmail(ctx, o.s.client, stored)
	})
}

func (o *Operator) find(
	ctx context.Context, read func(context.Context) (*graph.Account, error),
) (*Profile, error) {
	u, err := repeat(ctx, o.s, read)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find an account: %w", err)
	case u == nil:
		return nil, ErrNotFound
	}
	return o.s.profileOf(u), nil
}

// UserFilter says which accounts [Operator.List] returns: those for which all of it holds. Deleted ones are left out.
type UserFilter struct {
	// Role, if set, is that of the accounts. The index of the roles finds them.
	Role schematype.Role
	// Locked are the accounts that guessing has locked, or whose guesses are spent, and Suspended those that an
	// operator has closed. No index finds them, so the table is read from After on until there are Limit.
	Locked, Suspended bool
	// After is the last id of the page before. The zero one begins with the first page.
	After UserID
	// Limit is how many accounts there are at most; default and most 1000.
	Limit int
}

// List returns the accounts that a filter lets through, in the order of their ids.
func (o *Operator) List(ctx context.Context, f UserFilter) ([]*Profile, error) {
	s := o.s
	now, longest := s.now(), s.longestLock(s.now())
	which := []where{{text: notDeleted}, {"u.`" + graph.ID + "` > ?", []any{f.After}}}
	if f.Role != "" {
		if err := needs("role"); err != nil {
			return nil, err
		}
		which = append(which, is(graph.Role, string(f.Role)))
	}
	if f.Locked {
		which = append(which, where{"(" + graph.ReadLockUntil + " > ? AND " + graph.ReadLockUntil + " <= ? OR " +
			graph.ReadGuessFailures + " >= ?)", []any{now, longest, s.cfg.strangers()}})
	}
	if f.Suspended {
		which = append(which, where{"(" + graph.ReadSuspendedUntil + " > ? OR " + graph.ReadLockUntil + " > ?)",
			[]any{now, longest}})
	}
	if f.Limit <= 0 || f.Limit > maxListed {
		f.Limit = maxListed
	}
	w := all(which...)
	query := accountQuery + w.text + " ORDER BY u.`" + graph.ID + "` LIMIT ?"
	list, err := repeat(ctx, s, func(ctx context.Context) (list []*Profile, err error) {
		rows, err := s.client.QueryContext(ctx, query, append(slices.Clone(w.args), f.Limit)...)
		if err != nil {
			return nil, err
		}
		err = scanAll(rows, func(scan func(...any) error) error {
			a := &graph.Account{Allowed: graph.Allowed == ""}
			var avatar []byte
			dest := accountInto(a, &avatar)
			err := scan(dest...)
			inUTC(dest)
			a.Avatar = decodeAvatar(avatar)
			list = append(list, s.profileOf(a))
			return err
		})
		return list, err
	})
	return list, wrap(err, "list accounts")
}

// Suspend closes an account, as [Service.Suspend] does.
func (o *Operator) Suspend(ctx context.Context, userID UserID, until time.Time) error {
	return o.s.Suspend(ctx, userID, until)
}

// Unsuspend opens an account, as [Service.Unsuspend] does.
func (o *Operator) Unsuspend(ctx context.Context, userID UserID) error {
	return o.s.Unsuspend(ctx, userID)
}

// Unlock ends the lock that guessing caused, and starts every count of failures again but those of known devices. A
// suspension stays. An account that is open is not an error. Whoever guesses can lock the account again. The error is
// [ErrNotFound] if there is no such user.
func (o *Operator) Unlock(ctx context.Context, userID UserID) error {
	s := o.s
	// A suspension is in the column of the lock, too.
	const kept = "CASE WHEN " + graph.ReadLockUntil + " > ? OR " + graph.ReadSuspendedUntil + " > ? THEN " +
		graph.ReadLockUntil + " END"
	return s.suspend(ctx, userID, ActionUnlock, func(c *change) {
		now := s.now()
		c.by(graph.LockUntil, kept, s.longestLock(now), now).
			to(graph.FailedLoginAttempts, 0).to(graph.GuessFailures, 0).to(graph.StepFailures, 0)
	})
}

// RevokeAll signs a user out everywhere, as [Service.RevokeAll] does.
func (o *Operator) RevokeAll(ctx context.Context, userID UserID) (Ended, error) {
	return o.s.RevokeAll(ctx, userID)
}

// ChangeRole gives a user another role, as [Service.ChangeRole] does.
func (o *Operator) ChangeRole(ctx context.Context, userID UserID, role schematype.Role) error {
	return o.s.ChangeRole(ctx, userID, role)
}

// Sessions lists the devices of a user, as [Service.Sessions] does.
func (o *Operator) Sessions(ctx context.Context, userID UserID) ([]*Session, error) {
	return o.s.Sessions(ctx, userID)
}

// RevokeSession ends one session of a user with its family, as [Service.RevokeSession] does.
func (o *Operator) RevokeSession(ctx context.Context, userID UserID, sessionID int) (Ended, error) {
	return o.s.RevokeSession(ctx, userID, sessionID)
}

// RevokeSessions ends all sessions of a user with their families, as [Service.RevokeSessions] does.
func (o *Operator) RevokeSessions(ctx context.Context, userID UserID) (Ended, error) {
	return o.s.RevokeSessions(ctx, userID)
}

// Count is how many live sessions and refresh tokens a user has. An unknown user has none.
func (o *Operator) Count(ctx context.Context, userID UserID) (Ended, error) {
	return o.count(ctx, []predicate.Session{session.UserID(userID)},
		[]predicate.RefreshToken{refreshtoken.UserID(userID)})
}

// CountAll is how many live sessions and refresh tokens there are. It reads both tables, which takes long where they
// are large.
func (o *Operator) CountAll(ctx context.Context) (Ended, error) { return o.count(ctx, nil, nil) }

func (o *Operator) count(
	ctx context.Context, sessions []predicate.Session, tokens []predicate.RefreshToken,
) (n Ended, err error) {
	s, now := o.s, o.s.now()
	n.Sessions, err = repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.Session.Query().Where(sessions...).Where(s.live()).Count(ctx)
	})
	if err != nil {
		return Ended{}, fmt.Errorf("count sessions: %w", err)
	}
	n.RefreshTokens, err = repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.RefreshToken.Query().Where(tokens...).
			Where(
				isFalse(refreshtoken.FieldIsRevoked), refreshtoken.ExpiresAtGT(now),
				refreshtoken.CreatedAtGT(now.Add(-s.cfg.Refresh.Idle)),
				refreshtoken.CreatedAtLTE(now.Add(ClockTolerance)),
			).
			Count(ctx)
	})
	return n, wrap(err, "count refresh tokens")
}

// The kinds of a [Trace].
const (
	KindSession      = "session"
	KindRefreshToken = "refresh_token"
)

// The states of a [Trace].
const (
	// StateLive is a token that is accepted, unless its account is closed.
	StateLive = "live"
	// StateExchanged is a refresh token that was exchanged for another one. Whoever presents it again after the grace
	// ends its family.
	StateExchanged = "exchanged"
	// StateEnded is a token that was revoked, or whose session was ended or begun again with another token.
	StateEnded = "ended"
	// StateExpired is one past its absolute end, and StateIdle one that was not used for too long.
	StateExpired = "expired"
	StateIdle    = "idle"
)

// Trace is what the tables tell of a token. Times are UTC, to the microsecond.
type Trace struct {
	// Kind is KindSession or KindRefreshToken, and State one of the states.
	Kind, State string
	UserID      UserID
	// Family is what one sign-in gave: it names no secret. It is empty where another program made the token.
	Family               string
	CreatedAt, ExpiresAt time.Time
	// ChangedAt is when the token was exchanged or ended; zero if it was not. That of a session is when its row was
	// last written, which is later where its device was forgotten afterwards.
	ChangedAt time.Time
	// Session is the newest session of the family, live or ended; nil if there is none any more.
	Session *Session
	// SessionActive is whether nobody has ended that.
	SessionActive bool
	// Tokens are how many refresh tokens the family has had, as far as they have not been purged, and LiveTokens how
	// many of those can be exchanged.
	Tokens, LiveTokens int
}

// Trace finds a token by its hash. The error is [ErrNotFound] if the tables do not have it: it was never made here, was
// purged after its end, or is the token of a session that was begun again.
func (o *Operator) Trace(ctx context.Context, t Token) (*Trace, error) {
	s := o.s
	found, err := repeat(ctx, s, func(ctx context.Context) (*Trace, error) { return s.trace(ctx, t.hash()) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("trace a token: %w", err)
	}
	return found, err
}

func (s *Service) trace(ctx context.Context, hash string) (*Trace, error) {
	now := s.now()
	row, err := newestSession(ctx, s.client, session.TokenHash(hash))
	if err != nil {
		return nil, err
	}
	if row != nil {
		d := sessionOf(row)
		found := &Trace{Kind: KindSession, UserID: d.UserID, CreatedAt: d.CreatedAt, ExpiresAt: d.ExpiresAt,
			State: StateLive, Session: d, SessionActive: row.IsActive}
		switch {
		case !row.IsActive:
			found.State, found.ChangedAt = StateEnded, row.UpdatedAt.UTC()
		case !d.ExpiresAt.After(now):
			found.State = StateExpired
		case !s.isLive(d, now):
			found.State = StateIdle
		}
		return found, s.traceFamily(ctx, found, row.Family, now)
	}
	tokens, err := s.client.RefreshToken.Query().Where(refreshtoken.TokenHash(hash)).Limit(1).All(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(tokens) == 0:
		return nil, ErrNotFound
	}
	token := tokens[0]
	found := &Trace{Kind: KindRefreshToken, UserID: token.UserID, CreatedAt: token.CreatedAt.UTC(),
		ExpiresAt: token.ExpiresAt.UTC(), State: StateLive}
	switch {
	case token.ReplacedByTokenHash != nil:
		found.State = StateExchanged
	case token.IsRevoked:
		found.State = StateEnded
	case !token.ExpiresAt.After(now):
		found.State = StateExpired
	case !s.isLiveRefresh(token.CreatedAt, token.ExpiresAt, now):
		found.State = StateIdle
	}
	if token.RevokedAt != nil {
		found.ChangedAt = token.RevokedAt.UTC()
	}
	return found, s.traceFamily(ctx, found, token.Family, now)
}

// traceFamily adds what belongs to the family of a token.
func (s *Service) traceFamily(ctx context.Context, found *Trace, family *string, now time.Time) (err error) {
	if family == nil {
		return nil
	}
	found.Family = *family
	if found.Session == nil {
		row, err := newestSession(ctx, s.client, session.Family(*family))
		if err != nil {
			return err
		}
		if row != nil {
			found.Session, found.SessionActive = sessionOf(row), row.IsActive
		}
	}
	found.Tokens, err = s.client.RefreshToken.Query().Where(refreshtoken.Family(*family)).Count(ctx)
	if err != nil {
		return err
	}
	live, err := s.client.RefreshToken.Query().
		Where(refreshtoken.Family(*family), isFalse(refreshtoken.FieldIsRevoked)).
		All(ctx)
	for _, t := range live {
		if s.isLiveRefresh(t.CreatedAt, t.ExpiresAt, now) {
			found.LiveTokens++
		}
	}
	return err
}
