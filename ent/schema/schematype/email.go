package schematype

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxEmailLen is the longest email address the tables hold, in characters.
const MaxEmailLen = 255

// NormalizeEmail gives the one spelling under which an address is stored and looked up: no surrounding white space,
// each letter in lower case, Unicode normal form C. It is idempotent. Use it on what a user typed before a lookup; the
// schema applies it to every write. In JavaScript the same is
//
//	email.trim().normalize("NFC").replace(/./gsu, (c) => c.toLowerCase()).normalize("NFC")
//
// What is not UTF-8 is left as it is, for [ValidateEmail] to refuse: replacing
// the bytes would make one address out of several.
func NormalizeEmail(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	return norm.NFC.String(strings.ToLower(dottedI.Replace(norm.NFC.String(strings.TrimFunc(s, surrounds)))))
}

// surrounds reports what String.prototype.trim removes (ECMA-262, 22.1.3.32): U+FEFF, which is no space to Unicode, but
// not U+0085, which is one.
func surrounds(r rune) bool { return r == '\uFEFF' || r != '\u0085' && unicode.IsSpace(r) }

// dottedI lowers the capital dotted I as Unicode does in full (SpecialCasing.txt). The single letter that
// strings.ToLower makes of it is a plain i, and İvan's password reset would go to ivan.
var dottedI = strings.NewReplacer("\u0130", "i\u0307")

// ValidateEmail checks that a normalised address names one mailbox: local@domain (RFC 5321, section 4.1.2), with
// letters beyond ASCII as RFC 6531 allows them, and at most [MaxEmailLen] characters. The local part is words joined by
// single dots, or one quoted string that needs its quotes. The domain is names joined by single dots, or an IP address
// in brackets.
//
// It refuses what people cannot see: white space outside of quotes, control characters, and those that are invisible,
// change the direction of text, or are not assigned. Whether the mailbox exists is known only once a message to it was
// answered. The error says what is wrong and does not repeat the address.
func ValidateEmail(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("email is not valid UTF-8")
	case utf8.RuneCountInString(s) > MaxEmailLen:
		return errors.New("email is longer than 255 characters")
	}
	for _, r := range s {
		if !visible(r) {
			return fmt.Errorf("email contains %U, which cannot be seen or is no character", r)
		}
	}
	if NormalizeEmail(s) != s {
		return errors.New("email is not normalised")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return errors.New("email has no @")
	}
	// Programs on the way may take a character for the one that it is compatible with, such as U+FF20 for an @.
	if err := validateLocal(norm.NFKC.String(s[:at])); err != nil {
		return err
	}
	if strings.HasPrefix(s[at+1:], "[") {
		return validateLiteral(s[at+1:])
	}
	return validateDomain(s[at+1:])
}

// visible reports whether a character has a meaning that can be seen. It leaves out the Default_Ignorable_Code_Point of
// Unicode, among which are marks and letters.
func visible(r rune) bool {
	return unicode.IsPrint(r) && r != utf8.RuneError &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// quoted is a Quoted-string that is not empty and escapes only what has to be.
var quoted = regexp.MustCompile(`^"((?:[^"\\]|\\["\\])+)"$`)

func validateLocal(local string) error {
	if in := quoted.FindStringSubmatch(local); in != nil {
		if validateWords(in[1]) == nil {
			return errors.New("email has quotes that it does not need")
		}
		return nil
	}
	return validateWords(local)
}

// validateWords checks a Dot-string.
func validateWords(local string) error {
	for word := range strings.SplitSeq(local, ".") {
		if word == "" {
			return errors.New("email has nothing before the @ or beside a dot there")
		}
		for _, r := range word {
			if strings.ContainsRune(` "(),:;<>@[\]`, r) {
				return fmt.Errorf("email has %q before its last @, outside of quotes", r)
			}
		}
	}
	return nil
}

func validateDomain(domain string) error {
	for name := range strings.SplitSeq(domain, ".") {
		first, _ := utf8.DecodeRuneInString(name)
		switch {
		case name == "":
			return errors.New("email has nothing after the @ or beside a dot there")
		case utf8.RuneCountInString(name) > 63:
			return errors.New("email has a name in its domain that is longer than 63 characters")
		case strings.HasPrefix(name, "-"), strings.HasSuffix(name, "-"), unicode.IsMark(first):
			return errors.New("email has a name in its domain that begins or ends with a hyphen, or begins with a mark")
		}
		for _, r := range name {
			if !inName(r) {
				return fmt.Errorf("email has %q in its domain", r)
			}
		}
	}
	return nil
}

// inName reports whether a name of a domain may have a character: a letter, a digit or a hyphen of ASCII, or beyond it
// what RFC 5892, section 2 allows by its categories A, B and F.
func inName(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '-' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
	}
	letter := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.In(r, unicode.Mn, unicode.Mc)
	return letter && norm.NFKC.IsNormalString(string(r)) || strings.ContainsRune("·͵׳״۽۾་〇・", r)
}

// validateLiteral checks an address-literal, in the one spelling of RFC 5952.
func validateLiteral(domain string) error {
	text, v6 := strings.CutPrefix(strings.TrimSuffix(strings.TrimPrefix(domain, "["), "]"), "ipv6:")
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is6() != v6 || ip.Zone() != "" || ip.String() != text || !strings.HasSuffix(domain, "]") {
		return errors.New("email has something in brackets that is not an IP address")
	}
	return nil
}
