package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// file is the database's or one beside it.
type file struct {
	name string
	mode fs.FileMode
}

// lookBeside finds the file of the database and those beside it: in WAL mode the newest rows are there. It looks before
// the database is opened, and stops at an empty -wal: that one, and the -shm with it, is what a reader leaves.
func (d *database) lookBeside() error {
	for _, end := range []string{"", "-wal", "-shm"} {
		name := d.url.Database() + end
		info, err := os.Stat(name)
		if end != "" && (errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0) {
			break
		}
		if err != nil {
			return err
		}
		d.files = append(d.files, file{name, info.Mode()})
	}
	return nil
}

func checkFile(_ context.Context, d *database) ([]Finding, error) {
	if runtime.GOOS == "windows" {
		return ok("not looked at: Windows keeps rights in access control lists"), nil
	}
	var off []Finding
	for _, f := range d.files {
		switch mode := f.mode.Perm(); {
		case mode&0o002 != 0:
			off = append(off,
				found(Error, "chmod o-rwx "+f.name, "everybody on this machine may write %s (mode %04o)", f.name, mode))
		case mode&0o004 != 0:
			off = append(off,
				found(Warning, "chmod o-rwx "+f.name, "everybody on this machine may read %s (mode %04o)", f.name,
					mode))
		}
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("readable for its owner and group only"), nil
}

func checkJournal(ctx context.Context, d *database) ([]Finding, error) {
	var mode string
	if err := d.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return []Finding{found(Info, "a client of this project switches it when it opens the file",
			"the journal mode is %s: readers and a writer block each other", mode)}, nil
	}
	return ok("wal"), nil
}

func checkIntegrity(ctx context.Context, d *database) ([]Finding, error) {
	const most = 5
	lines, err := list(ctx, d.db, fmt.Sprintf("PRAGMA quick_check(%d)", most))
	if err != nil {
		return nil, err
	}
	if len(lines) == 1 && lines[0] == "ok" {
		return ok("PRAGMA quick_check found nothing"), nil
	}
	return []Finding{found(Error, "stop the services and restore a copy; sqlite3 FILE .recover saves what can be read",
		"the file is damaged: %s", strings.Join(strings.Fields(strings.Join(lines, "; ")), " "))}, nil
}
