package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
)

// A refresh token is exchanged once, for a successor of the same family that ends at the same expires_at. Its row names
// the successor in replaced_by_token_hash. At most one token of a family is live.

// IssueRefresh starts a family of refresh tokens for a user who has proved to the caller who they are. It ends after
// RefreshPolicy.Absolute. The error is [ErrNotFound] if there is no such account, or it is suspended or deleted.
func (s *Service) IssueRefresh(ctx context.Context, userID UserID) (Token, error) {
	family, err := s.newID()
	if err != nil {
		return Token{}, err
	}
	var token Token
	err = s.holding(ctx, userID, func(ctx context.Context, tx *ent.Client) (err error) {
		token, err = s.startFamily(ctx, tx, userID, family)
		return err
	}, s.usable())
	if err != nil {
		return Token{}, err
	}
	s.observe(ctx, Event{Action: ActionIssueRefresh, UserID: userID})
	return token, nil
}

// startFamily adds the first token of a family in the caller's transaction.
func (s *Service) startFamily(ctx context.Context, tx *ent.Client, userID UserID, family string) (Token, error) {
	token, err := s.newToken()
	if err != nil {
		return Token{}, err
	}
	now := s.now()
	return token, addRefresh(ctx, tx, userID, family, token.hash(), nil, now,
		cut(now.Add(s.cfg.Refresh.Absolute)))
}

func addRefresh(
	ctx context.Context, tx *ent.Client, userID UserID, family, hash string, salt *string, now, expires time.Time,
) error {
	const query = `INSERT INTO refresh_tokens` +
		` (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses, family, successor_salt)` +
		` VALUES (?, ?, ?, ?, ?, false, 0, ?, ?)`
	// A driver of SQLite may read a time in another zone, and writes it in that.
	_, err := execute(ctx, tx, query, now, updatedNow(), userID, hash, expires.UTC(), family, salt)
	return wrap(err, "add a refresh token")
}

// Rotate exchanges a refresh token for a new one of the same family (RFC 9700, 4.14.2). The error is [ErrRefresh] if
// the token is unknown, expired, revoked or was not rotated for RefreshPolicy.Idle, if its family has ended, or if the
// account is suspended or deleted.
//
// Several tabs of a browser, or a client that did not get the answer, present one token more than once. Within
// RefreshPolicy.Grace of its exchange every call gets the same new token, used or not, as long as the family is live,
// and an [Observer] is told. The error is a [*BusyError] if none of Config.Keys is the one that the new token was made
// with. Another replica may have it, and nothing is revoked.
//
// After that, a token that was exchanged before is a sign of theft. Its whole family is revoked, which goes on if ctx
// ends meanwhile, and the error is a [*ReuseError].
func (s *Service) Rotate(ctx context.Context, t Token) (Token, *User, error) {
	g, err := s.present(ctx, t, nil)
	if err != nil {
		return Token{}, nil, err
	}
	return g.Refresh, g.User, nil
}

// Renew exchanges a refresh token as [Service.Rotate] does, and begins the session of its family again with another
// token: the one before is worth nothing from then on. Errors are those of Rotate. Within RefreshPolicy.Grace every
// call gets the same two tokens. If another tab has gone on with the new refresh token by then, the session's is worth
// nothing, and the client goes on in the same way.
func (s *Service) Renew(ctx context.Context, t Token, d Device) (*Grant, error) {
	return s.present(ctx, t, &d)
}

// present answers a token that a client presents. With a device it renews the session.
func (s *Service) present(ctx context.Context, t Token, d *Device) (*Grant, error) {
	// Another call may exchange the token after it was read. The next read sees that.
	for range 3 {
		p, err := s.findPresented(ctx, t)
		if err != nil {
			return nil, err
		}
		now := s.now()
		switch {
		case p == nil, !p.expires.After(now):
			return nil, ErrRefresh
		case p.next != nil:
			return s.presentAgain(ctx, t, p, now, d)
		case p.revoked, !s.isUsable(&p.owner), !s.isLiveRefresh(p.created, p.expires, now):
			return nil, ErrRefresh
		}
		g, err := s.exchange(ctx, t, p, now, d)
		if !errors.Is(err, errExchanged) {
			return g, err
		}
	}
	return nil, ErrRefresh
}

