package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/authgraph/authgraph/internal/cli"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"authgraph": func() { os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// Every script runs on every database, in a folder with the migrations and schemas of this repository and a
// DATABASE_URL of its own. The engine is in $ENGINE, the directory of its migrations in $DIR, its schema in $SCHEMA;
// how many files the directory holds in $FILES, the last version in $NEWEST_VERSION.
func TestScripts(t *testing.T) {
	engines := map[string]func(testing.TB) string{
		"mysql":   mysqltest.MySQL,
		"mariadb": mysqltest.MariaDB,
		"sqlite":  mysqltest.SQLite,
	}
	bin := shipped(t)
	for engine, fresh := range engines {
		t.Run(engine, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/script",
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup: func(env *testscript.Env) error {
					chooseProgram(env, engine, bin)
					return setUp(env, engine, fresh(env.T().(testing.TB)))
				},
				Condition: func(cond string) (bool, error) {
					switch cond {
					case "mysql", "mariadb", "sqlite":
						return cond == engine, nil
					case "server":
						return engine != "sqlite", nil
					}
					return false, fmt.Errorf("unknown condition %q", cond)
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits":     exits,
					"db":        db,
					"drizzle":   drizzle,
					"sqlfile":   sqlfile,
					"replace":   replace,
					"planned":   planned,
					"remember":  remember,
					"unchanged": unchanged,
					"newest":    newest,
					"readonly":  readonly,
					"mysql":     emptyMySQL,
					"beside":    beside,
				},
			})
		})
	}
}

// goRace keeps a program built with -race from sleeping for a second before it exits.
const goRace = "atexit_sleep_ms=10"

// shipped returns a folder with the program as it is shipped, which lasts as long as the test.
func shipped(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder+"/authgraph",
		"../../cmd/authgraph").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return folder
}

// chooseProgram decides which authgraph a script runs: on MySQL this test's own binary, so that -race watches it in
// every script, on the others the one in the folder shipped. What runs at once in a command is the same for each
// engine, and each start of the watched one costs five times as much.
func chooseProgram(env *testscript.Env, engine, shipped string) {
	path := env.Getenv("PATH") // begins with the folder that testscript.Main put the command into
	bin := filepath.SplitList(path)[0]
	if engine != "mysql" {
		bin = shipped
		env.Setenv("PATH", bin+string(filepath.ListSeparator)+path)
	}
	env.Setenv("BIN", bin)
}

func setUp(env *testscript.Env, engine, rawURL string) error {
	dir, schema := "migrate", "ent/schema.sql"
	if engine == "sqlite" {
		dir, schema = "migrate/sqlite", "ent/schema.sqlite.sql"
	}
	env.Setenv("DATABASE_URL", rawURL)
	env.Setenv("ENGINE", engine)
	env.Setenv("GORACE", goRace)
	env.Setenv("DIR", dir)
	env.Setenv("SCHEMA", schema)
	migrations, err := filepath.Glob(filepath.Join("..", "..", dir, "*.sql"))
	if err != nil {
		return err
	}
	env.Setenv("FILES", strconv.Itoa(len(migrations)))
	env.Setenv("NEWEST_VERSION", versionOf(slices.Max(migrations)))
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	env.Setenv("HOST", u.Host)
	env.Setenv("DATABASE", strings.TrimPrefix(u.Path, "/"))
	u.Path = ""
	env.Setenv("SERVER", u.String())
	env.Values[memory{}] = new(string)
	tb := env.T().(testing.TB)
	env.Values[pool{}] = func() *sql.DB { return mysqltest.DB(tb, rawURL) }
	env.Values[other{}] = func() string { return mysqltest.MySQL(tb) }
	env.Values[another{}] = func() string { return mysqltest.Another(tb, rawURL) }
	for _, pattern := range []string{"ent/schema*.sql", "migrate/*.sql", "migrate/atlas.sum", "migrate/sqlite/*"} {
		files, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			to := filepath.Join(env.WorkDir, strings.TrimPrefix(file, "../../"))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keys of the values of a script.
type (
	memory  struct{}
	pool    struct{}
	other   struct{}
	another struct{}
)

// exits N COMMAND ARGS… runs a command that is to end with the exit code N.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want == 0:
	case errors.As(err, &exit) && exit.ExitCode() == want:
	default:
		ts.Fatalf("want exit code %d, got: %v", want, err)
	}
}

// db QUERY prints what a query finds, a line a row.
func db(ts *testscript.TestScript, _ bool, args []string) {
	_, err := ts.Stdout().Write([]byte(query(ts, args[0])))
	ts.Check(err)
}

// drizzle runs what drizzle-kit generates for the seed's schema, up to the index that MySQL refuses.
func drizzle(ts *testscript.TestScript, _ bool, args []string) {
	content, err := os.ReadFile(filepath.Join("..", "drizzletest", "testdata", "drizzle", args[0]))
	ts.Check(err)
	conn := ts.Value(pool{}).(func() *sql.DB)()
	for stmt := range strings.SplitSeq(string(content), "--> statement-breakpoint") {
		_, err := conn.Exec(stmt)
		if refusesKey(err) {
			return
		}
		ts.Check(err)
	}
}

