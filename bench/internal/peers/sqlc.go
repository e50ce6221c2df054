package peers

import (
	"context"
	"database/sql"
	"time"

	"github.com/authgraph/authgraph/bench/internal/peers/sqlcgen"
)

func openSqlc(open opener) func(context.Context, string, int) (*Peer, error) {
	return func(_ context.Context, url string, connections int) (*Peer, error) {
		db, err := open(url, connections)
		if err != nil {
			return nil, err
		}
		return sqlcPeer(db, sqlcgen.New(db)), nil
	}
}

func openSqlcPrepared(ctx context.Context, url string, connections int) (*Peer, error) {
	db, err := asItComes(url, connections)
	if err != nil {
		return nil, err
	}
	q, err := sqlcgen.Prepare(ctx, db)
	if err != nil {
		return nil, err
	}
	return sqlcPeer(db, q), nil
}

func sqlcPeer(db *sql.DB, q *sqlcgen.Queries) *Peer {
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			r, err := q.CheckSession(ctx, hash(token))
			if err != nil {
				return Session{}, User{}, err
			}
			s := Session{
				ID: r.ID, UserID: r.UserID, IP: r.Ip.String, UserAgent: r.UserAgent.String, Active: r.IsActive,
				LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt,
			}
			u := User{
				ID: r.UserID, Name: r.Name, Email: r.Email, Role: string(r.Role), Verified: r.IsEmailVerified,
				Deleted:   r.IsDeleted,
				CreatedAt: r.UserCreatedAt, LockUntil: r.LockUntil.Time, SuspendedUntil: r.SuspendedUntil.Time,
				LastLogin: r.LastLoginAt.Time,
			}
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) {
			r, err := q.FindUser(ctx, email)
			return User{
				ID: r.ID, Name: r.Name, Email: r.Email, Role: string(r.Role), Verified: r.IsEmailVerified,
				Deleted:   r.IsDeleted,
				CreatedAt: r.CreatedAt, LockUntil: r.LockUntil.Time, SuspendedUntil: r.SuspendedUntil.Time,
				Password:       r.Password.String,
				FailedAttempts: r.FailedLoginAttempts, LastLogin: r.LastLoginAt.Time, Updated: r.UpdatedAt,
			}, err
		},
		Verify: func(ctx context.Context, email, code string) error {
			row, err := q.NewestCode(ctx, sqlcgen.NewestCodeParams{Email: email, Type: sqlcgen.OtpsTypeSignin})
			if err != nil {
				return err
			}
			now, right := time.Now(), codeMatches(row.OtpHashCode, email, code)
			n, err := q.UseCode(ctx, sqlcgen.UseCodeParams{
				RightOne: right, UsedAt: sql.NullTime{Time: now, Valid: right}, ID: row.ID, Now: now,
			})
			if err != nil || n != 1 {
				return refused(err)
			}
			return decide(right, nil)
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return "", err
			}
			defer tx.Rollback()
			q := q.WithTx(tx)
			old, next, now := hash(token), newToken(), time.Now()
			n, err := q.TakeRefreshToken(ctx, sqlcgen.TakeRefreshTokenParams{
				RevokedAt: sql.NullTime{Time: now, Valid: true}, NextHash: sql.NullString{String: hash(next),
					Valid: true},
				TokenHash: old, Now: now, IdleSince: now.Add(-idle),
			})
			if err != nil || n != 1 {
				return "", refused(err)
			}
			r, err := q.RefreshTokenOwner(ctx, old)
			if err != nil {
				return "", err
			}
			u := User{Deleted: r.IsDeleted, LockUntil: r.LockUntil.Time, SuspendedUntil: r.SuspendedUntil.Time}
			if !usable(&u, now) {
				return "", errRefused
			}
			if err := q.AddRefreshToken(ctx, sqlcgen.AddRefreshTokenParams{
				UserID: r.ID, TokenHash: hash(next), ExpiresAt: r.ExpiresAt, CreatedAt: now,
			}); err != nil {
				return "", err
			}
			return next, tx.Commit()
		},
		Close: func() { db.Close() },
	}
}