// isLiveRefresh reports whether the times of a token that was neither revoked nor exchanged say that it has not ended.
func (s *Service) isLiveRefresh(created, expires, now time.Time) bool {
	return expires.After(now) && created.After(now.Add(-s.cfg.Refresh.Idle)) && !s.ahead(created)
}

// presented is a refresh token that a client presents, with its owner.
type presented struct {
	owner
	family           *string // nil from another program or the version before
	created, expires time.Time
	revoked          bool
	revokedAt        *time.Time
	// next is the hash of the successor, if the token was exchanged, and salt is what that was derived with.
	next, salt *string
	// live is whether the successor or another token of the family is.
	live bool
}

// presentedQuery finds the token by the unique index of token_hash, and the user by the primary key.
var presentedQuery = presentedBy(`NULL, 0`, ``)

// exchangedQuery is presentedQuery for a token that was exchanged, which few are. It finds the successor by the unique
// index as well, and the live token by the index of the family: not every row where that is NULL.
var exchangedQuery = presentedBy(`n.successor_salt, l.id IS NOT NULL OR COALESCE(n.is_revoked = 0, 0)`,
	` LEFT JOIN refresh_tokens n ON n.token_hash = t.replaced_by_token_hash`+
		` LEFT JOIN refresh_tokens l ON l.family = COALESCE(t.family, '') AND l.is_revoked = 0`)

func presentedBy(columns, joins string) string {
	return `SELECT t.family, t.created_at, t.expires_at, t.is_revoked <> 0, t.revoked_at, t.replaced_by_token_hash, ` +
		columns + `, ` + ownerColumns + ` FROM refresh_tokens t JOIN ` + ownerJoin + `t.user_id` + joins +
		` WHERE t.token_hash = ?`
}

// findPresented is nil where there is no such token.
func (s *Service) findPresented(ctx context.Context, t Token) (*presented, error) {
	p, err := repeat(ctx, s, func(ctx context.Context) (*presented, error) { return loadPresented(ctx, s.client, t) })
	return p, wrap(err, "find a refresh token")
}

func loadPresented(ctx context.Context, client *ent.Client, t Token) (*presented, error) {
	p, err := scanPresented(ctx, client, presentedQuery, t)
	if p != nil && p.next != nil {
		return scanPresented(ctx, client, exchangedQuery, t)
	}
	return p, err
}

func scanPresented(ctx context.Context, client *ent.Client, query string, t Token) (*presented, error) {
	var p presented
	o, err := loadOwned(ctx, client, query, t.hash(),
		&p.family, &p.created, &p.expires, &p.revoked, &p.revokedAt, &p.next, &p.salt, &p.live)
	if err != nil || o == nil {
		return nil, err
	}
	p.owner = *o
	return &p, nil
}

// errExchanged is a token that another call exchanged or revoked after it was read.
var errExchanged = errors.New("the refresh token was exchanged meanwhile")

// exchange puts a successor in the place of a token that was found to be live. The successor of a token is derived from
// it, so that the same can be given again. The salt for that is in the successor's row, and erased after the grace: by
// the successor's own exchange, or in the background.
func (s *Service) exchange(ctx context.Context, t Token, p *presented, now time.Time, d *Device) (*Grant, error) {
	salt, err := s.newID()
	if err != nil {
		return nil, err
	}
	family := p.family
	if family == nil {
		id, err := s.newID()
		if err != nil {
			return nil, err
		}
		family = &id
	}
	key := s.cfg.Keys.reveal()[0]
	g := &Grant{User: &p.user, Refresh: derive(key, "refresh", salt, t)}
	hash := g.Refresh.hash()
	var kept *string
	if s.grace() > 0 {
		kept = &salt
	}
	tried := false
	exchange := func(ctx context.Context, tx *ent.Client) error {
		if tried { // it lost, to another call for the same token most likely, whose locks it need not get past
			switch current, err := loadPresented(ctx, tx, t); {
			case err != nil:
				return fmt.Errorf("find a refresh token: %w", err)
			case current == nil, current.next != nil, current.revoked:
				return errExchanged
			}
		}
		tried = true
		const query = `UPDATE refresh_tokens SET updated_at = ?, is_revoked = true, revoked_at = ?,` +
			` replaced_by_token_hash = ?, family = ?,` +
			` successor_salt = CASE WHEN created_at > ? THEN successor_salt END` +
			` WHERE token_hash = ? AND NOT is_revoked`
		// The foreign key of the new row locks the user's first, as what ends all of a user does: no deadlock.
		err := addRefresh(ctx, tx, p.user.ID, *family, hash, kept, now, p.expires)
		if sqlgraph.IsForeignKeyConstraintError(err) { // the user was erased meanwhile
			return errExchanged
		}
		if err != nil {
			return err
		}
		n, err := execute(ctx, tx, query, updatedNow(), now, hash, *family, now.Add(-s.grace()), t.hash())
		if err == nil && n == 0 {
			err = errExchanged
		}
		return wrap(err, "exchange a refresh token")
	}
	done := Event{Action: ActionRotate, UserID: p.user.ID}
	if d == nil {
		err = s.tx(ctx, exchange)
	} else {
		g.Token = derive(key, "session", salt, t)
		err = s.holdingUsable(ctx, p.user.ID, func(ctx context.Context, tx *ent.Client) error {
			if err := exchange(ctx, tx); err != nil {
				return err
			}
			return s.renewSession(ctx, tx, g, *family, *d)
		})
	}
	if err != nil {
		return nil, err
	}
	if kept != nil {
		s.eraseLater(hash, t.hash()) // its own is kept if it was made within the grace
	}
	if d != nil {
		done.Action, done.SessionID, done.Count = ActionRenew, g.Session.ID, g.ended.Count()
	}
	s.observe(ctx, done)
	return g, nil
}

