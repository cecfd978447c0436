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

// An etcd binary can't answer its own calls for its disk. So this program, started
// again as the member, restricts itself, starts itself once more as the disk, which
// gets the file descriptor with the calls, and then becomes the binary. The member's
// process ID stays its own, and so does all that can be done to it.

// diskFD is where the disk's process has the calls.
const diskFD = 3

// become makes this process the etcd binary, with its disk under the cluster's
// control. It returns if that failed. parent is the program that started it.
func (s *memberSpec) become(parent int) error {
	// What tells of a parent's death is the thread's, and the disk's parent is the
	// thread that starts it: it has to be the one that the binary goes on in.
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

// runDisk answers the calls of the process that started this one, until that ends.
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
