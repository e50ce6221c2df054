// Package install puts the entities of the auth graph, and package auth, into the
// module of somebody else, as source.
//
// What is installed are this project's own files, embedded, with their import
// paths rewritten and the edges to entities that are not there taken out.
// [Project.Plan] works out what to do and changes nothing; [Plan.Apply] does it,
// or leaves the project as it was. What was installed is recorded with its
// text, so that later versions can be merged with what the user made of it.
package install

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Project is a module of a user, in the folder of its go.mod.
type Project struct {
	Root   string
	Module string

	// files are those of the module: what a path or a symbolic link that came with
	// it says leads nowhere else.
	files  *os.Root
	record *record
}

// Open finds the module of a folder, which must be the one that holds go.mod,
// else the error is ErrNoModule.
func Open(root string) (*Project, error) {
	files, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	p := &Project{Root: root, files: files}
	text, err := p.read("go.mod")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noModule(root)
	}
	if err != nil {
		return nil, err
	}
	if p.Module = modfile.ModulePath(text); p.Module == "" {
		return nil, errors.New("go.mod names no module: correct its first line, as in: module example.com/app")
	}
	if p.record, err = readRecord(p); err != nil {
		return nil, err
	}
	return p, nil
}

// Imagine is a module that is not there yet, in a folder without one.
func Imagine(root, module string) (*Project, error) {
	files, err := os.OpenRoot(root)
	return &Project{Root: root, Module: module, files: files}, err
}

// ErrNoModule is in the error of Open for a folder without a go.mod.
var ErrNoModule = errors.New("this is no Go module")

// FolderError is the ErrNoModule of a folder inside of a module.
type FolderError struct {
	// Root is the folder of the module.
	Root string
}

func (e *FolderError) Error() string {
	return fmt.Sprintf("this is a folder of the module in %s: run it there", e.Root)
}

func (e *FolderError) Unwrap() error { return ErrNoModule }

func noModule(root string) error {
	at, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	for up := filepath.Dir(at); up != at; at, up = up, filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return &FolderError{up}
		}
	}
	return fmt.Errorf("%w: make one with go mod init example.com/app, or change to the folder of go.mod", ErrNoModule)
}

// Installed are the names of the entities that were installed.
func (p *Project) Installed() []string {
	if p == nil || p.record == nil {
		return nil
	}
	return p.record.entities
}

// DB is the database the project was set up for, Dir its ent folder; both are empty
// where none was.
func (p *Project) DB() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.db
}

// Dir is the ent folder the project was set up with; empty where none was.
func (p *Project) Dir() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.dir
}

// Version is that of the authgraph that installed last; empty where none did.
func (p *Project) Version() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.version
}

// Migrations is the folder of the migrations; empty where the project was not set up.
func (p *Project) Migrations() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.migrations
}

// Databases are the values of [Options.DB].
var Databases = []string{"mysql", "mariadb", "sqlite"}

// Options are what is to be installed. What is empty is as it was installed before.
type Options struct {
	// DB is one of Databases.
	DB string
	// Dir is the ent folder, relative to the module; default ent.
	Dir string
	// Entities are names of [Entities]. Those installed before stay.
	Entities []string
	// Auth is whether package auth is installed too.
	Auth bool
	// Force replaces files that are in the way, and without Upgrade brings back those that
	// the user deleted.
	Force bool
	// Version is that of this program.
	Version string
	// Upgrade merges what the user changed even where that leaves conflicts.
	Upgrade bool
}

// OptionsError is what is wrong with [Options], and not with the project.
type OptionsError struct{ text string }

func (e *OptionsError) Error() string { return e.text }

func optionsError(format string, args ...any) error {
	return &OptionsError{fmt.Sprintf(format, args...)}
}

// Check is an OptionsError for a DB or a Dir that no project can have.
func (o Options) Check() error {
	if o.DB != "" && !slices.Contains(Databases, o.DB) {
		return optionsError("--db %q is unknown: use %s", o.DB, strings.Join(Databases, ", "))
	}
	if dir := path.Clean(o.Dir); o.Dir != "" && (!inside(dir) || !token.IsIdentifier(path.Base(dir)) || strings.ToLower(dir) != dir) {
		return optionsError("--dir %q is no folder for a package: name one inside the module, in lower case, as in internal/ent", o.Dir)
	}
	return nil
}

