package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// persons are users of one database, into whose rows another program then writes.
type persons struct {
	svc *auth.Service
	db  *sql.DB
	n   int
}

// person is a user with a session, a family of refresh tokens and a code.
type person struct {
	*persons
	email string
	grant *auth.Grant
	code  *auth.Issued
}

const personPassword = "correct horse battery staple"

func newPersons(t *testing.T, url string) *persons {
	t.Helper()
	migratedtest.Apply(t, url)
	client, err := authgraph.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	svc, err := auth.New(client, auth.Config{
		Keys:    auth.NewKeys([]byte("0123456789abcdef0123456789abcdef")),
		Hasher:  authtest.NewHasher(),
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
		Refresh: auth.RefreshPolicy{Grace: auth.NoGrace},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, svc.Close(context.WithoutCancel(t.Context()))) })
	return &persons{svc: svc, db: mysqltest.DB(t, url)}
}

func (ps *persons) next(t *testing.T) person {
	t.Helper()
	ps.n++
	p := person{persons: ps, email: fmt.Sprintf("person%d@example.com", ps.n)}
	_, _, err := p.svc.Register(t.Context(), "Ada", p.email, personPassword)
	require.NoError(t, err)
	p.grant, err = p.svc.SignIn(t.Context(), p.email, personPassword, auth.Device{})
	require.NoError(t, err)
	p.code, err = p.svc.IssueCode(t.Context(), codeFor(p.email))
	require.NoError(t, err)
	return p
}

// set writes into the person's rows of a table, in a mode of MySQL that takes anything.
func (p person) set(t *testing.T, table, assignments string) {
	t.Helper()
	where, arg := map[string]string{"users": "id", "otps": "email"}[table], any(p.grant.User.ID)
	if where == "" {
		where = "user_id"
	}
	if table == "otps" {
		arg = p.email
	}
	conn, err := p.db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { assert.NoError(t, conn.Close()) }()
	_, err = conn.ExecContext(t.Context(), "SET sql_mode = ''")
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "UPDATE "+table+" SET "+assignments+" WHERE "+where+" = ?", arg)
	require.NoError(t, err)
}

func (p person) withProvider(t *testing.T) (*auth.Grant, error) {
	t.Helper()
	return p.svc.SignInWithProvider(t.Context(),
		auth.Identity{Provider: schematype.ProviderGoogle, Subject: p.email, Email: p.email, EmailVerified: true},
		auth.Device{})
}

// An avatar that nothing can be made of is none: its user signs in in every way.
func TestAnAvatarOfAnotherShapeIsNone(t *testing.T) {
	t.Parallel()
	url := "https://img.example.com/1"
	avatars := map[string]*schematype.Avatar{
		`{"size":"12"}`: nil, `[]`: nil, `null`: nil, `"x"`: nil, `5`: nil, `true`: nil, `{}`: nil, `[[[]]]`: nil,
		`{"url":"` + url + `","size":"12"}`: {URL: url}, `{"url":"` + url + `","size":1.5,"public_id":[]}`: {URL: url},
		`{"url":"` + strings.Repeat("x", 1<<20) + `"}`: nil,
	}
	mysqltest.Each(t, func(t *testing.T, address string) {
		ps := newPersons(t, address)
		for written, want := range avatars {
			label := written[:min(24, len(written))]
			p := ps.next(t)
			_, err := p.db.ExecContext(t.Context(), "UPDATE users SET avatar = ? WHERE id = ?",
				written, p.grant.User.ID)
			require.NoError(t, err)
			stored := func() (column string) {
				require.NoError(t, p.db.QueryRowContext(t.Context(), "SELECT avatar FROM users WHERE id = ?",
					p.grant.User.ID).Scan(&column))
				return column
			}
			before := stored()

			_, u, err := p.svc.CheckSession(t.Context(), p.grant.Token)
			require.NoError(t, err, label)
			assert.Equal(t, want, u.Avatar, label)
			_, u, err = p.svc.Rotate(t.Context(), p.grant.Refresh)
			require.NoError(t, err, label)
			assert.Equal(t, want, u.Avatar, label)
			g, err := p.svc.SignIn(t.Context(), p.email, personPassword, auth.Device{})
			require.NoError(t, err, label)
			assert.Equal(t, want, g.User.Avatar, label)
			g, err = p.svc.SignInWithCode(t.Context(), p.code.Ticket, p.code.Code, auth.Device{})
			require.NoError(t, err, label)
			assert.Equal(t, want, g.User.Avatar, label)
			g, err = p.withProvider(t)
			require.NoError(t, err, label)
			assert.Equal(t, want, g.User.Avatar, label)
			assert.Equal(t, before, stored(), "what cannot be read is not lost")
		}
	})
}

