package auth

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// CodeRequest asks for a one-time code.
type CodeRequest struct {
	// Email is the address as it was typed. It may be left out with the ticket of a [SecondStepError], whose account
	// tells it.
	Email string
	// Kind is the purpose, which nothing else accepts the code for.
	Kind schematype.OTPType
	// Device is where the request comes from. Its token shows a device that signed in before, which has a share of the
	// mails of its own.
	Device Device
	// Ticket is that of [Service.Register], of a [SecondStepError], or of the code before, if this request follows it.
	// It shows that the request is the account's own. Its own code or first step ends, so that the new ticket is the
	// only one that counts. The zero Token is none.
	Ticket Token
	// Link is the code of a link ([Issued].Link) that was mailed to the address within OTPPolicy.BudgetWindow, whoever
	// asked for it and whether or not it was used. It shows that this request is made by somebody who reads that mail,
	// and who has the share of known devices, so that strangers cannot use the mails up. The last mail that strangers
	// may ask for is always a link. The zero Code is none.
	Link Code
}

// Issued is a one-time code to send. Times are UTC, to the microsecond.
type Issued struct {
	// Ticket belongs to the code, which is worth nothing without it (OWASP ASVS 5.0.0, 6.6.2). Give it to the client
	// that asked, and never put it into the mail.
	Ticket Token
	// Code is OTPPolicy.Length digits or, for Link, 256 random bits in 43 characters of base64url.
	Code Code
	// Link is whether the code is too long to be typed: send it as a link. It finishes the request in the browser of
	// the ticket. In another one it lets a request of that browser through, see CodeRequest.Link. Codes are guesses at
	// the account, and its budget for them is spent (see LockoutPolicy.Budget), or this is the last mail that strangers
	// may ask for. Never tell it to whoever asks: without an account it may be false.
	Link bool
	// Email is the address to send to, as it is stored: not as somebody typed it.
	Email string
	// Known is whether the address has an active account, which may be suspended, or one that was deleted before
	// anybody had proved the address, which a proof brings back as [Service.VerifyEmail] has it. A code is issued
	// either way, so that whoever asks learns nothing. Send it only where it is meant to arrive.
	Known bool
	// ExpiresAt is the code's end, OTPPolicy.Lifetime after its beginning.
	ExpiresAt time.Time
	// RetryAt is when the same request can be made again.
	RetryAt time.Time
}

// IssueCode makes a one-time code for an address and a purpose. It is verified together with the ticket that comes with
// it. What others request leaves it as it is. Call IssueCode before any mail to an address that somebody typed, also
// for one without a code: its limits are those of all mails.
//
// A code of type signin for the ticket of a [SecondStepError] finishes that sign-in, by [Service.FinishWithCode].
//
// The error is a [*TooSoonError] where a limit of [OTPPolicy] is reached, and an [*InputError] for what cannot be an
// address or is none of the purposes. For a second step it is [ErrSecondStep] if mail is none, and [ErrCode] if the
// first step holds no more. The limits hold for any number of calls at once.
func (s *Service) IssueCode(ctx context.Context, req CodeRequest) (*Issued, error) {
	email, err := address(req.Email)
	if err != nil && (req.Email != "" || req.Ticket.Reveal() == "") {
		return nil, err
	}
	req.Email = email
	var issued *Issued
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		req := req
		by, err := s.ask(ctx, tx, &req)
		if err == nil {
			issued, err = s.issue(ctx, tx, req, by)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionIssueCode, Detail: string(req.Kind)})
	return issued, nil
}

// address is an address as it is stored. The error is an [*InputError] for what cannot be one.
func address(typed string) (string, error) {
	email := schematype.NormalizeEmail(typed)
	if err := schematype.ValidateEmail(email); err != nil {
		return "", &InputError{Field: otp.FieldEmail, Err: err}
	}
	return email, nil
}

// asker is what is known of whoever asks for a code.
type asker struct {
	// user is the account that mail to the address reaches, or nil.
	user *graph.Account
	// device is the session by which the device is known to that account, or 0. Until the address is verified there is
	// none: its mails and the guesses at them are those of strangers.
	device int
	// reader is the mail whose link shows that whoever asks reads what is sent to the address, or 0.
	reader int
	// party is the account whose own party asks, or nil where that is not shown.
	party *graph.Account
	// before is the row of the request's ticket, or nil.
	before *ent.OTP
	// step is what was proved before, which the code completes; empty for a code that stands alone.
	step schematype.OTPFirstStep
	// guesses is where the guesses at the code are counted. They are those of a deleted account too.
	guesses counter
	// link is set if the code must not be one that can be guessed.
	link bool
}

