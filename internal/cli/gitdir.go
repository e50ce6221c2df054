package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/migrate"
)

// dirAtRef reads the migration directory at path as it is at a git ref. It is
// empty if the ref does not have it.
func dirAtRef(ctx context.Context, path, ref string) (migrate.Dir, error) {
	commit, err := git(ctx, path, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return nil, fmt.Errorf("git knows no commit %q: fetch it first, or correct --git-base", ref)
	case err != nil:
		return nil, err
	}
	sha := strings.TrimSpace(string(commit))
	names, err := git(ctx, path, "ls-tree", "-z", "--name-only", sha)
	if err != nil {
		return nil, err
	}
	dir := &atlas.MemDir{}
	for name := range strings.SplitSeq(string(names), "\x00") {
		if !strings.HasSuffix(name, ".sql") && name != atlas.HashFileName {
			continue
		}
		content, err := git(ctx, path, "cat-file", "blob", sha+":./"+name)
		if err != nil {
			return nil, err
		}
		if err := dir.WriteFile(name, content); err != nil {
			return nil, err
		}
	}
	return dir, nil
}

// git runs git in a folder and returns what it prints.
func git(ctx context.Context, folder string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", folder}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("--git-base needs git, which is not installed: use --base with a checkout of the base instead")
	case err != nil:
		return nil, fmt.Errorf("git %s in %s: %w: %s", args[0], folder, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
