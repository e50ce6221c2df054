package directory_test

import (
	"os"
	"path/filepath"
	"testing"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

const up, down, createB = "CREATE TABLE a (id int);\n", "DROP TABLE a;\n", "CREATE TABLE b (id int);"

type files = dirtest.Files

// one is a directory of one file.
func one(text string) files { return files{"1_a.sql": text} }

// foreign are directories of other tools, and what they are refused as.
var foreign = map[string]struct {
	content files
	refusal string
}{
	"goose": {files{"00001_a.sql": "-- +goose Up\n" + up + "\n-- +goose Down\n" + down},
		"00001_a.sql is a file of goose, which authgraph does not read: " +
			"convert the directory with: atlas migrate import --from 'file://"},
	"goose below a header": {
		one("\ufeff/* licence\n */\n\n-- makes a\r\n--+goose NO TRANSACTION\r\n-- +goose up\r\n" + up),
		"a file of goose"},
	"goose beside one of Atlas": {
		files{"1_a.sql": up, "2_b.sql": "-- +goose Up\n-- +goose StatementBegin\nBEGIN; END\n" +
			"-- +goose StatementEnd\n-- +goose Down\n" + down},
		"2_b.sql is a file of goose"},
	"a tool like goose": {one("-- +micrate Up\n" + up + "-- +micrate Down\n" + down),
		"a file of a tool of the kind of goose"},
	"dbmate": {one("-- migrate:up transaction:false\n" + up + "\n-- migrate:down\n" + down),
		"?format=dbmate' --to 'file://"},
	"sql-migrate": {one("-- +migrate Up\n" + up + "-- +migrate Down\n" + down),
		"a file of sql-migrate, which authgraph does not read: write the statements that go forward"},
	"tern": {one(up + "---- create above / drop below ----\n" + down), "a file of tern"},
	"tern with space": {one(up + "\n-- that was all\n---- create above / drop below ----\n\n" + down),
		"a file of tern"},
	"MyBatis":              {one("-- // First.\n" + up + "\n-- //@UNDO\n" + down), "a file of MyBatis"},
	"Play":                 {one("# --- !Ups\n" + up + "# --- !Downs\n" + down), "a file of Play"},
	"rambler":              {one("-- rambler up\n" + up + "-- rambler down\n" + down), "a file of rambler"},
	"golang-migrate":       {files{"1_a.up.sql": up, "1_a.down.sql": down}, "1_a.down.sql is a file of golang-migrate"},
	"golang-migrate, half": {files{"1_a.down.sql": down}, "?format=golang-migrate'"},
	"db-migrate": {files{"1-a-up.sql": up, "1-a-down.sql": down},
		"1-a-down.sql is a file of a tool that keeps"},
	"yoyo": {files{"1.a.sql": up, "1.a.rollback.sql": down}, "1.a.rollback.sql is a file of"},
	"golang-migrate in capitals": {files{"1_a.Up.sql": up, "1_a.Down.sql": down},
		"1_a.Down.sql is a file of golang-migrate"},
	"postgrator":        {files{"1.do.a.sql": up, "1.undo.a.sql": down}, "1.undo.a.sql is a file of a tool that keeps"},
	"the word alone":    {files{"up.sql": up, "down.sql": down}, "down.sql is a file of a tool that keeps"},
	"the word in front": {files{"up_001.sql": up, "down_001.sql": down}, "down_001.sql is a file of a tool that keeps"},
	"revert": {files{"001_a.sql": up, "001_a-revert.sql": down},
		"001_a-revert.sql is a file of a tool that keeps"},
	"words": {
		one("--------\r\n-- Up\r\n--------\r\n" + up + "--------\r\n-- Down\r\n--------\r\n" + down),
		"undoes a migration in the same file"},
	"words with a mark":        {one("-- @UP\n" + up + "-- @DOWN\n" + down), "undoes a migration in the same file"},
	"MyBatis in small letters": {one("-- // First.\n" + up + "\n-- //@undo\n" + down), "a file of MyBatis"},
	"a name in capitals": {files{"1_a.sql": up, "2_B.SQL": down},
		"2_B.SQL would not be run, as its name does not end in .sql: rename it"},
	"Flyway":              {files{"V1__a.sql": up, "V2.1__b.sql": down}, "V1__a.sql is a file of Flyway"},
	"Flyway's undo":       {files{"U1__a.sql": down}, "?format=flyway'"},
	"Flyway's repeatable": {files{"R__view.sql": "CREATE VIEW v AS SELECT 1;"}, "a file of Flyway"},
	"Liquibase": {
		one("--liquibase formatted sql\n\n--changeset ada:1\n" + up + "--rollback DROP TABLE a;\n"),
		"?format=liquibase'"},
	"Liquibase's XML": {files{"changelog.xml": "<databaseChangeLog/>"}, "changelog.xml is a file of Liquibase's XML"},
	"Drizzle":         {files{"0000_a.sql": up, "meta/_journal.json": "{}"}, "meta/_journal.json is a file of Drizzle"},
	"Drizzle's folders": {files{"20240101_a/migration.sql": up, "20240101_a/snapshot.json": "{}"},
		"20240101_a/snapshot.json is a file of Drizzle"},
	"Prisma": {files{"20240101_a/migration.sql": up, "migration_lock.toml": "provider = \"mysql\"\n"},
		"20240101_a/migration.sql is a file of Prisma"},
	"Prisma after a former hash": {
		files{"20240101_a/migration.sql": up, "atlas.sum": "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"},
		"a file of Prisma"},
	"Diesel":  {files{"20240101_a/up.sql": up, "20240101_a/down.sql": down}, "20240101_a/up.sql is a file of Diesel"},
	"Rails":   {files{"20240101_create_a.rb": "class CreateA; end"}, "20240101_create_a.rb is a file of Rails"},
	"Laravel": {files{"2024_01_01_000000_create_a.php": "<?php"}, "a file of Laravel"},
	"Django":  {files{"__init__.py": "", "0001_initial.py": ""}, "a file of Alembic or Django"},
	"Knex":    {files{"20240101_a.js": "exports.up = 1"}, "a file of Knex"},
}

// plain writes files, some in folders, without their checksums.
func plain(t *testing.T, content files) string {
	t.Helper()
	path := t.TempDir()
	for name, text := range content {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(path, name)), 0o755))
		dirtest.Put(t, path, name, text)
	}
	return path
}

