package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/registry"
	"github.com/authgraph/authgraph/internal/usergraph"
)

// NoUser is the value of [Options.User] for authgraph's own User, and NoRule that of [Options.Rule] for no rule.
const (
	NoUser = "none"
	NoRule = "none"
)

// UserEntity is the name of authgraph's own User among [Entities].
const UserEntity = "user"

// Users is the entity of the project that the users are, as the record keeps it.
type Users struct {
	usergraph.Mapping
	// Table is that of the entity, and Names are those of its columns by the columns of authgraph's users.
	Table string            `json:"table"`
	Names map[string]string `json:"names"`

	graph *usergraph.Graph
	edit  *usergraph.Edit
}

// line is what the record says of it.
func (u *Users) line() string {
	if u == nil {
		return ""
	}
	mapping, err := json.Marshal(u)
	if err != nil { // it is of texts alone
		return ""
	}
	return fmt.Sprintf("users %s\n", mapping)
}

// Text shows how the entity is mapped, as a table; empty if the users are authgraph's own.
func (u *Users) Text() string {
	if u == nil || u.graph == nil {
		return ""
	}
	return u.graph.Table()
}

// User is the entity of the project that the users are, and its table; nil for authgraph's own.
func (p *Project) User() (name string, table *registry.Users) {
	if u := p.lastRun().users; u != nil {
		return u.User, u.registered()
	}
	return "", nil
}

// plainName is a name that may stand in a statement, between quotes of any kind.
var plainName = regexp.MustCompile(`^[\pL\pN_$. -]+$`)

// sound reports whether the names, which come with a module, may stand in statements.
func (u *Users) sound() bool {
	names := append(slices.Collect(maps.Values(u.Names)), u.Table)
	return !slices.ContainsFunc(names, func(name string) bool { return !plainName.MatchString(name) })
}

// registered is the table for what works on databases.
func (u *Users) registered() *registry.Users {
	if u == nil {
		return nil
	}
	table := &registry.Users{Name: u.Table, Columns: u.Names}
	for _, c := range u.Columns {
		if c.Source == usergraph.Added {
			table.Added = append(table.Added, c.Name)
		}
	}
	return table
}

// users is the entity of the project that the users are, and how it is mapped: as recorded, as asked for, or the only
// one that can be meant. It is nil if the users are authgraph's own, or nobody's yet.
func (p *Project) users(ctx context.Context, l layout, o Options) (*Users, error) {
	last := p.lastRun()
	own := slices.Contains(last.entities, UserEntity)
	asked := o.User != "" || o.Map != "" || o.Profile != "" || o.Rule != ""
	switch {
	case o.User != "" && (own && o.User != NoUser || last.users != nil && o.User != last.users.User):
		is := "authgraph's own User"
		if last.users != nil {
			is = "the entity " + last.users.User
		}
		return nil, &Error{Reason: OtherUser, found: "the users of this project are " + is, fix: "leave out the entity"}
	case own, o.User == NoUser:
		return nil, nil
	case last.users == nil && !asked && (o.Upgrade || len(o.Entities) == 0 || !p.mayHaveUsers(l)):
		return nil, nil
	}
	schema, err := p.entSchema(ctx, l)
	if err != nil {
		return nil, err
	}
	var g *usergraph.Graph
	if last.users != nil {
		now := *last.users
		if now.Mapping, err = usergraph.Follow(schema, now.Mapping, o.Map); err != nil {
			return nil, unchanged(unmapped(err))
		}
		if err := now.otherwise(o); err != nil {
			return nil, err
		}
		g, err = now.load(schema, o.Profile)
	} else {
		if o.User == "" {
			candidates := usergraph.Candidates(schema)
			if len(candidates) == 0 && !asked {
				return nil, nil
			}
			if len(candidates) > 1 {
				return nil, undecided(candidates)
			}
		}
		g, err = usergraph.New(schema, usergraph.Options{
			User: o.User, Profile: usergraph.Profile(o.Profile), Map: o.Map, Rule: o.Rule,
		})
	}
	if err != nil {
		return nil, unchanged(unmapped(err))
	}
	var problems []error
	for _, wrong := range g.Problems() {
		problems = append(problems, unmapped(wrong))
	}
	switch len(problems) {
	case 0:
		return newUsers(schema, g), nil
	case 1:
		return nil, &Unready{unchanged(problems[0]), g.Table()}
	}
	return nil, &Unready{unchanged(errors.Join(problems...)), g.Table()}
}

