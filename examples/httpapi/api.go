package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

type api struct {
	auth   *auth.Service
	client *ent.Client
	mailer Mailer
	log    *slog.Logger
	// provider identifies people who sign in elsewhere. Without one that is not offered.
	provider Provider
	// site is the address of the page that the links of mails lead to.
	site string
	// ipHeader is the header in which a proxy says the client's address. It must overwrite what clients send. Empty
	// without a proxy.
	ipHeader string
	// mails are those on their way.
	mails sync.WaitGroup
}

func newAPI(client *ent.Client, cfg auth.Config, mailer Mailer, log *slog.Logger) (*api, error) {
	a := &api{client: client, mailer: mailer, log: log}
	cfg.Account.VerifiedOnly = true
	cfg.Observer = auth.ObserverFunc(a.observe)
	cfg.SecondStep.Required = needsSecondStep
	var err error
	a.auth, err = auth.New(client, cfg)
	return a, err
}

// needsSecondStep has admins prove twice who they are.
func needsSecondStep(_ context.Context, u *auth.User) (bool, error) {
	return u.Role == schematype.RoleAdmin, nil
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /register", a.input(a.register))
	mux.HandleFunc("POST /verify-email", a.input(a.verifyEmail))
	mux.HandleFunc("POST /sign-in", a.input(a.signIn))
	mux.HandleFunc("POST /sign-in/code", a.input(a.signInWithCode))
	mux.HandleFunc("POST /sign-in/second", a.input(a.secondStep))
	mux.HandleFunc("POST /sign-in/second/mail", a.input(a.mailSecondStep))
	mux.HandleFunc("POST /password", a.input(a.changePassword))
	mux.HandleFunc("POST /password/forgot", a.input(a.forgotPassword))
	mux.HandleFunc("POST /password/reset", a.input(a.resetPassword))
	mux.HandleFunc("POST /email", a.input(a.changeEmail))
	mux.HandleFunc("POST /email/verify", a.input(a.finishEmailChange))
	mux.HandleFunc("POST /refresh", a.answer(a.refresh))
	mux.HandleFunc("POST /sign-out", a.answer(a.signOut))
	mux.HandleFunc("GET /me", a.signedIn(a.me))
	mux.HandleFunc("DELETE /me", a.answer(a.delete))
	mux.HandleFunc("POST /reactivate", a.input(a.reactivate))
	mux.HandleFunc("GET /sessions", a.signedIn(a.sessions))
	mux.HandleFunc("DELETE /sessions", a.signedIn(a.endOtherSessions))
	mux.HandleFunc("DELETE /sessions/{id}", a.signedIn(a.endSession))
	mux.HandleFunc("POST /users/{id}/suspend", a.admin(a.suspend))
	mux.HandleFunc("POST /users/{id}/unsuspend", a.admin(a.unsuspend))
	if a.provider != nil {
		mux.HandleFunc("POST /sign-in/provider", a.input(a.signInWithProvider))
		mux.HandleFunc("POST /provider", a.input(a.linkProvider))
		mux.HandleFunc("DELETE /provider", a.signedIn(a.unlinkProvider))
	}
	// A browser says where a request comes from: what another site sends changes
	// nothing here. Beside SameSite this takes the place of CSRF tokens.
	return http.NewCrossOriginProtection().Handler(mux)
}

// body is what requests hold, and the others what answers do.
type body struct {
	Name, Email, Password, Ticket, Code, Link, Answer, Credential string

	NewPassword string `json:"new_password"`
	NewEmail    string `json:"new_email"`
}

