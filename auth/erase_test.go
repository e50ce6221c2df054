package auth_test

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The marks of a person, each of which is in the tables before an erasure.
var marks = []string{
	"Zaphira Quux", "zaphira", "203.0.113.77", "Mozilla/5.0 (zaphira's phone)", "avatars.example/zaphira",
	"provider-subject-7731",
}

// person makes somebody with everything that the tables can hold of a person, and returns the id and the secrets that
// their rows have.
func (w *world) person(t *testing.T) (id int, secrets []string) {
	t.Helper()
	ctx := t.Context()
	const email = "zaphira@example.com"
	u, _, err := w.honest.Register(ctx, "Zaphira Quux", email, password)
	require.NoError(t, err)
	d := auth.Device{IP: "203.0.113.77", UserAgent: "Mozilla/5.0 (zaphira's phone)"}
	g, err := w.honest.SignIn(ctx, email, password, d)
	require.NoError(t, err)
	_, _, err = w.honest.Rotate(ctx, g.Refresh)
	require.NoError(t, err)
	_, err = w.honest.SignIn(ctx, email, password, d)
	require.NoError(t, err)
	issued, err := w.honest.IssueCode(ctx, auth.CodeRequest{Email: email, Kind: schematype.OTPSignIn, Device: d})
	require.NoError(t, err)
	change := emailChange(u.ID, email)
	change.New = "zaphira@elsewhere.example"
	_, err = w.honest.StartEmailChange(ctx, change)
	require.NoError(t, err)
	require.NoError(t, w.client.User.UpdateOneID(u.ID).
		SetAvatar(&schematype.Avatar{URL: "https://avatars.example/zaphira.png"}).
		SetProvider(schematype.ProviderGitHub).SetProviderID("provider-subject-7731").Exec(ctx))
	hash, err := digestHasher{}.Hash(password)
	require.NoError(t, err)
	secrets = append(secrets, hash, issued.Code.Reveal(), g.Token.Reveal(), g.Refresh.Reveal())
	for _, query := range []string{
		`SELECT token_hash FROM sessions WHERE user_id = ?`, `SELECT token_hash FROM refresh_tokens WHERE user_id = ?`,
		`SELECT otp_hash_code FROM otps WHERE requested_by = ?`,
	} {
		hashes := column[string](t, w.db, query, u.ID)
		require.NotEmpty(t, hashes, query)
		secrets = append(secrets, hashes...)
	}
	return u.ID, secrets
}

// everything is what all tables hold.
func (w *world) everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, table := range w.tables(t) {
		if n := column[int](t, w.db, "SELECT COUNT(*) FROM "+table); n[0] > 0 {
			b.WriteString(w.dump(t, table))
		}
	}
	return b.String()
}

func TestAnErasureLeavesNothingOfThePersonInADump(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		ctx, op := t.Context(), w.honest.Operator()
		other := w.register(t, w.email())
		id, _ := w.person(t)
		before := w.everything(t)
		for _, mark := range marks {
			require.Contains(t, before, mark)
		}

		done, err := op.Erase(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, auth.Erased{Sessions: 2, RefreshTokens: 1, OTPs: 2, Kept: 2, Anonymised: true}, done)
		after := w.everything(t)
		for _, mark := range marks {
			assert.NotContains(t, strings.ToLower(after), strings.ToLower(mark))
		}
		hash, err := digestHasher{}.Hash(password)
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(after, hash), "the other user has the same password")

		again, err := op.Erase(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, auth.Erased{Kept: 2, Anonymised: true}, again)
		_, err = op.Find(ctx, other)
		require.NoError(t, err)
		_, _, err = w.honest.Register(ctx, "Zaphira", "zaphira@example.com", password)
		require.NoError(t, err, "the address is free")

		// The purge takes the evidence once it has expired, and then the row.
		_, err = w.at(t, 89*day).Purge(ctx, auth.PurgeOptions{FullRate: true})
		require.NoError(t, err)
		_, err = op.Find(ctx, id)
		require.NoError(t, err)
		_, err = w.at(t, 91*day).Purge(ctx, auth.PurgeOptions{FullRate: true})
		require.NoError(t, err)
		_, err = op.Find(ctx, id)
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

func TestAnErasureKeepsTheRowThatAnotherTableNeeds(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		id := w.register(t, "zaphira@example.com")
		_, err := w.db.Exec(`CREATE TABLE invoices (user_id bigint NOT NULL,
			FOREIGN KEY (user_id) REFERENCES users (id))`)
		require.NoError(t, err)
		_, err = w.db.Exec(`INSERT INTO invoices (user_id) VALUES (?)`, id)
		require.NoError(t, err)
		done, err := w.honest.Operator().Erase(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, auth.Erased{Anonymised: true}, done)
		assert.NotContains(t, w.everything(t), "zaphira")
		p, err := w.honest.Operator().Find(t.Context(), id)
		require.NoError(t, err)
		assert.True(t, p.Deleted)
		assert.Equal(t, "erased", p.Name)
		assert.True(t, strings.HasSuffix(p.Email, "@erased.invalid"), p.Email)
		_, err = w.db.Exec(`DROP TABLE invoices`)
		require.NoError(t, err)
	})
}

