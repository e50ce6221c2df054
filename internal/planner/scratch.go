package planner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"entgo.io/ent/dialect"
	driver "github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
)

// Scratch makes an empty database beside the one at url and opens it; [Dev.Close] drops it. On a server it is a
// database authgraph_dev_…: the user needs the right to create and drop databases of that name, and url may leave the
// database out. For SQLite it is a file in the folder for temporary files.
func Scratch(ctx context.Context, url string) (*Dev, error) {
	u, err := dburl.Parse(url)
	if err != nil {
		return nil, err
	}
	if u.Dialect == dialect.SQLite {
		return scratchFile(ctx)
	}
	server := u.WithDatabase("")
	db, err := server.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := dbserver.Prepare(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", server, err), db.Close())
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	// The name says when it was made: one that was left over shows its age.
	name := fmt.Sprintf("authgraph_dev_%08x_%s", time.Now().Unix(), hex.EncodeToString(id[:]))
	drop := func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS `"+name+"`")
		if err != nil {
			err = fmt.Errorf("drop the scratch database %s: %w", name, err)
		}
		return errors.Join(err, db.Close())
	}
	// The character set is that of the tables, so that a default of the server does not show up in a plan.
	create := "CREATE DATABASE `" + name + "` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	if _, err := db.ExecContext(ctx, create); err != nil {
		var refused *driver.MySQLError
		failed := &ScratchError{URL: server.String(), Err: err}
		if errors.As(err, &refused) {
			return nil, errors.Join(failed, db.Close())
		}
		return nil, errors.Join(failed, dropIn(ctx, drop)) // it may have been made all the same
	}
	d, err := openDev(ctx, u.WithDatabase(name))
	if err != nil {
		return nil, errors.Join(err, dropIn(ctx, drop))
	}
	d.drop = drop
	return d, nil
}

func scratchFile(ctx context.Context) (*Dev, error) {
	folder, err := os.MkdirTemp("", "authgraph_dev_")
	if err != nil {
		return nil, err
	}
	drop := func(context.Context) error { return os.RemoveAll(folder) }
	// The parameters of the other URL are left out: they may say read-only.
	u, err := dburl.Parse("sqlite://scratch")
	if err != nil {
		return nil, errors.Join(err, drop(ctx))
	}
	d, err := openDev(ctx, u.WithDatabase(filepath.Join(folder, "dev.db")))
	if err != nil {
		return nil, errors.Join(err, drop(ctx))
	}
	d.drop = drop
	return d, nil
}

// dropIn gives clean-up its own time: it has to work after a Ctrl-C.
func dropIn(ctx context.Context, drop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return drop(ctx)
}

// ScratchError is a server on which no scratch database could be made.
type ScratchError struct {
	// URL is the address of the server without its password.
	URL string
	Err error
}

// Found names the server and says what it answered.
func (e *ScratchError) Found() string {
	return fmt.Sprintf("make a scratch database on %s: %v", e.URL, e.Err)
}

// Fix says what to do.
func (e *ScratchError) Fix() string { return "name an empty database to work in" }

func (e *ScratchError) Error() string { return e.Found() + ": " + e.Fix() }

func (e *ScratchError) Unwrap() error { return e.Err }
