//go:build !windows

package install

import "os/exec"

// holds lets a command that changes the project hold the journal's lock as well, with all that it starts. If this run
// is killed, the next one waits for them to end: what it undid, they would go on to write.
func (j *Journal) holds(cmd *exec.Cmd) {
	if j != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, j.file.File)
	}
}
