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
	dialect, name, url string
	open               func(ctx context.Context, url string) (*planner.Dev, error)
}

func (m *migrations) workshop() (*workshop, error) {
	if m.devURL != "" {
		m.urlFrom = "--dev-url"
		u, err := dburl.Parse(m.devURL)
		if err != nil {
			return nil, err
		}
		return &workshop{u.Dialect, u.String(), m.devURL, planner.OpenDev}, nil
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
		return &workshop{of, "scratch SQLite file", "sqlite://dev.db", planner.Scratch}, nil
	}
	if err != nil {
		return nil, err
	}
	name := "scratch SQLite file"
	if u.Dialect != dialect.SQLite {
		name = "scratch database on " + u.WithDatabase("").String()
	}
	return &workshop{u.Dialect, name, raw, planner.Scratch}, nil
}

// use opens the database for fn, and closes it.
func (w *workshop) use(ctx context.Context, fn func(*planner.Dev) error) (err error) {
	dev, err := w.open(ctx, w.url)
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
