package history_test

import (
	"testing"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// applied is the record of the files of a directory, as after an apply.
func applied(t *testing.T, dir directory.Dir) (revs []*atlas.Revision) {
	t.Helper()
	files, err := dir.Files()
	require.NoError(t, err)
	sum, err := dir.Checksum()
	require.NoError(t, err)
	for _, f := range files {
		hash, err := sum.SumByName(f.Name())
		require.NoError(t, err)
		revs = append(revs, &atlas.Revision{
			Version: f.Version(), Description: f.Desc(), Type: atlas.RevisionTypeExecute,
			Applied: 1, Total: 1, Hash: hash,
		})
	}
	return revs
}

func TestADirectoryContinuesTheHistoryOfItsOwnFiles(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, dirtest.Three)
	revs := applied(t, dir)
	require.NoError(t, history.Verify(dir, nil))
	require.NoError(t, history.Verify(dir, revs))
	pending, err := history.Pending(dir, revs[:1])
	require.NoError(t, err)
	assert.Len(t, pending, 2)
	revs[1].Total = 2
	pending, err = history.Pending(dir, revs[:2])
	require.NoError(t, err)
	assert.Len(t, pending, 2, "the half-applied file and the next")
}

func TestADirectoryThatDoesNotContinueAHistoryIsNamed(t *testing.T) {
	t.Parallel()
	const first, second = "20240101000000_a.sql", "20240102000000_b.sql"
	revs := applied(t, dirtest.New(t, dirtest.Three))
	tests := map[history.Reason]struct {
		files dirtest.Files
		file  string
	}{
		history.Changed:    {dirtest.Three.With(dirtest.Files{second: "SELECT 1;"}), second},
		history.Missing:    {dirtest.Three.Without(first), first},
		history.Foreign:    {dirtest.Files{"2023_x.sql": "SELECT 1;"}, "20240103000000_c.sql"},
		history.OutOfOrder: {dirtest.Three.With(dirtest.Files{"20240101120000_x.sql": ""}), "20240101120000_x.sql"},
	}
	for reason, tt := range tests {
		err := history.Verify(dirtest.New(t, tt.files), revs)
		var wrong *history.Error
		require.ErrorAs(t, err, &wrong, reason)
		assert.Equal(t, reason, wrong.Reason)
		assert.Equal(t, tt.file, wrong.File, reason)
		assert.Equal(t, wrong.Found()+": "+wrong.Fix(), err.Error())
	}
}

func TestOneWriterHoldsTheLockAndTheNextWaitsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		open := func() *atlasdb.DB {
			u, err := atlasdb.Parse(url)
			require.NoError(t, err)
			db, err := atlasdb.Open(t.Context(), u)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, db.Close()) })
			return db
		}
		one, two, waited := open(), open(), 0
		_, unlock, err := history.Store{DB: one}.Lock(t.Context(), time.Second, func() { t.Error("the lock was free") })
		require.NoError(t, err)
		_, _, err = history.Store{DB: two}.Lock(t.Context(), time.Millisecond, func() { waited++ })
		var held *history.LockError
		require.ErrorAs(t, err, &held)
		assert.Equal(t, 1, waited)
		assert.Equal(t, time.Second, held.Timeout, "rounded up")
		var id int64
		require.NoError(t, one.Conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
		assert.Equal(t, id, held.Connection)
		require.NoError(t, unlock())
		_, unlock, err = history.Store{DB: two}.Lock(t.Context(), time.Second, func() { t.Error("the lock was free") })
		require.NoError(t, err)
		require.NoError(t, unlock())
	})
}
