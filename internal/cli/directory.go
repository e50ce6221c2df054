package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/migrate"
)

// migrationDir is the migration directory in use.
type migrationDir struct {
	directory.Dir
	// path is empty for the embedded one.
	path string
	// tool is the other tool that its files are for, as recorded.
	tool string
}

func (d migrationDir) String() string { return cmp.Or(d.path, embedded) }

// file is the path of a file of the directory.
func (d migrationDir) file(name string) string {
	return fromHere(filepath.Join(d.path, name))
}

// fromHere is a path relative to the current folder, as far as that is possible.
func fromHere(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil {
		return path
	}
	return relative
}

// directory opens the directory of --dir, or the default one for a dialect.
func (m *migrations) directory(name string) (migrationDir, error) {
	path, tool := localPath(m.dirPath), ""
	if path == "" {
		f, err := findFolders(name)
		if err != nil {
			return migrationDir{}, err
		}
		if path = f.migrations; !f.hasMigrations() {
			if f.above != nil && f.above.hasMigrations() {
				return migrationDir{}, fmt.Errorf("%w, or name them with --dir %s",
					f.elsewhere("migrations"), shellWord(fromHere(f.above.migrations)))
			}
			if err := notEmbedded(name); err != nil {
				return migrationDir{}, err
			}
			embedded, err := migrate.Embedded(name)
			if err != nil {
				return migrationDir{}, err
			}
			dir, err := directory.Of(embedded)
			return migrationDir{Dir: dir}, err
		}
		m.ownDir, tool = path, f.tool
	}
	dir, err := directory.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: correct --dir, or make a new directory with mkdir", err)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%w: correct --dir", err)
	}
	return migrationDir{Dir: dir, path: path, tool: tool}, err
}

// notEmbedded refuses the embedded migrations if the folder has its own, even for another dialect.
func notEmbedded(name string) error {
	other, kinds := dialect.MySQL, [2]string{"MySQL and MariaDB", "SQLite"}
	if name == dialect.MySQL {
		other, kinds = dialect.SQLite, [2]string{"SQLite", "MySQL or MariaDB"}
	}
	f, err := findFolders(other)
	if err != nil {
		return err
	}
	if f.above != nil && !f.hasMigrations() {
		f = *f.above
	}
	switch {
	case f.hasMigrations():
		return fmt.Errorf("the migrations of this project, in %s, are for %s, and the database is %s: "+
			"correct DATABASE_URL or --url, or name the directory with --dir",
			fromHere(f.migrations), kinds[0], kinds[1])
	case isFile("atlas.sum"):
		return errors.New("this folder is a directory of migrations itself: " +
			"name it with --dir ., or run this in the folder of go.mod")
	}
	return nil
}

// filled refuses a directory without migrations.
func (a *app) filled(d migrationDir) error {
	files, err := d.Files()
	if err != nil || len(files) > 0 {
		return err
	}
	if err := directory.Validate(d.Dir); err != nil {
		return err
	}
	return fmt.Errorf("%s holds no migrations: plan the first with %s NAME, or correct --dir", d,
		a.command("migrate diff"))
}

// writable refuses the embedded directory, and one whose atlas.sum is a symbolic link.
func (d migrationDir) writable(command string) error {
	if d.path != "" {
		sum := filepath.Join(d.path, "atlas.sum")
		if info, err := os.Lstat(sum); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s: put what it leads to in its place", install.Linked(sum))
		}
		return nil
	}
	return fmt.Errorf("the embedded migrations cannot be changed: run this where the folder migrate is, "+
		"or name a directory, as in: %s --dir path/to/migrations", command)
}

// localPath is the path that a file:// URL, as the Atlas CLI takes it, or a plain path means.
func localPath(s string) string {
	if u, err := url.Parse(s); err == nil && u.Scheme == "file" {
		return filepath.Join(u.Host, u.Path)
	}
	return s
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