// holdingUsable runs fn in a transaction that holds the row of a user who may use refresh tokens.
func (s *Service) holdingUsable(
	ctx context.Context, userID UserID, fn func(ctx context.Context, tx *ent.Client) error,
) error {
	err := s.holding(ctx, userID, fn, s.usable())
	if errors.Is(err, ErrNotFound) {
		return ErrRefresh
	}
	return err
}

// grace is how long after its exchange a token may be presented again.
func (s *Service) grace() time.Duration { return max(0, s.cfg.Refresh.Grace) }

// presentAgain answers a token that was exchanged before.
func (s *Service) presentAgain(
	ctx context.Context, t Token, p *presented, now time.Time, d *Device,
) (*Grant, error) {
	live := p.live
	if !live {
		var err error
		live, err = repeat(ctx, s, func(ctx context.Context) (bool, error) { return s.descends(ctx, t.hash()) })
		if err != nil {
			return nil, err
		}
	}
	at := p.revokedAt
	switch within := at != nil && at.After(now.Add(-s.grace())) && !s.ahead(*at); {
	case !live:
		return nil, ErrRefresh
	case !within:
		return nil, s.reuse(ctx, t, p.user.ID)
	case !s.isUsable(&p.owner):
		return nil, ErrRefresh
	}
	key := s.keyOf(t, p)
	if key == nil {
		return nil, &BusyError{Reason: "the successor of the refresh token was made with a key that is not here"}
	}
	g := &Grant{User: &p.user, Refresh: derive(key, "refresh", *p.salt, t)}
	if d != nil {
		g.Token = derive(key, "session", *p.salt, t)
		if err := s.sameSession(ctx, p, g, *d); err != nil {
			return nil, err
		}
	}
	s.observe(ctx, Event{Action: ActionGrace, UserID: p.user.ID, Count: g.ended.Count()})
	return g, nil
}

// keyOf is the key that the successor of a token was derived with, or nil if it is not here.
func (s *Service) keyOf(t Token, p *presented) []byte {
	if p.salt == nil || p.family == nil {
		return nil
	}
	for _, key := range s.cfg.Keys.reveal() {
		if derive(key, "refresh", *p.salt, t).hash() == *p.next {
			return key
		}
	}
	return nil
}

// sameSession gives a grant the session that a renewal before this one started. There is none if that was a rotation.
func (s *Service) sameSession(ctx context.Context, p *presented, g *Grant, d Device) error {
	started := session.TokenHash(g.Token.hash())
	row, err := repeat(ctx, s, func(ctx context.Context) (*ent.Session, error) {
		return newestSession(ctx, s.client, started)
	})
	if err != nil || row != nil {
		g.Session = sessionOf(row)
		return err
	}
	return s.holdingUsable(ctx, p.user.ID, func(ctx context.Context, tx *ent.Client) error {
		// Whoever ends the family meanwhile waits for its live token, and ends the session as well. On another server
		// nobody waits for a lock, so the token is written before a session is added.
		live, err := findRefresh(ctx, tx, forUpdate, refreshtoken.Family(*p.family),
			isFalse(refreshtoken.FieldIsRevoked))
		switch {
		case err != nil:
			return fmt.Errorf("find a refresh token: %w", err)
		case live == nil:
			return ErrRefresh
		}
		row, err := newestSession(ctx, tx, session.Family(*p.family))
		if err != nil {
			return err
		}
		if row != nil && (live.TokenHash != *p.next || row.TokenHash == g.Token.hash()) {
			g.Session = sessionOf(row) // that of another tab, which has gone on
			return nil
		}
		const query = `UPDATE refresh_tokens SET updated_at = ? WHERE id = ?`
		if _, err := execute(ctx, tx, query, updatedNow(), live.ID); err != nil {
			return fmt.Errorf("hold a refresh token: %w", err)
		}
		return s.renewSession(ctx, tx, g, *p.family, d)
	})
}

