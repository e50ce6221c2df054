// Package cli is the command line of authgraph, one file a command: authgraph diff is in diff.go, authgraph migrate
// diff in migrate_diff.go. It parses, asks, prints, words what to do about an error in flags and
// commands, and decides the exit code. It does none of the work: packages install, adopt, down, lint, doctor, planner
// and migrate do.
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

	"github.com/authgraph/authgraph/internal/dburl"
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

	a := newApp(stdout, stderr)
	root := newRoot(a)
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	a.stdout.flush()
	if a.stdout.inexact {
		a.warn("the output is not exact, characters that act on a terminal are shown as in <U+001B>: " +
			"it is exact in a file, as with > FILE")
	}
	if err == nil && a.stdout.err != nil {
		err = &failure{fmt.Errorf("write the output: %w", a.stdout.err)}
	}
	code := exitCode(ctx, err)
	switch {
	case code == exitUsage:
		a.printError(hide(a.line(err), args))
	case code == exitInterrupted:
		a.printError("interrupted: " + a.line(err))
	case err != nil:
		a.printError(a.line(err))
	}
	return code
}

// exitCode is the only place that decides it.
func exitCode(ctx context.Context, err error) int {
	var failed *failure
	var found *findings
	var refused *install.Error
	var address *dburl.Error
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &found):
		return exitFindings
	case !errors.As(err, &failed), errors.As(err, &refused) && refused.Reason.OfOptions(),
		errors.As(err, &address) && address.URL == "": // it could not be read
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
	// Results go to stdout; warnings, errors and questions to stderr.
	stdout, stderr *screen
	// info is for what --quiet leaves out: what a result is made from, progress, notes and the step that comes next.
	info   *screen
	quiet  bool
	url    string
	format string
	// urlFrom is where the database URL comes from; empty for --url.
	urlFrom string
	// dirPath is the migration directory of --dir; empty for the default one.
	dirPath string
	// revisionsSchema is the schema of the history, of --revisions-schema; empty for the database itself.
	revisionsSchema string
	// ownDir is the migration directory that was found without --dir.
	ownDir string
	// dialect is that of the database URL, once it was read.
	dialect string
	// answers reads the terminal, once something was asked.
	answers *bufio.Reader
}

func newApp(stdout, stderr io.Writer) *app {
	a := &app{stdout: newScreen(stdout), stderr: newScreen(stderr)}
	a.info = a.stderr
	return a
}

// hush makes the run a quiet one.
func (a *app) hush() { a.info = newScreen(io.Discard) }

// warn prints a warning, which --quiet does not leave out.
func (a *app) warn(text string) {
	a.stderr.paint(yellow, "warning:")
	fmt.Fprintln(a.stderr, "", text)
}

func (a *app) printError(text string) {
	fmt.Fprintln(a.stderr, "authgraph:", oneLine(text))
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
