package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/planner"
)

func newSchemaDiff(a *app) *cobra.Command {
	m := &migrations{app: a}
	var all bool
	cmd := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Print the SQL that takes one schema to another",
		Long: `Print the SQL that takes the schema FROM to the schema TO. Nothing is executed
and nothing is written. Where they differ the exit code is 3.

The statements are tried in the scratch database first. A difference for which
there is none that the server takes is named, and so is what is not compared:
views, triggers, procedures, functions, events and sequences. Tables that only a
database in use has are left out, since others may keep theirs in it.

` + schemaSources,
		Example: `  authgraph diff migrate schema
  authgraph diff migrate mysql://user:password@host:3306/app
  authgraph diff mysql://user@staging/app mysql://user@production/app --format json`,
		Args:              twoSources,
		ValidArgsFunction: completeSources(2),
		RunE: m.run(func(ctx context.Context, args []string) error {
			return m.schemaDiff(ctx, args[0], args[1], all)
		}),
	}
	cmd.Flags().BoolVar(&all, "all-tables", false, "compare the tables, too, that only a database in use has")
	m.addDirFlag(cmd)
	m.addDevFlag(cmd)
	return cmd
}

func twoSources(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s takes two sources, as in: %s migrate schema", commandName(cmd), cmd.CommandPath())
	}
	return checkSources(args)
}

// schemaDiffResult is the JSON of diff.
type schemaDiffResult struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Dialect string `json:"dialect"`
	Equal   bool   `json:"equal"`
	*planner.Comparison
}

func (m *migrations) schemaDiff(ctx context.Context, from, to string, all bool) error {
	var sources []schemaSource
	for _, arg := range []string{from, to} {
		s, err := m.schemaSource(arg)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	w, err := m.bench(sources, false)
	if err != nil {
		return err
	}
	var states []planner.State
	for i := range sources {
		state, err := m.state(&sources[i], w.dialect)
		if err != nil {
			return err
		}
		states = append(states, state)
	}
	m.announce(source{Database: w.name})
	var opts []planner.CompareOption
	if live := sources[0].live != ""; !all && live != (sources[1].live != "") {
		opts = append(opts, planner.OursOnly(live))
	}
	result := schemaDiffResult{From: sources[0].name, To: sources[1].name}
	err = w.use(ctx, func(dev *planner.Dev) error {
		result.Dialect = dev.Flavour()
		result.Comparison, err = planner.Compare(ctx, dev, states[0], states[1], opts...)
		return err
	})
	if err != nil {
		return err
	}
	result.Equal = result.Comparison.Equal()
	return m.printSchemaDiff(result)
}

func (m *migrations) printSchemaDiff(r schemaDiffResult) error {
	switch {
	case m.format == formatJSON:
		if err := m.printJSON(r); err != nil {
			return err
		}
	case r.Equal:
		fmt.Fprintln(m.stdout, "no differences")
	default:
		fmt.Fprint(m.stdout, r.SQL)
	}
	warnNotCovered(m.stderr, "not compared", r.NotCovered)
	if n := len(r.LeftOut); n > 0 {
		fmt.Fprintf(m.stderr, "left out: %s that only the database in use has, %s (--all-tables compares them)\n",
			english.Count(n, "table"), named(r.LeftOut))
	}
	if r.Equal {
		return nil
	}
	for _, difference := range r.Unplanned {
		fmt.Fprintln(m.stderr, "not planned:", difference)
	}
	for _, change := range r.Destructive {
		m.warn(fmt.Sprintf("the way to %s %s", r.To, change))
	}
	return &findings{fmt.Sprintf("%s and %s differ: %s from the one to the other",
		r.From, r.To, english.Count(len(r.Statements), "statement"))}
}

// shownNames is how many names a line of a report holds.
const shownNames = 10

// named are the first of some names, in one line.
func named(names []string) string {
	shown := make([]string, 0, shownNames)
	for _, name := range names[:min(len(names), shownNames)] {
		shown = append(shown, strconv.Quote(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - shownNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// warnNotCovered says what a schema leaves out: a line a kind, and one for each object that has a reason.
func warnNotCovered(w io.Writer, what string, objects []planner.Object) {
	names, kinds := map[string][]string{}, []string(nil)
	for _, o := range objects {
		if o.Reason != "" {
			fmt.Fprintf(w, "%s: %s\n", what, o)
			continue
		}
		if names[o.Kind] == nil {
			kinds = append(kinds, o.Kind)
		}
		names[o.Kind] = append(names[o.Kind], o.Name)
	}
	for _, kind := range kinds {
		fmt.Fprintf(w, "%s: %s, %s\n", what, english.Count(len(names[kind]), kind), named(names[kind]))
	}
}
