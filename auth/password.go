package auth

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"
)

// Hasher hashes passwords. It must be safe for concurrent use.
type Hasher interface {
	// Hash returns a hash of at most 255 printable ASCII characters that holds its
	// own salt and parameters. The password is in Unicode's form C.
	Hash(password string) (string, error)
	// Verify reports whether hash is one of password and, if so, whether it was made with weaker parameters than Hash
	// uses now. A hash that it cannot read is not an error: it matches no password, and should take as long as one that
	// can be read.
	Verify(password, hash string) (ok, weak bool, err error)
}

// Argon2id is the [Hasher] for argon2id (RFC 9106). Zero fields take the parameters
// of OWASP's Password Storage Cheat Sheet.
type Argon2id struct {
	// Memory in KiB; default 19456 (19 MiB).
	Memory uint32
	// Iterations; default 2.
	Iterations uint32
	// Parallelism; default 1.
	Parallelism uint8
}

func (a Argon2id) params() *argon2id.Params {
	return &argon2id.Params{
		Memory:      cmp.Or(a.Memory, 19456),
		Iterations:  cmp.Or(a.Iterations, 2),
		Parallelism: cmp.Or(a.Parallelism, 1),
		SaltLength:  16, // bytes
		KeyLength:   32, // bytes
	}
}

// Hash returns a hash in the PHC string format: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (a Argon2id) Hash(password string) (string, error) {
	hash, err := argon2id.CreateHash(password, a.params())
	if err != nil {
		return "", fmt.Errorf("argon2id: %w", err)
	}
	return hash, nil
}

// Verify compares in constant time. A hash that would cost more than 4 GiB of memory, summed over its iterations, is
// treated as unreadable, unless new hashes cost as much.
func (a Argon2id) Verify(password, hash string) (ok, weak bool, err error) {
	want := a.params()
	used, _, _, err := argon2id.DecodeHash(hash)
	if err != nil || !affordable(used, want) {
		_, err := a.Hash(password) // takes as long
		return false, false, err
	}
	if ok, _, err = argon2id.CheckHash(password, hash); err != nil {
		return false, false, fmt.Errorf("argon2id: %w", err)
	}
	weak = used.Memory < want.Memory || used.Iterations < want.Iterations || used.KeyLength < want.KeyLength
	return ok, ok && weak, nil
}

// maxWork is the most KiB, over all iterations, that a hash may cost: libsodium's
// "sensitive" limits, twice the first choice of RFC 9106, section 4.
const maxWork = 4 << 20

// affordable reports whether a hash may be computed again. The library panics without
// iterations or lanes, and every password matches an empty key.
func affordable(used, want *argon2id.Params) bool {
	work := func(p *argon2id.Params) uint64 { return uint64(p.Memory) * uint64(p.Iterations) }
	return used.Iterations > 0 && used.Parallelism > 0 && used.KeyLength >= 16 && work(used) <= max(maxWork, work(want))
}

// check is an error if the policy does not allow password as a new one.
func (p PasswordPolicy) check(password string) error {
	normal := normalizePassword(password)
	n := utf8.RuneCountInString(normal)
	if !utf8.ValidString(password) || n < p.MinLength || n > p.MaxLength {
		return &PasswordError{MinLength: p.MinLength, MaxLength: p.MaxLength}
	}
	if p.Deny != nil && p.Deny(normal) {
		return &PasswordError{MinLength: p.MinLength, MaxLength: p.MaxLength, Denied: true}
	}
	return nil
}

// normalizePassword makes one password of the ways in which devices encode the same
// characters (NIST SP 800-63B-4, 3.1.1.2).
func normalizePassword(password string) string { return norm.NFC.String(password) }

func (s *Service) hash(password string) (string, error) {
	if err := s.cfg.Password.check(password); err != nil {
		return "", err
	}
	return s.cfg.Hasher.Hash(normalizePassword(password))
}

// verify compares a password with a hash; a nil hash costs the same and never matches.
func (s *Service) verify(password string, hash *string) (ok, weak bool, err error) {
	if utf8.RuneCountInString(password) > s.cfg.Password.MaxLength {
		// Hashing without a limit is a way to exhaust the server.
		password, hash = "", nil
	}
	if hash == nil {
		decoy, err := s.decoy()
		if err != nil {
			return false, false, err
		}
		_, _, err = s.cfg.Hasher.Verify(normalizePassword(password), decoy)
		return false, false, err
	}
	return s.cfg.Hasher.Verify(normalizePassword(password), *hash)
}
