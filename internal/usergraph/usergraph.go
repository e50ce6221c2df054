// Package usergraph attaches the auth graph to an entity of users that a project already has. It finds out which of the
// entity's fields hold what package auth knows of a user, says what is in the way, and writes the Go files that differ
// from project to project: package graph, and in the schema the owner and a mixin. It writes no file itself.
//
//	schema, err := entgraph.Read(ctx, root, "ent/schema", entgraph.NoWorkspace)
//	g, err := usergraph.New(schema, usergraph.Options{User: "Member", Map: "email=mail"})
//	for _, problem := range g.Problems() { … }
//	text, err := g.Code()
package usergraph

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/entgraph"
)

// Profile is how much package auth keeps of a user.
type Profile string

// The profiles.
const (
	// Whole has all columns.
	Whole Profile = "whole"
	// Plain has no identities of providers, and no avatar.
	Plain Profile = "plain"
	// Minimal has an address, a password and sessions, and what guards them.
	Minimal Profile = "minimal"
)

// Profiles are all of them, the largest first.
var Profiles = []Profile{Whole, Plain, Minimal}

// Source is where a column comes from.
type Source string

// The sources.
const (
	Theirs Source = "theirs" // a field that the project has
	Added  Source = "added"  // a field of the mixin
	Absent Source = "absent" // there is none: what needs it is refused by package auth
)

// Column is one that package auth knows, on an entity of a project.
type Column struct {
	// Name is package auth's.
	Name   string `json:"name"`
	Source Source `json:"source"`
	// Field is the name of the entity's field; empty if the column is absent.
	Field string `json:"field,omitempty"`
	// Why says for a reader why it is so.
	Why string `json:"why,omitempty"`
}

// Mapping is how an entity stands for package auth's user: what a project's record keeps. It is made by [New].
type Mapping struct {
	// User is the name of the entity.
	User    string   `json:"user"`
	Profile Profile  `json:"profile"`
	Columns []Column `json:"columns"`
	// Rule is the project's rule of who may use an account, as a condition in SQL on a row u; empty for everybody.
	Rule string `json:"rule,omitempty"`
	// Sessions and RefreshTokens are the names of the edges.
	Sessions      string `json:"sessions_edge"`
	RefreshTokens string `json:"refresh_tokens_edge"`
	// Own is whether the entity is the User of this module: nobody else reads its passwords or hooks into it.
	Own bool `json:"own,omitempty"`
}

// Own is the mapping of this module's own User.
func Own() Mapping {
	m := Mapping{User: "User", Profile: Whole, Sessions: sessions, RefreshTokens: refreshTokens, Own: true}
	for _, c := range columns {
		m.Columns = append(m.Columns, Column{Name: c.name, Source: Theirs, Field: c.name})
	}
	return m
}

// The names of the edges where they are free.
const (
	sessions      = "sessions"
	refreshTokens = "refresh_tokens"
)

// Options are what was asked for. The zero value guesses.
type Options struct {
	// User is the name of the entity; by default the one of [Candidates].
	User string
	// Profile is [Whole] by default.
	Profile Profile
	// Map names fields for columns, as in "email=mail,name=full_name,avatar=-": a field, a column of theirs, - for
	// none, or + for one that is added though theirs fits.
	Map string
	// Rule is a condition in SQL, in which a column of the table may stand as it is or as u.column; "none" for no rule.
	// What the names of other fields say is part of the rule all the same, such as that of a soft deletion.
	Rule string
}

// Graph is an entity with its mapping.
type Graph struct {
	Mapping
	schema *entgraph.Schema
	user   *entgraph.Entity
	// undecided are the fields that the rule should ask.
	undecided []string
}

// Error is something that is in the way, or was asked for and cannot be.
type Error struct {
	// Field is the field of the entity or the column at fault; empty if there is none.
	Field string
	// Position is where it is declared, as file:line; empty if that is not known.
	Position string
	// Undecided is whether only the rule of who may use an account is missing, which the project has to know.
	Undecided bool

	found, fix string
}

