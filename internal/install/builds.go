package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Error      *struct{ Err string }
}

// stillBuilds refuses requirements with which a package that the project uses no longer builds: a module that is raised
// may raise others with it. What did not build before is the project's own affair.
func (r *Run) stillBuilds(ctx context.Context, before saved) (err error) {
	raised, err := r.raised(before)
	if err != nil || len(raised) == 0 {
		return err
	}
	r.progress("go build ./...")
	broken, err := r.broken(ctx, "./...")
	if err != nil || len(broken) == 0 {
		return err
	}
	temp, err := os.MkdirTemp("", "authgraph_mod_")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	flags, err := r.asBefore(before, temp)
	if err != nil {
		return err
	}
	names := make([]string, len(broken))
	for i, p := range broken {
		names[i] = p.ImportPath
	}
	were, err := r.broken(ctx, append(flags, names...)...)
	if err != nil {
		return err
	}
	for _, p := range broken {
		if slices.ContainsFunc(were, func(was goPackage) bool { return was.ImportPath == p.ImportPath }) {
			continue
		}
		var cause []string
		for _, m := range raised {
			of := func(path string) bool { return path == m.Module || strings.HasPrefix(path, m.Module+"/") }
			if slices.ContainsFunc(p.Imports, of) {
				cause = append(cause, m.Module+" "+m.From+" -> "+m.Version)
			}
		}
		with := "the modules that are raised"
		if len(cause) > 0 {
			with = strings.Join(cause, ", ")
		}
		return &Error{
			found: fmt.Sprintf("%s no longer builds with %s: %s", p.ImportPath, with, firstError(p.Error.Err)),
			fix:   "correct it or take a version of it that does, and run this again",
		}
	}
	return nil
}

// firstError is the first line of a compiler's, without the folder.
func firstError(text string) string {
	first, _, _ := strings.Cut(firstLines(text), "; ")
	return path.Base(filepath.ToSlash(first))
}

// raised are the modules of which go.mod held an older version before.
func (r *Run) raised(before saved) (list []Requirement, err error) {
	now, err := r.goMod()
	if err != nil {
		return nil, err
	}
	was, err := modfile.ParseLax("go.mod", before.Files["go.mod"].Data, nil)
	if err != nil {
		return nil, doesNotLoad(err)
	}
	had := map[string]string{}
	for _, q := range was.Require {
		had[q.Mod.Path] = q.Mod.Version
	}
	for _, q := range now.Require {
		if from := had[q.Mod.Path]; from != "" && semver.Compare(from, q.Mod.Version) < 0 {
			list = append(list, Requirement{Module: q.Mod.Path, Version: q.Mod.Version, From: from})
		}
	}
	return list, nil
}

// broken builds packages and what they import, and returns those that do not build, imported ones first.
func (r *Run) broken(ctx context.Context, args ...string) (list []goPackage, err error) {
	out, err := r.plan.output(ctx, append([]string{"list", "-e", "-export", "-deps", "-json=ImportPath,Imports,Error"},
		args...)...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		case p.Error != nil:
			list = append(list, p)
		}
	}
}

// asBefore are the flags with which the go command sees the project as it was. They name files in the folder.
func (r *Run) asBefore(before saved, folder string) (flags []string, err error) {
	replace, n := map[string]string{}, 0
	put := func(name string) (string, error) {
		n++
		file := filepath.Join(folder, strconv.Itoa(n))
		return file, os.WriteFile(file, before.Files[name].Data, 0o600)
	}
	for _, name := range before.Paths {
		err := walk(r.journal.root, name, func(name string, entry fs.DirEntry) (err error) {
			if entry.IsDir() {
				return nil
			}
			at := ""
			if _, ok := before.Files[name]; ok {
				at, err = put(name)
			}
			replace[r.plan.project.file(name)] = at
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for name := range before.Files {
		if file := r.plan.project.file(name); replace[file] == "" { // it is gone
			if replace[file], err = put(name); err != nil {
				return nil, err
			}
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	mod, list := filepath.Join(folder, "go.mod"), filepath.Join(folder, "overlay.json")
	return []string{"-mod=mod", "-modfile=" + mod, "-overlay=" + list}, errors.Join(
		os.WriteFile(list, overlay, 0o600),
		os.WriteFile(mod, before.Files["go.mod"].Data, 0o600),
		os.WriteFile(filepath.Join(folder, "go.sum"), before.Files["go.sum"].Data, 0o600))
}
