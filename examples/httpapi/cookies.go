package main

import (
	"net/http"
	"time"

	"github.com/authgraph/authgraph/auth"
)

// Browsers hold a server to these prefixes: __Host- is for this host and all of
// its paths, __Secure- is what a cookie for fewer paths can have.
const (
	sessionCookie = "__Host-session"
	refreshCookie = "__Secure-refresh"
	ticketCookie  = "__Host-ticket"
)

// setSession hands out a session, or takes it back with an empty token.
func setSession(w http.ResponseWriter, t auth.Token, expires time.Time) {
	setCookie(w, &http.Cookie{Name: sessionCookie, Value: t.Reveal(), Path: "/", Expires: expires,
		SameSite: http.SameSiteLaxMode})
}

// setTicket hands out what belongs to a code that is mailed: the code counts in this browser only.
func setTicket(w http.ResponseWriter, t auth.Token, expires time.Time) {
	setCookie(w, &http.Cookie{Name: ticketCookie, Value: t.Reveal(), Path: "/", Expires: expires,
		SameSite: http.SameSiteStrictMode})
}

// setRefresh hands out a refresh token, or takes it back. The browser shows it
// only where it is exchanged and where it is ended.
func setRefresh(w http.ResponseWriter, t auth.Token) {
	expires := time.Now().Add(14 * 24 * time.Hour) // RefreshPolicy.Idle
	for _, path := range []string{"/refresh", "/sign-out"} {
		setCookie(w, &http.Cookie{Name: refreshCookie, Value: t.Reveal(), Path: path, Expires: expires,
			SameSite: http.SameSiteStrictMode})
	}
}

func setCookie(w http.ResponseWriter, c *http.Cookie) {
	c.Secure, c.HttpOnly = true, true
	if c.Value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func token(r *http.Request, name string) auth.Token {
	c, err := r.Cookie(name)
	if err != nil {
		return auth.Token{}
	}
	return auth.ParseToken(c.Value)
}
