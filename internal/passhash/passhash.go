// Package passhash reads hashes of passwords in the forms in which other systems store them, and compares passwords
// with them by the implementations of the Go project (golang.org/x/crypto, crypto/pbkdf2). It makes no hashes.
//
//	h, ok := passhash.Parse(stored)
//	right := ok && h.Affordable() && h.Matches(password)
//
// Parse only reads. What a comparison would cost is known before it begins.
package passhash

// Kind is how a hash was made.
type Kind string

// The kinds that are read, each in every spelling that [Parse] names.
const (
	Argon2id     Kind = "argon2id"
	Argon2i      Kind = "argon2i"
	Bcrypt       Kind = "bcrypt"
	BcryptSHA256 Kind = "bcrypt_sha256"
	Scrypt       Kind = "scrypt"
	PBKDF2       Kind = "pbkdf2"
)

// Hash is a stored hash that a password can be compared with.
type Hash struct {
	Kind Kind
	// Memory is how many KiB a comparison takes.
	Memory int
	// Work is how much a comparison computes, in the unit of its kind: KiB over all passes (Argon2), KiB over all
	// lanes (scrypt), rounds (bcrypt), or iterations over all blocks (PBKDF2).
	Work uint64
	// Params are the parameters of Argon2.
	Params Argon2Params

	matches func(password string) bool
}

// Argon2Params are the parameters of Argon2 (RFC 9106, 3.1).
type Argon2Params struct {
	// Memory in KiB, Passes over it, and Lanes.
	Memory, Passes uint32
	Lanes          uint8
	// KeyLength is in bytes.
	KeyLength int
}

// Matches reports whether h is a hash of password. It compares in constant time, and takes the password's bytes as they
// are. Bcrypt looks at the first 72 of them.
func (h Hash) Matches(password string) bool { return h.matches(password) }

// Affordable reports whether a comparison takes no more than some seconds of one core.
func (h Hash) Affordable() bool { return h.Work <= h.Kind.limit() }

// limit is the most Work that is affordable.
func (k Kind) limit() uint64 {
	switch k {
	case Argon2id, Argon2i:
		return 4 << 20 // 4 GiB: libsodium's "sensitive" limits, twice the first choice of RFC 9106, section 4
	case Scrypt:
		return 1 << 20 // 1 GiB: eight times the first choice of OWASP's Password Storage Cheat Sheet
	case Bcrypt, BcryptSHA256:
		return 1 << 15 // cost 15: eight times the 12 that Django, Laravel and Devise take
	default:
		return 4_000_000 // iterations: more than three times those of Django 6.0
	}
}
