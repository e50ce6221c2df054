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
	// Files and Folders are those that stood there before.
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
	// It may hold a text that an earlier run could not finish.
	if err := j.file.Truncate(0); err != nil {
		return s, cannotWrite(err)
	}
	// The witness comes first: a journal without one is not undone.
	if err := j.bearWitness(text); err != nil {
		return s, fmt.Errorf("what undoes a run that is killed cannot be kept, nothing was changed: %w", err)
	}
	if _, err := j.file.WriteAt(text, 0); err != nil {
		return s, cannotWrite(err)
	}
	return s, j.file.Sync()
}

// takeBack undoes a run that failed. The error says what became of the project.
func (j *Journal) takeBack(err error, before saved, deletable func(name, text string) bool) error {
	after := "nothing was changed"
	if undo := j.undo(before, deletable); undo != nil {
		j.unfinished = true
		after = fmt.Sprintf("and not everything could be undone: %v; run authgraph again to finish undoing", undo)
	}
	if j.Undone != "" {
		after += "; what stood there instead is in " + j.Undone + ": take from it what is yours, then remove it"
	}
	return &RunError{err, after}
}

// undo restores what was saved. It deletes texts that are deletable, and moves others that differ to the folder Undone.
func (j *Journal) undo(s saved, deletable func(name, text string) bool) error {
	j.Undone = ""
	for _, name := range slices.Concat(s.Paths, s.Folders, slices.Collect(maps.Keys(s.Files))) {
		if !inside(name) {
			return fmt.Errorf("%s names the path %q, which is outside of this module or git's own", journalFile, name)
		}
	}
	folders, err := j.removeAdded(s, deletable)
	if err != nil {
		return err
	}
	for name, file := range s.Files {
		if err := j.restore(name, file, deletable); err != nil {
			return err
		}
	}
	slices.Sort(folders)
	// Backward, a folder comes after those inside it.
	for _, name := range slices.Backward(slices.Compact(folders)) {
		if slices.Contains(s.Folders, name) || strings.HasPrefix(journalFile, name+"/") {
			continue
		}
		if err := j.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeAdded clears away the files that were not saved. It returns the folders that may be empty now, some twice.
func (j *Journal) removeAdded(s saved, deletable func(name, text string) bool) (folders []string, err error) {
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
			if deletable(name, string(text)) {
				return j.root.Remove(name)
			}
			return j.moveAside(name)
		})
		if err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// restore writes a file as it was saved.
func (j *Journal) restore(name string, file savedFile, deletable func(name, text string) bool) error {
	now, err := j.root.ReadFile(name)
	if err == nil && bytes.Equal(now, file.Data) {
		return nil
	}
	if err == nil && !deletable(name, string(now)) {
		if err := j.moveAside(name); err != nil {
			return err
		}
	}
	if err := j.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return j.root.WriteFile(name, file.Data, file.Mode)
}

// moveAside moves a file to the folder Undone.
func (j *Journal) moveAside(name string) error {
	if j.Undone == "" {
		j.Undone = path.Dir(journalFile) + "/undone-" + time.Now().UTC().Format("20060102-150405.000")
	}
	to := path.Join(j.Undone, name)
	if err := j.root.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	return j.root.Rename(name, to)
}

// walk calls fn for a path, relative to root, and all below it. It follows no symbolic link. A path that does not exist
// is not an error.
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
