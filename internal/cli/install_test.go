package cli_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// goEnvironment is what the go command of a script works with: the caches and the proxy of this run.
func goEnvironment() map[string]string {
	env := map[string]string{}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS",
		"GOTOOLCHAIN").Output()
	if err != nil {
		panic(err)
	}
	values := strings.Split(string(out), "\n")
	for i, name := range []string{"GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS",
		"GOTOOLCHAIN"} {
		env[name] = values[i]
	}
	// What one script has compiled is not compiled again for another one in another folder.
	env["GOFLAGS"] = strings.TrimSpace(env["GOFLAGS"] + " -trimpath")
	// git finds neither a repository above nor the settings of whoever runs this.
	env["GIT_CEILING_DIRECTORIES"] = os.TempDir()
	env["GIT_CONFIG_GLOBAL"], env["GIT_CONFIG_SYSTEM"] = os.DevNull, os.DevNull
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env["GIT_"+who+"_NAME"], env["GIT_"+who+"_EMAIL"] = "Ada", "ada@example.com"
	}
	return env
}

// The scripts that install into a module of their own run on every database, in an empty folder with a DATABASE_URL.
func TestInstall(t *testing.T) {
	t.Parallel()
	golang, bin := goEnvironment(), shipped(t)
	for engine, fresh := range map[string]func(testing.TB) string{
		"mysql":   mysqltest.MySQL,
		"mariadb": mysqltest.MariaDB,
		"sqlite":  mysqltest.SQLite,
	} {
		t.Run(engine, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/install",
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup: func(env *testscript.Env) error {
					for name, value := range golang {
						env.Setenv(name, value)
					}
					chooseProgram(env, engine, bin)
					url := fresh(env.T().(testing.TB))
					env.Setenv("ENGINE", engine)
					env.Setenv("DATABASE_URL", url)
					env.Setenv("GORACE", goRace)
					env.Setenv("XDG_CACHE_HOME", env.T().(testing.TB).TempDir()) // the home is none
					dir, schema := "migrate", "schema.sql"
					if engine == "sqlite" {
						dir, schema = "migrate/sqlite", "schema.sqlite.sql"
					}
					env.Setenv("DIR", dir)
					env.Setenv("SCHEMA", schema)
					own, err := filepath.Abs("../../ent/" + schema)
					if err != nil {
						return err
					}
					env.Setenv("OWN_SCHEMA", own)
					// The requirements of this project, for modules that are not to begin empty:
					// what they make of them is compiled already.
					for _, name := range []string{"go.mod", "go.sum"} {
						text, err := os.ReadFile("../../" + name)
						if err != nil {
							return err
						}
						text = bytes.Replace(text, []byte("module github.com/authgraph/authgraph\n"),
							[]byte("module example.com/blog\n"), 1)
						if err := os.WriteFile(env.Getenv("WORK")+"/own."+name[3:], text, 0o644); err != nil {
							return err
						}
					}
					env.Values[memory{}] = new(string)
					tb := env.T().(testing.TB)
					env.Values[pool{}] = func() *sql.DB { return mysqltest.DB(tb, url) }
					env.Values[another{}] = func() string { return mysqltest.Another(tb, url) }
					return nil
				},
				Condition: func(cond string) (bool, error) {
					switch cond {
					case "mysql", "mariadb", "sqlite":
						return cond == engine, nil
					}
					return false, fmt.Errorf("unknown condition %q", cond)
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits":     exits,
					"replace":   replace,
					"remember":  remember,
					"unchanged": unchanged,
					"newest":    newest,
					"oldest":    oldest,
					"empty":     empty,
					"db":        db,
					"printed":   printed,
					"samesql":   sameSQL,
					"goose":     goose,
				},
			})
		})
	}
}

// goose FILE runs the part of a migration that goose would run.
func goose(ts *testscript.TestScript, _ bool, args []string) {
	text, found := strings.CutPrefix(ts.ReadFile(args[0]), "-- +goose Up\n")
	up, _, ends := strings.Cut(text, "-- +goose Down\n")
	if !found || !ends {
		ts.Fatalf("%s is no migration of goose", args[0])
	}
	conn := ts.Value(pool{}).(func() *sql.DB)()
	for stmt := range strings.SplitSeq(up, ";\n") {
		if strings.TrimSpace(stmt) != "" {
			_, err := conn.Exec(stmt)
			ts.Check(err)
		}
	}
}

// sameSQL A B compares two generated schemas below their first line, which says how each was generated.
func sameSQL(ts *testscript.TestScript, _ bool, args []string) {
	_, a, _ := strings.Cut(ts.ReadFile(args[0]), "\n")
	_, b, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	if a == "" || a != b {
		ts.Fatalf("%s and %s differ", args[0], args[1])
	}
}

// printed PAGE COMMAND looks in what the last command printed for what the page shows below the question,
// whatever the times are.
func printed(ts *testscript.TestScript, _ bool, args []string) {
	shown, err := transcript("../../"+args[0], args[1])
	ts.Check(err)
	_, shown, _ = strings.Cut(shown, question)
	out := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for line := range strings.Lines(shown) {
		p := regexp.MustCompile(`^ +[0-9]+s`).ReplaceAllString(regexp.QuoteMeta(line), ` *[0-9ms]+`)
		p = version.ReplaceAllString(p, version.String())
		if line != "…\n" && !regexp.MustCompile(`(?m)^`+p).MatchString(out) {
			ts.Fatalf("%s shows for authgraph %s, and it did not print: %s", args[0], args[1], line)
		}
	}
}

// oldest DIR VARIABLE sets VARIABLE_VERSION to the version of the first migration.
func oldest(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]) + "/*.sql")
	ts.Check(err)
	ts.Setenv(args[1]+"_VERSION", versionOf(slices.Min(files)))
}

// empty VARIABLE makes another database of the same kind, and sets the variable to its URL.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], ts.Value(another{}).(func() string)())
}
