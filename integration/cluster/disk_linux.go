package cluster

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A member's disk is represented by its system calls fsync and fdatasync. At
// startup, the member installs a seccomp filter in its own process that passes
// these two calls to a goroutine (seccomp_unotify(2)). The goroutine answers them
// at once or, while the disk is stalled, when it is healed. That needs no
// privileges, since a process may always restrict itself.

// diskFlags request a listener, and that the filter applies to all threads of the
// process, of which Go already has several at startup (Linux 5.7).
const diskFlags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH

// DisksSupported returns nil if Config.Disks works on this system, and otherwise
// the reason why it does not.
func DisksSupported() error {
	// The kernel checks the flags before it reads the filter.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, diskFlags, 0)
	if errno != unix.EFAULT {
		return fmt.Errorf("cluster: the kernel cannot pass on system calls (seccomp_unotify(2), Linux 5.7): %w", errno)
	}
	return nil
}

// seccompNotif is struct seccomp_notif, and seccompResp is struct
// seccomp_notif_resp.
type (
	seccompNotif struct {
		ID         uint64
		PID, Flags uint32
		Nr         int32
		Arch       uint32
		Pointer    uint64
		Args       [6]uint64
	}
	seccompResp struct {
		ID    uint64
		Val   int64
		Error int32
		Flags uint32
	}
)

// disk answers the process's disk calls.
type disk struct {
	fd uintptr
	// carryOut lets the kernel execute the calls. Without it, disk only answers
	// that they succeeded, which is enough unless the machine fails.
	carryOut bool

	mu      sync.Mutex
	stalled bool
	held    []uint64 // the calls that wait
}

// startDisk puts this process's disk under the control of the returned function,
// until the process ends.
func startDisk(carryOut bool) (func(stalled bool), error) {
	fd, err := filterDisk()
	if err != nil {
		return nil, err
	}
	d := &disk{fd: fd, carryOut: carryOut}
	go func() {
		// Nobody can answer the calls any more: a missing member is better than
		// one that hangs.
		fmt.Fprintln(os.Stderr, "cluster: the disk:", d.serve())
		os.Exit(1)
	}()
	return d.set, nil
}

// filterDisk makes the kernel pass the disk calls of this process, and of the
// program that it becomes, to the reader of the returned file descriptor.
func filterDisk() (uintptr, error) {
	runtime.LockOSThread() // no_new_privs belongs to the thread, until the filter applies to all threads
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, os.NewSyscallError("prctl", err)
	}
	// The first word of struct seccomp_data is the number of the system call.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, diskFlags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, os.NewSyscallError("seccomp", errno)
	}
	return fd, nil
}

// serve receives calls until receiving fails.
func (d *disk) serve() error {
	for {
		var call seccompNotif
		switch errno := d.control(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&call)); {
		case errno == unix.EINTR, errno == unix.ENOENT: // the caller was interrupted and will call again
			continue
		case errno != 0:
			return os.NewSyscallError("ioctl", errno)
		}
		d.mu.Lock()
		if d.stalled {
			d.held = append(d.held, call.ID)
		} else {
			d.answerLocked(call.ID)
		}
		d.mu.Unlock()
	}
}

// set stalls the disk or heals it.
func (d *disk) set(stalled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalled = stalled
	if stalled {
		return
	}
	for _, id := range d.held {
		d.answerLocked(id)
	}
	d.held = nil
}

// answerLocked lets a call return. If a signal interrupted the caller while it
// waited, the call no longer exists; the caller calls again.
func (d *disk) answerLocked(id uint64) {
	answer := seccompResp{ID: id}
	if d.carryOut {
		answer.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	for errors.Is(d.control(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)), unix.EINTR) {
	}
}

func (d *disk) control(request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, d.fd, request, uintptr(arg))
	return errno
}
