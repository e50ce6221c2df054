package authgraph_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The relations of the seed are edges: a user has many sessions and refresh tokens, each of which has one user.
func TestEdgesLeadFromEachEntityToTheOther(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		bob := newUser(client, "bob@example.com").SaveX(ctx)
		phone := newSession(client, ada, "phone").SaveX(ctx)
		laptop := newSession(client, ada, "laptop").SetIsActive(false).SaveX(ctx)
		token := newRefreshToken(client, ada, "token").SaveX(ctx)
		newSession(client, bob, "bob").SaveX(ctx)

		assert.Equal(t, []int{phone.ID, laptop.ID}, ada.QuerySessions().Order(session.ByID()).IDsX(ctx))
		assert.Equal(t, []int{phone.ID}, ada.QuerySessions().Where(session.IsActive(true)).IDsX(ctx))
		assert.Equal(t, []int{token.ID}, ada.QueryRefreshTokens().IDsX(ctx))
		assert.Empty(t, bob.QueryRefreshTokens().IDsX(ctx))
		assert.Equal(t, ada.ID, phone.QueryUser().OnlyIDX(ctx))
		assert.Equal(t, ada.ID, token.QueryUser().OnlyIDX(ctx))
		assert.Equal(t, []int{phone.ID, laptop.ID},
			token.QueryUser().QuerySessions().Order(session.ByID()).IDsX(ctx),
			"from a token to the devices of its user")
	})
}

func TestEdgesAreLoadedEagerly(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		bob := newUser(client, "bob@example.com").SaveX(ctx)
		newSession(client, ada, "phone").SaveX(ctx)
		newSession(client, ada, "laptop").SaveX(ctx)
		newRefreshToken(client, ada, "token").SaveX(ctx)

		users, err := client.User.Query().WithSessions().WithRefreshTokens().Order(user.ByID()).All(ctx)
		require.NoError(t, err)
		require.Len(t, users, 2)
		assert.Equal(t, ada.ID, users[0].ID)
		assert.Len(t, users[0].Edges.Sessions, 2)
		assert.Len(t, users[0].Edges.RefreshTokens, 1)
		assert.Equal(t, bob.ID, users[1].ID)
		none, err := users[1].Edges.SessionsOrErr()
		require.NoError(t, err, "loaded, and there are none")
		assert.Empty(t, none)

		s := client.Session.Query().Where(session.TokenHash("phone")).WithUser().OnlyX(ctx)
		require.NotNil(t, s.Edges.User)
		assert.Equal(t, "ada@example.com", s.Edges.User.Email)

		_, err = ada.Edges.SessionsOrErr()
		var notLoaded *ent.NotLoadedError
		assert.ErrorAs(t, err, &notLoaded, "an edge that was not asked for is told from an empty one")
	})
}

func TestPredicatesReachAcrossEdges(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		bob := newUser(client, "bob@example.com").SaveX(ctx)
		eve := newUser(client, "eve@example.com").SaveX(ctx)
		newSession(client, ada, "active").SaveX(ctx)
		newSession(client, bob, "ended").SetIsActive(false).SaveX(ctx)
		newRefreshToken(client, bob, "token").SaveX(ctx)

		active := user.HasSessionsWith(session.IsActive(true))
		assert.Equal(t, []int{ada.ID}, client.User.Query().Where(active).IDsX(ctx))
		assert.Equal(t, []int{eve.ID}, client.User.Query().Where(user.Not(user.HasSessions())).IDsX(ctx))
		assert.Equal(t, []int{bob.ID}, client.User.Query().Where(user.HasRefreshTokens()).IDsX(ctx))
		assert.Equal(t, "ended", client.Session.Query().
			Where(session.HasUserWith(user.Email("bob@example.com"))).OnlyX(ctx).TokenHash)
		assert.True(t, client.RefreshToken.Query().
			Where(refreshtoken.HasUserWith(user.ID(bob.ID))).ExistX(ctx))
	})
}
