package migrate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestHistoryThatTheDirectoryDoesNotContinueIsRefused(t *testing.T) {
	t.Parallel()
	b, c := "20240102000000_b.sql", "20240103000000_c.sql"
	tests := []struct {
		name  string
		files dirtest.Files
		want  migrate.HistoryError
		hint  string
	}{
		{"an applied file was edited", dirtest.Three.With(dirtest.Files{b: dirtest.Three[b] + "-- more\n"}),
			migrate.HistoryError{Reason: history.Changed, File: b}, "restore it"},
		{"an applied file was removed", dirtest.Three.Without(b),
			migrate.HistoryError{Reason: history.Missing, File: b}, "restore it"},
		{"the newest file was removed", dirtest.Three.Without(c),
			migrate.HistoryError{Reason: history.Missing, File: c}, "restore it"},
		{"a file was added between",
			dirtest.Three.With(dirtest.Files{"20240102100000_x.sql": "CREATE TABLE x (id int);"}),
			migrate.HistoryError{Reason: history.OutOfOrder, File: "20240102100000_x.sql"}, "write the checksums anew"},
		{"a file was added before the first",
			dirtest.Three.With(dirtest.Files{"20230102100000_x.sql": "CREATE TABLE x (id int);"}),
			migrate.HistoryError{Reason: history.OutOfOrder, File: "20230102100000_x.sql"}, "write the checksums anew"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				dirtest.Apply(t, url, dirtest.New(t, dirtest.Three))
				before := mysqltest.Dump(t, url)
				more := dirtest.Files{"20250101000000_new.sql": "CREATE TABLE fresh (id int);"}
				dir := dirtest.New(t, test.files.With(more))

				_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, AcceptEdit: true})
				var got *migrate.HistoryError
				require.ErrorAs(t, err, &got)
				assert.Equal(t, test.want, *got)
				assert.ErrorContains(t, err, test.hint)
				_, err = migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, DryRun: true})
				require.ErrorAs(t, err, &got)
				status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
				require.ErrorAs(t, err, &got)
				assert.Equal(t, test.want, *got)
				assert.Len(t, status.Applied, 3)
				assert.Equal(t, before, mysqltest.Dump(t, url))
			})
		})
	}
}

func TestFilesBeforeABaselineAreNotMissed(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Three)
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir, Baseline: "20240103000000"})
		require.NoError(t, err)
		assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
	})
}

func TestDirectoryThatItsChecksumsDoNotMatchIsRefused(t *testing.T) {
	t.Parallel()
	a, b := "20240101000000_a.sql", "20240102000000_b.sql"
	tests := []struct {
		name string
		edit func(t *testing.T, path string)
		want migrate.ChecksumError
	}{
		{"edited", func(t *testing.T, path string) { dirtest.Put(t, path, b, "CREATE TABLE other (id int);") },
			migrate.ChecksumError{File: b, Reason: "edited"}},
		{"added", func(t *testing.T, path string) {
			dirtest.Put(t, path, "20250101000000_new.sql", "CREATE TABLE other (id int);")
		},
			migrate.ChecksumError{File: "20250101000000_new.sql", Reason: "added"}},
		{"added between", func(t *testing.T, path string) {
			dirtest.Put(t, path, "20240101100000_new.sql", "CREATE TABLE other (id int);")
		},
			migrate.ChecksumError{File: "20240101100000_new.sql", Reason: "added"}},
		{"removed", func(t *testing.T, path string) { require.NoError(t, os.Remove(filepath.Join(path, a))) },
			migrate.ChecksumError{File: a, Reason: "removed"}},
		{"without checksums", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(filepath.Join(path, "atlas.sum")))
		},
			migrate.ChecksumError{Reason: "is missing"}},
		{"with empty checksums", func(t *testing.T, path string) { dirtest.Put(t, path, "atlas.sum", "") },
			migrate.ChecksumError{Reason: "is empty"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				path := dirtest.Folder(t, dirtest.Three)
				test.edit(t, path)
				dir := dirtest.Open(t, path)
				_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
				var got *migrate.ChecksumError
				require.ErrorAs(t, err, &got)
				want := test.want
				want.Path = path
				assert.Equal(t, want, *got)
				assert.ErrorContains(t, err, "write the checksums anew")
				_, err = migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
				require.ErrorAs(t, err, &got)
				assert.Empty(t, mysqltest.Tables(t, url))

				require.NoError(t, directory.Hash(dir))
				require.NoError(t, directory.Validate(dir))
			})
		})
	}
}

