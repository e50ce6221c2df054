package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"entgo.io/ent/dialect/sql/sqlgraph"
	"entgo.io/ent/privacy"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqlconn"
)

// This file reads and writes the rows of users, whose table and columns package graph names. The statements are its
// own, so that the hooks, interceptors and privacy rules that a project has for its users neither see nor change them.
// Only a new row is made by Ent's builder, which knows what else the project's users need.

// UserID is the type of a user's id. The zero value stands for no user: into a row that has it, such as a seeded one
// with an empty text, no password, code or provider lets anybody.
type UserID = graph.UserID

// Has reports whether the users of this program have a column, by the name that the field has in this package's own
// schema, such as "role". What needs one that is not there is an [*AbsentError].
func Has(field string) bool { return columnOf[field] != "" }

// columnOf are the columns by the names of this package's own fields, where they may be absent.
var columnOf = map[string]string{
	"name": graph.Name, "password": graph.Password, "role": graph.Role,
	"provider": graph.Provider, "provider_id": graph.ProviderID, "avatar": graph.Avatar,
	"last_login_at": graph.LastLoginAt, "is_deleted": graph.IsDeleted, "deleted_at": graph.DeletedAt,
	"re_activate_available_at": graph.ReActivateAvailableAt, "updated_at": graph.UpdatedAt,
}

// needs is an [*AbsentError] unless users have these fields.
func needs(fields ...string) error {
	for _, field := range fields {
		if !Has(field) {
			return &AbsentError{Column: field}
		}
	}
	return nil
}

// The fields that the account's deletion and the link to a provider need.
var (
	deletionFields = []string{"is_deleted", "deleted_at", "re_activate_available_at"}
	linkFields     = []string{"provider", "provider_id"}
)

// where is a condition in SQL on a row u of users, with its arguments.
type where struct {
	text string
	args []any
}

// is compares a column with a value.
func is(column string, value any) where { return where{"u.`" + column + "` = ?", []any{value}} }

// all holds where each condition does.
func all(conditions ...where) where {
	if len(conditions) == 1 {
		return conditions[0]
	}
	var text strings.Builder
	var args []any
	for _, c := range conditions {
		if c.text == "" {
			continue
		}
		if text.Len() > 0 {
			text.WriteString(" AND ")
		}
		text.WriteString(c.text)
		args = append(args, c.args...)
	}
	return where{text.String(), args}
}

// The states of an account that no argument belongs to.
const (
	isDeleted  = graph.ReadIsDeleted
	notDeleted = "NOT (" + graph.ReadIsDeleted + ")"
	isVerified = graph.ReadIsEmailVerified
)

// ruleColumn is graph.Allowed as one more column, and ruleCondition as one more condition, where there is a rule.
// ruleBars is another condition for whom it does not allow, also where it is NULL, if its argument is true.
var ruleColumn, ruleCondition, ruleBars = func() (column, condition, bars string) {
	const rule = "CASE WHEN (" + graph.Allowed + ") THEN 1 ELSE 0 END"
	if graph.Allowed == "" {
		return "", "", ""
	}
	return ", " + rule, " AND (" + graph.Allowed + ")", " OR ? AND " + rule + " = 0"
}()

// usersTable is the table under the name that conditions have for its rows.
const usersTable = "`" + graph.Table + "` AS u"

// accountQuery reads what [loadAccount] scans.
var accountQuery = "SELECT " + strings.Join([]string{
	graph.ReadID, graph.ReadCreatedAt, graph.ReadName, graph.ReadEmail, graph.ReadPassword, graph.ReadRole,
	graph.ReadProvider, graph.ReadProviderID, graph.ReadAvatar, graph.ReadIsEmailVerified, graph.ReadLastLoginAt,
	graph.ReadFailedLoginAttempts, graph.ReadLockUntil, graph.ReadIsDeleted, graph.ReadDeletedAt,
	graph.ReadReActivateAvailableAt, graph.ReadSuspendedUntil, graph.ReadGuessFailures, graph.ReadStepFailures,
	graph.ReadTrustEpoch, graph.ReadResetByMail,
}, ", ") + ruleColumn + " FROM " + usersTable + " WHERE "

// loadAccount is the account that an accountQuery finds, or nil.
func loadAccount(ctx context.Context, client *ent.Client, query string, args ...any) (*graph.Account, error) {
	a := &graph.Account{Allowed: graph.Allowed == ""}
	var avatar []byte
	found, err := scanRow(ctx, client, query, args, accountInto(a, &avatar)...)
	var none UserID
	if unheld(err, args...) {
		return nil, nil
	}
	if err != nil || !found || a.ID == none { // see [UserID]
		return nil, err
	}
	a.Avatar = decodeAvatar(avatar)
	return a, nil
}

