package authtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// errTooSoon stands for every [auth.TooSoonError].
var errTooSoon = errors.New("too soon")

// issueFrom asks for a code to sign in with, from a device.
func issueFrom(t *testing.T, svc *auth.Service, d auth.Device, email string) (*auth.Issued, error) {
	issued, err := svc.IssueCode(t.Context(), auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: d})
	var soon *auth.TooSoonError
	if errors.As(err, &soon) {
		return nil, fmt.Errorf("%w: %w", errTooSoon, err)
	}
	return issued, err
}

// tooSoon is when a request that is refused may be made again.
func tooSoon(t *testing.T, svc *auth.Service, d auth.Device, email string) time.Time {
	t.Helper()
	_, err := issueFrom(t, svc, d, email)
	var soon *auth.TooSoonError
	require.ErrorAs(t, err, &soon)
	return soon.RetryAt.UTC()
}

// useMailsUp asks for mails to an address, each from an origin of its own, until there is none left, and returns the
// last one.
func (k *kit) useMailsUp(t *testing.T, svc *auth.Service, email string) (last *auth.Issued) {
	t.Helper()
	for {
		issued, err := issueFrom(t, svc, anybody(), email)
		if errors.Is(err, errTooSoon) {
			return last
		}
		require.NoError(t, err)
		last = issued
	}
}

// mailRaces and mailRules are those of how many mails are sent to an address, and for whom.
var mailRaces = []scenario{
	{name: "of 32 calls for a code at once one gets it", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		codes := make([]*auth.Issued, 32)
		one := func() {
			errs := atOnce(len(codes), func(i int) (err error) {
				codes[i], err = issueFrom(t, svc, phone, email)
				return err
			})
			require.Equal(t, 1, winners(t, errs, errTooSoon))
		}
		one()
		k.clock.Advance(time.Minute)
		one()
		for _, c := range codes {
			if c != nil {
				require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, c))
			}
		}
		n, err := k.client.OTP.Query().Where(otp.Email(email)).Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, n)
	}},
	{name: "of 24 origins at once no more mail an address than its budget allows", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		errs := atOnce(24, func(int) error {
			_, err := issueFrom(t, svc, anybody(), email)
			return err
		})
		require.Equal(t, 6, winners(t, errs, errTooSoon))
	}},
	{name: "of 24 calls of an origin at once no more mail anybody than its budget allows",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t, func(c *auth.Config) { c.OTP.OriginBudget = 8 })
			from := anybody()
			emails := make([]string, 24)
			for i := range emails {
				emails[i] = k.email()
			}
			errs := atOnce(len(emails), func(i int) error {
				_, err := issueFrom(t, svc, from, emails[i])
				return err
			})
			require.Equal(t, 8, winners(t, errs, errTooSoon))
		}},
}

