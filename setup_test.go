package authgraph_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/migrate"
)

// createTables gives the database at url the tables, by the migrations.
func createTables(t *testing.T, url string) {
	t.Helper()
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
}

// open returns a client of the database at url, with the tables in it.
func open(t *testing.T, url string, opts ...authgraph.Option) *ent.Client {
	t.Helper()
	createTables(t, url)
	return connect(t, url, opts...)
}

// connect returns a client of the database at url as it is.
func connect(t *testing.T, url string, opts ...authgraph.Option) *ent.Client {
	t.Helper()
	client, err := authgraph.Open(t.Context(), url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err, query)
}

// single is the one value that query finds.
func single[T any](t *testing.T, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&v), query)
	return v
}

// tomorrow is a time that every column keeps as it is.
func tomorrow() time.Time {
	return time.Now().UTC().Add(24 * time.Hour).Truncate(time.Microsecond)
}

func newUser(client *ent.Client, email string) *ent.UserCreate {
	return client.User.Create().SetName("Ada").SetEmail(email)
}

func newOTP(client *ent.Client, email string) *ent.OTPCreate {
	return client.OTP.Create().
		SetEmail(email).
		SetOtpHashCode("code-hash").
		SetType(schematype.OTPSignIn).
		SetNextResendAllowedAt(tomorrow()).
		SetExpiresAt(tomorrow())
}

func newSession(client *ent.Client, user *ent.User, tokenHash string) *ent.SessionCreate {
	return client.Session.Create().SetUser(user).SetTokenHash(tokenHash).SetExpiresAt(tomorrow())
}

func newRefreshToken(client *ent.Client, user *ent.User, tokenHash string) *ent.RefreshTokenCreate {
	return client.RefreshToken.Create().SetUser(user).SetTokenHash(tokenHash).SetExpiresAt(tomorrow())
}

// plainUser, plainSession, plainOTP and plainRefreshToken insert rows as a
// program does that does not know the schema in Go: the required columns only.
const (
	plainUser = "INSERT INTO users (name, email) VALUES ('Ada', '%s')"
	plainOTP  = "INSERT INTO otps (email, otp_hash_code, next_resend_allowed_at, type, expires_at) VALUES " +
		"('%s', 'h', '2037-01-01 00:00:00', 'signin', '2037-01-01 00:00:00')"
	plainSession = "INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (%d, " +
		"'%s', '2037-01-01 00:00:00')"
	plainRefreshToken = "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES (%d, " +
		"'%s', '2037-01-01 00:00:00')"
)

// insertUser inserts a user by plain SQL and returns its id.
func insertUser(t *testing.T, db *sql.DB, email string) int64 {
	t.Helper()
	res, err := db.ExecContext(t.Context(), fmt.Sprintf(plainUser, email))
	require.NoError(t, err)
	id, err := res.LastInsertId()
	require.NoError(t, err)
	return id
}
