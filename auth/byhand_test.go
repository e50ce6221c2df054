package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
)

// byHand is what the service does on its hot paths, written over database/sql as well as one can: each text prepared
// once and for all, nothing scanned that is not used. It makes the same decisions, and retries nothing.
type byHand struct {
	db  *sql.DB
	key []byte

	check, signIn, count, renew, addSession, rotate, refresh, addRefresh, code, use *sql.Stmt
}

func newByHand(t testing.TB, url string, key []byte) *byHand {
	t.Helper()
	config, err := testserver.Config(url)
	require.NoError(t, err)
	config.InterpolateParams, config.ClientFoundRows = true, true
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	h := &byHand{db: sql.OpenDB(connector), key: key}
	h.db.SetMaxIdleConns(25)
	t.Cleanup(func() { assert.NoError(t, h.db.Close()) })
	const owner = `u.id, u.name, u.email, u.role, u.provider, u.avatar,
		u.is_email_verified, u.last_login_at, u.created_at, u.is_deleted, u.lock_until`
	for text, stmt := range map[string]**sql.Stmt{
		`SELECT s.id, s.ip, s.user_agent, s.last_used_at, s.expires_at, s.created_at, s.is_active, ` + owner + `
			FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = ?`: &h.check,
		`SELECT id, created_at, updated_at, name, email, password, role, provider, provider_id, avatar,
			is_email_verified,
			last_login_at, failed_login_attempts, lock_until, is_deleted, deleted_at, re_activate_available_at
			FROM users WHERE email = ? AND NOT is_deleted LIMIT 2`: &h.signIn,
		`UPDATE users SET guess_failures = guess_failures + 1, failed_login_attempts = CASE WHEN lock_until IS NULL
			THEN failed_login_attempts + 1 ELSE 1 END, lock_until = NULL, updated_at = ? WHERE id = ?
			AND guess_failures < ? AND (lock_until <= ? OR lock_until IS NULL AND failed_login_attempts < ?)`: &h.count,
		`UPDATE users SET guess_failures = 0, failed_login_attempts = 0, lock_until = NULL, last_login_at = ?,
			updated_at = ? WHERE id = ? AND password = ? AND NOT is_deleted
			AND (suspended_until IS NULL OR suspended_until <= ?)`: &h.renew,
		`INSERT INTO sessions (created_at, updated_at, user_id, token_hash, ip, user_agent, is_active, last_used_at,
			expires_at, family, trust_epoch, device_failures) VALUES (?, ?, ?, ?, ?, ?, true, ?, ?, ?,
			(SELECT trust_epoch FROM users WHERE id = ?), 0)`: &h.addSession,
		`SELECT t.family, t.created_at, t.expires_at, t.is_revoked, t.revoked_at, t.replaced_by_token_hash,
			n.successor_salt, l.id IS NOT NULL OR COALESCE(n.is_revoked = 0, 0), ` + owner + `
			FROM refresh_tokens t JOIN users u ON u.id = t.user_id
			LEFT JOIN refresh_tokens n ON n.token_hash = t.replaced_by_token_hash
			LEFT JOIN refresh_tokens l
				ON l.family = t.family AND l.is_revoked = 0 AND t.replaced_by_token_hash IS NOT NULL
			WHERE t.token_hash = ?`: &h.refresh,
		`UPDATE refresh_tokens SET updated_at = ?, is_revoked = true, revoked_at = ?, replaced_by_token_hash = ?,
			family = ?, successor_salt = CASE WHEN created_at > ? THEN successor_salt END
			WHERE token_hash = ? AND NOT is_revoked`: &h.rotate,
		`INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses,
			family, successor_salt)
			VALUES (?, ?, ?, ?, ?, false, 0, ?, ?)`: &h.addRefresh,
		`SELECT id, email, otp_hash_code, attempts, max_attempts, created_at FROM otps
			WHERE ticket_hash = ? AND type = ? AND first_step IS NULL LIMIT 1`: &h.code,
		`UPDATE otps SET updated_at = ?, attempts = attempts + 1, is_used = ?, used_at = ?
			WHERE id = ? AND NOT is_used AND expires_at > ? AND attempts < max_attempts`: &h.use,
	} {
		*stmt, err = h.db.PrepareContext(t.Context(), text) //nolint:sqlclosecheck // with its pool
		require.NoError(t, err)
	}
	return h
}

type handSession struct {
	ID, UserID                       int
	IP, UserAgent                    sql.NullString
	LastUsedAt, ExpiresAt, CreatedAt time.Time
}