// An account with more rows than a transaction deletes is erased in several. Whichever statement of them fails, the
// person is whole, or the account is closed and the next call does the rest.
func TestALargeErasureThatWasCutOffIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		var s saboteur
		client := w.open(t, authgraph.WithDriver(func(d dialect.Driver) dialect.Driver { return faultyDriver{d, &s} }))
		svc := w.service(t, client, 0)
		for name, f := range map[string]fault{
			"refused":                    {err: errOrdinary},
			"connection lost after that": {err: mysql.ErrInvalidConn, after: true},
			"connection lost before":     {err: driver.ErrBadConn},
		} {
			for n := 1; ; n++ {
				require.Less(t, n, 60)
				email := w.email()
				id := w.register(t, email)
				w.rotatedTwice(t, email)
				_, err := w.db.Exec(`INSERT INTO sessions (user_id, token_hash, ip, expires_at)
					WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700)
					SELECT ?, CONCAT(?, i), '203.0.113.77', '2037-01-01 00:00:00' FROM n`, id, email)
				require.NoError(t, err)
				s.arm(n, f)
				_, err = svc.Operator().Erase(t.Context(), id)
				hit := s.disarm()
				what := fmt.Sprintf("statement %d %s: %s: %v", n, name, hit.statement, err)
				if !hit.landed {
					require.NoError(t, err, what)
					break
				}
				if err != nil {
					p, found := svc.Operator().Find(t.Context(), id)
					require.NoError(t, found, what)
					whole := column[int](t, w.db, `SELECT COUNT(*) FROM sessions WHERE user_id = ?`, id)[0] == 701
					require.True(t, whole || p.Deleted, what)
					require.Equal(t, p.Deleted, second(svc.SignIn(t.Context(), email, password, device)) != nil, what)
					_, err = svc.Operator().Erase(t.Context(), id)
					require.NoError(t, err, what)
				}
				all := w.everything(t)
				require.NotContains(t, all, email+"\n", what)
				require.NotContains(t, all, "203.0.113.77", what)
			}
		}
	})
}

func TestAnExportHoldsWhatTheTablesHoldOfAPersonAndNoSecret(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.register(t, w.email())
		id, secrets := w.person(t)
		e, err := w.honest.Operator().Export(t.Context(), id)
		require.NoError(t, err)
		require.Len(t, e.Sessions, 2)
		require.Len(t, e.RefreshTokens, 3)
		require.Len(t, e.OTPs, 2)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		var plain any
		require.NoError(t, json.Unmarshal(text, &plain))
		for _, mark := range marks {
			assert.Contains(t, string(text), mark)
		}
		for _, secret := range secrets {
			assert.NotContains(t, string(text), secret)
		}
		// Each column is in it by its name, or is a secret, or tells of nothing but the person's own id.
		left := map[string]string{"password": "has_password", "replaced_by_token_hash": "exchanged", "token_hash": "",
			"otp_hash_code": "", "ticket_hash": "", "successor_salt": "", "user_id": "", "updated_at": "updated_at"}
		for _, table := range []string{"users", "sessions", "refresh_tokens", "otps"} {
			for _, name := range w.columnsOf(t, table) {
				if as, ok := left[name]; ok {
					name = as
				}
				assert.Contains(t, exported(t, e, table), name, "%s.%s", table, name)
			}
		}
		_, err = w.honest.Operator().Export(t.Context(), id+1000)
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

func (w *world) columnsOf(t *testing.T, table string) []string {
	t.Helper()
	rows, err := w.db.Query("SELECT * FROM " + table + " WHERE false")
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Err())
	return names
}

// exported are the names that a table's rows can have in an export, and the empty one.
func exported(t *testing.T, e *auth.Export, table string) []string {
	t.Helper()
	now, text, n := time.Now(), "x", int32(1)
	step, id := schematype.FirstStepMail, 1
	full := map[string]any{
		"users": auth.ExportedUser{Name: text, Role: text, Provider: text, ProviderID: &text,
			Avatar: &schematype.Avatar{URL: text}, LastLoginAt: &now, LockUntil: &now, DeletedAt: &now,
			ReActivateAvailableAt: &now, SuspendedUntil: &now},
		"sessions":       auth.ExportedSession{IP: &text, UserAgent: &text, Family: &text, TrustEpoch: &n},
		"refresh_tokens": auth.ExportedRefresh{RevokedAt: &now, Family: &text},
		"otps": auth.ExportedOTP{UsedAt: &now, OriginHash: &text, RequestedBy: &id, FirstStep: &step,
			TrustEpoch: &n},
	}
	content, err := json.Marshal(full[table])
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(content, &fields))
	names := []string{""}
	if table == "users" {
		names = append(names, "updated_at") // it tells when the program last wrote the row
	}
	for name := range fields {
		names = append(names, name)
	}
	return names
}

// Whoever uses the account while it is erased gets the answer of an account that is gone.
func TestNobodyIsLetInWhileAnAccountIsErased(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		for range 10 {
			email := w.email()
			id := w.register(t, email)
			g := w.signIn(t, email)
			calls := []func(ctx context.Context) error{
				func(ctx context.Context) error { return erase(id)(ctx, w.honest) },
				func(ctx context.Context) error { return rotate(g.Refresh)(ctx, w.honest) },
				func(ctx context.Context) error { return signInWith(email, password)(ctx, w.honest) },
				func(ctx context.Context) error { return third(w.honest.StartSession(ctx, id, device)) },
			}
			errs := make(chan error, len(calls))
			for i, call := range calls {
				go func() { errs <- wrapCall(i, call(t.Context())) }()
			}
			for range calls {
				err := <-errs
				if err != nil {
					assert.True(t, is(err, auth.ErrRefresh) || is(err, auth.ErrCredentials) ||
						is(err, auth.ErrNotFound), "%v", err)
				}
			}
			assert.Equal(t, []int{0}, column[int](t, w.db, `SELECT COUNT(*) FROM sessions WHERE user_id = ?`, id))
			assert.Equal(t, []int{0}, column[int](t, w.db,
				`SELECT COUNT(*) FROM refresh_tokens WHERE user_id = ? AND is_revoked = 0`, id))
			assert.NotContains(t, w.everything(t), email+"\n")
		}
	})
}

// wrapCall says which call failed.
func wrapCall(i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("call %d: %w", i, err)
}
