package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "authgraph",
		Short: "The auth database layer: users, OTPs, sessions and refresh tokens on MySQL",
		Long: `authgraph installs, migrates, inspects and checks the tables of the auth graph:
users, one-time passwords, sessions and refresh tokens, on MySQL, MariaDB or SQLite.

Results go to standard output. What they were made from, progress, warnings and
errors go to standard error. With --format json standard output is one JSON
object; an error is still a line on standard error, and the exit code tells.`,
		Example: `  authgraph demo
  export DATABASE_URL='mysql://user:password@localhost:3306/app'
  authgraph migrate apply
  authgraph migrate status`,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", "", "the database, as a `URL` (default $DATABASE_URL, else sqlite://authgraph.db)")
	flags.StringVar(&a.format, "format", formatText, "text or json; check and lint also github")
	_ = root.RegisterFlagCompletionFunc("format", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return formats(cmd), cobra.ShellCompDirectiveNoFileComp
	}) // it fails only for a flag that does not exist
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return checkFormat(cmd, a.format) }
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	root.SetHelpTemplate(root.HelpTemplate() + `{{if not .HasParent}}
Environment:
  DATABASE_URL  the database, where --url is not given:
                mysql://user:password@host:3306/app, mariadb://…, sqlite://file.db
                (percent-encode special characters of the password)
  NO_COLOR      is respected: the output has no colours

Exit codes:
  0    done
  1    failed: the line on standard error says what, where and what to do
  2    called wrongly: unknown command, flag, argument, format or a name that cannot be used
  3    found something: check (files and schema differ), lint (errors; with --strict warnings too)
  130  interrupted: a scratch database is dropped, and apply goes on where it stopped
{{end}}`)
	root.AddCommand(newDemo(a), newMigrate(a), newVersion(a))
	return root
}

// group makes cmd a command that only has others below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		near := cmd.SuggestionsFor(args[0])
		if len(near) == 0 {
			return fmt.Errorf("unknown command %q: see %s --help", args[0], cmd.CommandPath())
		}
		return fmt.Errorf("unknown command %q: did you mean %s %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// The values of --format.
const (
	formatText   = "text"
	formatJSON   = "json"
	formatGitHub = "github"
)

// annotates marks a command that can write --format github.
const annotates = "github"

func formats(cmd *cobra.Command) []string {
	known := []string{formatText, formatJSON}
	if _, ok := cmd.Annotations[annotates]; ok {
		known = append(known, formatGitHub)
	}
	return known
}

func checkFormat(cmd *cobra.Command, format string) error {
	known := formats(cmd)
	if !slices.Contains(known, format) {
		return fmt.Errorf("--format %q is unknown: %s takes %s", format, cmd.CommandPath(), strings.Join(known, ", "))
	}
	return nil
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneName is for commands that take the name of a migration.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one argument, the name of the migration, as in: %s add_phone", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
