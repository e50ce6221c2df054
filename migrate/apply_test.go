package migrate_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestApplyMakesTheSameTablesWhereTheDatabaseIsLatin1(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		mysqltest.Exec(t, mysqltest.DB(t, url), "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci")
		dirtest.Apply(t, url, nil)
		assert.Equal(t, dirtest.Definitions(t, url), mysqltest.Definitions(t, url))
	})
}

func TestApplyMakesTheTablesThatTheDirectoryDescribes(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		report := dirtest.Apply(t, url, nil)
		require.Len(t, report.Applied, len(dirtest.Embedded(t, mysqltest.Dialect(url))))
		assert.Equal(t, report.Applied[len(report.Applied)-1].Version, report.Current)
		for _, f := range report.Applied {
			assert.Zero(t, f.Resumed)
		}

		// Run by a plain client, the file gives the same definitions.
		plain := mysqltest.Another(t, url)
		db := mysqltest.DB(t, plain)
		if !mysqltest.IsSQLite(url) {
			db.SetMaxOpenConns(1) // whose session has today's default, whatever the server's is
			mysqltest.Exec(t, db, "SET explicit_defaults_for_timestamp = 1")
		}
		mysqltest.Exec(t, db, embeddedStatements(t, url)...)
		mysqltest.Exec(t, mysqltest.DB(t, url), "DROP TABLE "+atlasdb.RevisionsTable)
		assert.Equal(t, mysqltest.Dump(t, plain), mysqltest.Dump(t, url))
		var want []string
		for _, table := range entmigrate.Tables {
			want = append(want, table.Name)
		}
		assert.ElementsMatch(t, want, mysqltest.Tables(t, url))
	})
}

// embeddedStatements are the statements of the files in this folder, split by what ends a line in them.
func embeddedStatements(t *testing.T, url string) []string {
	t.Helper()
	pattern := "*.sql"
	if mysqltest.IsSQLite(url) {
		pattern = "sqlite/*.sql"
	}
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	var all []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		for s := range strings.SplitSeq(string(b), ";\n") {
			if strings.TrimSpace(s) != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

func TestApplyDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		first := dirtest.Apply(t, url, nil)
		before := mysqltest.Dump(t, url)
		second := dirtest.Apply(t, url, nil)
		assert.Empty(t, second.Applied)
		assert.Equal(t, first.Current, second.Current)
		assert.Equal(t, before, mysqltest.Dump(t, url))
	})
}

func TestApplyReportsEachStatementOnce(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		var calls []migrate.Progress
		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{
			Dir: dirtest.New(t, dirtest.Three),
			Progress: func(p migrate.Progress) {
				if p.Waiting {
					return
				}
				if p.Done {
					assert.Positive(t, p.Duration)
				}
				p.Duration = 0
				calls = append(calls, p)
			},
		})
		require.NoError(t, err)
		a, b, c := "20240101000000_a.sql", "20240102000000_b.sql", "20240103000000_c.sql"
		want := []migrate.Progress{
			{File: a, Index: 1, Total: 2, Step: 1, Steps: 5, Stmt: "CREATE TABLE a (id int PRIMARY KEY);"},
			{File: a, Index: 2, Total: 2, Step: 2, Steps: 5, Stmt: "INSERT INTO a VALUES (1), (2);"},
			{File: b, Index: 1, Total: 2, Step: 3, Steps: 5, Stmt: "CREATE TABLE b (id int PRIMARY KEY, n int);"},
			{File: b, Index: 2, Total: 2, Step: 4, Steps: 5, Stmt: "INSERT INTO b SELECT id, id * 10 FROM a;"},
			{File: c, Index: 1, Total: 1, Step: 5, Steps: 5, Stmt: "CREATE TABLE c (id int PRIMARY KEY);"},
		}
		var pairs []migrate.Progress
		for _, p := range want {
			done := p
			done.Done = true
			pairs = append(pairs, p, done)
		}
		assert.Equal(t, pairs, calls)

		require.Len(t, report.Applied, 3)
		assert.Equal(t, "20240103000000", report.Current)
		assert.Equal(t, b, report.Applied[1].Name)
		assert.Equal(t, "20240102000000", report.Applied[1].Version)
		assert.Equal(t, []string{want[2].Stmt, want[3].Stmt}, report.Applied[1].Statements)
		assert.Positive(t, report.Applied[1].Duration)
		assert.False(t, report.DryRun)
	})
}

func TestApplyStopsAtTheVersionAskedFor(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Three)
		to := func(version string) (*migrate.Report, error) {
			return migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, To: version})
		}
		report, err := to("20240102000000")
		require.NoError(t, err)
		assert.Len(t, report.Applied, 2)
		assert.Equal(t, "20240102000000", report.Current)
		assert.Equal(t, []string{"a", atlasdb.RevisionsTable, "b"}, mysqltest.Tables(t, url))

		report, err = to("20240101000000")
		require.NoError(t, err)
		assert.Empty(t, report.Applied)
		assert.Equal(t, "20240102000000", report.Current)

		var unknown *history.VersionError
		_, err = to("20240109000000")
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, "20240109000000", unknown.Version)

		report, err = to("")
		require.NoError(t, err)
		assert.Len(t, report.Applied, 1)
	})
}

