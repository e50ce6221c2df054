package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/planner"
)

func newCheck(m *migrations) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that the directory leads to the desired schema",
		Long: `Check that the migrations of the directory lead to the desired schema. If they do
not, the SQL that is missing is printed and the exit code is 3.`,
		Example: `  authgraph migrate check
  authgraph migrate check --format github`,
		Args:        noArgs,
		Annotations: map[string]string{annotates: ""},
		RunE:        m.run(func(ctx context.Context, _ []string) error { return m.check(ctx) }),
	}
	m.addDevFlag(cmd)
	m.addToFlag(cmd)
	return cmd
}

// checkResult is the JSON of check.
type checkResult struct {
	source
	OK bool `json:"ok"`
	// SQL is what is missing.
	SQL string `json:"sql,omitempty"`
}

func (m *migrations) check(ctx context.Context) error {
	w, dir, src, err := m.prepare()
	if err != nil {
		return err
	}
	to, name, err := m.desired(w.dialect)
	if err != nil {
		return err
	}
	src.Schema = name
	m.announce(src)
	var drift *planner.DriftError
	err = w.use(ctx, func(dev *planner.Dev) error {
		err = planner.Check(ctx, dev, dir.Dir, to)
		if errors.As(err, &drift) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	result := checkResult{source: src, OK: drift == nil}
	if drift != nil {
		result.SQL = drift.SQL
	}
	if err := m.printCheck(result, dir); err != nil {
		return err
	}
	if drift != nil {
		return &findings{m.line(drift)}
	}
	return nil
}

func (m *migrations) printCheck(r checkResult, dir migrationDir) error {
	switch {
	case m.format == formatJSON:
		return m.printJSON(r)
	case r.OK:
		fmt.Fprintln(m.info, "in step: the directory leads to the desired schema")
	case m.format == formatGitHub:
		m.annotation("error", dir.file("atlas.sum"), 0, "migration missing",
			"no migration leads to the schema; plan it with "+m.command("migrate diff")+
				" NAME, which would write:\n"+r.SQL)
	default:
		fmt.Fprint(m.stdout, r.SQL)
	}
	return nil
}
