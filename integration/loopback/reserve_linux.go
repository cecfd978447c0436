package loopback

import (
	"fmt"
	"os"
	"syscall"
)

func reserve(number uint16) (*Port, error) {
	// CLOEXEC: if a child inherited the socket, it would hold the port beyond the
	// reservation.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("loopback: reserving a port: %w", os.NewSyscallError("socket", err))
	}
	p := &Port{release: func() error {
		if err := syscall.Close(fd); err != nil {
			return fmt.Errorf("loopback: releasing a port: %w", os.NewSyscallError("close", err))
		}
		return nil
	}}
	fail := func(call string, err error) (*Port, error) {
		_ = p.Release() // return the first error instead
		return nil, fmt.Errorf("loopback: reserving port %d: %w", number, os.NewSyscallError(call, err))
	}
	// Two sockets may share a port if both request it and neither listens; the
	// second may then start to listen (socket(7), SO_REUSEADDR).
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(number), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fail("bind", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return fail("getsockname", err)
	}
	inet4, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return fail("getsockname", syscall.EAFNOSUPPORT)
	}
	p.number = uint16(inet4.Port)
	return p, nil
}
