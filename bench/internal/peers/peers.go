// Package peers does the same operations on the same rows in the ways a service could: by hand, with this project, and
// with other libraries.
package peers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/bench/internal/load"
)

// Op is an operation that is measured.
type Op string

// The operations. Each begins with what a client presents and ends with the decision.
const (
	CheckSession Op = "session check"
	FindUser     Op = "sign-in read"
	SignIn       Op = "sign-in without hashing"
	VerifyCode   Op = "OTP verify"
	Rotate       Op = "refresh rotation"
)

// Ops are all of them.
var Ops = []Op{CheckSession, FindUser, SignIn, VerifyCode, Rotate}

// Key is what an operation is done with: a row, and what a client presents for it.
type Key struct {
	Row int
	// Secret is a session's or refresh token, an address, or a code.
	Secret string
	// Next is the token that Rotate gave for it.
	Next string
}

// Session is what a session check reads of the session.
type Session struct {
	ID, UserID                       int64
	IP, UserAgent                    string
	Active                           bool
	LastUsedAt, ExpiresAt, CreatedAt time.Time
}

// User is what is compared of a user.
type User struct {
	ID                 int64
	Name, Email, Role  string
	Verified, Deleted  bool
	CreatedAt          time.Time
	LockUntil          time.Time
	SuspendedUntil     time.Time
	Password           string // of FindUser alone
	FailedAttempts     int32  // of FindUser alone
	LastLogin, Updated time.Time
}

// Peer is one way to do the operations. One that it has no words for is nil. Its functions are safe for concurrent use
// and hold one connection each while they run.
type Peer struct {
	Check func(ctx context.Context, token string) (Session, User, error)
	// Find reads a user who is locked, with whom a sign-in ends there.
	Find func(ctx context.Context, email string) (User, error)
	// SignIn reads the user, counts the guess, and adds a session and a refresh token in a transaction. The password is
	// compared as text: hashing it would take longer than all the rest.
	SignIn func(ctx context.Context, email string) (userID int64, err error)
	Verify func(ctx context.Context, email, code string) error
	Rotate func(ctx context.Context, token string) (next string, err error)
	Close  func()
}

// Runner runs operations in numbers.
type Runner interface {
	Has(Op) bool
	// Run does op with keys, on so many workers at once, until they are used up or the time is over, and returns how
	// many were done. Of Rotate it fills in Next.
	Run(ctx context.Context, op Op, keys []Key, workers int, limit time.Duration) (done int, elapsed time.Duration,
		err error)
	Close()
}

// Spec is a peer that can be opened.
type Spec struct {
	Name string
	// Module is the module that it is made with, whose version is reported.
	Module string
	Open   func(ctx context.Context, url string, connections int) (Runner, error)
}

// InProcess reports whether the peer runs in this process, so that its allocations can be counted.
func (s Spec) InProcess() bool { return s.Module != drizzleModule }

// Reference is the name of the peer the others are held against.
const Reference = "database/sql, prepared"

// SameColumns is the name of the peer that reads by hand what the typed client does.
const SameColumns = "database/sql, the same columns"

// Ours are the names of this project's peers.
var Ours = []string{"authgraph, package auth", "authgraph, typed client"}

// All are the peers that run in this process.
func All() []Spec {
	const driver = "github.com/go-sql-driver/mysql"
	return []Spec{
		{Reference, driver, local(openPrepared)},
		{SameColumns, driver, local(openColumns)},
		{"database/sql, interpolated", driver, local(openTexts(interpolated))},
		{"database/sql as it comes", driver, local(openTexts(asItComes))},
		{Ours[0], "github.com/authgraph/authgraph", local(openAuth)},
		{Ours[1], "github.com/authgraph/authgraph", local(openClient)},
		{"Ent over stmtcache", "entgo.io/ent", local(openEnt(cached))},
		{"Ent as it comes", "entgo.io/ent", local(openEnt(asItComes))},
		{"sqlc, prepared", "github.com/sqlc-dev/sqlc", local(openSqlcPrepared)},
		{"sqlc over stmtcache", "github.com/sqlc-dev/sqlc", local(openSqlc(cached))},
		{"sqlc as it comes", "github.com/sqlc-dev/sqlc", local(openSqlc(asItComes))},
		{"Bun's scan over stmtcache", "github.com/uptrace/bun", local(openBunScan)},
		{"Bun as it comes", "github.com/uptrace/bun", local(openBun)},
		{"GORM, PrepareStmt", "gorm.io/gorm", local(openGormPrepared)},
		{"GORM over stmtcache", "gorm.io/gorm", local(openGormCached)},
		{"GORM as it comes", "gorm.io/gorm", local(openGorm)},
	}
}

