package auth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Verdict is how a setting stands to its limit.
type Verdict string

// The verdicts.
const (
	// VerdictOK is within what the source asks for.
	VerdictOK Verdict = "ok"
	// VerdictWarn departs from what the source recommends: decide it knowingly.
	VerdictWarn Verdict = "warn"
	// VerdictFail departs from what the source requires.
	VerdictFail Verdict = "fail"
)

// Finding is one setting of a [Config] held against a published limit.
type Finding struct {
	// Rule is a short name that stays the same.
	Rule string `json:"rule"`
	// Setting is the field of Config.
	Setting string `json:"setting"`
	Value   string `json:"value"`
	// Limit is what the source asks for; empty where it names no number.
	Limit string `json:"limit"`
	// Source is the standard and section.
	Source  string  `json:"source"`
	Verdict Verdict `json:"verdict"`
	// Text says what the setting means and, where it is off, what to do.
	Text string `json:"text"`
}

// The sources, by the names that findings give them.
const (
	nist       = "NIST SP 800-63B-4, "
	asvs       = "OWASP ASVS 5.0.0, "
	authSheet  = "OWASP Authentication Cheat Sheet, "
	storeSheet = "OWASP Password Storage Cheat Sheet, "
	sessSheet  = "OWASP Session Management Cheat Sheet, "
	resetSheet = "OWASP Forgot Password Cheat Sheet, "
)

// maxGuesses is how many failed attempts in a row NIST SP 800-63B-4, 3.2.2 allows, and maxGuessing the chance it
// accepts by that: 100 attempts at six digits.
const (
	maxGuesses  = 100
	maxGuessing = 1e-4
)

// Report holds every lifetime and cap of c, with the defaults applied, against the standards that name one. It needs no
// Keys. A Config that [New] would refuse has a finding that says so.
func (c Config) Report() []Finding {
	hashing := c.Hashing
	c.setDefaults()
	r := &report{}
	r.config(c)
	r.password(c.Password, c.Hasher)
	r.hashing(c, hashing)
	r.lockout(c)
	r.otp(c.OTP)
	r.session(c.Session)
	r.refresh(c.Refresh)
	r.account(c.Account)
	r.secondStep(c.SecondStep)
	return r.findings
}

type report struct{ findings []Finding }

// add judges a setting: fail where failed, else warn where warned.
func (r *report) add(failed, warned bool, f Finding) {
	f.Verdict = VerdictOK
	if warned {
		f.Verdict = VerdictWarn
	}
	if failed {
		f.Verdict = VerdictFail
	}
	r.findings = append(r.findings, f)
}

func (r *report) config(c Config) {
	var bad *ConfigError
	if errors.As(c.validateWithoutKeys(), &bad) {
		r.add(true, false, Finding{
			Rule: "config.valid", Setting: bad.Field, Value: bad.Reason, Limit: "usable", Source: "this package",
			Text: "A service with this configuration does not start.",
		})
	}
	value, shortest := "none given", math.MaxInt
	for _, key := range c.Keys.reveal() {
		shortest = min(shortest, len(key))
		value = fmt.Sprintf("%d, shortest %d bytes", len(c.Keys.reveal()), shortest)
	}
	r.add(shortest < minKey, false, Finding{
		Rule: "keys.length", Setting: "Keys", Value: value, Limit: fmt.Sprintf("≥ %d bytes each", minKey),
		Source: "RFC 2104, 3; " + asvs + "11.2.3",
		Text: "Random, from a secret store, the same in every replica. A key shorter than the hash weakens the HMAC " +
			"over codes.",
	})
}

