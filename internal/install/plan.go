package install

import (
	"bytes"
	"context"
	"fmt"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"golang.org/x/mod/semver"
)

// Databases are the values of [Options.DB].
var Databases = []string{"mysql", "mariadb", sqlite}

const sqlite = "sqlite"

// Dialect is the dialect of Ent for one of Databases.
func Dialect(db string) string {
	if db == sqlite {
		return dialect.SQLite
	}
	return dialect.MySQL
}

// Options are what to install. An empty field means what was installed before.
type Options struct {
	// DB is one of Databases.
	DB string
	// Dir is the ent folder, relative to the module; default ent.
	Dir string
	// Entities are names of [Entities]. Those installed before stay.
	Entities []string
	// Auth is whether package auth is installed too.
	Auth bool
	// Force replaces files that are in the way, and without Upgrade brings back those that the user deleted.
	Force bool
	// User is the entity of the project whose rows are the users, as in Member; NoUser for authgraph's own. Empty means
	// the one that can be meant, and authgraph's own if there is none.
	User string
	// Map names fields of that entity, as in [usergraph.Options]. The others are guessed by name and type.
	Map string
	// Profile is one of [usergraph.Profiles], by default the whole one.
	Profile string
	// Rule says who may use an account, as in [usergraph.Options].
	Rule string
	// Tool is one of Tools, to write the migration for, perhaps with its folder, as in goose=db/migrations. Empty means
	// the one whose files are found beside a User of the project, and Atlas if there is none.
	Tool string
	// Tests is whether the conformance kit and a test that runs it are installed too.
	Tests bool
	// Version is that of this program.
	Version string
	// Upgrade merges what the user changed even if that leaves conflicts.
	Upgrade bool
}

// Check refuses a DB or a Dir that no project can have.
func (o Options) Check() error {
	if o.DB != "" && !slices.Contains(Databases, o.DB) {
		return &Error{
			Reason: UnknownDatabase,
			found:  fmt.Sprintf("the database %q is unknown", o.DB),
			fix:    "use " + strings.Join(Databases, ", "),
		}
	}
	dir := path.Clean(o.Dir)
	if o.Dir != "" && (!inside(dir) || !token.IsIdentifier(path.Base(dir)) || strings.ToLower(dir) != dir) {
		return &Error{
			Reason: UnfitFolder,
			Path:   o.Dir,
			found:  fmt.Sprintf("%q is no folder for a package", o.Dir),
			fix:    "name one inside the module, in lower case, as in internal/ent",
		}
	}
	return nil
}

// Plan is what an installation would do.
type Plan struct {
	Module   string   `json:"module"`
	DB       string   `json:"db"`
	Dir      string   `json:"dir"`
	Entities []string `json:"entities"`
	Auth     bool     `json:"auth"`
	// Tests is whether the conformance kit of package auth and a test that runs it are installed.
	Tests bool `json:"tests,omitempty"`
	// Users is the entity of the project that the users are; nil for authgraph's own.
	Users *Users `json:"users,omitempty"`
	Files []File `json:"files"`
	// Migrations is the folder of the migrations.
	Migrations string `json:"-"`
	// Requirements are the modules that go.mod has to hold.
	Requirements []Requirement `json:"requirements"`
	// Notes are what the user should know.
	Notes []*Error `json:"-"`

	project  *Project
	layout   layout
	record   *record
	moved    map[string][]string
	added    []string // entities that were not installed before
	upgrade  bool
	language string // the Go version that the sources are written in
}

// Changes reports whether there is anything to do.
func (p *Plan) Changes() bool {
	return slices.ContainsFunc(p.Files, func(f File) bool { return f.Action.writes() }) ||
		p.project.record == nil || !slices.Equal(p.project.record.entities, p.record.entities) ||
		p.project.record.auth != p.record.auth || p.project.record.tests != p.record.tests ||
		p.project.record.users.line() != p.record.users.line() ||
		p.upgrade && p.project.record.version != p.record.version
}

// Attaches reports whether it attaches the graph to an entity of the project, and no run before did.
func (p *Plan) Attaches() bool { return p.Users != nil && p.project.lastRun().users == nil }

// Has are the files with an action.
func (p *Plan) Has(a Action) (found []File) {
	for _, f := range p.Files {
		if f.Action == a {
			found = append(found, f)
		}
	}
	return found
}

