// Package testserver brings up the real database servers that the tests run against, on a machine that may have
// neither a server nor a container engine.
//
// It is no way to run a server for anything but tests: root has no password, nothing is flushed to disk, and the data
// is removed at the end. It never touches a server that belongs to the machine.
//
// The first call is the command that wraps another one:
//
//	go run ./internal/testserver/cmd/withservers -- go test ./...
//
// From Go, a server is started and stopped like this:
//
//	server, err := testserver.Start(ctx, testserver.MySQL, os.Stderr)
//	if err != nil {
//		return err
//	}
//	defer server.Stop()
package testserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// The environment through which the servers reach the tests.
const (
	MySQLVariable   = "AUTHGRAPH_TEST_MYSQL_URL"
	MariaDBVariable = "AUTHGRAPH_TEST_MARIADB_URL"
	// WithoutMariaDBVariable is "1" where MariaDB was left out on request; without it a missing MariaDB is a failure.
	WithoutMariaDBVariable = "AUTHGRAPH_TEST_WITHOUT_MARIADB"
	// OnlyVariable names the product to test on where the tests of all others, and of SQLite, are left out.
	OnlyVariable = "AUTHGRAPH_TEST_ONLY"
)

// DatabaseMark begins the line that a test logs when it gets a database on a server.
const DatabaseMark = "its database is "

// Product is a database product that can be started.
type Product struct {
	name        string // also the URL scheme, the service in compose.yaml and the prefix of printed lines
	variable    string
	executable  string
	debian      string // the Debian package of the server
	suite       string // the suite of the archive that has it
	release     string // the only release to start, such as "10.11"; any when empty
	releases    []release
	initialise  func(context.Context, program, string) error
	flags       []string
	tuning      []string // flags of one start, which come last and so win
	inMemory    bool     // its data may be in memory
	shares      []string // where the messages may be, relative to the folder above the executable's
	oldestMajor int
}

// The products the tests run on.
var (
	MySQL = &Product{
		name: "mysql", variable: MySQLVariable, executable: "mysqld", debian: "mysql-server-core",
		initialise: initialiseMySQL,
		// The built-in folder for files need not exist; the second protocol would take a port.
		flags:  []string{"--secure-file-priv=NULL", "--mysqlx=OFF"},
		shares: []string{"share/mysql", "share"}, oldestMajor: 8,
		suite: "unstable", releases: []release{{"9.7", "mysql-server-core", "unstable"}},
	}
	MariaDB = &Product{
		name: "mariadb", variable: MariaDBVariable, executable: "mariadbd", debian: "mariadb-server-core",
		initialise: initialiseMariaDB,
		shares:     []string{"share/mariadb", "share/mysql", "share"}, oldestMajor: 10,
		suite: "unstable", releases: []release{
			{"10.5", "mariadb-server-core-10.5", "bullseye"},
			{"10.11", "mariadb-server-core", "bookworm"},
			{"11.8", "mariadb-server-core", "trixie"},
		},
	}
)

// release is where the Debian archive has a release of a product.
type release struct{ name, debian, suite string }

// Releases are the names that Version knows how to come by, the oldest first.
func (p *Product) Releases() []string {
	var names []string
	for _, r := range p.releases {
		names = append(names, r.name)
	}
	return names
}

// Version is the product in one release, such as "10.11". A release that is neither on PATH nor one of Releases does
// not start. The environment's server may be of any release, so Start brings up one of its own, as StartOwn does:
//
//	server, err := testserver.StartOwn(ctx, testserver.MariaDB.Version("10.5"), os.Stderr)
func (p *Product) Version(name string) *Product {
	one := *p
	one.release, one.suite = name, ""
	for _, r := range p.releases {
		if r.name == name {
			one.debian, one.suite = r.debian, r.suite
		}
	}
	return &one
}

// Environment tells the tests of a server of this product, and to leave those of others out.
func (p *Product) Environment(url string) []string {
	return []string{p.variable + "=" + url, OnlyVariable + "=" + p.name}
}

// String is how printed lines begin.
func (p *Product) String() string { return strings.TrimSpace(p.name + " " + p.release) }

