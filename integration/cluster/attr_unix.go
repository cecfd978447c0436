//go:build unix && !linux

package cluster

import "syscall"

// processAttributes gives a member a process group of its own, so that Ctrl-C
// in a terminal reaches the program alone, which then stops its members in
// order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