// answers are what the calls of a person end in: nil, or one of the errors of the package.
type answers struct{ check, rotate, signIn, withCode, withProvider error }

func (p person) answers(t *testing.T) (a answers) {
	t.Helper()
	_, _, a.check = p.svc.CheckSession(t.Context(), p.grant.Token)
	_, _, a.rotate = p.svc.Rotate(t.Context(), p.grant.Refresh)
	_, a.signIn = p.svc.SignIn(t.Context(), p.email, personPassword, auth.Device{})
	_, a.withCode = p.svc.SignInWithCode(t.Context(), p.code.Ticket, p.code.Code, auth.Device{})
	_, a.withProvider = p.withProvider(t)
	return a
}

// What MySQL's types let through and means nothing is refused as what it stands for
// would be, or left out. SQLite's tables refuse all of it.
func TestARowWithAValueOfNoMeaningIsRefusedLikeAnyOther(t *testing.T) {
	t.Parallel()
	const zero = "'0000-00-00 00:00:00'"
	fine := answers{}
	gone := answers{auth.ErrSession, auth.ErrRefresh, auth.ErrCredentials, auth.ErrCode, auth.ErrCredentials}
	cases := map[string]struct {
		table, set string
		want       answers
	}{
		"a user deleted twice over":      {"users", "is_deleted = 2, is_email_verified = 1", gone},
		"a user deleted less than not":   {"users", "is_deleted = -1, is_email_verified = 1", gone},
		"an address verified twice over": {"users", "is_email_verified = 2", fine},
		"a session active twice over":    {"sessions", "is_active = 2", answers{check: auth.ErrSession}},
		"a token revoked twice over":     {"refresh_tokens", "is_revoked = 2", answers{rotate: auth.ErrRefresh}},
		"a code used twice over":         {"otps", "is_used = 2", answers{withCode: auth.ErrCode}},
		"a role of no name":              {"users", "role = 'root'", fine},
		"a provider of no name":          {"users", "provider = 'x'", fine},
		"a purpose of no name":           {"otps", "type = 'x'", answers{withCode: auth.ErrCode}},
		"a last sign-in at no time":      {"users", "last_login_at = " + zero, fine},
		"a lock until no time":           {"users", "lock_until = " + zero, fine},
		"a user deleted at no time": {"users", "deleted_at = " + zero + ", re_activate_available_at = " + zero,
			fine},
		"a user made at no time":         {"users", "created_at = " + zero + ", updated_at = " + zero, fine},
		"a session that ends at no time": {"sessions", "expires_at = " + zero, answers{check: auth.ErrSession}},
		"a session last used at no time": {"sessions", "last_used_at = " + zero, answers{check: auth.ErrSession}},
		"a session made at no time":      {"sessions", "created_at = " + zero, fine},
		"a token that ends at no time": {"refresh_tokens", "expires_at = " + zero,
			answers{rotate: auth.ErrRefresh}},
		"a token made at no time": {"refresh_tokens", "created_at = " + zero,
			answers{rotate: auth.ErrRefresh}},
		"a code that ends at no time": {"otps", "expires_at = " + zero, answers{withCode: auth.ErrCode}},
		"a code used at no time":      {"otps", "used_at = " + zero, fine},
		"a code resent and made at no time": {"otps", "next_resend_allowed_at = " + zero +
			", created_at = " + zero, fine},
	}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		ps := newPersons(t, url)
		for name, c := range cases {
			p := ps.next(t)
			p.set(t, c.table, c.set)
			got := p.answers(t)
			assert.ErrorIs(t, got.check, c.want.check, "%s: check", name)
			assert.ErrorIs(t, got.rotate, c.want.rotate, "%s: rotate", name)
			assert.ErrorIs(t, got.signIn, c.want.signIn, "%s: sign in", name)
			assert.ErrorIs(t, got.withCode, c.want.withCode, "%s: sign in with a code", name)
			assert.ErrorIs(t, got.withProvider, c.want.withProvider, "%s: sign in with a provider", name)
			_, err := p.svc.IssueCode(t.Context(),
				auth.CodeRequest{Email: p.email, Kind: schematype.OTPPasswordReset, Device: anybody()})
			assert.NoError(t, err, name)
			assert.NoError(t, only(p.svc.SignOut(t.Context(), p.grant.Token)), name)
			assert.NoError(t, only(p.svc.RevokeRefresh(t.Context(), p.grant.Refresh)), name)
		}
		_, err := ps.svc.Purge(t.Context(), auth.PurgeOptions{})
		assert.NoError(t, err)
	})
}

