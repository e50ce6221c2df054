package cli

import (
	"bytes"
	"context"
	"fmt"

	"ariga.io/atlas/sql/schema"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/planner"
	"github.com/authgraph/authgraph/internal/schemadoc"
)

func newInspect(a *app) *cobra.Command {
	m := &migrations{app: a}
	var out string
	cmd := &cobra.Command{
		Use:   "inspect [SOURCE]",
		Short: "Show a schema: as SQL, HCL, JSON, a diagram or a page",
		Long: `Show the schema of the code, of a migration directory or of a database in use.

` + schemaSources + `

  --format sql      the statements that make it (the default)
  --format hcl      the same in Atlas's language
  --format json     tables, columns, indexes, foreign keys, checks
  --format mermaid  an entity-relationship diagram for Markdown
  --format svg      the entity graph as an image
  --format html     one page that needs no network: the graph, and of each table
                    the columns, the indexes and the migrations that made it; of
                    authgraph's tables also the queries that use the indexes`,
		Example: `  authgraph inspect
  authgraph inspect migrate --format mermaid
  authgraph inspect --format html --out schema.html
  authgraph inspect mysql://user:password@host:3306/app --format json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one source, but was given %d arguments", commandName(cmd), len(args))
			}
			return checkSources(args)
		},
		ValidArgsFunction: completeSources(1),
		Annotations:       map[string]string{draws: ""},
		RunE: m.run(func(ctx context.Context, args []string) error {
			return m.inspect(ctx, append(args, "schema")[0], out)
		}),
	}
	m.addDirFlag(cmd)
	m.addDevFlag(cmd)
	m.addHistoryFlag(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to the `file`, which is replaced, not to standard output")
	return cmd
}

// inspectResult is the JSON of inspect.
type inspectResult struct {
	Source  string `json:"source"`
	Dialect string `json:"dialect"`
	*schemadoc.Schema
	// NotCovered are the objects that are not shown.
	NotCovered []planner.Object `json:"not_covered"`
}

func (m *migrations) inspect(ctx context.Context, arg, out string) error {
	src, err := m.schemaSource(arg)
	if err != nil {
		return err
	}
	w, err := m.bench([]schemaSource{src}, false)
	if err != nil {
		return err
	}
	state, err := m.state(&src, w.dialect)
	if err != nil {
		return err
	}
	var r record
	announced := source{Database: w.name}
	if m.format == formatHTML {
		if r = m.record(src, w.dialect); r.needed && r.err != nil {
			return r.err
		}
		if r.dir != nil && (r.own || r.dir.path != "") {
			announced.Directory = r.dir.String()
		}
	}
	m.announce(announced)
	var content []byte
	var left []planner.Object
	err = w.use(ctx, func(dev *planner.Dev) error {
		s, err := planner.Inspect(ctx, dev, state)
		if err != nil {
			return err
		}
		left = notShown(m.format, s)
		content, err = m.render(ctx, dev, src, r, s)
		return err
	})
	if err != nil {
		return err
	}
	warnNotCovered(m.stderr, "not covered", left)
	if out == "" || out == "-" {
		_, err = m.stdout.Write(content)
		return err
	}
	if err := writeFile(out, content); err != nil {
		return err
	}
	fmt.Fprintln(m.info, "wrote     ", out)
	return nil
}

// notShown are the objects that a format leaves out.
func notShown(format string, s *schema.Schema) []planner.Object {
	switch format {
	case formatSQL:
		return planner.NotPrinted(s)
	case formatHCL:
		return append(planner.NotCovered(s), planner.NotInHCL(s)...)
	default:
		return planner.NotCovered(s)
	}
}

// render is the schema in the format asked for.
func (m *migrations) render(
	ctx context.Context, dev *planner.Dev, src schemaSource, r record, s *schema.Schema,
) ([]byte, error) {
	switch m.format {
	case formatSQL:
		sql, err := planner.MarshalSQL(s)
		return []byte(sql), err
	case formatHCL:
		return planner.MarshalHCL(dev, s)
	}
	doc, err := schemadoc.Of(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	switch m.format {
	case formatMermaid:
		b.WriteString(schemadoc.Mermaid(doc))
	case formatSVG:
		b.WriteString(schemadoc.SVG(doc, "The schema of "+src.title()))
	case formatHTML:
		return m.page(ctx, dev, src, r, s, doc)
	default:
		err = writeJSON(&b, inspectResult{src.name, dev.Flavour(), doc, planner.NotCovered(s)})
	}
	return b.Bytes(), err
}
