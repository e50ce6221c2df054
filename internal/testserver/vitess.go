package testserver

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/authgraph/authgraph/migrate/vitess"
)

const (
	// VitessKeyspace is the database of [StartVitess].
	VitessKeyspace = "app"
	// vitessLookups is the keyspace that vschema.json names.
	vitessLookups = "auth_lookups"
	// vitessVersion is that of the module vitess.io/vitess.
	vitessVersion = "v0.24.4"
)

// StartVitess starts Vitess over a MySQL of its own: vtcombo, which is vtgate and the tablets in one process, and the
// only member. The keyspace [VitessKeyspace] has one shard or two. With two it is set up as docs/high-availability.md
// says. The first start builds vtcombo, which takes minutes.
//
// All that lasts is in MySQL, so a member that was killed goes on with Rejoin.
func StartVitess(ctx context.Context, shards int, progress io.Writer) (_ *Cluster, err error) {
	say := sayer("vitess", progress)
	vtcombo, err := buildVitess(ctx, say)
	if err != nil {
		return nil, err
	}
	below, err := StartOwn(ctx, MySQL, progress, "--default-time-zone=+00:00")
	if err != nil {
		return nil, err
	}
	c, folder, err := begin(ctx, MySQL)
	if err != nil {
		below.Stop()
		return nil, err
	}
	remove := c.release
	c.release = func() {
		below.Stop()
		remove()
	}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	v := vtgate{vtcombo: vtcombo, folder: folder, below: below, shards: []string{"0"}}
	if shards > 1 {
		v.shards = []string{"-80", "80-"}
	}
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	m, err := v.member()
	if err != nil {
		return nil, err
	}
	return c, c.add(ctx, m, say)
}

// buildVitess builds vtcombo into the cache, and returns its path.
func buildVitess(ctx context.Context, say func(string, ...any)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w; XDG_CACHE_HOME can name a folder to use", err)
	}
	folder := filepath.Join(cache, "authgraph", "testserver", "vitess_"+vitessVersion)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("%w; XDG_CACHE_HOME can name a folder to use", err)
	}
	unlock, err := lock(ctx, filepath.Join(folder, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	vtcombo := filepath.Join(folder, "vtcombo")
	if _, err := os.Stat(vtcombo); err == nil {
		return vtcombo, nil
	}
	say("building vtcombo %s …", vitessVersion)
	// "go install" refuses a module that excludes versions of others. They are excluded in the module's own folder.
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", "vitess.io/vitess@"+vitessVersion)
	out, err := download.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download: %w: %s", err, lastLines(out, 3))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("go mod download: %w", err)
	}
	built := vtcombo + ".new"
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", built, "./go/cmd/vtcombo")
	build.Dir = module.Dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build vtcombo: %w: %s", err, lastLines(out, 3))
	}
	return vtcombo, os.Rename(built, vtcombo)
}

// vtgate is how to run vtcombo.
type vtgate struct {
	vtcombo, folder string
	below           *Server
	shards          []string
}

func (v *vtgate) isSharded() bool { return len(v.shards) > 1 }

// prepare makes the databases of the shards, and the folder that vtcombo reads the vschemas from.
func (v *vtgate) prepare(ctx context.Context) error {
	databases := []string{"vt_" + vitessLookups + "_0"}
	for _, shard := range v.shards {
		databases = append(databases, "vt_"+VitessKeyspace+"_"+shard)
	}
	below := &Member{Server: *v.below}
	for _, name := range databases {
		if err := below.exec(ctx, "CREATE DATABASE `"+name+"`"); err != nil {
			return err
		}
	}
	for keyspace, file := range map[string]string{
		VitessKeyspace: "vschema.json", vitessLookups: "lookups.vschema.json",
	} {
		text := []byte("{}")
		if v.isSharded() {
			var err error
			if text, err = vitess.Files.ReadFile(file); err != nil {
				return err
			}
		}
		folder := filepath.Join(v.folder, "schema", keyspace)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "vschema.json"), text, 0o600); err != nil {
			return err
		}
	}
	return os.Mkdir(filepath.Join(v.folder, "tmp"), 0o700)
}

func (v *vtgate) member() (*Member, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(address(v.below.URL), ":")
	args := []string{
		"--bind-address=127.0.0.1", fmt.Sprint("--port=", ports[0]),
		"--mysql-server-bind-address=127.0.0.1", fmt.Sprint("--mysql-server-port=", ports[1]),
		"--mysql-auth-server-impl=none", "--db-host=" + host, "--db-port=" + port, "--db-charset=utf8mb4",
		"--mycnf-server-id=1", "--proto-topo=" + v.topology(), "--schema-dir=" + filepath.Join(v.folder, "schema"),
		"--tablet-types-to-wait=PRIMARY",
		"--queryserver-config-pool-size=40", "--queryserver-config-transaction-cap=100",
	}
	for _, user := range []string{"app", "dba", "allprivs", "appdebug", "filtered", "repl"} {
		args = append(args, "--db-"+user+"-user=root", "--db-"+user+"-password=")
	}
	m := &Member{
		Server: Server{URL: fmt.Sprintf("mysql://root@127.0.0.1:%d/", ports[1])}, product: MySQL,
		log: filepath.Join(v.folder, "log"), state: "SELECT 'vtgate', 'ready'", member: "ready",
		command: func(bool) (*exec.Cmd, error) {
			// Not bound to a context: the one of the start ends when the member is ready.
			cmd := exec.Command(v.vtcombo, args...)
			cmd.Env = append(os.Environ(), "VTDATAROOT="+v.folder)
			isolate(cmd)
			return cmd, unprivileged(cmd, v.folder)
		},
	}
	m.join = func(ctx context.Context, again bool) error {
		if err := m.waitFor(ctx, m.state, m.member); err != nil || again || !v.isSharded() {
			return err
		}
		return makeLookups(ctx, m.URL+vitessLookups)
	}
	return m, nil
}

// topology has no tablets but primaries.
func (v *vtgate) topology() string {
	var b strings.Builder
	for keyspace, shards := range map[string][]string{VitessKeyspace: v.shards, vitessLookups: {"0"}} {
		fmt.Fprintf(&b, "keyspaces { name: %q replica_count: 1 rdonly_count: -1 ", keyspace)
		for _, shard := range shards {
			fmt.Fprintf(&b, "shards { name: %q } ", shard)
		}
		b.WriteString("} ")
	}
	return b.String()
}

func makeLookups(ctx context.Context, url string) error {
	text, err := vitess.Files.ReadFile("lookups.sql")
	if err != nil {
		return err
	}
	config, err := Config(url)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		return err
	}
	defer db.Close()
	for statement := range strings.SplitSeq(strings.TrimSuffix(string(text), ";\n"), ";\n") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
