package install

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	root *os.Root
	file *lockedfile.File
	// witness is the file that shows the journal to be this user's own.
	witness string
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
// ErrNoModule, for a journal that is not this user's own it is ErrForeign.
func Lock(ctx context.Context, root string, waiting func()) (_ *Journal, err error) {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		return nil, noModule(root)
	}
	j := &Journal{}
	if j.witness, err = witnessFile(root); err != nil {
		return nil, err
	}
	if j.root, err = os.OpenRoot(root); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.root.Close())
		}
	}()
	if err := usable(j.root); err != nil {
		return nil, err
	}
	for {
		if err := j.root.MkdirAll(path.Dir(journalFile), 0o755); err != nil {
			return nil, cannotWrite(err)
		}
		file, err := open(ctx, filepath.Join(root, filepath.FromSlash(journalFile)), &waiting)
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
		now, err2 := j.root.Lstat(journalFile)
		if err != nil || err2 != nil || !os.SameFile(held, now) {
			if err := file.Close(); err != nil {
				return nil, err
			}
			continue
		}
		j.file = file
		if err := j.begin(); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return j, nil
	}
}

// usable is an error if a symbolic link is on the way to the journal, or something
// that is no file is in its place: a pipe would be waited for.
func usable(root *os.Root) error {
	if link := symlink(root, journalFile); link != "" {
		return fmt.Errorf("%s is a symbolic link, through which authgraph does not write: "+
			"put what it leads to in its place; nothing was changed", link)
	}
	if info, err := root.Lstat(journalFile); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: delete it; nothing was changed", journalFile)
	}
	return nil
}

// begin undoes what the journal holds.
func (j *Journal) begin() error {
	text, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("read %s: %w", journalFile, err)
	}
	// A text that breaks off was cut before the run began to change anything.
	var s saved
	unfinished := len(text) > 0 && json.Unmarshal(text, &s) == nil
	if unfinished && !witnessed(j.witness, text) {
		return ErrForeign
	}
	if err := j.ignore(); err != nil {
		return cannotWrite(err)
	}
	if !unfinished {
		return nil
	}
	j.Recovered = true
	// Who wrote what is not known any more.
	if err := j.undo(s, func(string, string) bool { return false }); err != nil {
		return fmt.Errorf("undo what a run that was killed left behind: %w", err)
	}
	return j.file.Truncate(0)
}

// ErrForeign is the error for a journal that no run of this user left in this folder.
// It may have come with the module, and then say what whoever made that wants to have
// written.
var ErrForeign = errors.New(journalFile + " was not left by a run of yours in this folder, so nothing in it was undone and nothing was changed: remove it, and look at git status for what a run on another machine may have left")

// Unfinished is an error if a run changes the project now, or was killed and is not
// undone yet; ErrForeign if the journal says so and is not this user's own.
func Unfinished(root string) error {
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer files.Close()
	if err := usable(files); err != nil {
		return err
	}
	text, err := files.ReadFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if witness, err := witnessFile(root); err != nil || !witnessed(witness, text) {
		return cmp.Or(err, ErrForeign)
	}
	return errors.New("a run that was killed left changes behind, or one is at work: without --dry-run they are undone first")
}

// witnessFile is where the hash of a project's journal is kept: outside of the project,
// where nothing that is cloned or unpacked comes to lie. Its name tells the folder.
func witnessFile(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for what undoes a run that is killed: %w; nothing was changed", err)
	}
	at, err := filepath.Abs(root)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	return filepath.Join(cache, "authgraph", "undo", hash([]byte(at))), err
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// witnessed reports whether the text of a journal is the one that a run wrote.
func witnessed(witness string, text []byte) bool {
	want, err := os.ReadFile(witness)
	return err == nil && string(want) == hash(text)
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
	file, err := j.root.OpenFile(ignoreFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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
	undone, err := fs.Glob(j.root.FS(), path.Dir(ignoreFile)+"/undone-*")
	if err != nil || len(undone) > 0 {
		return err
	}
	if text, err := j.root.ReadFile(ignoreFile); err != nil || string(text) != ignoreText {
		return nil
	}
	return j.root.Remove(ignoreFile)
}

func cannotWrite(err error) error {
	return fmt.Errorf("the folder cannot be written, nothing was changed: %w", err)
}

// Close ends the run: its changes stay. The journal of a rollback that failed stays too.
func (j *Journal) Close() error {
	var err error
	if !j.unfinished {
		err = errors.Join(j.unignore(), j.root.Remove(journalFile))
		_ = j.root.Remove(path.Dir(journalFile)) // it fails where the record is in it, as it should be
		_ = os.Remove(j.witness)                 // there is none where nothing was to be changed
	}
	return errors.Join(err, j.file.Close(), j.root.Close())
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

func (j *Journal) bearWitness(text []byte) error {
	if err := os.MkdirAll(filepath.Dir(j.witness), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(j.witness, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(hash(text))
	return errors.Join(err, file.Sync(), file.Close())
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
