package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"entgo.io/ent/dialect/sql/sqlgraph"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/predicate"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/user"
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
	if id.Provider == schematype.ProviderLocal || user.ProviderValidator(id.Provider) != nil {
		return &InputError{Field: user.FieldProvider, Err: errors.New("is not one that identifies people")}
	}
	if err := user.ProviderIDValidator(id.Subject); err != nil {
		return &InputError{Field: user.FieldProviderID, Err: err}
	}
	return nil
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
// stored. With AccountPolicy.VerifiedOnly it is [ErrCredentials] too if the account of the identity was never verified,
// and the provider has not verified the same address.
func (s *Service) SignInWithProvider(ctx context.Context, id Identity, d Device) (*Grant, error) {
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
		g, err = s.grantIn(ctx, tx, u, e, func(up *ent.UserUpdate) {
			// Link and address must still be those that were found: the owner of the address may have taken the account
			// over, or the owner of the account changed the address.
			up.Where(s.usable(), sameLink(u), user.Email(u.Email))
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
func sameLink(u *ent.User) predicate.User {
	subject := user.ProviderIDIsNil()
	if u.ProviderID != nil {
		subject = user.ProviderID(*u.ProviderID)
	}
	return user.And(user.ProviderEQ(u.Provider), subject)
}

// errRaced is a row that another call added or changed first. Look again.
var errRaced = errors.New("another call added or changed the row")

// resolve finds, links or adds the account of an identity. An account that needs a second step is not linked. If it is
// found by the address, all that was proved is who reads its mail.
func (s *Service) resolve(
	ctx context.Context, tx *ent.Client, id Identity, e *entry, events *[]Event,
) (*ent.User, error) {
	u, err := readUser(ctx, tx, user.ProviderEQ(id.Provider), user.ProviderID(id.Subject))
	switch {
	case err == nil && *u.ProviderID != id.Subject: // but for spaces, in a row of another program
		return nil, ErrIdentity
	case err == nil && s.cfg.Account.VerifiedOnly && !u.IsEmailVerified:
		return u, s.verifyLinked(ctx, tx, u, id, events)
	case err == nil:
		return u, nil
	case !ent.IsNotFound(err):
		return nil, fmt.Errorf("find an account: %w", err)
	case !id.EmailVerified:
		return nil, ErrProviderEmail
	}
	u, err = readUser(ctx, tx, user.Email(id.Email))
	if ent.IsNotFound(err) {
		return s.addFromProvider(ctx, tx, id, events)
	}
	e.step = schematype.FirstStepMail
	switch {
	case err != nil:
		return nil, fmt.Errorf("find an account: %w", err)
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
	n, err := tx.User.Update().
		Where(user.ID(u.ID), sameLink(u)).
		SetProvider(id.Provider).SetProviderID(id.Subject).
		Save(ctx)
	switch {
	case sqlgraph.IsUniqueConstraintError(err), err == nil && n == 0:
		return nil, errRaced
	case err != nil:
		return nil, fmt.Errorf("link a provider: %w", err)
	}
	u.Provider, u.ProviderID = id.Provider, &id.Subject
	*events = append(*events, Event{Action: ActionLink, UserID: u.ID, Detail: string(id.Provider)})
	return u, nil
}

// verifyLinked verifies the address of an account that is linked to an identity, if the provider has verified the same
// one. Whoever linked it keeps the account as it is. Otherwise the error is [ErrCredentials].
func (s *Service) verifyLinked(
	ctx context.Context, tx *ent.Client, u *ent.User, id Identity, events *[]Event,
) error {
	if !id.EmailVerified || id.Email != u.Email || u.IsDeleted {
		return ErrCredentials
	}
	_, err := s.takeOver(ctx, tx, u, true, events)
	return err
}

func (s *Service) addFromProvider(
	ctx context.Context, tx *ent.Client, id Identity, events *[]Event,
) (*ent.User, error) {
	create := tx.User.Create().
		SetName(cutName(id.Name)).SetEmail(id.Email).SetIsEmailVerified(true).
		SetProvider(id.Provider).SetProviderID(id.Subject).
		SetCreatedAt(s.now())
	if id.Avatar != nil {
		create.SetAvatar(id.Avatar)
	}
	u, err := create.Save(ctx)
	switch {
	case sqlgraph.IsUniqueConstraintError(err):
		return nil, errRaced
	case err != nil:
		return nil, fmt.Errorf("add an account: %w", input(err))
	}
	*events = append(*events, Event{Action: ActionRegister, UserID: u.ID, Detail: string(id.Provider)})
	return u, nil
}

// cutName makes a name fit, which the person did not enter here: a sign-in must not fail on its length or its bytes.
func cutName(name string) string {
	const limit = 100
	name = strings.ToValidUTF8(name, "\uFFFD")
	if runes := []rune(name); len(runes) > limit {
		return string(runes[:limit])
	}
	return name
}