// halfApplied is a directory of which the third of five statements fails.
var halfApplied = dirtest.Files{"1_a.sql": `CREATE TABLE a (id int, n int);
INSERT INTO a VALUES (1, 1), (1, 2);

ALTER TABLE a ADD UNIQUE (id);
UPDATE a SET n = n + 1;
CREATE TABLE b (id int);
`}

// applyHalf applies halfApplied, of which two statements stay.
func applyHalf(t *testing.T, url, path string) {
	t.Helper()
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
	var failed *migrate.StmtError
	require.ErrorAs(t, err, &failed)
	var duplicate *mysql.MySQLError
	require.ErrorAs(t, err, &duplicate)
	failed.Err = nil
	assert.Equal(t, &migrate.StmtError{
		File: "1_a.sql", Line: 4, Index: 3, Total: 5, Stmt: "ALTER TABLE a ADD UNIQUE (id);", Kept: 2,
	}, failed)
	assert.Equal(t, uint16(1062), duplicate.Number)
}

func TestApplyGoesOnOnceTheDataIsRepaired(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		path := dirtest.Folder(t, halfApplied)
		applyHalf(t, url, path)
		applyHalf(t, url, path)

		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dirtest.Open(t, path)})
		require.NoError(t, err)
		assert.Empty(t, status.Current)
		assert.Empty(t, status.Applied)
		assert.Equal(t, []string{"1_a.sql"}, status.Pending)
		require.NotNil(t, status.Partial)
		assert.Contains(t, status.Partial.Error, "Error 1062 (23000): rows are equal in a unique index (key '")
		status.Partial.Error = ""
		assert.Equal(t, &migrate.Partial{
			File: "1_a.sql", Applied: 2, Total: 5, Stmt: "ALTER TABLE a ADD UNIQUE (id);", Line: 4,
		}, status.Partial)

		db := mysqltest.DB(t, url)
		mysqltest.Exec(t, db, "UPDATE a SET id = n")
		report := dirtest.Apply(t, url, dirtest.Open(t, path))
		require.Len(t, report.Applied, 1)
		assert.Equal(t, 2, report.Applied[0].Resumed)
		assert.Len(t, report.Applied[0].Statements, 3)
		assert.Equal(t, "1", report.Current)
		assert.Equal(t, "5", mysqltest.Value(t, db, "SELECT SUM(n) FROM a"))
		status, err = migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dirtest.Open(t, path)})
		require.NoError(t, err)
		assert.Nil(t, status.Partial)
		assert.Equal(t, "", mysqltest.Value(t, db, "SELECT CONCAT(error, error_stmt) FROM atlas_schema_revisions"))
	})
}

func TestFailingRowsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1), (2), (1);",
		})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		var failed *migrate.StmtError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 2, failed.Index)
		assert.NotContains(t, err.Error(), "rolled back")
		assert.Equal(t, "0", mysqltest.Value(t, mysqltest.DB(t, url), "SELECT COUNT(*) FROM a"))
		status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
		require.NoError(t, err)
		assert.Contains(t, status.Partial.Error, "Error 1062")
	})
}

// What a row holds may be an address or a hash, and errors go to logs.
func TestNothingThatApplySaysHoldsAValueOfARow(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, stmt, says string }{
		{"rows that are equal", "CREATE UNIQUE INDEX one ON a (secret);", ""},
		{"no number", "INSERT INTO b (n) SELECT secret FROM a;", "at row 1"},
		{"no time", "INSERT INTO b (at) SELECT secret FROM a;", "at row 1"},
		{"no number to compare with", "UPDATE a SET secret = 'x' WHERE secret = 7;", "another type"},
		{"no ASCII", "ALTER TABLE a MODIFY secret varchar(20) CHARACTER SET ascii;", "character"},
		{"no time for a function", "UPDATE a SET secret = STR_TO_DATE(secret, '%Y-%m-%d');", ""},
		{"no partition", "INSERT INTO c SELECT LENGTH(secret) FROM a;", "a value has no partition"},
	}
	mysqltest.Each(t, func(t *testing.T, url string) {
		first := "CREATE TABLE a (secret varchar(20));\nINSERT INTO a VALUES ('geheim☃'), ('geheim☃');\n"
		cases := tests
		if mysqltest.IsSQLite(url) {
			cases = tests[:1] // it takes every value in every column
		} else {
			first += "CREATE TABLE b (n int, at datetime);\n" +
				"CREATE TABLE c (n int) PARTITION BY LIST (n) (PARTITION p VALUES IN (4711));\n"
		}
		for _, test := range cases {
			t.Run(test.name, func(t *testing.T) {
				url := mysqltest.Another(t, url)
				dir := dirtest.New(t, dirtest.Files{"1_a.sql": first, "2_b.sql": test.stmt})
				_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
				var failed *migrate.StmtError
				require.ErrorAs(t, err, &failed)
				for _, text := range []string{err.Error(), failed.Err.Error()} {
					assert.NotContains(t, text, "geheim")
					assert.Contains(t, text, test.says)
				}
				if mysqltest.IsSQLite(url) {
					return
				}
				var refused *mysql.MySQLError
				require.ErrorAs(t, err, &refused)
				assert.NotEqual(t, refused.Error(), failed.Err.Error())
				status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
				require.NoError(t, err)
				assert.Equal(t, failed.Err.Error(), status.Partial.Error)
				assert.Equal(t, failed.Err.Error(), mysqltest.Value(t, mysqltest.DB(t, url),
					"SELECT error FROM atlas_schema_revisions WHERE version = '2'"))
			})
		}
	})
}

