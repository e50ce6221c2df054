package auth

import (
	"encoding/base64"
	"fmt"
	"io"
)

// A family is what one sign-in gave to a device: a session and the refresh tokens descended from its first one. They
// have one value in their column family, and end together.

// newFamily draws the id of a family: 128 random bits in base64url.
func (s *Service) newFamily() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.cfg.Random, b[:]); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// Ended is how much a call ended that was live before.
type Ended struct{ Sessions, RefreshTokens int }

// Count is the sum of both, as an [Event] has it.
func (e Ended) Count() int { return e.Sessions + e.RefreshTokens }