// Found says what is wrong, and where.
func (e *Error) Found() string { return e.found }

// Fix says what to do about it.
func (e *Error) Fix() string   { return e.fix }
func (e *Error) Error() string { return e.found + ": " + e.fix }

// Candidates are the entities that may be the users, the likeliest first. Those of this module are not among them.
func Candidates(s *entgraph.Schema) []*entgraph.Entity {
	type candidate struct {
		entity   *entgraph.Entity
		rank     int
		password bool
	}
	var found []candidate
	email, _ := columnOf("email")
	password, _ := columnOf("password")
	for _, e := range s.Entities {
		if mark[e.Name] != "" {
			continue
		}
		rank := 0
		if i := slices.Index(people, strings.ToLower(e.Name)); i >= 0 {
			rank += len(people) - i
		}
		if email.fits(e, nil) == nil {
			rank -= len(people)
		} else if password.fits(e, nil) != nil || rank > 0 {
			rank += 2 * len(people)
		}
		if rank > 0 {
			found = append(found, candidate{e, rank, password.fits(e, nil) != nil})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return b.rank - a.rank })
	if len(found) > 0 && found[0].password {
		// Customers, profiles and the like have addresses too.
		found = slices.DeleteFunc(found, func(c candidate) bool { return !c.password })
	}
	var entities []*entgraph.Entity
	for _, c := range found {
		entities = append(entities, c.entity)
	}
	return entities
}

// people are the names under which projects keep their users.
var people = []string{"user", "member", "account", "appuser", "sysuser", "customer", "person", "users", "accounts",
	"profile", "identity", "subscriber", "player", "student", "employee", "client", "admin"}

// New maps an entity of a project: what was asked for, and for the rest what fits by name and type. The error is an
// [*Error] if what was asked for is not there or does not fit. What else is in the way is told by [Graph.Problems].
// What a [MixinFile] beside the entity adds is not theirs.
func New(s *entgraph.Schema, o Options) (*Graph, error) {
	user, err := choose(s, o.User)
	if err != nil {
		return nil, err
	}
	if o.Profile == "" {
		o.Profile = Whole
	}
	if !slices.Contains(Profiles, o.Profile) {
		return nil, &Error{found: fmt.Sprintf("there is no profile %q", o.Profile), fix: "use whole, plain or minimal"}
	}
	user = without(user, addedBefore(user))
	asked, err := parseMap(user, o.Map)
	if err != nil {
		return nil, err
	}
	g := &Graph{schema: s, user: user, Mapping: Mapping{
		User: user.Name, Profile: o.Profile, Sessions: freeEdge(user, sessions),
		RefreshTokens: freeEdge(user, refreshTokens),
	}}
	used := map[string]bool{}
	for _, f := range asked {
		used[f] = true
	}
	for _, c := range columns {
		to, ok := asked[c.name]
		column := g.guess(c, to, ok, used)
		if column.Source == Theirs {
			used[column.Field] = true
		}
		g.Columns = append(g.Columns, column)
	}
	if err := g.makeRule(o.Rule); err != nil {
		return nil, err
	}
	return g, nil
}

// Follow is a mapping made before, with other fields for those that the schema does not have any more: those that text
// names, as in [Options.Map]. The error is an [*Error] if such a field does not fit.
func Follow(s *entgraph.Schema, m Mapping, text string) (Mapping, error) {
	user := s.Entity(m.User)
	gone := func(c Column) bool { return c.Source == Theirs && user.Field(c.Field) == nil }
	if user == nil || text == "" || !slices.ContainsFunc(m.Columns, gone) {
		return m, nil
	}
	asked, err := parseMap(user, text)
	if err != nil {
		return m, err
	}
	m.Columns = slices.Clone(m.Columns)
	for i, c := range m.Columns {
		to := asked[c.Name]
		if !gone(c) || user.Field(to) == nil {
			continue
		}
		if slices.ContainsFunc(m.Columns, func(c Column) bool { return c.Field == to }) {
			return m, &Error{
				Field: to, found: "the field " + to + " holds another column already", fix: "name another field",
			}
		}
		m.Columns[i] = Column{c.Name, Theirs, to, "as asked"}
	}
	return m, nil
}

