package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/migrate"
)

// Steps are how a plan is applied.
type Steps struct {
	// Progress is told of each step that takes time.
	Progress func(step string)
	// Dev opens an empty database of the plan's kind, to plan a migration that
	// continues a history in. It is nil where none is known. SQLite needs none.
	Dev func(context.Context) (*migrate.Dev, error)
	// NoMigration leaves out the migration.
	NoMigration bool
}

// Result is what applying a plan brought about.
type Result struct {
	// Migration is the file that was planned; empty if there was none to plan.
	Migration string `json:"migration,omitempty"`
	// Destructive describes each change of the migration that loses data.
	Destructive []string `json:"destructive,omitempty"`
}

// CheckClean is an error if the project lies in a git repository and files that
// git knows were changed since the last commit, or if git cannot tell.
func (p *Project) CheckClean(ctx context.Context) error {
	// A folder that was cloned may pose as a repository, with settings that name programs.
	cmd := exec.CommandContext(ctx, "git", "-c", "safe.bareRepository=explicit", "status", "--porcelain", "--untracked-files=no", "--", ".")
	cmd.Dir = p.Root
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its errors are read below
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound), strings.Contains(stderr.String(), "not a git repository"):
		return nil
	case err != nil:
		return fmt.Errorf("git does not tell whether everything is committed: %w: %s; correct that, or use --allow-dirty", err, firstLines(stderr.String()))
	}
	first, _, _ := strings.Cut(string(out), "\n")
	if first == "" {
		return nil
	}
	return fmt.Errorf("%s was changed since the last commit: commit or stash it, or use --allow-dirty", strings.TrimSpace(first[2:]))
}

// Check is an error where Apply would refuse to begin.
func (p *Plan) Check(steps Steps) error {
	if p.project.exists("vendor/modules.txt") {
		return errors.New("the module keeps its requirements in vendor/, which authgraph does not renew: remove vendor/, run this again, then go mod vendor")
	}
	first, err := p.firstMigration()
	if err != nil || first || p.noMigration(steps) {
		return err
	}
	if !p.project.exists(path.Join(p.layout.migrations, "atlas.sum")) {
		return fmt.Errorf("%s holds SQL files and no atlas.sum: if they are those of another tool, move them to another folder, or leave the migration out with --no-migration; if they are Atlas's, run authgraph migrate hash --dir %[1]s; nothing was changed", p.layout.migrations)
	}
	dir, err := migrate.OpenDir(p.project.file(p.layout.migrations))
	if err == nil {
		err = migrate.Validate(dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was changed", p.layout.migrations, err)
	}
	if p.DB != "sqlite" && steps.Dev == nil {
		return fmt.Errorf("a migration that continues %s is planned on a database server: name one with --url or --dev-url, or leave it out with --no-migration; nothing was changed", p.layout.migrations)
	}
	return nil
}

func (p *Plan) noMigration(steps Steps) bool {
	return steps.NoMigration || len(p.Entities) == 0 || p.upgrade
}

// Apply carries out the plan. Where it returns an error, the project is as it was.
func (p *Plan) Apply(ctx context.Context, j *Journal, steps Steps) (_ *Result, err error) {
	if err := p.Check(steps); err != nil {
		return nil, err
	}
	first, err := p.firstMigration()
	if err != nil {
		return nil, err
	}
	paths := []string{"go.mod", "go.sum", ".entc", p.layout.dir, p.layout.migrations, RecordFile}
	for _, f := range p.Files {
		if !strings.HasPrefix(f.Path, p.layout.dir+"/") {
			paths = append(paths, f.Path)
		}
	}
	before, err := j.keep(paths)
	if err != nil {
		return nil, err
	}
	r := &run{Plan: p, Steps: steps, wrote: map[string]string{}}
	r.rememberGoMod()
	defer func() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			return
		}
		if undo := j.undo(before, r.own); undo != nil {
			j.unfinished = true
			err = fmt.Errorf("%w; and not everything could be undone: %w; run authgraph again to finish undoing", err, undo)
		} else {
			err = fmt.Errorf("%w; nothing was changed", err)
		}
		if j.Undone != "" {
			err = fmt.Errorf("%w; what stood there instead is in %s: take from it what is yours, then remove it", err, j.Undone)
		}
	}()
	tidy := r.command(ctx, "mod", "tidy", "-diff") == nil
	if err := r.write(); err != nil {
		return nil, err
	}
	// What holds conflict markers does not compile. Once they are gone, it needs the requirements.
	if len(p.Has(Conflict)) > 0 {
		return &Result{}, r.require(ctx)
	}
	if err := r.compile(ctx, tidy); err != nil {
		return nil, err
	}
	if p.noMigration(steps) {
		return &Result{}, nil
	}
	return r.migration(ctx, first)
}

