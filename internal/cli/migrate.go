package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ariga.io/atlas/sql/schema"
	"github.com/spf13/cobra"

	entmigrate "github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/planner"
)

func newMigrate(a *app) *cobra.Command {
	m := &migrations{app: a}
	cmd := group(&cobra.Command{
		Use:   "migrate",
		Short: "Plan, check, apply and inspect migrations",
		Long: `Plan, check, apply and inspect versioned migrations.

The directory is in Atlas's format. It is the folder migrate (for SQLite
migrate/sqlite) if the current folder has one with an atlas.sum or SQL files, else
the project's if authgraph was installed into it, else the migrations compiled into
this program. Two cases are refused: the current folder lies inside a module that
has migrations of its own, or the database is of another kind than the migrations.

Commands that open no server need no URL if the project has migrations of one kind:
hash, new and validate, and for SQLite also check, diff and lint.`,
		Example: `  authgraph migrate diff add_phone
  authgraph migrate lint --git-base origin/main
  authgraph migrate apply`,
	})
	m.addDirFlag(cmd)
	cmd.AddCommand(newApply(m), newCheck(m), newDiff(m), newDown(m), newHash(m),
		newLint(m), newNew(m), newStatus(m), newValidate(m))
	return cmd
}

// migrations is what the commands below migrate share.
type migrations struct {
	*app
	devURL string
	to     string
}

// addDirFlag adds it to a command and those below.
func (m *migrations) addDirFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&m.dirPath, "dir", "",
		"migration directory, a `path` or file://path (default migrate or migrate/sqlite, else the embedded one)")
}

// addHistoryFlag is for the commands that read or write the history of a database.
func (m *migrations) addHistoryFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.revisionsSchema, "revisions-schema", "",
		"the `schema` on the server that holds the history, for services that share a database (default the database)")
}

func (m *migrations) addDevFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.devURL, "dev-url", "",
		"an empty database to work in, as a `URL` "+
			"(default a scratch database beside the one of --url, dropped afterwards)")
}

func (m *migrations) addToFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.to, "to", "",
		"the desired schema: a SQL `file`, - for standard input, or ent://folder of an Ent schema (default "+
			"ent/schema.sql or ent/schema.sqlite.sql, else ent://ent/schema, else the compiled-in schema)")
	_ = cmd.RegisterFlagCompletionFunc("to", completeSchema) // it fails only for a flag that does not exist
	_ = cmd.Flags().SetAnnotation("to", instead, []string{
		"write its schema into a file with authgraph inspect URL --out schema.sql, and name that",
	}) // it fails only for a flag that does not exist
}

// desired is the schema that the directory is to lead to, and what it is called in messages.
func (m *migrations) desired(name string) (to planner.State, source string, err error) {
	if folder, ok := strings.CutPrefix(m.to, entScheme); ok {
		return entSchema(folder), m.to, nil
	}
	if m.to == fromInput {
		return inputSchema, inputName, nil
	}
	if path := localPath(m.to); path != "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("there is no file %s: correct --to", path)
		}
		return planner.SQLFile(path), path, nil
	}
	f, err := findFolders(name)
	if err != nil {
		return nil, "", err
	}
	if to, source := f.schema(name); to != nil {
		return to, source, nil
	}
	if f.above != nil {
		if to, _ := f.above.schema(name); to != nil {
			return nil, "", f.elsewhere("a schema")
		}
	}
	if f.installed {
		return nil, "", fmt.Errorf("the schema of this project is missing, %s: "+
			"restore it from git, or name another with --to", filepath.Join(f.ent, "schema"))
	}
	return planner.Tables(entmigrate.Tables...), compiledIn, nil
}

// compiledIn is the name of the schema that is compiled in.
const compiledIn = "compiled-in schema"

// entScheme is how the folder of an Ent schema is named, as the Atlas CLI has it.
const entScheme = "ent://"

// entSchema is the state described by the Ent schema in the Go files of a folder.
func entSchema(folder string) planner.State {
	folder = filepath.FromSlash(folder)
	return func(ctx context.Context, d *planner.Dev) (*schema.Schema, error) {
		sql, err := entgraph.Load(ctx, folder, d.Dialect())
		if err != nil {
			return nil, err
		}
		return planner.SQL(folder, sql)(ctx, d)
	}
}