// ask finds who asks for a code. If the code is to finish a sign-in it goes to the address of that account.
func (s *Service) ask(ctx context.Context, tx *ent.Client, req *CodeRequest) (*asker, error) {
	by := new(asker)
	var err error
	if by.user, by.guesses.userID, err = accountOf(ctx, tx, req.Email); err != nil {
		return nil, err
	}
	registered := by.user != nil && s.isRegistration(req.Ticket, by.user)
	if !registered { // whose request sends no statement more than one for an address that is taken
		if by.before, err = rowOf(ctx, tx, req.Ticket); err != nil {
			return nil, err
		}
	}
	if by.before != nil && by.before.FirstStep != nil && req.Kind == schematype.OTPSignIn {
		if err := s.askStep(ctx, tx, by); err != nil {
			return nil, err
		}
	}
	if by.step != "" {
		req.Email, by.guesses.userID = schematype.NormalizeEmail(by.user.Email), by.user.ID
	}
	if by.device, err = s.knownDevice(ctx, tx, verifiedID(by.user), req.Device.Token); err != nil {
		return nil, err
	}
	by.guesses.device = by.device
	if by.reader, err = s.readerOf(ctx, tx, req.Email, req.Link); err != nil {
		return nil, err
	}
	own, err := s.hasSession(ctx, tx, by.guesses.userID, req.Device.Token)
	if err != nil {
		return nil, err
	}
	if registered {
		// It was made in the first epoch.
		own = own || by.user.TrustEpoch == 0
	}
	if own || by.before != nil && isOwn(by.before, by.user) {
		by.party = by.user
	}
	return by, nil
}

// accountOf is the account that mail to an address reaches, or nil, and the id of its account whoever reaches it, or
// the zero one.
func accountOf(ctx context.Context, tx *ent.Client, email string) (reached *graph.Account, id UserID, err error) {
	u, err := readByEmail(ctx, tx, email)
	switch {
	case err != nil:
		return nil, id, fmt.Errorf("find an account: %w", err)
	case u == nil:
		return nil, id, nil
	case !isReachable(u):
		return nil, u.ID, nil
	}
	return u, u.ID, nil
}

// verifiedID is the id of a user whose address is verified, or the zero one.
func verifiedID(u *graph.Account) (id UserID) {
	if u == nil || !u.IsEmailVerified {
		return id
	}
	return u.ID
}

// hasSession reports whether a token is that of a live session of a user.
func (s *Service) hasSession(ctx context.Context, tx *ent.Client, userID UserID, t Token) (bool, error) {
	if t.Reveal() == "" {
		return false, nil
	}
	live, err := tx.Session.Query().Where(session.TokenHash(t.hash()), session.UserID(userID), s.live()).Exist(ctx)
	return live, wrap(err, "find a session")
}

// rowOf is the row of a ticket, or nil.
func rowOf(ctx context.Context, tx *ent.Client, ticket Token) (*ent.OTP, error) {
	if ticket.Reveal() == "" {
		return nil, nil
	}
	row, err := tx.OTP.Query().Where(otp.TicketHash(ticket.hash())).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, wrap(err, "find a code")
}

// readerOf is the row of a link that was mailed to an address within the window, or 0.
func (s *Service) readerOf(ctx context.Context, tx *ent.Client, email string, link Code) (int, error) {
	if link.Reveal() == "" {
		return 0, nil
	}
	now := s.now()
	rows, err := tx.OTP.Query().
		Where(
			otp.Email(email), otp.IsLink(true), otp.TicketHashNotNil(),
			otp.CreatedAtGT(now.Add(-s.cfg.OTP.BudgetWindow)), otp.CreatedAtLTE(now.Add(ClockTolerance)),
		).
		Select(otp.FieldID, otp.FieldType, otp.FieldEmail, otp.FieldOtpHashCode, otp.FieldTicketHash).
		All(ctx)
	if err != nil {
		return 0, fmt.Errorf("find a link: %w", err)
	}
	for _, row := range rows {
		if s.matches(row, row.Type, link) {
			return row.ID, nil
		}
	}
	return 0, nil
}

// isOwn reports whether the party whose account u is asked for a code. What makes devices strangers ends that too.
func isOwn(code *ent.OTP, u *graph.Account) bool {
	return u != nil && code.RequestedBy != nil && *code.RequestedBy == u.ID &&
		code.TrustEpoch != nil && *code.TrustEpoch == u.TrustEpoch
}

