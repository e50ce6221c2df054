package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/planner"
)

func newDoctor(a *app) *cobra.Command {
	o := doctorOptions{migrations: &migrations{app: a}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the live database: server, tables, rows and rights",
		Long: `Check the database that the tables live in: the server and its settings, the
rights of the account, the tables against the migrations, indexes, ids, the
range of times, and rows that should not be there. One line a finding, with
what to do; docs/doctor.md says more of each. Errors give exit code 3, warnings
do so with --strict.

Nothing is changed: transactions are read-only, and each check ends after
--timeout, on the server too. Migrations are replayed in a scratch database,
which is dropped again. What cannot be checked is a warning that says why.`,
		Example: `  authgraph doctor
  authgraph doctor --config policy.json --connections 200 --strict
  authgraph doctor --format json`,
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			switch {
			case o.connections < 1:
				return errors.New("--connections must be 1 or more")
			case o.timeout < time.Millisecond:
				return errors.New("--timeout must be 1ms or more, as in 30s")
			}
			return nil
		},
		RunE: o.run(func(ctx context.Context, _ []string) error { return o.doctor(ctx) }),
	}
	o.addDirFlag(cmd)
	o.addDevFlag(cmd)
	o.addHistoryFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "",
		"the configuration of the services, as the JSON `file` of authgraph policy (default the defaults)")
	flags.IntVar(&o.connections, "connections", 25,
		"how many connections the services open together, `N`: their number times Pool.MaxOpen")
	durationVar(flags, &o.timeout, "timeout", 30*time.Second, "how long one check may take")
	recordFlag(cmd, &o.record)
	flags.BoolVar(&o.strict, "strict", false, "let warnings give exit code 3 too")
	return cmd
}

// doctorOptions is what the flags say.
type doctorOptions struct {
	*migrations
	config      string
	record      string
	connections int
	timeout     time.Duration
	strict      bool
}

// doctorResult is the JSON of doctor.
type doctorResult struct {
	source
	Findings []doctor.Finding `json:"findings"`
	Summary  doctorSummary    `json:"summary"`
}

// doctorSummary counts the findings.
type doctorSummary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
	OK       int `json:"ok"`
	// Unchecked are those of them that say why a check could not be made.
	Unchecked int `json:"unchecked"`
}

func (o doctorOptions) doctor(ctx context.Context) error {
	config, err := readConfig(o.config)
	if err != nil {
		return err
	}
	users, err := usersTable(o.record)
	if err != nil {
		return err
	}
	u, raw, err := o.database()
	if err != nil {
		return err
	}
	result := doctorResult{source: source{Database: u.String()}}
	dir, err := o.directory(u.Dialect)
	// A project may have been installed without migrations, or with those of another tool.
	unversioned := o.dirPath == "" && errors.Is(err, fs.ErrNotExist) || dir.tool != ""
	switch {
	case unversioned:
	case err != nil:
		return err
	default:
		result.Directory = dir.String()
	}
	o.announce(result.source)
	opts := doctor.Options{
		Dir: dir.Dir, Unversioned: unversioned, RevisionsSchema: o.revisionsSchema, Config: config,
		Connections: o.connections, Timeout: o.timeout, Command: o.command, Users: users,
	}
	if o.devURL != "" {
		opts.Dev = func(ctx context.Context) (*planner.Dev, error) { return planner.OpenDev(ctx, o.devURL) }
	}
	var bar *progressbar.ProgressBar
	if o.format == formatText && o.info.rewrites() {
		opts.Progress = func(code string, n, total int) {
			if bar == nil {
				bar = o.newBar(total, progressbar.OptionSetPredictTime(false))
			}
			bar.Describe(code)
			_ = bar.Set(n - 1) // it fails only where the terminal does
		}
	}
	result.Findings, err = doctor.Run(ctx, raw, opts)
	clearBar(bar)
	if err != nil {
		return err
	}
	for i, f := range result.Findings {
		var known remedied
		if errors.As(f.Err, &known) {
			result.Findings[i].Fix = cmp.Or(o.remedy(known), f.Fix)
		}
		result.Summary.add(f)
	}
	if o.format == formatJSON {
		err = o.printJSON(result)
	} else {
		o.printDoctor(result.Findings)
	}
	if err != nil {
		return err
	}
	return o.sumUp(result.Summary)
}

func (s *doctorSummary) add(f doctor.Finding) {
	switch f.Severity {
	case doctor.Error:
		s.Errors++
	case doctor.Warning:
		s.Warnings++
	case doctor.Info:
		s.Infos++
	default:
		s.OK++
	}
	if f.Unchecked {
		s.Unchecked++
	}
}

// sumUp counts the findings. It returns an error if they give exit code 3.
func (o doctorOptions) sumUp(s doctorSummary) error {
	summary := "found " + problems(s.Errors, s.Warnings)
	switch {
	case s.Errors > 0 || o.strict && s.Warnings > 0:
		return &findings{summary + ": each line ends in what to do, docs/doctor.md says why"}
	case o.format != formatJSON:
		fmt.Fprintln(o.info, summary)
	}
	return nil
}

func (o doctorOptions) printDoctor(found []doctor.Finding) {
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	for _, f := range found {
		text := f.Text
		if f.Fix != "" {
			text += ": " + f.Fix
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Severity, f.Code, oneLine(text))
	}
	_ = w.Flush() // a strings.Builder never fails
	o.stdout.paintWords(lines.String(), verdictStyle)
}
