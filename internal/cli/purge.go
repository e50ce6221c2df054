package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"entgo.io/ent/dialect"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/registry"
)

func newPurge(a *app) *cobra.Command {
	var p purge
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Delete codes, sessions, tokens and accounts whose time is over",
		Long: `Delete what has ended: codes that count for nothing any more, refresh tokens
past their absolute end, sessions past theirs whose devices have no live refresh
token and are no longer remembered, and accounts that were deleted longer ago
than --retention, with all that is theirs. Meant to be run daily.

It deletes in batches, while the service goes on working, and rests three times as
long as each took. It rests longer while the server has too much to do or falls
behind. --full-rate takes all that the server can give. --rate is a limit beside
either.

The sessions and tokens of an account count in its batch and in --rate. If an account
has more of them than fit into a batch, several batches delete them, and from the
first on it cannot be reactivated. Ctrl-C undoes the batch under way. What is deleted
stays deleted, and the next run goes on.

Progress is on standard error: the rows deleted and about how many there are, the
rate, the time left, and how many transactions InnoDB has still to purge. With
--format json it is a JSON object a line.`,
		Example: `  authgraph purge --dry-run
  authgraph purge --retention 90d
  authgraph purge --rate 2000
  authgraph purge --full-rate
  authgraph purge --config policy.json --format json`,
		Args: noArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case p.opts.Batch < 1:
				return errors.New("--batch must be 1 or more")
			case p.opts.Rate < 0:
				return errors.New("--rate must not be negative")
			case cmd.Flags().Changed("retention") && p.retention <= 0:
				return errors.New("--retention must be more than 0, as in 30d")
			}
			return nil
		},
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.purge(ctx, p) }),
	}
	flags := cmd.Flags()
	flags.BoolVar(&p.opts.DryRun, "dry-run", false, "count the rows and delete none")
	flags.IntVar(&p.opts.Batch, "batch", 1000,
		fmt.Sprintf("how many `rows` one transaction deletes at most, up to %d", auth.MaxPurgeBatch))
	flags.IntVar(&p.opts.Rate, "rate", 0,
		"the most `rows` a second, in small batches (default no limit)")
	flags.BoolVar(&p.opts.FullRate, "full-rate", false,
		"do not rest between batches, for a server that nobody waits for")
	durationVar(flags, &p.retention, "retention", 0,
		"how long a deleted account is kept (default that of --config, else 30d)")
	recordFlag(cmd, &p.record)
	flags.StringVar(&p.config, "config", "",
		"the configuration of the service, as the JSON `file` of authgraph policy (default the defaults)")
	return cmd
}

// purge is what the flags say.
type purge struct {
	opts      auth.PurgeOptions
	retention time.Duration
	config    string
	record    string
}

// purgeResult is the JSON of purge.
type purgeResult struct {
	source
	DryRun bool `json:"dry_run,omitempty"`
	// Tables are those that the database has. A project may have only some.
	Tables []string `json:"tables"`
	// NotSeen are the others: they do not exist, or the account has no right on them. Their rows stay.
	NotSeen []string `json:"not_seen,omitempty"`
	// Complete is false if the purge was cut off.
	Complete bool `json:"complete"`
	// Deleted counts the rows that are, or on a dry run would be, deleted. An account counts as one row.
	Deleted auth.Purged `json:"deleted"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`

	users *registry.Users
}

func (a *app) purge(ctx context.Context, p purge) (err error) {
	config, err := readConfig(p.config)
	if err != nil {
		return err
	}
	config.Account.Retention = cmp.Or(p.retention, config.Account.Retention)
	users, err := usersTable(p.record)
	if err != nil {
		return err
	}
	u, raw, err := a.database()
	if err != nil {
		return err
	}
	if p.opts.Batch > auth.MaxPurgeBatch {
		fmt.Fprintf(a.info, "note: a batch has at most %d rows: with more a server may lock the whole table\n",
			auth.MaxPurgeBatch)
	}
	result := purgeResult{source: source{Database: u.String()}, DryRun: p.opts.DryRun, users: users}
	a.announce(result.source)
	if u.Dialect == dialect.SQLite {
		// Opening it would make the file.
		if _, err := os.Stat(u.Database()); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database %s: make it with authgraph migrate apply", u)
		}
	}
	// Counting the rows may take long.
	client, err := authgraph.Open(ctx, raw, authgraph.WithStatementTimeout(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if result.Tables, result.NotSeen, err = a.tablesToPurge(ctx, client, u, users); err != nil {
		return err
	}
	p.opts.Users, p.opts.Tables = users.ToPurge(), []string{} // nil would be all
	for table := range (auth.Purged{}).PerTable() {
		if slices.Contains(result.Tables, users.Of(table)) {
			p.opts.Tables = append(p.opts.Tables, table)
		}
	}
	began := time.Now()
	printer := &purgePrinter{app: a, last: began}
	if !p.opts.DryRun {
		p.opts.Progress = printer.progress
	}
	result.Deleted, err = auth.Purge(ctx, client, config, p.opts)
	result.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	clearBar(printer.bar)
	result.Complete = err == nil
	if n := result.Deleted.Total(); err != nil && n > 0 {
		err = fmt.Errorf("%w; what was deleted stays so (%s), run authgraph purge again to go on",
			err, english.Count(n, "row"))
	}
	if a.format == formatJSON {
		return errors.Join(err, a.printJSON(result))
	}
	a.printPurge(result)
	return err
}

func (a *app) printPurge(r purgeResult) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	did := "deleted"
	if r.DryRun {
		did = "would delete"
	}
	for table, rows := range r.Deleted.PerTable() {
		if table = r.users.Of(table); slices.Contains(r.Tables, table) {
			fmt.Fprintf(w, "%s\t%d\t%s\n", did, rows, table)
		}
	}
	_ = w.Flush() // the output keeps its error
	if r.DryRun {
		fmt.Fprintln(a.info, "dry run: nothing was deleted")
	}
}

