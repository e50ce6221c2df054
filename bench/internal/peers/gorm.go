package peers

import (
	"context"
	"time"

	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/authgraph/authgraph/internal/testserver"
)

// The models of GORM and Bun.

type userRow struct {
	ID                    int64 `bun:",pk,autoincrement"`
	CreatedAt             time.Time
	UpdatedAt             time.Time
	Name                  string
	Email                 string
	Password              *string
	Role                  string
	Provider              string
	ProviderID            *string
	Avatar                []byte
	IsEmailVerified       bool
	LastLoginAt           *time.Time
	FailedLoginAttempts   int32
	LockUntil             *time.Time
	IsDeleted             bool
	DeletedAt             *time.Time
	ReActivateAvailableAt *time.Time
	SuspendedUntil        *time.Time
}

func (u *userRow) user() User {
	return User{
		ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Verified: u.IsEmailVerified, Deleted: u.IsDeleted,
		CreatedAt: u.CreatedAt, LockUntil: deref(u.LockUntil), SuspendedUntil: deref(u.SuspendedUntil),
		Password:       deref(u.Password),
		FailedAttempts: u.FailedLoginAttempts, LastLogin: deref(u.LastLoginAt), Updated: u.UpdatedAt,
	}
}

type gormUser userRow

func (gormUser) TableName() string { return "users" }

type gormSession struct {
	ID         int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
	TokenHash  string
	IP         *string
	UserAgent  *string
	IsActive   bool
	LastUsedAt time.Time
	ExpiresAt  time.Time
	UserID     int64
	User       gormUser
}

func (gormSession) TableName() string { return "sessions" }

type gormCode struct {
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

func (gormCode) TableName() string { return "otps" }

type gormToken struct {
	ID                  int64
	CreatedAt           time.Time
	UpdatedAt           time.Time
	TokenHash           string
	ExpiresAt           time.Time
	IsRevoked           bool
	RevokedAt           *time.Time
	ReplacedByTokenHash *string
	GraceUses           int32
	UserID              int64
	User                gormUser
}

func (gormToken) TableName() string { return "refresh_tokens" }

func openGorm(_ context.Context, url string, connections int) (*Peer, error) {
	dsn, err := testserver.Config(url)
	if err != nil {
		return nil, err
	}
	return gormPeer(mysql.Open(dsn.FormatDSN()), connections, &gorm.Config{})
}

// openGormPrepared is what GORM's page on performance advises.
func openGormPrepared(_ context.Context, url string, connections int) (*Peer, error) {
	dsn, err := testserver.Config(url)
	if err != nil {
		return nil, err
	}
	return gormPeer(mysql.Open(dsn.FormatDSN()), connections,
		&gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true})
}

func openGormCached(_ context.Context, url string, connections int) (*Peer, error) {
	db, err := cached(url, connections)
	if err != nil {
		return nil, err
	}
	return gormPeer(mysql.New(mysql.Config{Conn: db}), connections, &gorm.Config{})
}

func gormPeer(dialector gorm.Dialector, connections int, config *gorm.Config) (*Peer, error) {
	config.Logger = logger.Discard
	db, err := gorm.Open(dialector, config)
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			var r gormSession
			if err := db.WithContext(ctx).Joins("User").Where("sessions.token_hash = ?",
				hash(token)).Take(&r).Error; err != nil {
				return Session{}, User{}, err
			}
			s := Session{
				ID: r.ID, UserID: r.UserID, IP: deref(r.IP), UserAgent: deref(r.UserAgent), Active: r.IsActive,
				LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt,
			}
			u := (*userRow)(&r.User).user()
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) {
			var r gormUser
			err := db.WithContext(ctx).Where("email = ? AND is_deleted = ?", email, false).Take(&r).Error
			return (*userRow)(&r).user(), err
		},
		Verify: func(ctx context.Context, email, code string) error {
			var row gormCode
			if err := db.WithContext(ctx).Where("email = ? AND type = ?", email,
				"signin").Order("id DESC").Take(&row).Error; err != nil {
				return err
			}
			now, right := time.Now(), codeMatches(row.OtpHashCode, email, code)
			set := map[string]any{"attempts": gorm.Expr("attempts + 1"), "is_used": right}
			if right {
				set["used_at"] = now
			}
			r := db.WithContext(ctx).Model(&gormCode{}).
				Where("id = ? AND is_used = ? AND expires_at > ? AND attempts < max_attempts", row.ID, false, now).
				Updates(set)
			if r.Error != nil || r.RowsAffected != 1 {
				return refused(r.Error)
			}
			return decide(right, nil)
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			old, next, now := hash(token), newToken(), time.Now()
			err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				r := tx.Model(&gormToken{}).
					Where("token_hash = ? AND is_revoked = ? AND expires_at > ? AND created_at > ?", old, false, now,
						now.Add(-idle)).
					Updates(map[string]any{"is_revoked": true, "revoked_at": now, "replaced_by_token_hash": hash(next)})
				if r.Error != nil || r.RowsAffected != 1 {
					return refused(r.Error)
				}
				var t gormToken
				if err := tx.Joins("User").Where("refresh_tokens.token_hash = ?", old).Take(&t).Error; err != nil {
					return err
				}
				if u := (*userRow)(&t.User).user(); !usable(&u, now) {
					return errRefused
				}
				return tx.Omit(clause.Associations).
					Create(&gormToken{UserID: t.UserID, TokenHash: hash(next), ExpiresAt: t.ExpiresAt}).Error
			})
			return next, err
		},
		Close: func() { pool.Close() },
	}, nil
}
