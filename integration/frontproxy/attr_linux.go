package frontproxy

import "syscall"

// processAttributes makes a proxy end with its program.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
