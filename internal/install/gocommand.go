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

// edit runs a go command that changes go.mod. Once somebody else has changed it
// too, what is in it is not the run's own any more.
func (r *run) edit(ctx context.Context, args ...string) error {
	text, err := r.project.read("go.mod")
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

// command runs the go command in the project. Of what it prints, the first lines are in its error.
func (r *run) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.project.Root
	// A workspace would have its own go.mod files changed and read.
	cmd.Env = append(os.Environ(), entgraph.NoWorkspace)
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
