package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/internal/planner"
)

// folders are where a project has its Ent client and its migrations.
type folders struct {
	ent, migrations string
	// installed is whether they are those that authgraph installed into.
	installed bool
	// tool is the other tool that the migrations are for.
	tool string
	// root and above are of the module that the current folder is inside of. What it has goes before what is compiled
	// into this program.
	root  string
	above *folders
}

// findFolders finds the folders of the project in the current folder for a dialect.
func findFolders(name string) (folders, error) {
	f, err := foldersOf(".", name)
	var inside *install.FolderError
	switch {
	case errors.As(err, &inside):
		above, err := foldersOf(inside.Root, name)
		f.root, f.above = inside.Root, &above
		return f, err
	case errors.Is(err, install.ErrNoModule):
		return f, nil
	}
	return f, err
}

func foldersOf(root, name string) (folders, error) {
	p, err := install.Open(root)
	dir, migrations, tool, installed := "ent", "migrate", "", false
	switch {
	case p.DB() != "" && install.Dialect(p.DB()) == name:
		dir, migrations, tool, installed = p.Dir(), p.Migrations(), p.Tool(), true
	case name == dialect.SQLite:
		migrations = "migrate/sqlite"
	}
	f := folders{
		tool:       tool,
		ent:        filepath.Join(root, filepath.FromSlash(dir)),
		migrations: filepath.Join(root, filepath.FromSlash(migrations)),
		installed:  installed,
	}
	if err := f.held(root); err != nil {
		return folders{}, err
	}
	return f, err
}

// held refuses symbolic links, which may have come with the module, that lead from the folders out of it.
func (f folders) held(root string) error {
	names := []string{f.ent, filepath.Join(f.ent, "schema"), f.migrations}
	for _, pattern := range []string{filepath.Join(f.ent, "schema*.sql"), filepath.Join(f.migrations, "*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, name := range names {
		inside, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(name); err != nil {
			continue
		}
		if _, err := files.Stat(inside); err != nil {
			return fmt.Errorf("%s leads out of the module by a symbolic link, and is not read: "+
				"put what it leads to in its place, or name that with --dir or --to", fromHere(name))
		}
	}
	return nil
}

func (f folders) hasMigrations() bool { return f.installed || holdsMigrations(f.migrations) }

// schema is the one that the folder of the Ent client holds, and what it is called in messages; nil if it holds none.
func (f folders) schema(name string) (to planner.State, source string) {
	file := "schema.sql"
	if name == dialect.SQLite {
		file = "schema.sqlite.sql"
	}
	if path := filepath.Join(f.ent, file); isFile(path) {
		return planner.SQLFile(path), path
	}
	if folder := filepath.Join(f.ent, "schema"); entgraph.HoldsGo(folder) {
		return entSchema(folder), entScheme + filepath.ToSlash(folder)
	}
	return nil, ""
}

// elsewhere refuses to use what is compiled in, as the module above has its own.
func (f folders) elsewhere(what string) error {
	return fmt.Errorf("this is a folder of the module in %s, which has %s of its own: run it there", f.root, what)
}

// engine is the dialect that the project in the current folder has migrations for; empty if there is none, or several.
func engine() (string, error) {
	var all, installed []string
	for _, name := range []string{dialect.MySQL, dialect.SQLite} {
		f, err := findFolders(name)
		if err != nil {
			return "", err
		}
		if f.above != nil && !f.hasMigrations() {
			f = *f.above
		}
		if f.hasMigrations() {
			all = append(all, name)
		}
		if f.installed {
			installed = append(installed, name)
		}
	}
	for _, found := range [][]string{installed, all} {
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return "", nil
}

// holdsMigrations reports whether a folder is meant to be a directory. Its atlas.sum may be lost, it may be locked or
// hold only a .gitkeep, and its files may lie one folder deeper, as other tools have them. The folder sqlite does not
// count: it is another directory.
func holdsMigrations(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	empty := true
	for _, e := range entries {
		files := []fs.DirEntry{e}
		if e.IsDir() && e.Name() != "sqlite" && e.Name() != "testdata" {
			files, _ = os.ReadDir(filepath.Join(path, e.Name())) // a locked folder counts as empty
		}
		if slices.ContainsFunc(files, isMigration) {
			return true
		}
		empty = empty && strings.HasPrefix(e.Name(), ".")
	}
	return empty
}

func isMigration(e fs.DirEntry) bool {
	return e.Name() == "atlas.sum" || strings.EqualFold(filepath.Ext(e.Name()), ".sql")
}
