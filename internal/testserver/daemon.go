package testserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// program is a server executable, and how to run it.
type program struct {
	command []string // more than one word where a loader runs the executable
	share   string   // folder of the messages, character sets and system tables; the built-in one when empty
	plugins string
	flags   []string
}

// run is a server command with the arguments that hold for every start: it reads no file of the machine's own server.
func (p program) run(ctx context.Context, data string, args ...string) *exec.Cmd {
	all := append(p.command[1:len(p.command):len(p.command)], "--no-defaults", "--datadir="+data)
	// A server that starts removes the temporary tables of others from a folder that they share.
	all = append(all, "--tmpdir="+filepath.Dir(data))
	all = append(all, p.flags...)
	if p.share != "" {
		all = append(all, "--lc-messages-dir="+p.share, "--character-sets-dir="+filepath.Join(p.share, "charsets"))
	}
	if p.plugins != "" {
		all = append(all, "--plugin-dir="+p.plugins)
	}
	if os.Geteuid() == 0 {
		all = append(all, "--user=root")
	}
	cmd := exec.CommandContext(ctx, p.command[0], append(all, args...)...)
	isolate(cmd)
	return cmd
}

// startInstalled runs an executable of the machine on data of its own.
func startInstalled(ctx context.Context, product *Product, say func(string, ...any)) (*Server, error) {
	path, err := lookServer(product.executable)
	if err != nil {
		return nil, err
	}
	installed, err := newProgram(product, []string{path}, path)
	if err != nil {
		return nil, err
	}
	return startProgram(ctx, product, installed, say)
}

// lookServer also looks where Debian puts servers, which is on no ordinary user's PATH.
func lookServer(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s was not found", name)
}

func newProgram(product *Product, command []string, executable string) (program, error) {
	version, err := versionOf(command)
	if err != nil {
		return program{}, err
	}
	if err := product.checkVersion(version); err != nil {
		return program{}, fmt.Errorf("%s %w", executable, err)
	}
	p := program{command: command, flags: product.flags}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	prefix := filepath.Dir(filepath.Dir(executable))
	for _, share := range product.shares {
		folder := filepath.Join(prefix, share)
		if _, err := os.Stat(filepath.Join(folder, "charsets")); err == nil {
			p.share = folder
			break
		}
	}
	return p, nil
}

var versionOutput = regexp.MustCompile(`Ver (\S+)`)

func versionOf(command []string) (string, error) {
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "--no-defaults", "--version")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("--version: %w: %s", err, lastLines(out, 1))
	}
	found := versionOutput.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("--version says nothing of a version: %s", lastLines(out, 1))
	}
	return string(found[1]), nil
}

// startProgram initialises a temporary data folder and runs the server on it, on a free port of the loopback.
func startProgram(ctx context.Context, product *Product, p program, say func(string, ...any)) (*Server, error) {
	if product.inMemory && os.Getenv("TMPDIR") == "" && hasRoomInMemory(memory) {
		server, err := startIn(ctx, memory, product, p, say)
		if err == nil {
			return server, nil
		}
		// A machine may confine its own server to the folders that it knows, as AppArmor does.
		say("does not start with its data in %s: %v", memory, err)
	}
	return startIn(ctx, os.TempDir(), product, p, say)
}

// memory is the folder whose files Linux keeps in memory. A server flushes what it knows of tables and their files
// however it is set: without a disk, a statement that makes or changes a table takes a tenth of the time.
const memory = "/dev/shm"

