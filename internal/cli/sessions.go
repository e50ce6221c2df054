package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/english"
)

func newSessions(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "sessions",
		Short: "Count, list and end sessions, for the person on call",
		Long: `Count, list and end the sessions of a user, who is named by the address or the id.
To sign a user out everywhere, with the refresh tokens that have no session, use
authgraph users revoke.`,
		Example: `  authgraph sessions list ada@example.com
  authgraph sessions end ada@example.com 17`,
	})
	cmd.AddCommand(newSessionsCount(a), newSessionsList(a), newSessionsEnd(a))
	return cmd
}

func newSessionsCount(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "count [USER]",
		Short: "Count live sessions and refresh tokens, of a user or of all",
		Long: `Count the sessions and refresh tokens that are live: of a user or, without one, of all
users. For all it reads both tables, which takes long where they are large.`,
		Example: `  authgraph sessions count
  authgraph sessions count ada@example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneUser(cmd, args)
		},
	}
	o := newOperation(a, cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) (err error) {
			var n auth.Ended
			if len(args) == 0 {
				n, err = op.CountAll(ctx)
			} else {
				var p *auth.Profile
				if p, err = o.user(ctx, op, args[0]); err == nil {
					n, err = op.Count(ctx, p.ID)
				}
			}
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return a.printJSON(struct {
					operationResult
					Live endedJSON `json:"live"`
				}{r, endedJSON(n)})
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "sessions\t%d\nrefresh tokens\t%d\n", n.Sessions, n.RefreshTokens)
			return w.Flush()
		})
	})
	return cmd
}

// sessionJSON is a session in JSON.
type sessionJSON struct {
	ID         int       `json:"id"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Dormant    bool      `json:"dormant,omitempty"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	CreatedAt  time.Time `json:"created_at"`
}

func newSessionJSON(s *auth.Session) sessionJSON {
	return sessionJSON{ID: s.ID, IP: s.IP, UserAgent: s.UserAgent, Dormant: s.Dormant, LastUsedAt: s.LastUsedAt,
		ExpiresAt: s.ExpiresAt, CreatedAt: s.CreatedAt}
}

func newSessionsList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list USER",
		Short: "List the devices of a user",
		Long: `List the live sessions of a user, the last used first, at most 1000. A dormant one has
ended by its times, but its device holds a refresh token and can begin it again.`,
		Example: `  authgraph sessions list ada@example.com`,
		Args:    oneUser,
	}
	o := newOperation(a, cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			p, err := o.user(ctx, op, args[0])
			if err != nil {
				return err
			}
			list, err := op.Sessions(ctx, p.ID)
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				sessions := make([]sessionJSON, len(list))
				for i, s := range list {
					sessions[i] = newSessionJSON(s)
				}
				return a.printJSON(struct {
					operationResult
					UserID   int           `json:"user_id"`
					Sessions []sessionJSON `json:"sessions"`
				}{r, p.ID, sessions})
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, s := range list {
				state := map[bool]string{true: "dormant", false: "live"}[s.Dormant]
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", s.ID, state, stamp(s.LastUsedAt.Truncate(time.Second)),
					cmp.Or(oneLine(s.IP), "-"), cmp.Or(oneLine(s.UserAgent), "-"))
			}
			_ = w.Flush() // the output keeps its error
			fmt.Fprintln(a.info, "found "+english.Count(len(list), "session"))
			return nil
		})
	})
	return cmd
}

func newSessionsEnd(a *app) *cobra.Command {
	var every bool
	var sessionID int
	cmd := &cobra.Command{
		Use:   "end USER [SESSION]",
		Short: "End one session of a user, or all of them",
		Long: `End a session of a user by the id that authgraph sessions list shows, with the refresh
tokens of its device, or all of them with --all. The devices are strangers then.`,
		Example: `  authgraph sessions end ada@example.com 17
  authgraph sessions end ada@example.com --all`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("%s takes the user and the id of the session, as in: %s ada@example.com 17",
					commandName(cmd), cmd.CommandPath())
			}
			if len(args) == 2 {
				if sessionID, err = strconv.Atoi(args[1]); err != nil || sessionID < 1 {
					return errors.New("the id of a session is a number, as authgraph sessions list shows it")
				}
			}
			return checkUser(args[0])
		},
	}
	o := newOperation(a, cmd)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if every == (len(args) == 2) {
			return errors.New("sessions end takes either the id of a session, or --all")
		}
		return nil
	}
	cmd.Flags().BoolVar(&every, "all", false, "end all sessions of the user")
	o.changes(cmd)
	cmd.RunE = o.change(
		func(p *auth.Profile) string {
			if every {
				return "end all sessions of " + person(p)
			}
			return fmt.Sprintf("end session %d of %s", sessionID, person(p))
		},
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			var ended auth.Ended
			var err error
			if every {
				ended, err = op.RevokeSessions(ctx, p.ID)
			} else if ended, err = op.RevokeSession(ctx, p.ID, sessionID); err == nil && ended.Count() == 0 {
				err = fmt.Errorf("%s has no live session %d: list them with authgraph sessions list %d", person(p),
					sessionID, p.ID)
			}
			return &ended, err
		},
		func(ctx context.Context, op *auth.Operator, p *auth.Profile) (*auth.Ended, error) {
			if every {
				live, err := op.Count(ctx, p.ID)
				return &live, err
			}
			list, err := op.Sessions(ctx, p.ID)
			if err == nil && !slices.ContainsFunc(list, func(s *auth.Session) bool { return s.ID == sessionID }) {
				err = fmt.Errorf("%s has no live session %d: list them with authgraph sessions list %d", person(p),
					sessionID, p.ID)
			}
			return nil, err
		})
	return cmd
}
