//go:build unix && !linux

package cluster

import "syscall"

// processAttributes puts a member in its own process group, so that Ctrl-C in a
// terminal reaches only the program, which then stops its members in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
