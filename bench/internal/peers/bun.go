package peers

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
)

type bunUser struct {
	bun.BaseModel `bun:"table:users"`
	userRow
}

type bunSession struct {
	bun.BaseModel `bun:"table:sessions"`

	ID         int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
	TokenHash  string
	IP         *string `bun:"ip"`
	UserAgent  *string
	IsActive   bool
	LastUsedAt time.Time
	ExpiresAt  time.Time
	UserID     int64
	User       *bunUser `bun:"rel:belongs-to,join:user_id=id"`
}

func (r *bunSession) session() Session {
	return Session{
		ID: r.ID, UserID: r.UserID, IP: deref(r.IP), UserAgent: deref(r.UserAgent), Active: r.IsActive,
		LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt,
	}
}

type bunCode struct {
	bun.BaseModel `bun:"table:otps"`

	ID                  int64
	CreatedAt           time.Time
	UpdatedAt           time.Time
	Email               string
	OtpHashCode         string
	NextResendAllowedAt time.Time
	Type                string
	ExpiresAt           time.Time
	IsUsed              bool
	UsedAt              *time.Time
	Attempts            int32
	MaxAttempts         int32
}

type bunToken struct {
	bun.BaseModel `bun:"table:refresh_tokens"`

	ID                  int64     `bun:",pk,autoincrement"`
	CreatedAt           time.Time `bun:",nullzero,default:current_timestamp(6)"`
	UpdatedAt           time.Time `bun:",nullzero,default:current_timestamp(6)"`
	TokenHash           string
	ExpiresAt           time.Time
	IsRevoked           bool
	RevokedAt           *time.Time
	ReplacedByTokenHash *string
	GraceUses           int32
	UserID              int64
	User                *bunUser `bun:"rel:belongs-to,join:user_id=id"`
}

func openBun(_ context.Context, url string, connections int) (*Peer, error) {
	pool, err := asItComes(url, connections)
	if err != nil {
		return nil, err
	}
	db := bun.NewDB(pool, mysqldialect.New())
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			var r bunSession
			if err := db.NewSelect().Model(&r).Relation("User").Where("bun_session.token_hash = ?",
				hash(token)).Scan(ctx); err != nil {
				return Session{}, User{}, err
			}
			s, u := r.session(), r.User.user()
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) {
			var r bunUser
			err := db.NewSelect().Model(&r).Where("email = ? AND is_deleted = ?", email, false).Scan(ctx)
			return r.user(), err
		},
		Verify: func(ctx context.Context, email, code string) error {
			var row bunCode
			if err := db.NewSelect().Model(&row).Where("email = ? AND type = ?", email,
				"signin").Order("id DESC").Limit(1).Scan(ctx); err != nil {
				return err
			}
			now, right := time.Now(), codeMatches(row.OtpHashCode, email, code)
			update := db.NewUpdate().Model((*bunCode)(nil)).Set("attempts = attempts + 1").
				Where("id = ? AND is_used = ? AND expires_at > ? AND attempts < max_attempts", row.ID, false, now)
			if right {
				update.Set("is_used = ?", true).Set("used_at = ?", now)
			}
			return decide(right, one(update.Exec(ctx)))
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			old, next, now := hash(token), newToken(), time.Now()
			err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if err := one(tx.NewUpdate().Model((*bunToken)(nil)).
					Set("is_revoked = ?", true).Set("revoked_at = ?", now).Set("replaced_by_token_hash = ?",
					hash(next)).
					Where("token_hash = ? AND is_revoked = ? AND expires_at > ? AND created_at > ?", old, false, now,
						now.Add(-idle)).
					Exec(ctx)); err != nil {
					return err
				}
				var t bunToken
				if err := tx.NewSelect().Model(&t).Relation("User").Where("bun_token.token_hash = ?",
					old).Scan(ctx); err != nil {
					return err
				}
				if u := t.User.user(); !usable(&u, now) {
					return errRefused
				}
				_, err := tx.NewInsert().Model(&bunToken{UserID: t.UserID, TokenHash: hash(next),
					ExpiresAt: t.ExpiresAt}).Exec(ctx)
				return err
			})
			return next, err
		},
		Close: func() { db.Close() },
	}, nil
}

// openBunScan has Bun write each text once, with question marks for the arguments, which it would write into the text.
// Database/sql sends the arguments, and Bun scans the rows.
func openBunScan(_ context.Context, url string, connections int) (*Peer, error) {
	pool, err := cached(url, connections)
	if err != nil {
		return nil, err
	}
	db := bun.NewDB(pool, mysqldialect.New())
	mark := bun.Safe("?")
	check := db.NewSelect().Model((*bunSession)(nil)).Relation("User").
		Where("bun_session.token_hash = ?", mark).String()
	find := db.NewSelect().Model((*bunUser)(nil)).Where("email = ? AND is_deleted = ?", mark, mark).String()
	read := func(ctx context.Context, dest any, query string, args ...any) error {
		rows, err := db.DB.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		return errors.Join(db.ScanRows(ctx, rows, dest), rows.Err())
	}
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			var r bunSession
			if err := read(ctx, &r, check, hash(token)); err != nil {
				return Session{}, User{}, err
			}
			if r.User == nil {
				return Session{}, User{}, errRefused
			}
			s, u := r.session(), r.User.user()
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) {
			var r bunUser
			err := read(ctx, &r, find, email, false)
			if r.ID == 0 {
				return User{}, refused(err)
			}
			return r.user(), err
		},
		Close: func() { db.Close() },
	}, nil
}