// Plan works out what to do. It reads the project and changes nothing.
func (p *Project) Plan(ctx context.Context, o Options) (*Plan, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	last := p.Version()
	if semver.IsValid(last) && semver.IsValid(o.Version) && semver.Compare(o.Version, last) < 0 {
		return nil, &Error{found: versions(last, o.Version), fix: "install the newer one"}
	}
	l, err := p.chooseLayout(o)
	if err != nil {
		return nil, err
	}
	users, err := p.users(ctx, l, o)
	if err != nil {
		return nil, err
	}
	if users != nil || o.Tool != "" {
		if err := l.useTool(p, o.Tool); err != nil {
			return nil, err
		}
	}
	plan, err := p.newPlan(o, l, users)
	if err != nil {
		return nil, err
	}
	sources, err := plan.sources()
	if err != nil {
		return nil, err
	}
	if plan.moved, err = p.findMoved(sources); err != nil {
		return nil, err
	}
	if err := p.obstacles(l, sources, plan.moved, plan.Auth); err != nil {
		return nil, err
	}
	for _, s := range sources {
		if err := plan.add(ctx, s, o); err != nil {
			return nil, err
		}
	}
	if users != nil {
		if err := plan.edit(users.edit); err != nil {
			return nil, err
		}
	}
	plan.noteGone(sources)
	if plan.Users != nil {
		if err := plan.noteCalls(); err != nil {
			return nil, err
		}
	}
	if len(l.others) > 0 && len(plan.Entities) > 0 {
		plan.note(TwoHistories, l.migrations, " begins a history of its own, beside the migrations in "+
			strings.Join(l.others, " and "), "leave out the migration to go on with those")
	}
	if plan.Auth && !l.generator {
		if err := plan.needFeatures(); err != nil {
			return nil, err
		}
	}
	oldest := least
	if l.generator {
		oldest = nil
	}
	if plan.Requirements, err = requirements(sources, oldest); err != nil {
		return nil, err
	}
	if err := plan.markRaised(); err != nil {
		return nil, unchanged(err)
	}
	if p.record != nil && !o.Upgrade && o.Version != "" && o.Version != last && plan.Changes() {
		return nil, &Error{
			Reason: OtherVersion,
			found:  versions(last, o.Version),
			fix:    "upgrade the project first",
		}
	}
	return plan, nil
}

// newPlan is a plan without files yet. Its entities are those installed before and those asked for.
func (p *Project) newPlan(o Options, l layout, users *Users) (*Plan, error) {
	plan := &Plan{
		Module: p.Module, DB: l.db, Dir: l.dir, Migrations: l.migrations, Entities: []string{},
		Auth: o.Auth || p.lastRun().auth, Tests: o.Tests || p.lastRun().tests, Users: users,
		project: p, layout: l, upgrade: o.Upgrade,
	}
	for _, e := range Entities {
		if users != nil && e.Name == UserEntity {
			continue
		}
		before, asked := slices.Contains(p.Installed(), e.Name), slices.Contains(o.Entities, e.Name)
		if before || asked {
			plan.Entities = append(plan.Entities, e.Name)
		}
		if asked && !before {
			plan.added = append(plan.added, e.Name)
		}
	}
	needs, err := authNeeds()
	if err != nil {
		return nil, err
	}
	lacking := func(name string) bool {
		return !slices.Contains(plan.Entities, name) && !(users != nil && name == UserEntity)
	}
	if plan.Auth && slices.ContainsFunc(needs, lacking) {
		return nil, &Error{
			Reason: IncompleteAuth,
			found:  "package auth needs the entities " + strings.Join(needs, ", "),
			fix:    "install them with it",
		}
	}
	if plan.Tests && !plan.Auth {
		return nil, &Error{
			Reason: TestsWithoutAuth, found: "the tests are those of package auth", fix: "install that with them",
		}
	}
	plan.record = &record{
		version: o.Version, layout: l, entities: plan.Entities, auth: plan.Auth, files: map[string]string{},
		style: p.lastRun().style, users: users, tests: plan.Tests,
	}
	return plan, nil
}