// reuse revokes the family of a token that was exchanged before, which goes on if ctx ends.
func (s *Service) reuse(ctx context.Context, t Token, userID UserID) error {
	var ended Ended
	err := s.settle(ctx, func(ctx context.Context) error {
		err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
			n, err := s.endFrom(ctx, tx, t.hash())
			if n.RefreshTokens > 0 { // an earlier try may have been without an answer
				ended = n
			}
			return err
		})
		if err == nil && ended.RefreshTokens > 0 {
			s.observe(ctx, Event{Action: ActionReuse, UserID: userID, Count: ended.Count()})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case ended.RefreshTokens == 0: // somebody else was faster
		return ErrRefresh
	}
	return &ReuseError{UserID: userID, Ended: ended}
}

// RevokeRefresh ends the family of a token, with its session, as on signing out (RFC 7009). Revoking an unknown or
// ended token is not an error.
func (s *Service) RevokeRefresh(ctx context.Context, t Token) (Ended, error) {
	var ended Ended
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		ended, err = s.endFrom(ctx, tx, t.hash())
		return err
	})
	if err != nil {
		return Ended{}, err
	}
	if ended.Count() > 0 {
		s.observe(ctx, Event{Action: ActionRevokeRefresh, Count: ended.Count()})
	}
	return ended, nil
}

// maxFading bounds the salts that wait to be erased. Beyond it that is left to the exchange of their tokens.
const maxFading = 1 << 14

// eraseAgain is how long after a write that failed, or was refused, it is tried again.
const eraseAgain = time.Second

// fading are the hashes of tokens whose salts wait to be erased, in the order of time. They stay until that is written.
type fading struct {
	mu     sync.Mutex
	hashes []string
	due    []time.Time
}

// eraseLater erases the salts of the tokens with hashes once the grace is over. Nobody waits for that after Close.
func (s *Service) eraseLater(hashes ...string) {
	f := &s.fading
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.due)+len(hashes) > maxFading || s.work.isClosed() {
		return
	}
	due := s.now().Add(s.grace())
	if len(f.due) == 0 {
		time.AfterFunc(s.grace(), s.erase)
	}
	for _, hash := range hashes {
		f.hashes, f.due = append(f.hashes, hash), append(f.due, due)
	}
}

// erase erases the salts whose time has come, many at once.
func (s *Service) erase() {
	f := &s.fading
	f.mu.Lock()
	n, now := 0, s.now()
	for n < min(len(f.due), maxIDs) && !f.due[n].After(now) {
		n++
	}
	hashes := f.hashes[:n:n]
	f.mu.Unlock()
	if n == 0 { // the clock is not the one that the timer goes by
		s.eraseNext(0)
		return
	}
	which := refreshtoken.TokenHashIn(hashes...)
	started := s.background(func(ctx context.Context) error {
		return s.client.RefreshToken.Update().Where(which).ClearSuccessorSalt().Exec(ctx)
	}, func(err error) {
		if err != nil {
			n = 0
		}
		s.eraseNext(n)
	})
	if !started {
		s.eraseNext(0)
	}
}

// eraseNext forgets the first n, which are erased, and has the next ones erased when their time has come.
func (s *Service) eraseNext(n int) {
	f := &s.fading
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashes, f.due = f.hashes[n:], f.due[n:]
	switch {
	case len(f.due) == 0, s.work.isClosed():
	case n == 0:
		time.AfterFunc(eraseAgain, s.erase)
	default:
		time.AfterFunc(max(100*time.Millisecond, f.due[0].Sub(s.now())), s.erase)
	}
}
