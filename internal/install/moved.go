package install

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// findMoved finds, for each Go file that was installed and is not there any more, the files of the user that declare
// now what it declared. One in its own folder need declare only a part of it: a package has a name once.
func (p *Project) findMoved(sources []sourceFile) (map[string][]string, error) {
	gone := map[string][]string{}  // what was declared, by path
	generated := map[string]bool{} // the names of those that say that they are generated
	for name, base := range p.lastRun().files {
		if !strings.HasSuffix(name, ".go") || p.exists(name) {
			continue
		}
		names, err := declared([]byte(base))
		if err == nil {
			gone[name] = names
			generated[path.Base(name)] = generatedText.MatchString(base)
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	moved := map[string][]string{}
	err := fs.WalkDir(p.files.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.ContainsAny(path.Base(name)[:1], "._") ||
			slices.Contains([]string{"vendor", "testdata", "node_modules"}, path.Base(name)) ||
			p.exists(path.Join(name, "go.mod"))):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := p.read(name)
		if err != nil || generatedText.Match(text) && !generated[path.Base(name)] {
			return err
		}
		has, err := declared(text)
		if err != nil {
			return nil // a file that does not parse is the user's affair
		}
		ours := slices.ContainsFunc(sources, func(s sourceFile) bool { return s.path == name })
		for from, names := range gone {
			common := 0
			for _, n := range names {
				if slices.Contains(has, n) {
					common++
				}
			}
			elsewhere := path.Dir(from) != path.Dir(name)
			most := 2*common > len(names) && (common > 1 || path.Base(from) == path.Base(name))
			if common > 0 && (!elsewhere || most && !ours) {
				moved[from] = append(moved[from], name)
			}
		}
		return nil
	})
	return moved, err
}

// place names where a file was moved, as in "a.go was moved to b.go here", and what brings it back. Of files that were
// moved with their folder it names the folder.
func (p *Plan) place(from string, to []string) (found, fix string) {
	if len(to) > 1 {
		return fmt.Sprintf("what %s declared is in %s here", from, strings.Join(to, " and ")),
			"put it together in " + from + " again"
	}
	at := to[0]
	for path.Base(from) == path.Base(at) {
		up, there := path.Dir(from), path.Dir(at)
		whole := up != "." && there != "." && up != there
		for other, others := range p.moved {
			rest, in := strings.CutPrefix(other, up+"/")
			whole = whole && (!in || slices.Equal(others, []string{path.Join(there, rest)}))
		}
		if !whole {
			break
		}
		from, at = up, there
	}
	found = fmt.Sprintf("%s was moved to %s here", from, at)
	fix = fmt.Sprintf("move it back (git mv %s %s)", at, from)
	if _, ours := p.project.record.files[at]; ours {
		fix = "put it into a file of its own again"
	}
	return found, fix
}

// checkMoved refuses a file that was moved if this version has another text for it, or if the ent folder was moved with
// it. Otherwise it stays where it is, with a note.
func (p *Plan) checkMoved(s sourceFile, to []string) error {
	found, fix := p.place(s.path, to)
	if p.project.record.files[s.path] != s.text || !p.project.exists(p.layout.dir) {
		return &Error{Reason: MovedFile, Path: s.path, found: found + ", and " + s.path + " is to change", fix: fix}
	}
	note := &Error{
		Reason: MovedFile, Path: s.path, found: found, fix: "it stays there until a newer version changes it",
	}
	if !slices.ContainsFunc(p.Notes, func(n *Error) bool { return n.found == note.found }) {
		p.Notes = append(p.Notes, note)
	}
	return nil
}
