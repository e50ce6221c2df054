// Package auth is the behaviour of the auth graph: accounts, one-time codes, sessions and refresh tokens on the tables
// of package ent. It stays correct when many requests, replicas and crashes meet.
//
//	svc, err := auth.New(client, auth.Config{Keys: auth.NewKeys(key)}) // 32 random bytes or more
//	grant, err := svc.SignIn(ctx, email, password, auth.Device{IP: ip, UserAgent: agent})
//	session, user, err := svc.CheckSession(ctx, auth.ParseToken(cookie.Value))
//
// The package sends no mail and sets no cookie. It returns codes and tokens to hand out, and stores only their hashes.
//
// One conditional write takes every decision, by the number of rows it matched. A read may find the row before; the
// write repeats the condition and decides. What a caller's error must not undo, such as a counted attempt or a revoked
// token family, is committed before the error is returned.
//
// # Errors
//
// Branch on errors with [errors.Is] and [errors.As]. Errors for the outside world do not tell whether an account
// exists. Two errors come from the database, and any method with a context may return them. After an
// [*UnavailableError] the call may be repeated: nothing was changed but the count of a guess, and what a purge deleted
// before. After an [*UnknownError] the change may have happened. A method that hashes a password returns a [*BusyError]
// if too many do. Every method ends within a second of its context.
//
// # Statements written by hand
//
// Every statement that reads or writes a row of users is written by hand, over the table and columns that package
// internal/graph names. So are those of the paths that every request or sign-in takes: the check of a session, a code,
// and the rotation of a refresh token. Hooks, interceptors and privacy rules of the client do not see them. That is on
// purpose where a project has a user of its own: a soft-delete interceptor or a rule of privacy must not decide who may
// sign in by hiding rows. What a project wants to decide it says in graph.Allowed, which holds in sign-in, session
// check, rotation and code alike.
//
// A new user is made by Ent's builder, with privacy allowed, so that the project's defaults, validators and hooks run.
// Where it has hooks, what this package stores, such as the hash of the password, is then written over what they made
// of it, in the same transaction.
//
// An [Observer] is told of every transition.
package auth

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/ent"
)

// Service carries out the transitions. Make one with [New] and share it: it is safe for concurrent use.
type Service struct {
	client *ent.Client
	cfg    Config
	work   work
	// touching are the sessions, by id, whose last use is being written.
	touching sync.Map
	hashing  *hashing
	fading   fading
	reader   *reader
	// decoy is the hash that a guess without an account is compared with.
	decoy *storedHash
	// decoyHash is its text.
	decoyHash string
	// watched is set once a connection was seen to be one of package authgraph. Such connections tell what they sent,
	// and their COMMIT and ROLLBACK end with their context.
	watched atomic.Bool
	// counts is set once it is certain that the number of an UPDATE is that of the rows it matched.
	counts atomic.Bool
	// forUpdate ends a query whose rows the transaction is to hold. SQLite needs nothing: a transaction holds the file.
	forUpdate string
	// turns are the statements of takeTurn.
	turns [2]string
	// locks is set once a transaction was seen to begin without the lock of SQLite's file. Every later one takes it
	// first.
	locks atomic.Bool
}

// New makes a service over client. It tries what would otherwise fail at the first sign-in: it hashes once, and has
// Ent's builder make a user of each kind without a database. On MySQL it also begins a transaction, in which
// connections that are not those of package authgraph have to show that the number of an UPDATE is that of the rows it
// matched (clientFoundRows=true), and rolls it back. It waits for that 2 seconds at most: without an answer, the first
// call that writes asks again.
//
// The error is a [*ConfigError] if cfg or client cannot be used. Call [Service.Close] to end what the service runs in
// the background.
func New(client *ent.Client, cfg Config) (*Service, error) {
	if client == nil {
		return nil, &ConfigError{Field: "client", Reason: "is nil", Fix: "pass the client of authgraph.Open"}
	}
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{client: client, cfg: cfg, hashing: newHashing(cfg.Hashing), reader: newReader(cfg.Reader)}
	if err := s.tryHasher(); err != nil {
		return nil, err
	}
	name, err := dialectOf(client)
	if err != nil {
		return nil, fmt.Errorf("auth: find the dialect of the client: %w", err)
	}
	if err := s.tryCreate(name); err != nil {
		return nil, err
	}
	s.turns = turnQueries(name)
	if name != dialect.MySQL {
		s.counts.Store(true)
		return s, nil
	}
	s.forUpdate = " FOR UPDATE"
	if err := s.tryServer(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close waits for the writes in the background, or until ctx is done, whose error it then returns. The client stays
// open, and the methods go on answering. Only [Service.CheckSession] no longer writes last uses.
func (s *Service) Close(ctx context.Context) error { return s.work.close(ctx) }

// ClockTolerance is how far apart the clocks of replicas may be. A row created further in the future than this came
// from a wrong clock, so its expiry is wrong too. Such a session, code or refresh token counts as ended, and such a
// code counts against no budget.
//
// RefreshPolicy.Grace asks for more: the clocks must agree within it, as they do with NTP. An exchange in the future of
// the clock that judges, by no more than ClockTolerance, is within the grace. But a clock that is ahead by the grace
// takes two presentations at once for reuse, and ends the family of an honest client.
const ClockTolerance = 5 * time.Minute

// ahead reports whether a row was created by a wrong clock.
func (s *Service) ahead(created time.Time) bool {
	return created.After(s.now().Add(ClockTolerance))
}

// now is the time to the precision that the tables keep.
func (s *Service) now() time.Time {
	return cut(s.cfg.Clock().UTC())
}
