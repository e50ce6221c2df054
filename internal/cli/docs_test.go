package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The reasons of notRun that are given more than once.
const (
	changesPrograms = "it changes the programs of whoever runs the test"
	compiles        = "it compiles a client; the scripts of testdata/install run it"
	notInstalled    = "nothing is installed here; the scripts of testdata/install run it"
	twoServices     = "it needs two services in one database, or the Atlas CLI; the tests of package migrate run it"
	dumped          = "it needs mysqldump; the script dump runs it on a file"
)

// notRun are the commands of the pages that the test does not run, and why.
var notRun = map[string]string{
	"go run ./cmd/authgraph demo":           "it needs this repository; the script demo runs it",
	"make test":                             "it is this test, with all others",
	"go get github.com/authgraph/authgraph": "it needs a release on a module proxy",
	"go install github.com/authgraph/authgraph/cmd/authgraph@latest": changesPrograms,
	"go generate ./ent":     "it needs this repository; the pipeline requires a clean tree after it",
	"make bench":            "it takes hours",
	"make bench-growth":     "it takes hours",
	"make bench-purge":      "it takes hours",
	"make bench-migrations": "it takes hours, npm and the Atlas CLI",
	"make bench ROWS=10M BENCHFLAGS='-rounds 30'":                           "it takes hours",
	"git clone https://github.com/authgraph/authgraph && cd authgraph":      "it needs the network",
	"go mod init example.com/app":                                           "the folder is a module already",
	"authgraph init --db mysql":                                             compiles,
	"authgraph add schema auth --db mysql":                                  compiles,
	"authgraph add schema auth/session --db mysql":                          compiles,
	"authgraph add schema auth/user --url mysql://root@localhost:3306":      compiles,
	"authgraph migrate apply --baseline 20261130163911":                     notInstalled,
	"authgraph migrate apply --revisions-schema auth_history --allow-dirty": twoServices,
	"authgraph migrate status --revisions-schema auth_history":              twoServices,
	"mysqldump --no-data --set-gtid-purged=OFF shop --result-file=shop.sql": dumped,
	"authgraph diff shop.sql migrate":                                       dumped,
	"authgraph upgrade":                                                     notInstalled,
	"authgraph upgrade --dry-run":                                           notInstalled,

	`authgraph add schema auth --with-auth --user Member --map name=full_name --rule "status = 'active'"`: compiles,

	`atlas migrate status --url "$DATABASE_URL" --dir file://migrate --revisions-schema auth_history`: twoServices,
}

// elsewhere are the pages whose commands another test runs, and where.
var elsewhere = map[string]string{
	"own-user.md": "internal/owntest runs it on a project with users of its own",
	"ent.md":      "a module of its own is made of it",
}

// finds are the commands of which exit code 3 is an answer.
var finds = regexp.MustCompile(`^authgraph (diff|doctor)\b|^authgraph adopt$`)

// happens is what has happened to the database before a command of a page.
var happens = map[string]string{
	"README.md: authgraph adopt":                                   twoAccounts,
	"README.md: authgraph adopt --apply --normalize-emails":        toldApart,
	"adopt.md: authgraph adopt":                                    twoAccounts,
	"adopt.md: authgraph adopt --out adopt.sql --normalize-emails": toldApart,
	"inspect.md: authgraph diff migrate sqlite://app.db":           nickname,
}

const (
	twoAccounts = `INSERT INTO users (id, name, email, provider, provider_id)
		VALUES (1, 'Ada', 'Ada@example.com', 'github', '42'), (2, 'Bob', 'bob@example.com', 'github', '42')`
	nickname  = "ALTER TABLE users ADD COLUMN nickname varchar NULL"
	toldApart = "UPDATE users SET provider_id = '43' WHERE id = 2"
)

// advice is a command in a console block of a page, without its comment, and what the page shows of its output.
type advice struct{ command, shown string }

// advised is the advice of a page, in its order.
func advised(page string) (list []advice, err error) {
	text, err := os.ReadFile(page)
	for _, block := range blockOfPage.FindAllStringSubmatch(string(text), -1) {
		if block[1] == "" {
			list = append(list, adviceOf(block[2])...)
		}
	}
	return list, err
}

// adviceOf is the advice of one block.
func adviceOf(block string) (list []advice) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			command, _, _ = strings.Cut(command, " #")
			list = append(list, advice{command: strings.TrimSpace(command)})
		} else if len(list) > 0 {
			list[len(list)-1].shown += line
		}
	}
	return list
}

