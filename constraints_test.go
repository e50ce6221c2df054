package authgraph_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestWhatMustBeUniqueIsRefusedTwice(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		newSession(client, ada, "hash").SaveX(ctx)
		newRefreshToken(client, ada, "hash").SaveX(ctx)
		newUser(client, "google@example.com").SetProvider(schematype.ProviderGoogle).SetProviderID("1").SaveX(ctx)

		for what, err := range map[string]error{
			"email":                     newUser(client, "ada@example.com").Exec(ctx),
			"email in another spelling": newUser(client, " ADA@Example.com").Exec(ctx),
			"token_hash of a session":   newSession(client, ada, "hash").Exec(ctx),
			"token_hash of a token":     newRefreshToken(client, ada, "hash").Exec(ctx),
			"an identity at a provider": newUser(client, "x@example.com").SetProvider(schematype.ProviderGoogle).
				SetProviderID("1").Exec(ctx),
			"email by plain SQL":       execErr(ctx, mysqltest.DB(t, url), fmt.Sprintf(plainUser, "ada@example.com")),
			"a session's by plain SQL": execErr(ctx, mysqltest.DB(t, url), fmt.Sprintf(plainSession, ada.ID, "hash")),
			"a token's by plain SQL": execErr(ctx, mysqltest.DB(t, url),
				fmt.Sprintf(plainRefreshToken, ada.ID, "hash")),
			"email given to another one": client.User.Update().SetEmail("ada@example.com").Exec(ctx),
		} {
			if assert.Error(t, err, what) && !strings.Contains(what, "plain SQL") {
				assert.True(t, ent.IsConstraintError(err), "%s: %v", what, err)
			}
		}
	})
}

func TestOneSubjectAtTwoProvidersIsTwoUsers(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		newUser(client, "a@example.com").SetProvider(schematype.ProviderGoogle).SetProviderID("1").SaveX(ctx)
		newUser(client, "b@example.com").SetProvider(schematype.ProviderGitHub).SetProviderID("1").SaveX(ctx)
	})
}

func TestAnyNumberOfUsersHasNoProviderID(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		for _, name := range []string{"a", "b", "c"} {
			newUser(client, name+"@example.com").SaveX(ctx)
		}
		assert.Equal(t, 3, client.User.Query().CountX(ctx))
	})
}

func TestTheClientRefusesValuesTheColumnsDoNotHold(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		long := strings.Repeat("é", 256)

		for what, err := range map[string]error{
			"role":                 newUser(client, "a@example.com").SetRole("root").Exec(ctx),
			"empty role":           newUser(client, "a@example.com").SetRole("").Exec(ctx),
			"role by its number":   newUser(client, "a@example.com").SetRole("2").Exec(ctx),
			"role in capitals":     newUser(client, "a@example.com").SetRole("ADMIN").Exec(ctx),
			"provider":             newUser(client, "a@example.com").SetProvider("gitlab").Exec(ctx),
			"type":                 newOTP(client, "a@example.com").SetType("sign-in").Exec(ctx),
			"long name":            newUser(client, "a@example.com").SetName(strings.Repeat("é", 101)).Exec(ctx),
			"long email":           newUser(client, long+"@example.com").Exec(ctx),
			"long email of an OTP": newOTP(client, long+"@example.com").Exec(ctx),
			"long password": newUser(client, "a@example.com").
				SetPassword(strings.Repeat("x", 256)).Exec(ctx),
			"password in clear": newUser(client, "a@example.com").SetPassword("correct horse").Exec(ctx),
			"empty password":    newUser(client, "a@example.com").SetPassword("").Exec(ctx),
			"long provider_id":  newUser(client, "a@example.com").SetProviderID(long).Exec(ctx),
			"empty provider_id": newUser(client, "a@example.com").SetProviderID("").Exec(ctx),
			"long otp_hash_code": newOTP(client, "a@example.com").SetOtpHashCode(strings.Repeat("x", 256)).
				Exec(ctx),
			"long token_hash":         newSession(client, ada, strings.Repeat("x", 256)).Exec(ctx),
			"token_hash not ASCII":    newSession(client, ada, "é").Exec(ctx),
			"token_hash with newline": newRefreshToken(client, ada, "abc\n").Exec(ctx),
			"long replaced_by": newRefreshToken(client, ada, "r").
				SetReplacedByTokenHash(strings.Repeat("x", 256)).Exec(ctx),
			"negative attempts":        newOTP(client, "a@example.com").SetAttempts(-1).Exec(ctx),
			"negative max_attempts":    newOTP(client, "a@example.com").SetMaxAttempts(-1).Exec(ctx),
			"negative failed attempts": newUser(client, "a@example.com").SetFailedLoginAttempts(-1).Exec(ctx),
			"email without @":          newUser(client, "ada.example.com").Exec(ctx),
			"email not UTF-8":          newUser(client, "a\xff@example.com").Exec(ctx),
			"email changed to nothing": client.User.UpdateOne(ada).SetEmail(" ").Exec(ctx),
			"role changed in bulk":     client.User.Update().SetRole("root").Exec(ctx),
		} {
			assert.True(t, ent.IsValidationError(err), "%s: %v", what, err)
		}
		assert.Equal(t, 1, client.User.Query().CountX(ctx), "nothing was written")
	})
}

