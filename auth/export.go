package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
)

// Export is all that the tables hold of a person but secrets, as they are at one moment: no hash of a password, of a
// code or of a token. As JSON it has the names of the columns. Times are UTC, to the microsecond.
type Export struct {
	User          ExportedUser      `json:"user"`
	Sessions      []ExportedSession `json:"sessions"`
	RefreshTokens []ExportedRefresh `json:"refresh_tokens"`
	// OTPs are the codes that were mailed to the address, whoever asked for them, and those that the account asked for.
	OTPs []ExportedOTP `json:"otps"`
}

// ExportedUser is the row of the account. What its table has no column for is left out, and so are columns that are the
// project's own.
type ExportedUser struct {
	ID                    UserID             `json:"id"`
	CreatedAt             time.Time          `json:"created_at"`
	Name                  string             `json:"name,omitempty"`
	Email                 string             `json:"email"`
	HasPassword           bool               `json:"has_password"`
	Role                  string             `json:"role,omitempty"`
	Provider              string             `json:"provider,omitempty"`
	ProviderID            *string            `json:"provider_id,omitempty"`
	Avatar                *schematype.Avatar `json:"avatar,omitempty"`
	IsEmailVerified       bool               `json:"is_email_verified"`
	LastLoginAt           *time.Time         `json:"last_login_at,omitempty"`
	FailedLoginAttempts   int32              `json:"failed_login_attempts"`
	LockUntil             *time.Time         `json:"lock_until,omitempty"`
	IsDeleted             bool               `json:"is_deleted"`
	DeletedAt             *time.Time         `json:"deleted_at,omitempty"`
	ReActivateAvailableAt *time.Time         `json:"re_activate_available_at,omitempty"`
	SuspendedUntil        *time.Time         `json:"suspended_until,omitempty"`
	GuessFailures         int32              `json:"guess_failures"`
	StepFailures          int32              `json:"step_failures"`
	TrustEpoch            int32              `json:"trust_epoch"`
	ResetByMail           bool               `json:"reset_by_mail"`
}