// Unready is an error of an entity that the users cannot be as it is, or of which something has to be decided first.
type Unready struct {
	error
	// Table is how the entity would be mapped.
	Table string
}

func (e *Unready) Unwrap() error { return e.error }

// load is the graph as it was recorded, with the columns that a larger profile or this version has beyond it.
func (u *Users) load(schema *entgraph.Schema, profile string) (*usergraph.Graph, error) {
	known := func(name string) bool {
		return slices.ContainsFunc(u.Columns, func(c usergraph.Column) bool { return c.Name == name })
	}
	if (profile == "" || profile == string(u.Profile)) && !slices.ContainsFunc(usergraph.Own().Columns,
		func(c usergraph.Column) bool { return !known(c.Name) }) {
		return usergraph.Load(schema, u.Mapping)
	}
	var fields []string
	for _, c := range u.Columns {
		if c.Source == usergraph.Theirs {
			fields = append(fields, c.Name+"="+c.Field)
		}
	}
	g, err := usergraph.New(schema, usergraph.Options{
		User: u.User, Profile: usergraph.Profile(cmp.Or(profile, string(u.Profile))), Map: strings.Join(fields, ","),
		Rule: cmp.Or(u.Rule, NoRule),
	})
	if err != nil {
		return nil, err
	}
	// What was asked for then stays, and the rule is the project's.
	m := g.Mapping
	m.Rule = u.Rule
	for i, c := range m.Columns {
		was := slices.IndexFunc(u.Columns, func(w usergraph.Column) bool { return w.Name == c.Name })
		if was < 0 {
			continue
		}
		if w := u.Columns[was]; w.Source != usergraph.Absent || profile == "" || w.Why == "as asked" {
			m.Columns[i] = w
		}
	}
	return usergraph.Load(schema, m)
}

// otherwise refuses what was asked for and is not what was recorded: the schema holds already what follows from that.
func (u *Users) otherwise(o Options) error {
	refuse := func(what, fix string) error {
		return &Error{Reason: Recorded, found: "this project has " + what, fix: fix}
	}
	is := slices.Index(usergraph.Profiles, usergraph.Profile(o.Profile))
	if o.Profile != "" && (is < 0 || is > slices.Index(usergraph.Profiles, u.Profile)) {
		return refuse("the profile "+string(u.Profile), "leave out the other one, which has fewer columns")
	}
	for pair := range strings.SplitSeq(o.Map, ",") {
		name, field, _ := strings.Cut(strings.TrimSpace(pair), "=")
		is := slices.IndexFunc(u.Columns, func(c usergraph.Column) bool {
			return c.Name == name && (c.Field == field || c.Source == usergraph.Absent && field == "-" ||
				c.Source == usergraph.Added && field == "+")
		})
		if name != "" && is < 0 {
			return refuse("another field for "+name, "leave out the fields")
		}
	}
	plain := func(rule string) string {
		if rule == NoRule {
			return ""
		}
		return strings.NewReplacer("`", "", "u.", "", " ", "").Replace(rule)
	}
	if o.Rule != "" && plain(o.Rule) != plain(u.Rule) {
		return refuse("a rule of who may sign in",
			"leave out the other one, and change it in rules.go of package graph")
	}
	return nil
}

func newUsers(schema *entgraph.Schema, g *usergraph.Graph) *Users {
	e := schema.Entity(g.User)
	u := &Users{Mapping: g.Mapping, Table: e.Table, Names: map[string]string{"id": e.ID.Column}, graph: g}
	for _, c := range g.Columns {
		switch c.Source {
		case usergraph.Theirs:
			u.Names[c.Name] = e.Field(c.Field).Column
		case usergraph.Added:
			u.Names[c.Name] = c.Field
		}
	}
	return u
}

// undecided is the error for several entities that the users may be.
func undecided(candidates []*entgraph.Entity) error {
	var names []string
	for _, c := range candidates {
		names = append(names, c.Name)
	}
	return &Error{
		Reason:  UndecidedUser,
		Choices: names,
		found:   "the users of this project may be " + strings.Join(names, " or "),
		fix:     "name the entity",
	}
}

// unmapped is what is wrong with the project or with what was asked for.
func unmapped(err error) error {
	var wrong *usergraph.Error
	if !errors.As(err, &wrong) {
		return err
	}
	reason := Unmapped
	if wrong.Undecided {
		reason = UndecidedRule
	}
	return &Error{Reason: reason, Path: wrong.Position, found: wrong.Found(), fix: wrong.Fix()}
}