func TestWhatFillsAColumnIsKeptWhole(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		name, email, hash := strings.Repeat("𝔸", 100), strings.Repeat("é", 243)+"@example.com", strings.Repeat("~", 255)
		u := newUser(client, email).SetName(name).SetPassword(hash).SetProviderID(strings.Repeat("😀", 255)).SaveX(ctx)
		newSession(client, u, hash).SaveX(ctx)

		read := client.User.GetX(ctx, u.ID)
		assert.Equal(t, name, read.Name)
		assert.Equal(t, email, read.Email)
		assert.Equal(t, hash, *read.Password)
		assert.Equal(t, strings.Repeat("😀", 255), *read.ProviderID)
		assert.Equal(t, hash, read.QuerySessions().OnlyX(ctx).TokenHash)
	})
}

// SQLite keeps any text in any column, so this holds for servers only; there the client is the guard.
func TestTheServerRefusesValuesTheColumnsDoNotHold(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		createTables(t, url)
		db := mysqltest.DB(t, url)
		mysqltest.Strictly(t, db)
		id := insertUser(t, db, "ada@example.com")
		for what, query := range map[string]string{
			"role":           "UPDATE users SET role = 'root'",
			"empty role":     "UPDATE users SET role = ''",
			"provider":       "UPDATE users SET provider = 'gitlab'",
			"type":           strings.Replace(fmt.Sprintf(plainOTP, "a@example.com"), "'signin'", "'sign-in'", 1),
			"long name":      fmt.Sprintf("UPDATE users SET name = '%s'", strings.Repeat("é", 101)),
			"long email":     fmt.Sprintf("UPDATE users SET email = '%s'", strings.Repeat("é", 256)),
			"long token":     fmt.Sprintf(plainSession, id, strings.Repeat("x", 256)),
			"hash not ASCII": fmt.Sprintf(plainSession, id, "é"),
			"no email":       "INSERT INTO users (name) VALUES ('Ada')",
			"email null":     "UPDATE users SET email = NULL",
			"no such time":   "UPDATE users SET lock_until = '2030-02-30 00:00:00'",
			"not JSON":       "UPDATE users SET avatar = '{'",
		} {
			assert.Error(t, execErr(t.Context(), db, query), what)
		}
	})
}

// MariaDB's TIMESTAMP goes on until 2106 (from version 11.5).
func TestTimesEndIn2038OnMySQL(t *testing.T) {
	url := mysqltest.MySQL(t)
	createTables(t, url)
	db := mysqltest.DB(t, url)
	mysqltest.Strictly(t, db)
	insertUser(t, db, "ada@example.com")
	exec(t, db, "UPDATE users SET lock_until = '2038-01-19 03:14:07.999999'")
	assert.Error(t, execErr(t.Context(), db, "UPDATE users SET lock_until = '2038-01-19 03:14:08'"))
}

// An ENUM compares like its column: by bytes here, where the default collation would take Admin for admin.
func TestAnEnumValueHasOneSpellingOnTheServer(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		createTables(t, url)
		db := mysqltest.DB(t, url)
		mysqltest.Strictly(t, db)
		insertUser(t, db, "ada@example.com")
		assert.Error(t, execErr(t.Context(), db, "UPDATE users SET role = 'ADMIN'"))
	})
}

func TestChecksHoldForEveryWriter(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		db := mysqltest.DB(t, url)
		u := newUser(client, "ada@example.com").SaveX(ctx)
		otp := newOTP(client, "ada@example.com").SaveX(ctx)

		for query, constraint := range map[string]string{
			"UPDATE otps SET attempts = max_attempts + 1":     "otps_attempts",
			"UPDATE otps SET attempts = -1":                   "otps_attempts",
			"UPDATE otps SET attempts = 0, max_attempts = -1": "otps_attempts",
			"UPDATE users SET failed_login_attempts = -1":     "users_failed_login_attempts",
		} {
			assert.ErrorContains(t, execErr(ctx, db, query), constraint, query)
		}
		exec(t, db, "UPDATE otps SET attempts = max_attempts")

		// An increment is not validated by the client. ent.IsConstraintError does
		// not know MariaDB's number for it (4025), so the name must be there.
		assert.ErrorContains(t, client.OTP.UpdateOne(otp).AddAttempts(1).Exec(ctx), "otps_attempts")
		assert.ErrorContains(t, client.User.Update().AddFailedLoginAttempts(-1).Exec(ctx),
			"users_failed_login_attempts")
		assert.EqualValues(t, 5, client.OTP.GetX(ctx, otp.ID).Attempts)
		assert.Zero(t, client.User.GetX(ctx, u.ID).FailedLoginAttempts)
	})
}

