package authtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// imported are hashes of [password] as other systems store them.
var imported = map[string]string{
	"Laravel":        "$2y$05$QAVGFZHO178Ffv7hkXQTDOz/YKkt4RK9CiYI3X/UOMHik17QrojX6",
	"Django, bcrypt": "bcrypt_sha256$$2b$05$KaxRQdV.FgvIVCOIkyfvf.hjItR1vimgQ3ndFXWaXChsTHArldUjG",
	"Django, PBKDF2": "pbkdf2_sha512$1000$seasalt$jWXPByTp9f8LiYihsQ0KCsxvT4E+VwKzo2kPET/kO6xN+98njZwsG" +
		"TVcuE5pJ7+CnEhEWyYcAf4OK7gd6gVBGA==",
	"passlib, scrypt": "$scrypt$ln=10,r=8,p=2$JsS415pzzlnLOQeAMGZsTQ$aX54UxBgJIy/p07gYzNr0SsgWexHa0YzD29" +
		"bY+DDnKQ",
	"npm argon2": "$argon2id$v=19$m=65536,p=4,t=3$VZxp0MNtowEpOB+Sm5j/JA$MmOA6BKGjsVAiB/BAK3cQHZ8sp" +
		"TNbBbf0YAfrRuWy50",
	"npm argon2, type i": "$argon2i$v=19$m=1024,p=4,t=3$1eNzTFJYcoKPFIKa58uX/Q$QgmFQFqnlEBP5jKo5ykXY4l8Firz" +
		"dwhYxa47XKWX2rI",
	"Better Auth": "0c9d5662956a8320b92bed0ec5005f4f:09f07802e76f59f25e99e2442057608589a28552798f61d2de6729e47a226abb" +
		"e1142eeb48f89657627d865e40ed97d206cc9be9a04ed82b563073867b023ff0",
}

// withHash adds an account and puts a hash that another system made in its row.
func (k *kit) withHash(t *testing.T, svc *auth.Service, hash string) *auth.User {
	t.Helper()
	u := k.register(t, svc)
	k.set(t, u.ID, graph.Password, hash)
	return u
}