func (r *report) password(p PasswordPolicy, h Hasher) {
	r.add(p.MinLength < 8, p.MinLength < 15, Finding{
		Rule: "password.min_length", Setting: "Password.MinLength", Value: fmt.Sprint(p.MinLength), Limit: "≥ 15",
		Source: nist + "3.1.1.2; " + asvs + "6.2.1",
		Text: "15 characters where the password is the only factor. From 8 on ASVS accepts it, and NIST where a " +
			"second factor is always asked for.",
	})
	r.add(p.MaxLength < 64, false, Finding{
		Rule: "password.max_length", Setting: "Password.MaxLength", Value: fmt.Sprint(p.MaxLength), Limit: "≥ 64",
		Source: nist + "3.1.1.2; " + asvs + "6.2.9",
		Text: "Passphrases fit. That there is a limit keeps hashing affordable (" + authSheet +
			"Compare Password Hashes Using Safe Functions).",
	})
	r.guessable(p)
	hash := Finding{
		Rule: "password.hash", Setting: "Hasher", Limit: "≥ 19 MiB at t=2, p=1, or its equal",
		Source: storeSheet + "Argon2id; " + asvs + "11.4.2 and Appendix C",
	}
	a, ok := argon2idOf(h)
	if !ok {
		hash.Value = fmt.Sprintf("%T", h)
		hash.Text = "Another hasher than Argon2id is not judged here: hold it against the sources."
		r.add(false, true, hash)
		return
	}
	params := a.params()
	hash.Value = fmt.Sprintf("argon2id m=%d KiB, t=%d, p=%d", params.Memory, params.Passes, params.Lanes)
	hash.Text = "As high as the servers can afford; passwords are hashed again at the next sign-in when it is raised."
	r.add(params.Memory < leastMemory(params.Passes, true), params.Memory < leastMemory(params.Passes, false),
		hash)
}

// guessable are the passwords that are guessed first.
func (r *report) guessable(p PasswordPolicy) {
	given := func(ok bool) string {
		if ok {
			return "given"
		}
		return "none"
	}
	r.add(p.AllowGuessable, false, Finding{
		Rule: "password.guessable", Setting: "Password.AllowGuessable", Value: fmt.Sprint(p.AllowGuessable),
		Limit: "false", Source: nist + "3.1.1.2; " + asvs + "6.2.4",
		Text: "The most used passwords are guessed first. Those, repetitions, and the user's own names are refused.",
	})
	r.add(false, len(p.Names) == 0, Finding{
		Rule: "password.names", Setting: "Password.Names", Value: given(len(p.Names) > 0), Limit: "given",
		Source: nist + "3.1.1.2; " + asvs + "6.2.11",
		Text:   "Users take the name of the service for their password. Name it, your company and your products.",
	})
	r.add(false, false, Finding{
		Rule: "password.deny", Setting: "Password.Deny", Value: given(p.Deny != nil), Source: asvs + "6.2.11",
		Text: "Passwords that are refused for a reason of your own.",
	})
	r.add(false, p.Breached == nil, Finding{
		Rule: "password.breached", Setting: "Password.Breached", Value: given(p.Breached != nil), Limit: "given",
		Source: nist + "3.1.1.2; " + asvs + "6.2.12",
		Text: "What was breached once is tried everywhere. PwnedPasswords asks Have I Been Pwned, and tells it no " +
			"password.",
	})
	r.add(false, false, Finding{
		Rule: "password.fail_closed", Setting: "Password.FailClosed", Value: fmt.Sprint(p.FailClosed),
		Source: asvs + "6.2.12",
		Text:   "While Breached fails, new passwords are refused if it is true, and taken without that check if not.",
	})
}

// hashing gets the policy as it was given too: some defaults are those of the machine that it runs on.
func (r *report) hashing(c Config, given HashingPolicy) {
	const source = asvs + "15.1.3 and 15.2.2"
	or := func(given int, otherwise string) string {
		if given == 0 {
			return otherwise
		}
		return fmt.Sprint(given)
	}
	r.add(false, false, Finding{
		Rule: "hashing.parallel", Setting: "Hashing.Parallel",
		Value: or(given.Parallel, "one a processor"), Source: source,
		Text: "So many passwords are hashed at once. More than there are processors make each of them slower.",
	})
	memory, own := c.Hashing.Memory, 0
	if a, ok := argon2idOf(c.Hasher); ok {
		own = int(a.params().Memory >> 10)
	}
	r.add(false, memory < own, Finding{
		Rule: "hashing.memory", Setting: "Hashing.Memory", Value: fmt.Sprintf("%d MiB", memory),
		Limit: "≥ one hash of Hasher", Source: source,
		Text: "So much memory do all of them take together. If a single hash takes more, they are hashed one by one.",
	})
	r.add(false, false, Finding{
		Rule: "hashing.queue", Setting: "Hashing.Queue",
		Value: or(given.Queue, "64 for each in parallel"), Source: source,
		Text: "So many calls wait for their turn. Further ones get a BusyError: answer 503.",
	})
	floor := period(c.Hashing.Floor)
	if c.Hashing.Floor < 0 {
		floor = "none"
	}
	r.add(false, c.Hashing.Floor < defaults.Hashing.Floor, Finding{
		Rule: "hashing.floor", Setting: "Hashing.Floor", Value: floor, Limit: "≥ " + period(defaults.Hashing.Floor),
		Source: asvs + "6.3.8; " + authSheet + "Authentication and Error Messages",
		Text: "A refused password takes so long, or a multiple of it. Below what the most costly hash takes, the " +
			"time tells which accounts have one.",
	})
	r.add(false, !*c.Hashing.Rehash, Finding{
		Rule: "hashing.rehash", Setting: "Hashing.Rehash", Value: strconv.FormatBool(*c.Hashing.Rehash), Limit: "true",
		Source: storeSheet + "Upgrading Legacy Hashes",
		Text: "A sign-in renews a hash of weaker parameters or another system. Without it such hashes stay, which " +
			"the project's own code may need until it verifies no passwords any more.",
	})
}