// issue adds a code in the caller's transaction. It sends the same statements whether or not there is an account.
func (s *Service) issue(ctx context.Context, tx *ent.Client, req CodeRequest, by *asker) (*Issued, error) {
	ticket, err := s.newToken()
	if err != nil {
		return nil, err
	}
	row, all, err := s.addMail(ctx, tx, req, by, ticket)
	if err != nil {
		return nil, err
	}
	issued := &Issued{Ticket: ticket, Email: row.Email, ExpiresAt: row.ExpiresAt, RetryAt: s.nextMail(row, all)}
	if by.user != nil {
		issued.Known, issued.Email = true, by.user.Email
	}
	issued.Link = by.link || s.isLast(row, all)
	if !issued.Link { // its guesses are counted in advance
		guessable, err := s.reserve(ctx, tx, by.guesses, s.cfg.OTP.MaxAttempts)
		if err != nil {
			return nil, err
		}
		issued.Link = !guessable
	}
	draw := s.newCode
	if issued.Link {
		draw = s.newLink
	}
	if issued.Code, err = draw(); err != nil {
		return nil, err
	}
	n, err := tx.OTP.Update().Where(otp.ID(row.ID)).
		SetOtpHashCode(mac(s.cfg.Keys.reveal()[0], row.Type, row.Email, *row.TicketHash, issued.Code)).
		SetIsLink(issued.Link).
		Save(ctx)
	if err == nil && n == 0 {
		err = errRaced // a cluster has rolled the row back
	}
	if err != nil {
		return nil, fmt.Errorf("add a code: %w", err)
	}
	return issued, by.endBefore(ctx, tx, row)
}

// endBefore ends the code that the new one takes the place of. Of requests at once that follow one ticket, one does.
func (by *asker) endBefore(ctx context.Context, tx *ent.Client, row *ent.OTP) error {
	b := by.before
	if b == nil || b.Email != row.Email || b.Type != row.Type {
		return nil
	}
	n, err := tx.OTP.Update().Where(otp.ID(b.ID), otp.IsUsed(false)).SetIsUsed(true).Save(ctx)
	if err == nil && n == 0 && !b.IsUsed {
		err = errRaced
	}
	return wrap(err, "end the code before")
}

// codeOf is what a guess needs of the code of a ticket and purpose. It has no id where there is none, or a wrong clock
// made it. A code that the version before made has no ticket. Nor is one found that completes another step.
func (s *Service) codeOf(ctx context.Context, kind schematype.OTPType, ticket Token) (*ent.OTP, error) {
	const query = `SELECT id, email, otp_hash_code, attempts, max_attempts, created_at, requested_by, trust_epoch` +
		` FROM otps WHERE ticket_hash = ? AND type = ? AND first_step IS NULL LIMIT 1`
	hash := ticket.hash()
	code, err := repeat(ctx, s, func(ctx context.Context) (*ent.OTP, error) {
		c := ent.OTP{TicketHash: &hash}
		_, err := scanRow(ctx, s.client, query, []any{hash, string(kind)}, &c.ID, &c.Email, &c.OtpHashCode,
			&c.Attempts, &c.MaxAttempts, &c.CreatedAt, &c.RequestedBy, &c.TrustEpoch)
		if s.ahead(c.CreatedAt) {
			c = ent.OTP{TicketHash: &hash}
		}
		return &c, err
	})
	return code, wrap(err, "find a code")
}

// attemptsAfter is how many attempts remain once a wrong one has been counted.
func attemptsAfter(code *ent.OTP) int { return int(max(0, code.MaxAttempts-code.Attempts-1)) }

// tryCode examines a guess at the code of a ticket and returns it if the guess is right. The attempt is counted, in a
// committed statement, before the code is compared. Where the connection is lost it is counted twice rather than not at
// all.
func (s *Service) tryCode(ctx context.Context, kind schematype.OTPType, ticket Token, c Code) (*ent.OTP, error) {
	code, err := s.codeOf(ctx, kind, ticket)
	if err != nil {
		return nil, err
	}
	return code, s.tryRow(ctx, kind, code, c)
}

func (s *Service) tryRow(ctx context.Context, kind schematype.OTPType, code *ent.OTP, c Code) error {
	counted, err := s.countAttempt(ctx, code.ID)
	if err != nil {
		return err
	}
	match := s.matches(code, kind, c)
	switch {
	case !counted:
		return s.codeFailed(ctx, kind, ErrCode)
	case !match:
		return s.codeFailed(ctx, kind, &CodeError{AttemptsLeft: attemptsAfter(code)})
	}
	return nil
}

// countAttempt counts an attempt at a code that may still be guessed at.
func (s *Service) countAttempt(ctx context.Context, id int) (bool, error) {
	n, err := repeat(ctx, s, func(ctx context.Context) (int, error) {
		return s.client.OTP.Update().
			Where(otp.ID(id), otp.IsUsed(false), otp.ExpiresAtGT(s.now()), attemptsLeft).
			AddAttempts(1).
			Save(ctx)
	})
	return n > 0, wrap(err, "count an attempt")
}

// uncountAttempt takes back the attempt of a code that was right, if it was refused for another reason. That it fails
// costs one attempt.
func (s *Service) uncountAttempt(ctx context.Context, id int) {
	_ = s.client.OTP.Update().Where(otp.ID(id), otp.AttemptsGT(0)).AddAttempts(-1).Exec(ctx)
}

