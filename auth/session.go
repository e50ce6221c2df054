package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
)

// Session is a signed-in device. Times are UTC, to the microsecond.
type Session struct {
	ID     int
	UserID UserID
	// IP and UserAgent are those of [Device] at the beginning; empty if not known.
	IP        string
	UserAgent string
	// LastUsedAt is exact to SessionPolicy.TouchInterval.
	LastUsedAt time.Time
	// ExpiresAt is the absolute end. The session may end before, for instance when it is idle.
	ExpiresAt time.Time
	CreatedAt time.Time
	// Dormant is a session that has ended by its times, while the device still holds a live refresh token and can begin
	// it again by [Service.Renew]. No token of it passes [Service.CheckSession]. LastUsedAt is then also when that
	// token was exchanged, and ExpiresAt the end of its family. [Service.Sessions] alone returns it, so that an owner
	// can end it as any other.
	Dormant bool
}

// sessionOf is nil for none.
func sessionOf(e *ent.Session) *Session {
	if e == nil {
		return nil
	}
	s := &Session{
		ID: e.ID, UserID: e.UserID,
		LastUsedAt: e.LastUsedAt.UTC(), ExpiresAt: e.ExpiresAt.UTC(), CreatedAt: e.CreatedAt.UTC(),
	}
	if e.IP != nil {
		s.IP = *e.IP
	}
	if e.UserAgent != nil {
		s.UserAgent = *e.UserAgent
	}
	return s
}

// StartSession starts a session for a user who has proved to the caller who they are, for instance by a second factor.
// It has a family of its own, and ends the one that the device of Device.Token had before. The error is [ErrNotFound]
// if there is no such account, or it is suspended or deleted.
func (s *Service) StartSession(ctx context.Context, userID UserID, d Device) (*Session, Token, error) {
	family, err := s.newID()
	if err != nil {
		return nil, Token{}, err
	}
	g := &Grant{User: &User{ID: userID}}
	err = s.holding(ctx, userID, func(ctx context.Context, tx *ent.Client) error {
		return s.startSession(ctx, tx, g, family, d)
	}, s.usable())
	if err != nil {
		return nil, Token{}, err
	}
	s.observe(ctx, Event{
		Action: ActionStartSession, UserID: userID, SessionID: g.Session.ID, Count: g.ended.Count(),
	})
	return g.Session, g.Token, nil
}

// startSession adds the session of a grant, with a new family, in the caller's transaction, which must hold the user's
// row, so that sessions beyond the limit are counted right. What the device had before ends.
func (s *Service) startSession(ctx context.Context, tx *ent.Client, g *Grant, family string, d Device) error {
	var err error
	if g.Token, err = s.newToken(); err != nil {
		return err
	}
	before, err := s.leave(ctx, tx, g.User.ID, d.Token)
	if err != nil {
		return err
	}
	err = s.addSession(ctx, tx, g, family, d)
	g.ended = g.ended.plus(before)
	return err
}

// addSession adds the session of a grant, which makes the device a known one until the user's trust_epoch goes up.
func (s *Service) addSession(ctx context.Context, tx *ent.Client, g *Grant, family string, d Device) error {
	const insert = `INSERT INTO sessions` +
		` (created_at, updated_at, user_id, token_hash, ip, user_agent, is_active, last_used_at, expires_at, family,` +
		` device_failures, trust_epoch)` +
		` VALUES (?, ?, ?, ?, ?, ?, true, ?, ?, ?, 0, `
	row := s.newSession(g.User.ID, d)
	query, epoch := insert+epochOf+`)`, any(row.UserID)
	if g.epoch != nil { // a subquery makes a sign-in take a twentieth longer
		query, epoch = insert+`?)`, any(*g.epoch)
	}
	result, err := tx.ExecContext(ctx, query, row.CreatedAt, updatedNow(), row.UserID, g.Token.hash(), row.IP,
		row.UserAgent, row.LastUsedAt, row.ExpiresAt, family, epoch)
	if err != nil {
		return fmt.Errorf("add a session: %w", err)
	}
	id, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("add a session: %w", err)
	}
	row.ID = int(id)
	g.Session = sessionOf(row)
	g.ended, err = s.endBeyond(ctx, tx, row.UserID)
	return err
}

