package planner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

// schemaFile is the generated schema for the database at url.
func schemaFile(url string) string {
	if mysqltest.IsSQLite(url) {
		return "../../ent/schema.sqlite.sql"
	}
	return "../../ent/schema.sql"
}

// embeddedCopy is a copy of the embedded directory that may be written to.
func embeddedCopy(t *testing.T, url string) directory.Dir {
	t.Helper()
	return dirtest.New(t, dirtest.Embedded(t, mysqltest.Dialect(url)))
}

func TestDiffFindsNothingToDoInTheEmbeddedDirectory(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		for range 2 {
			for _, state := range []planner.State{
				planner.Tables(entmigrate.Tables...), planner.SQLFile(schemaFile(url)),
			} {
				_, err := planner.Diff(t.Context(), dev, dir, state, "again")
				require.ErrorIs(t, err, planner.ErrNoChanges)
				require.NoError(t, planner.Check(t.Context(), dev, dir, state))
			}
		}
	})
}

// edits change the schema in one way each. Old text is replaced by new; want is part of the plan that does it, loses
// what the plan says it destroys.
var edits = []struct {
	name, old, new, want string
	loses                string
}{
	{"column added", "  `name` varchar(100) NOT NULL,", "  `name` varchar(100) NOT NULL,\n  `nick` varchar(9) NULL,",
		"ADD COLUMN `nick` varchar(9)", ""},
	{"column removed", "  `avatar` json NULL,\n", "", "DROP COLUMN `avatar`", `drops column "avatar" of table "users"`},
	{"column widened", "`ip` varchar(45)", "`ip` varchar(64)", "MODIFY COLUMN `ip` varchar(64)", ""},
	{"column made null", "`name` varchar(100) NOT NULL", "`name` varchar(100) NULL",
		"MODIFY COLUMN `name` varchar(100) NULL", ""},
	{"index added", "INDEX `user_role` (`role`)", "INDEX `user_role` (`role`), INDEX `user_name` (`name`)",
		"ADD INDEX `user_name` (`name`)", ""},
	{"index removed", "  INDEX `user_role` (`role`),\n", "", "DROP INDEX `user_role`", ""},
	{"index made unique", "  INDEX `user_role` (`role`)", "  UNIQUE INDEX `user_role` (`role`)",
		"ADD UNIQUE INDEX `user_role`", ""},
	{"index widened", "INDEX `user_role` (`role`)", "INDEX `user_role` (`role`, `id`)",
		"ADD INDEX `user_role` (`role`, `id`)", ""},
	{"enum value added", "enum('user','admin')", "enum('user','admin','guest')", "enum('user','admin','guest')", ""},
	{"enum value removed", "enum('local','google','github')", "enum('local','google')", "enum('local','google')", ""},
	{"default changed", "`max_attempts` int NOT NULL DEFAULT 5", "`max_attempts` int NOT NULL DEFAULT 6",
		"DEFAULT 6", ""},
	{"default removed", "`max_attempts` int NOT NULL DEFAULT 5", "`max_attempts` int NOT NULL",
		"MODIFY COLUMN `max_attempts` int NOT NULL", ""},
	{"default added", "`ip` varchar(45) NULL", "`ip` varchar(45) NULL DEFAULT '::1'", "DEFAULT '::1'", ""},
	{"check changed", "CHECK (failed_login_attempts >= 0)", "CHECK (failed_login_attempts >= 1)",
		"DROP CONSTRAINT `users_failed_login_attempts`, " +
			"ADD CONSTRAINT `users_failed_login_attempts` CHECK (`failed_login_attempts` >= 1)", ""},
	{"check removed", ",\n  CONSTRAINT `users_failed_login_attempts` CHECK (failed_login_attempts >= 0)", "",
		"DROP CONSTRAINT `users_failed_login_attempts`", ""},
	{"check added", "CHECK (failed_login_attempts >= 0)",
		"CHECK (failed_login_attempts >= 0), CONSTRAINT `named` CHECK (name <> '')",
		"ADD CONSTRAINT `named` CHECK", ""},
	{"collation changed", "`token_hash` varchar(255) NOT NULL COLLATE ascii_bin",
		"`token_hash` varchar(255) NOT NULL COLLATE ascii_general_ci", "COLLATE ascii_general_ci", ""},
	{"collation removed", "`password` varchar(255) NULL COLLATE ascii_bin", "`password` varchar(255) NULL",
		"MODIFY COLUMN `password` varchar(255)", ""},
	{"on update removed", "DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)", "DEFAULT CURRENT_TIMESTAMP(6)",
		"MODIFY COLUMN `updated_at`", ""},
	{"on update added", "`last_used_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)",
		"`last_used_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
		"ON UPDATE CURRENT_TIMESTAMP(6)", ""},
	{"on delete changed",
		"CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE",
		"CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE RESTRICT",
		"FOREIGN KEY (`user_id`) REFERENCES `users` (`id`)", ""},
}