// startIn does it with the temporary folder in parent.
func startIn(
	ctx context.Context, parent string, product *Product, p program, say func(string, ...any),
) (_ *Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	folder, release, err := temporaryFolder(ctx, parent, product)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	data := filepath.Join(folder, "data")
	for _, flag := range product.tuning {
		// The data folder is made for one way to compare table names; MySQL does not start on one made for another.
		if strings.HasPrefix(strings.ReplaceAll(flag, "_", "-"), "--lower-case-table-names") {
			p.flags = append(slices.Clone(p.flags), flag)
		}
	}
	if err := product.initialise(ctx, p, data); err != nil {
		return nil, fmt.Errorf("initialising: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	logFile := filepath.Join(folder, "log")
	output, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer output.Close()

	args := []string{
		"--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(port),
		// Relative to the data folder: an absolute one may be longer than a socket's name can be.
		"--socket=sock",
		"--pid-file=pid",
		"--skip-log-bin",
		"--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=0",
		"--innodb-doublewrite=OFF",
		"--innodb-buffer-pool-size=256M",
		"--max-connections=500",
	}
	args = append(args, product.tuning...)
	// Not bound to ctx, which ends when the server is ready.
	cmd := p.run(context.Background(), data, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	url := fmt.Sprintf("%s://root@127.0.0.1:%d/", product.name, port)
	version, err := waitReady(ctx, product, url, ended)
	if err != nil {
		cmd.Process.Kill()
		<-ended
		return nil, fmt.Errorf("%w\n%s", err, logTail(logFile))
	}
	stop := func() {
		select {
		case <-ended:
			say("the server ended before it was stopped\n%s", logTail(logFile))
		default:
		}
		// Its data is about to go: there is nothing that an orderly shutdown would save.
		cmd.Process.Kill()
		<-ended
		release()
	}
	return &Server{URL: url, Version: version, stop: stop}, nil
}

func initialiseMySQL(ctx context.Context, p program, data string) error {
	cmd := p.run(ctx, data, "--initialize-insecure", "--skip-log-bin", "--innodb-doublewrite=OFF")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(out, logLines))
	}
	return nil
}

// initialiseMariaDB does what mariadb-install-db does, without its need of a shell, my_print_defaults and an
// installation in the usual place.
func initialiseMariaDB(ctx context.Context, p program, data string) error {
	// Names differ by version: mysql_… before 10.11 or so, mariadb_… since.
	scripts := []string{"system_tables.sql", "performance_tables.sql", "system_tables_data.sql"}
	// One statement a line is the bootstrap's rule. No socket authentication means that root has no password.
	input := []io.Reader{strings.NewReader("CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET " +
		"@auth_root_socket=NULL;\n")}
	for _, script := range scripts {
		text, err := os.ReadFile(filepath.Join(p.share, "mariadb_"+script))
		if err != nil {
			text, err = os.ReadFile(filepath.Join(p.share, "mysql_"+script))
		}
		if err != nil {
			return err
		}
		input = append(input, bytes.NewReader(text), strings.NewReader("\n"))
	}
	if err := os.MkdirAll(filepath.Join(data, "mysql"), 0o700); err != nil {
		return err
	}
	cmd := p.run(ctx, data, "--bootstrap", "--skip-log-bin", "--innodb-doublewrite=OFF")
	cmd.Stdin = io.MultiReader(input...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(out, logLines))
	}
	return nil
}

// temporaryFolder makes a folder in parent that release removes, and removes those of runs that were killed before they
// could. A run holds a lock on its folder, so that a folder without one is nobody's.
func temporaryFolder(
	ctx context.Context, parent string, product *Product,
) (folder string, release func(), err error) {
	unlock, err := lock(ctx, filepath.Join(parent, fmt.Sprintf("authgraph-%d.lock", os.Geteuid())))
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	pattern := fmt.Sprintf("authgraph-%s-%d-", product.name, os.Geteuid())
	abandoned, _ := filepath.Glob(filepath.Join(parent, pattern+"*"))
	for _, folder := range abandoned {
		if free, err := tryLock(filepath.Join(folder, "lock")); err == nil {
			os.RemoveAll(folder)
			free()
		}
	}
	folder, err = os.MkdirTemp(parent, pattern)
	if err != nil {
		return "", nil, err
	}
	free, err := tryLock(filepath.Join(folder, "lock"))
	if err != nil {
		os.RemoveAll(folder)
		return "", nil, err
	}
	return folder, func() {
		os.RemoveAll(folder)
		free()
	}, nil
}

// lock waits for a lock that another run or another server of this run may hold for as long as a download takes.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		unlock, err := tryLock(path)
		if err == nil || !isLocked(err) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is locked by another run: %w", path, ctx.Err())
		case <-retry.C:
		}
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

const logLines = 20

func logTail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(text, logLines)
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
