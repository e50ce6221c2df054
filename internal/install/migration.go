package install

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

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
	if err := p.project.files.MkdirAll(p.layout.migrations, 0o755); err != nil {
		return nil, err
	}
	dir, err := directory.Open(p.project.file(p.layout.migrations))
	if err != nil {
		return nil, err
	}
	name := migrationName(p.added)
	if r.first {
		name = migrationName(p.Entities)
		if p.DB != sqlite {
			return r.offline(ctx, dir, name)
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
	result, err := r.diff(ctx, dev, dir, name)
	return result, errors.Join(err, dev.Close())
}

func (r *Run) diff(ctx context.Context, dev *planner.Dev, dir directory.Dir, name string) (*Result, error) {
	from, sql, err := r.plan.desired(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := planner.Diff(ctx, dev, dir, planner.SQL(from, sql), name)
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

// offline writes the first migration without a server: the statements that make the schema.
func (r *Run) offline(ctx context.Context, dir directory.Dir, name string) (*Result, error) {
	_, sql, err := r.plan.desired(ctx)
	if err != nil {
		return nil, err
	}
	file, err := directory.New(dir, name)
	if err != nil {
		return nil, err
	}
	at := path.Join(r.plan.layout.migrations, file)
	r.wrote[at] = sql
	if err := r.writeFile(at, []byte(sql)); err != nil {
		return nil, err
	}
	return &Result{Migration: at}, directory.Hash(dir)
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
	}
	name := "create"
	for _, e := range Entities {
		if slices.Contains(added, e.Name) {
			name += "_" + e.Table
		}
	}
	return name
}
