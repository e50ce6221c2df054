package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/migrate"
)

func newLint(m *migrations) *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Look for dangerous changes in the migrations",
		Long: `Look for changes that lose data, fail on existing rows, block writers or break
the running version of a service. Without --latest, --base or --git-base every
file is looked at. Errors give exit code 3, warnings do so with --strict.

A change that is meant is marked in its file, above the statement:

  -- atlas:nolint destructive`,
		Example: `  authgraph migrate lint --git-base origin/main
  authgraph migrate lint --latest 1 --strict
  authgraph migrate lint --git-base origin/main --format github`,
		Args:        noArgs,
		Annotations: map[string]string{annotates: ""},
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			chosen := 0
			for _, name := range []string{"latest", "base", "git-base"} {
				if cmd.Flags().Changed(name) {
					chosen++
				}
			}
			switch {
			case chosen > 1:
				return errors.New("--latest, --base and --git-base exclude each other: choose one")
			case cmd.Flags().Changed("latest") && o.latest < 1:
				return errors.New("--latest must be 1 or more")
			}
			return nil
		},
		RunE: m.run(func(ctx context.Context, _ []string) error { return m.lint(ctx, o) }),
	}
	m.addDevFlag(cmd)
	flags := cmd.Flags()
	flags.IntVar(&o.latest, "latest", 0, "look at the last `N` files")
	flags.StringVar(&o.base, "base", "", "look at the files that the directory at `path` does not have")
	flags.StringVar(&o.gitBase, "git-base", "", "look at the files that the directory does not have at the git `ref`")
	flags.BoolVar(&o.strict, "strict", false, "let warnings give exit code 3 too")
	return cmd
}

type lintOptions struct {
	latest        int
	base, gitBase string
	strict        bool
}

// lintResult is the JSON of lint.
type lintResult struct {
	source
	// The files of the diagnostics are paths.
	*migrate.LintReport
}

func (m *migrations) lint(ctx context.Context, o lintOptions) error {
	w, dir, src, err := m.prepare()
	if err != nil {
		return err
	}
	m.announce(src)
	opts := migrate.LintOptions{Latest: o.latest}
	if opts.Base, err = o.baseDir(ctx, dir); err != nil {
		return err
	}
	var report *migrate.LintReport
	err = w.use(ctx, func(dev *migrate.Dev) error {
		report, err = migrate.Lint(ctx, dev, dir.Dir, opts)
		return err
	})
	if err != nil {
		return err
	}
	bad := 0
	for i, d := range report.Diagnostics {
		if o.strict || d.Severity == migrate.SeverityError {
			bad++
		}
		report.Diagnostics[i].File = filepath.Join(dir.path, d.File)
	}
	if err := m.printLint(lintResult{src, report}); err != nil {
		return err
	}
	if bad > 0 {
		return &findings{fmt.Sprintf("lint found %s in %s: change the migration, or mark what is meant with -- atlas:nolint above the statement",
			count(bad, "problem"), count(len(report.Files), "file"))}
	}
	return nil
}

// baseDir is the directory that files are held against; nil if none.
func (o lintOptions) baseDir(ctx context.Context, dir directory) (migrate.Dir, error) {
	switch {
	case o.base != "":
		return migrate.OpenDir(localPath(o.base))
	case o.gitBase != "" && dir.path == "":
		return nil, errors.New("--git-base needs a directory in a git repository: run this where the folder migrate is, or name one with --dir")
	case o.gitBase != "":
		return dirAtRef(ctx, dir.path, o.gitBase)
	}
	return nil, nil
}

func (m *migrations) printLint(r lintResult) error {
	if m.format == formatJSON {
		return m.printJSON(r)
	}
	for _, d := range r.Diagnostics {
		if m.format == formatGitHub {
			m.annotation(string(d.Severity), d.File, d.Line, d.Code, d.Text)
			continue
		}
		at := d.File
		if d.Line > 0 {
			at += fmt.Sprint(":", d.Line)
		}
		fmt.Fprintf(m.stdout, "%s: %s %s: %s\n", at, d.Severity, d.Code, oneLine(d.Text))
	}
	fmt.Fprintf(m.stderr, "looked at %s, found %s\n", count(len(r.Files), "file"), count(len(r.Diagnostics), "problem"))
	return nil
}
