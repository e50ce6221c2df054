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

// HashKind names how a stored hash was made, such as bcrypt, and reports whether a service with this configuration
// compares passwords with it. If not, nobody signs in with its password before a reset. It hashes nothing.
func (c Config) HashKind(hash string) (kind string, readable bool) {
	c.setDefaults()
	most := c.Hashing.Memory << 10
	if a, ok := argon2idOf(c.Hasher); ok {
		most = max(most, int(a.params().Memory))
	}
	h, own, readable := c.reads(hash, most)
	switch {
	case h.Kind == "" && own:
		return "of the Hasher", readable
	case h.Kind == "":
		return "unknown", readable
	case !readable:
		return string(h.Kind) + " beyond the bounds", readable
	}
	return string(h.Kind), readable
}

// reads reports whether passwords are compared with a hash, and whether the Hasher does so. One that takes more memory
// than most, in KiB, or too much time, is as good as unknown.
func (c *Config) reads(hash string, most int) (h passhash.Hash, own, ok bool) {
	h, known := passhash.Parse(hash)
	own = c.Hasher.Reads(hash)
	return h, own, h.Memory <= most && (own || known && h.Affordable())
}

// readHash finds out how passwords are compared with a hash of the table. It hashes nothing. It is nil if they are not:
// no guess is right then.
func (s *Service) readHash(hash string) *storedHash {
	h, own, ok := s.cfg.reads(hash, max(s.hashing.all, s.decoy.memory))
	switch {
	case !ok:
		return nil
	case own:
		return s.ownHash(hash, h)
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

// ownHash is a hash that Config.Hasher reads, and what passhash.Parse makes of it.
func (s *Service) ownHash(hash string, h passhash.Hash) *storedHash {
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
	if !isStorable(hash) {
		bad.Reason, bad.Fix = "makes a hash that the column does not hold", storableHash
		return bad
	}
	if !s.cfg.Hasher.Reads(hash) {
		return bad
	}
	h, _ := passhash.Parse(hash)
	s.decoy, s.decoyHash = s.ownHash(hash, h), hash
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
		if ok, renew, err = hash.compareForms(password); err != nil || !renew || !*s.cfg.Hashing.Rehash {
			return err
		}
		renewed, err = s.newHash(password)
		return err
	})
	return ok, renewed, err
}

// compareForms compares a password as it was entered, which is what most systems hash, then in the forms that this
// package (C) and Better Auth (KC) make of it. It asks for a new hash unless what follows the bytes that this one
// counts is not proven.
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