// A chain of refresh tokens that leads back to itself, or to another user, is followed to there and no further.
func TestAChainOfRefreshTokensThatIsNoFamilyIsLeft(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		p := newPersons(t, url).next(t)
		first := p.grant.Refresh
		second, _, err := p.svc.Rotate(t.Context(), first)
		require.NoError(t, err)
		third, _, err := p.svc.Rotate(t.Context(), second)
		require.NoError(t, err)
		var hash string
		require.NoError(t, p.db.QueryRowContext(t.Context(),
			"SELECT token_hash FROM refresh_tokens ORDER BY id LIMIT 1").Scan(&hash))
		_, err = p.db.ExecContext(t.Context(),
			"UPDATE refresh_tokens SET replaced_by_token_hash = ? WHERE replaced_by_token_hash IS NULL", hash)
		require.NoError(t, err)

		start := time.Now()
		_, _, err = p.svc.Rotate(t.Context(), first)
		require.ErrorIs(t, err, auth.ErrReuse)
		_, _, err = p.svc.Rotate(t.Context(), third)
		require.ErrorIs(t, err, auth.ErrRefresh)
		require.NoError(t, only(p.svc.RevokeRefresh(t.Context(), second)))
		assert.Less(t, time.Since(start), 20*time.Second)

		other, _, err := p.svc.Register(t.Context(), "Eve", "eve@example.com", personPassword)
		require.NoError(t, err)
		theirs, err := p.svc.IssueRefresh(t.Context(), other.ID)
		require.NoError(t, err)
		mine, err := p.svc.IssueRefresh(t.Context(), p.grant.User.ID)
		require.NoError(t, err)
		require.NoError(t, p.db.QueryRowContext(t.Context(), "SELECT token_hash FROM refresh_tokens WHERE user_id = ?",
			other.ID).Scan(&hash))
		_, err = p.db.ExecContext(t.Context(),
			"UPDATE refresh_tokens SET is_revoked = 1, replaced_by_token_hash = ? WHERE user_id = ? AND "+
				"replaced_by_token_hash IS NULL", hash, p.grant.User.ID)
		require.NoError(t, err)
		_, _, err = p.svc.Rotate(t.Context(), mine)
		require.ErrorIs(t, err, auth.ErrRefresh)
		_, _, err = p.svc.Rotate(t.Context(), theirs)
		require.NoError(t, err, "another user's tokens stay")
	})
}