// renewSession begins the session of a family again, with the token of a grant, in a transaction as for startSession.
// Its row stays, with the standing and the failures of the device. A family without one gets one.
func (s *Service) renewSession(ctx context.Context, tx *ent.Client, g *Grant, family string, d Device) error {
	before, err := newestSession(ctx, tx, session.Family(family))
	if err != nil {
		return err
	}
	if before == nil {
		return s.addSession(ctx, tx, g, family, d)
	}
	const query = `UPDATE sessions SET created_at = ?, updated_at = ?, token_hash = ?, ip = ?, user_agent = ?,` +
		` is_active = true, last_used_at = ?, expires_at = ? WHERE id = ?`
	row := s.newSession(g.User.ID, d)
	row.ID = before.ID
	_, err = execute(ctx, tx, query, row.CreatedAt, updatedNow(), g.Token.hash(), row.IP, row.UserAgent,
		row.LastUsedAt, row.ExpiresAt, row.ID)
	if err != nil {
		return fmt.Errorf("renew a session: %w", err)
	}
	g.Session = sessionOf(row)
	g.ended, err = s.endBeyond(ctx, tx, row.UserID)
	return err
}

// newSession is a session that begins now.
func (s *Service) newSession(userID UserID, d Device) *ent.Session {
	now := s.now()
	return &ent.Session{
		UserID: userID, IP: d.ip(), UserAgent: d.userAgent(),
		LastUsedAt: now, ExpiresAt: cut(now.Add(s.cfg.Session.Absolute)), CreatedAt: now,
	}
}

// newestSession is the newest one that matches, or nil.
func newestSession(ctx context.Context, client *ent.Client, which predicate.Session) (*ent.Session, error) {
	rows, err := client.Session.Query().Where(which).Order(ent.Desc(session.FieldID)).Limit(1).All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, wrap(err, "find a session")
	}
	return rows[0], nil
}

// endBeyond ends the least recently used sessions of a user beyond the limit, if there is one, with their families. If
// they are too many for one transaction, as where the limit is new, the error is a [*backlogError].
func (s *Service) endBeyond(ctx context.Context, tx *ent.Client, userID UserID) (Ended, error) {
	if s.cfg.Session.MaxPerUser == 0 {
		return Ended{}, nil
	}
	beyond := tx.Session.Query().
		Where(session.UserID(userID), s.live()).
		Order(ent.Desc(session.FieldLastUsedAt, session.FieldID)).
		Offset(s.cfg.Session.MaxPerUser).Limit(maxStep + 1)
	// The transaction may have read before it held the user's row.
	beyond.Modify(forUpdate)
	rows, err := beyond.Select(session.FieldID, session.FieldFamily).All(ctx)
	switch {
	case err != nil:
		return Ended{}, fmt.Errorf("find sessions: %w", err)
	case len(rows) > maxStep:
		return Ended{}, &backlogError{userID: userID}
	}
	return s.endDevices(ctx, tx, rows)
}

// backlogError is a user with many more sessions than the limit. [Service.tx] ends those beyond it in transactions of
// their own, and repeats what it was doing.
type backlogError struct{ userID UserID }

func (e *backlogError) Error() string { return fmt.Sprintf("user %v has too many sessions", e.userID) }

// workOff ends the sessions of a user beyond the limit, in steps.
func (s *Service) workOff(ctx context.Context, userID UserID) error {
	for {
		rows, err := repeat(ctx, s, func(ctx context.Context) ([]*ent.Session, error) {
			return s.client.Session.Query().
				Where(session.UserID(userID), s.live()).
				Order(ent.Desc(session.FieldLastUsedAt, session.FieldID)).
				Offset(s.cfg.Session.MaxPerUser).Limit(maxStep).
				Select(session.FieldID, session.FieldUserID, session.FieldFamily).
				All(ctx)
		})
		if err != nil || len(rows) == 0 {
			return wrap(err, "find sessions")
		}
		ended, err := s.endSessions(ctx, rows, false)
		if err != nil {
			return err
		}
		if ended.Count() > 0 { // another call may have been faster
			s.observe(ctx, Event{Action: ActionRevokeSessions, UserID: userID, Count: ended.Count()})
		}
	}
}

// live are the sessions that have not ended. The conditions are in the order of the index that serves a user's devices.
func (s *Service) live() predicate.Session {
	now := s.now()
	return session.And(
		isTrue(session.FieldIsActive),
		session.ExpiresAtGT(now),
		session.LastUsedAtGT(now.Add(-s.cfg.Session.Idle)),
		session.CreatedAtLTE(now.Add(ClockTolerance)),
	)
}

