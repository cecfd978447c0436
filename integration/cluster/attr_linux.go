package cluster

import "syscall"

// processAttributes gives a member a process group of its own, so that Ctrl-C
// in a terminal reaches the program alone, which then stops its members in
// order. Pdeathsig ends even a member that is stopped by SIGSTOP and cannot
// notice that its standard input ended. The kernel sends it when the thread
// that started the member exits: see process.run.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
