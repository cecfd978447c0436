package grpcproxy

import "syscall"

// processAttributes gives the proxy a process group of its own, so that Ctrl-C
// in a terminal reaches the program alone, which then ends it in
// order. Pdeathsig ends even a proxy that is stopped by SIGSTOP and cannot
// notice that its standard input ended. The kernel sends it when the thread
// that started the proxy exits: see life.run.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
