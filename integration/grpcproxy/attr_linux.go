package grpcproxy

import "syscall"

// processAttributes puts the proxy in its own process group, so that Ctrl-C in a
// terminal reaches only the program, which then ends the proxy in order.
// Pdeathsig ends even a proxy that SIGSTOP has stopped and that cannot notice
// that its standard input ended. The kernel sends it when the thread that started
// the proxy exits: see life.run.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
