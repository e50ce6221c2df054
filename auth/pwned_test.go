package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
)

// The SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8. The form of the answer is that of
// https://haveibeenpwned.com/API/v3, Searching by range.
func TestABreachedPasswordIsFoundByAPartOfItsHash(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "true", r.Header.Get("Add-Padding"))
		switch r.URL.Path {
		case "/range/5BAA6":
			fmt.Fprint(w, "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n")
		case "/range/D033E": // of "admin", which is padding here
			fmt.Fprint(w, "84AE3E1B1E3A4DE2C9C8DD7D4E0D5D2E3A3:3\r\n22AE348AEB5660FC2140AEC35850C4DA997:0\r\n")
		default:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	p := auth.PwnedPasswords{URL: server.URL + "/range/", Client: server.Client()}
	known, err := p.Breached(t.Context(), "password")
	require.NoError(t, err)
	assert.True(t, known)
	known, err = p.Breached(t.Context(), "admin")
	require.NoError(t, err)
	assert.False(t, known)
	known, err = p.Breached(t.Context(), "correct horse battery staple")
	assert.False(t, known)
	assert.EqualError(t, err, "ask which passwords are breached: the answer is 429 Too Many Requests")
}

func TestAnAnswerThatIsNoRangeSaysNothingOfAPassword(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "<html>\n<p>Welcome: sign in</p>", "1E4C9B93F3F0682250B6CF8331B7EE68FD8"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, answer)
		}))
		defer server.Close()
		_, err := auth.PwnedPasswords{URL: server.URL + "/"}.Breached(t.Context(), "password")
		require.EqualError(t, err, "ask which passwords are breached: the answer is no range of hashes")
	}
}

func TestABreachedPasswordIsAskedForWithinTheTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	p := auth.PwnedPasswords{URL: server.URL + "/", Timeout: time.Millisecond}
	_, err := p.Breached(t.Context(), "password")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotContains(t, err.Error(), "5BAA6", "no part of the hash is told")
	server.CloseClientConnections()
}
