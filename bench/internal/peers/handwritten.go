package peers

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/stmtcache"
)

// opener opens a pool of connections, whose times are in UTC.
type opener func(url string, connections int) (*sql.DB, error)

var (
	asItComes    = pool(false, asItIs)
	interpolated = pool(true, asItIs)
	// cached is what the documentation of package stmtcache shows.
	cached = pool(true, func(c driver.Connector) driver.Connector { return stmtcache.New(c, stmtcache.Options{}) })
)

func asItIs(c driver.Connector) driver.Connector { return c }

// pool opens pools of the driver; interpolate has it escape arguments itself.
func pool(interpolate bool, over func(driver.Connector) driver.Connector) opener {
	return func(url string, connections int) (*sql.DB, error) {
		config, err := testserver.Config(url)
		if err != nil {
			return nil, err
		}
		config.InterpolateParams = interpolate
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, err
		}
		db := sql.OpenDB(over(connector))
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		return db, nil
	}
}

// The statements of a careful author: what is needed and no more.
const (
	checkQuery = `SELECT s.id, s.user_id, COALESCE(s.ip, ''), COALESCE(s.user_agent, ''), s.is_active,
		s.last_used_at, s.expires_at, s.created_at,
		u.id, u.name, u.email, u.role, u.provider, u.avatar, u.is_email_verified, u.last_login_at,
		u.created_at, u.is_deleted, u.lock_until, u.suspended_until
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = ?`
	findQuery = `SELECT id, created_at, updated_at, name, email, password, role, provider, provider_id, avatar,
		is_email_verified,
		last_login_at, failed_login_attempts, lock_until, is_deleted, deleted_at, re_activate_available_at,
		suspended_until, guess_failures, step_failures, trust_epoch, reset_by_mail
		FROM users WHERE email = ? AND is_deleted = 0`
	countGuess = `UPDATE users SET guess_failures = guess_failures + 1,
		failed_login_attempts = CASE WHEN lock_until IS NULL THEN failed_login_attempts + 1 ELSE 1 END,
		lock_until = NULL, updated_at = ? WHERE id = ? AND guess_failures < ?
		AND (lock_until <= ? OR lock_until IS NULL AND failed_login_attempts < ?)`
	renewUser = `UPDATE users SET updated_at = ?, last_login_at = ?, failed_login_attempts = 0, lock_until = NULL,
		guess_failures = CASE WHEN guess_failures > 0 THEN guess_failures - 1 ELSE 0 END
		WHERE id = ? AND password = ? AND is_deleted = 0 AND (suspended_until IS NULL OR suspended_until <= ?)
		AND (lock_until IS NULL OR lock_until <= ?)`
	addSession = `INSERT INTO sessions (user_id, token_hash, ip, user_agent, last_used_at, expires_at,
		created_at, updated_at, is_active, family, trust_epoch, device_failures)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, true, ?, (SELECT u.trust_epoch FROM users u WHERE u.id = ?), 0)`
	newestCode = `SELECT id, otp_hash_code, attempts, max_attempts FROM otps WHERE email = ? AND type = ?
		ORDER BY id DESC LIMIT 1`
	useCode = `UPDATE otps SET attempts = attempts + 1, is_used = ?, used_at = ?
		WHERE id = ? AND is_used = 0 AND expires_at > ? AND attempts < max_attempts`
	takeToken = `UPDATE refresh_tokens SET is_revoked = 1, revoked_at = ?, replaced_by_token_hash = ?
		WHERE token_hash = ? AND is_revoked = 0 AND expires_at > ? AND created_at > ?`
	tokenOwner = `SELECT t.expires_at, t.family, u.id, u.name, u.email, u.role, u.provider, u.avatar,
		u.is_email_verified, u.last_login_at, u.created_at,
		u.is_deleted, u.lock_until, u.suspended_until
		FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = ?`
	addToken = `INSERT INTO refresh_tokens (user_id, token_hash, expires_at, created_at, updated_at, is_revoked,
		grace_uses, family) VALUES (?, ?, ?, ?, ?, false, 0, ?)`
)