// CheckSession returns the live session of a token and its user, in one round trip. The error is [ErrSession] if the
// token is unknown, the session was revoked, its idle or absolute timeout has passed (OWASP Session Management Cheat
// Sheet, Session Expiration), or the account is suspended or deleted.
//
// The session's last use is written in the background, at most once in
// SessionPolicy.TouchInterval. A failure of that write is left to the next call. After [Service.Close] CheckSession
// answers as before, but last uses are no longer written.
func (s *Service) CheckSession(ctx context.Context, t Token) (*Session, *User, error) {
	c, err := read(ctx, s, func(ctx context.Context, client *ent.Client) (*check, error) {
		c, err := checkSession(ctx, client, t.hash())
		if err == nil && client != s.client && !s.passes(c, s.now()) {
			err = errBehind
		}
		return c, err
	})
	return s.checked(c, err)
}

// checked is the answer to CheckSession.
func (s *Service) checked(c *check, err error) (*Session, *User, error) {
	if err != nil {
		return nil, nil, fmt.Errorf("check a session: %w", err)
	}
	now := s.now()
	if !s.passes(c, now) {
		return nil, nil, ErrSession
	}
	if !c.session.LastUsedAt.Add(s.cfg.Session.TouchInterval).After(now) {
		s.touch(c.session.ID, now)
	}
	return &c.session, &c.user, nil
}

// passes reports whether a session that was found, or nil, is live, and its user may use it.
func (s *Service) passes(c *check, now time.Time) bool {
	return c != nil && c.active && s.isUsable(&c.owner) && s.isLive(&c.session, now)
}

// touch writes in the background when a session was last used, unless that is under way. Of several replicas the first
// one writes. The entry of the index on user_id changes, too, so MariaDB looks for the user while it holds the session:
// it may end in a deadlock with a call that takes them in the other order.
func (s *Service) touch(sessionID int, now time.Time) {
	if _, underWay := s.touching.LoadOrStore(sessionID, true); underWay {
		return
	}
	started := s.background(func(ctx context.Context) error {
		return s.client.Session.Update().
			Where(
				session.ID(sessionID), session.IsActive(true),
				session.LastUsedAtLTE(now.Add(-s.cfg.Session.TouchInterval)),
			).
			SetLastUsedAt(now).
			Exec(ctx)
	}, func(error) { s.touching.Delete(sessionID) })
	if !started {
		s.touching.Delete(sessionID)
	}
}

// isLive reports whether the times of a session say that it has not ended.
func (s *Service) isLive(of *Session, now time.Time) bool {
	return of.ExpiresAt.After(now) && of.LastUsedAt.Add(s.cfg.Session.Idle).After(now) && !s.ahead(of.CreatedAt)
}

// check is a session with its user and what decides whether it is live.
type check struct {
	owner
	session Session
	active  bool
}

// checkQuery is written by hand because Ent loads an edge with a query of its own. It finds the session by the unique
// index of token_hash and the user by the primary key.
var checkQuery = `SELECT s.id, COALESCE(s.ip, ''), COALESCE(s.user_agent, ''),
	s.last_used_at, s.expires_at, s.created_at, s.is_active = 1, ` + ownerColumns + `
	FROM sessions s JOIN ` + ownerJoin + `s.user_id WHERE s.token_hash = ?`

// checkSession is nil where there is no such session.
func checkSession(ctx context.Context, client *ent.Client, hash string) (*check, error) {
	var c check
	o, err := loadOwned(ctx, client, checkQuery, hash,
		&c.session.ID, &c.session.IP, &c.session.UserAgent,
		&c.session.LastUsedAt, &c.session.ExpiresAt, &c.session.CreatedAt, &c.active)
	if err != nil || o == nil {
		return nil, err
	}
	c.owner, c.session.UserID = *o, o.user.ID
	return &c, nil
}

// maxListed is how many sessions of a user are read at most.
const maxListed = 1000