// Load is the graph of a mapping made before, with the schema as it is now. The error is an [*Error] if the entity or
// one of its fields is not there any more.
func Load(s *entgraph.Schema, m Mapping) (*Graph, error) {
	user := s.Entity(m.User)
	if user == nil {
		return nil, &Error{
			found: fmt.Sprintf("the schema has no entity %s any more, whose rows are package auth's users", m.User),
			fix:   "bring it back",
		}
	}
	for _, c := range m.Columns {
		if c.Source == Theirs && user.Field(c.Field) == nil {
			return nil, &Error{
				Field: c.Field, Position: user.Position,
				found: fmt.Sprintf("the entity %s has no field %s any more, in which package auth keeps %s", m.User,
					c.Field, c.Name),
				fix: "bring it back, or name another one: authgraph add schema auth --map " + c.Name + "=FIELD",
			}
		}
	}
	if m.Own {
		return &Graph{Mapping: m, schema: s, user: user}, nil
	}
	added := map[string]bool{}
	for _, c := range m.Columns {
		added[c.Field] = c.Source == Added
	}
	return &Graph{Mapping: m, schema: s, user: without(user, added)}, nil
}

// orNone is the advice to have no field for a column, where that is possible.
func orNone(column string) string {
	if column == "email" {
		return ""
	}
	return ", or - for none"
}

// addedBefore are the fields of the mixin that lies beside an entity already, such as that of a record that was lost.
func addedBefore(user *entgraph.Entity) map[string]bool {
	added := map[string]bool{}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(user.File()), MixinFile))
	if err != nil {
		return added
	}
	fields, err := declarations(text)
	if err != nil {
		return added
	}
	for name := range fields {
		added[name] = true
	}
	return added
}

// without is an entity without fields that were added, and without edges to sessions and tokens.
func without(e *entgraph.Entity, added map[string]bool) *entgraph.Entity {
	out := *e
	out.Fields = slices.DeleteFunc(slices.Clone(e.Fields), func(f *entgraph.Field) bool { return added[f.Name] })
	out.Edges = slices.DeleteFunc(slices.Clone(e.Edges), func(e *entgraph.Edge) bool { return mark[e.Type] != "" })
	return &out
}

func choose(s *entgraph.Schema, name string) (*entgraph.Entity, error) {
	if name != "" {
		if user := s.Entity(name); user != nil {
			return user, nil
		}
		var names []string
		for _, e := range s.Entities {
			names = append(names, e.Name)
		}
		return nil, &Error{
			found: fmt.Sprintf("the schema has no entity %s", name),
			fix:   "name one of " + strings.Join(names, ", "),
		}
	}
	switch found := Candidates(s); len(found) {
	case 0:
		return nil, &Error{
			found: "no entity of the schema looks like a user with an address", fix: "name one with --user",
		}
	case 1:
		return found[0], nil
	default:
		var names []string
		for _, e := range found {
			names = append(names, e.Name)
		}
		return nil, &Error{
			found: "several entities may be the users", fix: "name one with --user: " + strings.Join(names, ", "),
		}
	}
}