var passwordRules = []scenario{
	{name: "a hash of another system lets its owner in and is renewed", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for from, hash := range imported {
			u := k.withHash(t, svc, hash)
			_, err := svc.SignIn(t.Context(), u.Email, wrongPassword, phone)
			require.ErrorIs(t, err, auth.ErrCredentials, from)
			require.Equal(t, hash, *k.user(t, u.ID).Password, from)
			require.EqualValues(t, 1, k.user(t, u.ID).FailedLoginAttempts, from)
			signIn(t, svc, u.Email)
			renewed := *k.user(t, u.ID).Password
			require.Contains(t, renewed, "$argon2id$v=19$m=64,t=1,p=1$", from)
			signIn(t, svc, u.Email)
			require.Equal(t, renewed, *k.user(t, u.ID).Password, from)
		}
	}},
	{name: "without Rehash a hash that other code verifies too stays", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Hashing.Rehash = new(false) })
		for from, hash := range imported {
			u := k.withHash(t, svc, hash)
			signIn(t, svc, u.Email)
			require.Equal(t, hash, *k.user(t, u.ID).Password, from)
		}
	}},
	{name: "the sessions and refresh tokens of a ServerCN service go on", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		ctx, now := t.Context(), k.clock.Now()
		u := k.withHash(t, svc, imported["npm argon2"])
		const session, refresh = "a.session.token", "header.of-a-jwt.signature"
		sum := func(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }
		require.NoError(t, k.client.Session.Create().SetUserID(u.ID).SetTokenHash(sum(session)).
			SetCreatedAt(now).SetLastUsedAt(now).SetExpiresAt(now.Add(time.Hour)).Exec(ctx))
		require.NoError(t, k.client.RefreshToken.Create().SetUserID(u.ID).SetTokenHash(sum(refresh)).
			SetCreatedAt(now).SetExpiresAt(now.Add(7*24*time.Hour)).Exec(ctx))
		checked(t, svc, auth.ParseToken(session), nil)
		rotate(t, svc, rotate(t, svc, auth.ParseToken(refresh)))
	}},
	{name: "a bcrypt password beyond 72 bytes lets its owner in and is not renewed", run: func(t *testing.T, k *kit) {
		const hash = "$2b$04$CkRhXRP2Ym3Scn0Ho2WjyuC20/a8Ov71SyyNeLS6kes6jiKYu0DqG"
		svc, whole := k.service(t), strings.Repeat("x", 72)
		u := k.withHash(t, svc, hash)
		for _, entered := range []string{whole + "the tail", whole + "another", whole} {
			require.Equal(t, hash, *k.user(t, u.ID).Password)
			_, err := svc.SignIn(t.Context(), u.Email, entered, phone)
			require.NoError(t, err)
		}
		_, err := svc.SignIn(t.Context(), u.Email, whole, phone)
		require.NoError(t, err)
		require.NotEqual(t, hash, *k.user(t, u.ID).Password)
	}},
	{name: "a hash of a password and a pepper needs the pepper", run: func(t *testing.T, k *kit) {
		const hash = "$2a$05$jipDv7el6PrnbJNlOz1GruzwOrmUeYfuG83FTh0WekALt9q45uteK"
		pepper := []byte(strings.Repeat("8f6c1e2b", 16))
		svc, peppered := k.service(t), k.service(t, func(c *auth.Config) { c.Pepper = auth.NewKeys(pepper) })
		u := k.withHash(t, svc, hash)
		_, err := svc.SignIn(t.Context(), u.Email, password, phone)
		require.ErrorIs(t, err, auth.ErrCredentials)
		signIn(t, peppered, u.Email)
		require.Contains(t, *k.user(t, u.ID).Password, "$argon2id$")
		signIn(t, svc, u.Email)
	}},
	{name: "a password is compared as it was entered, then in its normal forms", run: func(t *testing.T, k *kit) {
		const (
			entered    = "Zu\u0308rich \ufb01sh und Caf\u00e9!" // decomposed, with a ligature
			composed   = "Z\u00fcrich \ufb01sh und Caf\u00e9!"
			compatible = "Z\u00fcrich fish und Caf\u00e9!"
			bcryptjs   = "$2b$04$Nw46IhxT/axfR4M8OrnR2ON91pDwffiz8X3O2AF4AC1zwFBkQ3y4m"
			betterAuth = "0a46e5a566f4d6295a6e97e446697a59:a8dde07ae307e16550a0405fd7568ecfeefc843f10fb6d33206c647fa7" +
				"014871194995fc8f9aef6ce5f16e6c7305bed5303faa773141eb8742cd14d852e427ec"
		)
		svc := k.service(t)
		for _, test := range []struct{ hash, entered string }{
			{bcryptjs, entered}, {betterAuth, entered}, {betterAuth, composed}, {betterAuth, compatible},
		} {
			u := k.withHash(t, svc, test.hash)
			_, err := svc.SignIn(t.Context(), u.Email, test.entered, phone)
			require.NoError(t, err)
			// The new hash is one of form C.
			_, err = svc.SignIn(t.Context(), u.Email, test.entered, phone)
			require.NoError(t, err)
			require.Contains(t, *k.user(t, u.ID).Password, "$argon2id$")
		}
		argon2, err := NewHasher().Hash(entered)
		require.NoError(t, err)
		u := k.withHash(t, svc, argon2)
		for _, entered := range []string{entered, composed} {
			_, err = svc.SignIn(t.Context(), u.Email, entered, phone)
			require.NoError(t, err)
		}
		u = k.withHash(t, svc, bcryptjs)
		_, err = svc.SignIn(t.Context(), u.Email, composed, phone)
		require.ErrorIs(t, err, auth.ErrCredentials, "the other system would not have taken it either")
	}},
	{name: "a guess at an unknown hash is wrong, and is not counted", run: func(t *testing.T, k *kit) {
		var mu sync.Mutex
		var failed []auth.Event
		svc := k.service(t, func(c *auth.Config) {
			c.Hashing.Memory = 1
			c.Observer = observed(func(e auth.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Action == auth.ActionSignInFailed {
					failed = append(failed, e)
				}
			})
		})
		for _, hash := range []string{
			"{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8", "!unusable",
			"pbkdf2_sha256$4000001$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=", // takes too long
			imported["passlib, scrypt"], imported["npm argon2"], // take more than 1 MiB
		} {
			u := k.withHash(t, svc, hash)
			failed = nil
			for range 12 {
				_, err := svc.SignIn(t.Context(), u.Email, password, phone)
				require.Equal(t, auth.ErrCredentials, err, hash)
			}
			require.Zero(t, k.user(t, u.ID).FailedLoginAttempts, hash)
			require.Len(t, failed, 12)
			require.Equal(t, u.ID, failed[0].UserID)
			require.Equal(t, "unknown hash", failed[0].Detail)
			err := only(svc.ChangePassword(t.Context(), u.ID, password, nextPassword, phone))
			require.Equal(t, auth.ErrCredentials, err, hash)
		}
	}},
	{name: "a password that can be set can sign in, in whatever form it is entered", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, entered := range []string{
			mixed(43, "\u1112\u1161\u11ab", "\u1100\u1161\u11ab"), // 43 syllables as 129 letters
			mixed(128, "\u1112\u1161\u11ab", "\u1100\u1161\u11ab"),
			mixed(128, "\U0001f600", "\U0001f648"),
			mixed(128, "\u03b1\u0313\u0300\u0345", "\u03c9\u0313\u0300\u0345"), // the most that one letter composes
		} {
			email := k.email()
			u, _, err := svc.Register(t.Context(), nameOf(email), email, entered)
			require.NoError(t, err)
			_, err = svc.SignIn(t.Context(), u.Email, entered, phone)
			require.NoError(t, err)
		}
		tooLong := mixed(129, "\u1112\u1161\u11ab", "\u1100\u1161\u11ab")
		_, _, err := svc.Register(t.Context(), "Person", k.email(), tooLong)
		var refused *auth.PasswordError
		require.ErrorAs(t, err, &refused)
	}},
	{name: "a password that a rule refuses is refused wherever one is set at no cost",
		needs: []string{"name"}, run: func(t *testing.T, k *kit) {
			const denied, breached = "the team's own word \u00e9", "a word from a breach \u00e9"
			svc := k.service(t, func(c *auth.Config) {
				c.Password.Names = []string{"Acme Web-Shop"}
				c.Password.Deny = func(password string) bool { return password == denied }
				c.Password.Breached = func(_ context.Context, password string) (bool, error) {
					return password == breached, nil
				}
			})
			ctx, email := t.Context(), "lovelace@analytical.example"
			u, _, err := svc.Register(ctx, "Ada Byron", email, password)
			require.NoError(t, err)
			k.clock.Advance(2 * time.Minute)
			reset := issue(t, svc, u.Email, schematype.OTPPasswordReset)
			change := issue(t, svc, u.Email, schematype.OTPPasswordChange)
			for entered, rule := range map[string]auth.PasswordRule{
				"short":                         auth.RuleLength,
				strings.Repeat("longer", 40):    auth.RuleLength,
				"fourteen\xff letters and more": auth.RuleEncoding,
				"PasswordStandard":              auth.RuleCommon,
				"passwordpassword":              auth.RuleCommon,
				"secret#1secret#1":              auth.RuleRepetition,
				"my-secret-my-secret!!":         auth.RuleRepetition,
				"password password 12":          auth.RuleRepetition,
				"ABCDEFGHIJKLMNOPQ":             auth.RuleRepetition,
				"lovelace@analytical.example":   auth.RuleNames,
				"AdaByronLovelace1":             auth.RuleNames,
				"ada.byron.18.15":               auth.RuleNames,
				"webshop@acme!!!!!!!!!!":        auth.RuleNames,
				"acme-byron-web-2024":           auth.RuleNames,
				denied:                          auth.RuleDenied,
				"the team's own word e\u0301":   auth.RuleDenied,
				breached:                        auth.RuleBreached,
				"a word from a breach e\u0301":  auth.RuleBreached,
			} {
				_, _, err := svc.Register(ctx, "Ada Byron", email, entered)
				for what, err := range map[string]error{
					"Register":               err,
					"ChangePassword":         only(svc.ChangePassword(ctx, u.ID, password, entered, phone)),
					"ResetPassword":          resetTo(t, svc, reset, entered),
					"ChangePasswordWithCode": changeTo(t, svc, change, entered),
				} {
					var refused *auth.PasswordError
					require.ErrorAs(t, err, &refused, "%s %q", what, entered)
					require.Equal(t, rule, refused.Rule, "%s %q", what, entered)
					require.NotContains(t, err.Error(), entered)
				}
				require.Zero(t, k.user(t, u.ID).FailedLoginAttempts)
				require.Zero(t, k.newestCode(t, u.Email, schematype.OTPPasswordReset).Attempts)
			}
			signIn(t, svc, u.Email)
			require.NoError(t, resetTo(t, svc, reset, "ada's analytical engine at acme"))
		}},
	{name: "a password that only looks like one that is refused is taken", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Password.MinLength, c.Password.Names = 8, []string{"Acme"} })
		for i, entered := range []string{
			password, nextPassword, wrongPassword, "acme sells me anvils",
			"ppqqwwzz", "aa7482910384756", // repeats less than it has beside
			"an example 12345", // the last part of the address is no name
			"acme%$#@!^&*()_+{}",
		} {
			name, email := "Ada Byron"+string(rune('a'+i)), fmt.Sprintf("lovelace%d@analytical.example", i)
			_, _, err := svc.Register(t.Context(), name, email, entered)
			require.NoError(t, err, entered)
		}
		longer := k.service(t)
		_, _, err := longer.Register(t.Context(), "Person", k.email(), password+" "+password)
		require.NoError(t, err, "what is repeated would do alone")
	}},
	{name: "whose password is made of a name is told to whoever has the code alone",
		needs: []string{"name"}, run: func(t *testing.T, k *kit) {
			svc := k.service(t)
			u, _, err := svc.Register(t.Context(), "Evangelina Montgomery", k.email(), password)
			require.NoError(t, err)
			const guess = "evangelina-montgomery"
			issued := issue(t, svc, u.Email, schematype.OTPPasswordReset)
			require.ErrorIs(t, resetTo(t, svc, wrong(issued), guess), auth.ErrCode)
			_, err = svc.ChangePassword(t.Context(), u.ID, wrongPassword, guess, phone)
			require.ErrorIs(t, err, auth.ErrCredentials)
			var refused *auth.PasswordError
			require.ErrorAs(t, resetTo(t, svc, issued, guess), &refused)
			require.NoError(t, resetTo(t, svc, issued, nextPassword))
		}},
	{name: "new passwords are taken while nobody tells which are breached, unless the policy says otherwise",
		run: func(t *testing.T, k *kit) {
			var mu sync.Mutex
			var told []auth.Action
			down := func(c *auth.Config) {
				c.Password.Breached = func(context.Context, string) (bool, error) {
					return false, errors.New("no answer")
				}
				c.Observer = observed(func(e auth.Event) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, e.Action)
				})
			}
			open := k.service(t, down)
			closed := k.service(t, down, func(c *auth.Config) { c.Password.FailClosed = true })
			k.register(t, open)
			require.Equal(t, []auth.Action{auth.ActionBreachUnknown, auth.ActionRegister}, told)
			var busy *auth.BusyError
			_, _, err := closed.Register(t.Context(), "Person", k.email(), password)
			require.ErrorAs(t, err, &busy)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _, err = open.Register(ctx, "Person", k.email(), password)
			require.ErrorIs(t, err, context.Canceled)
		}},
	{name: "a policy may allow what is easily guessed", run: func(t *testing.T, k *kit) {
		svc := k.service(t, func(c *auth.Config) { c.Password.AllowGuessable = true })
		for _, guessable := range []string{"passwordpassword", "aaaaaaaaaaaaaaaa", "NAME NAME NAME"} {
			email := k.email()
			name := nameOf(email)
			_, _, err := svc.Register(t.Context(), name, email, strings.ReplaceAll(guessable, "NAME", name))
			require.NoError(t, err)
		}
	}},
	{name: "so many passwords are hashed at once, and so many wait", run: func(t *testing.T, k *kit) {
		h := NewHasher()
		svc := k.service(t, func(c *auth.Config) { c.Hasher, c.Hashing.Parallel, c.Hashing.Queue = h, 2, 3 })
		u := k.register(t, svc)
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		began, end := make(chan struct{}, 8), make(chan struct{})
		h.Before = func() { began <- struct{}{}; <-end }
		errs := make(chan error)
		signIn := func(ctx context.Context) {
			_, err := svc.SignIn(ctx, u.Email, wrongPassword, phone)
			errs <- err
		}
		impatient, cancel := context.WithCancel(patient)
		for range 2 {
			go signIn(patient)
			<-began
		}
		for range 3 {
			go signIn(impatient)
		}
		counted := func(n int32) func() bool {
			return func() bool { return k.user(t, u.ID).FailedLoginAttempts == n }
		}
		require.Eventually(t, counted(5), 10*time.Second, time.Millisecond)

		var busy *auth.BusyError
		_, err := svc.SignIn(patient, u.Email, password, phone)
		require.ErrorAs(t, err, &busy)
		require.NotErrorIs(t, err, auth.ErrCredentials)
		_, err = svc.SignIn(patient, k.email(), password, phone)
		require.ErrorAs(t, err, &busy, "whether there is an account is not told")
		_, _, err = svc.Register(patient, "Person", k.email(), password)
		require.ErrorAs(t, err, &busy)
		require.True(t, counted(5)(), "what is not examined is not counted")

		cancel()
		for range 3 {
			require.ErrorIs(t, <-errs, context.Canceled)
		}
		require.Empty(t, began, "none of them began")
		require.Eventually(t, counted(2), 10*time.Second, time.Millisecond, "and none of them counts")
		close(end)
		for range 2 {
			require.ErrorIs(t, <-errs, auth.ErrCredentials)
		}
		require.Empty(t, began)
		h.Before = nil
		_, err = svc.SignIn(patient, u.Email, password, phone)
		require.NoError(t, err)
	}},
}

// mixed is n times a or b, in an order without repetitions (Thue and Morse).
func mixed(n int, a, b string) string {
	var s strings.Builder
	for i := range n {
		s.WriteString([]string{a, b}[bits.OnesCount(uint(i))%2])
	}
	return s.String()
}

// observed is a function as an observer, which needs no context.
func observed(fn func(auth.Event)) auth.Observer {
	return auth.ObserverFunc(func(_ context.Context, e auth.Event) { fn(e) })
}
