package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/authgraph/authgraph/internal/directory"
)

func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "authgraph",
		Short: "The auth database layer: users, OTPs, sessions and refresh tokens on MySQL",
		Long: `authgraph installs, migrates, inspects and checks the tables of the auth graph:
users, one-time passwords, sessions and refresh tokens, on MySQL, MariaDB or SQLite.

Results go to standard output. What they were made from, progress, warnings and
errors go to standard error, an error as one line. With --format json a command
writes one JSON object if it succeeds, if it finds something, or if it fails with a
result to show (help and completion aside).`,
		Example: `  authgraph demo
  authgraph add schema auth
  export DATABASE_URL='mysql://user:password@localhost:3306/app'
  authgraph migrate apply
  authgraph migrate status`,
		Version:       readVersions().Authgraph,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.Flags().Bool("version", false, "print the version of authgraph")
	root.SetVersionTemplate(versionLine)
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", "", "the database, as a `URL` (default $DATABASE_URL; demo has one of its own)")
	flags.StringVar(&a.format, "format", "",
		"text (the default) or json; check and lint also github; inspect sql (its default), hcl, json, mermaid, "+
			"svg or html")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print results, warnings and errors only")
	_ = root.RegisterFlagCompletionFunc("format",
		func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return formats(cmd), cobra.ShellCompDirectiveNoFileComp
		}) // it fails only for a flag that does not exist
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.checkFlags(cmd); err != nil {
			return err
		}
		if a.quiet {
			a.hush()
		}
		if !cmd.Flags().Changed("format") {
			a.format = formats(cmd)[0]
		}
		a.stderr.workflow = a.format == formatGitHub
		return checkFormat(cmd, a.format)
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(root.HelpTemplate() + rootHelp)
	root.AddCommand(
		newAdd(a), newAdopt(a), newDemo(a), newDoctor(a), newInit(a), newInspect(a), newList(a),
		newMan(a), newMigrate(a), newPolicy(a),
		newPurge(a), newSchemaDiff(a), newSessions(a), newTokens(a), newUpgrade(a), newUsers(a), newVersion(a),
		newView(a),
	)
	checkHelp(root)
	root.InitDefaultCompletionCmd()
	group(child(root, "completion"))
	addCompletions(root)
	return root
}

// rootHelp ends the help of the root command.
const rootHelp = "{{if not .HasParent}}\nEnvironment:\n" + environmentHelp + "\n\nExit codes:\n" + exitCodesHelp +
	"\n{{end}}"

const environmentHelp = `  DATABASE_URL  the database, where --url is not given:
                mysql://user:password@host:3306/app, mariadb://…, sqlite://file.db
                (percent-encode special characters of the password); a file .env is not read
  NO_COLOR      turns colours off, as TERM=dumb does; there are none but on a terminal`

const exitCodesHelp = `  0    done
  1    failed: the line on standard error says what, where and what to do
  2    called wrongly: unknown command, flag, argument or format, or a name or database URL
       that cannot be used
  3    found something that it looks for: adopt, check, diff, doctor, lint, policy (doctor, lint and
       policy: errors and failures; with --strict warnings too); down: values that would be lost;
       upgrade: conflicts, marked in the files
  130  interrupted: a scratch database is dropped, apply and down go on where they stopped, and
       init, add and upgrade leave every file as it was`

// flagError says what is wrong with a flag, and where to look.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		if reason := reasons[invalid.GetFlag().Value.Type()]; reason != "" {
			text = strings.Replace(text, invalid.Unwrap().Error(), reason, 1)
		}
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearestFlags(cmd, unknown); len(near) > 0 {
			return fmt.Errorf("%s: did you mean %s?", text, strings.Join(near, " or "))
		}
	}
	return fmt.Errorf("%s: see %s --help", text, cmd.CommandPath())
}

// nearestFlags are the flags of a command that an unknown one was meant to be. What follows a single hyphen may be the
// name of one, too.
func nearestFlags(cmd *cobra.Command, unknown *pflag.NotExistError) (near []string) {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	name := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		if name, _, _ = strings.Cut(short, "="); len(name) < 2 {
			return nil
		}
	}
	for _, flag := range nearest(name, known) {
		near = append(near, "--"+flag)
	}
	return near
}

// reasons replace, by the type of a flag, the reasons that would repeat the value.
var reasons = map[string]string{
	"bool": "it must be true or false",
	"int":  "it must be a whole number",
}

// checkHelp makes cobra's help command refuse a command that does not exist.
func checkHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	child(root, "help").Args = func(_ *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		if err != nil || len(rest) == 0 {
			return err
		}
		return unknownCommand(cmd, rest[0])
	}
}

// child is the command of a name below root, which must exist.
func child(root *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(root.Commands(), func(cmd *cobra.Command) bool { return cmd.Name() == name })
	return root.Commands()[i]
}

// group makes cmd a command that only has others below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func unknownCommand(below *cobra.Command, name string) error {
	near := below.SuggestionsFor(name)
	if slices.Contains(near, name) {
		return fmt.Errorf("no command comes after --: leave that out before %s", name)
	}
	if len(near) == 0 {
		return fmt.Errorf("unknown command %q: see %s --help", name, below.CommandPath())
	}
	return fmt.Errorf("unknown command %q: did you mean %s %s?", name, below.CommandPath(), strings.Join(near, " or "))
}

// The values of --format.
const (
	formatText    = "text"
	formatJSON    = "json"
	formatGitHub  = "github"
	formatSQL     = "sql"
	formatHCL     = "hcl"
	formatMermaid = "mermaid"
	formatSVG     = "svg"
	formatHTML    = "html"
)

const (
	// annotates marks a command that can write --format github.
	annotates = "github"
	// draws marks a command that shows a schema, in formats of its own.
	draws = "schema"
)

// formats are those of a command; the first is its default.
func formats(cmd *cobra.Command) []string {
	if _, ok := cmd.Annotations[draws]; ok {
		return []string{formatSQL, formatHCL, formatJSON, formatMermaid, formatSVG, formatHTML}
	}
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

// commandName is what an error calls a command: the line begins with authgraph already.
func commandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case isAddress(args[0]):
		return fmt.Errorf("%s takes no arguments: name the database with --url", commandName(cmd))
	default:
		return fmt.Errorf("%s takes no arguments, but was given %q", commandName(cmd), args[0])
	}
}

// oneName is for commands that take the name of a migration.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one argument, the name of the migration, as in: %s add_phone", commandName(cmd),
			cmd.CommandPath())
	}
	return directory.CheckName(args[0])
}
