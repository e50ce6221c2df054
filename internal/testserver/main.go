package testserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const usage = `usage: withservers [-mysql-only] [-tools] [--] command [argument …]

Runs the command with a MySQL and a MariaDB server, whose URLs it finds in
` + MySQLVariable + ` and ` + MariaDBVariable + `, and exits as the command does.
A URL that is set already is used as it is. AUTHGRAPH_TEST_REFRESH=1 looks
for what is newer where it was fetched from the Debian archive before.

  -mysql-only   leave MariaDB out
  -tools        bring chromium, node, npm, python3 and sqlite3 where PATH has none
`

const (
	exitMissing     = 125 // a code that the command itself hardly exits with
	exitInterrupted = 130 // as a shell has it
)

// Main is the command withservers; it returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("withservers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	mysqlOnly := flags.Bool("mysql-only", false, "")
	withTools := flags.Bool("tools", false, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	endWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	products := []*Product{MySQL, MariaDB}
	if *mysqlOnly {
		products = products[:1]
		fmt.Fprintln(stderr, "mariadb: left out, because of -mysql-only")
	}
	var folders []string
	var missing error
	var fetching sync.WaitGroup
	if *withTools {
		fetching.Go(func() { folders, missing = missingTools(ctx, stderr) })
	}
	servers, err := startAll(ctx, products, stderr)
	fetching.Wait()
	defer func() {
		for _, server := range servers {
			if server != nil {
				server.Stop()
			}
		}
	}()
	if ctx.Err() != nil {
		return exitInterrupted
	}
	if err := errors.Join(err, missing); err != nil {
		fmt.Fprintln(stderr, err)
		return exitMissing
	}
	// The machine's own commands come first. The command itself may be one of the tools.
	path := strings.Join(append([]string{os.Getenv("PATH")}, folders...), string(os.PathListSeparator))
	if err := os.Setenv("PATH", path); err != nil {
		fmt.Fprintln(stderr, err)
		return exitMissing
	}
	cmd := exec.Command(flags.Arg(0), flags.Args()[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = environment(products, servers)
	return runCommand(ctx, cmd)
}

func startAll(ctx context.Context, products []*Product, progress io.Writer) ([]*Server, error) {
	servers := make([]*Server, len(products))
	failures := make([]error, len(products))
	var starting sync.WaitGroup
	for i, product := range products {
		starting.Go(func() {
			servers[i], failures[i] = Start(ctx, product, progress)
		})
	}
	starting.Wait()
	return servers, errors.Join(failures...)
}

// environment is this process's own with the servers in it, and with none of those that were left out.
func environment(products []*Product, servers []*Server) []string {
	var env []string
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		switch name {
		case MySQLVariable, MariaDBVariable, WithoutMariaDBVariable:
		default:
			env = append(env, setting)
		}
	}
	for i, product := range products {
		env = append(env, product.variable+"="+servers[i].URL)
	}
	if len(products) == 1 {
		env = append(env, WithoutMariaDBVariable+"=1")
	}
	return env
}

// runCommand passes the end of ctx on to the command, and gives it a while to end.
func runCommand(ctx context.Context, cmd *exec.Cmd) int {
	signal := ownGroup(cmd, cmd.Stdin)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(cmd.Stderr, err)
		return 127
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		signal(syscall.SIGTERM)
		select {
		case err = <-ended:
		case <-time.After(10 * time.Second):
			signal(syscall.SIGKILL)
			err = <-ended
		}
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0
	case ok && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case ok:
		// A shell's way to tell of a signal.
		return 128 + signalNumber(exit)
	}
	fmt.Fprintln(cmd.Stderr, err)
	return 1
}

func signalNumber(exit *exec.ExitError) int {
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok {
		return 0
	}
	return int(status.Signal())
}
