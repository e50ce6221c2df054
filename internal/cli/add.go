package cli

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

func newAdd(a *app) *cobra.Command {
	i := newInstallation(a)
	cmd := &cobra.Command{
		Use:   "add schema auth[/NAME]…",
		Short: "Install entities, or all of them, into a Go module",
		Long: `Install the entities of the auth graph into the Go module of the current folder, as
source that is yours from then on: auth for all of them, or auth/user, auth/otp,
auth/session, auth/refresh-token one by one. An edge is wired as soon as both of its
ends are there. The requirements are added to go.mod, the client is generated and
built, and the migration is planned; the first one without a database.

If the project has an entity that the users can be, the others are attached to it:
their rows belong to its rows, and it gets the columns that it lacks by a mixin. --user
names it, --map its fields, --profile how many columns it gets, --rule who may sign in.
The mapping is shown before anything is written.

A file that is there and differs is shown, and replaced only with --force. Files that
authgraph installed and you changed are merged; those that you deleted stay deleted.
If another version installed the files, run upgrade first. A run that fails or is
interrupted leaves everything as it was.`,
		Example: `  authgraph add schema auth --db mysql
  authgraph add schema auth/user auth/session
  authgraph add schema auth --with-auth
  authgraph add schema auth --user Member --map name=full_name --rule "status = 'active'"`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if i.Entities, err = entities(cmd, args); err != nil {
				return err
			}
			return ownUserAsked(args, &i.Options)
		},
		ValidArgsFunction: completeEntities,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			result, err := i.install(ctx)
			if err != nil {
				return err
			}
			if result != nil && result.Baseline != "" {
				a.adviseBaseline(result.Baseline)
			}
			switch {
			case result == nil || result.Migration == "":
			case result.Tool != "":
				a.next("review the migration, then run it with " + result.Tool)
			default:
				a.next("review the migration, set DATABASE_URL as in .env.example, then: authgraph migrate apply")
			}
			return nil
		}),
	}
	i.addFlags(cmd)
	addUserFlags(cmd, &i.Options)
	flags := cmd.Flags()
	flags.BoolVar(&i.Auth, "with-auth", false, "install package auth and Open too, as source")
	flags.BoolVar(&i.Tests, "with-tests", false,
		"install the conformance kit of package auth too, and a test that runs it")
	flags.StringVar(&i.devURL, "dev-url", "",
		"an empty database to plan a later migration in, as a `URL` (default a scratch database beside the one of "+
			"--url, dropped afterwards)")
	flags.BoolVar(&i.noMigration, "no-migration", false, "plan no migration")
	flags.StringVar(&i.Tool, "migration-tool", "",
		"write the migration for the project's own `tool`: "+strings.Join(install.Tools, ", ")+
			", or NAME=FOLDER (default the one whose files are found)")
	cmd.MarkFlagsMutuallyExclusive("no-migration", "migration-tool")
	return cmd
}

// adviseBaseline says what the migration of the project's own tables is for.
func (a *app) adviseBaseline(file string) {
	if a.format != formatText {
		return
	}
	version, _, _ := strings.Cut(path.Base(file), "_")
	fmt.Fprintf(a.info, "note: %s makes the tables of your own entities, for new databases. Where Ent's Schema.Create "+
		"made them: take that call out of the service, run authgraph migrate apply --baseline %s, which runs only "+
		"what comes after it, and compare with authgraph doctor\n", file, version)
}
