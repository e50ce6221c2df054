package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/authgraph/authgraph/internal/down"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/migrate"
)

func newDown(m *migrations) *cobra.Command {
	var o downOptions
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take applied migrations back",
		Long: `Take applied migrations back, the newest first: one, or as many as --steps or --to
say. The way back is planned from the directory, in a scratch database. It is
shown, and asked for. A file down/NAME beside the migration NAME, or its section
down.sql, is used in place of a plan.

Rows and values that would go are counted. Nothing begins before each table or
column that would lose some is named with --allow-data-loss. What a migration did
to rows is not undone by a plan.

If it is stopped half way, running it again goes on exactly where it stopped.`,
		Example: `  authgraph migrate down --dry-run
  authgraph migrate down --to 20261130071121
  authgraph migrate down --steps 2 --yes --allow-data-loss users.phone`,
		Args: noArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.To != "" && cmd.Flags().Changed("steps"):
				return errors.New("--to and --steps exclude each other: choose one")
			case o.Steps < 1:
				return errors.New("--steps must be 1 or more")
			case o.LockTimeout <= 0:
				return errors.New("--lock-timeout must be more than 0, as in 30s or 2m")
			}
			return nil
		},
		RunE: m.run(func(ctx context.Context, _ []string) error { return m.down(ctx, o) }),
	}
	m.addDevFlag(cmd)
	m.addHistoryFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.To, "to", "", "the `version` that stays the newest")
	flags.IntVar(&o.Steps, "steps", 1, "take back `N` files")
	flags.StringArrayVar(&o.Allow, "allow-data-loss", nil,
		"let the values of a `TABLE`, or of one column as TABLE.COLUMN, go; may be repeated")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the statements and what would be lost, and execute none")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	durationVar(flags, &o.LockTimeout, "lock-timeout", history.DefaultLockTimeout, "how long to wait for an apply")
	_ = cmd.RegisterFlagCompletionFunc("to", m.completeVersion) // it fails only for a flag that does not exist
	return cmd
}

type downOptions struct {
	down.Options
	dryRun, yes bool
}

// downResult is the JSON of down.
type downResult struct {
	source
	*down.Plan
	// Refused are the losses that are not allowed.
	Refused []down.Loss `json:"refused"`
	DryRun  bool        `json:"dry_run,omitempty"`
	*migrate.DownReport
	Failed *failedStatement `json:"failed,omitempty"`
}

func (m *migrations) down(ctx context.Context, o downOptions) error {
	u, raw, err := m.database()
	if err != nil {
		return err
	}
	w, dir, _, err := m.prepare()
	if err != nil {
		return err
	}
	if err := m.checkVersions(dir, o.To); err != nil {
		return err
	}
	src := source{Database: u.String(), Directory: dir.String()}
	m.announce(src)
	if err := m.filled(dir); err != nil {
		return err
	}
	o.Dir, o.RevisionsSchema = dir.Dir, m.revisionsSchema
	o.Progress = m.downProgress
	return w.use(ctx, func(dev *planner.Dev) error {
		for {
			plan, err := down.Make(ctx, dev, raw, o.Options)
			if err != nil {
				return err
			}
			if err := m.goBack(ctx, downResult{source: src, Plan: plan, DryRun: o.dryRun}, o); err != nil {
				return err
			}
			if !plan.More || o.dryRun {
				return nil
			}
			// A way back that was cut off is gone to its end first.
			o.Steps = max(o.Steps-1, 1)
		}
	})
}

