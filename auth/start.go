package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/privacy"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// This file finds out when a service is made what would otherwise fail at the first sign-in.

// errUnsent is the error of a statement that was not to be sent.
var errUnsent = errors.New("nothing is sent")

// dialectOf is the client's dialect. Nothing is sent.
func dialectOf(client *ent.Client) (name string, err error) {
	q := client.OTP.Query()
	q.Modify(func(sel *entsql.Selector) {
		name = sel.Dialect()
		sel.AddError(errUnsent)
	})
	_, err = q.All(privacy.DecisionContext(context.Background(), privacy.Allow))
	if name != "" {
		err = nil
	}
	return name, err
}

// unsent is a driver that sends nothing.
type unsent struct{ name string }

func (d unsent) Exec(context.Context, string, any, any) error  { return errUnsent }
func (d unsent) Query(context.Context, string, any, any) error { return errUnsent }
func (d unsent) Tx(context.Context) (dialect.Tx, error)        { return dialect.NopTx(d), nil }
func (d unsent) Close() error                                  { return nil }
func (d unsent) Dialect() string                               { return d.name }

// tryCreate makes one account of each kind without a database. What the schema of the project's users demands, and
// nothing gives, is a [*ConfigError].
func (s *Service) tryCreate(dialectName string) error {
	hash := s.decoyHash
	local := s.newAccount("A Person", "person@example.com")
	local.Password = &hash
	kinds := map[string]*graph.Account{"with a password": local}
	if needs(linkFields...) == nil {
		kinds["of a provider"] = s.fromProvider(
			Identity{Provider: schematype.ProviderGoogle, Subject: "1", Email: "person@example.com", Name: "A Person"})
	}
	for kind, account := range kinds {
		var invalid *ent.ValidationError
		if err := trial(dialectName, account); errors.As(err, &invalid) {
			return &ConfigError{
				Field: "client", Reason: fmt.Sprintf("refuses a new user %s: field %s: %v", kind, invalid.Name, err),
				Fix: "give the field a default, or set it in FillIn of internal/graph/rules.go beside package auth",
			}
		}
	}
	return nil
}

// trial adds an account without a database. Hooks of the project may panic where a request is missing.
func trial(dialectName string, a *graph.Account) (err error) {
	defer func() {
		if recover() != nil {
			err = errUnsent
		}
	}()
	_, err = insert(context.Background(), ent.NewClient(ent.Driver(unsent{dialectName})), *a)
	return err
}

// startWait is how long [New] waits for the database.
const startWait = 2 * time.Second

// tryServer proves, if the server can be reached, that it counts the rows that an UPDATE matched and not only those
// that it changed, that it keeps what one statement writes, and that times are read as times. Every decision rests on
// that.
func (s *Service) tryServer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	var wrong *ConfigError
	if errors.As(s.proveCounts(ctx), &wrong) {
		return wrong
	}
	return nil
}

// proveCounts proves it once. The connections of package authgraph need no proof. It is a [*ConfigError] if the
// connections are otherwise.
func (s *Service) proveCounts(ctx context.Context) error {
	if s.counts.Load() || s.watched.Load() {
		return nil
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.within(ctx, tx, (*ent.Tx).Rollback) }()
	if s.watched.Load() {
		return nil
	}
	const insert = `INSERT INTO otps` +
		` (created_at, updated_at, email, type, otp_hash_code, next_resend_allowed_at, expires_at, is_used, attempts,` +
		` max_attempts, is_known_device, is_link) VALUES (?, ?, '', 'signin', ?, ?, ?, true, 0, 0, false, false)`
	now := s.now()
	result, err := tx.Client().ExecContext(ctx, insert, now, now, noCode, now, now)
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	n, err := execute(ctx, tx.Client(), "UPDATE otps SET attempts = attempts WHERE id = ?", id)
	switch {
	case err != nil:
		return err
	case n != 1:
		return &ConfigError{
			Field: "client", Reason: "has connections that do not count the rows an UPDATE leaves as they are",
			Fix: "open it with package authgraph, or set clientFoundRows=true in the DSN",
		}
	}
	var at any
	autocommit := true
	const read = "SELECT created_at, @@autocommit FROM otps WHERE id = ?"
	if found, err := scanRow(ctx, tx.Client(), read, []any{id}, &at, &autocommit); err != nil || !found {
		return wrap(err, "read a time")
	}
	written, ok := at.(time.Time)
	if !ok {
		return &ConfigError{
			Field: "client", Reason: "has connections that read times as text",
			Fix: "open it with package authgraph, or set parseTime=true in the DSN",
		}
	}
	if isShifted(written.Location(), now.Year()) {
		return &ConfigError{
			Field: "client", Reason: "has connections that write times of another zone than UTC, in which the last " +
				"times that a column holds do not fit",
			Fix: "open it with package authgraph, or set loc=UTC in the DSN",
		}
	}
	if !autocommit {
		return &ConfigError{
			Field: "client", Reason: "has connections that do not keep what a single statement writes",
			Fix: "open it with package authgraph, or set autocommit=1 in the DSN",
		}
	}
	s.counts.Store(true)
	return nil
}

// isShifted reports whether a zone is not UTC's, in the winter or in the summer of a year.
func isShifted(zone *time.Location, year int) bool {
	for _, month := range []time.Month{time.January, time.July} {
		if _, offset := time.Date(year, month, 1, 0, 0, 0, 0, zone).Zone(); offset != 0 {
			return true
		}
	}
	return false
}
