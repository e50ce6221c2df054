package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// journalFile holds, while a run changes a project, what it changes. It is
// locked by the run, and gone when the run has ended.
const journalFile = ".authgraph/undo.json"

// Journal keeps the project as it was, so that a run that fails, is
// interrupted or killed leaves nothing behind. One is held at a time, others wait.
type Journal struct {
	root string
	file *lockedfile.File
	// Recovered is whether a run before this one was killed and its changes
	// were undone now.
	Recovered bool
	// Undone is the folder, relative to the project, that now holds what there
	// was instead of what was restored: what a killed run wrote and what the user did
	// after it, or of a run that failed what cannot be told from what somebody saved
	// meanwhile. It is empty where there was nothing.
	Undone string
	// unfinished is whether a rollback failed: the journal is needed again.
	unfinished bool
}

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

// Lock waits for other runs in the project to end, and undoes what one that
// was killed left behind: until then nothing that it wrote can be relied on. Waiting
// is called once if there is another run. In a folder without a go.mod the error is
// ErrNoModule.
func Lock(ctx context.Context, root string, waiting func()) (*Journal, error) {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		return nil, noModule(root)
	}
	if link := symlink(root, journalFile); link != "" {
		return nil, fmt.Errorf("%s is a symbolic link, through which authgraph does not write: put what it leads to in its place; nothing was changed", link)
	}
	at := filepath.Join(root, filepath.FromSlash(journalFile))
	for {
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return nil, cannotWrite(err)
		}
		file, err := open(ctx, at, &waiting)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the run before this one removed the folder just now
		}
		if err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("%w; nothing was changed", err)
		}
		if err != nil {
			return nil, cannotWrite(err)
		}
		// The run that held it may have removed it.
		held, err := file.Stat()
		now, err2 := os.Stat(at)
		if err != nil || err2 != nil || !os.SameFile(held, now) {
			if err := file.Close(); err != nil {
				return nil, err
			}
			continue
		}
		j := &Journal{root: root, file: file}
		if err := j.ignore(); err != nil {
			return nil, errors.Join(cannotWrite(err), file.Close())
		}
		text, err := io.ReadAll(file)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", journalFile, err), file.Close())
		}
		// A text that breaks off was cut before the run began to change anything.
		var s saved
		if len(text) > 0 && json.Unmarshal(text, &s) == nil {
			j.Recovered = true
			// Who wrote what is not known any more.
			if err := j.undo(s, func(string, string) bool { return false }); err != nil {
				return nil, errors.Join(fmt.Errorf("undo what a run that was killed left behind: %w", err), file.Close())
			}
			if err := file.Truncate(0); err != nil {
				return nil, errors.Join(err, file.Close())
			}
		}
		return j, nil
	}
}

// Unfinished reports whether a run changes the project now, or was killed and is not
// undone yet.
func Unfinished(root string) bool {
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(journalFile)))
	return err == nil && info.Size() > 0
}