// An account that another program deleted without saying when is kept for the retention, and no longer.
func TestAnAccountDeletedAtNoTimeIsPurgedInTheEnd(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		p := newPersons(t, url).next(t)
		_, err := p.db.ExecContext(t.Context(), "UPDATE users SET is_deleted = 1, deleted_at = NULL")
		require.NoError(t, err)
		if !mysqltest.IsSQLite(url) {
			zero := p.persons.next(t)
			zero.set(t, "users", "is_deleted = 1, deleted_at = '0000-00-00 00:00:00'")
		}
		client, err := authgraph.Open(t.Context(), url)
		require.NoError(t, err)
		defer client.Close()
		clock := authtest.NewClock()
		config := auth.Config{Clock: clock.Now}
		for _, later := range []time.Duration{0, 29 * 24 * time.Hour} {
			clock.Advance(later)
			done, err := auth.Purge(t.Context(), client, config, auth.PurgeOptions{Tables: []string{"users"}})
			require.NoError(t, err)
			assert.Zero(t, done.Users)
		}
		clock.Advance(2 * 24 * time.Hour)
		done, err := auth.Purge(t.Context(), client, config, auth.PurgeOptions{Tables: []string{"users"}})
		require.NoError(t, err)
		assert.Positive(t, done.Users)
		left, err := client.User.Query().Count(t.Context())
		require.NoError(t, err)
		assert.Zero(t, left)
	})
}

// A hash that was never made here, or that would take minutes to compute, is that
// of no password: nobody signs in with it, and nobody is told of it.
func TestAPasswordThatIsNoHashIsWrong(t *testing.T) {
	t.Parallel()
	const salt, key = "$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAA"
	mysqltest.Each(t, func(t *testing.T, url string) {
		ps := newPersons(t, url)
		for _, stored := range []string{
			"", "x", personPassword, strings.Repeat("$", 255),
			"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
			"$argon2i$v=19$m=64,t=1,p=1" + salt + key, "$argon2id$v=16$m=64,t=1,p=1" + salt + key,
			"$argon2id$v=19$m=64,t=1,p=1" + salt + "$",
			"$argon2id$v=19$m=64,t=0,p=1" + salt + key, "$argon2id$v=19$m=64,t=1,p=0" + salt + key,
			"$argon2id$v=19$m=-1,t=1,p=1" + salt + key,
			"$argon2id$v=19$m=64,t=4294967295,p=1" + salt + key, "$argon2id$v=19$m=4294967295,t=1,p=1" + salt + key,
		} {
			p := ps.next(t)
			_, err := p.db.ExecContext(t.Context(), "UPDATE users SET password = ? WHERE id = ?", stored,
				p.grant.User.ID)
			require.NoError(t, err)
			_, err = p.svc.SignIn(t.Context(), p.email, personPassword, auth.Device{})
			assert.ErrorIs(t, err, auth.ErrCredentials, stored)
			_, err = p.svc.ChangePassword(t.Context(), p.grant.User.ID, personPassword, personPassword+"!", device)
			assert.ErrorIs(t, err, auth.ErrCredentials, stored)
			require.NoError(t, only(p.svc.Delete(t.Context(), p.grant.User.ID)))
			_, err = p.svc.Reactivate(t.Context(), p.email, personPassword, auth.Device{})
			assert.ErrorIs(t, err, auth.ErrCredentials, stored)
		}
	})
}

// Only a unique key says that an address is taken: a rule that somebody added to the table says something else.
func TestARowThatARuleOfTheDatabaseRefusesIsNoAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		ps := newPersons(t, url)
		rule := "ALTER TABLE users ADD CONSTRAINT no_eve CHECK (name <> 'Eve')"
		if mysqltest.IsSQLite(url) {
			rule = "CREATE TRIGGER no_eve BEFORE INSERT ON users WHEN new.name = 'Eve' BEGIN SELECT RAISE(ABORT, " +
				"'CHECK constraint failed: no_eve'); END"
		}
		_, err := ps.db.ExecContext(t.Context(), rule)
		require.NoError(t, err)
		_, _, err = ps.svc.Register(t.Context(), "Eve", "eve@example.com", personPassword)
		assert.ErrorContains(t, err, "no_eve")
		assert.NotErrorIs(t, err, auth.ErrEmailTaken)
		_, err = ps.svc.SignInWithProvider(t.Context(),
			auth.Identity{Provider: schematype.ProviderGoogle, Subject: "1", Email: "eve@example.com",
				EmailVerified: true, Name: "Eve"}, auth.Device{})
		var away *auth.UnavailableError
		assert.ErrorContains(t, err, "no_eve")
		assert.False(t, errors.As(err, &away), "%v", err)
	})
}
