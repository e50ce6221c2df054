// Package install puts the entities of the auth graph, and package auth, into the
// module of somebody else, as source.
//
// What is installed are this project's own files, embedded, with their import
// paths rewritten and the edges to entities that are not there taken out.
// [Project.Plan] works out what to do and changes nothing; [Plan.Apply] does it,
// or leaves the project as it was. What was installed is recorded with its
// text, so that later versions can be merged with what the user made of it.
package install

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// Project is a module of a user, in the folder of its go.mod.
type Project struct {
	Root   string
	Module string

	// files are those of the module: what a path or a symbolic link that came with
	// it says leads nowhere else.
	files  *os.Root
	record *record
}

// Open finds the module of a folder, which must be the one that holds go.mod,
// else the error is ErrNoModule.
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

// Installed are the names of the entities that were installed.
func (p *Project) Installed() []string {
	if p == nil || p.record == nil {
		return nil
	}
	return p.record.entities
}

// DB is the database the project was set up for, Dir its ent folder; both are empty
// where none was.
func (p *Project) DB() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.db
}

// Dir is the ent folder the project was set up with; empty where none was.
func (p *Project) Dir() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.dir
}

// Version is that of the authgraph that installed last; empty where none did.
func (p *Project) Version() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.version
}

// Migrations is the folder of the migrations; empty where the project was not set up.
func (p *Project) Migrations() string {
	if p == nil || p.record == nil {
		return ""
	}
	return p.record.layout.migrations
}

// file is the path of a file for what works with paths only.
func (p *Project) file(name string) string { return filepath.Join(p.Root, filepath.FromSlash(name)) }

// read reads a file of the module. To open a pipe would wait for its writer.
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

// unlinked is an error of reading, which names the symbolic link that leads nowhere
// or out of the module.
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