func (p *Product) releaseNames() string { return strings.Join(p.Releases(), ", ") }

// Server is a running server.
type Server struct {
	URL     string // without a database: mysql://root@127.0.0.1:PORT/
	Version string
	stop    func()
}

// Stop ends the server and removes its data. A server that was running before Start is left alone.
func (s *Server) Stop() {
	if s.stop != nil {
		s.stop()
	}
}

// Start returns a server of the product, by the first of these ways that works: the URL in the environment, an
// executable on PATH, docker compose, a package of the Debian archive. The error has a line for each way that failed.
// On Linux its data is in memory if /dev/shm has 4 GiB to spare, and in TMPDIR where that is set.
func Start(ctx context.Context, product *Product, progress io.Writer) (*Server, error) {
	if product.release != "" {
		return StartOwn(ctx, product, progress)
	}
	say := sayer(product.String(), progress)
	// A URL that somebody set is an order; running on something else when it fails would hide the mistake.
	if url := os.Getenv(product.variable); url != "" {
		limited, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		server, err := Use(limited, product, url)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", product.name, product.variable, err)
		}
		say("using %s (%s)", address(url), server.Version)
		return server, nil
	}
	own := *product
	own.inMemory = true
	product = &own
	ways := []way{
		{product.executable + " on PATH", startInstalled},
		{"docker compose", startCompose},
		{"Debian package " + product.debian, startPackage},
	}
	failures := []error{fmt.Errorf("%s: environment: %s is not set", product.name, product.variable)}
	return startBy(ctx, product, say, ways, failures)
}

// StartOwn returns a server that nobody else uses, started with further flags: one whose global settings a test may
// change. It is an executable on PATH or a package of the Debian archive, whatever the environment names. Its data is
// in the folder for temporary files.
func StartOwn(ctx context.Context, product *Product, progress io.Writer, flags ...string) (*Server, error) {
	own := *product
	own.tuning = flags
	return startBy(ctx, &own, sayer(product.String(), progress), []way{
		{product.executable + " on PATH", startInstalled},
		{"Debian package " + product.debian, startPackage},
	}, nil)
}

// answerLimit is how long a server that is said to run may take to answer.
const answerLimit = 15 * time.Second

// way is one way to come by a server.
type way struct {
	name  string
	start func(context.Context, *Product, func(string, ...any)) (*Server, error)
}

func startBy(ctx context.Context, product *Product, say func(string, ...any), ways []way, failures []error) (*Server,
	error) {
	began := time.Now()
	for _, way := range ways {
		server, err := way.start(ctx, product, say)
		if err == nil {
			say("ready on %s (%s) in %.1f s", address(server.URL), server.Version, time.Since(began).Seconds())
			return server, nil
		}
		failures = append(failures, fmt.Errorf("%s: %s: %w", product, way.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// printing keeps the lines of servers that start at the same time whole.
var printing sync.Mutex

func sayer(name string, progress io.Writer) func(string, ...any) {
	return func(format string, args ...any) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Fprintf(progress, name+": "+format+"\n", args...)
	}
}

// Use returns the server of a URL, once it answers and is of the product, or the error of the
// last try when ctx ends. Stop leaves it alone.
func Use(ctx context.Context, product *Product, url string) (*Server, error) {
	version, err := waitReady(ctx, product, url, nil)
	if err != nil {
		return nil, err
	}
	return &Server{URL: url, Version: version}, nil
}

// checkVersion is what keeps a MariaDB that calls itself mysqld from being tested as MySQL.
func (p *Product) checkVersion(version string) error {
	isMariaDB := strings.Contains(strings.ToLower(version), "mariadb")
	if isMariaDB != (p.name == MariaDB.name) {
		return fmt.Errorf("is not %s but %s", p.name, cmp.Or(version, "unknown"))
	}
	var major int
	if _, err := fmt.Sscanf(version, "%d.", &major); err != nil || major < p.oldestMajor {
		return fmt.Errorf("is version %q, needs %d or later", version, p.oldestMajor)
	}
	if p.release != "" && !strings.HasPrefix(version, p.release+".") {
		return fmt.Errorf("is version %q, needs %s", version, p.release)
	}
	return nil
}
