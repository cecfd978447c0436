package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// An etcd binary cannot handle its own disk calls. So this program, started again
// as the member, first restricts itself. It then starts itself once more as the
// disk process, which gets the file descriptor with the calls. Finally it becomes
// the binary. The member keeps its process ID, so everything that can be done to
// a member still works.

// diskFD is the file descriptor with the calls in the disk process.
const diskFD = 3

// become makes this process the etcd binary, with its disk under the cluster's
// control. It returns only if that failed. parent is the program that started
// this process.
func (s *memberSpec) become(parent int) error {
	// Pdeathsig depends on the parent thread, and the disk process's parent is
	// the thread that starts it. So that must be the thread in which the binary
	// continues.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if os.Getppid() != parent {
		return errors.New("the program that started it is gone")
	}
	fd, err := filterDisk()
	if err != nil {
		return fmt.Errorf("Config.Disks: %w", err)
	}
	disk := exec.Command("/proc/self/exe") //nolint:noctx // it ends with this process
	disk.Args = []string{"disk-" + s.Name}
	disk.Env = append(memberEnvironment(), diskEnv+"="+strconv.FormatBool(s.Fsync))
	disk.ExtraFiles = []*os.File{os.NewFile(fd, "calls")}
	disk.Stderr = os.Stderr
	disk.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ready, err := disk.StdoutPipe()
	if err != nil {
		return err
	}
	if err := disk.Start(); err != nil {
		return fmt.Errorf("starting the disk: %w", err)
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for the disk: %w", err)
	}
	cmd := s.command()
	return os.NewSyscallError("execve", syscall.Exec(cmd.Path, cmd.Args, memberEnvironment()))
}

// runDisk handles the disk calls of the process that started this one, until that
// process ends.
func runDisk() error {
	carryOut, err := strconv.ParseBool(os.Getenv(diskEnv))
	if err != nil {
		return err
	}
	d := &disk{fd: diskFD, carryOut: carryOut}
	if err := serveDisk(d.set); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	return d.serve()
}
