// Command bench measures this project beside other ways to do the same, and writes what it found into
// docs/benchmarks.md. It starts a MySQL server of its own.
//
//	go run . compare
//	go run . growth -rows 10k,100k,1M,10M
//	go run . purge -rows 10M
//	go run . migrations
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: bench compare | growth | purge | migrations [flag …]

Each measures one thing and writes its own section of docs/benchmarks.md.

  compare      the operations in every way, on one size
  growth       some of the ways on several sizes
  purge        purge at scale, alone and beside readers
  migrations   the commands, beside drizzle-kit and the Atlas CLI

Flags of each are printed by -h.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// command runs one and returns the exit code.
func command(ctx context.Context, args []string, stderr io.Writer) int {
	err := run(ctx, args, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUnknown):
		fmt.Fprint(stderr, usage)
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted; nothing was written")
		return 130
	default:
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
}

var errUnknown = errors.New("unknown command")

func run(ctx context.Context, args []string, stderr io.Writer) error {
	commands := map[string]func(context.Context, *settings) error{
		"compare": compare, "growth": growth, "purge": purge, "migrations": migrations,
	}
	switch {
	case len(args) == 1 && args[0] == spinCommand:
		spin()
		return nil
	case len(args) > 0 && (args[0] == "-h" || args[0] == "--help"):
		fmt.Fprint(stderr, usage)
		return flag.ErrHelp
	case len(args) == 0 || commands[args[0]] == nil:
		return errUnknown
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	return commands[args[0]](ctx, s)
}
