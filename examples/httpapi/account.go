package main

import (
	"context"
	"net/http"

	"github.com/authgraph/authgraph/auth"
)

// Provider identifies a person by what they brought from it, such as an ID token of OpenID Connect, which it verifies
// (OpenID Connect Core 1.0, 3.1.3.7). It must be safe for concurrent use.
type Provider interface {
	Identify(ctx context.Context, credential string) (auth.Identity, error)
}

// changeEmail mails a code to the new address. Who asks gives the password again or, for an account without one, ticket
// and code of POST /sign-in/code. The answer is the same if the address has an account already; the mail tells.
func (a *api) changeEmail(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, u, err := a.auth.CheckSession(r.Context(), token(r, sessionCookie))
	if err != nil {
		return nil, err
	}
	issued, err := a.auth.StartEmailChange(r.Context(), auth.EmailChange{
		UserID: u.ID, Password: in.Password, Ticket: auth.ParseToken(in.Ticket), Code: auth.ParseCode(in.Code),
		New: in.NewEmail, Device: a.device(r),
	})
	if err != nil {
		return nil, err
	}
	m := a.codeText(issued)
	if issued.Known {
		m = takenText(issued)
	}
	a.send(r.Context(), issued.Email, m)
	return mailed{issued.Ticket.Reveal(), mailedText}, nil
}

// finishEmailChange leaves this device signed in, and no other. The mail goes to the address that the account had: who
// took the account over does not read it.
func (a *api) finishEmailChange(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	changed, err := a.auth.FinishEmailChange(r.Context(), auth.ParseToken(in.Ticket), auth.ParseCode(in.Code),
		token(r, sessionCookie))
	if err == nil {
		a.send(r.Context(), changed.Old, newAddressNotice)
	}
	return nil, err
}

func (a *api) signInWithProvider(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	id, err := a.identify(r, in)
	if err != nil {
		return nil, err
	}
	g, err := a.auth.SignInWithProvider(r.Context(), id, a.device(r))
	return a.enter(w, g, err)
}

// linkProvider asks for the password again, by signing in: the link stays after the session. Nothing is linked for who
// needs a second step, which is then asked for.
func (a *api) linkProvider(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, u, err := a.auth.CheckSession(r.Context(), token(r, sessionCookie))
	if err != nil {
		return nil, err
	}
	id, err := a.identify(r, in)
	if err != nil {
		return nil, err
	}
	g, err := a.auth.SignIn(r.Context(), u.Email, in.Password, a.device(r))
	out, err := a.enter(w, g, err)
	if g != nil {
		err = a.auth.LinkProvider(r.Context(), g.Token, id)
	}
	return out, err
}

func (a *api) identify(r *http.Request, in body) (auth.Identity, error) {
	id, err := a.provider.Identify(r.Context(), in.Credential)
	if err != nil {
		a.log.WarnContext(r.Context(), "identify a person", "err", err)
		return id, &refusal{http.StatusUnauthorized, "the provider does not vouch for this"}
	}
	return id, nil
}

func (a *api) unlinkProvider(r *http.Request, _ *auth.Session, u *auth.User) (any, error) {
	return nil, a.auth.UnlinkProvider(r.Context(), u.ID)
}

// delete ends every session. The account comes back by reactivate until it is purged, after AccountPolicy.Retention.
func (a *api) delete(w http.ResponseWriter, r *http.Request) (any, error) {
	_, u, err := a.auth.CheckSession(r.Context(), token(r, sessionCookie))
	if err == nil {
		_, err = a.auth.Delete(r.Context(), u.ID)
	}
	if err == nil {
		takeBack(w)
	}
	return nil, err
}

func (a *api) reactivate(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	g, err := a.auth.Reactivate(r.Context(), in.Email, in.Password, a.device(r))
	return a.enter(w, g, err)
}

// suspend closes an account until unsuspend. What was signed in to does not come back then.
func (a *api) suspend(ctx context.Context, userID int) error {
	err := a.auth.Suspend(ctx, userID, auth.Forever)
	if err == nil {
		_, err = a.auth.RevokeAll(ctx, userID)
	}
	return err
}

func (a *api) unsuspend(ctx context.Context, userID int) error { return a.auth.Unsuspend(ctx, userID) }