type user struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type session struct {
	ID         int       `json:"id"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	LastUsedAt time.Time `json:"last_used_at"`
	Current    bool      `json:"current"`
}

// mailed is the answer wherever a mail may be sent. It does not say whether one is. What the mail says counts with the
// ticket only.
type mailed struct {
	Ticket  string `json:"ticket"`
	Message string `json:"message"`
}

// half is a sign-in that waits for a second step, and says which ones it takes.
type half struct {
	Ticket string `json:"ticket"`
	Mail   bool   `json:"mail"`
	Factor bool   `json:"factor"`
}

// register answers the same for an address that is taken; the mail tells.
func (a *api) register(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, ticket, err := a.auth.Register(r.Context(), in.Name, in.Email, in.Password)
	text := a.codeText
	if errors.Is(err, auth.ErrEmailTaken) {
		text = takenText
	} else if err != nil {
		return nil, err
	}
	in.Ticket = ticket.Reveal()
	return a.mailCode(r, schematype.OTPEmailVerification, in, text)
}

// verifyEmail sends a code where the request has none. Who has lost the ticket of the registration gives the password
// with the code: otherwise the account begins anew, without what was set up before.
func (a *api) verifyEmail(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	if in.Code == "" {
		return a.mailCode(r, schematype.OTPEmailVerification, in, a.codeText)
	}
	return nil, a.auth.VerifyEmail(r.Context(), auth.Verification{
		Ticket: auth.ParseToken(in.Ticket), Code: auth.ParseCode(in.Code), Password: in.Password, Device: a.device(r),
	})
}

// signIn takes nobody whose address is not verified (Account.VerifiedOnly): registering and then signing in would
// otherwise tell whether the address was free.
func (a *api) signIn(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	g, err := a.auth.SignIn(r.Context(), in.Email, in.Password, a.device(r))
	return a.enter(w, g, err)
}

// signInWithCode sends a code where the request has none.
func (a *api) signInWithCode(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	if in.Code == "" {
		return a.mailCode(r, schematype.OTPSignIn, in, a.codeText)
	}
	g, err := a.auth.SignInWithCode(r.Context(), auth.ParseToken(in.Ticket), auth.ParseCode(in.Code), a.device(r))
	return a.enter(w, g, err)
}

// mailSecondStep takes the ticket of the sign-in and answers with the one of the code.
func (a *api) mailSecondStep(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	return a.mailCode(r, schematype.OTPSignIn, body{Ticket: in.Ticket}, a.codeText)
}

func (a *api) secondStep(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	ticket := auth.ParseToken(in.Ticket)
	if in.Code == "" {
		g, err := a.auth.FinishWithFactor(r.Context(), ticket, in.Answer, a.device(r))
		return a.enter(w, g, err)
	}
	g, err := a.auth.FinishWithCode(r.Context(), ticket, auth.ParseCode(in.Code), a.device(r))
	return a.enter(w, g, err)
}

// changePassword signs out everywhere. This device stays a known one.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, u, err := a.auth.CheckSession(r.Context(), token(r, sessionCookie))
	if err == nil {
		_, err = a.auth.ChangePassword(r.Context(), u.ID, in.Password, in.NewPassword, a.device(r))
	}
	if err == nil {
		takeBack(w)
	}
	return nil, err
}

func (a *api) forgotPassword(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	return a.mailCode(r, schematype.OTPPasswordReset, in, a.codeText)
}

func (a *api) resetPassword(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, err := a.auth.ResetPassword(r.Context(), auth.ParseToken(in.Ticket), auth.ParseCode(in.Code), in.Password)
	return nil, err
}

// refresh renews the session. It is where a service that gives access tokens to others signs the next one for the user.
// A client calls it when it gets a 401, and then repeats its request. The cookies stay where it fails: others may have
// come meanwhile, of a sign-in in another tab.
func (a *api) refresh(w http.ResponseWriter, r *http.Request) (any, error) {
	g, err := a.auth.Renew(r.Context(), token(r, refreshCookie), a.device(r))
	return a.enter(w, g, err)
}

// signOut ends the session and the refresh token of this device, which stays a known one.
func (a *api) signOut(w http.ResponseWriter, r *http.Request) (any, error) {
	takeBack(w)
	_, err := a.auth.SignOut(r.Context(), lastSession(r))
	return nil, err
}

func (a *api) me(_ *http.Request, _ *auth.Session, u *auth.User) (any, error) {
	return user{u.ID, u.Name, u.Email}, nil
}

func (a *api) sessions(r *http.Request, current *auth.Session, u *auth.User) (any, error) {
	all, err := a.auth.Sessions(r.Context(), u.ID)
	out := []session{}
	for _, s := range all {
		out = append(out, session{s.ID, s.IP, s.UserAgent, s.LastUsedAt, s.ID == current.ID})
	}
	return out, err
}

// endSession ends the refresh token of that device too, which is not a known one any more.
func (a *api) endSession(r *http.Request, _ *auth.Session, u *auth.User) (any, error) {
	id, err := pathID(r)
	if err == nil {
		_, err = a.auth.RevokeSession(r.Context(), u.ID, id)
	}
	return nil, err
}

func (a *api) endOtherSessions(r *http.Request, current *auth.Session, u *auth.User) (any, error) {
	_, err := a.auth.RevokeOtherSessions(r.Context(), u.ID, current.ID)
	return nil, err
}

func pathID(r *http.Request) (int, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return 0, &refusal{http.StatusNotFound, "there is no such id"}
	}
	return id, nil
}

// enter answers what a sign-in came to.
func (a *api) enter(w http.ResponseWriter, g *auth.Grant, err error) (any, error) {
	var second *auth.SecondStepError
	switch {
	case errors.As(err, &second):
		w.WriteHeader(http.StatusAccepted)
		return half{second.Ticket.Reveal(), second.Mail, second.Factor}, nil
	case err != nil:
		return nil, err
	}
	handOut(w, g)
	return user{g.User.ID, g.User.Name, g.User.Email}, nil
}

// device is who asks. What this device had ends when it signs in again, and mails are limited by address.
func (a *api) device(r *http.Request) auth.Device {
	ip := r.RemoteAddr // its port does not count
	if a.ipHeader != "" {
		ip = r.Header.Get(a.ipHeader)
	}
	return auth.Device{IP: ip, UserAgent: r.UserAgent(), Token: lastSession(r)}
}

// refusal is an error that the client is told as it is.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

// refused is what the client is told of an error. It does not depend on whether an account exists or is locked:
// auth.LockedError is an ErrCredentials, and auth.TooSoonError counts mails for addresses without an account too. An
// auth.ErrEmailTaken that comes here is told to somebody who reads the mail of the address.
func refused(err error) *refusal {
	var r *refusal
	var password *auth.PasswordError
	var invalid *auth.InputError
	var tooLarge *http.MaxBytesError
	var soon *auth.TooSoonError
	var unavailable *auth.UnavailableError
	var busy *auth.BusyError
	var noFactor *auth.ConfigError
	var early *auth.NotYetError
	switch {
	case errors.As(err, &tooLarge):
		return &refusal{http.StatusRequestEntityTooLarge, "the body is too large"}
	case errors.As(err, &r):
		return r
	case errors.As(err, &password), errors.As(err, &invalid):
		return &refusal{http.StatusUnprocessableEntity, err.Error()}
	case errors.Is(err, auth.ErrCredentials):
		return &refusal{http.StatusUnauthorized, auth.ErrCredentials.Error()}
	case errors.Is(err, auth.ErrCode):
		return &refusal{http.StatusUnauthorized, auth.ErrCode.Error()}
	case errors.Is(err, auth.ErrSession), errors.Is(err, auth.ErrRefresh):
		return &refusal{http.StatusUnauthorized, "sign in"}
	case errors.As(err, &noFactor), errors.Is(err, auth.ErrSecondStep):
		return &refusal{http.StatusUnprocessableEntity, "there is no such second step"}
	case errors.Is(err, auth.ErrProviderEmail):
		return &refusal{http.StatusForbidden, err.Error()}
	case errors.Is(err, auth.ErrNotFound):
		return &refusal{http.StatusNotFound, err.Error()}
	case errors.Is(err, auth.ErrEmailTaken), errors.Is(err, auth.ErrIdentity), errors.Is(err, auth.ErrLastWayIn),
		errors.As(err, &early):
		return &refusal{http.StatusConflict, err.Error()}
	case errors.As(err, &soon):
		return &refusal{http.StatusTooManyRequests, err.Error()}
	case errors.As(err, &unavailable), errors.As(err, &busy):
		return &refusal{http.StatusServiceUnavailable, "try again in a moment"}
	}
	return &refusal{http.StatusInternalServerError, "something went wrong, try again"}
}

// answer writes what h returns, as JSON.
func (a *api) answer(h func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		out, err := h(w, r.WithContext(ctx))
		if err != nil {
			no := refused(err)
			if no.status >= http.StatusInternalServerError {
				a.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
			}
			if no.status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "2")
			}
			w.WriteHeader(no.status)
			out = map[string]string{"error": no.text}
		} else if out == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = json.NewEncoder(w).Encode(out) // the client may be gone
	}
}

// input reads the body for h. It must be called JSON, which a form of another site cannot say.
func (a *api) input(h func(http.ResponseWriter, *http.Request, body) (any, error)) http.HandlerFunc {
	return a.answer(func(w http.ResponseWriter, r *http.Request) (any, error) {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			return nil, &refusal{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
		}
		var in body
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, errors.Join(err, &refusal{http.StatusBadRequest,
				"the body is not the JSON object that is expected"})
		}
		return h(w, r, in)
	})
}

// signedIn lets only requests with a live session through to h.
func (a *api) signedIn(h func(*http.Request, *auth.Session, *auth.User) (any, error)) http.HandlerFunc {
	return a.answer(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		s, u, err := a.auth.CheckSession(r.Context(), token(r, sessionCookie))
		if err != nil {
			return nil, err
		}
		return h(r, s, u)
	})
}

// admin lets only admins through to h, with the id in the path.
func (a *api) admin(h func(context.Context, int) error) http.HandlerFunc {
	return a.signedIn(func(r *http.Request, _ *auth.Session, u *auth.User) (any, error) {
		if u.Role != schematype.RoleAdmin {
			return nil, &refusal{http.StatusForbidden, "this is for admins"}
		}
		id, err := pathID(r)
		if err == nil {
			err = h(r.Context(), id)
		}
		return nil, err
	})
}
