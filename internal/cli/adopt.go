package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/migrate"
)

func newAdopt(a *app) *cobra.Command {
	m := &migrations{app: a}
	var o adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take a live database of the ServerCN schema to this one",
		Long: `Take a live MySQL or MariaDB database that Drizzle made of the ServerCN schema, whole
or half migrated, to this schema, with every row kept. Without --apply nothing is
changed: every difference is shown, and every row that stands in the way.

--apply carries the plan out and writes a baseline into the history, so that
authgraph migrate apply goes on from there. If it is stopped half way, run it again:
it goes on from what is there. Make a backup first.

The definitions are tried out in a scratch database on the same server.`,
		Example: `  authgraph adopt
  authgraph adopt --out adopt.sql
  authgraph adopt --apply --normalize-emails`,
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			switch {
			case o.Apply && o.out != "":
				return errors.New("--apply and --out exclude each other: review the file, then run with --apply")
			case o.LockTimeout <= 0:
				return errors.New("--lock-timeout must be more than 0, as in 30s or 2m")
			}
			return nil
		},
		RunE: m.run(func(ctx context.Context, _ []string) error { return m.adopt(ctx, o) }),
	}
	m.addDevFlag(cmd)
	m.addHistoryFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&m.dirPath, "dir", "",
		"migration directory, a `path` or file://path (default migrate, else the embedded one)")
	flags.BoolVar(&o.Apply, "apply", false, "change the database, and write the baseline")
	flags.StringVarP(&o.out, "out", "o", "", "write the migration to a new `file`, to be reviewed")
	flags.BoolVar(&o.NormalizeEmails, "normalize-emails", false,
		"rewrite addresses that are not normalised, which would not be found any more")
	durationVar(flags, &o.LockTimeout, "lock-timeout", history.DefaultLockTimeout,
		"how long to wait for another apply, or for a transaction that uses a table")
	return cmd
}

type adoptOptions struct {
	adopt.Options
	out string
}

// adoptResult is the JSON of adopt.
type adoptResult struct {
	source
	*adopt.Adoption
	// Out is the file that the migration was written to.
	Out string `json:"out,omitempty"`
}

func (m *migrations) adopt(ctx context.Context, o adoptOptions) error {
	users, err := usersTable("")
	if err != nil {
		return err
	}
	if users != nil {
		return fmt.Errorf("the users of this project are in its own table %s, and adopt takes over the tables that "+
			"Drizzle made of the ServerCN schema: run %s", users.Table(), m.command("migrate apply"))
	}
	u, raw, err := m.database()
	if err != nil {
		return err
	}
	if err := u.NeedDatabase(); err != nil {
		return err
	}
	if u.Dialect == dialect.SQLite {
		// Before a scratch database is made for nothing.
		_, err := adopt.Run(ctx, nil, raw, o.Options)
		return err
	}
	if _, err := os.Lstat(o.out); o.out != "" && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--out %s is there already: remove it or name another file", o.out)
	}
	w, dir, _, err := m.prepare()
	if err != nil {
		return err
	}
	if w.dialect == dialect.SQLite {
		return errors.New("--dev-url names a SQLite file: " +
			"name an empty database on a server of the same kind and version")
	}
	result := adoptResult{source: source{Database: u.String(), Directory: dir.String()}}
	m.announce(result.source)
	if err := m.filled(dir); err != nil {
		return err
	}
	o.Dir, o.RevisionsSchema = dir.Dir, m.revisionsSchema
	if m.format == formatText {
		o.Progress = m.adoptProgress
	}
	err = w.use(ctx, func(dev *planner.Dev) error {
		result.Adoption, err = adopt.Run(ctx, dev, raw, o.Options)
		return err
	})
	if result.Adoption == nil {
		return err
	}
	return m.concludeAdoption(result, o, err)
}

// concludeAdoption prints what an adoption found or did, and writes the file that it was asked for.
func (m *migrations) concludeAdoption(result adoptResult, o adoptOptions, err error) error {
	var blocked *adopt.ObstacleError
	var stmt *adopt.StmtError
	switch n := len(result.Obstacles); {
	case errors.As(err, &stmt) && m.format == formatJSON:
		return errors.Join(err, m.printJSON(result))
	case err != nil && !errors.As(err, &blocked):
		return err
	case n > 0:
		for i, o := range result.Obstacles {
			if o.Kind == adopt.ObstacleAddress {
				result.Obstacles[i].Fix = "--normalize-emails rewrites them"
			}
		}
		blocked := &adopt.ObstacleError{Obstacles: n}
		err = &findings{blocked.Found() + ": " + strings.TrimSuffix(blocked.Fix(), " first") + ", then run " +
			m.command("adopt") + " again"}
	case o.out != "":
		if err := writeNew(o.out, adoptSQL(result)); err != nil {
			return err
		}
		result.Out = o.out
	}
	if m.format == formatJSON {
		return cmp.Or(m.printJSON(result), err)
	}
	m.printAdoption(result, o)
	return err
}

func (m *migrations) adoptProgress(p migrate.Progress) {
	switch {
	case p.Waiting:
		fmt.Fprintln(m.info, "waiting for another adopt or apply to finish")
	case p.Stmt == "" && p.Done:
		fmt.Fprintf(m.info, "%s: %d of %d\n", p.File, p.Index, p.Total)
	case p.Stmt == "":
	case p.Done:
		fmt.Fprintf(m.info, "%d/%d  done in %s\n", p.Index, p.Total, short(p.Duration))
	default:
		what, _, _ := strings.Cut(p.Stmt, "\n")
		fmt.Fprintf(m.info, "%d/%d  %s\n", p.Index, p.Total, cut(strings.TrimSuffix(what, " ("), 100))
	}
}

