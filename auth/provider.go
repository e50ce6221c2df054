package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// Identity is what a provider says about the person who signed in there. The caller
// has verified it (OpenID Connect Core, 3.1.3.7, or the provider's API).
type Identity struct {
	// Provider is any of the column's values but local.
	Provider schematype.Provider
	// Subject is the provider's unchanging id for the person, never an email. It has from 1 to 255 characters, and no
	// white space around it.
	Subject string
	// Email matters only where nobody has signed in with the identity before.
	Email string
	// EmailVerified is whether the provider vouches for Email.
	EmailVerified bool
	// Name is cut at 100 characters. It may be empty: not every provider tells it.
	Name   string
	Avatar *schematype.Avatar
}

// validate is an [*InputError] for an identity that cannot be stored.
func (id *Identity) validate() error {
	if id.Provider == schematype.ProviderLocal || !slices.Contains(id.Provider.Values(), string(id.Provider)) {
		return &InputError{Field: "provider", Err: errors.New("is not one that identifies people")}
	}
	err := schematype.ValidateSubject(id.Subject)
	switch {
	case id.Subject == "":
		err = errors.New("is empty")
	case utf8.RuneCountInString(id.Subject) > 255:
		err = errors.New("is longer than 255 characters")
	}
	if err != nil {
		return &InputError{Field: "provider_id", Err: err}
	}
	return nil
}

// owner is the account that is linked to the identity.
func (id *Identity) owner() where {
	return all(is(graph.Provider, id.Provider), is(graph.ProviderID, id.Subject))
}

