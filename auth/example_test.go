package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/migrate"
)

const (
	adasEmail    = "ada@example.com"
	adasPassword = "correct horse battery staple"
)

func Example() {
	svc, done := newService(auth.Config{})
	defer done()
	ctx := context.Background()

	if _, _, err := svc.Register(ctx, "Ada", adasEmail, adasPassword); err != nil {
		log.Fatal(err)
	}
	grant, err := svc.SignIn(ctx, adasEmail, adasPassword, auth.Device{IP: "192.0.2.1", UserAgent: "curl"})
	if err != nil {
		log.Fatal(err)
	}
	cookie := grant.Token.Reveal() // what the client sends with each request

	session, user, err := svc.CheckSession(ctx, auth.ParseToken(cookie))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Name, user.Role, session.IP)

	if _, err := svc.SignOut(ctx, auth.ParseToken(cookie)); err != nil {
		log.Fatal(err)
	}
	_, _, err = svc.CheckSession(ctx, auth.ParseToken(cookie))
	fmt.Println(err)
	// Output:
	// Ada user 192.0.2.1
	// the session does not exist or has ended
}

// A guess at a password is an [auth.ErrCredentials], also while the account is locked.
func ExampleService_SignIn() {
	svc, done := newService(auth.Config{Lockout: auth.LockoutPolicy{MaxFailures: 1}})
	defer done()
	ctx := context.Background()
	if _, _, err := svc.Register(ctx, "Ada", adasEmail, adasPassword); err != nil {
		log.Fatal(err)
	}

	for range 2 {
		_, err := svc.SignIn(ctx, adasEmail, "a wrong password", auth.Device{})
		var locked *auth.LockedError
		fmt.Println(errors.Is(err, auth.ErrCredentials), errors.As(err, &locked))
	}
	// Output:
	// true false
	// true true
}

// A client that lost its session gets a new one for its refresh token. A token that is
// presented twice was stolen: no token of its family is valid after that.
func ExampleService_Rotate() {
	clock := authtest.NewClock()
	svc, done := newService(auth.Config{Clock: clock.Now})
	defer done()
	ctx := context.Background()
	user, _, err := svc.Register(ctx, "Ada", adasEmail, adasPassword)
	if err != nil {
		log.Fatal(err)
	}

	first, err := svc.IssueRefresh(ctx, user.ID)
	if err != nil {
		log.Fatal(err)
	}
	second, user, err := svc.Rotate(ctx, first)
	fmt.Println(user.Name, err)

	// Another tab refreshes at the same time.
	same, _, err := svc.Rotate(ctx, first)
	fmt.Println(same.Reveal() == second.Reveal(), err)

	// Later it can only be somebody who took the token.
	clock.Advance(10 * time.Second)
	_, _, err = svc.Rotate(ctx, first)
	fmt.Println(errors.Is(err, auth.ErrReuse))
	_, _, err = svc.Rotate(ctx, second)
	fmt.Println(errors.Is(err, auth.ErrRefresh))
	// Output:
	// Ada <nil>
	// true <nil>
	// true
	// true
}

// A code proves that a person reads the mail of an address. It is worth nothing without the ticket, which only the
// client that asked for it has: here the one that registered.
func ExampleService_IssueCode() {
	svc, done := newService(auth.Config{})
	defer done()
	ctx := context.Background()
	_, registration, err := svc.Register(ctx, "Ada", adasEmail, adasPassword)
	if err != nil {
		log.Fatal(err)
	}

	issued, err := svc.IssueCode(ctx, auth.CodeRequest{
		Email: adasEmail, Kind: schematype.OTPEmailVerification, Ticket: registration,
	})
	if err != nil {
		log.Fatal(err)
	}
	mailed, cookie := issued.Code.Reveal(), issued.Ticket.Reveal()
	fmt.Println("to", issued.Email, len(mailed), issued.Known, issued.Code)

	ticket, code := auth.ParseToken(cookie), auth.ParseCode(mailed)
	fmt.Println(svc.VerifyEmail(ctx, auth.Verification{Ticket: ticket, Code: code}))
	fmt.Println(svc.VerifyEmail(ctx, auth.Verification{Ticket: ticket, Code: code}))
	// Output:
	// to ada@example.com 6 true ***
	// <nil>
	// the code is wrong or has expired
}

func ExampleConfig_Report() {
	config := auth.Config{Refresh: auth.RefreshPolicy{Grace: 5 * time.Second}}
	for _, f := range config.Report() {
		if f.Verdict != auth.VerdictOK && f.Rule == "refresh.grace" {
			fmt.Println(f.Verdict, f.Setting, f.Value, "instead of", f.Limit)
		}
	}
	// Output: warn Refresh.Grace 5s instead of 0s
}

// newService makes a service on a database of its own.
func newService(config auth.Config) (svc *auth.Service, done func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "auth")
	if err != nil {
		log.Fatal(err)
	}
	url := "sqlite://" + filepath.ToSlash(dir) + "/app.db" // or mysql://user:password@host:3306/app
	if _, err := migrate.Apply(ctx, url, migrate.ApplyOptions{}); err != nil {
		log.Fatal(err)
	}
	client, err := authgraph.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	config.Keys = auth.NewKeys([]byte("32 bytes of a secret store, all random"))
	config.Hashing.Floor = auth.NoFloor
	if svc, err = auth.New(client, config); err != nil {
		log.Fatal(err)
	}
	return svc, func() {
		_ = svc.Close(ctx)
		_ = client.Close()
		_ = os.RemoveAll(dir)
	}
}
