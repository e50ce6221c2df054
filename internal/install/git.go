package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CheckClean is an error if the project lies in a git repository and files that
// git knows were changed since the last commit, or if git cannot tell.
func (p *Project) CheckClean(ctx context.Context) error {
	changed, err := p.git(ctx, "status", "--porcelain", "--untracked-files=no", "--", ".")
	if err != nil || changed == "" {
		return err
	}
	// To status, a file of another length is changed, even if that is its line ends, which git converts. The generator
	// writes its files anew with those of Unix. To diff it is not.
	for _, args := range [][]string{{"diff", "--cached"}, {"diff"}} {
		changed, err := p.git(ctx, append(args, "--name-only", "--no-ext-diff", "--no-textconv", "--", ".")...)
		if err != nil {
			return err
		}
		if name, _, ok := strings.Cut(changed, "\n"); ok {
			return &Error{
				Reason: Uncommitted,
				Path:   name,
				found:  name + " was changed since the last commit",
				fix:    "commit or stash it",
			}
		}
	}
	return nil
}

// git is what git prints in the project; nothing if it is not installed or this is no repository.
func (p *Project) git(ctx context.Context, args ...string) (string, error) {
	// A folder that was cloned may pose as a repository, with settings that name programs.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Dir = p.Root
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its errors are read below
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound), strings.Contains(stderr.String(), "not a git repository"):
		return "", nil
	case err != nil:
		return "", &Error{
			Reason: GitFailed,
			found: fmt.Sprintf("git does not tell whether everything is committed (%v: %s)",
				err, firstLines(stderr.String())),
			fix: "correct that, or do without this check",
		}
	}
	return string(out), nil
}

// merge merges what this version and the user made of a file, as git does.
func merge(ctx context.Context, f File, from, to string) (_ string, conflicts bool, err error) {
	folder, err := os.MkdirTemp("", "authgraph_merge_")
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	for name, text := range map[string]string{"yours": f.current, "base": f.base, "ours": f.Text} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", false, err
		}
	}
	cmd := exec.CommandContext(ctx, "git", "merge-file", "-p", "--diff3",
		"-L", "yours", "-L", "installed by authgraph "+from, "-L", "authgraph "+to, "yours", "base", "ours")
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", false, &Error{
			Path:  f.Path,
			found: f.Path + " was changed here and is to be merged, for which git is needed",
			fix:   "install git",
		}
	case errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 128:
		return string(out), true, nil
	case err != nil:
		return "", false, fmt.Errorf("merge %s: %w: %s", f.Path, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), false, nil
}