func TestDryRunReportsWhatApplyWouldDoAndChangesNothing(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Three)
		var steps int
		dry := migrate.ApplyOptions{Dir: dir, DryRun: true, Progress: func(migrate.Progress) { steps++ }}
		report, err := migrate.Apply(t.Context(), url, dry)
		require.NoError(t, err)
		assert.True(t, report.DryRun)
		assert.Len(t, report.Applied, 3)
		assert.Equal(t, 5, steps)
		assert.Empty(t, report.Current)
		assert.Empty(t, mysqltest.Tables(t, url))

		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, To: "20240101000000"})
		require.NoError(t, err)
		before := mysqltest.Dump(t, url)
		report, err = migrate.Apply(t.Context(), url, dry)
		require.NoError(t, err)
		assert.Len(t, report.Applied, 2)
		assert.Equal(t, "20240101000000", report.Current)
		assert.Equal(t, before, mysqltest.Dump(t, url))
	})
}

func TestApplyLeavesADatabaseWithOtherTablesAlone(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE theirs (id int)")
		dir := dirtest.New(t, dirtest.Three)
		before := mysqltest.Dump(t, url)
		for _, opts := range []migrate.ApplyOptions{{Dir: dir}, {Dir: dir, DryRun: true}} {
			_, err := migrate.Apply(t.Context(), url, opts)
			var dirty *migrate.DirtyError
			require.ErrorAs(t, err, &dirty)
			assert.Equal(t, "theirs", dirty.Table)
			assert.ErrorContains(t, err, "AllowDirty")
			assert.ErrorContains(t, err, "Baseline")
			assert.Equal(t, before, mysqltest.Dump(t, url))
		}

		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, AllowDirty: true})
		require.NoError(t, err)
		assert.Len(t, report.Applied, 3)
		assert.Contains(t, mysqltest.Tables(t, url), "theirs")
		assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
	})
}

func TestBaselineTakesEarlierFilesAsApplied(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
		dir := dirtest.New(t, dirtest.Three)
		baseline := func(version string) (*migrate.Report, error) {
			return migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, Baseline: version})
		}
		before := mysqltest.Dump(t, url)
		var unknown *history.VersionError
		_, err := baseline("2")
		require.ErrorAs(t, err, &unknown)
		_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{
			Dir: dir, Baseline: "20240102000000", AllowDirty: true,
		})
		require.ErrorContains(t, err, "exclude each other")
		assert.Equal(t, before, mysqltest.Dump(t, url))

		report, err := baseline("20240102000000")
		require.NoError(t, err)
		require.Len(t, report.Applied, 1)
		assert.Equal(t, "20240103000000_c.sql", report.Applied[0].Name)

		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
		require.NoError(t, err)
		require.Len(t, status.Applied, 2)
		assert.Equal(t, "baseline", status.Applied[0].Type)
		assert.Equal(t, "20240103000000", status.Current)
		assert.Empty(t, status.Pending)
		assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
	})
}

func TestBaselineAtTheNewestVersionLeavesNothingToDo(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{
			Dir: dirtest.New(t, dirtest.Three), Baseline: "20240103000000",
		})
		require.NoError(t, err)
		assert.Empty(t, report.Applied)
		assert.Equal(t, "20240103000000", report.Current)
	})
}

func TestSQLiteMigrationThatBreaksAForeignKeyIsNotApplied(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dir := dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE p (id integer PRIMARY KEY);\n" +
		"CREATE TABLE c (p integer REFERENCES p (id));\nINSERT INTO c VALUES (7);"})
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	require.EqualError(t, err, `1_a.sql: row 1 of table "c" refers to a row missing from "p"; nothing was applied: `+
		"insert the missing row or delete this one, then apply again")
	assert.Empty(t, mysqltest.Tables(t, url))
}

func TestSQLiteApplyThatIsCancelledBlamesNoForeignKey(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := migrate.Apply(ctx, mysqltest.SQLite(t), migrate.ApplyOptions{
		Dir: dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);"}),
		Progress: func(p migrate.Progress) {
			if p.Done {
				cancel()
			}
		},
	})
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "context canceled")
}

