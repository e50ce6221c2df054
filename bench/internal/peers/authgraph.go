package peers

import (
	"context"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/ent/user"
)

// AuthConfig is the configuration of package auth. It writes last_used_at once in 15 days and so never here, where no
// peer does, and purges sessions at their end; the other limits are those of [live].
func AuthConfig() auth.Config {
	return auth.Config{
		Keys:    auth.NewKeys(load.Key),
		Session: auth.SessionPolicy{Idle: idle, TouchInterval: idle / 2, Remember: time.Second},
		Refresh: auth.RefreshPolicy{Idle: idle, Absolute: lifetime},
		Hasher:  plainText{},
		Hashing: auth.HashingPolicy{Floor: auth.NoFloor},
	}
}

// plainText takes the stored hash for the password.
type plainText struct{}

// Hash leaves out what the column of a hash does not hold.
func (plainText) Hash(password string) (string, error) {
	return strings.ReplaceAll(password, " ", "-"), nil
}

func (plainText) Reads(string) bool { return true }

func (plainText) Verify(password, hash string) (ok, weak bool, err error) {
	return password == hash, false, nil
}

// device is where the requests come from.
var device = auth.Device{IP: "203.0.113.7", UserAgent: load.UserAgent}

// openAuth is package auth over the client that Open gives.
func openAuth(ctx context.Context, url string, connections int) (*Peer, error) {
	client, err := authgraph.Open(ctx, url,
		authgraph.WithPool(authgraph.Pool{MaxOpen: connections, MaxLifetime: time.Hour}))
	if err != nil {
		return nil, err
	}
	svc, err := auth.New(client, AuthConfig())
	if err != nil {
		return nil, err
	}
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			s, u, err := svc.CheckSession(ctx, auth.ParseToken(token))
			if err != nil {
				return Session{}, User{}, err
			}
			return Session{
					ID: int64(s.ID), UserID: int64(s.UserID), IP: s.IP, UserAgent: s.UserAgent, Active: true,
					LastUsedAt: s.LastUsedAt, ExpiresAt: s.ExpiresAt, CreatedAt: s.CreatedAt,
				}, User{
					ID: int64(u.ID), Name: u.Name, Email: u.Email, Role: string(u.Role), Verified: u.EmailVerified,
					CreatedAt: u.CreatedAt,
				}, nil
		},
		SignIn: func(ctx context.Context, email string) (int64, error) {
			g, err := svc.SignIn(ctx, email, load.Password, device)
			if err != nil {
				return 0, err
			}
			return int64(g.User.ID), nil
		},
		Verify: func(ctx context.Context, email, code string) error {
			return svc.VerifyCode(ctx, schematype.OTPSignIn, auth.ParseToken(email), auth.ParseCode(code))
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			next, _, err := svc.Rotate(ctx, auth.ParseToken(token))
			if err != nil {
				return "", err
			}
			return next.Reveal(), nil
		},
		Close: func() { _ = client.Close() },
	}, nil
}

// openClient is the typed client that Open gives.
func openClient(ctx context.Context, url string, connections int) (*Peer, error) {
	client, err := authgraph.Open(ctx, url,
		authgraph.WithPool(authgraph.Pool{MaxOpen: connections, MaxLifetime: time.Hour}))
	if err != nil {
		return nil, err
	}
	return entPeer(client, lookups{session.TokenHash, user.Email, refreshtoken.TokenHash}), nil
}

// openEnt is the same generated client over Ent's own driver, with the predicates that Ent generates by itself. Package
// entfast leaves queries with them to Ent.
func openEnt(open opener) func(context.Context, string, int) (*Peer, error) {
	return func(_ context.Context, url string, connections int) (*Peer, error) {
		db, err := open(url, connections)
		if err != nil {
			return nil, err
		}
		return entPeer(ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, db))), lookups{
			session: func(hash string) predicate.Session { return entsql.FieldEQ(session.FieldTokenHash, hash) },
			user:    func(email string) predicate.User { return entsql.FieldEQ(user.FieldEmail, email) },
			refresh: func(hash string) predicate.RefreshToken {
				return entsql.FieldEQ(refreshtoken.FieldTokenHash, hash)
			},
		}), nil
	}
}

