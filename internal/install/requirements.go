package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/authgraph/authgraph"
)

// Requirement is a module that go.mod has to hold, at this version or a later one.
type Requirement struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	// From is the older version that go.mod holds; empty if it holds none, or one that will do.
	From string `json:"from,omitempty"`
	// least is the oldest version that will do; empty for Version.
	least string
}

// least are the oldest versions that will do where the project brings its generator. Raising Ent raises modules of
// which others of a project may need the older version: v0.14.6 came with another tablewriter, for one.
var least = map[string]string{"entgo.io/ent": "v0.14.5", "ariga.io/atlas": "v0.32.0"}

// doneBy reports whether a version of the module will do.
func (r Requirement) doneBy(version string) bool {
	return semver.Compare(version, cmp.Or(r.least, r.Version)) >= 0
}

func (r Requirement) String() string { return r.Module + "@" + r.Version }

// requirements are the modules that the sources import, at the versions this project is built with or the least ones.
func requirements(sources []sourceFile, least map[string]string) ([]Requirement, error) {
	versions, _, err := ownRequirements()
	if err != nil {
		return nil, err
	}
	// Ent's generated code imports Ent, and Ent imports Atlas.
	need := map[string]bool{"entgo.io/ent": true, "ariga.io/atlas": true}
	for _, s := range sources {
		if !strings.HasSuffix(s.path, ".go") {
			continue
		}
		paths, err := imports([]byte(s.text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
		for _, p := range paths {
			best := ""
			for mod := range versions {
				if (p == mod || strings.HasPrefix(p, mod+"/")) && len(mod) > len(best) {
					best = mod
				}
			}
			if best != "" {
				need[best] = true
			}
		}
	}
	var out []Requirement
	for mod := range need {
		out = append(out, Requirement{Module: mod, Version: versions[mod], least: least[mod]})
	}
	slices.SortFunc(out, func(a, b Requirement) int { return cmp.Compare(a.Module, b.Module) })
	return out, nil
}

// ownRequirements are the versions and the Go version of this project's go.mod.
func ownRequirements() (versions map[string]string, goVersion string, err error) {
	text, err := authgraph.Files.ReadFile("go.mod")
	if err != nil {
		return nil, "", err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, "", err
	}
	versions = map[string]string{}
	for _, r := range mod.Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	return versions, mod.Go.Version, nil
}

// entTool is the command of Ent: as a tool of the module it keeps what the generator imports in go.mod.
const entTool = "entgo.io/ent/cmd/ent"

// require adds what is missing in go.mod, and raises what is too old.
func (r *Run) require(ctx context.Context) error {
	before, err := r.goMod()
	if err != nil {
		return err
	}
	had := map[string]string{}
	for _, q := range before.Require {
		had[q.Mod.Path] = q.Mod.Version
	}
	var get []string
	if have := goVersion(before); r.plan.language != "" &&
		semver.Compare("v"+have, "v"+r.plan.language) < 0 {
		get = append(get, "go@"+r.plan.language)
	}
	for _, m := range r.plan.Requirements {
		if !m.doneBy(had[m.Module]) {
			get = append(get, m.String())
		}
	}
	if err := r.get(ctx, get...); err != nil {
		return err
	}
	isEnt := func(t *modfile.Tool) bool { return t.Path == entTool }
	if !slices.ContainsFunc(before.Tool, isEnt) && r.plan.layout.generator {
		i := slices.IndexFunc(r.plan.Requirements, func(m Requirement) bool { return m.Module == "entgo.io/ent" })
		version := r.plan.Requirements[i].Version
		if have := had["entgo.io/ent"]; r.plan.Requirements[i].doneBy(have) {
			version = have
		}
		if err := r.get(ctx, "-tool", entTool+"@"+version); err != nil {
			return err
		}
	}
	// Their dependencies get at least the version that this project is tested with.
	versions, _, err := ownRequirements()
	if err != nil {
		return err
	}
	after, err := r.goMod()
	if err != nil {
		return err
	}
	get = nil
	for _, q := range after.Require {
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

func (r *Run) goMod() (*modfile.File, error) {
	text, err := r.plan.project.read("go.mod")
	if err != nil {
		return nil, err
	}
	return modfile.Parse("go.mod", text, nil)
}

func (r *Run) get(ctx context.Context, args ...string) error {
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

// unreachable matches what the go command prints if it does not reach a module proxy.
var unreachable = regexp.MustCompile(`dial tcp|no such host|connection refused|i/o timeout|network is unreachable|` +
	`proxyconnect|GOPROXY=off|disabled by GOPROXY`)

// markRaised says which requirements of the plan are newer than what go.mod holds.
func (p *Plan) markRaised() error {
	text, err := p.project.read("go.mod")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return doesNotLoad(err)
	}
	for _, have := range mod.Require {
		for i, need := range p.Requirements {
			if have.Mod.Path == need.Module && !need.doneBy(have.Mod.Version) {
				p.Requirements[i].From = have.Mod.Version
			}
		}
	}
	return nil
}