// add adds a file that belongs into the project, with what happens to it.
func (p *Plan) add(ctx context.Context, s sourceFile, o Options) error {
	f, err := p.project.classify(ctx, s, o)
	if err != nil {
		return err
	}
	to, moved := p.moved[s.path]
	if moved {
		f.Action = Deleted
		if err := p.checkMoved(s, to); err != nil {
			return err
		}
	}
	users := s.need != nil && (f.Action == Differs || f.Action == Replace)
	if f.Action.writes() && !users {
		if err := p.project.link(s.path); err != nil {
			return err
		}
	}
	if s.once && f.current != "" {
		f.Action, f.Text = Keep, f.current // and s.text is what it began as
		if base, ok := p.project.lastRun().files[s.path]; ok {
			s.text = base
		}
	}
	switch {
	case users:
		// The user may have such a file, which does no harm: it stays, and is not recorded.
		f.Action, f.Text = Keep, f.current
		if !s.met(f.current) {
			p.note("", s.path, " is yours and stays as it is", "it needs "+strings.Join(s.need, ", "))
		}
	case f.Action == Deleted && !o.Upgrade && !moved:
		p.note(DeletedFile, s.path, " was deleted here and stays so", "it comes back where files are replaced")
	}
	p.Files = append(p.Files, f)
	if !users {
		p.record.files[s.path] = s.text
		p.record.order = append(p.record.order, s.path)
	}
	return nil
}

// noteGone notes the files that this version no longer installs. They stay, and leave the record.
func (p *Plan) noteGone(sources []sourceFile) {
	if p.project.record == nil {
		return
	}
	for _, name := range p.project.record.order {
		if p.project.exists(name) && !slices.ContainsFunc(sources, func(s sourceFile) bool { return s.path == name }) {
			p.note("", name, " is no longer part of authgraph", "remove it if you like")
		}
	}
}

// callsToNote are options of Ent's Schema.Create, and what they do to what is installed.
var callsToNote = []struct{ call, found, fix string }{
	{
		"WithDropColumn(true)", "with which a program of before drops the columns that are added",
		"take it out of every program that is still started",
	},
	{
		"WithForeignKeys(false)",
		"and a database that it makes has no foreign keys, by which the sessions of a purged account go with it",
		"add those of sessions and refresh_tokens, as the migration has them, to each new database",
	},
}

// noteCalls notes where the project has Ent do what is bad for what is installed.
func (p *Plan) noteCalls() error {
	return walk(p.project.files, ".", func(name string, entry fs.DirEntry) error {
		if entry.IsDir() {
			if base := path.Base(name); base == "vendor" || base == "node_modules" || base != "." && base[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || !entry.Type().IsRegular() {
			return nil
		}
		text, err := p.project.read(name)
		if err != nil {
			return err
		}
		for _, c := range callsToNote {
			if bytes.Contains(text, []byte(c.call)) {
				p.note("", name, " has "+c.call+", "+c.found, c.fix)
			}
		}
		return nil
	})
}

func (p *Plan) note(reason Reason, path, found, fix string) {
	p.Notes = append(p.Notes, &Error{Reason: reason, Path: path, found: path + found, fix: fix})
}

func versions(installed, this string) string {
	return fmt.Sprintf("installed by authgraph %s, and this is %s", installed, this)
}

func (p *Plan) sources() ([]sourceFile, error) {
	sources, err := p.layout.config()
	if err != nil {
		return nil, err
	}
	schema, unwired, err := p.layout.schema(p.Entities, p.Users)
	if err != nil {
		return nil, err
	}
	for i := range schema {
		// Projects of before that file may have an entity Owner in one of its name.
		if schema[i].path == p.layout.entFile("schema/owner.go") ||
			p.Users != nil && path.Dir(schema[i].path) == p.layout.entFile("schema") {
			p.aside(&schema[i])
		}
	}
	sources = append(sources, schema...)
	own := p.project.declares(p.layout.entFile("schema"), "User")
	for _, e := range Entities {
		switch names := unwired[e.Name]; {
		case len(names) == 0 || e.Name == UserEntity:
		case own != "":
			p.note(Unattached, e.Table, ".user_id has neither edge nor foreign key: the User in "+own+" is yours",
				"name the entity that the users are")
		default:
			p.note(Unwired, e.Table, ".user_id has neither edge nor foreign key yet",
				"installing the entity user wires it")
		}
	}
	if p.Auth {
		driver, err := p.project.driver()
		if err != nil {
			return nil, err
		}
		if driver != nil && p.DB == sqlite {
			p.note("", "package authgraph",
				" opens no SQLite file here, because the project has the driver "+driver.module,
				"pass the client of the service to auth.New")
		}
		auth, err := p.layout.auth(p.Users, p.Tests, driver)
		if err != nil {
			return nil, err
		}
		sources = append(sources, auth...)
		// Package auth needs the Go version of this project.
		if _, p.language, err = ownRequirements(); err != nil {
			return nil, err
		}
	}
	return sources, nil
}
