//go:build unix && !linux

package grpcproxy

import "syscall"

// processAttributes puts the proxy in its own process group, so that Ctrl-C in a
// terminal reaches only the program, which then ends the proxy in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
