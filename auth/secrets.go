package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Token is a bearer secret to hand to its owner. It prints as ***. Call [Token.Reveal] where it leaves the process.
type Token struct{ secret *string }

// ParseToken takes a token that a client presented, whatever it is: a token that is
// not one is refused where it is used.
func ParseToken(s string) Token { return Token{secret: &s} }

// Reveal returns the token itself. One that a service made is 43 characters of base64url (RFC 4648, 5) without padding,
// which are 256 bits that nobody can guess. One of [ParseToken] is what was presented, and the zero Token is empty.
func (t Token) Reveal() string { return reveal(t.secret) }

// String hides the token.
func (t Token) String() string { return "***" }

// GoString hides the token.
func (t Token) GoString() string { return "auth.Token(***)" }

// Format hides the token whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText hides the token from encoders.
func (t Token) MarshalText() ([]byte, error) { return []byte("***"), nil }

// reveal follows the pointer behind which a secret is kept. fmt does not follow it
// where it prints a struct whose methods it cannot call.
func reveal(secret *string) string {
	if secret == nil {
		return ""
	}
	return *secret
}

// hash is what the tables hold: SHA-256 in hex. A fast hash is enough for a
// secret of 256 random bits, and it can be looked up by an index.
func (t Token) hash() string {
	h := sha256.Sum256([]byte(t.Reveal()))
	return hexOf(h)
}

func hexOf(sum [sha256.Size]byte) string {
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], sum[:])
	return string(digits[:])
}

func (s *Service) newToken() (Token, error) {
	var b [32]byte
	if _, err := io.ReadFull(s.cfg.Random, b[:]); err != nil {
		return Token{}, fmt.Errorf("read random bytes: %w", err)
	}
	return ParseToken(base64.RawURLEncoding.EncodeToString(b[:])), nil
}

// newID draws 128 random bits in base64url: the id of a family, or a salt.
func (s *Service) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.cfg.Random, b[:]); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// derive makes the successor of a token for a purpose: HMAC-SHA-256 over the salt of the exchange and the token. Nobody
// can make it without the key, nor with it once the salt is erased.
func derive(key []byte, purpose, salt string, from Token) Token {
	h := hmac.New(sha256.New, key)
	// Neither a purpose nor a salt holds a zero byte.
	_, _ = io.WriteString(h, purpose+"\x00"+salt+"\x00"+from.Reveal()) // it never fails
	return ParseToken(base64.RawURLEncoding.EncodeToString(h.Sum(nil)))
}

// Code is a one-time code to send to an address. It prints as ***. Call [Code.Reveal] where it is sent.
type Code struct{ secret *string }

// ParseCode takes a code that a person entered. Spaces are not removed.
func ParseCode(s string) Code { return Code{secret: &s} }

// Reveal returns the code itself. One that a service made is OTPPolicy.Length digits. One of [ParseCode] is what was
// entered, and the zero Code is empty.
func (c Code) Reveal() string { return reveal(c.secret) }

// String hides the code.
func (c Code) String() string { return "***" }

// GoString hides the code.
func (c Code) GoString() string { return "auth.Code(***)" }

// Format hides the code whatever the verb.
func (c Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText hides the code from encoders.
func (c Code) MarshalText() ([]byte, error) { return []byte("***"), nil }

func (s *Service) newCode() (Code, error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s.cfg.OTP.Length)), nil)
	n, err := randomBelow(s.cfg.Random, limit)
	if err != nil {
		return Code{}, fmt.Errorf("read random bytes: %w", err)
	}
	return ParseCode(fmt.Sprintf("%0*d", s.cfg.OTP.Length, n)), nil
}

// newLink is a code that nobody guesses.
func (s *Service) newLink() (Code, error) {
	t, err := s.newToken()
	return Code(t), err
}

// randomBelow draws uniformly from [0, limit) by rejection.
func randomBelow(r io.Reader, limit *big.Int) (*big.Int, error) {
	bits := limit.BitLen()
	b := make([]byte, (bits+7)/8)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		b[0] &= 0xff >> (len(b)*8 - bits)
		if n := new(big.Int).SetBytes(b); n.Cmp(limit) < 0 {
			return n, nil
		}
	}
}

// Keys authenticate one-time codes at rest (HMAC-SHA-256). They print as ***, also within another value.
type Keys struct {
	// A function, because fmt follows a pointer to a slice if the verb is wrong.
	secrets func() [][]byte
}

// NewKeys takes copies of the keys, the one for new codes first. [New] refuses a key of less than 32 bytes.
func NewKeys(keys ...[]byte) Keys {
	secrets := make([][]byte, len(keys))
	for i, key := range keys {
		secrets[i] = bytes.Clone(key)
	}
	return Keys{secrets: func() [][]byte { return secrets }}
}

func (k Keys) reveal() [][]byte {
	if k.secrets == nil {
		return nil
	}
	return k.secrets()
}

// String hides the keys.
func (k Keys) String() string { return "***" }

// GoString hides the keys.
func (k Keys) GoString() string { return "auth.Keys(***)" }

// Format hides the keys whatever the verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText hides the keys from encoders.
func (k Keys) MarshalText() ([]byte, error) { return []byte("***"), nil }

// mac is what the tables hold of a code: HMAC-SHA-256 in hex, over the purpose, the address, the hash of the ticket and
// the code, so that it is worth nothing for another address, purpose or request.
func mac(key []byte, kind schematype.OTPType, email, ticketHash string, c Code) string {
	h := hmac.New(sha256.New, key)
	// None of them but the last holds a zero byte.
	h.Write([]byte(strings.Join([]string{string(kind), email, ticketHash, c.Reveal()}, "\x00")))
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return hexOf(sum)
}

// matches compares a code with that of a row which has a ticket, in constant time, with each key in turn.
func (s *Service) matches(row *ent.OTP, kind schematype.OTPType, c Code) bool {
	ok := 0
	for _, key := range s.cfg.Keys.reveal() {
		sum := mac(key, kind, row.Email, *row.TicketHash, c)
		ok |= subtle.ConstantTimeCompare([]byte(row.OtpHashCode), []byte(sum))
	}
	return ok == 1
}

// registrationTicket shows whoever holds it to be the party that registered an account: HMAC-SHA-256 over its id and
// its beginning, in base64url. It needs no row.
func registrationTicket(key []byte, u *graph.Account) Token {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "registration\x00%v\x00%d", u.ID, u.CreatedAt.UnixMicro())
	return ParseToken(base64.RawURLEncoding.EncodeToString(h.Sum(nil)))
}

// registrationLifetime is how long the ticket of a registration shows anything. A week leaves room for whoever finds
// the mail after a holiday and asks for another. It ends, because a key has to stay as long as the tickets made under
// it. Afterwards the password or a live session shows the same.
const registrationLifetime = 7 * day

// isRegistration reports whether t is the ticket of the registration of u, under any of the keys.
func (s *Service) isRegistration(t Token, u *graph.Account) bool {
	ok := 0
	for _, key := range s.cfg.Keys.reveal() {
		ok |= subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(registrationTicket(key, u).Reveal()))
	}
	return ok == 1 && s.now().Before(u.CreatedAt.Add(registrationLifetime))
}
