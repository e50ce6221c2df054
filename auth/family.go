package auth

import (
	"context"
	"fmt"
	"slices"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
)

// A family is what one sign-in gave to a device: a session and the refresh tokens descended from its first one. They
// have one value in their column family, and end together. The version before and other programs write none. Such a
// session ends alone, and such a token with those that follow it along replaced_by_token_hash.

// Ended is how much a call ended that was live before.
type Ended struct{ Sessions, RefreshTokens int }

// Count is the sum of both, as an [Event] has it.
func (e Ended) Count() int { return e.Sessions + e.RefreshTokens }

func (e Ended) plus(more Ended) Ended {
	return Ended{Sessions: e.Sessions + more.Sessions, RefreshTokens: e.RefreshTokens + more.RefreshTokens}
}

// endFamilies ends families with one statement for each table. A rotation at the same time holds the row of the live
// token: either it commits first and its new token is found behind the old one, or it finds its own token revoked. The
// sessions come after the tokens, so that one which a renewal added with a token is found too.
func (s *Service) endFamilies(ctx context.Context, tx *ent.Client, families ...string) (ended Ended, err error) {
	ended.RefreshTokens, err = s.revoke(ctx, tx, refreshtoken.FamilyIn(families...))
	if err != nil {
		return Ended{}, err
	}
	ended.Sessions, err = deactivate(ctx, tx, session.FamilyIn(families...))
	return ended, err
}

// revoke revokes the tokens that match and are live. The salt that one of them was made with has no use any more.
func (s *Service) revoke(ctx context.Context, tx *ent.Client, which predicate.RefreshToken) (int, error) {
	n, err := tx.RefreshToken.Update().
		Where(which, isFalse(refreshtoken.FieldIsRevoked)).
		SetIsRevoked(true).SetRevokedAt(s.now()).ClearSuccessorSalt().
		Save(ctx)
	return n, wrap(err, "revoke refresh tokens")
}

// deactivate ends the sessions that match.
func deactivate(ctx context.Context, tx *ent.Client, which ...predicate.Session) (int, error) {
	n, err := tx.Session.Update().Where(which...).Where(session.IsActive(true)).SetIsActive(false).Save(ctx)
	return n, wrap(err, "end sessions")
}

// forget makes the devices of sessions strangers again, also where the sessions have ended.
func forget(ctx context.Context, tx *ent.Client, which ...predicate.Session) error {
	return wrap(tx.Session.Update().Where(which...).ClearTrustEpoch().Exec(ctx), "forget devices")
}

// endSession ends the one session that matches, with its family. With forgotten its device is not a known one any more.
func (s *Service) endSession(ctx context.Context, forgotten bool, which ...predicate.Session) (Ended, error) {
	rows, err := s.findSessions(ctx, which...)
	if err != nil || len(rows) == 0 {
		return Ended{}, err
	}
	ended, err := s.endSessions(ctx, rows, forgotten)
	if err == nil && ended.Count() > 0 {
		s.observe(ctx, Event{Action: ActionRevokeSessions, UserID: rows[0].UserID, Count: ended.Count()})
	}
	return ended, err
}

// endSessionsBut ends the sessions of a user but one, in steps.
func (s *Service) endSessionsBut(ctx context.Context, userID UserID, keepID int) (ended Ended, err error) {
	ids, err := repeat(ctx, s, func(ctx context.Context) ([]int, error) {
		return s.client.Session.Query().Where(session.UserID(userID), isTrue(session.FieldIsActive)).IDs(ctx)
	})
	if err != nil {
		return Ended{}, fmt.Errorf("find sessions: %w", err)
	}
	ids = slices.DeleteFunc(ids, func(id int) bool { return id == keepID })
	for step := range slices.Chunk(ids, maxStep) {
		var rows []*ent.Session
		var n Ended
		if rows, err = s.findSessions(ctx, session.IDIn(step...)); err == nil {
			n, err = s.endSessions(ctx, rows, true)
		}
		if err != nil {
			break
		}
		ended.Sessions, ended.RefreshTokens = ended.Sessions+n.Sessions, ended.RefreshTokens+n.RefreshTokens
	}
	if ended.Count() > 0 {
		s.observe(ctx, Event{Action: ActionRevokeSessions, UserID: userID, Count: ended.Count()})
	}
	return ended, err
}

