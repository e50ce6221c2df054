package install

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"entgo.io/ent/dialect"

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
func (r *run) migration(ctx context.Context, first bool) (*Result, error) {
	r.progress("plan the migration")
	if err := r.project.files.MkdirAll(r.layout.migrations, 0o755); err != nil {
		return nil, err
	}
	dir, err := directory.Open(r.project.file(r.layout.migrations))
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
		open = func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, "sqlite://dev.db") }
	}
	dev, err := open(ctx)
	if err != nil {
		return nil, err
	}
	result, err := r.diff(ctx, dev, dir)
	return result, errors.Join(err, dev.Close())
}

func (r *run) diff(ctx context.Context, dev *planner.Dev, dir directory.Dir) (*Result, error) {
	name, sql, err := r.desired(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := planner.Diff(ctx, dev, dir, planner.SQL(name, sql), r.migrationName())
	if errors.Is(err, planner.ErrNoChanges) {
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

// offline writes the first migration without a server: the statements that make the schema.
func (r *run) offline(ctx context.Context, dir directory.Dir) (*Result, error) {
	_, sql, err := r.desired(ctx)
	if err != nil {
		return nil, err
	}
	file, err := directory.New(dir, r.migrationName())
	if err != nil {
		return nil, err
	}
	name := path.Join(r.layout.migrations, file)
	r.wrote[name] = sql
	if err := r.writeFile(name, []byte(sql)); err != nil {
		return nil, err
	}
	if err := directory.Hash(dir); err != nil {
		return nil, err
	}
	return &Result{Migration: name}, nil
}

// desired is the SQL of the schema, and where it comes from: what the generator wrote, or the Go files.
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
