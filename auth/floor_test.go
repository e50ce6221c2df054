package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The time of a refusal must not tell which hash an account has, or that there is none. The clock stands still but for
// what the hasher and the floor wait.
func TestARefusalIsAnsweredAtAMultipleOfTheFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	known, suspended := w.email(), w.email()
	w.register(t, known)
	require.NoError(t, w.honest.Suspend(t.Context(), w.register(t, suspended), auth.Forever))
	for _, test := range []struct {
		name         string
		floor        time.Duration
		costs, takes time.Duration
	}{
		{"the default", 0, 300 * time.Millisecond, time.Second},
		{"a cost of nothing", 0, 0, time.Second},
		{"a cost above the floor", 200 * time.Millisecond, 450 * time.Millisecond, 600 * time.Millisecond},
		{"no floor", auth.NoFloor, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &slowHasher{cost: test.costs}
				c := w.config()
				c.Hasher, c.Hashing.Floor = h, test.floor
				client := w.open(t)
				s, err := auth.New(client, c)
				require.NoError(t, err)
				defer func() { assert.NoError(t, s.Close(context.Background())) }()
				for _, email := range []string{known, suspended, w.email()} {
					begun := time.Now()
					_, err := s.SignIn(t.Context(), email, newPassword, device)
					require.ErrorIs(t, err, auth.ErrCredentials)
					assert.Equal(t, test.takes, time.Since(begun), email)
				}
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), test.costs+50*time.Millisecond)
				defer cancel()
				_, err = s.SignIn(ctx, known, newPassword, device)
				require.ErrorIs(t, err, auth.ErrCredentials)
				assert.Equal(t, min(test.takes, test.costs+50*time.Millisecond), time.Since(begun),
					"nobody waits any more")
				begun = time.Now()
				_, err = s.SignIn(t.Context(), known, password, device)
				require.NoError(t, err)
				assert.Equal(t, test.costs, time.Since(begun), "what is granted does not wait")
			})
		})
	}
}

// Whoever registers an address and then signs in gets the same answers after the same time, whether it was free or has
// an account. The answers of the database are no part of that time: they show where nothing waits for the floor.
func TestRegisteringAndSigningInTellsNobodyWhetherAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	unverified := w.email()
	w.register(t, unverified)
	taken := w.email()
	require.NoError(t, signInWithProvider(taken)(t.Context(), w.honest))
	synctest.Test(t, func(t *testing.T) {
		c := w.config()
		c.Hashing.Floor, c.Account.VerifiedOnly = time.Second, true
		s, err := auth.New(w.open(t), c)
		require.NoError(t, err)
		defer func() { assert.NoError(t, s.Close(context.Background())) }()
		for _, email := range []string{w.email(), unverified, taken} {
			begun := time.Now()
			_, _, err := s.Register(t.Context(), "Eve", email, newPassword)
			if err != nil {
				require.ErrorIs(t, err, auth.ErrEmailTaken)
			}
			assert.Equal(t, time.Second, time.Since(begun), email)
			begun = time.Now()
			_, err = s.SignIn(t.Context(), email, newPassword, device)
			require.EqualError(t, err, auth.ErrCredentials.Error())
			assert.Equal(t, time.Second, time.Since(begun), email)
		}
	})
}

type slowHasher struct {
	digestHasher
	cost time.Duration
}

func (h *slowHasher) Verify(password, hash string) (ok, outdated bool, err error) {
	time.Sleep(h.cost)
	return h.digestHasher.Verify(password, hash)
}
