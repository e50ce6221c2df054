package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/english"
)

func newTokens(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "tokens",
		Short: "Trace a session or refresh token, for the person on call",
		Long: `Trace a session or refresh token that was found where it should not be. The token is
read from standard input. It is never an argument: those are in the list of processes
and in the history of the shell.`,
		Example: `  authgraph tokens trace <token.txt`,
	})
	cmd.AddCommand(newTokensTrace(a))
	return cmd
}

// maxToken is more than any token has.
const maxToken = 4096

func newTokensTrace(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Tell whose a token is, and what became of it",
		Long: `Read a session or refresh token from standard input, and tell whose it is, which family
it belongs to, and when it was exchanged or ended. On a terminal it is not shown while
it is typed. The token is looked up by its hash, and is printed nowhere.`,
		Example: `  authgraph tokens trace <token.txt
  authgraph tokens trace --format json <token.txt`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("tokens trace takes no arguments: give the token on standard input, because " +
					"arguments are seen by others; take what was given here as leaked, and end it")
			}
			return nil
		},
	}
	o := newOperation(a, cmd)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		token, err := a.readToken()
		if err != nil {
			return err
		}
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			found, err := op.Trace(ctx, auth.ParseToken(token))
			if errors.Is(err, auth.ErrNotFound) {
				return errors.New("the tables have no such token: it is not one of this database, was purged after " +
					"its end, or is that of a session that was begun again")
			}
			if err != nil {
				return err
			}
			p, err := op.Find(ctx, found.UserID)
			if err != nil {
				return err
			}
			return o.printTrace(r, found, p)
		})
	})
	return cmd
}

// readToken reads one line of standard input. On a terminal it is not shown.
func (a *app) readToken() (string, error) {
	var line []byte
	var err error
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(a.stderr, "Token: ")
		line, err = term.ReadPassword(fd)
		fmt.Fprintln(a.stderr)
	} else {
		line, err = bufio.NewReader(io.LimitReader(os.Stdin, maxToken)).ReadBytes('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token from standard input: %w", err)
	}
	token := strings.TrimSpace(string(line))
	if token == "" {
		return "", errors.New("standard input holds no token: authgraph tokens trace <FILE")
	}
	return token, nil
}

// traceResult is the JSON of tokens trace.
type traceResult struct {
	operationResult
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Family    string     `json:"family,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	ChangedAt *time.Time `json:"changed_at,omitempty"`
	// Tokens are how many refresh tokens the family has had, and LiveTokens how many can be exchanged.
	Tokens     int `json:"family_tokens"`
	LiveTokens int `json:"family_live_tokens"`
	// Session is that of the device, and SessionActive whether nobody has ended it.
	Session       *sessionJSON `json:"session,omitempty"`
	SessionActive bool         `json:"session_active"`
	User          profileJSON  `json:"user"`
}

func (o *operation) printTrace(r operationResult, found *auth.Trace, p *auth.Profile) error {
	if o.format == formatJSON {
		result := traceResult{
			operationResult: r, Kind: found.Kind, State: found.State, Family: found.Family,
			CreatedAt: found.CreatedAt, ExpiresAt: found.ExpiresAt, ChangedAt: timeOrNil(found.ChangedAt),
			Tokens: found.Tokens, LiveTokens: found.LiveTokens, SessionActive: found.SessionActive,
			User: newProfileJSON(p),
		}
		if found.Session != nil {
			s := newSessionJSON(found.Session)
			result.Session = &s
		}
		return o.printJSON(result)
	}
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, oneLine(value)) }
	line("kind", strings.ReplaceAll(found.Kind, "_", " "))
	state := found.State
	if !found.ChangedAt.IsZero() {
		state += " at " + stamp(found.ChangedAt)
	}
	line("state", state)
	line("user", fmt.Sprintf("%d %s (%s)", p.ID, p.Email, stateOf(p)))
	line("created", stamp(found.CreatedAt))
	line("expires", stamp(found.ExpiresAt))
	if found.Family != "" {
		line("family", fmt.Sprintf("%s: %s, %d live", found.Family, english.Count(found.Tokens, "refresh token"),
			found.LiveTokens))
	}
	if s := found.Session; s != nil {
		line("session", fmt.Sprintf("%d (%s), begun %s from %s by %s", s.ID,
			map[bool]string{true: "not ended", false: "ended"}[found.SessionActive], stamp(s.CreatedAt), s.IP,
			s.UserAgent))
	}
	_ = w.Flush() // the output keeps its error
	return nil
}
