package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
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

// mailCode issues a code and sends it if there is an account. The request does
// not wait: the time of its answer must not tell either.
func (a *api) mailCode(r *http.Request, email string, kind schematype.OTPType) {
	a.later(r, func(ctx context.Context) error {
		issued, err := a.auth.IssueCode(ctx, email, kind)
		var soon *auth.TooSoonError
		var invalid *auth.InputError
		switch {
		case errors.As(err, &soon), errors.As(err, &invalid):
			return nil // the code before is on its way, or it is no address
		case err != nil || !issued.Known:
			return err
		}
		text := "Your code for " + string(kind) + " is " + issued.Code.Reveal() + ". Tell it to nobody."
		return a.mailer.Send(ctx, email, "Your code", text)
	})
}

func (a *api) mail(r *http.Request, to, subject, text string) {
	a.later(r, func(ctx context.Context) error { return a.mailer.Send(ctx, to, subject, text) })
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