// What the pages advise is run as it is written, in the order of each page, in a folder with the migrations and schemas
// of this repository. Only the addresses are others. A command that is neither run nor in notRun fails, and so does one
// that prints something else than the page shows.
func TestThePagesAdviseWhatWorks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	pages = append(pages, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md")
	met := map[string]bool{}
	for _, page := range pages {
		list, err := advised(page)
		require.NoError(t, err)
		for _, a := range list {
			met[a.command] = true
		}
		list = slices.DeleteFunc(list, func(a advice) bool { return notRun[a.command] != "" })
		if len(list) == 0 || elsewhere[filepath.Base(page)] != "" {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			runAdvice(t, filepath.Base(page), list)
		})
	}
	for command := range notRun {
		assert.Contains(t, met, command, "no page advises this any more")
	}
}

// addresses are those that the pages have for a server of the reader's.
var addresses = regexp.MustCompile(`'?mysql://(root@127\.0\.0\.1|user:password@localhost|user:password@db):3306/\w+'?`)

func runAdvice(t *testing.T, page string, list []advice) {
	program, url := installed(t), mysqltest.MySQL(t)
	dir := repository(t)
	env := append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "DATABASE_URL="+url,
		"PRODUCTION_URL="+url, "EMPTY_DATABASE_URL="+mysqltest.MySQL(t), "GORACE="+goRace)
	for name, value := range goEnvironment() {
		if strings.HasPrefix(name, "GIT_") {
			env = append(env, name+"="+value)
		}
	}
	shell := func(command string) ([]byte, int) {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return out, exit.ExitCode()
		}
		require.NoError(t, err)
		return out, 0
	}
	set := map[string]string{
		"migrations.md": `git init -q -b main && git add . && git commit -qm base &&
			git update-ref refs/remotes/origin/main HEAD &&
			sed -i.was '/otps_max_attempts/!s/^  .name. varchar(100) NOT NULL,$/&\n  shoe_size varchar(20) NULL,/' \
			ent/schema.sql ent/schema.sqlite.sql`,
		"doctor.md":  `authgraph migrate apply`,
		"inspect.md": `authgraph migrate apply; authgraph migrate apply --url sqlite://app.db`,
	}
	if set[page] != "" {
		out, code := shell(set[page])
		require.Zero(t, code, "%s", out)
	}
	if page == "README.md" || page == "adopt.md" {
		seed(t, url)
	}
	exports := ""
	for _, a := range list {
		command := addresses.ReplaceAllString(a.command, "'"+url+"'")
		if strings.HasPrefix(command, "export ") {
			exports += command + "\n"
			continue
		}
		if stmt := happens[page+": "+a.command]; stmt != "" {
			on := url
			if strings.Contains(command, "sqlite://app.db") {
				on = "sqlite://" + filepath.Join(dir, "app.db")
			}
			_, err := mysqltest.DB(t, on).Exec(stmt)
			require.NoError(t, err)
		}
		out, code := shell(exports + command)
		if code != 3 || !finds.MatchString(command) {
			assert.Zero(t, code, "%s\n%s", command, out)
		}
		assert.NotContains(t, string(out), "migrations embedded", command)
		if a.shown != "" {
			assert.Regexp(t, pattern(a.shown), string(out), "%s does not show what %s prints", page, command)
		}
	}
}

// repository is a module with the migrations and schemas of this one.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/app\n\ngo 1.26\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policy.json"), []byte("{}\n"), 0o644))
	for _, pattern := range []string{"ent/schema*.sql", "migrate/*.sql", "migrate/atlas.sum", "migrate/sqlite/*"} {
		files, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			to := filepath.Join(dir, strings.TrimPrefix(filepath.ToSlash(file), "../../"))
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
			require.NoError(t, os.WriteFile(to, content, 0o644))
		}
	}
	return dir
}

// seed makes the tables that Drizzle makes of the seed's schema.
func seed(t *testing.T, url string) {
	t.Helper()
	content, err := os.ReadFile("../drizzletest/testdata/drizzle/seed.sql")
	require.NoError(t, err)
	for stmt := range strings.SplitSeq(string(content), "--> statement-breakpoint") {
		_, err := mysqltest.DB(t, url).Exec(stmt)
		if refusesKey(err) {
			return
		}
		require.NoError(t, err)
	}
}
