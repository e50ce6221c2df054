package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// takenBack is a directory whose ways back hold every kind of statement.
var takenBack = dirtest.Files{
	"1_a.sql": "CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL);\nINSERT INTO a VALUES (1, 1), (2, 2);",
	"2_b.sql": "ALTER TABLE a ADD COLUMN m int NOT NULL DEFAULT 7;\nCREATE TABLE b (id int PRIMARY KEY);\n" +
		"UPDATE a SET n = n * 10;",
}

var steps = []migrate.DownStep{
	{Version: "2", Statements: []string{
		"SET @tenth = 10", "DROP TABLE b", "UPDATE a SET n = n / @tenth", "UPDATE a SET n = n + 1",
		"ALTER TABLE a DROP COLUMN m", "CREATE INDEX by_n ON a (n)", "DROP INDEX by_n ON a",
	}},
	{Version: "1", Statements: []string{"DELETE FROM a WHERE id = 1", "UPDATE a SET n = n + 1"}},
}

func TestDownGoesOnExactlyWhereItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, takenBack)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, dir)
		counter := newCutter(-1, false)
		report, err := migrate.Down(t.Context(), counter.Start(t, url), migrate.DownOptions{Dir: dir, Steps: steps})
		require.NoError(t, err)
		require.Len(t, report.Undone, 2)
		assert.Empty(t, report.Current)
		want := mysqltest.Dump(t, url)
		require.Contains(t, want, `id="2":true n="4":true`, "every statement ran once")
		for k := range len(counter.commands()) {
			t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
				t.Parallel()
				url := mysqltest.Another(t, url)
				dirtest.Apply(t, url, dir)
				proxy := newCutter(k, false)
				// Not an error each time: a cut releases the lock, too.
				_, _ = migrate.Down(t.Context(), proxy.Start(t, url), migrate.DownOptions{Dir: dir, Steps: steps})
				require.True(t, proxy.cut.Load())
				goOnDown(t, url, dir)
				require.Equal(t, want, mysqltest.Dump(t, url), "cut after %q", proxy.commands())
			})
		}
	})
}

// goOnDown takes back what is still to be taken back. A file that is on its way back cannot be applied.
func goOnDown(t *testing.T, url string, dir directory.Dir) {
	t.Helper()
	status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
	require.NoError(t, err)
	var left []migrate.DownStep
	for _, s := range steps {
		half := status.Partial != nil && strings.HasPrefix(status.Partial.File, s.Version)
		if half {
			require.True(t, status.Partial.Undoing)
			_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
			var refused *migrate.HistoryError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, history.HalfUndone, refused.Reason)
			require.Equal(t, len(s.Statements), refused.Total)
			s.Statements = []string{"DROP TABLE a"} // those that it was begun with go on
		}
		is := func(r migrate.Revision) bool { return r.Version == s.Version }
		if half || slices.ContainsFunc(status.Applied, is) {
			left = append(left, s)
		}
	}
	_, err = migrate.Down(t.Context(), url, migrate.DownOptions{Dir: dir, Steps: left})
	require.NoError(t, err)
}

func TestDownGoesOnExactlyWhereItsProcessWasKilled(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, takenBack)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.Open(t, path)
		dirtest.Apply(t, url, dir)
		counter := newCutter(-1, false)
		_, err := migrate.Down(t.Context(), counter.Start(t, url), migrate.DownOptions{Dir: dir, Steps: steps})
		require.NoError(t, err)
		want := mysqltest.Dump(t, url)
		for k := range len(counter.commands()) {
			t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
				t.Parallel()
				url := mysqltest.Another(t, url)
				dirtest.Apply(t, url, dir)
				var process *exec.Cmd
				started := make(chan struct{})
				proxy := newCutter(k, false)
				proxy.OnCut = func() {
					<-started
					assert.NoError(t, process.Process.Kill())
				}
				process = applyInChild(t, proxy.Start(t, url), path, childDown+"=1")
				require.NoError(t, process.Start())
				close(started)
				require.ErrorContains(t, process.Wait(), "killed")
				goOnDown(t, url, dir)
				require.Equal(t, want, mysqltest.Dump(t, url), "killed after %q", proxy.commands())
			})
		}
	})
}

