package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// Erased is what an erasure deleted, and what it left.
type Erased struct {
	// Sessions, RefreshTokens and OTPs are how many rows were deleted.
	Sessions, RefreshTokens, OTPs int
	// Kept are the refresh tokens that stay as evidence of reuse until they expire. They hold no data of the person.
	Kept int
	// Anonymised is whether the row of the account stays, because tokens or rows of other tables refer to it. It then
	// holds no data of the person, and a purge deletes it.
	Anonymised bool
}

const (
	// erasedName is the name in an anonymised row.
	erasedName = "erased"
	// erasedDomain takes no mail (RFC 2606, 2).
	erasedDomain = "@erased.invalid"
)

// Erase removes what the tables hold of a person: name, address, avatar, identity, password, sessions with their
// addresses and user agents, refresh tokens, and the codes that were mailed to the address or that the account asked
// for. The address is free afterwards. What the service has handed out or logged, and tables and columns of the
// project's own, Erase does not know.
//
// The refresh tokens of a family in which one was exchanged stay until they expire, all revoked: whoever presents one
// can be told from a stranger ([Operator.Trace]). They belong to the anonymised row of the account, whose address takes
// no mail and lets nobody in. So does what a foreign key of another table keeps. Where neither is, the row goes too. If
// the users have no columns for a deletion, no token stays.
//
// An account with many rows loses them in several transactions. From the first one on it is closed and does not come
// back. After any error the person is there as a whole, or calling Erase again does the rest. A code that somebody asks
// for at the same moment may leave a row, which the next purge but one deletes. The error is [ErrNotFound] if there is
// no such user, also if an erasure has removed the row.
func (o *Operator) Erase(ctx context.Context, userID UserID) (all Erased, err error) {
	for {
		var step Erased
		var done bool
		err := o.s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
			step, done, err = o.s.eraseStep(ctx, tx, userID)
			return err
		})
		switch {
		case errors.Is(err, ErrNotFound):
			return all, ErrNotFound
		case err != nil:
			return all, fmt.Errorf("erase an account: %w", err)
		}
		all.Sessions += step.Sessions
		all.RefreshTokens += step.RefreshTokens
		all.OTPs += step.OTPs
		all.Kept, all.Anonymised = step.Kept, step.Anonymised
		if done {
			o.s.observe(ctx, Event{Action: ActionErase, UserID: userID,
				Count: all.Sessions + all.RefreshTokens + all.OTPs})
			return all, nil
		}
	}
}

// eraseBatch is how many rows one transaction of an erasure deletes at most.
const eraseBatch = maxIDs

// eraseStep deletes a batch of what is a person's in a transaction that holds the account's row. If nothing is left it
// erases that too, and is done.
func (s *Service) eraseStep(ctx context.Context, tx *ent.Client, id UserID) (step Erased, done bool, err error) {
	u, err := s.hold(ctx, tx, ErrNotFound, is(graph.ID, id))
	if err != nil {
		return step, false, err
	}
	if !purging(u) {
		if err := s.closeForGood(ctx, tx, id); err != nil {
			return step, false, err
		}
	}
	left := eraseBatch
	for _, part := range []struct {
		count *int
		find  func(limit int) ([]int, error)
		purge func(ids []int) (int, error)
	}{
		{&step.Sessions,
			func(limit int) ([]int, error) {
				return tx.Session.Query().Where(session.UserID(id)).Limit(limit).IDs(ctx)
			},
			func(ids []int) (int, error) { return tx.Session.Delete().Where(session.IDIn(ids...)).Exec(ctx) }},
		{&step.RefreshTokens,
			func(limit int) ([]int, error) { return s.noEvidence(ctx, tx, id, limit) },
			func(ids []int) (int, error) {
				return tx.RefreshToken.Delete().Where(refreshtoken.IDIn(ids...)).Exec(ctx)
			}},
		{&step.OTPs,
			func(limit int) ([]int, error) { return codesOf(ctx, tx, u, limit) },
			func(ids []int) (int, error) { return tx.OTP.Delete().Where(otp.IDIn(ids...)).Exec(ctx) }},
	} {
		ids, err := part.find(left + 1)
		if err != nil {
			return step, false, err
		}
		more := len(ids) > left
		if ids = ids[:min(len(ids), left)]; len(ids) > 0 {
			if *part.count, err = part.purge(ids); err != nil {
				return step, false, err
			}
		}
		if left -= len(ids); more {
			return step, false, nil
		}
	}
	step.Kept, step.Anonymised, err = s.eraseAccount(ctx, tx, u)
	return step, err == nil, err
}

