package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/planner"
)

// ApplyOptions are how a plan is applied.
type ApplyOptions struct {
	// Dev opens an empty database of the plan's kind, to plan a migration that continues a history in. It is nil if no
	// server is known. SQLite needs none.
	Dev func(context.Context) (*planner.Dev, error)
	// NoMigration leaves out the migration.
	NoMigration bool
}

// Result is what applying a plan brought about.
type Result struct {
	// Migration is the file that was planned; empty if there was none to plan.
	Migration string `json:"migration,omitempty"`
	// Baseline is the file that comes before the first Migration and makes the tables of the project's own entities;
	// empty if it has none, or has migrations. Databases in which Ent made them are taken to be at its version.
	Baseline string `json:"baseline,omitempty"`
	// Tool is the migration tool that Migration is written for; empty for Atlas's form.
	Tool string `json:"tool,omitempty"`
	// Destructive describes each change of the migration that loses data.
	Destructive []string `json:"destructive,omitempty"`
}

// Run is one application of a plan.
type Run struct {
	plan *Plan
	dev  func(context.Context) (*planner.Dev, error)
	// migrates is whether the run plans a migration, and first whether the folder holds none yet.
	migrates, first bool
	// before is the database of the schema as it was, where the migration holds just what was added to it.
	before  string
	report  func(step string)
	journal *Journal
	// wrote is the text of go.mod and of the migration as this run left them.
	wrote map[string]string
}

// Prepare checks that the plan can be applied. It changes nothing.
func (p *Plan) Prepare(ctx context.Context, o ApplyOptions) (*Run, error) {
	if err := p.project.vendored(); err != nil {
		return nil, err
	}
	if err := p.loads(ctx); err != nil {
		return nil, unchanged(err)
	}
	first, err := p.firstMigration()
	if err != nil {
		return nil, err
	}
	r := &Run{plan: p, dev: o.Dev, first: first, wrote: map[string]string{}}
	r.migrates = !o.NoMigration && len(p.Entities) > 0 && !p.upgrade
	if first || !r.migrates || p.layout.tool != "" {
		return r, nil
	}
	if err := p.continues(o.Dev != nil); err != nil {
		return nil, unchanged(err)
	}
	return r, nil
}

