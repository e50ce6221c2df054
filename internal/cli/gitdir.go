package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/directory"
)

// dirAtBase reads the migration directory at path as it was when the branch left a git ref. Later commits of the ref do
// not count. It is empty if there was none.
func dirAtBase(ctx context.Context, path, ref string) (directory.Dir, error) {
	tip, err := git(ctx, path, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	switch {
	case isNo(err):
		return nil, fmt.Errorf("git knows no commit %q: fetch it first, or correct --git-base", ref)
	case err != nil:
		return nil, err
	}
	base, err := git(ctx, path, "merge-base", strings.TrimSpace(string(tip)), "HEAD")
	switch {
	case isNo(err):
		return nil, fmt.Errorf("git knows no commit from which both HEAD and %q come: fetch the whole history, as "+
			"with git fetch --unshallow, or correct --git-base", ref)
	case err != nil:
		return nil, err
	}
	sha := strings.TrimSpace(string(base))
	names, err := git(ctx, path, "ls-tree", "-z", "--name-only", sha)
	if err != nil {
		return nil, err
	}
	dir := &atlas.MemDir{}
	dir.SetPath(ref + ":" + path)
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

// isNo reports whether git ran and its answer is no.
func isNo(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 1
}

// git runs git in a folder and returns what it prints.
func git(ctx context.Context, folder string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git",
		append([]string{"-C", folder, "-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its errors are read below
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("--git-base needs git, which is not installed: use --base with a checkout of the " +
			"base instead")
	case strings.Contains(stderr.String(), "not a git repository"):
		return nil, fmt.Errorf("--git-base needs a git repository, and %s is in none: use --base with a checkout of "+
			"the base instead", folder)
	case err != nil:
		return nil, fmt.Errorf("git %s in %s: %w: %s", args[0], folder, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
