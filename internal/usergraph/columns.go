package usergraph

import (
	"slices"
	"strings"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/entgraph"
)

// column is one of a user that package auth knows.
type column struct {
	// name is its own, and constant what package graph calls it.
	name, constant string
	// kind is how package auth holds it.
	kind kind
	// aliases are names that a project may have for it, the likeliest first; without any it is never guessed.
	aliases []string
	// profiles are those that have it. In the others it is absent unless it is mapped, or guessed: nothing reads
	// updated_at, and one that the project's own code does not keep would say nothing.
	profiles []Profile
}

type kind string

const (
	text    kind = "text"
	hash    kind = "hash"
	choice  kind = "choice"
	boolean kind = "boolean"
	moment  kind = "time"
	counter kind = "counter"
	face    kind = "avatar"
)

var (
	all     = []Profile{Whole, Plain, Minimal}
	large   = []Profile{Whole, Plain}
	largest = []Profile{Whole}
)

// columns are in the order in which package graph lists them, the id left out.
var columns = []column{
	{"created_at", "CreatedAt", moment, []string{"create_time", "created", "created_on", "creation_time"}, all},
	{"updated_at", "UpdatedAt", moment, []string{"update_time", "updated", "updated_on", "modified_at"}, nil},
	{"name", "Name", text, []string{"full_name", "fullname", "display_name", "displayname", "real_name", "nickname",
		"nick_name", "username", "user_name"}, large},
	{"email", "Email", text, []string{"mail", "email_address", "mail_address", "e_mail"}, all},
	{"password", "Password", hash, []string{"password_hash", "hashed_password", "passwordhash", "passwd", "pass",
		"pass_hash", "hash", "encrypted_password", "pwd"}, all},
	{"role", "Role", choice, []string{"user_role", "account_role"}, large},
	{"provider", "Provider", choice, nil, largest},
	{"provider_id", "ProviderID", text, nil, largest},
	{"avatar", "Avatar", face, nil, largest},
	{"is_email_verified", "IsEmailVerified", boolean, []string{"email_verified", "verified", "is_verified",
		"mail_verified", "is_mail_verified", "email_confirmed", "confirmed", "is_confirmed"}, all},
	{"last_login_at", "LastLoginAt", moment, []string{"last_login", "last_login_time", "last_signin_at",
		"last_sign_in_at", "logged_in_at"}, large},
	{"failed_login_attempts", "FailedLoginAttempts", counter, nil, all},
	{"lock_until", "LockUntil", moment, nil, all},
	{"is_deleted", "IsDeleted", boolean, nil, large},
	{"deleted_at", "DeletedAt", moment, nil, large},
	{"re_activate_available_at", "ReActivateAvailableAt", moment, nil, large},
	{"suspended_until", "SuspendedUntil", moment, nil, all},
	{"guess_failures", "GuessFailures", counter, nil, all},
	{"step_failures", "StepFailures", counter, nil, all},
	{"trust_epoch", "TrustEpoch", counter, nil, all},
	{"reset_by_mail", "ResetByMail", boolean, nil, all},
}

func columnOf(name string) (column, bool) {
	i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return columns[i], true
}

// unfit says why a field of a project cannot hold the column; empty if it can. What its values may be is not asked
// here.
func (c column) unfit(f *entgraph.Field) string {
	if f.ValueScanner {
		return "has a ValueScanner, which SQL does not know"
	}
	if f.Go.Pointer && c.kind != face {
		return "is a " + f.Go.Ident
	}
	kinds := map[kind][]string{
		text: {"string"}, hash: {"string"}, choice: {"string", "enum"}, boolean: {"bool"}, moment: {"time"},
		counter: {"int", "int32", "int64"}, face: {"json"},
	}
	goKinds := map[kind]string{text: "string", hash: "string", choice: "string", boolean: "bool", face: "ptr"}
	switch want := goKinds[c.kind]; {
	case !slices.Contains(kinds[c.kind], f.Type):
		return "is of Ent's type " + f.Type
	case c.kind == face && !strings.HasSuffix(f.Go.Ident, "schematype.Avatar"):
		return "is not package auth's own type of avatars"
	case want != "" && f.Go.Kind != want, f.Go.Custom && (c.kind == moment || c.kind == counter):
		return "is of the Go type " + f.Go.Ident
	}
	if c.name == "provider" && f.Type == "enum" {
		for _, p := range schematype.Provider("").Values() {
			if !slices.Contains(f.Enums, p) {
				return "does not list " + p
			}
		}
	}
	return ""
}

// fits finds the field of an entity that holds the column, by name and type. Used fields hold another one. A unique one
// is no name: people share theirs.
func (c column) fits(e *entgraph.Entity, used map[string]bool) *entgraph.Field {
	if c.aliases == nil && c.kind != face {
		return nil
	}
	for _, name := range append([]string{c.name}, c.aliases...) {
		for _, f := range e.Fields {
			named := strings.EqualFold(f.Name, name) || strings.EqualFold(f.Column, name)
			if named && !used[f.Name] && c.unfit(f) == "" && !(c.name == "name" && unique(e, f)) {
				return f
			}
		}
	}
	return nil
}
