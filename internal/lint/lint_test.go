package lint_test

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

const (
	baseFile = "20260101000000_base.sql"
	newFile  = "20260102000000_new.sql"
)

// each runs fn on each kind of database: mysql, mariadb and sqlite.
func each(t *testing.T, fn func(t *testing.T, kind, url string)) {
	mysqltest.Each(t, func(t *testing.T, url string) { fn(t, path.Base(t.Name()), url) })
}

// run lints on the database at url and checks that it leaves nothing.
func run(t *testing.T, url string, dir directory.Dir, opts lint.Options) *lint.Report {
	t.Helper()
	dev, err := planner.OpenDev(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, dev.Close()) }()
	report, err := lint.Run(t.Context(), dev, dir, opts)
	require.NoError(t, err)
	require.Empty(t, mysqltest.Tables(t, url), "left in the dev database")
	return report
}

// codesOf are the diagnostics as file:line code.
func codesOf(r *lint.Report) []string {
	codes := []string{}
	for _, d := range r.Diagnostics {
		codes = append(codes, fmt.Sprintf("%s:%d %s", d.File, d.Line, d.Code))
	}
	return codes
}

// fixtures is what the files under test find. "accounts" and "logins" have no fault; "logins" is a child with a
// cascading foreign key.
var fixtures = dirtest.Files{
	"server": `CREATE TABLE accounts (
  id bigint PRIMARY KEY, name varchar(50) NULL, note text NULL,
  secret varchar(255) CHARACTER SET ascii COLLATE ascii_bin NULL, KEY accounts_name (name)
);
CREATE TABLE logins (
  id bigint PRIMARY KEY, account_id bigint NOT NULL, ip varchar(45) NULL, hits int NULL,
  KEY logins_account (account_id, ip),
  CONSTRAINT logins_accounts FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
);`,
	"sqlite": `CREATE TABLE accounts (id integer PRIMARY KEY, name text NULL, note text NULL, secret text NULL);
CREATE INDEX accounts_name ON accounts (name);
CREATE TABLE logins (
  id integer PRIMARY KEY, account_id integer NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  ip text NULL, hits int NULL
);
CREATE INDEX logins_account ON logins (account_id, ip);`,
}