func TestStatementsAreReadTheWayTheyAreWritten(t *testing.T) {
	t.Parallel()
	const bom = "\ufeff"
	tests := []struct {
		name, text string
		line       int // of the statement that fails
	}{
		{"line feeds", "CREATE TABLE a (id int);\n\n-- why\nINSERT INTO nowhere VALUES (1);\n", 4},
		{"carriage returns", "CREATE TABLE a (id int);\r\n\r\n-- why\r\nINSERT INTO nowhere\r\nVALUES (1);\r\n", 4},
		{"byte order mark", bom + "CREATE TABLE a (\n  id int\n);\nINSERT INTO nowhere VALUES (1);", 4},
		{"byte order mark and a short line",
			bom + "\n-- x\nCREATE TABLE a (id int);\n\nINSERT INTO nowhere VALUES (1);", 5},
		{"comments",
			"/* one\ntwo */\nCREATE TABLE a (id int); -- ; no end\n/* ; */\nINSERT INTO nowhere -- ;\nVALUES (1);", 5},
		{"quotes",
			"CREATE TABLE a (id int);\nINSERT INTO a SELECT 1 WHERE ';' = '\n;';\nINSERT INTO nowhere VALUES (';');",
			4},
		{"delimiter", "DELIMITER //\nCREATE TABLE a (id int)//\nINSERT INTO nowhere\nVALUES (';')//\nDELIMITER ;\n", 3},
		{"delimiter and carriage returns",
			"DELIMITER //\r\nCREATE TABLE a (id int)//\r\nINSERT INTO nowhere VALUES (1)//\r\nDELIMITER ;\r\n", 3},
		{"directive", "-- atlas:delimiter \\n\\n\nCREATE TABLE a (\n  id int);\n\nINSERT INTO nowhere VALUES (1);\n\n",
			5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				dir := dirtest.New(t, dirtest.Files{"1_a.sql": test.text})
				_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
				var failed *migrate.StmtError
				require.ErrorAs(t, err, &failed)
				assert.ErrorContains(t, err, "nowhere")
				assert.Equal(t, test.line, failed.Line)
				assert.Equal(t, failed.Total, failed.Index)

				mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE nowhere (id varchar(9))")
				if mysqltest.IsSQLite(url) { // of which nothing stayed applied
					_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, AllowDirty: true})
					require.NoError(t, err)
				} else {
					dirtest.Apply(t, url, dir)
				}
				assert.Equal(t, "1", mysqltest.Value(t, mysqltest.DB(t, url), "SELECT COUNT(*) FROM nowhere"))
			})
		})
	}
}

func TestApplyHasTheRowsChecked(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		for _, stmt := range []string{
			"ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id);", "ALTER TABLE c ADD CONSTRAINT few CHECK (p < 7);",
		} {
			dir := dirtest.New(t, dirtest.Files{
				"1_a.sql": "CREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (p int);\n" +
					"INSERT INTO c VALUES (7);\n" + stmt,
			})
			_, err := migrate.Apply(t.Context(), mysqltest.Another(t, url), migrate.ApplyOptions{Dir: dir})
			var failed *migrate.StmtError
			require.ErrorAs(t, err, &failed, stmt)
			assert.Equal(t, stmt, failed.Stmt)
		}
		// A file may decide otherwise.
		dirtest.Apply(t, url, dirtest.New(t, dirtest.Files{
			"1_a.sql": "SET foreign_key_checks = 0;\nCREATE TABLE c (p int, FOREIGN KEY (p) REFERENCES p (id));\n" +
				"CREATE TABLE p (id int PRIMARY KEY);",
		}))
	})
}

func TestFilesWithoutStatementsCountAsApplied(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_empty.sql": "", "2_comment.sql": "-- nothing\n/* yet */\n", "3_mark.sql": "\ufeff",
			"4_space.sql": " \r\n\t",
		})
		report := dirtest.Apply(t, url, dir)
		assert.Len(t, report.Applied, 4)
		assert.Equal(t, "4", report.Current)
		assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
	})
}

func TestTriggersMayHoldSeveralStatements(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"delimiter": "DELIMITER $$\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n" +
			" SET NEW.n = 1; SET NEW.m = 2;\nEND$$\nDELIMITER ;\n",
		"plain": "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n SET NEW.n = 1; SET NEW.m = 2;\nEND;\n",
	}
	for name, trigger := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				dirtest.Apply(t, url, dirtest.New(t, dirtest.Files{
					"1_a.sql": "CREATE TABLE a (id int, n int, m int);\n" + trigger +
						"INSERT INTO a (id) VALUES (5);\n",
				}))
				assert.Equal(t, "512", mysqltest.Value(t, mysqltest.DB(t, url), "SELECT CONCAT(id, n, m) FROM a"))
			})
		})
	}
}

// What a file sets for its connection must not reach what Apply itself reads and writes.
func TestSessionVariablesOfAFileDoNotConfuseApply(t *testing.T) {
	t.Parallel()
	for _, set := range []string{
		"SET autocommit = 0", "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "SET NAMES latin1",
		"SET time_zone = '-07:00'", "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
		"START TRANSACTION",
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				dir := dirtest.New(t, dirtest.Files{
					"1_a.sql": set + ";\nCREATE TABLE a (n int, at timestamp NOT NULL DEFAULT '2001-02-03 04:05:06') " +
						"COMMENT 'größer';\nINSERT INTO a (n) VALUES (1);\nUPDATE a SET n = n + 1 WHERE n = 1;\n",
					"2_b.sql": "CREATE TABLE b (id int);",
				})
				assert.Len(t, dirtest.Apply(t, url, dir).Applied, 2)
				assert.Equal(t, "2", mysqltest.Value(t, mysqltest.DB(t, url), "SELECT n FROM a"))
				status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
				require.NoError(t, err)
				assert.Len(t, status.Applied, 2)
				assert.Nil(t, status.Partial)
				assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
			})
		})
	}
}
