package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// EmailChange asks for another address of a signed-in user, who proves again who they are: by Password or, for an
// account without one, by Ticket and Code.
type EmailChange struct {
	UserID   UserID
	Password string
	// Ticket and Code are those of a code of type signin for the present address.
	Ticket Token
	Code   Code
	// New is the address as it was typed.
	New string
	// Device is where the request comes from.
	Device Device
}

// EmailChanged is an address that was changed. Tell the old one.
type EmailChanged struct {
	UserID   UserID
	Old, New string
	// Ended is what the change ended.
	Ended
}

// StartEmailChange makes a code for the new address, with which [Service.FinishEmailChange] changes it. It is always a
// link. The account stays as it is until then. Known says that the new address has an account of its own: tell that
// address so in place of the code, and whoever asked no more than otherwise.
//
// Errors are those of [Service.IssueCode], and for the proof those of [Service.SignIn], or of [Service.VerifyCode] with
// a code.
func (s *Service) StartEmailChange(ctx context.Context, c EmailChange) (*Issued, error) {
	to, err := address(c.New)
	if err != nil {
		return nil, err
	}
	if err := graph.TakesEmail(to); err != nil {
		return nil, &InputError{Field: "email", Err: err}
	}
	u, guess, err := s.reauthenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	issued, err := s.issueChange(ctx, u, to, c.Device, guess)
	if err != nil {
		s.giveBackAfter(ctx, err, guess)
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionIssueCode, UserID: u.ID, Detail: string(schematype.FirstStepEmailChange)})
	return issued, nil
}

// issueChange makes a code that changes the address of u, and takes the guess that was right out of its count.
func (s *Service) issueChange(
	ctx context.Context, u *graph.Account, to string, d Device, guess counter,
) (issued *Issued, err error) {
	if schematype.NormalizeEmail(u.Email) == to {
		return nil, &InputError{Field: "email", Err: errors.New("is the address of the account")}
	}
	req := CodeRequest{Email: to, Kind: schematype.OTPEmailVerification, Device: d}
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		by, err := askChange(ctx, tx, u, req.Email)
		if err == nil {
			issued, err = s.issue(ctx, tx, req, by)
		}
		if err == nil {
			err = s.uncount(ctx, tx, guess)
		}
		return err
	})
	return issued, err
}

// reauthenticate is the account of whoever asks for another address, once they have proved who they are, and where a
// guess at its password is counted, if that was the proof.
func (s *Service) reauthenticate(ctx context.Context, c EmailChange) (u *graph.Account, guess counter, err error) {
	if c.Password != "" {
		p, err := s.prove(ctx, c.Password, c.Device, activeByID, c.UserID)
		if err != nil {
			return nil, counter{}, err
		}
		return p.user, p.counter, nil
	}
	err = s.withCode(ctx, schematype.OTPSignIn, c.Ticket, c.Code,
		func(ctx context.Context, tx *ent.Client, code *ent.OTP) error {
			if u, err = s.holdAccount(ctx, tx, code.Email); err == nil && (u.ID != c.UserID || u.Password != nil) {
				err = ErrCode
			}
			return err
		})
	return u, counter{}, err
}

// askChange is who asks for a code that changes the address of u. To the new address they are a stranger. They get a
// link: whoever has an account could guess at codes for addresses of others without end, since each of their own
// sign-ins starts the count of their account again.
func askChange(ctx context.Context, tx *ent.Client, u *graph.Account, email string) (*asker, error) {
	taken, _, err := accountOf(ctx, tx, email)
	return &asker{user: taken, party: u, step: schematype.FirstStepEmailChange, link: true}, err
}

// FinishEmailChange uses the code of [Service.StartEmailChange] and gives the account its new address, which is
// verified by that. Every session and refresh token of the account ends but those of the live session of keep, which is
// the caller's own; the zero Token keeps none. No other device stays a known one.
//
// Errors are those of [Service.VerifyCode], which is [ErrCode] also if the password was changed or everything was
// revoked since StartEmailChange, and [ErrEmailTaken] if another account has the address. Whoever reads
// its mail gets into that one by [Service.SignInWithCode], and it is theirs if nobody had verified the address.
func (s *Service) FinishEmailChange(ctx context.Context, ticket Token, c Code, keep Token) (*EmailChanged, error) {
	const kind = schematype.OTPEmailVerification
	code, err := repeat(ctx, s, func(ctx context.Context) (*ent.OTP, error) { return rowOf(ctx, s.client, ticket) })
	if err == nil && !s.changesEmail(code) {
		err = s.codeFailed(ctx, kind, ErrCode)
	}
	if err == nil {
		err = s.tryRow(ctx, kind, code, c)
	}
	if err != nil {
		return nil, err
	}
	var changed *EmailChanged
	err = s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		err := s.useCode(ctx, tx, code.ID)
		if err == nil {
			changed, err = s.changeEmail(ctx, tx, code, keep)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, Event{Action: ActionUseCode, UserID: changed.UserID, Detail: string(kind)})
	s.observe(ctx, Event{Action: ActionChangeEmail, UserID: changed.UserID, Count: changed.Count()})
	return changed, nil
}

// changesEmail reports whether a row is that of a code which changes an address.
func (s *Service) changesEmail(row *ent.OTP) bool {
	return row != nil && row.FirstStep != nil && *row.FirstStep == schematype.FirstStepEmailChange &&
		row.RequestedBy != nil && row.TrustEpoch != nil && !s.ahead(row.CreatedAt)
}

func (s *Service) changeEmail(ctx context.Context, tx *ent.Client, code *ent.OTP, keep Token) (*EmailChanged, error) {
	u, err := s.hold(ctx, tx, ErrCode, is(graph.ID, *code.RequestedBy), s.usable())
	switch {
	case err != nil:
		return nil, err
	case !isOwn(code, u):
		return nil, ErrCode
	}
	_, err = changeOf(u.ID).
		to(graph.Email, code.Email).to(graph.IsEmailVerified, true).add(graph.TrustEpoch, 1).
		send(ctx, tx)
	if err := s.clash(ctx, tx, err, ErrEmailTaken, is(graph.Email, code.Email)); err != nil {
		return nil, fmt.Errorf("change an address: %w", err)
	}
	changed := &EmailChanged{UserID: u.ID, Old: u.Email, New: code.Email}
	changed.Ended, err = s.endOthers(ctx, tx, u.ID, keep)
	return changed, err
}

// endOthers ends every session and refresh token of a user, whose row the transaction holds, but the live session of a
// token, with its family. That stays known after the trust_epoch has gone up.
func (s *Service) endOthers(ctx context.Context, tx *ent.Client, userID UserID, keep Token) (Ended, error) {
	kept, err := tx.Session.Query().Where(session.TokenHash(keep.hash()), session.UserID(userID), s.live()).Only(ctx)
	switch {
	case ent.IsNotFound(err):
		return s.revokeAll(ctx, tx, userID)
	case err != nil:
		return Ended{}, fmt.Errorf("find a session: %w", err)
	}
	if err := s.keepStanding(ctx, tx, userID, kept.ID); err != nil {
		return Ended{}, err
	}
	return s.revokeBut(ctx, tx, userID, kept)
}
