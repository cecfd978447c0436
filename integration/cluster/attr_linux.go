package cluster

import "syscall"

// processAttributes puts a member in its own process group, so that Ctrl-C in a
// terminal reaches only the program, which then stops its members in order.
// Pdeathsig ends even a member that SIGSTOP has stopped and that cannot notice
// that its standard input ended. The kernel sends it when the thread that started
// the member exits: see process.run.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