func TestRunFindsWhatIsRisky(t *testing.T) {
	t.Parallel()
	const servers, all = "mysql mariadb", "mysql mariadb sqlite"
	tests := []struct {
		name string
		on   string
		sql  string
		want []string // LINE CODE
	}{
		{"nothing", all, "-- Nothing yet", nil},
		{"rows only", all, "INSERT INTO accounts (id) VALUES (1);\nDELETE FROM accounts;", nil},

		{"AG100 refused", all, "\n-- A comment\nALTER TABLE missing ADD COLUMN x int;\nDROP TABLE logins;",
			[]string{"3 AG100"}},
		{"AG100 after a finding", all, "DROP TABLE logins;\nDROP TABLE logins;", []string{"1 DS102", "2 AG100"}},
		{"AG100 not a statement", all, "DROP TABLE IF EXISTS nobody;\nSELECT 'open;", []string{"2 AG100"}},
		{"AG100 cannot be silenced", all, "-- atlas:nolint\n\nDROP TABLE missing;", []string{"3 AG100"}},

		{"DS102 table", all, "\nDROP TABLE logins;", []string{"2 DS102"}},
		{"DS103 column", all, "ALTER TABLE logins\n  DROP COLUMN hits;", []string{"1 DS103"}},
		{"DS103 in words that look like a rename", servers,
			"ALTER TABLE logins DROP COLUMN hits, " +
				"ADD COLUMN visits int NULL COMMENT 'RENAME COLUMN hits TO visits', LOCK=DEFAULT;",
			[]string{"1 DS103"}},
		{"DS103 beside a rename of the table", servers, "ALTER TABLE logins RENAME TO entries, DROP COLUMN hits;",
			[]string{"1 BC101", "1 DS103"}},
		{"table made and dropped", all, "CREATE TABLE tmp (id int);\nDROP TABLE tmp;", nil},

		{"rename column", all, "ALTER TABLE logins RENAME COLUMN hits TO visits;", []string{"1 BC102"}},
		{"rename quoted column", all, "ALTER TABLE `logins` RENAME COLUMN `hits` TO `the visits`;",
			[]string{"1 BC102"}},
		{"rename indexed column", all, "ALTER TABLE accounts RENAME COLUMN name TO nick;", []string{"1 BC102"}},
		{"change column", servers, "ALTER TABLE logins CHANGE COLUMN hits visits int NULL, LOCK=DEFAULT;",
			[]string{"1 BC102"}},
		{"change column and its null", servers, "ALTER TABLE logins CHANGE hits visits int NOT NULL, LOCK=DEFAULT;",
			[]string{"1 BC102", "1 MF104"}},
		{"rename table", all, "ALTER TABLE logins RENAME TO entries;", []string{"1 BC101"}},
		{"rename table, short", servers, "ALTER TABLE logins RENAME entries;", []string{"1 BC101"}},
		{"rename tables", servers, "RENAME TABLE logins TO entries, `accounts` TO people;",
			[]string{"1 BC101", "1 BC101"}},
		{"swap tables", servers,
			"CREATE TABLE new_accounts (id bigint PRIMARY KEY);\n" +
				"RENAME TABLE accounts TO old_accounts, new_accounts TO accounts;", []string{"2 BC101"}},
		{"rename index", servers, "ALTER TABLE accounts RENAME INDEX accounts_name TO by_name;", nil},

		{"MF101 unique index", all, "CREATE UNIQUE INDEX accounts_secret ON accounts (secret);", []string{"1 MF101"}},
		{"MF104 not null", servers, "ALTER TABLE accounts MODIFY name varchar(50) NOT NULL, LOCK=DEFAULT;",
			[]string{"1 MF104"}},
		{"CD101 foreign key", servers, "ALTER TABLE logins DROP FOREIGN KEY logins_accounts;", []string{"1 CD101"}},
		{"MY101 implicit value", servers, "ALTER TABLE accounts ADD COLUMN age int NOT NULL;", []string{"1 MY101"}},

		{"AG101 text", servers,
			"ALTER TABLE accounts ADD COLUMN x int NULL;\nALTER TABLE accounts ADD INDEX accounts_note (note);",
			[]string{"2 AG101"}},
		{"AG101 unique text", servers, "CREATE TABLE notes (\n  body text NOT NULL,\n  UNIQUE KEY (body)\n);",
			[]string{"1 AG101"}},
		{"AG101 blob", servers, "CREATE TABLE notes (body longblob NOT NULL, KEY (body));", []string{"1 AG101"}},
		{"AG101 too long", servers, "CREATE TABLE notes (body varchar(4000) CHARACTER SET utf8mb4, KEY (body));",
			[]string{"1 AG101"}},
		{"text with a length", servers,
			"CREATE TABLE notes (body text, `rest` text, UNIQUE KEY (body(100)), KEY (`rest` ( 20 )), " +
				"FULLTEXT KEY (body));", nil},
		{"text with a length, renamed", servers,
			"CREATE TABLE notes (body text, KEY b (body(100)));\nALTER TABLE notes RENAME COLUMN body TO content;\n" +
				"ALTER TABLE notes RENAME INDEX b TO c;\nRENAME TABLE notes TO texts;", nil},

		{"text with a length, copied", servers,
			"CREATE TABLE notes (body text, KEY b (body(100)));\nCREATE TABLE copied LIKE notes;", nil},

		{"AG102 hash", servers, "CREATE TABLE keys_ (\n  api_hash varchar(64) COLLATE utf8mb4_general_ci\n);",
			[]string{"1 AG102"}},
		{"AG102 names", servers,
			"CREATE TABLE keys_ (password varchar(99), csrfToken varchar(99), file_digest char(64), " +
				"otp_hash_code varchar(99)) COLLATE utf8mb4_general_ci;",
			[]string{"1 AG102", "1 AG102", "1 AG102", "1 AG102"}},
		{"AG102 changed", servers,
			"ALTER TABLE accounts ADD COLUMN token varchar(20) COLLATE ascii_bin NULL;\n" +
				"ALTER TABLE accounts MODIFY token varchar(20) COLLATE utf8mb4_general_ci NULL, LOCK=DEFAULT;",
			[]string{"2 AG102"}},
		{"hash, binary", servers,
			"CREATE TABLE keys_ (a_hash varchar(64) COLLATE ascii_bin, b_hash varbinary(32), " +
				"token char(9) COLLATE utf8mb4_bin, password varchar(9) COLLATE utf8mb4_bin);", nil},
		{"not a hash", servers,
			"CREATE TABLE keys_ (hash_algorithm varchar(9), rehash varchar(9), token_count int, " +
				"password_hint varchar(9)) COLLATE utf8mb4_general_ci;", nil},
		{"hash, put right", servers,
			"CREATE TABLE keys_ (a_hash varchar(64) COLLATE utf8mb4_general_ci);\n" +
				"ALTER TABLE keys_ MODIFY a_hash varchar(64) COLLATE ascii_bin;", nil},

		{"AG103 prefix", all, "CREATE INDEX logins_a ON logins (account_id);", []string{"1 AG103"}},
		{"AG103 of an older index", all, "CREATE INDEX accounts_name_id ON accounts (name, id);", []string{"1 AG103"}},
		{"AG103 twin", all, "CREATE INDEX other ON logins (hits);\nCREATE INDEX twin ON logins (hits);",
			[]string{"2 AG103"}},
		{"AG103 twin of a unique one", all,
			"CREATE TABLE u (a int, b int);\nCREATE UNIQUE INDEX u_ab ON u (a, b);\nCREATE INDEX u_ab2 ON u (a, b);",
			[]string{"3 AG103"}},
		{"AG103 primary key", servers, "CREATE TABLE u (a int, b int, PRIMARY KEY (a, b), KEY (a));",
			[]string{"1 AG103"}},
		{"AG103 primary key, renamed", servers,
			"CREATE TABLE u (a int, b int, PRIMARY KEY (a, b), KEY k (a));\nRENAME TABLE u TO v;", []string{"1 AG103"}},
		{"AG103 primary key of SQLite", "sqlite", "CREATE INDEX logins_id ON logins (id);", []string{"1 AG103"}},
		{"unique prefix", all,
			"CREATE TABLE u (a int, b int);\nCREATE UNIQUE INDEX u_a ON u (a);\nCREATE INDEX u_ab ON u (a, b);", nil},
		{"other order, other length", servers,
			"CREATE TABLE u (a varchar(50), b int, KEY (b, a), KEY (a(10)), KEY (a, b));", nil},
		{"other order", all,
			"CREATE TABLE u (a int, b int);\nCREATE INDEX u1 ON u (a, b);\nCREATE INDEX u2 ON u (b, a);\n" +
				"CREATE INDEX u3 ON u (b DESC);", nil},
		{"other rows, other collation", "sqlite",
			"CREATE INDEX p ON logins (ip) WHERE hits > 1;\nCREATE INDEX c ON logins (ip COLLATE NOCASE);\n" +
				"CREATE INDEX q ON logins (ip);", nil},
		{"redundant for a moment", all,
			"CREATE INDEX accounts_name_id ON accounts (name, id);\n-- One serves both\n" + dropIndexMark, nil},

		{"AG104 type", servers, "\nALTER TABLE logins MODIFY hits bigint NULL; -- why not", []string{"2 AG104"}},
		{"AG104 type, then a comment", servers, "ALTER TABLE logins MODIFY hits bigint NULL -- no semicolon",
			[]string{"1 AG104"}},
		{"AG104 renamed before", servers,
			"ALTER TABLE logins RENAME TO entries;\nALTER TABLE entries MODIFY hits bigint NULL;",
			[]string{"1 BC101", "2 AG104"}},
		{"AG104 index", "mysql", "CREATE FULLTEXT INDEX notes ON accounts (note);", []string{"1 AG104"}},
		{"index", servers,
			"ALTER TABLE logins ADD INDEX logins_hits (hits);\nCREATE INDEX logins_ip ON logins (ip);\n" +
				"DROP INDEX logins_ip ON logins;", nil},
		{"AG105 column made anew", servers,
			"ALTER TABLE logins DROP COLUMN hits, ADD COLUMN hits int;", []string{"1 AG105"}},
		{"AG105 emptied", servers, "TRUNCATE TABLE `logins`;\n/*!50000 truncate */ logins;",
			[]string{"1 AG105", "2 AG105"}},
		{"AG105 replaced", "mariadb", "CREATE OR REPLACE TABLE logins (id bigint PRIMARY KEY, " +
			"account_id bigint NOT NULL, ip varchar(45), hits int, KEY logins_account (account_id, ip), " +
			"CONSTRAINT logins_accounts " +
			"FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE);", []string{"1 AG105"}},
		{"AG105 silenced", servers, "-- atlas:nolint lost_rows\nTRUNCATE logins;", nil},
		{"AG105 parts", servers, "CREATE TABLE p (id int) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (1), " +
			"PARTITION b VALUES LESS THAN (2));\nALTER TABLE p DROP PARTITION a;\nTRUNCATE p;", nil},
		{"index made anew", servers, "ALTER TABLE logins ADD INDEX logins_hits (hits);\n" +
			"ALTER TABLE logins DROP INDEX logins_hits, ADD INDEX logins_hits (hits, id);", nil},
		{"lock stated", servers, "ALTER TABLE logins MODIFY hits bigint NULL, LOCK=SHARED;", nil},
		{"algorithm stated", servers, "ALTER TABLE logins MODIFY hits bigint NULL, ALGORITHM=COPY;", nil},
		{"no room for a lock", servers,
			"CREATE TABLE p (id int);\nALTER TABLE accounts COMMENT = 'LOCK=NONE';\n" +
				"ALTER TABLE p PARTITION BY HASH (id) PARTITIONS 2;", nil},
		{"new table", servers, "CREATE TABLE tmp (id int);\nALTER TABLE tmp MODIFY id bigint;", nil},
		{"table made anew", servers,
			"DROP TABLE logins; -- gone\nCREATE TABLE logins (id int);\nALTER TABLE logins MODIFY id bigint;",
			[]string{"1 DS102"}},

		{"rebuilt table", "sqlite",
			"PRAGMA foreign_keys = off;\nCREATE TABLE new_accounts (id integer PRIMARY KEY, name text NULL, " +
				"note text NULL, secret text NULL, age int NULL);\n" +
				"INSERT INTO new_accounts (id, name) SELECT id, name FROM accounts;\nDROP TABLE accounts;\n" +
				"ALTER TABLE new_accounts RENAME TO accounts;\nCREATE INDEX accounts_name ON accounts (name);\n" +
				"PRAGMA foreign_keys = on;", nil},
		{"DS103 rebuilt table", "sqlite",
			"PRAGMA foreign_keys = off;\nCREATE TABLE new_accounts (id integer PRIMARY KEY, name text NULL, " +
				"secret text NULL);\nINSERT INTO new_accounts (id, name) SELECT id, name FROM accounts;\n" +
				"DROP TABLE accounts;\nALTER TABLE new_accounts RENAME TO accounts;\nPRAGMA foreign_keys = on;",
			[]string{"2 DS103"}},
	}
	each(t, func(t *testing.T, kind, url string) {
		fixture := fixtures["server"]
		dropIndex := "DROP INDEX accounts_name ON accounts;"
		if kind == "sqlite" {
			fixture, dropIndex = fixtures["sqlite"], "DROP INDEX accounts_name;"
		}
		base := dirtest.New(t, dirtest.Files{baseFile: fixture})
		for _, tt := range tests {
			if !slices.Contains(strings.Fields(tt.on), kind) {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				if strings.Contains(tt.sql, " DESC)") {
					mysqltest.NeedsMariaDB(t, url, "10.8.0", "index in descending order")
				}
				dir := dirtest.New(t, dirtest.Files{
					baseFile: fixture,
					newFile:  strings.ReplaceAll(tt.sql, dropIndexMark, dropIndex),
				})
				report := run(t, mysqltest.Another(t, url), dir, lint.Options{Base: base})
				want := []string{}
				for _, w := range tt.want {
					want = append(want, newFile+":"+w)
				}
				require.Equal(t, want, codesOf(report), "%+v", report.Diagnostics)
				require.Equal(t, []string{newFile}, report.Files)
				for _, d := range report.Diagnostics {
					require.Regexp(t, saysWhatToDo, d.Text, d.Code)
				}
			})
		}
	})
}