// ExportedSession is a row of sessions.
type ExportedSession struct {
	ID             int       `json:"id"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	IP             *string   `json:"ip,omitempty"`
	UserAgent      *string   `json:"user_agent,omitempty"`
	IsActive       bool      `json:"is_active"`
	LastUsedAt     time.Time `json:"last_used_at"`
	ExpiresAt      time.Time `json:"expires_at"`
	Family         *string   `json:"family,omitempty"`
	TrustEpoch     *int32    `json:"trust_epoch,omitempty"`
	DeviceFailures int32     `json:"device_failures"`
}

// ExportedRefresh is a row of refresh_tokens.
type ExportedRefresh struct {
	ID        int        `json:"id"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	IsRevoked bool       `json:"is_revoked"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// Exchanged is whether another token took its place, whose hash the row has.
	Exchanged bool    `json:"exchanged"`
	GraceUses int32   `json:"grace_uses"`
	Family    *string `json:"family,omitempty"`
}

// ExportedOTP is a row of otps.
type ExportedOTP struct {
	ID                  int                      `json:"id"`
	CreatedAt           time.Time                `json:"created_at"`
	UpdatedAt           time.Time                `json:"updated_at"`
	Email               string                   `json:"email"`
	Type                schematype.OTPType       `json:"type"`
	NextResendAllowedAt time.Time                `json:"next_resend_allowed_at"`
	ExpiresAt           time.Time                `json:"expires_at"`
	IsUsed              bool                     `json:"is_used"`
	UsedAt              *time.Time               `json:"used_at,omitempty"`
	Attempts            int32                    `json:"attempts"`
	MaxAttempts         int32                    `json:"max_attempts"`
	OriginHash          *string                  `json:"origin_hash,omitempty"`
	IsKnownDevice       bool                     `json:"is_known_device"`
	IsLink              bool                     `json:"is_link"`
	RequestedBy         *UserID                  `json:"requested_by,omitempty"`
	FirstStep           *schematype.OTPFirstStep `json:"first_step,omitempty"`
	TrustEpoch          *int32                   `json:"trust_epoch,omitempty"`
}

// Export reads what the tables hold of a person, in one transaction. The error is [ErrNotFound] if there is no such
// user.
func (o *Operator) Export(ctx context.Context, userID UserID) (e *Export, err error) {
	err = o.s.tx(ctx, func(ctx context.Context, tx *ent.Client) (err error) {
		e, err = export(ctx, tx, userID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func export(ctx context.Context, tx *ent.Client, id UserID) (*Export, error) {
	u, err := readUser(ctx, tx, is(graph.ID, id))
	switch {
	case err != nil:
		return nil, fmt.Errorf("export an account: %w", err)
	case u == nil:
		return nil, ErrNotFound
	}
	e := &Export{
		User:     exportedUser(u),
		Sessions: []ExportedSession{}, RefreshTokens: []ExportedRefresh{}, OTPs: []ExportedOTP{},
	}
	sessions, err := tx.Session.Query().Where(session.UserID(id)).Order(ent.Asc(session.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("export sessions: %w", err)
	}
	for _, r := range sessions {
		e.Sessions = append(e.Sessions, ExportedSession{
			ID: r.ID, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), IP: r.IP, UserAgent: r.UserAgent,
			IsActive: r.IsActive, LastUsedAt: r.LastUsedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), Family: r.Family,
			TrustEpoch: r.TrustEpoch, DeviceFailures: r.DeviceFailures,
		})
	}
	tokens, err := tx.RefreshToken.Query().Where(refreshtoken.UserID(id)).Order(ent.Asc(refreshtoken.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("export refresh tokens: %w", err)
	}
	for _, r := range tokens {
		e.RefreshTokens = append(e.RefreshTokens, ExportedRefresh{
			ID: r.ID, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
			IsRevoked: r.IsRevoked, RevokedAt: utcOf(r.RevokedAt), Exchanged: r.ReplacedByTokenHash != nil,
			GraceUses: r.GraceUses, Family: r.Family,
		})
	}
	seen := map[int]bool{}
	for _, which := range codesOfUser(u) {
		codes, err := tx.OTP.Query().Where(which).Order(ent.Asc(otp.FieldID)).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("export codes: %w", err)
		}
		for _, r := range codes {
			if !seen[r.ID] {
				seen[r.ID], e.OTPs = true, append(e.OTPs, exportedOTP(r))
			}
		}
	}
	return e, nil
}

func exportedUser(u *graph.Account) ExportedUser {
	shown := userOf(u) // without what stands for nothing
	return ExportedUser{
		ID: u.ID, CreatedAt: u.CreatedAt, Name: u.Name, Email: u.Email, HasPassword: u.Password != nil,
		Role: string(u.Role), Provider: string(u.Provider), ProviderID: u.ProviderID, Avatar: shown.Avatar,
		IsEmailVerified: u.IsEmailVerified, LastLoginAt: shown.LastLoginAt,
		FailedLoginAttempts: u.FailedLoginAttempts, LockUntil: u.LockUntil, IsDeleted: u.IsDeleted,
		DeletedAt: u.DeletedAt, ReActivateAvailableAt: u.ReActivateAvailableAt, SuspendedUntil: u.SuspendedUntil,
		GuessFailures: u.GuessFailures, StepFailures: u.StepFailures, TrustEpoch: u.TrustEpoch,
		ResetByMail: u.ResetByMail,
	}
}

func exportedOTP(r *ent.OTP) ExportedOTP {
	return ExportedOTP{
		ID: r.ID, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), Email: r.Email, Type: r.Type,
		NextResendAllowedAt: r.NextResendAllowedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), IsUsed: r.IsUsed,
		UsedAt: utcOf(r.UsedAt), Attempts: r.Attempts, MaxAttempts: r.MaxAttempts, OriginHash: r.OriginHash,
		IsKnownDevice: r.IsKnownDevice, IsLink: r.IsLink, RequestedBy: r.RequestedBy, FirstStep: r.FirstStep,
		TrustEpoch: r.TrustEpoch,
	}
}

// utcOf is a time that may be nil, in UTC.
func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
