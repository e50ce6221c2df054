package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// galeraRelease is the MariaDB whose suite also has galera-4.
const galeraRelease = "11.8"

// StartGalera starts a Galera cluster of n nodes of MariaDB. It takes about five seconds a node, and the packages
// mariadb-server-core and galera-4 of the Debian archive.
//
// The nodes are copies of one data folder, which a node alone has given a position in a history: what was written since
// they get as a cluster's events, and no program that copies data is needed. Nor may a node be away for longer than the
// others keep the events, 128 MiB of them.
func StartGalera(ctx context.Context, n int, progress io.Writer) (_ *Cluster, err error) {
	product := MariaDB.Version(galeraRelease)
	say := sayer(product.String(), progress)
	folders, err := product.archived().folders(ctx, say)
	if err != nil {
		return nil, err
	}
	p, err := unpackedProgram(product, folders[0])
	if err != nil {
		return nil, err
	}
	provider, err := galeraProvider(ctx, product.suite, say)
	if err != nil {
		return nil, err
	}
	c, folder, err := begin(ctx, product)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	g := galera{product: product, program: p, provider: provider, folder: folder}
	if err := g.seed(ctx); err != nil {
		return nil, fmt.Errorf("the first node's data: %w", err)
	}
	members, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, port := range members {
		addresses = append(addresses, fmt.Sprint("127.0.0.1:", port))
	}
	for i, member := range members {
		data := filepath.Join(folder, fmt.Sprint("node", i+1))
		if err := os.CopyFS(data, os.DirFS(g.seeded())); err != nil {
			return nil, err
		}
		ports, err := freePorts(2)
		if err != nil {
			return nil, err
		}
		var flags []string
		if i == 0 {
			flags = append(flags, "--wsrep-new-cluster")
		}
		node := g.node(data, ports[0], member, ports[1], "gcomm://"+strings.Join(addresses, ","), flags...)
		if err := c.add(ctx, node, say); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// galeraProvider is the library that a server loads to be a node.
func galeraProvider(ctx context.Context, suite string, say func(string, ...any)) (string, error) {
	library := func(folder string) string { return filepath.Join(folder, "usr/lib/galera/libgalera_smm.so") }
	folders, err := archived{
		name: "galera-4", suite: suite, install: []string{"galera-4"}, needs: "galera-4$",
		prepare: func(context.Context, string, string) error { return nil },
		check:   func(_ context.Context, folder string) error { _, err := os.Stat(library(folder)); return err },
	}.folders(ctx, say)
	if err != nil {
		return "", err
	}
	return library(folders[0]), nil
}

// galera makes the nodes of a cluster.
type galera struct {
	product  *Product
	program  program
	provider string
	folder   string
}

// transfer is the script by which a node gets the data of another: it has them.
const transfer = `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in --role) role=$2 ;; --gtid) gtid=$2 ;; --datadir) file=$2/../position ;; esac
	shift
done
if [ "$role" = joiner ]; then
	rm -f "$file"
	echo "ready 127.0.0.1:1/none"
	while [ ! -s "$file" ]; do sleep 0.05; done
	cat "$file"
else
	cat >/dev/null # an account for the transfer
	echo "$gtid" >"$file.new" && mv "$file.new" "$file"
	echo "done $gtid"
fi
`

func (g *galera) seeded() string { return filepath.Join(g.folder, "seed") }

// seed makes the data folder that the nodes begin with.
func (g *galera) seed(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(g.folder, "wsrep_sst_nothing"), []byte(transfer),
		0o700); err != nil { //nolint:gosec // it is a program
		return err
	}
	data := g.seeded()
	if err := g.product.initialise(ctx, g.program, data); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	node := g.node(data, ports[0], ports[1], ports[2], "gcomm://", "--wsrep-new-cluster")
	if err := node.run(ctx, false); err != nil {
		return err
	}
	if err := node.enter(ctx, false); err != nil {
		return err
	}
	// An orderly end writes down the position.
	_ = node.cmd.Process.Signal(syscall.SIGTERM) // it has ended already where that fails
	<-node.ended
	for _, made := range []string{"galera.cache", "gvwstate.dat"} {
		if err := os.Remove(filepath.Join(data, made)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// node is a node on a data folder; flags are those of its first start.
func (g *galera) node(data string, port, member, receive int, cluster string, flags ...string) *Member {
	args := []string{
		"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--socket=sock", "--pid-file=pid",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--max-connections=300",
		"--wsrep-on=ON", "--wsrep-provider=" + g.provider, "--wsrep-cluster-address=" + cluster,
		fmt.Sprint("--wsrep-node-address=127.0.0.1:", member), "--wsrep-sst-method=nothing",
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;"+
			"ist.recv_addr=127.0.0.1:%d;gcache.size=128M", member, receive),
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
	}
	run := func(more ...string) *exec.Cmd {
		// Not bound to a context: the one of the start ends when the node is ready.
		cmd := g.program.run(context.Background(), data, append(args[:len(args):len(args)], more...)...)
		cmd.Env = append(os.Environ(), "PATH="+g.folder+string(os.PathListSeparator)+os.Getenv("PATH"))
		return cmd
	}
	m := &Member{
		Server: Server{URL: fmt.Sprintf("%s://root@127.0.0.1:%d/", g.product.name, port)}, product: g.product,
		log: data + ".log", state: "SHOW STATUS LIKE 'wsrep_local_state_comment'", member: "Synced",
		size: "SHOW STATUS LIKE 'wsrep_cluster_size'",
	}
	m.command = func(again bool) (*exec.Cmd, error) {
		if !again {
			return run(flags...), nil
		}
		// Where it was killed, only its own recovery knows how far it had come.
		output, err := run("--wsrep-recover").CombinedOutput()
		found := recovered.FindSubmatch(output)
		if found == nil {
			return nil, fmt.Errorf("the position of %s: %w\n%s", data, err, output)
		}
		return run("--wsrep-start-position=" + string(found[1])), nil
	}
	m.join = func(ctx context.Context, _ bool) error {
		return m.waitFor(ctx, m.state, m.member)
	}
	return m
}

// recovered is what a node prints with --wsrep-recover.
var recovered = regexp.MustCompile(`Recovered position:? *([0-9a-f-]+:-?[0-9]+)`)