func TestSQLiteLeavesNothingOfAFailingFile(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	dir := dirtest.New(t, dirtest.Files{
		"1_a.sql": "CREATE TABLE a (id int);",
		"2_b.sql": "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1);\nINSERT INTO b SELECT id, x FROM a;",
	})
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
	var failed *migrate.StmtError
	require.ErrorAs(t, err, &failed)
	assert.ErrorContains(t, failed.Err, "x")
	failed.Err = nil
	assert.Equal(t, &migrate.StmtError{
		File: "2_b.sql", Line: 3, Index: 3, Total: 3, Stmt: "INSERT INTO b SELECT id, x FROM a;",
	}, failed)
	assert.Equal(t, []string{"a", atlasdb.RevisionsTable}, mysqltest.Tables(t, url))
	status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dir})
	require.NoError(t, err)
	assert.Equal(t, "1", status.Current)
	assert.Nil(t, status.Partial)
	assert.Equal(t, []string{"2_b.sql"}, status.Pending)
}

func TestEditsOfAHalfAppliedFile(t *testing.T) {
	t.Parallel()
	text := halfApplied["1_a.sql"]
	replace := func(old, new string) string { return strings.Replace(text, old, new, 1) }
	tests := []struct {
		name, text string
		refused    history.Reason
		accepted   bool
		line       int // of the recorded statement, if the file still holds it there
	}{
		{"the failed statement is repaired", replace("UNIQUE (id)", "INDEX (id)"), history.PendingPartEdited, true, 0},
		{"a later statement is edited", replace("b (id int)", "b (n int)"), history.PendingPartEdited, true, 4},
		{"a statement is put before the failed one", replace("ALTER", "UPDATE a SET id = n;\nALTER"),
			history.PendingPartEdited, true, 0},
		{"the rest is dropped", text[:strings.Index(text, "ALTER")], history.PendingPartEdited, true, 0},
		{"an applied statement is edited", replace("(1, 2)", "(2, 2)"), history.AppliedPartEdited, false, 4},
		{"a statement is put first", "CREATE TABLE c (id int);\n" + text, history.AppliedPartEdited, false, 0},
		{"fewer statements than are applied", text[:strings.Index(text, "INSERT")],
			history.AppliedPartEdited, false, 0},
		{"no statement", "-- gone\n", history.AppliedPartEdited, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				path := dirtest.Folder(t, halfApplied)
				applyHalf(t, url, path)
				before := mysqltest.Dump(t, url)
				dirtest.Edit(t, path, dirtest.Files{"1_a.sql": test.text})

				_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
				var got *migrate.HistoryError
				require.ErrorAs(t, err, &got)
				assert.Equal(t, migrate.HistoryError{Reason: test.refused, File: "1_a.sql", Applied: 2, Total: 5}, *got)
				status, statusErr := migrate.ReadStatus(t.Context(), url,
					migrate.StatusOptions{Dir: dirtest.Open(t, path)})
				require.EqualError(t, statusErr, err.Error())
				status.Partial.Error = ""
				assert.Equal(t, &migrate.Partial{
					File: "1_a.sql", Applied: 2, Total: 5, Stmt: "ALTER TABLE a ADD UNIQUE (id);", Line: test.line,
				}, status.Partial)
				assert.Equal(t, before, mysqltest.Dump(t, url))

				mysqltest.Exec(t, mysqltest.DB(t, url), "UPDATE a SET id = n")
				before = mysqltest.Dump(t, url)
				report, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{
					Dir: dirtest.Open(t, path), AcceptEdit: true,
				})
				if test.accepted {
					require.NoError(t, err)
					assert.Equal(t, 2, report.Applied[0].Resumed)
					assert.Empty(t, dirtest.Apply(t, url, dirtest.Open(t, path)).Applied)
					return
				}
				require.ErrorAs(t, err, &got)
				assert.ErrorContains(t, err, "restore the applied statements")
				assert.Equal(t, before, mysqltest.Dump(t, url))
				dirtest.Edit(t, path, halfApplied)
				dirtest.Apply(t, url, dirtest.Open(t, path))
			})
		})
	}
}

