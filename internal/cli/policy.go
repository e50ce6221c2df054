package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/internal/english"
)

func newPolicy(a *app) *cobra.Command {
	var config string
	var strict bool
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Hold password, code, session and token limits against the standards",
		Long: `Hold every lifetime and cap of package auth against NIST SP 800-63B-4, the OWASP
ASVS and cheat sheets, and the OAuth RFCs. Without --config those are the
defaults. No database is needed. A limit that a source requires gives exit code
3, one that it recommends does so with --strict.

The file is a JSON object. What it leaves out, or sets to 0, has its default
("grace": "none" is no grace):

  {
    "password": {"min_length": 15, "max_length": 128, "names": [], "allow_guessable": false,
                 "breached": false, "fail_closed": false},
    "argon2id": {"memory_kib": 19456, "iterations": 2, "parallelism": 1},
    "hashing":  {"parallel": 0, "memory_mib": 512, "queue": 0, "floor": "1s"},
    "lockout":  {"max_failures": 10, "duration": "15m", "budget": 100},
    "otp":      {"length": 6, "lifetime": "10m", "max_attempts": 5, "resend_cooldown": "1m",
                 "budget": 6, "device_budget": 4, "origin_budget": 30, "budget_window": "1h"},
    "session":  {"idle": "24h", "absolute": "30d", "touch_interval": "1m", "remember": "30d",
                 "max_per_user": 0},
    "refresh":  {"idle": "14d", "absolute": "90d", "grace": "10s"},
    "account":  {"verified_only": false, "reactivate_after": "0s", "retention": "30d"}
  }`,
		Example: `  authgraph policy
  authgraph policy --config policy.json --strict`,
		Args: noArgs,
		RunE: a.run(func(context.Context, []string) error { return a.policy(config, strict) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&config, "config", "", "the configuration, as a JSON `file` (default the defaults)")
	flags.BoolVar(&strict, "strict", false, "let warnings give exit code 3 too")
	return cmd
}

// policyResult is the JSON of policy.
type policyResult struct {
	// Config is the file; absent for the defaults.
	Config   string         `json:"config,omitempty"`
	Findings []auth.Finding `json:"findings"`
}

func (a *app) policy(path string, strict bool) error {
	config, err := readConfig(path)
	if err != nil {
		return err
	}
	result := policyResult{Config: path, Findings: config.Report()}
	if a.format == formatJSON {
		err = a.printJSON(result)
	} else {
		a.printPolicy(result.Findings)
	}
	if err != nil {
		return err
	}
	of := map[auth.Verdict]int{}
	for _, f := range result.Findings {
		of[f.Verdict]++
	}
	failed, warned := of[auth.VerdictFail], of[auth.VerdictWarn]
	if failed > 0 || strict && warned > 0 {
		return &findings{fmt.Sprintf("policy found %s and %s: change the settings, or "+
			"write down why they are as they are",
			english.Count(failed, "failure"), english.Count(warned, "warning"))}
	}
	return nil
}

func (a *app) printPolicy(found []auth.Finding) {
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Verdict, f.Setting, f.Value, f.Limit, f.Source)
	}
	_ = w.Flush() // a strings.Builder never fails
	a.stdout.paintWords(lines.String(), verdictStyle)
	off := 0
	for _, f := range found {
		if f.Verdict != auth.VerdictOK {
			off++
			fmt.Fprintln(a.stdout)
			a.stdout.paint(verdictStyle(string(f.Verdict)), string(f.Verdict))
			fmt.Fprintf(a.stdout, " %s: %s, wanted %s\n%s\n", f.Rule, f.Value, f.Limit, indent("  ", f.Text))
		}
	}
	fmt.Fprintf(a.info, "looked at %s, found %s\n", english.Count(len(found), "rule"), english.Count(off, "problem"))
}

