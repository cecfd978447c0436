//go:build unix

package cluster

import (
	"os"
	"syscall"
)

func terminateSignals() []os.Signal { return []os.Signal{syscall.SIGTERM, os.Interrupt} }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
