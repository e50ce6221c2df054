package authtest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/auth"
)

// imported are hashes of [password] as other systems store them.
var imported = map[string]string{
	"Laravel":            "$2y$05$QAVGFZHO178Ffv7hkXQTDOz/YKkt4RK9CiYI3X/UOMHik17QrojX6",
	"Django, bcrypt":     "bcrypt_sha256$$2b$05$KaxRQdV.FgvIVCOIkyfvf.hjItR1vimgQ3ndFXWaXChsTHArldUjG",
	"Django, PBKDF2":     "pbkdf2_sha512$1000$seasalt$jWXPByTp9f8LiYihsQ0KCsxvT4E+VwKzo2kPET/kO6xN+98njZwsGTVcuE5pJ7+CnEhEWyYcAf4OK7gd6gVBGA==",
	"passlib, scrypt":    "$scrypt$ln=10,r=8,p=2$JsS415pzzlnLOQeAMGZsTQ$aX54UxBgJIy/p07gYzNr0SsgWexHa0YzD29bY+DDnKQ",
	"npm argon2":         "$argon2id$v=19$m=65536,p=4,t=3$VZxp0MNtowEpOB+Sm5j/JA$MmOA6BKGjsVAiB/BAK3cQHZ8spTNbBbf0YAfrRuWy50",
	"npm argon2, type i": "$argon2i$v=19$m=1024,p=4,t=3$1eNzTFJYcoKPFIKa58uX/Q$QgmFQFqnlEBP5jKo5ykXY4l8FirzdwhYxa47XKWX2rI",
	"Better Auth": "0c9d5662956a8320b92bed0ec5005f4f:09f07802e76f59f25e99e2442057608589a28552798f61d2de6729e47a226abb" +
		"e1142eeb48f89657627d865e40ed97d206cc9be9a04ed82b563073867b023ff0",
}

// withHash adds an account and puts a hash that another system made in its row.
func (k *kit) withHash(t *testing.T, svc *auth.Service, hash string) *auth.User {
	t.Helper()
	u := k.register(t, svc)
	require.NoError(t, k.client.User.UpdateOneID(u.ID).SetPassword(hash).Exec(t.Context()))
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
	{name: "a password that can be registered can sign in, in whatever form it is entered", run: func(t *testing.T, k *kit) {
		svc := k.service(t)
		for _, entered := range []string{
			strings.Repeat("\u1112\u1161\u11ab", 43), // 43 syllables as 129 letters
			strings.Repeat("\u1112\u1161\u11ab", 128),
			strings.Repeat("\U0001f600", 128),
			strings.Repeat("\u03b1\u0313\u0300\u0345", 128), // the most marks that one letter composes
		} {
			u, _, err := svc.Register(t.Context(), "Person", k.email(), entered)
			require.NoError(t, err)
			_, err = svc.SignIn(t.Context(), u.Email, entered, phone)
			require.NoError(t, err)
		}
		_, _, err := svc.Register(t.Context(), "Person", k.email(), strings.Repeat("\u1112\u1161\u11ab", 129))
		var refused *auth.PasswordError
		require.ErrorAs(t, err, &refused)
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

// observed is a function as an observer, which needs no context.
func observed(fn func(auth.Event)) auth.Observer {
	return auth.ObserverFunc(func(_ context.Context, e auth.Event) { fn(e) })
}
