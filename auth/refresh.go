package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/user"
)

// A family is the tokens descended from one sign-in: each names the one it was
// exchanged for in replaced_by_token_hash, and all end at the same expires_at.
// At most one of them is live.

// IssueRefresh starts a family of refresh tokens for a user of whom the caller
// has proof of its own. It is an [ErrNotFound] if the account is locked or
// deleted.
func (s *Service) IssueRefresh(ctx context.Context, userID int) (Token, error) {
	var token Token
	err := s.holding(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		token, err = s.startFamily(ctx, tx, userID)
		return err
	}, user.ID(userID), usable(s.now()))
	if err != nil {
		return Token{}, err
	}
	s.observe(ctx, Event{Action: ActionIssueRefresh, UserID: userID})
	return token, nil
}

// startFamily adds the first token of a family in the caller's transaction.
func (s *Service) startFamily(ctx context.Context, tx *ent.Client, userID int) (Token, error) {
	token, err := s.newToken()
	if err != nil {
		return Token{}, err
	}
	return token, s.addRefresh(ctx, tx, userID, token, s.now().Add(s.cfg.Refresh.Absolute))
}

func (s *Service) addRefresh(ctx context.Context, tx *ent.Client, userID int, t Token, expires time.Time) error {
	const query = `INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses)` +
		` VALUES (?, ?, ?, ?, ?, false, 0)`
	_, err := execute(ctx, tx, query, s.now(), updatedNow(), userID, t.hash(), expires)
	return wrap(err, "add a refresh token")
}

// Rotate exchanges a refresh token for a new one of the same family (RFC 9700,
// 4.14.2). Of any number of calls with one token, one succeeds. It is an
// [ErrRefresh] if the token is unknown, expired, idle for too long, revoked, or
// the account is locked or deleted.
//
// A token that was exchanged before is a sign of theft: its whole family is
// revoked, which stays so, and the error is [ErrReuse]. Within
// RefreshPolicy.Grace of the exchange, and at most RefreshPolicy.GraceUses
// times, it is taken for a client that did not get the answer instead: if the
// token it was exchanged for has not been used, that one is replaced in turn.
func (s *Service) Rotate(ctx context.Context, t Token) (Token, *User, error) {
	next, err := s.newToken()
	if err != nil {
		return Token{}, nil, err
	}
	var (
		event   Event
		u       *User
		outcome error // committed all the same
	)
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		event, outcome = Event{Action: ActionRotate}, nil
		now := s.now()
		n, err := s.exchange(ctx, tx, t, next, now)
		if err != nil {
			return fmt.Errorf("rotate a refresh token: %w", err)
		}
		if n == 0 {
			old, err := findRefresh(ctx, tx, t.hash())
			switch {
			case ent.IsNotFound(err):
				return ErrRefresh
			case err != nil:
				return fmt.Errorf("rotate a refresh token: %w", err)
			}
			event.UserID = old.UserID
			if old.ReplacedByTokenHash == nil || !old.ExpiresAt.After(now) {
				return ErrRefresh
			}
			granted, err := s.useGrace(ctx, tx, old, next, now)
			if err != nil {
				return err
			}
			if !granted {
				event.Action, outcome = ActionReuse, ErrReuse
				event.Count, err = s.revokeFrom(ctx, tx, t.hash())
				return err
			}
			event.Action = ActionGrace
		}
		var expires time.Time
		o, err := loadOwned(ctx, tx, refreshQuery, t.hash(), &expires)
		switch {
		case err != nil:
			return fmt.Errorf("rotate a refresh token: %w", err)
		case o == nil || !o.usable(now):
			// The token is not used up: a lock ends.
			return ErrRefresh
		}
		u, event.UserID = &o.user, o.user.ID
		return s.addRefresh(ctx, tx, u.ID, next, expires)
	})
	if err != nil {
		return Token{}, nil, err
	}
	s.observe(ctx, event)
	if outcome != nil {
		return Token{}, nil, outcome
	}
	return next, u, nil
}

// refreshQuery finds the token by the unique index of token_hash and the user
// by the primary key.
const refreshQuery = `SELECT t.expires_at, ` + ownerColumns + `
	FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = ?`

// exchange marks a token that can be exchanged as exchanged for next.
func (s *Service) exchange(ctx context.Context, tx *ent.Client, t, next Token, now time.Time) (int, error) {
	const query = `UPDATE refresh_tokens SET updated_at = ?, is_revoked = true, revoked_at = ?, replaced_by_token_hash = ?` +
		` WHERE token_hash = ? AND (NOT is_revoked AND expires_at > ? AND created_at > ? AND created_at <= ?)`
	return execute(ctx, tx, query, updatedNow(), now, next.hash(), t.hash(), now, now.Add(-s.cfg.Refresh.Idle), now.Add(clockTolerance))
}

