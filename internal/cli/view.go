package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

func newView(a *app) *cobra.Command {
	var o install.Options
	cmd := &cobra.Command{
		Use:   "view schema auth[/NAME]…",
		Short: "Show what add would install: the files, their text, the requirements",
		Long: `Show what authgraph add would install into the Go module of the current folder, with
what is installed there already; outside of a module, into one named
example.com/app. Nothing is changed.`,
		Example: `  authgraph view schema auth/session
  authgraph view schema auth --format json`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if o.Entities, err = entities(cmd, args); err != nil {
				return err
			}
			return ownUserAsked(args, &o)
		},
		ValidArgsFunction: completeEntities,
		RunE:              a.run(func(ctx context.Context, _ []string) error { return a.view(ctx, o) }),
	}
	addUserFlags(cmd, &o)
	flags := cmd.Flags()
	flags.StringVar(&o.DB, "db", "", "the `database`: mysql, mariadb or sqlite (default as set up before, else mysql)")
	addEntFlag(cmd, &o.Dir)
	flags.BoolVar(&o.Auth, "with-auth", false, "package auth and Open too")
	flags.BoolVar(&o.Tests, "with-tests", false, "the conformance kit of package auth too, and a test that runs it")
	a.addJSONFlag(cmd)
	return cmd
}

// viewResult is the JSON of view.
type viewResult struct {
	Module       string                `json:"module"`
	DB           string                `json:"db"`
	Dir          string                `json:"dir"`
	Entities     []string              `json:"entities"`
	Users        *install.Users        `json:"users,omitempty"`
	Files        []viewFile            `json:"files"`
	Requirements []install.Requirement `json:"requirements"`
	Notes        []string              `json:"notes,omitempty"`
}

type viewFile struct {
	Path   string         `json:"path"`
	Action install.Action `json:"action"`
	Reason string         `json:"reason"`
	Text   string         `json:"text"`
}

func (a *app) view(ctx context.Context, o install.Options) error {
	project, err := install.Open(".")
	if err != nil && !errors.Is(err, install.ErrNoModule) {
		return err
	}
	if project == nil {
		if project, err = install.Imagine(".", "example.com/app"); err != nil {
			return err
		}
	}
	if project.DB() == "" {
		o.DB = cmp.Or(o.DB, install.Databases[0])
	}
	plan, err := project.Plan(ctx, o)
	if err != nil {
		return err
	}
	result := viewResult{
		Module: plan.Module, DB: plan.DB, Dir: plan.Dir, Entities: plan.Entities,
		Users:        plan.Users,
		Requirements: plan.Requirements, Notes: a.notes(plan.Notes),
	}
	for _, f := range plan.Files {
		result.Files = append(result.Files, viewFile{f.Path, f.Action, f.Reason, f.Text})
	}
	slices.SortFunc(result.Files, func(a, b viewFile) int { return cmp.Compare(a.Path, b.Path) })
	if a.format == formatJSON {
		return a.printJSON(result)
	}
	fmt.Fprintf(a.info, "module    %s\ndatabase  %s\n", result.Module, result.DB)
	if text := plan.Users.Text(); text != "" {
		fmt.Fprintf(a.stdout, "\n%s\n", text)
	}
	a.printTree(result.Files)
	fmt.Fprintln(a.stdout)
	for _, m := range result.Requirements {
		fmt.Fprintln(a.stdout, "require", m.Module, m.Version)
	}
	for _, f := range result.Files {
		fmt.Fprintf(a.stdout, "\n-- %s --\n%s", f.Path, f.Text)
	}
	for _, note := range result.Notes {
		fmt.Fprintln(a.info, "note:", note)
	}
	return nil
}

// printTree prints the files below their folders.
func (a *app) printTree(files []viewFile) {
	var open []string
	for _, f := range files {
		parts := strings.Split(f.Path, "/")
		folders := parts[:len(parts)-1]
		same := 0
		for same < len(folders) && same < len(open) && folders[same] == open[same] {
			same++
		}
		for n := same; n < len(folders); n++ {
			fmt.Fprintf(a.stdout, "%s%s/\n", strings.Repeat("  ", n), folders[n])
		}
		open = folders
		name := strings.Repeat("  ", len(folders)) + path.Base(f.Path)
		if f.Action != install.Create {
			fmt.Fprintf(a.stdout, "%-30s  %s\n", name, f.Action)
			continue
		}
		fmt.Fprintln(a.stdout, name)
	}
}
