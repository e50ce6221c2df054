package authgraph_test

import (
	"database/sql"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestRowsOfPlainSQLGetTheDefaults(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		db := mysqltest.DB(t, url)
		id := insertUser(t, db, "ada@example.com")
		exec(t, db, fmt.Sprintf(plainOTP, "ada@example.com"))
		exec(t, db, fmt.Sprintf(plainSession, id, "s"))
		exec(t, db, fmt.Sprintf(plainRefreshToken, id, "r"))

		user := client.User.GetX(ctx, int(id))
		assert.Equal(t, schematype.RoleUser, user.Role)
		assert.Equal(t, schematype.ProviderLocal, user.Provider)
		assert.Nil(t, user.Password)
		assert.Nil(t, user.ProviderID)
		assert.Nil(t, user.Avatar)
		assert.False(t, user.IsEmailVerified)
		assert.Nil(t, user.LastLoginAt)
		assert.Zero(t, user.FailedLoginAttempts)
		assert.Nil(t, user.LockUntil)
		assert.False(t, user.IsDeleted)
		assert.Nil(t, user.DeletedAt)
		assert.Nil(t, user.ReActivateAvailableAt)

		otp := client.OTP.Query().OnlyX(ctx)
		assert.False(t, otp.IsUsed)
		assert.Nil(t, otp.UsedAt)
		assert.Zero(t, otp.Attempts)
		assert.EqualValues(t, 5, otp.MaxAttempts)

		device := client.Session.Query().OnlyX(ctx)
		assert.True(t, device.IsActive)
		assert.Nil(t, device.IP)
		assert.Nil(t, device.UserAgent)

		token := client.RefreshToken.Query().OnlyX(ctx)
		assert.False(t, token.IsRevoked)
		assert.Nil(t, token.RevokedAt)
		assert.Nil(t, token.ReplacedByTokenHash)
	})
}

// What the client writes and what the database fills in are the same, so that rows do not tell who wrote them.
func TestTheClientAndTheDatabaseHaveTheSameDefaults(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		db := mysqltest.DB(t, url)
		insertUser(t, db, "plain@example.com")
		newUser(client, "client@example.com").SaveX(ctx)
		exec(t, db, fmt.Sprintf(plainOTP, "plain@example.com"))
		newOTP(client, "client@example.com").SaveX(ctx)

		for _, query := range []string{
			"SELECT DISTINCT role, provider, is_email_verified, failed_login_attempts, is_deleted FROM users",
			"SELECT DISTINCT is_used, attempts, max_attempts FROM otps",
		} {
			assert.Equal(t, 1, single[int](t, db, "SELECT COUNT(*) FROM ("+query+") AS defaults"), query)
		}
	})
}

// window is a stretch of time by the server's own clock.
type window struct {
	t           *testing.T
	db          *sql.DB
	now         string
	begin, last string
}

func openWindow(t *testing.T, db *sql.DB, url string) *window {
	w := &window{t: t, db: db, now: "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)"}
	if mysqltest.IsSQLite(url) {
		w.now = "SELECT CURRENT_TIMESTAMP" // UTC, to the second
	}
	w.begin = single[string](t, db, w.now)
	return w
}

func (w *window) close() { w.last = single[string](w.t, w.db, w.now) }

func (w *window) holds(at string, what string) {
	w.t.Helper()
	assert.GreaterOrEqual(w.t, at, w.begin, what)
	assert.LessOrEqual(w.t, at, w.last, what)
}

// Times are compared as the text that the server makes of them, so that no driver's idea of a time zone comes between.
func TestTheDatabaseFillsTimesInUTC(t *testing.T) {
	columns := map[string][]string{
		"users":          {"created_at", "updated_at"},
		"otps":           {"created_at", "updated_at"},
		"sessions":       {"created_at", "updated_at", "last_used_at"},
		"refresh_tokens": {"created_at", "updated_at"},
	}
	for _, zone := range []string{"+00:00", "+05:30", "-08:00"} {
		t.Run(zone, func(t *testing.T) {
			mysqltest.Each(t, func(t *testing.T, url string) {
				createTables(t, url)
				reader, writer := mysqltest.DB(t, url), inZone(t, url, zone)

				w := openWindow(t, reader, url)
				id := insertUser(t, writer, "ada@example.com")
				exec(t, writer, fmt.Sprintf(plainOTP, "ada@example.com"))
				exec(t, writer, fmt.Sprintf(plainSession, id, "s"))
				exec(t, writer, fmt.Sprintf(plainRefreshToken, id, "r"))
				w.close()

				for table, names := range columns {
					for _, name := range names {
						at := single[string](t, reader, fmt.Sprintf("SELECT CAST(%s AS CHAR) FROM %s", name, table))
						w.holds(at, table+"."+name)
					}
				}
			})
		})
	}
}

// inZone is a database whose one connection is in a time zone; SQLite has none.
func inZone(t *testing.T, url, zone string) *sql.DB {
	t.Helper()
	db := mysqltest.DB(t, url)
	db.SetMaxOpenConns(1)
	if !mysqltest.IsSQLite(url) {
		exec(t, db, fmt.Sprintf("SET time_zone = '%s'", zone))
	}
	return db
}

