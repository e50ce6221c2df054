package schematype

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxEmailLen is the longest email address the tables hold, in characters.
const MaxEmailLen = 255

// NormalizeEmail gives the one spelling under which an address is stored and looked up: no surrounding white space,
// lower case, Unicode normal form C. It is idempotent. Use it on what a user typed before a lookup; the schema applies
// it to every write.
//
// What is not UTF-8 is left as it is, for [ValidateEmail] to refuse: replacing
// the bytes would make one address out of several.
func NormalizeEmail(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	return norm.NFC.String(strings.ToLower(dottedI.Replace(norm.NFC.String(strings.TrimSpace(s)))))
}

// dottedI lowers the capital dotted I as Unicode does in full (SpecialCasing.txt). The single letter that
// strings.ToLower makes of it is a plain i, and İvan's password reset would go to ivan.
var dottedI = strings.NewReplacer("\u0130", "i\u0307")

// ValidateEmail checks the form local@domain (RFC 5321, section 4.1.2) as far as a database can know it: valid UTF-8,
// both parts present, no white space or control characters, at most [MaxEmailLen] characters. Whether the mailbox
// exists is known only once a message to it was answered. The error does not repeat the address.
func ValidateEmail(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("email is not valid UTF-8")
	}
	if utf8.RuneCountInString(s) > MaxEmailLen {
		return errors.New("email is longer than 255 characters")
	}
	if strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) >= 0 {
		return errors.New("email contains white space or control characters")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return errors.New("email is not of the form local@domain")
	}
	return nil
}