// accountInto is where a row of an accountQuery is scanned to.
func accountInto(a *graph.Account, avatar *[]byte) []any {
	dest := []any{
		&a.ID, (*timeOrZero)(&a.CreatedAt), &a.Name, &a.Email, &a.Password, &a.Role,
		&a.Provider, &a.ProviderID, avatar, &a.IsEmailVerified, &a.LastLoginAt,
		&a.FailedLoginAttempts, &a.LockUntil, &a.IsDeleted, &a.DeletedAt,
		&a.ReActivateAvailableAt, &a.SuspendedUntil, &a.GuessFailures, &a.StepFailures,
		&a.TrustEpoch, &a.ResetByMail,
	}
	if graph.Allowed != "" {
		dest = append(dest, &a.Allowed)
	}
	return dest
}

// unheld reports whether a server refused a statement for an argument with characters that the column it is compared
// with, or written to, has none for, such as one of latin1: no row of the column holds it.
func unheld(err error, args ...any) bool {
	return mysqlconn.IsServer(err, refusesCharacters...) && slices.ContainsFunc(args, beyondASCII)
}

// refusesCharacters are the numbers of MySQL, for an argument and for a text in the statement, and of MariaDB.
var refusesCharacters = []uint16{
	3988, // ER_INVALID_CONVERSION_PARAMETER_CHARSET
	3854, // ER_CANNOT_CONVERT_STRING
	1366, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
	1267, // ER_CANT_AGGREGATE_2COLLATIONS
}

func beyondASCII(arg any) bool {
	text, ok := arg.(string)
	return ok && strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// timeOrZero scans a time that may be NULL.
type timeOrZero time.Time

// Scan implements sql.Scanner.
func (t *timeOrZero) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t = timeOrZero{}
	case time.Time:
		*t = timeOrZero(v.UTC())
	default:
		return fmt.Errorf("%T is no time", value)
	}
	return nil
}

// readUser is the account that matches, or nil.
func readUser(ctx context.Context, client *ent.Client, conditions ...where) (*graph.Account, error) {
	w := all(conditions...)
	return loadAccount(ctx, client, accountQuery+w.text+" LIMIT 1", w.args...)
}

// readByEmail is the account of a normalised address, or nil. The table's collation may take another one for it, so it
// is compared once more.
func readByEmail(ctx context.Context, client *ent.Client, email string) (*graph.Account, error) {
	return ofAddress(email)(readUser(ctx, client, is(graph.Email, email)))
}

// ofAddress leaves out an account that was found by an address and has another one.
func ofAddress(email string) func(*graph.Account, error) (*graph.Account, error) {
	return func(a *graph.Account, err error) (*graph.Account, error) {
		if a != nil && schematype.NormalizeEmail(a.Email) != email {
			return nil, err
		}
		return a, err
	}
}

// hold is the account that matches, as committed, whose row the transaction then holds. The error is missing if there
// is none.
func (s *Service) hold(
	ctx context.Context, tx *ent.Client, missing error, conditions ...where,
) (*graph.Account, error) {
	w := all(conditions...)
	a, err := loadAccount(ctx, tx, accountQuery+w.text+" LIMIT 1"+s.forUpdate, w.args...)
	if err == nil && a == nil {
		return nil, missing
	}
	return a, wrap(err, "find an account")
}

// holds reports whether there is a user that matches, as committed. Within a transaction that then holds the row.
func (s *Service) holds(ctx context.Context, client *ent.Client, conditions ...where) (found bool, err error) {
	w := all(conditions...)
	var one int
	found, err = scanRow(ctx, client, "SELECT 1 FROM "+usersTable+" WHERE "+w.text+" LIMIT 1"+s.forUpdate, w.args, &one)
	if unheld(err, w.args...) {
		return false, nil
	}
	return found, err
}

// change is an UPDATE of users, which also sets updated_at. Every sign-in makes two, so that it is put together in one
// text and one slice of arguments.
type change struct {
	text  strings.Builder // up to WHERE; empty if nothing is set
	args  []any
	which []where
	// beyond are the columns that get more than ASCII.
	beyond []string
}

// changeOf is a change of one user.
func changeOf(id UserID) *change {
	return &change{args: make([]any, 0, 12), which: append(make([]where, 0, 4), is(graph.ID, id))}
}

// only restricts the change to rows in a state.
func (c *change) only(conditions ...where) *change {
	c.which = append(c.which, conditions...)
	return c
}

// to gives a column a value. One that is absent is left out.
func (c *change) to(column string, value any) *change { return c.by(column, "?", value) }

