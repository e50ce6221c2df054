package schema

import (
	"regexp"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
)

// emailColumn makes the database compare addresses exactly: under its default collation JOSÉ@example.com finds
// jose@example.com, which hands one person's password reset to another.
var emailColumn = entsql.Annotation{Collation: "utf8mb4_bin"}

// hashColumn is how a column that holds a hash is compared: byte by byte, and at one byte a character in its index.
var hashColumn = entsql.Annotation{Collation: "ascii_bin"}

// printableASCII is what hashes and their encodings are written in.
var printableASCII = regexp.MustCompile(`^[!-~]+$`)

// familyField names the device that a session or a refresh token belongs to. It is no foreign key: sessions are purged
// long before families end.
func familyField() ent.Field {
	return field.String("family").
		Comment("The device: the session and the refresh tokens of one sign-in have one value, and end together; " +
			"null if it is not known.").
		MaxLen(32).
		Match(printableASCII).
		Optional().
		Nillable().
		Annotations(hashColumn)
}