func TestDownOnSQLiteTakesAFileBackWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, takenBack)
	url := mysqltest.SQLite(t)
	dirtest.Apply(t, url, dir)
	before := mysqltest.Dump(t, url)
	back := migrate.DownStep{Version: "2", Statements: []string{
		"DROP TABLE b", "ALTER TABLE a DROP COLUMN m", "UPDATE a SET n = n / 10",
	}}
	for n := range back.Statements {
		broken := back
		broken.Statements = slices.Insert(slices.Clone(back.Statements), n, "DROP TABLE missing")
		_, err := migrate.Down(t.Context(), url, migrate.DownOptions{Dir: dir, Steps: []migrate.DownStep{broken}})
		var refused *migrate.StmtError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, [3]int{n + 1, 4, 0}, [3]int{refused.Index, refused.Total, refused.Kept})
		require.Equal(t, before, mysqltest.Dump(t, url))
	}
	_, err := migrate.Down(t.Context(), url, migrate.DownOptions{Dir: dir, Steps: []migrate.DownStep{back}})
	require.NoError(t, err)
	first := dirtest.New(t, takenBack.Without("2_b.sql"))
	fresh := mysqltest.SQLite(t)
	dirtest.Apply(t, fresh, first)
	assert.Equal(t, mysqltest.Column(t, mysqltest.DB(t, fresh), "SELECT id || ' ' || n FROM a"),
		mysqltest.Column(t, mysqltest.DB(t, url), "SELECT id || ' ' || n FROM a"))
	dirtest.Apply(t, url, dir)
}

func TestAFileStaysAppliedWhoseWayBackTheServerRefusesAtOnce(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, takenBack)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, dir)
		before := mysqltest.Dump(t, url)
		down := func(statements ...string) error {
			_, err := migrate.Down(t.Context(), url, migrate.DownOptions{
				Dir: dir, Steps: []migrate.DownStep{{Version: "2", Statements: statements}},
			})
			return err
		}
		var refused *migrate.StmtError
		require.ErrorAs(t, down("SET @a = 1", "DROP TABLE missing", "DROP TABLE b"), &refused)
		assert.Equal(t, [3]int{2, 3, 1}, [3]int{refused.Index, refused.Total, refused.Kept})
		require.Equal(t, before, mysqltest.Dump(t, url))

		require.ErrorAs(t, down("ALTER TABLE a DROP COLUMN m", "DROP TABLE missing", "DROP TABLE b"), &refused)
		assert.Equal(t, "2_b.sql (way back)", refused.File)
		assert.Equal(t, 2, refused.Line)
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
		require.NoError(t, err)
		require.NotNil(t, status.Partial)
		assert.True(t, status.Partial.Undoing)
		assert.Equal(t, "2_b.sql 1/3 DROP TABLE missing", fmt.Sprintf("%s %d/%d %s", status.Partial.File,
			status.Partial.Applied, status.Partial.Total, status.Partial.Stmt))
		assert.Contains(t, status.Partial.Error, "missing")

		db := mysqltest.DB(t, url)
		assertAtlasRefuses(t, url, dir)
		mysqltest.Exec(t, db, "CREATE TABLE missing (n int)")
		require.NoError(t, down())
		assert.Equal(t, "1", mysqltest.Value(t, db, "SELECT GROUP_CONCAT(version) FROM atlas_schema_revisions"))
	})
}

// assertAtlasRefuses has Atlas's own executor apply the directory.
func assertAtlasRefuses(t *testing.T, url string, dir directory.Dir) {
	t.Helper()
	u, err := atlasdb.Parse(url)
	require.NoError(t, err)
	db, err := atlasdb.Open(t.Context(), u)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	executor, err := atlas.NewExecutor(db.Driver, dir, revisions{Store: history.Store{DB: db}})
	require.NoError(t, err)
	var changed atlas.HistoryChangedError
	require.ErrorAs(t, executor.ExecuteN(t.Context(), 0), &changed)
	assert.Equal(t, "2_b.sql", changed.File)
}

// revisions shows Atlas's executor the history, and keeps nothing that it writes.
type revisions struct {
	atlas.NopRevisionReadWriter
	history.Store
}

func (r revisions) ReadRevisions(ctx context.Context) ([]*atlas.Revision, error) { return r.Read(ctx) }

func (r revisions) ReadRevision(ctx context.Context, version string) (*atlas.Revision, error) {
	all, err := r.Read(ctx)
	for _, rev := range all {
		if rev.Version == version {
			return rev, err
		}
	}
	return nil, errors.Join(err, atlas.ErrRevisionNotExist)
}

func TestDownTakesBackOnlyTheNewestFile(t *testing.T) {
	t.Parallel()
	dir := dirtest.New(t, takenBack)
	mysqltest.Each(t, func(t *testing.T, url string) {
		dirtest.Apply(t, url, dir)
		before := mysqltest.Dump(t, url)
		stop := errors.New("stop")
		for want, opts := range map[string]migrate.DownOptions{
			"version 1 is not the newest": {
				Steps: []migrate.DownStep{{Version: "1", Statements: []string{"DROP TABLE a"}}},
			},
			"stop": {
				Steps:  []migrate.DownStep{{Version: "2", Statements: []string{"DROP TABLE a"}}},
				Before: func(context.Context, migrate.DownStep) error { return stop },
			},
		} {
			opts.Dir = dir
			_, err := migrate.Down(t.Context(), url, opts)
			require.ErrorContains(t, err, want)
			require.Equal(t, before, mysqltest.Dump(t, url))
		}
	})
}
