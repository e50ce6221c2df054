// Package graph is all that package auth knows of the entity that its users are: the builder, the type of the id, the
// table and its columns are in graph.go, which follows from the schema, and the project's own rules in rules.go. The
// rest of package auth is the same text whatever the entity is.
package graph

import (
	"time"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Account is a user as package auth reads and adds it. What the table has no column for is the zero value.
type Account struct {
	ID        UserID
	CreatedAt time.Time
	Name      string
	Email     string
	// Password is the hash; nil for none.
	Password              *string
	Role                  schematype.Role
	Provider              schematype.Provider
	ProviderID            *string
	Avatar                *schematype.Avatar
	IsEmailVerified       bool
	LastLoginAt           *time.Time
	FailedLoginAttempts   int32
	LockUntil             *time.Time
	IsDeleted             bool
	DeletedAt             *time.Time
	ReActivateAvailableAt *time.Time
	SuspendedUntil        *time.Time
	GuessFailures         int32
	StepFailures          int32
	TrustEpoch            int32
	ResetByMail           bool
	// Allowed is whether the project's own rule lets the account be used.
	Allowed bool
}
