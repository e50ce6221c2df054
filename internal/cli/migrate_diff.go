package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/planner"
)

func newDiff(m *migrations) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "diff NAME",
		Short: "Plan the migration to the desired schema and write it",
		Long: `Plan the migration from what the directory leads to, to the desired schema, and
write it as a new file of the directory. Both are worked out in a scratch
database; the database of --url is neither read nor changed. Where nothing is to
be done, nothing is written.`,
		Example: `  authgraph migrate diff add_phone
  authgraph migrate diff add_phone --dry-run
  authgraph migrate diff init --dir migrations --to schema.sql`,
		Args: oneName,
		RunE: m.run(func(ctx context.Context, args []string) error { return m.diff(ctx, args[0], dryRun) }),
	}
	m.addDevFlag(cmd)
	m.addToFlag(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the SQL and write nothing")
	return cmd
}

// diffResult is the JSON of diff. Without a plan the directory is up to date.
type diffResult struct {
	source
	UpToDate bool `json:"up_to_date"`
	DryRun   bool `json:"dry_run,omitempty"`
	*planner.Plan
}

func (m *migrations) diff(ctx context.Context, name string, dryRun bool) error {
	w, dir, src, err := m.prepare()
	if err != nil {
		return err
	}
	if !dryRun {
		if err := dir.writable("authgraph migrate diff " + name); err != nil {
			return err
		}
	}
	to, desired, err := m.desired(w.dialect)
	if err != nil {
		return err
	}
	src.Schema = desired
	m.announce(src)
	var plan *planner.Plan
	err = w.use(ctx, func(dev *planner.Dev) error {
		plan, err = planner.Diff(ctx, dev, dir.Dir, to, name)
		if errors.Is(err, planner.ErrNoChanges) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if plan != nil && !dryRun {
		if err := plan.Write(); err != nil {
			return err
		}
	}
	if m.format == formatJSON {
		err = m.printJSON(diffResult{source: src, UpToDate: plan == nil, DryRun: dryRun, Plan: plan})
	} else {
		m.printPlan(plan, dir, dryRun)
	}
	if plan == nil {
		return err
	}
	m.warnDestructive(plan)
	if !dryRun {
		m.next("review it, then " + m.command("migrate lint") + " and " + m.command("migrate apply"))
	}
	return err
}

func (m *migrations) printPlan(plan *planner.Plan, dir migrationDir, dryRun bool) {
	if plan == nil {
		fmt.Fprintln(m.info, "up to date: the directory leads to the desired schema, nothing was written")
		return
	}
	fmt.Fprint(m.stdout, plan.SQL)
	if !dryRun {
		fmt.Fprintln(m.info, "wrote     ", filepath.Join(dir.path, plan.File))
	}
}

// warnDestructive says what a plan loses, in every format.
func (m *migrations) warnDestructive(plan *planner.Plan) {
	for _, change := range plan.Destructive {
		m.warn(fmt.Sprintf("%s %s; once that is reviewed, "+
			"put -- atlas:nolint destructive above the statement, or lint refuses it", plan.File, change))
	}
}