// Action is what happens to a file.
type Action string

// The actions.
const (
	Create  Action = "create"
	Keep    Action = "keep"    // it is as it should be, or only the user changed it
	Update  Action = "update"  // it is as it was installed, and changes
	Merge   Action = "merge"   // the user changed it, and both changes fit
	Replace Action = "replace" // what is there is lost, by Force
	Differs Action = "differs" // something else is there
	// Conflict is a merge in which both changed the same lines.
	Conflict Action = "conflict"
	Deleted  Action = "deleted" // the user deleted it
)

// File is one file of a plan.
type File struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
	Reason string `json:"reason"`
	// Text is what it will hold.
	Text string `json:"-"`

	was  string // what it holds
	base string // what is recorded of it
}

// Diff is what changes in the file, as a unified diff.
func (f File) Diff() string {
	if f.Action == Keep || f.Action == Deleted {
		return ""
	}
	return string(diff.Diff("a/"+f.Path, []byte(f.was), "b/"+f.Path, []byte(f.Text)))
}

// Requirement is a module that go.mod has to hold, at this version or a later one.
type Requirement struct {
	Module  string `json:"module"`
	Version string `json:"version"`
}

func (r Requirement) String() string { return r.Module + "@" + r.Version }

// Plan is what an installation would do.
type Plan struct {
	Module   string   `json:"module"`
	DB       string   `json:"db"`
	Dir      string   `json:"dir"`
	Entities []string `json:"entities"`
	Auth     bool     `json:"auth"`
	Files    []File   `json:"files"`
	// Requirements are the modules that go.mod has to hold.
	Requirements []Requirement `json:"requirements"`
	// Notes are what the user should know.
	Notes []string `json:"notes,omitempty"`

	project  *Project
	layout   layout
	record   *record
	added    []string // entities that were not there
	upgrade  bool
	language string // the Go version that the sources are written in
}

// Changes reports whether there is anything to do.
func (p *Plan) Changes() bool {
	return slices.ContainsFunc(p.Files, func(f File) bool { return f.Action.writes() }) ||
		p.project.record == nil || !slices.Equal(p.project.record.entities, p.record.entities) ||
		p.project.record.auth != p.record.auth || p.upgrade && p.project.record.version != p.record.version
}

// Has are the files with an action.
func (p *Plan) Has(a Action) (found []File) {
	for _, f := range p.Files {
		if f.Action == a {
			found = append(found, f)
		}
	}
	return found
}

func (a Action) writes() bool {
	return a == Create || a == Update || a == Merge || a == Replace || a == Conflict
}

