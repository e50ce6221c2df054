package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/mysqlconn"
	"github.com/authgraph/authgraph/internal/registry"
)

// operation is a command for the person on call.
type operation struct {
	*app
	config, record string
	yes, dryRun    bool
}

// newOperation adds the flags of every such command.
func newOperation(a *app, cmd *cobra.Command) *operation {
	o := &operation{app: a}
	cmd.Flags().StringVar(&o.config, "config", "",
		"the configuration of the service, as the JSON `file` of authgraph policy (default the defaults)")
	recordFlag(cmd, &o.record)
	return o
}

// changes adds the flags of a command that changes something, and has it refuse to run where nobody can be asked.
func (o *operation) changes(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if check != nil {
			if err := check(cmd, args); err != nil {
				return err
			}
		}
		if !o.yes && !o.dryRun && !term.IsTerminal(int(os.Stdin.Fd())) {
			return fmt.Errorf("%s asks before it changes something, and standard input is no terminal: use --yes, or "+
				"look first with --dry-run", commandName(cmd))
		}
		return nil
	}
}

// operationResult is the beginning of the JSON of each such command.
type operationResult struct {
	source
	DryRun bool `json:"dry_run,omitempty"`
}

// do runs work with an operator on the database of the command.
func (o *operation) do(
	ctx context.Context, work func(ctx context.Context, op *auth.Operator, r operationResult) error,
) (err error) {
	config, err := readConfig(o.config)
	if err != nil {
		return err
	}
	users, err := usersTable(o.record)
	if err != nil {
		return err
	}
	if users != nil {
		return fmt.Errorf("the users of this project are its own, in the table %s, of which this program knows too "+
			"little: call auth.NewOperator in a program of the project", users.Table())
	}
	u, raw, err := o.database()
	if err != nil {
		return err
	}
	result := operationResult{source: source{Database: u.String()}, DryRun: o.dryRun}
	o.announce(result.source)
	if u.Dialect == dialect.SQLite {
		// Opening it would make the file.
		if _, err := os.Stat(u.Database()); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database %s: make it with authgraph migrate apply", u)
		}
	}
	// Counting may take long.
	client, err := authgraph.Open(ctx, raw, authgraph.WithStatementTimeout(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	there, err := dbserver.Tables(ctx, client, u.Dialect, registry.Tables())
	if err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	for _, table := range registry.Tables() {
		if !slices.Contains(there, table) {
			return fmt.Errorf("%s has no table %s, or this account may not see it: make the tables with "+
				"authgraph migrate apply", u, table)
		}
	}
	op, err := auth.NewOperator(client, config)
	if err != nil {
		return err
	}
	return o.explained(u, work(ctx, op, result))
}

// explained says what to do about a column that is not there.
func (o *operation) explained(u *dburl.URL, err error) error {
	const unknownColumn = 1054
	if mysqlconn.IsServer(err, unknownColumn) || err != nil && strings.Contains(err.Error(), "no such column") {
		return fmt.Errorf("the tables of %s are not those of this version: apply what is pending with authgraph "+
			"migrate apply, or compare them with authgraph doctor: %w", u, err)
	}
	return err
}

// oneUser is for commands that take a user.
func oneUser(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one argument, the address or the id of the user, as in: %s ada@example.com",
			commandName(cmd), cmd.CommandPath())
	}
	return checkUser(args[0])
}

// checkUser is an error for what is neither an id nor an address.
func checkUser(user string) error {
	if _, err := strconv.Atoi(user); err == nil || strings.Contains(user, "@") && !strings.Contains(user, "://") {
		return nil
	}
	return errors.New("a user is named by an address, as in ada@example.com, or by an id, as in 42")
}

// user is the account that somebody named by the id or by the address.
func (o *operation) user(ctx context.Context, op *auth.Operator, named string) (p *auth.Profile, err error) {
	if id, unread := strconv.Atoi(named); unread == nil {
		p, err = op.Find(ctx, id)
	} else {
		p, err = op.FindByEmail(ctx, named)
	}
	var input *auth.InputError
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return nil, fmt.Errorf("there is no user %s: look for another spelling of the address, or for the id", named)
	case errors.As(err, &input):
		return nil, fmt.Errorf("%s is no address: %w", named, err)
	}
	return p, err
}

// confirmed asks whether to do something, and reports whether to go on. On a dry run it does not.
func (o *operation) confirmed(ctx context.Context, what string) (bool, error) {
	if o.dryRun {
		fmt.Fprintf(o.info, "dry run: nothing was changed; this would %s\n", what)
		return false, nil
	}
	if o.yes {
		return true, nil
	}
	answer, err := o.ask(ctx, strings.ToUpper(what[:1])+what[1:]+"? [y/N] ")
	if err != nil {
		return false, err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return false, errors.New("not confirmed, nothing was changed")
	}
	return true, nil
}

// person names a user in a question or a line.
func person(p *auth.Profile) string { return fmt.Sprintf("user %d (%s)", p.ID, p.Email) }

// stamp is a time in a table; a dash for none.
func stamp(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.Equal(auth.Forever):
		return "without end"
	}
	return t.Format(time.RFC3339)
}

// timeOrNil leaves a time that is not there out of JSON.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// endedJSON is what ended, or would end.
type endedJSON struct {
	Sessions      int `json:"sessions"`
	RefreshTokens int `json:"refresh_tokens"`
}
