package auth

import (
	"context"
	"fmt"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/user"
)

// A family is the tokens descended from one sign-in. Each names its successor in
// replaced_by_token_hash, and all end at the same expires_at. At most one is live.

// IssueRefresh starts a family of refresh tokens for a user who has proved to the caller who they are. It ends after
// RefreshPolicy.Absolute. The error is [ErrNotFound] if there is no such account, or it is suspended or deleted.
func (s *Service) IssueRefresh(ctx context.Context, userID int) (Token, error) {
	family, err := s.newFamily()
	if err != nil {
		return Token{}, err
	}
	var token Token
	err = s.holding(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		token, err = s.startFamily(ctx, tx, userID, family)
		return err
	}, user.ID(userID), s.usable())
	if err != nil {
		return Token{}, err
	}
	s.observe(ctx, Event{Action: ActionIssueRefresh, UserID: userID})
	return token, nil
}

// startFamily adds the first token of a family in the caller's transaction.
func (s *Service) startFamily(ctx context.Context, tx *ent.Client, userID int, family string) (Token, error) {
	token, err := s.newToken()
	if err != nil {
		return Token{}, err
	}
	if err := s.addRefresh(ctx, tx, userID, &family, token, s.now().Add(s.cfg.Refresh.Absolute)); err != nil {
		return Token{}, err
	}
	return token, nil
}

func (s *Service) addRefresh(
	ctx context.Context, tx *ent.Client, userID int, family *string, t Token, expires time.Time,
) error {
	const query = `INSERT INTO refresh_tokens` +
		` (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses, family)` +
		` VALUES (?, ?, ?, ?, ?, false, 0, ?)`
	_, err := execute(ctx, tx, query, s.now(), updatedNow(), userID, t.hash(), expires, family)
	return wrap(err, "add a refresh token")
}

// Rotate exchanges a refresh token for a new one of the same family (RFC 9700,
// 4.14.2). Of any number of calls with one token, one succeeds. The error is
// [ErrRefresh] if the token is unknown, expired, revoked or was not rotated for
// RefreshPolicy.Idle, or if the account is suspended or deleted.
//
// A token that was exchanged before is a sign of theft. Its whole family is
// revoked, which stays so, and the error is [ErrReuse].
//
// RefreshPolicy.Grace allows for a client that did not get the answer. Within that time after the exchange, and at most
// RefreshPolicy.GraceUses times, the token may be presented again. It then gets a new token in place of its successor,
// unless the successor has been used.
func (s *Service) Rotate(ctx context.Context, t Token) (Token, *User, error) {
	next, err := s.newToken()
	if err != nil {
		return Token{}, nil, err
	}
	var done rotation
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		done, err = s.rotate(ctx, tx, t, next, s.now())
		return err
	})
	if err != nil {
		return Token{}, nil, err
	}
	s.observe(ctx, Event{Action: done.action, UserID: done.userID, Count: done.revoked})
	if done.action == ActionReuse {
		return Token{}, nil, &ReuseError{UserID: done.userID}
	}
	return next, done.user, nil
}

// rotation is what came of a token that was presented.
type rotation struct {
	action Action // ActionRotate, ActionGrace or ActionReuse
	userID int
	// user is nil for ActionReuse, and only then revoked counts tokens.
	user    *User
	revoked int
}

// rotate exchanges from for to in the caller's transaction. If it finds reuse it returns no error, so that the
// revocation is committed.
func (s *Service) rotate(ctx context.Context, tx *ent.Client, from, to Token, now time.Time) (rotation, error) {
	action := ActionRotate
	exchanged, err := s.exchange(ctx, tx, from, to, now)
	if err != nil {
		return rotation{}, err
	}
	if !exchanged {
		used, err := exchangedBefore(ctx, tx, from, now)
		if err != nil {
			return rotation{}, err
		}
		granted, err := s.useGrace(ctx, tx, used, to, now)
		if err != nil {
			return rotation{}, err
		}
		if !granted {
			revoked, err := s.revokeFrom(ctx, tx, from.hash())
			return rotation{action: ActionReuse, userID: used.UserID, revoked: revoked}, err
		}
		action = ActionGrace
	}
	u, err := s.addNext(ctx, tx, from, to, now)
	if err != nil {
		return rotation{}, err
	}
	return rotation{action: action, userID: u.ID, user: u}, nil
}

// exchange marks the token as exchanged, if it is one that can be.
func (s *Service) exchange(ctx context.Context, tx *ent.Client, from, to Token, now time.Time) (bool, error) {
	const query = `UPDATE refresh_tokens` +
		` SET updated_at = ?, is_revoked = true, revoked_at = ?, replaced_by_token_hash = ?` +
		` WHERE token_hash = ? AND (NOT is_revoked AND expires_at > ? AND created_at > ? AND created_at <= ?)`
	n, err := execute(ctx, tx, query, updatedNow(), now, to.hash(),
		from.hash(), now, now.Add(-s.cfg.Refresh.Idle), now.Add(ClockTolerance))
	return n > 0, wrap(err, "rotate a refresh token")
}