// by gives a column the value of an expression. MySQL assigns from left to right, so those before have changed.
func (c *change) by(column, expression string, args ...any) *change {
	if column == "" {
		return c
	}
	if c.text.Len() == 0 {
		c.text.Grow(384) // those of a sign-in have 337 and 382 bytes in all
		c.text.WriteString("UPDATE " + usersTable + " SET ")
	} else {
		c.text.WriteString(", ")
	}
	for _, part := range [...]string{"`", column, "` = ", expression} {
		c.text.WriteString(part)
	}
	if slices.ContainsFunc(args, beyondASCII) {
		c.beyond = append(c.beyond, column)
	}
	c.args = append(c.args, args...)
	return c
}

// add adds to a column.
func (c *change) add(column string, n int) *change {
	return c.by(column, "u.`"+column+"` + ?", n)
}

// send sends the change, and returns how many rows matched.
func (c *change) send(ctx context.Context, client *ent.Client) (matched int, err error) {
	c.to(graph.UpdatedAt, updatedNow())
	if c.text.Len() == 0 { // it holds the row all the same
		c.add(graph.TrustEpoch, 0)
	}
	c.text.WriteString(" WHERE ") // without a condition the server refuses it
	and := ""
	for _, w := range c.which {
		if w.text != "" {
			c.text.WriteString(and)
			c.text.WriteString(w.text)
			c.args = append(c.args, w.args...)
			and = " AND "
		}
	}
	matched, err = execute(ctx, client, c.text.String(), c.args...)
	return matched, input(c.input(err))
}

// input makes an [*InputError] of an error that says that a column has no such characters.
func (c *change) input(err error) error {
	if len(c.beyond) == 0 || !mysqlconn.IsServer(err, refusesCharacters...) {
		return err
	}
	return &InputError{Field: strings.Join(c.beyond, " or "), Err: errCharacters}
}

// newAccount is an account that begins now.
func (s *Service) newAccount(name, email string) *graph.Account {
	return &graph.Account{
		Name: name, Email: email, CreatedAt: s.now(), Role: schematype.RoleUser, Provider: schematype.ProviderLocal,
		Allowed: true,
	}
}

// createAccount adds a row, and gives a its id. With graph.Hooked the client must be one of a transaction: what hooks
// of the project made of the row is overwritten, and a is what it then holds, such as a time in whole seconds.
func createAccount(ctx context.Context, client *ent.Client, a *graph.Account) (err error) {
	if a.ID, err = insert(ctx, client, *a); err != nil {
		return fmt.Errorf("add an account: %w", input(exact(a).input(err)))
	}
	if !graph.Hooked {
		return nil
	}
	if _, err := exact(a).send(ctx, client); err != nil {
		return fmt.Errorf("add an account: %w", err)
	}
	read, err := readUser(ctx, client, is(graph.ID, a.ID))
	switch {
	case err != nil:
		return fmt.Errorf("add an account: %w", err)
	case read == nil:
		return errors.New("add an account: its row is not there")
	}
	*a = *read
	return nil
}

// insert adds a row by Ent's builder. It is this package's to decide who gets an account.
func insert(ctx context.Context, client *ent.Client, a graph.Account) (id UserID, err error) {
	if graph.Hooked {
		a.Password = new(placeholder())
	}
	row, err := graph.Create(client, &a).Save(privacy.DecisionContext(ctx, privacy.Allow))
	if err != nil {
		return id, err
	}
	return row.ID, nil
}

// placeholder is the password that hooks of the project get in place of a hash, which they might hash again or refuse.
// It is overwritten before the transaction ends. Nobody knows it, should a hook keep it or commit by itself.
func placeholder() string { return "Aa0-" + rand.Text()[:21] }

// exact writes what a new row is to hold past the hooks of the project.
func exact(a *graph.Account) *change {
	c := changeOf(a.ID).
		to(graph.CreatedAt, a.CreatedAt).to(graph.Name, a.Name).to(graph.Email, a.Email).
		to(graph.IsEmailVerified, a.IsEmailVerified)
	if a.Password != nil {
		c.to(graph.Password, *a.Password)
	} else {
		c.by(graph.Password, graph.NoPassword)
	}
	if a.ProviderID != nil {
		c.to(graph.Provider, a.Provider).to(graph.ProviderID, *a.ProviderID)
	}
	return c
}

// clash returns named in place of a unique constraint's error if rows that match are there, as committed, to cause it.
// Another constraint of the table may have refused the write.
func (s *Service) clash(
	ctx context.Context, client *ent.Client, err, named error, conditions ...where,
) error {
	if !sqlgraph.IsUniqueConstraintError(err) {
		return err
	}
	switch found, look := s.holds(ctx, client, conditions...); {
	case look != nil:
		return look
	case found:
		return named
	case isUnseen(err):
		return fmt.Errorf("%w: %w", errRaced, err)
	}
	return err
}