var mailRules = []scenario{
	{name: "cooldown and half of the budget hold for an origin over resends and purposes",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u := k.register(t, svc)
			start := k.clock.Now().Truncate(time.Microsecond)
			var last *auth.Issued
			for i, kind := range []schematype.OTPType{
				schematype.OTPEmailVerification, schematype.OTPSignIn, schematype.OTPPasswordReset,
			} {
				var err error
				last, err = svc.IssueCode(t.Context(), auth.CodeRequest{Email: u.Email, Kind: kind, Device: phone})
				require.NoError(t, err)
				if i == 2 {
					break
				}
				assert.Equal(t, k.clock.Now().Add(time.Minute).Truncate(time.Microsecond), last.RetryAt)
				k.clock.Set(last.RetryAt.Add(-time.Microsecond))
				assert.Equal(t, last.RetryAt, tooSoon(t, svc, phone, u.Email))
				k.clock.Advance(time.Microsecond)
			}
			assert.Equal(t, start.Add(time.Hour), last.RetryAt)
			reserved := k.user(t, u.ID).GuessFailures
			k.clock.Set(last.RetryAt.Add(-time.Microsecond))
			assert.Equal(t, last.RetryAt, tooSoon(t, svc, phone, u.Email))
			assert.Equal(t, reserved, k.user(t, u.ID).GuessFailures, "a refusal counts no guesses")
			k.clock.Advance(time.Microsecond)
			_, err := issueFrom(t, svc, phone, u.Email)
			require.NoError(t, err)
		}},
	{name: "a refusal leaves the code that was sent", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		sent, err := issueFrom(t, svc, phone, email)
		require.NoError(t, err)
		_, err = svc.IssueCode(t.Context(),
			auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: phone, Ticket: sent.Ticket})
		var soon *auth.TooSoonError
		require.ErrorAs(t, err, &soon)
		require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, sent))
	}},
	{name: "60 requests of strangers send an address 6 mails, and leave its devices their own",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			g, other := k.verified(t, svc), k.verified(t, svc)
			k.clock.Advance(time.Hour)
			start := k.clock.Now().Truncate(time.Microsecond)
			errs := make([]error, 60)
			for i := range errs {
				_, errs[i] = issueFrom(t, svc, anybody(), g.User.Email)
			}
			require.Equal(t, 6, winners(t, errs, errTooSoon))
			assert.Equal(t, start.Add(time.Hour), tooSoon(t, svc, phone, g.User.Email))
			elsewhere := auth.Device{Origin: "elsewhere", Token: other.Token}
			assert.Equal(t, start.Add(time.Hour), tooSoon(t, svc, elsewhere, g.User.Email), "a device of somebody else")

			home := auth.Device{IP: phone.IP, Token: g.Token}
			for range 4 {
				issued, err := issueFrom(t, svc, home, g.User.Email)
				require.NoError(t, err)
				home.IP = "198.51.100.7" // the device is on its way
				_, err = issueFrom(t, svc, home, g.User.Email)
				require.ErrorIs(t, err, errTooSoon)
				k.clock.Advance(time.Minute)
				_, err = signInWithCode(t, svc, issued)
				require.NoError(t, err)
			}
			assert.Equal(t, start.Add(time.Hour), tooSoon(t, svc, home, g.User.Email))
		}},
	{name: "a link that was mailed lets a request through that strangers have left no mail for",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			for _, email := range []string{k.registerVerified(t, svc).Email, k.email()} {
				last := k.useMailsUp(t, svc, email)
				require.True(t, last.Link, "the last mail that strangers may ask for")
				k.clock.Advance(time.Hour - time.Minute)
				_, err := issueFrom(t, svc, phone, email)
				require.ErrorIs(t, err, errTooSoon)
				show := auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: phone, Link: last.Code}
				issued, err := svc.IssueCode(t.Context(), show)
				require.NoError(t, err)
				show.Device = anybody()
				_, err = svc.IssueCode(t.Context(), show)
				var soon *auth.TooSoonError
				require.ErrorAs(t, err, &soon, "the link is an origin of its own")
				require.NoError(t, verifyCode(t, svc, schematype.OTPSignIn, issued))
			}
		}},
	{name: "only a link that was mailed to the address within the window lets a request through",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email, other := k.registerVerified(t, svc).Email, k.registerVerified(t, svc).Email
			digits, err := issueFrom(t, svc, anybody(), email)
			require.NoError(t, err)
			last, theirs := k.useMailsUp(t, svc, email), k.useMailsUp(t, svc, other)
			for what, link := range map[string]auth.Code{
				"digits": digits.Code, "another's": theirs.Code, "nothing mailed": auth.ParseCode("nothing"),
				"none": {},
			} {
				_, err := svc.IssueCode(t.Context(),
					auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: phone, Link: link})
				var soon *auth.TooSoonError
				require.ErrorAs(t, err, &soon, what)
			}
			k.clock.Advance(time.Hour)
			k.useMailsUp(t, svc, email)
			_, err = svc.IssueCode(t.Context(),
				auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: phone, Link: last.Code})
			var soon *auth.TooSoonError
			require.ErrorAs(t, err, &soon, "a link from before the window")
		}},
	{name: "the mails of known devices make nobody's a link", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.Budget, c.OTP.ResendCooldown = 4, time.Microsecond })
		laptop := k.verified(t, svc) // by the first mail
		email := laptop.User.Email
		tablet := from(signIn(t, svc, email).Token)
		for _, mail := range []struct {
			from auth.Device
			link bool
		}{{from(laptop.Token), false}, {anybody(), false}, {anybody(), false}, {anybody(), true}, {tablet, false}} {
			issued, err := issueFrom(t, svc, mail.from, email)
			require.NoError(t, err)
			assert.Equal(t, mail.link, issued.Link)
		}
	}},
	{name: "what a stranger asks for makes nobody else wait", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		g := k.verified(t, svc)
		for _, d := range []auth.Device{anybody(), phone, {IP: phone.IP, Token: g.Token}, anybody()} {
			_, err := issueFrom(t, svc, d, g.User.Email)
			require.NoError(t, err)
		}
	}},
	{name: "an origin has a budget over all addresses, and an IPv6 one is its network", run: func(
		t *testing.T, k *kit,
	) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.OriginBudget = 4 })
		start := k.clock.Now().Truncate(time.Microsecond)
		for _, ip := range []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:2:3:4:5:6",
			"2001:db8:1:2::1%eth0"} {
			_, err := issueFrom(t, svc, auth.Device{IP: ip}, k.email())
			require.NoError(t, err)
			k.clock.Advance(time.Minute)
		}
		assert.Equal(t, start.Add(time.Hour), tooSoon(t, svc, auth.Device{IP: "2001:db8:1:2::9"}, k.email()))
		for _, d := range []auth.Device{
			{IP: "2001:db8:1:3::1"}, {IP: "192.0.2.1"}, {IP: "192.0.2.2"}, {IP: "2001:db8:1:2::1",
				Origin: "an account"}, {},
		} {
			_, err := issueFrom(t, svc, d, k.email())
			require.NoError(t, err, d.IP)
		}
		k.clock.Set(start.Add(time.Hour))
		_, err := issueFrom(t, svc, auth.Device{IP: "2001:db8:1:2::9"}, k.email())
		require.NoError(t, err)
	}},
	{name: "an IPv4 address is one origin in both spellings", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		email := k.email()
		_, err := issueFrom(t, svc, auth.Device{IP: "192.0.2.1"}, email)
		require.NoError(t, err)
		_, err = issueFrom(t, svc, auth.Device{IP: "::ffff:192.0.2.1"}, email)
		require.ErrorIs(t, err, errTooSoon)
	}},
	{name: "an address with a port is the origin that it is without", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for plain, spellings := range map[string][]string{
			"192.0.2.1":   {"192.0.2.1:5678", "192.0.2.1:1", " 192.0.2.1 ", "[::ffff:192.0.2.1]:5678"},
			"2001:db8::1": {"[2001:db8::1]:5678", "[2001:db8::1]", "[2001:db8::1%eth0]:5678"},
		} {
			email := k.email()
			_, err := issueFrom(t, svc, auth.Device{IP: plain}, email)
			require.NoError(t, err)
			for _, ip := range spellings {
				_, err = issueFrom(t, svc, auth.Device{IP: ip}, email)
				require.ErrorIs(t, err, errTooSoon, ip)
			}
		}
	}},
	{name: "without an origin there are the cooldown and the budget alone", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.OTP.OriginBudget = 1 })
		email := k.email()
		for range 6 {
			_, err := issueFrom(t, svc, auth.Device{}, email)
			require.NoError(t, err)
			tooSoon(t, svc, auth.Device{}, email)
			k.clock.Advance(time.Minute)
		}
		tooSoon(t, svc, auth.Device{}, email)
		_, err := issueFrom(t, svc, auth.Device{}, k.email())
		require.NoError(t, err)
	}},
	{name: "rows of the version before are mails to the address, and rows without a mail are not",
		run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			email := k.email()
			add := func(hash string) {
				now := k.clock.Now()
				require.NoError(t, k.client.OTP.Create().SetEmail(email).SetType(schematype.OTPSignIn).
					SetOtpHashCode(hash).
					SetNextResendAllowedAt(now.Add(time.Minute)).SetExpiresAt(now).SetCreatedAt(now).Exec(t.Context()))
			}
			for range 5 {
				add("hash")
				add("-")
			}
			_, err := issueFrom(t, svc, phone, email)
			require.NoError(t, err)
			tooSoon(t, svc, anybody(), email)
			require.NoError(t, k.client.OTP.Update().Where(otp.OtpHashCode("hash")).SetOtpHashCode("-").
				Exec(t.Context()))
			_, err = issueFrom(t, svc, anybody(), email)
			require.NoError(t, err)
		}},
	{name: "a mail goes to the address that is stored", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for i, typed := range []string{"\u212aate%d@example.com", " KATE%d@EXAMPLE.com\r\n", "kate%d@example.com"} {
			stored := fmt.Sprintf("kate%d@example.com", i)
			_, _, err := svc.Register(t.Context(), nameOf(stored), stored, password)
			require.NoError(t, err)
			issued := issue(t, svc, fmt.Sprintf(typed, i), schematype.OTPPasswordReset)
			assert.True(t, issued.Known)
			assert.Equal(t, stored, issued.Email)
		}
		for _, typed := range []string{"kate0@example.com\r\nBcc: eve@example.com", "kate0@example.com\x00"} {
			_, err := issueCode(t, svc, typed, schematype.OTPPasswordReset)
			var invalid *auth.InputError
			require.ErrorAs(t, err, &invalid)
		}
	}},
}