func local(open func(ctx context.Context, url string, connections int) (*Peer, error)) func(context.Context, string,
	int) (Runner, error) {
	return func(ctx context.Context, url string, connections int) (Runner, error) {
		p, err := open(ctx, url, connections)
		if err != nil {
			return nil, err
		}
		return runner{p}, nil
	}
}

type runner struct{ *Peer }

func (r runner) Close() { r.Peer.Close() }

func (r runner) Has(op Op) bool {
	return map[Op]bool{CheckSession: r.Check != nil, FindUser: r.Find != nil, SignIn: r.Peer.SignIn != nil,
		VerifyCode: r.Verify != nil, Rotate: r.Peer.Rotate != nil}[op]
}

func (r runner) Run(ctx context.Context, op Op, keys []Key, workers int, limit time.Duration) (int, time.Duration,
	error) {
	do := map[Op]func(context.Context, *Key) error{CheckSession: r.check, FindUser: r.find, SignIn: r.signIn,
		VerifyCode: r.verify, Rotate: r.rotate}[op]
	var (
		done  atomic.Int64
		mu    sync.Mutex
		first error
		group sync.WaitGroup
	)
	runtime.GC()
	began := time.Now()
	for w := range workers {
		group.Go(func() {
			n := 0
			defer func() { done.Add(int64(n)) }()
			for i := w; i < len(keys) && time.Since(began) < limit; i += workers {
				if err := do(ctx, &keys[i]); err != nil {
					mu.Lock()
					defer mu.Unlock()
					first = errors.Join(first, fmt.Errorf("%s of row %d: %w", op, keys[i].Row, err))
					return
				}
				n++
			}
		})
	}
	group.Wait()
	return int(done.Load()), time.Since(began), first
}

// errAnswer is an answer that is not the one for the key.
var errAnswer = errors.New("the answer is not of this row")

func (r runner) check(ctx context.Context, k *Key) error {
	s, _, err := r.Check(ctx, k.Secret)
	if err == nil && s.ID != int64(k.Row)+1 {
		err = errAnswer
	}
	return err
}

func (r runner) find(ctx context.Context, k *Key) error {
	u, err := r.Find(ctx, k.Secret)
	if err == nil && u.ID != int64(k.Row)+1 {
		err = errAnswer
	}
	return err
}

func (r runner) signIn(ctx context.Context, k *Key) error {
	id, err := r.Peer.SignIn(ctx, k.Secret)
	if err == nil && id != int64(k.Row)+1 {
		err = errAnswer
	}
	return err
}

func (r runner) verify(ctx context.Context, k *Key) error {
	return r.Verify(ctx, load.Email(k.Row), k.Secret)
}

func (r runner) rotate(ctx context.Context, k *Key) (err error) {
	k.Next, err = r.Peer.Rotate(ctx, k.Secret)
	return err
}

// errRefused is the decision against the client.
var errRefused = errors.New("refused")

// decide is the decision on a code, once the attempt is counted.
func decide(right bool, err error) error {
	if err == nil && !right {
		return errRefused
	}
	return err
}

// live decides as package auth does, with its default idle time.
func live(s *Session, u *User) error {
	now := time.Now()
	if !s.Active || !s.ExpiresAt.After(now) || !s.LastUsedAt.Add(idle).After(now) || !usable(u, now) {
		return errRefused
	}
	return nil
}

// usable decides as package auth does: a lock that is longer than guessing makes it closes an account, too.
func usable(u *User, now time.Time) bool {
	return !u.Deleted && !u.SuspendedUntil.After(now) && !u.LockUntil.After(now.Add(longestLock))
}

// longestLock is what guessing causes, by two clocks.
const longestLock = 15*time.Minute + auth.ClockTolerance

// idle ends sessions and families; the same for all peers.
const idle = 30 * 24 * time.Hour

// lifetime is that of new sessions and refresh tokens, maxFailures how many guesses are examined in a row, and
// maxGuesses how many until one was right.
const (
	lifetime    = 30 * 24 * time.Hour
	maxFailures = 10
	maxGuesses  = 50
)

// hash is what the tables hold of a token, as package auth makes it.
func hash(token string) string {
	h := sha256.Sum256([]byte(token))
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], h[:])
	return string(digits[:])
}

func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// codeMatches compares a code with what the tables hold of it, as package auth does. Its ticket is the address here.
func codeMatches(stored, email, code string) bool {
	h := hmac.New(sha256.New, load.Key)
	fmt.Fprintf(h, "signin\x00%s\x00%s\x00%s", email, hash(email), code)
	return hmac.Equal([]byte(stored), []byte(hex.EncodeToString(h.Sum(nil))))
}
