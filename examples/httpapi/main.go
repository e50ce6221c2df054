// Command httpapi is a small JSON service over package auth, made to be copied: registration, sign-in by password and
// by code, sessions and refresh tokens in cookies, password reset.
//
//	go run ./examples/httpapi
//
// It works on a SQLite file, or on the database of DATABASE_URL. AUTHGRAPH_KEY is the key for one-time codes in base64.
// Left to you are a Mailer, TLS in front of it, limits by client address, and running authgraph purge daily.
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
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "httpapi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, log *slog.Logger) (err error) {
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
	svc, err := auth.New(client, auth.Config{
		Keys: auth.NewKeys(key), Account: auth.AccountPolicy{VerifiedOnly: true}, Observer: auth.LogTo(log),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(errors.New("logMailer prints codes to the log: put your own Mailer in its place before "+
			"others can connect"), listener.Close())
	}
	a := &api{auth: svc, mailer: logMailer{log}, log: log}
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
	a.mails.Wait() // each has a timeout
	return errors.Join(err, svc.Close(ctx))
}

// The cookies are Secure. To localhost curl and browsers, Safari apart, send them over plain HTTP too.
const usage = `listening, try (the codes are in the log):

  api() { curl -sS -b jar -c jar -H 'Content-Type: application/json' http://localhost:%d"$@"; }
  api /register     -d '{"name":"Ada","email":"ada@example.com","password":"correct horse battery"}'
  api /verify-email -d '{"email":"ada@example.com","code":"…"}'
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
