package auth

import (
	"context"
	"errors"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// LinkProvider links the account of a signed-in user to the identity that a provider vouches for, which signs in to it
// from then on. The token is that of the user's session, which must still be live when the link is written: what ends
// the session, such as a take-over of the account, refuses the link. The address of the identity does not matter. Call
// it only when the user has just signed in or given the password again, because the link stays after the session (OWASP
// ASVS 5.0.0, 7.5.1). Linking twice is not an error.
//
// An account has one link. The error is [ErrIdentity] if it has another one, or the identity is another account's, of
// which it tells no more. It is [ErrSession] as with [Service.CheckSession], and an [*InputError] for an identity that
// cannot be stored.
func (s *Service) LinkProvider(ctx context.Context, t Token, id Identity) error {
	if err := needs(linkFields...); err != nil {
		return err
	}
	if err := id.validate(); err != nil {
		return err
	}
	_, owner, err := s.checked(repeat(ctx, s, func(ctx context.Context) (*check, error) {
		return checkSession(ctx, s.client, t.hash())
	}))
	if err != nil {
		return err
	}
	added := false
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		u, err := s.holdUser(ctx, tx, owner.ID)
		if err == nil {
			err = s.holdSession(ctx, tx, u.ID, t)
		}
		switch added = false; {
		case errors.Is(err, ErrNotFound):
			return ErrSession
		case err != nil:
			return err
		case isLinkedTo(u, id):
			return nil
		case isLinked(u):
			return ErrIdentity
		}
		added = true
		_, err = changeOf(u.ID).to(graph.Provider, id.Provider).to(graph.ProviderID, id.Subject).send(ctx, tx)
		return wrap(s.clash(ctx, tx, err, ErrIdentity, id.owner()), "link a provider")
	})
	if err == nil && added {
		s.observe(ctx, Event{Action: ActionLink, UserID: owner.ID, Detail: string(id.Provider)})
	}
	return err
}

// UnlinkProvider removes the link of a signed-in user's account to a provider. What has been signed in to stays so:
// [Service.RevokeOtherSessions] ends it. The next sign-in with an identity of the same address, which the provider has
// verified, links the account again. An account without a link is not an error.
//
// The error is [ErrLastWayIn] if the account has no password that this service can verify, and [ErrNotFound] if there
// is no such account, or it is suspended or deleted.
func (s *Service) UnlinkProvider(ctx context.Context, userID UserID) error {
	if err := needs(linkFields...); err != nil {
		return err
	}
	var removed schematype.Provider
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		u, err := s.holdUser(ctx, tx, userID)
		switch removed = ""; {
		case err != nil:
			return err
		case !isLinked(u):
			return nil
		case u.Password == nil || s.readHash(*u.Password) == nil:
			return ErrLastWayIn
		}
		removed = u.Provider
		c := changeOf(u.ID)
		unlink(c)
		_, err = c.send(ctx, tx)
		return wrap(err, "unlink a provider")
	})
	if err == nil && removed != "" {
		s.observe(ctx, Event{Action: ActionUnlink, UserID: userID, Detail: string(removed)})
	}
	return err
}

// holdSession is [ErrNotFound] unless a token is that of a live session of a user, whose row the transaction holds.
func (s *Service) holdSession(ctx context.Context, tx *ent.Client, userID UserID, t Token) error {
	q := tx.Session.Query().Where(session.TokenHash(t.hash()), session.UserID(userID), s.live())
	q.Modify(forUpdate)
	_, err := q.OnlyID(ctx)
	if ent.IsNotFound(err) {
		return ErrNotFound
	}
	return wrap(err, "find a session")
}

// holdUser is an account that can be used, whose row the transaction then holds. It is an [ErrNotFound] if there is
// none.
func (s *Service) holdUser(ctx context.Context, tx *ent.Client, userID UserID) (*graph.Account, error) {
	return s.hold(ctx, tx, ErrNotFound, is(graph.ID, userID), s.usable())
}

// unlink removes a link to a provider.
func unlink(c *change) {
	c.to(graph.Provider, schematype.ProviderLocal).to(graph.ProviderID, nil)
}

func isLinked(u *graph.Account) bool {
	return u.Provider != schematype.ProviderLocal && u.ProviderID != nil
}

func isLinkedTo(u *graph.Account, id Identity) bool {
	return isLinked(u) && u.Provider == id.Provider && *u.ProviderID == id.Subject
}
