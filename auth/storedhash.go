package auth

import (
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"

	"github.com/authgraph/authgraph/internal/passhash"
)

// storedHash is a hash of the table that passwords can be compared with.
type storedHash struct {
	compare func(password string) (ok, outdated bool, err error)
	// memory is how many KiB a comparison takes, or 0 if that is not known.
	memory int
	// counted is how many bytes of a password it is a hash of, or 0 for all of them.
	counted int
}

// readHash finds out how passwords are compared with a hash of the table. It hashes nothing. It is nil for a hash of a
// kind that is not known, and for one that would take too long: no guess at it is right.
func (s *Service) readHash(hash string) *storedHash {
	h, known := passhash.Parse(hash)
	switch {
	case s.cfg.Hasher.Reads(hash):
		return s.ownHash(hash)
	case !known || !h.Affordable():
		return nil
	}
	stored, pepper := &storedHash{memory: h.Memory}, ""
	if h.Kind == passhash.Bcrypt {
		stored.counted, pepper = maxBcrypt, s.cfg.pepper()
	}
	stored.compare = func(password string) (bool, bool, error) {
		ok := h.Matches(password + pepper)
		return ok, ok, nil
	}
	return stored
}

// maxBcrypt is how many bytes bcrypt looks at.
const maxBcrypt = 72

// ownHash is a hash that Config.Hasher reads.
func (s *Service) ownHash(hash string) *storedHash {
	h, _ := passhash.Parse(hash)
	compare := func(password string) (bool, bool, error) { return s.cfg.Hasher.Verify(password, hash) }
	return &storedHash{compare: compare, memory: h.Memory}
}

// makeDecoy makes a hash like those of new passwords, which nothing matches.
func (s *Service) makeDecoy() (*storedHash, error) {
	hash, err := s.cfg.Hasher.Hash("no account has this password")
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	decoy := s.ownHash(hash)
	compare := decoy.compare
	decoy.compare = func(password string) (bool, bool, error) {
		_, _, err := compare(password)
		return false, false, err
	}
	return decoy, nil
}

// verify reports whether a hash is one of password and, if so, whether a new one should take its place. A nil hash
// costs the same and never matches. The password is compared as it was entered, which is what most systems hash, then
// in the forms that this package (C) and Better Auth (KC) make of it. What follows the bytes that a hash counts is not
// proven, so that hash stays.
func (s *Service) verify(password string, hash *storedHash) (ok, renew bool, err error) {
	if len(password) > s.cfg.Password.maxBytes() {
		password, hash = "", nil
	}
	if hash == nil {
		if hash, err = s.decoy(); err != nil {
			return false, false, err
		}
	}
	normal := normalizePassword(password)
	for _, form := range slices.Compact([]string{password, normal, norm.NFKC.String(password)}) {
		ok, outdated, err := hash.compare(form)
		if err != nil || ok {
			proven := hash.counted == 0 || len(form) <= hash.counted
			return ok, proven && (outdated || form != normal), err
		}
	}
	return false, false, nil
}
