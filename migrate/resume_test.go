package migrate_test

import (
	"bufio"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// cutDirs are directories that together hold every kind of statement. Each is short, because an apply is repeated for
// each command it sends; for most of them, for each but those that only read and leave the server as it was.
var cutDirs = []struct {
	name  string
	reads bool
	files dirtest.Files
}{
	{"project", false, nil},
	{"rows", true, dirtest.Files{
		"1_counters.sql": `
CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO counters VALUES (1, 1), (2, 2);
UPDATE counters SET n = n + 1;`,
		"2_more.sql": `
INSERT INTO counters SELECT id + 10, n * 10 FROM counters;
ALTER TABLE counters ADD COLUMN m int NOT NULL DEFAULT 7;
UPDATE counters SET n = n + 1, m = m + 1;
DELETE FROM counters WHERE n = 3;`,
	}},
	{"columns", false, dirtest.Files{
		"1_people.sql": `
CREATE TABLE people (id int PRIMARY KEY, born varchar(20));
ALTER TABLE people ADD COLUMN name varchar(20) COLLATE utf8mb4_bin, ADD UNIQUE (name);
ALTER TABLE people RENAME COLUMN born TO birth;
ALTER TABLE people MODIFY birth varchar(40) NOT NULL DEFAULT 'x', ADD INDEX (birth);`,
	}},
	{"objects", false, dirtest.Files{
		"1_session.sql": `
SET SESSION sql_mode = 'ANSI_QUOTES';
CREATE TABLE "parents" ("id" int PRIMARY KEY, at timestamp NOT NULL DEFAULT '2001-02-03 04:05:06');
CREATE TABLE "children" ("id" int PRIMARY KEY, "n" int, FOREIGN KEY ("id") REFERENCES "parents" ("id"));
SET FOREIGN_KEY_CHECKS = 0;
DROP TABLE parents;`,
	}},
	{"views", false, dirtest.Files{
		"1_views.sql": `
CREATE TABLE items (id int PRIMARY KEY, n int);
SET time_zone = '+05:30';
CREATE VIEW many AS SELECT id FROM items WHERE n > 1;
CREATE TRIGGER twice BEFORE INSERT ON items FOR EACH ROW SET NEW.n = NEW.n * 2;
CREATE PROCEDURE fill() INSERT INTO items VALUES (1, 2);
DROP VIEW many;`,
	}},
	{"dump", false, dirtest.Files{
		"1_dump.sql": `
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='ANSI' */;
;
CREATE TABLE "items" ("id" int PRIMARY KEY, FOREIGN KEY ("id") REFERENCES "orders" ("id"));
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
LOCK TABLES items WRITE;
/*!40000 ALTER TABLE items DISABLE KEYS */;
INSERT INTO items VALUES (1), (2);
UNLOCK TABLES;
/*!50001 CREATE TABLE orders (id int PRIMARY KEY) */;
/*!40000 INSERT INTO orders VALUES (1), (2) */;
/*M!999999 nothing */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;`,
	}},
	{"calls", false, dirtest.Files{
		"1_counters.sql": `
CREATE TABLE counters (n int NOT NULL);
INSERT INTO counters VALUES (1);
CREATE PROCEDURE bump() UPDATE counters SET n = n + 1;
CREATE PROCEDURE widen() ALTER TABLE counters ADD COLUMN m int;
CREATE FUNCTION bumped() RETURNS int DETERMINISTIC MODIFIES SQL DATA
BEGIN
  UPDATE counters SET n = n + 2;
  RETURN 1;
END;`,
		"2_calls.sql": `
CALL bump();
CALL widen();
DO bumped();
PREPARE times FROM 'UPDATE counters SET n = n * 10';
PREPARE more FROM 'ALTER TABLE counters ADD COLUMN k int';
EXECUTE times;
EXECUTE more;`,
	}},
}

func TestApplyGoesOnExactlyWhereItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	for _, test := range cutDirs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var dir directory.Dir
			if test.files != nil {
				dir = dirtest.New(t, test.files)
			}
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				if strings.Contains(fmt.Sprint(test.files), "PREPARE") {
					mysqltest.NeedsPreparedStatements(t, url)
				}
				want, commands := cleanApply(t, url, dir, test.reads)
				for k := range commands {
					t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
						t.Parallel()
						url := mysqltest.Another(t, url)
						proxy := newCutter(k, test.reads)
						// Not an error each time: a cut releases the lock, too.
						_, _ = migrate.Apply(t.Context(), proxy.Start(t, url), migrate.ApplyOptions{Dir: dir})
						require.True(t, proxy.cut.Load())
						dirtest.Apply(t, url, dir)
						require.Equal(t, want, mysqltest.Dump(t, url), "cut after %q", proxy.commands())
					})
				}
			})
		})
	}
}

