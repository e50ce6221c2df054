package adopt

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
)

// Passwords are those of users that are hashed in one way.
type Passwords struct {
	// Kind is how, such as bcrypt, or unknown.
	Kind string `json:"kind"`
	// Users is how many.
	Users int64 `json:"users"`
	// Readable is set if package auth, with its defaults, compares passwords with such hashes. If not, their owners do
	// not sign in with a password before they reset it.
	Readable bool `json:"readable"`
	// IDs are some of the users if not Readable.
	IDs []json.Number `json:"ids,omitempty"`
}

// passwords counts, by kind, how the passwords of the users are hashed. It keeps no hash.
func (s search) passwords(ctx context.Context) ([]Passwords, error) {
	_, there := s.plan.live[user.Table].find(isColumn, user.FieldPassword)
	if !there || s.key(user.Table) != dbserver.Quote(user.FieldID) {
		return nil, nil
	}
	kinds := map[string]*Passwords{}
	for row, err := range textsOf(ctx, s.db, user.Table, user.FieldPassword) {
		if err != nil {
			return nil, err
		}
		kind, readable := auth.Config{}.HashKind(row.text)
		p := kinds[kind]
		if p == nil {
			p = &Passwords{Kind: kind, Readable: readable}
			kinds[kind] = p
		}
		if p.Users++; !readable && p.Users <= shownRows {
			p.IDs = append(p.IDs, json.Number(strconv.FormatInt(row.id, 10)))
		}
	}
	var all []Passwords
	for _, p := range kinds {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Passwords) int { return cmp.Compare(a.Kind, b.Kind) })
	return all, nil
}
