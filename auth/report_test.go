package auth_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
)

const days = 24 * time.Hour

// verdicts are the verdicts of a report by rule.
func verdicts(c auth.Config) map[string]auth.Verdict {
	found := map[string]auth.Verdict{}
	for _, f := range c.Report() {
		found[f.Rule] = f.Verdict
	}
	return found
}

func TestDefaultsFailNoRule(t *testing.T) {
	t.Parallel()
	warned := []string{}
	for _, f := range (auth.Config{}).Report() {
		assert.NotEqual(t, auth.VerdictFail, f.Verdict, f.Rule)
		if f.Verdict == auth.VerdictWarn {
			warned = append(warned, f.Rule)
		}
	}
	assert.Equal(t, []string{
		"password.names", "password.breached", "session.idle", "refresh.absolute", "refresh.grace",
		"account.verified_only",
	}, warned)
}

func TestStricterConfigurationHasNoWarning(t *testing.T) {
	t.Parallel()
	c := auth.Config{
		Keys:     auth.NewKeys([]byte("0123456789abcdef0123456789abcdef")),
		Password: auth.PasswordPolicy{Names: []string{"Acme"}, Breached: auth.PwnedPasswords{}.Breached},
		Lockout:  auth.LockoutPolicy{MaxFailures: 4, Duration: time.Hour},
		Session:  auth.SessionPolicy{Idle: 30 * time.Minute},
		Refresh:  auth.RefreshPolicy{Absolute: 30 * days, Grace: auth.NoGrace},
		Account:  auth.AccountPolicy{VerifiedOnly: true},
	}
	for _, f := range c.Report() {
		assert.Equal(t, auth.VerdictOK, f.Verdict, f.Rule)
	}
}

func TestReportHasEverySetting(t *testing.T) {
	t.Parallel()
	settings, rules := map[string]bool{}, map[string]bool{}
	for _, f := range (auth.Config{}).Report() {
		settings[f.Setting] = true
		assert.False(t, rules[f.Rule], "two findings are named %s", f.Rule)
		rules[f.Rule] = true
		assert.NotEmpty(t, f.Value, f.Rule)
		assert.NotEmpty(t, f.Source, f.Rule)
		assert.True(t, strings.HasSuffix(f.Text, "."), f.Rule)
	}
	for _, policy := range reflect.VisibleFields(reflect.TypeFor[auth.Config]()) {
		if !strings.HasSuffix(policy.Type.Name(), "Policy") {
			continue
		}
		for _, field := range reflect.VisibleFields(policy.Type) {
			assert.Contains(t, settings, policy.Name+"."+field.Name)
		}
	}
	assert.Contains(t, settings, "Keys")
	assert.Contains(t, settings, "Hasher")
}