// A shell reads the advice as one word, whatever is in the path.
func TestTheAdviceQuotesThePath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "o'd")
	require.NoError(t, os.Mkdir(path, 0o755))
	dirtest.Put(t, path, "1_a.sql", "-- +goose Up\n")
	assert.ErrorContains(t, directory.Validate(dirtest.Open(t, path)), `/o'\''d?format=goose' --to 'file:///`)
}

func TestDirectoryOfAnotherToolIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	for name, tool := range foreign {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, path := mysqltest.SQLite(t), plain(t, tool.content)
			mysqltest.Exec(t, mysqltest.DB(t, url), "PRAGMA user_version = 1")
			dir, dev := dirtest.Open(t, path), dirtest.Scratch(t, url)
			before, ctx := listing(t, path), t.Context()
			refused := func(what string, err error) {
				t.Helper()
				var dirErr *directory.Error
				require.ErrorAs(t, err, &dirErr, what)
				require.ErrorContains(t, err, tool.refusal, what)
				require.NotContains(t, err.Error(), "\n")
			}
			refused("validate", directory.Validate(dir))
			refused("hash", directory.Hash(dir))
			_, err := directory.New(dir, "b")
			refused("new", err)
			_, err = planner.Diff(ctx, dev, dir, planner.Tables(entmigrate.Tables...), "b")
			refused("diff", err)
			_, err = lint.Run(ctx, dev, dir, lint.Options{})
			refused("lint", err)
			_, err = planner.Inspect(ctx, dev, planner.Files(dir))
			refused("inspect", err)
			_, err = planner.PastOf(ctx, dev, dir, "")
			refused("inspect --format html", err)
			_, err = planner.Deviations(ctx, dev, dir, "", url)
			refused("doctor", err)
			_, err = migrate.ReadStatus(ctx, url, migrate.StatusOptions{Dir: dir})
			refused("status", err)
			for _, opts := range []migrate.ApplyOptions{{}, {DryRun: true}, {AllowDirty: true}} {
				opts.Dir = dir
				_, err = migrate.Apply(ctx, url, opts)
				refused("apply", err)
			}
			assert.Equal(t, before, listing(t, path))
			assert.Empty(t, mysqltest.Tables(t, url))
		})
	}
}

