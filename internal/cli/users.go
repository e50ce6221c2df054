package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/english"
)

func newUsers(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "users",
		Short: "Find, show and change accounts, for the person on call",
		Long: `Find, show and change accounts. A user is named by the address, which is normalised
as the tables do it, or by the id.

What changes something says what, and asks. --yes does not ask, --dry-run changes
nothing. docs/runbook.md has the commands by incident.`,
		Example: `  authgraph users show ada@example.com
  authgraph users suspend ada@example.com --for 24h
  authgraph users find --locked`,
	})
	cmd.AddCommand(newUsersFind(a), newUsersShow(a), newUsersSuspend(a), newUsersUnsuspend(a), newUsersUnlock(a),
		newUsersRevoke(a), newUsersSetRole(a), newUsersExport(a), newUsersErase(a))
	return cmd
}

// profileJSON is an account in JSON. It holds no secret.
type profileJSON struct {
	ID             int        `json:"id"`
	Email          string     `json:"email"`
	Name           string     `json:"name"`
	Role           string     `json:"role"`
	State          string     `json:"state"`
	Provider       string     `json:"provider"`
	Linked         bool       `json:"linked"`
	HasPassword    bool       `json:"has_password"`
	EmailVerified  bool       `json:"email_verified"`
	GuessFailures  int        `json:"guess_failures"`
	StepFailures   int        `json:"step_failures"`
	LockedUntil    *time.Time `json:"locked_until,omitempty"`
	SuspendedUntil *time.Time `json:"suspended_until,omitempty"`
	DeletedAt      *time.Time `json:"deleted_at,omitempty"`
	LastLoginAt    *time.Time `json:"last_login_at,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
}

func newProfileJSON(p *auth.Profile) profileJSON {
	return profileJSON{
		ID: p.ID, Email: p.Email, Name: p.Name, Role: string(p.Role), State: stateOf(p),
		Provider: string(p.Provider), Linked: p.Linked, HasPassword: p.HasPassword, EmailVerified: p.EmailVerified,
		GuessFailures: p.GuessFailures, StepFailures: p.StepFailures,
		LockedUntil: timeOrNil(p.LockedUntil), SuspendedUntil: timeOrNil(p.SuspendedUntil),
		DeletedAt: timeOrNil(p.DeletedAt), LastLoginAt: p.LastLoginAt, CreatedAt: p.CreatedAt,
	}
}

// stateOf is what keeps a user out, in a word.
func stateOf(p *auth.Profile) string {
	switch {
	case p.Deleted:
		return "deleted"
	case !p.SuspendedUntil.IsZero():
		return "suspended"
	case !p.LockedUntil.IsZero():
		return "locked"
	case p.Spent:
		return "out of guesses"
	}
	return "open"
}

// userResult is the JSON of a command about one user. With Done the account is as it is afterwards.
type userResult struct {
	operationResult
	User profileJSON `json:"user"`
	// Live is what can be used, for show.
	Live *endedJSON `json:"live,omitempty"`
	// Ended is what ended, or on a dry run what would end.
	Ended *endedJSON `json:"ended,omitempty"`
}

func newUsersFind(a *app) *cobra.Command {
	var f auth.UserFilter
	var role string
	var ids bool
	cmd := &cobra.Command{
		Use:   "find [USER]",
		Short: "List accounts: by address or id, role, or what keeps them out",
		Long: `List the account of an address or an id, deleted or not, or those of a role, those
that guessing has locked, or those that an operator has suspended. --locked and
--suspended read the table of the users, for which there is no index.`,
		Example: `  authgraph users find Ada@Example.com
  authgraph users find --role admin
  authgraph users find --locked --ids`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneUser(cmd, args)
		},
		PreRunE: func(_ *cobra.Command, args []string) error {
			filtered := role != "" || f.Locked || f.Suspended
			switch {
			case len(args) == 0 && !filtered:
				return errors.New("users find needs an address, an id, --role, --locked or --suspended")
			case len(args) == 1 && filtered:
				return errors.New("users find takes either a user, or --role, --locked and --suspended")
			case f.Limit < 1 || f.Limit > 1000:
				return errors.New("--limit must be from 1 to 1000")
			}
			f.Role = schematype.Role(role)
			if role == "" {
				return nil
			}
			return checkRole(role)
		},
	}
	o := newOperation(a, cmd)
	flags := cmd.Flags()
	flags.StringVar(&role, "role", "", "those of a `role`: "+strings.Join(roles, ", "))
	flags.BoolVar(&f.Locked, "locked", false, "those that guessing has locked, or left without guesses")
	flags.BoolVar(&f.Suspended, "suspended", false, "those that an operator has suspended")
	flags.IntVar(&f.After, "after", 0, "begin behind this `id`, the last one of the page before")
	flags.IntVar(&f.Limit, "limit", 100, "how many `accounts` at most, up to 1000")
	flags.BoolVar(&ids, "ids", false, "print the ids alone, a line each")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roles, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			var list []*auth.Profile
			if len(args) == 1 {
				p, err := o.user(ctx, op, args[0])
				if err != nil {
					return err
				}
				list = append(list, p)
			} else {
				found, err := op.List(ctx, f)
				if err != nil {
					return err
				}
				list = found
			}
			if len(args) == 0 && len(list) == f.Limit {
				fmt.Fprintf(a.info, "note: there may be more: go on with --after %d\n", list[len(list)-1].ID)
			}
			return o.printUsers(r, list, ids)
		})
	})
	return cmd
}

func (o *operation) printUsers(r operationResult, list []*auth.Profile, ids bool) error {
	if o.format == formatJSON {
		users := make([]profileJSON, len(list))
		for i, p := range list {
			users[i] = newProfileJSON(p)
		}
		return o.printJSON(struct {
			operationResult
			Users []profileJSON `json:"users"`
		}{r, users})
	}
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	for _, p := range list {
		if ids {
			fmt.Fprintln(w, p.ID)
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", p.ID, oneLine(p.Email), p.Role, stateOf(p))
	}
	_ = w.Flush() // the output keeps its error
	if !ids {
		fmt.Fprintln(o.info, "found "+english.Count(len(list), "account"))
	}
	return nil
}

func newUsersShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show an account, and what keeps its owner out",
		Long: `Show an account: its state, what keeps its owner out and until when, its failures,
and how many sessions and refresh tokens are live. No secret is shown.`,
		Example: `  authgraph users show ada@example.com
  authgraph users show 42 --format json`,
		Args: oneUser,
	}
	o := newOperation(a, cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			p, err := o.user(ctx, op, args[0])
			if err != nil {
				return err
			}
			live, err := op.Count(ctx, p.ID)
			if err != nil {
				return err
			}
			if o.format == formatJSON {
				counted := endedJSON(live)
				return o.printJSON(userResult{operationResult: r, User: newProfileJSON(p), Live: &counted})
			}
			o.printProfile(p, live)
			return nil
		})
	})
	return cmd
}

func (o *operation) printProfile(p *auth.Profile, live auth.Ended) {
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, oneLine(value)) }
	line("id", strconv.Itoa(p.ID))
	line("address", p.Email+map[bool]string{true: " (verified)", false: " (not verified)"}[p.EmailVerified])
	line("name", p.Name)
	line("role", string(p.Role))
	line("state", stateOf(p))
	if !p.SuspendedUntil.IsZero() {
		line("suspended until", stamp(p.SuspendedUntil))
	}
	if !p.LockedUntil.IsZero() {
		line("locked until", stamp(p.LockedUntil))
	}
	if p.Deleted {
		line("deleted at", stamp(p.DeletedAt))
	}
	var ways []string
	if p.HasPassword {
		ways = append(ways, "password")
	}
	if p.Linked {
		ways = append(ways, string(p.Provider))
	}
	line("signs in by", strings.Join(append(ways, "mailed code"), ", "))
	line("failures", fmt.Sprintf("%d of strangers, %d at the second step", p.GuessFailures, p.StepFailures))
	last := time.Time{}
	if p.LastLoginAt != nil {
		last = *p.LastLoginAt
	}
	line("last sign-in", stamp(last))
	line("created", stamp(p.CreatedAt))
	line("live", fmt.Sprintf("%s, %s", english.Count(live.Sessions, "session"),
		english.Count(live.RefreshTokens, "refresh token")))
	_ = w.Flush() // the output keeps its error
}

// change is the body of a command that changes one user. It says what it does to whom, asks, does it, and shows the
// account as it is then.
func (o *operation) change(
	what func(p *auth.Profile) string,
	do func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error),
	would func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error),
) func(*cobra.Command, []string) error {
	return o.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			p, err := o.user(ctx, op, args[0])
			if err != nil {
				return err
			}
			sure, err := o.confirmed(ctx, what(p))
			if err != nil {
				return err
			}
			act := do
			if !sure {
				act = would
			}
			var ended *auth.Ended
			if act != nil {
				if ended, err = act(ctx, op, p); err != nil {
					return o.gone(p, err)
				}
			}
			if sure {
				if p, err = op.Find(ctx, p.ID); err != nil {
					return o.gone(p, err)
				}
			}
			return o.printChange(r, p, ended)
		})
	})
}

// gone says that somebody else removed or deleted an account meanwhile.
func (o *operation) gone(p *auth.Profile, err error) error {
	if p != nil && errors.Is(err, auth.ErrNotFound) {
		return fmt.Errorf("%s is deleted: nothing was changed", person(p))
	}
	return err
}

func (o *operation) printChange(r operationResult, p *auth.Profile, ended *auth.Ended) error {
	if o.format == formatJSON {
		result := userResult{operationResult: r, User: newProfileJSON(p)}
		if ended != nil {
			counted := endedJSON(*ended)
			result.Ended = &counted
		}
		return o.printJSON(result)
	}
	did := map[bool]string{true: "would end", false: "ended"}[o.dryRun]
	if ended != nil {
		fmt.Fprintf(o.stdout, "%s: %s %s and %s\n", oneLine(person(p)), did,
			english.Count(ended.Sessions, "session"), english.Count(ended.RefreshTokens, "refresh token"))
		return nil
	}
	fmt.Fprintf(o.stdout, "%s: %s, %s\n", oneLine(person(p)), stateOf(p), p.Role)
	return nil
}

func newUsersSuspend(a *app) *cobra.Command {
	var until string
	var last time.Duration
	cmd := &cobra.Command{
		Use:   "suspend USER",
		Short: "Close an account, without end or until a time",
		Long: `Close an account: no way of signing in, no session, refresh token and code of it is
accepted, from the next request on. Nothing is deleted, and what has not expired works
again afterwards. A second call moves the end. Without --until and --for it has none.`,
		Example: `  authgraph users suspend ada@example.com
  authgraph users suspend 42 --for 3d
  authgraph users suspend 42 --until 2030-01-02T15:04:05Z --yes`,
		Args: oneUser,
	}
	o := newOperation(a, cmd)
	end := auth.Forever
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		switch {
		case until != "" && cmd.Flags().Changed("for"):
			return errors.New("--until and --for exclude each other")
		case until != "":
			if end, err = time.Parse(time.RFC3339, until); err != nil {
				return errors.New("--until must be a time, as in 2030-01-02T15:04:05Z")
			}
		case cmd.Flags().Changed("for"):
			if last <= 0 {
				return errors.New("--for must be more than 0, as in 24h")
			}
			end = time.Now().Add(last)
		}
		if !end.After(time.Now()) {
			return errors.New("--until must be in the future")
		}
		return nil
	}
	cmd.Flags().StringVar(&until, "until", "", "the end, as a `time` such as 2030-01-02T15:04:05Z")
	durationVar(cmd.Flags(), &last, "for", 0, "how long it lasts")
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string {
			when := "without end"
			if !end.Equal(auth.Forever) {
				when = "until " + stamp(end.UTC().Truncate(time.Second))
			}
			return "suspend " + person(p) + " " + when
		},
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			return nil, op.Suspend(ctx, p.ID, end)
		}, nil)
	return cmd
}

func newUsersUnsuspend(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unsuspend USER",
		Short: "Open a suspended account again",
		Long: `End the suspension and the lock of an account, and start its counts of failures again.
What has not expired meanwhile works again. An account that is open is not an error.`,
		Example: `  authgraph users unsuspend ada@example.com`,
		Args:    oneUser,
	}
	o := newOperation(a, cmd)
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string { return "end the suspension of " + person(p) },
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			return nil, op.Unsuspend(ctx, p.ID)
		}, nil)
	return cmd
}

func newUsersUnlock(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unlock USER",
		Short: "End the lock that guessing caused",
		Long: `End the lock that guessing at the password caused, and start the counts of failures
again, also at the second step. A suspension stays. Whoever goes on guessing locks the
account again.`,
		Example: `  authgraph users unlock ada@example.com
  authgraph users find --locked --ids | xargs -n 1 authgraph users unlock --yes`,
		Args: oneUser,
	}
	o := newOperation(a, cmd)
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string { return "unlock " + person(p) },
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			return nil, op.Unlock(ctx, p.ID)
		}, nil)
	return cmd
}

func newUsersRevoke(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke USER",
		Short: "Sign a user out everywhere",
		Long: `End every session and refresh token of a user, and forget the user's devices. The
password stays: where somebody else knows it, suspend the account too, and have its
owner reset it.`,
		Example: `  authgraph users revoke ada@example.com
  authgraph users revoke 42 --yes --format json`,
		Args: oneUser,
	}
	o := newOperation(a, cmd)
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string { return "end all sessions and refresh tokens of " + person(p) },
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			ended, err := op.RevokeAll(ctx, p.ID)
			return &ended, err
		},
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			live, err := op.Count(ctx, p.ID)
			return &live, err
		})
	return cmd
}

// roles are those that there are.
var roles = schematype.Role("").Values()

func checkRole(role string) error {
	for _, known := range roles {
		if role == known {
			return nil
		}
	}
	return fmt.Errorf("there is no role %q: take %s", role, strings.Join(roles, " or "))
}

func newUsersSetRole(a *app) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "set-role USER ROLE",
		Short: "Give a user another role: " + strings.Join(roles, " or "),
		Long: `Give a user another role, which holds from the next check of a session on. What the
service has already handed out by the old role, such as a signed token of its own, it
has to end itself.`,
		Example: `  authgraph users set-role ada@example.com user`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s takes two arguments, the user and the role, as in: %s ada@example.com %s",
					commandName(cmd), cmd.CommandPath(), roles[0])
			}
			role = args[1]
			return errors.Join(checkUser(args[0]), checkRole(role))
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return roles, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o := newOperation(a, cmd)
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string { return fmt.Sprintf("give %s the role %s", person(p), role) },
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			return nil, op.ChangeRole(ctx, p.ID, schematype.Role(role))
		}, nil)
	return cmd
}