// argon2idOf is the hasher if it is this package's.
func argon2idOf(h Hasher) (a Argon2id, ok bool) {
	if pointer, ok := h.(*Argon2id); ok && pointer != nil {
		return *pointer, true
	}
	a, ok = h.(Argon2id)
	return a, ok
}

// leastMemory is how many KiB argon2id needs beside a number of iterations: by ASVS 5.0.0, Appendix C, or by the
// Password Storage Cheat Sheet, which goes lower for more iterations.
func leastMemory(iterations uint32, sheet bool) uint32 {
	switch {
	case iterations < 2:
		return 47104
	case iterations == 2:
		return 19456
	case iterations == 3 || !sheet:
		return 12288
	case iterations == 4:
		return 9216
	default:
		return 7168
	}
}

func (r *report) lockout(c Config) {
	l := c.Lockout
	r.add(l.MaxFailures > maxGuesses, false, Finding{
		Rule: "lockout.failures", Setting: "Lockout.MaxFailures", Value: fmt.Sprint(l.MaxFailures),
		Limit:  fmt.Sprintf("≤ %d", maxGuesses),
		Source: nist + "3.2.2; " + asvs + "6.3.1",
		Text: "Guesses of strangers in a row before the account is locked, and the failures that a device which " +
			"signed " +
			"in before has for itself.",
	})
	r.add(false, l.Duration < 30*time.Second || l.Duration > time.Hour, Finding{
		Rule: "lockout.duration", Setting: "Lockout.Duration", Value: period(l.Duration), Limit: "30s to 1h",
		Source: nist + "3.2.2; " + authSheet + "Account Lockout",
		Text: "Shorter slows no attacker, longer lets anybody keep new devices out. A code, a link, a provider and a " +
			"reset go on, and devices that signed in before are not concerned.",
	})
	r.add(l.Budget > maxGuesses, false, Finding{
		Rule: "lockout.budget", Setting: "Lockout.Budget",
		Value: fmt.Sprintf("%d: strangers %d, second step %d, open codes %d", l.Budget, c.strangers(), l.step(),
			c.OTP.open()),
		Limit:  fmt.Sprintf("≤ %d in a row", maxGuesses),
		Source: nist + "3.2.2",
		Text: "Failures in a row over passwords, codes and the second step, with the codes that are open when " +
			"somebody gets in. Afterwards no stranger's password is examined, and mails carry links, until somebody " +
			"gets in by another way.",
	})
}

