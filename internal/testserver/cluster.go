package testserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// galeraRelease is the MariaDB whose suite also has galera-4.
const galeraRelease = "11.8"

// StartGalera starts a Galera cluster of n nodes of MariaDB and returns them in order. Stop
// ends one node, as a crash would; one goroutine stops them all. It takes about five seconds a
// node, and the packages mariadb-server-core and galera-4 of the Debian archive.
//
// The nodes are copies of one data folder, which a node alone has given a position in a history: what was written
// since they get as a cluster's events, and no program that copies data is needed.
func StartGalera(ctx context.Context, n int, progress io.Writer) (_ []*Server, err error) {
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
	folder, release, err := temporaryFolder(ctx, os.TempDir(), product)
	if err != nil {
		return nil, err
	}
	c := galera{product: product, program: p, provider: provider, folder: folder}
	defer func() {
		if err != nil {
			for _, node := range c.nodes {
				node.stop()
			}
			release()
		}
	}()
	if err := c.seed(ctx); err != nil {
		return nil, fmt.Errorf("the first node's data: %w", err)
	}
	if c.members, err = freePorts(n); err != nil {
		return nil, err
	}
	for i := range n {
		if err := c.start(ctx, i); err != nil {
			return nil, fmt.Errorf("node %d: %w", i+1, err)
		}
		say("node %d of %d on %s", i+1, n, address(c.nodes[i].URL))
	}
	// The folder goes with the last node that is stopped.
	left := n
	for _, node := range c.nodes {
		end := node.stop
		node.stop = sync.OnceFunc(func() {
			end()
			if left--; left == 0 {
				release()
			}
		})
	}
	return c.nodes, nil
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

// galera is a cluster under way.
type galera struct {
	product  *Product
	program  program
	provider string
	folder   string
	members  []int // the ports on which the nodes talk to each other
	nodes    []*Server
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

// seed makes the data folder that the nodes begin with.
func (c *galera) seed(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(c.folder, "wsrep_sst_nothing"), []byte(transfer),
		0o700); err != nil { //nolint:gosec // it is a program
		return err
	}
	data := filepath.Join(c.folder, "seed")
	if err := c.product.initialise(ctx, c.program, data); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	node, err := c.run(ctx, data, ports[0], ports[1], ports[2], "gcomm://", "--wsrep-new-cluster")
	if err != nil {
		return err
	}
	// An orderly end writes down the position.
	node.end(syscall.SIGTERM)
	for _, made := range []string{"galera.cache", "gvwstate.dat"} {
		if err := os.Remove(filepath.Join(data, made)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *galera) start(ctx context.Context, i int) error {
	data := filepath.Join(c.folder, fmt.Sprint("node", i+1))
	if err := os.CopyFS(data, os.DirFS(filepath.Join(c.folder, "seed"))); err != nil {
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	var addresses []string
	for _, port := range c.members {
		addresses = append(addresses, fmt.Sprint("127.0.0.1:", port))
	}
	var flags []string
	if i == 0 {
		flags = append(flags, "--wsrep-new-cluster")
	}
	node, err := c.run(ctx, data, ports[0], c.members[i], ports[1], "gcomm://"+strings.Join(addresses, ","), flags...)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, &Server{URL: node.url, Version: node.version, stop: func() { node.end(syscall.SIGKILL) }})
	return nil
}

// galeraNode is a running node.
type galeraNode struct {
	url, version string
	cmd          *exec.Cmd
	ended        chan struct{}
}

func (n *galeraNode) end(signal syscall.Signal) {
	_ = n.cmd.Process.Signal(signal) // it has ended already where that fails
	<-n.ended
}

// run starts a node and waits until it belongs to the cluster.
func (c *galera) run(ctx context.Context, data string, port, member, receive int, cluster string,
	flags ...string) (*galeraNode, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	logFile := data + ".log"
	output, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	args := append([]string{
		"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--socket=sock", "--pid-file=pid",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--max-connections=300",
		"--wsrep-on=ON", "--wsrep-provider=" + c.provider, "--wsrep-cluster-address=" + cluster,
		fmt.Sprint("--wsrep-node-address=127.0.0.1:", member), "--wsrep-sst-method=nothing",
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;"+
			"ist.recv_addr=127.0.0.1:%d;gcache.size=32M", member, receive),
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
	}, flags...)
	// Not bound to ctx, which ends when the node is ready.
	cmd := c.program.run(context.Background(), data, args...)
	cmd.Env = append(os.Environ(), "PATH="+c.folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	node := &galeraNode{url: fmt.Sprintf("%s://root@127.0.0.1:%d/", c.product.name, port), cmd: cmd,
		ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log says how it ended
		close(node.ended)
	}()
	if node.version, err = waitReady(ctx, c.product, node.url, node.ended); err == nil {
		err = waitSynced(ctx, node)
	}
	if err != nil {
		node.end(syscall.SIGKILL)
		return nil, fmt.Errorf("%w\n%s", err, logTail(logFile))
	}
	return node, nil
}

// waitSynced waits until a node has what the others have.
func waitSynced(ctx context.Context, node *galeraNode) error {
	config, err := Config(node.url)
	if err != nil {
		return err
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		var name, state string
		err := db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_local_state_comment'").Scan(&name, &state)
		if err == nil && state == "Synced" {
			return nil
		}
		select {
		case <-node.ended:
			return errors.New("the node ended before it was synced")
		case <-ctx.Done():
			return fmt.Errorf("the node is not synced but %q: %w", state, ctx.Err())
		case <-retry.C:
		}
	}
}

// freePorts are different ones, which one after the other need not be.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