func TestASessionOrTokenBelongsToAUserThatExists(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		for what, err := range map[string]error{
			"session": client.Session.Create().SetUserID(404).SetTokenHash("s").
				SetExpiresAt(tomorrow()).Exec(ctx),
			"refresh token": client.RefreshToken.Create().SetUserID(404).SetTokenHash("r").
				SetExpiresAt(tomorrow()).Exec(ctx),
		} {
			assert.True(t, ent.IsConstraintError(err), "%s: %v", what, err)
		}
		db := mysqltest.DB(t, url)
		assert.Error(t, execErr(ctx, db, fmt.Sprintf(plainSession, 404, "s")))
		assert.Error(t, execErr(ctx, db, fmt.Sprintf(plainRefreshToken, 404, "r")))
		assert.True(t, ent.IsValidationError(client.Session.Create().SetTokenHash("s").
			SetExpiresAt(tomorrow()).Exec(ctx)),
			"a session without a user")
	})
}

func TestDeletingAUserDeletesWhatItHolds(t *testing.T) {
	deletions := map[string]func(context.Context, *ent.Client, *sql.DB, *ent.User) error{
		"by the client": func(ctx context.Context, client *ent.Client, _ *sql.DB, u *ent.User) error {
			return client.User.DeleteOne(u).Exec(ctx)
		},
		"by plain SQL": func(ctx context.Context, _ *ent.Client, db *sql.DB, u *ent.User) error {
			return execErr(ctx, db, fmt.Sprintf("DELETE FROM users WHERE id = %d", u.ID))
		},
	}
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		db := mysqltest.DB(t, url)
		bob := newUser(client, "bob@example.com").SaveX(ctx)
		newSession(client, bob, "bob").SaveX(ctx)
		newRefreshToken(client, bob, "bob").SaveX(ctx)
		for how, remove := range deletions {
			ada := newUser(client, "ada@example.com").SaveX(ctx)
			newOTP(client, "ada@example.com").SaveX(ctx)
			newSession(client, ada, "phone").SaveX(ctx)
			newSession(client, ada, "laptop").SaveX(ctx)
			newRefreshToken(client, ada, "ada").SaveX(ctx)

			require.NoError(t, remove(ctx, client, db, ada), how)

			assert.Equal(t, []string{"bob"}, client.Session.Query().Select("token_hash").StringsX(ctx), how)
			assert.Equal(t, []string{"bob"}, client.RefreshToken.Query().Select("token_hash").StringsX(ctx), how)
		}
		assert.Equal(t, 2, client.OTP.Query().CountX(ctx), "a code belongs to an address, not to a user")
	})
}

func TestASessionHoldsAnAddressOfTheInternetProtocol(t *testing.T) {
	valid := []string{"192.0.2.1", "2001:db8::1", "::1", "::ffff:192.0.2.1",
		"2001:0db8:0000:0000:0000:ffff:192.168.100.228"}
	invalid := []string{"", "192.0.2.1:8080", "[::1]", "[::1]:443", "fe80::1%eth0", "localhost", "192.0.2",
		"192.0.2.256", "192.0.2.1, 10.0.0.1", " ::1"}
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		for i, ip := range valid {
			s, err := newSession(client, ada, fmt.Sprint(i)).SetIP(ip).Save(ctx)
			if assert.NoError(t, err, ip) {
				assert.Equal(t, ip, *client.Session.GetX(ctx, s.ID).IP)
			}
		}
		for _, ip := range invalid {
			err := newSession(client, ada, "x").SetIP(ip).Exec(ctx)
			assert.True(t, ent.IsValidationError(err), "%q: %v", ip, err)
		}
	})
}

// The header comes from the client of the client: it must not be what makes a sign-in fail.
func TestAUserAgentIsCutNotRefused(t *testing.T) {
	cases := []struct{ name, header, stored string }{
		{"as it is", "curl/8.0", "curl/8.0"},
		{"empty", "", ""},
		{"255 characters", strings.Repeat("a", 255), strings.Repeat("a", 255)},
		{"256 characters", strings.Repeat("a", 256), strings.Repeat("a", 255)},
		{"two bytes each", strings.Repeat("é", 300), strings.Repeat("é", 255)},
		{"four bytes each", strings.Repeat("😀", 300), strings.Repeat("😀", 255)},
		{"not UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"cut where it is not UTF-8", strings.Repeat("a", 254) + "\xe2\x82\xff\xff",
			strings.Repeat("a", 254) + "\uFFFD"},
		{"longest that net/http takes", strings.Repeat("é", http.DefaultMaxHeaderBytes/2), strings.Repeat("é", 255)},
	}
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		for i, c := range cases {
			s, err := newSession(client, ada, fmt.Sprint(i)).SetUserAgent(c.header).Save(ctx)
			require.NoError(t, err, c.name)
			assert.Equal(t, c.stored, *s.UserAgent, c.name)
			assert.Equal(t, c.stored, *client.Session.GetX(ctx, s.ID).UserAgent, c.name)

			require.NoError(t, s.Update().SetUserAgent(c.header+"x").Exec(ctx), c.name)
		}
	})
}

// execErr is for statements that are to fail.
func execErr(ctx context.Context, db *sql.DB, query string) error {
	_, err := db.ExecContext(ctx, query)
	return err
}
