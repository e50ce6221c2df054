package install

import "os/exec"

// holds does nothing: on Windows a lock is of the process that took it, and os/exec passes on no file.
func (*Journal) holds(*exec.Cmd) {}
