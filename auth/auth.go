// Package auth is the behaviour that the tables of the auth graph exist for:
// accounts, one-time passwords, sessions and refresh tokens, correct when many
// requests, replicas and crashes meet.
//
//	svc, err := auth.New(client, auth.Config{Keys: auth.NewKeys(key)})
//	grant, err := svc.SignIn(ctx, email, password, auth.Device{IP: ip, UserAgent: agent})
//
// Every decision is taken by one conditional write and the number of rows it
// matched, never by reading first and writing later. What a caller's error
// must not undo (an attempt that was counted, a token family that was revoked)
// is committed before the error is returned. Errors for the outside world do
// not tell whether an account exists.
//
// The statements of the paths that every request or sign-in takes (the check of
// a session, the read before a password is verified, a code, the rotation of a
// refresh token) are sent as they are written here: hooks and interceptors added
// to the client do not see them. An [Observer] is told of every transition.
//
// The package sends no mail and sets no cookie: it returns codes and tokens to
// hand out, and keeps only their hashes.
package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authgraph/authgraph/ent"
)

// Service is the behaviour of the auth graph. It is safe for concurrent use.
type Service struct {
	client *ent.Client
	cfg    Config
	touch  toucher
	// decoy is the hash that a guess without an account is compared with.
	decoy func() (string, error)
	// watched is set once a connection was seen to be one of package authgraph, which
	// tells what it sent, and whose COMMIT and ROLLBACK end with their context.
	watched atomic.Bool
}

// New makes a service over client. The error is a [*ConfigError] if cfg cannot
// be used. [Service.Close] ends what it runs in the background.
func New(client *ent.Client, cfg Config) (*Service, error) {
	if client == nil {
		return nil, &ConfigError{Field: "client", Reason: "is nil"}
	}
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{client: client, cfg: cfg}
	s.decoy = sync.OnceValues(func() (string, error) { return cfg.Hasher.Hash("no account has this password") })
	s.touch.init(s)
	return s, nil
}

// Close waits until what runs in the background is done, or ctx is. The client
// stays open.
func (s *Service) Close(ctx context.Context) error { return s.touch.close(ctx) }

// clockTolerance is how far the clocks of replicas may be apart. What was created
// later than that from now was written by a clock that is wrong, and so are the
// ends that it wrote: a session, code or refresh token of then has ended, and a
// code of then counts against no budget.
const clockTolerance = 5 * time.Minute

// ahead reports whether a row was created by a clock that is wrong.
func (s *Service) ahead(created time.Time) bool {
	return created.After(s.now().Add(clockTolerance))
}

// now is the time to the precision the tables keep.
func (s *Service) now() time.Time {
	return s.cfg.Clock().UTC().Truncate(time.Microsecond)
}
