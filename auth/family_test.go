package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// chain adds refresh tokens of a user as the version before did, each exchanged for the next one, and returns the
// first.
func (w *world) chain(t *testing.T, userID, length int) auth.Token {
	t.Helper()
	token := func(i int) auth.Token { return auth.ParseToken(fmt.Sprintf("%d of user %d", i, userID)) }
	hour := time.Now().Add(-time.Hour)
	var rows []*ent.RefreshTokenCreate
	for i := range length {
		row := w.client.RefreshToken.Create().SetUserID(userID).SetTokenHash(sha(token(i).Reveal())).
			SetCreatedAt(hour).SetExpiresAt(hour.Add(10 * day))
		if i < length-1 {
			row.SetIsRevoked(true).SetRevokedAt(hour).SetReplacedByTokenHash(sha(token(i + 1).Reveal()))
		}
		if rows = append(rows, row); len(rows) == 500 || i == length-1 {
			require.NoError(t, w.client.RefreshToken.CreateBulk(rows...).Exec(t.Context()))
			rows = nil
		}
	}
	return token(0)
}

func sha(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (w *world) liveTokens(t *testing.T, userID int) int {
	t.Helper()
	n, err := w.client.RefreshToken.Query().Where(refreshtoken.UserID(userID), refreshtoken.IsRevoked(false)).
		Count(t.Context())
	require.NoError(t, err)
	return n
}

// A family of the version before is found token by token, but not in a statement each.
func TestAChainWithoutAFamilyEndsInFewStatements(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var sent atomic.Int32
		s := w.service(t, w.spied(t, func(string) { sent.Add(1) }), 0)
		for length, most := range map[int]int{2: 12, 300: 16, 5000: 160} {
			for name, end := range map[string]func(auth.Token) error{
				"reuse": func(first auth.Token) error {
					_, _, err := s.Rotate(t.Context(), first)
					var reuse *auth.ReuseError
					assert.ErrorAs(t, err, &reuse)
					return nil
				},
				"revocation": func(first auth.Token) error { return only(s.RevokeRefresh(t.Context(), first)) },
			} {
				id := w.register(t, w.email())
				first := w.chain(t, id, length)
				sent.Store(0)
				require.NoError(t, end(first))
				assert.Zero(t, w.liveTokens(t, id), "%s of %d", name, length)
				assert.LessOrEqual(t, int(sent.Load()), most, "%s of %d", name, length)
			}
		}
	})
}

// A program may have written links that no rotation makes.
func TestAChainWithoutAFamilyEndsWhateverItsLinks(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for name, length := range map[string]int{"a circle": 3, "a circle longer than one look": 1200} {
			id := w.register(t, w.email())
			first := w.chain(t, id, length)
			require.NoError(t, w.client.RefreshToken.Update().
				Where(refreshtoken.UserID(id), refreshtoken.IsRevoked(false)).SetIsRevoked(true).
				SetRevokedAt(time.Now()).SetReplacedByTokenHash(sha(first.Reveal())).Exec(t.Context()), name)
			_, _, err := w.honest.Rotate(t.Context(), first)
			require.ErrorIs(t, err, auth.ErrRefresh, name)
			require.NoError(t, only(w.honest.RevokeRefresh(t.Context(), first)), name)
		}
		id := w.register(t, w.email())
		first, second := w.chain(t, id, 4), auth.ParseToken(fmt.Sprintf("1 of user %d", id))
		require.NoError(t, w.client.RefreshToken.Update().
			Where(refreshtoken.TokenHash(sha(second.Reveal()))).SetIsRevoked(false).Exec(t.Context()))
		require.NoError(t, only(w.honest.RevokeRefresh(t.Context(), first)))
		row, err := w.client.RefreshToken.Query().Where(refreshtoken.TokenHash(sha(second.Reveal()))).Only(t.Context())
		require.NoError(t, err)
		assert.True(t, row.IsRevoked, "what was exchanged and not revoked ends too")
	})
}

// On SQLite whoever writes holds the file.
func TestReplaysOfAChainWithoutAFamilyStopNoOtherWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	s := w.service(t, w.client, 0)
	const rounds = 5
	var firsts []auth.Token
	for range rounds {
		firsts = append(firsts, w.chain(t, w.register(t, w.email()), 300))
	}
	other := w.register(t, w.email())
	done := make(chan struct{})
	var replays, writers sync.WaitGroup
	var reused atomic.Int32
	for range 8 {
		replays.Go(func() {
			for _, first := range firsts {
				_, _, err := s.Rotate(t.Context(), first)
				if assert.ErrorIs(t, err, auth.ErrRefresh) && is(err, auth.ErrReuse) {
					reused.Add(1)
				}
			}
		})
	}
	writers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			// One replay may be waited for, not all of them.
			ctx, cancel := context.WithTimeout(t.Context(), 5*late)
			_, _, err := s.StartSession(ctx, other, device)
			cancel()
			if !assert.NoError(t, err) {
				return
			}
		}
	})
	replays.Wait()
	close(done)
	writers.Wait()
	assert.EqualValues(t, rounds, reused.Load(), "each family is revoked once")
}
