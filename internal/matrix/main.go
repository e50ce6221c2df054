// Command matrix runs the tests of the migrations, of adopt, of doctor and of package auth on each release of a server
// that testserver can start: once at the server's defaults, once under flags that are as hostile as can be. It prints
// the table of docs/servers.md, and fails when a test fails or a server cannot be had.
//
//	go run ./internal/matrix                                      # all
//	go run ./internal/matrix "mariadb 10.5"                       # those whose name holds a text
//	go run ./internal/matrix -url mysql://root@127.0.0.1:3306/    # on a server that runs already
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/authgraph/authgraph/internal/testserver"
)

// The packages whose tests are run. Those that ask mysqltest for no database say nothing of the server.
var packages = []string{
	".", "./auth/...", "./migrate/...",
	"./internal/adopt", "./internal/directory", "./internal/lint", "./internal/planner", "./internal/doctor",
}

// hostile is what a server can be told without being wrong. Each has broken a program somewhere.
var hostile = []string{
	"--autocommit=0",
	"--explicit-defaults-for-timestamp=OFF",
	"--character-set-server=latin1", "--collation-server=latin1_swedish_ci",
	"--transaction-isolation=SERIALIZABLE",
	"--lower-case-table-names=1",
	"--sql-mode=ANSI_QUOTES",
	"--default-time-zone=+05:30",
	"--max-prepared-stmt-count=0",
}

// cell is one run of the tests.
type cell struct {
	product  *testserver.Product
	settings string
	start    func(context.Context) (*testserver.Server, error)
}

func (c cell) String() string { return c.product.String() + ", " + c.settings }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	url := flag.String("url", "", "of a server to run on, without a database: the releases are left out")
	flag.Parse()
	rows := cells()
	if *url != "" {
		rows = given(*url)
	}
	if err := run(ctx, rows, strings.Join(flag.Args(), " ")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is left for stop to do
	}
}

func run(ctx context.Context, rows []cell, only string) error {
	var table strings.Builder
	table.WriteString("| server | version | settings | passed | failed | left out | time |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n")
	failed, ran := 0, 0
	for _, c := range rows {
		if !strings.Contains(c.String(), only) {
			continue
		}
		ran++
		row, ok := c.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !ok {
			failed++
		}
		table.WriteString(row)
	}
	fmt.Print("\n" + table.String())
	if failed > 0 || ran == 0 {
		return fmt.Errorf("%d of %d rows failed", failed, ran)
	}
	return nil
}

func cells() []cell {
	var all []cell
	for _, product := range []*testserver.Product{testserver.MariaDB, testserver.MySQL} {
		for _, release := range product.Releases() {
			named := product.Version(release)
			own := func(flags ...string) func(context.Context) (*testserver.Server, error) {
				return func(ctx context.Context) (*testserver.Server, error) {
					return testserver.StartOwn(ctx, named, os.Stdout, flags...)
				}
			}
			all = append(all, cell{named, "defaults", own()}, cell{named, "hostile", own(hostile...)})
		}
	}
	return all
}

// given is the server of a URL. Its settings are not known here.
func given(url string) []cell {
	product := testserver.MySQL
	if strings.HasPrefix(url, "mariadb:") {
		product = testserver.MariaDB
	}
	return []cell{{product, "as given", func(ctx context.Context) (*testserver.Server, error) {
		// A container may have been started a moment ago.
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		return testserver.Use(ctx, product, url)
	}}}
}

// run returns the cell's row of the table, and whether all that was run passed.
func (c cell) run(ctx context.Context) (row string, ok bool) {
	fmt.Printf("== %s\n", c)
	began := time.Now()
	server, err := c.start(ctx)
	if err != nil {
		fmt.Println(err)
		return fmt.Sprintf("| %s | – | %s | not started | | | |\n", c.product, c.settings), false
	}
	defer server.Stop()
	r, err := test(ctx, c.product, server.URL)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("passed %d, failed %d, left out %d\n", r.passed, r.failed, r.leftOut)
	row = fmt.Sprintf("| %s | %s | %s | %d | %d | %d | %d s |\n", c.product, server.Version, c.settings,
		r.passed, r.failed, r.leftOut, int(time.Since(began).Seconds()))
	return row, err == nil && r.failed == 0 && r.passed > 0
}

func test(ctx context.Context, product *testserver.Product, url string) (*results, error) {
	args := append([]string{"test", "-json", "-count=1", "-timeout=30m"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stdout
	// Drizzle is another client, with faults of its own on a server that is set so.
	cmd.Env = append(append(os.Environ(), product.Environment(url)...), "AUTHGRAPH_TEST_WITHOUT_NPM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &results{tests: map[string]*outcome{}, failedIn: map[string]bool{}}
	return r, cmp.Or(r.read(out), cmd.Wait())
}

// results counts the tests that have no subtests and ran on the server.
type results struct {
	tests                   map[string]*outcome // by package and name
	failedIn                map[string]bool     // by package
	passed, failed, leftOut int
}

type outcome struct {
	output   strings.Builder
	onServer bool // it has a database there
	parent   bool
}

// read reads what go test -json prints, and prints the output of what failed.
func (r *results) read(stream io.Reader) error {
	decoder := json.NewDecoder(stream)
	for {
		var event struct{ Action, Package, Test, Output string }
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r.note(event.Action, event.Package, event.Test, event.Output)
	}
}

func (r *results) note(action, pkg, name, output string) {
	id := pkg + " " + name
	o := r.tests[id]
	if o == nil {
		o = &outcome{}
		r.tests[id] = o
		if up := strings.LastIndexByte(name, '/'); up >= 0 {
			if parent := r.tests[pkg+" "+name[:up]]; parent != nil {
				parent.parent, o.onServer = true, parent.onServer
			}
		}
	}
	switch action {
	case "output", "build-output":
		o.output.WriteString(output)
		o.onServer = o.onServer || strings.Contains(output, testserver.DatabaseMark)
	case "fail":
		// A package fails of its own where it does not build, panics or takes too long.
		if name == "" && r.failedIn[pkg] {
			return
		}
		r.failedIn[pkg] = true
		if !o.parent {
			fmt.Printf("FAIL %s\n%s", id, o.output.String())
			r.failed++
		}
	case "skip":
		r.leftOut++
	case "pass":
		if o.onServer && !o.parent {
			r.passed++
		}
	}
}
