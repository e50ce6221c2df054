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
	// A folder that was cloned may pose as a repository, with settings that name programs.
	cmd := exec.CommandContext(ctx, "git", "-c", "safe.bareRepository=explicit", "status", "--porcelain",
		"--untracked-files=no", "--", ".")
	cmd.Dir = p.Root
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its errors are read below
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound), strings.Contains(stderr.String(), "not a git repository"):
		return nil
	case err != nil:
		return &Error{
			Reason: GitFailed,
			found: fmt.Sprintf("git does not tell whether everything is committed (%v: %s)",
				err, firstLines(stderr.String())),
			fix: "correct that, or do without this check",
		}
	}
	first, _, _ := strings.Cut(string(out), "\n")
	if first == "" {
		return nil
	}
	name := strings.TrimSpace(first[2:])
	return &Error{
		Reason: Uncommitted,
		Path:   name,
		found:  name + " was changed since the last commit",
		fix:    "commit or stash it",
	}
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