func TestFileThatFailedAtItsFirstStatementMayBeEdited(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		path := dirtest.Folder(t, dirtest.Files{"1_a.sql": "CREATE TABLE a (id no_such_type);"})
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dirtest.Open(t, path)})
		var failed *migrate.StmtError
		require.ErrorAs(t, err, &failed)
		dirtest.Edit(t, path, dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);\nCREATE TABLE b (id int);"})
		assert.Len(t, dirtest.Apply(t, url, dirtest.Open(t, path)).Applied, 1)
		assert.Empty(t, dirtest.Apply(t, url, dirtest.Open(t, path)).Applied)
	})
}

func TestStatementInDoubtIsFoundToHaveRunOrNot(t *testing.T) {
	t.Parallel()
	const first, doubtful = "CREATE TABLE a (id int);\n", "ALTER TABLE a ADD COLUMN n int;\n"
	path := dirtest.Folder(t, dirtest.Files{"1_a.sql": first + doubtful})
	edited := dirtest.Folder(t, dirtest.Files{"1_a.sql": first + "ALTER TABLE a ADD COLUMN m int;\n"})
	shortened := dirtest.Folder(t, dirtest.Files{"1_a.sql": first})
	for action, ran := range map[mysqltest.Action]bool{mysqltest.CutBefore: false, mysqltest.CutAfter: true} {
		t.Run(map[bool]string{true: "ran", false: "did not run"}[ran], func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				proxy := mysqltest.Proxy{Hook: func(_ int, command string) mysqltest.Action {
					if strings.HasPrefix(command, "ALTER") {
						return action
					}
					return mysqltest.Forward
				}}
				_, err := migrate.Apply(t.Context(), proxy.Start(t, url), migrate.ApplyOptions{
					Dir: dirtest.Open(t, path),
				})
				var cut *migrate.StmtError
				require.ErrorAs(t, err, &cut)
				assert.Equal(t, 2, cut.Index)

				status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dirtest.Open(t, path)})
				require.NoError(t, err)
				assert.Equal(t, &migrate.Partial{
					File: "1_a.sql", Applied: 1, Total: 2, Stmt: strings.TrimSpace(doubtful), Line: 2, InDoubt: true,
				}, status.Partial)

				for _, other := range []string{edited, shortened} {
					_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{
						Dir: dirtest.Open(t, other), AcceptEdit: ran,
					})
					status, statusErr := migrate.ReadStatus(t.Context(), url,
						migrate.StatusOptions{Dir: dirtest.Open(t, other)})
					require.EqualError(t, statusErr, err.Error())
					assert.Equal(t, &migrate.Partial{
						File: "1_a.sql", Applied: 1, Total: 2, Stmt: strings.TrimSpace(doubtful), InDoubt: true,
					}, status.Partial)
					var got *migrate.HistoryError
					require.ErrorAs(t, err, &got)
					want := migrate.HistoryError{
						Reason: history.PendingPartEdited, File: "1_a.sql", Applied: 1, Total: 2,
					}
					if ran {
						want.Reason, want.Applied = history.AppliedPartEdited, 2
					}
					assert.Equal(t, want, *got)
				}

				var recovered []bool
				opts := migrate.ApplyOptions{Dir: dirtest.Open(t, path), Progress: func(p migrate.Progress) {
					if p.Done {
						recovered = append(recovered, p.Recovered)
					}
				}}
				_, err = migrate.Apply(t.Context(), url, opts)
				require.NoError(t, err)
				assert.Equal(t, []bool{ran}, recovered)
				assert.Equal(t, []string{"id", "n"}, mysqltest.Column(t, mysqltest.DB(t, url),
					"SELECT COLUMN_NAME FROM information_schema.COLUMNS "+
						"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'a' ORDER BY 1"))
			})
		})
	}
}
