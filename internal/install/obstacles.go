package install

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
)

// obstacles refuses a project in which something stands where the sources belong.
func (p *Project) obstacles(l layout, sources []sourceFile, moved map[string][]string, auth bool) error {
	if err := p.clash(l, sources, moved, auth); err != nil {
		return err
	}
	if err := p.mixed(l, sources); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", l.dir, path.Join(l.migrations, sumFile), RecordFile} {
		if err := p.link(name); err != nil {
			return err
		}
	}
	if err := p.linksIn(l); err != nil {
		return err
	}
	for _, s := range sources {
		if err := p.nested(s.path); err != nil {
			return err
		}
	}
	return nil
}

// link refuses a path that is a symbolic link or below one: undo cannot restore what was written through it.
func (p *Project) link(name string) error {
	if at := symlink(p.files, name); at != "" {
		return &Error{
			Reason: Symlink,
			Path:   at,
			found:  Linked(at),
			fix:    "put what it leads to in its place, or choose another ent folder",
		}
	}
	return nil
}

// Linked is the text of an error about a symbolic link.
func Linked(path string) string {
	return path + " is a symbolic link, through which authgraph does not write"
}

func irregular(path, fix string) error {
	return &Error{Path: path, found: path + " is no regular file", fix: fix}
}

// symlink is the part of a path, relative to root, that is a symbolic link; empty if there is none.
func symlink(root *os.Root, name string) string {
	for ; name != "."; name = path.Dir(name) {
		info, err := root.Lstat(name)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return name
		}
	}
	return ""
}

// linksIn refuses symbolic links in the ent folder, where the generator writes. It skips the folders of entities and
// templates, which the generator only reads.
func (p *Project) linksIn(l layout) error {
	return walk(p.files, l.dir, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() && (name == l.entFile("schema") || name == l.entFile("template")) {
			return fs.SkipDir
		}
		return p.link(name)
	})
}

// nested refuses a path in a module of its own.
func (p *Project) nested(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if p.exists(path.Join(dir, "go.mod")) {
			return &Error{
				Reason: NestedModule,
				Path:   dir,
				found:  dir + " is a module of its own",
				fix:    "install there, or choose another ent folder",
			}
		}
	}
	return nil
}

// clash refuses what the sources declare and a file of the user in the same folder, too. What was moved is declared
// once.
func (p *Project) clash(l layout, sources []sourceFile, moved map[string][]string, auth bool) error {
	ours := map[string]map[string]string{} // by folder and name
	for _, s := range sources {
		folder := path.Dir(s.path)
		if _, ok := moved[s.path]; ok || folder == l.dir || !strings.HasSuffix(s.path, ".go") {
			continue
		}
		names, err := declared([]byte(s.text))
		if err != nil {
			return err
		}
		if ours[folder] == nil {
			ours[folder] = map[string]string{}
		}
		for _, n := range names {
			ours[folder][n] = s.path
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(ours)) {
		if err := p.clashIn(l, folder, ours[folder], sources, auth); err != nil {
			return err
		}
	}
	return nil
}

func (p *Project) clashIn(l layout, folder string, ours map[string]string, sources []sourceFile, auth bool) error {
	entries, err := p.list(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			slices.ContainsFunc(sources, func(s sourceFile) bool { return s.path == name }) {
			continue
		}
		text, err := p.read(name)
		if err != nil {
			return err
		}
		names, err := declared(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, n := range names {
			at := ours[n]
			if at == "" {
				continue
			}
			fix := "rename it"
			if folder == l.entFile("schema") {
				fix = fixEntity(n, at, auth)
			}
			reason := Reason("")
			if n == "User" {
				reason, fix = TakenUser, "have it be the users, or rename it"
			}
			return &Error{
				Reason: reason, Path: name, fix: fix,
				found: fmt.Sprintf("%s declares %s, which %s would declare again", name, n, at),
			}
		}
	}
	return nil
}

// fixEntity is what to do about a name in the folder of the schema that our file at declares, too. With package auth no
// entity can be left out, and a project's own, once renamed, is in the way again if it keeps the table.
func fixEntity(name, at string, auth bool) string {
	n := slices.IndexFunc(Entities, func(e Entity) bool { return e.File == strings.TrimPrefix(path.Base(at), "auth_") })
	switch {
	case n < 0 || auth && name != Entities[n].Type:
		return "rename it"
	case auth:
		return fmt.Sprintf("rename the entity, and its table if that is %s: package auth needs both names",
			Entities[n].Table)
	default:
		return "rename it, or leave out that entity"
	}
}

// declares is the Go file of a folder that declares a name. It is empty where none does, or none can be read.
func (p *Project) declares(folder, name string) string {
	entries, err := p.list(folder)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		file := path.Join(folder, e.Name())
		if e.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		if text, err := p.read(file); err == nil {
			if names, err := declared(text); err == nil && slices.Contains(names, name) {
				return file
			}
		}
	}
	return ""
}

// mixed refuses a package if its folder holds Go files of the user. Once it is installed, the user may add files.
func (p *Project) mixed(l layout, sources []sourceFile) error {
	packages := map[string][]string{}
	for _, s := range sources {
		if dir := path.Dir(s.path); strings.HasSuffix(s.path, ".go") && dir != l.dir &&
			!strings.HasPrefix(dir, l.dir+"/") {
			packages[dir] = append(packages[dir], s.path)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if p.record != nil && slices.ContainsFunc(packages[dir],
			func(name string) bool { _, ok := p.record.files[name]; return ok }) {
			continue
		}
		entries, err := p.list(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if !e.IsDir() && strings.HasSuffix(name, ".go") && !slices.Contains(packages[dir], name) {
				return &Error{
					Reason: MixedPackage,
					Path:   name,
					found: fmt.Sprintf("%s is yours, and package %s of authgraph would share the folder %s with it",
						name, path.Base(dir), dir),
					fix: "rename the folder, or leave out package auth",
				}
			}
		}
	}
	return nil
}

// inside reports whether a path, relative to a module and with slashes, may be read and written: it lies inside of the
// module on every system, and not in .git, where a file can be a program that the next git command runs.
func inside(name string) bool {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, `\:`) {
		return false
	}
	for part := range strings.SplitSeq(strings.ToLower(name), "/") {
		// Windows drops dots and spaces at the end, and has a short name for .git. macOS drops invisible characters.
		if strings.TrimRight(part, ". ") == ".git" || strings.HasPrefix(part, "git~") ||
			strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return false
		}
	}
	return true
}
