package cluster

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// pause stops the process and waits until it has stopped: when kill(2) returns,
// some of its threads are still running. WNOWAIT leaves the state for the next
// call. Without WEXITED the process is not reaped here.
func pause(p *os.Process) error {
	if err := p.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("waitid", err)
		}
	}
}
