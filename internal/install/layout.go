package install

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// layout is where things go in a project and for which database.
type layout struct {
	module string
	db     string
	// dir is the ent folder, migrations that of the SQL, both relative to the module and with slashes.
	dir, migrations string
	// tool is the migration tool that the files there are for; empty for Atlas's, as authgraph migrate reads them.
	tool string
	// others are the folders of migrations that the project goes on with elsewhere.
	others []string
	// generator is whether the project gets the generator: it has none.
	generator bool
	// generate is the file that runs the project's own generator, if that is not in the ent folder.
	generate string
}

// entFile is the path of a file in the ent folder.
func (l layout) entFile(name string) string { return path.Join(l.dir, name) }

// beside is the path of a folder that lies beside the ent folder.
func (l layout) beside(name string) string { return path.Join(path.Dir(l.dir), name) }

// importPath is where a package of this project is in the target, and the name it is
// imported under if that is not the last part of the path.
func (l layout) importPath(from string) (to, name string) {
	rest, ok := strings.CutPrefix(from, origin)
	if !ok || rest != "" && rest[0] != '/' {
		return from, ""
	}
	if rest == "/ent" || strings.HasPrefix(rest, "/ent/") {
		if rest == "/ent" && path.Base(l.dir) != "ent" {
			name = "ent"
		}
		return path.Join(l.module, l.dir, strings.TrimPrefix(rest, "/ent")), name
	}
	return path.Join(l.module, l.place(cmp.Or(strings.TrimPrefix(rest, "/"), "."))), ""
}

// place is where a package of this project that is not of the ent folder goes. What only Open and the generator need is
// internal there, although it is public here.
func (l layout) place(pkg string) string {
	switch pkg {
	case ".":
		pkg = "authgraph"
	case "stmtcache", "entfast", "entfast/fast":
		pkg = "internal/" + pkg
	}
	return l.beside(pkg)
}

// desiredFile is the SQL that the generator writes.
func (l layout) desiredFile() string {
	if l.db == sqlite {
		return "schema.sqlite.sql"
	}
	return "schema.sql"
}

// chooseLayout combines what was asked for with what was installed.
func (p *Project) chooseLayout(o Options) (layout, error) {
	l := layout{module: p.Module, db: o.DB, dir: o.Dir}
	if r := p.record; r != nil {
		if o.DB != "" && o.DB != r.layout.db {
			return l, &Error{
				Reason: OtherDatabase,
				found:  "this project is set up for " + r.layout.db,
				fix:    "leave out the database",
			}
		}
		if o.Dir != "" && path.Clean(o.Dir) != r.layout.dir {
			return l, &Error{
				Reason: OtherFolder,
				Path:   r.layout.dir,
				found:  "this project has its ent folder in " + r.layout.dir,
				fix:    "leave out the folder",
			}
		}
		l = r.layout
		l.module = p.Module
		if l.generator {
			return l, nil
		}
		f, err := p.find()
		l.generate = f.elsewhere(l)
		return l, err
	}
	if l.db == "" {
		return l, errors.New("the database is not known")
	}
	f, err := p.find()
	if err != nil {
		return l, err
	}
	if l.dir == "" {
		if l.dir, err = f.folder(); err != nil {
			return l, err
		}
	}
	l.dir = path.Clean(l.dir)
	l.generate = f.elsewhere(l)
	l.migrations = "migrate"
	if l.db == sqlite {
		l.migrations = "migrate/sqlite"
	}
	// The folder of Ent's own documentation.
	other := path.Join(l.dir, "migrate", "migrations")
	if !p.exists(path.Join(l.migrations, sumFile)) && p.exists(other) {
		l.migrations = other
	}
	if !p.exists(path.Join(l.migrations, sumFile)) {
		l.others = f.sums
	}
	if l.generate != "" {
		return l, nil
	}
	l.generator, err = p.ownGenerator(l)
	return l, err
}

// useTool has the migrations go to the tool that the project has, or is said to have.
func (l *layout) useTool(p *Project, value string) error {
	if p.record != nil {
		return nil // as it was decided then
	}
	f, err := p.find()
	if err != nil {
		return err
	}
	t, err := f.chooseTool(value, l.db)
	if err == nil && t.name != "" {
		l.tool, l.migrations, l.others = t.name, t.folder, nil
	}
	return err
}

// ownGenerator reports whether the project has no generator, or the one that would be installed.
func (p *Project) ownGenerator(l layout) (bool, error) {
	l.generator = true
	sources, err := l.config()
	if err != nil {
		return false, err
	}
	same := 0
	for _, s := range sources {
		if path.Dir(s.path) != l.dir {
			continue
		}
		stored, err := p.read(s.path)
		text, _ := plain(stored)
		switch {
		case err == nil && text == s.text:
			same++
		case err == nil:
			return false, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return same > 0 || !p.exists(l.entFile("ent.go")), nil
}
