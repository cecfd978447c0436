package balancer

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged is how many bytes of what was written to conn the other end's
// kernel has not acknowledged (SIOCOUTQ of tcp(7), which is TIOCOUTQ); ok is false
// when the system does not tell, as for UNIX sockets' own kind of queue.
func unacknowledged(conn net.Conn) (n uint64, ok bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var queued int32
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&queued)))
	})
	return uint64(max(queued, 0)), err == nil && errno == 0
}