// entSchema reads the entities of the project, once.
func (p *Project) entSchema(ctx context.Context, l layout) (*entgraph.Schema, error) {
	if p.entities == nil {
		if err := p.vendored(); err != nil { // the packages that read the schema are none of its own
			return nil, unchanged(err)
		}
		s, err := entgraph.Read(ctx, p.Root, l.entFile("schema"), entgraph.NoWorkspace)
		if err != nil {
			return nil, unchanged(doesNotLoad(err))
		}
		p.entities = s
	}
	return p.entities, nil
}

// ownUser is a field that only authgraph's own User has in its file.
var ownUser = regexp.MustCompile(`field\.Int32\("guess_failures"\)`)

// address is a word that stands in a schema with users.
var address = regexp.MustCompile(`(?i)mail`)

// mayHaveUsers reports whether it is worth it to load the schema, which takes seconds.
func (p *Project) mayHaveUsers(l layout) bool {
	folder := l.entFile("schema")
	entries, err := p.list(folder)
	if err != nil {
		return false
	}
	if text, err := p.read(path.Join(folder, "user.go")); err == nil && ownUser.Match(text) {
		return false // it was installed before, and the record is lost
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") {
			return false
		}
		text, err := p.read(path.Join(folder, e.Name()))
		return err == nil && address.Match(text)
	})
}

// mixin is the file of what the entity lacks. The project's own files that get a line for it are kept for [Plan.edit].
func (u *Users) mixin(l layout, types []string) (sourceFile, error) {
	src, err := authgraph.Files.ReadFile("ent/schema/user.go")
	if err != nil {
		return sourceFile{}, err
	}
	schematype, _ := l.importPath(origin + "/ent/schema/schematype")
	text, edit, err := u.graph.Mixin(src, schematype)
	if err != nil {
		return sourceFile{}, unmapped(err)
	}
	u.edit = edit
	if text, _, err = wire(text, types); err != nil {
		return sourceFile{}, fmt.Errorf("%s: %w", usergraph.MixinFile, err)
	}
	return sourceFile{
		path: l.entFile("schema/" + usergraph.MixinFile), text: string(text), reason: "what " + u.User + " lacks",
	}, nil
}

// replaceGraph puts what package auth knows of the entity in the place of what it knows of authgraph's own User.
func (u *Users) replaceGraph(l layout, sources []sourceFile) error {
	for i := range sources {
		s := &sources[i]
		var text []byte
		var err error
		switch s.path {
		case l.beside("auth/internal/graph/graph.go"):
			s.reason = "what package auth knows of " + u.User
			text, err = u.graph.Code()
		case l.beside("auth/internal/graph/rules.go"):
			s.reason, s.once = "who may sign in, and what a new "+u.User+" needs", true
			text, err = u.graph.Rules()
		default:
			continue
		}
		if err != nil {
			return unmapped(err)
		}
		s.text = string(text)
	}
	return nil
}

// edit adds a file of the project that gets a line. It is not recorded: a later run sees that the line is there.
func (p *Plan) edit(e *usergraph.Edit) error {
	if e == nil {
		return nil
	}
	at := e.Path
	if filepath.IsAbs(at) {
		root, err := filepath.Abs(p.project.Root)
		if err == nil {
			root, err = filepath.EvalSymlinks(root)
		}
		if err == nil {
			at, err = filepath.Rel(root, at)
		}
		if err != nil {
			return err
		}
	}
	f := File{Path: filepath.ToSlash(at), Reason: "a line for the mixin", Action: Update, Theirs: true}
	stored, err := p.project.read(f.Path)
	if err != nil {
		return err
	}
	f.holds(stored)
	if f.Text, _ = plain(e.Text); f.Text == f.current {
		return nil
	}
	if err := p.project.link(f.Path); err != nil {
		return err
	}
	p.Files = append(p.Files, f)
	return nil
}

// aside gives a file of the schema another name where the project has a file of its name, unless that declares the
// same, as where the record was lost.
func (p *Plan) aside(s *sourceFile) {
	folder, name := path.Split(s.path)
	other := folder + "auth_" + name
	recorded := p.project.lastRun().files
	_, ours := recorded[s.path]
	_, moved := recorded[other]
	stored, err := p.project.read(s.path)
	text, _ := plain(stored)
	if moved || !ours && err == nil && text != s.text && !strings.Contains(text, "func ownerID(") {
		s.path = other
	}
}
