package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/planner"
)

// firstMigration reports whether the folder of the migrations holds none.
func (p *Plan) firstMigration() (bool, error) {
	entries, err := p.project.list(p.layout.migrations)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return path.Ext(e.Name()) == ".sql" }), err
}

// migration plans the migration to the schema and writes it.
func (r *Run) migration(ctx context.Context) (*Result, error) {
	r.progress("plan the migration")
	p := r.plan
	if p.onlyAdds() {
		return r.addition(ctx)
	}
	if err := p.project.files.MkdirAll(p.layout.migrations, 0o755); err != nil {
		return nil, err
	}
	dir, err := directory.Open(p.project.file(p.layout.migrations))
	if err != nil {
		return nil, err
	}
	name := r.migrationName()
	from, sql, err := p.desired(ctx)
	if err != nil {
		return nil, err
	}
	own := ""
	if r.first {
		var ours string
		if own, ours, err = split(sql, p.Entities); err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		if p.DB != sqlite {
			return r.offline(dir, name, own, ours)
		}
	}
	open := r.dev
	if p.DB == sqlite {
		open = func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, "sqlite://dev.db") }
	}
	dev, err := open(ctx)
	if err != nil {
		return nil, err
	}
	var before *Result
	if own != "" {
		before, err = r.diff(ctx, dev, dir, planner.SQL(from, own), baseline)
	}
	var result *Result
	if err == nil {
		result, err = r.diff(ctx, dev, dir, planner.SQL(from, sql), name)
	}
	if before != nil && result != nil {
		result.Baseline = before.Migration
	}
	return result, errors.Join(err, dev.Close())
}

// onlyAdds reports whether the migration holds just what the installation adds to the tables of the project: what else
// its schema and its database differ by is the project's affair.
func (p *Plan) onlyAdds() bool { return p.Users != nil || p.layout.tool != "" }

// schemaSQL is the database that follows from the Go files of the schema.
func (p *Plan) schemaSQL(ctx context.Context) (string, error) {
	return entgraph.Load(ctx, p.project.file(p.layout.entFile("schema")), Dialect(p.DB), entgraph.NoWorkspace)
}

// addition writes what the schema has beyond what it had before the run, for Atlas or for the project's own tool.
func (r *Run) addition(ctx context.Context) (*Result, error) {
	p := r.plan
	after, err := p.schemaSQL(ctx)
	if err != nil {
		return nil, err
	}
	add, err := onlyAdds(p.DB, r.before, after)
	if err != nil {
		return nil, fmt.Errorf("the migration would change more than it adds: %w", err)
	}
	if len(add.up) == 0 {
		return &Result{}, nil
	}
	up, down := strings.Join(add.up, ""), strings.Join(add.down, "")
	if err := p.project.files.MkdirAll(p.layout.migrations, 0o755); err != nil {
		return nil, err
	}
	if p.layout.tool != "" {
		return r.forTool(up, down)
	}
	dir, err := directory.Open(p.project.file(p.layout.migrations))
	if err != nil {
		return nil, err
	}
	own := ""
	if r.first {
		own = r.before
	}
	return r.offline(dir, r.migrationName(), own, up)
}

// forTool writes the migration for the project's own tool.
func (r *Run) forTool(up, down string) (*Result, error) {
	p := r.plan
	entries, err := p.project.list(p.layout.migrations)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	t := tool{p.layout.tool, p.layout.migrations}
	files, first := t.files(names, r.migrationName(), up, down, time.Now())
	for _, at := range slices.Sorted(maps.Keys(files)) {
		r.wrote[at] = files[at]
		if err := r.writeFile(at, []byte(files[at])); err != nil {
			return nil, err
		}
	}
	return &Result{Migration: first, Tool: t.name}, nil
}

// migrationName names the tables that the run adds.
func (r *Run) migrationName() string {
	if r.first {
		return migrationName(r.plan.Entities)
	}
	return migrationName(r.plan.added)
}

