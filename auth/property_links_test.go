package auth_test

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// identity is one of a few people at a provider. The provider knows any of the addresses as theirs.
func (m *model) identity(t *rapid.T) auth.Identity {
	return auth.Identity{
		Provider: schematype.ProviderGoogle,
		Subject:  "subject of " + rapid.SampledFrom(m.emails).Draw(t, "subject"), // no other model's
		Email:    m.email(t), EmailVerified: rapid.Bool().Draw(t, "verified"),
		Name: "Person",
	}
}

// linkedTo is the user with a link to a subject, or nil.
func (m *model) linkedTo(subject string) *modelUser {
	for _, u := range m.users {
		if u.linked == subject {
			return u
		}
	}
	return nil
}

func (m *model) linkProvider(t *rapid.T) {
	s, token := m.session(t)
	id := m.identity(t)
	// The last use of the session is written once the service is closed.
	svc := m.service()
	err := svc.LinkProvider(t.Context(), token, id)
	require.NoError(t, svc.Close(context.WithoutCancel(t.Context())))
	if s == nil || !m.live(s) || !m.usable(s.user) {
		require.ErrorIs(t, err, auth.ErrSession)
		return
	}
	m.used(s)
	switch holder := m.linkedTo(id.Subject); {
	case holder == s.user:
		require.NoError(t, err)
	case holder != nil || s.user.linked != "":
		require.ErrorIs(t, err, auth.ErrIdentity)
	default:
		require.NoError(t, err)
		s.user.linked = id.Subject
	}
}

func (m *model) unlinkProvider(t *rapid.T) {
	u, id := m.someone(t)
	err := m.svc.UnlinkProvider(t.Context(), id)
	switch {
	case !m.usable(u):
		require.ErrorIs(t, err, auth.ErrNotFound)
	case u.linked != "" && u.password == "":
		require.ErrorIs(t, err, auth.ErrLastWayIn)
	default:
		require.NoError(t, err)
		u.linked = ""
	}
}

func (m *model) signInWithProvider(t *rapid.T) {
	id := m.identity(t)
	u, byLink := m.linkedTo(id.Subject), true
	var want error
	if u == nil {
		u, byLink = m.users[id.Email], false
		switch {
		case !id.EmailVerified:
			want = auth.ErrProviderEmail
		case u != nil && u.verified && u.linked != "":
			want = auth.ErrIdentity
		case u != nil && (!u.isReached() || u.suspended.After(m.now())):
			want = auth.ErrCredentials
		}
	} else if !m.usable(u) {
		want = auth.ErrCredentials
	}
	g, err := m.svc.SignInWithProvider(t.Context(), id, auth.Device{})
	same(t, want, err)
	if err != nil {
		return
	}
	if u == nil {
		u = &modelUser{id: g.User.ID}
		m.users[id.Email] = u
	}
	if !byLink {
		m.takenOver(u, false)
		u.linked = id.Subject
	}
	if u.verified {
		m.forgive(u)
	} else {
		u.failures, u.locked = 0, time.Time{} // no guess of its own to take back
	}
	m.enter(u, g)
}
