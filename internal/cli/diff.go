package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/planner"
)

func newSchemaDiff(a *app) *cobra.Command {
	m := &migrations{app: a}
	cmd := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Print the SQL that takes one schema to another",
		Long: `Print the SQL that takes the schema FROM to the schema TO. Nothing is executed
and nothing is written. Where they differ the exit code is 3.

` + schemaSources,
		Example: `  authgraph diff migrate schema
  authgraph diff migrate mysql://user:password@host:3306/app
  authgraph diff mysql://user@staging/app mysql://user@production/app --format json`,
		Args:              twoSources,
		ValidArgsFunction: completeSources(2),
		RunE:              m.run(func(ctx context.Context, args []string) error { return m.schemaDiff(ctx, args[0], args[1]) }),
	}
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

func (m *migrations) schemaDiff(ctx context.Context, from, to string) error {
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
	result := schemaDiffResult{From: sources[0].name, To: sources[1].name}
	err = w.use(ctx, func(dev *planner.Dev) error {
		result.Dialect = dev.Flavour()
		result.Comparison, err = planner.Compare(ctx, dev, states[0], states[1])
		return err
	})
	if err != nil {
		return err
	}
	result.Equal = len(result.Statements) == 0
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
	if r.Equal {
		return nil
	}
	for _, change := range r.Destructive {
		m.warn(fmt.Sprintf("the way to %s %s", r.To, change))
	}
	return &findings{fmt.Sprintf("%s and %s differ: %s from the one to the other",
		r.From, r.To, english.Count(len(r.Statements), "statement"))}
}