// Plan works out what to do. It reads the project and changes nothing.
func (p *Project) Plan(ctx context.Context, o Options) (*Plan, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if was := p.Version(); semver.IsValid(was) && semver.IsValid(o.Version) && semver.Compare(o.Version, was) < 0 {
		return nil, fmt.Errorf("installed by authgraph %s, and this is %s: install the newer one", was, o.Version)
	}
	l, err := p.layout(o)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Entities: []string{}, Module: p.Module, DB: l.db, Dir: l.dir, Auth: o.Auth, project: p, layout: l, upgrade: o.Upgrade}
	for _, e := range Entities {
		before := slices.Contains(p.Installed(), e.Name)
		if before || slices.Contains(o.Entities, e.Name) {
			plan.Entities = append(plan.Entities, e.Name)
		}
		if !before && slices.Contains(o.Entities, e.Name) {
			plan.added = append(plan.added, e.Name)
		}
	}
	if p.record != nil {
		plan.Auth = plan.Auth || p.record.auth
	}
	if plan.Auth && len(plan.Entities) < len(Entities) {
		return nil, optionsError("package auth needs all four entities: authgraph add schema auth --with-auth")
	}
	sources, err := plan.sources()
	if err != nil {
		return nil, err
	}
	if err := p.clash(l, sources); err != nil {
		return nil, err
	}
	if err := p.mixed(l, sources); err != nil {
		return nil, err
	}
	for _, name := range []string{"go.mod", "go.sum", l.dir, path.Join(l.migrations, "atlas.sum"), RecordFile} {
		if err := p.link(name); err != nil {
			return nil, err
		}
	}
	if err := p.linksIn(l); err != nil {
		return nil, err
	}
	plan.record = &record{version: o.Version, layout: l, entities: plan.Entities, auth: plan.Auth, files: map[string]string{}}
	for _, s := range sources {
		if err := p.nested(s.path); err != nil {
			return nil, err
		}
		f, err := p.classify(ctx, s, o)
		if err != nil {
			return nil, err
		}
		if f.Action.writes() && !(s.need != nil && f.Action == Replace) {
			if err := p.link(s.path); err != nil {
				return nil, err
			}
		}
		if s.need != nil && (f.Action == Differs || f.Action == Replace) {
			// It is as common as it is harmless: it is not in the way, and not ours.
			f.Action, f.Text = Keep, f.was
			if !s.met(f.was) {
				plan.Notes = append(plan.Notes, fmt.Sprintf("%s is yours and stays as it is: it needs %s", s.path, strings.Join(s.need, ", ")))
			}
			plan.Files = append(plan.Files, f)
			continue
		}
		if f.Action == Deleted && !o.Upgrade {
			plan.Notes = append(plan.Notes, s.path+" was deleted here and stays so: --force brings it back")
		}
		plan.Files = append(plan.Files, f)
		plan.record.files[s.path] = s.text
		plan.record.order = append(plan.record.order, s.path)
	}
	plan.noteGone(sources)
	if plan.Auth && !l.generator {
		if err := plan.needFeatures(o.Force); err != nil {
			return nil, err
		}
	}
	if plan.Requirements, err = requirements(sources); err != nil {
		return nil, err
	}
	if p.record != nil && !o.Upgrade && o.Version != "" && o.Version != p.Version() && plan.Changes() {
		return nil, fmt.Errorf("installed by authgraph %s, and this is %s: run authgraph upgrade first", p.Version(), o.Version)
	}
	return plan, nil
}

// noteGone notes the files that were installed and are not any more: they
// stay, and leave the record.
func (p *Plan) noteGone(sources []source) {
	if p.project.record == nil {
		return
	}
	for _, name := range p.project.record.order {
		if p.project.exists(name) && !slices.ContainsFunc(sources, func(s source) bool { return s.path == name }) {
			p.Notes = append(p.Notes, name+" is no longer part of authgraph: remove it if you like")
		}
	}
}

