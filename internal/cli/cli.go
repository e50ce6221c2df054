// Package cli is the command line of authgraph, one file a command: authgraph diff is in diff.go, authgraph migrate
// diff in migrate_diff.go. It parses, asks, prints, words what to do about an error in flags and
// commands, and decides the exit code. It does none of the work: packages install, adopt, lint, doctor, planner and
// migrate do.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

// The exit codes, as the help of the root command documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitFindings    = 3
	exitInterrupted = 130
)

// twice is how far apart two signals are that somebody meant as two: timeout(1)
// and others send one to the process and to its group.
const twice = 500 * time.Millisecond

// Run runs the command line args and returns the exit code. The first SIGINT
// or SIGTERM cancels the command, which then cleans up; a second one kills.
func Run(args []string, stdout, stderr io.Writer) int {
	// stop is left to the timer: one signal that comes twice, the second time while the program ends, must not kill it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(twice, stop) })

	out := &output{w: stdout}
	a := &app{stdout: out, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil {
		err = &failure{fmt.Errorf("write the output: %w", out.err)}
	}
	code := exitCode(ctx, err)
	switch {
	case code == exitUsage:
		fmt.Fprintln(stderr, "authgraph:", oneLine(hide(a.line(err), args)))
	case code == exitInterrupted:
		fmt.Fprintln(stderr, "authgraph: interrupted:", oneLine(a.line(err)))
	case err != nil:
		fmt.Fprintln(stderr, "authgraph:", oneLine(a.line(err)))
	}
	return code
}

// exitCode is the only place that decides it.
func exitCode(ctx context.Context, err error) int {
	var failed *failure
	var found *findings
	var refused *install.Error
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &found):
		return exitFindings
	case !errors.As(err, &failed), errors.As(err, &refused) && refused.Reason.OfOptions():
		return exitUsage
	default:
		return exitFailed
	}
}

// failure is an error of a command that was called right; any other error is one of usage.
type failure struct{ error }

func (e *failure) Unwrap() error { return e.error }

// findings are what a command looked for and found.
type findings struct{ text string }

func (e *findings) Error() string { return e.text }

// app is one run of the program.
type app struct {
	stdout, stderr io.Writer
	url            string
	format         string
	// urlFrom is where the database URL comes from; empty for --url.
	urlFrom string
	// dirPath is the migration directory of --dir; empty for the default one.
	dirPath string
	// ownDir is the migration directory that was found without --dir.
	ownDir string
	// dialect is that of the database URL, once it was read.
	dialect string
	// answers reads the terminal, once something was asked.
	answers *bufio.Reader
}

// run makes fn the body of a command.
func (a *app) run(fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := fn(cmd.Context(), args)
		if err == nil {
			return nil
		}
		return &failure{err}
	}
}

// oneLine keeps a text to one printable line, whatever a server or a file put into it.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