// statements runs the texts above, in a transaction where tx is not nil.
type statements interface {
	exec(ctx context.Context, tx *sql.Tx, query string, args ...any) (sql.Result, error)
	row(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row
}

type texts struct{ db *sql.DB }

func (t texts) exec(ctx context.Context, tx *sql.Tx, query string, args ...any) (sql.Result, error) {
	if tx != nil {
		return tx.ExecContext(ctx, query, args...)
	}
	return t.db.ExecContext(ctx, query, args...)
}

func (t texts) row(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row {
	if tx != nil {
		return tx.QueryRowContext(ctx, query, args...)
	}
	return t.db.QueryRowContext(ctx, query, args...)
}

// prepared are statements that were prepared once; database/sql prepares them again on each connection.
type prepared map[string]*sql.Stmt

func prepare(ctx context.Context, db *sql.DB, queries ...string) (prepared, error) {
	p := prepared{}
	for _, query := range queries {
		stmt, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // it lives as long as the pool
		if err != nil {
			return nil, err
		}
		p[query] = stmt
	}
	return p, nil
}

func (p prepared) stmt(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if tx != nil {
		return tx.StmtContext(ctx, p[query])
	}
	return p[query]
}

func (p prepared) exec(ctx context.Context, tx *sql.Tx, query string, args ...any) (sql.Result, error) {
	return p.stmt(ctx, tx, query).ExecContext(ctx, args...) //nolint:sqlclosecheck // it lives as long as the pool
}

func (p prepared) row(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row {
	return p.stmt(ctx, tx, query).QueryRowContext(ctx, args...) //nolint:sqlclosecheck // it lives as long as the pool
}

func openTexts(open opener) func(context.Context, string, int) (*Peer, error) {
	return func(_ context.Context, url string, connections int) (*Peer, error) {
		db, err := open(url, connections)
		if err != nil {
			return nil, err
		}
		return handwritten(db, texts{db}), nil
	}
}

func openPrepared(ctx context.Context, url string, connections int) (*Peer, error) {
	db, err := asItComes(url, connections)
	if err != nil {
		return nil, err
	}
	p, err := prepare(ctx, db, checkQuery, findQuery, countGuess, renewUser, addSession, newestCode, useCode, takeToken,
		tokenOwner, addToken)
	if err != nil {
		return nil, err
	}
	return handwritten(db, p), nil
}

const (
	sessionColumns = `s.id, s.created_at, s.updated_at, s.token_hash, s.ip, s.user_agent, s.is_active, s.last_used_at,
		s.expires_at, s.family, s.trust_epoch, s.device_failures, s.user_id`
	userColumns = `u.id, u.created_at, u.updated_at, u.name, u.email, u.password, u.role, u.provider, u.provider_id,
		u.avatar, u.is_email_verified, u.last_login_at, u.failed_login_attempts, u.lock_until, u.is_deleted,
		u.deleted_at, u.re_activate_available_at, u.suspended_until, u.guess_failures, u.step_failures, u.trust_epoch,
		u.reset_by_mail`
)

// openColumns reads the columns that the typed client reads, into the same fields.
func openColumns(ctx context.Context, url string, connections int) (*Peer, error) {
	db, err := asItComes(url, connections)
	if err != nil {
		return nil, err
	}
	const check = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = ?`
	const find = `SELECT ` + userColumns + ` FROM users u WHERE u.email = ? AND u.is_deleted = 0`
	p, err := prepare(ctx, db, check, find)
	if err != nil {
		return nil, err
	}
	fields := func(u *ent.User, avatar *[]byte) []any {
		return []any{
			&u.ID, &u.CreatedAt, &u.UpdatedAt, &u.Name, &u.Email, &u.Password, &u.Role, &u.Provider, &u.ProviderID,
			avatar, &u.IsEmailVerified, &u.LastLoginAt, &u.FailedLoginAttempts, &u.LockUntil, &u.IsDeleted,
			&u.DeletedAt, &u.ReActivateAvailableAt, &u.SuspendedUntil, &u.GuessFailures, &u.StepFailures,
			&u.TrustEpoch, &u.ResetByMail,
		}
	}
	decode := func(u *ent.User, avatar []byte) error {
		if len(avatar) == 0 {
			return nil
		}
		u.Avatar = new(schematype.Avatar)
		return u.Avatar.UnmarshalJSON(avatar)
	}
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			s, u, avatar := new(ent.Session), new(ent.User), []byte(nil)
			err := p.row(ctx, nil, check, hash(token)).Scan(append([]any{
				&s.ID, &s.CreatedAt, &s.UpdatedAt, &s.TokenHash, &s.IP, &s.UserAgent, &s.IsActive, &s.LastUsedAt,
				&s.ExpiresAt, &s.Family, &s.TrustEpoch, &s.DeviceFailures, &s.UserID,
			}, fields(u, &avatar)...)...)
			if err != nil {
				return Session{}, User{}, err
			}
			session, owner := entSession(s), entUser(u)
			return session, owner, errors.Join(decode(u, avatar), live(&session, &owner))
		},
		Find: func(ctx context.Context, email string) (User, error) {
			u, avatar := new(ent.User), []byte(nil)
			if err := p.row(ctx, nil, find, email).Scan(fields(u, &avatar)...); err != nil {
				return User{}, err
			}
			return entUser(u), decode(u, avatar)
		},
		Close: func() { db.Close() },
	}, nil
}

// find is the active user of an address.
func find(ctx context.Context, run statements, email string) (User, error) {
	var u User
	var provider string
	var password, providerID sql.NullString
	var avatar []byte
	var lastLogin, lockUntil, suspendedUntil, deletedAt, reactivate sql.NullTime
	var guesses, steps, epoch int32
	var resetByMail bool
	err := run.row(ctx, nil, findQuery, email).Scan(
		&u.ID, &u.CreatedAt, &u.Updated, &u.Name, &u.Email, &password, &u.Role, &provider, &providerID, &avatar,
		&u.Verified,
		&lastLogin, &u.FailedAttempts, &lockUntil, &u.Deleted, &deletedAt, &reactivate, &suspendedUntil,
		&guesses, &steps, &epoch, &resetByMail)
	u.Password, u.LastLogin = password.String, lastLogin.Time
	u.LockUntil, u.SuspendedUntil = lockUntil.Time, suspendedUntil.Time
	return u, err
}

func handwritten(db *sql.DB, run statements) *Peer {
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			var s Session
			var u User
			var provider string
			var avatar []byte
			var lastLogin, lockUntil, suspendedUntil sql.NullTime
			err := run.row(ctx, nil, checkQuery, hash(token)).Scan(
				&s.ID, &s.UserID, &s.IP, &s.UserAgent, &s.Active, &s.LastUsedAt, &s.ExpiresAt, &s.CreatedAt,
				&u.ID, &u.Name, &u.Email, &u.Role, &provider, &avatar, &u.Verified, &lastLogin,
				&u.CreatedAt, &u.Deleted, &lockUntil, &suspendedUntil)
			if err != nil {
				return s, u, err
			}
			u.LastLogin, u.LockUntil, u.SuspendedUntil = lastLogin.Time, lockUntil.Time, suspendedUntil.Time
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) { return find(ctx, run, email) },
		SignIn: func(ctx context.Context, email string) (int64, error) {
			u, err := find(ctx, run, email)
			if err != nil {
				return 0, err
			}
			now := time.Now()
			if !usable(&u, now) {
				return 0, errRefused
			}
			if err := one(run.exec(ctx, nil, countGuess, now, u.ID, maxGuesses, now, maxFailures)); err != nil {
				return 0, err
			}
			if u.Password != load.Password {
				return 0, errRefused
			}
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return 0, err
			}
			defer tx.Rollback()
			if err := one(run.exec(ctx, tx, renewUser, now, now, u.ID, u.Password, now, now)); err != nil {
				return 0, err
			}
			expires, family := now.Add(lifetime), newToken()[:22]
			if _, err := run.exec(ctx, tx, addSession, u.ID, hash(newToken()), "203.0.113.7", load.UserAgent, now,
				expires, now, now, family, u.ID); err != nil {
				return 0, err
			}
			if _, err := run.exec(ctx, tx, addToken, u.ID, hash(newToken()), expires, now, now, family); err != nil {
				return 0, err
			}
			return u.ID, tx.Commit()
		},
		Verify: func(ctx context.Context, email, code string) error {
			var id int64
			var stored string
			var attempts, limit int32
			if err := run.row(ctx, nil, newestCode, email, "signin").Scan(&id, &stored, &attempts, &limit); err != nil {
				return err
			}
			now, right := time.Now(), codeMatches(stored, email, code)
			err := one(run.exec(ctx, nil, useCode, right, sql.NullTime{Time: now, Valid: right}, id, now))
			return decide(right, err)
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return "", err
			}
			defer tx.Rollback()
			old, next, now := hash(token), newToken(), time.Now()
			nextHash := hash(next)
			if err := one(run.exec(ctx, tx, takeToken, now, nextHash, old, now, now.Add(-idle))); err != nil {
				return "", err
			}
			var u User
			var expires time.Time
			var family *string
			var provider string
			var avatar []byte
			var lastLogin, lockUntil, suspendedUntil sql.NullTime
			if err := run.row(ctx, tx, tokenOwner, old).Scan(&expires, &family,
				&u.ID, &u.Name, &u.Email, &u.Role, &provider, &avatar, &u.Verified, &lastLogin,
				&u.CreatedAt, &u.Deleted, &lockUntil, &suspendedUntil); err != nil {
				return "", err
			}
			u.LockUntil, u.SuspendedUntil = lockUntil.Time, suspendedUntil.Time
			if !usable(&u, now) {
				return "", errRefused
			}
			if _, err := run.exec(ctx, tx, addToken, u.ID, nextHash, expires, now, now, family); err != nil {
				return "", err
			}
			return next, tx.Commit()
		},
		Close: func() { db.Close() },
	}
}

// one is the decision by a conditional write.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != 1 {
		err = errRefused
	}
	return err
}
