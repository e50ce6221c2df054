package peers_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// rows are those that each peer is tried on.
const rows = 6

func TestEveryPeerGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
	db := mysqltest.DB(t, url)
	size := load.Of(1000, 10)
	require.NoError(t, load.Fill(t.Context(), db, size, t.Output()))

	specs := peers.All()
	if spec, err := peers.Drizzle(t.Context(), t.Output()); err == nil {
		specs = append(specs, spec...)
	} else {
		t.Log(err)
	}
	tokens := peers.Tokens{}
	for _, spec := range specs {
		p, err := spec.Open(t.Context(), url, 3)
		require.NoError(t, err, spec.Name)
		t.Cleanup(p.Close)
		for _, op := range peers.Ops {
			if !p.Has(op) {
				continue
			}
			keys := tokens.Keys(op, size, 1, rows)
			done, _, err := p.Run(t.Context(), op, keys, 3, time.Minute)
			require.NoError(t, err, "%s: %s", spec.Name, op)
			assert.Equal(t, rows, done, "%s: %s", spec.Name, op)
			tokens.Used(op, keys)
			if op == peers.VerifyCode {
				// A used code is refused, so that it is the code that decides.
				_, _, err := p.Run(t.Context(), op, keys[:1], 1, time.Minute)
				require.Error(t, err, "%s: %s", spec.Name, op)
				require.NoError(t, load.Restore(t.Context(), db, peers.Rows(keys)))
			}
			for i := range keys {
				keys[i].Secret = "wrong"
			}
			_, _, err = p.Run(t.Context(), op, keys, 1, time.Minute)
			require.Error(t, err, "%s: %s of what does not exist", spec.Name, op)
			if op == peers.VerifyCode {
				require.NoError(t, load.Restore(t.Context(), db, peers.Rows(keys)))
			}
		}
	}
}

func TestTheSameIsReadByEveryPeer(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
	size := load.Of(100, 10)
	require.NoError(t, load.Fill(t.Context(), mysqltest.DB(t, url), size, t.Output()))
	var sessions []peers.Session
	var users, found []peers.User
	for _, spec := range peers.All() {
		p := open(t, spec, url)
		if p.Check != nil {
			s, u, err := p.Check(t.Context(), load.SessionToken(50))
			require.NoError(t, err, spec.Name)
			assert.NotZero(t, s.LastUsedAt, spec.Name)
			// Whole entities hold more than the others read.
			u.Password, u.FailedAttempts, u.Updated = "", 0, time.Time{}
			sessions, users = append(sessions, s), append(users, u)
		}
		if p.Find != nil {
			row := size.Users + 3
			u, err := p.Find(t.Context(), load.Email(row))
			require.NoError(t, err, spec.Name)
			assert.Equal(t, int64(row)+1, u.ID, spec.Name)
			assert.Equal(t, load.LockedUntil(row), u.LockUntil.UTC(), spec.Name)
			assert.NotEmpty(t, u.Password, spec.Name)
			found = append(found, u)
		}
	}
	assert.Len(t, slices.Compact(sessions), 1, "%+v", sessions)
	assert.Len(t, slices.Compact(users), 1, "%+v", users)
	assert.Len(t, slices.Compact(found), 1, "%+v", found)
}

func TestRoundTripsAreCounted(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
	size := load.Of(100, 0)
	require.NoError(t, load.Fill(t.Context(), mysqltest.DB(t, url), size, t.Output()))
	relay, err := measure.Relay(url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, relay.Close()) })
	got := map[string]float64{}
	for _, spec := range peers.All()[:4] {
		p, err := spec.Open(t.Context(), relay.URL, 1)
		require.NoError(t, err)
		keys := peers.Tokens{}.Keys(peers.CheckSession, size, 1, 20)
		_, _, err = p.Run(t.Context(), peers.CheckSession, keys[:10], 1, time.Minute)
		require.NoError(t, err)
		before := relay.Count()
		_, _, err = p.Run(t.Context(), peers.CheckSession, keys[10:], 1, time.Minute)
		require.NoError(t, err)
		got[spec.Name] = float64(relay.Count()-before) / 10
		p.Close()
	}
	assert.Equal(t, map[string]float64{
		peers.Reference: 1, peers.SameColumns: 1, "database/sql, interpolated": 1, "database/sql as it comes": 2,
	}, got)
}

func open(t *testing.T, spec peers.Spec, url string) *peers.Peer {
	t.Helper()
	r, err := spec.Open(t.Context(), url, 1)
	require.NoError(t, err, spec.Name)
	t.Cleanup(r.Close)
	return peers.PeerOf(r)
}
