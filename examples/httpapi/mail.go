package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/authgraph/authgraph/auth"
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

func codeText(issued *auth.Issued) mail {
	return mail{"Your code", "Your code is " + issued.Code.Reveal() + ". Tell it to nobody."}
}

// mailCode issues a code, hands out its ticket, and sends a mail if there is an account. The request does not wait for
// the mail: the time of its answer must not tell either.
func (a *api) mailCode(
	w http.ResponseWriter, r *http.Request, req auth.CodeRequest, text func(*auth.Issued) mail,
) (any, error) {
	req.Device = device(r)
	issued, err := a.auth.IssueCode(r.Context(), req)
	var soon *auth.TooSoonError
	switch {
	case errors.As(err, &soon):
		return mailed, nil // the code before is on its way
	case err != nil:
		return nil, err
	}
	setTicket(w, issued.Ticket, issued.ExpiresAt)
	if issued.Known {
		a.mail(r, issued.Email, text(issued))
	}
	return mailed, nil
}

func (a *api) mail(r *http.Request, to string, m mail) {
	a.later(r, func(ctx context.Context) error { return a.mailer.Send(ctx, to, m.subject, m.text) })
}

func (a *api) later(r *http.Request, do func(context.Context) error) {
	a.mails.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			a.log.ErrorContext(ctx, "send a mail", "err", err)
		}
	})
}