// firstMigration reports whether the folder of the migrations holds none.
func (p *Plan) firstMigration() (bool, error) {
	entries, err := p.project.list(p.layout.migrations)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return path.Ext(e.Name()) == ".sql" }), err
}

// run is one application of a plan.
type run struct {
	*Plan
	Steps
	// wrote is what the run made of go.mod, and of its migration.
	wrote map[string]string
}

func (r *run) progress(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}

func (r *run) write() error {
	for _, f := range r.Files {
		if !f.Action.writes() {
			continue
		}
		was, err := r.project.read(f.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Whoever was asked before anything is written may have edited it meanwhile.
		if there := err == nil; there == (f.Action == Create) || string(was) != f.was {
			return fmt.Errorf("%s was changed after authgraph had read it: run this again", f.Path)
		}
		if err := r.writeFile(f.Path, []byte(f.Text)); err != nil {
			return err
		}
	}
	return r.writeFile(RecordFile, r.record.format())
}

// rememberGoMod notes what a step made of go.mod.
func (r *run) rememberGoMod() {
	if text, err := r.project.read("go.mod"); err == nil {
		r.wrote["go.mod"] = string(text)
	}
}

// own reports whether a text is known to be what the run itself, the go command or
// the generator made of a file, and not what somebody saved there meanwhile. Of sums
// nothing is lost: they follow from other files.
func (r *run) own(name, text string) bool {
	wrote, ok := r.wrote[name]
	return name == "go.sum" || name == path.Join(r.layout.migrations, "atlas.sum") || ok && text == wrote || generatedText.MatchString(text) ||
		name == RecordFile && text == string(r.record.format()) ||
		slices.ContainsFunc(r.Files, func(f File) bool { return f.Path == name && f.Action.writes() && f.Text == text })
}

// generatedText is the line that go help generate asks for, below nothing but other
// comments and empty lines, which end before the package clause. A generator with a
// header that lacks it leaves files that look as if somebody had written them.
var generatedText = regexp.MustCompile(`\A(?:\s*\n|(?://|--|#).*\n|/\*(?:[^*]|\*+[^*/])*\*+/)*(?://|--|#) Code generated .* DO NOT EDIT\.\r?\n`)

func (r *run) writeFile(name string, text []byte) error {
	if err := r.project.files.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return r.project.files.WriteFile(name, text, 0o644)
}

// compile adds the requirements, runs the generator and builds what was
// installed. A go.mod that was tidy stays so; in one that was not, what the
// user has there is not removed.
func (r *run) compile(ctx context.Context, tidy bool) error {
	if err := r.require(ctx); err != nil {
		return err
	}
	packages := []string{"./" + r.layout.dir + "/..."}
	for _, f := range r.Files {
		if pkg := "./" + path.Dir(f.Path); strings.HasSuffix(f.Path, ".go") && !strings.HasPrefix(f.Path, r.layout.dir+"/") && !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	if len(r.Entities) > 0 {
		r.progress("go generate ./%s", r.layout.dir)
		if err := r.command(ctx, "generate", "./"+r.layout.dir); err != nil {
			return err
		}
	}
	if tidy {
		r.progress("go mod tidy")
		if err := r.edit(ctx, "mod", "tidy"); err != nil {
			return err
		}
	} else if err := r.edit(ctx, append([]string{"get"}, packages...)...); err != nil {
		return err
	}
	r.progress("go build %s", strings.Join(packages, " "))
	return r.command(ctx, append([]string{"build"}, packages...)...)
}

// entTool is the command of Ent: as a tool of the module it keeps what the
// generator imports in go.mod.
const entTool = "entgo.io/ent/cmd/ent"

// require adds what is missing in go.mod, and raises what is too old.
func (r *run) require(ctx context.Context) error {
	was, err := r.goMod()
	if err != nil {
		return err
	}
	had := map[string]string{}
	for _, q := range was.Require {
		had[q.Mod.Path] = q.Mod.Version
	}
	var get []string
	if have := "go" + goVersion(was); r.language != "" && semver.Compare("v"+strings.TrimPrefix(have, "go"), "v"+r.language) < 0 {
		get = append(get, "go@"+r.language)
	}
	for _, m := range r.Requirements {
		if semver.Compare(had[m.Module], m.Version) < 0 {
			get = append(get, m.String())
		}
	}
	if err := r.get(ctx, get...); err != nil {
		return err
	}
	if !slices.ContainsFunc(was.Tool, func(t *modfile.Tool) bool { return t.Path == entTool }) && r.layout.generator {
		i := slices.IndexFunc(r.Requirements, func(m Requirement) bool { return m.Module == "entgo.io/ent" })
		version := r.Requirements[i].Version
		if semver.Compare(had["entgo.io/ent"], version) > 0 {
			version = had["entgo.io/ent"]
		}
		if err := r.get(ctx, "-tool", entTool+"@"+version); err != nil {
			return err
		}
	}
	// What came with them is taken in the version it was tried with.
	versions, _, err := ownRequirements()
	if err != nil {
		return err
	}
	is, err := r.goMod()
	if err != nil {
		return err
	}
	get = nil
	for _, q := range is.Require {
		if had[q.Mod.Path] == "" && semver.Compare(q.Mod.Version, versions[q.Mod.Path]) < 0 {
			get = append(get, q.Mod.Path+"@"+versions[q.Mod.Path])
		}
	}
	return r.get(ctx, get...)
}

func goVersion(m *modfile.File) string {
	if m.Go == nil {
		return "1.16"
	}
	return m.Go.Version
}

func (r *run) goMod() (*modfile.File, error) {
	text, err := r.project.read("go.mod")
	if err != nil {
		return nil, err
	}
	return modfile.Parse("go.mod", text, nil)
}

func (r *run) get(ctx context.Context, args ...string) error {
	if len(args) == 0 {
		return nil
	}
	r.progress("go get %s", strings.Join(args, " "))
	err := r.edit(ctx, append([]string{"get"}, args...)...)
	if err != nil && unreachable.MatchString(err.Error()) {
		return fmt.Errorf("the requirements could not be downloaded: check the network and GOPROXY: %w", err)
	}
	return err
}

// unreachable is what the go command says where it does not get through to a
// module proxy.
var unreachable = regexp.MustCompile(`dial tcp|no such host|GOPROXY=off|connection refused|i/o timeout|network is unreachable|disabled by GOPROXY|proxyconnect`)

// edit runs a go command that changes go.mod. Once somebody else has changed it
// too, what is in it is not the run's own any more.
func (r *run) edit(ctx context.Context, args ...string) error {
	text, err := r.project.read("go.mod")
	if err != nil {
		return err
	}
	if err := r.command(ctx, args...); err != nil {
		return err
	}
	if string(text) == r.wrote["go.mod"] {
		r.rememberGoMod()
	}
	return nil
}

// command runs the go command in the project. Of what it prints, the first
// lines are in its error.
func (r *run) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.project.Root
	// A workspace would have its own go.mod files changed and read.
	cmd.Env = append(os.Environ(), entgraph.NoWorkspace)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("the go command is not installed, or not on PATH")
	}
	return fmt.Errorf("go %s: %s", args[0], firstLines(out.String()))
}