// Sessions returns the live sessions of a user, the last used first, at most 1000, with those that [Session.Dormant]
// says of that their devices can begin them again. It is empty for an unknown user.
func (s *Service) Sessions(ctx context.Context, userID UserID) ([]*Session, error) {
	rows, err := read(ctx, s, func(ctx context.Context, client *ent.Client) ([]*ent.Session, error) {
		return client.Session.Query().
			Where(session.UserID(userID), s.live()).
			Order(ent.Desc(session.FieldLastUsedAt, session.FieldID)).
			Limit(maxListed).
			All(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	out := make([]*Session, len(rows))
	seen := map[string]bool{}
	for i, r := range rows {
		out[i] = sessionOf(r)
		if r.Family != nil {
			seen[*r.Family] = true
		}
	}
	if len(out) < maxListed {
		others, err := s.renewable(ctx, userID, seen)
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		out = append(out, others...)
	}
	slices.SortFunc(out, func(a, b *Session) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), cmp.Compare(b.ID, a.ID))
	})
	return out[:min(len(out), maxListed)], nil
}

// renewable are the sessions of a user whose families have a live refresh token, but for those that were seen. Each
// device has one token that is not revoked, so the newest are those of the devices that were used last. Behind them
// there may be many that were left to expire, so nothing else is asked of them there.
func (s *Service) renewable(ctx context.Context, userID UserID, seen map[string]bool) (list []*Session, err error) {
	tokens, err := read(ctx, s, func(ctx context.Context, client *ent.Client) ([]*ent.RefreshToken, error) {
		return client.RefreshToken.Query().
			Where(refreshtoken.UserID(userID), isFalse(refreshtoken.FieldIsRevoked)).
			Order(ent.Desc(refreshtoken.FieldID)).
			Limit(maxListed).
			Select(refreshtoken.FieldFamily, refreshtoken.FieldCreatedAt, refreshtoken.FieldExpiresAt).
			All(ctx)
	})
	if err != nil {
		return nil, err
	}
	now := s.now()
	held := map[string]*ent.RefreshToken{}
	var families []string
	for _, t := range tokens {
		if t.Family == nil || seen[*t.Family] || !s.isLiveRefresh(t.CreatedAt, t.ExpiresAt, now) {
			continue
		}
		families, held[*t.Family], seen[*t.Family] = append(families, *t.Family), t, true
	}
	for step := range slices.Chunk(families, maxStep) {
		rows, err := read(ctx, s, func(ctx context.Context, client *ent.Client) ([]*ent.Session, error) {
			return client.Session.Query().Where(session.FamilyIn(step...), isTrue(session.FieldIsActive)).All(ctx)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.UserID == userID {
				list = append(list, s.heldBy(r, held[*r.Family], now))
			}
		}
	}
	return list, nil
}

// heldBy is a session of a family with a live refresh token.
func (s *Service) heldBy(r *ent.Session, t *ent.RefreshToken, now time.Time) *Session {
	d := sessionOf(r)
	if !s.isLive(d, now) { // else it was renewed meanwhile
		d.Dormant, d.ExpiresAt, d.LastUsedAt = true, t.ExpiresAt.UTC(), later(d.LastUsedAt, t.CreatedAt).UTC()
	}
	return d
}

// SignOut ends the session of a token with its family. Ending a session twice is not an error, nor is an unknown token,
// such as one that a renewal by another tab has just replaced: nothing has ended then, which [Ended] tells. Where the
// client has a refresh token, [Service.RevokeRefresh] ends the same from any token of the family. The device stays a
// known one.
func (s *Service) SignOut(ctx context.Context, t Token) (Ended, error) {
	return s.endSession(ctx, false, session.TokenHash(t.hash()))
}

// RevokeSession ends one session of a user with its family. Its device is not a known one any more. Another user's
// session is left alone, without an error. An unknown user or session is not an error either.
func (s *Service) RevokeSession(ctx context.Context, userID UserID, sessionID int) (Ended, error) {
	return s.endSession(ctx, true, session.UserID(userID), session.ID(sessionID))
}

// RevokeOtherSessions ends all sessions of a user but the one to keep, as [Service.RevokeSessions] does. An unknown
// user is not an error. If keepID is not a session of the user, all of the user's sessions end.
func (s *Service) RevokeOtherSessions(ctx context.Context, userID UserID, keepID int) (Ended, error) {
	return s.endSessionsBut(ctx, userID, keepID)
}

// RevokeSessions ends all sessions of a user with their families. Their devices are not known ones any more. Refresh
// tokens without a session, which [Service.IssueRefresh] made, stay: [Service.RevokeAll] ends them too. An unknown user
// is not an error.
//
// Many sessions end in several transactions. After an error those before stay ended, and are counted.
func (s *Service) RevokeSessions(ctx context.Context, userID UserID) (Ended, error) {
	return s.endSessionsBut(ctx, userID, 0)
}
