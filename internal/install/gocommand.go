package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"

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
		return entgraph.ErrNoGo
	}
	return fmt.Errorf("go %s: %s", args[0], firstLines(out.String()))
}

// loads refuses a project whose entities the go command cannot load: that would show half way only, and as an error of
// the generator. What the go command can mend in go.mod and go.sum is none. It is tried on copies of these.
func (p *Plan) loads(ctx context.Context) (err error) {
	schema := p.layout.entFile("schema")
	if p.upgrade || !entgraph.HoldsGo(p.project.file(schema)) { // an upgrade may mend what does not load
		return nil
	}
	flags, err := p.output(ctx, "env", "GOFLAGS")
	if err == nil && strings.Contains(flags, "-mod=vendor") {
		return &Error{
			found: "GOFLAGS has -mod=vendor, and authgraph changes the requirements",
			fix:   "set GOFLAGS=-mod=mod for this run, then go mod vendor",
		}
	}
	if err != nil {
		return doesNotLoad(err)
	}
	temp, err := os.MkdirTemp("", "authgraph_mod_")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := p.project.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if name == "go.mod" && err == nil {
			text = p.withRequirements(text)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(temp, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	mod := filepath.Join(temp, "go.mod")
	if _, err := p.output(ctx, "list", "-mod=mod", "-modfile="+mod, "-deps", "./"+schema); err != nil {
		if ctx.Err() == nil {
			err = errors.New(copied.ReplaceAllString(err.Error(), ""))
		}
		return doesNotLoad(err)
	}
	return nil
}

// withRequirements is a go.mod with those of the plan, as the run would make it; the same if it cannot be read.
func (p *Plan) withRequirements(text []byte) []byte {
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return text
	}
	have := map[string]string{}
	for _, r := range mod.Require {
		have[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range p.Requirements {
		if !r.doneBy(have[r.Module]) && mod.AddRequire(r.Module, r.Version) != nil {
			return text
		}
	}
	with, err := mod.Format()
	if err != nil {
		return text
	}
	return with
}

// copied is where the copies are, as the go command names them.
var copied = regexp.MustCompile(`\S*authgraph_mod_\d+[/\\]`)

func doesNotLoad(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Reason: NotLoaded, found: "this module does not load: " + err.Error(), fix: "correct that first"}
}

// output is what the go command prints in the project, which it does not change.
func (p *Plan) output(ctx context.Context, args ...string) (string, error) {
	out, said, err := entgraph.Go(ctx, p.project.Root, []string{entgraph.NoWorkspace}, args...)
	if said != "" {
		return "", errors.New(firstLines(said))
	}
	return out, err
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