// exchangedBefore finds a token that was not exchanged now because it was before.
// The error is [ErrRefresh] if it was not.
func exchangedBefore(ctx context.Context, tx *ent.Client, from Token, now time.Time) (*ent.RefreshToken, error) {
	t, err := findRefresh(ctx, tx, from.hash())
	switch {
	case ent.IsNotFound(err):
		return nil, ErrRefresh
	case err != nil:
		return nil, fmt.Errorf("rotate a refresh token: %w", err)
	case t.ReplacedByTokenHash == nil, !t.ExpiresAt.After(now):
		return nil, ErrRefresh
	}
	return t, nil
}

// useGrace takes one of the grace uses of a token that was exchanged, and puts the new token in the place of its
// successor. A token that is presented is in one of four states:
//   - never exchanged: exchange takes it, and useGrace is not called.
//   - exchanged, grace over, in time or in uses: reuse.
//   - exchanged, within the grace, successor used: reuse, because the answer was not lost.
//   - exchanged, within the grace, successor unused: granted.
func (s *Service) useGrace(
	ctx context.Context, tx *ent.Client, used *ent.RefreshToken, to Token, now time.Time,
) (granted bool, err error) {
	if s.cfg.Refresh.Grace == 0 {
		return false, nil
	}
	uses := int32(s.cfg.Refresh.GraceUses)
	n, err := tx.RefreshToken.Update().
		Where(
			refreshtoken.ID(used.ID),
			refreshtoken.ReplacedByTokenHash(*used.ReplacedByTokenHash),
			refreshtoken.RevokedAtGT(now.Add(-s.cfg.Refresh.Grace)),
			refreshtoken.GraceUsesLT(uses),
		).
		AddGraceUses(1).SetReplacedByTokenHash(to.hash()).
		Save(ctx)
	if err != nil || n == 0 {
		return false, wrap(err, "use the grace of a refresh token")
	}
	// The successor gets no grace of its own: of the two clients that present a
	// token of this family, one did not get it from us.
	n, err = tx.RefreshToken.Update().
		Where(refreshtoken.TokenHash(*used.ReplacedByTokenHash), refreshtoken.IsRevoked(false)).
		SetIsRevoked(true).SetRevokedAt(now).SetReplacedByTokenHash(to.hash()).SetGraceUses(uses).
		Save(ctx)
	if err != nil || n == 1 {
		return err == nil, wrap(err, "use the grace of a refresh token")
	}
	// The successor has been used, so no answer was lost. Put the link back.
	err = tx.RefreshToken.Update().Where(refreshtoken.ID(used.ID)).
		SetReplacedByTokenHash(*used.ReplacedByTokenHash).
		Exec(ctx)
	return false, wrap(err, "use the grace of a refresh token")
}

// refreshQuery finds the token by the unique index of token_hash and the user by the primary key.
const refreshQuery = `SELECT t.expires_at, t.family, ` + ownerColumns + `
	FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = ?`

// addNext adds the new token for the owner of the old one. If the owner is suspended or deleted the error rolls the
// exchange back, so that the old token works again after the suspension.
func (s *Service) addNext(ctx context.Context, tx *ent.Client, from, to Token, now time.Time) (*User, error) {
	var (
		expires time.Time
		family  *string
	)
	o, err := loadOwned(ctx, tx, refreshQuery, from.hash(), &expires, &family)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rotate a refresh token: %w", err)
	case o == nil || !s.isUsable(o):
		return nil, ErrRefresh
	}
	return &o.user, s.addRefresh(ctx, tx, o.user.ID, family, to, expires)
}

// revokeFrom revokes the token with a hash and all that descend from it, and returns how many were live. A rotation at
// the same time holds the row of the live token: either it commits first and its new token is followed, or it finds its
// own token revoked. The walk ends at a token that was seen before or is another user's: no rotation made such a link.
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
	return revoked, fmt.Errorf("revoke a family of refresh tokens: the chain is longer than %d tokens: "+
		"the rows of user %d are corrupt, delete them", maxFamily, userID)
}

// findRefresh reads what a rotation needs of a token and locks its row until the transaction ends.
func findRefresh(ctx context.Context, tx *ent.Client, hash string) (*ent.RefreshToken, error) {
	q := tx.RefreshToken.Query().Where(refreshtoken.TokenHash(hash))
	q.Modify(forUpdate, func(sel *entsql.Selector) {
		sel.Select(sel.Columns(refreshtoken.FieldID, refreshtoken.FieldUserID,
			refreshtoken.FieldExpiresAt, refreshtoken.FieldReplacedByTokenHash)...)
		sel.AppendSelectExprAs(entsql.Expr(sel.C(refreshtoken.FieldIsRevoked)+" <> 0"), refreshtoken.FieldIsRevoked)
	})
	return q.Only(ctx)
}

// maxFamily bounds the walk along a family: rotating every 15 seconds for 90 days makes half a million tokens.
const maxFamily = 1 << 20

// RevokeRefresh ends the family of a token, as on signing out (RFC 7009). Revoking
// an unknown or ended token is not an error.
func (s *Service) RevokeRefresh(ctx context.Context, t Token) error {
	revoked := 0
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		revoked, err = s.revokeFrom(ctx, tx, t.hash())
		return err
	})
	if err == nil && revoked > 0 {
		s.observe(ctx, Event{Action: ActionRevokeRefresh, Count: revoked})
	}
	return err
}
