// Command httpapi is a small JSON service over package auth, made to be copied: registration, sign-in by password, by
// code, by a provider and in two steps, devices with a session and a refresh token each, changed and lost passwords,
// another address, deleted accounts, and closing an account for admins.
//
//	go run ./examples/httpapi
//
// It works on a SQLite file, or on the database of DATABASE_URL. AUTHGRAPH_KEY is the key for one-time codes in base64.
// Left to you are a Mailer, a Provider if people sign in elsewhere, the page, TLS in front of it, limits of requests by
// client address, and running authgraph purge daily. Before you make somebody an admin, give auth.Config a Factor: mail
// is no second step for who signs in by mail, or has reset the password by mail.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/migrate"
)

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "localhost:8080", "where to listen")
	flag.StringVar(&o.site, "site", "http://localhost:8080", "the page that the links of mails lead to")
	flag.StringVar(&o.ipHeader, "ip-header", "", "the header in which a proxy says the client's address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "httpapi:", err)
		os.Exit(1)
	}
}

type options struct{ addr, site, ipHeader string }

func run(ctx context.Context, o options, log *slog.Logger) (err error) {
	key, err := readKey(log)
	if err != nil {
		return err
	}
	url := cmp.Or(os.Getenv("DATABASE_URL"), "sqlite://authgraph.db")
	if _, err := migrate.Apply(ctx, url, migrate.ApplyOptions{}); err != nil {
		return err
	}
	client, err := authgraph.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	a, err := newAPI(client, auth.Config{
		Keys:     auth.NewKeys(key),
		Password: auth.PasswordPolicy{Names: []string{"httpapi"}}, // and the names of your company and products
	}, logMailer{log}, log)
	if err != nil {
		return err
	}
	a.site, a.ipHeader = o.site, o.ipHeader
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(errors.New("logMailer prints codes to the log: put your own Mailer in its place before "+
			"others can connect"), listener.Close())
	}
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	fmt.Printf(usage, listener.Addr().(*net.TCPAddr).Port)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// What has begun is finished: requests, their mails, and last uses.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err = server.Shutdown(ctx)
	err = errors.Join(err, a.auth.Close(ctx))
	a.mails.Wait() // each has a timeout
	return err
}

// The cookies are Secure. To localhost curl and browsers, Safari apart, send them over plain HTTP too.
const usage = `listening, try (codes are in the log, tickets in the answers):

  api() { curl -sS -b jar -c jar -H 'Content-Type: application/json' http://localhost:%d"$@"; }
  api /register     -d '{"name":"Ada","email":"ada@example.com","password":"correct horse battery"}'
  api /verify-email -d '{"ticket":"…","code":"…"}'
  api /sign-in      -d '{"email":"ada@example.com","password":"correct horse battery"}'
  api /me
  api /sessions
  api /refresh  -X POST
  api /sign-out -X POST

`

func readKey(log *slog.Logger) ([]byte, error) {
	if os.Getenv("AUTHGRAPH_KEY") == "" {
		log.Warn("AUTHGRAPH_KEY is not set: codes of this process are worth nothing to the next; make a key with: " +
			"openssl rand -base64 32")
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return key, nil
	}
	key, err := base64.StdEncoding.DecodeString(os.Getenv("AUTHGRAPH_KEY"))
	if err != nil {
		return nil, errors.New("AUTHGRAPH_KEY is not base64: make one with: openssl rand -base64 32")
	}
	return key, nil
}
