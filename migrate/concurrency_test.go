package migrate_test

import (
	"context"
	"database/sql"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestOneOfSeveralAppliesDoesTheWork(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 8} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				clean := mysqltest.Another(t, url)
				dirtest.Apply(t, clean, dirtest.New(t, dirtest.Three))
				dir := dirtest.New(t, dirtest.Three)
				var applied atomic.Int64
				var applies sync.WaitGroup
				for range n {
					applies.Go(func() {
						report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
						if assert.NoError(t, err) {
							applied.Add(int64(len(report.Applied)))
							assert.Equal(t, "20240103000000", report.Current)
						}
					})
				}
				applies.Wait()
				assert.Equal(t, int64(3), applied.Load())
				assert.Equal(t, mysqltest.Dump(t, clean), mysqltest.Dump(t, url))
			})
		})
	}
}

func TestOneOfSeveralProcessesDoesTheWork(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		clean, path := mysqltest.Another(t, url), dirtest.Folder(t, dirtest.Three)
		dirtest.Apply(t, clean, dirtest.Open(t, path))
		var out [2]strings.Builder
		var processes []*exec.Cmd
		for i := range out {
			process := applyInChild(t, url, path)
			process.Stdout, process.Stderr = &out[i], &out[i]
			require.NoError(t, process.Start())
			processes = append(processes, process)
		}
		statements := 0
		for i, process := range processes {
			require.NoError(t, process.Wait(), out[i].String())
			statements += strings.Count(out[i].String(), "done ")
		}
		assert.Equal(t, 5, statements)
		assert.Equal(t, mysqltest.Dump(t, clean), mysqltest.Dump(t, url))
	})
}

func TestApplyDoesNotWaitForTheLockForever(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, dirtest.New(t, dirtest.Files{"1_a.sql": ""}))
		holder, id := hold(t, url)
		var waiting int
		opts := migrate.ApplyOptions{
			Dir:         dirtest.New(t, dirtest.Files{"1_a.sql": "", "2_b.sql": "CREATE TABLE b (id int);"}),
			LockTimeout: 100 * time.Millisecond,
			Progress: func(p migrate.Progress) {
				assert.Equal(t, migrate.Progress{Waiting: true}, p)
				waiting++
			},
		}
		_, err := migrate.Apply(t.Context(), url, opts)
		var locked *migrate.LockError
		require.ErrorAs(t, err, &locked)
		want := &migrate.LockError{Timeout: time.Second, Connection: id}
		if mysqltest.IsSQLite(url) {
			want.Timeout = opts.LockTimeout
		}
		assert.Equal(t, want, locked)
		assert.ErrorContains(t, err, "try again")
		assert.Equal(t, 1, waiting)
		assert.NotContains(t, mysqltest.Tables(t, url), "b")

		require.NoError(t, holder.Close())
		dirtest.Apply(t, url, opts.Dir)
		assert.Contains(t, mysqltest.Tables(t, url), "b")
	})
}

func TestNegativeLockTimeoutIsRefused(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{LockTimeout: -time.Second})
	require.ErrorContains(t, err, "lock timeout -1s is negative")
	assert.Empty(t, mysqltest.Tables(t, url))
}

func TestApplyWithNothingToDoDoesNotWait(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		opts := migrate.ApplyOptions{
			Dir:      dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);"}),
			Progress: func(p migrate.Progress) { assert.False(t, p.Waiting) },
		}
		dirtest.Apply(t, url, opts.Dir)
		holder, _ := hold(t, url)
		defer func() { assert.NoError(t, holder.Close()) }()
		report, err := migrate.Apply(t.Context(), url, opts)
		require.NoError(t, err)
		assert.Equal(t, "1", report.Current)
	})
}

// hold takes what keeps an apply out, until the connection is closed. It returns the number by which the server knows
// the connection.
func hold(t *testing.T, url string) (*sql.Conn, int64) {
	t.Helper()
	db := mysqltest.DB(t, url)
	db.SetMaxIdleConns(0) // to close the connection is to close it
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	if mysqltest.IsSQLite(url) {
		_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		require.NoError(t, err)
		return conn, 0
	}
	var got int
	var id int64
	require.NoError(t, conn.QueryRowContext(t.Context(),
		"SELECT GET_LOCK(CONCAT('authgraph_migrate_', LEFT(SHA2(DATABASE(), 256), 32)), 60), CONNECTION_ID()",
	).Scan(&got, &id))
	require.Equal(t, 1, got)
	return conn, id
}

func TestWaitForTheLockCanBeCancelled(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, dirtest.New(t, dirtest.Files{"1_a.sql": ""}))
		holder, _ := hold(t, url)
		defer func() { assert.NoError(t, holder.Close()) }()
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		_, err := migrate.Apply(ctx, url, migrate.ApplyOptions{
			Dir:      dirtest.New(t, dirtest.Files{"1_a.sql": "", "2_b.sql": ""}),
			Progress: func(migrate.Progress) { cancel() },
		})
		require.ErrorIs(t, err, context.Canceled)
		assert.Less(t, time.Since(start), 10*time.Second)
	})
}

func TestCancelledStatementKeepsOthersOutUntilTheServerIsDoneWithIt(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n",
			"2_b.sql": "CREATE TABLE b AS SELECT id FROM a;\nUPDATE b SET id = id + 1;\n",
		})
		db := mysqltest.DB(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// The copy needs table a, which another connection keeps to itself.
		keeper, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { assert.NoError(t, keeper.Close()) }()
		release := func() {
			_, err := keeper.ExecContext(context.Background(), "UNLOCK TABLES")
			assert.NoError(t, err)
		}
		defer release()
		var wg sync.WaitGroup
		defer wg.Wait()
		_, err = migrate.Apply(ctx, url, migrate.ApplyOptions{Dir: dir, Progress: func(p migrate.Progress) {
			if strings.HasPrefix(p.Stmt, "CREATE TABLE b") && !p.Done {
				_, err := keeper.ExecContext(t.Context(), "LOCK TABLES a WRITE")
				assert.NoError(t, err)
				wg.Go(func() {
					defer cancel()
					mysqltest.Eventually(t, "the copy", func() bool { return copying(t, db) })
				})
			}
		}})
		wg.Wait()
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, copying(t, db), "the server has given up the statement")

		var waited, recovered bool
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, Progress: func(p migrate.Progress) {
			if p.Waiting {
				assert.True(t, copying(t, db))
				waited = true
				release()
			}
			recovered = recovered || p.Recovered
			assert.False(t, !p.Waiting && copying(t, db), "it began while the statement ran")
		}})
		require.NoError(t, err)
		assert.True(t, waited)
		assert.True(t, recovered)
		assert.Equal(t, "2", mysqltest.Value(t, db, "SELECT id FROM b"))
	})
}

// copying reports whether the server runs the copy of the test's database.
func copying(t *testing.T, db *sql.DB) bool {
	t.Helper()
	return mysqltest.Value(t, db, "SELECT COUNT(*) FROM information_schema.PROCESSLIST "+
		"WHERE DB = DATABASE() AND INFO LIKE 'CREATE TABLE b%'") == "1"
}

func TestCancelledRowsAreRolledBack(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);\n",
		})
		ctx, cancel := context.WithCancel(t.Context())
		_, err := migrate.Apply(ctx, url, migrate.ApplyOptions{Dir: dir, Progress: func(p migrate.Progress) {
			if p.Step == 3 && !p.Done {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled)
		dirtest.Apply(t, url, dir)
		assert.Equal(t, "2", mysqltest.Value(t, mysqltest.DB(t, url), "SELECT COUNT(*) FROM a"))
	})
}
