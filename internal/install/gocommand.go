package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/authgraph/authgraph/internal/entgraph"
)

// edit runs a go command that changes go.mod. If somebody else changed it too, the run no longer counts it as its own.
func (r *Run) edit(ctx context.Context, args ...string) error {
	text, err := r.plan.project.read("go.mod")
	if err != nil {
		return err
	}
	if err := r.command(ctx, args...); err != nil {
		return err
	}
	if string(text) == r.wrote["go.mod"] {
		r.rememberGoMod()
	}
	return nil
}

// command runs the go command in the project. Its error holds the first lines of the output.
func (r *Run) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.plan.project.Root
	// In a workspace the go command would read and change other go.mod files.
	cmd.Env = append(os.Environ(), entgraph.NoWorkspace)
	if args[0] != "build" { // which writes nothing here, and may leave a daemon of git behind
		r.journal.holds(cmd)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("the go command is not installed, or not on PATH")
	}
	return fmt.Errorf("go %s: %s", args[0], firstLines(out.String()))
}

func firstLines(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "go: downloading") || strings.HasPrefix(line, "#") {
			continue
		}
		if lines = append(lines, line); len(lines) == 3 {
			break
		}
	}
	return strings.Join(lines, "; ")
}