func TestDiffPlansWhatWasEditedAndNothingAfterwards(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		schema, err := os.ReadFile(schemaFile(url))
		require.NoError(t, err)
		for _, edit := range edits {
			t.Run(edit.name, func(t *testing.T) {
				t.Parallel()
				dev := dirtest.Scratch(t, url)
				edited := strings.Replace(string(schema), edit.old, edit.new, 1)
				require.NotEqual(t, string(schema), edited)
				plan := planned(t, dev, embeddedCopy(t, url), edited)
				// MariaDB spells defaults in its own way.
				sql := strings.NewReplacer("current_timestamp", "CURRENT_TIMESTAMP", `"::1"`, "'::1'").Replace(plan.SQL)
				assert.Contains(t, sql, edit.want)
				if edit.loses == "" {
					assert.Empty(t, plan.Destructive)
				} else {
					assert.Equal(t, []string{edit.loses}, plan.Destructive)
				}
			})
		}
	})
}

// planned plans and writes the migration to an edited schema. Afterwards nothing must be left to plan.
func planned(t *testing.T, dev *planner.Dev, dir directory.Dir, schema string) *planner.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema.sql")
	dirtest.Put(t, filepath.Dir(path), "schema.sql", schema)
	state := planner.SQLFile(path)

	plan, err := planner.Diff(t.Context(), dev, dir, state, "edited")
	require.NoError(t, err)
	before, err := dir.Files()
	require.NoError(t, err)

	require.NoError(t, plan.Write())
	require.NoError(t, directory.Validate(dir))
	after, err := dir.Files()
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)
	assert.Equal(t, plan.File, after[len(before)].Name())
	_, err = planner.Diff(t.Context(), dev, dir, state, "again")
	require.ErrorIs(t, err, planner.ErrNoChanges, "after\n%s", plan.SQL)
	return plan
}

func TestDiffPlansTheRemovalOfATable(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		schema, err := os.ReadFile(schemaFile(url))
		require.NoError(t, err)
		from := strings.Index(string(schema), "-- Create \"otps\" table")
		to := strings.Index(string(schema), "-- Create \"otp_stripes\" table")
		require.Less(t, from, to)
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		plan := planned(t, dev, dir, string(schema[:from])+string(schema[to:]))
		assert.Contains(t, plan.SQL, "DROP TABLE `otps`")
		assert.Equal(t, []string{`drops table "otps"`}, plan.Destructive)

		dirtest.Apply(t, url, nil)
		dirtest.Apply(t, url, dir)
		assert.NotContains(t, mysqltest.Tables(t, url), "otps")
	})
}

func TestDiffPlansTheRemovalOfAnEntity(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, dir := dirtest.Scratch(t, url), embeddedCopy(t, url)
		rest := entmigrate.Tables[:0:0]
		for _, table := range entmigrate.Tables {
			if table.Name != "sessions" {
				rest = append(rest, table)
			}
		}
		plan, err := planner.Diff(t.Context(), dev, dir, planner.Tables(rest...), "no_sessions")
		require.NoError(t, err)
		assert.Contains(t, plan.SQL, "DROP TABLE `sessions`")
		assert.Equal(t, []string{`drops table "sessions"`}, plan.Destructive)

		var drift *planner.DriftError
		err = planner.Check(t.Context(), dev, dir, planner.Tables(rest...))
		require.ErrorAs(t, err, &drift)
		require.ErrorContains(t, err, "plan the migration that is missing")
		assert.Equal(t, plan.SQL, drift.SQL)
	})
}

// On SQLite a table is changed by copying it, which must neither lose its rows nor, by a cascade, those of the tables
// that refer to it.
func TestSQLiteRowsSurviveAPlannedChange(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, old, new, loses string }{
		{"check changed", "CHECK (failed_login_attempts >= 0)", "CHECK (failed_login_attempts >= -1)", ""},
		{"column added", "\n  `name` text ", "\n  `nick` text NULL,\n  `name` text ", ""},
		{"column removed", "  `avatar` json constraint avatar_is_json check " +
			"(avatar is null or json_valid(cast(avatar as text))) NULL,\n",
			"", `drops column "avatar" of table "users"`},
		{"default changed", "DEFAULT ('user')", "DEFAULT ('admin')", ""},
		{"index added", "CREATE INDEX `user_role`",
			"CREATE INDEX `user_name` ON `users` (`name`);\nCREATE INDEX `user_role`", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := mysqltest.SQLite(t)
			schema, err := os.ReadFile(schemaFile(url))
			require.NoError(t, err)
			edited := strings.Replace(string(schema), test.old, test.new, 1)
			require.NotEqual(t, string(schema), edited)
			dir := embeddedCopy(t, url)
			plan := planned(t, dirtest.Scratch(t, url), dir, edited)
			if test.loses == "" {
				assert.Empty(t, plan.Destructive)
			} else {
				assert.Equal(t, []string{test.loses}, plan.Destructive)
			}

			dirtest.Apply(t, url, nil)
			db := mysqltest.DB(t, url)
			mysqltest.Exec(t, db, "INSERT INTO users (id, name, email) VALUES (7, 'n', 'e')",
				"INSERT INTO sessions (token_hash, expires_at, user_id) VALUES ('h', CURRENT_TIMESTAMP, 7)")
			dirtest.Apply(t, url, dir)
			assert.Equal(t, "7n", mysqltest.Value(t, db, "SELECT id || name FROM users"))
			assert.Equal(t, "7", mysqltest.Value(t, db, "SELECT user_id FROM sessions"))
		})
	}
}

