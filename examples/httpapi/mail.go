package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	entuser "github.com/authgraph/authgraph/ent/user"
)

// Mailer sends a mail. It must be safe for concurrent use.
type Mailer interface {
	Send(ctx context.Context, to, subject, text string) error
}

// logMailer prints mails to the log, for development: who reads the log can sign in as anybody.
type logMailer struct{ log *slog.Logger }

func (m logMailer) Send(ctx context.Context, to, subject, text string) error {
	m.log.InfoContext(ctx, "mail", "to", to, "subject", subject, "text", text)
	return nil
}

type mail struct{ subject, text string }

const mailedText = "if the address can be used, a mail is on its way to it"

// codeText has the code, or a link where it is too long to be typed. Browsers send nobody what stands behind # (OWASP
// ASVS 5.0.0, 14.2.1). The page there sends it on with the ticket that it kept. In a browser without one it asks
// again with the link, which shows that whoever asks reads the mail.
func (a *api) codeText(issued *auth.Issued) mail {
	secret := issued.Code.Reveal()
	if issued.Link {
		return mail{"Your link", "Open this in the browser in which you asked for it: " + a.site + "/#code=" + secret +
			" and pass it on to nobody."}
	}
	return mail{"Your code", "Your code is " + secret + ". Tell it to nobody."}
}

func takenText(*auth.Issued) mail {
	return mail{"You have an account already", "Somebody wanted an account with your address. If you did: sign in, " +
		"or reset your password if you cannot."}
}

var newPasswordNotice = mail{"Your password was changed", "All devices are signed out. If it was not you, reset your " +
	"password now."}

var newAddressNotice = mail{"Your address was changed", "Your account has another address from now on. If it was not " +
	"you, tell us: by mail to this address nobody signs in any more."}

// notices tell an owner what happened to the account (OWASP ASVS 5.0.0, 6.3.5 and 6.3.7).
var notices = map[auth.Action]mail{
	auth.ActionChangePassword: newPasswordNotice,
	auth.ActionResetPassword:  newPasswordNotice,
	auth.ActionTakeOver: {"Your account begins anew", "Somebody had registered with your address before you showed " +
		"that it is yours. What they set up is gone, the password too: reset it to have one."},
	auth.ActionLink: {"Your account was linked", "Who signs in at the provider signs in to your account. If it " +
		"was not you, reset your password and remove the link."},
	auth.ActionDelete: {"Your account was deleted", "It is kept for 30 days. Until then you can have it back with " +
		"your password."},
	auth.ActionReuse: {"You were signed out on a device", "Somebody may have copied what that device was signed in " +
		"with. Sign in again there."},
}

// observe is told of all that happens. An application that keeps data of its own for an account would drop what a
// squatter stored, on ActionTakeOver.
func (a *api) observe(ctx context.Context, e auth.Event) {
	auth.LogTo(a.log).Observe(ctx, e)
	notice, ok := notices[e.Action]
	if !ok {
		return
	}
	a.later(ctx, func(ctx context.Context) error {
		to, err := a.client.User.Query().Where(entuser.ID(e.UserID)).Select(entuser.FieldEmail).String(ctx)
		if err != nil {
			return err
		}
		return a.mailer.Send(ctx, to, notice.subject, notice.text)
	})
}

// mailCode issues a code and sends a mail if there is an account. The request does not wait for the mail: the time of
// its answer must not tell either.
func (a *api) mailCode(
	r *http.Request, kind schematype.OTPType, in body, text func(*auth.Issued) mail,
) (any, error) {
	issued, err := a.auth.IssueCode(r.Context(), auth.CodeRequest{
		Email: in.Email, Kind: kind, Ticket: auth.ParseToken(in.Ticket), Device: a.device(r),
		Link: auth.ParseCode(in.Link),
	})
	if err != nil {
		return nil, err
	}
	if issued.Known {
		a.send(r.Context(), issued.Email, text(issued))
	}
	return mailed{issued.Ticket.Reveal(), mailedText}, nil
}

// send sends a mail in the background.
func (a *api) send(ctx context.Context, to string, m mail) {
	a.later(ctx, func(ctx context.Context) error { return a.mailer.Send(ctx, to, m.subject, m.text) })
}

func (a *api) later(ctx context.Context, do func(context.Context) error) {
	a.mails.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			a.log.ErrorContext(ctx, "send a mail", "err", err)
		}
	})
}