func (m *migrations) printAdoption(r adoptResult, o adoptOptions) {
	if !o.Apply && o.out == "" {
		m.printDifferences(r.Differences)
		m.printPasswords(r.Passwords)
	}
	if len(r.Obstacles) > 0 {
		fmt.Fprintln(m.stdout, "in the way")
		for _, o := range r.Obstacles {
			fmt.Fprintf(m.stdout, "  %s\n", describe(o))
		}
		return
	}
	next := "next: " + m.command("adopt") + " --apply"
	if o.NormalizeEmails && len(r.Addresses) > 0 {
		next += " --normalize-emails"
	}
	wrote, statements := "", english.Count(len(r.Statements), "statement")
	if r.Out != "" {
		wrote = "wrote " + r.Out + ": "
	}
	tables := fmt.Sprintf("%sthe tables are those of version %s, ", wrote, r.Version)
	same := len(r.Statements) == 0
	done := same && len(r.Addresses) == 0
	switch {
	case done && r.Baselined:
		fmt.Fprintf(m.stdout, "%snothing to adopt: the database is at version %s\n", wrote, r.Version)
	case r.Applied:
		fmt.Fprintln(m.stdout, "adopted: the database is at version", r.Version)
		m.next(m.command("doctor"))
	case done:
		fmt.Fprintf(m.stdout, "%sonly the baseline is missing; %s\n", tables, next)
	case same && !r.Baselined:
		fmt.Fprintf(m.stdout, "%sthe baseline is missing and addresses are not normalised; %s\n", tables, next)
	case same:
		fmt.Fprintf(m.stdout, "%sonly addresses are not normalised; %s\n", tables, next)
	case r.Out != "":
		fmt.Fprintf(m.stdout, "%s%s; %s\n", wrote, statements, next)
	default:
		fmt.Fprintf(m.stdout, "nothing stands in the way of %s; %s\n", statements, next)
	}
}

func (m *migrations) printDifferences(all []adopt.Difference) {
	w := tabwriter.NewWriter(m.stdout, 0, 0, 2, ' ', 0)
	table := ""
	for _, d := range all {
		if d.Table != table {
			table = d.Table
			fmt.Fprintln(w, table)
		}
		line := fmt.Sprintf("  %s\t%s\t%s", d.Change, d.Object, d.Name)
		if text := definitions(d); text != "" {
			line += "\t" + text
		}
		fmt.Fprintln(w, line)
	}
	_ = w.Flush() // the output keeps its error
}

func (m *migrations) printPasswords(all []adopt.Passwords) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(m.stdout, "passwords")
	for _, p := range all {
		text := "sign in as before, and are hashed anew"
		if !p.Readable {
			var ids []string
			for _, id := range p.IDs {
				ids = append(ids, id.String())
			}
			if p.Users > int64(len(ids)) {
				ids = append(ids, "…")
			}
			text = "cannot be read and have to be reset (id " + strings.Join(ids, ", ") + ")"
		}
		fmt.Fprintf(m.stdout, "  %s: %s: %s\n", p.Kind, english.Count(int(p.Users), "user"), text)
	}
}

// definitions says what a difference is from and to.
func definitions(d adopt.Difference) string {
	var text string
	switch {
	case d.Live != "" && d.Here != "" && d.Live != d.Here:
		text = d.Live + " -> " + d.Here
	default:
		text = cmp.Or(d.Here, d.Live)
	}
	if d.Note != "" {
		text += " (" + d.Note + ")"
	}
	return oneLine(text)
}

// describe is an obstacle in a line.
func describe(o adopt.Obstacle) string {
	at := o.Table
	if len(o.Columns) > 0 {
		at += "." + strings.Join(o.Columns, ", ")
	}
	if o.Rows == 0 {
		return oneLine(at + ": " + o.String())
	}
	noun := "row"
	if o.Kind == adopt.ObstacleDuplicate || o.Kind == adopt.ObstacleSameAddress {
		noun = "group"
	}
	var ids []string
	for _, group := range o.IDs {
		var members []string
		for _, id := range group {
			members = append(members, id.String())
		}
		ids = append(ids, strings.Join(members, " and "))
	}
	shown := ""
	if len(ids) > 0 {
		if o.Rows > int64(len(ids)) {
			ids = append(ids, "…")
		}
		shown = " (id " + strings.Join(ids, ", ") + ")"
	}
	return oneLine(fmt.Sprintf("%s: %s: %s%s: %s", at, o.Kind, english.Count(int(o.Rows), noun), shown, o))
}

// adoptSQL is the migration as a file that a database's own client can run.
func adoptSQL(r adoptResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- From %s to version %s of %s.\n", r.Database, r.Version, r.Directory)
	fmt.Fprintln(&b, "-- authgraph adopt --apply executes these statements and writes the baseline. If they are run by")
	fmt.Fprintln(&b, "-- hand, stop at the first error, and run it afterwards all the same. Make a backup first.")
	for _, table := range registry.With("email") {
		if n := r.Addresses[table]; n > 0 {
			fmt.Fprintf(&b, "-- Before them, --normalize-emails rewrites the address of %s of table %s.\n",
				english.Count(int(n), "row"), table)
		}
	}
	fmt.Fprintln(&b, "\n-- Types, keys and checks hold for every row, an id of 0 is kept, times are UTC.")
	fmt.Fprintln(&b, adopt.Session+";")
	for _, s := range r.Statements {
		fmt.Fprintf(&b, "\n-- %s.\n%s;\n", s.Comment, s.SQL)
	}
	return b.String()
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