type handUser struct {
	ID                        int
	Name, Email               string
	Role, Provider            string
	Avatar                    *schematype.Avatar
	Verified, Deleted         bool
	LastLoginAt, LockUntil    sql.NullTime
	CreatedAt, UpdatedAt      time.Time
	Password, ProviderID      sql.NullString
	Failed                    int32
	DeletedAt, ReactivateFrom sql.NullTime
}

var errByHand = errors.New("refused")

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func (u *handUser) decode(avatar sql.RawBytes) error {
	if len(avatar) == 0 {
		return nil
	}
	return json.Unmarshal(avatar, &u.Avatar)
}

func (h *byHand) checkSession(ctx context.Context, token string) (*handSession, *handUser, error) {
	rows, err := h.check.QueryContext(ctx, sum(token))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, nil, errors.Join(rows.Err(), errByHand)
	}
	var (
		s      handSession
		u      handUser
		active bool
		avatar sql.RawBytes
	)
	if err := rows.Scan(&s.ID, &s.IP, &s.UserAgent, &s.LastUsedAt, &s.ExpiresAt, &s.CreatedAt, &active,
		&u.ID, &u.Name, &u.Email, &u.Role, &u.Provider, &avatar, &u.Verified, &u.LastLoginAt, &u.CreatedAt, &u.Deleted,
		&u.LockUntil); err != nil {
		return nil, nil, err
	}
	if err := u.decode(avatar); err != nil {
		return nil, nil, err
	}
	s.UserID = u.ID
	now := time.Now()
	if !active || !s.ExpiresAt.After(now) || !s.LastUsedAt.Add(day).After(now) || u.Deleted || u.LockUntil.Valid &&
		u.LockUntil.Time.After(now) {
		return nil, nil, errByHand
	}
	return &s, &u, rows.Close()
}

func (h *byHand) signInRead(ctx context.Context, email string) (*handUser, error) {
	rows, err := h.signIn.QueryContext(ctx, email)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, errors.Join(rows.Err(), errByHand)
	}
	var u handUser
	var avatar sql.RawBytes
	if err := rows.Scan(&u.ID, &u.CreatedAt, &u.UpdatedAt, &u.Name, &u.Email, &u.Password, &u.Role,
		&u.Provider, &u.ProviderID, &avatar,
		&u.Verified, &u.LastLoginAt, &u.Failed, &u.LockUntil, &u.Deleted, &u.DeletedAt, &u.ReactivateFrom); err != nil {
		return nil, err
	}
	if err := u.decode(avatar); err != nil {
		return nil, err
	}
	return &u, rows.Close()
}

//nolint:sqlclosecheck // the transaction closes its statements
func (h *byHand) signInWith(
	ctx context.Context, email, password string, d auth.Device,
) (token, refresh string, err error) {
	u, err := h.signInRead(ctx, email)
	if err != nil {
		return "", "", err
	}
	now := time.Now().UTC()
	if err := affected(h.count.ExecContext(ctx, now, u.ID, 1000, now, 10)); err != nil {
		return "", "", err
	}
	if ok, _, err := (digestHasher{}).Verify(password, u.Password.String); err != nil || !ok {
		return "", "", errors.Join(err, errByHand)
	}
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return "", "", err
	}
	defer tx.Rollback()
	in := func(stmt *sql.Stmt) *sql.Stmt { return tx.StmtContext(ctx, stmt) }
	if err := affected(in(h.renew).ExecContext(ctx, now, now, u.ID, u.Password.String, now)); err != nil {
		return "", "", err
	}
	family, end := draw(16), now.Add(30*day)
	token, refresh = draw(32), draw(32)
	if err := affected(in(h.addSession).ExecContext(ctx,
		now, now, u.ID, sum(token), d.IP, d.UserAgent, now, end, family, u.ID)); err != nil {
		return "", "", err
	}
	if err := affected(in(h.addRefresh).ExecContext(ctx, now, now, u.ID, sum(refresh), end, family, nil)); err != nil {
		return "", "", err
	}
	return token, refresh, tx.Commit()
}