// lookups are the predicates that find the row of a key.
type lookups struct {
	session func(hash string) predicate.Session
	user    func(email string) predicate.User
	refresh func(hash string) predicate.RefreshToken
}

func entPeer(client *ent.Client, by lookups) *Peer {
	return &Peer{
		Check: func(ctx context.Context, token string) (Session, User, error) {
			e, err := client.Session.Query().Where(by.session(hash(token))).WithUser().Only(ctx)
			if err != nil {
				return Session{}, User{}, err
			}
			s, u := entSession(e), entUser(e.Edges.User)
			return s, u, live(&s, &u)
		},
		Find: func(ctx context.Context, email string) (User, error) {
			e, err := client.User.Query().Where(by.user(email), user.IsDeleted(false)).Only(ctx)
			if err != nil {
				return User{}, err
			}
			return entUser(e), nil
		},
		Verify: func(ctx context.Context, email, code string) error {
			row, err := client.OTP.Query().Where(otp.Email(email),
				otp.TypeEQ(schematype.OTPSignIn)).Order(ent.Desc(otp.FieldID)).First(ctx)
			if err != nil {
				return err
			}
			now, right := time.Now(), codeMatches(row.OtpHashCode, email, code)
			update := client.OTP.Update().
				Where(otp.ID(row.ID), otp.IsUsed(false), otp.ExpiresAtGT(now), func(s *entsql.Selector) {
					s.Where(entsql.ColumnsLT(s.C(otp.FieldAttempts), s.C(otp.FieldMaxAttempts)))
				}).
				AddAttempts(1)
			if right {
				update.SetIsUsed(true).SetUsedAt(now)
			}
			if n, err := update.Save(ctx); err != nil || n != 1 {
				return refused(err)
			}
			return decide(right, nil)
		},
		Rotate: func(ctx context.Context, token string) (string, error) {
			tx, err := client.Tx(ctx)
			if err != nil {
				return "", err
			}
			defer func() { _ = tx.Rollback() }()
			old, next, now := hash(token), newToken(), time.Now()
			n, err := tx.RefreshToken.Update().
				Where(refreshtoken.TokenHash(old), refreshtoken.IsRevoked(false), refreshtoken.ExpiresAtGT(now),
					refreshtoken.CreatedAtGT(now.Add(-idle))).
				SetIsRevoked(true).SetRevokedAt(now).SetReplacedByTokenHash(hash(next)).
				Save(ctx)
			if err != nil || n != 1 {
				return "", refused(err)
			}
			t, err := tx.RefreshToken.Query().Where(by.refresh(old)).WithUser().Only(ctx)
			if err != nil {
				return "", err
			}
			if u := entUser(t.Edges.User); !usable(&u, now) {
				return "", errRefused
			}
			if err := tx.RefreshToken.Create().SetUserID(t.UserID).SetTokenHash(hash(next)).SetExpiresAt(t.ExpiresAt).
				Exec(ctx); err != nil {
				return "", err
			}
			return next, tx.Commit()
		},
		Close: func() { _ = client.Close() },
	}
}

func entSession(e *ent.Session) Session {
	return Session{
		ID: int64(e.ID), UserID: int64(e.UserID), IP: deref(e.IP), UserAgent: deref(e.UserAgent), Active: e.IsActive,
		LastUsedAt: e.LastUsedAt, ExpiresAt: e.ExpiresAt, CreatedAt: e.CreatedAt,
	}
}

func entUser(e *ent.User) User {
	return User{
		ID: int64(e.ID), Name: e.Name, Email: e.Email, Role: string(e.Role), Verified: e.IsEmailVerified,
		Deleted:   e.IsDeleted,
		CreatedAt: e.CreatedAt, LockUntil: deref(e.LockUntil), SuspendedUntil: deref(e.SuspendedUntil),
		Password:       deref(e.Password),
		FailedAttempts: e.FailedLoginAttempts, LastLogin: deref(e.LastLoginAt), Updated: e.UpdatedAt,
	}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// refused is err, or the decision where there is none.
func refused(err error) error {
	if err != nil {
		return err
	}
	return errRefused
}