// continues refuses a folder of migrations that the plan cannot continue.
func (p *Plan) continues(server bool) error {
	folder := p.layout.migrations
	if !p.project.exists(path.Join(folder, sumFile)) {
		return &Error{
			Reason: NoSum,
			Path:   folder,
			found:  folder + " holds SQL files and no atlas.sum",
			fix: "if another tool made them, move them to another folder or leave out the migration; " +
				"if Atlas did, write its atlas.sum",
		}
	}
	dir, err := directory.Open(p.project.file(folder))
	if err == nil {
		err = directory.Validate(dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if p.DB != sqlite && !server && !p.onlyAdds() {
		return &Error{
			Reason: NoServer,
			Path:   folder,
			found:  fmt.Sprintf("a migration that continues %s is planned on a database server", folder),
			fix:    "name one, or leave out the migration",
		}
	}
	return nil
}

// Apply carries out the plan, once. If it returns an error, the project is as it was. Report, which may be nil, is told
// of each step that takes time.
func (r *Run) Apply(ctx context.Context, j *Journal, report func(step string)) (_ *Result, err error) {
	p := r.plan
	r.report, r.journal = report, j
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
	r.rememberGoMod()
	defer func() {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			err = j.takeBack(err, before, r.deletable)
		}
	}()
	tidy := r.command(ctx, "mod", "tidy", "-diff") == nil
	if r.migrates && p.onlyAdds() {
		if r.before, err = p.schemaSQL(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.write(); err != nil {
		return nil, err
	}
	// Files with conflict markers do not compile. Once they are resolved, they need the requirements.
	if len(p.Has(Conflict)) > 0 {
		return &Result{}, r.require(ctx)
	}
	if err := r.compile(ctx, tidy); err != nil {
		return &Result{}, err
	}
	if err := r.stillBuilds(ctx, before); err != nil || !r.migrates {
		return &Result{}, err
	}
	return r.migration(ctx)
}

func (r *Run) progress(format string, args ...any) {
	if r.report != nil {
		r.report(fmt.Sprintf(format, args...))
	}
}

func (r *Run) write() error {
	for _, f := range r.plan.Files {
		if !f.Action.writes() {
			continue
		}
		text, err := r.plan.project.read(f.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The user may have edited it while answering the question whether to write.
		if exists := err == nil; exists == (f.Action == Create) || string(text) != f.stored {
			return &Error{
				Path:  f.Path,
				found: f.Path + " was changed after authgraph had read it",
				fix:   "run this again",
			}
		}
		if err := r.writeFile(f.Path, f.bytes()); err != nil {
			return err
		}
	}
	return r.writeFile(RecordFile, r.plan.record.format())
}

// rememberGoMod notes the text of go.mod as a step left it.
func (r *Run) rememberGoMod() {
	if text, err := r.plan.project.read("go.mod"); err == nil {
		r.wrote["go.mod"] = string(text)
	}
}

// deletable reports whether this run wrote the text, so that undo may delete it. Checksum files always count: they can
// be rebuilt.
func (r *Run) deletable(name, text string) bool {
	wrote, ok := r.wrote[name]
	return name == "go.sum" || name == path.Join(r.plan.layout.migrations, sumFile) || ok && text == wrote ||
		generatedText.MatchString(text) ||
		name == RecordFile && text == string(r.plan.record.format()) ||
		slices.ContainsFunc(r.plan.Files, func(f File) bool {
			return f.Path == name && f.Action.writes() && string(f.bytes()) == text
		})
}

// generatedText is the line of go help generate. Only comments and empty lines may stand above it. Without the line, a
// file of a generator counts as the user's.
var generatedText = regexp.MustCompile(`\A(?:\s*\n|(?://|--|#).*\n|/\*(?:[^*]|\*+[^*/])*\*+/)*` +
	`(?://|--|#) Code generated .* DO NOT EDIT\.\r?\n`)

func (r *Run) writeFile(name string, text []byte) error {
	if err := r.plan.project.files.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return r.plan.project.files.WriteFile(name, text, 0o644)
}

// compile adds the requirements, runs the generator and builds what was installed. It tidies go.mod only if it was tidy
// before: otherwise it would remove requirements of the user.
func (r *Run) compile(ctx context.Context, tidy bool) error {
	if err := r.require(ctx); err != nil {
		return err
	}
	dir := r.plan.layout.dir
	packages := []string{"./" + dir + "/..."}
	for _, f := range r.plan.Files {
		if pkg := "./" + path.Dir(f.Path); strings.HasSuffix(f.Path, ".go") &&
			!strings.HasPrefix(f.Path, dir+"/") && f.Path != r.plan.layout.generate && !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	generate := cmp.Or(r.plan.layout.generate, "./"+dir)
	if len(r.plan.Entities) > 0 {
		// go get may leave a go.mod that go commands refuse until it is updated, and the generator runs some. It is not
		// tidied yet: what the generator will import is not known. A package that cannot be loaded is no error here.
		list := []string{"list", "-e", "-mod=mod", packages[0]}
		if r.plan.layout.generate != "" {
			list = append(list, "./"+path.Dir(r.plan.layout.generate))
		}
		if err := r.edit(ctx, list...); err != nil {
			return err
		}
		r.progress("go generate %s", generate)
		if err := r.command(ctx, "generate", generate); err != nil {
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
	build := append([]string{"build"}, packages...)
	err := r.command(ctx, build...)
	if err == nil || ctx.Err() != nil || r.plan.layout.generator || len(r.plan.Entities) == 0 {
		return err
	}
	// Ent formats its files in parallel, and looks for the imports of one in others that may be half written just then.
	// The generator of a project does not go one by one, as ours does: it gets a second chance.
	if r.command(ctx, "generate", generate) != nil {
		return err
	}
	return r.command(ctx, build...)
}
