//go:build !linux

package testserver

import (
	"errors"
	"os"
	"os/exec"
)

func isolate(*exec.Cmd) {}

func unprivileged(*exec.Cmd, string) error { return nil }

func endWithParent() {}

func hasRoomInMemory(string) bool { return false }

func ownGroup(cmd *exec.Cmd, _ any) (signal func(os.Signal)) {
	return func(s os.Signal) { cmd.Process.Signal(s) }
}

var errLocked = errors.New("locked")

// tryLock takes a file's existence for the lock, which a killed run leaves behind; the error names the file to remove.
func tryLock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	file.Close()
	return func() { os.Remove(path) }, nil
}

func isLocked(err error) bool {
	return errors.Is(err, errLocked)
}
