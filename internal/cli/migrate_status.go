package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/migrate"
)

func newStatus(m *migrations) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is applied, what is pending and what stopped half way",
		Long: `Show what is applied, what is pending and what stopped half way. Nothing is
changed. Pending files are no failure; a directory that does not continue the
history of the database is.`,
		Example: "  authgraph migrate status --format json",
		Args:    noArgs,
		RunE:    m.run(func(ctx context.Context, _ []string) error { return m.status(ctx) }),
	}
	m.addHistoryFlag(cmd)
	return cmd
}

// statusResult is the JSON of status.
type statusResult struct {
	source
	*migrate.Status
}

func (m *migrations) status(ctx context.Context) error {
	u, raw, err := m.database()
	if err != nil {
		return err
	}
	dir, err := m.directory(u.Dialect)
	if err != nil {
		return err
	}
	src := source{Database: u.String(), Directory: dir.String()}
	m.announce(src)
	if err := m.filled(dir); err != nil {
		return err
	}
	s, err := migrate.ReadStatus(ctx, raw, migrate.StatusOptions{Dir: dir.Dir, RevisionsSchema: m.revisionsSchema})
	if s == nil {
		return err
	}
	if m.format == formatJSON {
		return cmp.Or(err, m.printJSON(statusResult{src, s}))
	}
	m.printStatus(s, err)
	return err
}

// printStatus leaves it to err to say what to do, if there is one.
func (m *migrations) printStatus(s *migrate.Status, err error) {
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "current\t%s\n", cmp.Or(s.Current, "none: nothing is applied yet"))
	for _, r := range s.Applied {
		by := r.Type
		if r.Operator != "" {
			by += " by " + r.Operator
		}
		fmt.Fprintf(w, "applied\t%s\t%s\t%s\t%s\t%s\n", r.Version, r.Description,
			r.ExecutedAt.Format(time.DateTime+" UTC"), short(r.Duration), by)
	}
	for _, name := range s.Pending {
		fmt.Fprintf(w, "pending\t%s\n", name)
	}
	_ = w.Flush() // a strings.Builder never fails
	m.stdout.paintWords(lines.String(), func(string) style { return bold })
	if s.Partial != nil {
		m.printPartial(s.Partial, err)
	}
	switch {
	case s.Partial != nil || err != nil:
	case len(s.Pending) > 0:
		fmt.Fprintln(m.stdout, "next: "+m.command("migrate apply"))
	default:
		fmt.Fprintln(m.stdout, "up to date")
	}
}

func (m *migrations) printPartial(p *migrate.Partial, err error) {
	answer, next := oneLine(p.Error), m.goOn()
	if p.InDoubt {
		answer = "none: it is running now, or was cut off while running"
		next = "run " + m.command("migrate apply") + ": it waits, " +
			"finds out whether the statement took effect, and goes on"
	}
	if p.Undoing {
		next = "fix the cause, then run " + m.command("migrate down") + " again: it goes on at this statement"
		if answer == "" || p.InDoubt {
			next = "run " + m.command("migrate down") + ": it goes on there"
		}
		m.stdout.paint(red, "half undone")
		fmt.Fprintf(m.stdout, "  %s: %d of %d statements of its way back\n", p.File, p.Applied, p.Total)
	} else {
		m.stdout.paint(red, "half applied")
		fmt.Fprintf(m.stdout, "  %s: %d of %d statements\n", p.File, p.Applied, p.Total)
	}
	if p.Stmt != "" {
		where := fmt.Sprintf("statement %d", p.Applied+1)
		if p.Line > 0 {
			where = fmt.Sprintf("line %d, %s", p.Line, where)
		}
		fmt.Fprintf(m.stdout, "  stopped at  %s: %s\n", where, cut(strings.Join(strings.Fields(p.Stmt), " "), 100))
	}
	if answer != "" {
		fmt.Fprintf(m.stdout, "  answer      %s\n", answer)
	}
	if err == nil {
		fmt.Fprintf(m.stdout, "  next        %s\n", next)
	}
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
