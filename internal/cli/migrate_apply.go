package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/migrate"
)

func newApply(m *migrations) *cobra.Command {
	var opts migrate.ApplyOptions
	var verbose bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Apply the pending migrations",
		Long: `Apply the pending migrations. One apply runs on a database at a time, others
wait for it. If it is stopped half way, by a refused statement, a lost connection or
Ctrl-C, running it again goes on exactly where it stopped.`,
		Example: `  authgraph migrate apply --dry-run
  authgraph migrate apply
  authgraph migrate apply --baseline 20261123174317`,
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			switch {
			case opts.Baseline != "" && opts.AllowDirty:
				return errors.New("--baseline and --allow-dirty exclude each other: choose one")
			case opts.To != "" && opts.Baseline > opts.To:
				return fmt.Errorf("--baseline %s comes after --to %s, so nothing would be applied: leave out --to, "+
					"or name a later version", opts.Baseline, opts.To)
			case opts.LockTimeout <= 0:
				return errors.New("--lock-timeout must be more than 0, as in 30s or 2m")
			}
			return nil
		},
		RunE: m.run(func(ctx context.Context, _ []string) error { return m.apply(ctx, opts, verbose) }),
	}
	m.addHistoryFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.To, "to", "", "the last `version` to apply (default the newest)")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "print the statements and execute none")
	flags.BoolVar(&verbose, "verbose", false, "print every statement with its duration")
	flags.BoolVar(&opts.AllowDirty, "allow-dirty", false, "add the tables to a database that already holds others")
	flags.StringVar(&opts.Baseline, "baseline", "", "take a database without history to be at this `version`")
	flags.BoolVar(&opts.AcceptEdit, "accept-edit", false,
		"go on with a half-applied file if its edited statements have not run")
	durationVar(flags, &opts.LockTimeout, "lock-timeout", history.DefaultLockTimeout,
		"how long to wait for another apply")
	for _, flag := range []string{"to", "baseline"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, m.completeVersion) // it fails only for a flag that does not exist
	}
	return cmd
}

// applyResult is the JSON of apply.
type applyResult struct {
	source
	*migrate.Report
	Failed *failedStatement `json:"failed,omitempty"`
}

type failedStatement struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Index int    `json:"index"`
	Total int    `json:"total"`
	// Kept is how many statements of the file stay applied.
	Kept  int    `json:"kept"`
	Stmt  string `json:"stmt"`
	Error string `json:"error"`
}

func (m *migrations) apply(ctx context.Context, opts migrate.ApplyOptions, verbose bool) error {
	u, raw, err := m.database()
	if err != nil {
		return err
	}
	dir, err := m.directory(u.Dialect)
	if err != nil {
		return err
	}
	if err := m.checkVersions(dir, opts.To, opts.Baseline); err != nil {
		return err
	}
	src := source{Database: u.String(), Directory: dir.String()}
	m.announce(src)
	if err := m.filled(dir); err != nil {
		return err
	}
	if err := m.refers(ctx, u, dir); err != nil {
		return err
	}
	opts.Dir, opts.RevisionsSchema = dir.Dir, m.revisionsSchema
	printer := newApplyPrinter(m.app, verbose)
	if !opts.DryRun {
		opts.Progress = printer.progress
	}
	report, err := migrate.Apply(ctx, raw, opts)
	printer.finish(report)
	if report == nil {
		return err
	}
	var stmt *migrate.StmtError
	isStmt := errors.As(err, &stmt)
	if m.format == formatJSON {
		result := applyResult{source: src, Report: report}
		if isStmt {
			result.Failed = &failedStatement{
				stmt.File, stmt.Line, stmt.Index, stmt.Total, stmt.Kept, stmt.Stmt, stmt.Err.Error(),
			}
		}
		if err == nil || isStmt {
			err = errors.Join(err, m.printJSON(result))
		}
	} else if err == nil {
		m.printReport(report)
	}
	if isStmt {
		return fmt.Errorf("%w; %s", err, m.advice(err, u.Dialect))
	}
	return err
}

// refers refuses migrations whose foreign keys the server would refuse when half of them has run: a project's own users
// may be otherwise in the database than in its schema.
func (m *migrations) refers(ctx context.Context, u *dburl.URL, dir migrationDir) error {
	users, err := usersTable("")
	if err != nil || users == nil || u.Dialect == dialect.SQLite {
		return err
	}
	db, err := u.Connect(ctx)
	if err != nil {
		return nil // what applies them says so
	}
	defer db.Close()
	var wrong *doctor.Misfit
	if err := doctor.Refers(ctx, db, users, dir.Dir); errors.As(err, &wrong) {
		return fmt.Errorf("%w; nothing was applied", wrong)
	}
	return nil
}

// checkVersions looks for versions that the directory does not have before the
// database is opened, which would leave an empty SQLite file.
func (m *migrations) checkVersions(dir migrationDir, versions ...string) error {
	if err := directory.Validate(dir.Dir); err != nil {
		return err
	}
	files, err := dir.Files()
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v != "" && !slices.ContainsFunc(files, func(f atlas.File) bool { return f.Version() == v }) {
			return &history.VersionError{Version: v}
		}
	}
	return nil
}

// goOn is what to do about a statement that a server refused.
func (m *migrations) goOn() string {
	apply := m.command("migrate apply")
	return fmt.Sprintf("fix the cause, then run %s again: it goes on at this statement "+
		"(to correct the file, edit only what has not run, then %s and %s --accept-edit)",
		apply, m.command("migrate hash"), apply)
}

// advice is what to do about a statement that stopped an apply.
func (m *migrations) advice(err error, name string) string {
	var refused *mysql.MySQLError
	again := "run " + m.command("migrate apply") + " again"
	switch {
	case name == dialect.SQLite && errors.Is(err, context.Canceled):
		return again
	case name == dialect.SQLite:
		return "fix the cause, then " + again
	case !errors.As(err, &refused):
		return again + ": it finds out whether the statement took effect, and goes on"
	default:
		return m.goOn()
	}
}

func (m *migrations) printReport(r *migrate.Report) {
	at := cmp.Or(r.Current, "none")
	switch {
	case len(r.Applied) == 0:
		fmt.Fprintln(m.stdout, "nothing to apply: the database is at version", at)
	case r.DryRun:
		for _, f := range r.Applied {
			m.printDryRun(f)
		}
		fmt.Fprintf(m.info, "dry run: %s would be applied, nothing was executed\n",
			english.Count(len(r.Applied), "migration"))
	default:
		fmt.Fprintf(m.stdout, "applied %s: the database is at version %s\n",
			english.Count(len(r.Applied), "migration"), at)
	}
}

// printDryRun prints a file in a form that is SQL again.
func (m *migrations) printDryRun(f migrate.AppliedFile) {
	fmt.Fprintf(m.stdout, "-- %s: %s", f.Name, english.Count(len(f.Statements), "statement"))
	if f.Resumed > 0 {
		fmt.Fprintf(m.stdout, ", after the %d that are applied", f.Resumed)
	}
	fmt.Fprintln(m.stdout)
	for _, stmt := range f.Statements {
		fmt.Fprintln(m.stdout, strings.TrimSuffix(stmt, ";")+";")
	}
}
