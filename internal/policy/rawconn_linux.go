//go:build linux && !386 && !s390x

package policy

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"
)

// acknowledged is how many bytes that were written to conn the other end's kernel has
// acknowledged (tcpi_bytes_acked of struct tcp_info, in linux/tcp.h since 4.1); ok is
// false when the system does not tell.
func acknowledged(conn net.Conn) (n uint64, ok bool) {
	const at, size = 120, 8 // the structure only ever grows at its end
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info [at + size]byte
	length := uint32(len(info))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
	})
	return binary.NativeEndian.Uint64(info[at:]), err == nil && errno == 0 && length == uint32(len(info))
}
