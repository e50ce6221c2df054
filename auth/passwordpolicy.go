package auth

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/authgraph/authgraph/internal/commonpassword"
)

// PasswordRule is what refuses a new password.
type PasswordRule string

// The rules, in the order in which they are applied.
const (
	// RuleEncoding: it is not valid UTF-8.
	RuleEncoding PasswordRule = "encoding"
	// RuleLength: it is shorter than MinLength or longer than MaxLength.
	RuleLength PasswordRule = "length"
	// RuleCommon: it is one of the most used.
	RuleCommon PasswordRule = "common"
	// RuleRepetition: its characters, or the steps between them, repeat.
	RuleRepetition PasswordRule = "repetition"
	// RuleNames: it has fewer than 8 characters beside the user's name and address and PasswordPolicy.Names.
	RuleNames PasswordRule = "names"
	// RuleDenied: PasswordPolicy.Deny refused it.
	RuleDenied PasswordRule = "denied"
	// RuleBreached: PasswordPolicy.Breached knows it.
	RuleBreached PasswordRule = "breached"
)

// checkPassword is a [*PasswordError] if the policy does not allow password to somebody of whom a stranger knows these
// texts, and a [*BusyError] if that cannot be found out. What it asks of others comes last.
func (s *Service) checkPassword(ctx context.Context, password string, known ...string) error {
	p := s.cfg.Password
	if err := p.check(password, known...); err != nil || p.Breached == nil {
		return err
	}
	switch breached, err := p.Breached(ctx, normalizePassword(password)); {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil && p.FailClosed:
		return &BusyError{Reason: "nobody says which passwords are breached"}
	case err != nil:
		s.observe(ctx, Event{Action: ActionBreachUnknown})
	case breached:
		return p.refusal(RuleBreached)
	}
	return nil
}

// check is a [*PasswordError] if a rule that needs nobody else refuses password.
func (p PasswordPolicy) check(password string, known ...string) error {
	normal := normalizePassword(password)
	n := utf8.RuneCountInString(normal)
	folded := foldPassword(password)
	switch {
	case !utf8.ValidString(password):
		return p.refusal(RuleEncoding)
	case n < p.MinLength || n > p.MaxLength:
		return p.refusal(RuleLength)
	case p.AllowGuessable:
	case commonpassword.Contains(folded):
		return p.refusal(RuleCommon)
	case p.isRepetition(folded):
		return p.refusal(RuleRepetition)
	case isMadeOf(folded, slices.Concat(known, p.Names)):
		return p.refusal(RuleNames)
	}
	if p.Deny != nil && p.Deny(normal) {
		return p.refusal(RuleDenied)
	}
	return nil
}

func (p PasswordPolicy) refusal(rule PasswordRule) error {
	return &PasswordError{Rule: rule, MinLength: p.MinLength, MaxLength: p.MaxLength}
}

// besides is how many characters a password has to have beside what a stranger can guess. ASVS 5.0.0, 6.2.1 asks for as
// many of a whole password.
const besides = 8

// foldPassword makes one of the ways to write a word.
func foldPassword(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

// isRepetition reports whether a folded password repeats a part that is shorter than a password may be, such as
// passwordpassword, also if it goes up or down with every turn, as in abcdefghijklmnop and 1a2b3c4d5e6f7g8h. A few
// characters that are neither letters nor digits, and digits before and behind, make no difference.
func (p PasswordPolicy) isRepetition(folded string) bool {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return r
		}
		return -1
	}, folded)
	core := strings.TrimFunc(plain, unicode.IsNumber)
	all := utf8.RuneCountInString(folded)
	for _, part := range []string{folded, plain, core} {
		s := []rune(part)
		if all-len(s) < min(besides, len(s)) && repeats(s, p.MinLength) {
			return true
		}
	}
	return false
}

// repeats reports whether the steps from one character to the next repeat with a period below least, at least once.
func repeats(s []rune, least int) bool {
	for period := 1; period < least && 2*period <= len(s); period++ {
		i := period + 1
		for i < len(s) && s[i]-s[i-1] == s[i-period]-s[i-period-1] {
			i++
		}
		if i == len(s) {
			return true
		}
	}
	return false
}

// isMadeOf reports whether a folded password has too little beside words of these texts, which may be names and
// addresses. A character that repeats counts once.
func isMadeOf(folded string, texts []string) bool {
	rest := folded
	for _, word := range wordsOf(texts) {
		rest = strings.ReplaceAll(rest, word, " ")
	}
	left := slices.Compact(slices.DeleteFunc([]rune(rest), unicode.IsSpace))
	return rest != folded && len(left) < besides
}

// wordsOf are the words of three characters or more, the longest first. The last part of an address is none.
func wordsOf(texts []string) (words []string) {
	for _, text := range texts {
		text = foldPassword(text)
		words = append(words, strings.Join(strings.Fields(text), ""), text)
		if i := strings.LastIndexByte(text, '.'); strings.Contains(text, "@") && i > 0 {
			text = text[:i]
		}
		words = append(words, strings.FieldsFunc(text, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r)
		})...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return utf8.RuneCountInString(w) < 3 })
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// maxBytes is how many bytes of a password are examined: hashing without a limit is a way to exhaust the server. A
// character that MaxLength counts has at most 16 of them before it is composed, so no password that is set has more.
func (p PasswordPolicy) maxBytes() int { return max(4096, 16*p.MaxLength) }
