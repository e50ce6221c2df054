package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newInit(a *app) *cobra.Command {
	i := newInstallation(a)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Set up a Go module for the auth graph, without entities yet",
		Long: `Set up the Go module of the current folder: the generator of the Ent client, the
configuration of the Atlas CLI, an example of the environment, and the requirements
in go.mod. A generator that is there already stays. authgraph add does all this too,
and installs entities.

A run that fails or is interrupted leaves everything as it was.`,
		Example: `  authgraph init --db mysql
  authgraph init --db sqlite --ent internal/ent`,
		Args: noArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			result, err := i.install(ctx)
			if err != nil {
				return err
			}
			if result != nil {
				a.next("authgraph add schema auth")
			}
			return nil
		}),
	}
	i.addFlags(cmd)
	return cmd
}
