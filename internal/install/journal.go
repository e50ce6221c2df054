package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// journalFile holds what a run may change, as it was before. The run locks it, and removes it at its end.
const journalFile = ".authgraph/undo.json"

// Journal keeps the project as it was, so that a run that fails, is interrupted or killed leaves nothing behind.
// One run holds it at a time, others wait.
type Journal struct {
	root *os.Root
	file *lockedfile.File
	// witness is the file that shows the journal to be this user's own.
	witness string
	// Recovered is whether an earlier run was killed and its changes were undone now.
	Recovered bool
	// Undone is the folder that undoing moved files into, relative to the project; empty if it moved none. After a
	// killed run these are all files that differed; after a failed run, only those that may be yours.
	Undone string
	// unfinished is whether a rollback failed: the journal is needed again.
	unfinished bool
}

// Lock waits for other runs in the project to end, and undoes what a killed run left behind. It calls waiting once if
// there is another run. In a folder without a go.mod the error is ErrNoModule, for a journal that this user did not
// leave it is ErrForeign.
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
			return nil, unchanged(err)
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

// usable refuses a journal behind a symbolic link, and one that is no regular file: opening a pipe would wait.
func usable(root *os.Root) error {
	if link := symlink(root, journalFile); link != "" {
		return unchanged(&Error{Path: link, found: Linked(link), fix: "put what it leads to in its place"})
	}
	if info, err := root.Lstat(journalFile); err == nil && !info.Mode().IsRegular() {
		return unchanged(irregular(journalFile, "delete it"))
	}
	return nil
}

// begin undoes what the journal holds.
func (j *Journal) begin() error {
	text, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("read %s: %w", journalFile, err)
	}
	s, unfinished := parseJournal(text)
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
	// Nobody knows any more who wrote what, so that nothing is deleted.
	if err := j.undo(s, func(string, string) bool { return false }); err != nil {
		return fmt.Errorf("undo what a run that was killed left behind: %w", err)
	}
	return j.file.Truncate(0)
}

// parseJournal reads the text of a journal. A run whose text breaks off had not begun to change anything.
func parseJournal(text []byte) (s saved, unfinished bool) {
	unfinished = len(text) > 0 && json.Unmarshal(text, &s) == nil
	return s, unfinished
}

// ErrForeign is the error for a journal that no run of this user left in this folder. It may have come with the module:
// undoing it would write what the module's author chose.
var ErrForeign error = &Error{
	Path: journalFile,
	found: journalFile + " was not left by a run of yours in this folder, " +
		"so nothing in it was undone and nothing was changed",
	fix: "remove it, and look at git status for what a run on another machine may have left",
}

// CheckFinished is an error if a run changes the project now, or was killed and is not undone yet. It is ErrForeign if
// this user did not leave the journal.
func CheckFinished(root string) error {
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer files.Close()
	if err := usable(files); err != nil {
		return err
	}
	text, err := files.ReadFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, unfinished := parseJournal(text); !unfinished {
		return nil
	}
	if witness, err := witnessFile(root); err != nil || !witnessed(witness, text) {
		return cmp.Or(err, ErrForeign)
	}
	return &Error{
		Reason: Unfinished,
		found:  "a run that was killed left changes behind, or one is at work",
		fix:    "the next run that writes undoes them first",
	}
}

// open opens and locks a file. If that takes long it calls waiting, and sets it to nil.
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
			// A lock that comes too late is released, so that nobody waits for it.
			go func() {
				if o := <-done; o.err == nil {
					_ = o.file.Close()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// ignoreFile hides the temporary files from git, itself included.
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

// unignore removes ignoreFile if nothing is left to ignore.
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
		_ = j.root.Remove(path.Dir(journalFile)) // it fails, as it should, if the record is in it
		_ = os.Remove(j.witness)                 // there is none if nothing was to be changed
	}
	return errors.Join(err, j.file.Close(), j.root.Close())
}
