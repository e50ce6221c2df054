// Package planner compares schemas and plans migrations: [Diff] plans the next file of a directory, [Compare] says what
// separates two states, and [Deviations] what separates a database from its migrations. It learns what a directory or a
// schema file leads to by replaying it on an empty database, a [Dev].
//
// It applies nothing and changes no database in use. All that it writes is the file of a [Plan].
package planner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
)

// Dev is an empty database in which directories and schemas are replayed to learn what they lead to. It is left empty.
// A Dev must not be used by two goroutines at once.
type Dev struct {
	db   *atlasdb.DB
	drop func(context.Context) error
	// live is set if the database is in use and must stay as it is.
	live bool
}

// OpenDev opens the database at url, which must be empty.
func OpenDev(ctx context.Context, url string) (*Dev, error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	d, err := openDev(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := d.isEmpty(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dev database %s: %w", u, err), d.Close())
	}
	return d, nil
}

func openDev(ctx context.Context, u *dburl.URL) (*Dev, error) {
	db, err := atlasdb.Open(ctx, u)
	if err != nil {
		return nil, err
	}
	return &Dev{db: db}, nil
}

// Close closes the database and drops it if [Scratch] made it, even if the context it was opened with is cancelled.
func (d *Dev) Close() error {
	err := d.db.Close()
	if d.drop != nil {
		err = errors.Join(err, dropIn(context.Background(), d.drop))
	}
	return err
}

// DB is the database itself, for use within [Dev.Replay].
func (d *Dev) DB() *atlasdb.DB { return d.db }

// Dialect is dialect.MySQL (for MariaDB too) or dialect.SQLite.
func (d *Dev) Dialect() string { return d.db.URL.Dialect }

// Replay runs fn on the empty database, inspects what it made and empties the database again.
func (d *Dev) Replay(ctx context.Context, fn func() error) (_ *schema.Schema, err error) {
	if d.live {
		return nil, fmt.Errorf("nothing is replayed on %s, which is in use: open a dev database (OpenDev, Scratch)",
			d.db.URL)
	}
	if err := d.isEmpty(ctx); err != nil {
		return nil, err
	}
	if err := d.db.Prepare(ctx); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, dropIn(ctx, d.empty))
	}()
	if err := fn(); err != nil {
		return nil, err
	}
	return d.inspectWhole(ctx)
}

// empty drops everything on a new connection. The old one may be cut off, and what a file set on it must not reach the
// next replay.
func (d *Dev) empty(ctx context.Context) error {
	if err := d.db.Reconnect(ctx); err != nil {
		return err
	}
	all, err := d.objects(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	drops, checks := "SET foreign_key_checks = 0", "SET "+atlasdb.ChecksOn
	if d.Dialect() == dialect.SQLite {
		drops, checks = "PRAGMA foreign_keys = off", "PRAGMA foreign_keys = on"
	}
	stmts := []string{drops}
	for _, o := range all {
		kind := strings.TrimPrefix(o.Kind, "virtual ")
		if kind != "trigger" { // it goes with its table
			stmts = append(stmts, "DROP "+strings.ToUpper(kind)+" IF EXISTS "+dbserver.Quote(o.Name))
		}
	}
	for _, stmt := range append(stmts, checks) {
		if _, err := d.db.Conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("empty the dev database: %w", err)
		}
	}
	return nil
}

// Inspect is the schema that the database holds now.
func (d *Dev) Inspect(ctx context.Context) (s *schema.Schema, err error) {
	err = d.db.Plainly(ctx, func() error {
		s, err = d.db.Inspect(ctx)
		if err != nil || d.Dialect() == dialect.SQLite {
			return err
		}
		return d.markHidden(ctx, s)
	})
	return s, err
}

// Exec runs the statements of a file one by one; see [Dev.Run].
func (d *Dev) Exec(ctx context.Context, f atlas.File) error {
	file, err := directory.Split(d.db.Driver, f)
	if err != nil {
		return err
	}
	for i, stmt := range file.Stmts {
		if err := d.Run(ctx, stmt.Text, file.Code[i]); err != nil {
			return Refused(ctx, file, i, err)
		}
	}
	return nil
}

// replayDir is the schema that the migrations of a directory lead to.
func (d *Dev) replayDir(ctx context.Context, dir directory.Dir) (*schema.Schema, error) {
	files, err := dir.Files()
	if err != nil {
		return nil, directory.Wrap(dir, err)
	}
	s, err := d.replayFiles(ctx, files)
	if err != nil {
		return nil, ReplayOf(dir, err)
	}
	return s, nil
}

func (d *Dev) replayFiles(ctx context.Context, files []atlas.File) (*schema.Schema, error) {
	return d.Replay(ctx, func() error {
		for _, f := range files {
			if err := d.Exec(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// isEmpty is an error if the database holds anything: all of it would be dropped at the end.
func (d *Dev) isEmpty(ctx context.Context) error {
	all, err := d.objects(ctx)
	if len(all) > 0 {
		return fmt.Errorf("it must be empty, but holds %s", all[0])
	}
	return err
}

// OpenLive opens a database that is in use, to plan against. Nothing is executed there, so [Database] is the only state
// that can be read with it.
func OpenLive(ctx context.Context, url string) (*Dev, error) {
	u, err := atlasdb.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		// Connecting would make the file.
		if _, err := os.Stat(u.Database()); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no database %s: correct the path", u)
		}
	}
	d, err := openDev(ctx, u.ReadOnly())
	if err != nil {
		return nil, err
	}
	d.live = true
	return d, nil
}

// Flavour is the kind of the database; see [atlasdb.DB.Flavour].
func (d *Dev) Flavour() string { return d.db.Flavour() }
