package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/english"
)

func newUsersExport(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export USER",
		Short: "Write all that the tables hold of a person, as JSON",
		Long: `Write all that the tables hold of a person, as JSON: the account, its sessions,
refresh tokens and codes. Hashes of passwords, codes and tokens are left out. Tables and
columns of your own are not known here: add what they hold. With --format json the object
also names the database.`,
		Example: `  authgraph users export ada@example.com >ada.json`,
		Args:    oneUser,
	}
	o := newOperation(a, cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			p, err := o.user(ctx, op, args[0])
			if err != nil {
				return err
			}
			held, err := op.Export(ctx, p.ID)
			if err != nil {
				return err
			}
			if a.format == formatText {
				return a.printJSON(held)
			}
			return a.printJSON(struct {
				operationResult
				*auth.Export
			}{r, held})
		})
	})
	return cmd
}

// eraseResult is the JSON of users erase.
type eraseResult struct {
	operationResult
	UserID int `json:"user_id"`
	// Deleted counts the rows that are, or on a dry run would be, deleted. On a dry run those that stay as evidence of
	// reuse are among them.
	Deleted struct {
		endedJSON
		OTPs int `json:"otps"`
	} `json:"deleted"`
	// KeptTokens are the refresh tokens that stay until they expire, and Anonymised is whether the row of the account
	// stays, without the person's data.
	KeptTokens int  `json:"kept_tokens"`
	Anonymised bool `json:"anonymised"`
}

func newUsersErase(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "erase USER",
		Short: "Erase what the tables hold of a person; it cannot be undone",
		Long: `Erase what the tables hold of a person: name, address, avatar, identity, password,
sessions, refresh tokens and codes. The address is free afterwards. This cannot be undone:
write the person's data with authgraph users export first, if they asked for them too.

Refresh tokens that show a reuse stay until they expire, without the person's data, and
with them an anonymised row of the account, which authgraph purge deletes. Such a row also
stays where a foreign key of another table needs it. Name the user by the id if the
address is gone. If it is cut off, run it again: it does the rest.

Backups, logs, and tables and columns of your own are not known here.`,
		Example: `  authgraph users erase ada@example.com --dry-run
  authgraph users erase ada@example.com`,
		Args: oneUser,
	}
	o := newOperation(a, cmd)
	o.changes(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		return o.do(ctx, func(ctx context.Context, op *auth.Operator, r operationResult) error {
			p, err := o.user(ctx, op, args[0])
			if err != nil {
				return err
			}
			result := eraseResult{operationResult: r, UserID: p.ID}
			sure, err := o.confirmed(ctx, "erase all that is held of "+person(p)+", which cannot be undone")
			switch {
			case err != nil:
				return err
			case sure:
				err = o.erase(ctx, op, p, &result)
			default:
				var held *auth.Export
				if held, err = op.Export(ctx, p.ID); err == nil {
					result.Deleted.Sessions, result.Deleted.RefreshTokens = len(held.Sessions), len(held.RefreshTokens)
					result.Deleted.OTPs = len(held.OTPs)
				}
			}
			if err != nil {
				return err
			}
			return o.printErased(result, p)
		})
	})
	return cmd
}

func (o *operation) erase(ctx context.Context, op *auth.Operator, p *auth.Profile, result *eraseResult) error {
	done, err := op.Erase(ctx, p.ID)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return fmt.Errorf("%w; run authgraph users erase %d again: it finishes what was begun", err, p.ID)
	}
	result.Deleted.Sessions, result.Deleted.RefreshTokens = done.Sessions, done.RefreshTokens
	result.Deleted.OTPs, result.KeptTokens, result.Anonymised = done.OTPs, done.Kept, done.Anonymised
	return o.gone(p, err)
}

func (o *operation) printErased(r eraseResult, p *auth.Profile) error {
	if o.format == formatJSON {
		return o.printJSON(r)
	}
	did := map[bool]string{true: "would delete", false: "deleted"}[r.DryRun]
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%d\tsessions\n", did, r.Deleted.Sessions)
	fmt.Fprintf(w, "%s\t%d\trefresh_tokens\n", did, r.Deleted.RefreshTokens)
	fmt.Fprintf(w, "%s\t%d\totps\n", did, r.Deleted.OTPs)
	_ = w.Flush() // the output keeps its error
	switch {
	case r.DryRun:
	case r.KeptTokens > 0:
		fmt.Fprintf(o.info, "erased; %s of user %d stay until they expire, to show a reuse, with a row that tells "+
			"nothing of the person\n", english.Count(r.KeptTokens, "refresh token"), p.ID)
	case r.Anonymised:
		fmt.Fprintf(o.info, "erased; another table refers to user %d, so a row stays that tells nothing of the "+
			"person\n", p.ID)
	default:
		fmt.Fprintln(o.info, "erased; no row is left")
	}
	return nil
}