// parseMap reads Options.Map: the names of fields, - or +, by column.
func parseMap(user *entgraph.Entity, text string) (map[string]string, error) {
	asked := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, to, ok := strings.Cut(pair, "=")
		name, to = strings.TrimSpace(name), strings.TrimSpace(to)
		c, known := columnOf(name)
		var names []string
		for _, c := range columns {
			names = append(names, c.name)
		}
		switch {
		case !ok || to == "":
			return nil, &Error{
				found: fmt.Sprintf("%q names no field for a column", pair), fix: "write it as email=mail",
			}
		case !known:
			return nil, &Error{
				found: fmt.Sprintf("package auth has no column %q", name),
				fix:   "use one of " + strings.Join(names, ", "),
			}
		case asked[name] != "":
			return nil, &Error{found: "the column " + name + " is mapped twice", fix: "name one field for it"}
		case to == "+" && (name == "email"), to == "-" && (name == "email" || slices.Contains(c.profiles, Minimal) &&
			name != "created_at" && name != "password"):
			return nil, &Error{
				found: "the column " + name + " is needed", fix: "leave it out of --map, or name a field for it",
			}
		case to == "-" || to == "+":
			asked[name] = to
			continue
		}
		f := user.Field(to)
		if f == nil {
			return nil, &Error{
				Position: user.Position,
				found:    fmt.Sprintf("the entity %s has no field %s for %s", user.Name, to, name),
				fix:      "name one of its fields" + orNone(name),
			}
		}
		if why := c.unfit(f); why != "" {
			return nil, &Error{
				Field: f.Name, Position: user.Position,
				found: fmt.Sprintf("the field %s of %s cannot hold %s: it %s", f.Name, user.Name, name, why),
				fix:   "name another field" + orNone(name),
			}
		}
		for other, field := range asked {
			if field == f.Name {
				return nil, &Error{
					Field: f.Name, found: fmt.Sprintf("the field %s is mapped to %s and to %s", f.Name, other, name),
					fix: "name another field for one of them",
				}
			}
		}
		asked[name] = f.Name
	}
	return asked, nil
}

// guess decides about a column: to is what was asked for it, if anything was. Used fields hold another one.
func (g *Graph) guess(c column, to string, asked bool, used map[string]bool) Column {
	switch {
	case asked && to == "-":
		return Column{c.name, Absent, "", "as asked"}
	case asked && to != "+":
		return Column{c.name, Theirs, to, "as asked"}
	}
	if f := c.fits(g.user, used); f != nil && !asked {
		return Column{c.name, Theirs, f.Name, "by its name and type"}
	}
	switch {
	case c.name == "email":
		return Column{c.name, Absent, "", "no field is an address: name one with --map email=…"}
	case !asked && len(c.profiles) == 0:
		return Column{c.name, Absent, "", "nothing needs it"}
	case !asked && !slices.Contains(c.profiles, g.Profile):
		return Column{c.name, Absent, "", fmt.Sprintf("the profile %s has none", g.Profile)}
	case !taken(g.user, c.name):
		return Column{c.name, Added, c.name, "there is none"}
	default:
		return Column{c.name, Added, "auth_" + c.name, "their " + c.name + " is something else"}
	}
}

// taken reports whether an entity has a field, a column or an edge of the name.
func taken(e *entgraph.Entity, name string) bool {
	return e.Field(name) != nil || e.ID.Column == name || hasEdge(e, name)
}

func hasEdge(e *entgraph.Entity, name string) bool {
	return slices.ContainsFunc(e.Edges, func(edge *entgraph.Edge) bool { return edge.Name == name })
}

func freeEdge(e *entgraph.Entity, name string) string {
	if taken(e, name) {
		return "auth_" + name
	}
	return name
}

// column is the mapping of a column; it is absent if the mapping has none of the name.
func (m Mapping) column(name string) Column {
	for _, c := range m.Columns {
		if c.Name == name {
			return c
		}
	}
	return Column{Name: name, Source: Absent}
}

// field is the field that holds a column; nil unless it is theirs.
func (g *Graph) field(name string) *entgraph.Field {
	c := g.column(name)
	if c.Source != Theirs {
		return nil
	}
	return g.user.Field(c.Field)
}