func TestReportJudgesEachSideOfALimit(t *testing.T) {
	t.Parallel()
	password := func(p auth.PasswordPolicy) auth.Config { return auth.Config{Password: p} }
	hasher := func(h auth.Hasher) auth.Config { return auth.Config{Hasher: h} }
	hashing := func(p auth.HashingPolicy) auth.Config { return auth.Config{Hashing: p} }
	step := func(p auth.SecondStepPolicy) auth.Config { return auth.Config{SecondStep: p} }
	everybody := func(context.Context, *auth.User) (bool, error) { return true, nil }
	lockout := func(p auth.LockoutPolicy) auth.Config { return auth.Config{Lockout: p} }
	otp := func(p auth.OTPPolicy) auth.Config { return auth.Config{OTP: p} }
	session := func(p auth.SessionPolicy) auth.Config { return auth.Config{Session: p} }
	refresh := func(p auth.RefreshPolicy) auth.Config { return auth.Config{Refresh: p} }
	account := func(p auth.AccountPolicy) auth.Config { return auth.Config{Account: p} }
	for _, test := range []struct {
		rule   string
		config auth.Config
		want   auth.Verdict
	}{
		{"keys.length", auth.Config{}, auth.VerdictOK},
		{"keys.length", auth.Config{Keys: auth.NewKeys(make([]byte, 32), make([]byte, 31))}, auth.VerdictFail},
		{"password.min_length", password(auth.PasswordPolicy{MinLength: 15}), auth.VerdictOK},
		{"password.min_length", password(auth.PasswordPolicy{MinLength: 14}), auth.VerdictWarn},
		{"password.min_length", password(auth.PasswordPolicy{MinLength: 8}), auth.VerdictWarn},
		{"password.min_length", password(auth.PasswordPolicy{MinLength: 7}), auth.VerdictFail},
		{"password.max_length", password(auth.PasswordPolicy{MaxLength: 64}), auth.VerdictOK},
		{"password.max_length", password(auth.PasswordPolicy{MaxLength: 63}), auth.VerdictFail},
		{"password.guessable", password(auth.PasswordPolicy{}), auth.VerdictOK},
		{"password.guessable", password(auth.PasswordPolicy{AllowGuessable: true}), auth.VerdictFail},
		{"password.names", password(auth.PasswordPolicy{}), auth.VerdictWarn},
		{"password.names", password(auth.PasswordPolicy{Names: []string{"Acme"}}), auth.VerdictOK},
		{"password.breached", password(auth.PasswordPolicy{}), auth.VerdictWarn},
		{"password.breached", password(auth.PasswordPolicy{Breached: auth.PwnedPasswords{}.Breached}), auth.VerdictOK},
		{"hashing.rehash", hashing(auth.HashingPolicy{}), auth.VerdictOK},
		{"hashing.rehash", hashing(auth.HashingPolicy{Rehash: new(false)}), auth.VerdictWarn},
		{"password.hash", hasher(auth.Argon2id{Memory: 19455}), auth.VerdictFail},
		{"password.hash", hasher(auth.Argon2id{Memory: 47103, Iterations: 1}), auth.VerdictFail},
		{"password.hash", hasher(auth.Argon2id{Memory: 47104, Iterations: 1}), auth.VerdictOK},
		{"password.hash", hasher(auth.Argon2id{Memory: 12288, Iterations: 3}), auth.VerdictOK},
		{"password.hash", hasher(auth.Argon2id{Memory: 9216, Iterations: 4}), auth.VerdictWarn},
		{"password.hash", hasher(auth.Argon2id{Memory: 9215, Iterations: 4}), auth.VerdictFail},
		{"password.hash", hasher(auth.Argon2id{Memory: 7168, Iterations: 5}), auth.VerdictWarn},
		{"password.hash", hasher(&auth.Argon2id{Memory: 7167, Iterations: 5}), auth.VerdictFail},
		{"password.hash", hasher(plainHasher{}), auth.VerdictWarn},
		{"hashing.memory", hashing(auth.HashingPolicy{Memory: 19}), auth.VerdictOK},
		{"hashing.memory", hashing(auth.HashingPolicy{Memory: 18}), auth.VerdictWarn},
		{"hashing.floor", hashing(auth.HashingPolicy{Floor: time.Second}), auth.VerdictOK},
		{"hashing.floor", hashing(auth.HashingPolicy{Floor: 999 * time.Millisecond}), auth.VerdictWarn},
		{"hashing.floor", hashing(auth.HashingPolicy{Floor: auth.NoFloor}), auth.VerdictWarn},
		{"lockout.failures", lockout(auth.LockoutPolicy{MaxFailures: 100}), auth.VerdictOK},
		{"lockout.failures", lockout(auth.LockoutPolicy{MaxFailures: 101}), auth.VerdictFail},
		{"lockout.duration", lockout(auth.LockoutPolicy{Duration: 29 * time.Second}), auth.VerdictWarn},
		{"lockout.duration", lockout(auth.LockoutPolicy{Duration: 30 * time.Second}), auth.VerdictOK},
		{"lockout.duration", lockout(auth.LockoutPolicy{Duration: time.Hour}), auth.VerdictOK},
		{"lockout.duration", lockout(auth.LockoutPolicy{Duration: 61 * time.Minute}), auth.VerdictWarn},
		{"lockout.budget", lockout(auth.LockoutPolicy{Budget: 100}), auth.VerdictOK},
		{"lockout.budget", lockout(auth.LockoutPolicy{Budget: 101}), auth.VerdictFail},
		{"second_step.factor", auth.Config{}, auth.VerdictOK},
		{"second_step.factor", step(auth.SecondStepPolicy{Required: everybody}), auth.VerdictWarn},
		{"second_step.factor", step(auth.SecondStepPolicy{Required: everybody, Factor: authtest.NewFactor("")}),
			auth.VerdictOK},
		{"otp.length", otp(auth.OTPPolicy{Length: 5}), auth.VerdictFail},
		{"otp.lifetime", otp(auth.OTPPolicy{Lifetime: 10*time.Minute + 1}), auth.VerdictFail},
		{"otp.attempts", otp(auth.OTPPolicy{MaxAttempts: 101}), auth.VerdictFail},
		{"otp.budget", otp(auth.OTPPolicy{Budget: 1}), auth.VerdictOK},
		{"otp.guessing", otp(auth.OTPPolicy{Budget: 16}), auth.VerdictOK},
		{"otp.guessing", otp(auth.OTPPolicy{Budget: 17}), auth.VerdictFail},
		{"otp.guessing", otp(auth.OTPPolicy{Length: 5, DeviceBudget: 1, MaxAttempts: 1, Budget: 9}), auth.VerdictOK},
		{"otp.guessing", otp(auth.OTPPolicy{Length: 5, DeviceBudget: 1, MaxAttempts: 1, Budget: 10}), auth.VerdictFail},
		{"otp.cooldown", otp(auth.OTPPolicy{ResendCooldown: 10 * time.Minute}), auth.VerdictOK},
		{"otp.cooldown", otp(auth.OTPPolicy{ResendCooldown: 11 * time.Minute}), auth.VerdictWarn},
		{"session.idle", session(auth.SessionPolicy{Idle: 30 * time.Minute}), auth.VerdictOK},
		{"session.idle", session(auth.SessionPolicy{Idle: 31 * time.Minute}), auth.VerdictWarn},
		{"session.idle", session(auth.SessionPolicy{Idle: time.Hour, Absolute: time.Hour}), auth.VerdictFail},
		{"session.absolute", session(auth.SessionPolicy{Absolute: 31 * days}), auth.VerdictWarn},
		{"session.touch", session(auth.SessionPolicy{Idle: time.Hour, TouchInterval: 31 * time.Minute}),
			auth.VerdictWarn},
		{"config.valid", session(auth.SessionPolicy{Idle: time.Hour, TouchInterval: 31 * time.Minute}),
			auth.VerdictFail},
		{"config.valid", lockout(auth.LockoutPolicy{MaxFailures: -1}), auth.VerdictFail},
		{"session.count", session(auth.SessionPolicy{MaxPerUser: 5}), auth.VerdictOK},
		{"refresh.idle", refresh(auth.RefreshPolicy{Idle: days, Absolute: days}), auth.VerdictWarn},
		{"refresh.absolute", refresh(auth.RefreshPolicy{Absolute: 30 * days}), auth.VerdictOK},
		{"refresh.absolute", refresh(auth.RefreshPolicy{Absolute: 31 * days}), auth.VerdictWarn},
		{"refresh.grace", refresh(auth.RefreshPolicy{Grace: time.Second}), auth.VerdictWarn},
		{"refresh.grace", refresh(auth.RefreshPolicy{Grace: auth.NoGrace}), auth.VerdictOK},
		{"account.verified_only", account(auth.AccountPolicy{}), auth.VerdictWarn},
		{"account.verified_only", account(auth.AccountPolicy{VerifiedOnly: true}), auth.VerdictOK},
		{"account.reactivate", account(auth.AccountPolicy{ReactivateAfter: 31 * days}), auth.VerdictWarn},
	} {
		assert.Equal(t, test.want, verdicts(test.config)[test.rule], "%s of %+v", test.rule, test.config)
	}
}

// plainHasher is some other hasher.
type plainHasher struct{ auth.Hasher }

func TestReportLeavesTheConfigurationAsItWas(t *testing.T) {
	t.Parallel()
	var c auth.Config
	c.Report()
	assert.Equal(t, auth.Config{}, c)
}

// The table of the page is what Report says of the defaults.
func TestPageShowsTheReportOfTheDefaults(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- defaults: generated from Config.Report, UPDATE_DOCS=1 go test ./auth -run PageShows -->\n",
		"<!-- /defaults -->\n"
	const path = "../docs/auth.md"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := before + begin + defaultsTable() + end + after
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(page), "docs/auth.md is behind: UPDATE_DOCS=1 go test ./auth -run PageShows")
}

func defaultsTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | limit | source | verdict |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range (auth.Config{}).Report() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Setting, f.Value, f.Limit, f.Source, f.Verdict)
	}
	return b.String()
}
