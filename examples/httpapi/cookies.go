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
	// deviceCookie is the last session token, kept when the session has ended. It opens nothing. It shows a device that
	// signed in before, which strangers' guesses do not concern.
	deviceCookie  = "__Host-device"
	refreshCookie = "__Secure-refresh"
)

// handOut gives the client what a sign-in or a renewal gave.
func handOut(w http.ResponseWriter, g *auth.Grant) {
	setCookie(w, sessionCookie, g.Token, "/", g.Session.ExpiresAt)
	setCookie(w, deviceCookie, g.Token, "/", g.Session.ExpiresAt.Add(30*24*time.Hour)) // SessionPolicy.Remember
	// The browser shows it only where it is exchanged.
	setCookie(w, refreshCookie, g.Refresh, "/refresh", time.Now().Add(14*24*time.Hour)) // RefreshPolicy.Idle
}

// takeBack ends the cookies of a session. That of the device stays.
func takeBack(w http.ResponseWriter) {
	setCookie(w, sessionCookie, auth.Token{}, "/", time.Time{})
	setCookie(w, refreshCookie, auth.Token{}, "/refresh", time.Time{})
}

// setCookie sets a cookie, or takes it back with an empty token. The session is shown to a link from another site too:
// nothing is changed by what a link can send.
func setCookie(w http.ResponseWriter, name string, t auth.Token, path string, expires time.Time) {
	c := &http.Cookie{Name: name, Value: t.Reveal(), Path: path, Expires: expires, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode}
	if name == sessionCookie {
		c.SameSite = http.SameSiteLaxMode
	}
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

// lastSession is the last session token that this device got, live or ended.
func lastSession(r *http.Request) auth.Token {
	if t := token(r, sessionCookie); t.Reveal() != "" {
		return t
	}
	return token(r, deviceCookie)
}