func (p *Plan) sources() ([]source, error) {
	sources, err := p.layout.config()
	if err != nil {
		return nil, err
	}
	schema, unwired, err := p.layout.schema(p.Entities)
	if err != nil {
		return nil, err
	}
	sources = append(sources, schema...)
	for _, e := range Entities {
		if names := unwired[e.Name]; len(names) > 0 && e.Name != "user" {
			p.Notes = append(p.Notes, fmt.Sprintf("%s.user_id has neither edge nor foreign key yet: authgraph add schema auth/user wires it", e.Table))
		}
	}
	if p.Auth {
		auth, err := p.layout.auth()
		if err != nil {
			return nil, err
		}
		sources = append(sources, auth...)
		// It is written in this project's version of the language.
		if _, p.language, err = ownRequirements(); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// layout combines what was asked for with what was installed.
func (p *Project) layout(o Options) (layout, error) {
	l := layout{module: p.Module, db: o.DB, dir: o.Dir}
	if r := p.record; r != nil {
		if o.DB != "" && o.DB != r.layout.db {
			return l, optionsError("this project is set up for %s: leave out --db %s", r.layout.db, o.DB)
		}
		if o.Dir != "" && path.Clean(o.Dir) != r.layout.dir {
			return l, optionsError("this project has its ent folder in %s: leave out --dir %s", r.layout.dir, o.Dir)
		}
		l = r.layout
		l.module = p.Module
		return l, nil
	}
	if l.db == "" {
		return l, errors.New("the database is not known")
	}
	l.dir = path.Clean(cmp.Or(l.dir, "ent"))
	l.migrations = "migrate"
	if l.db == "sqlite" {
		l.migrations = "migrate/sqlite"
	}
	// The folder of Ent's own documentation.
	other := path.Join(l.dir, "migrate", "migrations")
	if !p.exists(path.Join(l.migrations, "atlas.sum")) && p.exists(other) {
		l.migrations = other
	}
	var err error
	l.generator, err = p.ownGenerator(l)
	return l, err
}

// ownGenerator reports whether the project has no generator, or the one that
// would be installed.
func (p *Project) ownGenerator(l layout) (bool, error) {
	l.generator = true
	sources, err := l.config()
	if err != nil {
		return false, err
	}
	same := 0
	for _, s := range sources {
		if path.Dir(s.path) != l.dir {
			continue
		}
		text, err := p.read(s.path)
		switch {
		case err == nil && string(text) == s.text:
			same++
		case err == nil:
			return false, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return same > 0 || !p.exists(l.entFile("ent.go")), nil
}

// file is the path of a file for what works with paths only.
func (p *Project) file(name string) string { return filepath.Join(p.Root, filepath.FromSlash(name)) }

// read reads a file of the module. To open a pipe would wait for its writer.
func (p *Project) read(name string) ([]byte, error) {
	if info, err := p.files.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: restore it from git, or delete it", name)
	}
	text, err := p.files.ReadFile(name)
	return text, p.unlinked(name, err)
}

// list lists a folder of the module.
func (p *Project) list(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(p.files.FS(), name)
	return entries, p.unlinked(name, err)
}

// unlinked is an error of reading, which names the symbolic link that leads nowhere
// or out of the module.
func (p *Project) unlinked(name string, err error) error {
	if err == nil {
		return nil
	}
	return cmp.Or(p.link(name), err)
}

func (p *Project) exists(name string) bool {
	_, err := p.files.Lstat(name)
	return err == nil
}

// link refuses a path that is a symbolic link or below one: what was written
// through it could not be undone.
func (p *Project) link(name string) error {
	if at := symlink(p.files, name); at != "" {
		return fmt.Errorf("%s is a symbolic link, through which authgraph does not write: put what it leads to in its place, or choose another folder with --dir", at)
	}
	return nil
}

// symlink is the part of a path, relative to root, that is a symbolic link; empty
// where none is.
func symlink(root *os.Root, name string) string {
	for ; name != "."; name = path.Dir(name) {
		info, err := root.Lstat(name)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return name
		}
	}
	return ""
}

// linksIn refuses symbolic links where the generator writes: in the ent folder,
// but not among the entities and templates that it reads.
func (p *Project) linksIn(l layout) error {
	return walk(p.files, l.dir, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() && (name == l.entFile("schema") || name == l.entFile("template")) {
			return fs.SkipDir
		}
		return p.link(name)
	})
}

// nested refuses a path in a module of its own.
func (p *Project) nested(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if p.exists(path.Join(dir, "go.mod")) {
			return fmt.Errorf("%s is a module of its own: run authgraph there, or choose another folder with --dir", dir)
		}
	}
	return nil
}