// SignInWithProvider signs in the person whom a provider identified. It finds their account by provider and subject.
// The first time it finds it by the address, which the provider must have verified, and links it, or else adds an
// account. Any number of first sign-ins at once make one account.
//
// Somebody else may have made an account in wait for the owner of an address that was never verified here. Linking such
// an account takes it over: its password, an earlier link, sessions and refresh tokens are removed. An account whose
// address is verified keeps the link it has, and an identity of another provider signs in to it by the address. So does
// every identity to an account that needs a second step: [Service.LinkProvider] alone links it. Such a first step shows
// no more than who reads the mail, so a mailed code does not finish it.
//
// The error is [ErrProviderEmail] if nobody has signed in with the identity before and the provider has not verified
// its address, whether or not an account has it. It is [ErrIdentity] if the account of the address is linked to another
// subject of the same provider: an address may pass to another person. It is [ErrCredentials] if the account is
// suspended, or was deleted after its address had been verified, and an [*InputError] for an identity that cannot be
// stored. It is [ErrEmailTaken] only where the project's own table takes the address of another account for it. With
// AccountPolicy.VerifiedOnly it is [ErrCredentials] too if the account of the identity was never verified, and the
// provider has not verified the same address.
func (s *Service) SignInWithProvider(ctx context.Context, id Identity, d Device) (*Grant, error) {
	if err := needs(linkFields...); err != nil {
		return nil, err
	}
	if err := id.validate(); err != nil {
		return nil, err
	}
	id.Email = schematype.NormalizeEmail(id.Email)
	var (
		g      *Grant
		events []Event
	)
	e := entry{detail: string(id.Provider), device: d}
	err := s.tx(ctx, func(ctx context.Context, tx *ent.Client) error {
		events = nil
		e.step = schematype.FirstStepProvider
		u, err := s.resolve(ctx, tx, id, &e, &events)
		if err != nil {
			return err
		}
		g, err = s.grantIn(ctx, tx, u, e, func(c *change) {
			// Link and address must still be those that were found: the owner of the address may have taken the account
			// over, or the owner of the account changed the address.
			c.only(s.usable(), sameLink(u), is(graph.Email, u.Email))
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	s.observeAll(ctx, events)
	return s.granted(ctx, g, e)
}

// sameLink are the accounts with u's link to a provider.
func sameLink(u *graph.Account) where {
	subject := where{text: graph.ReadProviderID + " IS NULL"}
	if u.ProviderID != nil {
		subject = is(graph.ProviderID, *u.ProviderID)
	}
	return all(is(graph.Provider, u.Provider), subject)
}

// errRaced is a row that another call added or changed first. Look again.
var errRaced = errors.New("another call added or changed the row")

// resolve finds, links or adds the account of an identity. An account that needs a second step is not linked. If it is
// found by the address, all that was proved is who reads its mail.
func (s *Service) resolve(
	ctx context.Context, tx *ent.Client, id Identity, e *entry, events *[]Event,
) (*graph.Account, error) {
	u, err := readUser(ctx, tx, id.owner())
	switch {
	case err != nil:
		return nil, fmt.Errorf("find an account: %w", err)
	case u == nil && !id.EmailVerified:
		return nil, ErrProviderEmail
	case u == nil:
	case *u.ProviderID != id.Subject: // but for spaces, in a row of another program
		return nil, ErrIdentity
	case s.cfg.Account.VerifiedOnly && !u.IsEmailVerified:
		return u, s.verifyLinked(ctx, tx, u, id, events)
	default:
		return u, nil
	}
	if u, err = readByEmail(ctx, tx, id.Email); err != nil {
		return nil, fmt.Errorf("find an account: %w", err)
	}
	if u == nil {
		return s.addFromProvider(ctx, tx, id, events)
	}
	e.step = schematype.FirstStepMail
	switch {
	case purging(u):
		return nil, ErrCredentials
	case !u.IsEmailVerified || !isLinked(u): // it is linked below
	case u.Provider == id.Provider && *u.ProviderID != id.Subject:
		return nil, ErrIdentity
	default:
		return u, nil
	}
	if _, err := s.takeOver(ctx, tx, u, false, events); err != nil {
		return nil, err
	}
	if half, err := s.needsStep(ctx, u, *e); half || err != nil {
		return u, err
	}
	n, err := changeOf(u.ID).only(sameLink(u)).
		to(graph.Provider, id.Provider).to(graph.ProviderID, id.Subject).
		send(ctx, tx)
	if err == nil && n == 0 {
		err = errRaced
	}
	if err := s.clash(ctx, tx, err, errRaced, id.owner()); err != nil {
		return nil, fmt.Errorf("link a provider: %w", err)
	}
	u.Provider, u.ProviderID = id.Provider, &id.Subject
	*events = append(*events, Event{Action: ActionLink, UserID: u.ID, Detail: string(id.Provider)})
	return u, nil
}

// verifyLinked verifies the address of an account that is linked to an identity, if the provider has verified the same
// one. Whoever linked it keeps the account as it is. Otherwise the error is [ErrCredentials].
func (s *Service) verifyLinked(
	ctx context.Context, tx *ent.Client, u *graph.Account, id Identity, events *[]Event,
) error {
	if !id.EmailVerified || id.Email != schematype.NormalizeEmail(u.Email) || u.IsDeleted {
		return ErrCredentials
	}
	_, err := s.takeOver(ctx, tx, u, true, events)
	return err
}

func (s *Service) addFromProvider(
	ctx context.Context, tx *ent.Client, id Identity, events *[]Event,
) (*graph.Account, error) {
	if _, err := address(id.Email); err != nil {
		return nil, err
	}
	u := s.fromProvider(id)
	err := s.clash(ctx, tx, createAccount(ctx, tx, u), errRaced, id.owner())
	if err = s.clash(ctx, tx, err, ErrEmailTaken, is(graph.Email, id.Email)); errors.Is(err, ErrEmailTaken) {
		err = s.racedFor(ctx, tx, id.Email)
	}
	if err != nil {
		return nil, err
	}
	*events = append(*events, Event{Action: ActionRegister, UserID: u.ID, Detail: string(id.Provider)})
	return u, nil
}

// racedFor is errRaced if there is an account of an address now, and [ErrEmailTaken] if the table takes the address of
// another account for it.
func (s *Service) racedFor(ctx context.Context, tx *ent.Client, email string) error {
	u, err := s.hold(ctx, tx, errRaced, is(graph.Email, email))
	switch {
	case err != nil:
		return err
	case schematype.NormalizeEmail(u.Email) != email:
		return ErrEmailTaken
	}
	return errRaced
}

// fromProvider is the account of an identity that nobody has signed in with before.
func (s *Service) fromProvider(id Identity) *graph.Account {
	u := s.newAccount(cutName(id.Name), id.Email)
	u.IsEmailVerified, u.Provider, u.ProviderID, u.Avatar = true, id.Provider, &id.Subject, id.Avatar
	return u
}

// cutName makes a name fit, which the person did not enter here: a sign-in must not fail on its length or its bytes.
func cutName(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName])
	}
	return name
}
