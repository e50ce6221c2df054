package authtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// A siege is strangers at an account, 12 requests a minute for 24 hours: in each minute 8 wrong passwords, 2 requests
// of a code and 2 wrong codes.
const (
	siegeMinutes  = 24 * 60
	siegeRequests = 12
)

// besieger makes the requests. Each comes from the next of its origins.
type besieger struct {
	svc      *auth.Service
	email    string
	origins  int
	requests int
	ticket   auth.Token
	// link is the newest one in the owner's mailbox.
	link auth.Code
}

func (b *besieger) strike(t *testing.T) {
	t.Helper()
	d := auth.Device{UserAgent: "besieger", IP: fmt.Sprintf("198.51.100.%d", b.requests/6%b.origins)}
	switch b.requests % 6 {
	case 0:
		var soon *auth.TooSoonError
		issued, err := b.svc.IssueCode(t.Context(),
			auth.CodeRequest{Email: b.email, Kind: schematype.OTPSignIn, Device: d})
		if err == nil {
			b.ticket = issued.Ticket
			if issued.Link {
				b.link = issued.Code
			}
		} else {
			require.ErrorAs(t, err, &soon)
		}
	case 3:
		_, err := b.svc.SignInWithCode(t.Context(), b.ticket, auth.ParseCode("no code"), d)
		require.ErrorIs(t, err, auth.ErrCode)
	default:
		_, err := b.svc.SignIn(t.Context(), b.email, wrongPassword, d)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	b.requests++
}

// newcomer is the owner at a device that has never signed in, who asks for a mail, and for another one with the newest
// link that came if there is none left.
func newcomer(t *testing.T, svc *auth.Service, email string, link auth.Code) {
	t.Helper()
	d := auth.Device{UserAgent: "new device", IP: "203.0.113.9"}
	req := auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: d}
	issued, err := svc.IssueCode(t.Context(), req)
	var soon *auth.TooSoonError
	if errors.As(err, &soon) {
		req.Link = link
		issued, err = svc.IssueCode(t.Context(), req)
	}
	require.NoError(t, err)
	_, err = svc.SignInWithCode(t.Context(), issued.Ticket, issued.Code, d)
	require.NoError(t, err)
}

// siegeRules hold what docs/auth.md promises to a besieged owner.
var siegeRules = []scenario{
	{name: "a siege of 24 hours keeps no owner out", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		svc := k.service(t, func(c *auth.Config) { c.Hasher = h })
		ctx, home := t.Context(), k.verified(t, svc)
		email := home.User.Email
		laptop := signIn(t, svc, email)
		token, refresh := laptop.Token, home.Refresh
		hash := *k.user(t, home.User.ID).Password
		before, mine, newcomers := h.Examined(hash), 0, 0
		b := &besieger{svc: svc, email: email}
		for minute := range siegeMinutes {
			b.origins = []int{1, 2, 50}[minute*3/siegeMinutes]
			for range siegeRequests {
				b.strike(t)
				k.clock.Advance(time.Minute / siegeRequests)
			}
			g, err := svc.SignIn(ctx, email, password, from(token))
			if assert.NoError(t, err, "minute %d", minute) {
				mine, token = mine+1, g.Token
			}
			checked(t, svc, home.Token, nil)
			if minute%10 == 0 {
				refresh = rotate(t, svc, refresh)
			}
			if minute%31 == 30 { // whichever minute it is: there is nothing to wait for
				newcomer(t, svc, email, b.link)
				newcomers++
			}
		}
		require.Equal(t, siegeMinutes*siegeRequests, b.requests)
		require.GreaterOrEqual(t, mine, siegeMinutes*99/100, "minutes in which the owner gets in from a known device")
		examined := h.Examined(hash) - before - mine
		require.LessOrEqual(t, examined, 50*(newcomers+1), "passwords of strangers that were examined")
	}},
}
