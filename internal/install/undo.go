package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// saved is the JSON of a journal.
type saved struct {
	// Paths are the files and folders that the run may change.
	Paths []string
	// Files and Folders are what there was below them.
	Files   map[string]savedFile
	Folders []string
}

type savedFile struct {
	Mode fs.FileMode
	Data []byte
}

// keep saves the files and folders at the paths, with all that is below them.
func (j *Journal) keep(paths []string) (saved, error) {
	s := saved{Paths: paths, Files: map[string]savedFile{}}
	for _, name := range paths {
		for at := path.Dir(name); at != "."; at = path.Dir(at) {
			if info, err := j.root.Stat(at); err == nil && info.IsDir() && !slices.Contains(s.Folders, at) {
				s.Folders = append(s.Folders, at)
			}
		}
		err := walk(j.root, name, func(name string, entry fs.DirEntry) error {
			if entry.IsDir() {
				s.Folders = append(s.Folders, name)
				return nil
			}
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			data, err := j.root.ReadFile(name)
			s.Files[name] = savedFile{info.Mode().Perm(), data}
			return err
		})
		if err != nil {
			return s, err
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	// A text that was cut before may be in it.
	if err := j.file.Truncate(0); err != nil {
		return s, cannotWrite(err)
	}
	// First the witness: a journal without one is not undone.
	if err := j.bearWitness(text); err != nil {
		return s, fmt.Errorf("what undoes a run that is killed cannot be kept, nothing was changed: %w", err)
	}
	if _, err := j.file.WriteAt(text, 0); err != nil {
		return s, cannotWrite(err)
	}
	return s, j.file.Sync()
}

// takeBack undoes a run that failed, and says with its error what became of the project.
func (j *Journal) takeBack(err error, before saved, own func(name, text string) bool) error {
	after := "nothing was changed"
	if undo := j.undo(before, own); undo != nil {
		j.unfinished = true
		after = fmt.Sprintf("and not everything could be undone: %v; run authgraph again to finish undoing", undo)
	}
	if j.Undone != "" {
		after += "; what stood there instead is in " + j.Undone + ": take from it what is yours, then remove it"
	}
	return &RunError{err, after}
}

// undo makes everything as it was when it was saved. A text that is in its way and
// not the run's own is moved to the folder Undone.
func (j *Journal) undo(s saved, own func(name, text string) bool) error {
	j.Undone = ""
	for _, name := range slices.Concat(s.Paths, s.Folders, slices.Collect(maps.Keys(s.Files))) {
		if !inside(name) {
			return fmt.Errorf("%s names the path %q, which is outside of this module or git's own", journalFile, name)
		}
	}
	aside := path.Dir(journalFile) + "/undone-" + time.Now().UTC().Format("20060102-150405.000")
	moveAside := func(name string, text []byte) error {
		if own(name, string(text)) {
			return nil
		}
		j.Undone = aside
		to := path.Join(aside, name)
		if err := j.root.MkdirAll(path.Dir(to), 0o755); err != nil {
			return err
		}
		return j.root.Rename(name, to)
	}
	var folders []string
	for _, name := range s.Paths {
		for at := path.Dir(name); at != "."; at = path.Dir(at) {
			folders = append(folders, at)
		}
		err := walk(j.root, name, func(name string, entry fs.DirEntry) error {
			if entry.IsDir() {
				folders = append(folders, name)
				return nil
			}
			if _, ok := s.Files[name]; ok || !entry.Type().IsRegular() {
				return nil
			}
			text, err := j.root.ReadFile(name)
			if err != nil {
				return err
			}
			if err := moveAside(name, text); err != nil {
				return err
			}
			return j.root.RemoveAll(name)
		})
		if err != nil {
			return err
		}
	}
	for name, file := range s.Files {
		now, err := j.root.ReadFile(name)
		if err == nil && bytes.Equal(now, file.Data) {
			continue
		}
		if err == nil {
			if err := moveAside(name, now); err != nil {
				return err
			}
		}
		if err := j.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := j.root.WriteFile(name, file.Data, file.Mode); err != nil {
			return err
		}
	}
	// The deepest first.
	slices.SortFunc(folders, func(a, b string) int { return len(b) - len(a) })
	for _, name := range slices.Compact(folders) {
		if slices.Contains(s.Folders, name) || strings.HasPrefix(journalFile, name+"/") {
			continue
		}
		if err := j.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// walk calls fn for a path and all below it, relative to root; for none if
// there is nothing. Like all of a walk, a symbolic link at its begin is not followed.
func walk(root *os.Root, name string, fn func(name string, entry fs.DirEntry) error) error {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fn(name, fs.FileInfoToDirEntry(info))
	}
	return fs.WalkDir(root.FS(), name, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(name, entry)
	})
}
