package cluster

import (
	"errors"
	"os"
)

func terminateSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// terminate kills the process, since Windows has no graceful way.
func terminate(p *os.Process) error { return p.Kill() }

var errNoStop = errors.New("stopping a process (SIGSTOP) is not supported on windows")

func pause(*os.Process) error { return errNoStop }

func resume(*os.Process) error { return errNoStop }