// useGrace takes one of the grace uses of a token that was exchanged, and puts
// next in the place of the token it was exchanged for.
func (s *Service) useGrace(ctx context.Context, tx *ent.Client, old *ent.RefreshToken, next Token, now time.Time) (bool, error) {
	if s.cfg.Refresh.Grace == 0 {
		return false, nil
	}
	uses := int32(s.cfg.Refresh.GraceUses)
	n, err := tx.RefreshToken.Update().
		Where(
			refreshtoken.ID(old.ID),
			refreshtoken.ReplacedByTokenHash(*old.ReplacedByTokenHash),
			refreshtoken.RevokedAtGT(now.Add(-s.cfg.Refresh.Grace)),
			refreshtoken.GraceUsesLT(uses),
		).
		AddGraceUses(1).SetReplacedByTokenHash(next.hash()).
		Save(ctx)
	if err != nil || n == 0 {
		return false, wrap(err, "use the grace of a refresh token")
	}
	// Whoever holds the token that is replaced here has no grace: one of the
	// two that present a token of this family did not get it from us.
	n, err = tx.RefreshToken.Update().
		Where(refreshtoken.TokenHash(*old.ReplacedByTokenHash), refreshtoken.IsRevoked(false)).
		SetIsRevoked(true).SetRevokedAt(now).SetReplacedByTokenHash(next.hash()).SetGraceUses(uses).
		Save(ctx)
	if err != nil || n == 1 {
		return err == nil, wrap(err, "use the grace of a refresh token")
	}
	// It has been used: this is no lost answer. Put the link back.
	err = tx.RefreshToken.Update().Where(refreshtoken.ID(old.ID)).
		SetReplacedByTokenHash(*old.ReplacedByTokenHash).
		Exec(ctx)
	return false, wrap(err, "use the grace of a refresh token")
}

// revokeFrom revokes the token with a hash and all that descend from it, and
// returns how many were live. A rotation that runs at the same time holds the
// row of the live token: it comes before, and its new token is followed, or it
// finds its own revoked. It ends where a token leads back to one before it, or to
// one of another user: no rotation made such a link.
func (s *Service) revokeFrom(ctx context.Context, tx *ent.Client, hash string) (revoked int, err error) {
	seen := map[int]bool{}
	userID := 0
	for range maxFamily {
		t, err := findRefresh(ctx, tx, hash)
		if ent.IsNotFound(err) {
			return revoked, nil
		}
		if err != nil {
			return revoked, fmt.Errorf("revoke a family of refresh tokens: %w", err)
		}
		if seen[t.ID] || userID != 0 && t.UserID != userID {
			return revoked, nil
		}
		seen[t.ID], userID = true, t.UserID
		if !t.IsRevoked {
			n, err := tx.RefreshToken.Update().
				Where(refreshtoken.ID(t.ID), refreshtoken.IsRevoked(false)).
				SetIsRevoked(true).SetRevokedAt(s.now()).
				Save(ctx)
			if err != nil {
				return revoked, fmt.Errorf("revoke a family of refresh tokens: %w", err)
			}
			revoked += n
		}
		if t.ReplacedByTokenHash == nil {
			return revoked, nil
		}
		hash = *t.ReplacedByTokenHash
	}
	return revoked, errors.New("revoke a family of refresh tokens: it is longer than any that was made here")
}

// findRefresh reads what a rotation needs of a token, as it is now, and keeps it so
// until the transaction ends.
func findRefresh(ctx context.Context, tx *ent.Client, hash string) (*ent.RefreshToken, error) {
	q := tx.RefreshToken.Query().Where(refreshtoken.TokenHash(hash))
	q.Modify(forUpdate, func(sel *entsql.Selector) {
		sel.Select(sel.Columns(refreshtoken.FieldID, refreshtoken.FieldUserID, refreshtoken.FieldExpiresAt, refreshtoken.FieldReplacedByTokenHash)...)
		sel.AppendSelectExprAs(entsql.Expr(sel.C(refreshtoken.FieldIsRevoked)+" <> 0"), refreshtoken.FieldIsRevoked)
	})
	return q.Only(ctx)
}

// maxFamily bounds the walk along a family: rotating every 15 seconds for 90
// days makes half a million tokens.
const maxFamily = 1 << 20

// RevokeRefresh ends the family of a token, as on signing out (RFC 7009). A
// token that is unknown or has ended is no error.
func (s *Service) RevokeRefresh(ctx context.Context, t Token) error {
	revoked := 0
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		var err error
		revoked, err = s.revokeFrom(ctx, tx, t.hash())
		return err
	})
	if err == nil && revoked > 0 {
		s.observe(ctx, Event{Action: ActionRevokeRefresh, Count: revoked})
	}
	return err
}
