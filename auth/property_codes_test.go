package auth_test

import (
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// modelEmailChange is the purpose of a code that changes an address, which the service stores as one that verifies it.
const modelEmailChange schematype.OTPType = "email-change"

// modelCode is a code and the request that it belongs to.
type modelCode struct {
	email    string
	kind     schematype.OTPType
	ticket   auth.Token
	code     auth.Code
	expires  time.Time
	used     bool
	attempts int
	// party is the account whose own party asked for it, in an epoch.
	party *modelUser
	epoch int
}

// isOf reports whether the party of an account asked for the code.
func (c *modelCode) isOf(u *modelUser) bool { return u != nil && c.party == u && c.epoch == u.epoch }

// isBefore reports whether a code for an address and a purpose takes the place of this one.
func (c *modelCode) isBefore(email string, kind schematype.OTPType) bool {
	return c != nil && c.email == email &&
		(c.kind == kind || c.kind == modelEmailChange && kind == schematype.OTPEmailVerification)
}

// modelMail is a mail that counts against the budgets of its address.
type modelMail struct {
	at     time.Time
	origin string
}

func (m *model) kind(t *rapid.T) schematype.OTPType {
	return rapid.SampledFrom([]schematype.OTPType{
		schematype.OTPSignIn, schematype.OTPPasswordReset, schematype.OTPEmailVerification,
	}).Draw(t, "purpose")
}

// nextMail is when an origin may have another mail sent to an address.
func (m *model) nextMail(email, origin string) (next time.Time) {
	full := func(mails []modelMail, most int) {
		if n := len(mails); n >= most {
			if at := mails[n-most].at.Add(modelBudgetWindow); at.After(next) {
				next = at
			}
		}
	}
	all, same := m.window(email), []modelMail(nil)
	for _, mail := range all {
		if mail.origin == origin {
			same = append(same, mail)
		}
	}
	full(all, modelBudget)
	full(same, (modelBudget+1)/2)
	if n := len(same); n > 0 && same[n-1].at.Add(modelCooldown).After(next) {
		next = same[n-1].at.Add(modelCooldown)
	}
	return next
}

// window are the mails to an address that count against its budget.
func (m *model) window(email string) (mails []modelMail) {
	for _, mail := range m.mails[email] {
		if mail.at.After(m.now().Add(-modelBudgetWindow)) {
			mails = append(mails, mail)
		}
	}
	return mails
}

func (m *model) issueCode(t *rapid.T) {
	email, origin := m.email(t), m.origin(t)
	req := auth.CodeRequest{Email: email, Kind: m.kind(t), Device: auth.Device{Origin: origin}}
	want := m.mayMail(email, origin)
	u := m.users[email]
	known := u.isReached()
	var before *modelCode
	own := false
	switch rapid.IntRange(0, 2).Draw(t, "ticket") {
	case 0:
		if before = pick(t, "the code before", m.codes); before != nil {
			req.Ticket = before.ticket
			own = known && before.isOf(u)
			if before.kind == modelEmailChange && req.Kind == schematype.OTPSignIn {
				want = auth.ErrCode // it finishes no sign-in
			}
		}
	case 1:
		if registered := m.users[m.email(t)]; registered != nil {
			req.Ticket = registered.registration
			own = known && registered == u && u.epoch == 0
		}
	}
	issued, err := m.svc.IssueCode(t.Context(), req)
	same(t, want, err)
	if err != nil {
		return
	}
	if before.isBefore(email, req.Kind) {
		before.used = true
	}
	c := m.mailed(t, issued, email, origin, u, false)
	c.kind = req.Kind
	if own {
		c.party, c.epoch = u, u.epoch
	}
}

func (m *model) origin(t *rapid.T) string {
	return rapid.SampledFrom(m.emails).Draw(t, "origin") // no other model's
}

// mayMail is the error to expect of another mail.
func (m *model) mayMail(email, origin string) error {
	if next := m.nextMail(email, origin); next.After(m.now()) {
		return &auth.TooSoonError{RetryAt: next}
	}
	return nil
}

// isReached reports whether whoever reads the mail of a user's address gets into the account.
func (u *modelUser) isReached() bool { return u != nil && (u.deleted.IsZero() || !u.verified) }

// mailed adds a code, the guesses at which are those of a user. It is a link if it must be, or is the last mail that
// the address may have.
func (m *model) mailed(
	t *rapid.T, issued *auth.Issued, email, origin string, guessed *modelUser, link bool,
) *modelCode {
	u := m.users[email]
	require.Equal(t, u.isReached(), issued.Known)
	require.Equal(t, email, issued.Email)
	m.mails[email] = append(m.mails[email], modelMail{m.now(), origin})
	link = link || len(m.window(email)) >= modelBudget ||
		guessed != nil && guessed.guesses+modelMaxAttempts > modelStrangers
	require.Equal(t, link, issued.Link)
	if guessed != nil && !link {
		guessed.guesses += modelMaxAttempts
	}
	require.True(t, m.nextMail(email, origin).Equal(issued.RetryAt))
	c := &modelCode{email: email, ticket: issued.Ticket, code: issued.Code, expires: m.now().Add(modelCodeLife)}
	m.codes = append(m.codes, c)
	return c
}

func (m *model) startEmailChange(t *rapid.T) {
	u, id := m.someone(t)
	to, origin := m.email(t), m.origin(t)
	change := auth.EmailChange{UserID: id, New: to, Device: auth.Device{Origin: origin}}
	var want error
	if rapid.Bool().Draw(t, "by the password") {
		change.Password = m.password(t)
		want = m.prove(u, false, change.Password)
	} else {
		c, code, try := m.guess(t, schematype.OTPSignIn)
		change.Ticket, change.Code = c.ticket, code
		owner := m.users[c.email]
		switch want = try(); {
		case want != nil:
		case !m.usable(owner) || owner != u || u.password != "":
			want = auth.ErrCode
		default:
			c.used = true
		}
	}
	counted := want == nil && change.Password != ""
	itsOwn := want == nil && m.users[to] == u
	if want == nil && !itsOwn {
		want = m.mayMail(to, origin)
	}
	issued, err := m.svc.StartEmailChange(t.Context(), change)
	if itsOwn {
		var invalid *auth.InputError
		require.ErrorAs(t, err, &invalid)
	} else {
		same(t, want, err)
	}
	if err == nil {
		c := m.mailed(t, issued, to, origin, u, true)
		c.kind, c.party, c.epoch = modelEmailChange, u, u.epoch
	}
	if counted { // the guess was right, and ends when the code's are counted
		u.failures--
		u.guesses--
	}
}

func (m *model) finishEmailChange(t *rapid.T) {
	c, code, try := m.guess(t, modelEmailChange)
	keep, token := m.session(t)
	u, want := c.party, try()
	switch {
	case want != nil:
	case !m.usable(u) || !c.isOf(u):
		want = auth.ErrCode
	case m.users[c.email] != nil:
		want = auth.ErrEmailTaken
	}
	changed, err := m.svc.FinishEmailChange(t.Context(), c.ticket, code, token)
	same(t, want, err)
	if err != nil {
		return
	}
	var kept *modelFamily
	if keep != nil && keep.user == u && m.live(keep) {
		kept = keep.family
	}
	require.Same(t, u, m.users[changed.Old])
	delete(m.users, changed.Old)
	m.users[c.email] = u
	c.used, u.verified = true, true
	u.epoch++
	ended := m.end(func(f *modelFamily) bool { return f.user == u && f != kept })
	require.Equal(t, &auth.EmailChanged{UserID: u.id, Old: changed.Old, New: c.email, Ended: ended}, changed)
}

// guess is a code for a purpose: the right one for its ticket, that of another, or none. The error is the one to expect
// for it. Without try the guess is made elsewhere.
func (m *model) guess(t *rapid.T, kind schematype.OTPType) (c *modelCode, code auth.Code, try func() error) {
	c = pick(t, "ticket", m.codes)
	if rapid.Bool().Draw(t, "of the purpose") {
		if same := m.codesFor(kind); len(same) > 0 {
			c = rapid.SampledFrom(same).Draw(t, "ticket of the purpose")
		}
	}
	if c == nil {
		return &modelCode{}, auth.ParseCode("000000000000"), func() error { return auth.ErrCode }
	}
	other := pick(t, "another's code", m.codes)
	code = rapid.SampledFrom([]auth.Code{c.code, c.code, auth.ParseCode("wrong"), other.code}).Draw(t, "code")
	return c, code, func() error {
		if c.kind != kind || c.used || !c.expires.After(m.now()) || c.attempts == modelMaxAttempts {
			return auth.ErrCode
		}
		c.attempts++
		if code.Reveal() != c.code.Reveal() {
			return &auth.CodeError{AttemptsLeft: modelMaxAttempts - c.attempts}
		}
		return nil
	}
}

func (m *model) codesFor(kind schematype.OTPType) (out []*modelCode) {
	for _, c := range m.codes {
		if c.kind == kind && !c.used {
			out = append(out, c)
		}
	}
	return out
}

func (m *model) verifyCode(t *rapid.T) {
	kind := m.kind(t)
	c, code, try := m.guess(t, kind)
	want := try()
	if u := m.users[c.email]; want == nil && u != nil && u.suspended.After(m.now()) {
		want = auth.ErrCode
		c.attempts-- // a right one is not counted
	}
	err := m.svc.VerifyCode(t.Context(), kind, c.ticket, code)
	same(t, want, err)
	if err == nil {
		c.used = true
	}
}

// proved is what a right code does to the account of its address, which the party may be shown to own already.
func (m *model) proved(c *modelCode, u *modelUser, own bool) {
	c.used = true
	m.takenOver(u, own)
}

// takenOver makes an account that of whoever reads the mail of its address.
func (m *model) takenOver(u *modelUser, own bool) {
	if !u.verified && !own {
		u.password, u.linked = "", ""
		m.endAll(u)
	}
	u.verified, u.deleted = true, time.Time{}
}

func (m *model) signInWithCode(t *rapid.T) {
	c, code, try := m.guess(t, schematype.OTPSignIn)
	u, want := m.users[c.email], try()
	if want == nil && (!u.isReached() || u.suspended.After(m.now())) {
		want = auth.ErrCode
	}
	g, err := m.svc.SignInWithCode(t.Context(), c.ticket, code, auth.Device{})
	same(t, want, err)
	if err == nil {
		m.proved(c, u, c.isOf(u))
		m.granted(u, g)
	}
}

func (m *model) verifyEmail(t *rapid.T) {
	c, code, try := m.guess(t, schematype.OTPEmailVerification)
	u := m.users[c.email]
	v := auth.Verification{Ticket: c.ticket, Code: code}
	if rapid.Bool().Draw(t, "with a password") {
		v.Password = m.password(t)
	}
	want := try()
	if want == nil && v.Password != "" {
		if want = m.prove(u, false, v.Password); want == nil {
			u.guesses--
			u.failures--
		} else {
			c.attempts-- // the code was right
		}
	}
	if want == nil && (!u.isReached() || u.suspended.After(m.now())) {
		want = auth.ErrCode
	}
	err := m.svc.VerifyEmail(t.Context(), v)
	same(t, want, err)
	if err == nil {
		m.proved(c, u, v.Password != "" || c.isOf(u))
	}
}

func (m *model) resetPassword(t *rapid.T) {
	c, code, try := m.guess(t, schematype.OTPPasswordReset)
	u, next, want := m.users[c.email], m.password(t), try()
	if want == nil && (!u.isReached() || u.suspended.After(m.now())) {
		want = auth.ErrCode
	}
	_, err := m.svc.ResetPassword(t.Context(), c.ticket, code, next)
	same(t, want, err)
	if err == nil {
		m.proved(c, u, c.isOf(u))
		m.newPassword(u, next)
	}
}