// saysWhatToDo matches what a reader of a finding is to do.
var saysWhatToDo = regexp.MustCompile(`: (leave it out|give it|make a backup|remove the dup|fill it|drop it only|` +
	`the running version asks.* so (make|add)|state a|write FOREIGN KEY|run it while few)|correct it: |` +
	`MySQL refuses it; state|needs a length, or the column a shorter type: `)

// dropIndexMark stands for the statement that drops index accounts_name.
const dropIndexMark = "DROP INDEX accounts_name"

func TestFindingNamesFileLineAndStatement(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _, url string) {
		dir := dirtest.New(t, dirtest.Files{
			baseFile: "CREATE TABLE t (id int, token varchar(9));",
			newFile:  "CREATE INDEX t_id ON t (id);\n\nCREATE INDEX t_id_token\n  ON t (id, token);\nDROP TABLE t;",
		})
		report := run(t, url, dir, lint.Options{Latest: 1})
		require.Equal(t, []lint.Diagnostic{{
			File: newFile, Line: 5, Code: "DS102", Analyzer: "destructive", Severity: lint.SeverityError,
			Text: `Dropping table "t": make a backup, and drop it once no running version of the service reads it`,
			Stmt: "DROP TABLE t;",
		}}, report.Diagnostics)
		got, err := json.Marshal(report)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"files": [%[1]q], "diagnostics": [{
			"file": %[1]q, "line": 5, "code": "DS102", "analyzer": "destructive", "severity": "error",
			"text": "Dropping table \"t\": make a backup, and drop it once no running version of the service reads it",
			"stmt": "DROP TABLE t;"
		}]}`, newFile), string(got))
	})
}

func TestTextsOfFindingsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		mariadb := path.Base(t.Name()) == "mariadb"
		dir := dirtest.New(t, dirtest.Files{
			baseFile: fixtures["server"],
			newFile: `ALTER TABLE logins MODIFY hits bigint NULL;
