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
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted; nothing was written")
		stop()
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == spinCommand {
		spin()
		return nil
	}
	commands := map[string]func(context.Context, *settings) error{
		"compare": compare, "growth": growth, "purge": purge, "migrations": migrations,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(os.Stderr, usage)
		return flag.ErrHelp
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	return commands[args[0]](ctx, s)
}
