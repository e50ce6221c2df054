// Package schematype holds the Go types of enum and JSON columns and the rules for email addresses. It imports neither
// the schema nor the generated client, so both can use it.
package schematype

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

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

// Provider is where a user's identity comes from. The column is ENUM('local','google','github').
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

// ValidateSubject checks the id of a person at a provider, of which the column compares every byte but spaces at the
// end: MySQL and MariaDB pad with them what they compare, and no collation that both have does otherwise. So there is
// no white space around it. It is valid UTF-8. The error does not repeat it.
func ValidateSubject(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("has white space around it")
	}
	return nil
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

// OTPFirstStep is what was proved before a one-time password is asked for, which completes it.
type OTPFirstStep string

// The first steps.
const (
	// FirstStepPassword was a password.
	FirstStepPassword OTPFirstStep = "password"
	// FirstStepMail was a code or link by mail, or an identity that found the account by its address, so mail is no
	// second step.
	FirstStepMail OTPFirstStep = "mail"
	// FirstStepProvider was an identity that the account is linked to.
	FirstStepProvider OTPFirstStep = "provider"
	// FirstStepReactivation was the password of a deleted account.
	FirstStepReactivation OTPFirstStep = "reactivation"
	// FirstStepEmailChange was the proof of a signed-in user who wants another address: the one of the code.
	FirstStepEmailChange OTPFirstStep = "email-change"
)

// Values lists the first steps in column order.
func (OTPFirstStep) Values() []string {
	return []string{
		string(FirstStepPassword),
		string(FirstStepMail),
		string(FirstStepProvider),
		string(FirstStepReactivation),
		string(FirstStepEmailChange),
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

// maxAvatar is how many bytes of a document are looked at.
const maxAvatar = 64 << 10

// UnmarshalJSON takes of a document what it can use. It never fails: another program may have written something else,
// which must not keep a user from signing in. The column stays as it is until an avatar is set.
func (a *Avatar) UnmarshalJSON(document []byte) error {
	*a = Avatar{}
	var parts map[string]json.RawMessage
	if len(document) > maxAvatar || json.Unmarshal(document, &parts) != nil {
		return nil
	}
	for name, field := range map[string]any{"public_id": &a.PublicID, "url": &a.URL, "size": &a.Size} {
		_ = json.Unmarshal(parts[name], field) // what has another type stays empty
	}
	return nil
}