// closeForGood ends all that is live of an account, and keeps it from coming back.
func (s *Service) closeForGood(ctx context.Context, tx *ent.Client, id UserID) error {
	c := changeOf(id).add(graph.TrustEpoch, 1)
	if Has("is_deleted") {
		c.to(graph.IsDeleted, true).to(graph.DeletedAt, s.now()).to(graph.ReActivateAvailableAt, never)
	}
	if _, err := c.send(ctx, tx); err != nil {
		return err
	}
	_, err := s.revokeAll(ctx, tx, id)
	return err
}

// noEvidence are the ids of refresh tokens that no evidence of reuse needs: those that have expired, or of whose family
// none was exchanged. Of what other programs made without a family, it is not known what was exchanged for what.
func (s *Service) noEvidence(ctx context.Context, tx *ent.Client, id UserID, limit int) (ids []int, err error) {
	if !keepsEvidence() {
		return tx.RefreshToken.Query().Where(refreshtoken.UserID(id)).Limit(limit).IDs(ctx)
	}
	const query = `SELECT t.id FROM refresh_tokens t WHERE t.user_id = ? AND (t.expires_at <= ? OR` +
		` t.family IS NOT NULL AND NOT EXISTS (SELECT 1 FROM refresh_tokens e WHERE e.family = t.family` +
		` AND e.is_revoked = 1 AND e.replaced_by_token_hash IS NOT NULL)) LIMIT ?`
	rows, err := tx.QueryContext(ctx, query, id, s.now(), limit)
	if err != nil {
		return nil, err
	}
	err = scanAll(rows, func(scan func(...any) error) error {
		var id int
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// keepsEvidence reports whether an anonymised row can be told from an account, and purged.
func keepsEvidence() bool { return needs(deletionFields...) == nil }

// codesOf are the ids of the codes to the address of an account, and of those that it asked for. No index finds the
// latter: they are read without locks, from a table that the purge keeps short.
func codesOf(ctx context.Context, tx *ent.Client, u *graph.Account, limit int) ([]int, error) {
	var found []int
	for _, which := range codesOfUser(u) {
		ids, err := tx.OTP.Query().Where(which).Limit(limit).IDs(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, ids...)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), limit)], nil
}

// codesOfUser finds the codes of an account, as codesOf says. Some may be found twice.
func codesOfUser(u *graph.Account) []predicate.OTP {
	return []predicate.OTP{
		otp.EmailIn(u.Email, schematype.NormalizeEmail(u.Email)),
		otp.RequestedBy(u.ID),
	}
}

// eraseAccount deletes the row of an account of which all else is deleted, or anonymises it where something refers to
// it.
func (s *Service) eraseAccount(
	ctx context.Context, tx *ent.Client, u *graph.Account,
) (kept int, stays bool, err error) {
	kept, last, err := evidence(ctx, tx, u.ID)
	if err != nil {
		return 0, false, err
	}
	if kept == 0 {
		const query = "DELETE FROM `" + graph.Table + "` WHERE `" + graph.ID + "` = ?"
		_, err := execute(ctx, tx, query, u.ID)
		switch {
		case err == nil:
			return 0, false, nil
		case !sqlgraph.IsForeignKeyConstraintError(err):
			return 0, false, err
		}
	}
	c := changeOf(u.ID).
		to(graph.Name, erasedName).by(graph.Password, graph.NoPassword).
		to(graph.Provider, schematype.ProviderLocal).to(graph.ProviderID, nil).to(graph.Avatar, nil).
		to(graph.IsEmailVerified, false).to(graph.LastLoginAt, nil).to(graph.SuspendedUntil, nil).
		to(graph.ResetByMail, false).to(graph.StepFailures, 0)
	forgive(c)
	if !strings.HasSuffix(u.Email, erasedDomain) {
		random, err := s.newID()
		if err != nil {
			return 0, false, err
		}
		c.to(graph.Email, "erased."+strings.ToLower(random)+erasedDomain)
	}
	if keepsEvidence() {
		// The purge deletes it when its retention is over, and not before the evidence has ended.
		c.to(graph.DeletedAt, later(s.now(), last.Add(-s.cfg.Account.Retention)))
	}
	_, err = c.send(ctx, tx)
	return kept, true, err
}

// evidence is how many refresh tokens of an account are left, and when the last one expires.
func evidence(ctx context.Context, tx *ent.Client, id UserID) (kept int, last time.Time, err error) {
	kept, err = tx.RefreshToken.Query().Where(refreshtoken.UserID(id)).Count(ctx)
	if err != nil || kept == 0 {
		return 0, last, wrap(err, "count evidence")
	}
	rows, err := tx.RefreshToken.Query().Where(refreshtoken.UserID(id)).
		Order(ent.Desc(refreshtoken.FieldExpiresAt)).Limit(1).
		Select(refreshtoken.FieldExpiresAt).
		All(ctx)
	if err != nil {
		return 0, last, fmt.Errorf("find evidence: %w", err)
	}
	return kept, rows[0].ExpiresAt.UTC(), nil
}