func TestDiffWorksBesideViewsAndRoutinesOfADirectory(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		content := dirtest.Files{"1_a.sql": "CREATE TABLE a (id int);\nCREATE VIEW v AS SELECT id FROM a;\n" +
			"CREATE VIEW w AS SELECT id FROM v;\n"}
		if !mysqltest.IsSQLite(url) {
			content["2_b.sql"] = "CREATE PROCEDURE p() SELECT 1;\n" +
				"CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1;\n" +
				"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1;\n" +
				"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1;\n"
		}
		dev, dir := dirtest.Scratch(t, url), dirtest.New(t, content)
		path := dirtest.Folder(t, dirtest.Files{
			"schema.sql": "CREATE TABLE a (id int);\nCREATE VIEW v AS SELECT id FROM a;",
		})
		for range 2 {
			_, err := planner.Diff(t.Context(), dev, dir, planner.SQLFile(filepath.Join(path, "schema.sql")), "x")
			require.ErrorIs(t, err, planner.ErrNoChanges)
		}
	})
}

func TestDiffReportsTheStatementThatDoesNotRun(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev := dirtest.Scratch(t, url)
		dir := dirtest.New(t, dirtest.Files{
			"1_a.sql": "CREATE TABLE a (id int);\nALTER TABLE nowhere ADD COLUMN x int;",
		})
		var failed *migrate.StmtError
		_, err := planner.Diff(t.Context(), dev, dir, planner.SQLFile(schemaFile(url)), "x")
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, "1_a.sql", failed.File)
		assert.Equal(t, 2, failed.Line)
		// The database is empty again.
		_, err = planner.Diff(t.Context(), dev, dirtest.Open(t, t.TempDir()), planner.SQLFile(schemaFile(url)), "x")
		require.NoError(t, err)
	})
}

func TestDevDatabaseHasToBeEmptyAndIsLeftSo(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		dev, err := planner.OpenDev(t.Context(), url)
		require.NoError(t, err)
		require.NoError(t, planner.Check(t.Context(), dev, embeddedCopy(t, url), planner.Tables(entmigrate.Tables...)))
		require.NoError(t, dev.Close())
		assert.Empty(t, mysqltest.Tables(t, url))

		mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE theirs (id int)")
		_, err = planner.OpenDev(t.Context(), url)
		require.ErrorContains(t, err, `it must be empty, but holds table "theirs"`)
		assert.Equal(t, []string{"theirs"}, mysqltest.Tables(t, url))
	})
}

func TestDevDatabaseIsEmptiedWhenDiffIsCancelled(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var created atomic.Bool
		proxy := mysqltest.Proxy{Hook: func(_ int, command string) mysqltest.Action {
			switch {
			case strings.HasPrefix(command, "CREATE TABLE `sessions`"):
				created.Store(true)
			case created.Load():
				cancel()
			}
			return mysqltest.Forward
		}}
		dev, err := planner.OpenDev(ctx, proxy.Start(t, url))
		require.NoError(t, err)
		_, err = planner.Diff(ctx, dev, embeddedCopy(t, url), planner.Tables(entmigrate.Tables...), "x")
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, dev.Close())
		assert.Empty(t, mysqltest.Tables(t, url))
	})
}

func TestScratchDatabaseIsDroppedWhenDiffIsCancelled(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		names := make(chan string, 1)
		proxy := mysqltest.Proxy{Hook: func(_ int, command string) mysqltest.Action {
			if name, ok := strings.CutPrefix(command, "CREATE DATABASE `"); ok {
				name, _, _ = strings.Cut(name, "`")
				names <- name
			}
			if strings.HasPrefix(command, "CREATE TABLE `sessions`") {
				cancel()
			}
			return mysqltest.Forward
		}}
		dev, err := planner.Scratch(ctx, proxy.Start(t, url))
		require.NoError(t, err)
		name := <-names
		exists := "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?"
		require.Equal(t, "1", mysqltest.Value(t, db, exists, name))
		_, err = planner.Diff(ctx, dev, embeddedCopy(t, url), planner.Tables(entmigrate.Tables...), "x")
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, dev.Close())
		assert.Equal(t, "0", mysqltest.Value(t, db, exists, name))
	})
}

func TestScratchDatabaseIsDroppedWhenItsMakingIsCutOff(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		names := make(chan string, 1)
		proxy := mysqltest.Proxy{Hook: func(_ int, command string) mysqltest.Action {
			if name, ok := strings.CutPrefix(command, "CREATE DATABASE `"); ok {
				name, _, _ = strings.Cut(name, "`")
				names <- name
				return mysqltest.CutAfter
			}
			return mysqltest.Forward
		}}
		_, err := planner.Scratch(t.Context(), proxy.Start(t, url))
		require.Error(t, err)
		assert.Equal(t, "0", mysqltest.Value(t, mysqltest.DB(t, url),
			"SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", <-names))
	})
}
