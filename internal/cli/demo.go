package cli

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/english"
	"github.com/authgraph/authgraph/internal/mysqlconn"
	"github.com/authgraph/authgraph/migrate"
)

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Create the tables, make a user with sessions and tokens, and walk the graph",
		Long: `Apply the migrations embedded in this program, whatever the current folder holds, to the
database of --url or DATABASE_URL, else to the file authgraph.db. Make a user with two sessions, two refresh tokens
and an OTP through the typed client, and walk the graph both ways. The tables
stay. The rows do not: they are made in one transaction that is rolled back.`,
		Example: `  authgraph demo
  authgraph demo --url 'mysql://user:password@localhost:3306/app'`,
		Args: noArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.demo(ctx) }),
	}
}

// demoURL is the database of the demo if none is named. No other command has a default.
const demoURL = "sqlite://authgraph.db"

// demoResult is the JSON of demo.
type demoResult struct {
	source
	// Applied are the versions of the migrations that were applied now.
	Applied []string   `json:"applied"`
	Current string     `json:"current"`
	Created []demoStep `json:"created"`
	Walked  []demoStep `json:"walked"`
}

// demoStep is something the demo did, and what came of it.
type demoStep struct {
	What   string `json:"what"`
	Result string `json:"result"`
}

func (a *app) demo(ctx context.Context) (err error) {
	u, raw, err := a.database()
	if errors.Is(err, errNoDatabase) {
		raw = demoURL
		u, err = a.parse(raw)
	}
	if err != nil {
		return err
	}
	result := demoResult{source: source{Database: u.String(), Directory: migrationDir{}.String()}, Applied: []string{}}
	a.announce(result.source)
	report, err := migrate.Apply(ctx, raw, migrate.ApplyOptions{})
	var dirty *migrate.DirtyError
	if errors.As(err, &dirty) {
		return &advised{dirty, a.remedy(dirty) + " (both are flags of authgraph migrate apply; the demo can follow it)"}
	}
	if err != nil {
		return err
	}
	result.Current = report.Current
	for _, f := range report.Applied {
		result.Applied = append(result.Applied, f.Version)
	}
	client, err := authgraph.Open(ctx, raw)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if result.Created, result.Walked, err = walk(ctx, client); err != nil {
		return err
	}
	if a.format == formatJSON {
		return a.printJSON(result)
	}
	fmt.Fprint(a.stdout, demoText(result, u.Dialect, raw == demoURL))
	return nil
}

// walk makes the rows and goes from one to the other. Whatever happens to the
// program, the server or the connection, none of them stays.
func walk(ctx context.Context, client *ent.Client) (created, walked []demoStep, err error) {
	tx, err := client.Tx(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		// A cancelled context has rolled it back already.
		if rerr := tx.Rollback(); ctx.Err() == nil {
			err = errors.Join(err, rerr)
		}
	}()
	d := demo{ctx: ctx, client: tx.Client(), now: time.Now()}
	if err := d.create(); err != nil {
		return nil, nil, err
	}
	if err := d.walk(); err != nil {
		return nil, nil, err
	}
	return d.created, d.walked, nil
}

// demo is what walk works with.
type demo struct {
	ctx             context.Context
	client          *ent.Client
	now             time.Time
	user            *ent.User
	email           string
	created, walked []demoStep
}

func (d *demo) create() error {
	d.email = "ada." + strings.ToLower(rand.Text()[:8]) + "@example.com"
	var err error
	d.user, err = d.client.User.Create().SetName("Ada").SetEmail(d.email).Save(d.ctx)
	if err != nil {
		return err
	}
	d.add(&d.created, "user", d.email)
	for _, device := range []string{"phone", "laptop"} {
		err := d.client.Session.Create().
			SetUser(d.user).
			SetTokenHash(newTokenHash()).
			SetIP("192.0.2.1").
			SetUserAgent(device).
			SetExpiresAt(d.now.Add(24 * time.Hour)).
			Exec(d.ctx)
		if err != nil {
			return err
		}
		d.add(&d.created, "session", device+", ends in 24 hours")
	}
	older, newer := newTokenHash(), newTokenHash()
	err = d.client.RefreshToken.MapCreateBulk([]string{older, newer}, func(c *ent.RefreshTokenCreate, i int) {
		c.SetUser(d.user).SetExpiresAt(d.now.Add(30 * 24 * time.Hour))
		if i == 0 {
			c.SetTokenHash(older).SetIsRevoked(true).SetRevokedAt(d.now).SetReplacedByTokenHash(newer)
		} else {
			c.SetTokenHash(newer)
		}
	}).Exec(d.ctx)
	if err != nil {
		return err
	}
	d.add(&d.created, "refresh token", "used once, revoked, replaced by the next")
	d.add(&d.created, "refresh token", "ends in 30 days")
	hash, err := newCodeHash()
	if err != nil {
		return err
	}
	err = d.client.OTP.Create().
		SetEmail(d.email).
		SetType(schematype.OTPSignIn).
		SetOtpHashCode(hash).
		SetNextResendAllowedAt(d.now.Add(time.Minute)).
		SetExpiresAt(d.now.Add(10 * time.Minute)).
		Exec(d.ctx)
	if err != nil {
		return err
	}
	d.add(&d.created, "otp", "to sign in, ends in 10 minutes")
	return nil
}

