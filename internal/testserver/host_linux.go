package testserver

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"
)

// isolate keeps a server from the terminal's Ctrl-C, which would end it under the command that still uses it, and ends
// it with this process however that ends.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// nobody is the user without rights of most systems.
const nobody = 65534

// unprivileged has a root run a command that refuses to be root's as nobody, to whom the folder is given. The command
// itself may be where nobody finds it.
func unprivileged(cmd *exec.Cmd, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}); err != nil {
		return err
	}
	executable, err := os.Open(cmd.Path)
	if err != nil {
		return err
	}
	cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{executable}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	return nil
}

// endWithParent has this process stopped when its parent ends: "go run" passes a SIGTERM on to nobody.
func endWithParent() {
	// The kernel keeps the wish by thread; an initial goroutine that is locked to its thread never loses it.
	runtime.LockOSThread()
	// A kernel that refuses leaves the servers running in that one case.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
}

// ownGroup makes the command a process group, so that a signal reaches what it started too. A command that reads a
// terminal has to stay in the group that owns it.
func ownGroup(cmd *exec.Cmd, stdin any) (signal func(os.Signal)) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !isTerminal(stdin), Pdeathsig: syscall.SIGTERM}
	return func(s os.Signal) {
		target := cmd.Process.Pid
		if cmd.SysProcAttr.Setpgid {
			target = -target
		}
		syscall.Kill(target, s.(syscall.Signal))
	}
}

func isTerminal(stdin any) bool {
	file, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}

func tryLock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

func isLocked(err error) bool {
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// hasRoomInMemory reports whether path is a file system in memory with 4 GiB to spare. The data of both servers take
// less than one in a run of all tests; a container that was given nothing else has 64 MiB.
func hasRoomInMemory(path string) bool {
	const tmpfs = 0x01021994 // its f_type, statfs(2)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return false
	}
	return fs.Type == tmpfs && fs.Bavail*uint64(fs.Bsize) >= 4<<30
}
