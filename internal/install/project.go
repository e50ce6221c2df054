// Package install puts the entities of the auth graph, and package auth, into the module of a user, as source. It asks
// and prints nothing and knows no flags: package cli does.
//
// The files are this project's own. They are embedded, and get the module's import paths; edges to entities that the
// module does not have are left out. [Open] finds the module, [Project.Plan] works out what to do and changes nothing,
// [Run.Apply] does it or leaves the module as it was. The text of what was installed is recorded, so that a later
// version can be merged with what the user made of it.
package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"

	"github.com/authgraph/authgraph/internal/entgraph"
)

// Project is a module of a user, in the folder of its go.mod.
type Project struct {
	Root   string
	Module string

	// files opens files of the module only: no path or symbolic link leads out of it.
	files  *os.Root
	record *record
	// entities are those of the schema, once they were read.
	entities *entgraph.Schema
}

// Open finds the module of a folder, which must be the one that holds go.mod, else the error is ErrNoModule.
func Open(root string) (*Project, error) {
	files, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	p := &Project{Root: root, files: files}
	text, err := p.read("go.mod")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noModule(root)
	}
	if err != nil {
		return nil, err
	}
	if p.Module = modfile.ModulePath(text); p.Module == "" {
		return nil, &Error{
			Path:  "go.mod",
			found: "go.mod names no module",
			fix:   "correct its first line, as in: module example.com/app",
		}
	}
	if p.record, err = readRecord(p); err != nil {
		return nil, err
	}
	return p, nil
}

// Imagine is a module that is not there yet, in a folder without one.
func Imagine(root, module string) (*Project, error) {
	files, err := os.OpenRoot(root)
	return &Project{Root: root, Module: module, files: files}, err
}

func noModule(root string) error {
	at, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	for up := filepath.Dir(at); up != at; at, up = up, filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return &FolderError{up}
		}
	}
	return ErrNoModule
}

// lastRun is what the last run recorded; empty if nothing was installed, or there is no project.
func (p *Project) lastRun() record {
	if p == nil || p.record == nil {
		return record{}
	}
	return *p.record
}

// Installed are the names of the entities that were installed.
func (p *Project) Installed() []string { return p.lastRun().entities }

// DB is the database that the project was set up for; empty if it was not.
func (p *Project) DB() string { return p.lastRun().layout.db }

// Dir is the ent folder that the project was set up with; empty if it was not.
func (p *Project) Dir() string { return p.lastRun().layout.dir }

// Migrations is the folder of the migrations; empty if the project was not set up.
func (p *Project) Migrations() string { return p.lastRun().layout.migrations }

// Tool is the tool that the migrations are for, of [Tools]; empty for this one.
func (p *Project) Tool() string { return p.lastRun().layout.tool }

// Version is that of the authgraph that installed last; empty if none did.
func (p *Project) Version() string { return p.lastRun().version }

// file is the path of a file, for code that cannot use files.
func (p *Project) file(name string) string { return filepath.Join(p.Root, filepath.FromSlash(name)) }

// read reads a file of the module. It refuses a pipe, since opening it would wait for a writer.
func (p *Project) read(name string) ([]byte, error) {
	if info, err := p.files.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, irregular(name, "restore it from git, or delete it")
	}
	text, err := p.files.ReadFile(name)
	return text, p.unlinked(name, err)
}

// list lists a folder of the module.
func (p *Project) list(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(p.files.FS(), name)
	return entries, p.unlinked(name, err)
}

// unlinked names in an error of reading the symbolic link that leads nowhere or out of the module.
func (p *Project) unlinked(name string, err error) error {
	if err == nil {
		return nil
	}
	return cmp.Or(p.link(name), err)
}

func (p *Project) exists(name string) bool {
	_, err := p.files.Lstat(name)
	return err == nil
}

// vendored refuses a module whose requirements could not be added to.
func (p *Project) vendored() error {
	if !p.exists("vendor/modules.txt") {
		return nil
	}
	return &Error{
		Path:  "vendor",
		found: "the module keeps its requirements in vendor/, which authgraph does not renew",
		fix:   "remove vendor/, run this again, then go mod vendor",
	}
}

// drivers are those of SQLite that a project may have in the place of this project's, which is modernc.org/sqlite: the
// module, the name that it registers, and what a DSN needs.
var drivers = []driver{
	{"github.com/mattn/go-sqlite3", "sqlite3", "_fk=1&_busy_timeout=10000"},
	{"github.com/glebarez/go-sqlite", "sqlite", "_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)"},
}

type driver struct{ module, name, options string }

// driver is a driver of SQLite that go.mod names, and that is not this project's; nil if there is none. A second one
// would make the program larger, or end it where it begins, because both register one name.
func (p *Project) driver() (*driver, error) {
	text, err := p.read("go.mod")
	if errors.Is(err, fs.ErrNotExist) { // the module is not there yet
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return nil, fmt.Errorf("read go.mod: %w", err)
	}
	direct := func(path string) bool {
		return slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool {
			return r.Mod.Path == path && !r.Indirect
		})
	}
	i := slices.IndexFunc(drivers, func(d driver) bool { return direct(d.module) })
	if i < 0 || direct("modernc.org/sqlite") {
		return nil, nil
	}
	return &drivers[i], nil
}