// baseline is the name of the migration that makes the tables of the project's own entities.
const baseline = "baseline"

// tableOf is the table that a statement of a schema is about.
var tableOf = regexp.MustCompile("(?i)^(?:CREATE TABLE|ALTER TABLE|CREATE (?:UNIQUE )?INDEX .*? ON) [`\"]([^`\"]+)")

// split parts the statements of a schema into those about the tables of entities, which are ours, and the project's
// own. Own is empty if there are none, or if the project's tables refer to ours and so cannot be made before them.
func split(sql string, entities []string) (own, ours string, err error) {
	stmts, err := atlas.Stmts(sql)
	if err != nil {
		return "", "", err
	}
	var tables []string
	for _, e := range Entities {
		if slices.Contains(entities, e.Name) {
			tables = append(tables, e.Table)
		}
	}
	for _, s := range stmts {
		text := strings.Join(append(s.Comments, s.Text), "") + "\n"
		if m := tableOf.FindStringSubmatch(s.Text); m != nil && slices.Contains(tables, m[1]) {
			ours += text
			continue
		}
		own += text
		for _, table := range tables {
			if strings.Contains(s.Text, "REFERENCES `"+table+"`") {
				return "", sql, nil
			}
		}
	}
	return own, ours, nil
}

func (r *Run) diff(
	ctx context.Context, dev *planner.Dev, dir directory.Dir, to planner.State, name string,
) (*Result, error) {
	plan, err := planner.Diff(ctx, dev, dir, to, name)
	if errors.Is(err, planner.ErrNoChanges) {
		return &Result{}, nil
	}
	if err != nil {
		return nil, err
	}
	result := &Result{Migration: path.Join(r.plan.layout.migrations, plan.File), Destructive: plan.Destructive}
	r.wrote[result.Migration] = plan.SQL
	if err := plan.Write(); err != nil {
		return nil, err
	}
	return result, nil
}

// offline writes the first migrations without a server: the statements that make the schema.
func (r *Run) offline(dir directory.Dir, name, own, ours string) (result *Result, err error) {
	result = &Result{}
	if own != "" {
		if result.Baseline, err = r.file(dir, baseline, own); err != nil {
			return nil, err
		}
	}
	result.Migration, err = r.file(dir, name, ours)
	return result, err
}

// file adds a migration to the directory.
func (r *Run) file(dir directory.Dir, name, sql string) (string, error) {
	file, err := directory.New(dir, name)
	if err != nil {
		return "", err
	}
	at := path.Join(r.plan.layout.migrations, file)
	r.wrote[at] = sql
	if err := r.writeFile(at, []byte(sql)); err != nil {
		return "", err
	}
	return at, directory.Hash(dir)
}

// desired is the SQL of the schema, and where it comes from: what the generator wrote, or the Go files.
func (p *Plan) desired(ctx context.Context) (name, sql string, err error) {
	name = p.layout.entFile(p.layout.desiredFile())
	text, err := p.project.read(name)
	if err == nil {
		return name, generatedHead.ReplaceAllString(string(text), ""), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return name, "", err
	}
	name = p.layout.entFile("schema")
	sql, err = entgraph.Load(ctx, p.project.file(name), Dialect(p.DB), entgraph.NoWorkspace)
	return name, sql, err
}

var generatedHead = regexp.MustCompile(`\A-- Code generated .*\n\n`)

// migrationName names the tables of the entities that were added.
func migrationName(added []string) string {
	switch len(added) {
	case 0:
		return "change_auth_tables"
	case len(Entities):
		return "create_auth_tables"
	case len(Entities) - 1:
		if !slices.Contains(added, "user") { // which is the project's
			return "create_auth_tables"
		}
	}
	name := "create"
	for _, e := range Entities {
		if slices.Contains(added, e.Name) {
			name += "_" + e.Table
		}
	}
	return name
}
