package auth_test

import (
	"cmp"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// told is a client of the world's database that counts its statements.
func (w *world) told(t *testing.T, statements *atomic.Int32) *ent.Client {
	t.Helper()
	return w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver {
		return faultyDriver{d, &saboteur{sees: func(string) { statements.Add(1) }}}
	}))
}

func (w *world) withReader(t *testing.T, client, reader *ent.Client) *auth.Service {
	t.Helper()
	config := w.config()
	config.Reader = reader
	s, err := auth.New(client, config)
	require.NoError(t, err)
	return s
}

func TestTheReaderAnswersChecksAndListsOfSessionsAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	var writer, reader atomic.Int32
	client, other := w.told(t, &writer), w.told(t, &reader)
	s := w.withReader(t, client, other)
	email := w.email()
	id := w.register(t, email)
	token := w.signIn(t, email).Token
	for name, ask := range map[string]func() error{
		"CheckSession": func() error { return checkSession(token)(t.Context(), s) },
		"Sessions": func() error {
			_, err := s.Sessions(t.Context(), id)
			return err
		},
	} {
		writer.Store(0)
		reader.Store(0)
		require.NoError(t, ask(), name)
		assert.Zero(t, writer.Load(), name)
		assert.NotZero(t, reader.Load(), name)
	}
	for _, tr := range transitions {
		config := w.config()
		config.Reader, config.Refresh.Grace = other, cmp.Or(tr.grace, auth.NoGrace)
		s, err := auth.New(client, config)
		require.NoError(t, err)
		call := tr.arrange(t, w, w.email())
		reader.Store(0)
		require.ErrorIs(t, call(t.Context(), s), tr.done, tr.name)
		assert.Zero(t, reader.Load(), tr.name)
	}
}

// A replica may not have it yet.
func TestASessionThatTheReaderDoesNotKnowIsAskedForElsewhere(t *testing.T) {
	t.Parallel()
	w, behind := newWorld(t, mysqltest.SQLite(t)), newWorld(t, mysqltest.SQLite(t))
	email := w.email()
	w.register(t, email)
	token := w.signIn(t, email).Token
	s := w.withReader(t, w.client, behind.client)
	require.NoError(t, checkSession(token)(t.Context(), s))
	require.ErrorIs(t, checkSession(auth.ParseToken("none"))(t.Context(), s), auth.ErrSession)
}

func TestAReaderThatFailsCostsNobodyAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	email := w.email()
	w.register(t, email)
	token := w.signIn(t, email).Token
	var asked atomic.Int32
	reader := w.told(t, &asked)
	s := w.withReader(t, w.client, reader)
	require.NoError(t, checkSession(token)(t.Context(), s))
	require.EqualValues(t, 1, asked.Load())
	require.NoError(t, reader.Close())
	for range 3 {
		require.NoError(t, checkSession(token)(t.Context(), s))
	}
	assert.EqualValues(t, 2, asked.Load(), "it is left alone for a while")
}

func TestAReaderThatIsSilentIsNotWaitedForAgain(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		email := w.email()
		w.register(t, email)
		token := w.signIn(t, email).Token
		var silent atomic.Bool
		var asked atomic.Int32
		proxy := mysqltest.Proxy{Hook: func(int, string) mysqltest.Action {
			if !silent.Load() {
				return mysqltest.Forward
			}
			asked.Add(1)
			return mysqltest.SilenceBefore
		}}
		reader, err := authgraph.Open(t.Context(), proxy.Start(t, w.url), authgraph.ForStaleReading())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, reader.Close()) })
		s := w.withReader(t, w.client, reader)
		require.NoError(t, checkSession(token)(t.Context(), s))
		silent.Store(true)
		for range 3 { // a call has less time than a reader may take
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			require.NoError(t, checkSession(token)(ctx, s))
			cancel()
		}
		assert.EqualValues(t, 1, asked.Load())
	})
}

func TestAServerThatCannotWaitForOthersIsNoReader(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		var wrong *authgraph.URLError
		_, err := authgraph.Open(t.Context(), url, authgraph.ForReading())
		require.ErrorAs(t, err, &wrong)
		assert.Equal(t, authgraph.PartHost, wrong.Part)
		assert.Contains(t, wrong.Fix, "ForStaleReading")
	})
}

// A service has to start while a secondary is away.
func TestAReaderNeedNotAnswerAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mysqltest.SQLite(t))
	reader, err := authgraph.Open(t.Context(), "mysql://app:secret@127.0.0.1:2,127.0.0.1:1/app",
		authgraph.ForReading())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, reader.Close()) })
	email := w.email()
	w.register(t, email)
	token := w.signIn(t, email).Token
	s := w.withReader(t, w.client, reader)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		require.NoError(t, checkSession(token)(ctx, s))
		cancel()
	}
}
