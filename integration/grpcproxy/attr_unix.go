//go:build unix && !linux

package grpcproxy

import "syscall"

// processAttributes gives the proxy a process group of its own, so that Ctrl-C
// in a terminal reaches the program alone, which then ends it in
// order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
