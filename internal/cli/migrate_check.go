package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/down"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/planner"
)

func newCheck(m *migrations) *cobra.Command {
	var reversible bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that the directory leads to the desired schema",
		Long: `Check that the migrations of the directory lead to the desired schema. If they do
not, the SQL that is missing is printed and the exit code is 3.

--reversible also proves that each file goes back: it is applied, taken back and
applied again, with rows in the tables. A file that is not meant to says
-- atlas:nolint irreversible.`,
		Example: `  authgraph migrate check
  authgraph migrate check --reversible
  authgraph migrate check --format github`,
		Args:        noArgs,
		Annotations: map[string]string{annotates: ""},
		RunE:        m.run(func(ctx context.Context, _ []string) error { return m.check(ctx, reversible) }),
	}
	m.addDevFlag(cmd)
	m.addToFlag(cmd)
	cmd.Flags().BoolVar(&reversible, "reversible", false, "prove that each file goes up, back and up again")
	return cmd
}

// checkResult is the JSON of check.
type checkResult struct {
	source
	OK bool `json:"ok"`
	// SQL is what is missing.
	SQL string `json:"sql,omitempty"`
	// Reversible is what going up, back and up again showed of each file.
	Reversible []down.Proven `json:"reversible,omitempty"`
}

func (m *migrations) check(ctx context.Context, reversible bool) error {
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
	result := checkResult{source: src}
	err = w.use(ctx, func(dev *planner.Dev) error {
		err = planner.Check(ctx, dev, dir.Dir, to)
		if err != nil && !errors.As(err, &drift) || !reversible {
			return err
		}
		raw, err := dburl.Renamed(w.url, dev.DB().URL.Database())
		if err == nil {
			result.Reversible, err = down.Prove(ctx, dev, raw, dir.Dir)
		}
		return err
	})
	if err != nil && (drift == nil || !errors.As(err, &drift)) {
		return err
	}
	faulty := oneWayFiles(result.Reversible)
	if result.OK = drift == nil && len(faulty) == 0; drift != nil {
		result.SQL = drift.SQL
	}
	if err := m.printCheck(result, dir); err != nil {
		return err
	}
	switch {
	case drift != nil:
		return &findings{m.line(drift)}
	case len(faulty) > 0:
		return &findings{english.Count(len(faulty), "file") + " cannot be taken back: write a way back into " +
			filepath.Join(directory.DownFolder, faulty[0].Name) + ", or say -- atlas:nolint irreversible at its top"}
	}
	return nil
}

// oneWayFiles are those that do not go back.
func oneWayFiles(all []down.Proven) (faulty []down.Proven) {
	for _, f := range all {
		if len(f.Faults) > 0 {
			faulty = append(faulty, f)
		}
	}
	return faulty
}

// printProof prints a line for each file that was proven.
func (m *migrations) printProof(all []down.Proven, dir migrationDir) {
	for _, f := range all {
		text, verdict := fmt.Sprintf("goes back, with %s", english.Count(f.Rows, "row")), "ok"
		switch {
		case f.Skipped:
			text, verdict = "is not meant to go back", "skipped"
		case len(f.Faults) > 0:
			text, verdict = strings.Join(f.Faults, "; "), "error"
		}
		if verdict == "error" && m.format == formatGitHub {
			m.annotation("error", dir.file(f.Name), 0, "cannot be taken back", text)
			continue
		}
		fmt.Fprintf(m.stdout, "%-7s  %s: %s\n", verdict, f.Name, oneLine(text))
		if len(f.Empty) > 0 {
			m.warn(f.Name + ": no row could be put into " + strings.Join(f.Empty, ", "))
		}
	}
}

func (m *migrations) printCheck(r checkResult, dir migrationDir) error {
	if m.format == formatJSON {
		return m.printJSON(r)
	}
	m.printProof(r.Reversible, dir)
	switch {
	case r.SQL == "":
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