func (r *report) otp(o OTPPolicy) {
	r.add(o.Length < 6, false, Finding{
		Rule: "otp.length", Setting: "OTP.Length", Value: fmt.Sprintf("%d digits", o.Length), Limit: "≥ 6 digits",
		Source: nist + "3.1.3.2 and 4.2.1.2; " + asvs + "6.5.4; " + resetSheet + "PINs",
		Text:   "Uniformly random, from crypto/rand.",
	})
	r.add(o.Lifetime > 10*time.Minute, false, Finding{
		Rule: "otp.lifetime", Setting: "OTP.Lifetime", Value: period(o.Lifetime), Limit: "≤ 10m",
		Source: nist + "3.1.3.2; " + asvs + "6.5.5",
		Text: "NIST allows a code by email for recovery and for verifying the address, up to 24 hours (4.2.1.2), " +
			"and none for signing in (3.1.3.1).",
	})
	r.add(o.MaxAttempts > maxGuesses, false, Finding{
		Rule: "otp.attempts", Setting: "OTP.MaxAttempts", Value: fmt.Sprint(o.MaxAttempts),
		Limit:  fmt.Sprintf("≤ %d", maxGuesses),
		Source: nist + "3.2.2; " + asvs + "6.6.3",
		Text:   "Guesses at one code that are examined.",
	})
	r.add(false, false, Finding{
		Rule: "otp.budget", Setting: "OTP.Budget",
		Value:  fmt.Sprintf("%d mails, %d of one origin", o.Budget, (o.Budget+1)/2),
		Source: resetSheet + "Forgot Password Request",
		Text: "To one address within OTP.BudgetWindow, over all purposes, that strangers ask for. The sheet asks for " +
			"a " +
			"limit against flooding a mailbox and names none.",
	})
	r.add(false, false, Finding{
		Rule: "otp.device_budget", Setting: "OTP.DeviceBudget", Value: fmt.Sprintf("%d mails", o.DeviceBudget),
		Source: resetSheet + "Forgot Password Request",
		Text:   "The same for devices that signed in before, which strangers cannot use up.",
	})
	r.add(false, false, Finding{
		Rule: "otp.origin_budget", Setting: "OTP.OriginBudget", Value: fmt.Sprintf("%d mails", o.OriginBudget),
		Source: resetSheet + "Forgot Password Request",
		Text: "Over all addresses within OTP.BudgetWindow that one origin asks for: name origins in Device.Origin " +
			"where " +
			"many share an address.",
	})
	guesses := float64(o.Budget+o.DeviceBudget) * float64(o.MaxAttempts)
	chance := min(1, guesses/math.Pow10(o.Length))
	// Rounding must not decide where the chance is exactly the one accepted.
	r.add(chance > maxGuessing*(1+1e-9), false, Finding{
		Rule: "otp.guessing", Setting: "OTP.BudgetWindow", Value: percent(chance) + " in " + period(o.BudgetWindow),
		Limit:  "≤ " + percent(maxGuessing),
		Source: nist + "3.1.3.2 and 3.2.2; " + asvs + "6.6.3",
		Text: fmt.Sprintf("The chance to guess a code for one address in one window by %.0f guesses, against that of "+
			"100 "+
			"attempts at six digits. An account allows for Lockout.Budget in a row, and for links afterwards.",
			guesses),
	})
	r.add(false, o.ResendCooldown > o.Lifetime, Finding{
		Rule: "otp.cooldown", Setting: "OTP.ResendCooldown", Value: period(o.ResendCooldown), Limit: "≤ OTP.Lifetime",
		Source: resetSheet + "Forgot Password Request",
		Text: "The sheet asks for a limit by account and names none. Longer than a code lives, it keeps out whoever " +
			"lost one.",
	})
}

func (r *report) session(s SessionPolicy) {
	r.add(s.Idle >= s.Absolute, s.Idle > 30*time.Minute, Finding{
		Rule: "session.idle", Setting: "Session.Idle", Value: period(s.Idle), Limit: "≤ 30m, < Session.Absolute",
		Source: sessSheet + "Session Expiration; " + asvs + "7.3.1",
		Text: "The sheet calls 15 to 30 minutes common at low risk. NIST requires none at AAL1 (2.1.3) and " +
			"recommends 1h at AAL2 (2.2.3). ASVS 7.1.1 wants the choice written down.",
	})
	r.add(false, s.Absolute > 30*day, Finding{
		Rule: "session.absolute", Setting: "Session.Absolute", Value: period(s.Absolute), Limit: "≤ 30 days",
		Source: nist + "2.1.3; " + asvs + "7.3.2",
		Text:   "Recommended at AAL1; 24h at AAL2 (2.2.3).",
	})
	r.add(false, s.TouchInterval > s.Idle/2, Finding{
		Rule: "session.touch", Setting: "Session.TouchInterval", Value: period(s.TouchInterval),
		Limit:  "≤ half of Session.Idle",
		Source: "this package",
		Text:   "A session in use may end earlier than Session.Idle by this much, never later.",
	})
	r.add(false, false, Finding{
		Rule: "session.remember", Setting: "Session.Remember", Value: period(s.Remember),
		Source: "OWASP, Slow Down Online Guessing Attacks with Device Cookies",
		Text: "How long after its session's end a device is told from a stranger. It names no time. Strangers' " +
			"guesses " +
			"do not keep a known device out.",
	})
	value := "no limit"
	if s.MaxPerUser > 0 {
		value = fmt.Sprint(s.MaxPerUser)
	}
	r.add(false, false, Finding{
		Rule: "session.count", Setting: "Session.MaxPerUser", Value: value,
		Source: asvs + "7.1.2; " + sessSheet + "Simultaneous Session Logons",
		Text:   "ASVS wants the number decided and written down. Beyond it the least recently used session ends.",
	})
}

