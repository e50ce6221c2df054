// Package schematype holds the Go types of enum and JSON columns and the
// rules for email addresses. It imports neither the schema nor the generated
// client, so both can use it.
package schematype

// Role is what a user may do. The column is ENUM('user','admin').
type Role string

// The roles.
const (
	RoleUser  Role = "user"
	RoleAdmin Role = "admin"
)

// Values lists the roles in column order.
func (Role) Values() []string {
	return []string{string(RoleUser), string(RoleAdmin)}
}

// Provider is where a user's identity comes from.
// The column is ENUM('local','google','github').
type Provider string

// The identity providers.
const (
	ProviderLocal  Provider = "local"
	ProviderGoogle Provider = "google"
	ProviderGitHub Provider = "github"
)

// Values lists the providers in column order.
func (Provider) Values() []string {
	return []string{string(ProviderLocal), string(ProviderGoogle), string(ProviderGitHub)}
}

// OTPType is what a one-time password is for. The column is
// ENUM('signin','email-verification','password-reset','password-change').
type OTPType string

// The purposes of a one-time password.
const (
	OTPSignIn            OTPType = "signin"
	OTPEmailVerification OTPType = "email-verification"
	OTPPasswordReset     OTPType = "password-reset"
	OTPPasswordChange    OTPType = "password-change"
)

// Values lists the purposes in column order.
func (OTPType) Values() []string {
	return []string{
		string(OTPSignIn),
		string(OTPEmailVerification),
		string(OTPPasswordReset),
		string(OTPPasswordChange),
	}
}

// Avatar is the JSON document in users.avatar.
type Avatar struct {
	// PublicID names the picture at the image host; empty when it is not hosted.
	PublicID string `json:"public_id,omitempty"`
	// URL is where the picture is.
	URL string `json:"url"`
	// Size is the size of the picture in bytes; 0 when it is not known.
	Size int64 `json:"size,omitempty"`
}
