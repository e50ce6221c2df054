package graph

import (
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/user"
)

// UserID is the type of a user's id.
type UserID = int

// UserCreate is Ent's builder of a user.
type UserCreate = ent.UserCreate

// Table holds the users.
const Table = user.Table

// The columns of Table that package auth writes and looks users up by. An empty one is absent: it is not written, and
// what needs it is refused with an error.
const (
	ID                    = user.FieldID
	CreatedAt             = user.FieldCreatedAt
	UpdatedAt             = user.FieldUpdatedAt
	Name                  = user.FieldName
	Email                 = user.FieldEmail
	Password              = user.FieldPassword
	Role                  = user.FieldRole
	Provider              = user.FieldProvider
	ProviderID            = user.FieldProviderID
	Avatar                = user.FieldAvatar
	IsEmailVerified       = user.FieldIsEmailVerified
	LastLoginAt           = user.FieldLastLoginAt
	FailedLoginAttempts   = user.FieldFailedLoginAttempts
	LockUntil             = user.FieldLockUntil
	IsDeleted             = user.FieldIsDeleted
	DeletedAt             = user.FieldDeletedAt
	ReActivateAvailableAt = user.FieldReActivateAvailableAt
	SuspendedUntil        = user.FieldSuspendedUntil
	GuessFailures         = user.FieldGuessFailures
	StepFailures          = user.FieldStepFailures
	TrustEpoch            = user.FieldTrustEpoch
	ResetByMail           = user.FieldResetByMail
)

// How each is read of a row u. A boolean of MySQL is a number, which may be 2: only 1 counts as a permission, and only
// 0 as not deleted.
const (
	ReadID                    = "u.`" + ID + "`"
	ReadCreatedAt             = "u.`" + CreatedAt + "`"
	ReadName                  = "u.`" + Name + "`"
	ReadEmail                 = "u.`" + Email + "`"
	ReadPassword              = "u.`" + Password + "`"
	ReadRole                  = "u.`" + Role + "`"
	ReadProvider              = "u.`" + Provider + "`"
	ReadProviderID            = "u.`" + ProviderID + "`"
	ReadAvatar                = "u.`" + Avatar + "`"
	ReadIsEmailVerified       = "u.`" + IsEmailVerified + "` = 1"
	ReadLastLoginAt           = "u.`" + LastLoginAt + "`"
	ReadFailedLoginAttempts   = "u.`" + FailedLoginAttempts + "`"
	ReadLockUntil             = "u.`" + LockUntil + "`"
	ReadIsDeleted             = "u.`" + IsDeleted + "` <> 0"
	ReadDeletedAt             = "u.`" + DeletedAt + "`"
	ReadReActivateAvailableAt = "u.`" + ReActivateAvailableAt + "`"
	ReadSuspendedUntil        = "u.`" + SuspendedUntil + "`"
	ReadGuessFailures         = "u.`" + GuessFailures + "`"
	ReadStepFailures          = "u.`" + StepFailures + "`"
	ReadTrustEpoch            = "u.`" + TrustEpoch + "`"
	ReadResetByMail           = "u.`" + ResetByMail + "` = 1"
)

const (
	// NoPassword is what the column of the password holds, as SQL, where there is none.
	NoPassword = "NULL"
	// Hooked is whether the schema of the project's user has hooks, which may change what is given to the builder.
	Hooked = false
	// SharedPasswords is whether code of the project verifies passwords too.
	SharedPasswords = false
)

// Create gives Ent's builder what a new user has.
func Create(client *ent.Client, a *Account) *UserCreate {
	create := client.User.Create().
		SetCreatedAt(a.CreatedAt).
		SetName(a.Name).
		SetEmail(a.Email).
		SetNillablePassword(a.Password).
		SetProvider(a.Provider).
		SetNillableProviderID(a.ProviderID).
		SetIsEmailVerified(a.IsEmailVerified)
	if a.Avatar != nil {
		create.SetAvatar(a.Avatar)
	}
	FillIn(create)
	return create
}
