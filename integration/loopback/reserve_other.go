//go:build !linux

package loopback

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

func reserve(number uint16) (*Port, error) {
	if number != 0 {
		return &Port{number: number}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(number))))
	if err != nil {
		return nil, fmt.Errorf("loopback: reserving a port: %w", err)
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("loopback: reserving a port: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("loopback: %T is not a TCP address", l.Addr())
	}
	return &Port{number: uint16(addr.Port)}, nil
}