// refusesKey reports whether an error is MySQL's refusal of an index on TEXT.
func refusesKey(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && refused.Number == 1170
}

// sqlfile FILE runs the statements of a file, which end with a line.
func sqlfile(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := ts.Value(pool{}).(func() *sql.DB)().Conn(context.Background())
	ts.Check(err)
	defer func() { ts.Check(conn.Close()) }()
	for stmt := range strings.SplitSeq(ts.ReadFile(args[0]), ";\n") {
		if strings.TrimSpace(stmt) != "" {
			_, err := conn.ExecContext(context.Background(), stmt)
			ts.Check(err)
		}
	}
}

func query(ts *testscript.TestScript, text string) string {
	rows, err := ts.Value(pool{}).(func() *sql.DB)().Query(text)
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	var out strings.Builder
	for rows.Next() {
		row, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		ts.Check(rows.Scan(dest...))
		for i, v := range row {
			if i > 0 {
				out.WriteByte('\t')
			}
			out.WriteString(v.String)
		}
		out.WriteByte('\n')
	}
	ts.Check(rows.Err())
	return out.String()
}

// replace FILE OLD NEW edits a file in which OLD occurs once; \n is a newline.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	newline := strings.NewReplacer(`\n`, "\n")
	text, old := ts.ReadFile(args[0]), newline.Replace(args[1])
	if n := strings.Count(text, old); n != 1 {
		ts.Fatalf("%q occurs %d times in %s", old, n, args[0])
	}
	text = strings.Replace(text, old, newline.Replace(args[2]), 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// planned DIR GOLDEN compares the newest migration with a file.
func planned(ts *testscript.TestScript, _ bool, args []string) {
	got, want := ts.ReadFile(newestFile(ts, args[0])), ts.ReadFile(args[1])
	if got != want {
		ts.Fatalf("planned:\n%s\nwant:\n%s", got, want)
	}
}

// newest DIR VARIABLE sets a variable to the path of the newest migration.
func newest(ts *testscript.TestScript, _ bool, args []string) {
	file := newestFile(ts, args[0])
	ts.Setenv(args[1], file)
	ts.Setenv(args[1]+"_VERSION", versionOf(file))
}

// versionOf is the version of a migration's file.
func versionOf(file string) string {
	version, _, _ := strings.Cut(filepath.Base(file), "_")
	return version
}

func newestFile(ts *testscript.TestScript, dir string) string {
	files, err := filepath.Glob(ts.MkAbs(dir) + "/*.sql")
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("%s holds no migration", dir)
	}
	return dir + "/" + filepath.Base(slices.Max(files))
}

// remember notes the files of the folder and the tables of the database, unchanged fails if they are others now.
func remember(ts *testscript.TestScript, _ bool, _ []string) {
	*ts.Value(memory{}).(*string) = everything(ts)
}

func unchanged(ts *testscript.TestScript, _ bool, _ []string) {
	if was, is := *ts.Value(memory{}).(*string), everything(ts); was != is {
		ts.Fatalf("changed from\n%s\nto\n%s", was, is)
	}
}

func everything(ts *testscript.TestScript) string {
	var b strings.Builder
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(path, root), sha256.Sum256(content))
		return err
	}))
	tables := "SELECT table_name, column_name, column_type FROM information_schema.columns " +
		"WHERE table_schema = DATABASE() ORDER BY 1, 2"
	if ts.Getenv("ENGINE") == "sqlite" {
		tables = "SELECT name, sql FROM sqlite_master ORDER BY 1"
	}
	return b.String() + query(ts, tables)
}

// readonly VARIABLE [TABLE…] makes a user that may only read the database, or only
// these tables of it, and sets the variable to its URL.
func readonly(ts *testscript.TestScript, _ bool, args []string) {
	conn := ts.Value(pool{}).(func() *sql.DB)()
	name := "authgraph_" + strings.ToLower(rand.Text()[:12])
	stmts := []string{"CREATE USER " + name + " IDENTIFIED BY 'geheim'"}
	tables := args[1:]
	if len(tables) == 0 {
		tables = []string{"*"}
	}
	for _, table := range tables {
		stmts = append(stmts, "GRANT SELECT ON "+ts.Getenv("DATABASE")+"."+table+" TO "+name)
	}
	for _, stmt := range stmts {
		_, err := conn.Exec(stmt)
		ts.Check(err)
	}
	ts.Defer(func() {
		_, err := conn.Exec("DROP USER " + name)
		ts.Check(err)
	})
	ts.Setenv(args[0], ts.Getenv("ENGINE")+"://"+name+":geheim@"+ts.Getenv("HOST")+"/"+ts.Getenv("DATABASE"))
}

// mysql VARIABLE makes an empty database on the MySQL server, and sets the variable to its URL.
func emptyMySQL(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], ts.Value(other{}).(func() string)())
}

// beside VARIABLE… makes an empty schema on the same server for each, and sets the variable to its name.
func beside(ts *testscript.TestScript, _ bool, args []string) {
	for _, variable := range args {
		u, err := url.Parse(ts.Value(another{}).(func() string)())
		ts.Check(err)
		ts.Setenv(variable, strings.TrimPrefix(u.Path, "/"))
	}
}
