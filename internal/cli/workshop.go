package cli

import (
	"context"
	"errors"
	"fmt"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/planner"
)

// workshop is the database in which a directory is tried out: the one of --dev-url, else a scratch database that lives
// as long as the command.
type workshop struct {
	dialect string
	name    string
	open    func(context.Context) (*planner.Dev, error)
}

func (m *migrations) workshop() (*workshop, error) {
	if m.devURL != "" {
		m.urlFrom = "--dev-url"
		u, err := dburl.Parse(m.devURL)
		if err != nil {
			return nil, err
		}
		open := func(ctx context.Context) (*planner.Dev, error) { return planner.OpenDev(ctx, m.devURL) }
		return &workshop{dialect: u.Dialect, name: u.String(), open: open}, nil
	}
	u, raw, err := m.database()
	if errors.Is(err, errNoDatabase) {
		of, err := engine()
		if err != nil {
			return nil, err
		}
		if of != dialect.SQLite {
			return nil, fmt.Errorf("%w; the work is done in a scratch database beside it, "+
				"or in an empty one named with --dev-url", errNoDatabase)
		}
		open := func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, "sqlite://dev.db") }
		return &workshop{dialect: of, name: "scratch SQLite file", open: open}, nil
	}
	if err != nil {
		return nil, err
	}
	name := "scratch SQLite file"
	if u.Dialect != dialect.SQLite {
		name = "scratch database on " + u.WithDatabase("").String()
	}
	open := func(ctx context.Context) (*planner.Dev, error) { return planner.Scratch(ctx, raw) }
	return &workshop{dialect: u.Dialect, name: name, open: open}, nil
}

// use opens the database for fn, and closes it.
func (w *workshop) use(ctx context.Context, fn func(*planner.Dev) error) (err error) {
	dev, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	return fn(dev)
}

// prepare finds the workshop and the directory and names both.
func (m *migrations) prepare() (*workshop, migrationDir, source, error) {
	w, err := m.workshop()
	if err != nil {
		return nil, migrationDir{}, source{}, err
	}
	dir, err := m.directory(w.dialect)
	if err != nil {
		return nil, migrationDir{}, source{}, err
	}
	return w, dir, source{Database: w.name, Directory: dir.String()}, nil
}
