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

func checkFile(_ context.Context, d *database) ([]Finding, error) {
	if runtime.GOOS == "windows" {
		return ok("not looked at: Windows keeps rights in access control lists"), nil
	}
	var off []Finding
	// Of a file in WAL mode the newest rows are in the one beside it.
	for _, name := range []string{d.url.Database(), d.url.Database() + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return off, err
		}
		mode := info.Mode().Perm()
		switch {
		case mode&0o002 != 0:
			off = append(off, found(Error, "chmod o-rwx "+name, "everybody on this machine may write %s (mode %04o)", name, mode))
		case mode&0o004 != 0:
			off = append(off, found(Warning, "chmod o-rwx "+name, "everybody on this machine may read %s (mode %04o)", name, mode))
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