// goBack shows a plan, asks, goes it, and says what was done.
func (m *migrations) goBack(ctx context.Context, r downResult, o downOptions) error {
	text := m.format == formatText
	if r.Refused = r.Plan.Refused(); r.Refused == nil {
		r.Refused = []down.Loss{}
	}
	if text {
		m.printDown(r.Plan)
	}
	switch {
	case len(r.Files) == 0:
		if text {
			fmt.Fprintln(m.stdout, "nothing to take back: the database is at version", cmp.Or(r.From, "none"))
			return nil
		}
		return m.printJSON(r)
	case len(r.Refused) > 0:
		return m.refuseDown(r)
	case o.dryRun:
		if text {
			fmt.Fprintf(m.info, "dry run: %s would be taken back, nothing was executed\n",
				english.Count(len(r.Files), "migration"))
			return nil
		}
		return m.printJSON(r)
	}
	if err := m.agreed(ctx, o.yes); err != nil {
		return err
	}
	report, err := r.Run(ctx)
	r.DownReport = report
	var stmt *migrate.StmtError
	if errors.As(err, &stmt) {
		r.Failed = &failedStatement{
			stmt.File, stmt.Line, stmt.Index, stmt.Total, stmt.Kept, stmt.Stmt, stmt.Err.Error(),
		}
		err = fmt.Errorf("%w; %s", err, m.downAdvice(stmt))
	}
	var lost *down.LossError
	if errors.As(err, &lost) {
		r.Refused = lost.Losses
		return m.refuseDown(r)
	}
	switch {
	case report != nil && !text && (err == nil || stmt != nil):
		return errors.Join(err, m.printJSON(r))
	case report != nil && text:
		m.printUndone(report, err)
	}
	return err
}

func (m *migrations) downProgress(p migrate.Progress) {
	switch {
	case m.format != formatText:
	case p.Waiting:
		fmt.Fprintln(m.info, "waiting for another apply to finish")
	case p.Recovered:
		fmt.Fprintf(m.info, "%d/%d  took effect before it was cut off\n", p.Index, p.Total)
	case p.Done:
		fmt.Fprintf(m.info, "%d/%d  %s\n", p.Index, p.Total, short(p.Duration))
	}
}

// agreed asks whether to go on. Where nobody can be asked, --yes is needed.
func (m *migrations) agreed(ctx context.Context, yes bool) error {
	if yes {
		return nil
	}
	if m.format != formatText || !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("nobody can be asked here, nothing was changed: look at --dry-run, then use --yes")
	}
	answer, err := m.ask(ctx, "Take this back? [y/N] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was changed")
}

// printDown prints a plan in a form that is SQL again.
func (m *migrations) printDown(p *down.Plan) {
	for _, f := range p.Files {
		fmt.Fprintf(m.stdout, "-- the way back from %s: %s", f.Name,
			english.Count(len(f.Statements)-f.Resumed, "statement"))
		switch {
		case f.Resumes:
			fmt.Fprintf(m.stdout, ", after the %d that ran", f.Resumed)
		case f.ByHand != "":
			fmt.Fprintf(m.stdout, ", by hand (%s)", f.ByHand)
		}
		fmt.Fprintln(m.stdout)
		for _, stmt := range f.Statements[f.Resumed:] {
			fmt.Fprintln(m.stdout, strings.TrimSuffix(stmt, ";")+";")
		}
		for _, note := range f.Notes {
			m.warn(note)
		}
	}
}

// refuseDown prints a line for each loss that is not allowed.
func (m *migrations) refuseDown(r downResult) error {
	text := fmt.Sprintf("%s would be lost or in the way, nothing was executed: see the lines above",
		english.Count(len(r.Refused), "thing"))
	if m.format == formatJSON {
		return cmp.Or(m.printJSON(r), error(&findings{text}))
	}
	for _, l := range r.Refused {
		fmt.Fprintln(m.stdout, oneLine(l.String()+": "+l.Fix("--allow-data-loss")))
	}
	return &findings{text}
}

// downAdvice is what to do about a statement that stopped a way back.
func (m *migrations) downAdvice(stmt *migrate.StmtError) string {
	again := "run " + m.command("migrate down") + " again"
	switch {
	case m.dialect == dialect.SQLite:
		return "nothing of that file's way back stays; fix the cause, then " + again
	case errors.Is(stmt, context.Canceled):
		return again + ": it goes on there"
	case stmt.Kept == 0:
		return "the file stays applied; fix the cause, then " + again
	}
	return "fix the cause, then " + again + ": it goes on at this statement"
}

func (m *migrations) printUndone(r *migrate.DownReport, err error) {
	for _, f := range r.Undone {
		fmt.Fprintf(m.stdout, "took back %s  %s  %s\n", f.Name, english.Count(len(f.Statements), "statement"),
			short(f.Duration))
	}
	if err == nil {
		fmt.Fprintln(m.stdout, "the database is at version", cmp.Or(r.Current, "none"))
	}
}
