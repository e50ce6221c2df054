package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/lint"
	"github.com/authgraph/authgraph/internal/planner"
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
	flags.StringVar(&o.gitBase, "git-base", "", "look at the files added since the branch left the git `ref`")
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
	// All files are paths.
	*lint.Report
}

func (m *migrations) lint(ctx context.Context, o lintOptions) error {
	w, dir, src, err := m.prepare()
	if err != nil {
		return err
	}
	m.announce(src)
	if err := m.filled(dir); err != nil {
		return err
	}
	opts := lint.Options{Latest: o.latest}
	if opts.Base, err = o.baseDir(ctx, dir); err != nil {
		return err
	}
	var report *lint.Report
	err = w.use(ctx, func(dev *planner.Dev) error {
		report, err = lint.Run(ctx, dev, dir.Dir, opts)
		return err
	})
	if err != nil {
		return err
	}
	for i, name := range report.Files {
		report.Files[i] = dir.file(name)
	}
	for i, d := range report.Diagnostics {
		report.Diagnostics[i].File, report.Diagnostics[i].Text = dir.file(d.File), d.Text
	}
	if err := m.printLint(lintResult{src, report}); err != nil {
		return err
	}
	return m.sumUp(report, o.strict)
}

// sumUp counts the diagnostics. It returns an error if they give exit code 3.
func (m *migrations) sumUp(r *lint.Report, strict bool) error {
	errs, warnings, advice := 0, 0, "correct what is wrong, nolint does not help here"
	for _, d := range r.Diagnostics {
		isError := d.Severity == lint.SeverityError
		if isError {
			errs++
		} else {
			warnings++
		}
		if (isError || strict) && !slices.Contains(unsilenceable, d.Code) {
			advice = "change the migration, or mark what is meant with -- atlas:nolint above the statement"
		}
	}
	summary := fmt.Sprintf("looked at %s, found %s", english.Count(len(r.Files), "file"), problems(errs, warnings))
	switch {
	case errs > 0 || strict && warnings > 0:
		return &findings{summary + ": " + advice}
	case m.format != formatJSON:
		fmt.Fprintln(m.info, summary)
	}
	return nil
}

// unsilenceable are the codes that nolint does not silence: a changed history, and a statement that the server refuses.
var unsilenceable = []string{"AG100", "AG101", "AG110", "AG111"}

// baseDir is the directory to compare with; nil if there is none.
func (o lintOptions) baseDir(ctx context.Context, dir migrationDir) (directory.Dir, error) {
	switch {
	case o.base != "":
		return directory.Open(localPath(o.base))
	case o.gitBase != "" && dir.path == "":
		return nil, errors.New("--git-base needs a directory in a git repository: " +
			"run this where the folder migrate is, or name one with --dir")
	case o.gitBase != "":
		return dirAtBase(ctx, dir.path, o.gitBase)
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
		fmt.Fprint(m.stdout, at, ": ")
		m.stdout.paint(verdictStyle(string(d.Severity)), string(d.Severity))
		fmt.Fprintf(m.stdout, " %s: %s\n", d.Code, oneLine(d.Text))
	}
	return nil
}
