package migrate_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/migrate"
)

// The variables that make the test binary an apply of its own, for tests that end a whole process.
const (
	childURL  = "AUTHGRAPH_TEST_CHILD_URL"
	childDir  = "AUTHGRAPH_TEST_CHILD_DIR"
	childStep = "AUTHGRAPH_TEST_CHILD_STEP"
	childDown = "AUTHGRAPH_TEST_CHILD_DOWN"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child takes back, or applies. It prints a line for every call of Progress and, if asked to, goes on only when it has
// read a line.
func child() int {
	opts := migrate.ApplyOptions{}
	if path := os.Getenv(childDir); path != "" {
		dir, err := directory.Open(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		opts.Dir = dir
	}
	if os.Getenv(childDown) != "" {
		down := migrate.DownOptions{Dir: opts.Dir, Steps: steps}
		if _, err := migrate.Down(context.Background(), os.Getenv(childURL), down); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	in := bufio.NewReader(os.Stdin)
	opts.Progress = func(p migrate.Progress) {
		switch {
		case p.Waiting:
			fmt.Println("waiting")
			return
		case p.Done:
			fmt.Println("done", p.Step)
		default:
			fmt.Println("begin", p.Step)
		}
		if os.Getenv(childStep) != "" {
			_, _ = in.ReadString('\n') // an end of input means go on, too
		}
	}
	report, err := migrate.Apply(context.Background(), os.Getenv(childURL), opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("applied", len(report.Applied))
	return 0
}

// applyInChild is a process that applies the directory at path; an empty path is the embedded one.
func applyInChild(t *testing.T, url, path string, env ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childURL+"="+url, childDir+"="+path)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// isSum reports whether text is a checksum as Atlas writes it.
func isSum(text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(b) == 32
}