ALTER TABLE logins ADD COLUMN token_hash varchar(64) COLLATE utf8mb4_general_ci NULL;
CREATE INDEX logins_account_2 ON logins (account_id);
CREATE INDEX accounts_note ON accounts (note);`,
		})
		report := run(t, url, dir, lint.Options{Latest: 1})
		require.Len(t, report.Diagnostics, 4)
		found := report.Diagnostics
		lock, collation, redundant, key := found[0], found[1], found[2], found[3]
		require.Equal(t, "blocking_alter", lock.Analyzer)
		require.Equal(t, lint.SeverityWarning, lock.Severity)
		require.Contains(t, lock.Text, "LOCK=NONE is not supported. Reason: ")
		require.Equal(t, "hash_collation", collation.Analyzer)
		require.Equal(t, lint.SeverityWarning, collation.Severity)
		require.Contains(t, collation.Text, `column "token_hash" of table "logins" is compared by utf8mb4_general_ci`)
		require.Equal(t, "redundant_index", redundant.Analyzer)
		require.Equal(t, lint.SeverityWarning, redundant.Severity)
		require.Contains(t, redundant.Text,
			`index "logins_account_2" of table "logins" only repeats index "logins_account"`)
		require.Equal(t, "text_key", key.Analyzer)
		require.Equal(t, lint.SeverityError, key.Severity)
		require.Equal(t, 4, key.Line)
		if mariadb {
			require.Contains(t, key.Text, `index "accounts_note" of table "accounts" covers only the first `)
		} else {
			require.Contains(t, key.Text, "Error 1170")
			require.Contains(t, key.Text, "what follows was not looked at")
		}
	})
}

// What stands in a conditional comment is code for the servers that execute it.
func TestConditionalCommentIsLintedAsTheServerReadsIt(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		dir := dirtest.New(t, dirtest.Files{
			baseFile: "CREATE TABLE t (a int, b int, c varchar(9));",
			newFile: "/*!40000 ALTER TABLE t DROP COLUMN a */;\n/*!999999 ALTER TABLE t DROP COLUMN b */;\n" +
				"/*!40000 ALTER TABLE t */ /*!50000 DROP COLUMN c */;\n/*!40000 ALTER TABLE t DISABLE KEYS */;\n" +
				"SET @@SESSION.SQL_LOG_BIN = 0;",
		})
		codes := codesOf(run(t, url, dir, lint.Options{Latest: 1}))
		require.Equal(t, []string{newFile + ":1 DS103", newFile + ":3 DS103", newFile + ":5 AG100"}, codes)
	})
}

// The other database may be in use: a table that is moved there would stay.
func TestTableIsNotMovedToAnotherDatabase(t *testing.T) {
	t.Parallel()
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		other := mysqltest.Another(t, url)
		for _, move := range []string{"RENAME TABLE t TO %s.t;", "ALTER TABLE t RENAME TO %s.t;"} {
			dir := dirtest.New(t, dirtest.Files{
				baseFile: "CREATE TABLE t (id int);", newFile: fmt.Sprintf(move, path.Base(other)),
			})
			report := run(t, url, dir, lint.Options{Latest: 1})
			require.Equal(t, []string{newFile + ":1 AG100"}, codesOf(report))
			require.Contains(t, report.Diagnostics[0].Text, "it reaches database")
			require.Empty(t, mysqltest.Tables(t, other))
		}
	})
}

// A refused statement ends the run: later files would report what is not there.
func TestRunStopsAtARefusedStatement(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _, url string) {
		content := dirtest.Files{
			baseFile:                   "CREATE TABLE t (id int);",
			newFile:                    "CREATE TABLE u (id int);\nCREATE TABLE t (id int);\nDROP TABLE t;",
			"20260103000000_later.sql": "DROP TABLE t;",
		}
		report := run(t, url, dirtest.New(t, content), lint.Options{})
		require.Equal(t, []string{newFile + ":2 AG100"}, codesOf(report))
		require.Equal(t, []string{baseFile, newFile}, report.Files)
		require.Equal(t, "CREATE TABLE t (id int);", report.Diagnostics[0].Stmt)

		report = run(t, url, dirtest.New(t, content), lint.Options{Latest: 1})
		require.Equal(t, []string{newFile + ":2 AG100"}, codesOf(report), "of a file that is not new")
		require.Empty(t, report.Files)
	})
}

func TestNolintSilencesWhatItNames(t *testing.T) {
	t.Parallel()
	const drop = "DROP TABLE t;"
	tests := []struct {
		name string
		sql  string
		want []string
	}{
		{"code", "-- atlas:nolint DS102\nDROP TABLE t;\nDROP TABLE u;", []string{"3 DS102"}},
		{"analyzer", "-- atlas:nolint destructive\nDROP TABLE t;\nDROP TABLE u;", []string{"3 DS102"}},
		{"all of a statement", "-- atlas:nolint\nDROP TABLE t;\nDROP TABLE u;", []string{"3 DS102"}},
		{"another code", "-- atlas:nolint DS103\n" + drop, []string{"2 DS102"}},
		{"several", "-- atlas:nolint AG103 DS102\n" + drop, nil},
		{"several lines", "-- atlas:nolint AG103\n-- Dropped since nothing reads it.\n-- atlas:nolint DS102\n" + drop,
			nil},
		{"carriage return", "-- atlas:nolint DS102\r\n" + drop, nil},
		{"code of the file", "-- atlas:nolint DS102\n\nDROP TABLE t;\nDROP TABLE u;", nil},
		{"analyzer of the file", "-- atlas:nolint destructive\n\nALTER TABLE t DROP COLUMN a;\nDROP TABLE u;", nil},
		{"another code of the file", "-- atlas:nolint DS103\n\nALTER TABLE t DROP COLUMN a;\nDROP TABLE u;",
			[]string{"4 DS102"}},
		{"all of the file", "-- atlas:nolint\n\nCREATE INDEX t_a ON t (a);\nCREATE INDEX t_a2 ON t (a);\nDROP TABLE u;",
			nil},
		{"own code",
			"-- atlas:nolint AG103\nCREATE INDEX t_a ON t (a);\n-- atlas:nolint AG103\nCREATE INDEX t_a2 ON t (a);\n" +
				"CREATE INDEX t_a3 ON t (a);",
			[]string{"5 AG103"}},
		{"own analyzer", "CREATE INDEX t_a ON t (a);\n-- atlas:nolint redundant_index\nCREATE INDEX t_a2 ON t (a);",
			nil},
		{"only the file's beginning", "CREATE TABLE v (id int);\n-- atlas:nolint\n\nDROP TABLE t;",
			[]string{"4 DS102"}},
	}
	each(t, func(t *testing.T, _, url string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				dir := dirtest.New(t, dirtest.Files{
					baseFile: "CREATE TABLE t (id int, a int);\nCREATE TABLE u (id int);",
					newFile:  tt.sql,
				})
				report := run(t, mysqltest.Another(t, url), dir, lint.Options{Latest: 1})
				want := []string{}
				for _, w := range tt.want {
					want = append(want, newFile+":"+w)
				}
				require.Equal(t, want, codesOf(report))
			})
		}
	})
}

func TestEmbeddedDirectoriesHaveNoFindings(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		all := dirtest.Embedded(t, mysqltest.Dialect(url))
		report := run(t, url, dirtest.New(t, all), lint.Options{})
		require.Empty(t, report.Diagnostics)
		require.Equal(t, all.Names(), report.Files)
	})
}

func TestFilesOfTheBaseAreNotAnalysedButMustNotChange(t *testing.T) {
	t.Parallel()
	const later = "20260103000000_later.sql"
	base := dirtest.Files{
		baseFile: "CREATE TABLE t (\n  id int\n);\nCREATE TABLE dropped (id int);",
		newFile:  "DROP TABLE dropped;",
	}
	tests := []struct {
		name     string
		files    dirtest.Files
		analysed []string
		want     []string
	}{
		{"the same", base, []string{}, []string{}},
		{"a new file", base.With(dirtest.Files{later: "DROP TABLE t;"}), []string{later}, []string{later + ":1 DS102"}},
		{"an edit",
			base.With(dirtest.Files{baseFile: "CREATE TABLE t (\n  id bigint\n);\nCREATE TABLE dropped (id int);"}),
			[]string{}, []string{baseFile + ":2 AG110"}},
		{"an edit at the end", base.With(dirtest.Files{newFile: "DROP TABLE dropped;\nCREATE TABLE u (id int);"}),
			[]string{}, []string{newFile + ":1 AG110"}},
		{"a removal", base.Without(newFile), []string{}, []string{newFile + ":0 AG110"}},
		{"out of order", base.With(dirtest.Files{"20260101120000_early.sql": "DROP TABLE t;"}),
			[]string{"20260101120000_early.sql"},
			[]string{"20260101120000_early.sql:1 AG111", "20260101120000_early.sql:1 DS102"}},
		{"a new name", base.Without(newFile).With(dirtest.Files{later: base[newFile]}), []string{later},
			[]string{newFile + ":0 AG110", later + ":1 DS102"}},
	}
	each(t, func(t *testing.T, _, url string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				report := run(t, url, dirtest.New(t, tt.files), lint.Options{Base: dirtest.New(t, base)})
				require.Equal(t, tt.want, codesOf(report))
				require.Equal(t, tt.analysed, report.Files)
				for _, d := range report.Diagnostics {
					require.Equal(t, lint.SeverityError, d.Severity, d.Code)
				}
			})
		}
	})
}

func TestLatestAnalysesTheNewestFiles(t *testing.T) {
	t.Parallel()
	content := dirtest.Files{
		"1_a.sql": "CREATE TABLE t (id int, a int);\nALTER TABLE t DROP COLUMN a;",
		"2_b.sql": "DROP TABLE t;",
		"3_c.sql": "CREATE TABLE t (id int);",
	}
	each(t, func(t *testing.T, _, url string) {
		dir := dirtest.New(t, content)
		for latest, want := range map[int][]string{
			0: content.Names(), 1: {"3_c.sql"}, 2: {"2_b.sql", "3_c.sql"}, 9: content.Names(),
		} {
			report := run(t, url, dir, lint.Options{Latest: latest})
			require.Equal(t, want, report.Files, latest)
		}
		base := dirtest.New(t, dirtest.Files{"1_a.sql": "CREATE TABLE t (id int);"})
		report := run(t, url, dir, lint.Options{Base: base, Latest: 2})
		require.Equal(t, []string{"1_a.sql:1 AG110", "2_b.sql:1 DS102"}, codesOf(report), "both options")
	})
}

func TestRunRefusesAWrongDirectoryAndADatabaseInUse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _, url string) {
		dir := dirtest.New(t, dirtest.Files{baseFile: "CREATE TABLE t (id int);"})
		dev, err := planner.OpenDev(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, dev.Close()) }()

		edited := dirtest.New(t, dirtest.Files{baseFile: "CREATE TABLE t (id int);"})
		require.NoError(t, edited.WriteFile(baseFile, []byte("DROP TABLE t;")))
		var sum *migrate.ChecksumError
		_, err = lint.Run(t.Context(), dev, edited, lint.Options{})
		require.ErrorAs(t, err, &sum)
		require.Equal(t, baseFile, sum.File)

		db := mysqltest.DB(t, url)
		_, err = db.ExecContext(t.Context(), "CREATE TABLE stranger (id int)")
		require.NoError(t, err)
		_, err = lint.Run(t.Context(), dev, dir, lint.Options{})
		require.ErrorContains(t, err, `it must be empty, but holds table "stranger"`)
		_, err = db.ExecContext(t.Context(), "DROP TABLE stranger")
		require.NoError(t, err)
		require.Empty(t, mysqltest.Tables(t, url), "left in the dev database")
	})
}