func draw(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func affected(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != 1 {
		return errByHand
	}
	return err
}

//nolint:sqlclosecheck // the transaction closes its statements
func (h *byHand) rotateToken(ctx context.Context, token string) (string, *handUser, error) {
	var (
		u                  handUser
		avatar             []byte
		family, next, salt sql.NullString
		created, expires   time.Time
		revoked, live      bool
		revokedAt          sql.NullTime
	)
	hash := sum(token)
	if err := h.refresh.QueryRowContext(ctx, hash).Scan(
		&family, &created, &expires, &revoked, &revokedAt, &next, &salt, &live,
		&u.ID, &u.Name, &u.Email, &u.Role, &u.Provider, &avatar, &u.Verified, &u.LastLoginAt, &u.CreatedAt, &u.Deleted,
		&u.LockUntil); err != nil {
		return "", nil, err
	}
	if err := u.decode(avatar); err != nil {
		return "", nil, err
	}
	now := time.Now().UTC()
	if revoked || !expires.After(now) || !created.After(now.Add(-14*day)) || u.Deleted ||
		u.LockUntil.Valid && u.LockUntil.Time.After(now) {
		return "", nil, errByHand
	}
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", nil, err
	}
	drawn := base64.RawURLEncoding.EncodeToString(b[:])
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte("refresh\x00" + drawn + "\x00" + token))
	successor := base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return "", nil, err
	}
	defer tx.Rollback()
	in := func(stmt *sql.Stmt) *sql.Stmt { return tx.StmtContext(ctx, stmt) }
	if err := affected(in(h.rotate).ExecContext(ctx,
		now, now, sum(successor), family, now.Add(-10*time.Second), hash)); err != nil {
		return "", nil, err
	}
	if err := affected(in(h.addRefresh).ExecContext(ctx,
		now, now, u.ID, sum(successor), expires, family, drawn)); err != nil {
		return "", nil, err
	}
	return successor, &u, tx.Commit()
}

func (h *byHand) verifyCode(ctx context.Context, kind, ticket, code string) error {
	var (
		id             int
		attempts, most int32
		email, stored  string
		created        time.Time
	)
	ticket = sum(ticket)
	err := h.code.QueryRowContext(ctx, ticket, kind).Scan(&id, &email, &stored, &attempts, &most, &created)
	if err != nil {
		return err
	}
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte(kind + "\x00" + email + "\x00" + ticket + "\x00" + code))
	right := hmac.Equal([]byte(stored), []byte(hex.EncodeToString(m.Sum(nil))))
	now := time.Now().UTC()
	err = affected(h.use.ExecContext(ctx, now, right, sql.NullTime{Time: now, Valid: right}, id, now))
	if err == nil && !right {
		return errByHand
	}
	return err
}

// A hotPath is an operation in both ways.
type hotPath struct {
	name string
	// arm, where set, brings back what a call uses up.
	arm  func(ctx context.Context) error
	hand func(ctx context.Context) error
	ours func(ctx context.Context) error
	// allocations are what ours may cost beyond hand.
	allocations float64
}

