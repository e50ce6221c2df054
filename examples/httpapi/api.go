package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

type api struct {
	auth   *auth.Service
	mailer Mailer
	log    *slog.Logger
	// mails are those on their way.
	mails sync.WaitGroup
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /register", a.input(a.register))
	mux.HandleFunc("POST /verify-email", a.input(a.verifyEmail))
	mux.HandleFunc("POST /sign-in", a.input(a.signIn))
	mux.HandleFunc("POST /sign-in/code", a.input(a.signInWithCode))
	mux.HandleFunc("POST /password/forgot", a.input(a.forgotPassword))
	mux.HandleFunc("POST /password/reset", a.input(a.resetPassword))
	mux.HandleFunc("POST /refresh", a.answer(a.refresh))
	mux.HandleFunc("POST /sign-out", a.answer(a.signOut))
	mux.HandleFunc("GET /me", a.signedIn(a.me))
	mux.HandleFunc("GET /sessions", a.signedIn(a.sessions))
	mux.HandleFunc("DELETE /sessions/{id}", a.signedIn(a.endSession))
	// A browser says where a request comes from: what another site sends changes
	// nothing here. Beside SameSite this takes the place of CSRF tokens.
	return http.NewCrossOriginProtection().Handler(mux)
}

// body is what requests hold, and user and session what answers do.
type body struct{ Name, Email, Password, Code string }

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

// mailed is the answer wherever a mail may be sent; it does not say whether.
var mailed = map[string]string{"message": "if the address can be used, a mail is on its way to it"}

// register answers the same for an address that is taken; the mail tells.
func (a *api) register(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, ticket, err := a.auth.Register(r.Context(), in.Name, in.Email, in.Password)
	text := codeText
	if errors.Is(err, auth.ErrEmailTaken) {
		text = func(*auth.Issued) mail {
			return mail{"You have an account already", "Somebody tried to register with your address. If you did: sign in, " +
				"or reset your password."}
		}
	} else if err != nil {
		return nil, err
	}
	return a.mailCode(w, r, auth.CodeRequest{Email: in.Email, Kind: schematype.OTPEmailVerification, Ticket: ticket}, text)
}

// verifyEmail sends a code where the request has none.
func (a *api) verifyEmail(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	if in.Code == "" {
		return a.mailCode(w, r, auth.CodeRequest{Email: in.Email, Kind: schematype.OTPEmailVerification}, codeText)
	}
	return nil, a.auth.VerifyEmail(r.Context(), auth.Verification{
		Ticket: token(r, ticketCookie), Code: auth.ParseCode(in.Code), Password: in.Password, Device: device(r),
	})
}

// signIn takes nobody whose address is not verified (Account.VerifiedOnly): registering and then
// signing in would otherwise tell whether the address was free.
func (a *api) signIn(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	g, err := a.auth.SignIn(r.Context(), in.Email, in.Password, device(r))
	if err != nil {
		return nil, err
	}
	return a.grant(w, r, g), nil
}

// signInWithCode sends a code where the request has none.
func (a *api) signInWithCode(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	if in.Code == "" {
		return a.mailCode(w, r, auth.CodeRequest{Email: in.Email, Kind: schematype.OTPSignIn}, codeText)
	}
	g, err := a.auth.SignInWithCode(r.Context(), token(r, ticketCookie), auth.ParseCode(in.Code), device(r))
	if err != nil {
		return nil, err
	}
	return a.grant(w, r, g), nil
}

func (a *api) forgotPassword(w http.ResponseWriter, r *http.Request, in body) (any, error) {
	return a.mailCode(w, r, auth.CodeRequest{Email: in.Email, Kind: schematype.OTPPasswordReset}, codeText)
}

func (a *api) resetPassword(_ http.ResponseWriter, r *http.Request, in body) (any, error) {
	_, err := a.auth.ResetPassword(r.Context(), token(r, ticketCookie), auth.ParseCode(in.Code), in.Password)
	if err == nil {
		a.mail(r, in.Email, mail{"Your password was changed", "All devices are signed out. If it was not you, reset your " +
			"password now."})
	}
	return nil, err
}

// refresh is where a service that gives access tokens to others signs the next one for the user.
func (a *api) refresh(w http.ResponseWriter, r *http.Request) (any, error) {
	next, u, err := a.auth.Rotate(r.Context(), token(r, refreshCookie))
	if err != nil {
		if errors.Is(err, auth.ErrRefresh) {
			setRefresh(w, auth.Token{})
		}
		return nil, err
	}
	setRefresh(w, next)
	return user{u.ID, u.Name, u.Email}, nil
}

func (a *api) signOut(w http.ResponseWriter, r *http.Request) (any, error) {
	setSession(w, auth.Token{}, time.Time{})
	setRefresh(w, auth.Token{})
	return nil, a.end(r, token(r, sessionCookie), token(r, refreshCookie))
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

func (a *api) endSession(r *http.Request, _ *auth.Session, u *auth.User) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, &refusal{http.StatusNotFound, "no such session"}
	}
	_, err = a.auth.RevokeSession(r.Context(), u.ID, id)
	return nil, err
}

// grant hands out what a sign-in gave; the session before it does not stay.
func (a *api) grant(w http.ResponseWriter, r *http.Request, g *auth.Grant) any {
	if _, err := a.auth.SignOut(r.Context(), token(r, sessionCookie)); err != nil {
		a.log.ErrorContext(r.Context(), "end the session before", "err", err)
	}
	setSession(w, g.Token, g.Session.ExpiresAt)
	setRefresh(w, g.Refresh)
	return user{g.User.ID, g.User.Name, g.User.Email}
}

func (a *api) end(r *http.Request, s, refresh auth.Token) error {
	_, err := a.auth.SignOut(r.Context(), s)
	_, refreshErr := a.auth.RevokeRefresh(r.Context(), refresh)
	return errors.Join(err, refreshErr)
}

// device is who asks. Behind a proxy, take the address from the header that the proxy sets and lets nobody else set.
func device(r *http.Request) auth.Device {
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // an address that is none is not kept
	return auth.Device{IP: host, UserAgent: r.UserAgent()}
}

// refusal is an error that the client is told as it is.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

// refused is what the client is told of an error. It does not depend on whether
// an account exists or is locked: auth.LockedError is an ErrCredentials.
func refused(err error) *refusal {
	var r *refusal
	var password *auth.PasswordError
	var invalid *auth.InputError
	var tooLarge *http.MaxBytesError
	var unavailable *auth.UnavailableError
	var busy *auth.BusyError
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
		out, err := h(w, r)
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