// findSessions reads what ending a session needs of those that match, and never changes.
func (s *Service) findSessions(ctx context.Context, which ...predicate.Session) ([]*ent.Session, error) {
	rows, err := repeat(ctx, s, func(ctx context.Context) ([]*ent.Session, error) {
		return s.client.Session.Query().Where(which...).
			Select(session.FieldID, session.FieldUserID, session.FieldFamily).
			All(ctx)
	})
	return rows, wrap(err, "find sessions")
}

// endSessions ends sessions in a transaction of its own. With forgotten their devices are not known ones any more.
func (s *Service) endSessions(ctx context.Context, rows []*ent.Session, forgotten bool) (ended Ended, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		ended, err = s.endDevices(ctx, tx, rows)
		if err == nil && forgotten {
			err = forget(ctx, tx, session.IDIn(idsOf(rows)...))
		}
		return err
	})
	if err != nil {
		return Ended{}, err
	}
	return ended, nil
}

// maxStep is how many sessions end in one transaction, so that it holds few rows for a short time. The server looks
// into the index for each of their families; from 200 on it guesses, and may read the whole table
// (eq_range_index_dive_limit).
const maxStep = 100

// endDevices ends sessions, each with its family if it has one.
func (s *Service) endDevices(ctx context.Context, tx *ent.Client, rows []*ent.Session) (ended Ended, err error) {
	var families []string
	var alone []int
	for _, row := range rows {
		if row.Family != nil {
			families = append(families, *row.Family)
		} else {
			alone = append(alone, row.ID)
		}
	}
	if len(families) > 0 {
		if ended, err = s.endFamilies(ctx, tx, families...); err != nil {
			return Ended{}, err
		}
	}
	if len(alone) > 0 {
		n, err := deactivate(ctx, tx, session.IDIn(alone...))
		if err != nil {
			return Ended{}, err
		}
		ended.Sessions += n
	}
	return ended, nil
}

// leave ends the family that a device had before a user signs in on it, whosever it was. The token is one of that
// family. The standing of the user's own goes on with the new session.
func (s *Service) leave(ctx context.Context, tx *ent.Client, userID UserID, t Token) (ended Ended, err error) {
	if t.Reveal() == "" {
		return Ended{}, nil
	}
	hash := t.hash()
	rows, err := tx.Session.Query().Where(session.TokenHash(hash)).
		Select(session.FieldID, session.FieldUserID, session.FieldFamily).
		All(ctx)
	if err != nil {
		return Ended{}, fmt.Errorf("find a session: %w", err)
	}
	if len(rows) > 0 {
		if ended, err = s.endDevices(ctx, tx, rows); err != nil || rows[0].UserID != userID {
			return ended, err
		}
		return ended, forget(ctx, tx, deviceOf(rows[0].ID, rows[0].Family))
	}
	token, err := findRefresh(ctx, tx, forUpdate, refreshtoken.TokenHash(hash))
	if err != nil || token == nil {
		return Ended{}, wrap(err, "find a refresh token")
	}
	if ended, err = s.endFrom(ctx, tx, hash); err != nil || token.Family == nil || token.UserID != userID {
		return ended, err
	}
	return ended, forget(ctx, tx, session.Family(*token.Family))
}

// deviceOf are the sessions of the device that one of them is of.
func deviceOf(id int, family *string) predicate.Session {
	if family == nil {
		return session.ID(id)
	}
	return session.Family(*family)
}

