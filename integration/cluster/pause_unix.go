//go:build unix && !linux

package cluster

import (
	"os"
	"syscall"
)

// pause stops the process. Some of its threads may run for a moment longer.
func pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
