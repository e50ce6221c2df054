package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/internal/usergraph"
)

// addUserFlags adds the flags of add and view that say which entity of the project the users are.
func addUserFlags(cmd *cobra.Command, o *install.Options) {
	var profiles []string
	for _, p := range usergraph.Profiles {
		profiles = append(profiles, string(p))
	}
	flags := cmd.Flags()
	flags.StringVar(&o.User, "user", "",
		"the `entity` of yours that the users are, as in Member; "+install.NoUser+" for authgraph's own User (default "+
			"the only one that it can be)")
	flags.StringVar(&o.Map, "map", "",
		"which `fields` of that entity are which, as in email=mail,name=full_name; - for none, + for one that is "+
			"added though yours fits (default by name and type)")
	flags.StringVar(&o.Profile, "profile", "",
		"how much is kept of a user: "+strings.Join(profiles, ", ")+" (default "+profiles[0]+")")
	flags.StringVar(&o.Rule, "rule", "",
		"who may use an account, as a `condition` in SQL, as in \"u.status = 'active'\"; none for everybody (default "+
			"by the names of the fields)")
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions(profiles, cobra.ShellCompDirectiveNoFileComp))
}

// ownUserAsked takes auth/user by its name for what --user none says.
func ownUserAsked(args []string, o *install.Options) error {
	name := "auth/" + install.UserEntity
	switch {
	case !slices.Contains(args, name):
	case o.User == "":
		o.User = install.NoUser
	case o.User != install.NoUser:
		return fmt.Errorf("%s is authgraph's own User, and --user %s names another one: leave out one of the two", name,
			o.User)
	}
	return nil
}

// recordFlag adds --record, for commands that work on a database away from the project.
func recordFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "record", "",
		"the record of the project whose users are an entity of its own, as a `file` (default "+install.RecordFile+
			" here)")
}

// usersTable is the table that the users are in, by a record or that of the project in the current folder; nil for
// authgraph's own.
func usersTable(record string) (*registry.Users, error) {
	if record != "" {
		return install.UsersOf(record)
	}
	project, err := install.Open(".")
	if errors.Is(err, install.ErrNoModule) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, users := project.User()
	return users, nil
}

// planWith plans an installation. On a terminal it asks for what only the project can know. Where the entity cannot be
// the users as it is, it shows first how that would be mapped.
func (i *installation) planWith(ctx context.Context, project *install.Project) (*install.Plan, error) {
	for {
		plan, err := project.Plan(ctx, i.Options)
		var open *install.Error
		asks := errors.As(err, &open) &&
			(open.Reason == install.UndecidedUser || open.Reason == install.UndecidedRule) &&
			!i.yes && term.IsTerminal(int(os.Stdin.Fd()))
		var unready *install.Unready
		if errors.As(err, &unready) && i.format == formatText {
			out := io.Writer(i.stdout)
			if asks {
				out = i.stderr
			}
			fmt.Fprintln(out, unready.Table)
		}
		if !asks {
			return plan, err
		}
		switch open.Reason {
		case install.UndecidedUser:
			i.User, err = i.choose(ctx, "Which entity are the users?", append(open.Choices, install.NoUser))
		case install.UndecidedRule:
			fmt.Fprintln(i.stderr, oneLine(open.Found()))
			i.Rule, err = i.ask(ctx, "Who may sign in, as a condition in SQL such as u.status = 'active', or none: ")
		}
		if err != nil {
			return nil, err
		}
	}
}

// choose asks for one of several words.
func (a *app) choose(ctx context.Context, question string, words []string) (string, error) {
	fmt.Fprintln(a.stderr, question)
	for n, word := range words {
		fmt.Fprintf(a.stderr, "  %d  %s\n", n+1, word)
	}
	for {
		answer, err := a.ask(ctx, fmt.Sprintf("1 to %d (default 1): ", len(words)))
		if err != nil {
			return "", err
		}
		if answer == "" {
			return words[0], nil
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= len(words) {
			return words[n-1], nil
		}
		if slices.Contains(words, answer) {
			return answer, nil
		}
	}
}