// tablesToPurge returns the tables of a purge that the account sees, and the others, which it names in a note.
func (a *app) tablesToPurge(
	ctx context.Context, client *ent.Client, u *dburl.URL, users *registry.Users,
) (seen, others []string, err error) {
	for table := range (auth.Purged{}).PerTable() {
		others = append(others, users.Of(table))
	}
	if seen, err = dbserver.Tables(ctx, client, u.Dialect, others); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u, err)
	}
	if len(seen) == 0 {
		return nil, nil, fmt.Errorf("%s has none of the tables: make them with authgraph migrate apply", u)
	}
	others = slices.DeleteFunc(others, func(table string) bool { return slices.Contains(seen, table) })
	if len(others) > 0 {
		why := "not there"
		if u.Dialect != dialect.SQLite {
			why += ", or this account may not see it"
		}
		fmt.Fprintf(a.info, "note: not purged: %s (%s)\n", strings.Join(others, ", "), why)
	}
	return seen, others, nil
}

// purgePrinter shows a purge while it runs, on standard error: a bar on a terminal, else a line every so often.
type purgePrinter struct {
	*app
	bar   *progressbar.ProgressBar
	calls int
	last  time.Time // of a line
}

// A line of progress stands for as many batches and as long a time at least. The first one does not wait for the time.
const (
	everyBatches = 10
	everyTime    = 5 * time.Second
)

func (p *purgePrinter) progress(now auth.PurgeProgress) {
	if p.calls++; p.calls == 1 && now.Left > 0 && p.format == formatText && p.info.rewrites() {
		p.bar = p.newBar(now.Total()+now.Left, progressbar.OptionSetPredictTime(false))
	}
	switch {
	case p.bar != nil:
		p.bar.ChangeMax(now.Total() + max(now.Left, 0))
		p.bar.Describe("deleting" + speedText(now))
		_ = p.bar.Set(now.Total()) // it fails only where the terminal does
	case p.calls < everyBatches, p.calls > everyBatches && time.Since(p.last) < everyTime:
	case p.format == formatJSON:
		p.last = time.Now()
		line, err := json.Marshal(newPurgeStep(now))
		if err == nil { // numbers alone
			fmt.Fprintf(p.info, "%s\n", line)
		}
	default:
		p.last = time.Now()
		of := english.Count(now.Total(), "row")
		if now.Left >= 0 {
			of = fmt.Sprintf("%d of about %s", now.Total(), english.Count(now.Total()+now.Left, "row"))
		}
		fmt.Fprintf(p.info, "deleted %s%s\n", of, speedText(now))
	}
}

// speedText is the rate, what is known of the time left, and how far the server is behind.
func speedText(now auth.PurgeProgress) string {
	text := fmt.Sprintf(", %.0f a second", now.Rate)
	if now.TimeLeft >= 0 {
		text += ", about " + now.TimeLeft.Round(time.Second).String() + " left"
	}
	if now.Lag >= 0 {
		text += fmt.Sprintf(", InnoDB has %s to purge", english.Count(now.Lag, "transaction"))
	}
	if now.ReplicaLag >= 0 {
		text += fmt.Sprintf(", a replica %d to apply", now.ReplicaLag)
	}
	return text
}

// purgeStep is the JSON of a line of progress. What is not known is left out.
type purgeStep struct {
	Deleted auth.Purged `json:"deleted"`
	// Rate is in rows a second, with what went with accounts, and Share the part of the time that the purge works.
	Rate  float64 `json:"rate"`
	Share float64 `json:"share"`
	// Left are rows, about.
	Left        *int     `json:"left,omitempty"`
	SecondsLeft *float64 `json:"seconds_left,omitempty"`
	// Lag are transactions that InnoDB has still to purge, and ReplicaLag those that a replica has still to apply.
	Lag        *int `json:"lag,omitempty"`
	ReplicaLag *int `json:"replica_lag,omitempty"`
}

func newPurgeStep(now auth.PurgeProgress) purgeStep {
	known := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	step := purgeStep{
		Deleted: now.Purged, Rate: math.Round(now.Rate), Share: now.Share,
		Left: known(now.Left), Lag: known(now.Lag), ReplicaLag: known(now.ReplicaLag),
	}
	if now.TimeLeft >= 0 {
		seconds := now.TimeLeft.Round(time.Second).Seconds()
		step.SecondsLeft = &seconds
	}
	return step
}
