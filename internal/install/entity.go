package install

// Entity is a table of the auth graph that can be installed.
type Entity struct {
	// Name is what add takes, after auth/.
	Name string `json:"name"`
	// Type is the Go type of its schema, File where that is declared.
	Type string `json:"type"`
	File string `json:"-"`
	// Table is the name of the table.
	Table string `json:"table"`
	// Text says what a row is.
	Text string `json:"text"`
}

// Entities are all that can be installed, in the order in which they are
// listed.
var Entities = []Entity{
	{"user", "User", "user.go", "users", "accounts: identity, credentials and profile"},
	{"otp", "OTP", "otp.go", "otps", "one-time passwords sent to an email address"},
	{"session", "Session", "session.go", "sessions", "signed-in devices"},
	{"refresh-token", "RefreshToken", "refreshtoken.go", "refresh_tokens", "long-lived tokens, exchanged on use"},
}
