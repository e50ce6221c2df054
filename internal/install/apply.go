package install

import (
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

// Steps are how a plan is applied.
type Steps struct {
	// Progress is told of each step that takes time.
	Progress func(step string)
	// Dev opens an empty database of the plan's kind, to plan a migration that
	// continues a history in. It is nil where none is known. SQLite needs none.
	Dev func(context.Context) (*planner.Dev, error)
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

// Check is an error where Apply would refuse to begin.
func (p *Plan) Check(steps Steps) error {
	if p.project.exists("vendor/modules.txt") {
		return &Error{
			Path:  "vendor",
			found: "the module keeps its requirements in vendor/, which authgraph does not renew",
			fix:   "remove vendor/, run this again, then go mod vendor",
		}
	}
	first, err := p.firstMigration()
	if err != nil || first || p.noMigration(steps) {
		return err
	}
	if !p.project.exists(path.Join(p.layout.migrations, "atlas.sum")) {
		return unchanged(&Error{
			Reason: NoSum,
			Path:   p.layout.migrations,
			found:  p.layout.migrations + " holds SQL files and no atlas.sum",
			fix: "if another tool made them, move them to another folder or leave out the migration; " +
				"if Atlas did, write its atlas.sum",
		})
	}
	dir, err := directory.Open(p.project.file(p.layout.migrations))
	if err == nil {
		err = directory.Validate(dir)
	}
	if err != nil {
		return unchanged(fmt.Errorf("%s: %w", p.layout.migrations, err))
	}
	if p.DB != "sqlite" && steps.Dev == nil {
		return unchanged(&Error{
			Reason: NoServer,
			Path:   p.layout.migrations,
			found:  fmt.Sprintf("a migration that continues %s is planned on a database server", p.layout.migrations),
			fix:    "name one, or leave out the migration",
		})
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
		err = j.takeBack(err, before, r.own)
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
			return &Error{
				Path:  f.Path,
				found: f.Path + " was changed after authgraph had read it",
				fix:   "run this again",
			}
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

// own reports whether a text is known to be what the run itself, the go command or the generator made of a file, and
// not what somebody saved there meanwhile. Of sums nothing is lost: they follow from other files.
func (r *run) own(name, text string) bool {
	wrote, ok := r.wrote[name]
	return name == "go.sum" || name == path.Join(r.layout.migrations, "atlas.sum") || ok && text == wrote ||
		generatedText.MatchString(text) ||
		name == RecordFile && text == string(r.record.format()) ||
		slices.ContainsFunc(r.Files, func(f File) bool { return f.Path == name && f.Action.writes() && f.Text == text })
}

// generatedText is the line that go help generate asks for, below nothing but other
// comments and empty lines, which end before the package clause. A generator with a
// header that lacks it leaves files that look as if somebody had written them.
var generatedText = regexp.MustCompile(`\A(?:\s*\n|(?://|--|#).*\n|/\*(?:[^*]|\*+[^*/])*\*+/)*` +
	`(?://|--|#) Code generated .* DO NOT EDIT\.\r?\n`)

func (r *run) writeFile(name string, text []byte) error {
	if err := r.project.files.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return r.project.files.WriteFile(name, text, 0o644)
}

// compile adds the requirements, runs the generator and builds what was installed. A go.mod that was tidy stays so; in
// one that was not, what the user has there is not removed.
func (r *run) compile(ctx context.Context, tidy bool) error {
	if err := r.require(ctx); err != nil {
		return err
	}
	packages := []string{"./" + r.layout.dir + "/..."}
	for _, f := range r.Files {
		if pkg := "./" + path.Dir(f.Path); strings.HasSuffix(f.Path, ".go") &&
			!strings.HasPrefix(f.Path, r.layout.dir+"/") && !slices.Contains(packages, pkg) {
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