// A Drizzle or plain SQL client updates a row without naming updated_at.
func TestAPlainUpdateMovesUpdatedAtOnTheServer(t *testing.T) {
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		createTables(t, url)
		db, writer := mysqltest.DB(t, url), inZone(t, url, "+05:30")
		id := insertUser(t, writer, "ada@example.com")
		exec(t, writer, fmt.Sprintf(plainOTP, "ada@example.com"))
		exec(t, writer, fmt.Sprintf(plainSession, id, "s"))
		exec(t, writer, fmt.Sprintf(plainRefreshToken, id, "r"))

		for table, change := range map[string]string{
			"users":          "name = 'Grace'",
			"otps":           "attempts = 1",
			"sessions":       "is_active = FALSE",
			"refresh_tokens": "is_revoked = TRUE",
		} {
			created := single[string](t, db, "SELECT CAST(created_at AS CHAR) FROM "+table)
			w := openWindow(t, db, url)
			exec(t, writer, fmt.Sprintf("UPDATE %s SET %s", table, change))
			w.close()
			w.holds(single[string](t, db, "SELECT CAST(updated_at AS CHAR) FROM "+table), table)
			assert.Equal(t, created, single[string](t, db, "SELECT CAST(created_at AS CHAR) FROM "+table),
				"created_at stays")
		}
		expires := single[string](t, db, "SELECT CAST(expires_at AS CHAR) FROM sessions")
		assert.Equal(t, "2036-12-31 18:30:00.000000", expires,
			"no other time moves: MySQL's first TIMESTAMP column did, once")
	})
}

func TestTheClientMovesUpdatedAt(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		before := newUser(client, "ada@example.com").SaveX(ctx)
		after := before.Update().SetName("Grace").SaveX(ctx)
		assert.True(t, after.UpdatedAt.After(before.UpdatedAt), "%v, %v", before.UpdatedAt, after.UpdatedAt)
		assert.Equal(t, before.CreatedAt, after.CreatedAt)
		require.NoError(t, client.User.Update().SetName("Ada").Exec(ctx))
		assert.True(t, client.User.GetX(ctx, before.ID).UpdatedAt.After(after.UpdatedAt))
	})
}

func TestAnEntityJustCreatedEqualsItselfReadBack(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		user := newUser(client, "Ada@Example.com").
			SetPassword("hash").
			SetRole(schematype.RoleAdmin).
			SetProvider(schematype.ProviderGitHub).
			SetProviderID("42").
			SetAvatar(&schematype.Avatar{PublicID: "p", URL: "https://example.com/ada.png", Size: 1 << 40}).
			SetIsEmailVerified(true).
			SetLastLoginAt(tomorrow()).
			SetFailedLoginAttempts(3).
			SetLockUntil(tomorrow()).
			SetIsDeleted(true).
			SetDeletedAt(tomorrow()).
			SetReActivateAvailableAt(tomorrow()).
			SaveX(ctx)
		bare := newUser(client, "bare@example.com").SaveX(ctx)
		otp := newOTP(client, "ada@example.com").SetUsedAt(tomorrow()).SetIsUsed(true).SaveX(ctx)
		device := newSession(client, user, "s").SetIP("::1").SetUserAgent("curl").SaveX(ctx)
		token := newRefreshToken(client, user, "r").SetRevokedAt(tomorrow()).SetReplacedByTokenHash("s").SaveX(ctx)

		for _, c := range []struct{ created, read any }{
			{user, client.User.GetX(ctx, user.ID)},
			{bare, client.User.GetX(ctx, bare.ID)},
			{otp, client.OTP.GetX(ctx, otp.ID)},
			{device, client.Session.GetX(ctx, device.ID)},
			{token, client.RefreshToken.GetX(ctx, token.ID)},
		} {
			assertSame(t, c.created, c.read)
		}
		assert.Equal(t, time.UTC, client.User.GetX(ctx, user.ID).CreatedAt.Location())
	})
}

// assertSame compares two entities field by field, times with their location.
func assertSame(t *testing.T, want, got any) {
	t.Helper()
	w, g := reflect.ValueOf(want).Elem(), reflect.ValueOf(got).Elem()
	for i := range w.NumField() {
		if field := w.Type().Field(i); field.IsExported() {
			assert.Equal(t, w.Field(i).Interface(), g.Field(i).Interface(), "%s.%s", w.Type(), field.Name)
		}
	}
}

// A caller's clock has nanoseconds and a zone; the columns have neither.
func TestTimesAreCutToWhatTheColumnsKeep(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		at := time.Date(2030, 1, 1, 5, 30, 0, 123456789, time.FixedZone("IST", 5*3600+1800))
		kept := time.Date(2030, 1, 1, 0, 0, 0, 123456000, time.UTC)

		created := newSession(client, ada, "s").SetExpiresAt(at).SaveX(ctx)
		assert.Equal(t, kept, created.ExpiresAt)
		assertSame(t, created, client.Session.GetX(ctx, created.ID))

		updated := ada.Update().SetLockUntil(at).SaveX(ctx)
		assert.Equal(t, kept, *updated.LockUntil)
		client.User.Update().SetDeletedAt(at).ExecX(ctx)
		assert.Equal(t, kept, *client.User.GetX(ctx, ada.ID).DeletedAt)
	})
}

func TestTimesFromAnotherZoneAreTheSameInstant(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		at := tomorrow()
		s := newSession(client, ada, "s").SetExpiresAt(at.In(time.FixedZone("IST", 5*3600+1800))).SaveX(ctx)
		assert.Equal(t, at, client.Session.GetX(ctx, s.ID).ExpiresAt)
		assert.True(t, client.Session.Query().Where(session.ExpiresAt(at)).ExistX(ctx))
		assert.False(t, client.Session.Query().Where(session.ExpiresAtGT(at.In(time.FixedZone("PST", -8*3600)))).
			ExistX(ctx))
	})
}