func TestFileThatOnlyMentionsAnotherToolIsAtlass(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]files{
		"in a comment": {
			"1_a.sql": "-- This was converted: it began with -- +goose Up, or was it -- migrate:up?\n" +
				"-- liquibase could read it\n" + up,
		},
		"in a comment of many lines": {
			"1_a.sql": "/*\n-- +goose Up\n-- migrate:up\n---- create above / drop below ----\n*/\n" + up,
		},
		"after a statement": {"1_a.sql": up + "-- +goose Down\n-- migrate:down\n" + createB + "\n"},
		"in a string": {
			"1_a.sql": "CREATE TABLE a (t text);\nINSERT INTO a VALUES ('\n-- +goose Up\n" +
				"---- create above / drop below ----\n-- //@UNDO\n');\n",
		},
		"in names": {
			"1_step_down.sql": up, "2_V1__a.sql": createB, "3_rollback.sql": "CREATE TABLE c (id int);",
			"4_a.up.sql": "CREATE TABLE d (id int);",
		},
		"in words": {
			"1_a.sql": up + "-- Down\n" + createB + "\n",
			"2_b.sql": "-- Up\nCREATE TABLE c (id int);\n-- scale down\nCREATE TABLE d (id int);\n",
		},
		"in names without another": {
			"1_a.sql": up, "2_undo_of_b.sql": createB, "3_down_payment.sql": "CREATE TABLE c (id int);",
		},
		"in other folders": {
			"1_a.sql": up, "prisma/migration.sql": down, "seed.js": "", "meta/readme.md": "",
		},
		"in directives": {"1_a.sql": "-- atlas:txmode none\n\n-- atlas:nolint\n" + up},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, path := mysqltest.SQLite(t), plain(t, content)
			dir := dirtest.Open(t, path)
			require.NoError(t, directory.Hash(dir))
			require.NoError(t, directory.Validate(dir))
			dirtest.Apply(t, url, dir)
			assert.Contains(t, mysqltest.Tables(t, url), "a")
		})
	}
}

func TestDirectoryWithoutMigrationsIsOnlyGoodToBeginOne(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	for name, content := range map[string]files{
		"empty": {}, "of Git": {".gitkeep": ""}, "of documents": {"README.md": "# migrations", "notes.txt": ""},
	} {
		dir := dirtest.Open(t, plain(t, content))
		var empty *directory.Error
		require.ErrorAs(t, directory.Validate(dir), &empty, name)
		require.ErrorContains(t, empty,
			"it holds no migration: name the folder of the .sql files, or plan a first migration")
		require.ErrorContains(t, directory.Hash(dir), "it holds no migration")
		_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{Dir: dir})
		require.ErrorContains(t, err, "it holds no migration")
		plan, err := planner.Diff(t.Context(), dirtest.Scratch(t, url), dir, planner.Tables(entmigrate.Tables...),
			"init")
		require.NoError(t, err)
		require.NoError(t, plan.Write())
		require.NoError(t, directory.Validate(dir))

		dir = dirtest.Open(t, plain(t, content))
		_, err = directory.New(dir, "init")
		require.NoError(t, err)
		require.NoError(t, directory.Validate(dir))
	}
	begun := dirtest.Open(t, plain(t, files{atlas.HashFileName: ""}))
	require.NoError(t, directory.Hash(begun))
	require.NoError(t, directory.Validate(begun), "its checksums say that it is one")
}

func TestSchemaFileOfAnotherToolIsRefused(t *testing.T) {
	t.Parallel()
	url := mysqltest.SQLite(t)
	path := filepath.Join(plain(t, files{"schema.sql": "-- +goose Up\n" + up + "-- +goose Down\n" + down}),
		"schema.sql")
	_, err := planner.Inspect(t.Context(), dirtest.Scratch(t, url), planner.SQLFile(path))
	require.ErrorContains(t, err, path+" is a file of goose")
}