// configFile is the JSON form of [auth.Config]: what can be written down of it, and no keys.
type configFile struct {
	Password struct {
		MinLength      int      `json:"min_length"`
		MaxLength      int      `json:"max_length"`
		Names          []string `json:"names"`
		AllowGuessable bool     `json:"allow_guessable"`
		// Breached is whether the service gives a PasswordPolicy.Breached.
		Breached   bool `json:"breached"`
		FailClosed bool `json:"fail_closed"`
	} `json:"password"`
	Argon2id struct {
		MemoryKiB   uint32 `json:"memory_kib"`
		Iterations  uint32 `json:"iterations"`
		Parallelism uint8  `json:"parallelism"`
	} `json:"argon2id"`
	Hashing struct {
		Parallel  int      `json:"parallel"`
		MemoryMiB int      `json:"memory_mib"`
		Queue     int      `json:"queue"`
		Floor     duration `json:"floor"`
	} `json:"hashing"`
	Lockout struct {
		MaxFailures int      `json:"max_failures"`
		Duration    duration `json:"duration"`
		Budget      int      `json:"budget"`
	} `json:"lockout"`
	OTP struct {
		Length         int      `json:"length"`
		Lifetime       duration `json:"lifetime"`
		MaxAttempts    int      `json:"max_attempts"`
		ResendCooldown duration `json:"resend_cooldown"`
		Budget         int      `json:"budget"`
		DeviceBudget   int      `json:"device_budget"`
		OriginBudget   int      `json:"origin_budget"`
		BudgetWindow   duration `json:"budget_window"`
	} `json:"otp"`
	Session struct {
		Idle          duration `json:"idle"`
		Absolute      duration `json:"absolute"`
		TouchInterval duration `json:"touch_interval"`
		Remember      duration `json:"remember"`
		MaxPerUser    int      `json:"max_per_user"`
	} `json:"session"`
	Refresh struct {
		Idle     duration `json:"idle"`
		Absolute duration `json:"absolute"`
		Grace    duration `json:"grace"`
	} `json:"refresh"`
	Account struct {
		VerifiedOnly    bool     `json:"verified_only"`
		ReactivateAfter duration `json:"reactivate_after"`
		Retention       duration `json:"retention"`
	} `json:"account"`
}

func (f *configFile) config() auth.Config {
	password := auth.PasswordPolicy{
		MinLength: f.Password.MinLength, MaxLength: f.Password.MaxLength, Names: f.Password.Names,
		AllowGuessable: f.Password.AllowGuessable, FailClosed: f.Password.FailClosed,
	}
	if f.Password.Breached {
		password.Breached = auth.PwnedPasswords{}.Breached // the report asks only whether there is one
	}
	return auth.Config{
		Password: password,
		Hasher: auth.Argon2id{Memory: f.Argon2id.MemoryKiB, Iterations: f.Argon2id.Iterations,
			Parallelism: f.Argon2id.Parallelism},
		Hashing: auth.HashingPolicy{
			Parallel: f.Hashing.Parallel, Memory: f.Hashing.MemoryMiB, Queue: f.Hashing.Queue,
			Floor: f.Hashing.Floor.Duration,
		},
		Lockout: auth.LockoutPolicy{
			MaxFailures: f.Lockout.MaxFailures, Duration: f.Lockout.Duration.Duration, Budget: f.Lockout.Budget,
		},
		OTP: auth.OTPPolicy{
			Length: f.OTP.Length, Lifetime: f.OTP.Lifetime.Duration, MaxAttempts: f.OTP.MaxAttempts,
			ResendCooldown: f.OTP.ResendCooldown.Duration, Budget: f.OTP.Budget,
			DeviceBudget: f.OTP.DeviceBudget, OriginBudget: f.OTP.OriginBudget,
			BudgetWindow: f.OTP.BudgetWindow.Duration,
		},
		Session: auth.SessionPolicy{
			Idle: f.Session.Idle.Duration, Absolute: f.Session.Absolute.Duration,
			TouchInterval: f.Session.TouchInterval.Duration, Remember: f.Session.Remember.Duration,
			MaxPerUser: f.Session.MaxPerUser,
		},
		Refresh: auth.RefreshPolicy{
			Idle: f.Refresh.Idle.Duration, Absolute: f.Refresh.Absolute.Duration,
			Grace: f.Refresh.Grace.Duration,
		},
		Account: auth.AccountPolicy{
			VerifiedOnly: f.Account.VerifiedOnly, ReactivateAfter: f.Account.ReactivateAfter.Duration,
			Retention: f.Account.Retention.Duration,
		},
	}
}

// duration is written as in "15m" or "30d". That of a grace may be "none".
type duration struct{ time.Duration }

func (d *duration) UnmarshalText(text []byte) (err error) {
	if string(text) == "none" {
		d.Duration = auth.NoGrace
		return nil
	}
	d.Duration, err = parseDuration(string(text))
	return err
}

// readConfig reads the file of --config; without one it is the defaults.
func readConfig(path string) (auth.Config, error) {
	var f configFile
	if path == "" {
		return f.config(), nil
	}
	var content []byte
	var err error
	if path == fromInput {
		path = inputName
		content, err = io.ReadAll(os.Stdin)
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return auth.Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return auth.Config{}, fmt.Errorf("read the configuration: %s: %w (authgraph policy --help shows the form)",
			path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return auth.Config{}, fmt.Errorf("read the configuration: %s: holds more than one JSON object", path)
	}
	return f.config(), nil
}