func idsOf(rows []*ent.Session) []int {
	ids := make([]int, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

// revokeAll ends every session and refresh token of a user, whose row the transaction holds. The ids of the rows are
// found in the indexes that begin with user_id. Without them the server reads and locks the whole table for a user who
// has a large part of it.
//
// Where there are many, those of the snapshot come first: finding them locks nothing, not even the gaps beside them, in
// which others write. What was added since, such as the new token of a rotation, is found under locks shortly before
// the commit.
func (s *Service) revokeAll(ctx context.Context, tx *ent.Client, userID UserID) (Ended, error) {
	return s.revokeBut(ctx, tx, userID, new(ent.Session))
}

// revokeBut is revokeAll but for one session, with its family.
func (s *Service) revokeBut(
	ctx context.Context, tx *ent.Client, userID UserID, kept *ent.Session,
) (ended Ended, err error) {
	others := predicate.RefreshToken(isFalse(refreshtoken.FieldIsRevoked))
	if kept.Family != nil {
		others = refreshtoken.And(others, refreshtoken.Or(refreshtoken.FamilyIsNil(),
			refreshtoken.FamilyNEQ(*kept.Family)))
	}
	for _, pass := range []struct {
		least int
		lock  func(*entsql.Selector)
	}{{least: maxIDs + 1, lock: asSeen}, {lock: forUpdate}} {
		tokens := tx.RefreshToken.Query().Where(refreshtoken.UserID(userID), others)
		tokens.Modify(pass.lock)
		n, err := inSteps(ctx, tokens.IDs, pass.least, func(ids []int) (int, error) {
			return s.revoke(ctx, tx, refreshtoken.IDIn(ids...))
		})
		if err != nil {
			return Ended{}, fmt.Errorf("revoke all of a user: %w", err)
		}
		ended.RefreshTokens += n
		sessions := tx.Session.Query().Where(session.UserID(userID), isTrue(session.FieldIsActive))
		sessions.Modify(pass.lock)
		find := func(ctx context.Context) ([]int, error) {
			ids, err := sessions.IDs(ctx)
			return slices.DeleteFunc(ids, func(id int) bool { return id == kept.ID }), err
		}
		n, err = inSteps(ctx, find, pass.least, func(ids []int) (int, error) {
			return deactivate(ctx, tx, session.IDIn(ids...))
		})
		if err != nil {
			return Ended{}, fmt.Errorf("revoke all of a user: %w", err)
		}
		ended.Sessions += n
	}
	return ended, nil
}

// inSteps changes the rows that find has the ids of, if they are no fewer than least, and counts them.
func inSteps(
	ctx context.Context, find func(context.Context) ([]int, error), least int, change func(ids []int) (int, error),
) (changed int, err error) {
	ids, err := find(ctx)
	if err != nil || len(ids) < least {
		return 0, err
	}
	for step := range slices.Chunk(ids, maxIDs) {
		n, err := change(step)
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// endFrom ends the token with a hash and those that descend from it, with their families.
func (s *Service) endFrom(ctx context.Context, tx *ent.Client, hash string) (ended Ended, err error) {
	err = follow(ctx, tx, hash, forUpdate, func(t *ent.RefreshToken) (done bool, err error) {
		var n Ended
		switch {
		case t.Family != nil:
			n, err = s.endFamilies(ctx, tx, *t.Family)
		case !t.IsRevoked:
			n.RefreshTokens, err = s.revoke(ctx, tx, refreshtoken.ID(t.ID))
		}
		ended = ended.plus(n)
		return n.RefreshTokens > 0, err
	})
	return ended, wrap(err, "end a family")
}

// descends reports whether the token with a hash, or one that descends from it, is live.
func (s *Service) descends(ctx context.Context, hash string) (live bool, err error) {
	err = follow(ctx, s.client, hash, asSeen, func(t *ent.RefreshToken) (bool, error) {
		live = !t.IsRevoked
		if t.Family != nil {
			live, err = s.client.RefreshToken.Query().
				Where(refreshtoken.Family(*t.Family), isFalse(refreshtoken.FieldIsRevoked)).
				Exist(ctx)
		}
		return live, err
	})
	return live, wrap(err, "look for live refresh tokens")
}

// follow calls visit with the token of a hash and with those that descend from it, until visit is done: with one for
// all of a family, and of those that have none with the last one that is seen. The others were revoked before, and stay
// so. A rotation at the same time may go on from the last one, so the walk does, too. It ends at a token that was
// visited before or is another user's: no rotation made such a link.
func follow(
	ctx context.Context, client *ent.Client, hash string, lock func(*entsql.Selector),
	visit func(*ent.RefreshToken) (done bool, err error),
) error {
	visited := map[int]bool{}
	var userID, none UserID
	for {
		t, err := findRefresh(ctx, client, lock, refreshtoken.TokenHash(hash))
		switch {
		case err != nil, t == nil, visited[t.ID], userID != none && t.UserID != userID:
			return err
		}
		visited[t.ID], userID = true, t.UserID
		if done, err := visit(t); done || err != nil {
			return err
		}
		if t.Family != nil {
			// The version before went on without the family where it rotated the last token.
			t, err = findRefresh(ctx, client, lock, refreshtoken.Family(*t.Family), isTrue(refreshtoken.FieldIsRevoked))
			if err != nil || t == nil {
				return err
			}
		}
		if t.ReplacedByTokenHash == nil {
			return nil
		}
		if hash, err = lastSeen(ctx, client, *t.ReplacedByTokenHash); err != nil {
			return err
		}
	}
}

// lastSeen is the last of up to 500 tokens of a chain that begins with a hash, or the first one that is live or has a
// family. The unique index of token_hash finds each of them. What others commit at the same time may be unseen.
func lastSeen(ctx context.Context, client *ent.Client, hash string) (string, error) {
	// Vitess reads "next" as a word of its own. It finds no columns that are named before AS, and c.depth only where
	// columns are listed.
	const query = `WITH RECURSIVE chain AS (` +
		`SELECT 1 AS depth, t.token_hash AS token_hash,` +
		` CASE WHEN t.is_revoked <> 0 AND t.family IS NULL THEN t.replaced_by_token_hash END AS successor` +
		` FROM refresh_tokens t WHERE t.token_hash = ? UNION ALL ` +
		`SELECT c.depth + 1, t.token_hash,` +
		` CASE WHEN c.depth < 499 AND t.is_revoked <> 0 AND t.family IS NULL THEN t.replaced_by_token_hash END` +
		` FROM chain c JOIN refresh_tokens t ON t.token_hash = c.successor WHERE t.token_hash <> ?)` +
		` SELECT token_hash FROM chain WHERE depth = (SELECT MAX(depth) FROM chain)`
	last := hash
	_, err := scanRow(ctx, client, query, []any{hash, hash}, &last)
	return last, err
}

// findRefresh reads what following a token needs of the newest one that matches; nil if there is none.
func findRefresh(
	ctx context.Context, client *ent.Client, lock func(*entsql.Selector), which ...predicate.RefreshToken,
) (*ent.RefreshToken, error) {
	q := client.RefreshToken.Query().Where(which...).Order(ent.Desc(refreshtoken.FieldID)).Limit(1)
	q.Modify(func(sel *entsql.Selector) {
		sel.Select(sel.Columns(refreshtoken.FieldID, refreshtoken.FieldUserID, refreshtoken.FieldFamily,
			refreshtoken.FieldTokenHash, refreshtoken.FieldReplacedByTokenHash)...)
		sel.AppendSelectExprAs(entsql.Expr(sel.C(refreshtoken.FieldIsRevoked)+" <> 0"), refreshtoken.FieldIsRevoked)
		if lock != nil {
			lock(sel)
		}
	})
	rows, err := q.All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}