// clash refuses entities and helpers whose names the schema of the user has.
func (p *Project) clash(l layout, sources []source) error {
	ours := map[string]string{}
	folder := l.entFile("schema")
	for _, s := range sources {
		if path.Dir(s.path) != folder {
			continue
		}
		names, err := declared([]byte(s.text))
		if err != nil {
			return err
		}
		for _, n := range names {
			ours[n] = s.path
		}
	}
	entries, err := p.list(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			slices.ContainsFunc(sources, func(s source) bool { return s.path == name }) {
			continue
		}
		text, err := p.read(name)
		if err != nil {
			return err
		}
		names, err := declared(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, n := range names {
			if ours[n] != "" {
				return fmt.Errorf("%s declares %s, which %s would declare again: rename it, or leave out that entity", name, n, ours[n])
			}
		}
	}
	return nil
}

// mixed refuses packages beside the ent folder where the user has one in the
// same folder. Into one that was installed, the user may add files.
func (p *Project) mixed(l layout, sources []source) error {
	packages := map[string][]string{}
	for _, s := range sources {
		if dir := path.Dir(s.path); strings.HasSuffix(s.path, ".go") && dir != l.dir && !strings.HasPrefix(dir, l.dir+"/") {
			packages[dir] = append(packages[dir], s.path)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if p.record != nil && slices.ContainsFunc(packages[dir], func(name string) bool { _, ok := p.record.files[name]; return ok }) {
			continue
		}
		entries, err := p.list(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if !e.IsDir() && strings.HasSuffix(name, ".go") && !slices.Contains(packages[dir], name) {
				return fmt.Errorf("%s is yours, and package %s of authgraph would be mixed with yours in the folder %s: rename the folder, or leave out --with-auth", name, path.Base(dir), dir)
			}
		}
	}
	return nil
}

// classify decides what happens to one file.
func (p *Project) classify(ctx context.Context, s source, o Options) (File, error) {
	f := File{Path: s.path, Reason: s.reason, Text: s.text, Action: Create}
	recorded := false
	if p.record != nil {
		f.base, recorded = p.record.files[s.path]
	}
	was, err := p.read(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if recorded && (o.Upgrade || !o.Force) {
			f.Action = Deleted
		}
		return f, nil
	case err != nil:
		return f, err
	}
	f.was = string(was)
	switch {
	case f.was == f.Text || recorded && f.base == f.Text:
		f.Action, f.Text = Keep, f.was
	case recorded && f.was == f.base:
		f.Action = Update
	case !recorded && o.Force:
		f.Action = Replace
	case !recorded:
		f.Action = Differs
	default:
		text, conflicts, err := merge(ctx, f, p.record.version, o.Version)
		if err != nil {
			return f, err
		}
		switch {
		case conflicts && o.Force && !o.Upgrade:
			f.Action = Replace
		case conflicts:
			f.Text, f.Action = text, Conflict
		default:
			f.Text, f.Action = text, Merge
		}
	}
	return f, nil
}

// merge merges what this version and the user made of a file, as git does.
func merge(ctx context.Context, f File, from, to string) (_ string, conflicts bool, err error) {
	folder, err := os.MkdirTemp("", "authgraph_merge_")
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	for name, text := range map[string]string{"yours": f.was, "base": f.base, "ours": f.Text} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", false, err
		}
	}
	cmd := exec.CommandContext(ctx, "git", "merge-file", "-p", "--diff3",
		"-L", "yours", "-L", "installed by authgraph "+from, "-L", "authgraph "+to, "yours", "base", "ours")
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", false, fmt.Errorf("%s was changed here and is to be merged, for which git is needed: install git", f.Path)
	case errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 128:
		return string(out), true, nil
	case err != nil:
		return "", false, fmt.Errorf("merge %s: %w: %s", f.Path, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), false, nil
}

// needFeatures holds the generator of the user against what package auth needs.
func (p *Plan) needFeatures(force bool) error {
	var all string
	texts := map[string]string{}
	for _, name := range []string{"generate.go", "entc.go"} {
		text, err := p.project.read(p.layout.entFile(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		texts[name] = string(text)
		all += string(text)
	}
	var flags, constants []string
	for _, f := range features {
		if !strings.Contains(all, f.flag) && !strings.Contains(all, f.constant) {
			flags, constants = append(flags, f.flag), append(constants, "gen."+f.constant)
		}
	}
	if len(flags) == 0 {
		return nil
	}
	generate := p.layout.entFile("generate.go")
	text, ok := addFeatures(texts["generate.go"], flags)
	if !ok {
		return fmt.Errorf("package auth needs features of Ent that the generator does not have: put %s into the Features of gen.Config in %s, then run this again",
			strings.Join(constants, ", "), p.layout.entFile("entc.go"))
	}
	f := File{Path: generate, Reason: "package auth needs these features", Action: Differs, Text: text, was: texts["generate.go"]}
	if force {
		f.Action = Update
	}
	p.Files = append(p.Files, f)
	return nil
}