func (r *report) refresh(p RefreshPolicy) {
	r.add(false, p.Idle >= p.Absolute, Finding{
		Rule: "refresh.idle", Setting: "Refresh.Idle", Value: period(p.Idle), Limit: "< Refresh.Absolute",
		Source: "RFC 9700, 4.14.2",
		Text:   "A token that is not used for so long expires; the RFC leaves the time to the server.",
	})
	r.add(false, p.Absolute > 30*day, Finding{
		Rule: "refresh.absolute", Setting: "Refresh.Absolute", Value: period(p.Absolute), Limit: "≤ 30 days",
		Source: asvs + "10.4.8; " + nist + "2.1.3",
		Text: "ASVS wants an absolute end. NIST recommends to authenticate again within 30 days, which a token that " +
			"lives longer does without.",
	})
	grace := period(max(0, p.Grace))
	r.add(false, p.Grace > 0, Finding{
		Rule: "refresh.grace", Setting: "Refresh.Grace", Value: grace, Limit: "0s",
		Source: asvs + "10.4.5; RFC 9700, 4.14.2",
		Text: "Both have a used token invalid at once. That signs out whoever refreshes in two tabs, or loses an " +
			"answer. A grace gives a thief of a used token as much time: watch for rotate_in_grace, or take NoGrace " +
			"if one program alone holds the token.",
	})
}

func (r *report) account(a AccountPolicy) {
	r.add(false, !a.VerifiedOnly, Finding{
		Rule: "account.verified_only", Setting: "Account.VerifiedOnly", Value: strconv.FormatBool(a.VerifiedOnly),
		Limit:  "true",
		Source: asvs + "6.3.8",
		Text: "Without it whoever registers an address and signs in learns whether it had an account. Set it unless " +
			"people must sign in before they have verified their address.",
	})
	r.add(false, a.ReactivateAfter > a.Retention, Finding{
		Rule: "account.reactivate", Setting: "Account.ReactivateAfter", Value: period(a.ReactivateAfter),
		Limit:  "≤ Account.Retention",
		Source: "this package",
		Text:   "Later than the account is kept, it never comes back.",
	})
	r.add(false, false, Finding{
		Rule: "account.retention", Setting: "Account.Retention", Value: period(a.Retention),
		Source: asvs + "14.2.7",
		Text:   "ASVS wants a schedule and names no time: run authgraph purge daily, or Service.Purge.",
	})
}

func (r *report) secondStep(p SecondStepPolicy) {
	given := func(is bool) string {
		if is {
			return "given"
		}
		return "none"
	}
	r.add(false, false, Finding{
		Rule: "second_step.required", Setting: "SecondStep.Required", Value: given(p.Required != nil),
		Source: asvs + "6.3.3; " + nist + "2.2.1",
		Text: "ASVS asks for two factors from level 2 on, NIST from AAL2 on. Without it one proof is enough for " +
			"everybody.",
	})
	r.add(false, p.Required != nil && p.Factor == nil, Finding{
		Rule: "second_step.factor", Setting: "SecondStep.Factor", Value: given(p.Factor != nil),
		Limit:  "given if one is required",
		Source: nist + "3.1.3.1; " + asvs + "6.3.6",
		Text: "NIST does not count a mailed code as authentication, and ASVS rules it out at level 3. Without " +
			"another " +
			"factor nobody gets in whose password was reset by mail.",
	})
}

func percent(chance float64) string { return fmt.Sprintf("%.3g %%", 100*chance) }

// period writes a duration as a reader does: 15m, not 15m0s, and 30 days.
func period(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
