package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

func newUpgrade(a *app) *cobra.Command {
	i := newInstallation(a)
	i.Upgrade = true
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring what was installed to this version, and keep what you changed",
		Long: `Bring the files that authgraph installed to this version by a three-way merge of
what was installed, what you made of it, and what this version would install. Where
both changed the same lines, the file gets conflict markers, and the exit code is 3.
A file that you deleted stays deleted. If a file of yours is where a new one belongs,
it is shown, and replaced only with --force. Merging needs git.

A run that fails or is interrupted leaves everything as it was.`,
		Example: `  authgraph upgrade --dry-run
  authgraph upgrade`,
		Args: noArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error { return i.upgrade(ctx) }),
	}
	cmd.Flags().BoolVar(&i.Force, "force", false,
		"replace files that are in the way; those that you changed are merged all the same")
	i.addSafetyFlags(cmd)
	return cmd
}

func (i *installation) upgrade(ctx context.Context) error {
	result, err := i.install(ctx)
	if err != nil || result == nil {
		return err
	}
	project, err := install.Open(".")
	if err != nil {
		return err
	}
	plan := "plan the migration with authgraph migrate diff NAME"
	if tool := project.Tool(); tool != "" {
		plan = `authgraph diff "$DATABASE_URL" schema prints the SQL for a migration of ` + tool
	}
	i.next("look at git diff; where the schema changed, " + plan)
	return nil
}