// newTokenHash makes a token of 256 random bits and returns what the database
// keeps of it. A guess at so many bits is hopeless, so a fast hash is enough.
func newTokenHash() string {
	var token [32]byte
	_, _ = rand.Read(token[:]) // never fails
	sum := sha256.Sum256(token[:])
	return hex.EncodeToString(sum[:])
}

// newCodeHash makes a code of six digits and returns what the database keeps of it. There are only a million codes, so
// the hash is keyed: who reads the table cannot try them all.
func newCodeHash() (string, error) {
	code, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	mac := hmac.New(sha256.New, key[:])
	fmt.Fprintf(mac, "%06d", code)
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func (d *demo) walk() error {
	u, client, ctx := d.user, d.client, d.ctx

	sessions, err := u.QuerySessions().Order(session.ByID()).All(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "u.QuerySessions().All(ctx)", devices(sessions))

	owner, err := sessions[0].QueryUser().Only(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "sessions[0].QueryUser().Only(ctx)", owner.Email)

	eager, err := client.User.Query().Where(user.ID(u.ID)).WithSessions().Only(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "client.User.Query().WithSessions().\nWhere(user.ID(u.ID)).Only(ctx)",
		fmt.Sprintf("%s with %s", eager.Name, english.Count(len(eager.Edges.Sessions), "session")))

	n, err := client.User.Query().Where(user.ID(u.ID), user.HasSessionsWith(session.IsActive(true))).Count(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "client.User.Query().Where(user.ID(u.ID),\n"+
		"user.HasSessionsWith(session.IsActive(true))).Count(ctx)",
		english.Count(n, "user"))

	n, err = u.QueryRefreshTokens().Where(refreshtoken.IsRevoked(false)).Count(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "u.QueryRefreshTokens().\nWhere(refreshtoken.IsRevoked(false)).Count(ctx)",
		english.Count(n, "token")+" of 2")

	n, err = client.OTP.Delete().Where(otp.Email(u.Email)).Exec(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, "client.OTP.Delete().Where(otp.Email(u.Email)).Exec(ctx)", english.Count(n, "code"))

	const deletion = "client.User.DeleteOne(u).Exec(ctx)"
	err = client.User.DeleteOne(u).Exec(ctx)
	// Nobody else sees the row, so nobody else has locked it. With more than one shard Vitess removes an address from
	// its lookup table by another connection than the one that has just added it, and waits for itself.
	const lockWaitTimeout = 1205
	if mysqlconn.IsServer(err, lockWaitTimeout) {
		d.add(&d.walked, deletion, "left out: Vitess deletes no user in the transaction that made it")
		return nil
	}
	if err != nil {
		return err
	}
	left, err := client.Session.Query().Where(session.UserID(u.ID)).Count(ctx)
	if err != nil {
		return err
	}
	d.add(&d.walked, deletion, fmt.Sprintf("sessions left: %d (ON DELETE CASCADE)", left))
	return nil
}

func (d *demo) add(steps *[]demoStep, what, result string) {
	*steps = append(*steps, demoStep{what, result})
}

func devices(sessions []*ent.Session) string {
	var names []string
	for _, s := range sessions {
		names = append(names, *s.UserAgent)
	}
	return strings.Join(names, ", ")
}

func demoText(r demoResult, name string, unnamed bool) string {
	var b strings.Builder
	if len(r.Applied) > 0 {
		fmt.Fprintf(&b, "Made the tables users, otps, sessions and refresh_tokens (%s).\n",
			english.Count(len(r.Applied), "migration"))
	} else {
		fmt.Fprintf(&b, "The tables are there already, at version %s.\n", r.Current)
	}
	b.WriteString("\nMade these rows through the typed client:\n\n")
	writeSteps(&b, r.Created)
	b.WriteString("\nWalked the graph:\n\n")
	writeSteps(&b, r.Walked)
	b.WriteString("\nThe tables stay, the rows are gone: it was one transaction, rolled back.\n")
	if name == dialect.SQLite {
		b.WriteString("\nThe same on MySQL:\n\n" +
			"  export DATABASE_URL='mysql://user:password@localhost:3306/app'\n" +
			"  authgraph demo\n")
	}
	status := "authgraph migrate status"
	if unnamed {
		status += " --url " + demoURL
	}
	b.WriteString("\nNext, in the folder of your go.mod:\n\n  authgraph add schema auth\n" +
		"\nor see what was applied here:\n\n  " + status + "\n")
	return b.String()
}

// writeSteps puts each result beside the last line of its step.
func writeSteps(b *strings.Builder, steps []demoStep) {
	var all [][]string
	width := 0
	for _, s := range steps {
		lines := strings.Split(s.What, "\n")
		for i, line := range lines {
			lines[i] = strings.Repeat(" ", 2+4*min(i, 1)) + line
			width = max(width, len(lines[i]))
		}
		all = append(all, lines)
	}
	for i, lines := range all {
		last := len(lines) - 1
		for _, line := range lines[:last] {
			b.WriteString(line + "\n")
		}
		fmt.Fprintf(b, "%-*s  %s\n", width, lines[last], steps[i].Result)
	}
}
