package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/authgraph/authgraph/internal/passhash"
)

// Hasher hashes passwords. It must be safe for concurrent use.
type Hasher interface {
	// Hash returns a hash of at most 255 printable ASCII characters that holds its
	// own salt and parameters. The password is in Unicode's form C.
	Hash(password string) (string, error)
	// Reads reports, without hashing anything, whether Verify can compare passwords with hash. A hash that it does not
	// read is compared by this package if another system made it, in a form that [Config.Pepper] names.
	Reads(hash string) bool
	// Verify reports whether hash, which it reads, is one of password and, if so, whether it was made with other
	// parameters than Hash uses now. The password is as it was entered; in form C and in form KC, where they differ, it
	// is tried again.
	Verify(password, hash string) (ok, outdated bool, err error)
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

func (a Argon2id) params() passhash.Argon2Params {
	return passhash.Argon2Params{
		Memory: cmp.Or(a.Memory, 19456), Passes: cmp.Or(a.Iterations, 2), Lanes: cmp.Or(a.Parallelism, 1),
		KeyLength: 32, // bytes
	}
}

// Hash returns a hash in the PHC string format: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (a Argon2id) Hash(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("argon2id: %w", err)
	}
	p := a.params()
	key := argon2.IDKey([]byte(password), salt, p.Passes, p.Memory, p.Lanes, uint32(p.KeyLength))
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.Memory, p.Passes, p.Lanes, encode(salt), encode(key)), nil
}

// Reads reports whether hash is one of argon2id, with any parameters and in Django's spelling too. It does not read one
// that would cost more than 4 GiB of memory, summed over its iterations, unless new hashes cost as much.
func (a Argon2id) Reads(hash string) bool {
	_, ok := a.read(hash)
	return ok
}

func (a Argon2id) read(hash string) (passhash.Hash, bool) {
	h, ok := passhash.Parse(hash)
	p := a.params()
	work := uint64(p.Memory) * uint64(p.Passes)
	return h, ok && h.Kind == passhash.Argon2id && (h.Affordable() || h.Work <= work)
}

// Verify compares in constant time. What [Argon2id.Reads] refuses is no password's hash.
func (a Argon2id) Verify(password, hash string) (ok, outdated bool, err error) {
	h, ok := a.read(hash)
	if !ok || !h.Matches(password) {
		return false, false, nil
	}
	return true, h.Params != a.params(), nil
}

// normalizePassword makes one password of the ways in which devices encode the same
// characters (NIST SP 800-63B-4, 3.1.1.2).
func normalizePassword(password string) string { return norm.NFC.String(password) }

// hashInTurn hashes a password that the policy allows. The error is a [*BusyError] if too many calls wait to hash.
func (s *Service) hashInTurn(ctx context.Context, password string) (hash string, err error) {
	leave, err := s.hashing.enter()
	if err != nil {
		return "", err
	}
	defer leave()
	return s.hash(ctx, password)
}

// hash is [Service.hashInTurn] for a caller who has entered hashing.
func (s *Service) hash(ctx context.Context, password string) (hash string, err error) {
	err = s.hashing.run(ctx, s.decoy.memory, func() (err error) {
		hash, err = s.newHash(password)
		return err
	})
	return hash, err
}

// newHash hashes in the caller's turn.
func (s *Service) newHash(password string) (string, error) {
	hash, err := s.cfg.Hasher.Hash(normalizePassword(password))
	if err == nil && !isStorable(hash) {
		err = errors.New("Config.Hasher made a hash that the column does not hold: " + storableHash)
	}
	return hash, err
}

// storableHash is what [isStorable] asks for.
const storableHash = "make one of 1 to 255 printable ASCII characters"

// isStorable reports whether the column of passwords holds a hash.
func isStorable(hash string) bool {
	printable := func(r rune) bool { return '!' <= r && r <= '~' }
	return hash != "" && len(hash) <= 255 && !strings.ContainsFunc(hash, func(r rune) bool { return !printable(r) })
}