// attemptsLeft are the codes that may be guessed at again.
func attemptsLeft(sel *sql.Selector) {
	sel.Where(sql.ColumnsLT(sel.C(otp.FieldAttempts), sel.C(otp.FieldMaxAttempts)))
}

func (s *Service) codeFailed(ctx context.Context, kind schematype.OTPType, err error) error {
	s.observe(ctx, Event{Action: ActionCodeFailed, Detail: string(kind)})
	return err
}

// useCode marks a code that was right as used. Of calls at once, one succeeds.
func (s *Service) useCode(ctx context.Context, client *ent.Client, id int) error {
	now := s.now()
	n, err := client.OTP.Update().
		Where(otp.ID(id), otp.IsUsed(false), otp.ExpiresAtGT(now)).
		SetIsUsed(true).SetUsedAt(now).
		Save(ctx)
	if err == nil && n == 0 {
		return ErrCode
	}
	return wrap(err, "use a code")
}

// withCode examines a code, and uses it in one transaction with then.
func (s *Service) withCode(
	ctx context.Context, kind schematype.OTPType, ticket Token, c Code,
	then func(ctx context.Context, tx *ent.Client, code *ent.OTP) error,
) error {
	code, err := s.tryCode(ctx, kind, ticket, c)
	if err != nil {
		return err
	}
	return s.using(ctx, kind, code, func(ctx context.Context, tx *ent.Client) error { return then(ctx, tx, code) })
}

// using uses a code that was right in one transaction with then.
func (s *Service) using(
	ctx context.Context, kind schematype.OTPType, code *ent.OTP, then func(ctx context.Context, tx *ent.Client) error,
) error {
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		if err := s.useCode(ctx, tx, code.ID); err != nil {
			return err
		}
		return then(ctx, tx)
	})
	if err == nil {
		s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	}
	return err
}

// VerifyCode uses a code for a purpose of the caller's own. The error is [ErrCode] if the code is wrong, expired, used,
// guessed at too often, or belongs to another ticket or purpose; a [*CodeError] also tells how many attempts are left.
// Of any number of calls with the right code, one succeeds. A code for an address without an account, or with a deleted
// one, shows that somebody reads its mail, and is right. Where the account is suspended the right code is refused with
// [ErrCode], and a wrong one is answered as everywhere.
//
// It takes two round trips. The code is compared in Go. One UPDATE then counts the
// attempt and, if it was right, uses the code. The answer waits for its commit.
func (s *Service) VerifyCode(ctx context.Context, kind schematype.OTPType, ticket Token, c Code) error {
	code, err := s.codeOf(ctx, kind, ticket)
	if err != nil {
		return err
	}
	match := s.matches(code, kind, c)
	n, err := statement(ctx, s, func(ctx context.Context) (int, error) { return s.countAndUse(ctx, code, match) })
	switch {
	case err != nil:
		return fmt.Errorf("count an attempt: %w", err)
	case n == 0:
		return s.codeFailed(ctx, kind, ErrCode)
	case !match:
		return s.codeFailed(ctx, kind, &CodeError{AttemptsLeft: attemptsAfter(code)})
	}
	s.observe(ctx, Event{Action: ActionUseCode, Detail: string(kind)})
	return nil
}

// countAndUse counts an attempt at a code that may still be guessed at, and uses the code if it was right. It does
// neither with the right code of a suspended account. A wrong one is counted, so that its answer tells no more than
// that of another account.
func (s *Service) countAndUse(ctx context.Context, code *ent.OTP, right bool) (int, error) {
	t := s.now()
	var now any = t
	used, suspended, locked := now, now, any(s.longestLock(t))
	if !right {
		used, suspended, locked = nil, Forever, lastTimestamp // after which there is none
	}
	args := []any{updatedNow(), right, used, code.ID, now, code.Email, suspended, locked}
	if graph.Allowed != "" {
		args = append(args, right)
	}
	n, err := execute(ctx, s.client, countAndUse, args...)
	if unheld(err, code.Email) {
		args[5] = "" // which is nobody's
		n, err = execute(ctx, s.client, countAndUse, args...)
	}
	return n, err
}

var countAndUse = countAndUseText()

func countAndUseText() string {
	return `UPDATE otps SET updated_at = ?, attempts = attempts + 1, is_used = ?, used_at = ?` +
		` WHERE ((id = ? AND NOT is_used) AND expires_at > ?) AND attempts < max_attempts` +
		" AND NOT EXISTS (SELECT 1 FROM " + usersTable + " WHERE u.`" + graph.Email + "` = ?" +
		" AND (" + graph.ReadSuspendedUntil + " > ? OR " + graph.ReadLockUntil + " > ?" + ruleBars + "))"
}