// cutter is a proxy that cuts the connection when the server has carried out a number of commands. Half the times the
// client has seen the answer to the last of them, half the times it has not; to the server both are the same.
type cutter struct {
	mysqltest.Proxy
	cut atomic.Bool

	mu   sync.Mutex
	seen []string
}

// newCutter cuts after k commands, those that only read counted or not; if k is negative, never.
func newCutter(k int, reads bool) *cutter {
	c := &cutter{}
	c.Hook = func(_ int, command string) mysqltest.Action {
		if !reads && (strings.HasPrefix(command, "SELECT") || strings.HasPrefix(command, "SHOW")) {
			return mysqltest.Forward
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.seen) == k {
			c.cut.Store(true)
			return mysqltest.CutBefore
		}
		c.seen = append(c.seen, command)
		if len(c.seen) == k && k%2 == 1 {
			c.cut.Store(true)
			return mysqltest.CutAfter
		}
		return mysqltest.Forward
	}
	return c
}

// commands are those the server has carried out.
func (c *cutter) commands() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

// cleanApply applies without a cut and returns what is then in the database and how many commands it took.
func cleanApply(t *testing.T, url string, dir directory.Dir, reads bool) (content string, commands int) {
	t.Helper()
	counter := newCutter(-1, reads)
	dirtest.Apply(t, counter.Start(t, url), dir)
	content, commands = mysqltest.Dump(t, url), len(counter.commands())
	assert.Empty(t, dirtest.Apply(t, url, dir).Applied)
	require.Equal(t, content, mysqltest.Dump(t, url), "a second apply changes something")
	return content, commands
}

var killed = dirtest.Files{
	"1_a.sql": "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);",
	"2_b.sql": "ALTER TABLE a ADD COLUMN m int;",
}

func TestApplyGoesOnExactlyWhereItsProcessWasKilled(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, killed)
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		want, commands := cleanApply(t, url, dirtest.Open(t, path), true)
		for k := range commands {
			t.Run(fmt.Sprintf("after %d commands", k), func(t *testing.T) {
				t.Parallel()
				url := mysqltest.Another(t, url)
				var process *exec.Cmd
				started := make(chan struct{})
				proxy := newCutter(k, true)
				proxy.OnCut = func() {
					<-started
					assert.NoError(t, process.Process.Kill())
				}
				process = applyInChild(t, proxy.Start(t, url), path)
				require.NoError(t, process.Start())
				close(started)
				require.ErrorContains(t, process.Wait(), "killed")
				dirtest.Apply(t, url, dirtest.Open(t, path))
				require.Equal(t, want, mysqltest.Dump(t, url), "killed after %q", proxy.commands())
			})
		}
	})
}

func TestApplyOnSQLiteStartsAFileAnewWhereItsProcessWasKilled(t *testing.T) {
	t.Parallel()
	path := dirtest.Folder(t, killed)
	clean := mysqltest.SQLite(t)
	dirtest.Apply(t, clean, dirtest.Open(t, path))
	want := mysqltest.Dump(t, clean)
	const calls = 6 // two for each of the three statements
	for n := 1; n <= calls; n++ {
		t.Run(fmt.Sprintf("%d of %d", n, calls), func(t *testing.T) {
			t.Parallel()
			url := mysqltest.SQLite(t)
			process := applyInChild(t, url, path, childStep+"=1")
			stdin, err := process.StdinPipe()
			require.NoError(t, err)
			stdout, err := process.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, process.Start())
			lines := bufio.NewScanner(stdout)
			for i := 1; i <= n; i++ {
				require.True(t, lines.Scan(), "the child ended early")
				if i < n {
					_, err = fmt.Fprintln(stdin)
					require.NoError(t, err)
				}
			}
			require.NoError(t, process.Process.Kill())
			require.ErrorContains(t, process.Wait(), "killed")

			status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{Dir: dirtest.Open(t, path)})
			require.NoError(t, err)
			// The second file begins with the fifth call.
			assert.Len(t, status.Applied, (n-1)/4)
			assert.Nil(t, status.Partial)
			dirtest.Apply(t, url, dirtest.Open(t, path))
			require.Equal(t, want, mysqltest.Dump(t, url))
		})
	}
}