func hotPaths(t testing.TB, url string) []hotPath {
	t.Helper()
	migratedtest.Apply(t, url)
	client, err := authgraph.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	key := []byte("0123456789abcdef0123456789abcdef")
	s, err := auth.New(client, auth.Config{
		Keys: auth.NewKeys(key), Hasher: digestHasher{}, Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close(context.Background())) })
	h := newByHand(t, url, key)
	db := mysqltest.DB(t, url)
	load(t, db)

	const email, lockedEmail = "ada@example.com", "locked@example.com"
	locked, _, err := s.Register(t.Context(), "Ada", lockedEmail, password)
	require.NoError(t, err)
	require.NoError(t, s.Suspend(t.Context(), locked.ID, time.Now().Add(day)))
	_, _, err = s.Register(t.Context(), "Ada", email, password)
	require.NoError(t, err)
	grant, err := s.SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	other, err := s.SignIn(t.Context(), email, password, device)
	require.NoError(t, err)
	issued, err := s.IssueCode(t.Context(), codeFor(email))
	require.NoError(t, err)
	var (
		token, hash = grant.Token.Reveal(), sum(grant.Token.Reveal())
		ticket      = issued.Ticket.Reveal()
		code        = issued.Code.Reveal()
		theirs      = other.Refresh.Reveal()
		ours        = grant.Refresh
	)
	checkByHand := func(ctx context.Context) error {
		_, _, err := h.checkSession(ctx, token)
		return err
	}
	return []hotPath{
		{
			name: "check a session",
			hand: checkByHand,
			ours: func(ctx context.Context) error {
				_, _, err := s.CheckSession(ctx, grant.Token)
				return err
			},
			allocations: 4,
		},
		{
			// A sign-in to a suspended account ends after its read, and two statements that match nothing. A hash is
			// compared all the same.
			name: "read for a sign-in",
			hand: func(ctx context.Context) error {
				u, err := h.signInRead(ctx, lockedEmail)
				if err != nil {
					return err
				}
				if !u.LockUntil.Valid || !u.LockUntil.Time.After(time.Now()) {
					return errByHand
				}
				_, _, err = digestHasher{}.Verify(password, u.Password.String)
				return err
			},
			ours: func(ctx context.Context) error {
				_, err := s.SignIn(ctx, lockedEmail, password, device)
				if errors.Is(err, auth.ErrCredentials) {
					return nil
				}
				return errors.Join(err, errByHand)
			},
			allocations: 75,
		},
		{
			name: "sign in",
			hand: func(ctx context.Context) error {
				_, _, err := h.signInWith(ctx, email, password, device)
				return err
			},
			ours: func(ctx context.Context) error {
				_, err := s.SignIn(ctx, email, password, device)
				return err
			},
			allocations: 75,
		},
		{
			name: "rotate",
			hand: func(ctx context.Context) (err error) {
				theirs, _, err = h.rotateToken(ctx, theirs)
				return err
			},
			ours: func(ctx context.Context) (err error) {
				ours, _, err = s.Rotate(ctx, ours)
				return err
			},
			allocations: 12,
		},
		{
			name: "verify a code",
			arm: func(ctx context.Context) error {
				_, err := db.ExecContext(ctx,
					`UPDATE otps SET is_used = false, used_at = NULL, attempts = 0 WHERE email = '`+email+`'`)
				return err
			},
			hand: func(ctx context.Context) error { return h.verifyCode(ctx, "signin", ticket, code) },
			ours: func(ctx context.Context) error {
				return s.VerifyCode(ctx, schematype.OTPSignIn, issued.Ticket, issued.Code)
			},
			allocations: 8,
		},
		// The typed client reads every column.
		{
			name: "a user, by the client",
			hand: func(ctx context.Context) error {
				_, err := h.signInRead(ctx, email)
				return err
			},
			ours: func(ctx context.Context) error {
				_, err := client.User.Query().Where(user.Email(email), user.IsDeleted(false)).Only(ctx)
				return err
			},
			allocations: 25,
		},
		{
			name: "a session with its user, by the client",
			hand: checkByHand,
			ours: func(ctx context.Context) error {
				_, err := client.Session.Query().Where(session.TokenHash(hash)).WithUser().Only(ctx)
				return err
			},
			allocations: 40,
		},
	}
}

// BenchmarkHotPaths takes the two ways in turns, each call by itself, so that what else the machine does falls on both.
// It reports the medians in µs and their ratio: go test -bench HotPaths -benchtime 3000x -run '^$' ./auth
func BenchmarkHotPaths(b *testing.B) {
	for _, p := range hotPaths(b, mysqltest.MySQL(b)) {
		b.Run(p.name, func(b *testing.B) {
			took := [2][]time.Duration{}
			for i := range b.N {
				for j := range 2 {
					way := (i + j) % 2 // either is the first as often as the other
					if p.arm != nil {
						require.NoError(b, p.arm(b.Context()))
					}
					call := []func(context.Context) error{p.hand, p.ours}[way]
					begun := time.Now()
					err := call(b.Context())
					took[way] = append(took[way], time.Since(begun))
					require.NoError(b, err)
				}
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2]) / float64(time.Microsecond)
			}
			hand, ours := median(took[0]), median(took[1])
			b.ReportMetric(hand, "µs-by-hand")
			b.ReportMetric(ours, "µs")
			b.ReportMetric(ours/hand, "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Not parallel, like all that count allocations: they count those of the whole process.
func TestHotPathsAllocateLittleMoreThanByHand(t *testing.T) {
	url := mysqltest.MySQL(t)
	mysqltest.NeedsPreparedStatements(t, url)
	for _, p := range hotPaths(t, url) {
		count := func(call func(context.Context) error) float64 {
			arming := 0.0
			arm := func() {}
			if p.arm != nil {
				arm = func() { require.NoError(t, p.arm(t.Context())) }
				arming = testing.AllocsPerRun(100, arm)
			}
			return testing.AllocsPerRun(100, func() {
				arm()
				require.NoError(t, call(t.Context()))
			}) - arming
		}
		hand, ours := count(p.hand), count(p.ours)
		t.Logf("%s: %.0f allocations, %.0f by hand", p.name, ours, hand)
		assert.LessOrEqual(t, ours, hand+p.allocations, p.name)
	}
}