func firstLines(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "go: downloading") || strings.HasPrefix(line, "#") {
			continue
		}
		if lines = append(lines, line); len(lines) == 3 {
			break
		}
	}
	return strings.Join(lines, "; ")
}

// migration plans the migration to the schema and writes it.
func (r *run) migration(ctx context.Context, first bool) (*Result, error) {
	r.progress("plan the migration")
	if err := r.project.files.MkdirAll(r.layout.migrations, 0o755); err != nil {
		return nil, err
	}
	dir, err := migrate.OpenDir(r.project.file(r.layout.migrations))
	if err != nil {
		return nil, err
	}
	if first {
		r.added = r.Entities
		if r.DB != "sqlite" {
			return r.offline(ctx, dir)
		}
	}
	open := r.Dev
	if r.DB == "sqlite" {
		open = func(ctx context.Context) (*migrate.Dev, error) { return migrate.Scratch(ctx, "sqlite://dev.db") }
	}
	dev, err := open(ctx)
	if err != nil {
		return nil, err
	}
	result, err := r.diff(ctx, dev, dir)
	return result, errors.Join(err, dev.Close())
}

func (r *run) diff(ctx context.Context, dev *migrate.Dev, dir migrate.Dir) (*Result, error) {
	name, sql, err := r.desired(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := migrate.Diff(ctx, dev, dir, migrate.SQL(name, sql), r.migrationName())
	if errors.Is(err, migrate.ErrNoChanges) {
		return &Result{}, nil
	}
	if err != nil {
		return nil, err
	}
	result := &Result{Migration: path.Join(r.layout.migrations, plan.File), Destructive: plan.Destructive}
	r.wrote[result.Migration] = plan.SQL
	if err := plan.Write(); err != nil {
		return nil, err
	}
	return result, nil
}

// offline writes the first migration without a server: the statements that
// make the schema.
func (r *run) offline(ctx context.Context, dir migrate.Dir) (*Result, error) {
	_, sql, err := r.desired(ctx)
	if err != nil {
		return nil, err
	}
	file, err := migrate.New(dir, r.migrationName())
	if err != nil {
		return nil, err
	}
	name := path.Join(r.layout.migrations, file)
	r.wrote[name] = sql
	if err := r.writeFile(name, []byte(sql)); err != nil {
		return nil, err
	}
	if err := migrate.Hash(dir); err != nil {
		return nil, err
	}
	return &Result{Migration: name}, nil
}

// desired is the SQL of the schema, and where it comes from: what the generator
// wrote, or the Go files.
func (r *run) desired(ctx context.Context) (name, sql string, err error) {
	name = r.layout.entFile(r.layout.desiredFile())
	text, err := r.project.read(name)
	if err == nil {
		return name, generatedHead.ReplaceAllString(string(text), ""), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return name, "", err
	}
	name = r.layout.entFile("schema")
	of := dialect.MySQL
	if r.DB == "sqlite" {
		of = dialect.SQLite
	}
	sql, err = entgraph.Load(ctx, r.project.file(name), of, entgraph.NoWorkspace)
	return name, sql, err
}

var generatedHead = regexp.MustCompile(`\A-- Code generated .*\n\n`)

// migrationName says which tables are new.
func (r *run) migrationName() string {
	switch len(r.added) {
	case 0:
		return "change_auth_tables"
	case len(Entities):
		return "create_auth_tables"
	}
	name := "create"
	for _, e := range Entities {
		if slices.Contains(r.added, e.Name) {
			name += "_" + e.Table
		}
	}
	return name
}