// open opens and locks a file. Waiting is called, and then nil, where that takes long.
func open(ctx context.Context, at string, waiting *func()) (*lockedfile.File, error) {
	type opened struct {
		file *lockedfile.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		file, err := lockedfile.OpenFile(at, os.O_RDWR|os.O_CREATE, 0o644)
		done <- opened{file, err}
	}()
	long := time.NewTimer(time.Second)
	defer long.Stop()
	for {
		select {
		case o := <-done:
			return o.file, o.err
		case <-long.C:
			if *waiting != nil {
				(*waiting)()
				*waiting = nil
			}
		case <-ctx.Done():
			// Nobody else is to wait for what comes too late.
			go func() {
				if o := <-done; o.err == nil {
					_ = o.file.Close()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// ignoreFile keeps git from what is there for a while only, itself included.
const (
	ignoreFile = ".authgraph/.gitignore"
	ignoreText = "/.gitignore\n/undo.json\n/undone-*/\n"
)

// ignore writes ignoreFile, unless the project has one of its own.
func (j *Journal) ignore() error {
	file, err := os.OpenFile(filepath.Join(j.root, filepath.FromSlash(ignoreFile)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(ignoreText)
	return errors.Join(err, file.Close())
}

// unignore removes ignoreFile where there is nothing left to ignore.
func (j *Journal) unignore() error {
	at := filepath.Join(j.root, filepath.FromSlash(ignoreFile))
	undone, err := filepath.Glob(filepath.Join(filepath.Dir(at), "undone-*"))
	if err != nil || len(undone) > 0 {
		return err
	}
	if text, err := os.ReadFile(at); err != nil || string(text) != ignoreText {
		return nil
	}
	return os.Remove(at)
}

func cannotWrite(err error) error {
	return fmt.Errorf("the folder cannot be written, nothing was changed: %w", err)
}

// Close ends the run: its changes stay. The journal of a rollback that failed stays too.
func (j *Journal) Close() error {
	if j.unfinished {
		return j.file.Close()
	}
	path := filepath.Join(j.root, filepath.FromSlash(journalFile))
	err := errors.Join(j.unignore(), os.Remove(path))
	_ = os.Remove(filepath.Dir(path)) // it fails where the record is in it, as it should be
	return errors.Join(err, j.file.Close())
}

// keep saves the files and folders at the paths, with all that is below them.
func (j *Journal) keep(paths []string) (saved, error) {
	s := saved{Paths: paths, Files: map[string]savedFile{}}
	for _, path := range paths {
		for at := filepath.Dir(path); at != "."; at = filepath.Dir(at) {
			if info, err := os.Stat(filepath.Join(j.root, at)); err == nil && info.IsDir() && !slices.Contains(s.Folders, at) {
				s.Folders = append(s.Folders, at)
			}
		}
		err := walk(j.root, path, func(path string, entry fs.DirEntry) error {
			if entry.IsDir() {
				s.Folders = append(s.Folders, path)
				return nil
			}
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			data, err := os.ReadFile(filepath.Join(j.root, path))
			s.Files[path] = savedFile{info.Mode().Perm(), data}
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
	if _, err := j.file.WriteAt(text, 0); err != nil {
		return s, cannotWrite(err)
	}
	return s, j.file.Sync()
}

// undo makes everything as it was when it was saved. A text that is in its way and
// not the run's own is moved to the folder Undone.
func (j *Journal) undo(s saved, own func(name, text string) bool) error {
	j.Undone = ""
	aside := path.Dir(journalFile) + "/undone-" + time.Now().UTC().Format("20060102-150405.000")
	moveAside := func(path string, text []byte) error {
		if own(filepath.ToSlash(path), string(text)) {
			return nil
		}
		j.Undone = aside
		to := filepath.Join(j.root, filepath.FromSlash(aside), path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.Rename(filepath.Join(j.root, path), to)
	}
	var folders []string
	for _, path := range s.Paths {
		for at := filepath.Dir(path); at != "."; at = filepath.Dir(at) {
			folders = append(folders, at)
		}
		err := walk(j.root, path, func(path string, entry fs.DirEntry) error {
			if entry.IsDir() {
				folders = append(folders, path)
				return nil
			}
			if _, ok := s.Files[path]; ok || !entry.Type().IsRegular() {
				return nil
			}
			at := filepath.Join(j.root, path)
			text, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			if err := moveAside(path, text); err != nil {
				return err
			}
			return os.RemoveAll(at)
		})
		if err != nil {
			return err
		}
	}
	for path, file := range s.Files {
		at := filepath.Join(j.root, path)
		now, err := os.ReadFile(at)
		if err == nil && bytes.Equal(now, file.Data) {
			continue
		}
		if err == nil {
			if err := moveAside(path, now); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, file.Data, file.Mode); err != nil {
			return err
		}
	}
	// The deepest first.
	slices.SortFunc(folders, func(a, b string) int { return len(b) - len(a) })
	for _, path := range slices.Compact(folders) {
		if slices.Contains(s.Folders, path) || strings.HasPrefix(filepath.ToSlash(journalFile), filepath.ToSlash(path)+"/") {
			continue
		}
		if err := os.Remove(filepath.Join(j.root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// walk calls fn for a path and all below it, relative to root; for none if
// there is nothing.
func walk(root, path string, fn func(path string, entry fs.DirEntry) error) error {
	return filepath.WalkDir(filepath.Join(root, path), func(at string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		return fn(relative, entry)
	})
}
