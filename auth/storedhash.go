package auth

import (
	"context"
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
// kind that is not known, and for one that would take too much time or memory: no guess at it is right.
func (s *Service) readHash(hash string) *storedHash {
	h, known := passhash.Parse(hash)
	switch {
	case h.Memory > max(s.hashing.all, s.decoy.memory):
		return nil
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

// tryHasher makes the decoy, a hash like those of new passwords, which nothing matches.
func (s *Service) tryHasher() error {
	bad := &ConfigError{Field: "Hasher", Reason: "does not read the hash it made", Fix: "let Reads report true for it"}
	hash, err := s.cfg.Hasher.Hash("no account has this password")
	if err != nil {
		bad.Reason, bad.Fix = "cannot hash", err.Error()
		return bad
	}
	if !s.cfg.Hasher.Reads(hash) {
		return bad
	}
	s.decoy = s.ownHash(hash)
	compare := s.decoy.compare
	s.decoy.compare = func(password string) (bool, bool, error) {
		_, _, err := compare(password)
		return false, false, err
	}
	return nil
}

// verify reports whether a hash is one of password and, if so, returns a new one that should take its place. A nil hash
// costs the same and never matches. The caller has entered hashing.
func (s *Service) verify(ctx context.Context, password string, hash *storedHash) (ok bool, renewed string, err error) {
	if len(password) > s.cfg.Password.maxBytes() {
		password, hash = "", nil
	}
	if hash == nil {
		hash = s.decoy
	}
	err = s.hashing.run(ctx, max(hash.memory, s.decoy.memory), func() (err error) {
		var renew bool
		if ok, renew, err = hash.compareForms(password); err != nil || !renew {
			return err
		}
		renewed, err = s.cfg.Hasher.Hash(normalizePassword(password))
		return err
	})
	return ok, renewed, err
}

// compareForms compares a password as it was entered, which is what most systems hash, then in the forms that this
// package (C) and Better Auth (KC) make of it. It asks for a new hash unless what follows the bytes that this one counts
// is not proven.
func (h *storedHash) compareForms(password string) (ok, renew bool, err error) {
	normal := normalizePassword(password)
	for _, form := range slices.Compact([]string{password, normal, norm.NFKC.String(password)}) {
		ok, outdated, err := h.compare(form)
		if err != nil || ok {
			proven := h.counted == 0 || len(form) <= h.counted
			return ok, proven && (outdated || form != normal), err
		}
	}
	return false, false, nil
}
