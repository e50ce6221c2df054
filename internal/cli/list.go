package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

func newList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what can be added, and what is installed here",
		Long: `List the entities that can be added, and which of them are installed in the Go module
of the current folder. Outside of a module none is.`,
		Example: `  authgraph list
  authgraph list --format json`,
		Args: noArgs,
		RunE: a.run(func(context.Context, []string) error { return a.list() }),
	}
	a.addJSONFlag(cmd)
	return cmd
}

// addJSONFlag takes --json for --format json, as other installers do.
func (a *app) addJSONFlag(cmd *cobra.Command) {
	cmd.Flags().BoolFunc("json", "the same as --format json", func(string) error {
		return cmd.Flags().Set("format", formatJSON)
	})
	_ = cmd.Flags().MarkHidden("json") // it fails only for a flag that does not exist
}

// listResult is the JSON of list.
type listResult struct {
	// Module, DB and Dir are those of the project; absent if there is none.
	Module  string       `json:"module,omitempty"`
	DB      string       `json:"db,omitempty"`
	Dir     string       `json:"dir,omitempty"`
	Schemas []listSchema `json:"schemas"`
}

type listSchema struct {
	install.Entity
	Name      string `json:"name"`
	Installed bool   `json:"installed"`
	// Own is whether it is an entity of the project that authgraph attached the others to.
	Own bool `json:"own,omitempty"`
}

func (a *app) list() error {
	var result listResult
	project, err := install.Open(".")
	if err != nil && !errors.Is(err, install.ErrNoModule) {
		return err
	}
	if project != nil {
		result.Module, result.DB, result.Dir = project.Module, project.DB(), project.Dir()
	}
	for _, e := range install.Entities {
		s := listSchema{Entity: e, Name: "auth/" + e.Name, Installed: slices.Contains(project.Installed(), e.Name)}
		if name, users := project.User(); users != nil && e.Name == install.UserEntity {
			s.Type, s.Table, s.Own = name, users.Table(), true
		}
		result.Schemas = append(result.Schemas, s)
	}
	if a.format == formatJSON {
		return a.printJSON(result)
	}
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	for _, s := range result.Schemas {
		state := "-"
		switch {
		case s.Installed:
			state = "installed"
		case s.Own:
			state = "yours"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, state, s.Table, s.Text)
	}
	_ = w.Flush() // a strings.Builder never fails
	a.stdout.paintWords(lines.String(), func(string) style { return bold })
	switch {
	case slices.ContainsFunc(result.Schemas, func(s listSchema) bool { return !s.Installed && !s.Own }):
		a.next("authgraph add schema auth/NAME for one, authgraph add schema auth for all")
	case project.Tool() != "":
		a.next("after a new version of authgraph: authgraph upgrade")
	default:
		a.next("authgraph migrate status, and after a new version of authgraph: authgraph upgrade")
	}
	return nil
}
